"""Upper face: blinks and brows. A seeded layer of its own, apart from the lips; off at strength 0.

Blinks: people who talk blink some 20 times a minute (Bentivoglio et al. 1997: 26 in conversation, 17 at rest), at
intervals that are roughly log-normal; the lid falls in some 80 ms, rests shut briefly and takes twice as long to
rise (VanderWerf et al. 2003). Brows rise with accents (Cavé et al. 1996), more for the stronger ones.
"""

from __future__ import annotations

import numpy as np

from .easing import smoothstep
from .phones import SILENCE, Alignment
from .rig.controls import UPPER_FACE_CONTROLS

BLINK_INTERVAL = 3.0  # s, median between blinks
BLINK_SPREAD = 0.45  # standard deviation of its logarithm
SHORTEST_INTERVAL = 1.0  # s
CLOSING, SHUT, OPENING = 0.085, 0.035, 0.17  # s
BLINK_SEARCH = 0.45  # s around the drawn instant within which the calmest moment is taken
ACCENT_GAP = 1.1  # s, shortest distance between brow accents
ACCENT_RISE, ACCENT_FALL = 0.18, 0.42  # s
ACCENT_THRESHOLD = 0.35  # prosodic strength (loudness + stress, 0…about 1.5) that moves the brows
BROW_AMPLITUDE = 0.35


def upper_face(
    times: np.ndarray, alignment: Alignment, prosody: np.ndarray, rate: float, seed: int, strength: float
) -> np.ndarray:
    """(T, len(UPPER_FACE_CONTROLS)) in 0…1 at `times` (T,) s, from prosody (N, 2) at `rate` Hz.

    The same seed gives the same face at any frame rate.
    """
    out = np.zeros((len(times), len(UPPER_FACE_CONTROLS)), np.float32)
    if strength <= 0.0:
        return out
    column = {name: index for index, name in enumerate(UPPER_FACE_CONTROLS)}
    accent = np.clip(prosody[:, 0].astype(np.float64), 0, None) + prosody[:, 1].astype(np.float64)
    accent *= _speaking(alignment, np.arange(len(accent)) / rate)
    rng = np.random.default_rng(seed)
    lids = np.zeros(len(times))
    for instant in _blink_instants(alignment.duration, accent, rate, rng):
        lids = np.maximum(lids, _bump(times, instant, CLOSING, SHUT, OPENING))
    for instant, size in _accents(accent, rate):
        inner, outer, side = rng.uniform(0.6, 1.0), rng.uniform(0.5, 1.0), rng.uniform(0.85, 1.0, 2)
        rise = BROW_AMPLITUDE * min(size, 1.0) * _bump(times, instant, ACCENT_RISE, 0.06, ACCENT_FALL)
        out[:, column["browInnerUp"]] += inner * rise
        out[:, column["browOuterUpLeft"]] += outer * side[0] * rise
        out[:, column["browOuterUpRight"]] += outer * side[1] * rise
    out *= strength
    # A half-strength blink would be a sleepy lid: strength below 1 keeps blinks whole.
    out[:, column["eyeBlinkLeft"]] = out[:, column["eyeBlinkRight"]] = lids
    return np.clip(out, 0.0, 1.0)


def _bump(times: np.ndarray, middle: float, rise: float, hold: float, fall: float) -> np.ndarray:
    up = smoothstep((times - (middle - hold / 2 - rise)) / rise)
    down = smoothstep((middle + hold / 2 + fall - times) / fall)
    return up * down


def _speaking(alignment: Alignment, times: np.ndarray) -> np.ndarray:
    ends = np.array([p.end for p in alignment.phones])
    voiced = np.array([p.label != SILENCE for p in alignment.phones])
    return voiced[np.clip(np.searchsorted(ends, times, side="right"), 0, len(ends) - 1)].astype(np.float64)


def _blink_instants(duration: float, accent: np.ndarray, rate: float, rng: np.random.Generator) -> list[float]:
    """Log-normal intervals; each blink moves to the least accented moment nearby."""
    instants: list[float] = []
    at = rng.uniform(0.4, BLINK_INTERVAL)
    while at < duration:
        low = max(int((at - BLINK_SEARCH) * rate), 0)
        nearby = accent[low : int((at + BLINK_SEARCH) * rate) + 1]
        instants.append((low + int(nearby.argmin())) / rate if len(nearby) else at)
        at = instants[-1] + max(BLINK_INTERVAL * np.exp(BLINK_SPREAD * rng.standard_normal()), SHORTEST_INTERVAL)
    return instants


def _accents(accent: np.ndarray, rate: float) -> list[tuple[float, float]]:
    """Instants and strengths of the strongest accents, none closer than ACCENT_GAP to another."""
    width = max(round(0.1 * rate), 1)
    smooth = np.convolve(accent, np.ones(width) / width, "same")
    chosen: list[int] = []
    for index in np.argsort(-smooth, kind="stable"):
        if smooth[index] < ACCENT_THRESHOLD:
            break
        if all(abs(index - other) >= ACCENT_GAP * rate for other in chosen):
            chosen.append(int(index))
    return sorted((index / rate, float(smooth[index])) for index in chosen)
