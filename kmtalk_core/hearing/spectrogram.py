"""What Whisper hears: its log-mel spectrogram, as openai-whisper computes it."""

from __future__ import annotations

import functools

import numpy as np

SAMPLE_RATE = 16_000  # Hz
WINDOW, HOP = 400, 160  # samples
BANDS = 80
RANGE = 8.0  # powers of ten below the loudest that count
FLOOR = 1e-10


def log_mel(samples: np.ndarray, frames: int) -> np.ndarray:
    """(n,) float32 samples at 16 kHz, followed by silence → (BANDS, frames) float32, 100 frames a second."""
    padded = np.zeros(frames * HOP, np.float32)
    padded[: len(samples)] = samples[: len(padded)]
    framed = np.lib.stride_tricks.sliding_window_view(np.pad(padded, WINDOW // 2, mode="reflect"), WINDOW)[::HOP]
    power = np.abs(np.fft.rfft(framed[:frames] * _hann(), axis=1)) ** 2
    mel = np.log10(np.maximum(_filters() @ power.T.astype(np.float32), FLOOR))
    return ((np.maximum(mel, mel.max() - RANGE) + 4.0) / 4.0).astype(np.float32)


@functools.cache
def _hann() -> np.ndarray:
    return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)).astype(np.float32)


@functools.cache
def _filters() -> np.ndarray:
    """(BANDS, WINDOW // 2 + 1) float32: triangles of equal area, evenly spaced on Slaney's mel scale."""
    frequencies = np.linspace(0.0, SAMPLE_RATE / 2, WINDOW // 2 + 1)
    edges = _from_mel(np.linspace(0.0, _to_mel(SAMPLE_RATE / 2), BANDS + 2))
    rise = (frequencies - edges[:-2, None]) / np.diff(edges)[:-1, None]
    fall = (edges[2:, None] - frequencies) / np.diff(edges)[1:, None]
    triangles = np.maximum(0.0, np.minimum(rise, fall)) * (2.0 / (edges[2:] - edges[:-2]))[:, None]
    return triangles.astype(np.float32)


def _to_mel(frequency: float) -> float:
    """Slaney's scale above 1 kHz, where it is logarithmic."""
    return 15.0 + 27.0 * float(np.log(frequency / 1000.0) / np.log(6.4))


def _from_mel(mel: np.ndarray) -> np.ndarray:
    return np.where(mel < 15.0, mel * 200.0 / 3.0, 1000.0 * np.exp((mel - 15.0) * np.log(6.4) / 27.0))
