"""A first guess of how somebody speaks: neutral, happy, sad, angry or surprised, by the voice and by the words.

Measures of the voice as in the literature (Scherer 2003; Eyben et al. 2016): pitch, its range and movement, brightness,
rate. Their weights are those of a logistic regression on Emo-DB (ten German actors; Burkhardt et al. 2005), made by
`python -m training.emotion`; for surprise, which is not acted there, pitch that ranges widely, moves and ends high.
Lines of no emotion are by far the most, which the prior says. What it is worth is told in docs/hearing.md.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .localization.vocal import kind_of
from .phones import PHONE_INDEX, PHONES, SILENCE, VOWELS, Word

EMOTIONS = ("neutral", "happy", "sad", "angry", "surprised")
MEASURES = ("pitch", "range", "highest", "movement", "end", "brightness", "brightness_varies", "loudness_varies",
            "syllables", "voiced", "pauses", "brightest")  # fmt: skip
MEAN = (4.1, 7.01, 4.32, 3.86, -2.47, -16.49, 8.04, 6.96, 5.02, 0.67, 0.02, -6.21)
DEVIATION = (6.63, 2.95, 2.16, 1.29, 3.97, 6.65, 1.56, 0.68, 0.97, 0.11, 0.06, 8.01)
WEIGHTS = (  # of each measure in standard deviations, then what is added
    (-0.91, 0.06, 0.23, -0.4, -0.58, -0.68, 0.06, 0.06, 0.13, 0.45, -0.22, -0.78, 0.89),
    (1.71, 0.28, 0.22, 0.82, -0.08, 0.7, -0.23, 0.06, 0.44, 0.16, 0.57, 0.09, 0.85),
    (-1.32, 0.3, -0.66, -1.67, 0.49, -1.68, 0.64, -0.31, -0.76, -0.92, -0.19, -0.56, -1.93),
    (0.52, -0.63, 0.22, 1.26, 0.17, 1.66, -0.47, 0.19, 0.19, 0.31, -0.16, 1.24, 0.18),
    (0.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, -1.21),
)
FARTHEST = 2.5  # standard deviations that a measure counts at most
DOUBT = 2.0  # by which odds are divided, so that a confidence is not far from how often it is right
PRIOR = 0.4  # log-odds of neutral before anything is heard
NAMED = 0.4  # confidence from which on an emotion is guessed rather than neutral
SHORTEST = 0.5  # s of voice, below which nothing is guessed
SPEECH = math.log(0.2)
LOUD_DB = 25.0  # below the loudest, down to which a frame is measured
JUMP = 3.0  # semitones from frame to frame that are no movement of the voice
ENDING = 0.3  # s
SAID = {  # English words, as stems, and sounds: what each adds to the log-odds
    "happy": (1.2, "happy glad great wonderful love lovely thank hooray yay hurra fantastic awesome beautiful delight"
                   " congratulation perfect laughs"),
    "sad": (1.2, "sorry sad unhappy miss lost died dead lonely alone tears cry goodbye grief funeral cries sighs"),
    "angry": (1.2, "hate damn idiot stupid hell furious angry shut enough liar bastard dare fool"),
    "surprised": (1.2, "wow unbelievable incredible gosh whoa suddenly impossible seriously omg"),
}  # fmt: skip


@dataclass(frozen=True)
class Emotion:
    """The guess: one of EMOTIONS, and how sure it is, 0…1."""

    name: str
    confidence: float


def measured(
    log_posteriors: np.ndarray, prosody: np.ndarray, voiced: np.ndarray, timbre: np.ndarray, pitch: float, rate: float
) -> np.ndarray | None:
    """(len(MEASURES),) of a sound; None where there is too little voice.

    (N, phones) log-posteriors, (N, 4) prosody, (N,) voiced and (N, 2) timbre at `rate` Hz, and the median `pitch` in
    Hz, as `runtime.inference.Heard` has them.
    """
    speech = log_posteriors[:, PHONE_INDEX[SILENCE]] < SPEECH
    said = np.flatnonzero(speech)
    level, bright = timbre.astype(np.float64).T
    loud = level > np.percentile(level, 95) - LOUD_DB
    if not len(said) or (voiced & speech).sum() < SHORTEST * rate or pitch <= 0:
        return None
    here = slice(said[0], said[-1] + 1)
    semitones = prosody[here, 2].astype(np.float64)[voiced[here]]
    steps = np.abs(np.diff(semitones))
    clear = voiced & loud
    if not clear.any():
        return None
    vowels = np.isin(log_posteriors[here].argmax(1), [PHONES.index(label) for label in VOWELS])
    ending = prosody[max(said[-1] - round(ENDING * rate), 0) : said[-1], 2].astype(np.float64)[-5:]
    return np.array([
        12 * np.log2(pitch / 150), np.percentile(semitones, 90) - np.percentile(semitones, 10),
        np.percentile(semitones, 95), 10 * steps[steps < JUMP].mean() if (steps < JUMP).any() else 0.0,
        (ending.mean() if len(ending) else 0.0) - np.median(semitones), bright[clear].mean(), bright[clear].std(),
        level[here][loud[here]].std(), (np.diff(vowels.astype(np.int8)) == 1).sum() * rate / (here.stop - here.start),
        voiced[here].mean(), 1 - speech[here].mean(), np.percentile(bright[clear], 90),
    ])  # fmt: skip


def guess(measures: np.ndarray | None, words: Sequence[Word] = ()) -> Emotion | None:
    """The likeliest of EMOTIONS for such measures and words; None where there is no voice to go by."""
    if measures is None:
        return None
    z = np.clip((measures - np.array(MEAN)) / np.array(DEVIATION), -FARTHEST, FARTHEST)
    odds = (np.array(WEIGHTS) @ np.append(z, 1.0)) / DOUBT
    odds[0] += PRIOR
    for name, (weight, stems) in SAID.items():
        odds[EMOTIONS.index(name)] += weight * min(sum(_says(word, stems.split()) for word in words), 2)
    chances = np.exp(odds - odds.max())
    chances /= chances.sum()
    best = int(chances.argmax())
    if best and chances[best] < NAMED:
        best = 0
    return Emotion(EMOTIONS[best], float(chances[best]))


def _says(word: Word, stems: Sequence[str]) -> bool:
    """Whether a word, or a listed sound, is one of these."""
    kind = kind_of(word.label)
    plain = kind or re.sub(r"[^a-z]", "", word.label.lower())
    return any(plain == stem if len(stem) < 5 else plain.startswith(stem) for stem in stems)
