"""Lines that hear a part of their sound, as a strip of Blender plays it."""

import json

import numpy as np
import pytest

from kmtalk_core.assets import SAMPLE_SPEECH
from kmtalk_core.audio import load_sound
from kmtalk_core.command.batch.line import Line
from kmtalk_core.command.batch.manifest import ManifestError, read_manifest
from kmtalk_core.command.batch.origin import origin_of
from kmtalk_core.command.cli import main
from kmtalk_core.results import load_animation
from kmtalk_core.service.protocol import Animate
from kmtalk_core.service.worker import serve


def test_a_part_is_as_the_worker_of_blender_makes_it(tmp_path):
    subtitles = (
        "1\n00:00:00,000 --> 00:00:01,000\nNot heard.\n\n2\n00:00:02,000 --> 00:00:05,000\nAll mixed together.\n"
    )
    (tmp_path / "said.srt").write_text(subtitles)
    (tmp_path / "words.json").write_text(
        json.dumps(
            {"corrections": [{"tier": "word", "at": 2.5, "label": "mister"}, {"tier": "word", "at": 0.5}]}
        ).replace('"at": 0.5}', '"at": 0.5, "label": "no"}')
    )
    (tmp_path / "m.csv").write_text(
        "audio,out,start,duration,as_strip,transcript_file,corrections,fps\n"
        f'{SAMPLE_SPEECH},one,"2,25",2.5,true,said.srt,words.json,24\n'
    )
    assert main(["batch", str(tmp_path / "m.csv"), "--out", str(tmp_path / "out"), "--workers", "1"]) == 0
    ours = load_animation(tmp_path / "out" / "one.npz")
    serve(
        Animate(
            str(SAMPLE_SPEECH), str(tmp_path / "theirs.npz"), 2.25, 2.5, True, subtitles, fps=24.0,
            corrections=[{"tier": "word", "at": 2.5, "label": "mister"}],
        ),
        lambda fraction, message: None,
    )  # fmt: skip
    theirs = load_animation(tmp_path / "theirs.npz")
    assert np.array_equal(ours.controls, theirs.controls) and np.array_equal(ours.keys.times, theirs.keys.times)
    assert [w.label for w in ours.alignment.words] == [w.label for w in theirs.alignment.words]
    assert "mister" in [w.label for w in ours.alignment.words]
    assert ours.origin.part == pytest.approx((2.25, 2.5, 0.0)) and theirs.origin.part == ()


def test_parts_are_other_lines_and_whole_files_are_as_before(tmp_path):
    line = Line(audio=SAMPLE_SPEECH)
    part = Line(audio=SAMPLE_SPEECH, start=1.0)
    assert origin_of(line, "m") != origin_of(part, "m") != origin_of(Line(audio=SAMPLE_SPEECH, as_strip=True), "m")
    assert not line.is_part and part.is_part and load_sound(SAMPLE_SPEECH).delay == 0.0


@pytest.mark.parametrize("cell", ["-1", "soon", "nan", "inf"])
def test_times_that_are_none_name_their_row(tmp_path, cell):
    (tmp_path / "a.wav").write_bytes(b"x")
    (tmp_path / "m.csv").write_text(f"audio,start\na.wav,{cell}\n")
    with pytest.raises(ManifestError, match=r"row 2: start .* is no time in seconds"):
        read_manifest(tmp_path / "m.csv")
