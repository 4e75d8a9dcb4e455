"""A result in which some words were corrected: new motion near what changed, the former motion everywhere else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..completion import SAME_TIME, nearest
from ..easing import smoothstep
from ..motion import Animation, KeyMotions
from ..phones import Alignment, Phone
from .compose import with_contacts

AROUND = 0.25  # s beside the phones that changed within which the motion is new: as far as they colour others
BLEND = 0.12  # s beyond, of the way back to the former motion


def changed_span(before: Alignment, after: Alignment) -> tuple[float, float] | None:
    """From and to which time (s) two alignments of one sound have other phones; None if they have the same."""
    first = 0
    while first < min(len(before.phones), len(after.phones)) and _same(before.phones[first], after.phones[first]):
        first += 1
    if first == len(before.phones) == len(after.phones):
        return None
    last = 1
    while last <= min(len(before.phones), len(after.phones)) - first and _same(
        before.phones[-last], after.phones[-last]
    ):
        last += 1
    starts = [a.phones[min(first, len(a.phones) - 1)].start for a in (before, after)]
    ends = [a.phones[max(len(a.phones) - last, 0)].end for a in (before, after)]
    return min(starts), max(ends)


def spliced(before: Animation, after: Animation) -> tuple[Animation, KeyMotions]:
    """`before` with the motion of `after` where their phones differ, as if it had been generated so, and its keys.

    Both are of the same sound, rate, sliders and layers and can be finished. Frames of the result (first) farther than
    AROUND + BLEND from the change are bit for bit as `before` was generated. The keys (second) hold every edit of
    `before`; completing the result with them brings the edits back. Without edits they are the result's own.
    """
    span = changed_span(before.alignment, after.alignment)
    old, new = before.to_finish, after.to_finish
    if span is None:
        same = replace(before, alignment=after.alignment)
        return same, same.keys
    offset = before.sliders.offset
    low, high = span[0] - AROUND + offset, span[1] + AROUND + offset
    weight = smoothstep((before.times - (low - BLEND)) / BLEND) * smoothstep((high + BLEND - before.times) / BLEND)
    mixed, changed = (weight > 0) & (weight < 1), weight >= 1

    def blended(former: np.ndarray, fresh: np.ndarray) -> np.ndarray:
        out = former.copy()
        out[changed] = fresh[changed]
        share = weight[mixed, None].astype(np.float32)
        out[mixed] = former[mixed] * (1 - share) + fresh[mixed] * share
        return out

    former = before.generated
    stays = (former.keys.times < low) | (former.keys.times > high)
    fresh = (after.keys.times >= low) & (after.keys.times <= high)
    times = np.sort(np.concatenate([former.keys.times[stays], after.keys.times[fresh]]))
    keys = KeyMotions(times, np.zeros((len(times), before.keys.controls.shape[1]), np.float32))
    bare = replace(
        before,
        alignment=after.alignment,
        features=after.features,
        keys=keys,
        unfinished=replace(old, speech=blended(old.speech, new.speech), prosody=new.prosody, generated=None),
    )
    result = with_contacts(bare, blended(former.free, new.free), keys, np.zeros(len(times), bool))
    deleted = _absent(former.keys.times[stays], before.keys.times)
    theirs = KeyMotions(before.keys.times[old.edited], before.keys.controls[old.edited])
    if not len(deleted) and not len(theirs.times):
        return result, result.keys
    kept = ~np.isin(result.keys.times, deleted)
    return result, _merged(KeyMotions(times[kept], result.keys.controls[kept]), theirs, before.fps)


def _absent(times: np.ndarray, among: np.ndarray) -> np.ndarray:
    """Those of `times` that are not `among` others."""
    return times[np.abs(among[nearest(among, times)] - times) > SAME_TIME] if len(among) else times


def _merged(one: KeyMotions, other: KeyMotions, fps: float) -> KeyMotions:
    """All keys of both; on the same frame that of `other`."""
    alone = np.array([not len(other.times) or np.abs(other.times - t).min() * fps > 0.5 for t in one.times], bool)
    times = np.concatenate([one.times[alone], other.times])
    controls = np.concatenate([one.controls[alone], other.controls])
    order = np.argsort(times)
    return KeyMotions(times[order], controls[order])


def _same(a: Phone, b: Phone) -> bool:
    return a.label == b.label and abs(a.start - b.start) < 1e-6 and abs(a.end - b.end) < 1e-6
