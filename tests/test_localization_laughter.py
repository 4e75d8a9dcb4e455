"""Laughter is no speech: alike syllables at even distances are taken for silence, speech is left as it is."""

from itertools import pairwise

import numpy as np
import pytest

from kmtalk_core.animator import Animator
from kmtalk_core.audio import Sound
from kmtalk_core.localization.laughter import bouts, without_laughter
from kmtalk_core.phones import SILENCE, Phone


def spoken(text: str, lengths=(0.1,)) -> list[Phone]:
    """Phones one after the other, their lengths (s) in turn; SIL lasts 0.5 s."""
    out, at = [], 0.0
    for number, label in enumerate(text.split()):
        length = 0.5 if label == SILENCE else lengths[number % len(lengths)]
        out.append(Phone(label, at, at + length))
        at += length
    return out


@pytest.mark.parametrize("laughter", ["HH AH HH AH HH AH HH AH", "P UH V AH V AH T AH V AH", "AH AH IH SIL"])
def test_alike_syllables_at_even_distances_are_laughter(laughter):
    phones = spoken(f"SIL {laughter} SIL M AA M SIL")
    heard = without_laughter(phones)
    if "V" in laughter or "HH" in laughter:
        assert {p.label for p in heard if p.end <= phones[len(laughter.split())].end} == {SILENCE}
    else:
        assert heard == phones, "two notes are no laughter"
    assert [p.label for p in heard[-5:]] == [SILENCE, "M", "AA", "M", SILENCE]
    assert all(a.end == b.start for a, b in pairwise(heard)) and heard[-1].end == phones[-1].end


@pytest.mark.parametrize(
    "speech",
    [
        "HH AH M AY N EY M IH Z B AA B",
        "S IH K S T IY S IH K S T IY S IH K S T IY",  # clusters
        "N AH N AH N AH N AH",  # sonorants: la la la, no no no
    ],
)
def test_speech_is_left_alone(speech):
    phones = spoken(f"SIL {speech} SIL")
    assert without_laughter(phones) == phones


def test_uneven_syllables_are_left_alone():
    phones = spoken("SIL HH AH HH AH HH AH HH AH SIL", (0.05, 0.05, 0.2, 0.2))
    assert not bouts(phones) and without_laughter(phones) == phones
    assert without_laughter([]) == []


def test_the_mouth_does_not_flap_to_synthetic_laughter():
    conditions = pytest.importorskip("benchmarks.conditions")
    samples = conditions.laughter(6 * 16_000, np.random.default_rng(0)).astype(np.float32)
    phones = Animator().align(Sound(samples, "0" * 64, "laughter.wav")).phones
    assert sum(p.end - p.start for p in phones if p.label != SILENCE) < 1.0
