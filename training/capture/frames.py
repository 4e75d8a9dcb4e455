"""Which frames of a tracked video can be used, and why the others cannot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import binary_dilation

from kmtalk_core.errors import InputError

from .points import Points, Still
from .solve import Measures, in_sight
from .tracks import Track

ASIDE_DEG = 40.0  # from here on the far corner of the mouth is hidden
WELL_DEG = 30.0  # up to here the figures of docs/capture.md hold
LEAST = 0.5  # of the frames must be usable
SKIN_STEP, SKIN_SPREADS = 12.0, 5.0  # grey levels, and usual deviations, by which covered skin differs
COVERED_SHARE = 0.15  # of the points around the mouth: a hand covers more, a nod changes fewer
MARGIN = 0.08  # s around a hand, while it comes and goes


@dataclass(frozen=True)
class Frames:
    """`usable` (T,) bool; `reasons`: why not → how many frames."""

    usable: np.ndarray
    reasons: Mapping[str, int]


def judge_frames(name: str, track: Track, points: Points, still: Still, measures: Measures) -> Frames:
    """Which frames of the video called `name` to use.

    Raises InputError where it is filmed from the side, or too few are usable.
    """
    aside = still.side_deg
    if (middle := float(np.nanmedian(aside))) > ASIDE_DEG:
        raise InputError(f"{name} shows the face from the side ({middle:.0f}°); film it within {WELL_DEG:.0f}° of it.")
    seen = np.isfinite(track.points).all((1, 2))
    faults = {
        "no picture, or the one before again": track.frozen,
        "no face": ~seen,
        "lips outside of the picture": ~in_sight(points, measures, track.size),
        "turned aside": np.nan_to_num(aside) > ASIDE_DEG,
        "a hand, or something else, before the mouth": covered(track.skin, seen, track.fps),
    }
    usable, reasons = np.ones(len(seen), bool), {}
    for why, here in faults.items():
        if count := int((here & usable).sum()):
            reasons[why] = count
        usable &= ~here
    if usable.mean() < LEAST:
        worst = max(reasons, key=lambda why: reasons[why])
        raise InputError(
            f"Only {usable.mean():.0%} of {name} can be used (mostly because of: {worst}); film the face again."
        )
    return Frames(usable, reasons)


def covered(skin: np.ndarray, seen: np.ndarray, fps: float) -> np.ndarray:
    """(T,) bool: the skin around the mouth looks as it never does, in many places at once.

    `skin` (T, K) is how bright it is. Light that changes all of it alike does not count.
    """
    if not seen.any():
        return np.zeros(len(skin), bool)
    off = skin - np.median(skin[seen], axis=0)
    off -= np.median(off, axis=1, keepdims=True)
    usual = 1.48 * np.median(np.abs(off[seen]), axis=0)
    share = (np.abs(off) > np.maximum(SKIN_STEP, SKIN_SPREADS * usual)).mean(1)
    there = (share > COVERED_SHARE) & seen
    return binary_dilation(there, iterations=max(round(MARGIN * fps), 1)) if there.any() else there
