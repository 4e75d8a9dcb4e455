"""How everything here eases: the step over time in completion and blinks, over the skin in the rig; and curves."""

import numpy as np


def smoothstep(u: np.ndarray) -> np.ndarray:
    """0 → 1 over u = 0 → 1, level at both ends and constant beyond; so sums of such steps never kink."""
    u = np.clip(u, 0.0, 1.0)
    return u * u * (3.0 - 2.0 * u)


def smoothly(rows: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """(N, C) `rows` → (T, C) at fractional `positions` (T,) among them, along cubic curves (Catmull and Rom 1974)."""
    positions = np.clip(positions, 0.0, len(rows) - 1)
    below = np.minimum(positions.astype(np.int64), max(len(rows) - 2, 0))
    u = (positions - below)[:, None].astype(rows.dtype)
    before, a, b, after = (rows[np.clip(below + k, 0, len(rows) - 1)] for k in (-1, 0, 1, 2))
    return a + 0.5 * u * (b - before + u * (2 * before - 5 * a + 4 * b - after + u * (3 * (a - b) + after - before)))
