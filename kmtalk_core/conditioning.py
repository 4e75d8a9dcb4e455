"""What the networks are told beside the sound: the phones around each key instant, and the way of speaking."""

from __future__ import annotations

import numpy as np

from .localization.keys import KeyInstants
from .phones import PHONE_INDEX, Alignment

UNKNOWN = -1  # a phone that is not told
TYPICAL_DURATION = 0.1  # s: durations are given as the natural logarithm of their ratio to this
LONGEST_LOG = 2.5
TIMING = 4  # numbers of timing for each instant
# What the networks are told about the way of speaking. The first five are natural logarithms of gains, in standard
# deviations between speakers (`STYLE_SPREAD`): how far jaw and lips open, articulatory precision, how much of the
# opening is the jaw's, how round and how spread the lips get. `captured`: 1 as captured people move, 0 as rules do.
STYLE = ("amplitude", "effort", "jaw", "rounding", "spreading", "captured")
STYLE_SPREAD = {"amplitude": 0.14, "effort": 0.10, "jaw": 0.10, "rounding": 0.35, "spreading": 0.35}


def phone_context(alignment: Alignment, instants: KeyInstants) -> tuple[np.ndarray, np.ndarray]:
    """Phones (m, 3) int64 before, at and after each instant, and timing (m, 4) float32.

    Timing: position within the phone (0…1), and the logarithms of the durations of the phone before, this one, and the
    one after, relative to TYPICAL_DURATION. Beyond the ends there is silence of typical duration. Where the localizer
    found no phones (`uniform`), the phones are UNKNOWN and the timing is 0.
    """
    if alignment.source == "uniform":
        return unknown_context(len(instants.times))
    labels = np.array([PHONE_INDEX[p.label] for p in alignment.phones])
    durations = np.array([p.end - p.start for p in alignment.phones])
    log_durations = np.clip(np.log(np.maximum(durations, 1e-3) / TYPICAL_DURATION), -LONGEST_LOG, LONGEST_LOG)
    labels, log_durations = np.pad(labels, 1), np.pad(log_durations, 1)
    around = instants.phone_index[:, None] + np.arange(3)
    timing = np.concatenate([instants.position[:, None], log_durations[around]], axis=1)
    return labels[around].astype(np.int64), timing.astype(np.float32)


def unknown_context(count: int) -> tuple[np.ndarray, np.ndarray]:
    """The context of `count` instants of which no phone is known: the audio alone decides."""
    return np.full((count, 3), UNKNOWN, np.int64), np.zeros((count, TIMING), np.float32)
