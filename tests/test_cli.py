"""The command line as a user meets it: real sound, the shipped model, real files."""

import csv
import errno
import json
import os
import signal
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import pytest

from kmtalk_core import files
from kmtalk_core.assets import DEMO_HEAD
from kmtalk_core.audio import SAMPLE_RATE, load_sound
from kmtalk_core.command import cli
from kmtalk_core.command.batch.manifest import COLUMNS as LINE_COLUMNS
from kmtalk_core.command.batch.report import COLUMNS as REPORT_COLUMNS
from kmtalk_core.command.batch.report import STATUSES
from kmtalk_core.command.cli import main
from kmtalk_core.files import load_npz, save_npz
from kmtalk_core.localization import LOCALIZERS
from kmtalk_core.results import load_animation
from kmtalk_core.rig.mesh import load_mesh

ROOT = Path(__file__).parent.parent
SAMPLE = ROOT / "kmtalk_core" / "assets" / "sample_speech.flac"
TEXT = "Hello! My mouth moves by itself now."


@pytest.fixture(scope="module")
def speech(tmp_path_factory):
    """The first seconds of the sample speech, under a name that is not ASCII."""
    path = tmp_path_factory.mktemp("sound") / "grüße 1.wav"
    samples = load_sound(SAMPLE, duration=2.6).samples
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, SAMPLE_RATE, 0, "NONE", "NONE"))
        file.writeframes((samples * 32767).astype("<i2").tobytes())
    return path


@pytest.fixture(scope="module")
def result(speech):
    """What animate makes of it."""
    out = speech.with_name("result.npz")
    assert main(["animate", str(speech), "--transcript", TEXT, "--out", str(out)]) == 0
    return out


def run(*arguments):
    return main([str(a) for a in arguments])


def test_animate_writes_the_published_arrays_and_is_silent_when_piped(speech, tmp_path, capsys):
    assert run("animate", speech, "--transcript", TEXT, "--fps", "24000/1001", "--out", tmp_path / "a.npz") == 0
    assert capsys.readouterr() == ("", "")
    z = load_npz(tmp_path / "a.npz")
    assert float(z["fps"]) == pytest.approx(23.976, abs=1e-3)
    np.testing.assert_allclose(np.diff(z["times"]), 1001 / 24000)
    assert z["controls"].shape == (len(z["times"]), len(z["control_names"]))
    assert "jawOpen" in z["control_names"]
    assert z["key_controls"].shape == (len(z["key_times"]), len(z["control_names"]))
    np.testing.assert_array_equal(z["key_frames"], np.rint(z["key_times"] * z["fps"]))
    assert "mouth" in [word.lower() for word in z["word_labels"]]
    assert len(str(z["audio_sha256"])) == 64
    assert list(tmp_path.iterdir()) == [tmp_path / "a.npz"]


def test_same_input_gives_the_same_bytes_and_another_seed_does_not(speech, result, tmp_path):
    command = ("animate", speech, "--transcript", TEXT)
    assert run(*command, "--out", tmp_path / "a.npz") == 0
    assert (tmp_path / "a.npz").read_bytes() == result.read_bytes()
    assert run(*command, "--seed", 1, "--out", tmp_path / "b.npz") == 0
    assert (tmp_path / "b.npz").read_bytes() != result.read_bytes()


def test_progress_as_json_lines(speech, tmp_path, capsys):
    assert run("animate", speech, "--out", tmp_path / "a.npz", "--progress", "json") == 0
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    fractions = [line["progress"] for line in lines if "progress" in line]
    assert fractions == sorted(fractions)
    assert len(fractions) > 2
    assert lines[-1]["result"] == str(tmp_path / "a.npz")


@pytest.mark.parametrize("large", [files.LARGE, 0])
def test_vertices_are_those_of_the_mesh(speech, tmp_path, monkeypatch, large):
    monkeypatch.setattr(files, "LARGE", large)
    assert run("animate", speech, "--mesh", DEMO_HEAD, "--vertices", "--fps", 5, "--out", tmp_path / "a.npz") == 0
    animation, mesh = load_animation(tmp_path / "a.npz"), load_mesh(DEMO_HEAD)
    assert animation.vertices.shape == (len(animation.times), len(mesh.vertices), 3)
    np.testing.assert_array_equal(animation.faces, mesh.faces)
    assert np.abs(animation.vertices - mesh.vertices).max() < 0.1 * np.ptp(mesh.vertices)


def test_alignment_survives_the_way_through_a_textgrid(speech, tmp_path):
    assert run("align", speech, "--transcript", TEXT, "--out", tmp_path / "a.TextGrid") == 0
    assert run("align", speech, "--transcript", TEXT, "--out", tmp_path / "a.json") == 0
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    assert run("animate", speech, "--alignment", tmp_path / "a.TextGrid", "--out", tmp_path / "a.npz") == 0
    labels = [phone.label for phone in load_animation(tmp_path / "a.npz").alignment.phones]
    assert "M" in labels and "AW" in labels


def test_complete_keeps_edited_keys_and_without_edits_everything(result, tmp_path):
    before = load_animation(result)
    assert run("complete", result, "--keys", result, "--out", tmp_path / "same.npz") == 0
    np.testing.assert_allclose(load_animation(tmp_path / "same.npz").controls, before.controls, atol=1e-6)

    keys = before.keys.controls.copy()
    keys[len(keys) // 2, before.control_names.index("jawOpen")] = 0.7
    save_npz({"key_times": before.keys.times, "key_controls": keys}, tmp_path / "keys.npz")
    assert run("complete", result, "--keys", tmp_path / "keys.npz", "--out", tmp_path / "new.npz") == 0
    after = load_animation(tmp_path / "new.npz")
    np.testing.assert_allclose(after.keys.controls, keys, atol=1e-6)
    assert np.abs(after.controls - before.controls).max() > 0.1


def test_complete_says_that_vertices_are_left_out(speech, tmp_path, capsys):
    with_vertices = tmp_path / "a.npz"
    assert run("animate", speech, "--mesh", DEMO_HEAD, "--vertices", "--fps", 5, "--out", with_vertices) == 0
    assert run("complete", with_vertices, "--keys", with_vertices, "--out", tmp_path / "b.npz") == 0
    assert "--mesh" in capsys.readouterr().err
    assert load_animation(tmp_path / "b.npz").vertices is None
    command = ("complete", with_vertices, "--keys", with_vertices, "--mesh", DEMO_HEAD, "--out", tmp_path / "c.npz")
    assert run(*command) == 0
    again, first = load_animation(tmp_path / "c.npz").vertices, load_animation(with_vertices).vertices
    np.testing.assert_allclose(again, first, atol=1e-6)


def test_contacts_are_checked_and_an_opened_p_is_told(result, tmp_path, capsys):
    assert run("check", result, "--mesh", DEMO_HEAD, "--out", tmp_path / "r.json") == 0
    assert "contacts are held" in capsys.readouterr().out
    report = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
    assert report["contacts"] == report["held"] > 3 and report["measured_on_mesh"]
    animation = load_animation(result)
    middle = next((p.start + p.end) / 2 for p in animation.alignment.phones if p.label == "M")
    controls = animation.keys.controls.copy()
    key = int(np.abs(animation.keys.times - middle).argmin())
    names = animation.control_names
    controls[key, names.index("jawOpen")], controls[key, names.index("mouthClose")] = 0.5, 0.0
    save_npz({"key_times": animation.keys.times, "key_controls": controls}, tmp_path / "keys.npz")
    assert run("complete", result, "--keys", tmp_path / "keys.npz", "--out", tmp_path / "b.npz") == 0
    assert "animator's keys" in capsys.readouterr().err
    assert run("check", tmp_path / "b.npz") == 1
    line, _ = capsys.readouterr().out.splitlines()
    assert "M of 'my'" in line.replace("'My'", "'my'") and "by the animator's key" in line and "mm apart" in line
    assert run("check", tmp_path / "b.npz", "--out", tmp_path / "r.txt") == 2


def test_sliders_act_and_contacts_stay(speech, result, tmp_path, capsys):
    sliders = ("--intensity", 1.6, "--jaw", 0.7, "--lips", 1.2, "--smoothing", 0.8, "--offset", 0.05)
    assert run("animate", speech, "--transcript", TEXT, *sliders, "--out", tmp_path / "a.npz") == 0
    assert run("check", tmp_path / "a.npz") == 0
    slid, plain = load_animation(tmp_path / "a.npz"), load_animation(result)
    assert slid.sliders.smoothing == 0.8 and slid.sliders.offset == 0.05
    jaw = plain.control_names.index("jawOpen")
    assert np.abs(np.diff(slid.controls[:, jaw], 2)).mean() < np.abs(np.diff(plain.controls[:, jaw], 2)).mean()
    assert run("animate", speech, "--smoothing", 3, "--out", tmp_path / "b.npz") == 2


def test_export_reaches_the_file(result, tmp_path):
    assert run("export", result, "--out", tmp_path / "a.csv") == 0
    assert len((tmp_path / "a.csv").read_text().splitlines()) == len(load_animation(result).times) + 1


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["animate", "missing.wav", "--out", "{tmp}/a.npz"], "missing.wav"),
        (["animate", "{speech}", "--out", "{tmp}/a.txt"], ".npz"),
        (["animate", "{speech}", "--out", "{tmp}/no/a.npz"], "does not exist"),
        (["animate", "{speech}", "--out", "{tmp}"], "{tmp}"),
        (["animate", "{speech}"], "--out"),
        (["animate", "{speech}", "--fps", "0", "--out", "{tmp}/a.npz"], "--fps"),
        (["animate", "{speech}", "--fps", "1/0", "--out", "{tmp}/a.npz"], "--fps"),
        (["animate", "{speech}", "--fps", "nan", "--out", "{tmp}/a.npz"], "--fps"),
        (["animate", "{speech}", "--seed", "-1", "--out", "{tmp}/a.npz"], "--seed"),
        (["animate", "{speech}", "--vertices", "--out", "{tmp}/a.npz"], "--mesh"),
        (["animate", "{speech}", "--mesh", "no.ply", "--vertices", "--out", "{tmp}/a.npz"], "no.ply"),
        (["animate", "{speech}", "--transcript-file", "no.txt", "--out", "{tmp}/a.npz"], "no.txt"),
        (["animate", "{speech}", "--alignment", "no.TextGrid", "--out", "{tmp}/a.npz"], "no.TextGrid"),
        (["animate", "{speech}", "--checkpoint", "no.npz", "--out", "{tmp}/a.npz"], "no.npz"),
        (["animate", "{speech}", "--localizer", "magic", "--out", "{tmp}/a.npz"], "magic"),
        (["animate", __file__, "--out", "{tmp}/a.npz"], "test_cli.py"),
        (["complete", "{speech}", "--keys", "{speech}", "--out", "{tmp}/a.npz"], "{speech}"),
        (["export", "{speech}", "--out", "{tmp}/a.fbx"], ".fbx"),
        (["batch", "no.csv", "--out", "{tmp}/b"], "no.csv"),
        (["export", __file__, "--out", "{tmp}/a.csv"], "test_cli.py"),
        (["dance"], "dance"),
    ],
)
def test_wrong_input_is_one_line_and_status_2(speech, tmp_path, capsys, arguments, named):
    fill = {"speech": str(speech), "tmp": str(tmp_path)}
    assert main([argument.format(**fill) for argument in arguments]) == 2
    out, error = capsys.readouterr()
    assert out == ""
    assert error.startswith("kmtalk: ") and error.count("\n") == 1
    assert named.format(**fill) in error
    assert not list(tmp_path.iterdir())


def test_errors_are_json_lines_too(tmp_path, capsys):
    assert run("animate", "missing.wav", "--out", tmp_path / "a.npz", "--progress", "json") == 2
    assert "missing.wav" in json.loads(capsys.readouterr().err)["error"]
    assert run("animate", "missing.wav", "--progress", "json", "--fps", "abc") == 2
    assert "--fps" in json.loads(capsys.readouterr().err)["error"]


def test_paths_that_the_system_refuses_are_one_line(tmp_path, capsys):
    assert run("animate", SAMPLE, "--out", tmp_path / ("x" * 300 + ".npz")) == 1
    assert capsys.readouterr().err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_unusable_meshes_are_told_before_the_work(speech, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("kmtalk_core.animator.Animator.animate", lambda *_: pytest.fail("worked in vain"))
    assert run("animate", speech, "--mesh", "no.ply", "--vertices", "--out", tmp_path / "a.npz") == 2
    assert "no.ply" in capsys.readouterr().err


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="only where disk space can be reserved")
def test_a_full_disk_is_told_before_the_vertices_are_computed(speech, tmp_path, capsys, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files, "LARGE", 0)
    monkeypatch.setattr(os, "posix_fallocate", full)
    assert run("animate", speech, "--mesh", DEMO_HEAD, "--vertices", "--fps", 5, "--out", tmp_path / "a.npz") == 1
    error = capsys.readouterr().err
    assert "No space" in error and error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_keys_outside_of_the_sound_are_told(result, tmp_path, capsys):
    before = load_animation(result)
    keys = {
        "key_times": [-1.0, *before.keys.times],
        "key_controls": before.keys.controls[[0, *range(len(before.keys.times))]],
    }
    save_npz({name: np.asarray(values) for name, values in keys.items()}, tmp_path / "keys.npz")
    assert run("complete", result, "--keys", tmp_path / "keys.npz", "--out", tmp_path / "new.npz") == 0
    assert "outside of the sound: 1;" in capsys.readouterr().err
    assert load_animation(tmp_path / "new.npz").keys.times[0] == -1.0


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for a single process")
@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_interrupting_leaves_nothing_behind(tmp_path, kind):
    command = [
        sys.executable,
        "-m",
        "kmtalk_core",
        "animate",
        SAMPLE,
        "--out",
        tmp_path / "a.npz",
        "--progress",
        "json",
    ]

    def heed() -> None:  # a shell that runs the tests in the background has its children ignore SIGINT
        signal.signal(kind, signal.SIG_DFL)

    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=ROOT, preexec_fn=heed) as process:
        process.stderr.readline()
        process.send_signal(kind)
        rest = process.stderr.read()
    assert process.returncode == 1
    assert "Traceback" not in rest
    assert not list(tmp_path.iterdir())


@pytest.fixture
def manifest(speech, tmp_path):
    """Two lines that work, one whose sound is missing, one that names an unreadable transcript."""
    path = tmp_path / "lines.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["audio", "transcript", "transcript_file", "out", "fps"])
        rows.writerow([speech, TEXT, "", "scene 1/hello", "25"])
        rows.writerow(["missing.wav", "", "", "", ""])
        rows.writerow([speech, "", "", "second", ""])
        rows.writerow([speech, "", "missing.txt", "third.npz", ""])
    return path


def report_of(folder):
    with (folder / "report.csv").open(newline="", encoding="utf-8") as file:
        return {row["out"]: row for row in csv.DictReader(file)}


def test_batch_goes_on_after_failures_and_resumes(manifest, tmp_path, capsys):
    out = tmp_path / "out"
    assert run("batch", manifest, "--out", out, "--workers", 2) == 1
    assert "missing.wav" in capsys.readouterr().err
    report = report_of(out)
    assert {name: row["status"] for name, row in report.items()} == {
        "scene 1/hello.npz": "done", "missing.npz": "failed", "second.npz": "done", "third.npz": "failed",
    }  # fmt: skip
    assert float(report["second.npz"]["duration"]) == pytest.approx(2.6, abs=0.01)
    assert float(report["second.npz"]["times_real_time"]) > 0
    assert "missing.txt" in report["third.npz"]["error"]
    assert load_animation(out / "scene 1" / "hello.npz").fps == 25

    written = (out / "second.npz").stat().st_mtime_ns
    (manifest.parent / "missing.txt").write_text(TEXT)
    assert run("batch", manifest, "--out", out, "--resume") == 1
    statuses = {name: row["status"] for name, row in report_of(out).items()}
    assert statuses["second.npz"] == "skipped" and statuses["third.npz"] == "done"
    assert (out / "second.npz").stat().st_mtime_ns == written


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("audio,intensty\na.wav,1\n", "is intensity meant?"),
        ("audio,fps\na.wav,fast\n", "fast"),
        ("audio,vertices\na.wav,true\n", "mesh"),
        ("audio,out\na.wav,../a\n", "out of the output folder"),
        ("audio,language\na.wav,klingon\n", "'klingon' is unknown"),
        ("audio,key_rule\na.wav,all\n", "boundaries"),
        ("audio,key_density\na.wav,2\n", "0 to 1"),
        ("audio,transcript\na.wav,Hello, you\n", "quotes"),
        ("audio\nx/a.wav\ny/a.wav\n", "row 3: a.npz is what row 2 writes too"),
        ("transcript\nhello\n", "audio"),
        ("", "no lines"),
    ],
)
def test_wrong_manifests_name_the_line(tmp_path, capsys, text, named):
    (tmp_path / "m.csv").write_text(text)
    assert run("batch", tmp_path / "m.csv", "--out", tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert "m.csv" in error and named in error and error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_manifest_says_all_that_animate_can(speech, tmp_path, capsys):
    """Each column acts as the option of its name; separated by semicolons, as German Excel does."""
    fix = tmp_path / "fix.json"
    fix.write_text(json.dumps({"corrections": [{"tier": "word", "at": 0.6, "label": "Yellow"}]}))
    settings = {
        "key_rule": "both", "key_density": "0.5", "jaw": "0.7", "lips": "1.2", "smoothing": "0.3", "offset": "0.1",
        "head": "0", "expression": "happy", "expression_strength": "0.5", "fps": "24000/1001", "language": "en",
    }  # fmt: skip
    (tmp_path / "m.csv").write_text(
        ";".join(["audio", "transcript", "out", "corrections", *settings])
        + "\n"
        + ";".join([str(speech), TEXT, "line", "fix.json", *settings.values()])
        + "\n",
        encoding="utf-8",
    )
    assert run("batch", tmp_path / "m.csv", "--out", tmp_path / "out") == 0, capsys.readouterr().err
    options = [part for name, value in settings.items() for part in (f"--{name.replace('_', '-')}", value)]
    alone = tmp_path / "alone.npz"
    assert run("animate", speech, "--transcript", TEXT, "--corrections", fix, *options, "--out", alone) == 0
    assert (tmp_path / "out" / "line.npz").read_bytes() == alone.read_bytes()
    assert "Yellow" in [w.label for w in load_animation(alone).alignment.words]
    row = report_of(tmp_path / "out")["line.npz"]
    assert int(row["contacts"]) > 3 and int(row["missed_contacts"]) == 0


def test_missed_contacts_are_reported_for_each_line(speech, tmp_path):
    (tmp_path / "m.json").write_text(json.dumps([{"audio": str(speech), "transcript": TEXT, "intensity": 0}]))
    assert run("batch", tmp_path / "m.json", "--out", tmp_path / "out") == 0
    row = report_of(tmp_path / "out")["grüße 1.npz"]
    # Lips at rest are closed, but nothing touches the teeth.
    assert 0 < int(row["missed_contacts"]) < int(row["contacts"])


def test_json_manifest(speech, tmp_path):
    (tmp_path / "m.json").write_text(json.dumps([{"audio": str(speech), "localizer": "uniform", "seed": 3}]))
    assert run("batch", tmp_path / "m.json", "--out", tmp_path / "out") == 0
    assert load_animation(tmp_path / "out" / "grüße 1.npz").alignment.source == "uniform"


def test_the_manual_has_every_option_and_every_column():
    manual = (ROOT / "docs" / "command_line.md").read_text(encoding="utf-8")
    commands = next(a for a in cli.build_parser()._actions if isinstance(a.choices, dict)).choices
    options = {
        o for sub in commands.values() for a in sub.parser._actions for o in a.option_strings if o.startswith("--")
    }
    named = {*options, *LINE_COLUMNS, *REPORT_COLUMNS, *STATUSES, *LOCALIZERS}
    assert [name for name in sorted(named - {"--help"}) if f"`{name}" not in manual] == []


def test_doctor_finds_everything_that_is_needed(capsys):
    assert run("doctor") == 0
    report = capsys.readouterr().out
    assert "onnxruntime" in report and "kmtalk-" in report
    assert "aligned by the model itself" in report  # transcripts need no other tool


def test_commands_answer_what_newer_versions_of_argparse_ask():
    """Python 3.14, which Blender's newest has, looks at the help of each command's parser."""
    from kmtalk_core.command.arguments import Command

    command = Command(run=lambda: None, describe=lambda sub: None)
    assert command._check_help(None) is None
    assert "parser" not in vars(command), "no parser is made for that"
