"""The step that everything here eases with: over time in completion and blinks, over the skin in the rig."""

import numpy as np


def smoothstep(u: np.ndarray) -> np.ndarray:
    """0 → 1 over u = 0 → 1, level at both ends and constant beyond; so sums of such steps never kink."""
    u = np.clip(u, 0.0, 1.0)
    return u * u * (3.0 - 2.0 * u)
