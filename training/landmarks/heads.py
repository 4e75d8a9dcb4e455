"""Heads with known landmarks, no two alike: the project's own and MakeHuman's (CC0), bent, posed and dressed by chance.

What a landmark is does not depend on the head: those of lips and lids lie at the same shares of their contours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial import cKDTree

from kmtalk_core.assets import DEMO_HEAD
from kmtalk_core.landmarks.contours import place_on_contours
from kmtalk_core.rig.anatomy import Anatomy
from kmtalk_core.rig.articulation import build_rig
from kmtalk_core.rig.frame import head_frame
from kmtalk_core.rig.mesh import load_mesh

POSES = {
    "jawOpen": 0.35, "mouthSmile": 0.4, "mouthFrown": 0.4, "mouthPucker": 0.5, "mouthFunnel": 0.4, "eyeBlink": 0.6,
    "mouthUpperUp": 0.4, "mouthLowerDown": 0.4, "eyeLookUp": 0.6, "eyeLookDown": 0.5, "mouthPress": 0.5,
    "browInnerUp": 0.6, "browDown": 0.6, "cheekPuff": 0.5, "mouthStretch": 0.4, "eyeWide": 0.6, "jawForward": 0.5,
}  # fmt: skip
BUMPS = ((60.0, 7.0, 3), (28.0, 3.5, 5), (14.0, 1.3, 7))  # mm: reach, size, how many


@dataclass(frozen=True)
class Head:
    """`points` (V, 3) mm in the head's own frame, triangles `faces` (F, 3), `marks` (68, 3) mm."""

    points: np.ndarray
    faces: np.ndarray
    marks: np.ndarray


Maker = Callable[[np.random.Generator], Head]


class DemoHeads:
    """The project's own head: bent, with expressions of its rig, with and without hair, eyes, teeth and shirt."""

    def __init__(self) -> None:
        self._mesh = load_mesh(DEMO_HEAD)
        self._rig = build_rig(self._mesh)
        self._contours = contours_of(self._rig.anatomy)

    def template(self) -> tuple[np.ndarray, np.ndarray]:
        """The head as it is: (V, 3) mm and its landmarks (68, 3)."""
        a = self._rig.anatomy
        return a.points, a.p

    def __call__(self, rng: np.random.Generator) -> Head:
        points = self._rig.neutral.astype(np.float64)
        for name, weight in pose(rng).items():
            for side in ("", "Left", "Right"):
                if name + side in self._rig.control_names:
                    points = points + weight * self._rig.shapes[self._rig.control_names.index(name + side)]
        frame = self._rig.anatomy.frame
        points = bent(frame.to_frame(points), rng)
        marks = points[self._rig.anatomy.vertex_of[self._rig.anatomy.marks]]
        marks = place_on_contours(marks, {name: points[line] for name, line in self._contours.items()})
        return finished(points, self._faces(rng), marks, rng)

    def _faces(self, rng: np.random.Generator) -> np.ndarray:
        mesh = self._mesh
        assert mesh.components is not None and mesh.component_names is not None
        own = ("hair", "shirt", "teeth", "tongue", "lash", "brow", "eye_")
        left_out = [word for word in own if rng.random() < (0.15 if word == "eye_" else 0.4)]
        kept = [not any(word in name for word in left_out) for name in mesh.component_names]
        return mesh.faces[np.array(kept)[mesh.components[mesh.faces[:, 0]]]]


def contours_of(a: Anatomy) -> Mapping[str, np.ndarray]:
    """The rims of lips and lids as vertices of the mesh, each from corner to corner."""
    rims = {"lips_outer": a.lips_outer, "lips_inner": a.lips_inner, "right": a.eyes[0].rim, "left": a.eyes[1].rim}
    return {
        f"{name}_{half}": a.vertex_of[line]
        for name, rim in rims.items()
        for half, line in (("upper", rim.upper), ("lower", rim.lower))
    }


def pose(rng: np.random.Generator) -> dict[str, float]:
    """A few controls, alike on both sides; none at all on every third head."""
    if rng.random() < 0.35:
        return {}
    chosen = rng.choice(sorted(POSES), size=rng.integers(1, 4), replace=False)
    return {str(name): float(POSES[str(name)] * rng.random()) for name in chosen}


def bent(points: np.ndarray, rng: np.random.Generator, much: float = 1.0) -> np.ndarray:
    """Another person's head: axes of other lengths and smooth bumps, most of them alike on both sides."""
    out = points * (1 + rng.normal(0, 0.06, 3) * much)
    if rng.random() < 0.25:  # the proportions of a child, of a doll, of a caricature
        out = _caricature(out, rng, much)
    for reach, size, count in BUMPS:
        for _ in range(count):
            centre = np.array([rng.uniform(-55, 55), rng.uniform(-110, 50), rng.uniform(0, 60)])
            push = rng.normal(0, size, 3) * much
            both = rng.random() < 0.85
            for side in (1, -1) if both else (1,):
                mirror = np.array([side, 1, 1])
                weight = np.exp(-0.5 * np.square((points - centre * mirror) / reach).sum(1))[:, None]
                out = out + weight * push * mirror * (0.7 if both else 0.5)
    return out


def _caricature(points: np.ndarray, rng: np.random.Generator, much: float) -> np.ndarray:
    """Larger or smaller eyes, mouth, nose and jaw, each about its own middle."""
    out = points.copy()
    places = ((32, 0, 15, 26), (-32, 0, 15, 26), (0, -60, 25, 30), (0, -30, 40, 20), (0, -100, 20, 40))
    factors = np.exp(rng.normal(0, 0.22, 4) * much)
    for (x, y, z, reach), factor in zip(places, (factors[0], *factors), strict=True):
        centre = np.array([x, y, z], float)
        weight = np.exp(-0.5 * np.square((points - centre) / reach).sum(1))[:, None]
        out += weight * (points - centre) * (factor - 1)
    return out


def finished(points: np.ndarray, faces: np.ndarray, marks: np.ndarray, rng: np.random.Generator) -> Head:
    """Into the frame of the bent head's own landmarks; at times coarse, rough, cut off at the neck or with a hood."""
    frame = head_frame(marks)
    head = Head(frame.to_frame(points), faces, frame.to_frame(marks))
    if rng.random() < 0.5:
        floor = head.marks[8, 1] - rng.uniform(5, 160)
        head = replace(head, faces=head.faces[(head.points[head.faces][..., 1] > floor).all(1)])
    if rng.random() < 0.15:
        head = _coarse(head, rng.uniform(1.5, 4.5))
    if rng.random() < 0.2:
        head = replace(head, points=head.points + rng.normal(0, rng.uniform(0.05, 0.3), head.points.shape))
    if rng.random() < 0.3:
        head = _hooded(head, rng)
    return head


def _coarse(head: Head, cell: float) -> Head:
    """Vertices within a cell become one."""
    _, owner = np.unique(np.floor(head.points / cell).astype(np.int64), axis=0, return_inverse=True)
    owner = owner.ravel()
    count = np.bincount(owner)
    points = np.stack([np.bincount(owner, head.points[:, axis]) / count for axis in range(3)], axis=1)
    faces = owner[head.faces]
    return replace(head, points=points, faces=faces[(faces != np.roll(faces, 1, 1)).all(1)])


def _hooded(head: Head, rng: np.random.Generator) -> Head:
    """Hair, cap or hood: what lies behind or above a plane, a second time and farther out."""
    tilt = rng.uniform(0.2, 1.6)
    way = np.array([0, np.sin(tilt), -np.cos(tilt)])
    edge = (head.marks[[19, 24]].mean(0) + np.array([0, rng.uniform(15, 60), 0])) @ way
    skin = (head.points[head.faces] @ way > edge).all(1)
    faces = head.faces[skin]
    if not len(faces):
        return head
    used, faces = np.unique(faces, return_inverse=True)
    centre = np.array([0, 10, -80.0])
    wave = 1 + rng.uniform(0.05, 0.25) + 0.03 * np.sin(head.points[used] @ rng.normal(0, 0.15, 3))[:, None]
    hood = centre + (head.points[used] - centre) * wave
    return replace(
        head,
        points=np.concatenate([head.points, hood]),
        faces=np.concatenate([head.faces, faces.reshape(-1, 3) + len(head.points)]),
    )


def affine_onto(known: np.ndarray, wanted: np.ndarray, points: np.ndarray) -> np.ndarray:
    """`points` carried along as `known` (n, 3) are to `wanted` (n, 3), by an affine map."""
    ones = np.ones((len(known), 1))
    matrix, *_ = np.linalg.lstsq(np.hstack([known, ones]), wanted, rcond=None)
    return np.hstack([points, np.ones((len(points), 1))]) @ matrix


def nearest(points: np.ndarray, aims: np.ndarray) -> np.ndarray:
    """(n,) index of the nearest of `points` to each of `aims`."""
    return cKDTree(points).query(aims)[1]
