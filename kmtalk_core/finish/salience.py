"""Which key motions an animator is given: few, where the face shows them.

The motion is completed from all key instants of a rule; how many of them become key motions changes nothing in it.
First come the ends and every contact of the lips, then the instants at which the motion departs most from what goes
smoothly between those chosen so far: the extremes of jaw and rounding that one sees in the curves.
"""

from __future__ import annotations

import heapq
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
APART = 0.1  # s between key motions that are no contacts; closer ones are one movement


def telling_keys(
    times: np.ndarray, poses: np.ndarray, names: tuple[str, ...], contact: np.ndarray, density: float
) -> np.ndarray:
    """(n,) ascending indices of the key motions to show, the share `density` (0…1) of all and at least the two ends.

    `times` (m,) s, ascending, `poses` (m, C) over the controls `names`, `contact` (m,) bool: whether the lips, or the
    lip and the teeth, meet there.
    """
    count = min(max(round(density * len(times)), 2), len(times))
    if count == len(times):
        return np.arange(len(times))
    seen = np.stack([poses[:, names.index(n)] * w for n, w in SEEN.items() if n in names] or [np.zeros(len(times))], 1)
    chosen = {0, len(times) - 1}
    for candidates, apart in ((np.flatnonzero(contact), 0.0), (np.arange(len(times)), APART)):
        _choose(chosen, candidates, times, seen, count, apart)
    return np.array(sorted(chosen), dtype=np.int64)


def _choose(
    chosen: set[int], candidates: np.ndarray, times: np.ndarray, seen: np.ndarray, count: int, apart: float
) -> None:
    """Add candidates to those chosen, one after the other the one that is missed most, until there are `count`."""
    queue: list[tuple[float, int, int, int]] = []

    def look(low: int, high: int) -> None:
        between = candidates[(candidates > low) & (candidates < high)]
        between = between[(times[between] - times[low] >= apart) & (times[high] - times[between] >= apart)]
        if len(between):
            share = smoothstep((times[between] - times[low]) / (times[high] - times[low]))[:, None]
            missed = np.abs(seen[between] - (seen[low] + (seen[high] - seen[low]) * share)).max(1)
            best = int(missed.argmax())
            heapq.heappush(queue, (-float(missed[best]), low, int(between[best]), high))

    for low, high in pairwise(sorted(chosen)):
        look(low, high)
    while queue and len(chosen) < count:
        _, low, index, high = heapq.heappop(queue)
        chosen.add(index)
        look(low, index)
        look(index, high)
