"""The head's own frame: millimetres on a head of human size, x to the person's left, y up, z forward."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import InputError

EYE_CORNERS_MM = 89.0  # outer corner to outer corner, adult mean
FACE_HEIGHT_MM = 111.0  # bridge of the nose to chin, adult mean

# iBUG-68: each landmark of the person's right side with its partner on the left.
PAIRS = (
    *((i, 16 - i) for i in range(8)), *((17 + i, 26 - i) for i in range(5)), (31, 35), (32, 34),
    (36, 45), (37, 44), (38, 43), (39, 42), (40, 47), (41, 46),
    (48, 54), (49, 53), (50, 52), (59, 55), (58, 56), (60, 64), (61, 63), (67, 65),
)  # fmt: skip


@dataclass(frozen=True)
class HeadFrame:
    """A similarity: `to_frame(p) = (p - origin) @ axes.T * scale`; `axes` (3, 3) has the frame's axes as rows."""

    origin: np.ndarray
    axes: np.ndarray
    scale: float  # mm per unit of the mesh

    def to_frame(self, points: np.ndarray) -> np.ndarray:
        """(…, 3) points of the mesh → mm in the head's frame."""
        return (points - self.origin) @ self.axes.T * self.scale

    def vectors_to_frame(self, vectors: np.ndarray) -> np.ndarray:
        """(…, 3) displacements of the mesh → mm in the head's frame."""
        return vectors @ self.axes.T * self.scale

    def vectors_to_mesh(self, vectors: np.ndarray) -> np.ndarray:
        """(…, 3) displacements in mm of the head's frame → displacements of the mesh."""
        return vectors @ self.axes / self.scale


@np.errstate(divide="ignore", invalid="ignore")  # landmarks that coincide are refused at the end
def head_frame(marks: np.ndarray) -> HeadFrame:
    """The frame of a head from its landmarks (68, 3); its origin is midway between the eyes, in the middle plane.

    A mesh from a left-handed system is mirrored by it, so that the nose always points forward.
    """
    right, left = np.array(PAIRS).T
    x = _unit((marks[left] - marks[right]).mean(0))
    upright = _unit(marks[27] - marks[8])
    level = _unit(marks[36:48].mean(0) - marks[[0, 16]].mean(0))  # the line from ears to eyes is nearly horizontal
    y, z = _unit(upright - (upright @ x) * x), _unit(level - (level @ x) * x)
    side = np.cross(x, y)
    side *= np.sign(side @ z)
    # Both lines are anatomical habits rather than laws: split the difference.
    z = _unit(side + z)
    y = _unit(y - (y @ z) * z)
    scale = np.sqrt(
        EYE_CORNERS_MM / np.linalg.norm(marks[45] - marks[36]) * FACE_HEIGHT_MM / np.linalg.norm(marks[27] - marks[8])
    )
    middle = (marks[right] + marks[left]).mean(0) / 2
    eyes = marks[36:48].mean(0)
    frame = HeadFrame(eyes + ((middle - eyes) @ x) * x, np.stack([x, y, z]), float(scale))
    p = frame.to_frame(marks)
    eye_level, mouth_level, ears = p[36:48, 1].mean(), p[48:, 1].mean(), p[[0, 16], 2].mean()
    if not (np.isfinite(p).all() and eye_level > mouth_level > p[8, 1] and p[30, 2] > ears and p[45, 0] > p[36, 0]):
        raise InputError("The landmarks do not form a face (eyes, mouth, chin, nose, ears); pick them again.")
    return frame


def _unit(v: np.ndarray) -> np.ndarray:
    return v / max(float(np.linalg.norm(v)), 1e-300)
