"""The demo's .blend: a head, a sound strip, and what the add-on makes of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from mathutils import Matrix

import kmtalk_addon
from kmtalk_addon import api, compat, keyframes
from kmtalk_addon import example as stage
from kmtalk_addon.lipsync import Options
from kmtalk_addon.shape_keys import LANDMARKS
from kmtalk_addon.takes import read_take
from kmtalk_core.assets import DEMO_HEAD
from kmtalk_core.errors import InputError
from kmtalk_core.files import load_npz, written_whole
from kmtalk_core.motion import Animation
from kmtalk_core.rig.frame import head_frame
from kmtalk_core.rig.mesh import Mesh
from kmtalk_core.rig.profiles import find_landmarks

from .edit import CHANGES, MOST, Edit

FPS = 24  # frames a second
SIZE = (480, 480)  # pixels
SAMPLES = 4  # a pixel; the denoiser does the rest
CHANNEL = 1


@dataclass(frozen=True)
class Shot:
    """A scene that is ready to be rendered: the animated head, and the result that the add-on keeps of it."""

    scene: bpy.types.Scene
    head: bpy.types.Object
    animation: Animation
    result: bytes  # of OUT.npz
    warnings: tuple[str, ...]


def animate_scene(audio: Path, transcript: str | None, mesh: Mesh | None) -> Shot:
    """Start a new file with the head (the demo head by default) and let the add-on animate it. Raises KMTalkError."""
    bpy.ops.wm.read_factory_settings()
    bpy.data.batch_remove([*bpy.data.objects, *bpy.data.collections])
    kmtalk_addon.register()
    scene = bpy.context.scene
    scene.render.fps, scene.render.fps_base = FPS, 1.0
    scene.sync_mode = "AUDIO_SYNC"
    demo_head = load_npz(DEMO_HEAD)
    head = set_up_mesh(mesh, demo_head, scene) if mesh else stage.build_scene(demo_head, size=SIZE, scene=scene)
    set_render(scene, SIZE, samples=SAMPLES)
    bpy.context.view_layer.objects.active = head
    try:
        strip = compat.add_sound_strip(scene, audio.stem, str(audio.resolve()), CHANNEL, 1)
    except RuntimeError:
        raise InputError(f"Blender cannot read the sound {audio.name}; export it as .wav or .flac.") from None
    outcome = api.generate(head, strip.name, scene, Options(transcript=transcript))
    strip.kmtalk.transcript = " ".join((transcript or "").split())  # for the panel, and for generating again
    # Packed, so that the file plays with its sound wherever it is moved.
    strip.sound.pack()
    animation, result = animation_of(head), bytes(_take(head).result)
    scene.frame_start, scene.frame_end = 1, len(animation.times)
    scene.frame_set(1)
    stage.show_head(head)
    return Shot(scene, head, animation, result, outcome.warnings)


def animation_of(head: bpy.types.Object) -> Animation:
    """What the add-on has put on `head`."""
    return read_take(_take(head))[1]


def _take(head: bpy.types.Object) -> Any:
    return keyframes.own_action(head).kmtalk_takes[0]


def edit_key(shot: Shot, key: int) -> Edit:
    """Set keyframes on that key motion and re-run completion, as the panel's button does. Raises KMTalkError."""
    before, blocks = shot.animation, shot.head.data.shape_keys.key_blocks
    frame = shot.scene.frame_start + int(before.key_frames[key])
    for control, more in CHANGES.items():
        column = before.control_names.index(control)
        if not before.controls[:, column].any():
            continue  # the line leaves it alone: one keyframe would hold it from end to end
        block = blocks[control]
        block.value = min(float(before.keys.controls[key, column]) + more, MOST)
        block.keyframe_insert("value", frame=frame)
    api.complete(shot.head, scene=shot.scene)
    after = animation_of(shot.head)
    jaw = float(before.keys.controls[key, before.control_names.index("jawOpen")])
    return Edit(key, "jawOpen", (jaw, min(jaw + CHANGES["jawOpen"], MOST)), before, after)


def set_up_mesh(mesh: Mesh, demo_head: dict[str, np.ndarray], scene: bpy.types.Scene) -> bpy.types.Object:
    """Put another head where the demo head would be, as large and turned the same way, in plain clay."""
    marks = find_landmarks(mesh)
    frame = head_frame(mesh.vertices[marks])
    eyes = head_frame(demo_head["vertices"][demo_head["landmarks"]].astype(np.float64)).origin
    data = bpy.data.meshes.new("KMTalk head")
    data.from_pydata(mesh.vertices.tolist(), [], mesh.faces.tolist())
    data.shade_smooth()
    data[LANDMARKS] = marks.tolist()
    clay = bpy.data.materials.new("KMTalk clay")
    clay.use_nodes = True
    shader = clay.node_tree.nodes["Principled BSDF"]
    shader.inputs["Base Color"].default_value, shader.inputs["Roughness"].default_value = (0.6, 0.42, 0.34, 1), 0.5
    data.materials.append(clay)
    head = bpy.data.objects.new("KMTalk head", data)
    to_metres = np.eye(4)
    to_metres[:3, :3] = frame.axes * frame.scale / 1000
    to_metres[:3, 3] = eyes - to_metres[:3, :3] @ frame.origin
    to_blender = np.eye(4)
    to_blender[:3, :3] = stage.blender_axes(np.eye(3)).T
    head.matrix_world = Matrix((to_blender @ to_metres).tolist())
    scene.collection.objects.link(head)
    stage.add_lights(scene.collection)
    stage.set_backdrop(scene)
    scene.camera = stage.add_camera(scene.collection, aspect=SIZE[0] / SIZE[1])
    bpy.context.view_layer.update()
    return head


def save_blend(path: Path) -> None:
    """Save the file whole or not at all."""
    bpy.context.preferences.filepaths.save_version = 0
    with written_whole(path) as partial:
        bpy.ops.wm.save_as_mainfile(filepath=str(partial), copy=True, compress=True)


def set_render(scene: bpy.types.Scene, size: tuple[int, int] = (540, 540), *, samples: int = 4) -> None:
    """Cycles on the CPU, few samples and a denoiser: 2.6 s of processor time a frame at 540 x 540."""
    scene.render.engine = "CYCLES"
    scene.render.resolution_x, scene.render.resolution_y = size
    scene.render.resolution_percentage = 100
    scene.render.use_persistent_data = True
    scene.view_settings.view_transform = "AgX"
    scene.view_settings.look = "AgX - Medium High Contrast"
    cycles = scene.cycles
    cycles.device = "CPU"
    cycles.samples = samples
    cycles.use_adaptive_sampling = False
    cycles.use_denoising, cycles.denoiser = True, "OPENIMAGEDENOISE"
    cycles.denoising_prefilter, cycles.denoising_quality = "FAST", "FAST"
    cycles.max_bounces, cycles.diffuse_bounces, cycles.glossy_bounces = 2, 1, 1
    cycles.transmission_bounces, cycles.volume_bounces = 0, 0
    cycles.caustics_reflective = cycles.caustics_refractive = False
