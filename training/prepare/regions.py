"""Lips and upper face of a head of which only landmarks are known: the vertices around them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from kmtalk_core.errors import InputError
from kmtalk_core.rig.mesh import Mesh
from kmtalk_core.rig.profiles import find_landmarks

from .layouts import read_indices

LIPS, BROWS_AND_EYES = slice(48, 68), [*range(17, 27), *range(36, 48)]  # of iBUG's landmarks
AT_LIPS, AT_BROWS = 0.12, 0.45  # of the mouth's width: how far around


def around_landmarks(template: np.ndarray, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Vertex numbers of lips and upper face. `places` (68, 3): where iBUG's landmarks are on `template` (V, 3); NaN
    where one is not known, which the face's contour need not be."""
    width = float(np.linalg.norm(places[48] - places[54]))
    known = np.flatnonzero(np.isfinite(places).all(1))
    distance = np.full((len(template), 68), np.inf)
    distance[:, known] = np.linalg.norm(template[:, None] - places[known], axis=2)
    lips = distance[:, LIPS].min(1) < AT_LIPS * width
    upper = np.isin(distance.argmin(1), BROWS_AND_EYES) & (distance.min(1) < AT_BROWS * width) & ~lips
    return np.flatnonzero(lips), np.flatnonzero(upper)


def regions_of(source: Path, mesh: Mesh) -> tuple[np.ndarray, np.ndarray]:
    """SOURCE/lips.txt and upper_face.txt where they are there, else around the landmarks of the mesh. Raises InputError
    where neither is known."""
    files = source / "lips.txt", source / "upper_face.txt"
    if all(path.is_file() for path in files):
        return read_indices(files[0]), read_indices(files[1])
    try:
        marks = find_landmarks(mesh)
    except InputError:
        raise InputError(
            f"Where the lips of this mesh are is not known; put {files[0].name} and {files[1].name} with their vertex"
            f" numbers into {source}."
        ) from None
    return around_landmarks(mesh.vertices, mesh.vertices[marks])
