"""Lines as clips: several lines on a head, takes, moved, cut and renamed strips, the user's own animation."""

from dataclasses import replace
from types import SimpleNamespace

import bpy
import numpy as np
import pytest

from kmtalk_addon import (
    api,
    casting,
    clips,
    comparison,
    compat,
    edit_keys,
    follow,
    key_view,
    keyframes,
    line_operators,
    lipsync,
    live,
    removal,
    scenes,
    strip,
    takes,
)
from kmtalk_addon.clips import lie_of, take_of
from kmtalk_core.errors import InputError, KMTalkError
from kmtalk_core.motion import KeyMotions
from kmtalk_core.results import load_animation, load_keys, save_animation
from kmtalk_core.service.protocol import Animate, Complete, Ping


@pytest.fixture
def speak(head, add_strip, made):
    """`speak("A", 50)` lays a line with a strip of that name on the head; a strip instead of a name, its line anew."""

    def lay(what, frame=1, channel=1, seed=0):
        sound = add_strip(frame=frame, name=what, channel=channel) if isinstance(what, str) else what
        line = strip.read_line(bpy.context.scene, sound)
        lipsync.apply(bpy.context.scene, head, sound, line, *made(line, seed))
        return sound, clip_of(head, sound)

    return lay


def clip_of(head, sound) -> takes.Clip:
    return takes.find_clip(bpy.context.scene, sound.name, head)


def move(sound, by) -> None:
    sound.frame_start += by


def trim(sound, start, end) -> None:
    sound.frame_offset_start, sound.frame_offset_end = start, end


def slip(sound, by) -> None:
    """Play another part of the sound on the same frames, as far as there is one."""
    start, end = sound.frame_offset_start, sound.frame_offset_end
    by = max(-start, min(by, end))
    sound.frame_start -= by
    sound.frame_offset_start, sound.frame_offset_end = start + by, end - by


def split(sound, frame):
    return sound.split(frame, "SOFT")


def remove_strip(sound) -> None:
    editor = bpy.context.scene.sequence_editor
    (editor.strips if compat.NEW_STRIP_NAMES else editor.sequences).remove(sound)


def content(action) -> dict[str, np.ndarray]:
    """All keyframes, as bytes would tell."""
    return {path: np.column_stack([xy, types]) for path, (xy, types) in keyframes.snapshot(action).items()}


def same(a, b) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(a[path], b[path]) for path in a)


def heard_at(head, block, frames) -> list[float]:
    values = []
    for frame in frames:
        bpy.context.scene.frame_set(int(frame // 1), subframe=frame % 1)
        values.append(head.data.shape_keys.key_blocks[block].value)
    return values


def edit_jaw(clip, index=3, value=0.9) -> float:
    path = clip.keys.key_blocks[clip.names["jawOpen"]].path_from_id("value")
    curve = next(c for c in compat.channels(clip.action).fcurves if c.data_path == path)
    points = [p for p in curve.keyframe_points if p.type == "KEYFRAME"]
    points[index % len(points)].co[1] = value
    return points[index % len(points)].co[0]


def answer(request, made) -> dict:
    """What the worker would do."""
    if isinstance(request, Animate):
        line = strip.Played("?", "", 0.0, request.duration, 0, 0.0, request.fps, 1.0)
        save_animation(made(line, 7)[0], request.out)
        return {"warnings": [], "delay": 0.0}
    if isinstance(request, Ping):
        return {}
    assert isinstance(request, Complete)
    before = load_animation(request.animation)
    keys = load_keys(request.keys, before.control_names)
    controls = before.controls.copy()
    controls[np.rint(keys.times * before.fps).astype(int)] = keys.controls
    edited = before.to_finish.edited if before.unfinished else np.zeros(0, bool)
    after = replace(before, controls=controls, keys=keys)
    if before.unfinished:
        after = replace(after, unfinished=replace(before.unfinished, edited=np.resize(edited, len(keys.times))))
    save_animation(after, request.out)
    return {"warnings": []}


def run(steps, made, meanwhile=lambda: None):
    """Drive steps by hand; `meanwhile` is done at each wait."""
    request, outcome = next(steps), None
    while outcome is None:
        done = answer(request, made)
        meanwhile()
        try:
            request = steps.send(done)
        except StopIteration as stop:
            outcome = stop.value
    return outcome


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
@pytest.mark.parametrize("by", [48, 120, -30])
def test_two_lines_that_move_stay_what_they_are(head, speak, made, order, by):
    lines = [speak("A", 100), speak("B", 190, channel=2, seed=1)]
    before = [content(clip.action) for _, clip in lines]
    shown = heard_at(head, "jawOpen", range(90, 300))
    for index in order:
        move(lines[index][0], by)
        follow.follow(bpy.context.scene)
        assert all(same(content(clip.action), old) for (_, clip), old in zip(lines, before, strict=True))
    assert heard_at(head, "jawOpen", range(90 + by, 300 + by)) == pytest.approx(shown, abs=1e-6)
    for index in order:
        run(lipsync.complete(bpy.context.scene, "AB"[index], head), made)
    assert heard_at(head, "jawOpen", range(90 + by, 300 + by)) == pytest.approx(shown, abs=1e-6)


def test_generating_a_moved_line_leaves_nothing_at_its_old_place(head, speak):
    sound, clip = speak("A", 1)
    move(sound, 300)
    speak(sound)
    curve = next(c for c in compat.channels(clip.action).fcurves if "jawOpen" in c.data_path)
    assert min(point.co[0] for point in curve.keyframe_points) == 301
    assert len(clips.playing(clip.keys)) == 1 == len(takes.takes_of(clip.keys, clip.take.line_id))


def test_a_strip_by_any_other_name(head, speak, made):
    sound, clip = speak("A", 1)
    speak("B", 100)
    frame = edit_jaw(clip)
    sound.name, head.name, head.data.name = "sc010_anna", "Kopf", "Netz"
    bpy.context.scene.name, clip.action.name = "Szene", "Aktion"
    clip.keys.key_blocks["jawOpen"].name = "Mund auf"
    assert lipsync.edited_keys(bpy.context.scene, "sc010_anna", head)
    run(lipsync.complete(bpy.context.scene, "sc010_anna", head), made)
    assert heard_at(head, "Mund auf", [frame]) == pytest.approx([0.9]) and clip_of(head, sound).action == clip.action
    edit_jaw(clip, 4)
    speak(sound)  # edited, so it is a new take
    assert [t.title for t in api.takes(head, "sc010_anna")] == ["Take 1", "Take 2"]
    assert "jawOpen" not in clip.keys.key_blocks


def test_lines_that_overlap_are_told_and_the_later_one_is_seen(head, speak):
    _, a = speak("A", 1)
    before = content(a.action)
    sound, b = speak("B", 50, channel=2, seed=1)
    assert same(content(a.action), before)
    assert [other for other, *_ in clips.overlapping(a.keys, a.action)] == [b.action]
    assert any("overlap on frames 50 to 72" in told for told in follow.standing(a))
    column = takes.shown(b.take).control_names.index("jawOpen")
    frames = [50, 60, 70, 90]
    wanted = [takes.shown(b.take).controls[frame - 50, column] for frame in frames]
    for edited in (False, True):
        assert heard_at(head, "jawOpen", frames) == pytest.approx(wanted, abs=1e-6), edited
        clips.leave_tweak(a.keys)
    move(sound, 100)
    follow.follow(bpy.context.scene)
    assert follow.standing(a) == [] == follow.standing(b)


def test_lines_side_by_side_keep_all_their_frames(head, speak):
    _, a = speak("A", 1)
    _, b = speak("B", 73, seed=1)
    clips.leave_tweak(a.keys)
    for clip, first in ((a, 1), (b, 73)):
        column = takes.shown(clip.take).control_names.index("mouthFunnel")
        wanted = takes.shown(clip.take).controls[:, column]
        assert heard_at(head, "mouthFunnel", range(first, first + 72)) == pytest.approx(wanted, abs=1e-6)
    assert heard_at(head, "mouthFunnel", [0, 145])[0] != 0.0  # and only beyond both, it eases


def test_a_cut_strip_is_two_lines_that_move_apart(head, speak):
    sound, clip = speak("A", 101)
    shown = heard_at(head, "jawOpen", range(101, 173))
    right = split(sound, 130)
    follow.follow(bpy.context.scene)
    assert right.kmtalk.id != sound.kmtalk.id and len(clips.playing(clip.keys)) == 2
    clips.leave_tweak(clip.keys)
    assert heard_at(head, "jawOpen", range(101, 173)) == pytest.approx(shown, abs=1e-6)
    move(right, 50)
    follow.follow(bpy.context.scene)
    assert heard_at(head, "jawOpen", range(101, 130)) == pytest.approx(shown[:29], abs=1e-6)
    assert heard_at(head, "jawOpen", range(180, 223)) == pytest.approx(shown[29:], abs=1e-6)
    lie = lie_of(clip_of(head, right).take)
    assert (lie.at, lie.end) == (180, 222)


def test_trimmed_and_slipped(head, speak):
    sound, clip = speak("A", 101)
    shown = heard_at(head, "jawOpen", range(101, 173))
    trim(sound, 20, 10)
    follow.follow(bpy.context.scene)
    lie = lie_of(clip.take)
    assert (lie.at, lie.end, lie.first) == (121, 162, 121)
    assert heard_at(head, "jawOpen", range(121, 163)) == pytest.approx(shown[20:62], abs=1e-6)
    assert follow.standing(clip) == []
    run_line = takes.read_line(clip.take)
    trim(sound, 0, 0)
    follow.follow(bpy.context.scene)
    assert lie_of(clip.take).at == 101 and takes.read_line(clip.take) == run_line


def test_the_frame_rate_is_followed_half_a_frame_after_ten_minutes(head, made):
    line = strip.Played("Line", "a.wav", 0.0, 600.0, 1, 1.0, 24.0, 1.0)
    lie = follow.lie_for(line, replace(line, fps=30000 / 1001))
    end = lie.at + (line.last_frame - lie.first) * lie.scale
    assert abs(end - (1 + 600 * 30000 / 1001)) < 0.5


def test_a_retimed_line_is_stretched(head, speak, add_strip):
    _, clip = speak("A", 101)
    line = clip.line
    lie = follow.lie_for(line, replace(line, speed=2.0, origin=101.0, first_frame=101, duration=line.duration))
    assert lie.scale == 0.5 and lie.at == 101 and lie.end == pytest.approx(101 + 71 / 2, abs=1)


def test_takes_are_switched_renamed_duplicated_and_deleted(head, speak):
    sound, clip = speak("A", 1)
    first = content(clip.action)
    edit_jaw(clip)
    edited = content(clip.action)
    speak(sound, seed=2)
    second = clip_of(head, sound)
    assert second.action != clip.action and same(content(clip.action), edited) and not same(edited, first)
    assert clips.playing(clip.keys) == [second.action]
    second.take.title = "Shy"
    api.use_take(head, "Take 1", "A")
    assert clips.playing(clip.keys) == [clip.action]
    copy = removal.duplicate_take(clip)
    assert copy.take.title == "Take 2" and clips.playing(clip.keys) == [copy.action]
    assert [(t.title, t.plays, t.edited) for t in api.takes(head)] == [
        ("Take 1", False, True), ("Shy", False, False), ("Take 2", True, True),
    ]  # fmt: skip
    removal.delete_take(copy, copy.action)
    assert clips.playing(clip.keys) == [second.action]
    second.take.worn = second.take.worn.replace('"jaw": 1.0', '"jaw": 1.3')
    told = comparison.sentences(clip_of(head, sound), clip.action)
    assert "edited" in told[0] and "Jaw 1 instead of 1.3" in told[1] and "most on frame" in told[-1]
    assert comparison.sentences(second, second.action)[1] == "This take plays."
    bpy.context.view_layer.objects.active = head
    named = SimpleNamespace(take=clip.action.name)
    assert told[-1] in line_operators.KMTALK_OT_use_take.description(bpy.context, named)
    with pytest.raises(InputError, match="has no take Loud; it has Take 1, Shy"):
        api.use_take(head, "Loud")
    assert len(bpy.data.actions) == 2 + (clip.keys.kmtalk.rest is not None)


def test_takes_that_do_not_play_know_renamed_shape_keys(head, speak):
    _, clip = speak("A", 1)
    shown = heard_at(head, "jawOpen", range(1, 70, 7))
    other = removal.duplicate_take(clip)
    edit_jaw(other)
    clip.keys.key_blocks["jawOpen"].name = 'Mund "auf"'
    removal.use_take(other, clip.action)
    assert heard_at(head, 'Mund "auf"', range(1, 70, 7)) == pytest.approx(shown, abs=1e-6)
    clip.keys.key_blocks['Mund "auf"'].name = "jaw"
    removal.use_take(clip, other.action)
    assert clips.playing(clip.keys) == [other.action] and edit_jaw(other) > 0
    removal.use_take(other, clip.action)
    assert heard_at(head, "jaw", range(1, 70, 7)) == pytest.approx(shown, abs=1e-6)
    assert not lipsync.is_edited(clip)


def test_a_take_that_nobody_has_edited_is_replaced(head, speak):
    sound, clip = speak("A", 1)
    speak(sound, seed=2)
    assert len(api.takes(head)) == 1 and clip_of(head, sound).action == clip.action


def state(head) -> dict:
    """What is to be as before when everything is removed."""
    keys = head.data.shape_keys
    if keys is None:
        return {}
    data = keys.animation_data
    return {
        "blocks": [(b.name, round(b.value, 5), b.slider_min, b.slider_max) for b in keys.key_blocks],
        "action": data and data.action and data.action.name,
        "way": data and (data.action_blend_type, data.action_extrapolation, round(data.action_influence, 4)),
        "tracks": data and [(t.name, [s.name for s in t.strips]) for t in data.nla_tracks],
        "custom": dict(keys.items()),
    }


@pytest.mark.parametrize("theirs", ["nothing", "Wart", "jawOpen", "track"])
def test_removing_everything_leaves_what_was_there(head, speak, theirs):
    keys = head.data.shape_keys
    if theirs != "nothing":
        block = keys.key_blocks["Wart" if theirs == "track" else theirs]
        block.value = 0.25
        block.keyframe_insert("value", frame=1)
        keys.animation_data.action_blend_type = "ADD"
    if theirs == "track":
        track = keys.animation_data.nla_tracks.new()
        action = keys.animation_data.action
        compat.set_strip_slot(track.strips.new("Theirs", 1, action), compat.slot_for_keys(action))
    bpy.context.scene.frame_set(1)
    before = state(head)
    speak("A", 50)
    speak("B", 100, channel=2, seed=4)
    assert state(head) != before
    api.remove(head)
    assert state(head) == before
    assert [a.name for a in bpy.data.actions] == ([] if theirs == "nothing" else [keys.animation_data.action.name])
    with pytest.raises(KMTalkError, match="has made nothing"):
        api.remove(head)


def test_removing_one_line_leaves_the_other(head, speak):
    _, a = speak("A", 50)
    speak("B", 200, channel=2)
    before = content(a.action)
    api.remove(head, "B")
    assert clips.playing(a.keys) == [a.action] and same(content(a.action), before)


def test_baked_lines_look_the_same_and_are_no_more_kmtalks(head, speak):
    sound, a = speak("A", 50)
    edit_jaw(a)
    speak(sound, seed=3)
    speak("B", 200, channel=2, seed=1)
    keys = head.data.shape_keys
    clips.leave_tweak(keys)
    frames = range(40, 290)
    before = heard_at(head, "jawOpen", frames)
    api.bake(head)
    assert heard_at(head, "jawOpen", frames) == pytest.approx(before, abs=1e-6)
    assert not clips.playing(keys) and not any(len(a.kmtalk_takes) for a in bpy.data.actions)
    with pytest.raises(KMTalkError, match="no animation of KMTalk's"):
        api.bake(head)


def test_only_chosen_parts_get_curves(head, speak):
    sound, clip = speak("A", 50)
    sound.kmtalk.parts = {"MOUTH", "HEAD"}
    line = strip.read_line(bpy.context.scene, sound)
    animation = takes.shown(clip.take)
    names = keyframes.written_controls(animation, clip.names, takes.look_on(sound).parts)
    assert {name[:4] for name in names} <= {"jawO", "jawF", "jawL", "jawR", "mout", "head"} and "jawOpen" in names
    keyframes.write(head, clip.action, clip.names, line, animation, takes.look_on(sound).parts)
    assert len(compat.channels(clip.action).fcurves) == len(names)
    still = replace(
        animation, controls=animation.controls * 0, keys=KeyMotions(animation.keys.times, animation.keys.controls * 0)
    )
    assert keyframes.written_controls(still, clip.names, keyframes.ALL_PARTS) == ["jawOpen"]


def test_own_acting_on_parts_that_are_left_alone_stays_and_the_rest_eases(head, speak):
    blocks = head.data.shape_keys.key_blocks
    for name, points in (("mouthSmileLeft", ((1, 0.5), (300, 0.5))), ("eyeBlinkLeft", ((58, 0), (60, 1), (62, 0)))):
        for frame, value in points:
            blocks[name].value = value
            blocks[name].keyframe_insert("value", frame=frame)
    sound, clip = speak("A", 50)
    sound.kmtalk.parts = set(keyframes.ALL_PARTS - {"BLINKS"})
    keyframes.write(head, clip.action, clip.names, clip.line, takes.shown(clip.take), takes.look_on(sound).parts)
    assert heard_at(head, "eyeBlinkLeft", [58, 60, 62]) == pytest.approx([0, 1, 0], abs=1e-5)
    smile = heard_at(head, "mouthSmileLeft", [46, 47, 48, 49, 50])
    assert smile[:2] == pytest.approx([0.5, 0.5]) and abs(smile[4] - 0.5) > abs(smile[3] - 0.5) > abs(smile[2] - 0.5)


def test_blend_and_ease_act_at_once(head, speak):
    sound, clip = speak("A", 50)
    sound.kmtalk.ease, sound.kmtalk.blend = 10, "ADD"
    nla = next(s for _, s in clips.own_strips(clip.keys))
    assert (nla.blend_in, nla.blend_type, nla.frame_start) == (10, "ADD", 40)


def test_a_line_that_ends_in_a_word_closes_the_mouth(head, speak):
    _, clip = speak("A", 50)
    assert heard_at(head, "jawOpen", [121])[0] > 0.0
    still = heard_at(head, "jawOpen", [1])[0]
    assert heard_at(head, "jawOpen", [124, 130, 500]) == pytest.approx([still] * 3)
    assert clip.take.key_count


def test_a_copied_head_has_a_line_of_its_own_once_it_is_worked_on(head, speak, made):
    _, clip = speak("A", 50)
    twin = head.copy()
    twin.data = head.data.copy()
    bpy.context.scene.collection.objects.link(twin)
    assert keyframes.own_action(twin) == clip.action
    before = content(clip.action)
    edited = clip_of(twin, clip.strip)
    run(lipsync.complete(bpy.context.scene, "A", twin), made, meanwhile=lambda: None)
    assert keyframes.own_action(twin) != clip.action == keyframes.own_action(head)
    assert edited.obj == twin and same(content(clip.action), before)


@pytest.mark.parametrize("how", ["mute", "volume"])
def test_a_line_follows_a_strip_that_is_not_heard_and_says_so(head, speak, how):
    sound, clip = speak("A", 50)
    if how == "mute":
        sound.mute = True
    else:
        sound.volume = 0.0
    move(sound, 48)
    follow.follow(bpy.context.scene)
    assert lie_of(clip.take).at == 98 and "nothing of it is heard" in clip.take.standing
    sound.mute, sound.volume = False, 1.0
    follow.follow(bpy.context.scene)
    assert clip.take.standing == ""


def test_a_new_line_lays_only_what_comes_after_it_anew(head, speak):
    for number, frame in enumerate((1, 200, 600)):
        speak(f"Line {number}", frame)
    clips.leave_tweak(head.data.shape_keys)
    for number, (_, nla) in enumerate(clips.own_strips(head.data.shape_keys)):
        nla.name = f"mine {number}"
    speak("Between", 400)
    clips.leave_tweak(head.data.shape_keys)
    names = [nla.name for _, nla in clips.own_strips(head.data.shape_keys)]
    assert names[:2] == ["mine 0", "mine 1"] and len(names) == 4


def test_muted_lines_and_animated_influence_survive_moving(head, speak):
    sound, clip = speak("A", 50)
    clips.leave_tweak(clip.keys)
    nla = next(s for _, s in clips.own_strips(clip.keys))
    nla.mute, nla.use_animated_influence, nla.influence = True, True, 0.5
    nla.fcurves.find("influence").keyframe_points.insert(60, 0.25)
    move(sound, 20)
    follow.follow(bpy.context.scene)
    nla = next(s for _, s in clips.own_strips(clip.keys))
    points = [(p.co[0], p.co[1]) for p in nla.fcurves.find("influence").keyframe_points]
    assert nla.mute and (60, 0.25) in points


def test_a_line_taken_out_of_the_nla_by_hand_is_told_and_comes_back_by_choosing_its_take(head, speak):
    sound, clip = speak("A", 50)
    clips.leave_tweak(clip.keys)
    track, nla = next(iter(clips.own_strips(clip.keys)))
    track.strips.remove(nla)
    follow.follow(bpy.context.scene)
    assert "taken out of the NLA" in clip.take.standing and not clips.playing(clip.keys)
    removal.use_take(clip_of(head, sound), clip.action)
    assert clips.playing(clip.keys) == [clip.action] and clip.take.standing == ""


def test_a_line_on_a_track_of_the_users_is_theirs_to_move_and_plays_once(head, speak):
    sound, clip = speak("A", 50)
    clips.leave_tweak(clip.keys)
    data = clip.keys.animation_data
    track, nla = next(iter(clips.own_strips(clip.keys)))
    track.strips.remove(nla)
    theirs = data.nla_tracks.new()
    other = bpy.data.actions.new("Theirs")
    compat.slot_for_keys(other)
    theirs.strips.new("Theirs", 1, other)
    compat.set_strip_slot(theirs.strips.new("A", 60, clip.action), compat.slot_for_keys(clip.action))
    speak(sound)
    assert [s.action for s in theirs.strips] == [other, clip.action] and len(clips.playing(clip.keys)) == 1
    edit_jaw(clip)
    speak(sound, seed=5)
    assert [s.action for s in theirs.strips] == [other] and len(clips.playing(clip.keys)) == 1


def test_everything_survives_saving_and_appending(head, speak, tmp_path):
    sound, clip = speak("A", 50)
    edit_jaw(clip)
    speak(sound, seed=2)
    name, values = head.name, heard_at(head, "jawOpen", range(45, 130))
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "lines.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "lines.blend"))
    head = bpy.data.objects[name]
    assert [t.title for t in api.takes(head, "A")] == ["Take 1", "Take 2"]
    assert heard_at(head, "jawOpen", range(45, 130)) == pytest.approx(values)
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    with bpy.data.libraries.load(str(tmp_path / "lines.blend")) as (_, wanted):
        wanted.objects = [name]
    head = wanted.objects[0]
    bpy.context.scene.collection.objects.link(head)
    assert [t.title for t in api.takes(head)] == ["Take 1", "Take 2"]
    assert heard_at(head, "jawOpen", range(45, 130)) == pytest.approx(values)
    assert follow.follow(bpy.context.scene) == ()


def test_lines_of_older_files_become_clips(head, speak, tmp_path):
    """They shared one Action, which was active."""
    _, a = speak("A", 50)
    _, b = speak("B", 200, seed=1)
    frame, keys = edit_jaw(a), head.data.shape_keys
    before = {clip.take.name: content(clip.action) for clip in (a, b)}
    actions = [a.action, b.action]
    clips.take_off(keys, actions)
    old = a.action.copy()
    old.kmtalk_takes[0].line_id = ""
    take = old.kmtalk_takes.add()
    for name in ("name", "line", "result", "finished", "worn"):
        setattr(take, name, getattr(b.take, name))
    for curve in compat.channels(b.action).fcurves:
        target = next(c for c in compat.channels(old).fcurves if c.data_path == curve.data_path)
        for point in curve.keyframe_points:
            target.keyframe_points.insert(*point.co).type = point.type
    clips.forget(keys)
    for action in actions:
        bpy.data.actions.remove(action)
    compat.set_action(keys.animation_data, old, compat.slot_for_keys(old))
    name = head.name
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "older.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "older.blend"))
    head = bpy.data.objects[name]
    keys = head.data.shape_keys
    assert keys.animation_data.action is None and len(clips.playing(keys)) == 2
    found = {take_of(action).name: content(action) for action in clips.playing(keys)}
    assert same(found["A"], before["A"]) and found["B"].keys() == before["B"].keys()
    assert heard_at(head, "jawOpen", [frame]) == pytest.approx([0.9])
    assert [t.edited for t in api.takes(head, "A")] == [True]
    assert strip.choose_strip(bpy.context.scene, "A").kmtalk.id


# --- trust ------------------------------------------------------------------------------------------------------------


def test_edits_made_while_it_works_are_kept_as_edits(head, speak, made):
    sound, clip = speak("A", 50)
    edit_jaw(clip, 2, 0.8)
    done = {}

    def meanwhile():
        done["frame"] = edit_jaw(clip, 5, 0.95)
        move(sound, 10)

    run(lipsync.complete(bpy.context.scene, "A", head), made, meanwhile)
    left = live.as_left(clip)
    column = takes.shown(clip.take).control_names.index("jawOpen")
    at = int(np.abs(left.keys.times * 24 + 60 - (done["frame"] + 10)).argmin())
    assert left.edited[at] and left.keys.controls[at, column] == pytest.approx(0.95)
    assert heard_at(head, "jawOpen", [done["frame"] + 10]) == pytest.approx([0.95])


MEANWHILE = {
    "the strip is deleted": lambda head, sound: remove_strip(sound),
    "the head is deleted": lambda head, sound: bpy.data.objects.remove(head),
    "the scene is deleted": lambda head, sound: (
        bpy.data.scenes.new("Other"),
        bpy.data.scenes.remove(bpy.context.scene),
    ),
    "another file is loaded": lambda head, sound: bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True),
    "edit mode is entered": lambda head, sound: bpy.ops.object.mode_set(mode="EDIT"),
    "the user tweaks a strip of theirs": lambda head, sound: tweak_theirs(head),
}


def tweak_theirs(head) -> None:
    data = head.data.shape_keys.animation_data or head.data.shape_keys.animation_data_create()
    clips.leave_tweak(head.data.shape_keys)
    action = bpy.data.actions.new("Theirs")
    track = data.nla_tracks.new()
    nla = track.strips.new("Theirs", 1, action)
    for other in data.nla_tracks:
        other.select = other == track
    nla.select, data.nla_tracks.active, data.use_tweak_mode = True, track, True
    assert data.use_tweak_mode


@pytest.mark.parametrize("work", ["generate", "complete"])
@pytest.mark.parametrize("what", MEANWHILE)
def test_whatever_happens_meanwhile_ends_in_a_sentence_and_changes_nothing(head, speak, made, what, work):
    sound, clip = speak("A", 50)
    bpy.context.view_layer.objects.active = head
    scene, before = bpy.context.scene, content(clip.action)
    count = len(bpy.data.actions)
    steps = (
        lipsync.generate(scene, sound, head, lipsync.Options()) if work == "generate" else
        lipsync.complete(scene, "A", head)
    )  # fmt: skip
    expected = what == "the strip is deleted" and work == "complete"  # needs no strip any more
    done = []

    def meanwhile():
        if not done:
            done.append(MEANWHILE[what](head, sound))

    if expected:
        run(steps, made, meanwhile)
        return
    with pytest.raises(KMTalkError):
        run(steps, made, meanwhile)
    if what not in ("another file is loaded", "the scene is deleted", "the head is deleted"):
        assert same(content(clip.action), before) and len(bpy.data.actions) <= count + 1


@pytest.mark.parametrize("work", ["generate", "complete"])
def test_renaming_everything_meanwhile_changes_nothing(head, speak, made, work):
    sound, clip = speak("A", 50)
    scene = bpy.context.scene
    steps = (
        lipsync.generate(scene, sound, head, lipsync.Options()) if work == "generate" else
        lipsync.complete(scene, "A", head)
    )  # fmt: skip

    def meanwhile():
        sound.name = head.name = head.data.name = scene.name = clip.action.name = "X"
        clip.keys.key_blocks["jawOpen"].name = "Mund auf"

    run(steps, made, meanwhile)
    assert clip.take.name == "X", clip.take.name
    assert clip_of(head, sound).action == clip.action
    assert heard_at(head, "Mund auf", [60])[0] > 0


# --- a walk -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed, steps", [(0, 200), (1, 50), (2, 50)])
def test_a_walk_changes_no_other_line(head, speak, made, seed, steps):
    rng = np.random.default_rng(seed)
    scene, keys = bpy.context.scene, head.data.shape_keys
    names = iter(f"Line {n}" for n in range(1000))
    wart = keys.key_blocks["Wart"]
    for frame in (1, 40, 90):
        wart.value = frame / 100
        wart.keyframe_insert("value", frame=frame)
    (own,) = compat.all_fcurves(keys.animation_data.action)
    acting = [tuple(p.co) for p in own.keyframe_points]
    speak(next(names), 10)
    for step in range(steps):
        sounds = strip.sound_strips(scene)
        sound = sounds[rng.integers(len(sounds))]
        actions = takes.own_actions(keys)
        before = {a: content(a) for a in actions}
        line_id = sound.kmtalk.id
        what = rng.choice(
            [
                "move",
                "rename",
                "edit",
                "generate",
                "complete",
                "cut",
                "take",
                "add",
                "trim",
                "rename key",
                "slip",
                "scene",
                "show others",
                "edit shown",
            ]
        )
        edited = {a for a in actions if what == "scene" and lipsync.is_edited(takes.Clip(scene, head, a))}
        if what == "move":
            move(sound, int(rng.integers(-60, 200)))
        elif what == "rename":
            sound.name = next(names)
        elif what == "edit":
            edit_jaw(clip_of(head, sound), int(rng.integers(0, 8)), float(rng.random()))
        elif what == "generate":
            speak(sound, seed=step)
        elif what == "complete":
            run(lipsync.complete(scene, sound.name, head), made)
        elif what == "cut" and len(sounds) < 8:
            at = compat.handles(sound)
            if at.right - at.left > 20:
                split(sound, (at.left + at.right) // 2)
        elif what == "take":
            removal.duplicate_take(clip_of(head, sound))
        elif what == "add" and len(sounds) < 8:
            speak(next(names), int(rng.integers(1, 500)), channel=int(rng.integers(1, 20)), seed=step)
        elif what == "trim":
            trim(sound, int(rng.integers(0, 20)), int(rng.integers(0, 20)))
        elif what == "slip":
            slip(sound, int(rng.integers(-10, 10)))
        elif what == "show others":
            sound.kmtalk.show_completed = not sound.kmtalk.show_completed
            edit_keys.edit(clip_of(head, sound))
            assert all(same(content(action), old) for action, old in before.items())
        elif what == "edit shown" and (view := clips.view_on(keys)) is not None:
            line_id = clips.viewed(view).line_id
            shown = compat.channels(view).fcurves[0].keyframe_points
            shown[int(rng.integers(len(shown)))].co[1] = float(rng.random())
            key_view.take_over(keys)
        elif what == "scene":
            parts = casting.cast(scene)
            run(scenes.generate_scene(scene, parts, lambda strip: lipsync.Options()), made)
        elif what == "rename key":
            block = keys.key_blocks[int(rng.integers(2, len(keys.key_blocks)))]
            block.name = f"Key {step}"
        follow.follow(scene)
        for action, old in before.items():
            if action in edited or (take_of(action).line_id != line_id and what not in ("rename key", "scene")):
                assert same(content(action), old), (step, what)
        assert [tuple(p.co) for p in own.keyframe_points] == acting, (step, what)
        playing = clips.playing(keys)
        assert len({take_of(a).line_id for a in playing}) == len(playing), (step, what)
        assert {take_of(a).line_id for a in playing} == {s.kmtalk.id for s in strip.sound_strips(scene)}, (step, what)
