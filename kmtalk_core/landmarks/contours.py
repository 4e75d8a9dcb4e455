"""The landmarks of lips and lids lie at fixed shares of their contours, whatever the head."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

# Contour → its landmarks from the person's right to left for lips, from the outer to the inner corner for lids, with
# the share of the way between the corners.
EYE = (0.0, 0.3, 0.7, 1.0)
SHARES: Mapping[str, tuple[tuple[int, float], ...]] = {
    "right_upper": tuple(zip((36, 37, 38, 39), EYE, strict=True)),
    "right_lower": ((41, 0.3), (40, 0.7)),
    "left_upper": tuple(zip((45, 44, 43, 42), EYE, strict=True)),
    "left_lower": ((46, 0.3), (47, 0.7)),
    "lips_outer_upper": ((48, 0.0), (49, 0.15), (50, 0.4), (51, 0.5), (52, 0.6), (53, 0.85), (54, 1.0)),
    "lips_outer_lower": ((59, 0.13), (58, 0.3), (57, 0.5), (56, 0.7), (55, 0.87)),
    "lips_inner_upper": ((60, 0.0), (61, 0.25), (62, 0.5), (63, 0.75), (64, 1.0)),
    "lips_inner_lower": ((67, 0.25), (66, 0.5), (65, 0.75)),
}


def place_on_contours(marks: np.ndarray, contours: Mapping[str, np.ndarray]) -> np.ndarray:
    """(68, 3): `marks`, but those of lips and lids at their shares of `contours`, name → (n, 3) from corner to corner.

    Shares are of the straight way between the corners.
    """
    out = marks.copy()
    for name, places in SHARES.items():
        line = contours[name]
        way = line[-1] - line[0]
        along = np.maximum.accumulate((line - line[0]) @ way / max(float(way @ way), 1e-300))
        along = along + 1e-12 * np.arange(len(line))  # np.interp wants them to rise
        for mark, share in places:
            out[mark] = [np.interp(share, along, line[:, axis]) for axis in range(3)]
    return out
