"""How alike a talking head is to the person who really said it, by opening and width of the mouth and the jaw.

Three curves (T, 3) over time, all in units of the distance between the outer corners of the eyes, so that a head can be
compared with a tracked person: the distance between the lips (mean of three pairs), that between the corners of the
mouth, and that from the chin to the bridge of the nose. Errors of vertices reward a mouth that mumbles; these don't.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kmtalk_core.phones import SILENCE, Phone

CLOSED, APART = 0.02, 0.05  # openings: below lips are shut, above clearly apart
LAG = 1  # frames that sound and picture may be off
NEAR = 2  # frames within which a closure counts as met
LONGEST_CLOSURE = 0.4  # s; a mouth that is shut for longer is a pause, no closure
AROUND_SPEECH = 0.1  # s before the first and after the last phone that count as spoken
FIGURES = ("opening_r", "width_r", "jaw_r", "opening_sd", "width_sd", "closed", "false_closed", "speed")
MEANING = (
    "Against the person: opening_r, width_r, jaw_r: correlation of the mouth's opening and width and of the jaw;"
    " opening_sd, width_sd, speed (95th percentile of the opening's): over the person's, 1 is right, below it mumbles;"
    " closed: share of the person's closures that are met; false_closed: share of the spoken frames that are shut while"
    " the person's lips are clearly apart."
)
# Of iBUG's 68 landmarks: pairs of inner-lip points, corners of the mouth, chin and bridge of the nose, outer corners of
# the eyes.
UPPER_LIP, LOWER_LIP, CORNERS, JAW, EYES = [61, 62, 63], [67, 66, 65], (48, 54), (8, 27), (36, 45)


@dataclass(frozen=True)
class Likeness:
    """Of one sentence. Correlations are the highest within a frame of delay, 0 for a head that stands still; spreads
    and `speed` are ours over the person's; `closures` of the person of which `held` are met; `false` frames of
    `spoken` ones are shut while the person's lips are clearly apart."""

    opening_r: float
    width_r: float
    jaw_r: float
    opening_sd: float
    width_sd: float
    speed: float
    closures: int
    held: int
    false: int
    spoken: int


def curves_of_head(vertices: np.ndarray, template: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """(T, V, 3) of a head whose vertices `landmarks` (68,) are iBUG's → opening, width and jaw (T, 3)."""
    moved, rest = vertices[:, landmarks].astype(np.float64), template[landmarks].astype(np.float64)
    eyes = np.linalg.norm(rest[EYES[0]] - rest[EYES[1]])
    opening = np.linalg.norm(moved[:, UPPER_LIP] - moved[:, LOWER_LIP], axis=2).mean(1)
    width, jaw = (np.linalg.norm(moved[:, a] - moved[:, b], axis=1) for a, b in (CORNERS, JAW))
    return np.stack([opening, width, jaw], 1) / eyes


def voiced(phones: Sequence[Phone], frames: int, fps: float) -> np.ndarray:
    """(T,) bool: the frames from just before the first phone that is said to just after the last one."""
    said = [phone for phone in phones if phone.label != SILENCE]
    if not said:
        return np.zeros(frames, bool)
    times = np.arange(frames) / fps
    return (times >= said[0].start - AROUND_SPEECH) & (times <= said[-1].end + AROUND_SPEECH)


def likeness(person: np.ndarray, head: np.ndarray, spoken: np.ndarray, fps: float) -> Likeness:
    """Compare curves (T, 3) over the shorter of the two; `spoken` (T,) bool."""
    n = min(len(person), len(head))
    person, head, spoken = person[:n], head[:n], spoken[:n]
    (opening_r, delay), (width_r, _), (jaw_r, _) = (_best(person[:, k], head[:, k]) for k in range(3))
    shut = head[np.clip(np.arange(n) - delay, 0, n - 1), 0] < CLOSED
    closures = [(a, b) for a, b in _runs((person[:, 0] < CLOSED) & spoken) if b - a < LONGEST_CLOSURE * fps]
    return Likeness(
        opening_r=opening_r,
        width_r=width_r,
        jaw_r=jaw_r,
        opening_sd=_ratio(head[:, 0].std(), person[:, 0].std()),
        width_sd=_ratio(head[:, 1].std(), person[:, 1].std()),
        speed=_ratio(_speed(head[:, 0]), _speed(person[:, 0])),
        closures=len(closures),
        held=sum(bool(shut[max(a - NEAR, 0) : b + NEAR].any()) for a, b in closures),
        false=int((shut & (person[:, 0] > APART) & spoken).sum()),
        spoken=int(spoken.sum()),
    )


def summarized(sentences: Sequence[Likeness]) -> dict[str, float]:
    """FIGURES of a data set: means of correlations, medians of ratios, shares over all sentences together; a share of
    nothing is NaN."""
    out = {name: float(np.mean([getattr(s, name) for s in sentences])) for name in FIGURES[:3]}
    for name in ("opening_sd", "width_sd", "speed"):
        known = [getattr(s, name) for s in sentences if np.isfinite(getattr(s, name))]
        out[name] = float(np.median(known)) if known else float("nan")
    out["closed"] = _ratio(sum(s.held for s in sentences), sum(s.closures for s in sentences))
    out["false_closed"] = _ratio(sum(s.false for s in sentences), sum(s.spoken for s in sentences))
    return out


def _best(person: np.ndarray, head: np.ndarray) -> tuple[float, int]:
    """The highest correlation over the delays, and that delay in frames (positive: the person is later)."""
    best = (-2.0, 0)
    for delay in range(-LAG, LAG + 1):
        a, b = (person[delay:], head[: len(head) - delay]) if delay >= 0 else (person[:delay], head[-delay:])
        if len(a) > 5 and min(a.std(), b.std()) > 1e-6:
            best = max(best, (float(np.corrcoef(a, b)[0, 1]), delay))
    return best if best[0] > -2.0 else (0.0, 0)


def _speed(opening: np.ndarray) -> float:
    return float(np.percentile(np.abs(np.diff(opening)), 95)) if len(opening) > 1 else 0.0


def _ratio(ours: float, theirs: float) -> float:
    return float(ours / theirs) if theirs > 0 else float("nan")


def _runs(mask: np.ndarray) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(int), [0]])))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))
