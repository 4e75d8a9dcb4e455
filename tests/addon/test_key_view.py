"""Show Completed Keys off: key motions alone are shown for editing, and what plays is bit for bit the same."""

from pathlib import Path

import bpy
import numpy as np
import pytest

from kmtalk_addon import clips, compat, edit_keys, key_view, keyframes, lipsync, live, removal, takes
from kmtalk_addon.takes import Clip
from kmtalk_core import assets

SAMPLE = Path(assets.__file__).parent / "sample_speech.flac"
TEXT = "Hello! My mouth moves"  # its first seconds
FIRST, SECONDS = 50, 2
FRAMES = range(FIRST - 5, FIRST + SECONDS * 24 + 5)


def motion(obj) -> np.ndarray:
    """All that the face shows, on each frame."""
    rows = []
    for frame in FRAMES:
        bpy.context.scene.frame_set(frame)
        rows.append([block.value for block in obj.data.shape_keys.key_blocks])
    return np.array(rows)


def bits(action) -> dict[str, bytes]:
    """All keyframes of an Action, to the last bit."""
    curves = {path: keyframes.all_of(curve) for path, (curve, _) in keyframes.by_place(action).items()}
    return {path: b"".join(f.tobytes() for f in fields.values()) for path, fields in curves.items()}


def shown(clip, name: str = "jawOpen"):
    """The curve that the dope sheet shows."""
    action = clip.keys.animation_data.action
    path = clip.keys.key_blocks[name].path_from_id("value")
    return next((curve for curve in compat.channels(action).fcurves if curve.data_path == path), None)


def of_line(clip, name: str = "jawOpen"):
    path = clip.keys.key_blocks[name].path_from_id("value")
    return next(curve for curve in compat.channels(clip.action).fcurves if curve.data_path == path)


def hide(clip, completed: bool = True):
    clip.strip.kmtalk.show_completed = not completed


def test_hiding_completed_keys_changes_no_bit_of_what_plays(clip):
    before, curves = motion(clip.obj), bits(clip.action)
    assert clip.keys.animation_data.action == clip.action
    hide(clip)
    view = clip.keys.animation_data.action
    assert view != clip.action and clips.is_edited(clip.keys, clip.action)
    assert takes.own_actions(clip.keys) == [clip.action]
    types = {point.type for curve in compat.channels(view).fcurves for point in curve.keyframe_points}
    assert types == {"KEYFRAME"}
    keys = [p.co[0] for p in of_line(clip).keyframe_points if p.type == "KEYFRAME"]
    assert [point.co[0] for point in shown(clip).keyframe_points] == keys
    assert (motion(clip.obj) == before).all() and bits(clip.action) == curves
    hide(clip, False)
    assert clip.keys.animation_data.action == clip.action and list(bpy.data.actions) == [clip.action]
    assert (motion(clip.obj) == before).all() and bits(clip.action) == curves
    assert not lipsync.is_edited(clip)


def test_the_switch_computes_nothing_anew(clip):
    hide(clip)
    result, worn = clip.take.result, clip.take.worn
    live.bring_up_to_date(clip.scene)
    assert clip.take.result == result and clip.take.worn == worn and not clip.take.finished


def test_an_edit_is_seen_at_once_and_taking_it_back_is_exact(clip):
    before, curves = motion(clip.obj), bits(clip.action)
    hide(clip)
    point = shown(clip).keyframe_points[3]
    frame, value = point.co
    point.co[1] = value + 0.25
    shown(clip).update()
    clip.keys.animation_data.action.update_tag()
    bpy.context.view_layer.update()
    assert of_line(clip).evaluate(frame) == pytest.approx(value + 0.25)
    clip.scene.frame_set(int(frame))
    assert clip.keys.key_blocks["jawOpen"].value == pytest.approx(value + 0.25)
    point = shown(clip).keyframe_points[3]
    point.co[1] = value
    shown(clip).update()
    key_view.take_over(clip.keys)
    assert bits(clip.action) == curves and (motion(clip.obj) == before).all()


def test_keys_dragged_over_completed_ones_leave_these_as_they_were(clip):
    curves = bits(clip.action)
    hide(clip)
    frame = shown(clip).keyframe_points[2].co[0]
    for by in (1, 2, 3, 0):
        shown(clip).keyframe_points[2].co[0] = frame + by
        key_view.take_over(clip.keys)
    assert bits(clip.action) == curves


def test_keys_are_changed_moved_added_and_deleted(clip, completes):
    hide(clip)
    count = clip.take.key_count
    points = shown(clip).keyframe_points
    frames = [point.co[0] for point in points]
    points[1].co[1] = 0.8
    added = (frames[4] + frames[5]) / 2 // 1
    shown(clip).keyframe_points.insert(added, 0.6)
    for curve in compat.channels(clip.keys.animation_data.action).fcurves:
        for point in list(curve.keyframe_points):
            if point.co[0] == frames[3]:
                curve.keyframe_points.remove(point)
    assert lipsync.is_edited(clip)
    completes(clip)
    assert clip.take.key_count == count  # one more, one less
    now = {point.co[0]: point.co[1] for point in shown(clip).keyframe_points}
    assert now[frames[1]] == pytest.approx(0.8) and now[added] == pytest.approx(0.6) and frames[3] not in now
    line = {p.co[0]: p.co[1] for p in of_line(clip).keyframe_points if p.type == "KEYFRAME"}
    assert line == now
    hide(clip, False)
    assert of_line(clip).evaluate(frames[1]) == pytest.approx(0.8)
    assert {p.co[0] for p in of_line(clip).keyframe_points if p.type == "KEYFRAME"} == set(now)


def test_a_curve_that_is_bent_gets_a_key_motion_where_it_was_bent(clip, completes):
    hide(clip)
    curve = shown(clip)
    gaps = np.diff([point.co[0] for point in curve.keyframe_points])
    index = int(gaps.argmax())
    for point, side in ((curve.keyframe_points[index], "right"), (curve.keyframe_points[index + 1], "left")):
        point.handle_left_type = point.handle_right_type = "FREE"
        getattr(point, f"handle_{side}")[1] += 0.5
    low, high = (curve.keyframe_points[i].co[0] for i in (index, index + 1))
    count = clip.take.key_count
    completes(clip)
    assert clip.take.key_count == count + 1
    keys = [point.co[0] for point in shown(clip).keyframe_points]
    assert any(low < frame < high for frame in keys)


def test_a_shape_key_that_the_line_did_not_move_can_be_keyed(clip):
    hide(clip)
    assert shown(clip, "Wart") is None
    clip.scene.frame_set(FIRST + 10)
    clip.keys.key_blocks["Wart"].value = 0.5
    assert clip.keys.key_blocks["Wart"].keyframe_insert("value")
    assert shown(clip, "Wart") is not None
    key_view.take_over(clip.keys)
    assert of_line(clip, "Wart").evaluate(FIRST + 10) == 0.5
    holder = compat.channels(clip.keys.animation_data.action)
    holder.fcurves.remove(shown(clip, "Wart"))
    key_view.take_over(clip.keys)
    assert not any("Wart" in curve.data_path for curve in compat.channels(clip.action).fcurves)


def test_a_curve_that_is_muted_is_muted_in_the_line(clip):
    hide(clip)
    shown(clip).mute = True
    key_view.take_over(clip.keys)
    assert of_line(clip).mute
    hide(clip, False)
    hide(clip)
    assert shown(clip).mute and of_line(clip).mute
    shown(clip).mute = False
    hide(clip, False)
    assert not of_line(clip).mute


def test_completed_keys_changed_before_count_as_key_motions(clip):
    completed = next(p for p in of_line(clip).keyframe_points if p.type == "GENERATED" and p.co[0] > FIRST + 2)
    frame = completed.co[0]
    completed.co[1] = 0.9
    hide(clip)
    assert frame in [point.co[0] for point in shown(clip).keyframe_points] and lipsync.is_edited(clip)


def test_sliders_density_pins_and_added_keys_show(clip):
    hide(clip)
    value = shown(clip).keyframe_points[2].co[1]
    clip.strip.kmtalk.jaw = 0.5
    assert shown(clip).keyframe_points[2].co[1] < 0.8 * value
    before = len(shown(clip).keyframe_points)
    clip.strip.kmtalk.key_density = 0.9
    assert len(shown(clip).keyframe_points) > before
    frame = int(shown(clip).keyframe_points[2].co[0])
    live.toggle_pin(clip, frame)
    assert shown(clip).keyframe_points[2].type == "EXTREME"
    live.add_key(clip, frame + 1)
    assert frame + 1 in [point.co[0] for point in shown(clip).keyframe_points]


def test_it_follows_the_strip_and_stays_selected(clip):
    hide(clip)
    shown(clip).keyframe_points[2].select_control_point = True
    frame = shown(clip).keyframe_points[2].co[0]
    clip.strip.frame_start += 48
    bpy.context.view_layer.update()
    data = clip.keys.animation_data
    assert clips.is_edited(clip.keys, clip.action) and data.nla_tracks[-1].mute
    assert data.nla_tweak_strip_time_to_scene(frame) == pytest.approx(frame + 48)
    assert shown(clip).keyframe_points[2].select_control_point


def test_takes_and_removal_leave_nothing_of_it(clip):
    hide(clip)
    shown(clip).keyframe_points[2].co[1] = 0.7
    other = removal.duplicate_take(clip)
    assert of_line(clip).keyframe_points[-1] is not None
    frame = shown(other).keyframe_points[2].co[0]
    assert of_line(clip).evaluate(frame) == of_line(other).evaluate(frame) == pytest.approx(0.7)
    shown(other).keyframe_points[2].co[1] = 0.3
    first = removal.use_take(other, clip.action)
    assert shown(first).keyframe_points[2].co[1] == pytest.approx(0.7)
    assert of_line(other).evaluate(frame) == pytest.approx(0.3)
    removal.remove_all(clip.scene, clip.obj)
    assert not len(bpy.data.actions) and clip.keys.animation_data is None


def test_it_is_put_away_by_tab_and_by_the_button(clip):
    before = bits(clip.action)
    hide(clip)
    clip.keys.animation_data.use_tweak_mode = False
    edit_keys._soon()
    assert clips.view_on(clip.keys) is None and len(bpy.data.actions) == 1
    edit_keys.edit(clip)
    assert clips.view_on(clip.keys) is not None
    key_view.put_away(clip.keys)
    assert clips.view_on(clip.keys) is None and len(bpy.data.actions) == 1 and bits(clip.action) == before


def test_it_lives_in_the_file(clip, tmp_path):
    hide(clip)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "a.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "a.blend"))
    head = bpy.data.objects["Köpf"]
    again = Clip(bpy.context.scene, head, keyframes.own_action(head))
    assert clips.is_edited(again.keys, again.action) and again.keys.animation_data.action != again.action
    shown(again).keyframe_points[2].co[1] = 0.9
    key_view.take_over(again.keys)
    assert of_line(again).evaluate(shown(again).keyframe_points[2].co[0]) == pytest.approx(0.9)


def test_what_else_writes_the_line_counts(clip):
    hide(clip)
    frame = shown(clip).keyframe_points[2].co[0]
    next(p for p in of_line(clip).keyframe_points if p.co[0] == frame).co[1] = 0.9
    key_view.take_over(clip.keys)
    assert of_line(clip).evaluate(frame) == shown(clip).evaluate(frame) == pytest.approx(0.9)
