"""Sound with a voice and a result without phones: always told, and nothing is told without a reason."""

import numpy as np
import pytest

from kmtalk_core.animator import Animator
from kmtalk_core.assets import ASSETS
from kmtalk_core.audio import Sound, load_sound
from kmtalk_core.localization.unheard import NOTHING, unheard_voice
from kmtalk_core.phones import PHONES, SILENCE, Alignment, Phone
from kmtalk_core.request import Request

RATE = 50.0


def scene(
    voice: tuple[float, float], spoken: tuple[float, float], source: str, voiced: bool = False
) -> tuple[str, ...]:
    """What is told of 10 s in which there is a voice, and phones, at these times; `voiced`: by its pitch alone."""
    phones = [Phone("AA", *spoken)] if spoken[1] > spoken[0] else []
    alignment = Alignment.from_segments(phones, (), 10.0, source)
    log_posteriors = np.full((501, len(PHONES)), -8.0, np.float32)
    time = np.arange(501) / RATE
    speaks = (time > voice[0]) & (time < voice[1])
    log_posteriors[np.arange(501), np.where(speaks & (not voiced), 1, 0)] = 0.0
    return unheard_voice(alignment, log_posteriors, speaks & voiced, RATE)


@pytest.mark.parametrize("source", ["imported", "posterior-forced", "pocketsphinx", "whisper-mfa"])
@pytest.mark.parametrize("voiced", [False, True])
def test_a_voice_in_a_long_silence_is_told(source, voiced):
    (told,) = scene((3.0, 9.0), (0.0, 3.0), source, voiced)
    assert "no phones from 3.0 s to 10.0 s" in told


def test_what_has_phones_or_no_voice_is_not_told():
    assert scene((3.0, 9.0), (3.0, 9.0), "imported") == ()
    assert scene((3.0, 3.4), (0.0, 3.0), "imported") == ()
    assert scene((3.0, 9.0), (0.0, 3.0), "uniform") == ()
    assert scene((3.0, 9.0), (0.0, 3.0), "posterior") == ()  # known as laughter


def test_a_voice_that_the_model_does_not_hear_is_told():
    assert "no phones" in scene((3.0, 9.0), (0.0, 3.0), "posterior", voiced=True)[0]


@pytest.mark.parametrize("source", ["imported", "posterior", "pocketsphinx"])
def test_no_phones_at_all_are_told(source):
    assert scene((0.0, 0.0), (0.0, 0.0), source) == (NOTHING,)


@pytest.fixture(scope="module")
def animator():
    return Animator()


def test_an_alignment_of_nothing_for_real_speech_is_told(animator):
    sound = load_sound(ASSETS / "sample_speech.flac")
    empty = Alignment((Phone(SILENCE, 0.0, sound.duration),), (), sound.duration, "imported")
    assert NOTHING in animator.align(sound, Request(alignment=empty)).warnings
    late = Alignment.from_segments([Phone("M", 0.4, 0.5)], (), sound.duration, "imported")
    assert "A voice is heard" in animator.align(sound, Request(alignment=late)).warnings[-1]
    assert animator.align(sound).warnings == ()


def test_noise_that_is_no_speech_is_told(animator):
    hiss = (1e-3 * np.random.default_rng(0).standard_normal(48000)).astype(np.float32)
    assert animator.animate(Sound(hiss, "", "")).alignment.warnings == (NOTHING,)
