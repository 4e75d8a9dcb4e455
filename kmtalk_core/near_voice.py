"""Whether somebody near is speaking while voices are behind.

A small convolutional network over the phone posteriors, the kinds of sound and the level, measured against the sound's
own speech and pauses. `python -m training.vocal.near` makes its weights.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from .assets import NEAR_VOICE
from .convolutions import REACH, Convolutions, load_convolutions
from .phones import PHONES
from .sound_kinds import KINDS, POSTERIOR_SCALE, UNHEARD

WIDTH = 48  # channels
INPUTS = 3 + len(PHONES) + len(KINDS)
QUIETEST, USUALLY = 8.0, 80.0  # percentiles of the level over the sound
DECIBELS = 10.0  # that count as 1
CAUTION = 1.25  # natural log by which the odds of a near voice are raised: words that are swallowed are worse than a
# mouth that moves in a pause
AT_ONCE = 3000  # frames


@dataclass(frozen=True)
class NearVoice:
    """The network."""

    layers: Convolutions

    def __call__(self, log_posteriors: np.ndarray, kinds: np.ndarray, level: np.ndarray) -> np.ndarray:
        """(n, phones) log-posteriors, (n, KINDS) chances, (n,) level in dB → (n,) chance that somebody near speaks."""
        out = np.empty(len(level), np.float32)
        quietest, usual = levels(level)
        for first in range(0, len(level), AT_ONCE):
            last = min(first + AT_ONCE, len(level))
            begin = max(first - REACH, 0)
            here = slice(begin, last + REACH)
            x = network_input(log_posteriors[here], kinds[here], level[here], quietest, usual)
            out[first:last] = self.layers(x)[first - begin :][: last - first, 0]
        return (1.0 / (1.0 + np.exp(-out - CAUTION))).astype(np.float32)


def levels(level: np.ndarray) -> tuple[float, float]:
    """The level of a sound's pauses and of its speech, in dB."""
    quietest, usual = np.percentile(level.astype(np.float64), (QUIETEST, USUALLY)) if len(level) else (0.0, 0.0)
    return float(quietest), float(usual)


def network_input(
    log_posteriors: np.ndarray, kinds: np.ndarray, level: np.ndarray, quietest: float, usual: float
) -> np.ndarray:
    """(n, INPUTS) float32, each about 1 in size."""
    loud = level.astype(np.float32)
    above = np.stack([loud - usual, loud - quietest, np.full(len(loud), (usual - quietest) / 2)], 1) / DECIBELS
    said = np.maximum(log_posteriors, UNHEARD) / POSTERIOR_SCALE + 1.0
    return np.concatenate([above, said, kinds], axis=1).astype(np.float32)


@functools.cache
def shipped_near_voice() -> NearVoice:
    """The network that ships. Raises InputError if its file is damaged."""
    remedy = "no network of near voices; make one with `python -m training.vocal.near`."
    return NearVoice(load_convolutions(NEAR_VOICE, remedy))
