"""The contact step: p, b, m seal at their key poses, everything else stays as the network posed it."""

import numpy as np

from kmtalk_core.finish.contacts import seal_lips
from kmtalk_core.localization.keys import key_instants
from kmtalk_core.motion import KeyMotions
from kmtalk_core.phones import BILABIALS, Alignment, Phone
from kmtalk_core.rig.controls import SPEECH_CONTROLS

JAW, CLOSE = SPEECH_CONTROLS.index("jawOpen"), SPEECH_CONTROLS.index("mouthClose")
FUNNEL, PUCKER = SPEECH_CONTROLS.index("mouthFunnel"), SPEECH_CONTROLS.index("mouthPucker")


def test_bilabial_keys_are_sealed_and_no_others_touched():
    labels = ("SIL", "AA", "M", "UW", "P", "S", "B", "SIL")
    alignment = Alignment(tuple(Phone(p, i * 0.2, i * 0.2 + 0.2) for i, p in enumerate(labels)), (), 1.6, "test")
    instants = key_instants(alignment, "both", 30.0)
    rng = np.random.default_rng(0)
    keys = KeyMotions(instants.times, rng.uniform(0.1, 0.5, (len(instants.times), 35)).astype(np.float32))
    sealed = seal_lips(keys, alignment, instants)
    closures = np.array(
        [
            alignment.phones[p].label in BILABIALS and kind == "apex"
            for p, kind in zip(instants.phone_index, instants.kind, strict=True)
        ]
    )
    assert closures.sum() == 3
    assert (sealed.controls[closures, CLOSE] >= sealed.controls[closures, JAW]).all()
    assert not sealed.controls[closures, FUNNEL].any()
    untouched = [JAW, PUCKER]
    assert np.array_equal(sealed.controls[:, untouched], keys.controls[:, untouched])
    assert np.array_equal(sealed.controls[~closures], keys.controls[~closures])
