"""Pairs of upper and lower lip vertices for the mouth's opening, where the data names none (BIWI): found by motion."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

COLUMNS = np.linspace(-0.12, 0.12, 4)  # of the mouth's width about its middle: three columns of vertices
NARROW = 0.12  # of the mouth's width: how far the two may be apart at rest


def widest(moved: np.ndarray, template: np.ndarray, lips: np.ndarray, upper_face: np.ndarray) -> np.ndarray:
    """(T, V, 3) displacement → that of the lips (n, 3) in the frame in which they are furthest apart upwards."""
    up = _up(template, lips, upper_face)
    heights = (template[lips] + moved[:, lips]) @ up
    return moved[int(np.argmax(heights.max(1) - heights.min(1))), lips]


def find_opening(
    template: np.ndarray, lips: np.ndarray, upper_face: np.ndarray, opened: np.ndarray
) -> np.ndarray | None:
    """(k, 2) vertex numbers, upper and lower, near each other at rest and furthest apart in `opened` (F, n, 3), the
    displacement of the lips in frames with an open mouth. None where there are no such vertices."""
    up, rest = _up(template, lips, upper_face), template[lips].astype(np.float64)
    flat = rest - rest.mean(0) - np.outer((rest - rest.mean(0)) @ up, up)
    across = np.linalg.svd(flat, full_matrices=False)[2][0]  # from corner to corner
    place = flat @ across
    middle, width = (place.max() + place.min()) / 2, float(np.ptp(place))
    pairs = []
    for low, high in pairwise(COLUMNS):
        column = np.flatnonzero((place >= middle + low * width) & (place <= middle + high * width))
        gap = np.linalg.norm(rest[column, None] - rest[None, column], axis=2)
        apart = np.zeros_like(gap)
        for pose in rest[column] + opened[:, column]:
            apart += np.linalg.norm(pose[:, None] - pose[None], axis=2) / len(opened)
        above = (rest[column] @ up)[:, None] > (rest[column] @ up)[None]
        score = np.where(above & (gap < NARROW * width), apart - 2 * gap, -np.inf)
        if score.size and score.max() > 0:
            upper, lower = np.unravel_index(int(score.argmax()), score.shape)
            pairs.append((lips[column[upper]], lips[column[lower]]))
    return np.array(pairs, np.int64) if pairs else None


def _up(template: np.ndarray, lips: np.ndarray, upper_face: np.ndarray) -> np.ndarray:
    up = (template[upper_face].mean(0) - template[lips].mean(0)).astype(np.float64)
    return up / np.linalg.norm(up)
