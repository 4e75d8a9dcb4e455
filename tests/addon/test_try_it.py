"""*Try It*: one click gives a head that speaks in a scene of its own."""

import bpy
import numpy as np

from kmtalk_addon import compat, keyframes
from kmtalk_addon.try_it import NAME, new_scene


def test_a_scene_of_its_own_that_plays_in_sync(blender):
    mine = bpy.context.scene
    scene, head, strip = new_scene(bpy.context)
    assert scene != mine and scene.name == NAME and not mine.objects
    assert scene.sync_mode == "AUDIO_SYNC" and scene.camera is not None
    assert strip.sound.packed_file is not None and "bubbles" in strip.kmtalk.transcript
    assert scene.kmtalk.mesh == head and scene.kmtalk.strip == strip.name
    assert (scene.frame_start, scene.frame_end) == (1, 277)
    assert {obj.type for obj in scene.objects} == {"MESH", "LIGHT", "CAMERA"}


def test_the_click_animates_the_head_and_can_be_repeated(blender):
    for number in range(2):
        assert bpy.ops.kmtalk.try_it() == {"FINISHED"}
        scene = [s for s in bpy.data.scenes if s.name.startswith(NAME)][number]
        head = scene.kmtalk.mesh
        action = keyframes.own_action(head)
        jaw = next(c for c in compat.channels(action).fcurves if "jawOpen" in c.data_path)
        heights = np.array([jaw.evaluate(frame) for frame in range(1, 278)])
        assert len(jaw.keyframe_points) > 50 and np.ptp(heights) > 0.2
