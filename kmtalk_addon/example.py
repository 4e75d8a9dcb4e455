"""The example's Blender scene: demo head, materials, lights, backdrop, and cameras; also the demo's.

Every function takes what it needs and touches nothing else: no side effects at import, the user's other objects stay.
`build_scene` does everything at once; the pieces are there for those who bring their own scene.
Blender's axes: z up, the head faces -y, its left is +x; metres.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import bpy
import numpy as np
from mathutils import Vector

View = Literal["front", "three_quarter", "side"]

YAW = {"front": 0.0, "three_quarter": 35.0, "side": 90.0}  # degrees, towards the head's left
LENS = 85.0  # mm on a 36 mm sensor: the classical portrait length
AIM = (0.0, 0.0, -0.022)  # m, between nose and mouth
TEETH_DEPTH = 0.022  # m behind the incisors, where little light gets
FRAME_HEIGHT = 0.335  # m, what the picture shows from top to bottom at the head
COLLECTION = "KMTalk demo"
WORLD = tuple(0.35 * c for c in (0.55, 0.62, 0.70))  # light from all sides


def build_scene(
    head: Mapping[str, np.ndarray],
    *,
    name: str = "KMTalk head",
    view: View = "front",
    size: tuple[int, int] = (540, 540),
    scene: bpy.types.Scene | None = None,
) -> bpy.types.Object:
    """Add the head with lights, backdrop and a camera to `scene` (the current one by default).

    `head` holds the arrays of demo_head.npz; `size` is (width, height) in pixels. Returns the head's object.
    """
    scene = scene or bpy.context.scene
    collection = bpy.data.collections.new(COLLECTION)
    scene.collection.children.link(collection)
    obj = head_object(head, name=name)
    collection.objects.link(obj)
    add_lights(collection)
    set_backdrop(scene)
    scene.camera = add_camera(collection, view, aspect=size[0] / size[1])
    return obj


def show_head(head: bpy.types.Object, shading: str = "MATERIAL") -> None:
    """Let the 3-D views of all windows look through the camera, and select the head.

    With `shading` SOLID it is seen at once, in its materials' colours; Blender compiles MATERIAL's shaders first.
    """
    head.select_set(True)
    for screen in bpy.data.screens:
        for space in (space for area in screen.areas for space in area.spaces if space.type == "VIEW_3D"):
            space.shading.type, space.shading.color_type = shading, "MATERIAL"
            space.region_3d.view_perspective = "CAMERA"


def head_object(head: Mapping[str, np.ndarray], *, name: str = "KMTalk head") -> bpy.types.Object:
    """The head as a mesh object, not yet in any collection; vertex order as in `head`, one vertex group a component."""
    vertices = blender_axes(head["vertices"])
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata(vertices.tolist(), [], [[i for i in face if i >= 0] for face in head["faces"].tolist()])
    names = [str(n) for n in head["material_names"]]
    for material_name in names:
        mesh.materials.append(_material(material_name))
    mesh.polygons.foreach_set("material_index", head["material_index"].astype(np.int32))
    mesh.shade_smooth()
    for attribute, values in _shading_masks(head).items():
        mesh.attributes.new(attribute, "FLOAT", "POINT").data.foreach_set("value", values.astype(np.float32))
    obj = bpy.data.objects.new(name, mesh)
    for index, component in enumerate(head["component_names"]):
        group = obj.vertex_groups.new(name=str(component))
        group.add(np.flatnonzero(head["components"] == index).tolist(), 1.0, "REPLACE")
    subdivision = obj.modifiers.new("Subdivision", "SUBSURF")
    subdivision.levels, subdivision.render_levels = 0, 1
    return obj


def blender_axes(points: np.ndarray) -> np.ndarray:
    """(..., 3) from y up, facing +z (the asset) to z up, facing -y (Blender)."""
    return np.stack([points[..., 0], -points[..., 2], points[..., 1]], axis=-1)


def _shading_masks(head: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Per vertex, 0..1: `blush` (rosier cheeks, nose, ears, chin); `gaze`, the angle from the pupil / 90 degrees;
    `depth` of the teeth behind the incisors."""
    v, names = head["vertices"], [str(n) for n in head["component_names"]]
    face = head["components"] == names.index("face")
    landmark = v[head["landmarks"]]
    nose, mouth_corner, eye_corner = landmark[30], landmark[54], landmark[45]
    cheek = np.array([eye_corner[0] * 0.86, 0.55 * eye_corner[1] + 0.45 * mouth_corner[1], mouth_corner[2] - 0.008])
    ear = np.array([landmark[16][0] + 0.012, landmark[16][1], landmark[16][2] - 0.02])
    left = np.abs(v[:, :1]) * (1, 0, 0) + v * (0, 1, 1)
    blush = np.zeros(len(v))
    for centre, radius, strength in (
        (cheek, 0.021, 0.6),
        (nose, 0.013, 0.6),
        (ear, 0.022, 0.9),
        (landmark[8], 0.016, 0.3),
    ):
        blush += strength * np.exp(-(((left - centre) / radius) ** 2).sum(axis=1))
    gaze = np.ones(len(v))
    for eye in ("eye_left", "eye_right"):
        ball = head["components"] == names.index(eye)
        ray = v[ball] - (v[ball].min(axis=0) + v[ball].max(axis=0)) / 2
        gaze[ball] = np.arccos(np.clip(ray[:, 2] / np.linalg.norm(ray, axis=1), -1, 1)) / (np.pi / 2)
    depth = np.zeros(len(v))
    for arch in ("teeth_upper", "teeth_lower"):
        teeth = head["components"] == names.index(arch)
        depth[teeth] = (v[teeth, 2].max() - v[teeth, 2]) / TEETH_DEPTH
    return {"blush": np.clip(blush, 0, 1) * face, "gaze": np.clip(gaze, 0, 1), "depth": np.clip(depth, 0, 1)}


# Name of a material -> its Principled BSDF inputs. Colours are linear.
PRINCIPLED: dict[str, dict[str, Any]] = {
    "skin": {
        "Base Color": (0.60, 0.32, 0.215, 1),
        "Roughness": 0.46,
        "Specular IOR Level": 0.4,
        "Subsurface Weight": 0.35,
        "Subsurface Radius": (1.0, 0.32, 0.16),
        "Subsurface Scale": 0.006,
    },
    "lips": {
        "Base Color": (0.50, 0.155, 0.125, 1),
        "Roughness": 0.3,
        "Subsurface Weight": 0.3,
        "Subsurface Radius": (1.0, 0.25, 0.2),
        "Subsurface Scale": 0.004,
        "Coat Weight": 0.25,
        "Coat Roughness": 0.25,
    },
    "lid_margin": {"Base Color": (0.42, 0.15, 0.11, 1), "Roughness": 0.25},
    "nostril": {"Base Color": (0.16, 0.05, 0.04, 1), "Roughness": 0.7},
    # A faint glow in place of the many bounces of light that a real mouth's inside receives.
    "mouth": {
        "Base Color": (0.36, 0.07, 0.06, 1),
        "Roughness": 0.45,
        "Emission Color": (0.36, 0.05, 0.04, 1),
        "Emission Strength": 0.13,
    },
    "gums": {"Base Color": (0.55, 0.16, 0.15, 1), "Roughness": 0.25, "Coat Weight": 0.4},
    "tongue": {
        "Base Color": (0.68, 0.22, 0.20, 1),
        "Emission Color": (0.68, 0.16, 0.14, 1),
        "Emission Strength": 0.05,
        "Roughness": 0.38,
        "Subsurface Weight": 0.3,
        "Subsurface Radius": (1.0, 0.3, 0.2),
        "Subsurface Scale": 0.004,
        "Coat Weight": 0.3,
        "Coat Roughness": 0.25,
    },
    "teeth": {
        "Base Color": (0.86, 0.81, 0.70, 1),
        "Emission Color": (0.86, 0.80, 0.68, 1),
        "Emission Strength": 0.07,
        "Roughness": 0.2,
        "Coat Weight": 0.5,
        "Coat Roughness": 0.08,
    },
    "eye_white": {"Base Color": (0.80, 0.77, 0.74, 1), "Roughness": 0.25, "Coat Weight": 1.0, "Coat Roughness": 0.06},
    "iris": {"Base Color": (0.10, 0.19, 0.13, 1), "Roughness": 0.3, "Coat Weight": 1.0, "Coat Roughness": 0.06},
    "iris_rim": {"Base Color": (0.02, 0.035, 0.03, 1), "Roughness": 0.3, "Coat Weight": 1.0, "Coat Roughness": 0.06},
    "pupil": {"Base Color": (0.003, 0.003, 0.003, 1), "Roughness": 0.3, "Coat Weight": 1.0, "Coat Roughness": 0.06},
    "brows": {"Base Color": (0.045, 0.020, 0.011, 1), "Roughness": 0.6},
    "lashes": {"Base Color": (0.012, 0.007, 0.006, 1), "Roughness": 0.5},
    "shirt": {"Base Color": (0.035, 0.105, 0.12, 1), "Roughness": 0.85},
    "hair": {"Base Color": (0.075, 0.028, 0.013, 1), "Roughness": 0.46, "Specular IOR Level": 0.45},
}


def _material(name: str) -> bpy.types.Material:
    material = bpy.data.materials.new(f"KMTalk {name}")
    material.use_nodes = True
    tree = material.node_tree
    shader = tree.nodes["Principled BSDF"]
    shader.subsurface_method = "BURLEY"  # half the time of a random walk, and as good at this size
    for socket, value in PRINCIPLED[name].items():
        shader.inputs[socket].default_value = value
    material.diffuse_color = PRINCIPLED[name]["Base Color"]
    ramp = RAMPS.get(name)
    if ramp is not None:
        attribute, stops = ramp
        mask, colours = tree.nodes.new("ShaderNodeAttribute"), tree.nodes.new("ShaderNodeValToRGB")
        mask.attribute_name = attribute
        elements = colours.color_ramp.elements
        while len(elements) < len(stops):
            elements.new(0.5)
        for element, (position, colour) in zip(elements, stops, strict=True):
            element.position, element.color = position, (*colour, 1)
        tree.links.new(mask.outputs["Fac"], colours.inputs["Fac"])
        tree.links.new(colours.outputs["Color"], shader.inputs["Base Color"])
    return material


# Name of a material -> the mask that colours it and the colours along it.
RAMPS: dict[str, tuple[str, tuple[tuple[float, tuple[float, float, float]], ...]]] = {
    "skin": ("blush", ((0.0, (0.60, 0.32, 0.215)), (1.0, (0.60, 0.22, 0.145)))),
    "iris": ("gaze", ((0.12, (0.22, 0.26, 0.10)), (0.20, (0.13, 0.24, 0.16)), (0.30, (0.035, 0.09, 0.08)))),
    "teeth": ("depth", ((0.15, (0.86, 0.81, 0.70)), (1.0, (0.42, 0.33, 0.27)))),
    "eye_white": ("gaze", ((0.33, (0.80, 0.77, 0.74)), (0.85, (0.70, 0.48, 0.44)))),
}


def add_lights(collection: bpy.types.Collection) -> None:
    """Key, fill and rim areas, a glint for eyes and lips, and a soft low light that reaches into the open mouth."""
    for name, place, aim, size, watts, colour in (
        ("Key", (-0.75, -1.05, 0.75), (0.0, 0.0, 0.0), 0.55, 33.0, (1.0, 0.94, 0.87)),
        ("Fill", (1.1, -0.9, 0.15), (0.0, 0.0, -0.02), 0.9, 7.5, (0.87, 0.93, 1.0)),
        ("Rim left", (0.75, 0.75, 0.65), (0.0, 0.0, 0.0), 0.4, 13.0, (1.0, 0.96, 0.92)),
        ("Rim right", (-0.85, 0.75, 0.35), (0.0, 0.0, 0.0), 0.4, 8.0, (0.85, 0.92, 1.0)),
        ("Glint", (-0.30, -1.1, 0.40), (0.0, 0.0, 0.0), 0.26, 9.0, (1.0, 1.0, 1.0)),
        ("Mouth", (0.0, -1.2, -0.10), (0.0, 0.0, -0.065), 0.3, 7.0, (1.0, 0.96, 0.93)),
    ):
        light = bpy.data.lights.new(f"KMTalk {name}", "AREA")
        light.energy, light.size, light.color = watts, size, colour
        obj = bpy.data.objects.new(light.name, light)
        obj.location = place
        obj.rotation_euler = (Vector(aim) - Vector(place)).to_track_quat("-Z", "Y").to_euler()
        obj.visible_glossy = name in ("Glint", "Rim left", "Rim right")  # one clear glint in each eye
        obj.visible_diffuse = name != "Glint"
        collection.objects.link(obj)


def set_backdrop(scene: bpy.types.Scene) -> None:
    """A world that lights softly and that the camera sees as a gentle vignette."""
    world = bpy.data.worlds.new("KMTalk backdrop")
    world.use_nodes = True
    tree = world.node_tree
    tree.nodes.clear()

    def node(kind: str, **settings: Any) -> Any:
        made = tree.nodes.new(kind)
        for key, value in settings.items():
            setattr(made, key, value)
        return made

    # Distance from a point above the picture's middle, in the window's 0..1 coordinates.
    window, offset, length = node("ShaderNodeTexCoord"), node("ShaderNodeVectorMath"), node("ShaderNodeVectorMath")
    offset.inputs[1].default_value = (0.5, 0.56, 0.0)
    offset.operation, length.operation = "SUBTRACT", "LENGTH"
    ramp = node("ShaderNodeValToRGB")
    ramp.color_ramp.interpolation = "EASE"
    for element, (position, colour) in zip(
        ramp.color_ramp.elements, ((0.0, (0.36, 0.45, 0.50, 1)), (0.75, (0.115, 0.165, 0.205, 1))), strict=True
    ):
        element.position, element.color = position, colour
    seen, light = node("ShaderNodeBackground"), node("ShaderNodeBackground")
    light.inputs["Color"].default_value = (*WORLD, 1)
    light.inputs["Strength"].default_value = 1.0
    path, mix, output = node("ShaderNodeLightPath"), node("ShaderNodeMixShader"), node("ShaderNodeOutputWorld")
    for source, target in (
        (window.outputs["Window"], offset.inputs[0]),
        (offset.outputs["Vector"], length.inputs[0]),
        (length.outputs["Value"], ramp.inputs["Fac"]),
        (ramp.outputs["Color"], seen.inputs["Color"]),
        (path.outputs["Is Camera Ray"], mix.inputs["Fac"]),
        (light.outputs["Background"], mix.inputs[1]),
        (seen.outputs["Background"], mix.inputs[2]),
        (mix.outputs["Shader"], output.inputs["Surface"]),
    ):
        tree.links.new(source, target)
    scene.world = world


def add_camera(collection: bpy.types.Collection, view: View = "front", *, aspect: float = 1.0) -> bpy.types.Object:
    """A portrait camera on head and neck; `aspect` is width / height, and the head keeps its size in the picture."""
    data = bpy.data.cameras.new(f"KMTalk {view}")
    data.lens, data.sensor_fit, data.sensor_width, data.sensor_height = LENS, "VERTICAL", 36.0, 36.0
    data.clip_start = 0.05
    obj = bpy.data.objects.new(data.name, data)
    distance = FRAME_HEIGHT * LENS / 36.0 * max(1.0, 0.8 / aspect)
    yaw = math.radians(YAW[view])
    away = Vector((math.sin(yaw), -math.cos(yaw), 0.035))
    obj.location = Vector(AIM) + distance * away
    obj.rotation_euler = (-away).to_track_quat("-Z", "Y").to_euler()
    collection.objects.link(obj)
    return obj
