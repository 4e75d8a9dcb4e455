"""The opening between the lids, in angles round the eyeball's centre."""

from __future__ import annotations

import numpy as np

from .sculpt import EYE_CENTRE

HALF_WIDTH = np.radians(54)  # azimuth of the corners
UPPER = np.radians(25)  # the upper lid covers the iris's upper edge, as in a relaxed open eye
LOWER = np.radians(24)  # the lower lid touches the iris
TILT = np.radians(4)  # the outer corner is higher
YAW = np.radians(9)  # the opening faces outwards


def on_eye(azimuth: np.ndarray, elevation: np.ndarray, radius: np.ndarray | float) -> np.ndarray:
    """(..., 3) points of the left eye; azimuth grows towards the temple."""
    a = azimuth + YAW
    direction = np.stack([np.cos(elevation) * np.sin(a), np.sin(elevation), np.cos(elevation) * np.cos(a)], axis=-1)
    return EYE_CENTRE + direction * np.asarray(radius)[..., None]


def margin(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Azimuth and elevation (count,) of the lid margin, from the inner corner over the upper lid and back below."""
    t = np.arange(count) / count
    a = -np.cos(2 * np.pi * t)  # -1 inner corner, 1 outer corner
    upper = t <= 0.5
    bow = np.clip(1 - a**2, 0, 1)
    up = UPPER * bow**0.72 * (1 - 0.10 * a)
    down = -LOWER * bow**0.85 * (1 + 0.12 * a)
    return HALF_WIDTH * a, np.where(upper, up, down) + TILT * a
