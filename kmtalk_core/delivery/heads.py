"""Heads that a result is shown on outside of Blender: a mesh with a shape for each control that it has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from ..assets import DEMO_HEAD
from ..errors import InputError
from ..files import load_npz
from ..motion import Animation
from ..rig.articulation import build_rig
from ..rig.frame import head_frame
from ..rig.mesh import Mesh, load_mesh
from ..rig.profiles import find_landmarks

COLOURS = {
    "teeth": (0.95, 0.92, 0.84), "gums": (0.70, 0.32, 0.32), "tongue": (0.80, 0.35, 0.35), "eye": (0.95, 0.95, 0.95),
    "hair": (0.25, 0.16, 0.12), "brow": (0.20, 0.13, 0.10), "lash": (0.10, 0.08, 0.08), "shirt": (0.20, 0.35, 0.40),
    "mouth": (0.35, 0.10, 0.10), "iris": (0.25, 0.35, 0.30), "pupil": (0.05, 0.05, 0.05), "lid": (0.62, 0.42, 0.38),
    "nostril": (0.35, 0.20, 0.18), "lips": (0.70, 0.36, 0.34),
}  # of the parts whose names begin so, as a screen shows them  # fmt: skip
SKIN = (0.83, 0.66, 0.57)
VIEW_CENTRE, VIEW_HEIGHT = (0.0, -0.03), 0.25  # m: what pictures show around the middle between the eyes
KEPT = 4  # heads that are kept, of a batch with many characters


@dataclass(frozen=True)
class MorphHead:
    """`vertices` (V, 3) float32 m, y up and z forward; `faces` (F, 3) int32; `colours` (V, 3) float32 0…1, as seen.

    `shapes` (n, V, 3) float32: what each of the controls `names` (n,) does at 1; `centre` (2,) and `height` m: what a
    picture from the front shows.
    """

    name: str
    vertices: np.ndarray
    faces: np.ndarray
    colours: np.ndarray
    names: tuple[str, ...]
    shapes: np.ndarray
    centre: tuple[float, float]
    height: float

    def weights(self, animation: Animation) -> np.ndarray:
        """(T, n) float32 of the shapes, as the controls of `animation` move."""
        out = np.zeros((len(animation.times), len(self.names)), np.float32)
        for column, name in enumerate(self.names):
            if name in animation.control_names:
                out[:, column] = animation.controls[:, animation.control_names.index(name)]
        return out

    def with_shapes(self, which: Sequence[int]) -> MorphHead:
        """The same with some of its shapes only."""
        names = tuple(self.names[row] for row in which)
        return MorphHead(
            self.name,
            self.vertices,
            self.faces,
            self.colours,
            names,
            self.shapes[list(which)],
            self.centre,
            self.height,
        )


def head_at(path: Path | None) -> MorphHead:
    """The head of a mesh file, the demo head for None. Raises InputError if it can neither be rigged nor has shapes.

    An .npz with `control_names` and `shapes` (C, V, 3), as Blender writes it for a manifest, has these shapes; any
    other mesh is rigged.
    """
    place = DEMO_HEAD if path is None else path
    return _head(place, place.stat().st_mtime_ns if place.is_file() else 0)


@lru_cache(maxsize=KEPT)
def _head(path: Path, changed: int) -> MorphHead:
    mesh = load_mesh(path)
    arrays = load_npz(path) if path.suffix.lower() == ".npz" else {}
    if {"control_names", "shapes"} <= arrays.keys():
        names, shapes = tuple(str(name) for name in arrays["control_names"]), arrays["shapes"]
        if shapes.shape != (len(names), *mesh.vertices.shape):
            raise InputError(f"{path}: shapes do not fit its vertices and control_names; write the file again.")
    else:
        rig = build_rig(mesh)
        names, shapes = rig.control_names, rig.shapes
    points, shapes, centre, height = _upright(mesh, shapes)
    return MorphHead(
        path.stem,
        points.astype(np.float32),
        mesh.faces.astype(np.int32),
        colours_of(mesh, arrays),
        names,
        shapes.astype(np.float32),
        centre,
        height,
    )


def _upright(mesh: Mesh, shapes: np.ndarray) -> tuple[np.ndarray, np.ndarray, tuple[float, float], float]:
    """Vertices and shapes with y up and z forward, and what a picture shows of them."""
    try:
        frame = head_frame(mesh.vertices[find_landmarks(mesh)])
    except InputError:  # as Blender has it: z up, facing -y
        points, shapes = (np.stack([a[..., 0], a[..., 2], -a[..., 1]], axis=-1) for a in (mesh.vertices, shapes))
        low, high = points.min(0), points.max(0)
        return points, shapes, (float((low + high)[0] / 2), float((low + high)[1] / 2)), float((high - low)[:2].max())
    return frame.to_frame(mesh.vertices) / 1000, frame.vectors_to_frame(shapes) / 1000, VIEW_CENTRE, VIEW_HEIGHT


def colours_of(mesh: Mesh, arrays: dict[str, np.ndarray]) -> np.ndarray:
    """(V, 3) float32 by the names of materials, where a file has them, else of parts."""
    out = np.tile(np.array(SKIN, np.float32), (len(mesh.vertices), 1))
    if {"material_index", "material_names", "faces"} <= arrays.keys():
        of_material = np.array([_colour(str(name)) for name in arrays["material_names"]], np.float32)
        for corner in arrays["faces"].T:
            there = corner >= 0
            out[corner[there]] = of_material[arrays["material_index"][there]]
    elif mesh.components is not None and mesh.component_names is not None:
        out[:] = np.array([_colour(name) for name in mesh.component_names], np.float32)[mesh.components]
    return out


def _colour(name: str) -> tuple[float, float, float]:
    return next((colour for part, colour in COLOURS.items() if name.startswith(part)), SKIN)
