"""Messages become requests in one way: times count from the sound that was read, and nothing outside of it is taken."""

import json

import numpy as np
import pytest

from kmtalk_core.audio import SAMPLE_RATE, Sound
from kmtalk_core.errors import InputError
from kmtalk_core.localization.corrections import Correction
from kmtalk_core.service.protocol import Animate, Correct
from kmtalk_core.service.requests import OTHER_SOUND, correction_of, request_of

SUBTITLES = "1\n00:00:00,500 --> 00:00:01,500\nHello.\n\n2\n00:00:02,500 --> 00:00:03,500\nYellow.\n"
WORDS = [{"word": "hello", "start": 0.5, "end": 1.0}, {"word": "yellow", "start": 2.5, "end": 3.0}]
SOUND = Sound(np.zeros(2 * SAMPLE_RATE, np.float32), "a" * 64, "part.wav")


def test_every_setting_of_a_message_arrives():
    given = {"jaw": 0.5, "head": 0.0, "expression": "sad", "fps": 25.0, "key_rule": "both", "language": "de", "seed": 3}
    request, warnings = request_of(Animate(audio="a.wav", out="o.npz", **given), SOUND)
    assert {name: getattr(request, name) for name in given} == given and not warnings
    with pytest.raises(InputError, match="Jaw"):
        request_of(Animate(audio="a.wav", out="o.npz", jaw=3.0), SOUND)


def test_subtitles_alignments_and_corrections_are_those_of_the_part(tmp_path):
    (tmp_path / "words.json").write_text(json.dumps({"words": WORDS}), encoding="utf-8")
    corrections = [{"tier": "word", "at": at, "label": "hey"} for at in (0.7, 2.7, 9.0)]
    message = Animate(
        audio="a.wav", out="o.npz", start=2.0, duration=2.0, transcript=SUBTITLES,
        alignment=str(tmp_path / "words.json"), corrections=corrections,
    )  # fmt: skip
    request, _ = request_of(message, SOUND)
    assert request.transcript == "Yellow."
    assert [(w.label, w.start) for w in request.alignment.words] == [("yellow", 0.5)]
    (correction,) = request.corrections
    assert isinstance(correction, Correction) and correction.at == pytest.approx(0.7)
    wish = correction_of(Correct(animation="", audio="", out="", corrections=corrections, start=2.0), SOUND)
    assert [c.at for c in wish.corrections] == [pytest.approx(0.7)]


def test_corrections_of_another_sound_are_told():
    message = Animate(
        audio="a", out="o", corrections=[{"tier": "word", "at": 0.5, "label": "x"}], corrections_of="b" * 64
    )
    request, warnings = request_of(message, SOUND)
    assert request.corrections == () and warnings == (OTHER_SOUND,)
