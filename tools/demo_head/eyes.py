"""Eyeball: a sphere round its rotation centre whose rings follow pupil, iris and limbus; mm."""

from __future__ import annotations

import numpy as np

from .mesh import Builder, Piece
from .sculpt import EYE_CENTRE, EYE_RADIUS

SEGMENTS = 32
# Ring by its angle from the line of sight, degrees, and the material inside it.
RINGS = (
    (5, "pupil"),
    (10.5, "pupil"),
    (12, "iris"),
    (16, "iris"),
    (20, "iris"),
    (24, "iris"),
    (26.5, "iris_rim"),
    (28, "iris_rim"),
    (31, "eye_white"),
    (37, "eye_white"),
    (45, "eye_white"),
    (56, "eye_white"),
    (70, "eye_white"),
    (86, "eye_white"),
    (104, "eye_white"),
    (124, "eye_white"),
    (146, "eye_white"),
    (164, "eye_white"),
)


def eye() -> Piece:
    """The left eye, looking straight ahead."""
    b = Builder()
    around = np.linspace(0, 2 * np.pi, SEGMENTS, endpoint=False)
    b.vertex("front", EYE_CENTRE + EYE_RADIUS * np.array([0.0, 0.0, 1.0]))
    b.vertex("back", EYE_CENTRE - EYE_RADIUS * np.array([0.0, 0.0, 1.0]))
    rings = []
    for k, (degrees, _) in enumerate(RINGS):
        a = np.radians(degrees)
        rings.append([(k, s) for s in range(SEGMENTS)])
        for s, phi in enumerate(around):
            ray = np.array([np.sin(a) * np.cos(phi), np.sin(a) * np.sin(phi), np.cos(a)])
            b.vertex((k, s), EYE_CENTRE + EYE_RADIUS * ray)
    for s in range(SEGMENTS):
        n = (s + 1) % SEGMENTS
        b.face(RINGS[0][1], "front", rings[0][s], rings[0][n])
        b.face(RINGS[-1][1], "back", rings[-1][n], rings[-1][s])
    for k in range(1, len(RINGS)):
        b.strip(RINGS[k][1], rings[k], rings[k - 1], closed=True)
    return b.piece("eye_left")
