"""*Try It*: a scene of its own with the demo head and a sample of speech, animated and played; nothing else changes."""

from __future__ import annotations

import bpy

from kmtalk_core.assets import DEMO_HEAD, SAMPLE_SPEECH
from kmtalk_core.files import load_npz

from . import compat, example, lipsync
from .job import Steps
from .operators import Working, can_work, options_of
from .strip import read_line

NAME = "KMTalk Try It"
FPS, SIZE = 24, (1080, 1080)


class KMTALK_OT_try_it(Working, bpy.types.Operator):
    """Open a new scene with a head and a sample of speech, animate it and play it"""

    bl_idname = "kmtalk.try_it"
    bl_label = "Try It"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return can_work(cls, lambda: None)

    def steps(self, context: bpy.types.Context) -> Steps[lipsync.Outcome]:
        scene, head, strip = new_scene(context)
        return lipsync.generate(scene, strip, head, options_of(context, strip))

    def finish(self, outcome: lipsync.Outcome) -> set[str]:
        status = super().finish(outcome)
        if self._in_window and not bpy.context.screen.is_animation_playing:
            bpy.ops.screen.animation_play()
        return status


def new_scene(context: bpy.types.Context) -> tuple[bpy.types.Scene, bpy.types.Object, compat.StripType]:
    """Show a new scene with head, camera, lights and the sample, ready to be animated: scene, head and strip."""
    scene = bpy.data.scenes.new(NAME)
    scene.render.fps, scene.render.fps_base = FPS, 1.0
    scene.render.resolution_x, scene.render.resolution_y = SIZE
    scene.sync_mode = "AUDIO_SYNC"
    if context.window is not None:
        context.window.scene = scene
    compat.show_in_sequencer(context, scene)
    head = example.build_scene(load_npz(DEMO_HEAD), size=SIZE, scene=scene)
    scene.view_layers[0].objects.active = head
    example.show_head(head, "SOLID")
    strip = compat.add_sound_strip(scene, "Sample", str(SAMPLE_SPEECH), 1, 1)
    strip.sound.pack()  # the file may be moved, and the extension removed
    strip.kmtalk.transcript = SAMPLE_SPEECH.with_suffix(".txt").read_text(encoding="utf-8").strip()
    scene.kmtalk.mesh, scene.kmtalk.strip = head, strip.name
    scene.frame_start, scene.frame_end = 1, read_line(scene, strip).last_frame
    scene.frame_set(1)
    return scene, head, strip


classes = (KMTALK_OT_try_it,)
