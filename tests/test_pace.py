"""Speech moves no control faster than eyes follow, and what is slow enough is not touched."""

import numpy as np
import pytest

from kmtalk_core.finish import pace
from kmtalk_core.finish.pace import FASTEST, paced


@pytest.mark.parametrize("fps", [1.0, 24.0, 25.0, 60.0])
def test_nothing_is_faster_and_slow_motion_stays_bit_for_bit(fps):
    rng = np.random.default_rng(0)
    wild = rng.uniform(0, 1, (200, 5)).astype(np.float32)
    wild[:, 4] = np.linspace(0, 1, 200) if fps > 1 else 0.5
    out = paced(wild, fps)
    assert np.abs(np.diff(out, axis=0)).max() <= FASTEST / fps + 1e-6
    assert np.array_equal(out[:, 4], wild[:, 4])
    assert out.min() >= wild.min() and out.max() <= wild.max()


def test_a_jump_becomes_a_way_around_its_middle():
    jump = np.repeat(np.array([[0.0], [0.9]], np.float32), 20, axis=0)
    out = paced(jump, 24.0)[:, 0]
    assert out[19] + out[20] == pytest.approx(0.9, abs=1e-6), "neither earlier nor later"
    assert np.array_equal(out[:15], jump[:15, 0]) and np.array_equal(out[25:], jump[25:, 0])


def test_sequences_without_a_way_are_left_alone():
    for motion in (np.zeros((0, 3), np.float32), np.ones((1, 3), np.float32)):
        assert paced(motion, 24.0) is motion


def test_columns_are_paced_each_by_itself(monkeypatch):
    """However many are worked on at a time: an hour is done some columns at a time."""
    rng = np.random.default_rng(5)
    motion = rng.random((60, 5)).astype(np.float32)
    kept = rng.random((60, 5)) < 0.1
    least, most = np.where(kept, motion, -np.inf), np.where(kept, motion, np.inf)
    whole = pace.paced(motion, 30.0), pace.paced_within(motion, 30.0, least, most)
    monkeypatch.setattr(pace, "AT_ONCE", 120)
    assert np.array_equal(pace.paced(motion, 30.0), whole[0])
    assert np.array_equal(pace.paced_within(motion, 30.0, least, most), whole[1])
