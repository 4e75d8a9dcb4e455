"""Sound as it comes, block by block → packed samples without offset, rumble and glitches."""

from __future__ import annotations

import numpy as np

from .packed import BLOCK, Packed

RATE = 16_000  # Hz
STRETCH = 8 * RATE  # samples that are levelled at a time
SLOW = 200  # samples to either side that are averaged, thrice over: what is slower than 15 Hz, and no voice at all
REACH = 3 * SLOW  # samples to either side that this needs
LOUD_BLOCKS, FEWEST_BLOCKS = 0.02, 3  # share, and number, of the blocks of a stretch that may be glitches
GLITCH = 8.0  # times the peak of all others: what is louder, and louder than full scale, is no voice


class Leveller:
    """Takes (k,) float32 samples at 16 kHz by `add`; `finish` gives all of them, packed and levelled.

    A constant and rumble below 15 Hz are removed. Sound louder than full scale, as float files may hold it, is scaled
    down to it as a whole, but for glitches: those are cut. NaN and infinite samples count as 0.
    """

    def __init__(self) -> None:
        self._packed = Packed()
        self._waiting: list[np.ndarray] = []
        self._length = 0  # of those that wait
        self._before = np.zeros(0, np.float32)  # the end of what was levelled, before it was
        self._added = 0

    def __len__(self) -> int:
        return self._added

    def add(self, samples: np.ndarray) -> None:
        self._waiting.append(samples.astype(np.float32, copy=False))
        self._length += len(samples)
        self._added += len(samples)
        if self._length >= STRETCH + REACH:
            self._level(np.concatenate(self._waiting), final=False)

    def add_silence(self, count: int) -> None:
        while count > 0:
            some = min(count, STRETCH)
            self.add(np.zeros(some, np.float32))
            count -= some

    def finish(self) -> Packed:
        if self._waiting:
            self._level(np.concatenate(self._waiting), final=True)
        peak = self._packed.peak()
        if peak > 1.0:
            self._packed.scale(1.0 / peak)
        return self._packed

    def _level(self, samples: np.ndarray, final: bool) -> None:
        known = len(self._before)
        end = len(samples) if final else (len(samples) - REACH) // BLOCK * BLOCK
        whole = np.concatenate([self._before, without_glitches(samples)])
        levelled = whole - slow_part(whole)
        self._packed.append(levelled[known : known + end])
        self._before = whole[max(known + end - REACH, 0) : known + end]
        self._waiting = [] if final else [samples[end:]]
        self._length = len(samples) - end


def without_glitches(samples: np.ndarray) -> np.ndarray:
    """(n,) samples; those that are louder than full scale and far louder than nearly all others are cut to that."""
    tame = np.where(np.isfinite(samples), samples, np.float32(0.0))
    if max(float(tame.max(initial=0.0)), -float(tame.min(initial=0.0))) <= 1.0:
        return tame
    padded = np.zeros((-(-len(tame) // BLOCK), BLOCK), np.float32)
    padded.reshape(-1)[: len(tame)] = tame
    peaks = np.sort(np.abs(padded).max(axis=1))
    others = max(len(peaks) - 1 - max(round(LOUD_BLOCKS * len(peaks)), FEWEST_BLOCKS), 0)
    limit = max(GLITCH * float(peaks[others]), 1.0)
    return np.clip(tame, -limit, limit)


def slow_part(samples: np.ndarray) -> np.ndarray:
    """(n,) float32: what is slower than any voice in (n,) samples; near the ends the mean of what there is."""
    slow = samples.astype(np.float64)
    n = len(slow)
    first, last = np.maximum(np.arange(min(2 * SLOW, n)) - SLOW, 0), np.minimum(np.arange(n) + SLOW + 1, n)
    for _ in range(REACH // SLOW):
        total = np.concatenate([[0.0], np.cumsum(slow)])
        if n <= 2 * SLOW:
            slow = (total[last] - total[first]) / (last - first)
            continue
        middle = (total[2 * SLOW + 1 :] - total[: -2 * SLOW - 1]) / (2 * SLOW + 1)
        before = total[SLOW + 1 : 2 * SLOW + 1] / np.arange(SLOW + 1, 2 * SLOW + 1)
        after = (total[-1] - total[n - 2 * SLOW : n - SLOW]) / np.arange(2 * SLOW, SLOW, -1)
        slow = np.concatenate([before, middle, after])
    return slow.astype(np.float32)
