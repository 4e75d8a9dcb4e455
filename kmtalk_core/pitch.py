"""The voice's pitch, for what follows its accents: brows and head.

Autocorrelation of the low-passed sound, divided by that of the window (Boersma 1993), the best lag within an octave of
the speaker's own median. Light on purpose: accents need the rises, not the last cent.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np

from .features import SAMPLE_RATE
from .packed import Samples

DECIMATION = 4  # 16 kHz → 4 kHz
RATE = SAMPLE_RATE // DECIMATION  # Hz
TAPS = 48  # of the low-pass before it
CUTOFF = 900.0  # Hz: some harmonics of every voice, little of the second formant
WINDOW = 200  # samples at RATE: 50 ms, three periods of the lowest voice
FFT = 512
LOWEST, HIGHEST = 60.0, 480.0  # Hz
OCTAVE_COST = 0.06  # per octave of lag: of equally good periods the shortest is the voice's
VOICED = 0.5  # normalized autocorrelation from which a frame is a voice's
SURE = 0.7  # … and from which it counts for the speaker's median
LOUD = 0.02  # of the loud frames' power: what is weaker is no voice to follow
REACH = 12.0  # semitones around the median
CHUNK = 2000  # frames at a time


def pitch_contour(samples: Samples, rate: float, count: int) -> np.ndarray:
    """(n,) samples at 16 kHz → (count,) float32 semitones above the speaker's median at frames 0, 1/rate, … s.

    Straight between voiced stretches, level before the first and after the last; all 0 where there is no voice.
    """
    power, score = _candidates(samples, rate, count, np.array([LOWEST, HIGHEST]))
    loud = power > LOUD * np.percentile(power, 95)
    sure = loud & (score[0] > SURE)
    if not sure.any():
        return np.zeros(count, np.float32)
    middle = float(np.median(score[1][sure]))
    octave = 2.0 ** (np.array([-REACH, REACH]) / 12)
    power, score = _candidates(samples, rate, count, np.clip(middle * octave, LOWEST, HIGHEST))
    voiced = np.flatnonzero(loud & (score[0] > VOICED))
    if not len(voiced):
        return np.zeros(count, np.float32)
    semitones = 12 * np.log2(score[1][voiced] / np.median(score[1][voiced]))
    return np.interp(np.arange(count), voiced, _median_of_five(semitones)).astype(np.float32)


def _candidates(
    samples: Samples, rate: float, count: int, limits: np.ndarray
) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """Power (count,), and for the best period within `limits` Hz its correlation (count,) and frequency (count,)."""
    shortest, longest = int(np.floor(RATE / limits[1])), int(np.ceil(RATE / limits[0]))
    cost = OCTAVE_COST * np.log2(np.arange(shortest, longest + 1) / shortest)
    power, best, hertz = np.zeros(count), np.zeros(count), np.full(count, limits[0])
    for here, frames in _frames(samples, rate, count):
        spectrum = np.fft.rfft(frames * _window(), FFT)
        auto = np.fft.irfft(spectrum.real**2 + spectrum.imag**2, FFT)[:, : longest + 2]
        power[here] = auto[:, 0]
        auto = auto / np.maximum(auto[:, :1], 1e-12) / _window_correlation()[: longest + 2]
        lag = shortest + np.argmax(auto[:, shortest : longest + 1] - cost, axis=1)
        rows = np.arange(len(auto))
        before, at, after = auto[rows, lag - 1], auto[rows, lag], auto[rows, lag + 1]
        bend = before - 2 * at + after
        shift = np.where(bend < -1e-9, 0.5 * (before - after) / np.minimum(bend, -1e-9), 0.0)
        best[here], hertz[here] = at, RATE / (lag + np.clip(shift, -0.5, 0.5))
    return power, (best, hertz)


def _frames(samples: Samples, rate: float, count: int) -> Iterator[tuple[slice, np.ndarray]]:
    """Pieces of the frames (k, WINDOW) at RATE, without their mean, centred at i / `rate` s; zero outside the sound."""
    for first in range(0, count, CHUNK):
        last = min(first + CHUNK, count)
        centres = np.rint(np.arange(first, last) / rate * RATE).astype(np.int64)
        low, high = centres[0] - WINDOW // 2, centres[-1] + WINDOW // 2
        begin, end = low * DECIMATION - TAPS // 2, high * DECIMATION + TAPS // 2
        padded = np.zeros(end - begin, np.float32)
        inside = slice(max(begin, 0), min(end, len(samples)))
        if inside.stop > inside.start:
            padded[inside.start - begin : inside.stop - begin] = samples[inside]
        slow = np.lib.stride_tricks.sliding_window_view(padded, TAPS)[::DECIMATION][: high - low] @ _low_pass()
        frames = np.lib.stride_tricks.sliding_window_view(slow, WINDOW)[centres - centres[0]]
        yield slice(first, last), frames - frames.mean(1, keepdims=True)


@lru_cache(maxsize=1)
def _low_pass() -> np.ndarray:
    t = np.arange(TAPS) - (TAPS - 1) / 2
    taps = np.sinc(2 * CUTOFF / SAMPLE_RATE * t) * np.hamming(TAPS)
    return (taps / taps.sum()).astype(np.float32)


@lru_cache(maxsize=1)
def _window() -> np.ndarray:
    return np.hanning(WINDOW + 2)[1:-1].astype(np.float32)


@lru_cache(maxsize=1)
def _window_correlation() -> np.ndarray:
    auto = np.fft.irfft(np.abs(np.fft.rfft(_window(), FFT)) ** 2, FFT)
    return auto / auto[0]


def _median_of_five(values: np.ndarray) -> np.ndarray:
    padded = np.pad(values, 2, mode="edge")
    return np.median(np.lib.stride_tricks.sliding_window_view(padded, 5), axis=1)
