"""What the shapes of a given head do to its lips."""

from __future__ import annotations

import numpy as np

from ..rig.controls import ALL_CONTROLS
from .lips import find_lips
from .solver import Face, fitted

OPENING = 0.25  # jawOpen that a shape looks like, for it to be tried as one that opens the mouth
TRIED = 4  # shapes


def measured(face: Face, vertices: np.ndarray, shapes: np.ndarray) -> Face:
    """The face with how its targets move the lips of a mesh: `vertices` (V, 3), `shapes` (n, V, 3) displacements at 1.

    As it is where no shape opens a seam between the lips.
    """
    jaw = face.looks[:, ALL_CONTROLS.index("jawOpen")]
    for target in np.argsort(-jaw, kind="stable")[:TRIED]:
        if jaw[target] < OPENING:
            break
        lips = find_lips(vertices, shapes[target])
        if lips is not None:
            return fitted(face, lips.motion(shapes), float(lips.rest[2:5].mean()))
    return face
