"""The opening between the lids, in angles round the eyeball's centre."""

from __future__ import annotations

import numpy as np

from .sculpt import EYE_CENTRE

HALF_WIDTH = np.radians(54)  # azimuth of the corners
UPPER = np.radians(22.5)  # the upper lid covers the iris's upper edge, as in a relaxed open eye
LOWER = np.radians(22)  # the lower lid touches the iris
TILT = np.radians(4)  # the outer corner is higher
YAW = np.radians(9)  # the opening faces outwards


def on_eye(azimuth: np.ndarray, elevation: np.ndarray, radius: np.ndarray | float) -> np.ndarray:
    """(..., 3) points of the left eye; azimuth grows towards the temple."""
    a = azimuth + YAW
    direction = np.stack([np.cos(elevation) * np.sin(a), np.sin(elevation), np.cos(elevation) * np.cos(a)], axis=-1)
    return EYE_CENTRE + direction * np.asarray(radius)[..., None]


# Rings outside the margin: how many degrees above (and below) it; the crease is the third.
ABOVE = np.radians((1.5, 8.0, 13.5, 17.5))
BELOW = np.radians((1.5, 6.0, 12.0, 18.0))
CREASE_RING, CREASE_DEPTH = 3, 1.3  # mm


def margin(count: int, ring: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Azimuth and elevation (count,) of the lid margin, from the inner corner over the upper lid and back below.

    `ring` 1 to 4 are the loops around it; the third is the crease of the upper lid.
    """
    t = np.arange(count) / count
    a = -np.cos(2 * np.pi * t)  # -1 inner corner, 1 outer corner
    bow = np.clip(1 - a**2, 0, 1)
    up = UPPER * bow**0.68 * (1 - 0.08 * a)
    down = -LOWER * bow**0.85 * (1 + 0.14 * a)
    widen = 1.0
    if ring:
        up = up + ABOVE[ring - 1] * (0.25 + 0.75 * bow**0.5)
        down = down - BELOW[ring - 1] * (0.25 + 0.75 * bow**0.5)
        up[0] = down[0] = up[count // 2] = down[count // 2] = 0
        widen = 1 + 0.055 * ring
    return HALF_WIDTH * a * widen, np.where(t <= 0.5, up, down) + TILT * a
