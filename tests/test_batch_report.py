"""The report as a page, and what changed between two versions of a season."""

import csv
import json
import re
import shutil
import subprocess
import wave

import numpy as np
import pytest

from kmtalk_core.assets import REPORT_HEAD
from kmtalk_core.audio import SAMPLE_RATE, Sound
from kmtalk_core.command.batch.diff import differences
from kmtalk_core.command.batch.page import write_page
from kmtalk_core.command.batch.preview import POSED, WIDEST, change_between, opening_of, preview_of, words_of
from kmtalk_core.command.batch.report import Outcome, Report
from kmtalk_core.command.cli import main
from kmtalk_core.errors import InputError
from kmtalk_core.finish.report import contact_report
from kmtalk_core.motion import Animation, KeyMotions
from kmtalk_core.phones import Alignment, Phone, Word
from kmtalk_core.results import save_animation
from kmtalk_core.rig.controls import ALL_CONTROLS

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
NASTY = '</script><script>document.title="broken"</script> & “ü” \u2028'


def speaking(jaw=0.5, label="mama", seconds=1.2):
    """A made-up result whose jaw is open by `jaw` in the middle."""
    times = np.arange(int(30 * seconds)) / 30
    controls = np.zeros((len(times), len(ALL_CONTROLS)), np.float32)
    controls[:, ALL_CONTROLS.index("jawOpen")] = jaw * np.sin(np.pi * times / times[-1])
    phones = (Phone("M", 0.0, 0.3), Phone("AA", 0.3, seconds))
    return Animation(
        fps=30.0,
        times=times,
        control_names=ALL_CONTROLS,
        controls=controls,
        keys=KeyMotions(times[:2], controls[:2]),
        alignment=Alignment(phones, (Word(label, 0.0, seconds, 0.4),), seconds, "made up"),
        audio_sha256="0" * 64,
        model="test",
        features=np.zeros((4, 2), np.float16),
        feature_rate=50.0,
    )


def preview(**how):
    animation = speaking(**how)
    sound = Sound(np.full(round(1.2 * SAMPLE_RATE), 0.5, np.float32), "", "a.wav")
    return preview_of(animation, sound, contact_report(animation))


def test_a_preview_keeps_the_curve_and_the_words():
    kept = preview(jaw=0.5)
    curve, step = opening_of(kept)
    assert len(kept) < 400 and step * (len(curve) - 1) == pytest.approx(1.2, abs=0.01)
    assert curve.argmax() == pytest.approx(len(curve) / 2, abs=2) and 2 < curve.max() <= WIDEST
    assert words_of(kept) == ["mama"]
    assert change_between(kept, kept) == (0.0, 0)
    known = json.loads(kept)
    assert known["keys"] == [0, 1] and len(known["poses"]) == 2 * len(POSED)
    jaw = [known["poses"][n * len(POSED)] for n in range(2)]
    assert jaw[0] == "0" < jaw[1]
    millimetres, words = change_between(kept, preview(jaw=0.25, label="papa"))
    assert millimetres == pytest.approx(curve.max() / 2, abs=1.0) and words == 1


@pytest.fixture
def page(tmp_path):
    reports = (
        Report(
            "a.wav",
            "a.npz",
            "done",
            line="1",
            character="Anna",
            contacts=3,
            confidence=0.9,
            preview=preview(),
            change_mm=1.26,
            change_words=2,
        ),
        Report("d.wav", "d.npz", "done", line="1", character="Anna", language="de", preview=preview(), formats=".mp4"),
        Report("b.wav", "b.npz", "failed", line="2", character="Bob", error=NASTY),
        Report("c d.wav", "c.npz", "done", line="3", contacts=4, missed_contacts=1, own={NASTY: NASTY}, warnings=NASTY),
    )
    write_page(Outcome(reports, tmp_path / "report.csv"), tmp_path / "report.html", NASTY)
    return tmp_path / "report.html"


def test_the_page_holds_its_data_whatever_they_say(page):
    text = page.read_text(encoding="utf-8")
    inside = re.search(r'<script id="data" type="application/json">(.*?)</script>', text, re.DOTALL)[1]
    data = json.loads(inside)
    rows = [dict(zip(data["columns"], row, strict=True)) for row in data["rows"]]
    assert rows[1]["film"] == "d.mp4" and rows[0]["film"] == ""
    del rows[1]
    assert data["title"] == NASTY and rows[1]["error"] == NASTY and rows[2]["own"] == {NASTY: NASTY}
    assert rows[0]["preview"]["words"][0][0] == "mama" and rows[1]["preview"] is None
    assert not re.search(r"https?://(?!www\.w3\.org)", text), "the page must need nothing from elsewhere"


@pytest.mark.skipif(CHROMIUM is None, reason="needs a browser")
def test_a_browser_shows_the_worst_first(page):
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={page.parent / 'profile'}"]
    address = f"{page.as_uri()}?open=1"
    shown = subprocess.run([*command, "--dump-dom", address], capture_output=True, text=True, timeout=120).stdout
    names = re.findall(r'<b title="(.)\.npz">', shown)
    assert names == ["b", "c", "a", "d"]
    assert "broken" not in re.search("<title>(.*?)</title>", shown)[1].split("</")[0][:5]
    detail = re.search(r"<aside.*?</aside>", shown, re.DOTALL)[0]
    assert ">1.3 mm, 2 words<" in shown and "Changed since the version before (1)" in shown
    assert "c.npz" in detail and "3 of 4" in shown and 'class="curve"' in shown
    shown = subprocess.run([*command, "--dump-dom", f"{page.as_uri()}?open=2"], capture_output=True, text=True).stdout
    detail = re.search(r"<aside.*?</aside>", shown, re.DOTALL)[0]
    assert 'class="faces"><canvas' in shown and 'class="speaking"' in detail and 'type="range"' in detail
    assert detail.count("<canvas") == 1 + 2 + 1 and "The same line" in detail and "de · " in detail


def test_versions_of_a_season_are_compared(tmp_path, capsys):
    for folder in ("a", "b/deep", "a/deep"):
        (tmp_path / folder).mkdir(parents=True)
    a, b = tmp_path / "a", tmp_path / "b"
    save_animation(speaking(), a / "same.npz")
    save_animation(speaking(), b / "same.npz")
    save_animation(speaking(0.5), a / "deep" / "moved.npz")
    save_animation(speaking(0.3, "papa"), b / "deep" / "moved.npz")
    save_animation(speaking(), a / "gone.npz")
    save_animation(speaking(), b / "new.npz")
    (a / "bad.npz").write_bytes(b"x")
    (b / "bad.npz").write_bytes(b"y")
    (b / "deep" / "moved.before1.npz").write_bytes(b"kept")
    found = {change.out: change for change in differences(a, b)}
    assert {name: change.status for name, change in found.items()} == {
        "same.npz": "same", "deep/moved.npz": "changed", "gone.npz": "only in A", "new.npz": "only in B",
        "bad.npz": "not comparable",
    }  # fmt: skip
    moved = found["deep/moved.npz"]
    assert 0.5 < moved.opening < 8 and moved.at == pytest.approx(0.6, abs=0.05) and moved.words == 1
    assert main(["diff", str(a), str(b), "--out", str(tmp_path / "changes.csv")]) == 0
    said = capsys.readouterr().out
    assert said.startswith("deep/moved.npz: changed, ") and "1 word\n" in said.replace(",", "\n")
    assert said.endswith("1 same, 1 changed, 1 only in A, 1 only in B, 1 not comparable.\n")
    with (tmp_path / "changes.csv").open(newline="") as file:
        assert next(row["out"] for row in csv.DictReader(file)) == "deep/moved.npz"
    assert main(["diff", str(a), str(b), "--max-mm", "0.1"]) == 1
    assert main(["diff", str(a / "same.npz"), str(b / "same.npz"), "--max-mm", "0"]) == 0
    with pytest.raises(InputError, match="no folder"):
        list(differences(a, tmp_path / "no"))
    (tmp_path / "profile").mkdir()
    with pytest.raises(InputError, match="no results"):
        list(differences(tmp_path / "profile", tmp_path / "profile"))


def test_another_length_is_compared_where_both_last(tmp_path):
    save_animation(speaking(), tmp_path / "a.npz")
    save_animation(speaking(seconds=0.9), tmp_path / "b.npz")
    (change,) = differences(tmp_path / "a.npz", tmp_path / "b.npz")
    assert change.duration == pytest.approx(-0.3) and change.opening > 0.5


def test_edits_survive_a_line_that_changes(tmp_path):
    """With the real model: an edited key is carried to the other text's result, and the former one stays."""
    from kmtalk_core.animator import Animator
    from kmtalk_core.assets import ASSETS
    from kmtalk_core.audio import load_sound
    from kmtalk_core.results import load_animation

    sound = tmp_path / "line.wav"
    samples = load_sound(ASSETS / "sample_speech.flac", duration=3.0).samples
    with wave.open(str(sound), "wb") as file:
        file.setparams((1, 2, SAMPLE_RATE, 0, "NONE", "NONE"))
        file.writeframes((samples * 32767).astype("<i2").tobytes())
    line = {"audio": sound.name, "transcript": "Hello! My mouth moves by itself now."}

    def batch(*options, **changes):
        (tmp_path / "m.json").write_text(json.dumps([line | changes]))
        assert (
            main(["batch", str(tmp_path / "m.json"), "--out", str(tmp_path / "out"), "--workers", "1", *options]) == 0
        )
        return json.loads((tmp_path / "out" / "report.json").read_text())["lines"][0]

    assert batch()["status"] == "done"
    out = tmp_path / "out" / "line.npz"
    made = load_animation(out)
    keys = made.keys
    jaw, key = made.control_names.index("jawOpen"), len(keys.times) // 2
    poses = keys.controls.copy()
    poses[key, jaw] = 0.77
    save_animation(Animator().complete(made, KeyMotions(keys.times, poses)), out)
    edited = out.read_bytes()
    assert batch("--resume")["status"] == "kept" and batch()["status"] == "kept" and out.read_bytes() == edited
    row = batch("--resume", transcript="Hello! My mouth moves by itself now", jaw=0.9)
    assert row["status"] == "carried" and "Edits carried over: 1;" in row["warnings"]
    assert (tmp_path / "out" / "line.before1.npz").read_bytes() == edited
    assert np.isclose(load_animation(out).keys.controls[:, jaw], 0.77, atol=1e-4).any()
    again = out.read_bytes()
    assert batch("--resume", transcript="Hello! My mouth moves by itself now", jaw=0.9)["status"] == "skipped"
    assert batch(transcript="Hello! My mouth moves by itself now", jaw=0.9)["status"] == "kept"
    assert out.read_bytes() == again


def test_the_head_of_reports_is_the_demo_head():
    from tools.make_report_head import report_head

    kept = json.loads(REPORT_HEAD.read_text(encoding="utf-8"))
    made = report_head()
    assert len(kept["shapes"]) == len(POSED) == len(made["shapes"])
    for name in ("points", "faces", "colours"):
        assert abs(len(kept[name]) - len(made[name])) < 0.01 * len(made[name])
