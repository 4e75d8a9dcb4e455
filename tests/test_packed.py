"""Packed samples: exact where they were 16-bit, fine where they are quiet, and any piece equals the whole."""

import numpy as np
import pytest

from kmtalk_core.levelling import STRETCH, Leveller
from kmtalk_core.packed import BLOCK, Packed


def test_sixteen_bits_come_back_as_they_were():
    steps = np.random.default_rng(0).integers(-32768, 32768, 5000)
    samples = (steps / 32768).astype(np.float32)
    assert np.abs(np.asarray(Packed([samples])) - np.clip(samples, -32767 / 32768, 1)).max() == 0


def test_quiet_parts_keep_their_detail():
    samples = (np.random.default_rng(0).standard_normal(10 * BLOCK) * np.repeat([1e-4, 1.0], 5 * BLOCK)).astype(
        np.float32
    )
    packed = Packed([samples])
    assert np.abs(packed[: 5 * BLOCK] - samples[: 5 * BLOCK]).max() < 1e-8
    assert packed.peak() == pytest.approx(np.abs(samples).max(), rel=1e-4)


@pytest.mark.parametrize(("first", "last"), [(0, 1), (5, 5), (159, 161), (160, 320), (100, 1003), (990, 5000)])
def test_a_piece_equals_the_whole(first, last):
    samples = np.random.default_rng(0).standard_normal(1003).astype(np.float32)
    packed = Packed([samples[: 3 * BLOCK], samples[3 * BLOCK :]])
    assert len(packed) == 1003
    assert np.array_equal(packed[first:last], np.asarray(packed)[first:last])


def test_levelling_does_not_depend_on_how_the_sound_comes():
    rng = np.random.default_rng(0)
    samples = (0.1 * rng.standard_normal(3 * STRETCH + 777) + 0.2).astype(np.float32)
    levelled = []
    for parts in ([len(samples)], [1000] * 400, [STRETCH, 1, 159, 5 * STRETCH]):
        leveller, at = Leveller(), 0
        for part in parts:
            leveller.add(samples[at : at + part])
            at += part
        levelled.append(np.asarray(leveller.finish()))
    assert len(levelled[0]) == len(samples) and abs(levelled[0].mean()) < 1e-3
    assert np.abs(levelled[0] - levelled[1]).max() < 1e-4
    assert np.abs(levelled[0] - levelled[2]).max() < 1e-4


def test_long_sounds_wait_on_the_disk(monkeypatch):
    monkeypatch.setattr("kmtalk_core.packed.IN_MEMORY", 1000)
    samples = np.random.default_rng(0).standard_normal(10 * BLOCK + 7).astype(np.float32)
    packed = Packed([samples[: 4 * BLOCK]])
    assert np.abs(packed[100:300] - samples[100:300]).max() < 1e-3
    packed.append(samples[4 * BLOCK :])
    assert packed._steps._rolled and np.abs(np.asarray(packed) - samples).max() < 1e-3
