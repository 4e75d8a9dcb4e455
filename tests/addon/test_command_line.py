"""`blender -b FILE --command kmtalk …` without the work of the worker, which blender_tests/ has."""

import csv
import json
import struct
from pathlib import Path
from types import SimpleNamespace

import bpy
import numpy as np
import pytest

from kmtalk_addon import command_line, command_tools, delivery, lipsync, operators
from kmtalk_addon.strip import read_line
from kmtalk_core.results import load_animation


@pytest.fixture
def line(head, add_strip, made):
    """A line that was animated, from frame 50 on."""
    strip = add_strip(50)
    line = read_line(bpy.context.scene, strip)
    lipsync.apply(bpy.context.scene, head, strip, line, *made(line))
    bpy.context.view_layer.objects.active = head
    return line


def last_line(capsys) -> str:
    return capsys.readouterr().err.strip().splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["generate", "--strip", "Nobody", "--out", "x.blend"], "There is no sound strip Nobody"),
        (["generate", "--mesh", "Nobody", "--out", "x.blend"], "There is no object Nobody in the file"),
        (["generate", "--scene", "Nobody", "--out", "x.blend"], "There is no scene Nobody in the file"),
        (["generate", "--out", "x.txt"], r"must end in .blend"),
        (["generate", "--out", "/no/where/x.blend"], "The folder /no/where does not exist"),
        (["generate", "--jaw", "5", "--out", "x.blend"], "out of range"),
        (["complete", "--strip", "Nobody", "--out", "x.blend"], "Nobody has not been animated on"),
        (["bake", "--out", "x.abc"], "must end in .mdd or .pc2"),
        (["export", "--out", "x.bvh"], "must end in"),
        (["dance"], "invalid choice"),
        ([], "COMMAND"),
    ],
)
def test_wrong_input_is_one_line_and_status_2(line, capsys, arguments, says):
    assert command_line.main(arguments) == 2
    said = capsys.readouterr().err
    assert says in said and said.count("\n") == 1 and "Traceback" not in said


def test_a_line_without_animation(head, add_strip, capsys, tmp_path):
    add_strip(50)
    bpy.context.view_layer.objects.active = head
    assert command_line.main(["export", "--out", str(tmp_path / "x.csv")]) == 2
    assert "generate it first" in last_line(capsys)


def test_errors_are_json_if_asked_for(line, capsys):
    assert command_line.main(["generate", "--progress", "json", "--mesh", "Nobody", "--out", "x.blend"]) == 2
    assert "no object Nobody" in json.loads(last_line(capsys))["error"]


def test_help_is_no_error(blender, capsys):
    assert command_line.main(["generate", "--help"]) == 0
    assert "blender -b FILE --command kmtalk generate" in capsys.readouterr().out


def test_export_writes_what_the_curves_show(line, head, curves, tmp_path, capsys):
    jaw = curves(head)["jawOpen"]
    jaw.curve.keyframe_points[3].co[1] = 0.3125
    path = tmp_path / "line.csv"
    assert command_line.main(["export", "--progress", "json", "--out", str(path)]) == 0
    rows = list(csv.DictReader(path.open(encoding="utf-8")))
    assert len(rows) == len(jaw.frames) and float(rows[3]["jawOpen"]) == 0.3125
    assert json.loads(last_line(capsys))["result"] == str(path)
    assert command_line.main(["export", "--out", str(tmp_path / "line.npz")]) == 0
    assert len(load_animation(tmp_path / "line.npz").times) == len(rows)


def test_bake_writes_the_vertices_of_every_frame(line, head, tmp_path):
    key = head.data.shape_keys.key_blocks["jawOpen"]
    key.data[5].co.z -= 1.0
    head.modifiers.new("Finer", "SUBSURF")
    path = tmp_path / "line.mdd"
    assert command_line.main(["bake", "--out", str(path)]) == 0
    frames, points = struct.unpack(">ii", path.read_bytes()[:8])
    assert (frames, points) == (line.last_frame - line.first_frame + 1, len(head.data.vertices))
    baked = np.frombuffer(path.read_bytes()[8 + 4 * frames :], ">f4").reshape(frames, points, 3)
    for frame in (0, frames // 2):
        bpy.context.scene.frame_set(line.first_frame + frame)
        rest = head.data.shape_keys.reference_key.data[5].co.z
        assert baked[frame, 5, 2] == pytest.approx(rest - key.value, abs=1e-5)


def test_options_that_are_given_win_over_the_panels(line, head):
    strip = bpy.context.scene.sequence_editor.strips_all[0]
    strip.kmtalk.jaw = 0.5
    options = command_line.build_parser().parse_args(["generate", "--lips", "1.5", "--seed", "7", "--out", "x.blend"])
    wished = command_tools.wishes(options, strip)
    assert (wished.jaw, wished.lips, wished.seed) == (0.5, 1.5, 7)
    assert wished.localizer == operators.options_of(bpy.context, strip).localizer
    given = command_line.build_parser().parse_args(["generate", "--transcript", "Hello.", "--out", "x.blend"])
    assert command_tools.wishes(given, strip).transcript == "Hello."


def test_complete_saves_the_file(line, head, tmp_path, monkeypatch):
    done = lipsync.Outcome("12 key motions", ("a warning",))

    def steps(scene, strip_name, obj):
        return done
        yield

    monkeypatch.setattr(lipsync, "complete", steps)
    monkeypatch.setattr(command_line, "work", lambda steps, progress: done)
    path = tmp_path / "Größe.blend"
    assert command_line.main(["complete", "--out", str(path)]) == 0
    assert path.stat().st_size > 10_000 and Path(bpy.data.filepath) != path


def test_a_bug_of_the_worker_is_status_1(line, monkeypatch, capsys):
    def fail(steps, progress):
        raise OSError(28, "No space left on device", "out.npz")

    monkeypatch.setattr(command_line, "work", fail)
    assert command_line.main(["complete", "--out", "x.blend"]) == 1
    assert last_line(capsys).startswith("kmtalk: The disk is full; free some space")


def test_a_batch_is_handed_on_with_all_its_options(monkeypatch):
    called = []

    def start(command, **_):
        called.append(json.loads(command[-1]))
        return SimpleNamespace(returncode=3)

    monkeypatch.setattr(command_line.subprocess, "run", start)
    given = ["batch", "m.csv", "--out", "results", "--resume", "--jaw", "0.5", "--shard", "1/2", "--progress", "json"]
    assert command_line.main(given) == 3
    assert called == [given]
    assert command_line.main(["batch", "m.csv", "--out", "results", "--jaw", "3"]) == 2
    assert len(called) == 1


@pytest.mark.parametrize("ending", ["fbx", "usdc", "abc", "glb"])
def test_blenders_exporters_write_the_head_over_the_frames_of_the_line(line, head, tmp_path, ending):
    path = tmp_path / f"line.{ending}"
    for point in head.data.shape_keys.key_blocks["jawOpen"].data:
        point.co.z -= 0.5
    start, end = bpy.context.scene.frame_start, bpy.context.scene.frame_end
    assert command_line.main(["export", "--out", str(path)]) == 0
    assert (bpy.context.scene.frame_start, bpy.context.scene.frame_end) == (start, end)
    assert [p.name for p in tmp_path.iterdir() if p.suffix == f".{ending}"] == [path.name]
    seen = shown_again(path)
    assert np.ptp(seen, axis=0).max() > 1e-3  # it moves


def shown_again(path) -> np.ndarray:
    """(T, V, 3) the vertices that Blender shows of an exported file, on the frames of the line."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.context.scene.render.fps = 24
    importers = {"fbx": "import_scene.fbx", "usdc": "wm.usd_import", "abc": "wm.alembic_import",
                 "glb": "import_scene.gltf"}  # fmt: skip
    group, name = importers[path.suffix[1:]].split(".")
    settings = {"as_background_job": False} if name == "alembic_import" else {}
    getattr(getattr(bpy.ops, group), name)(filepath=str(path), **settings)
    (obj,) = [obj for obj in bpy.data.objects if obj.type == "MESH"]
    found = []
    for frame in range(0, 140, 2):
        bpy.context.scene.frame_set(frame)
        mesh = obj.evaluated_get(bpy.context.evaluated_depsgraph_get()).data
        found.append(np.array([vertex.co[:] for vertex in mesh.vertices]))
    return np.stack(found)


def test_a_library_has_an_action_asset_for_each_line(line, head, add_strip, made, tmp_path):
    second = add_strip(300, "Line 2")
    played = read_line(bpy.context.scene, second)
    lipsync.apply(bpy.context.scene, head, second, played, *made(played))
    actions = set(bpy.data.actions)
    assert command_line.main(["export", "--all", "--formats", "blend,csv", "--out", str(tmp_path / "out")]) == 0
    assert set(bpy.data.actions) == actions
    (library,) = (tmp_path / "out").glob("*.blend")
    assert len(list((tmp_path / "out").glob("*.csv"))) == 2
    catalogs = (tmp_path / "out" / "blender_assets.cats.txt").read_text(encoding="utf-8")
    bpy.ops.wm.read_factory_settings(use_empty=True)
    with bpy.data.libraries.load(str(library)) as (source, target):
        target.actions = list(source.actions)
    assert len(target.actions) == 2
    for action in target.actions:
        assert action.asset_data is not None and f"{action.asset_data.catalog_id}:Lip sync/Köpf" in catalogs
        assert "KMTalk" in [tag.name for tag in action.asset_data.tags] and action.frame_range[0] == 1.0
        assert tuple(action.preview.image_size) == (128, 128)
        assert not len(action.kmtalk_takes) if hasattr(action, "kmtalk_takes") else "kmtalk_takes" not in action


def test_exports_that_cannot_be_are_sentences(line, tmp_path, capsys, monkeypatch):
    folder = str(tmp_path / "out")
    monkeypatch.setitem(delivery.EXPORTERS, ".usdc", delivery.Exporter("wm.no_such_export", {}))
    assert command_line.main(["export", "--all", "--formats", "usdc,csv", "--out", folder]) == 1
    said = capsys.readouterr().err
    assert "This Blender was built without .usdc" in said and len(list(Path(folder).iterdir())) == 1
    assert command_line.main(["export", "--all", "--out", folder]) == 2
    assert "Say with --formats" in last_line(capsys)
    assert command_line.main(["export", "--all", "--formats", "bvh", "--out", folder]) == 2
    assert "There is no format bvh" in last_line(capsys)
    assert command_line.main(["export", "--formats", "fbx", "--out", f"{folder}.fbx"]) == 2
    assert "--formats is for --all" in last_line(capsys)
