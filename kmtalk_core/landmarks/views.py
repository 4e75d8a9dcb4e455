"""What a surface looks like from the front of a frame: pictures of depth and direction, without a renderer.

Triangles are covered with points, closer than the picture's, and the nearest to the eye are kept: so a head of two
thousand vertices and a scan of three hundred thousand look alike, whatever way round their faces are.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..rig.surface import face_normals, vertex_normals

CHANNELS = 5  # direction x, y, z, depth, whether there is anything
SPACING = 0.7  # of a picture's point: how far apart the points on a triangle are at most
LAYER = 1.5  # of a picture's point: what lies this near behind the nearest counts, too
GAP = 2.0  # the same, of the larger places that a glance tells by what is in front
DEPTH = 0.25  # of the picture's width: the depth that is told as 1
BEHIND = 0.6  # of the picture's width: what lies farther behind its centre isn't seen
MOST = 64  # points along the edge of a triangle


@dataclass(frozen=True)
class Surface:
    """Triangles `faces` (F, 3) over `points` (V, 3), with `normals` (V, 3)."""

    points: np.ndarray
    faces: np.ndarray
    normals: np.ndarray

    @classmethod
    def of(cls, points: np.ndarray, faces: np.ndarray) -> Surface:
        return cls(points, faces, vertex_normals(points, faces))

    @cached_property
    def middles(self) -> np.ndarray:
        """(F, 3) the middle of each triangle."""
        a, b, c = self.faces.T
        return (self.points[a] + self.points[b] + self.points[c]) / 3

    @cached_property
    def areas(self) -> np.ndarray:
        """(F,) twice the area of each triangle."""
        return np.linalg.norm(face_normals(self.points, self.faces), axis=1)


@dataclass(frozen=True)
class View:
    """A square picture of what lies before `origin` (3,), whose sides are `width` units; `axes` (3, 3) are the
    directions right, up and towards the eye as rows (for a face: the person's left, up, forward)."""

    origin: np.ndarray
    axes: np.ndarray
    width: float

    def to_picture(self, points: np.ndarray) -> np.ndarray:
        """(n, 3) points → right, up and nearness, -0.5 to 0.5 within the picture."""
        return (points - self.origin) @ self.axes.T / self.width

    def from_picture(self, placed: np.ndarray) -> np.ndarray:
        """The other way round."""
        return placed * self.width @ self.axes + self.origin


def look(surface: Surface, view: View, size: int) -> np.ndarray:
    """(CHANNELS, size, size) float32: the first row is the topmost; nothing is 0 everywhere."""
    placed = view.to_picture(surface.points).astype(np.float32)
    seen = np.flatnonzero(_within(placed, surface.faces))
    points, face, weight = _covered(placed[surface.faces[seen]], SPACING / size)
    front, at = _front(points, size)
    turned = (surface.normals @ view.axes.T).astype(np.float32)[surface.faces[seen[face[front]]]]
    return _painted(at, points[front, 2], (weight[front][:, :, None] * turned).sum(1), size)


def _within(placed: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(F,) bool: the triangles whose surrounding box reaches into the picture, and not wholly behind or before it."""
    a, b, c = faces.T
    inside = np.ones(len(faces), bool)
    for axis, least, most in ((0, -0.5, 0.5), (1, -0.5, 0.5), (2, -BEHIND, 1.0)):
        at = placed[:, axis]
        # A box reaches past a bound if one corner does.
        inside &= (at < most)[a] | (at < most)[b] | (at < most)[c]
        inside &= (at > least)[a] | (at > least)[b] | (at > least)[c]
    return inside


def glance(points: np.ndarray, normals: np.ndarray, view: View, size: int) -> np.ndarray:
    """What `look` shows, of points (n, 3) with normals (n, 3) that lie densely on a surface: quicker, with gaps."""
    placed = view.to_picture(points).astype(np.float32)
    seen = np.flatnonzero((placed[:, 2] > -BEHIND) & (placed[:, 2] < 1))
    # What is behind is told by larger places, or it would be seen through the gaps.
    front, coarse = _front(placed[seen], size // 2, GAP)
    chosen = seen[front]
    turned = (normals[chosen] @ view.axes.T).astype(np.float32)
    column = np.floor((placed[chosen, 0] + 0.5) * size).astype(np.int64)
    row = np.floor((0.5 - placed[chosen, 1]) * size).astype(np.int64)
    picture = _painted(row * size + column, placed[chosen, 2], turned, size)
    around = _painted(coarse, placed[chosen, 2], turned, size // 2).repeat(2, axis=1).repeat(2, axis=2)
    return np.where(picture[4] > 0, picture, around)


def _front(points: np.ndarray, size: int, layer: float = LAYER) -> tuple[np.ndarray, np.ndarray]:
    """Which of `points` (n, 3) are seen, and at which place of the picture."""
    column = np.floor((points[:, 0] + 0.5) * size).astype(np.int32)
    row = np.floor((0.5 - points[:, 1]) * size).astype(np.int32)
    inside = np.flatnonzero((column >= 0) & (column < size) & (row >= 0) & (row < size))
    at, near = row[inside] * size + column[inside], points[inside, 2]
    nearest = np.full(size * size, -np.inf, np.float32)
    np.maximum.at(nearest, at, near)
    front = near > nearest[at] - layer / size
    return inside[front], at[front]


def _painted(at: np.ndarray, near: np.ndarray, normals: np.ndarray, size: int) -> np.ndarray:
    normals = normals * np.where(normals[:, 2:] < 0, -1, 1)
    count = np.bincount(at, minlength=size * size)
    values = [*normals.T, near / DEPTH]
    picture = np.stack([np.bincount(at, value, size * size) / np.maximum(count, 1) for value in values])
    length = np.linalg.norm(picture[:3], axis=0)
    picture[:3] /= np.maximum(length, 1e-6)
    picture[3] = np.clip(picture[3], -2, 2)
    return np.concatenate([picture, (count > 0)[None]]).reshape(CHANNELS, size, size).astype(np.float32)


def _covered(corners: np.ndarray, spacing: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points on triangles `corners` (F, 3, 3), not farther apart than `spacing`: (n, 3) where they are, (n,) the
    triangle of each, and (n, 3) the weights of its corners."""
    longest = np.linalg.norm(corners[..., :2] - corners[:, [1, 2, 0], :2], axis=2).max(1, initial=0.0)
    steps = np.clip(np.ceil(longest / spacing), 1, MOST).astype(np.int64)
    points, faces, weights = [np.zeros((0, 3), np.float32)], [np.zeros(0, np.int64)], [np.zeros((0, 3), np.float32)]
    for count in np.unique(steps):
        some = np.flatnonzero(steps == count)
        weight = _weights(int(count))
        own = weight @ corners[some].transpose(1, 0, 2).reshape(3, -1)
        points.append(own.reshape(-1, 3))
        faces.append(np.tile(some, len(weight)))
        weights.append(np.repeat(weight, len(some), axis=0))
    return np.concatenate(points), np.concatenate(faces), np.concatenate(weights)


def _weights(steps: int) -> np.ndarray:
    """(n, 3) barycentric weights of the centres of the small triangles, and for one of them its middle."""
    i, j = np.meshgrid(np.arange(steps), np.arange(steps), indexing="ij")
    i, j = i[i + j < steps], j[i + j < steps]
    u, v = (i + 1 / 3) / steps, (j + 1 / 3) / steps
    return np.stack([1 - u - v, u, v], axis=1).astype(np.float32)
