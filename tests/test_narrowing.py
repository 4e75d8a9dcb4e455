"""Consonants and close vowels leave open vowels their contrast; no other key is touched."""

import numpy as np

from kmtalk_core.finish.narrowing import JAW_LEFT, LEFT, NARROW, narrow_keys
from kmtalk_core.localization.keys import key_instants
from kmtalk_core.motion import KeyMotions
from kmtalk_core.phones import Alignment, Phone
from kmtalk_core.rig.controls import SPEECH_CONTROLS


def test_only_what_opens_the_mouth_in_narrow_phones_is_less():
    labels = ("SIL", "AA", "S", "AE", "IY", "M", "L", "D", "SIL")
    alignment = Alignment(tuple(Phone(p, i * 0.2, i * 0.2 + 0.2) for i, p in enumerate(labels)), (), 1.8, "test")
    instants = key_instants(alignment, "both", 30.0)
    keys = KeyMotions(instants.times, np.full((len(instants.times), 35), 0.4, np.float32))
    narrowed = narrow_keys(keys, alignment, instants).controls
    narrow = np.array([alignment.phones[p].label in NARROW for p in instants.phone_index])
    raised = np.array([alignment.phones[p].label in JAW_LEFT for p in instants.phone_index])
    opens = np.array([name in LEFT for name in SPEECH_CONTROLS])
    assert 0 < narrow.sum() < len(narrow)
    assert np.array_equal(narrowed[~narrow & ~raised], keys.controls[~narrow & ~raised])
    assert np.array_equal(narrowed[:, ~opens], keys.controls[:, ~opens])
    assert (narrowed[np.ix_(narrow & ~raised, opens)] < 0.4).all()
    jaw, close = SPEECH_CONTROLS.index("jawOpen"), SPEECH_CONTROLS.index("mouthClose")
    closed = np.array([alignment.phones[p].label == "M" for p in instants.phone_index])
    assert (narrowed[closed, jaw] < 0.3).all(), "the jaw rises for the lips to meet"
    others = np.delete(np.arange(len(SPEECH_CONTROLS)), [jaw, close])
    assert np.array_equal(narrowed[np.ix_(closed, others)], keys.controls[np.ix_(closed, others)])
    assert np.array_equal(narrowed[:, jaw], narrowed[:, close]), "closures stay closures"
