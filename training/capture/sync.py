"""By how much a video's sound is late: the lips are compared with those that the shipped model makes of the sound."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kmtalk_core.motion import Animation
from kmtalk_core.rig.controls import SPEECH_CONTROLS

from .solve import rig_measures

FURTHEST = 0.5  # s either way
STEP = 0.005  # s
AGREED = 0.5  # correlation of the lips' opening from which an offset is believed …
BETTER = 0.06  # … if it is so much higher than where the sound is
SMALLEST = 0.05  # s: in clips of a few seconds, less cannot be told
MISFIT = 0.25  # correlation below which the sound may be another person's


@dataclass(frozen=True)
class Offset:
    """`seconds` by which the sound is later than the picture, `agreement` the correlation there, `as_it_is` that
    without moving the sound. `believed`: clear enough to move it."""

    seconds: float
    agreement: float
    as_it_is: float
    believed: bool


def find_offset(controls: np.ndarray, usable: np.ndarray, fps: float, ours: Animation) -> Offset:
    """Compare captured `controls` (T, C) over SPEECH_CONTROLS with the model's animation of the sound."""
    moves = rig_measures(SPEECH_CONTROLS)[:, 0]
    lips = np.maximum(controls @ moves, 0.0)
    columns = [ours.control_names.index(name) for name in SPEECH_CONTROLS]
    heard = np.maximum(ours.controls[:, columns] @ moves, 0.0)
    times = np.arange(len(lips)) / fps
    lags = np.arange(-FURTHEST, FURTHEST + STEP / 2, STEP)
    fits = np.array([_correlation(lips, np.interp(times + lag, ours.times, heard), usable) for lag in lags])
    best = int(fits.argmax())
    seconds, as_it_is = float(lags[best]), float(fits[len(lags) // 2])
    clear = fits[best] >= AGREED and fits[best] - as_it_is >= BETTER and 0 < best < len(lags) - 1
    return Offset(seconds, float(fits[best]), as_it_is, bool(clear and abs(seconds) >= SMALLEST))


def _correlation(a: np.ndarray, b: np.ndarray, where: np.ndarray) -> float:
    a, b = a[where], b[where]
    if len(a) < 3 or a.std() < 1e-6 or b.std() < 1e-6:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])
