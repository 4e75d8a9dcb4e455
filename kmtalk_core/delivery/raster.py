"""Triangles to pixels: a small software rasteriser in numpy, exact in depth, smooth at edges.

Colours come with the corners, already as they are to be seen on a screen; what needs the surface at every pixel gets
the samples back (`Samples`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

OVER = 2  # samples a pixel along each side
HALF = np.float32(0.5)  # a sample's middle


@dataclass(frozen=True)
class Samples:
    """What is seen at each sample that anything covers: `place` (N,) in the flattened picture of samples, `triangle`
    (N,), and `weights` (N, 3) of the triangle's corners, which sum to 1."""

    place: np.ndarray
    triangle: np.ndarray
    weights: np.ndarray


def rasterise(corners: np.ndarray, size: tuple[int, int]) -> Samples:
    """What is foremost at every sample of a picture of `size` (width, height) samples.

    `corners` (T, 3, 3) float32: x to the right and y downwards in samples, and nearness, which must be linear in the
    picture (1 / distance). Triangles that turn their back (clockwise on the screen) are left out.
    """
    width, height = size
    ab, ac = corners[:, 1, :2] - corners[:, 0, :2], corners[:, 2, :2] - corners[:, 0, :2]
    area = ab[:, 1] * ac[:, 0] - ab[:, 0] * ac[:, 1]
    front = np.flatnonzero((area > 1e-6) & (_least(corners[..., 2]) > 0))
    x, y, near = np.moveaxis(corners[front], 2, 0)
    ab, ac, area = ab[front], ac[front], area[front]

    # Each triangle is cut into rows of samples, each row into samples.
    top = np.clip(np.ceil(_least(y) - HALF), 0, height).astype(np.int32)
    bottom = np.clip(np.ceil(-_least(-y) - HALF), 0, height).astype(np.int32)
    of, row = _spread(top, bottom)
    level = row.astype(np.float32) + HALF
    left, right = _span(x, y, of, level)
    start = np.clip(np.ceil(left - HALF), 0, width).astype(np.int32)
    stop = np.clip(np.ceil(right - HALF), 0, width).astype(np.int32)
    line, column = _spread(start, stop)
    place = row[line] * width + column

    # Barycentric weights are linear in the picture: b and c of the second and third corner.
    across, down = HALF - x[of, 0], level - y[of, 0]
    edges = np.stack([-ac[:, 1], ab[:, 1], ac[:, 0], -ab[:, 0]]) / area
    b_step, c_step = edges[0][of], edges[1][of]
    b_row, c_row = across * b_step + down * edges[2][of], across * c_step + down * edges[3][of]
    to_b, to_c = (near[:, 1] - near[:, 0])[of], (near[:, 2] - near[:, 0])[of]
    x_of = column.astype(np.float32)
    depth = (near[of, 0] + b_row * to_b + c_row * to_c)[line] + x_of * (b_step * to_b + c_step * to_c)[line]
    nearest = np.zeros(width * height, np.float32)
    np.maximum.at(nearest, place, depth)
    seen = np.flatnonzero(depth == nearest[place])
    # Where two share an edge and a sample, either will do.
    winner = np.full(width * height, -1, np.int32)
    winner[place[seen]] = seen
    seen = winner[winner >= 0]
    line, x_of = line[seen], x_of[seen]
    b = np.clip(b_row[line] + x_of * b_step[line], 0, 1)
    c = np.clip(c_row[line] + x_of * c_step[line], 0, 1)
    a = np.maximum(1 - b - c, 0)
    whole = a + b + c
    weights = np.empty((len(seen), 3), np.float32)
    for corner, weight in enumerate((a, b, c)):
        np.divide(weight, whole, out=weights[:, corner])
    return Samples(place[seen], front[of][line], weights)


def _least(values: np.ndarray) -> np.ndarray:
    """(N,) the least of three; much faster than `min` along so short an axis."""
    return np.minimum(np.minimum(values[:, 0], values[:, 1]), values[:, 2])


def _spread(start: np.ndarray, stop: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For ranges start…stop: to which range each number of them belongs, and the number."""
    count = np.maximum(stop - start, 0)
    of = np.repeat(np.arange(len(count), dtype=np.int32), count)
    first = np.cumsum(count, dtype=np.int32) - count
    return of, np.arange(len(of), dtype=np.int32) + (start - first)[of]


def _span(x: np.ndarray, y: np.ndarray, of: np.ndarray, level: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where horizontal lines at `level` (R,) enter and leave the triangles `of` (R,) with corners x, y (T, 3)."""
    left, right = np.full(len(of), np.inf, np.float32), np.full(len(of), -np.inf, np.float32)
    for a, b in ((0, 1), (1, 2), (2, 0)):
        rise = y[:, b] - y[:, a]
        with np.errstate(divide="ignore", invalid="ignore"):
            lean = np.where(rise == 0, 0, (x[:, b] - x[:, a]) / rise)
        above, below = np.minimum(y[:, a], y[:, b]), np.maximum(y[:, a], y[:, b])
        crossing = (level >= above[of]) & (level <= below[of]) & (rise != 0)[of]
        at = x[:, a][of] + (level - y[:, a][of]) * lean[of]
        np.minimum(left, at, out=left, where=crossing)
        np.maximum(right, at, out=right, where=crossing)
    return left, right


def resolve(colours: np.ndarray, place: np.ndarray, background: np.ndarray) -> np.ndarray:
    """(H, W, 3) float32: colours (N, 3) at samples `place` laid over `background` (H·OVER, W·OVER, 3), averaged."""
    picture = background.reshape(-1, 3).copy()
    picture[place] = colours
    picture = picture.reshape(background.shape)
    rows = picture[::OVER].copy()
    for k in range(1, OVER):
        rows += picture[k::OVER]
    out = rows[:, ::OVER].copy()
    for k in range(1, OVER):
        out += rows[:, k::OVER]
    out *= np.float32(1 / OVER**2)
    return out
