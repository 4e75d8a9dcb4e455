"""`kmtalk batch` has a Blender write what it alone can: one for many lines, which ends with the batch."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import addon_utils
import bpy
import numpy as np
import pytest

from kmtalk_addon import compat, deliver_command
from kmtalk_core import __version__
from kmtalk_core.assets import SAMPLE_SPEECH
from kmtalk_core.audio import SAMPLE_RATE, load_sound
from kmtalk_core.command import cli
from kmtalk_core.command.batch import blender as through
from kmtalk_core.command.batch.line import Line
from kmtalk_core.command.batch.origin import origin_of
from kmtalk_core.delivery.catalogs import catalog_id, with_catalogs
from kmtalk_core.delivery.heads import head_at
from kmtalk_core.errors import InputError, KMTalkError, StorageError
from kmtalk_core.export import OF_BLENDER, export_animation

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the stand-ins are shell scripts")
OUT_OF = {".fbx": "import_scene.fbx", ".usdc": "wm.usd_import", ".abc": "wm.alembic_import"}


@pytest.fixture
def speech(tmp_path):
    """A second and a half of the sample speech."""
    import wave

    path = tmp_path / "Größe 1.wav"
    samples = load_sound(SAMPLE_SPEECH).samples[SAMPLE_RATE : SAMPLE_RATE * 5 // 2]
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, SAMPLE_RATE, 0, "NONE", "NONE"))
        file.writeframes((samples * 32767).astype("<i2").tobytes())
    return path


@pytest.fixture
def manifest(tmp_path, speech):
    """Writes a manifest of these lines, and returns its path."""

    def write(*lines):
        path = tmp_path / "lines.json"
        path.write_text(json.dumps([{"audio": speech.name, **line} for line in lines]), encoding="utf-8")
        return path

    return write


def batch(manifest, *options) -> int:
    out = manifest.parent / "out"
    return cli.main(["batch", str(manifest), "--out", str(out), "--workers", "1", *map(str, options)])


def report(manifest) -> list[dict]:
    return json.loads((manifest.parent / "out" / "report.json").read_text(encoding="utf-8"))["lines"]


def shown() -> float:
    """By how much the only mesh of the file moves, m."""
    (obj,) = (obj for obj in bpy.data.objects if obj.type == "MESH")
    poses = []
    for frame in range(1, 30, 3):
        bpy.context.scene.frame_set(frame)
        mesh = obj.evaluated_get(bpy.context.evaluated_depsgraph_get()).data
        points = np.empty((len(mesh.vertices), 3), np.float32)
        mesh.vertices.foreach_get("co", points.ravel())
        poses.append(points)
    return float(np.abs(np.array(poses) - poses[0]).max())


def test_a_line_comes_out_in_every_format(blender, blender_program, manifest, tmp_path):
    lines = manifest(
        {"out": "anna 1", "character": "Anna", "formats": "fbx usdc abc blend scene.blend csv"},
        {"out": "part", "start": 0.25, "duration": 1.0, "formats": "scene.blend"},
    )
    assert batch(lines, "--style", "lively", "--jaw", "0.9") == 0
    out = lines.parent / "out"
    assert [row["warnings"] for row in report(lines)] == ["", ""]
    for ending, importer in OUT_OF.items():
        bpy.ops.wm.read_homefile(use_empty=True)
        addon_utils.enable("io_scene_fbx")
        group, name = importer.split(".")
        settings = {"as_background_job": False} if ending == ".abc" else {}
        getattr(getattr(bpy.ops, group), name)(filepath=str(out / f"anna 1{ending}"), **settings)
        assert 0.003 < shown() < 0.05, ending
    with bpy.data.libraries.load(str(out / "anna 1.blend")) as (source, target):
        target.actions = list(source.actions)
    (action,) = target.actions
    assert action.asset_data.catalog_id == str(catalog_id("Anna")) and action.frame_range[0] == 1
    assert (out / "blender_assets.cats.txt").read_text(encoding="utf-8") == with_catalogs("", ["Anna"])
    for name, last in (("anna 1", 46), ("part", 31)):
        bpy.ops.wm.open_mainfile(filepath=str(out / f"{name}.scene.blend"))
        (line,) = compat.all_strips(bpy.context.scene)
        assert Path(bpy.path.abspath(line.sound.filepath)).resolve() == (tmp_path / "Größe 1.wav").resolve()
        at = compat.handles(line)
        assert (at.left, at.offset) == (1, 8 if name == "part" else 0) and abs(at.right - last) <= 1
        assert 0.003 < shown() < 0.05 and line.kmtalk.jaw == pytest.approx(0.9)
        assert line.kmtalk.speaker.name == ("Anna" if name == "anna 1" else through.NOBODY)


def test_a_template_has_the_heads_and_is_looked_at_before_the_first_line(
    blender, blender_program, manifest, tmp_path, capsys
):
    demo = head_at(None)
    for name in ("Anna_head", "Ben"):
        bpy.context.scene.collection.objects.link(deliver_command.head_object(demo, name))
    bpy.context.scene.render.fps = 25
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "cast.blend"))
    asked = {"formats": "scene.blend", "template": "cast.blend", "fps": 25}
    lines = manifest(
        {"out": "one", "character": "anna", **asked},
        {"out": "two", "character": "Cleo", **asked},
        {"out": "three", "character": "Ben", **asked, "fps": 24},
    )
    assert batch(lines, "--dry-run") == 1
    said = capsys.readouterr()
    assert "1 to make, 2 to fail" in said.out and not (tmp_path / "out").exists()
    assert "cast.blend has no head for Cleo; its heads are: Anna_head, Ben." in said.err
    assert "cast.blend has 25 frames a second and the line 24; give it --fps 25." in said.err
    assert batch(lines) == 1
    assert [row["status"] for row in report(lines)] == ["done", "failed", "failed"]
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "out" / "one.scene.blend"))
    moved = {obj.name for obj in bpy.data.objects if obj.type == "MESH" and obj.data.shape_keys.animation_data}
    assert moved == {"Anna_head"}


def test_another_template_is_another_line_where_blender_writes_one(tmp_path, speech):
    template = tmp_path / "cast.blend"
    lines = [Line(audio=speech, template=template, formats=formats) for formats in ((".csv",), (".fbx",))]
    template.write_bytes(b"one")
    before = [origin_of(line, "model") for line in lines]
    template.write_bytes(b"other one")
    after = [origin_of(line, "model") for line in lines]
    assert (before[0] == after[0], before[1] == after[1]) == (True, False)


def test_a_batch_that_is_killed_takes_its_blender_along(blender_program, manifest, tmp_path):
    lines = manifest({"out": "one", "formats": "scene.blend"}, {"out": "two", "formats": "blend"})
    beside = tmp_path / "pids"
    program = blender_program.read_text(encoding="utf-8").replace("exec", f"echo $$ >> {beside}\nexec")
    blender_program.write_text(program, encoding="utf-8")
    command = [sys.executable, "-m", "kmtalk_core", "batch", lines, "--out", tmp_path / "out", "--workers", "1"]
    with subprocess.Popen([*map(str, command)], cwd=Path(__file__).parents[2]) as running:
        until = time.monotonic() + 300
        while not (tmp_path / "out" / "one.npz").is_file() and time.monotonic() < until:
            time.sleep(0.05)
        while len(beside.read_text(encoding="utf-8").split()) < 2 and time.monotonic() < until:
            time.sleep(0.05)
        running.send_signal(signal.SIGKILL)
    last = int(beside.read_text(encoding="utf-8").split()[-1])
    while lives(last) and time.monotonic() < until:
        time.sleep(0.05)
    assert not lives(last)
    assert cli.main(["batch", *map(str, command[4:]), "--resume"]) == 0
    assert {path.suffix for path in (tmp_path / "out").glob("[ot]*.*")} == {".npz", ".blend"}
    assert not [path for path in (tmp_path / "out").glob(".*") if "kmtalk-batch" not in path.name]


def lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{process}/stat").read_bytes().rpartition(b")")[2].split()[0] != b"Z"


FAKE = """#!{python}
import json, sys
hello = {hello}
print("Blender 9.9", flush=True)
print({mark!r} + json.dumps(hello), flush=True)
for number, line in enumerate(sys.stdin):
    exec({body!r})
"""


@pytest.fixture
def fake(tmp_path):
    """A program that says it is a Blender, and does `body` for each request (`line`, `number`)."""

    def make(body="", **hello):
        about = {"kmtalk": __version__, "blender": "9.9", "lacks": [], **hello}
        path = tmp_path / "fake"
        path.write_text(FAKE.format(python=sys.executable, hello=about, mark=through.MARK, body=body), encoding="utf-8")
        path.chmod(0o755)
        return str(path)

    return make


ANSWER = f"print({through.MARK!r} + json.dumps({{'told': [line[:3]]}}), flush=True)"


def test_a_blender_that_cannot_do_it_is_told_before_the_first_line(fake, tmp_path, monkeypatch):
    line = Line(audio=Path("a.wav"), out="a.npz", formats=(".usdc", ".fbx"))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv(through.VARIABLE, raising=False)
    assert through.refused_lines([Line(audio=Path("a.wav"), formats=(".csv",))]) == {}
    with pytest.raises(InputError, match="none on the path: name its program with --blender"):
        through.refused_lines([line])
    with pytest.raises(InputError, match="There is no program /no/where"):
        through.refused_lines([line], "/no/where")
    with pytest.raises(InputError, match=r"Blender 9.9 .* was built without .usdc; name one of blender.org"):
        through.refused_lines([line], fake(lacks=[".usdc", ".abc"]))
    with pytest.raises(InputError, match=r"is version 0\.0\.1, and this is"):
        through.refused_lines([line], fake(kmtalk="0.0.1"))
    with pytest.raises(InputError, match="needs KMTalk's extension to be enabled"):
        through.refused_lines([line], "/bin/false")
    monkeypatch.setenv(through.VARIABLE, fake())
    assert through.refused_lines([line]) == {}


def test_a_blender_that_dies_is_replaced_and_one_that_hangs_is_not_waited_for(fake, monkeypatch):
    with through.Blender(fake(ANSWER)) as blender:
        assert blender.write({"a": 1}, [".fbx"]) == ('{"a',)
        first = blender._process.pid
        blender.write({}, [".fbx"])
        assert blender._process.pid == first
        monkeypatch.setattr(through, "CHUNK", 3)
        blender.write({}, [".fbx"])
        assert blender._process is None
    with through.Blender(fake(f"if number: sys.exit()\n{ANSWER}")) as blender:
        assert blender.write({}, [".fbx"]) and blender.write({}, [".fbx"])
    with through.Blender(fake("print('Oh dear', file=sys.stderr); sys.exit()")) as blender:
        for _ in range(2):
            with pytest.raises(KMTalkError, match=r"Blender ended while it worked \(Oh dear\)"):
                blender.write({}, [".fbx"])
    said = f"print({through.MARK!r} + json.dumps({{'error': 'Full.', 'storage': True}}), flush=True)"
    with through.Blender(fake(said)) as blender, pytest.raises(StorageError, match="Full"):
        blender.write({}, [".fbx"])
    monkeypatch.setattr(through, "PATIENCE", 0.5)
    line = Line(audio=Path("a.wav"), formats=(".fbx",), template=Path(__file__))
    with pytest.raises(KMTalkError):
        through.refused_lines([line], fake("import time; time.sleep(60)"))


def test_heads_are_found_by_character():
    assert through.head_for("Anna", ["Anna_head", "Anna"]) == "Anna"
    assert through.head_for("anna", ["Anna_head", "Ben"]) == "Anna_head"
    assert through.head_for("anna", ["Anna_1", "Anna_2"]) == "" == through.head_for("", ["a", "b"])
    assert through.head_for("", ["Head"]) == "Head"


def test_other_commands_say_what_writes_these(tmp_path):
    for ending in OF_BLENDER:
        with pytest.raises(InputError, match="Only Blender writes"):
            export_animation(None, tmp_path / f"a{ending}")
