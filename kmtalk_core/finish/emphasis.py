"""Emphasis: how big and how tense each word is said, by its loudness, its pitch and the quality of the voice.

The networks hear the sound, and move more where people do; of captured people who read, prosody explains hardly more
(docs/hearing.md). What is added here is small, and shows where a word is set against those around it: accented vowels
open the jaw further and lips are shaped more (de Jong 1995; Erickson 2002), a pressed voice, which is brighter, goes
with spread, tense lips. Words are compared with their neighbours alone, so quiet and loud speakers have emphasis alike.
"""

from __future__ import annotations

import numpy as np

from ..easing import smoothstep
from ..phones import VOWELS, Alignment, index_at
from ..rig.controls import SPEECH_CONTROLS

SIZE = 0.1  # of the motion that a word of full emphasis has more, and one of none less
TENSE = 0.06  # of mouthStretch in a word that is said with a pressed voice
AROUND = 2.0  # s on both sides within which words are compared
ALMOST = 1e-6  # s
BLEND = 0.06  # s over which one word goes over into the next, on each side of where they meet
# What differs as usual between the vowels of fluent speech: one standard deviation, as measured on captured people.
USUAL = {"loudness": 0.07, "pitch": 2.85, "brightness": 5.7}
OF_SIZE = {"loudness": 0.25, "pitch": 0.35, "brightness": 0.4}
OF_TENSION = {"loudness": 0.4, "pitch": 0.0, "brightness": 0.6}
COLUMNS = {"loudness": 0, "pitch": 2, "brightness": 3}  # of prosody

_TENSED = np.isin(SPEECH_CONTROLS, ("mouthStretchLeft", "mouthStretchRight"))
_SHAPED = np.array([not name.startswith("tongue") for name in SPEECH_CONTROLS])


def emphasised(
    speech: np.ndarray, times: np.ndarray, alignment: Alignment, prosody: np.ndarray, rate: float, strength: float
) -> np.ndarray:
    """Completed speech motion (T, S) over SPEECH_CONTROLS at `times` (T,) s → the same with emphasis, (T, S) float32.

    `prosody` (N, 2 to 4) at `rate` Hz: loudness, stress, pitch in semitones, brightness in dB; what is missing counts
    as level. `strength` 0 gives the very array back.
    """
    spoken = _units(alignment)
    if not strength or len(spoken) < 2:
        return speech
    size, tension = (
        _over_time(_standing_out(spoken, alignment, prosody, rate, weights), spoken, times)
        for weights in (OF_SIZE, OF_TENSION)
    )
    out = speech * np.where(_SHAPED, 1.0 + SIZE * strength * size[:, None], 1.0)
    # Where the mouth is still, nothing tenses it.
    moving = smoothstep(speech[:, SPEECH_CONTROLS.index("jawOpen")] / 0.1)
    return (out + np.outer(TENSE * strength * moving * np.maximum(tension, 0.0), _TENSED)).astype(np.float32)


def _units(alignment: Alignment) -> np.ndarray:
    """(k, 2) start and end in s of the words; of the vowels where no words are known."""
    words = [(word.start, word.end) for word in alignment.words if not word.label.startswith("[")]
    spoken = words or [(p.start, p.end) for p in alignment.phones if p.label in VOWELS]
    return np.array(sorted(spoken)).reshape(-1, 2)


def _standing_out(
    spoken: np.ndarray, alignment: Alignment, prosody: np.ndarray, rate: float, weights: dict[str, float]
) -> np.ndarray:
    """(k,) from −1, less than those around it, to 1."""
    vowels = np.array([(p.start, p.end) for p in alignment.phones if p.label in VOWELS]).reshape(-1, 2)
    first = np.searchsorted(vowels[:, 1], spoken[:, 0] + ALMOST, side="right")
    last = np.searchsorted(vowels[:, 0], spoken[:, 1] - ALMOST, side="left")
    middle = spoken.mean(1)
    low = np.searchsorted(middle, middle - AROUND, side="left")
    high = np.searchsorted(middle, middle + AROUND, side="right")
    total = np.zeros(len(spoken))
    for name, weight in weights.items():
        if not weight or COLUMNS[name] >= prosody.shape[1]:
            continue
        track = prosody[:, COLUMNS[name]].astype(np.float64)
        value = np.array([_mean_over(track, vowels[a:b], rate) for a, b in zip(first, last, strict=True)])
        for n in np.flatnonzero(np.isfinite(value)):
            beside = np.concatenate([value[low[n] : n], value[n + 1 : high[n]]])
            if np.isfinite(beside).any():
                total[n] += weight * (value[n] - np.nanmean(beside)) / USUAL[name]
    return np.tanh(total)


def _mean_over(track: np.ndarray, stretches: np.ndarray, rate: float) -> float:
    """Mean of a track over stretches (n, 2) in s; not a number where it has no frame in them."""
    frames = [track[max(index_at(a, rate), 0) : max(index_at(b, rate), 0)] for a, b in stretches]
    values = np.concatenate(frames) if frames else np.zeros(0)
    return float(values.mean()) if len(values) else float("nan")


def _over_time(values: np.ndarray, spoken: np.ndarray, times: np.ndarray) -> np.ndarray:
    """(T,) each word's value while it is said; words that meet go over into one another."""
    out = np.zeros(len(times))
    for value, (start, end) in zip(values, spoken, strict=True):
        here = slice(int(np.searchsorted(times, start - BLEND)), int(np.searchsorted(times, end + BLEND)))
        since, until = times[here] - start, end - times[here]
        out[here] += value * smoothstep(np.minimum(since, until) / (2 * BLEND) + 0.5)
    return out
