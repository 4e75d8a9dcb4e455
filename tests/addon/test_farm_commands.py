"""A file's lines go to `kmtalk batch` and come back as what *Generate Lip Sync* would have made."""

import csv
import json
import shutil
import sys
from pathlib import Path

import bpy
import numpy as np
import pytest
from test_lines import content

from kmtalk_addon import api, clips, command_line, compat, keyframes, lipsync, strip, takes
from kmtalk_core.assets import SAMPLE_SPEECH
from kmtalk_core.command import cli
from kmtalk_core.command.batch.blender import VARIABLE
from kmtalk_core.rig.controls import ARKIT_CONTROLS

TEXT = SAMPLE_SPEECH.with_suffix(".txt").read_text(encoding="utf-8").strip() + ' And "so", on.'


@pytest.fixture
def shot(blender, tmp_path):
    """Two heads and four strips: trimmed, packed, muted, and of nobody."""
    sound = tmp_path / "Größe 1.flac"
    shutil.copy(SAMPLE_SPEECH, sound)

    def add_strip(frame, name, channel):
        return compat.add_sound_strip(bpy.context.scene, name, str(sound), channel, frame)

    for name in ("Anna", "Ben"):
        bpy.ops.mesh.primitive_grid_add(x_subdivisions=4, y_subdivisions=4)
        bpy.context.object.name = name
        for block in ("Basis", *ARKIT_CONTROLS):
            bpy.context.object.shape_key_add(name=block, from_mix=False).value = 0.0
    bpy.context.scene.render.fps, bpy.context.scene.render.fps_base = 30, 1.001
    trimmed = add_strip(50, "anna: 1", 1)
    trimmed.frame_offset_start, trimmed.frame_offset_end = 20, 200
    trimmed.kmtalk.transcript, trimmed.kmtalk.jaw, trimmed.kmtalk.expression = TEXT, 0.5, "happy"
    packed = add_strip(200, "ben 1", 2)
    packed.sound.pack()
    add_strip(300, "ANNA: 1", 3).mute = True
    add_strip(400, "who", 4)
    return trimmed, packed


def rows(path) -> list[dict[str, str]]:
    with Path(path).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def run(*arguments) -> int:
    return command_line.main([str(argument) for argument in arguments])


def test_there_and_back_is_what_would_have_been_made_here(shot, tmp_path, capsys):
    trimmed, packed = shot
    lists = tmp_path / "lists"
    lists.mkdir()
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shot.blend"))
    assert run("manifest", "--out", lists / "m.csv") == 0
    said = capsys.readouterr().err
    assert "who of Scene: Who says who is not known" in said and "ANNA: 1 of Scene" in said and "muted" in said
    first, second = rows(lists / "m.csv")
    assert (first["out"], first["character"], first["jaw"]) == ("Scene/Anna/anna_ 1", "Anna", "0.5")
    assert (first["first_frame"], first["last_frame"], first["channel"]) == ("70", "195", "1")
    assert second["audio"] == "m_files/sounds/Scene/Ben/ben 1.flac" and "intensity" not in first
    assert Path(first["audio"]).is_absolute() and first["transcript"] == TEXT

    assert cli.main(["batch", str(lists / "m.csv"), "--out", str(tmp_path / "results"), "--workers", "1"]) == 0
    trimmed.name = "line 1"  # it has no id yet, so that it is lost; the other one moves
    packed.frame_start += 33
    assert run("apply", lists / "m.csv", tmp_path / "results", "--out", tmp_path / "done.blend") == 1
    assert "anna: 1 on Anna: The strip is gone" in capsys.readouterr().err
    trimmed.name = "anna: 1"
    assert run("apply", lists / "m.csv", tmp_path / "results", "--out", tmp_path / "done.blend") == 0
    homes = {name: keyframes.own_action(bpy.data.objects[name]) for name in ("Anna", "Ben")}
    lie = clips.lie_of(clips.take_of(homes["Ben"]))
    assert (lie.at, lie.end) == (233, 578)
    got = {name: content(action) for name, action in homes.items()}
    for name, line in (("Anna", trimmed), ("Ben", packed)):
        obj = bpy.data.objects[name]
        said_before = takes.loaded(clips.take_of(homes[name]).result).alignment
        api.remove(obj)
        wish = command_line.scene_commands.wishes(command_line.argparse.Namespace(), line)
        api.generate(obj, line.name, options=wish)
        here = content(keyframes.own_action(obj))
        assert here.keys() == got[name].keys() and all(np.array_equal(here[path], got[name][path]) for path in here)
        said = takes.loaded(clips.take_of(keyframes.own_action(obj)).result).alignment
        assert (said.phones, said.words) == (said_before.phones, said_before.words)

    assert run("apply", lists / "m.csv", tmp_path / "results", "--out", tmp_path / "done.blend") == 0
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "done.blend"))
    assert [t.title for name in homes for t in api.takes(bpy.data.objects[name])] == ["Take 1", "Take 1"]


def test_what_the_animator_did_meanwhile_stays(shot, tmp_path):
    trimmed, _ = shot
    assert run("manifest", "--out", tmp_path / "m.json", "--scene", "Scene") == 0
    assert cli.main(["batch", str(tmp_path / "m.json"), "--out", str(tmp_path / "results"), "--workers", "1"]) == 0
    anna = bpy.data.objects["Anna"]
    out = ["--out", tmp_path / "done.blend"]
    assert run("apply", tmp_path / "m.json", tmp_path / "results", *out) == 0
    trimmed.kmtalk.jaw = 1.0
    clip = takes.find_clip(bpy.context.scene, trimmed.name, anna)
    curve = next(c for c in compat.channels(clip.action).fcurves if "jawOpen" in c.data_path)
    point = [p for p in curve.keyframe_points if p.type == "KEYFRAME"][2]
    point.co[1], frame = 0.77, point.co[0]
    trimmed.frame_offset_start = 30
    assert run("apply", tmp_path / "m.json", tmp_path / "results", *out) == 0
    assert [t.title for t in api.takes(anna, trimmed.name)] == ["Take 1", "Take 2"] and trimmed.kmtalk.jaw == 1.0
    clip = takes.find_clip(bpy.context.scene, trimmed.name, anna)
    curve = next(c for c in compat.channels(clip.action).fcurves if "jawOpen" in c.data_path)
    assert curve.evaluate(frame) == pytest.approx(0.77, abs=1e-3)
    assert clips.lie_of(clip.take).at == 80 and clip.line.start == pytest.approx(20 * 1.001 / 30)


def test_results_that_are_missing_or_of_something_else_are_told(shot, tmp_path, capsys):
    assert run("manifest", "--out", tmp_path / "m.csv") == 0
    assert run("apply", tmp_path / "m.csv", tmp_path / "nowhere", "--out", tmp_path / "done.blend") == 1
    said = capsys.readouterr().err
    assert "run the batch again with --resume" in said and "nothing was saved" in said
    assert not (tmp_path / "done.blend").exists()
    results = tmp_path / "results" / "Scene" / "Ben"
    results.mkdir(parents=True)
    (results / "ben 1.npz").write_text("no result")
    assert run("apply", tmp_path / "m.csv", tmp_path / "results", "--out", tmp_path / "done.blend") == 1
    assert "ben 1 on Ben: " in capsys.readouterr().err


def test_results_of_any_manifest_come_into_a_template_with_their_sounds(shot, tmp_path, made, capsys):
    scene, sound, results = bpy.context.scene, tmp_path / "Größe 1.flac", tmp_path / "results"
    scene.render.fps_base = 1.0
    for line in list(strip.sound_strips(scene)):
        (scene.sequence_editor.strips if compat.NEW_STRIP_NAMES else scene.sequence_editor.sequences).remove(line)
    length = 4
    _, result = made(strip.Played("x", str(sound), 0.0, length, 1, 1.0, 30.0, 1.0))
    (results / "a").mkdir(parents=True)
    lines = []
    for out, who, frame in (("a/one", "anna", ""), ("two", "Ben", ""), ("three", "Anna", "20"), ("four", "Zoe", "")):
        (results / f"{out}.npz").write_bytes(result)
        row = {"audio": str(sound), "out": f"{out}.npz", "character": who, "own": {"frame": frame} if frame else {}}
        lines.append({**row, "status": "done"})
    (results / "report.json").write_text(json.dumps({"lines": lines}))
    assert run("apply", results / "report.json", results, "--out", tmp_path / "shot.blend") == 1
    said = capsys.readouterr().err
    assert "Who says it is not known (Zoe); the heads of the file are: Anna, Ben." in said
    placed = sorted((compat.handles(line).left, line.channel, line.name) for line in strip.sound_strips(scene))
    first = next(line for line in strip.sound_strips(scene) if line.name == "a/one")
    end = compat.handles(first).right
    assert placed == [(1, 1, "a/one"), (20, 3, "three"), (end, 2, "two")]
    anna = [clips.take_of(action).name for action in clips.playing(bpy.data.objects["Anna"].data.shape_keys)]
    assert sorted(anna) == ["a/one", "three"]
    assert clips.lie_of(clips.take_of(keyframes.own_action(bpy.data.objects["Ben"]))).at == end
    scene.render.fps = 24
    assert run("apply", results / "report.json", results, "--out", tmp_path / "shot.blend") == 1
    assert "run the batch with --fps 24" in capsys.readouterr().err


def test_corrections_shapes_and_odd_names_travel_beside_the_manifest(shot, tmp_path, made):
    trimmed, packed = shot
    scene, anna = bpy.context.scene, bpy.data.objects["Anna"]
    line = strip.read_line(scene, trimmed)
    lipsync.apply(scene, anna, trimmed, line, *made(line))
    clip = takes.find_clip(scene, trimmed.name, anna)
    clip.take.phones[0].name = "AA"
    packed.name, packed.kmtalk.speaker = "Anna_ 1", anna
    assert run("manifest", "--out", tmp_path / "m.csv") == 0
    first, second = rows(tmp_path / "m.csv")
    assert first["out"] == "Scene/Anna/anna_ 1" and second["out"] == "Scene/Anna/Anna_ 1.2"
    kept = json.loads((tmp_path / first["corrections"]).read_text())
    assert kept["corrections"][0]["label"] == "AA" and first["strip_id"] == trimmed.kmtalk.id
    assert first["mesh"] == "m_files/heads/Anna.npz" and (tmp_path / first["mesh"]).is_file()
    shutil.rmtree(tmp_path / "m_files")


def test_a_file_without_lines_is_a_sentence(blender, tmp_path, capsys):
    assert run("manifest", "--out", tmp_path / "m.csv") == 2
    assert "There is no line in the file" in capsys.readouterr().err and not (tmp_path / "m.csv").exists()
    assert run("manifest", "--scene", "X", "--out", tmp_path / "m.csv") == 2


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in is a shell script")
def test_a_batch_takes_the_lines_of_a_blend(shot, blender_program, tmp_path, capsys):
    blend, results = tmp_path / "shot.blend", tmp_path / "results"
    bpy.ops.wm.save_as_mainfile(filepath=str(blend))
    assert cli.main(["batch", str(blend), "--out", str(results), "--dry-run"]) == 0
    said = capsys.readouterr()
    assert "2 lines: 2 to make" in said.out and not results.exists() and "Who says who is not known" in said.err
    assert cli.main(["batch", str(blend), "--out", str(results), "--workers", "1"]) == 0
    assert (results / "shot.csv").is_file() and (results / "Scene" / "Ben" / "ben 1.npz").is_file()
    assert run("apply", results / "shot.csv", results, "--out", tmp_path / "done.blend") == 0
    capsys.readouterr()
    assert cli.main(["batch", str(blend), "--out", str(results), "--resume", "--progress", "json"]) == 0
    assert "2 skipped" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("program", "says"),
    [
        ("", "needs Blender with KMTalk"),
        ("/no/where", "There is no program /no/where"),
        ("/bin/false", "extension to be enabled"),
    ],
)
def test_without_blender_it_is_a_sentence(tmp_path, monkeypatch, capsys, program, says):
    monkeypatch.setenv(VARIABLE, program)
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "x.blend").write_bytes(b"x")
    assert cli.main(["batch", str(tmp_path / "x.blend"), "--out", str(tmp_path / "out")]) in (1, 2)
    assert says in capsys.readouterr().err
