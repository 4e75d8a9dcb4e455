"""Hair: one sculpted mass over the skull with a parting and swept clumps; mm."""

from __future__ import annotations

import numpy as np

from .implicit import gradient, project
from .mesh import Builder, Piece
from .sculpt import skull

AROUND, DOWN = 72, 18
VOLUME = 11.0  # how far the hair stands off the skull at its fullest
POLE = np.array([0.0, 36.0, -9.0])  # centre of the cranium, from which the hair is laid out


def _hairline(azimuth: np.ndarray) -> np.ndarray:
    """Elevation (rad) of the hair's edge seen from POLE: high on the forehead, down to the nape."""
    a = np.abs(azimuth)
    return np.radians(
        np.interp(a, np.radians([0, 25, 45, 62, 78, 95, 115, 150, 180]), [26, 25, 14, -8, -22, -18, -40, -48, -50])
    )


def hair() -> Piece:
    b = Builder()
    azimuth = np.linspace(-np.pi, np.pi, AROUND, endpoint=False)
    edge = _hairline(azimuth)
    rows = []
    for k in range(DOWN + 2):
        v = min(k / DOWN, 1)
        elevation = np.pi / 2 - (np.pi / 2 - edge) * (0.04 + 0.96 * v)
        ray = np.column_stack(
            [np.cos(elevation) * np.sin(azimuth), np.sin(elevation), np.cos(elevation) * np.cos(azimuth)]
        )
        p = project(skull, POLE + 100 * ray, 12, reach=30)
        clump = 1 + 0.16 * np.sin(azimuth * 14 + 2.2 * v + 1.5 * np.sin(3 * azimuth)) * v
        rise = VOLUME * (1 - v**5) * clump + 0.8
        if k > DOWN:
            rise = np.full(AROUND, -3.0)
        p = p + gradient(skull, p) * rise[:, None]
        for s in range(AROUND):
            b.vertex((k, s), p[s])
        rows.append([(k, s) for s in range(AROUND)])
    b.vertex("top", np.mean([b.at(key) for key in rows[0]], axis=0))
    for k in range(DOWN + 1):
        b.strip("hair", rows[k + 1], rows[k], closed=True)
    for s in range(AROUND):
        b.face("hair", "top", rows[0][s], rows[0][(s + 1) % AROUND])
    return b.piece("hair")
