"""Where on a mesh a face is: any way up, any size, with or without a body.

The topmost part of a thing that stands upright is likely its head. So every direction is tried as up, and from each its
end is looked at from all sides, as parts of several sizes; a network judges the pictures. The best are looked at again
from where the face that they show would be seen straight.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import InputError
from ..rig.frame import head_frame
from .crops import ANYWHERE
from .sight import Networks
from .views import Surface, View, glance

POINTS = 14_000  # on a part that is looked at
SIZES = (1.0, 0.6, 0.36, 0.21, 0.13)  # of the mesh's height: how wide the picture of its top is …
BETWEEN = (0.8, 0.47, 0.28, 0.165)  # … and where none of these shows a face
BELOW, BEFORE = 0.6, 0.28  # of that width: where the middle of a face is, from the top and before the head's middle
SIDES = 8  # from which every part is looked at
KEPT, AGAIN = 5, 3  # how many of the best are looked at again, and how often
# Logits. Of heads of seven kinds none had less than 4.4, of balls, hands and headless bodies none more than 3.1.
SURE = 4.2  # a face, without doubt
STEEP = 4.0
LEAST = 3.6  # below, there is none


@dataclass(frozen=True)
class Face:
    """Where a face is: `marks` (68, 3) as far as the picture of the whole tells; `sure` is a logit."""

    marks: np.ndarray
    sure: float

    @property
    def probability(self) -> float:
        """0…1, how surely it is one: a half between what heads and what other things get."""
        return float(1 / (1 + np.exp(-STEEP * (self.sure - LEAST))))


def find_face(surface: Surface, networks: Networks) -> Face:
    """The most likely face; raises InputError if there is none."""
    seed = np.random.default_rng(0)
    spread = _Spread.on(surface, np.arange(len(surface.faces)), 4 * POINTS, seed)
    best: list[Face] = []
    upright = np.concatenate([_axes(), _principal(spread.points)])
    for ups, sizes in ((_axes(), SIZES), (upright[6:], SIZES), (upright, BETWEEN), (_all_around(), SIZES[:2])):
        found = _judged(list(_views(surface, spread, ups, sizes, seed)), networks)
        best = sorted([*best, *found], key=lambda face: -face.sure)[:KEPT]
        best = [_again(surface, face, networks, seed) for face in best]
        if max((face.sure for face in best), default=-np.inf) > SURE:
            break
    face = max(best, key=lambda face: face.sure, default=None)
    if face is None or face.sure < LEAST:
        raise InputError(
            "No face was found on this mesh; pick its landmarks yourself (Pick, in Blender), or choose the mesh"
            " that the face is on."
        )
    return face


@dataclass(frozen=True)
class _Spread:
    """Points (n, 3) spread evenly over a surface, with normals (n, 3)."""

    points: np.ndarray
    normals: np.ndarray

    @classmethod
    def on(cls, surface: Surface, some: np.ndarray, count: int, rng: np.random.Generator) -> _Spread:
        """`count` points on the triangles numbered `some`."""
        total = np.cumsum(surface.areas[some])
        chosen = np.searchsorted(total, (np.arange(count) + rng.random(count)) / count * total[-1])
        corners = surface.faces[some[np.minimum(chosen, len(some) - 1)]]
        a, b = rng.random((2, count, 1))
        turned = a + b > 1
        a, b = np.where(turned, 1 - a, a), np.where(turned, 1 - b, b)
        weight = np.stack([1 - a - b, a, b], axis=1)
        return cls((weight * surface.points[corners]).sum(1), (weight * surface.normals[corners]).sum(1))


def _axes() -> np.ndarray:
    return np.concatenate([np.eye(3)[[2, 1, 0]], -np.eye(3)[[2, 1, 0]]])


def _principal(points: np.ndarray) -> np.ndarray:
    """(6, 3): the directions in which a thing is longest, broadest and thinnest, either way."""
    _, _, ways = np.linalg.svd(points - points.mean(0), full_matrices=False)
    return np.concatenate([ways, -ways])


def _all_around(count: int = 44) -> np.ndarray:
    """Directions spread evenly (a Fibonacci lattice)."""
    k = np.arange(count) + 0.5
    height, turn = 1 - 2 * k / count, np.pi * (1 + 5**0.5) * k
    flat = np.sqrt(1 - height**2)
    return np.stack([flat * np.cos(turn), flat * np.sin(turn), height], axis=1)


def _views(
    surface: Surface, spread: _Spread, ups: np.ndarray, sizes: Sequence[float], rng: np.random.Generator
) -> Iterator[tuple[View, np.ndarray]]:
    """Views of the end of the mesh in each direction of `ups`, with what they show."""
    for up in ups:
        along = spread.points @ up
        low, high = np.quantile(along, [0.0005, 0.9995])
        seen: list[np.ndarray] = []
        for size in sizes:
            width = size * (high - low)
            if width <= 0:
                continue
            top = spread.points[along > high - 0.9 * width]
            middle = (top.min(0) + top.max(0)) / 2
            middle = middle + (high - BELOW * width - middle @ up) * up
            if any(
                np.linalg.norm(middle - other[:3]) < 0.1 * width and abs(width - other[3]) < 0.1 * width
                for other in seen
            ):
                continue
            seen.append(np.array([*middle, width]))
            near = _near(surface, middle, 1.1 * width)
            if len(near) < 50:
                continue
            part = _Spread.on(surface, near, POINTS, rng)
            across = np.linalg.svd(up[None])[2][1]
            for turn in np.arange(SIDES) * 2 * np.pi / SIDES:
                forward = np.cos(turn) * across + np.sin(turn) * np.cross(up, across)
                view = View(middle + BEFORE * width * forward, np.stack([np.cross(up, forward), up, forward]), width)
                yield view, glance(part.points, part.normals, view, ANYWHERE.size)


def _near(surface: Surface, centre: np.ndarray, reach: float) -> np.ndarray:
    """Which triangles have their middles within `reach` of `centre`."""
    x, y, z = surface.middles.T - centre[:, None]
    return np.flatnonzero(x * x + y * y + z * z < reach * reach)


def _judged(views: list[tuple[View, np.ndarray]], networks: Networks) -> list[Face]:
    if not views:
        return []
    placed, sure = networks.see(ANYWHERE, np.stack([picture for _, picture in views]))
    best = np.argsort(-sure)[:KEPT]
    return [Face(views[k][0].from_picture(placed[k]), float(sure[k])) for k in best]


def _again(surface: Surface, face: Face, networks: Networks, rng: np.random.Generator) -> Face:
    """The same face, looked at straight."""
    for _ in range(AGAIN):
        try:
            axes = head_frame(face.marks).axes
        except InputError:
            return Face(face.marks, -np.inf)
        view = ANYWHERE.view(face.marks, axes)
        near = _near(surface, view.origin, 1.1 * view.width)
        if len(near) < 50:
            return Face(face.marks, -np.inf)
        part = _Spread.on(surface, near, POINTS, rng)
        placed, sure = networks.see(ANYWHERE, glance(part.points, part.normals, view, ANYWHERE.size)[None])
        face = Face(view.from_picture(placed[0]), float(sure[0]))
    return face
