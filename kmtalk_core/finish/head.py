"""Head motion: nods on accents, the phrase's fall, posture that shifts between phrases, slow drift, small beats.

A seeded layer of its own, off at strength 0. Small, as heads of people who talk are: within some 5° (Hadar et al. 1983;
Graf et al. 2002), most of it below 2 Hz and tied to accents (Munhall et al. 2004; Hadar et al. 1983), the head lower at
the phrase's end than at its start, postural sway below 0.5 Hz. How large nods are, and the quick beats between 1 and
4 Hz, is fitted to a captured man (docs/upper_face.md).
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from ..rig.controls import HEAD_CONTROLS, HEAD_DEG
from .rhythm import Rhythm

NOD_DEG = 1.3  # of the strongest accents
NOD_LAG = 0.04  # s that the head is lowest after the accent's peak
NOD_WIDTH = 0.13  # s, standard deviation of a nod's Gaussian: 2 Hz and below
RAISE, RAISE_BEFORE = 0.35, 0.3  # share of a nod by which the head rises ahead of it, and how long before (s)
NOD_GAP = 0.55  # s, shortest distance between nods
FALL_DEG = 1.3  # from a phrase's start to its end
CLOSING_NOD_DEG = 0.9  # at the phrase's end
QUESTION_DEG = -1.2  # … and at the end of a question
POSTURE_DEG = np.array([0.7, 1.5, 1.1])  # pitch, yaw, roll: standard deviation from phrase to phrase
POSTURE_SHIFT = 0.35  # s, standard deviation of the Gaussian step between two postures
TILT_DEG = 0.8  # roll with which a phrase closes
DRIFT_DEG = np.array([0.35, 0.7, 0.4])
DRIFT_HZ = 0.05, 0.35
DRIFT_WAVES = 5
BEAT_DEG = np.array([0.36, 0.17, 0.08])  # pitch, yaw, roll: standard deviation of the quick motion while speaking
BEAT_HZ = 1.0, 4.0  # the quicker, the smaller, in proportion
BEAT_WAVES = 7
BEAT_EASE = 0.15  # s in which it comes and goes with a phrase
LIMIT_DEG = 7.0  # softly, before the strength
PHRASES_EVERY = 2.6  # s, where silence or an endless phrase would freeze the posture


def head_motion(
    times: np.ndarray, rhythm: Rhythm, seed: int, strength: float, posture: tuple[float, float, float] = (0.0, 0.0, 0.0)
) -> np.ndarray:
    """(T, 3) float32 over HEAD_CONTROLS, -1…1, at `times` (T,) s; `strength` 0…2.

    `posture`: pitch, yaw, roll in degrees that an expression holds the head at. The same seed gives the same motion at
    any frame rate.
    """
    if strength <= 0.0:
        return np.zeros((len(times), len(HEAD_CONTROLS)), np.float32)
    rng = np.random.default_rng([seed, 3])
    angles = _drift(times - rhythm.onset, rng) + _postures(times, rhythm, np.random.default_rng([seed, 4]))
    _nods(angles[:, 0], times, rhythm, np.random.default_rng([seed, 5]))
    _phrase_ends(angles, times, rhythm, np.random.default_rng([seed, 6]))
    angles += _beats(times, rhythm, np.random.default_rng([seed, 8]))
    angles = LIMIT_DEG * np.tanh(angles / LIMIT_DEG) + np.array(posture)
    return np.clip(angles * strength / HEAD_DEG, -1.0, 1.0).astype(np.float32)


def _drift(times: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(T, 3) degrees of slow sway: a few sine waves of random phase."""
    hertz = rng.uniform(*DRIFT_HZ, (DRIFT_WAVES, 3))
    phase = rng.uniform(0, 2 * np.pi, (DRIFT_WAVES, 3))
    out = np.zeros((len(times), 3))
    for f, p in zip(hertz, phase, strict=True):
        out += np.sin(2 * np.pi * times[:, None] * f + p)
    return out * DRIFT_DEG * np.sqrt(2 / DRIFT_WAVES)


def _beats(times: np.ndarray, rhythm: Rhythm, rng: np.random.Generator) -> np.ndarray:
    """(T, 3) degrees of quick, irregular motion in phrases."""
    hertz = BEAT_HZ[0] * (BEAT_HZ[1] / BEAT_HZ[0]) ** rng.uniform(0, 1, (BEAT_WAVES, 3))
    phase = rng.uniform(0, 2 * np.pi, (BEAT_WAVES, 3))
    size = 1 / hertz
    size *= BEAT_DEG * np.sqrt(2 / np.square(size).sum(0))
    out = np.zeros((len(times), 3))
    for phrase in rhythm.phrases:
        here = _around(times, phrase.start - 4 * BEAT_EASE, phrase.end + 4 * BEAT_EASE)
        t = times[here]
        held = _step((t - phrase.start) / BEAT_EASE) * _step((phrase.end - t) / BEAT_EASE)
        since = (t - rhythm.onset)[:, None]
        for f, p, a in zip(hertz, phase, size, strict=True):
            out[here] += held[:, None] * a * np.sin(2 * np.pi * since * f + p)
    return out


def _postures(times: np.ndarray, rhythm: Rhythm, rng: np.random.Generator) -> np.ndarray:
    """(T, 3) degrees: a posture for each phrase, taken on in the pause before it."""
    shifts = _shifts(rhythm)
    targets = rng.standard_normal((len(shifts) + 1, 3)) * POSTURE_DEG
    targets = np.clip(targets, -2 * POSTURE_DEG, 2 * POSTURE_DEG)
    out = np.repeat(targets[:1], len(times), axis=0)
    for shift, change in zip(shifts, np.diff(targets, axis=0), strict=True):
        here = _around(times, shift - 4 * POSTURE_SHIFT, shift + 4 * POSTURE_SHIFT)
        out[here] += change * _step((times[here] - shift) / POSTURE_SHIFT)[:, None]
        out[here.stop :] += change
    return out


def _shifts(rhythm: Rhythm) -> list[float]:
    """When posture changes: between phrases, and now and then where there are none."""
    between = [(a.end + b.start) / 2 for a, b in pairwise(rhythm.phrases)]
    edges = [rhythm.onset, *between, rhythm.duration]
    out: list[float] = []
    for low, high in pairwise(edges):
        if low > rhythm.onset and (not out or low - out[-1] > 0.6 * PHRASES_EVERY):
            out.append(low)
        count = int((high - low) // (2 * PHRASES_EVERY))
        out += [low + (high - low) * (k + 1) / (count + 1) for k in range(count)]
    return out


def _nods(pitch: np.ndarray, times: np.ndarray, rhythm: Rhythm, rng: np.random.Generator) -> None:
    last = -np.inf
    for at, strength in zip(rhythm.accents, rhythm.strengths, strict=True):
        size, width = rng.uniform(0.6, 1.15), NOD_WIDTH * rng.uniform(0.9, 1.25)
        if at - last < NOD_GAP:
            continue
        last = at
        here = _around(times, at - 1.0, at + 1.0)
        t = times[here] - at - NOD_LAG
        pitch[here] += (
            NOD_DEG
            * size
            * strength
            * (_gauss(t, width) - RAISE * _gauss(t + RAISE_BEFORE, 1.1 * width) - 0.15 * _gauss(t - 0.4, 1.4 * width))
        )


def _phrase_ends(angles: np.ndarray, times: np.ndarray, rhythm: Rhythm, rng: np.random.Generator) -> None:
    for phrase in rhythm.phrases:
        tilt, size = rng.choice((-1.0, 1.0)) * rng.uniform(0.3, 1.0), rng.uniform(0.6, 1.2)
        here = _around(times, phrase.start - 1.5, phrase.end + 2.5)
        t = times[here]
        # From above to below through the phrase; taken on before it, given up after it.
        length = max(phrase.end - phrase.start, 0.3)
        fall = np.clip((t - phrase.start) / length, 0, 1) - 0.5
        held = _step((t - phrase.start) / 0.25) * _step((phrase.end + 0.35 - t) / 0.3)
        scale = min(length / 1.5, 1.0)
        angles[here, 0] += FALL_DEG * scale * _soft(fall) * held
        end = CLOSING_NOD_DEG + phrase.rising * (QUESTION_DEG - CLOSING_NOD_DEG)
        angles[here, 0] += end * size * scale * _gauss(t - phrase.end, 0.22)
        angles[here, 2] += TILT_DEG * tilt * scale * _gauss(t - phrase.end, 0.4)


def _soft(fall: np.ndarray) -> np.ndarray:
    """-0.5…0.5 without kinks at its ends."""
    return 0.5 * np.sin(np.pi * fall)


def _gauss(t: np.ndarray, width: float) -> np.ndarray:
    return np.exp(-0.5 * (t / width) ** 2)


def _step(u: np.ndarray) -> np.ndarray:
    """0 → 1, all its derivatives smooth; its slope is nearly a Gaussian of standard deviation 1."""
    return 0.5 * (1 + np.tanh(0.8 * u * (1 + 0.045 * u * u)))


def _around(times: np.ndarray, low: float, high: float) -> slice:
    """The part of ascending `times` within low…high s."""
    return slice(int(np.searchsorted(times, low)), int(np.searchsorted(times, high)))
