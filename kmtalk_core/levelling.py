"""Sound as it comes, block by block → packed samples without offset, rumble and glitches."""

from __future__ import annotations

import numpy as np

from .packed import BLOCK, Packed

RATE = 16_000  # Hz
STRETCH = 8 * RATE  # samples that are levelled at a time
# The slow part of a sound, below about 15 Hz, is the mean over so many blocks of 10 ms, weighted: no voice is there.
SLOW = np.hanning(9)[1:-1] / np.hanning(9)[1:-1].sum()
REACH = (len(SLOW) // 2 + 1) * BLOCK  # samples to either side that its estimate needs
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
    """(n,) what is slower than any voice in (n,) samples, of which block 0 begins at the first."""
    count = -(-len(samples) // BLOCK)
    padded = np.zeros(count * BLOCK, np.float32)
    padded[: len(samples)] = samples
    sums = padded.reshape(-1, BLOCK).sum(axis=1, dtype=np.float64)
    sizes = np.full(count, float(BLOCK))
    sizes[-1] = len(samples) - (count - 1) * BLOCK
    # Near the ends the mean is that of what there is.
    smooth = np.convolve(sums, SLOW)[len(SLOW) // 2 :][:count] / np.convolve(sizes, SLOW)[len(SLOW) // 2 :][:count]
    edges = np.concatenate([smooth[:1], 0.5 * (smooth[1:] + smooth[:-1]), smooth[-1:]])
    # Straight between the blocks' centres.
    part = (np.arange(BLOCK, dtype=np.float32) + 0.5) / BLOCK
    first, last, middle = (v[:, None].astype(np.float32) for v in (edges[:-1], edges[1:], smooth))
    left = first + (middle - first) * 2 * np.minimum(part, 0.5)
    return (left + (last - middle) * 2 * np.maximum(part - 0.5, 0.0)).reshape(-1)[: len(samples)]
