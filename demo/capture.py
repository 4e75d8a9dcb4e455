"""What the pictures need of Blender's scene, as numpy arrays: moving mesh, materials, lights, cameras, tones."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import bpy
import numpy as np
from PIL import Image

from kmtalk_core.errors import KMTalkError

from .picture import Camera, Lamp, Surface, ToneCurve
from .render import quiet

TONE_STEPS = 33  # of the table of colours, along each axis


def mesh_motion(scene: bpy.types.Scene, head: bpy.types.Object, frames: Sequence[int]) -> np.ndarray:
    """(T, V, 3) float32: where the vertices of `head` are in the world on each frame, as Blender plays it."""
    out = np.empty((len(frames), len(head.data.vertices), 3), np.float32)
    with without_modifiers(head):
        for row, frame in zip(out, frames, strict=True):
            scene.frame_set(frame)
            played = head.evaluated_get(bpy.context.evaluated_depsgraph_get())
            played.data.vertices.foreach_get("co", row.reshape(-1))
            matrix = np.array(played.matrix_world, np.float32)
            row[:] = row @ matrix[:3, :3].T + matrix[:3, 3]
    return out


@contextmanager
def without_modifiers(head: bpy.types.Object) -> Iterator[None]:
    """For as long as the block runs the mesh has its own vertices only."""
    shown = [(modifier, modifier.show_viewport, modifier.show_render) for modifier in head.modifiers]
    try:
        for modifier in head.modifiers:
            modifier.show_viewport = modifier.show_render = False
        yield
    finally:
        for modifier, viewport, render in shown:
            modifier.show_viewport, modifier.show_render = viewport, render


def surface(head: bpy.types.Object, albedo: np.ndarray, emission: np.ndarray) -> Surface:
    """The mesh and its materials; `albedo` and `emission` (L, 3) of the polygons' corners."""
    mesh = head.data
    starts, totals, material = (np.empty(len(mesh.polygons), np.int32) for _ in range(3))
    mesh.polygons.foreach_get("loop_start", starts)
    mesh.polygons.foreach_get("loop_total", totals)
    mesh.polygons.foreach_get("material_index", material)
    vertex = np.empty(len(mesh.loops), np.int32)
    mesh.loops.foreach_get("vertex_index", vertex)
    fans = [(starts + k, totals > k + 1) for k in range(1, int(totals.max()) - 1)]
    corners = np.concatenate([np.stack([starts, at, at + 1], 1)[has] for at, has in fans])
    of_triangle = np.concatenate([material[has] for _, has in fans])
    shaders = [m.node_tree.nodes["Principled BSDF"].inputs for m in mesh.materials]

    def each(name: str) -> np.ndarray:
        return np.array([shader[name].default_value for shader in shaders], np.float32)

    of_corner = np.repeat(material, totals)
    of_vertex = np.zeros(len(mesh.vertices), np.int32)
    of_vertex[vertex] = of_corner
    # Corners of one vertex and one material look the same.
    _, first, spot = np.unique(vertex * len(shaders) + of_corner, return_index=True, return_inverse=True)
    coat = each("Coat Weight") * (each("Coat Roughness") < 0.1)
    return Surface(
        vertex=vertex[first],
        triangles=spot[corners].astype(np.int32),
        albedo=albedo[first],
        emission=emission[first],
        roughness=each("Roughness")[of_vertex],
        specular=(0.08 * each("Specular IOR Level"))[of_vertex],
        scatters=(each("Subsurface Weight") > 0)[of_vertex],
        material=of_vertex,
        coat=coat[of_triangle],
    )


def lamps(scene: bpy.types.Scene) -> tuple[Lamp, ...]:
    """The area lights of `scene`."""
    found = []
    for obj in scene.objects:
        if obj.type == "LIGHT" and obj.data.type == "AREA":
            matrix = np.array(obj.matrix_world, np.float32)
            found.append(
                Lamp(
                    place=matrix[:3, 3],
                    axes=matrix[:3, :3].T / np.linalg.norm(matrix[:3, :3], axis=0)[:, None],
                    size=obj.data.size,
                    power=np.array(obj.data.color, np.float32) * obj.data.energy,
                    diffuse=obj.visible_diffuse,
                    glossy=obj.visible_glossy,
                )
            )
    return tuple(found)


def camera(obj: bpy.types.Object) -> Camera:
    """A square picture's camera."""
    matrix = np.array(obj.matrix_world, np.float32)
    data = obj.data
    return Camera(matrix[:3, 3], matrix[:3, :3].T, data.lens / data.sensor_height, (data.shift_x, data.shift_y))


def tone_curve(scene: bpy.types.Scene) -> ToneCurve:
    """How Blender's view transform shows light on a screen, measured."""
    steps = ToneCurve.light(np.linspace(0, 1, TONE_STEPS, dtype=np.float32))
    light = np.ones((TONE_STEPS, TONE_STEPS, TONE_STEPS, 4), np.float32)
    light[..., :3] = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1)
    image = bpy.data.images.new("KMTalk tones", TONE_STEPS**2, TONE_STEPS, float_buffer=True)
    settings = scene.render.image_settings
    settings.file_format, settings.color_mode, settings.color_depth = "PNG", "RGB", "8"
    try:
        image.pixels.foreach_set(light.reshape(TONE_STEPS, -1).ravel())
        with tempfile.TemporaryDirectory(prefix="kmtalk-demo-") as folder:
            path = Path(folder) / "tones.png"
            image.save_render(str(path), scene=scene)
            shown = np.asarray(Image.open(path).convert("RGB"), np.float32)[::-1] / 255
    finally:
        bpy.data.images.remove(image)
    return ToneCurve(shown.reshape(TONE_STEPS, TONE_STEPS, TONE_STEPS, 3))


def backdrop(scene: bpy.types.Scene, size: int) -> np.ndarray:
    """(size, size, 3) float32: what a camera sees where nothing stands."""
    render, hidden = scene.render, [obj for obj in scene.objects if not obj.hide_render]
    kept = render.engine, render.resolution_x, render.resolution_y, scene.cycles.samples, scene.cycles.use_denoising
    try:
        for obj in hidden:
            obj.hide_render = True
        render.engine, scene.cycles.samples, scene.cycles.use_denoising = "CYCLES", 1, False
        render.resolution_x = render.resolution_y = size
        with tempfile.TemporaryDirectory(prefix="kmtalk-demo-") as folder:
            path = Path(folder) / "backdrop.png"
            render.image_settings.file_format, render.filepath = "PNG", str(path)
            with quiet():
                bpy.ops.render.render(write_still=True, scene=scene.name)
            if not path.is_file():
                raise KMTalkError(f"Blender could not render; see whether the disk of {folder} is full.")
            return np.asarray(Image.open(path).convert("RGB"), np.float32) / 255
    finally:
        for obj in hidden:
            obj.hide_render = False
        render.engine, render.resolution_x, render.resolution_y, *rest = kept
        scene.cycles.samples, scene.cycles.use_denoising = rest
