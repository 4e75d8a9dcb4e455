"""The contact step: p, b, m seal at their key poses, everything else stays as the network posed it."""

import numpy as np

from kmtalk_core.assets import DEMO_HEAD
from kmtalk_core.finish.contact_poses import LIPS, TEETH, contact_pose, lips_apart
from kmtalk_core.finish.contacts import hold_contacts, seal_lips
from kmtalk_core.localization.keys import key_instants
from kmtalk_core.motion import KeyMotions
from kmtalk_core.phones import BILABIALS, Alignment, Phone
from kmtalk_core.rig.articulation import build_rig
from kmtalk_core.rig.controls import SPEECH_CONTROLS
from kmtalk_core.rig.mesh import load_mesh

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


def test_the_mouth_stays_as_wide_as_it_was_where_lips_meet_or_touch():
    rig = build_rig(load_mesh(DEMO_HEAD))
    corners = rig.anatomy.vertex_of[rig.anatomy.marks[[48, 54]]]
    free = np.zeros((2, len(SPEECH_CONTROLS)), np.float32)
    free[:, [JAW, FUNNEL]] = 0.15, 0.02  # as the lips are shortly before; from further apart they pucker no more
    smile, stretch = (SPEECH_CONTROLS.index(name) for name in ("mouthSmileLeft", "mouthStretchLeft"))
    free[:, [smile, stretch]] = [[0.1, 0.1], [0.8, 0.0]]

    def width(pose):
        right, left = np.moveaxis(rig.vertices(pose, SPEECH_CONTROLS)[:, corners], 1, 0)
        return np.linalg.norm(left - right, axis=1) * 1000

    sealed, touching = (contact_pose(free, SPEECH_CONTROLS, kind) for kind in (LIPS, TEETH))
    assert lips_apart(sealed, SPEECH_CONTROLS).max() < 0.01
    assert np.abs(width(sealed) - width(free)).max() < 0.5
    assert (touching[0, [smile, stretch]] < free[0, [smile, stretch]]).all(), "a slight spread makes up for it"
    assert touching[1, smile] == free[1, smile], "a smile stays"
    assert (touching[:, PUCKER] <= free[:, PUCKER]).all(), "lips at the teeth are not pushed forward"


def test_lips_all_but_meet_in_w_and_in_the_sounds_in_which_somebodys_do():
    labels = ("AA", "R", "AA", "W", "AA")
    alignment = Alignment(tuple(Phone(p, i * 0.3, i * 0.3 + 0.3) for i, p in enumerate(labels)), (), 1.5, "test")
    times = np.arange(38) / 25.0
    open_wide = np.zeros((len(times), len(SPEECH_CONTROLS)), np.float32)
    open_wide[:, JAW] = 0.3

    def nearest(nearly):
        none = np.zeros(0)
        held = hold_contacts(times, open_wide, SPEECH_CONTROLS, alignment, 0.0, none, none > 0, nearly=nearly)
        apart = lips_apart(held, SPEECH_CONTROLS)
        return [apart[(times >= start) & (times < start + 0.3)].min() for start in (0.3, 0.9)]

    assert nearest(())[0] > 5 and nearest(())[1] < 1
    assert 0.2 < nearest(("R",))[0] < 1
