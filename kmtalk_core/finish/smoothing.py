"""Motion with its fast part taken out."""

from __future__ import annotations

import numpy as np


def smoothed(motion: np.ndarray, spread: float) -> np.ndarray:
    """Gaussian of `spread` frames over time on (T, C); the first and the last pose go on beyond the ends."""
    reach = int(np.ceil(3 * spread))
    weight = np.exp(-0.5 * (np.arange(-reach, reach + 1) / max(spread, 1e-9)) ** 2)
    weight /= weight.sum()
    padded = np.concatenate([np.repeat(motion[:1], reach, 0), motion, np.repeat(motion[-1:], reach, 0)])
    out = np.zeros_like(motion)
    for k, w in enumerate(weight):
        out += np.float32(w) * padded[k : k + len(motion)]
    return out
