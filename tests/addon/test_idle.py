"""A face that lives between lines: where, how, and how it gives way and goes again."""

import bpy
import numpy as np
import pytest

from kmtalk_addon import api, clips, idle, lipsync, strip, takes
from kmtalk_core.errors import InputError
from kmtalk_core.finish.idle import idle_motion


@pytest.fixture
def head(head):
    """Whose face rests; shape keys of 5.0 begin at 1."""
    for block in head.data.shape_keys.key_blocks:
        block.value = 0.0
    return head


@pytest.fixture
def spoken(head, add_strip, made):
    """A head with a line on frames 100 to 171."""
    sound = add_strip(frame=100)
    line = strip.read_line(bpy.context.scene, sound)
    lipsync.apply(bpy.context.scene, head, sound, line, *made(line))
    return head, sound


def seen(head, name, frames) -> np.ndarray:
    values = []
    for frame in frames:
        bpy.context.scene.frame_set(frame)
        values.append(head.evaluated_get(bpy.context.evaluated_depsgraph_get()).data.shape_keys.key_blocks[name].value)
    return np.array(values)


def lies(head) -> list[tuple[float, float]]:
    return [(lie.at, lie.end) for a in idle.idles_on(head.data.shape_keys) if (lie := clips.lie_of(clips.take_of(a)))]


def test_the_motion_blinks_looks_and_drifts_and_says_nothing():
    motion = idle_motion(30.0, 24.0, seed=3)
    column = {name: index for index, name in enumerate(motion.control_names)}
    lids = motion.controls[:, column["eyeBlinkLeft"]]
    blinks = (np.diff((lids > 0.5).astype(int)) > 0).sum()
    assert 5 <= blinks <= 13 and len(motion.times) == 721
    assert not motion.controls[:, [i for n, i in column.items() if n.startswith(("jaw", "mouth", "tongue"))]].any()
    assert 0.02 < np.ptp(motion.controls[:, column["headYaw"]]) < 0.8
    assert 0.05 < motion.controls[:, column["browInnerUp"]].max() < 0.5
    assert np.abs(np.diff(motion.controls[:, column["headPitch"]])).max() < 0.02
    assert not np.array_equal(idle_motion(30.0, 24.0, seed=4).controls, motion.controls)


def test_it_fills_what_lines_leave_and_the_line_stays_as_it_is(spoken):
    head, _ = spoken
    line = seen(head, "jawOpen", range(100, 172)), seen(head, "eyeBlinkLeft", range(100, 172))
    bpy.context.view_layer.objects.active = head
    assert bpy.ops.kmtalk.idle(first=1, last=400) == {"FINISHED"}
    (first, second) = sorted(lies(head))
    assert first[0] == 1 and first[1] < 97 and second[0] > 174 and second[1] == 400
    np.testing.assert_array_equal(seen(head, "jawOpen", range(100, 172)), line[0])
    np.testing.assert_array_equal(seen(head, "eyeBlinkLeft", range(100, 172)), line[1])
    assert seen(head, "eyeBlinkLeft", range(180, 400)).max() > 0.7 and not seen(head, "jawOpen", range(180, 400)).any()
    assert [take.title for take in api.takes(head)] == ["Take 1"]  # idle motion is no line
    assert takes.find_clip(bpy.context.scene, "", head).take.name == "Line"


def test_it_gives_way_to_a_line_that_comes_there(spoken):
    head, sound = spoken
    api.idle(head, 160, 600)
    ((begin, end),) = lies(head)
    assert 175 < begin < 190 and end == 600
    sound.frame_start += 200
    api.follow()
    assert lies(head) == [(begin + 200, 600)]
    tracks = head.data.shape_keys.animation_data.nla_tracks
    assert all(not a.mute for track in tracks for a in track.strips)
    sound.frame_start -= 200
    api.follow()
    assert lies(head) == [(begin, 600)]


def test_it_goes_without_a_trace(spoken):
    head, _ = spoken
    before = seen(head, "eyeBlinkLeft", range(90, 300)), len(bpy.data.actions)
    api.idle(head, 1, 400)
    bpy.context.view_layer.objects.active = head
    assert bpy.ops.kmtalk.remove_idle() == {"FINISHED"}
    np.testing.assert_array_equal(seen(head, "eyeBlinkLeft", range(90, 300)), before[0])
    assert len(bpy.data.actions) == before[1] and not lies(head)
    with pytest.raises(InputError, match="no idle motion"):
        idle.remove(bpy.context.scene, head)
    api.idle(head, 1, 400)
    api.remove(head)
    assert head.data.shape_keys.animation_data is None


def test_a_head_without_lines_lives_too_and_no_room_is_told(head):
    bpy.context.scene.render.fps = 24
    assert api.idle(head, 1, 200) == 1 and seen(head, "eyeBlinkLeft", range(1, 200)).max() > 0.7
    with pytest.raises(InputError, match="free between lines"):
        api.idle(head, 20, 100)
    assert api.idle(head, 300, 500) == 1
    api.remove(head)
    assert not seen(head, "eyeBlinkLeft", range(1, 200)).any()
