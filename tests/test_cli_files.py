"""Transcripts and alignments from files on the command line, on real sound with the shipped model."""

import os
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import pytest

from kmtalk_core.audio import SAMPLE_RATE, load_sound
from kmtalk_core.command.cli import main
from kmtalk_core.localization.textgrid import load_alignment
from kmtalk_core.results import load_animation

ROOT = Path(__file__).parent.parent
SAMPLE = ROOT / "kmtalk_core" / "assets" / "sample_speech.flac"
SUBTITLES = "1\n00:00:00,000 --> 00:00:02,600\n[cheerful] Hello! <i>My mouth</i>\nmoves by itself now.\n"


@pytest.fixture
def speech(tmp_path):
    path = tmp_path / "line.wav"
    samples = load_sound(SAMPLE, duration=3.2).samples
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, SAMPLE_RATE, 0, "NONE", "NONE"))
        file.writeframes((samples * 32767).astype("<i2").tobytes())
    return path


def run(*arguments):
    return main([str(argument) for argument in arguments])


def test_subtitles_beside_the_sound_are_the_transcript(speech, tmp_path, capsys):
    command = ("align", speech, "--transcript-beside", "--out", tmp_path / "a.json")
    assert run(*command) == 2
    assert "lies no .txt, .srt, .vtt or .lab of its name" in capsys.readouterr().err
    speech.with_suffix(".srt").write_text(SUBTITLES, encoding="utf-16")
    assert run(*command) == 0
    words = [word.label for word in load_alignment(tmp_path / "a.json").words]
    assert words == ["Hello", "My", "mouth", "moves", "by", "itself", "now"]
    speech.with_suffix(".txt").write_text("Hello")
    assert run(*command) == 2
    assert "line.txt and line.srt; name the one that is meant" in capsys.readouterr().err


SHAPES = {
    **dict.fromkeys(("M", "B", "P"), "A"), "F": "G", "V": "G", "L": "H", "AA": "D", "AE": "C", "EH": "C", "AH": "C",
    "AO": "E", "ER": "E", "UW": "F", "OW": "F", "W": "F", "SIL": "X",
}  # fmt: skip


def test_mouth_shapes_move_the_mouth_as_the_phones_do(speech, tmp_path):
    assert (
        run("animate", speech, "--transcript", "Hello! My mouth moves by itself now.", "--out", tmp_path / "phones.npz")
        == 0
    )
    phones = load_animation(tmp_path / "phones.npz")
    lines = [f"{phone.start:.2f}\t{SHAPES.get(phone.label, 'B')}" for phone in phones.alignment.phones]
    shapes = tmp_path / "shapes.tsv"
    shapes.write_text("\n".join([*lines, f"{phones.alignment.duration:.2f}\tX"]) + "\n")
    assert run("animate", speech, "--alignment", shapes, "--out", tmp_path / "shapes.npz") == 0
    drawn = load_animation(tmp_path / "shapes.npz")
    for control in ("jawOpen", "mouthPucker"):
        column = list(phones.control_names).index(control)
        assert np.corrcoef(phones.controls[:, column], drawn.controls[:, column])[0, 1] > 0.8


def test_the_frame_rate_of_mouth_shapes(speech, tmp_path, capsys):
    shapes = tmp_path / "shapes.dat"
    shapes.write_text("MohoSwitch1\n1 rest\n13 AI\n19 MBP\n25 U\n37 rest\n")
    assert run("animate", speech, "--alignment", shapes, "--alignment-fps", 12, "--out", tmp_path / "a.npz") == 0
    assert "frames a second were taken" not in capsys.readouterr().err
    found = [(phone.label, phone.start) for phone in load_animation(tmp_path / "a.npz").alignment.phones]
    assert found[:5] == [("SIL", 0.0), ("AA", 1.0), ("M", 1.5), ("UW", 2.0), ("SIL", 3.0)]
    assert run("animate", speech, "--alignment", shapes, "--out", tmp_path / "a.npz") == 0
    assert "24 frames a second were taken" in capsys.readouterr().err


@pytest.mark.skipif(os.name == "nt", reason="/dev/stdout")
def test_a_result_may_go_to_standard_output(speech, tmp_path):
    """What one command writes has one format, so its name need not say which; export's must."""
    assert run("animate", speech, "--localizer", "uniform", "--out", tmp_path / "a.npz") == 0
    command = [sys.executable, "-m", "kmtalk_core", "animate", str(speech), "--localizer", "uniform"]
    assert subprocess.check_output([*command, "--out", "/dev/stdout"], cwd=ROOT) == (tmp_path / "a.npz").read_bytes()
    assert run("export", tmp_path / "a.npz", "--out", "/dev/null") == 2
