"""Brows and upper lashes: tapered bodies swept along a line on the skin; mm."""

from __future__ import annotations

import numpy as np
from scipy.interpolate import PchipInterpolator

from . import lids
from .implicit import cast_z, gradient
from .mesh import Builder, Piece
from .sculpt import EYE_RADIUS, LID_THICKNESS, skin

# Along the left brow from the nose outwards: x, y, half height.
BROW = (
    *((11.5, 23.2, 0.9), (13.0, 23.6, 2.6), (19.5, 25.6, 3.5), (27.5, 27.4, 3.3), (36.5, 27.9, 2.7)),
    *((45.0, 25.8, 1.9), (53.0, 20.8, 0.5)),
)
BROW_THICKNESS = 1.9
BROW_STATIONS, LASH_STATIONS = 30, 20
LASH_LENGTH = 1.8


def sweep(name: str, material: str, rows: list[np.ndarray]) -> Piece:
    """A closed body through rings of points (n, 3), ordered clockwise as seen looking along the path."""
    b = Builder()
    for i, ring in enumerate(rows):
        for k, point in enumerate(ring):
            b.vertex((i, k), point)
    n, last = len(rows[0]), len(rows) - 1
    for i in range(last):
        b.strip(material, [(i, k) for k in range(n)], [(i + 1, k) for k in range(n)], closed=True)
    b.vertex("start", rows[0].mean(axis=0))
    b.vertex("end", rows[last].mean(axis=0))
    for k in range(n):
        m = (k + 1) % n
        b.face(material, "start", (0, m), (0, k))
        b.face(material, "end", (last, k), (last, m))
    return b.piece(name)


def brow() -> Piece:
    """The left brow."""
    t = np.linspace(0, 1, len(BROW))
    x, y, half = PchipInterpolator(t, BROW)(np.linspace(0, 1, BROW_STATIONS)).T
    rows = []
    for i, (xi, yi, hi) in enumerate(zip(x, y, half, strict=True)):
        v = np.array([-1.0, -0.5, 0.0, 0.5, 1.0])
        xy = np.column_stack([np.full(5, xi), yi + v * hi])
        p = np.column_stack([xy, cast_z(skin, xy)])
        normal = gradient(skin, p)
        bulge = BROW_THICKNESS * (1 - v**2) * min(1, hi / 2) + 0.15
        bulge *= 1 + 0.22 * np.sin(2.3 * i - 2.0 * v)  # a hint of strands
        outer = p + normal * bulge[:, None]
        inner = p - normal * 0.8
        rows.append(np.vstack([outer[::-1], inner]))
    return sweep("brow_left", "brows", rows)


def lashes() -> Piece:
    """The upper lashes of the left eye as one dark, curved wedge along the lid margin."""
    n = 4 * LASH_STATIONS
    azimuth, elevation = lids.margin(n)
    keep = slice(3, n // 2 - 1)
    azimuth, elevation = azimuth[keep], elevation[keep]
    u = np.linspace(0, 1, len(azimuth))
    length = LASH_LENGTH * (0.25 + 0.75 * u**0.8) * np.clip((1 - u) / 0.08, 0.35, 1)
    edge = EYE_RADIUS + LID_THICKNESS
    rows = []
    for a, e, long in zip(azimuth[::2], elevation[::2], length[::2], strict=True):
        upper = lids.on_eye(a, e + 0.05, edge + 0.1)
        lower = lids.on_eye(a, e - 0.015, edge - 1.0)
        tip = lids.on_eye(a * 1.06, e + 0.05 + 0.02 * long, edge + long)
        middle = lids.on_eye(a * 1.02, e - 0.01, edge + 0.5 * long)
        rows.append(np.array([upper, tip, middle, lower]))
    return sweep("lashes_left", "lashes", rows)
