"""Consonants and close vowels keep the mouth narrower than the captured man does, so that open vowels stand out.

The networks learned their motion largely from one man, who lifts his upper lip in s, t, d, n and ee as far as in open
vowels. Two other captured people are met nearly as well without most of it (docs/articulation.md has the figures), and
phoneticians find these sounds narrower (Fromkin 1964; Keating et al. 1994). In p, b, m, where the jaw helps the lips to
meet, and in r, captured people's jaws are higher than the networks'. It acts on the key motions before completion, so
that the way between them stays the networks' own.
"""

from __future__ import annotations

import numpy as np

from ..localization.keys import KeyInstants
from ..motion import KeyMotions
from ..phones import Alignment
from ..rig.controls import SPEECH_CONTROLS

NARROW = frozenset({"S", "Z", "SH", "ZH", "CH", "JH", "T", "D", "N", "UW", "IY", "F", "V"})
# How much is left of what opens the mouth in them. mouthClose goes with the jaw, as it undoes its opening.
LEFT = {
    "mouthUpperUpLeft": 0.4, "mouthUpperUpRight": 0.4, "mouthLowerDownLeft": 0.6, "mouthLowerDownRight": 0.6,
    "jawOpen": 0.8, "mouthClose": 0.8,
}  # fmt: skip
# How much is left of the jaw's opening in these sounds, whatever LEFT says.
JAW_LEFT = {"P": 0.65, "B": 0.65, "M": 0.65, "R": 0.75, "D": 1.0}

_LEFT = np.array([LEFT.get(name, 1.0) for name in SPEECH_CONTROLS], np.float32)
_JAW = [SPEECH_CONTROLS.index(name) for name in ("jawOpen", "mouthClose")]


def narrow_keys(keys: KeyMotions, alignment: Alignment, instants: KeyInstants) -> KeyMotions:
    """Keys (m, C) over SPEECH_CONTROLS, one for each instant, narrower where the instant's phone is."""
    return KeyMotions(keys.times, keys.controls * _left_of(alignment, instants))


def _left_of(alignment: Alignment, instants: KeyInstants) -> np.ndarray:
    """(m, C) float32: how much of each control is left at each instant."""
    labels = [alignment.phones[phone].label for phone in instants.phone_index]
    left = np.where(np.isin(labels, list(NARROW))[:, None], _LEFT, np.float32(1.0))
    for row, label in enumerate(labels):
        if label in JAW_LEFT:
            left[row, _JAW] = JAW_LEFT[label]
    return left
