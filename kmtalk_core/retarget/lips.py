"""Where the lips of any head are, and how its shapes move them: found from the shapes alone, without landmarks.

A shape that opens the mouth tears the surface apart at one place: between the lips. There, vertices lie together at
rest and far apart at 1. Of all such pairs the foremost are the lips' edges; teeth lie behind them. So two heads of any
topology, size and axes can be compared: the motion of both lips at the same places of the mouth's width.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

PLACES = np.linspace(-0.9, 0.9, 7)  # of half the mouth's width, from the person's right to left
SPREAD = 0.22  # of half the width: how far around a place vertices count
MOVING, RESTING = 0.4, 0.3  # shares of the largest motion: of the lower lip, of what stays
TORN = 2.5  # times their distance by which a pair parts
FEWEST = 6  # pairs
FRONT = 0.16  # of the width: how far behind the foremost a pair may lie
NEAR = 0.02  # of the width: pairs that lie further apart than the nearest by this count less
UPRIGHT = np.cos(np.radians(40))  # a jaw turns about the ears; an axis of the mesh as near to its way is up
SEAM_MM = 44.4  # the width of the seam that the demo head opens, which the scale of a mouth is told by


@dataclass(frozen=True)
class Lips:
    """The lips of a head: `upper` and `lower` (7, V) are weights of vertices for each of PLACES, as index and weight.

    `axes` (3, 3) has the person's left, up and forward as rows; `width` of the seam in the mesh's units; `rest` (7,)
    how far the lips are apart at rest, in widths.
    """

    upper: tuple[tuple[np.ndarray, np.ndarray], ...]
    lower: tuple[tuple[np.ndarray, np.ndarray], ...]
    axes: np.ndarray
    width: float
    rest: np.ndarray

    def motion(self, shapes: np.ndarray) -> np.ndarray:
        """Displacements (n, V, 3) → (n, 7, 2, 3): of the upper and lower lip at each place, along axes, in widths."""
        out = np.empty((len(shapes), len(PLACES), 2, 3))
        for lip, weights in enumerate((self.upper, self.lower)):
            for place, (index, weight) in enumerate(weights):
                out[:, place, lip] = np.einsum("k,nkx->nx", weight, shapes[:, index]) @ self.axes.T
        return out / self.width


def find_lips(rest: np.ndarray, opening: np.ndarray, axes: np.ndarray | None = None) -> Lips | None:
    """The lips of a mesh from its vertices `rest` (V, 3) and a shape that opens the mouth, `opening` (V, 3).

    `axes` (3, 3): the person's left, up and forward as rows where they are known; else found from the mouth. None where
    no seam opens: the mouth is closed by skin, or the shape does something else.
    """
    from scipy.spatial import cKDTree

    size = np.linalg.norm(opening, axis=1)
    most = float(np.quantile(size[size > 0.05 * size.max()], 0.98)) if size.max() > 0 else 0.0
    if not np.isfinite(most) or most <= 1e-9 * float(np.ptp(rest, axis=0).max()):
        return None
    down = opening[size > 0.8 * most].mean(0) if axes is None else -axes[1]
    down /= max(float(np.linalg.norm(down)), 1e-300)
    along = opening @ down
    low, high = np.flatnonzero(along > MOVING * most), np.flatnonzero(size < RESTING * most)
    if len(low) < FEWEST or len(high) < FEWEST:
        return None
    tree = cKDTree(rest[high])
    distance, near = tree.query(rest[low])
    parting = (opening[low] - opening[high[near]]) @ down
    torn = parting > TORN * np.maximum(distance, 0.02 * most)
    lower, upper, distance = low[torn], high[near[torn]], distance[torn]
    if len(lower) < FEWEST:
        return None
    middle = (rest[lower] + rest[upper]) / 2
    axes = _axes(rest, middle, -down) if axes is None else axes
    placed = (middle - middle.mean(0)) @ axes.T
    width = float(np.ptp(placed[:, 0]))
    if width <= 0:
        return None
    front = _foremost(placed, width)
    if front.sum() < FEWEST:
        return None
    lower, upper, placed, distance = lower[front], upper[front], placed[front], distance[front]
    left, right = float(placed[:, 0].max()), float(placed[:, 0].min())
    width = left - right
    if width <= 0:
        return None
    share = (placed[:, 0] - (left + right) / 2) / (width / 2)
    gap = ((rest[upper] - rest[lower]) @ axes[1]) / width
    uppers, lowers, apart = [], [], []
    for place in PLACES:
        near_by = np.exp(-0.5 * ((share - place) / SPREAD) ** 2) + 1e-9
        closest = distance[near_by > 0.5].min(initial=distance.max())
        weight = near_by * np.exp(-np.maximum(distance - closest, 0) / (NEAR * width))
        weight /= weight.sum()
        uppers.append((upper, weight))
        lowers.append((lower, weight))
        apart.append(float(weight @ gap))
    return Lips(tuple(uppers), tuple(lowers), axes, width, np.maximum(apart, 0.0))


def gap_of(motion: np.ndarray) -> np.ndarray:
    """(…, 7, 2, 3) motion of the lips → (…, 7): by how much they part."""
    return motion[..., 0, 1] - motion[..., 1, 1]


def _axes(rest: np.ndarray, middle: np.ndarray, up: np.ndarray) -> np.ndarray:
    nearest = int(np.abs(up).argmax())
    if abs(up[nearest]) > UPRIGHT:
        up = np.sign(up[nearest]) * np.eye(3)[nearest]
    centred = middle - middle.mean(0)
    flat = centred - np.outer(centred @ up, up)
    _, _, directions = np.linalg.svd(flat, full_matrices=False)
    across = directions[0] - (directions[0] @ up) * up
    across /= np.linalg.norm(across)
    forward = np.cross(across, up)
    # A mouth lies at the front of its head, and of the body below it.
    if (middle.mean(0) - rest.mean(0)) @ forward < 0:
        forward = -forward
    return np.stack([np.cross(up, forward), up, forward])


def _foremost(placed: np.ndarray, width: float) -> np.ndarray:
    """(k,) bool: the pairs at the front, for each stretch of the width."""
    bins = np.clip(((placed[:, 0] - placed[:, 0].min()) / width * 9).astype(int), 0, 8)
    front = np.zeros(len(placed), bool)
    for one in range(9):
        here = np.flatnonzero(bins == one)
        if len(here):
            front[here] = placed[here, 2] > placed[here, 2].max() - FRONT * width
    return front
