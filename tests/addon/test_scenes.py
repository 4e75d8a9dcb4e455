"""Whole scenes with one push: several heads and strips, faults that stop nothing, stopping, running again."""

import json
import os
import signal
from collections import Counter

import bpy
import pytest
from test_lines import answer, content, edit_jaw

from kmtalk_addon import api, casting, clips, command_line, keyframes, lipsync, scene_box, scenes, session, takes
from kmtalk_addon.job import WorkerGone
from kmtalk_core.errors import InputError, KMTalkError
from kmtalk_core.rig.controls import ARKIT_CONTROLS
from kmtalk_core.service.protocol import Animate, Ping


@pytest.fixture
def shoot(blender, add_strip):
    """Two heads, and a strip with the name of one of them for each name that is given: `shoot("anna 1", "ben 1")`."""

    def make(*names):
        heads = []
        for name in ("Anna", "Ben"):
            bpy.ops.mesh.primitive_grid_add(x_subdivisions=4, y_subdivisions=4)
            heads.append(bpy.context.object)
            heads[-1].name = name
            for block in ("Basis", *ARKIT_CONTROLS):
                heads[-1].shape_key_add(name=block, from_mix=False).value = 0.0
        for number, name in enumerate(names):
            add_strip(1 + 80 * number, name, 1 + number)
        return heads

    return make


@pytest.fixture
def generate(made):
    """Generate the scene with a worker that is played: `generate(bad={"ben 1": "why"}, before=…)`; `before` is called
    with the number of each line."""

    def run(bad=None, before=lambda number: None, options=None, unknown=()):
        scene, count, failing = bpy.context.scene, 0, None
        parts = casting.cast(scene)
        steps = scenes.generate_scene(scene, parts, lambda strip: options or lipsync.Options(), unknown)
        names = {}

        original = lipsync.make

        def noted(scene, strip, *rest):
            names["now"] = strip.name
            return original(scene, strip, *rest)

        lipsync.make = noted
        try:
            request = next(steps)
            assert isinstance(request, Ping)
            done = {}
            while True:
                try:
                    if failing is not None:
                        error, failing = failing, None
                        request = steps.throw(error)
                    else:
                        request = steps.send(done)
                except StopIteration as stop:
                    return stop.value
                if isinstance(request, Animate):
                    count += 1
                    before(count)
                    failing = (bad or {}).get(names["now"])
                done = answer(request, made) if failing is None else {}
        finally:
            lipsync.make = original

    return run


def statuses(outcome) -> dict[str, str]:
    return {line.strip: line.status for line in outcome.lines}


def test_every_strip_comes_to_the_head_that_says_it(shoot, generate):
    anna, ben = shoot("anna 1", "ben 1", "anna 2", "fx")
    bpy.context.scene.sequence_editor.strips_all["fx"].kmtalk.speech = False
    outcome = generate()
    assert statuses(outcome) == {"anna 1": "done", "ben 1": "done", "anna 2": "done", "fx": "left out"}
    assert outcome.summary == "3 lines on 2 heads, 1 left out" and outcome.warnings == ()
    on = {head.name: sorted(clips.take_of(a).name for a in clips.playing(head.data.shape_keys)) for head in (anna, ben)}
    assert on == {"Anna": ["anna 1", "anna 2"], "Ben": ["ben 1"]}


def test_one_bad_strip_stops_nothing_and_is_listed(shoot, generate):
    anna, _ = shoot("anna 1", "ben 1", "who", "ben 2", "ben 3")
    strips = bpy.context.scene.sequence_editor.strips_all
    strips["ben 2"].sound.filepath = "//gone.wav"
    strips["ben 3"].mute = True
    outcome = generate(bad={"ben 1": InputError("The sound is no sound.")}, unknown=("ben 9",))
    assert statuses(outcome) == {
        "anna 1": "done", "ben 1": "failed", "who": "failed", "ben 2": "failed", "ben 3": "left out", "ben 9": "failed",
    }  # fmt: skip
    told = {line.strip: line.told for line in outcome.lines}
    assert told["ben 1"] == "The sound is no sound." and "gone.wav is missing" in told["ben 2"]
    assert "Who says who is not known" in told["who"] and "muted" in told["ben 3"]
    assert len(clips.playing(anna.data.shape_keys)) == 1 and len(outcome.warnings) == 4
    assert outcome.summary == "1 line on 1 head, 1 left out, 4 failed"


def test_what_is_not_heard_is_left_out(shoot, generate):
    shoot("anna 1", "ben 1", "anna 2")
    editor = bpy.context.scene.sequence_editor
    editor.strips_all["ben 1"].volume = 0.0
    editor.channels[editor.strips_all["anna 2"].channel].mute = True
    outcome = generate()
    assert statuses(outcome) == {"anna 1": "done", "ben 1": "left out", "anna 2": "left out"}
    told = {line.strip: line.told for line in outcome.lines}
    assert "has volume 0" in told["ben 1"] and "unmute the channel" in told["anna 2"]


def test_an_error_of_its_own_costs_one_strip_too(shoot, generate, monkeypatch, capsys):
    shoot("anna 1", "ben 1")
    apply = lipsync.apply

    def fail(scene, obj, *rest, **more):
        if obj.name == "Anna":
            raise ZeroDivisionError("oops")
        return apply(scene, obj, *rest, **more)

    monkeypatch.setattr(lipsync, "apply", fail)
    outcome = generate()
    assert statuses(outcome) == {"anna 1": "failed", "ben 1": "done"} and "please report it" in outcome.lines[0].told


def test_running_again_changes_nothing_where_nothing_has_changed(shoot, generate):
    anna, ben = shoot("anna 1", "ben 1", "anna 2")
    generate()
    actions = [a for head in (anna, ben) for a in takes.own_actions(head.data.shape_keys)]
    before = [content(action) for action in actions]
    outcome = generate()
    assert outcome.summary == "3 as before"
    assert [a for head in (anna, ben) for a in takes.own_actions(head.data.shape_keys)] == actions
    assert all((content(a)[p] == b[p]).all() for a, b in zip(actions, before, strict=True) for p in b)


def test_running_again_replaces_only_takes_that_nobody_has_edited(shoot, generate):
    anna, ben = shoot("anna 1", "ben 1")
    generate(options=lipsync.Options(jaw=0.5, keep_keys=False))
    scene = bpy.context.scene
    clip = takes.find_clip(scene, "anna 1", anna)
    frame = edit_jaw(clip, value=0.7)
    edited = content(clip.action)
    other = takes.find_clip(scene, "ben 1", ben).action
    outcome = generate(options=lipsync.Options(keep_keys=False))
    assert statuses(outcome)["anna 1"] == "done"
    assert [t.title for t in api.takes(anna, "anna 1")] == ["Take 1", "Take 2"]
    assert all((content(clip.action)[path] == edited[path]).all() for path in edited), frame
    assert takes.own_actions(ben.data.shape_keys) == [other]


def test_stopping_keeps_what_was_made_so_far(shoot, generate):
    anna, ben = shoot("anna 1", "ben 1", "anna 2")

    def before(number):
        session.current.enough = number == 2

    try:
        outcome = generate(before=before)
    finally:
        session.current.enough = False
    assert statuses(outcome) == {"anna 1": "done", "ben 1": "done", "anna 2": "left out"}
    assert len(clips.playing(anna.data.shape_keys)) == len(clips.playing(ben.data.shape_keys)) == 1


def test_nothing_changes_until_all_is_made(shoot, generate):
    anna, _ = shoot("anna 1", "anna 2")

    def before(number):
        assert not bpy.data.actions and anna.data.shape_keys.animation_data is None

    generate(before=before)
    assert len(takes.own_actions(anna.data.shape_keys)) == 2


def test_whatever_is_changed_meanwhile_costs_its_strip_alone(shoot, generate):
    shoot("anna 1", "ben 1", "anna 2", "ben 2")
    strips = bpy.context.scene.sequence_editor.strips_all

    def before(number):
        if number == 2:
            strips["anna 1"].frame_offset_end = 10
            strips["ben 2"].name = "somebody"
            bpy.context.scene.sequence_editor.strips.remove(strips["anna 2"])

    outcome = generate(before=before)
    assert statuses(outcome) == {"anna 1": "failed", "ben 1": "done", "anna 2": "failed", "ben 2": "done"}
    told = {line.strip: line.told for line in outcome.failed}
    assert "changed meanwhile" in told["anna 1"] and "is gone" in told["anna 2"]


def test_workers_that_die_again_and_again_end_the_work(shoot, generate):
    shoot("anna 1", "ben 1", "anna 2", "ben 2", "anna 3")
    gone = WorkerGone("The worker is gone.")
    outcome = generate(bad={"anna 1": gone, "ben 1": gone, "ben 2": gone, "anna 3": gone})
    assert Counter(statuses(outcome).values()) == {"failed": 4, "done": 1}
    with pytest.raises(WorkerGone):
        generate(bad={"anna 1": gone, "ben 1": gone, "anna 2": gone})


def test_the_list_shows_what_became_of_each_strip_until_its_cause_is_gone(shoot, generate):
    shoot("anna 1", "ben 1", "who")
    scene = bpy.context.scene
    scene_box.remember(scene, generate())
    strips = scene.sequence_editor.strips_all
    shown = {s.name: getattr(scene_box.outcome_of(scene, s), "status", "") for s in strips}
    assert shown == {"anna 1": "done", "ben 1": "done", "who": "failed"}
    strips["who"].kmtalk.speaker = bpy.data.objects["Ben"]
    assert scene_box.outcome_of(scene, strips["who"]) is None
    assert scene_box.parts_shown(bpy.context)["who"] == (("Ben", "chosen"),)
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    assert session.current.outcomes == {}


# --- with a worker ----------------------------------------------------------------------------------------------------


def test_the_api_works_with_one_worker_and_survives_its_end(shoot, monkeypatch):
    anna, ben = shoot("anna 1", "ben 1", "anna 2", "ben 2")
    pids = []
    start = session.Share.__init__

    def kill_once(self, *arguments, **more):
        start(self, *arguments, **more)
        if (worker := session.current.worker) is not None and self.of:
            pids.append(worker.pid)
            if self.of.startswith("2 of") and len(set(pids)) == 1 and len(pids) == 2:
                os.kill(worker.pid, signal.SIGTERM)

    monkeypatch.setattr(session.Share, "__init__", kill_once)
    table = {"anna 2": ben, "ben*": "Ben", "nothing": None}
    outcome = api.generate_scene(table=table, options=lipsync.Options(jaw=0.8))
    assert statuses(outcome) == {
        "anna 1": "done", "ben 1": "failed", "anna 2": "done", "ben 2": "done", "nothing": "failed",
    }  # fmt: skip
    assert "stopped unexpectedly" in outcome.failed[0].told and len(set(pids)) == 2
    assert [(line.head, line.how) for line in outcome.lines][:1] == [("Anna", "strip's name")]
    assert (len(clips.playing(anna.data.shape_keys)), len(clips.playing(ben.data.shape_keys))) == (1, 2)
    assert keyframes.own_action(anna) is not None
    again = api.generate_scene(table={"anna 2": ben}, options=lipsync.Options(jaw=0.8))
    assert statuses(again) == {"anna 1": "as it was", "ben 1": "done", "anna 2": "as it was", "ben 2": "as it was"}


def test_the_button_does_the_same(shoot, capsys):
    anna, _ = shoot("anna 1", "ben 1")
    assert bpy.ops.kmtalk.generate_scene() == {"FINISHED"}
    assert len(session.current.outcomes) == 2 and clips.playing(anna.data.shape_keys)


def test_the_command_line_saves_what_could_be_made(shoot, tmp_path, capsys):
    shoot("anna 1", "ben 1", "who")
    out = tmp_path / "out.blend"
    assert command_line.main(["generate", "--all", "--progress", "json", "--out", str(out)]) == 1
    said = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert any("who: Who says who is not known" in line.get("warning", "") for line in said)
    assert said[-1]["message"] == "2 lines on 2 heads, 1 failed"
    bpy.ops.wm.open_mainfile(filepath=str(out))
    assert len(api.takes(bpy.data.objects["Anna"], "anna 1")) == 1 == len(api.takes(bpy.data.objects["Ben"], "ben 1"))
    (tmp_path / "cast.csv").write_text("strip,head\nwho,Ben\n")
    arguments = ["generate", "--table", str(tmp_path / "cast.csv"), "--out", str(out)]
    assert command_line.main(arguments) == 0


def test_sounds_are_added_for_their_heads_one_after_the_other(shoot, sound, tmp_path, capsys):
    shoot()
    (tmp_path / "bad.wav").write_text("no sound")
    out = tmp_path / "out.blend"
    audio = [word for name in (sound, tmp_path / "bad.wav", sound) for word in ("--audio", str(name))]
    heads = ["--mesh", "Anna", "--mesh", "Ben", "--mesh", "Ben"]
    assert command_line.main(["generate", *audio, *heads, "--out", str(out)]) == 1
    assert "bad.wav: Blender cannot read the sound" in capsys.readouterr().err
    bpy.ops.wm.open_mainfile(filepath=str(out))
    scene = bpy.context.scene
    lies = {
        head: [clips.lie_of(clips.take_of(a)) for a in clips.playing(bpy.data.objects[head].data.shape_keys)]
        for head in ("Anna", "Ben")
    }
    assert [(lie.at, lie.end) for head in lies.values() for lie in head] == [(1, 72), (73, 144)]
    assert scene.frame_end == 250 and scene.sync_mode == "AUDIO_SYNC"
    assert (
        command_line.main(["generate", "--audio", str(tmp_path / "bad.wav"), "--mesh", "Ben", "--out", str(out)]) == 2
    )


def test_several_heads_say_one_sound(shoot, sound, tmp_path, capsys):
    shoot()
    out = tmp_path / "out.blend"
    arguments = ["generate", "--audio", str(sound), "--at", "300", "--mesh", "Anna", "--mesh", "Ben", "--out", str(out)]
    assert command_line.main(arguments) == 0
    bpy.ops.wm.open_mainfile(filepath=str(out))
    ids = {clips.take_of(keyframes.own_action(bpy.data.objects[name])).line_id for name in ("Anna", "Ben")}
    assert len(ids) == 1 and bpy.context.scene.frame_end == 371
    assert command_line.main([*arguments, "--audio", str(sound)]) == 2
    assert command_line.main(["generate", *arguments[1:], "--mesh", "Ben"]) == 0  # a sound more, on all of them


def test_where_nothing_could_be_made_nothing_is_saved(shoot, tmp_path, capsys):
    shoot("who", "what")
    assert command_line.main(["generate", "--all", "--out", str(tmp_path / "out.blend")]) == 1
    assert not (tmp_path / "out.blend").exists() and "nothing was saved" in capsys.readouterr().err


def test_without_strips_it_is_a_sentence(shoot):
    shoot()
    with pytest.raises(KMTalkError, match="There is no sound strip in the scene"):
        api.generate_scene()


def test_a_line_without_any_key_left_is_made_anew(shoot, generate):
    anna, _ = shoot("anna 1")
    generate()
    clip = takes.find_clip(bpy.context.scene, "anna 1", anna)
    for curve in list(keyframes.compat.all_fcurves(clip.action)):
        curve.keyframe_points.clear()
    assert statuses(generate()) == {"anna 1": "done"}
    assert [take.edited for take in api.takes(anna, "anna 1")] == [True, False]
