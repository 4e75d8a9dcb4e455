"""A plain shirt with a round collar, so that the bust ends in something; mm."""

from __future__ import annotations

import numpy as np

from .implicit import cast_out, gradient
from .mesh import Builder, Piece
from .sculpt import skull

AROUND = 64
CENTRE = np.array([0.0, -205.0, -40.0])  # inside the chest, from which the cloth is laid out
COLLAR = (26.0, 40.0, 47.0)  # elevation of the collar seen from CENTRE: front, sides, back, degrees
HEM = -12.0  # elevation of the lowest row
# Rows from the inside of the collar over its edge and down: degrees below the collar, mm off the skin.
ROWS = ((3.5, 0.2), (0.5, 1.5), (0.0, 4.0), (1.5, 6.4), (4.5, 6.6), (5.5, 4.6), (6.5, 4.6))
BODY_ROWS = 7


def shirt() -> Piece:
    b = Builder()
    azimuth = np.linspace(0, 2 * np.pi, AROUND, endpoint=False)
    front, side, back = COLLAR
    collar = side + np.where(np.cos(azimuth) > 0, front - side, back - side) * np.abs(np.cos(azimuth)) ** 1.6
    rows = [(collar - below, off) for below, off in ROWS]
    for k in range(1, BODY_ROWS + 1):
        t = k / BODY_ROWS
        rows.append(((collar - ROWS[-1][0]) * (1 - t) + HEM * t, ROWS[-1][1] + 2.0 * t))
    for k, (degrees, off) in enumerate(rows):
        e = np.radians(degrees)
        ray = np.column_stack([np.cos(e) * np.sin(azimuth), np.sin(e), np.cos(e) * np.cos(azimuth)])
        p = cast_out(skull, CENTRE, ray)
        p = p + off * gradient(skull, p)
        for s in range(AROUND):
            b.vertex((k, s), p[s])
    for k in range(len(rows) - 1):
        b.strip("shirt", [(k + 1, s) for s in range(AROUND)], [(k, s) for s in range(AROUND)], closed=True)
    return b.piece("shirt")
