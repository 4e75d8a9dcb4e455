"""Localization by the compact model's own phone posteriors: no aligner, no language model, any speaker."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..audio import Sound
from ..phones import PHONES, Alignment, Phone

# Log-probability of leaving a phone for a given other one, against staying in it. Measured on real speech: less gives
# spurious phones, more swallows short ones.
SWITCH = -2.5

Posteriors = Callable[[Sound], tuple[np.ndarray, float]]


def localize_posterior(sound: Sound, posteriors: Posteriors) -> Alignment:
    """The most probable phone sequence under (N, phones) log-posteriors at their rate in Hz."""
    log_posteriors, rate = posteriors(sound)
    path = best_path(log_posteriors, SWITCH)
    # Index i is centred at i / rate, so a phone changes half a step before its first index.
    starts = np.flatnonzero(np.diff(path, prepend=-1))
    edges = np.append(np.clip((starts - 0.5) / rate, 0.0, sound.duration), sound.duration)
    phones = [
        Phone(PHONES[path[index]], float(a), float(b))
        for index, a, b in zip(starts, edges[:-1], edges[1:], strict=True)
    ]
    return Alignment.from_segments(phones, (), sound.duration, "posterior")


def best_path(log_posteriors: np.ndarray, switch: float) -> np.ndarray:
    """Viterbi over (N, P) log-posteriors where every change of phone costs `switch`: (N,) phone indices."""
    n, count = log_posteriors.shape
    came_from = np.empty((n, count), np.int16)
    own = np.arange(count, dtype=np.int16)
    score = log_posteriors[0].astype(np.float64)
    for index in range(1, n):
        best = int(score.argmax())
        stay = score >= score[best] + switch
        came_from[index] = np.where(stay, own, best)
        score = np.where(stay, score, score[best] + switch) + log_posteriors[index]
    path = np.empty(n, np.int64)
    path[-1] = int(score.argmax())
    for index in range(n - 1, 0, -1):
        path[index - 1] = came_from[index, path[index]]
    return path
