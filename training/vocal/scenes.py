"""Scenes to learn from: words, laughs and breaths in a row, with pauses, before all kinds of background."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kmtalk_core.features import SAMPLE_RATE
from kmtalk_core.sound_kinds import KINDS, NOBODY, RATE, WORDS
from training.corpus.augment import CODECS, background, codec, equalize, room, telephone

from .synthetic import SYNTHESIZED

SECONDS = 8.0
FRAME = round(SAMPLE_RATE / RATE)
HEARD = 10**-3.2  # of an utterance's loudest power: where it is weaker, it is a pause
SYNTHETIC = 0.4  # share of sounds that are synthesized where recorded ones are there, too
QUIET = 0.2  # share of scenes without background
BACKGROUND_DB = (0.0, 32.0)  # below the words
CROWD, CROWD_DB = 0.4, (2.0, 14.0)  # share of scenes with a crowd of voices behind, and how far it is below the words
LEVELS_DB: Mapping[str, tuple[float, float]] = {"breath": (-28.0, -4.0), "kiss": (-24.0, -3.0), "hums": (-15.0, 0.0)}


@dataclass(frozen=True)
class Scene:
    """(SECONDS at 16 kHz,) samples and the kind, an index of KINDS, of each of its frames at RATE."""

    samples: np.ndarray
    kinds: np.ndarray


def make_scene(
    rng: np.random.Generator,
    speech: Sequence[tuple[np.ndarray, np.ndarray]],
    recorded: Mapping[str, Sequence[np.ndarray]],
) -> Scene:
    """`speech`: samples of people who read, and which of their frames are speech; `recorded`: kind → samples."""
    count = round(SECONDS * RATE)
    foreground, kinds = np.zeros(count * FRAME), np.full(count, KINDS.index(NOBODY), np.int8)
    at = round(rng.exponential(0.4) * RATE)
    while at < count and rng.random() > 0.04:
        kind = WORDS if rng.random() < 0.5 else str(rng.choice(KINDS[2:]))
        samples, said = _utterance(kind, rng, speech, recorded)
        frames = min(len(samples) // FRAME, count - at)
        level = rng.uniform(*LEVELS_DB.get(kind, (-12.0, 0.0)))
        piece = samples[: frames * FRAME] * (10 ** (level / 20) / max(loudness(samples), 1e-9))
        foreground[at * FRAME : (at + frames) * FRAME] += piece
        kinds[at : at + frames][said[:frames]] = KINDS.index(kind)
        at += frames + round(rng.exponential(0.35) * RATE) + 1
    out = foreground
    if rng.random() < 0.4:
        out = room(out, rng).astype(np.float64)
    if rng.random() < CROWD:
        crowd = np.zeros(len(out))
        for n in rng.integers(len(speech), size=rng.integers(2, 8)):
            voice = np.roll(np.resize(speech[n][0], len(out)), rng.integers(len(out)))
            crowd += voice / max(float(np.sqrt((voice**2).mean())), 1e-9) * rng.uniform(0.5, 1.0)
        crowd /= max(float(np.sqrt((crowd**2).mean())), 1e-9)
        out = out + crowd * 10 ** (-rng.uniform(*CROWD_DB) / 20)
    elif rng.random() > QUIET:
        voices = [speech[n][0] for n in rng.integers(len(speech), size=6)]
        for _ in range(1 + (rng.random() < 0.25)):
            behind = background(len(out), rng, voices)
            out = out + behind * 10 ** (-rng.uniform(*BACKGROUND_DB) / 20)
    if rng.random() < 0.5:
        out = equalize(out.astype(np.float32), rng)
    if rng.random() < 0.08:
        out = telephone(out.astype(np.float32))
    out = out * (10 ** (rng.uniform(-30.0, -12.0) / 20))
    if rng.random() < 0.1:
        out = codec(np.clip(out, -1, 1).astype(np.float32), *CODECS[rng.integers(len(CODECS))])
    return Scene(np.clip(out, -1.0, 1.0).astype(np.float32), kinds)


def _utterance(
    kind: str,
    rng: np.random.Generator,
    speech: Sequence[tuple[np.ndarray, np.ndarray]],
    recorded: Mapping[str, Sequence[np.ndarray]],
) -> tuple[np.ndarray, np.ndarray]:
    """Samples of the kind, whole frames, and (frames,) in which it is heard."""
    if kind == WORDS and rng.random() < 0.75:
        samples, said = speech[rng.integers(len(speech))]
        length = round(rng.uniform(0.6, 4.5) * RATE)
        first = int(rng.integers(max(len(said) - length, 1)))
        return samples[first * FRAME : (first + length) * FRAME], said[first : first + length]
    known = recorded.get(kind, ())
    made = kind in SYNTHESIZED and (not len(known) or rng.random() < SYNTHETIC)
    samples = SYNTHESIZED[kind](rng) if made else _varied(known[rng.integers(len(known))], rng)
    samples = np.pad(samples, (0, -len(samples) % FRAME))
    power = np.convolve((samples.reshape(-1, FRAME) ** 2).mean(1), np.full(5, 0.2), "same")
    return samples, power > HEARD * power.max()


def _varied(samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Played up to a fifth slower or faster."""
    length = round(len(samples) / float(np.exp(rng.uniform(-0.2, 0.2))))
    return np.interp(np.linspace(0, len(samples) - 1, length), np.arange(len(samples)), samples)


def loudness(samples: np.ndarray) -> float:
    """Root mean square of the loud half of the frames, times what makes speech 1."""
    power = np.sort((samples[: len(samples) // FRAME * FRAME].reshape(-1, FRAME) ** 2).mean(1))
    return float(np.sqrt(power[len(power) // 2 :].mean())) if len(power) else 0.0
