"""Lip contacts are what viewers notice first when they are missed: key poses of p, b, m are brought to a full seal.

LKMA comes within a millimetre or two; the last bit is a projection onto the nearest pose whose lips meet (JALI, Edwards
et al. 2016: bilabials always close). It acts on key motions before completion, so CMC moves in and out of the contact,
and never on keys that an animator has edited.
"""

from __future__ import annotations

import numpy as np

from .localization.keys import KeyInstants
from .motion import KeyMotions
from .phones import BILABIALS, Alignment
from .rig.controls import SPEECH_CONTROLS

_JAW, _CLOSE = SPEECH_CONTROLS.index("jawOpen"), SPEECH_CONTROLS.index("mouthClose")
# What parts the lips by itself, however far the mouth is closed.
_PARTING = [
    SPEECH_CONTROLS.index(name)
    for name in (
        "mouthFunnel", "mouthLowerDownLeft", "mouthLowerDownRight", "mouthUpperUpLeft", "mouthUpperUpRight",
    )
]  # fmt: skip


def seal_lips(keys: KeyMotions, alignment: Alignment, instants: KeyInstants) -> KeyMotions:
    """Close the lips at the apexes of p, b, m: keys (m, C) over SPEECH_CONTROLS, one for each instant.

    mouthClose = jawOpen seals the lips at any opening of the jaw (ARKit's meaning of mouthClose).
    """
    bilabial = np.array([alignment.phones[phone].label in BILABIALS for phone in instants.phone_index])
    sealed = bilabial & (instants.kind == "apex")
    controls = keys.controls.copy()
    controls[sealed, _CLOSE] = np.maximum(controls[sealed, _CLOSE], controls[sealed, _JAW])
    controls[np.ix_(sealed, _PARTING)] = 0.0
    return KeyMotions(keys.times, controls)
