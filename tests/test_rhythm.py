"""Pitch, phrases and accents: what brows, blinks and head follow."""

import json
from pathlib import Path

import numpy as np
import pytest

from kmtalk_core.audio import load_sound
from kmtalk_core.finish.rhythm import find_rhythm
from kmtalk_core.phones import SILENCE, VOWELS, Alignment, Phone, Word
from kmtalk_core.pitch import pitch_contour

SHARED = Path(__file__).parent.parent.parent / "shared"
JFK = SHARED / "data" / "speech" / "clips" / "jfk.flac"
REFERENCE = SHARED / "judge" / "reference_phones.json"


@pytest.mark.parametrize("hertz", [85.0, 150.0, 300.0])
def test_pitch_of_a_gliding_voice(hertz):
    t = np.arange(3 * 16_000) / 16_000
    semitones = 4 * np.sin(2 * np.pi * 0.5 * t)
    phase = 2 * np.pi * np.cumsum(hertz * 2 ** (semitones / 12)) / 16_000
    voice = sum(np.sin(k * phase) / k for k in range(1, 12)).astype(np.float32)
    voice += 0.05 * np.random.default_rng(0).standard_normal(len(t)).astype(np.float32)
    found = pitch_contour(voice, 50.0, 151)
    expected = 4 * np.sin(2 * np.pi * 0.5 * np.arange(151) / 50)
    assert np.abs(found - found.mean() - (expected - expected.mean()))[5:-5].max() < 0.5


def test_no_voice_has_no_pitch():
    assert not pitch_contour(np.zeros(16_000, np.float32), 50.0, 51).any()
    assert not pitch_contour(np.zeros(0, np.float32), 50.0, 1).any()


def test_pieces_do_not_show(monkeypatch):
    rng = np.random.default_rng(0)
    t = np.arange(4 * 16_000) / 16_000
    voice = (np.sin(2 * np.pi * 140 * t) + np.sin(2 * np.pi * 280 * t) + 0.1 * rng.standard_normal(len(t))).astype("f")
    whole = pitch_contour(voice, 50.0, 201)
    monkeypatch.setattr("kmtalk_core.pitch.CHUNK", 37)
    assert np.allclose(pitch_contour(voice, 50.0, 201), whole, atol=1e-3)


def syllables(loud: int, count: int = 12, words: tuple[Word, ...] = ()):
    phones = [Phone("AA" if k % 2 else "T", 0.1 * k, 0.1 * (k + 1)) for k in range(2 * count)]
    prosody = np.full((int(0.2 * count * 50) + 1, 3), 0.3)
    prosody[10 * loud + 5 : 10 * loud + 10, 0] = 1.0
    return find_rhythm(Alignment(tuple(phones), words, 0.2 * count, "test"), prosody, 50.0)


def test_the_loudest_vowel_is_the_strongest_accent():
    rhythm = syllables(loud=6)
    best = rhythm.accents[np.argmax(rhythm.strengths)]
    assert 1.3 - 1e-6 <= best <= 1.4 + 1e-6
    assert rhythm.prominence_at(np.array([1.35, -1.0, 99.0])).tolist()[1:] == [0, 0]
    assert rhythm.prominence_at(np.array([1.35]))[0] > 0.9


def test_function_words_yield_to_others():
    words = tuple(Word("the" if k in (2, 6) else "stone", 0.2 * k, 0.2 * k + 0.2) for k in range(12))
    plain, known = syllables(loud=20), syllables(loud=20, words=words)
    in_the = [2 * 0.2 + 0.15, 6 * 0.2 + 0.15]
    assert (known.prominence_at(np.array(in_the)) < plain.prominence_at(np.array(in_the))).all()


def test_phrases_end_at_pauses_and_questions_rise():
    phones = (Phone("AA", 0, 1.5), Phone(SILENCE, 1.5, 2.0), Phone("AA", 2.0, 3.5), Phone(SILENCE, 3.5, 4.0))
    prosody = np.zeros((201, 3))
    prosody[155:200, 2] = np.linspace(0, 12, 45)
    rhythm = find_rhythm(Alignment(phones, (), 4.0, "test"), prosody, 50.0)
    assert [(p.start, p.end, p.rising) for p in rhythm.phrases] == [(0, 1.5, 0.0), (2.0, 3.5, 1.0)]


def test_a_hair_more_of_pitch_or_length_decides_about_no_gesture():
    def rising(semitones, length):
        phones = (Phone("AA", 0, length), Phone(SILENCE, length, 4.0))
        prosody = np.zeros((201, 3))
        last = round(50 * length)
        prosody[last - 18 : last, 2] = np.linspace(0, semitones, 18)
        return find_rhythm(Alignment(phones, (), 4.0, "test"), prosody, 50.0).phrases[0].rising

    risen = [rising(semitones, 2.0) for semitones in np.arange(0, 12, 0.25)]
    assert risen[0] == 0.0 and risen[-1] == 1.0 and max(np.diff(risen)) < 0.25
    longer = [rising(12.0, length) for length in np.arange(0.4, 2.0, 0.02)]
    assert longer[0] == 0.0 and longer[-1] == 1.0 and max(np.diff(longer)) < 0.25


def test_without_phones_the_loud_moments_are_accents():
    prosody = np.zeros((251, 2))
    prosody[100:110, 0] = 1.0
    alignment = Alignment((Phone(SILENCE, 0, 5.0),), (), 5.0, "uniform")
    assert np.abs(find_rhythm(alignment, prosody, 50.0).accents - 2.09).min() < 0.1
    silent = find_rhythm(alignment, np.zeros((251, 2)), 50.0)
    assert not len(silent.accents)


@pytest.mark.skipif(not (JFK.is_file() and REFERENCE.is_file()), reason="the real speech is not at hand")
def test_accents_of_real_speech_fall_on_vowels_that_are_louder():
    reference = json.loads(REFERENCE.read_text())["jfk.flac"]
    sound = load_sound(JFK)
    phones = [Phone(p, a, b) for p, a, b in reference["phones"]]
    alignment = Alignment.from_segments(phones, (), sound.duration, "test")
    count = int(sound.duration * 50) + 1
    level = np.array([np.sqrt((sound.samples[i * 320 : i * 320 + 320] ** 2).mean() + 1e-9) for i in range(count - 1)])
    loudness = np.append(level / np.percentile(level, 95), 0.0)
    pitch = pitch_contour(sound.samples, 50.0, count)
    assert 1 < np.percentile(np.abs(pitch), 90) < 12
    rhythm = find_rhythm(alignment, np.column_stack([loudness, loudness * 0, pitch]), 50.0)
    assert 0.5 < len(rhythm.accents) / sound.duration < 2
    for at in rhythm.accents:
        assert any(p.label in VOWELS and p.start - 1e-6 <= at <= p.end + 1e-6 for p in alignment.phones)
