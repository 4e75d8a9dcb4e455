"""Phones inside of words whose times are known (Whisper's, karaoke subtitles'): forced alignment word by word."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import accumulate

import numpy as np

from ..phones import PHONE_INDEX, SILENCE, Alignment, Phone, Word
from .importers import IMPORTED, fitted, spread, ways
from .posterior import free_phones

MARGIN = 0.06  # s by which a recogniser's word times may be too narrow
SHORTEST = 2  # frames of a phone


def placed(alignment: Alignment, duration: float, listen: Callable[[], tuple[np.ndarray, float]]) -> Alignment:
    """An imported alignment on its sound of `duration` s: cut or filled to that length, told where they differ.

    Where phones were only guessed, they go where `listen`'s log-posteriors, and their rate, put them.
    """
    fitting = fitted(alignment, duration)
    return align_within(fitting, *listen()) if fitting.guessed else fitting


def align_within(alignment: Alignment, log_posteriors: np.ndarray, rate: float) -> Alignment:
    """The guessed stretches of `alignment` with phones where (N, len(PHONES)) `log_posteriors` at `rate` Hz put them.

    A word keeps its times but for MARGIN, within which its phones may begin and end. A word too short for its phones
    gets them in proportion to their typical lengths; one whose spelling says nothing, and speech without a word, get
    the phones that are heard there. All other phones stay.
    """
    guessed = _Stretches(alignment.guessed)
    phones = [p for p in alignment.phones if p.label != SILENCE and not guessed.hold((p.start + p.end) / 2)]
    words: list[Word] = []
    spelled: list[tuple[float, float]] = []
    kept = np.array([(p.start, p.end) for p in phones]).reshape(-1, 2)
    before = 0.0
    for number, word in enumerate(alignment.words):
        if not guessed.hold((word.start + word.end) / 2):
            words.append(word)
            before = max(before, word.end)
            continue
        following = alignment.words[number + 1].start if number + 1 < len(alignment.words) else alignment.duration
        # Neither words nor phones that the file knows give way.
        at = int(np.searchsorted(kept[:, 0], word.start))
        before = max(before, float(kept[at - 1, 1]) if at else 0.0)
        following = min(following, float(kept[at, 0]) if at < len(kept) else alignment.duration)
        first = max(word.start - MARGIN, min(before, word.start), 0.0)
        last = min(word.end + MARGIN, max(following, word.end), alignment.duration)
        inside = log_posteriors[round(first * rate) : round(last * rate) + 1]
        found = list(_aligned(ways(word.label), inside, round(first * rate) / rate, rate)) or list(spread(word))
        phones += found
        if found:
            spelled.append((word.start, word.end))
        words.append(replace(word, start=found[0].start, end=found[-1].end) if found else word)
        before = words[-1].end
    read = _Stretches(spelled)
    for start, end in alignment.guessed:
        if not read.hold((start + end) / 2):
            phones += (p for p in free_phones(log_posteriors, rate, start, end) if p.label != SILENCE)
    return Alignment.from_segments(phones, words, alignment.duration, IMPORTED, alignment.warnings)


class _Stretches:
    """Stretches of time that may overlap."""

    def __init__(self, stretches: Iterable[tuple[float, float]]) -> None:
        ordered = sorted(stretches)
        self._starts = [start for start, _ in ordered]
        self._ends = list(accumulate((end for _, end in ordered), max))

    def hold(self, instant: float) -> bool:
        number = bisect_right(self._starts, instant) - 1
        return number >= 0 and instant < self._ends[number]


def _aligned(variants: Sequence[Sequence[str]], emissions: np.ndarray, start: float, rate: float) -> Iterator[Phone]:
    """The likeliest variant's phones, with silence before and after them where it fits better."""
    best: tuple[float, list[str], np.ndarray] | None = None
    for variant in variants:
        labels = [SILENCE, *variant, SILENCE]
        if len(emissions) < SHORTEST * len(variant):
            continue
        score, path = _path(emissions[:, [PHONE_INDEX[label] for label in labels]])
        if best is None or score > best[0]:
            best = score, labels, path
    if best is not None:
        _, labels, path = best
        for state in range(1, len(labels) - 1):
            frames = np.flatnonzero(path == state)
            yield Phone(labels[state], start + (frames[0] - 0.5) / rate, start + (frames[-1] + 0.5) / rate)


def _path(emissions: np.ndarray) -> tuple[float, np.ndarray]:
    """Viterbi from left to right through all columns but the first and last, which may be left out.

    (n, states) → the score and the state of every frame. Every state but those two lasts SHORTEST frames or more.
    """
    count = emissions.shape[1]
    # Each phone is a chain of SHORTEST states of which the last one may stay.
    state = np.concatenate([[0], np.repeat(np.arange(1, count - 1), SHORTEST), [count - 1]])
    may_stay = np.ones(len(state), bool)
    may_stay[1:-1] = np.arange(len(state) - 2) % SHORTEST == SHORTEST - 1
    score = np.full(len(state), -np.inf)
    score[:2] = emissions[0, state[:2]]
    came = np.zeros((len(emissions), len(state)), bool)
    for n in range(1, len(emissions)):
        stay = np.where(may_stay, score, -np.inf)
        move = np.concatenate([[-np.inf], score[:-1]])
        came[n] = move > stay
        score = np.maximum(stay, move) + emissions[n, state]
    at = len(state) - 1 if score[-1] > score[-2] else len(state) - 2
    total = float(score[at])
    path = np.empty(len(emissions), np.int64)
    for n in range(len(emissions) - 1, -1, -1):
        path[n] = state[at]
        at -= int(came[n, at])
    return total, path
