"""Consonants and close vowels keep the mouth narrower than the captured man does, so that open vowels stand out.

The networks learned their motion largely from one man, who lifts his upper lip in s, t, d, n and ee as far as in open
vowels. Two other captured people are met nearly as well without most of it (docs/articulation.md has the figures), and
phoneticians find these sounds narrower (Fromkin 1964; Keating et al. 1994). It acts on the key motions before
completion, so that the way between them stays the networks' own.
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

_LEFT = np.array([LEFT.get(name, 1.0) for name in SPEECH_CONTROLS], np.float32)


def narrow_keys(keys: KeyMotions, alignment: Alignment, instants: KeyInstants) -> KeyMotions:
    """Keys (m, C) over SPEECH_CONTROLS, one for each instant, narrower where the instant's phone is."""
    narrow = np.array([alignment.phones[phone].label in NARROW for phone in instants.phone_index], bool)
    return KeyMotions(keys.times, np.where(narrow[:, None], keys.controls * _LEFT, keys.controls))
