"""The articulation rig: from 68 landmarks on a head to one displacement field for each facial control."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import InputError
from .anatomy import Anatomy, nearest_skin, study
from .controls import ALL_CONTROLS, CONTROLS
from .expressions import eye_rotation, jaw_motion, skin_shapes, tongue_shape
from .mesh import Mesh
from .neck import head_shapes
from .profiles import find_landmarks

CHUNK_FRAMES = 256  # frames computed at once


@dataclass(frozen=True)
class Rig:
    """A head that the controls can move, by linear blendshapes.

    `neutral` (V, 3) and `shapes` (C, V, 3), the displacement at control 1.0, in the mesh's own units, axes, pose and
    vertex order; `control_names` (C,) names the shapes.
    """

    neutral: np.ndarray
    control_names: tuple[str, ...]
    shapes: np.ndarray
    anatomy: Anatomy

    def chunks(self, controls: np.ndarray, control_names: Sequence[str]) -> Iterator[np.ndarray]:
        """The frames of `controls` (T, C') in pieces (≤ CHUNK_FRAMES, V, 3) float32: any length fits memory."""
        controls = np.asarray(controls, dtype=np.float32)
        if controls.ndim != 2 or controls.shape[1] != len(control_names):
            raise InputError(f"Controls of shape {controls.shape} do not fit {len(control_names)} control names.")
        unknown = [name for name in control_names if name not in self.control_names]
        if unknown:
            raise InputError(f"The rig has no control {unknown[0]}; use the names in `control_names`.")
        used = [k for k, name in enumerate(control_names) if controls[:, k].any()]
        rows = [self.control_names.index(control_names[k]) for k in used]
        basis = self.shapes[rows].reshape(len(rows), self.neutral.size).astype(np.float32)
        neutral = self.neutral.astype(np.float32)
        for start in range(0, len(controls), CHUNK_FRAMES):
            moved = controls[start : start + CHUNK_FRAMES, used] @ basis
            yield moved.reshape(-1, *neutral.shape) + neutral

    def vertices(self, controls: np.ndarray, control_names: Sequence[str], out: np.ndarray | None = None) -> np.ndarray:
        """`controls` (T, C') → vertices (T, V, 3) float32, into `out` if given (a memmap for long animations)."""
        if out is None:
            out = np.empty((len(controls), *self.neutral.shape), dtype=np.float32)
        start = 0
        for piece in self.chunks(controls, control_names):
            out[start : start + len(piece)] = piece
            start += len(piece)
        return out


def build_rig(mesh: Mesh, landmarks: np.ndarray | None = None) -> Rig:
    """Build all shapes of a head; raises InputError if its landmarks are unknown or do not form a face."""
    marks = find_landmarks(mesh) if landmarks is None else np.asarray(landmarks, dtype=np.int64)
    if marks.shape != (68,) or marks.min() < 0 or marks.max() >= len(mesh.vertices):
        raise InputError(f"A head needs 68 landmarks within its vertices 0…{len(mesh.vertices) - 1}; pick them again.")
    anatomy = study(mesh, marks)
    of_skin = skin_shapes(anatomy)
    shapes = np.zeros((len(CONTROLS), len(mesh.vertices), 3))
    skin = anatomy.skin_of >= 0
    for row, name in zip(shapes, CONTROLS, strict=True):
        if name in of_skin:
            row[skin] = of_skin[name][anatomy.skin_of[skin]]
    for part in anatomy.parts:
        points = anatomy.points[part.vertices]
        if part.role == "attached":
            near, distance = nearest_skin(anatomy, points)
            follow = np.clip(1 - (distance - 6) / 20, 0, 1)[:, None]
        for row, name in zip(shapes, CONTROLS, strict=True):
            if part.role == "attached" and name in of_skin:
                row[part.vertices] = follow * (near @ of_skin[name])
            elif part.role in ("teeth_lower", "tongue") and name.startswith("jaw"):
                row[part.vertices] = jaw_motion(anatomy, name, points)
            elif part.role.startswith("eye") and name.startswith("eyeLook"):
                row[part.vertices] = eye_rotation(anatomy, name, part.role == "eye_left", points)
            elif part.role == "tongue" and name.startswith("tongue"):
                row[part.vertices] = tongue_shape(anatomy, name, points)
    shapes = np.concatenate([shapes, head_shapes(anatomy)])
    return Rig(mesh.vertices, ALL_CONTROLS, anatomy.frame.vectors_to_mesh(shapes), anatomy)
