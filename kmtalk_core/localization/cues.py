"""Subtitles as hints of when words are said: trusted where they fit what is heard, at any constant offset."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import numpy as np

from .forced import Segment

Times = tuple[float, float] | None
"""When a word's subtitle is shown, from and to, in s; None for a word without."""

TOLERANCE = 1.0  # s before its subtitle appears, and after it goes, that a word may begin
TRUSTED = 0.6  # share of the heard words that must lie there
HEARD = -1.5  # mean log-posterior of a word, against the likeliest phones', that says where it surely is
FEWEST = 5  # heard words that show whether subtitles fit


def trusted_bounds(times: Sequence[Times], found: Sequence[Segment], rate: float) -> np.ndarray | None:
    """(words, 2) frames between which each word should begin, by the `times` of its subtitle; None if they don't fit.

    `found` is an alignment without bounds. Subtitles may be early or late altogether; those of another sound, or of
    another cut of it, fit too few of its words.
    """
    heard = _heard(times, found)
    if len(heard) < FEWEST:
        return None
    expected = _expected(times)
    shift = float(np.median([found_at / rate - expected[word] for word, found_at in heard]))
    bounds = np.array(
        [(-np.inf, np.inf) if t is None else (t[0] + shift - TOLERANCE, t[1] + shift + TOLERANCE) for t in times]
    ).reshape(-1, 2)
    inside = [bounds[word, 0] <= found_at / rate <= bounds[word, 1] for word, found_at in heard]
    return bounds * rate if np.mean(inside) >= TRUSTED else None


def within(bounds: np.ndarray, found: Sequence[Segment]) -> bool:
    """Whether every word was found, and begins within its bounds."""
    begins = np.full(len(bounds), np.nan)
    for s in reversed(found):
        if s.word is not None and s.word >= 0:
            begins[s.word] = s.start
    return bool(((begins >= bounds[:, 0]) & (begins <= bounds[:, 1])).all())


def misfit(times: Sequence[Times], found: Sequence[Segment]) -> bool:
    """Whether enough words were heard to say that subtitles without trusted bounds are wrong."""
    return len(_heard(times, found)) >= FEWEST


def _heard(times: Sequence[Times], found: Sequence[Segment]) -> list[tuple[int, float]]:
    """The words that have a subtitle and are surely heard, and the frames at which they begin."""
    heard = []
    for word, segments in groupby(found, key=lambda s: s.word):
        if word is None or word < 0 or times[word] is None:
            continue
        own = list(segments)
        if sum(s.fit * (s.end - s.start) for s in own) > HEARD * (own[-1].end - own[0].start):
            heard.append((word, own[0].start))
    return heard


def _expected(times: Sequence[Times]) -> list[float]:
    """When each word begins if those of a subtitle are said evenly; 0 for words without one."""
    expected: list[float] = []
    for time, words in groupby(times):
        count = len(list(words))
        start, end = time or (0.0, 0.0)
        expected += [start + (end - start) * i / count for i in range(count)]
    return expected
