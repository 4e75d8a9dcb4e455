"""Tongue: a smooth body from the throat to a tip that rests behind the lower incisors; mm."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from scipy.interpolate import PchipInterpolator

from .mesh import Builder, Piece, mirror_and_weld

# From the tip backwards: z, y of the back of the tongue, y of its underside, half width.
SECTIONS = (
    (71.8, -71.0, -73.0, 2.5),
    (70.5, -69.2, -74.5, 7.0),
    (67.0, -67.5, -76.5, 11.0),
    (60.0, -65.5, -79.5, 15.0),
    (50.0, -63.2, -82.5, 17.5),
    (38.0, -62.5, -84.0, 18.0),
    (29.0, -66.0, -84.5, 16.0),
    (25.0, -71.0, -83.0, 11.0),
)
STATIONS, AROUND = 16, 10  # rings; quads from the top's middle to the bottom's
GROOVE = 1.3  # depth of the furrow along the middle


def tongue() -> Piece:
    b = Builder()
    z, top, bottom, width = PchipInterpolator(np.linspace(0, 1, len(SECTIONS)), SECTIONS)(
        np.linspace(0, 1, STATIONS) ** 1.15
    ).T
    rows = []
    for i in range(STATIONS):
        a = np.linspace(0, np.pi, AROUND + 1)
        x = width[i] * np.sin(a) ** 0.8
        y = (top[i] + bottom[i]) / 2 + (top[i] - bottom[i]) / 2 * np.sign(np.cos(a)) * np.abs(np.cos(a)) ** 0.8
        y -= GROOVE * np.exp(-((x / 3.0) ** 2)) * (np.cos(a) > 0) * min(1, width[i] / 12)
        rows.append([(i, k) for k in range(AROUND + 1)])
        for k in range(AROUND + 1):
            b.vertex((i, k), (x[k] if 0 < k < AROUND else 0.0, y[k], z[i]))
    b.vertex("tip", (0, (top[0] + bottom[0]) / 2, z[0] + 0.7))
    b.vertex("root", (0, (top[-1] + bottom[-1]) / 2, z[-1] - 1.5))
    for near, far in pairwise(rows):
        b.strip("tongue", near, far)
    for k in range(AROUND):
        b.face("tongue", "tip", rows[0][k + 1], rows[0][k])
        b.face("tongue", "root", rows[-1][k], rows[-1][k + 1])
    return mirror_and_weld(b.piece("tongue"))[0]
