"""Log-mel features: the exact same code in training and in use (design: "The embedded model").

Level differences between recordings are removed (a quiet take must move the mouth as far as a loud one), level
differences within a recording stay (a shouted word opens the mouth further).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from .packed import Samples

SAMPLE_RATE = 16_000  # Hz
HOP = 160  # samples: 10 ms, so 100 frames a second
WINDOW = 400  # samples: 25 ms
FFT = 512  # samples
MELS = 64  # bands
LOW, HIGH = 60.0, 7600.0  # Hz
BRIGHT = 21  # bands below 1 kHz
MEL_RATE = SAMPLE_RATE / HOP  # frames a second
SPEECH_LEVEL = -3.0  # natural log of the power that the loud parts (95th percentile of frames) are brought to
MAX_GAIN = 8.0  # natural log of power, about 35 dB: silence must stay silence
FLOOR = 1e-5  # power added before the logarithm: about 50 dB below the loud parts
FAINTEST = 1e-6  # of the loud parts' power: below is digital silence, of which there may be any amount
CHUNK = 3000  # frames transformed at a time, to bound memory


def mel_frame_count(n_samples: int) -> int:
    """Frames of `n_samples`: frame i is centred at i * HOP samples."""
    return n_samples // HOP + 1


def log_mel(samples: np.ndarray, gain: float | None = None) -> np.ndarray:
    """(n,) float32 samples at 16 kHz → (n // 160 + 1, 64) float32 log power in mel bands.

    `gain` is the factor on power that `speech_gain` gives for the whole recording; computed here if not given.
    """
    samples = np.asarray(samples, dtype=np.float32)
    factor = speech_gain(samples) if gain is None else gain
    n_frames = mel_frame_count(len(samples))
    out = np.empty((n_frames, MELS), dtype=np.float32)
    for begin in range(0, n_frames, CHUNK):
        end = min(begin + CHUNK, n_frames)
        out[begin:end] = np.log(_power_frames(samples, begin, end) @ _mel_filters() * factor + FLOOR)
    return out


def timbre(mel: np.ndarray) -> np.ndarray:
    """(n, 64) log-mel → (n, 2): the level, and how much more of it is above 1 kHz than below (brightness), in dB."""
    power = np.exp(mel)
    low, high = power[:, :BRIGHT].sum(1), power[:, BRIGHT:].sum(1)
    return 10 * np.log10(np.stack([low + high, high / low], axis=1))


def speech_gain(samples: Samples) -> float:
    """The factor on power that brings the loud parts of a recording to the level the networks were trained on."""
    n = len(samples) // HOP
    if n == 0:
        return 1.0
    energy = np.empty(n)
    for begin in range(0, n, CHUNK):
        frames = samples[begin * HOP : min(begin + CHUNK, n) * HOP].reshape(-1, HOP)
        energy[begin : begin + len(frames)] = np.einsum("ij,ij->i", frames, frames) / HOP
    loud = loud_level(energy)
    return float(np.exp(np.clip(SPEECH_LEVEL - np.log(loud + 1e-12), -MAX_GAIN, MAX_GAIN)))


def loud_level(power: np.ndarray) -> float:
    """The power of the loud parts: the 95th percentile of the frames in which there is any sound."""
    total = float(power.sum())
    if total <= 0.0:
        return 0.0
    heard = power > FAINTEST * float(np.square(power).sum()) / total
    return float(np.percentile(power[heard], 95))


def _power_frames(samples: np.ndarray, begin: int, end: int) -> np.ndarray:
    """Power spectra (end - begin, FFT // 2 + 1) of the frames centred at i * HOP, zero outside of the sound."""
    first = begin * HOP - WINDOW // 2
    last = (end - 1) * HOP + WINDOW // 2
    padded = np.zeros(last - first, dtype=np.float32)
    inside_first, inside_last = max(first, 0), min(last, len(samples))
    if inside_last > inside_first:
        padded[inside_first - first : inside_last - first] = samples[inside_first:inside_last]
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP]
    spectrum = np.fft.rfft(frames * _window(), FFT)
    return (spectrum.real**2 + spectrum.imag**2).astype(np.float32)


@lru_cache(maxsize=1)
def _window() -> np.ndarray:
    window = np.hanning(WINDOW + 1)[:-1]
    return (window / np.sqrt(np.square(window).sum())).astype(np.float32)


@lru_cache(maxsize=1)
def _mel_filters() -> np.ndarray:
    """(FFT // 2 + 1, MELS) triangles, evenly spaced on the mel scale, each averaging the power of its bins."""

    def mel(hertz: np.ndarray) -> np.ndarray:
        return 2595.0 * np.log10(1.0 + hertz / 700.0)

    edges = np.linspace(mel(np.array(LOW)), mel(np.array(HIGH)), MELS + 2)
    bins = mel(np.arange(FFT // 2 + 1) * SAMPLE_RATE / FFT)[:, None]
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    filters = np.clip(np.minimum(rising, falling), 0.0, None)
    # Low bands are narrower than a bin: without this they would be empty.
    nearest = np.abs(bins - edges[1:-1]).argmin(0)
    filters[nearest, np.arange(MELS)] += 1e-3
    return (filters / filters.sum(0)).astype(np.float32)
