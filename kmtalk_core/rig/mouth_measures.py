"""What people see of a mouth that moves: how far each control opens the lips, widens them and lowers the chin."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from ..assets import DEMO_HEAD
from .articulation import build_rig
from .mesh import load_mesh
from .mouth import PAIRS

CORNERS, CHIN = (48, 54), 8  # landmarks


@lru_cache(maxsize=2)
def mouth_measures(names: Sequence[str]) -> np.ndarray:
    """(C, 3) mm that each control of `names`, a tuple, adds at 1, on the demo head: opening, width, chin's height."""
    rig = build_rig(load_mesh(DEMO_HEAD))
    anatomy = rig.anatomy
    marks = anatomy.vertex_of[anatomy.marks]
    moves = anatomy.frame.vectors_to_frame(rig.shapes[[rig.control_names.index(name) for name in names]][:, marks])
    opening = np.mean([moves[:, upper, 1] - moves[:, lower, 1] for upper, lower in PAIRS], axis=0)
    return np.column_stack([opening, moves[:, CORNERS[1], 0] - moves[:, CORNERS[0], 0], moves[:, CHIN, 1]])
