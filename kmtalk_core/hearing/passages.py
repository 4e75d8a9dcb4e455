"""Where to listen: speech cut at pauses into passages that the recogniser hears one by one."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise

import numpy as np

LONGEST = 20.0  # s of a passage
APART = 1.5  # s of silence that always part two passages
SHORTEST = 0.1  # s of speech that is listened to
BRIDGED = 0.2  # s of silence within speech
AROUND = 0.25  # s of what is before and after a passage that are heard with it


def passages(speech: np.ndarray, rate: float) -> list[tuple[float, float]]:
    """(N,) chances of speech 0…1 at `rate` Hz → start and end in s of each passage, in order, without overlap."""
    found: list[tuple[float, float]] = []
    first: int | None = None
    last = 0
    for begin, end in _stretches(speech >= 0.5, rate):
        if first is not None and begin - last > APART * rate:
            found += _cut(speech, first, last, rate)
            first = None
        first = begin if first is None else first
        last = end
    if first is not None:
        found += _cut(speech, first, last, rate)
    edges = [0.0, *((a[1] + b[0]) / 2 for a, b in pairwise(found)), len(speech) / rate]
    return [
        (max(start - AROUND, low), min(end + AROUND, high))
        for (start, end), low, high in zip(found, edges, edges[1:], strict=False)
    ]


def _stretches(speech: np.ndarray, rate: float) -> Iterator[tuple[int, int]]:
    """Where speech begins and ends, short silences bridged, short noises left out."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], speech.astype(np.int8), [0]])))
    open_: tuple[int, int] | None = None
    for begin, end in edges.reshape(-1, 2).tolist():
        if open_ is not None and begin - open_[1] <= BRIDGED * rate:
            open_ = (open_[0], end)
            continue
        if open_ is not None and open_[1] - open_[0] >= SHORTEST * rate:
            yield open_
        open_ = (begin, end)
    if open_ is not None and open_[1] - open_[0] >= SHORTEST * rate:
        yield open_


def _cut(speech: np.ndarray, first: int, last: int, rate: float) -> Iterator[tuple[float, float]]:
    """`first`…`last` in parts of at most LONGEST, about equally long, cut where speech is least likely."""
    while (last - first) / rate > LONGEST:
        parts = math.ceil((last - first) / rate / LONGEST)
        middle = first + (last - first) // parts
        reach = min(round(LONGEST * rate) // 3, (last - first) // (2 * parts))
        latest = min(middle + reach, first + round(LONGEST * rate))
        # The mean over a few frames, so that a pause is preferred to a stop's closure.
        around = np.convolve(speech[middle - reach : latest], np.ones(9) / 9, "same")
        cut = middle - reach + int(around.argmin())
        yield first / rate, cut / rate
        first = cut
    yield first / rate, last / rate
