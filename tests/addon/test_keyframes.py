"""Controls ↔ F-curves: what is written, what is read back, and what is left alone."""

import bpy
import numpy as np
import pytest

from kmtalk_addon import clips, compat, drawing, keyframes, lipsync, shape_keys, strip
from kmtalk_addon.clips import take_of
from kmtalk_core.errors import InputError
from kmtalk_core.motion import KeyMotions


@pytest.fixture
def take(head, add_strip, made):
    """The head animated by a strip at frame 50: (obj, line, animation)."""
    return apply(head, add_strip(frame=50), made)


def apply(obj, sound_strip, made, seed=0):
    line = strip.read_line(bpy.context.scene, sound_strip)
    animation, result = made(line, seed)
    lipsync.apply(bpy.context.scene, obj, sound_strip, line, animation, result)
    return obj, line, animation


def read(obj, line, animation) -> KeyMotions:
    names, _ = shape_keys.drivable(obj)
    action = keyframes.own_action(obj)
    return keyframes.read(obj, action, names, line, animation, drawing.unpack(take_of(action).drawn))


def point_at(curve, frame):
    return next(point for point in curve.keyframe_points if abs(point.co[0] - frame) < 1e-3)


def test_every_frame_has_a_keyframe_and_the_keys_are_marked(take, curves):
    obj, _line, animation = take
    on = curves(obj)
    assert set(on) == {block.name for block in obj.data.shape_keys.key_blocks} - {"Basis", "Wart"}
    jaw, column = on["jawOpen"], animation.control_names.index("jawOpen")
    np.testing.assert_array_equal(jaw.frames, np.arange(50, 122))
    np.testing.assert_array_equal(jaw.values.astype(np.float32), animation.controls[:, column])
    marked = [frame for frame, kind in zip(jaw.frames, jaw.types, strict=True) if kind == "KEYFRAME"]
    np.testing.assert_array_equal(marked, 50 + animation.key_frames)
    assert set(jaw.types) == {"KEYFRAME", "GENERATED"}
    assert {point.interpolation for point in jaw.curve.keyframe_points} == {"BEZIER"}
    assert jaw.curve.group.name == "Jaw"


def test_the_mesh_moves(take):
    obj, _line, animation = take
    bpy.context.scene.frame_set(60)
    value = animation.controls[10, animation.control_names.index("mouthFunnel")]
    assert obj.data.shape_keys.key_blocks["mouthFunnel"].value == pytest.approx(value)


def test_unedited_keys_come_back_as_they_were(take):
    _, _, animation = take
    keys = read(*take)
    np.testing.assert_array_equal(keys.times, animation.keys.times)
    np.testing.assert_array_equal(keys.controls, animation.keys.controls)


@pytest.mark.parametrize("fps, base, speed", [(24, 1.0, 1.0), (30, 1.001, 1.0), (25, 1.0, 1.7)])
def test_keys_between_frames_stay_there_at_any_rate(head, made, fps, base, speed):
    line = strip.Played("Line", "a.wav", 0.3, 3.0, 1003, 995.8, fps / base, speed)
    animation, result = made(line)
    times = animation.keys.times.copy()
    times[3] += 0.4 / line.frames_per_second_of_sound
    animation = type(animation)(**{**animation.__dict__, "keys": KeyMotions(times, animation.keys.controls)})
    lipsync.apply(bpy.context.scene, head, None, line, animation, result)
    keys = read(head, line, animation)
    np.testing.assert_array_equal(keys.times, times)
    np.testing.assert_array_equal(keys.controls, animation.keys.controls)


def test_a_changed_value_comes_back_and_nothing_else_changes(take, curves):
    obj, _line, animation = take
    frame = 50 + animation.key_frames[4]
    point_at(curves(obj)["jawOpen"].curve, frame).co[1] = 0.123
    keys = read(*take)
    expected = animation.keys.controls.copy()
    expected[4, animation.control_names.index("jawOpen")] = 0.123
    np.testing.assert_array_equal(keys.times, animation.keys.times)
    np.testing.assert_allclose(keys.controls, expected, atol=1e-7)


@pytest.mark.parametrize("reach", [0, 3], ids=["alone", "with its neighbours"])
def test_a_key_moved_on_all_channels(take, curves, reach):
    obj, _line, animation = take
    slide(curves(obj).values(), 50 + animation.key_frames[4], 2, reach=reach)
    keys = read(*take)
    assert keys.times[4] == pytest.approx(animation.keys.times[4] + 2 / 24)
    arkit = [n for n, name in enumerate(animation.control_names) if name in curves(obj)]
    np.testing.assert_array_equal(keys.controls[4][arkit], animation.keys.controls[4][arkit])
    assert len(keys.times) == len(animation.keys.times)


def test_a_keyframe_inserted_on_one_channel_makes_a_whole_key_motion(take, curves):
    obj, _line, animation = take
    block = obj.data.shape_keys.key_blocks["jawOpen"]
    block.value = 0.77
    block.keyframe_insert("value", frame=55)
    keys = read(*take)
    added = np.flatnonzero(~np.isin(keys.times, animation.keys.times))
    assert len(added) == 1 and keys.times[added[0]] == pytest.approx(5 / 24)
    expected = animation.controls[5].copy()
    expected[animation.control_names.index("jawOpen")] = 0.77
    np.testing.assert_allclose(keys.controls[added[0]], expected, atol=1e-6)


def test_a_key_between_frames_takes_the_other_channels_from_their_curves(take, curves):
    obj, _line, animation = take
    obj.data.shape_keys.key_blocks["jawOpen"].keyframe_insert("value", frame=55.5)
    keys = read(*take)
    added = int(np.flatnonzero(~np.isin(keys.times, animation.keys.times))[0])
    assert keys.times[added] == pytest.approx(5.5 / 24)
    pucker = animation.control_names.index("mouthPucker")
    assert keys.controls[added, pucker] == pytest.approx(curves(obj)["mouthPucker"].curve.evaluate(55.5), abs=1e-6)


def test_a_deleted_key_is_gone_only_if_no_channel_keeps_it(take, curves):
    obj, _line, animation = take
    frame = 50 + animation.key_frames[4]
    looks = curves(obj)
    jaw = looks.pop("jawOpen").curve
    jaw.keyframe_points.remove(point_at(jaw, frame))
    assert len(read(*take).times) == len(animation.keys.times)
    for look in looks.values():
        look.curve.keyframe_points.remove(point_at(look.curve, frame))
    np.testing.assert_array_equal(read(*take).times, np.delete(animation.keys.times, 4))


def test_a_value_changed_on_a_generated_frame_makes_a_key_motion(take, curves):
    obj, _line, animation = take
    point_at(curves(obj)["jawOpen"].curve, 55).co[1] = 0.0
    keys = read(*take)
    assert list(np.flatnonzero(~np.isin(keys.times, animation.keys.times))) == [1]
    assert keys.controls[1, animation.control_names.index("jawOpen")] == 0.0


def test_keys_scaled_in_time_move_and_no_others_appear(take, curves):
    obj, _line, animation = take
    for look in curves(obj).values():
        for point in look.curve.keyframe_points:
            point.co[0] = 50 + (point.co[0] - 50) * 0.8
        look.curve.update()
    keys = read(*take)
    np.testing.assert_allclose(keys.times, animation.keys.times * 0.8, atol=1e-5)


def test_writing_again_replaces_this_line_only(head, add_strip, made, curves):
    apply(head, add_strip(frame=50, name="A"), made, seed=1)
    a = keyframes.own_action(head)
    apply(head, add_strip(frame=200, name="B", channel=2), made, seed=2)
    b = keyframes.own_action(head)
    jaw = curves(head, b)["jawOpen"].curve
    extreme = jaw.keyframe_points.insert(20, 0.5)
    extreme.type = "EXTREME"
    extreme.handle_left_type = extreme.handle_right_type = "FREE"
    extreme.handle_right = (23, 0.9)
    handle = tuple(point_at(jaw, 20).handle_right)
    before = {name: look.values for name, look in curves(head, a).items()}
    of_b = curves(head, b)["jawOpen"]
    assert a != b and [take_of(action).name for action in (a, b)] == ["A", "B"]
    apply(head, strip.choose_strip(bpy.context.scene, "B"), made, seed=3)
    assert keyframes.own_action(head) == b and set(clips.playing(head.data.shape_keys)) == {a, b}
    for name, look in curves(head, a).items():
        np.testing.assert_array_equal(look.values, before[name])
    after = curves(head, b)["jawOpen"]
    assert not np.array_equal(after.values[after.frames >= 200], of_b.values[of_b.frames >= 200])
    kept = point_at(after.curve, 20)
    assert kept.type == "EXTREME" and tuple(kept.handle_right) == handle


@pytest.mark.parametrize("blend, influence", [("REPLACE", 1.0), ("COMBINE", 0.5), ("ADD", 1.0)])
@pytest.mark.parametrize("change", ["plain", "Cycles modifier", "linear", "between frames", "holds nothing"])
def test_what_played_before_looks_the_same_wherever_no_line_is(head, add_strip, made, change, blend, influence):
    """The user's own shape key at all times, and one that the line moves too beside the line."""
    blocks = head.data.shape_keys.key_blocks
    wart, jaw = blocks["Wart"], blocks["jawOpen"]
    for frame, value in ((1.25 if change == "between frames" else 1, 0.2), (10, 0.4), (30, 0.1)):
        for block in (wart, jaw):
            block.value = value
            block.keyframe_insert("value", frame=frame)
    data = head.data.shape_keys.animation_data
    theirs = data.action
    data.action_blend_type, data.action_influence = blend, influence
    if change == "holds nothing":
        data.action_extrapolation = "NOTHING"
    for curve in compat.channels(theirs).fcurves:
        if change == "Cycles modifier":
            curve.modifiers.new("CYCLES")
        if change == "linear":
            curve.extrapolation = "LINEAR"
    frames = [-40, 0, 1, 5, 13.5, 29, 49 - 3, 121 + 3, 200.25, 3000]

    def values(block) -> list[float]:
        return [shown(block, frame) for frame in frames]

    before = values(wart), values(jaw), shown(wart, 70)
    _, _, animation = apply(head, add_strip(frame=50), made)
    assert values(wart) == pytest.approx(before[0], abs=2e-5) and values(jaw) == pytest.approx(before[1], abs=2e-5)
    assert shown(wart, 70) == pytest.approx(before[2], abs=2e-5)
    assert shown(jaw, 70) == pytest.approx(animation.controls[20, animation.control_names.index("jawOpen")], abs=1e-5)


def test_an_action_that_moves_other_shape_keys_stays_active(head, add_strip, made):
    wart = head.data.shape_keys.key_blocks["Wart"]
    wart.keyframe_insert("value", frame=1)
    theirs = head.data.shape_keys.animation_data.action
    apply(head, add_strip(frame=50), made)
    assert head.data.shape_keys.animation_data.action == theirs != keyframes.own_action(head)


@pytest.mark.parametrize("still", [0.0, 0.3, 1.0])
def test_beside_its_lines_a_still_face_is_as_it_was(head, add_strip, made, still):
    block = head.data.shape_keys.key_blocks["mouthPucker"]
    block.value = still
    apply(head, add_strip(frame=50), made)
    assert [shown(block, frame) for frame in (-100, 1, 46, 125, 5000)] == pytest.approx([still] * 5)


def shown(block, frame) -> float:
    bpy.context.scene.frame_set(int(frame // 1), subframe=frame % 1)
    return block.value


def test_a_line_of_an_hour_does_not_need_a_table_of_frames_by_keys(head, made):
    line = strip.Played("Line", "a.wav", 0.0, 3600.0, 1, 1.0, 30.0, 1.0)
    frames, _, types = drawing.every_frame(line, made(line)[0])
    assert len(frames) == 108_001 and (types == drawing.KEYFRAME).sum() > 10_000


def slide(looks, frame, by, reach):
    """Move the keyframes on `frame` and `reach` frames around it, which replaces those that they land on."""
    for look in looks:
        points = look.curve.keyframe_points
        moving = [point for point in points if abs(point.co[0] - frame) <= reach]
        landing = {round(point.co[0] + by) for point in moving}
        for place in sorted(landing - {round(point.co[0]) for point in moving}, reverse=True):
            points.remove(point_at(look.curve, place))
        for point in points:
            if abs(point.co[0] - frame) <= reach:
                point.co[0] += by
        look.curve.update()


def test_the_only_take_is_not_meant_where_another_strip_is_named(take, add_strip):
    obj, line, _ = take
    scene = bpy.context.scene
    add_strip(frame=200, name="Other", channel=2)
    with pytest.raises(InputError, match="Other has not been animated"):
        lipsync.find_take(scene, "Other", obj)
    for name in ("", line.strip, "A former name"):
        assert lipsync.find_take(scene, name, obj)[0].name == line.strip
