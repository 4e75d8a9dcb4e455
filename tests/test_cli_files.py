"""Transcripts and alignments from files on the command line, on real sound with the shipped model."""

import shutil
from pathlib import Path

import pytest

from kmtalk_core.cli import main
from kmtalk_core.localization.textgrid import load_alignment
from kmtalk_core.motion import load_animation

SAMPLE = Path(__file__).parent.parent / "kmtalk_core" / "assets" / "sample_speech.flac"
SUBTITLES = "1\n00:00:00,000 --> 00:00:02,600\n[cheerful] Hello! <i>My mouth</i>\nmoves by itself now.\n"


@pytest.fixture
def speech(tmp_path):
    path = tmp_path / "line.flac"
    shutil.copy(SAMPLE, path)
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


def test_mouth_shapes_move_the_mouth_as_drawn(speech, tmp_path, capsys):
    shapes = tmp_path / "shapes.dat"
    shapes.write_text("MohoSwitch1\n1 rest\n13 AI\n19 MBP\n25 U\n37 rest\n")
    assert run("animate", speech, "--alignment", shapes, "--alignment-fps", 24, "--out", tmp_path / "a.npz") == 0
    assert "24 frames" not in capsys.readouterr().err
    animation = load_animation(tmp_path / "a.npz")

    def mean(control, start, end):
        column = list(animation.control_names).index(control)
        return float(animation.controls[round(start * 30) : round(end * 30), column].mean())

    assert mean("jawOpen", 0.55, 0.7) > 2 * mean("jawOpen", 0.82, 0.95)  # AI is open, MBP closed
    assert mean("mouthPucker", 1.1, 1.4) > 3 * mean("mouthPucker", 0.55, 0.7)  # U is rounded
    assert mean("jawOpen", 2.5, 3.5) < 0.5 * mean("jawOpen", 0.55, 0.7)  # rest
    assert run("animate", speech, "--alignment", shapes, "--out", tmp_path / "a.npz") == 0
    assert "24 frames a second were taken" in capsys.readouterr().err
