"""How far lips and teeth are apart on a given mesh, from its shapes alone: rig-built or an artist's own.

Blendshapes are linear, so that a few vertices tell everything: the gap of the inner lips is linear in the controls.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .articulation import Rig
from .frame import head_frame
from .lip_line import LipLine

PAIRS = ((61, 67), (62, 66), (63, 65))  # inner landmarks of the upper and the lower lip, one above the other
LIP_MM = 7.0  # around the middle of the lower lip's inner edge: what of it may touch the teeth
INCISORS_MM = 12.0  # to either side of the middle
NOTHING_MM = 0.05
FRAMES = 512  # at once


@dataclass(frozen=True)
class Mouth:
    """The mouth of one head, in mm on a head of human size.

    `rest` (3,): the gap between the inner lips at the neutral pose, right, middle and left; `opening` (C, 3): what each
    of `control_names` adds at 1. `lip` (k, 3): points of the lower lip, `lip_moves` (C, k, 3); `teeth` (n, 3): points
    of the upper incisors, None where the mesh has none.
    """

    control_names: tuple[str, ...]
    rest: np.ndarray
    opening: np.ndarray
    lip: np.ndarray
    lip_moves: np.ndarray
    teeth: np.ndarray | None = None

    def lip_gap(self, controls: np.ndarray, control_names: Sequence[str]) -> np.ndarray:
        """(T, 3) mm between the inner lips for `controls` (T, C'); negative where they get into each other."""
        own, theirs = self._shared(control_names)
        return self.rest + controls[:, theirs].astype(np.float64) @ self.opening[own]

    def teeth_gap(self, controls: np.ndarray, control_names: Sequence[str]) -> np.ndarray | None:
        """(T,) mm from the lower lip to the upper incisors; None where the mesh has no upper teeth."""
        if self.teeth is None:
            return None
        from scipy.spatial import cKDTree

        own, theirs = self._shared(control_names)
        tree = cKDTree(self.teeth)
        out = np.empty(len(controls))
        for start in range(0, len(controls), FRAMES):
            some = slice(start, start + FRAMES)
            points = self.lip + np.einsum("tc,ckx->tkx", controls[some][:, theirs], self.lip_moves[own])
            out[some] = tree.query(points)[0].min(1)
        return out

    def _shared(self, control_names: Sequence[str]) -> tuple[list[int], list[int]]:
        column = {name: index for index, name in enumerate(control_names)}
        shared = [name for name in self.control_names if name in column]
        return [self.control_names.index(name) for name in shared], [column[name] for name in shared]


def measure_mouth(
    neutral: np.ndarray,
    shapes: Mapping[str, np.ndarray],
    landmarks: np.ndarray,
    teeth: np.ndarray | None = None,
) -> Mouth:
    """The mouth of a mesh: `neutral` (V, 3), `shapes` control → displacement (V, 3) at 1, in the mesh's units.

    `landmarks` (68,) vertices; `teeth` (n, 3) points of the upper teeth, as many as the distance is to be exact. Raises
    InputError if the landmarks form no face.
    """
    frame = head_frame(neutral[landmarks])
    # The head's own turning moves lips and teeth as one.
    shapes = {name: move for name, move in shapes.items() if not name.startswith("head")}
    rest = frame.to_frame(neutral)
    upper, lower = landmarks[[a for a, _ in PAIRS]], landmarks[[b for _, b in PAIRS]]
    middle = landmarks[66]
    jaw = shapes.get("jawOpen")
    near = np.linalg.norm(rest - rest[middle], axis=1) < LIP_MM
    if jaw is not None:  # the upper lip lies as near, but the jaw does not take it along
        drop = frame.vectors_to_frame(jaw)[:, 1]
        near &= drop <= 0.6 * drop[middle]
    lip = np.flatnonzero(near)
    moves = {name: frame.vectors_to_frame(move[np.concatenate([upper, lower, lip])]) for name, move in shapes.items()}
    opening = np.array([move[:3, 1] - move[3:6, 1] for move in moves.values()]).reshape(len(moves), 3)
    incisors = None
    if teeth is not None and len(teeth):
        incisors = frame.to_frame(teeth)
        incisors = incisors[np.abs(incisors[:, 0] - rest[middle, 0]) < INCISORS_MM]
    return Mouth(
        tuple(moves),
        rest[upper, 1] - rest[lower, 1],
        opening,
        rest[lip],
        np.array([move[6:] for move in moves.values()]).reshape(len(moves), len(lip), 3),
        incisors,
    )


def mouth_of(rig: Rig, faces: np.ndarray) -> Mouth:
    """The mouth of a rigged head with triangles `faces` (F, 3)."""
    a = rig.anatomy
    upper = [part.vertices for part in a.parts if part.role == "teeth_upper"]
    teeth = None
    if upper:
        inside = np.isin(faces, np.concatenate(upper)).all(1)
        teeth = on_surface(rig.neutral, faces[inside])
    shapes = dict(zip(rig.control_names, rig.shapes, strict=True))
    return measure_mouth(rig.neutral, shapes, a.vertex_of[a.marks], teeth)


def lip_line(mouth: Mouth) -> LipLine:
    """How these lips part in their middle, for the contact step."""
    opening = {name: float(mm) for name, mm in zip(mouth.control_names, mouth.opening.mean(1), strict=True)}
    return LipLine(float(mouth.rest.mean()), {name: mm for name, mm in opening.items() if abs(mm) > NOTHING_MM})


def on_surface(vertices: np.ndarray, faces: np.ndarray, steps: int = 6) -> np.ndarray:
    """(n, 3) points spread over triangles: `steps` along each edge."""
    i, j = np.meshgrid(np.arange(steps + 1), np.arange(steps + 1), indexing="ij")
    inside = i + j <= steps
    u, v = i[inside] / steps, j[inside] / steps
    weight = np.stack([1 - u - v, u, v], axis=1)
    return np.einsum("sk,fkx->fsx", weight, vertices[faces]).reshape(-1, 3)
