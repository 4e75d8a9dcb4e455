"""Words that stand out by loudness, pitch or a pressed voice are said bigger, and tense."""

import numpy as np
import pytest

from kmtalk_core.finish.emphasis import SIZE, TENSE, emphasised
from kmtalk_core.phones import Alignment, Phone, Word
from kmtalk_core.rig.controls import SPEECH_CONTROLS

RATE, FPS = 50.0, 30.0
JAW, STRETCH, TONGUE = (SPEECH_CONTROLS.index(name) for name in ("jawOpen", "mouthStretchLeft", "tongueTipUp"))
LOUDNESS, PITCH, BRIGHTNESS = 0, 2, 3


def five_words(labels=True):
    """Words of half a second, from .5 s on, each a vowel between consonants."""
    phones, words = [], []
    for n in range(5):
        at = 0.5 * (n + 1)
        phones += [Phone("D", at, at + 0.1), Phone("AA", at + 0.1, at + 0.4), Phone("D", at + 0.4, at + 0.5)]
        words.append(Word(f"word{n}", at, at + 0.5))
    return Alignment.from_segments(phones, words if labels else (), 3.5, "posterior")


def level_prosody(columns=4):
    out = np.zeros((round(3.5 * RATE), columns))
    out[:, 0] = 0.5
    return out


def jaw_of_each(prosody, strength=1.0, alignment=None, speech=0.5):
    times = np.arange(round(3.5 * FPS)) / FPS
    motion = np.full((len(times), len(SPEECH_CONTROLS)), speech, np.float32)
    out = emphasised(motion, times, alignment or five_words(), prosody, RATE, strength)
    return out, [out[round((0.5 * n + 0.75) * FPS)] for n in range(5)]


@pytest.mark.parametrize(("column", "more"), [(LOUDNESS, 0.3), (PITCH, 5.0), (BRIGHTNESS, 9.0)])
@pytest.mark.parametrize("labels", [True, False])
def test_a_word_that_stands_out_is_bigger_and_its_neighbours_smaller(column, more, labels):
    prosody = level_prosody()
    prosody[round(1.5 * RATE) : round(2.0 * RATE), column] += more
    out, words = jaw_of_each(prosody, alignment=five_words(labels))
    jaws = [word[JAW] for word in words]
    assert jaws[2] > 0.5 > max(jaws[1], jaws[3]) and jaws[2] <= 0.5 * (1 + SIZE) + 1e-6
    assert all(word[TONGUE] == 0.5 for word in words)
    assert np.abs(np.diff(out[:, JAW])).max() < 0.05  # no jump where words meet


def test_a_pressed_voice_tenses_the_lips_and_a_soft_one_does_not():
    prosody = level_prosody()
    prosody[round(1.5 * RATE) : round(2.0 * RATE), BRIGHTNESS] = 12.0
    prosody[round(2.5 * RATE) : round(3.0 * RATE), BRIGHTNESS] = -12.0
    _, words = jaw_of_each(prosody)
    stretched = [word[STRETCH] - word[JAW] for word in words]  # both are scaled alike
    assert 0.5 * TENSE < stretched[2] <= TENSE + 1e-6 and stretched[4] == pytest.approx(0.0, abs=1e-6)
    out, _ = jaw_of_each(prosody, speech=0.0)
    assert not out.any()  # a mouth that is still stays so


def test_level_speech_lone_words_and_strength_0_leave_the_motion_as_it_is():
    out, _ = jaw_of_each(level_prosody())
    assert np.allclose(out, 0.5)
    varied = level_prosody()
    varied[:, 0] += np.linspace(0, 1, len(varied))
    out, _ = jaw_of_each(varied, strength=0.0)
    assert (out == 0.5).all()
    one = Alignment.from_segments([Phone("AA", 1.0, 1.4)], [Word("ah", 1.0, 1.4)], 3.5, "posterior")
    out, _ = jaw_of_each(varied, alignment=one)
    assert (out == 0.5).all()
    for columns in (2, 3):  # of older results
        assert np.isfinite(jaw_of_each(varied[:, :columns])[0]).all()
