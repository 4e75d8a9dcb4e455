"""The 68 landmarks of a head about which nothing is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import InputError
from ..rig.frame import head_frame
from ..rig.mesh import Mesh
from ..rig.profiles import find_landmarks as known_landmarks
from ..rig.surface import vertex_normals, welded
from .crops import EYE_CROP, FACE, MOUTH_CROP, picture_of
from .search import find_face
from .sight import Networks, shipped
from .vertices import nearest_vertices
from .views import Surface

LOOKS = 3  # how often the face is looked at as a whole …
CLOSE_LOOKS = 2  # … and at its mouth and eyes
AROUND = 1.6  # of the picture's width: what of the mesh is kept about a face


@dataclass(frozen=True)
class Found:
    """`points` (68, 3) in the mesh's units and axes; `vertices` (68,) nearest to them; `sure` 0…1 that it is a face."""

    points: np.ndarray
    vertices: np.ndarray
    sure: float


def find_landmarks(mesh: Mesh, networks: Networks | None = None) -> Found:
    """The 68 iBUG landmarks of `mesh`, any way up and any size; raises InputError if no face is found.

    `networks`: those that ship, unless others are given.
    """
    points, sure = find_points(mesh, networks or shipped())
    return Found(points, nearest_vertices(mesh, points), sure)


def landmarks_of(mesh: Mesh) -> tuple[np.ndarray, float]:
    """(68,) the landmarks' vertices where they are known, else found; and how surely, 0…1 (1: known)."""
    try:
        return known_landmarks(mesh), 1.0
    except InputError:
        found = find_landmarks(mesh)
        return found.vertices, found.sure


def find_points(mesh: Mesh, networks: Networks) -> tuple[np.ndarray, float]:
    """(68, 3) where the landmarks are, between vertices too; and how surely."""
    size = float(np.ptp(mesh.vertices, axis=0).max())
    faces = welded(mesh.vertices, mesh.faces, 1e-6 * size)[mesh.faces]
    surface = Surface(mesh.vertices, faces, vertex_normals(mesh.vertices, faces))
    face = find_face(surface, networks)
    marks = face.marks
    view = FACE.view(marks, np.eye(3))
    near = np.linalg.norm(surface.middles - view.origin, axis=1) < AROUND * view.width
    surface = Surface(surface.points, faces[near], surface.normals)
    for _ in range(LOOKS):
        view = FACE.view(marks, head_frame(marks).axes)
        marks = view.from_picture(networks.see(FACE, picture_of(surface, view, FACE.size)[None])[0][0])
    for _ in range(CLOSE_LOOKS):
        marks = _features(surface, marks, networks)
    return marks, face.probability


def _features(surface: Surface, marks: np.ndarray, networks: Networks) -> np.ndarray:
    """`marks`, those of mouth and eyes looked at closely."""
    axes, out = head_frame(marks).axes, marks.copy()
    for crop, mirror in ((MOUTH_CROP, False), (EYE_CROP, False), (EYE_CROP.mirrored(), True)):
        view = crop.view(marks, axes)
        placed = networks.see(crop, picture_of(surface, view, crop.size, mirror)[None])[0][0]
        out[crop.marks] = view.from_picture(placed * [-1, 1, 1] if mirror else placed)
    return out
