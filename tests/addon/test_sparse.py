"""Sparse curves as an animator meets them: near the motion, read back exactly, bent, switched."""

import json
from pathlib import Path

import bpy
import numpy as np
import pytest

from kmtalk_addon import api, compat, drawing, faces, keyframes, legacy, lipsync, live, rerun, session, takes
from kmtalk_addon.takes import Clip
from kmtalk_core import assets
from kmtalk_core.animator import Request
from kmtalk_core.audio import load_sound
from kmtalk_core.errors import InputError
from kmtalk_core.finish.contact_poses import LIPS, lips_apart
from kmtalk_core.finish.contacts import find_contacts
from kmtalk_core.results import load_animation, load_keys, save_animation

SAMPLE = Path(assets.__file__).parent / "sample_speech.flac"
TEXT = "Hello! My mouth moves by itself now."  # its first seconds
FIRST, SECONDS = 50, 3
FRAMES = np.arange(FIRST, FIRST + SECONDS * 24)


def motion(clip) -> dict[str, np.ndarray]:
    shown = takes.shown(clip.take)
    return {name: shown.controls[: len(FRAMES), column] for column, name in enumerate(shown.control_names)}


def on_frames(curve) -> np.ndarray:
    return np.array([curve.evaluate(frame) for frame in FRAMES])


def seen(head, name: str, frames) -> np.ndarray:
    """What the face shows, through the NLA."""
    values = []
    for frame in frames:
        bpy.context.scene.frame_set(int(frame // 1), subframe=float(frame % 1))
        values.append(head.evaluated_get(bpy.context.evaluated_depsgraph_get()).data.shape_keys.key_blocks[name].value)
    return np.array(values)


def snapshot(clip) -> dict[str, np.ndarray]:
    return {path: np.column_stack([xy, kinds]) for path, (xy, kinds) in keyframes.snapshot(clip.action).items()}


def same(one, other) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[path], other[path]) for path in one)


def point_at(curve, frame):
    return next(point for point in curve.keyframe_points if abs(point.co[0] - frame) < 1e-3)


def test_few_keys_show_the_motion(clip, curves):
    looks, wanted = curves(clip.obj), motion(clip)
    for name, look in looks.items():
        np.testing.assert_allclose(on_frames(look.curve), wanted[name], atol=0.0151, err_msg=name)
        for point in look.curve.keyframe_points:  # the dope sheet tells the types apart, the graph editor the handles
            handle = "FREE" if point.type == "GENERATED" else "ALIGNED"
            assert (point.handle_left_type, point.handle_right_type) == (handle, handle)
        assert set(look.types) <= {"KEYFRAME", "GENERATED"}
    still = [name for name, values in wanted.items() if np.abs(values).max() < 1e-4]
    assert "mouthUpperUpLeft" in looks and not set(still) & set(looks)
    assert np.mean([len(look.frames) for look in looks.values()]) / SECONDS <= 5
    jaw = looks["jawOpen"]
    assert jaw.frames[0] == FIRST and jaw.frames[-1] == FRAMES[-1]
    keys = [frame for frame, kind in zip(jaw.frames, jaw.types, strict=True) if kind == "KEYFRAME"]
    shown = takes.shown(clip.take)
    assert set(keys) <= set(FIRST + shown.key_frames) and len(keys) >= 0.9 * len(shown.key_frames)


def test_the_nla_shows_what_every_frame_shows_with_lips_shut_between_frames_too(clip):
    shown = takes.shown(clip.take)
    held = [c for c in find_contacts(shown.alignment, shown.times) if c.kind == LIPS]
    within = [np.flatnonzero((shown.times >= c.start - 1e-6) & (shown.times <= c.end + 1e-6)) for c in held]
    frames = np.unique(np.concatenate([FIRST + np.linspace(w[0], w[-1], 5) for w in within if len(w)]))
    assert len(frames) >= 4
    names = [name for name in shown.control_names if name in {b.name for b in clip.keys.key_blocks}]
    sparse = np.stack([seen(clip.obj, name, frames) for name in names], 1)
    with_gaps = lips_apart(sparse, names)
    clip.strip.kmtalk.curves = "frames"
    assert len(keyframes.snapshot(clip.action)[clip.keys.key_blocks["jawOpen"].path_from_id("value")][0]) == len(FRAMES)
    dense = np.stack([seen(clip.obj, name, frames) for name in names], 1)
    np.testing.assert_allclose(sparse, dense, atol=0.03)
    assert with_gaps.max() < lips_apart(dense, names).max() + 0.1
    on = np.isin(frames, np.rint(frames))
    np.testing.assert_allclose(with_gaps[on], lips_apart(dense[on], names), atol=0.03)


def test_what_nobody_edited_is_read_as_it_was(clip, result):
    keys = faces.read(clip.obj, clip.action, clip.names, clip.line, takes.shown(clip.take))
    np.testing.assert_array_equal(keys.times, result[0].keys.times)
    np.testing.assert_array_equal(keys.controls, result[0].keys.controls)
    assert not lipsync.is_edited(clip)


def test_an_edited_key_motion_is_kept_and_what_is_far_from_it_too(clip, curves, completes):
    before, jaw = snapshot(clip), curves(clip.obj)["jawOpen"]
    keys = [frame for frame, kind in zip(jaw.frames, jaw.types, strict=True) if kind == "KEYFRAME"]
    point_at(jaw.curve, keys[4]).co[1] = 0.9
    completes(clip)
    assert point_at(curves(clip.obj)["jawOpen"].curve, keys[4]).co[1] == pytest.approx(0.9)
    np.testing.assert_allclose(on_frames(curves(clip.obj)["jawOpen"].curve), motion(clip)["jawOpen"], atol=0.0151)
    assert lipsync.is_edited(clip)
    point_at(curves(clip.obj)["jawOpen"].curve, keys[4]).co[1] = jaw.values[list(jaw.frames).index(keys[4])]
    completes(clip)
    assert same(snapshot(clip), before)


def test_a_completed_key_that_is_changed_becomes_a_key_motion_and_a_deleted_one_comes_back(clip, curves, completes):
    before, jaw = snapshot(clip), curves(clip.obj)["jawOpen"]
    completed = [f for f, kind in zip(jaw.frames, jaw.types, strict=True) if kind == "GENERATED"][1:-1]
    jaw.curve.keyframe_points.remove(point_at(jaw.curve, completed[0]))
    assert not lipsync.is_edited(clip)
    completes(clip)
    assert same(snapshot(clip), before)
    point_at(curves(clip.obj)["jawOpen"].curve, completed[0]).co[1] = 0.8
    completes(clip)
    point = point_at(curves(clip.obj)["jawOpen"].curve, completed[0])
    assert (point.type, point.co[1]) == ("KEYFRAME", pytest.approx(0.8))
    assert takes.shown(clip.take).unfinished.edited.sum() == 1
    on_all = [frame for look in curves(clip.obj).values() for frame in look.frames if frame == completed[0]]
    assert len(on_all) == len(curves(clip.obj))


def test_a_key_motion_that_is_deleted_on_all_channels_is_gone(clip, curves, completes):
    jaw = curves(clip.obj)["jawOpen"]
    gone = [frame for frame, kind in zip(jaw.frames, jaw.types, strict=True) if kind == "KEYFRAME"][3]
    for look in curves(clip.obj).values():
        for point in [p for p in look.curve.keyframe_points if abs(p.co[0] - gone) < 1e-3]:
            look.curve.keyframe_points.remove(point)
    count = clip.take.key_count
    completes(clip)
    assert clip.take.key_count == count - 1 and not takes.shown(clip.take).unfinished.edited.any()


def test_curves_tell_nothing_of_what_was_there_before(clip, completes):
    """The same edits, by whatever way, give the same curves bit for bit."""
    path = clip.keys.key_blocks["jawOpen"].path_from_id("value")

    def bits():
        now = keyframes.by_place(clip.action).items()
        return {at: [values.tobytes() for values in keyframes.all_of(curve).values()] for at, (curve, _) in now}

    def edit(value):
        curve = next(c for c in compat.channels(clip.action).fcurves if c.data_path == path)
        point = [p for p in curve.keyframe_points if p.type == "KEYFRAME"][2]
        before, point.co[1] = point.co[1], value
        completes(clip)
        return before

    before = bits()
    value = edit(0.31)
    first = bits()
    assert first != before
    edit(0.7)
    edit(0.31)
    assert bits() == first
    edit(value)
    assert bits() == before


def test_a_curve_that_is_bent_by_its_handles_keeps_the_bend_as_a_key_motion(clip, curves, completes):
    jaw = curves(clip.obj)["jawOpen"]
    gaps = np.diff(jaw.frames)
    first = int(gaps[1:-1].argmax()) + 1
    low, high = jaw.frames[first : first + 2]
    point = jaw.curve.keyframe_points[first]
    point.handle_right_type = point.handle_left_type = "FREE"
    point.handle_right[1] += 0.8
    jaw.curve.update()
    bent = on_frames(jaw.curve)
    off = np.abs(bent - motion(clip)["jawOpen"])
    assert off.max() > 0.05 and lipsync.is_edited(clip)
    completes(clip)
    now = curves(clip.obj)["jawOpen"]
    top = FRAMES[off.argmax()]
    assert low < top < high and point_at(now.curve, top).type == "KEYFRAME"
    assert now.curve.evaluate(top) == pytest.approx(bent[off.argmax()], abs=1e-5)


def test_handles_that_were_hardly_moved_edit_nothing(clip, curves):
    point = curves(clip.obj)["jawOpen"].curve.keyframe_points[3]
    point.handle_right[1] += 0.005
    assert not lipsync.is_edited(clip)


def test_every_frame_is_a_switch_and_the_way_back_is_exact(clip, curves):
    before = snapshot(clip)
    clip.strip.kmtalk.curves = "frames"
    jaw = curves(clip.obj)["jawOpen"]
    np.testing.assert_array_equal(jaw.frames, FRAMES)
    np.testing.assert_array_equal(jaw.values.astype(np.float32), motion(clip)["jawOpen"])
    assert not lipsync.is_edited(clip)
    clip.strip.kmtalk.curves = "sparse"
    assert same(snapshot(clip), before)


def test_an_edit_lives_through_the_switch(clip, curves, completes):
    jaw = curves(clip.obj)["jawOpen"]
    key = [frame for frame, kind in zip(jaw.frames, jaw.types, strict=True) if kind == "KEYFRAME"][4]
    point_at(jaw.curve, key).co[1] = 0.9
    for style in ("frames", "sparse"):
        clip.strip.kmtalk.curves = style
        assert point_at(curves(clip.obj)["jawOpen"].curve, key).co[1] == pytest.approx(0.9)
        completes(clip)
        assert point_at(curves(clip.obj)["jawOpen"].curve, key).co[1] == pytest.approx(0.9)


def test_keyframes_stay_selected_where_they_are(clip, curves, completes):
    jaw = curves(clip.obj)["jawOpen"].curve
    keys = [point.co[0] for point in jaw.keyframe_points if point.type == "KEYFRAME"]
    point_at(jaw, keys[-2]).select_control_point = True
    point_at(jaw, keys[2]).co[1] = 0.9
    completes(clip)
    selected = [p.co[0] for p in curves(clip.obj)["jawOpen"].curve.keyframe_points if p.select_control_point]
    assert selected == [keys[-2]]


def test_a_line_is_as_it_was_in_another_file(clip, curves, tmp_path, head):
    before = snapshot(clip)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "a.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "a.blend"))
    head = bpy.data.objects["Köpf"]
    again = Clip(bpy.context.scene, head, keyframes.own_action(head))
    assert same(snapshot(again), before) and not lipsync.is_edited(again)
    point = curves(head)["jawOpen"].curve.keyframe_points[3]
    point.handle_right_type = point.handle_left_type = "FREE"
    point.handle_right[1] += 0.8
    assert lipsync.is_edited(again)


def test_a_line_of_before_keeps_its_key_on_every_frame(clip):
    clip.strip.kmtalk.curves = "frames"
    dense = snapshot(clip)
    clip.take.worn, clip.take.drawn = "", b""
    assert takes.look_worn(clip.take).curves == "frames" and not lipsync.is_edited(clip)
    assert same(snapshot(clip), dense)


def test_a_file_of_before_opens_with_its_curves_as_they_were(clip):
    clip.strip.kmtalk.curves, clip.strip.kmtalk.key_density = "frames", 0.5
    before = snapshot(clip)
    noted = json.loads(clip.take.worn)
    clip.take.worn = json.dumps({name: noted[name] for name in noted if name not in ("curves", "shown", "density")})
    with session.current.fill_in():
        clip.strip.kmtalk.property_unset("curves")
        clip.strip.kmtalk.property_unset("key_density")
    legacy.note_looks()
    assert (clip.strip.kmtalk.curves, clip.strip.kmtalk.key_density) == ("frames", 0.5)
    live.bring_up_to_date(clip.scene)
    assert same(snapshot(clip), before)


def test_a_damaged_memory_is_told(clip):
    clip.take.drawn = b"nothing of the kind"
    with pytest.raises(InputError, match="not a readable"):
        drawing.unpack(clip.take.drawn)


def test_takes_and_following_know_sparse_curves(clip, curves):
    before = snapshot(clip)
    clip.strip.frame_start += 48
    api.follow()
    live.slide(clip, *takes.settings_on(clip.strip))
    after = snapshot(clip)
    assert all(np.array_equal(after[path] - [48, 0, 0], before[path]) for path in before)
    assert not lipsync.is_edited(clip)
    bpy.context.view_layer.objects.active = clip.obj
    assert bpy.ops.kmtalk.duplicate_take() == {"FINISHED"}
    copied = Clip(clip.scene, clip.obj, keyframes.own_action(clip.obj))
    assert copied.action != clip.action and same(snapshot(copied), after) and not lipsync.is_edited(copied)


def key_frames_on(look) -> list[float]:
    return [frame for frame, kind in zip(look.frames, look.types, strict=True) if kind == "KEYFRAME"]


def test_density_is_a_live_slider_that_keeps_what_was_edited(clip, curves, completes, monkeypatch):
    monkeypatch.setattr("kmtalk_addon.session.Worker.send", lambda *_: pytest.fail("the worker was asked"))
    motion_before = motion(clip)
    few = key_frames_on(curves(clip.obj)["jawOpen"])
    point_at(curves(clip.obj)["jawOpen"].curve, few[4]).co[1] = 0.9
    clip.strip.kmtalk.key_density = 0.9
    jaw = curves(clip.obj)["jawOpen"]
    many = key_frames_on(jaw)
    assert len(many) > 1.4 * len(few) and point_at(jaw.curve, few[4]).co[1] == pytest.approx(0.9)
    assert not [frame for frame in many if few[3] < frame < few[5] and frame != few[4]], "the reach of an edit changed"
    np.testing.assert_allclose(motion(clip)["mouthPucker"], motion_before["mouthPucker"], atol=0.05)
    assert clip.take.key_count >= len(many) and takes.look_worn(clip.take).density == 0.9
    assert takes.shown(clip.take).origin.settings["key_density"] == 0.9
    completes(clip)
    assert point_at(curves(clip.obj)["jawOpen"].curve, few[4]).co[1] == pytest.approx(0.9)
    assert takes.shown(clip.take).unfinished.edited.sum() == 1
    clip.strip.kmtalk.key_density = 0.375
    assert len(set(few) - set(key_frames_on(curves(clip.obj)["jawOpen"]))) <= 2
    assert len(takes.loaded(clip.take.result).keys.times) == len(takes.shown(clip.take).keys.times)


def test_density_there_and_back_is_exact(clip):
    before = snapshot(clip)
    for density in (1.0, 0.1, 0.375):
        clip.strip.kmtalk.key_density = density
        assert not lipsync.is_edited(clip)
    assert same(snapshot(clip), before)


def pin(clip, frame) -> None:
    bpy.context.view_layer.objects.active = clip.obj
    bpy.context.scene.frame_set(int(frame))
    assert bpy.ops.kmtalk.pin() == {"FINISHED"}


def pose_at(clip, curves, frame) -> dict[str, float]:
    return {name: look.curve.evaluate(frame) for name, look in curves(clip.obj, clip.action).items()}


def test_a_pinned_key_stays_through_sliders_offset_density_and_completion(clip, curves, completes):
    keys = key_frames_on(curves(clip.obj)["jawOpen"])
    pin(clip, keys[5])
    before = pose_at(clip, curves, keys[5])
    assert all("EXTREME" in look.types for look in curves(clip.obj).values()) and lipsync.is_edited(clip)
    for name, value in (("intensity", 0.4), ("offset", 3 / 24), ("key_density", 0.8), ("curves", "frames")):
        setattr(clip.strip.kmtalk, name, value)
        after = pose_at(clip, curves, keys[5])
        assert {n: after.get(n, 0.0) for n in before} == pytest.approx(before, abs=1e-6), name
        assert point_at(curves(clip.obj)["jawOpen"].curve, keys[5]).type == "EXTREME"
    point_at(curves(clip.obj)["jawOpen"].curve, keys[5] + 4).co[1] = 0.9
    completes(clip)
    after = pose_at(clip, curves, keys[5])
    assert {n: after.get(n, 0.0) for n in before} == pytest.approx(before, abs=1e-6)
    assert list(keyframes.pinned(clip.action, clip.line)) == [keys[5]]
    pin(clip, keys[5])
    assert not len(keyframes.pinned(clip.action, clip.line))


def test_a_pinned_key_stays_on_its_frame_when_the_line_is_made_anew(clip, curves, completes, result, animator):
    keys = key_frames_on(curves(clip.obj)["jawOpen"])
    frame = keys[5] + 1
    pin(clip, frame)
    point_at(curves(clip.obj)["jawOpen"].curve, frame).co[1] = 0.66
    about = lipsync.Subject.of(clip.scene, clip.strip, clip.obj, clip.line)
    steps = lipsync._with_edits_kept(about, other_result(animator), Path(bpy.app.tempdir))
    request = next(steps)
    made = animator.complete(load_animation(request.animation), load_keys(request.keys, result[0].control_names))
    save_animation(made, request.out, compressed=False)
    with pytest.raises(StopIteration) as stop:
        steps.send({})
    kept = stop.value.value
    assert not kept.told and [round(FIRST + t * 24, 3) for t in kept.pinned] == [frame]
    lipsync.apply(
        clip.scene, clip.obj, clip.strip, clip.line, takes.loaded(kept.result), kept.result, pinned=kept.pinned
    )
    new = keyframes.own_action(clip.obj)
    assert new != clip.action and list(keyframes.pinned(new, clip.line)) == [frame]
    assert point_at(curves(clip.obj, new)["jawOpen"].curve, frame).co[1] == pytest.approx(0.66)


def other_result(animator) -> bytes:
    text = TEXT.replace("moves", "proves").replace("mouth", "south")
    return takes.packed(animator.animate(load_sound(SAMPLE, 0.0, SECONDS), Request(transcript=text, fps=24.0)))


def test_a_reset_key_is_pinned_no_more(clip, curves, completes):
    keys = key_frames_on(curves(clip.obj)["jawOpen"])
    was = pose_at(clip, curves, keys[5])["jawOpen"]
    for frame in (keys[3], keys[5]):
        pin(clip, frame)
    point_at(curves(clip.obj)["jawOpen"].curve, keys[5]).co[1] = 0.9
    with pytest.raises(StopIteration):
        next(lipsync.reset(clip.scene, "", clip.obj, keys[5]))
    assert list(keyframes.pinned(clip.action, clip.line)) == [keys[3]]
    assert pose_at(clip, curves, keys[5])["jawOpen"] == pytest.approx(was, abs=1e-5)
    with pytest.raises(StopIteration):
        next(lipsync.reset(clip.scene, "", clip.obj))
    assert not len(keyframes.pinned(clip.action, clip.line))


def test_completion_runs_by_itself_where_something_was_edited(clip, curves, completes, monkeypatch):
    ran = []
    monkeypatch.setattr(rerun.current, "start", lambda steps, *_: Ran(steps, ran))
    assert rerun.line_to_rerun(clip.scene) is None  # it is being edited, but nobody has changed anything
    keys = key_frames_on(curves(clip.obj)["jawOpen"])
    point_at(curves(clip.obj)["jawOpen"].curve, keys[4]).co[1] = 0.9
    assert rerun.run(clip.scene) and len(ran) == 1
    assert point_at(curves(clip.obj)["jawOpen"].curve, keys[4]).co[1] == pytest.approx(0.9)
    np.testing.assert_allclose(on_frames(curves(clip.obj)["jawOpen"].curve), motion(clip)["jawOpen"], atol=0.0151)
    assert not rerun.run(clip.scene) and len(ran) == 1
    point_at(curves(clip.obj)["jawOpen"].curve, keys[6]).co[1] = 0.8
    bpy.ops.kmtalk.edit_keys()  # which are put away
    assert not rerun.run(clip.scene)


class Ran:
    """A job that does its steps at once."""

    def __init__(self, steps, ran) -> None:
        self._steps, self._ran = steps, ran

    def wait(self) -> None:
        with pytest.raises(StopIteration):
            next(self._steps)
        self._ran.append(self)


def test_what_undo_has_brought_back_is_not_completed_by_itself(clip, curves, monkeypatch):
    started = []
    monkeypatch.setattr(rerun.current, "start", lambda steps, *_: started.append(steps))
    clip.scene.kmtalk.rerun = True
    keys = key_frames_on(curves(clip.obj)["jawOpen"])
    point_at(curves(clip.obj)["jawOpen"].curve, keys[4]).co[1] = 0.9
    rerun._after_undo()
    rerun._at_rest()
    assert not started, "nobody could undo beyond it"
    point_at(curves(clip.obj)["jawOpen"].curve, keys[4]).co[1] = 0.8
    rerun._at_rest()
    assert len(started) == 1
    clip.scene.kmtalk.rerun = False
    for timer in (rerun._waiting, rerun._at_rest):
        if bpy.app.timers.is_registered(timer):
            bpy.app.timers.unregister(timer)
