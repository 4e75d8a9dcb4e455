"""The poses in which lips and teeth meet, and how far apart they are: from the controls and a head's lip line alone.

`contacts` says when they meet, and takes the motion there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ..easing import smoothstep
from ..rig.lip_line import PRESSING, RIG_OPENING, LipLine

LIPS, TEETH = "lips", "teeth"  # the two kinds of contact: of p, b, m and of f, v
# What parts the lips beside their middle, where no closing helps: none of it within a closure.
PARTING = (
    "mouthFunnel", "mouthLowerDownLeft", "mouthLowerDownRight", "mouthUpperUpLeft", "mouthUpperUpRight",
)  # fmt: skip
# The most of each that a closure bears (lips that roll or shift sideways do not meet), and a touch of the teeth.
IN_CLOSURE = {
    "jawOpen": 0.4, "jawForward": 0.5, "jawLeft": 0.3, "jawRight": 0.3, "mouthRollLower": 0.15, "mouthRollUpper": 0.3,
    "mouthShrugLower": 0.5, "mouthShrugUpper": 0.5,
}  # fmt: skip
IN_TOUCH = {
    "jawOpen": 0.15, "jawForward": 0.1, "mouthFunnel": 0.0, "mouthPucker": 0.25, "mouthLowerDownLeft": 0.0,
    "mouthLowerDownRight": 0.0, "mouthUpperUpLeft": 0.2, "mouthUpperUpRight": 0.2, "mouthPressLeft": 0.0,
    "mouthPressRight": 0.0, "mouthRollUpper": 0.0, "mouthShrugLower": 0.1, "mouthShrugUpper": 0.2,
}  # fmt: skip
TUCK = 0.75  # mouthRollLower at which the lower lip touches the upper incisors
ROLL_MM = 10.0  # that mouthRollLower takes the lower lip back at 1
# mm that controls at 1 widen the mouth of the articulation rig by: what contacts change, and what may make up for it.
WIDENING = {
    "jawOpen": -4.8, "mouthClose": 4.8, "mouthFunnel": -18.5, "mouthPucker": -22.6, "mouthStretchLeft": 7.7,
    "mouthStretchRight": 7.7, "mouthSmileLeft": 7.3, "mouthSmileRight": 7.3, "mouthDimpleLeft": 4.8,
    "mouthDimpleRight": 4.8,
}  # fmt: skip
CLOSERS, SPREADERS = ("jawOpen", "mouthClose", "mouthFunnel"), tuple(WIDENING)[4:]
DRAWN = 0.05  # of mouthPucker at most: more could not be undone in time for a contact of the teeth
SLIGHT = 0.2  # of a control that spreads: speech; twice as much is a smile
PUCKER_MM, JAW_MM = 7.0, 7.0  # that mouthPucker and jawForward take it forward
AJAR = 0.02  # jawOpen that mouthClose leaves, for the teeth to be seen
RIG_PARTING = {
    "mouthFunnel": 8.0, "mouthLowerDownLeft": 2.6, "mouthLowerDownRight": 2.6, "mouthUpperUpLeft": 2.1,
    "mouthUpperUpRight": 2.1,
}  # fmt: skip
SOFT_PRESS, HARD_PRESS = 0.14, 0.3  # mouthPress of a closure, and the most of it: more is a smirk on many heads
WEAK_MM = 2.0  # shapes that move less do not close a mouth
PURSED_MM = 0.6  # between lips that all but meet, in w


def lips_apart(motion: np.ndarray, control_names: Sequence[str], lips: LipLine | None = None) -> np.ndarray:
    """(T,) mm between such `lips` (None: the articulation rig's) for `motion` (T, C), from the controls alone."""
    column = {name: index for index, name in enumerate(control_names)}
    apart = opening_by(motion, column) if lips is None else lips.rest + opening_by(motion, column, lips.opening)
    return np.maximum(apart, 0.0)


def lip_from_teeth(motion: np.ndarray, control_names: Sequence[str]) -> np.ndarray:
    """(T,) mm from the lower lip to the upper incisors of the articulation rig, estimated from the controls alone."""
    column = {name: index for index, name in enumerate(control_names)}
    back = ROLL_MM * (TUCK - motion[:, column["mouthRollLower"]])
    back += PUCKER_MM * motion[:, column["mouthPucker"]] + JAW_MM * motion[:, column["jawForward"]]
    tucked = np.maximum(back, 0.0)
    low = motion[:, column["jawOpen"]] - motion[:, column["mouthClose"]] - AJAR
    low = np.maximum(low * RIG_OPENING["jawOpen"], 0.0)
    return np.hypot(tucked, low + RIG_PARTING["mouthLowerDownLeft"] * 2 * motion[:, column["mouthLowerDownLeft"]])


def resting_pose(motion: np.ndarray, control_names: Sequence[str], lips: LipLine) -> np.ndarray:
    """`motion` (n, C) with lips together that the neutral pose leaves apart: pressed a little, closed for the rest."""
    column = {name: index for index, name in enumerate(control_names)}
    out = motion.copy()
    press = min(lips.resting_press, HARD_PRESS)
    for name in PRESSING:
        out[:, column[name]] = np.maximum(out[:, column[name]], press)
    closing = -lips.opening.get("mouthClose", 0.0)
    left = max(lips.rest + press * sum(lips.opening.get(name, 0.0) for name in PRESSING), 0.0)
    if closing > WEAK_MM:
        out[:, column["mouthClose"]] = np.maximum(out[:, column["mouthClose"]], min(left / closing, 1.0))
    else:  # nothing but pressing brings these lips together
        for name in PRESSING:
            out[:, column[name]] = np.maximum(out[:, column[name]], lips.resting_press)
    return out


def contact_pose(
    motion: np.ndarray, control_names: Sequence[str], kind: str, lips: LipLine | None = None
) -> np.ndarray:
    """The poses (n, C) nearest to `motion` (n, C) that make the contact `kind` on a head with such `lips`.

    The mouth stays as wide as it was: people's corners do not move apart for it. Lips that meet pucker by what the
    contact widens it; those at the teeth, which must not go forward, lose what spreads it a little, but no smile.
    """
    lips, column = lips or LipLine(), {name: index for index, name in enumerate(control_names)}
    pose = _contact_pose(motion, column, kind, lips)
    wider = sum(WIDENING[name] * (pose - motion)[:, column[name]] for name in CLOSERS)
    kept = motion.copy()
    if kind == LIPS:
        pucker = motion[:, column["mouthPucker"]]
        drawn = np.clip(wider / -WIDENING["mouthPucker"], 0.0, DRAWN)
        kept[:, column["mouthPucker"]] = np.maximum(np.minimum(pucker + drawn, 1.0), pucker)
    else:
        spread = motion[:, [column[name] for name in SPREADERS]]
        slight = spread * (1 - smoothstep(spread / SLIGHT - 1))
        widened = slight @ np.array([WIDENING[name] for name in SPREADERS], slight.dtype)
        kept[:, [column[name] for name in SPREADERS]] -= (
            slight * np.clip(wider / np.maximum(widened, 1e-6), 0, 1)[:, None]
        )
    return _contact_pose(kept, column, kind, lips)


def pursed_pose(motion: np.ndarray, control_names: Sequence[str], lips: LipLine | None) -> np.ndarray:
    """The poses nearest to `motion` (n, C) whose lips are PURSED_MM apart, at most as far as they are, not pressed."""
    column = {name: index for index, name in enumerate(control_names)}
    out = contact_pose(motion, control_names, LIPS, lips)
    for name in PRESSING:
        out[:, column[name]] = motion[:, column[name]]
    closing = max(-(lips or LipLine()).opening.get("mouthClose", 0.0), WEAK_MM)
    close = column["mouthClose"]
    out[:, close] = np.maximum(out[:, close] - PURSED_MM / closing, 0.0)
    return out


def _contact_pose(motion: np.ndarray, column: Mapping[str, int], kind: str, lips: LipLine) -> np.ndarray:
    """The same however wide the mouth becomes; `column`: control → its column of `motion`."""
    out = motion.copy()

    def limit(most: Mapping[str, float]) -> None:
        for name, high in most.items():
            if name in column:
                out[:, column[name]] = np.minimum(out[:, column[name]], high)

    if kind == TEETH:
        limit(IN_TOUCH)
        ratio = lips.opening.get("jawOpen", 0.0) / max(-lips.opening.get("mouthClose", 0.0), WEAK_MM)
        out[:, column["mouthClose"]] = np.clip((out[:, column["jawOpen"]] - AJAR) * ratio, 0.0, 1.0)
        # Lips that stay a little rounded have further to roll.
        forward = PUCKER_MM * out[:, column["mouthPucker"]] + JAW_MM * out[:, column["jawForward"]]
        out[:, column["mouthRollLower"]] = np.minimum(TUCK + forward / ROLL_MM, 1.0)
        return out
    limit(dict.fromkeys(PARTING, 0.0) | IN_CLOSURE)
    closing, dropping = -lips.opening.get("mouthClose", 0.0), lips.opening.get("jawOpen", 0.0)
    soft = min(max(SOFT_PRESS, lips.resting_press), HARD_PRESS) if closing > WEAK_MM else 1.0
    for name in PRESSING:
        out[:, column[name]] = np.clip(out[:, column[name]], soft, max(soft, HARD_PRESS))
    out[:, column["mouthClose"]] = 0.0
    shutting = [name for name, mm in lips.opening.items() if mm < 0 and name not in ("mouthClose", *PRESSING)]
    pressed = sum(lips.opening.get(name, 0.0) * out[:, column[name]] for name in PRESSING)
    opened = np.maximum(lips.rest + pressed, 0.0)
    shut = np.zeros(len(out))
    for name, mm in lips.opening.items():
        if name in shutting:
            shut -= mm * out[:, column[name]]
        elif name not in PRESSING:
            opened += mm * out[:, column[name]]
    # Lips that are shut further than they are open would get into each other.
    share = np.clip(opened / np.maximum(shut, 1e-9), 0.0, 1.0)
    for name in shutting:
        out[:, column[name]] *= share
    left = np.maximum(opened - share * shut, 0.0)
    if closing > WEAK_MM:
        out[:, column["mouthClose"]] = np.minimum(left / closing, 1.0)
        left = np.where(left < closing, 0.0, left - closing)
    if dropping > WEAK_MM:  # what mouthClose cannot close, the jaw does
        out[:, column["jawOpen"]] = np.maximum(out[:, column["jawOpen"]] - left / dropping, 0.0)
    return out


def opening_by(
    motion: np.ndarray, column: Mapping[str, int], by_control: Mapping[str, float] = RIG_OPENING | RIG_PARTING
) -> np.ndarray:
    """(n,) mm that the controls open the lips by; negative where they are shut further than they can be."""
    out = np.zeros(len(motion))
    for name, mm in by_control.items():
        if name in column:
            out += mm * motion[:, column[name]]
    return out
