"""The 68 iBUG landmarks on the face component."""

from __future__ import annotations

import numpy as np

from .layout import EYE_COUNT, HALF_LIP
from .lips import RED_RINGS
from .mesh import Builder

BORDER = len(RED_RINGS) - 1
N, E = HALF_LIP, EYE_COUNT
# Landmarks of the left half that lie on the skin between the loops: index -> aim (mm), for the nearest vertex.
AIMS = {
    16: (72, -4, 14),
    15: (69, -22, 14),
    14: (66, -41, 12),
    13: (60, -60, 14),
    12: (53, -77, 24),
    11: (42, -90, 40),
    10: (30, -100, 56),
    9: (16, -108, 70),
    8: (0, -111, 78),
    22: (12, 19.5, 85),
    23: (21, 24, 82),
    24: (31, 26.5, 77),
    25: (42, 26, 69),
    26: (52, 20, 56),
    27: (0, 3, 86),
    28: (0, -9, 93),
    29: (0, -21, 101),
    30: (0, -33, 111),
    33: (0, -45, 93),
    34: (7, -44, 91),
    35: (13, -40, 90),
}
# Those on the loops: index -> key of the layout.
LOOPS = {
    # eye
    42: ("e", 0, 0), 43: ("e", 0, E // 6), 44: ("e", 0, E // 2 - E // 6),
    45: ("e", 0, E // 2), 46: ("e", 0, E // 2 + E // 6), 47: ("e", 0, E - E // 6),
    # border of the lips
    51: ("m", BORDER, 0), 52: ("m", BORDER, 2), 53: ("m", BORDER, N // 2 + 1), 54: ("m", BORDER, N),
    55: ("m", BORDER, 2 * N - N // 2 - 1), 56: ("m", BORDER, 2 * N - 3), 57: ("m", BORDER, 2 * N),
    # where the lips meet
    62: ("m", 0, 0), 63: ("m", 0, N // 2 - 1), 64: ("m", 0, N), 65: ("m", 0, 2 * N - N // 2 + 1), 66: ("m", 0, 2 * N),
}  # fmt: skip
# Left landmark -> its mirror image on the right.
MIRROR = {
    **{16 - i: i for i in range(8)}, **{26 - i: 17 + i for i in range(5)}, 35: 31, 34: 32,
    42: 39, 43: 38, 44: 37, 45: 36, 46: 41, 47: 40,
    52: 50, 53: 49, 54: 48, 55: 59, 56: 58, 63: 61, 64: 60, 65: 67,
}  # fmt: skip


def landmarks(half: Builder, partner: np.ndarray) -> np.ndarray:
    """(68,) vertex indices into the welded face; `partner` maps each vertex to its mirror image."""
    out = np.full(68, -1, dtype=np.int32)
    positions = np.array(half.positions)
    on_grid = np.array([isinstance(key, tuple) and key[0] == "g" for key in half.index])
    for number, aim in AIMS.items():
        distance = np.linalg.norm(positions - aim, axis=1)
        usable = on_grid & ((positions[:, 0] == 0) == (aim[0] == 0))
        out[number] = np.argmin(np.where(usable, distance, np.inf))
    for number, key in LOOPS.items():
        out[number] = half.index[key]
    for left, right in MIRROR.items():
        out[right] = partner[out[left]]
    return out
