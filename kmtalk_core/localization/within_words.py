"""Phones inside of words whose times are known (Whisper's, karaoke subtitles'): forced alignment word by word."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from ..phones import PHONE_INDEX, SILENCE, Alignment, Phone, Word
from .importers import IMPORTED, WORDS_ONLY, fitted, spread, ways

MARGIN = 0.06  # s by which a recogniser's word times may be too narrow
SHORTEST = 2  # frames of a phone


def placed(alignment: Alignment, duration: float, listen: Callable[[], tuple[np.ndarray, float]]) -> Alignment:
    """An imported alignment on its sound of `duration` s: cut or filled to that length, told where they differ.

    Phones that were only spread inside of their words go where `listen`'s log-posteriors, and their rate, put them.
    """
    fitting = fitted(alignment, duration)
    return align_within(fitting, *listen()) if fitting.source == WORDS_ONLY else fitting


def align_within(alignment: Alignment, log_posteriors: np.ndarray, rate: float) -> Alignment:
    """The words of `alignment` with their phones where (N, len(PHONES)) `log_posteriors` at `rate` Hz put them.

    A word keeps its times but for MARGIN, within which its phones may begin and end. A word too short for its phones
    gets them in proportion to their typical lengths.
    """
    phones: list[Phone] = []
    words: list[Word] = []
    before = 0.0
    for number, word in enumerate(alignment.words):
        following = alignment.words[number + 1].start if number + 1 < len(alignment.words) else alignment.duration
        first = max(word.start - MARGIN, min(before, word.start), 0.0)
        last = min(word.end + MARGIN, max(following, word.end), alignment.duration)
        inside = log_posteriors[round(first * rate) : round(last * rate) + 1]
        found = list(_aligned(ways(word.label), inside, round(first * rate) / rate, rate)) or list(spread(word))
        phones += found
        words.append(Word(word.label, found[0].start, found[-1].end) if found else word)
        before = words[-1].end
    return Alignment.from_segments(phones, words, alignment.duration, IMPORTED, alignment.warnings)


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
