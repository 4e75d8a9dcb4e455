"""Numbers that the tests of the peers share with the recording of what the official modules make of them.

Weights are made from their names in the official layout, sound and motion from formulas, so that they need no file.
"""

import zlib

import numpy as np


def noise(name: str, count: int) -> np.ndarray:
    """(count,) float64 in -1…1, the same on every machine: a hash (splitmix64) of the name and the place."""
    with np.errstate(over="ignore"):
        z = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z += np.uint64(zlib.crc32(name.encode()))
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    return (z >> np.uint64(11)).astype(np.float64) / 2**52 - 1.0


def seeded(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Weights of a layer by its official name: of unit gain, more where the sound comes in, so that what is made
    differs from frame to frame; gains of norms around 1, biases small."""
    values = noise(name, int(np.prod(shape))).reshape(shape)
    if name.startswith("audio_feature_map"):
        values *= 8.0
    if len(shape) > 1:
        return (values * np.sqrt(3.0 / np.prod(shape[1:]))).astype(np.float32)
    around = 1.0 if "norm" in name and name.endswith("weight") else 0.0
    return (around + 0.2 * values).astype(np.float32)


def sound(samples: int) -> np.ndarray:
    """(n,) float32, normalised as wav2vec 2.0 wants it: a buzz that rises and falls."""
    t = np.arange(samples) / 16_000
    wave = np.sin(2 * np.pi * (110 + 40 * np.sin(5 * t)) * t) * (0.4 + np.sin(9 * t) ** 2) + 0.1 * noise("s", samples)
    return ((wave - wave.mean()) / np.sqrt(wave.var() + 1e-7)).astype(np.float32)


def motion_of(frames: int, size: int) -> np.ndarray:
    """(N, C) float32: every coordinate swings in its own way."""
    phase, rate = 3 * noise("phase", size), 0.4 + 0.3 * noise("rate", size)
    return (0.3 * np.sin(np.arange(frames)[:, None] * rate + phase)).astype(np.float32)
