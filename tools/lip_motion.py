"""Measure how the demo head's lips move with each control, for retarget.reference: `python -m tools.lip_motion`."""

from __future__ import annotations

import numpy as np

from kmtalk_core.assets import DEMO_HEAD, LIP_MOTION
from kmtalk_core.files import save_npz
from kmtalk_core.retarget.lips import find_lips
from kmtalk_core.rig.articulation import build_rig
from kmtalk_core.rig.controls import CONTROLS
from kmtalk_core.rig.mesh import load_mesh


def measured() -> np.ndarray:
    """(C, 7, 2, 3) of CONTROLS."""
    rig = build_rig(load_mesh(DEMO_HEAD))
    shapes = rig.shapes[[rig.control_names.index(name) for name in CONTROLS]]
    lips = find_lips(rig.neutral, shapes[CONTROLS.index("jawOpen")])
    assert lips is not None
    return lips.motion(shapes)


if __name__ == "__main__":
    save_npz({"control_names": np.array(CONTROLS), "motion": measured().astype(np.float32)}, LIP_MOTION)
