"""Blinks and brows: human statistics, seeded, off at 0, apart from the lips."""

import numpy as np

from kmtalk_core.phones import Alignment, Phone
from kmtalk_core.rig.controls import UPPER_FACE_CONTROLS
from kmtalk_core.upper_face import upper_face

RATE = 50.0
BLINK = UPPER_FACE_CONTROLS.index("eyeBlinkLeft")
BROW = UPPER_FACE_CONTROLS.index("browInnerUp")


def talking(seconds: float) -> Alignment:
    phones = tuple(Phone("AA", i / 2, i / 2 + 0.5) for i in range(int(seconds * 2)))
    return Alignment(phones, (), seconds, "test")


def face(seconds=120.0, fps=30.0, seed=0, strength=1.0):
    n = int(seconds * RATE) + 1
    prosody = np.zeros((n, 2))
    prosody[:, 0] = 0.6 * (np.arange(n) % 200 < 10)
    return upper_face(np.arange(int(seconds * fps) + 1) / fps, talking(seconds), prosody, RATE, seed, strength)


def blink_count(lids):
    return int(((lids[1:] >= 0.5) & (lids[:-1] < 0.5)).sum())


def test_people_blink_ten_to_twentyfive_times_a_minute():
    rates = [blink_count(face(seed=s)[:, BLINK]) / 2 for s in range(8)]
    assert all(10 <= r <= 25 for r in rates) and len(set(rates)) > 1


def test_lids_close_faster_than_they_open():
    lids = face(fps=240.0)[:, BLINK]
    speed = np.diff(lids)
    assert speed.max() > 1.5 * -speed.min()
    assert lids.max() > 0.99


def test_brows_rise_with_accents_and_scale_with_strength():
    full, half = face(), face(strength=0.5)
    assert full[:, BROW].max() > 0.1
    assert np.allclose(half[:, BROW], full[:, BROW] * 0.5, atol=1e-6)


def test_off_at_zero_and_the_same_at_any_frame_rate():
    assert not face(strength=0.0).any()
    assert np.allclose(face(fps=60.0)[::2], face(fps=30.0), atol=1e-6)
    assert not np.array_equal(face(seed=1), face(seed=2))
