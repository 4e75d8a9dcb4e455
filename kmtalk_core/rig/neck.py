"""The head's turning as blendshapes: rigid above the neck, nothing at the shoulders, smooth in between.

Small turns of the head take place in the uppermost joints of the neck (White and Panjabi 1990: half of its turning, and
more of its nodding than at any other level), so the pivot is the joint of skull and neck: level with the base of the
nose, below and behind the front of the ears.
Blendshapes are linear: at HEAD_DEG they make the head 1.5 % too large across the axis (2 mm at the crown), less by the
square at smaller angles; turned both ways they are exact mirror images.
"""

from __future__ import annotations

import numpy as np

from ..easing import smoothstep
from .anatomy import Anatomy
from .controls import HEAD_CONTROLS, HEAD_DEG
from .frame import FACE_HEIGHT_MM

BEHIND_EARS_MM = 8.0  # the pivot behind the front of the ears
UNDER_CHIN_MM = 10.0  # how far below the chin the neck begins to give way
NAPE_MM = 70.0  # how far behind the pivot, and …
NAPE_BELOW_MM = 14.0  # … below it that is the case at the back
NECK_MM = 72.0  # from there to where nothing moves
_AXES = {"headPitch": (1.0, 0.0, 0.0), "headYaw": (0.0, 1.0, 0.0), "headRoll": (0.0, 0.0, -1.0)}


def pivot(a: Anatomy) -> np.ndarray:
    """(3,) mm: where the skull turns on the neck."""
    return np.array([0.0, a.p[33, 1], a.p[[0, 16], 2].mean() - BEHIND_EARS_MM * _size(a)])


def head_weight(a: Anatomy, points: np.ndarray) -> np.ndarray:
    """(k,) the share of the head's turning that `points` (k, 3) mm take: 1 on the head, 0 below the neck."""
    size, centre = _size(a), pivot(a)
    front = a.p[8, 1:] - [UNDER_CHIN_MM * size, 0.0]
    back = centre[1:] - np.array([NAPE_BELOW_MM, NAPE_MM]) * size
    # A plane from under the chin to the nape; downwards of it the weight falls.
    down = np.array([back[1] - front[1], -(back[0] - front[0])])
    down /= np.linalg.norm(down)
    below = (points[:, 1:] - front) @ down
    return 1 - smoothstep(below / (NECK_MM * size))


def head_shapes(a: Anatomy) -> np.ndarray:
    """(3, V, 3) mm: the displacement of every vertex at 1 of each of HEAD_CONTROLS.

    Eyeballs are carried along without turning, so the gaze stays where it was.
    """
    reach = a.points - pivot(a)
    weight = head_weight(a, a.points)
    for part in a.parts:
        if part.role.startswith(("eye", "teeth", "tongue")):
            weight[part.vertices] = 1.0
        if part.role.startswith("eye"):
            reach[part.vertices] = a.eyes[int(part.role == "eye_left")].centre - pivot(a)
    turn = np.sin(np.radians(HEAD_DEG)) * weight[:, None]
    return np.stack([turn * np.cross(_AXES[name], reach) for name in HEAD_CONTROLS])


def _size(a: Anatomy) -> float:
    return float(a.p[27, 1] - a.p[8, 1]) / FACE_HEIGHT_MM
