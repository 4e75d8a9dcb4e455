"""The face in sounds that are no words: a laugh opens and shakes, a breath parts the lips, effort clenches.

Action units as the literature has them: laughs 6, 12, 25 and 26, and a shaking head (Ruch and Ekman 2001); pain and
effort 4, 6, 7, 9, 10 and bared teeth (Prkachin 1992); crying 1, 4, 15, 20 and an open mouth (Ekman and Friesen 1978).
Notes of laughter, coughs and sobs follow the loudness of the sound.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..easing import smoothstep
from ..localization.vocal import kind_of
from ..phones import Alignment, Word, index_at
from ..rig.controls import ALL_CONTROLS, CONTROL_INDEX

MOVE, REST = "move", "rest"


@dataclass(frozen=True)
class Manner:
    """How a kind of sound moves the face: what it `holds`, what each `beat` of its loudness adds, how long before the
    sound it sets in and after it it ends (`rise`, `fall`, s), and whether it swells over its length instead."""

    holds: Mapping[str, float]
    beat: Mapping[str, float]
    rise: float = 0.12
    fall: float = 0.22
    swells: bool = False


MANNERS = {
    "laughs": Manner(
        {"jawOpen": 0.2, "mouthSmile*": 0.7, "cheekSquint*": 0.65, "eyeSquint*": 0.45, "mouthUpperUp*": 0.2,
         "mouthLowerDown*": 0.22, "browOuterUp*": 0.12, "headPitch": -0.25},
        {"jawOpen": 0.24, "mouthLowerDown*": 0.08, "mouthUpperUp*": 0.05, "headPitch": 0.3},
        fall=0.4,
    ),
    "breath": Manner(
        {"jawOpen": 0.03, "mouthLowerDown*": 0.08, "mouthUpperUp*": 0.03, "headPitch": -0.06}, {},
        0.1, 0.15, True,
    ),
    "sighs": Manner(
        {"jawOpen": 0.16, "mouthFunnel": 0.14, "mouthLowerDown*": 0.08, "browInnerUp": 0.3, "eyeBlink*": 0.25,
         "headPitch": 0.35}, {}, 0.15, 0.4, True,
    ),
    "coughs": Manner(
        {"eyeSquint*": 0.55, "browDown*": 0.4, "cheekSquint*": 0.3, "mouthPress*": 0.15, "headPitch": 0.2},
        {"jawOpen": 0.4, "mouthLowerDown*": 0.12, "mouthFunnel": 0.12, "headPitch": 0.45},
    ),
    "cries": Manner(
        {"jawOpen": 0.28, "mouthStretch*": 0.45, "mouthFrown*": 0.4, "browInnerUp": 0.7, "browDown*": 0.35,
         "eyeSquint*": 0.6, "cheekSquint*": 0.45, "mouthLowerDown*": 0.3, "mouthUpperUp*": 0.2, "noseSneer*": 0.15},
        {"jawOpen": 0.25, "headPitch": -0.15},
        fall=0.35,
    ),
    "effort": Manner(
        {"jawOpen": 0.04, "mouthStretch*": 0.5, "mouthLowerDown*": 0.4, "mouthUpperUp*": 0.3, "browDown*": 0.65,
         "eyeSquint*": 0.7, "cheekSquint*": 0.45, "noseSneer*": 0.4, "jawForward": 0.08},
        {"jawOpen": 0.06, "mouthStretch*": 0.1, "headPitch": -0.15},
    ),
    "hums": Manner({"mouthPress*": 0.16, "browOuterUp*": 0.12}, {"browInnerUp": 0.12, "headRoll": 0.12}),
    "kiss": Manner({"mouthPucker": 0.85, "eyeBlink*": 0.3, "headPitch": -0.1}, {"mouthFunnel": 0.25}, 0.2, 0.18),
}  # fmt: skip
SHUT = frozenset(("hums",))  # the lips stay together
ATTACK = 0.35  # the share of a swelling sound at which it is strongest
QUIET, LOUD = 15.0, 90.0  # percentiles of the loudness in a sound that are no beat and a whole one
EVEN = 0.25  # loudness, natural logarithm, over which a beat is a beat at least


def vocal_layer(times: np.ndarray, alignment: Alignment, prosody: np.ndarray, rate: float) -> np.ndarray:
    """(T, C) float32 over ALL_CONTROLS at `times` (T,) s: what the sounds among the words of `alignment` move.

    `prosody` (N, 2 to 4) at `rate` Hz; its first column is the loudness.
    """
    out = np.zeros((len(times), len(ALL_CONTROLS)), np.float32)
    for word in alignment.words:
        kind = kind_of(word.label)
        if kind is None:
            continue
        manner = MANNERS[kind]
        low, high = np.searchsorted(times, [word.start - manner.rise, word.end + manner.fall])
        t = times[low:high]
        weight = _weight(t, word, manner)
        beats = _beats(t, word, prosody[:, 0].astype(np.float64), rate)
        for values, strength in ((manner.holds, weight), (manner.beat, weight * beats)):
            for control, value in _sides(values).items():
                column = CONTROL_INDEX[control]
                out[low:high, column] += (value * strength).astype(np.float32)
    return out


def parted(times: np.ndarray, alignment: Alignment) -> np.ndarray:
    """(T,) 0…1: how far the lips are not at rest in a pause because a sound is made there."""
    out = np.zeros(len(times))
    for word in alignment.words:
        kind = kind_of(word.label)
        if kind is not None and kind not in SHUT:
            low, high = np.searchsorted(times, [word.start - MANNERS[kind].rise, word.end + MANNERS[kind].fall])
            out[low:high] = np.maximum(out[low:high], _weight(times[low:high], word, MANNERS[kind]))
    return out


def with_layer(motion: np.ndarray, layer: np.ndarray) -> np.ndarray:
    """`motion` (T, C) with the layer (T, C): each control goes the layer's part of what is left of its range."""
    return motion + layer * (1 - np.clip(np.abs(motion), 0.0, 1.0))


def _weight(t: np.ndarray, word: Word, manner: Manner) -> np.ndarray:
    """(n,) 0…1 at `t` (n,) s."""
    if manner.swells:
        top = word.start + ATTACK * (word.end - word.start)
        rising = (t - word.start + manner.rise) / (top - word.start + manner.rise)
        return smoothstep(rising) * smoothstep((word.end + manner.fall - t) / (word.end + manner.fall - top))
    return smoothstep((t - word.start + manner.rise) / manner.rise) * smoothstep(
        (word.end + manner.fall - t) / manner.fall
    )


def _beats(t: np.ndarray, word: Word, loudness: np.ndarray, rate: float) -> np.ndarray:
    """(n,) 0…1: the loudness at `t` (n,) s among that of the whole sound."""
    first = min(max(index_at(word.start, rate), 0), len(loudness) - 1)
    here = loudness[first : max(index_at(word.end, rate), first + 1)]
    low, high = np.percentile(here, [QUIET, LOUD])
    at = np.interp(t, np.arange(len(loudness)) / rate, loudness)
    return np.clip((at - low) / max(high - low, EVEN), 0.0, 1.0)


def _sides(values: Mapping[str, float]) -> dict[str, float]:
    """Both sides of the controls whose names end in *."""
    return {
        name.removesuffix("*") + side: value
        for name, value in values.items()
        for side in (("Left", "Right") if name.endswith("*") else ("",))
    }
