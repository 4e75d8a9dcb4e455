"""Which key motions an animator is given: few, where the face shows them.

The motion is completed from all key instants of a rule; which frames become key motions changes nothing in it. First
come the ends and every contact of the lips, then the frames on which the motion departs most from what goes smoothly
between those chosen so far: the extremes of jaw and rounding that one sees in the curves.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from ..easing import smoothstep

# What is seen of a pose, and how much.
SEEN = {
    "jawOpen": 1.0,
    "mouthClose": 0.7,
    "mouthPucker": 0.8,
    "mouthFunnel": 0.8,
    "mouthStretchLeft": 0.5,
    "mouthSmileLeft": 0.5,
    "mouthLowerDownLeft": 0.5,
    "mouthUpperUpLeft": 0.5,
}
APART = 0.07  # s between key motions that are no contacts; closer ones are one movement


def telling_frames(
    motion: np.ndarray,
    names: tuple[str, ...],
    fps: float,
    contacts: np.ndarray,
    count: int,
    closed: Sequence[tuple[int, int]] = (),
) -> np.ndarray:
    """(n,) ascending frames of `motion` (T, C), over the controls `names`, that tell most of it.

    `count` of them, and at least the two ends and those of the `closed` spans, in which no other is chosen. `contacts`
    (k,): the frames on which the lips, or the lip and the teeth, meet.
    """
    last = len(motion) - 1
    seen = np.stack([motion[:, names.index(n)] * w for n, w in SEEN.items() if n in names] or [np.zeros(last + 1)], 1)
    chosen = {0, last, *(min(max(frame, 0), last) for span in closed for frame in span)}
    for candidates, apart in ((np.unique(contacts), 1), (np.arange(last + 1), max(1, round(APART * fps)))):
        _choose(chosen, candidates, seen, count, apart, closed)
    return np.array(sorted(chosen), dtype=np.int64)


def _choose(
    chosen: set[int],
    candidates: np.ndarray,
    seen: np.ndarray,
    count: int,
    apart: int,
    closed: Sequence[tuple[int, int]],
) -> None:
    """Add candidates to those chosen, one after the other the one that is missed most, until there are `count`."""
    queue: list[tuple[float, int, int, int]] = []

    def look(low: int, high: int) -> None:
        if any(begin <= low and high <= end for begin, end in closed):
            return
        first, end = np.searchsorted(candidates, [low + apart, high - apart + 1])
        between = candidates[first:end]
        if len(between):
            share = smoothstep((between - low) / (high - low))[:, None]
            missed = np.abs(seen[between] - (seen[low] + (seen[high] - seen[low]) * share)).max(1)
            best = int(missed.argmax())
            heapq.heappush(queue, (-float(missed[best]), low, int(between[best]), high))

    for low, high in pairwise(sorted(chosen)):
        look(low, high)
    while queue and len(chosen) < count:
        _, low, frame, high = heapq.heappop(queue)
        chosen.add(frame)
        look(low, frame)
        look(frame, high)
