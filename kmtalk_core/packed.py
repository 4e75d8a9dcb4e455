"""Samples in half the room: 16 bits each, with a scale of their own for every 10 ms.

So a whisper keeps its detail beside a shout, and 16-bit recordings stay exact. Long sounds wait on the disk: an hour of
them is 117 MB, which most of the work has no use for.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from tempfile import SpooledTemporaryFile
from threading import Lock

import numpy as np

BLOCK = 160  # samples that share a scale
IN_MEMORY = 32 * 1024**2  # bytes, 17 minutes of sound; more waits on the disk
_STEPS = 32767


class Packed:
    """(n,) samples that are packed; a slice of it is (k,) float32, and `numpy.asarray` of it is all of them."""

    dtype = np.dtype(np.float32)

    def __init__(self, blocks: Iterable[np.ndarray] = ()) -> None:
        """`blocks`: (k,) float32 each; all but the last hold a multiple of BLOCK samples."""
        # It closes and removes itself with the last reference.
        self._steps = SpooledTemporaryFile(IN_MEMORY, prefix="kmtalk-sound-")  # noqa: SIM115
        self._scales, self._count = bytearray(), 0
        self._one_at_a_time = Lock()
        for block in blocks:
            self.append(block)

    def append(self, block: np.ndarray) -> None:
        """Add (k,) samples; only after the last may k be no multiple of BLOCK."""
        if self._count % BLOCK:
            raise ValueError("Nothing can follow a block that is not full.")
        padded = np.zeros((-(-len(block) // BLOCK), BLOCK), np.float32)
        padded.reshape(-1)[: len(block)] = block
        # Powers of two, so that what came from 16-bit samples comes back as it was.
        _, power = np.frexp(np.abs(padded).max(axis=1))
        scale = np.ldexp(np.float32(1.0), np.maximum(power, -100) - 15).astype(np.float32)
        steps = np.clip(np.rint(padded / scale[:, None]), -_STEPS, _STEPS)
        self._steps.seek(0, os.SEEK_END)
        self._steps.write(steps.astype(np.int16).reshape(-1)[: len(block)].tobytes())
        self._scales += scale.tobytes()
        self._count += len(block)

    def scale(self, factor: float) -> None:
        """Multiply all samples by `factor`, in place."""
        self._scales[:] = (np.frombuffer(self._scales, np.float32) * np.float32(factor)).tobytes()

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, where: slice) -> np.ndarray:
        first, last, step = where.indices(self._count)
        if step != 1:
            raise ValueError("Packed samples are read in one direction, without leaving any out.")
        if last <= first:
            return np.zeros(0, np.float32)
        low, high = first // BLOCK, -(-last // BLOCK)
        steps = np.zeros((high - low, BLOCK), np.float32)
        with self._one_at_a_time:
            self._steps.seek(2 * low * BLOCK)
            stored = np.frombuffer(self._steps.read(2 * (high - low) * BLOCK), np.int16)
        steps.reshape(-1)[: len(stored)] = stored
        steps *= np.frombuffer(self._scales, np.float32)[low:high, None]
        return steps.reshape(-1)[first - low * BLOCK : last - low * BLOCK]

    def __array__(self, dtype: np.dtype | None = None, copy: bool | None = None) -> np.ndarray:
        return self[:].astype(dtype or np.float32, copy=False)

    def peak(self) -> float:
        """The greatest absolute value."""
        return max((float(np.abs(piece).max()) for piece in self._pieces()), default=0.0)

    def _pieces(self, length: int = 1 << 20) -> Iterator[np.ndarray]:
        for first in range(0, self._count, length):
            yield self[first : first + length]


class Preceded:
    """`samples` after `count` zeros, without a copy; read by slices like them."""

    dtype = np.dtype(np.float32)

    def __init__(self, count: int, samples: Samples) -> None:
        self._count, self._samples = count, samples

    def __len__(self) -> int:
        return self._count + len(self._samples)

    def __getitem__(self, where: slice) -> np.ndarray:
        first, last, _ = where.indices(len(self))
        zeros = np.zeros(max(min(last, self._count) - first, 0), np.float32)
        rest = self._samples[max(first - self._count, 0) : max(last - self._count, 0)]
        return np.concatenate([zeros, rest]) if len(zeros) else rest

    def __array__(self, dtype: np.dtype | None = None, copy: bool | None = None) -> np.ndarray:
        return self[:].astype(dtype or np.float32, copy=False)

    def peak(self) -> float:
        """The greatest absolute value."""
        return peak_of(self._samples)


Samples = np.ndarray | Packed | Preceded
"""(n,) float32, whole or packed: slices of each are float32."""


def peak_of(samples: Samples) -> float:
    """The greatest absolute value."""
    return float(np.abs(samples).max(initial=0.0)) if isinstance(samples, np.ndarray) else samples.peak()


def stretch(samples: Samples, first: int, last: int) -> np.ndarray:
    """(last - first,) samples from `first` to `last`, zero where these are outside."""
    out = np.zeros(last - first, np.float32)
    inside = samples[max(first, 0) : max(last, 0)]
    out[max(-first, 0) :][: len(inside)] = inside
    return out
