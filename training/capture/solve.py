"""Tracked points of a speaking face → the controls of our own rig.

MediaPipe's own scores hardly know closure, rounding and spread, so the controls are solved from the points of lips and
chin: a non-negative, bounded least-squares fit of the rig's landmarks to the person's, all frames together, smooth in
its acceleration so that speed is kept. What counts for speech is fitted closest: the gap between the lips, which is
zero where the person's lips are shut, the width of the mouth, and the chin.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from kmtalk_core.assets import DEMO_HEAD
from kmtalk_core.errors import InputError
from kmtalk_core.rig.articulation import build_rig
from kmtalk_core.rig.controls import SPEECH_CONTROLS
from kmtalk_core.rig.mesh import load_mesh

from .points import CHIN, LIPS, Points, Still, stilled

# What the points of lips and chin can tell, and how dear each control is: nearly free what speech mostly does.
RIDGE = {
    "jawOpen": 0.02, "mouthClose": 0.6, "mouthFunnel": 0.5, "mouthPucker": 0.15, "mouthLeft": 4.0, "mouthRight": 4.0,
    "mouthSmileLeft": 0.3, "mouthSmileRight": 0.3, "mouthFrownLeft": 0.5, "mouthFrownRight": 0.5,
    "mouthStretchLeft": 0.2, "mouthStretchRight": 0.2, "mouthRollLower": 1.2, "mouthRollUpper": 2.0,
    "mouthShrugLower": 1.0, "mouthShrugUpper": 1.0, "mouthPressLeft": 1.5, "mouthPressRight": 1.5,
    "mouthLowerDownLeft": 0.1, "mouthLowerDownRight": 0.1, "mouthUpperUpLeft": 0.35, "mouthUpperUpRight": 0.35,
}  # fmt: skip
SOLVED = tuple(RIDGE)
HIGHEST = 1.2  # a control may pass its usual maximum by a little where a person does
# How closely each measure is fitted, per mm.
OPENING_WEIGHT, WIDTH_WEIGHT, CHIN_WEIGHT = 4.0, 2.5, 0.7
POINT_WEIGHT, DEPTH_WEIGHT = 0.30, 0.10  # every lip point sideways and up, and in depth, which MediaPipe guesses
SMOOTH = 2.0e-7  # of the squared acceleration, s⁴: below what speech does, above the tracker's noise
STEPS = 400  # of the accelerated projected gradient
SHUT_SHARE = 0.08  # of the usual opening: lips closer than this, above their least, are shut
STILL_MM_S = 15.0  # lips slower than this are at rest, where they are shut too
UPPER, LOWER = (61, 62, 63), (67, 66, 65)
# Lips and jaw of the demo head part so much less than those of a head of human proportions (FLAME's mean face).
HUMAN_OPENING = 1.18


@dataclass(frozen=True)
class Solution:
    """`controls` (T, C) over SPEECH_CONTROLS, 0…1.2; `usable` (T,) bool: frames with a face.

    `error_mm` (T,): root mean square distance of the lips' points to the rig's, as the camera sees it; `opening_mm`,
    `width_mm`, `chin_mm`: the same of the three measures, over usable frames.
    """

    controls: np.ndarray
    usable: np.ndarray
    error_mm: np.ndarray
    opening_mm: float
    width_mm: float
    chin_mm: float


@dataclass(frozen=True)
class Measures:
    """What is fitted, in mm: `lips` (T, 20, 3) and `chin` (T,) height, `opening` (T,) and `width` (T,).

    `lips` and `chin` in the head's axes; `width` as the camera sees it, whose axes `view` (3, 3) gives
    (`points.Still.view`).
    """

    lips: np.ndarray
    chin: np.ndarray
    opening: np.ndarray
    width: np.ndarray
    view: np.ndarray

    def at(self, frames: np.ndarray) -> Measures:
        return Measures(self.lips[frames], self.chin[frames], self.opening[frames], self.width[frames], self.view)

    def only(self, usable: np.ndarray) -> Measures:
        """The same with NaN where a frame is not `usable` (T,)."""
        seen = np.where(usable, 1.0, np.nan)
        return Measures(
            self.lips * seen[:, None, None], self.chin * seen, self.opening * seen, self.width * seen, self.view
        )

    def mean(self) -> Measures:
        """The median face, of one frame."""
        lips, chin, opening, width = (
            np.nanmedian(a, axis=0)[None] for a in (self.lips, self.chin, self.opening, self.width)
        )
        return Measures(lips, chin, opening, width, self.view)


def measure(points: np.ndarray, ids: Sequence[int] | np.ndarray, fps: float) -> Measures:
    """Lips and chin of `points` (T, P, 3) pixels with MediaPipe's numbers `ids` (P,), the head's motion taken out."""
    return measures_of(stilled(Points(points, np.asarray(ids)), fps))


def measures_of(still: Still) -> Measures:
    """Lips and chin of a face that is freed from the head's motion."""
    lips = still.points.of(*LIPS.values())
    upper, lower = (lips[:, [k - 48 for k in row]] for row in (UPPER, LOWER))
    seen = (lips[:, 6] - lips[:, 0]) @ still.view  # the depth of the corners is the tracker's guess
    return Measures(
        lips,
        still.points.of(CHIN)[:, 0, 1],
        np.linalg.norm(upper - lower, axis=2).mean(1),
        np.linalg.norm(seen[:, :2], axis=1),
        still.view,
    )


def neutral_pose(measures: Measures, fps: float) -> Measures:
    """The person's neutral face: lips shut and at rest, the median of such frames.

    Raises InputError where the lips are never shut.
    """
    opening = measures.opening
    usual = np.nanpercentile(opening, 90)
    shut = opening < np.nanpercentile(opening, 2) + SHUT_SHARE * usual
    speed = np.abs(np.gradient(opening) * fps) + np.abs(np.gradient(measures.width) * fps)
    for limit in (STILL_MM_S, 3 * STILL_MM_S, np.inf):
        rest = np.flatnonzero(shut & (speed < limit))
        if len(rest) >= max(3, 0.1 * fps):
            return measures.at(rest).mean()
    raise InputError("The lips are never shut in this video; let the person be silent for a moment in it.")


def solve(
    points: np.ndarray,
    ids: Sequence[int] | np.ndarray,
    size: tuple[int, int],
    fps: float,
    neutral: Measures | None = None,
) -> Solution:
    """The controls of one person in one video.

    `points` (T, P, 3) pixels as MediaPipe gives them (x right, y down, z towards the viewer negative), NaN where no
    face was found; `ids` (P,) their numbers; `size` (width, height) of the picture, outside of which lips are guessed
    and not used; `fps` its frame rate; `neutral`: the person's neutral face where it is known from elsewhere. Raises
    InputError for too few points or a mouth that is never shut.
    """
    if len(points) < 2:
        raise InputError("The video has fewer than two frames; film at least a second.")
    tracked = Points(points, np.asarray(ids))
    measures = measures_of(stilled(tracked, fps))
    return fit(measures, neutral or neutral_pose(measures, fps), in_sight(tracked, measures, size), fps)


def in_sight(tracked: Points, measures: Measures, size: tuple[int, int]) -> np.ndarray:
    """(T,) bool: frames whose lips are found and lie within the picture of `size` (width, height)."""
    usable = np.isfinite(measures.opening) & np.isfinite(measures.lips).all((1, 2)) & np.isfinite(measures.chin)
    lips = tracked.of(*LIPS.values())[:, :, :2]
    with np.errstate(invalid="ignore"):
        return usable & ((lips >= 0) & (lips <= size)).all((1, 2))


def fit(measures: Measures, neutral: Measures, usable: np.ndarray, fps: float) -> Solution:
    """The controls that move the rig as `measures` differ from `neutral`; frames that are not `usable` are bridged.

    Compared as the camera sees it, so that a face that is filmed from aside counts by what is seen of it.
    """
    rows, weights = _rig_rows(measures, neutral)
    opening = np.maximum(measures.opening - neutral.opening, 0.0)
    usual = max(float(np.nanpercentile(opening, 90)), 1e-6)
    opening = np.where(opening < 0.5 * SHUT_SHARE * usual, 0.0, opening)  # closures are exact
    lips = ((measures.lips - neutral.lips) @ measures.view).reshape(len(opening), -1)
    goal = np.column_stack([opening, measures.width - neutral.width, measures.chin - neutral.chin, lips])
    goal[~usable] = 0.0
    weighted = rows * weights  # (C, R)
    controls = _bounded(weighted, goal * weights, usable, fps)
    moved = controls @ rows
    error = np.where(usable[:, None], moved - goal, np.nan)
    lip_error = np.sqrt(np.square(error[:, 3:].reshape(len(error), -1, 3)[:, :, :2]).sum(2).mean(1))
    out = np.zeros((len(controls), len(SPEECH_CONTROLS)), np.float32)
    out[:, [SPEECH_CONTROLS.index(name) for name in SOLVED]] = controls
    rms = [float(np.sqrt(np.nanmean(np.square(error[:, k])))) for k in range(3)]
    return Solution(out, usable, lip_error, *rms)


def _bounded(rows: np.ndarray, goal: np.ndarray, usable: np.ndarray, fps: float) -> np.ndarray:
    """min ‖X rows − goal‖² + ridge + smoothness over 0 ≤ X ≤ HIGHEST, by accelerated projected gradient: X (T, C)."""
    ridge = np.array([RIDGE[name] for name in SOLVED])
    smooth = SMOOTH * fps**4
    gram = rows @ rows.T + np.diag(ridge**2)
    linear = (goal * usable[:, None]) @ rows.T
    # One step size for each control would be faster still, but a preconditioner of all keeps bounds simple.
    scale = 1.0 / np.sqrt(np.diag(gram) + 6 * smooth)
    gram, linear = gram * scale[:, None] * scale, linear * scale
    step = 1.0 / (np.linalg.eigvalsh(gram)[-1] + 16 * smooth * float(scale.max() ** 2))
    high = HIGHEST / scale
    x = np.zeros_like(linear)
    y, momentum = x, 1.0
    seen = usable[:, None].astype(np.float64)
    anchored = np.diag(ridge**2 * scale**2)
    for _ in range(STEPS):
        acceleration = np.zeros_like(y)
        second = (y[2:] - 2 * y[1:-1] + y[:-2]) * (smooth * scale**2)
        acceleration[:-2] += second
        acceleration[1:-1] -= 2 * second
        acceleration[2:] += second
        gradient = seen * (y @ gram - linear) + (1 - seen) * (y @ anchored) + acceleration
        following = np.clip(y - step * gradient, 0.0, high)
        ahead = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        y = following + (momentum - 1) / ahead * (following - x)
        x, momentum = following, ahead
    return x * scale


def rig_measures(names: Sequence[str]) -> np.ndarray:
    """(C, 6) mm that each control of `names` at 1 adds to what people see of a mouth.

    Opening, width, height of the chin, of the upper and of the lower lip, and how far the lips come forward.
    """
    moves = _lip_moves(tuple(names))
    lips, chin = moves[:, :20], moves[:, 20, 1]
    upper, lower = ([k - 48 for k in row] for row in (UPPER, LOWER))
    height = lips[:, :, 1]
    forward = (lips[:, 51 - 48, 2] + lips[:, 57 - 48, 2]) / 2
    high, low = height[:, upper].mean(1), height[:, lower].mean(1)
    return np.column_stack([high - low, lips[:, 6, 0] - lips[:, 0, 0], chin, high, low, forward])


def lips_of(controls: np.ndarray) -> np.ndarray:
    """(T, 20, 3) mm by which `controls` (T, C) over SPEECH_CONTROLS move the lips' landmarks, in the head's axes."""
    return np.einsum("tc,cpk->tpk", controls, _lip_moves(SPEECH_CONTROLS)[:, :20])


@lru_cache(maxsize=2)
def _lip_moves(names: tuple[str, ...]) -> np.ndarray:
    """(C, 21, 3) mm: what each control does at 1 to the lips' landmarks and the chin, on a head of human opening."""
    rig = build_rig(load_mesh(DEMO_HEAD))
    a = rig.anatomy
    marks = a.vertex_of[a.marks][[*range(48, 68), 8]]
    moves = a.frame.vectors_to_frame(rig.shapes[[rig.control_names.index(name) for name in names]][:, marks])
    moves[:, :20, 1] *= HUMAN_OPENING
    return moves


def _rig_rows(measures: Measures, neutral: Measures) -> tuple[np.ndarray, np.ndarray]:
    """What each solved control does at 1, in mm, to opening, width, chin and lip points (C, R); their weights (R,)."""
    rig, lips = rig_measures(SOLVED), _lip_moves(SOLVED)[:, :20] @ measures.view
    across = ((neutral.lips[0, 6] - neutral.lips[0, 0]) @ measures.view)[:2]
    width = (lips[:, 6, :2] - lips[:, 0, :2]) @ (across / np.linalg.norm(across))
    rows = np.column_stack([rig[:, 0], width, rig[:, 2], lips.reshape(len(lips), -1)])
    per_point = np.tile([POINT_WEIGHT, POINT_WEIGHT, DEPTH_WEIGHT], 20)
    return rows, np.concatenate([[OPENING_WEIGHT, WIDTH_WEIGHT, CHIN_WEIGHT], per_point])
