"""Lips: the slit, the border of the red, the profile between them, and the pocket of the mouth behind, in mm."""

from __future__ import annotations

import numpy as np

MOUTH_Y = -65.0  # one third of the way from the nose's base to the chin
HALF_WIDTH = 26.0
CORNER_WIDTH, CORNER_DEPTH = 2.2, 1.8  # of the red beyond the slit, and how deep the corner lies
GAP = 0.16  # between the upper and the lower inner lip at rest

# Relief of the red over the skin's level, mm, from the slit (0) to its border (1).
_UPPER_S, _UPPER_Z = (0.0, 0.12, 0.34, 0.6, 0.85, 1.0), (-1.5, 1.5, 3.4, 3.2, 1.9, 1.2)
_LOWER_S, _LOWER_Z = (0.0, 0.1, 0.32, 0.6, 0.85, 1.0), (-1.5, 1.7, 4.2, 4.0, 1.6, 0.2)
RED_RINGS = (0.0, 0.13, 0.34, 0.62, 1.0)  # where the rings lie between slit and border


def slit(t: np.ndarray) -> np.ndarray:
    """(..., 2) x, y of the line between the lips; t is 0 at the centre, 1 at the left corner."""
    x = HALF_WIDTH * np.sin(t * np.pi / 2) ** 0.97
    u = x / HALF_WIDTH
    y = MOUTH_Y - 0.9 * np.exp(-((u / 0.22) ** 2)) + 0.5 * np.exp(-(((u - 0.5) / 0.2) ** 2)) + 3.0 * u**4
    return np.stack([x, y], axis=-1)


def border(t: np.ndarray, upper: bool) -> np.ndarray:
    """(..., 2) x, y of the border of the red above or below `slit(t)`."""
    p = slit(t)
    u = p[..., 0] / HALF_WIDTH
    if upper:
        bow = 6.7 * np.clip(1 - u**1.75, 0, 1) ** 0.95
        bow += 1.3 * np.exp(-(((u - 0.2) / 0.11) ** 2)) - 0.3 * np.exp(-((u / 0.08) ** 2))
    else:
        bow = -8.8 * np.clip(1 - u**2.3, 0, 1) ** 0.9
    p[..., 1] += bow
    p[..., 0] *= 1 - 0.02 * (1 - u)
    return p


def relief(s: np.ndarray | float, t: np.ndarray, upper: bool) -> np.ndarray:
    """How far the red stands out at `s` between slit (0) and border (1)."""
    z = np.interp(s, _UPPER_S, _UPPER_Z) if upper else np.interp(s, _LOWER_S, _LOWER_Z)
    fullness = np.clip(1 - t**3, 0, 1)
    tubercle = 0.5 * np.exp(-((t / 0.25) ** 2)) if upper else -0.4 * np.exp(-((t / 0.2) ** 2))
    deep = -2.2 * (1 - fullness)
    return z * fullness + deep + tubercle * np.sin(np.pi * np.clip(s, 0, 1))


# The pocket behind the slit, ring by ring inwards: how far behind the slit it lies (mm), how far above and below it
# reaches at the centre, and how wide it is: first the lips' contact, then the vestibule, then round the teeth.
LIP_RINGS, FLESH = 2, 5.0  # how many of these are lip still; mm between the others and the skin
POCKET = (
    # back, up, down, half width
    (2.4, 0.0, 0.0, 26.0),
    (3.8, 2.2, 2.2, 26.2),
    (4.6, 7.0, 7.5, 27.0),
    (5.0, 14.0, 16.0, 29.5),
    (8.5, 20.0, 23.5, 33.0),
    (18.0, 24.0, 27.0, 35.0),
    (32.0, 25.0, 27.0, 34.0),
    (48.0, 24.0, 27.0, 32.0),
    (62.0, 20.0, 25.0, 26.0),
    (71.0, 11.0, 18.0, 17.0),
    (74.0, 4.0, 9.0, 8.0),
)
