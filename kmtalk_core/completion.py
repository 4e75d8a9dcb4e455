"""Completed motion meets key motions exactly, and re-completion touches only the spans next to an edit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .easing import smoothstep
from .motion import KeyMotions

SAME_TIME = 1e-6  # s
SAME_VALUE = 1e-6
RAMP = 0.25  # share of the outermost spans over which a change fades in

# (K, their times) → raw completion at given times: (keys (m, C), key_times (m,), times (N,)) → (N, C)
Complete = Callable[[KeyMotions, np.ndarray], np.ndarray]


def between_keys(key_times: np.ndarray, values: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Values (m, C) at (m,) key times → (N, C) at `times`: through every key, level at the keys, constant beyond."""
    if len(key_times) == 1:
        return np.repeat(values, len(times), axis=0)
    left = np.clip(np.searchsorted(key_times, times, side="right") - 1, 0, len(key_times) - 2)
    u = smoothstep((times - key_times[left]) / (key_times[left + 1] - key_times[left]))[:, None].astype(values.dtype)
    out = values[left]
    out += (values[left + 1] - out) * u
    return out


def complete_through(keys: KeyMotions, times: np.ndarray, complete: Complete) -> np.ndarray:
    """The completion at `times` (N,), corrected so that it passes exactly through the keys: (N, C).

    CMC comes close to its keys, not exactly to them. What is missing at the keys is added in between by smooth steps.
    """
    everywhere = np.concatenate([times, keys.times])
    raw = complete(keys, everywhere)
    n = len(times)
    out = raw[:n] + between_keys(keys.times, keys.controls - raw[n:], times)
    at_key, key = _matches(times, keys.times)
    out[at_key] = keys.controls[key]
    return out


@dataclass(frozen=True)
class Span:
    """A stretch of time in which keys were edited: it changes between `start` and `end`, fully from `full_from` to
    `full_to` (s); outside of start…end nothing changes."""

    start: float
    full_from: float
    full_to: float
    end: float


def edited_spans(before: KeyMotions, after: KeyMotions) -> list[Span]:
    """Where `after` differs from `before` (moved, added, deleted or changed keys).

    The reach of an edit: from the last untouched key before it to the first untouched key after it. Where no key
    follows (or precedes), the reach has no end on that side.
    """
    in_before, in_after = same_keys(before, after)
    kept = np.sort(before.times[in_before])
    changed = np.sort(np.concatenate([np.delete(before.times, in_before), np.delete(after.times, in_after)]))
    spans: list[Span] = []
    for group in np.split(changed, np.flatnonzero(np.diff(np.searchsorted(kept, changed))) + 1):
        if len(group):
            place = np.searchsorted(kept, group[0])
            start = kept[place - 1] if place > 0 else -np.inf
            end = kept[place] if place < len(kept) else np.inf
            spans.append(Span(float(start), float(group[0]), float(group[-1]), float(end)))
    return spans


def same_keys(before: KeyMotions, after: KeyMotions) -> tuple[np.ndarray, np.ndarray]:
    """Indices into `before` and into `after` of the keys that both have, at the same time with the same pose."""
    in_before, in_after = _matches(before.times, after.times)
    same = (np.abs(before.controls[in_before] - after.controls[in_after]) <= SAME_VALUE).all(1)
    return in_before[same], in_after[same]


def fade(span: Span, times: np.ndarray) -> np.ndarray:
    """(N,) weight of a change: 0 and level outside of the span, 1 where keys were edited."""
    weight = np.ones(len(times))
    if np.isfinite(span.start):
        weight *= smoothstep((times - span.start) / (RAMP * (span.full_from - span.start)))
    if np.isfinite(span.end):
        weight *= smoothstep((span.end - times) / (RAMP * (span.end - span.full_to)))
    return weight


def recomplete(
    times: np.ndarray, controls: np.ndarray, before: KeyMotions, after: KeyMotions, complete: Complete, context: float
) -> np.ndarray:
    """The motion (T, C) with edited keys: edited keys exact, untouched spans bit for bit as they were.

    `complete` is asked only for the edited spans and `context` seconds of keys around them. The difference that the
    edit makes to the completion is added to `controls`, so nothing else that is in them gets lost.
    """
    out = controls.copy()
    for span in edited_spans(before, after):
        inside = np.flatnonzero((times > span.start) & (times < span.end))
        if not len(inside):
            continue
        at = times[inside]
        near_before, near_after = (_near(keys, at[0] - context, at[-1] + context) for keys in (before, after))
        change = complete_through(near_after, at, complete) - complete_through(near_before, at, complete)
        out[inside] = controls[inside] + change * fade(span, at)[:, None]
    # Nothing beyond the keys and what was there: an intensity above 1 may have carried the motion above all keys.
    low = np.minimum(np.minimum(after.controls.min(0), controls.min(0)), 0.0)
    high = np.maximum(np.maximum(after.controls.max(0), controls.max(0)), 1.0)
    out = np.clip(out, low, high)
    at_frame, key = _matches(times, after.times)
    out[at_frame] = after.controls[key]
    return out


def _near(keys: KeyMotions, low: float, high: float) -> KeyMotions:
    """The keys from `low` to `high` s, and the next one beyond either end."""
    first = max(int(np.searchsorted(keys.times, low)) - 1, 0)
    last = int(np.searchsorted(keys.times, high, side="right")) + 1
    return KeyMotions(keys.times[first:last], keys.controls[first:last])


def _matches(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Indices into ascending `a` and ascending `b` of the times that both have."""
    if not len(a) or not len(b):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    place = nearest(a, b)
    found = np.abs(a[place] - b) <= SAME_TIME
    return place[found], np.flatnonzero(found)


def nearest(times: np.ndarray, to: np.ndarray) -> np.ndarray:
    """(n,) which of the ascending `times`, at least one, is nearest to each of `to` (n,), in memory for their sum."""
    place = np.clip(np.searchsorted(times, to), 0, len(times) - 1)
    return np.where((place > 0) & (np.abs(times[place - 1] - to) < np.abs(times[place] - to)), place - 1, place)
