"""float16 weights become the float32 numbers that they are."""

import numpy as np

from kmtalk_core.halves import BLOCK, widen

EVERY = np.arange(2**16, dtype=np.uint16).view(np.float16)  # zeros, subnormals, infinities and NaN among them


def widened(halves: np.ndarray) -> np.ndarray:
    out = np.empty(len(halves), np.float32)
    widen(halves, out)
    return out


def test_every_number_is_the_same_to_the_bit() -> None:
    usual = EVERY[np.isfinite(EVERY)]
    for halves in (EVERY, EVERY[::-1].copy(), usual, np.random.default_rng(0).permutation(usual)):
        np.testing.assert_array_equal(widened(halves).view(np.uint32), halves.astype(np.float32).view(np.uint32))


def test_any_length_and_none() -> None:
    for length in (0, 1, BLOCK - 1, BLOCK, BLOCK + 1):
        np.testing.assert_array_equal(widened(EVERY[:length]), EVERY[:length].astype(np.float32))
