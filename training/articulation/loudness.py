"""How strongly the voice speaks, as a slow factor on the opening of the mouth."""

from __future__ import annotations

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.ndimage import gaussian_filter1d

STEP = 0.01  # s between the points of the level
SMOOTHING = 0.12  # s, standard deviation: slower than syllables, so that it follows words and phrases
ACTIVE_RANGE = 25.0  # dB below the loudest level that still counts as speech
SPAN = 0.4  # the factor stays within 1 - SPAN ... 1 + SPAN
DECIBELS = 12.0  # dB that carry the factor to three quarters of the span


def loudness_curve(samples: np.ndarray, times: np.ndarray, sample_rate: int = 16_000) -> np.ndarray:
    """Factor of the opening, (T,) in 0.6…1.4, at `times` (T,) s from mono `samples` (n,) at `sample_rate` Hz.

    The level in dB is taken relative to the utterance's own speech level, so recording gain doesn't matter; 1 is that
    level. Louder speech lowers the jaw further (Schulman 1989, "Articulatory dynamics of loud and normal speech"; Huber
    & Chandrasekaran 2006: lips and jaw move more at +10 dB). Whispered and distant voices must not shrink the motion:
    whispering moves jaw and tongue more than speaking does ("Kinematics of loud, soft, and whispered speech", 2024).
    Smooth in time (twice differentiable); 1 throughout for sound without signal.
    """
    size = max(round(STEP * sample_rate), 1)
    energy = np.square(np.asarray(samples, dtype=np.float64))
    blocks = np.pad(energy, (0, -len(energy) % size)).reshape(-1, size).mean(1)
    if len(blocks) < 2 or blocks.max() <= 0.0:
        return np.ones(len(times))
    level = 10 * np.log10(gaussian_filter1d(blocks, SMOOTHING / STEP, mode="nearest") + blocks.max() * 1e-8)
    speech_level = np.mean(level[level > level.max() - ACTIVE_RANGE])
    factor = 1 + SPAN * np.tanh((level - speech_level) / DECIBELS)
    at = np.clip(times, 0.5 * STEP, (len(blocks) - 0.5) * STEP)
    return CubicSpline((np.arange(len(blocks)) + 0.5) * STEP, factor)(at)
