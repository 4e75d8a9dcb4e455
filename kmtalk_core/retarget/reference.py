"""How the lips of the demo head move with each control: what the shapes of any other head are compared with."""

from __future__ import annotations

from functools import cache

import numpy as np

from ..assets import LIP_MOTION
from ..files import load_npz
from ..rig.controls import CONTROLS

LIPS_SHAPE = (7, 2, 3)


@cache
def lip_motion() -> np.ndarray:
    """(C, 7, 2, 3) of CONTROLS, in widths of the mouth (see `lips.Lips.motion`); tools/lip_motion.py measures it."""
    arrays = load_npz(LIP_MOTION)
    named = {str(name): row for name, row in zip(arrays["control_names"], arrays["motion"], strict=True)}
    return np.array([named[control] for control in CONTROLS], np.float64)


def motion_of(control: str) -> np.ndarray:
    """(7, 2, 3): how a control moves the lips; nothing for those of the head."""
    return lip_motion()[CONTROLS.index(control)] if control in CONTROLS else np.zeros(LIPS_SHAPE)
