"""The voice's pitch, for what follows its accents: brows and head.

Autocorrelation of the low-passed sound, divided by that of the window (Boersma 1993), the best lag within an octave of
the speaker's own median. Light on purpose: accents need the rises, not the last cent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from .features import SAMPLE_RATE, loud_level
from .packed import Samples, stretch

DECIMATION = 4  # 16 kHz → 4 kHz
RATE = SAMPLE_RATE // DECIMATION  # Hz
TAPS = 48  # of the low-pass before it
CUTOFF = 900.0  # Hz: some harmonics of every voice, little of the second formant
WINDOW = 200  # samples at RATE: 50 ms, three periods of the lowest voice
LOWEST, HIGHEST = 60.0, 480.0  # Hz; with RATE they give the lags below
SHORTEST, LONGEST = 8, 67  # lags: periods of HIGHEST and LOWEST
FFT = 288  # at least WINDOW + LONGEST + 2, so that no lag meets the window's other end
OCTAVE_COST = 0.06  # per octave of lag: of equally good periods the shortest is the voice's
VOICED = 0.5  # normalized autocorrelation from which a frame is a voice's
SURE = 0.7  # … and from which it counts for the speaker's median
LOUD = 0.02  # of the loud frames' power: what is weaker is no voice to follow
REACH = 10.0  # semitones around the median, beyond which a voice hardly goes
FAR_COST = 1.5  # per octave beyond that
CHUNK = 2000  # frames at a time


@dataclass(frozen=True)
class Periodicity:
    """Of some frames, their power (k,) and normalized autocorrelation (k, LONGEST + 2) at lags of 0, 1, … / RATE s."""

    power: np.ndarray
    correlation: np.ndarray


def pitch_contour(samples: Samples, rate: float, count: int) -> np.ndarray:
    """(n,) samples at 16 kHz → (count,) float32 semitones above the speaker's median at frames 0, 1/rate, … s.

    Straight between voiced stretches, level before the first and after the last; all 0 where there is no voice.
    """
    return contour([periodicity(samples, rate, k, min(k + CHUNK, count)) for k in range(0, count, CHUNK)])[0]


def periodicity(samples: Samples, rate: float, first: int, last: int) -> Periodicity:
    """How periodic (n,) samples at 16 kHz are at frames `first`…`last` - 1, of which there are `rate` a second."""
    frames = _frames(samples, rate, first, last)
    spectrum = np.fft.rfft(frames * _window(), FFT)
    auto = np.fft.irfft(spectrum.real**2 + spectrum.imag**2, FFT)[:, : LONGEST + 2]
    correlation = auto / np.maximum(auto[:, :1], 1e-12) / _window_correlation()[: LONGEST + 2]
    return Periodicity(auto[:, 0].copy(), correlation.astype(np.float16))  # so exact that no semitone changes


def contour(found: Sequence[Periodicity]) -> tuple[np.ndarray, np.ndarray, float]:
    """The pitch of consecutive frames, as `pitch_contour` gives it, which are voiced, (count,) bool, and the median in
    Hz (0 without a voice)."""
    power = np.concatenate([part.power for part in found])
    best, hertz = _likeliest(found)
    still = np.zeros(len(power), np.float32)
    loud = power > LOUD * loud_level(power)
    sure = loud & (best > SURE)
    if not sure.any():
        return still, sure, 0.0
    middle = float(np.median(hertz[sure]))
    best, hertz = _likeliest(found, middle)
    voiced = loud & (best > VOICED)
    at = np.flatnonzero(voiced)
    if not len(at):
        return still, voiced, 0.0
    median = float(np.median(hertz[at]))
    semitones = _median_of_five(12 * np.log2(hertz[at] / median))
    return np.interp(np.arange(len(power)), at, semitones).astype(np.float32), voiced, median


def _likeliest(found: Sequence[Periodicity], middle: float | None = None) -> tuple[np.ndarray, np.ndarray]:
    """For the best period of each frame its correlation (count,) and frequency (count,).

    It is looked for around `middle` Hz, if given: what is more than REACH semitones away costs, the more the farther,
    so that no sudden bound makes a hair's breadth of `middle` matter.
    """
    shortest, longest = SHORTEST, LONGEST
    octaves = np.log2(np.arange(shortest, longest + 1, dtype=np.float32) / RATE)
    cost = OCTAVE_COST * octaves
    if middle is not None:
        cost += FAR_COST * np.maximum(np.abs(octaves + np.float32(np.log2(middle))) - REACH / 12, 0.0)
    best, hertz = [], []
    for part in found:
        auto = part.correlation.astype(np.float32)
        lag = shortest + np.argmax(auto[:, shortest : longest + 1] - cost, axis=1)
        rows = np.arange(len(auto))
        before, at, after = auto[rows, lag - 1], auto[rows, lag], auto[rows, lag + 1]
        bend = before - 2 * at + after
        shift = np.where(bend < -1e-9, 0.5 * (before - after) / np.minimum(bend, -1e-9), 0.0)
        best.append(at)
        hertz.append(RATE / (lag + np.clip(shift, -0.5, 0.5)))
    return np.concatenate(best), np.concatenate(hertz)


def _frames(samples: Samples, rate: float, first: int, last: int) -> np.ndarray:
    """(k, WINDOW) at RATE, without their mean, centred at `first` / `rate` s and so on; zero outside of the sound."""
    centres = np.rint(np.arange(first, last) / rate * RATE).astype(np.int64)
    low, high = centres[0] - WINDOW // 2, centres[-1] + WINDOW // 2
    around = stretch(samples, int(low) * DECIMATION - TAPS // 2, int(high) * DECIMATION + TAPS // 2)
    slow = np.lib.stride_tricks.sliding_window_view(around, TAPS)[::DECIMATION][: high - low] @ _low_pass()
    frames = np.lib.stride_tricks.sliding_window_view(slow, WINDOW)[centres - centres[0]]
    return frames - frames.mean(1, keepdims=True)


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
