"""Where the 68 iBUG landmarks are: in the mesh itself, or known for its topology."""

from __future__ import annotations

import numpy as np

from ..errors import InputError
from .mesh import Mesh

FLAME_SIZE = (5023, 9976)  # vertices, triangles
FLAME_LANDMARKS = (
    2210, 1963, 3056, 3424, 3423, 3421, 3419, 3416, 3414, 3635, 3643, 3646, 3650, 3652, 2004, 568, 728,  # jaw contour
    2567, 337, 338, 3154, 3712, 3868, 2135, 27, 18, 1430,  # brows
    3560, 3561, 3501, 3564, 2751, 2793, 3556, 1676, 1623,  # nose
    2428, 2453, 2494, 3631, 2278, 2359, 3832, 1343, 1218, 1154, 995, 829,  # eyes
    2820, 2864, 2774, 3543, 1657, 1749, 1703, 1774, 1802, 3503, 2905, 2881,  # outer lips
    2845, 2787, 3531, 1670, 1730, 1804, 3504, 2907,  # inner lips
)  # fmt: skip


def find_landmarks(mesh: Mesh) -> np.ndarray:
    """(68,) int: the vertex of each landmark; raises InputError where they are not known."""
    if mesh.landmarks is not None:
        return mesh.landmarks
    if (len(mesh.vertices), len(mesh.faces)) == FLAME_SIZE:
        return np.array(FLAME_LANDMARKS)
    raise InputError("The landmarks of this mesh are not known; pick its 68 face landmarks first.")
