"""The rhythm of speech: phrases, accents and how prominent each moment is. Brows, blinks and head follow it.

An accent is a vowel that stands out from its neighbours: louder, longer, higher in pitch or with a pitch that moves
(Terken 1991; Kochanski et al. 2005: loudness and duration tell more than pitch), and stressed as the model hears it.
Everything is relative to the clip itself, so quiet and monotonous speakers have accents too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..phones import SILENCE, VOWELS, Alignment, index_at

PHRASE_PAUSE = 0.18 - 1e-6  # s of silence that end a phrase
ACCENT_SHARE = 0.34  # of the vowels of fluent speech bear an accent
ACCENT_GAP = 0.32 - 1e-6  # s, shortest distance between accents
SURROUNDINGS = 0.9  # s on either side that a vowel is compared with
WEIGHTS = {"loudness": 1.2, "stress": 0.6, "length": 0.5, "pitch": 0.3, "movement": 0.2}
FUNCTION_WORD = 0.8  # standard deviations that an English function word must stand out further
SYLLABLE = 0.2  # s, of a sound without known phones
FINAL = 0.35  # s at the end of a phrase whose pitch tells a question
QUESTION = 2.0, 3.0  # semitones that the pitch rises there: less is none, more is a whole one

# Words of the closed classes, which speakers of English seldom accent.
_FUNCTION = """
    a am an and are as at be been but by can could did do does for from had has have he her him his i i'm if in into is
    it it's its may me might must my nor of on or our shall she should so some than that the their them then there they
    to us was we were what when which who will with would you your
"""
FUNCTION_WORDS = frozenset(_FUNCTION.split())


@dataclass(frozen=True)
class Phrase:
    """A stretch of speech between two pauses, in s; `rising` 0…1: how far its pitch ends high, as a question's does.

    It is a degree, so that a hair more or less of pitch or length does not decide about a gesture.
    """

    start: float
    end: float
    rising: float


@dataclass(frozen=True)
class Rhythm:
    """`accents` (k,) s with `strengths` (k,) 0…1; `prominence` (N,) 0…1 at `rate` Hz, 0 in pauses; `duration` s.

    `onset` (s): the end of the first vowel. What is drawn by lot counts from there, not from the chance beginning of
    the file.
    """

    phrases: tuple[Phrase, ...]
    accents: np.ndarray
    strengths: np.ndarray
    prominence: np.ndarray
    rate: float
    duration: float
    onset: float = 0.0

    def prominence_at(self, times: np.ndarray) -> np.ndarray:
        """(…,) prominence at `times` s; 0 outside of the sound."""
        index = np.floor(np.asarray(times) * self.rate + 0.5 + 1e-6).astype(np.int64)  # as `index_at`
        inside = (index >= 0) & (index < len(self.prominence))
        return np.where(inside, self.prominence[np.clip(index, 0, len(self.prominence) - 1)], 0.0)


def find_rhythm(alignment: Alignment, prosody: np.ndarray, rate: float) -> Rhythm:
    """The rhythm of a sound from its phones and its `prosody` (N, 2 to 4) at `rate` Hz.

    The columns of `prosody`: loudness, stress, and pitch in semitones (taken as level where it is missing). Where no
    phones are known (`uniform`), syllables are taken where it is loudest.
    """
    prosody = prosody.astype(np.float64)
    loudness, stress = prosody[:, 0], prosody[:, 1]
    pitch = prosody[:, 2] if prosody.shape[1] > 2 else np.zeros(len(prosody))
    if alignment.source == "uniform":
        nuclei = _loud_syllables(loudness, rate)
        spoken: tuple[tuple[float, float], ...] = ((0.0, alignment.duration),)
    else:
        nuclei = np.array([(p.start, p.end) for p in alignment.phones if p.label in VOWELS]).reshape(-1, 2)
        spoken = _stretches(alignment)
    phrases = tuple(Phrase(start, end, _rises(pitch, rate, start, end)) for start, end in spoken)
    prominence = np.zeros(len(prosody))
    if not len(nuclei):
        return Rhythm(phrases, np.zeros(0), np.zeros(0), prominence, rate, alignment.duration)
    score = _standing_out(nuclei, loudness, stress, pitch, rate) - FUNCTION_WORD * _in_function_word(nuclei, alignment)
    # Rank within the clip, blended with the bare score so that a clip of one word still has its accent.
    rank = (np.argsort(np.argsort(score, kind="stable"), kind="stable") + 0.5) / len(score)
    peaks = _peaks(nuclei, loudness, rate)
    for (start, end), value in zip(nuclei, rank, strict=True):
        first, last = index_at(start - 0.04, rate), index_at(end + 0.04, rate) + 1
        here = slice(max(first, 0), max(last, 0))
        prominence[here] = np.maximum(prominence[here], value)
    return Rhythm(phrases, *_accents(peaks, rank), prominence, rate, alignment.duration, float(nuclei[0, 1]))


def _stretches(alignment: Alignment) -> tuple[tuple[float, float], ...]:
    out: list[tuple[float, float]] = []
    for phone in alignment.phones:
        if phone.label == SILENCE:
            continue
        if out and phone.start - out[-1][1] < PHRASE_PAUSE:
            out[-1] = out[-1][0], phone.end
        else:
            out.append((phone.start, phone.end))
    return tuple(out)


def _in_function_word(nuclei: np.ndarray, alignment: Alignment) -> np.ndarray:
    """(k,) 1 for vowels of function words, else 0."""
    if not alignment.words:
        return np.zeros(len(nuclei))
    starts = np.array([w.start for w in alignment.words])
    ends = np.array([w.end for w in alignment.words])
    function = np.array([w.label.lower().strip(".,;:!?\"'“”()…—-") in FUNCTION_WORDS for w in alignment.words])
    middle = nuclei.mean(1)
    word = np.clip(np.searchsorted(starts, middle, side="right") - 1, 0, len(starts) - 1)
    return (function[word] & (middle >= starts[word]) & (middle <= ends[word])).astype(np.float64)


def _standing_out(
    nuclei: np.ndarray, loudness: np.ndarray, stress: np.ndarray, pitch: np.ndarray, rate: float
) -> np.ndarray:
    """(k,) how far each vowel stands out from those around it, in standard deviations of the clip."""
    columns: dict[str, list[float]] = {name: [] for name in WEIGHTS}
    for start, end in nuclei:
        low = int(np.clip(index_at(start, rate), 0, len(loudness) - 1))
        high = max(min(index_at(end, rate) + 1, len(loudness)), low + 1)
        columns["loudness"].append(loudness[low:high].max())
        columns["stress"].append(stress[low:high].mean())
        columns["length"].append(np.log(max(end - start, 0.02)))
        columns["pitch"].append(pitch[low:high].max())
        columns["movement"].append(np.ptp(pitch[max(low - 3, 0) : high + 3]))
    middle = nuclei.mean(1)
    first = np.searchsorted(middle, middle - SURROUNDINGS)
    last = np.searchsorted(middle, middle + SURROUNDINGS, side="right")
    score = np.zeros(len(nuclei))
    for name, weight in WEIGHTS.items():
        value = np.array(columns[name])
        total = np.concatenate([[0.0], np.cumsum(value)])
        score += weight * (value - (total[last] - total[first]) / (last - first)) / max(float(value.std()), 1e-3)
    return score


def _peaks(nuclei: np.ndarray, loudness: np.ndarray, rate: float) -> np.ndarray:
    """(k,) s of the loudest moment of each vowel."""
    out = []
    for start, end in nuclei:
        low = int(np.clip(index_at(start, rate), 0, len(loudness) - 1))
        high = max(min(index_at(end, rate) + 1, len(loudness)), low + 1)
        out.append(np.clip((low + int(loudness[low:high].argmax())) / rate, start, end))
    return np.array(out)


def _accents(peaks: np.ndarray, rank: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The foremost vowels, none closer than ACCENT_GAP to a stronger one, with strengths 0…1."""
    chosen: list[int] = []
    by_cell: dict[int, float] = {}  # of ACCENT_GAP each, which holds one accent at most: an hour of speech stays quick
    for index in np.argsort(-rank, kind="stable"):
        if rank[index] < 1 - ACCENT_SHARE and chosen:
            break
        cell = int(peaks[index] // ACCENT_GAP)
        near = [by_cell[k] for k in (cell - 1, cell, cell + 1) if k in by_cell]
        if all(abs(peaks[index] - other) >= ACCENT_GAP for other in near):
            chosen.append(int(index))
            by_cell[cell] = float(peaks[index])
    chosen.sort()
    low = min(1 - ACCENT_SHARE, float(rank[chosen].min()))
    return peaks[chosen], 0.3 + 0.7 * (rank[chosen] - low) / max(1 - low, 1e-6)


def _loud_syllables(loudness: np.ndarray, rate: float) -> np.ndarray:
    width = max(round(SYLLABLE * rate / 2), 1)
    smooth = np.convolve(loudness, np.ones(width) / width, "same")
    threshold = smooth.mean()
    top = np.flatnonzero((smooth[1:-1] >= smooth[:-2]) & (smooth[1:-1] > smooth[2:]) & (smooth[1:-1] > threshold)) + 1
    return np.stack([top / rate - SYLLABLE / 4, top / rate + SYLLABLE / 4], axis=1).clip(0).reshape(-1, 2)


def _rises(pitch: np.ndarray, rate: float, start: float, end: float) -> float:
    long_enough = np.clip((end - start) / FINAL - 1.5, 0.0, 1.0)
    low, high = index_at(end - FINAL, rate), min(index_at(end, rate), len(pitch))
    tail = pitch[max(low, 0) : high]
    if len(tail) < 4 or not long_enough:
        return 0.0
    part = max(len(tail) // 3, 1)
    before = pitch[max(index_at(start, rate), 0) : max(low, 1)]
    ends = tail[-part:].mean()
    risen = (ends - tail[:part].mean() - QUESTION[0]) / (QUESTION[1] - QUESTION[0])
    above = (ends - np.median(before)) / QUESTION[0] + 0.5
    return float(long_enough * np.clip(risen, 0.0, 1.0) * np.clip(above, 0.0, 1.0))
