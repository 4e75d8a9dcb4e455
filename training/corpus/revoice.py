"""Say a recording again in another manner: as a child, an old or a shouting voice, whispered, sung, slow or fast.

The WORLD vocoder (Morise et al. 2016, package `pyworld`) takes speech apart into pitch, spectral envelope and
aperiodicity; each is changed and the speech put together again. Phones are stretched one by one, so their times stay
known. `pyworld` is an extra for making the corpus.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import warnings
from dataclasses import dataclass

import numpy as np

from kmtalk_core.phones import SILENCE, VOWELS
from training.corpus import SAMPLE_RATE, Label, Utterance

FRAME = 0.005  # s between WORLD's frames
MANNERS = ("child", "old", "shouting", "whispered", "sung", "lively", "flat", "fast", "slow")
_LOWEST, _HIGHEST = 60.0, 800.0  # Hz of a voice
_VIBRATO = 5.5  # Hz
_SEMITONE = np.log(2.0) / 12


@dataclass(frozen=True)
class Manner:
    """How a voice is changed.

    `pitch` factor; `range` factor of the pitch's movement (in octaves); `throat` factor of all formants; `tilt` dB per
    octave above 500 Hz; `breath` 0…1 share of the aperiodicity that becomes noise, 1 for a whisper; `vowels`,
    `consonants` factors of their lengths; `sung`: pitch in whole notes with vibrato; `shake` share of random pitch.
    """

    pitch: float = 1.0
    range: float = 1.0
    throat: float = 1.0
    tilt: float = 0.0
    breath: float = 0.0
    vowels: float = 1.0
    consonants: float = 1.0
    sung: bool = False
    shake: float = 0.0


def available() -> bool:
    """Whether pyworld is installed."""
    return importlib.util.find_spec("pyworld") is not None


def draw(name: str, rng: np.random.Generator) -> Manner:
    """A plausible voice of one of the `MANNERS`."""
    u = rng.uniform
    match name:
        case "child":
            return Manner(pitch=u(1.4, 2.1), range=u(1.0, 1.5), throat=u(1.12, 1.32), vowels=u(0.95, 1.25))
        case "old":
            return Manner(
                u(0.85, 1.15),
                u(0.7, 1.1),
                u(0.92, 1.03),
                u(-2, 0),
                u(0.2, 0.5),
                u(1.05, 1.4),
                u(1.0, 1.25),
                False,
                0.04,
            )
        case "shouting":
            return Manner(pitch=u(1.3, 1.9), range=u(1.0, 1.4), throat=u(1.02, 1.1), tilt=u(2, 5), vowels=u(1.1, 1.5))
        case "whispered":
            return Manner(throat=u(1.0, 1.08), tilt=u(1, 4), breath=1.0, vowels=u(0.95, 1.2))
        case "sung":
            return Manner(pitch=u(0.9, 1.5), range=u(0.8, 1.6), vowels=u(1.4, 2.6), consonants=u(0.95, 1.1), sung=True)
        case "lively":
            return Manner(pitch=u(0.9, 1.25), range=u(1.4, 2.2), throat=u(0.93, 1.07), vowels=u(0.85, 1.25))
        case "flat":
            return Manner(pitch=u(0.8, 1.1), range=u(0.1, 0.4), throat=u(0.9, 1.05), tilt=u(-2, 0))
        case "fast":
            return Manner(throat=u(0.92, 1.1), vowels=u(0.55, 0.8), consonants=u(0.65, 0.85))
        case "slow":
            return Manner(throat=u(0.92, 1.1), vowels=u(1.25, 1.7), consonants=u(1.1, 1.35))
    raise ValueError(f"there is no manner {name}")


def revoice(utterance: Utterance, rng: np.random.Generator, name: str | None = None) -> Utterance:
    """The utterance in the manner `name`, a random one if None; its labels are where its phones then are."""
    name = name or str(rng.choice(MANNERS))
    manner = draw(name, rng)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pyworld announces that pkg_resources will go
        import pyworld

    samples = utterance.samples.astype(np.float64)
    pitch, times = pyworld.dio(samples, SAMPLE_RATE, _LOWEST, _HIGHEST, frame_period=FRAME * 1000)
    pitch = pyworld.stonemask(samples, pitch, times, SAMPLE_RATE)
    envelope = pyworld.cheaptrick(samples, pitch, times, SAMPLE_RATE)
    noise = pyworld.d4c(samples, pitch, times, SAMPLE_RATE)
    labels, source = _stretched(utterance, manner)
    at = np.clip(np.rint(source / FRAME).astype(np.int64), 0, len(times) - 1)
    sound = pyworld.synthesize(
        _pitch(pitch[at], manner, rng),
        np.ascontiguousarray(_envelope(envelope, manner)[at]),
        np.ascontiguousarray(noise[at] + manner.breath * (1.0 - noise[at])),
        SAMPLE_RATE,
        frame_period=FRAME * 1000,
    )
    length = round(labels[-1].end * SAMPLE_RATE)
    sound = np.pad(sound, (0, max(0, length - len(sound))))[:length]
    sound *= np.abs(samples).max() / max(np.abs(sound).max(), 1e-9)
    return dataclasses.replace(
        utterance,
        samples=sound.astype(np.float32),
        labels=labels,
        voice=f"{utterance.voice} {name}",
        speaker=f"{utterance.speaker} {name}",
    )


def _stretched(utterance: Utterance, manner: Manner) -> tuple[tuple[Label, ...], np.ndarray]:
    """Labels without gaps at their new times, and for each new frame the time (s) in the old sound."""
    spans: list[Label] = []
    at = 0.0
    for label in sorted(utterance.labels, key=lambda label: label.start):
        if label.start > at + 1e-6:
            spans.append(Label(SILENCE, at, label.start))
        if label.end > max(at, label.start):
            spans.append(dataclasses.replace(label, start=max(at, label.start)))
            at = label.end
    if utterance.duration > at:
        spans.append(Label(SILENCE, at, utterance.duration))
    factors = [1.0 if s.phone == SILENCE else manner.vowels if s.phone in VOWELS else manner.consonants for s in spans]
    edges = np.array([0.0, *(s.end for s in spans)])
    moved = np.concatenate([[0.0], np.cumsum(np.diff(edges) * factors)])
    labels = tuple(
        dataclasses.replace(s, start=float(a), end=float(b))
        for s, a, b in zip(spans, moved[:-1], moved[1:], strict=True)
    )
    return labels, np.interp(np.arange(int(moved[-1] / FRAME) + 1) * FRAME, moved, edges)


def _pitch(pitch: np.ndarray, manner: Manner, rng: np.random.Generator) -> np.ndarray:
    """(frames,) Hz, 0 where there is no voice."""
    voiced = pitch > 0
    if manner.breath >= 1.0 or not voiced.any():
        return np.zeros_like(pitch)
    height = np.log(np.maximum(pitch, 1.0))
    middle = float(np.median(height[voiced]))
    height = middle + np.log(manner.pitch) + manner.range * (height - middle)
    if manner.sung:
        height = np.round(height / _SEMITONE / 2) * 2 * _SEMITONE  # whole tones
        height += 0.4 * _SEMITONE * np.sin(2 * np.pi * _VIBRATO * np.arange(len(height)) * FRAME)
    if manner.shake:
        height += manner.shake * rng.standard_normal(len(height))
    return np.where(voiced, np.clip(np.exp(height), _LOWEST, _HIGHEST), 0.0)


def _envelope(envelope: np.ndarray, manner: Manner) -> np.ndarray:
    """(frames, bins) power, with the formants moved and the spectrum tilted."""
    bins = envelope.shape[1]
    hertz = np.linspace(0.0, SAMPLE_RATE / 2, bins)
    source = np.clip(np.arange(bins) / manner.throat, 0, bins - 1)
    low = np.floor(source).astype(np.int64)
    high = np.minimum(low + 1, bins - 1)
    share = source - low
    log_power = np.log(envelope)
    moved = log_power[:, low] * (1 - share) + log_power[:, high] * share
    gain = manner.tilt * np.log2(np.maximum(hertz, 500.0) / 500.0) / 10 * np.log(10.0)
    return np.exp(moved + gain)
