"""Eyelids, brows and head of a tracked face, as the rig's controls and as degrees."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.ndimage import gaussian_filter1d, percentile_filter

from kmtalk_core.assets import DEMO_HEAD
from kmtalk_core.rig.articulation import build_rig
from kmtalk_core.rig.controls import HEAD_CONTROLS, HEAD_DEG, UPPER_FACE_CONTROLS
from kmtalk_core.rig.mesh import load_mesh

from .points import EYE_CORNERS, INNER_BROW, LIDS, OUTER_BROW, Still

OPEN_WINDOW = 2.0  # s within which an eye is as wide open as it usually is …
OPEN_PERCENTILE = 75.0  # … at this percentile of the gap between its lids
SHUT_SHARE = 0.25  # of the open gap: lids are shut, by the tracker, which never quite closes them
DROWSY = 0.25  # of a blink: what lids do less than this is gaze, squinting or noise
BROW_SMOOTH = 0.08  # s, standard deviation: brows are slow, and their points tremble
BROW_STILL_MM = 0.3  # brows that move less than this are still
# Degrees by which the tracker believes the head raised for each mm between the lips, on films of a head that was not.
RAISED_BY_OPENING = 0.14
# mm by which the face sinks for each degree of a nod, about the joint of skull and neck; and from how many s (standard
# deviation of a Gaussian) on the tracker's own pitch is believed rather than that, which trembles by 14° a second.
SINKING_MM, SLOW = 1.1, 0.5
INNER, OUTER = {"Right": 21, "Left": 22}, {"Right": (18, 19), "Left": (24, 25)}  # iBUG-68


@dataclass(frozen=True)
class UpperFace:
    """`controls` (T, U) over UPPER_FACE_CONTROLS + HEAD_CONTROLS; `lids` (T, 2) 0 open … 1 shut, right and left;
    `brows_mm` (T, 4) above their usual place: inner right and left, outer right and left; `head_deg` (T, 3) pitch, yaw,
    roll against the middle of the video. NaN where no face was seen, but in `controls`."""

    controls: np.ndarray
    lids: np.ndarray
    brows_mm: np.ndarray
    head_deg: np.ndarray


def upper_face(still: Still, fps: float) -> UpperFace:
    """What eyes, brows and head do in a face that is freed from the head's motion."""
    lids = np.stack([_lids(still, side, fps) for side in ("Right", "Left")], axis=1)
    brows = _brows(still, fps)
    head = still.head_deg
    head[:, 0] = np.where(np.isfinite(head[:, 0]), _pitch(still, fps), np.nan)
    names = (*UPPER_FACE_CONTROLS, *HEAD_CONTROLS)
    out = np.zeros((len(head), len(names)), np.float32)
    for column, side in enumerate(("Right", "Left")):
        blink = np.clip((np.nan_to_num(lids[:, column]) - DROWSY) / (1 - DROWSY), 0.0, 1.0)
        inner, outer, down = brow_moves()[side]
        lift, edge = (np.nan_to_num(brows[:, k + column]) for k in (0, 2))
        lift, edge = (np.sign(b) * np.maximum(np.abs(b) - BROW_STILL_MM, 0.0) for b in (lift, edge))
        out[:, names.index(f"eyeBlink{side}")] = blink
        out[:, names.index("browInnerUp")] += np.clip(lift / inner, 0.0, 1.0) / 2  # one control for both sides
        out[:, names.index(f"browOuterUp{side}")] = np.clip(edge / outer, 0.0, 1.0)
        out[:, names.index(f"browDown{side}")] = np.clip(-lift / down, 0.0, 1.0)
    out[:, -len(HEAD_CONTROLS) :] = np.clip(np.nan_to_num(head) / HEAD_DEG, -1.0, 1.0)
    return UpperFace(out, lids, brows, head)


def _pitch(still: Still, fps: float) -> np.ndarray:
    """(T,) degrees: slowly as the tracker sees the head turned, quickly as the face sinks and rises in the picture."""
    opening = _filled(still.points.opening())
    turned = _filled(still.head_deg[:, 0]) + RAISED_BY_OPENING * (opening - np.median(opening))
    sunk = _filled(-still.origin[:, 1]) * float(np.nanmedian(still.scale)) / SINKING_MM

    def slowly(values: np.ndarray) -> np.ndarray:
        return gaussian_filter1d(values, SLOW * fps, mode="nearest")

    return slowly(turned) + sunk - slowly(sunk)


def _lids(still: Still, side: str, fps: float) -> np.ndarray:
    """(T,) how far an eye is closed, 0…1, against how open it is around that time."""
    corners = still.points.of(*EYE_CORNERS[side])
    gap = np.mean(
        [np.linalg.norm(np.diff(still.points.of(*pair), axis=1)[:, 0, :2], axis=1) for pair in LIDS[side]], axis=0
    )
    gap /= np.nanmedian(np.linalg.norm(corners[:, 0] - corners[:, 1], axis=1))
    filled = _filled(gap)
    window = min(max(round(2 * OPEN_WINDOW * fps), 3), len(filled))
    wide = percentile_filter(filled, OPEN_PERCENTILE, size=window, mode="nearest")
    return np.where(np.isfinite(gap), np.clip((1 - filled / wide) / (1 - SHUT_SHARE), 0.0, 1.0), np.nan)


def _brows(still: Still, fps: float) -> np.ndarray:
    """(T, 4) mm above their usual place."""
    eyes = np.mean([still.points.of(*EYE_CORNERS[side])[:, :, 1].mean(1) for side in EYE_CORNERS], axis=0)
    out = []
    for which in (INNER_BROW, OUTER_BROW):
        for side in ("Right", "Left"):
            height = still.points.of(*which[side])[:, :, 1].mean(1) - eyes
            smooth = gaussian_filter1d(_filled(height), BROW_SMOOTH * fps, mode="nearest")
            out.append(np.where(np.isfinite(height), smooth - np.median(smooth), np.nan))
    return np.stack(out, axis=1)


def _filled(values: np.ndarray) -> np.ndarray:
    """(T,) with what is missing interpolated."""
    seen = np.flatnonzero(np.isfinite(values))
    return np.interp(np.arange(len(values)), seen, values[seen])


@lru_cache(maxsize=1)
def brow_moves() -> dict[str, tuple[float, float, float]]:
    """mm by which browInnerUp raises the inner end, browOuterUp the outer part, browDown lowers the inner end, at 1."""
    rig = build_rig(load_mesh(DEMO_HEAD))
    marks = rig.anatomy.vertex_of[rig.anatomy.marks]

    def height(control: str, landmarks: int | tuple[int, ...]) -> float:
        moved = rig.shapes[rig.control_names.index(control), marks[np.atleast_1d(landmarks)]]
        return float(rig.anatomy.frame.vectors_to_frame(moved)[:, 1].mean())

    return {
        side: (
            height("browInnerUp", INNER[side]),
            height(f"browOuterUp{side}", OUTER[side]),
            -height(f"browDown{side}", INNER[side]),
        )
        for side in ("Right", "Left")
    }
