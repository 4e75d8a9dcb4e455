"""Edits carried over to another result: of another text, model or setting, or of a re-recorded sound.

An edit belongs to a place in a phone of a word, not to a time. Phones are the same where the same phone is said in the
same word, in the same order; an edit of a phone that is said no more cannot be carried, and is named.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import SequenceMatcher

import numpy as np

from ..motion import Animation, KeyMotions, nearest_frames
from ..phones import SILENCE, Alignment, Phone

CHANGED = 1e-4  # of a control: less was not edited
COMPLETED = 0.02  # … at an instant that was no key: completion itself moves so much there
NEAR = 1.5  # frames within which a key of the other result is the same one


@dataclass(frozen=True)
class Carried:
    """`keys`: the key motions of the new result, with the edits of the old one; `count` of them were carried, `lost`
    names those that could not be, each in a few words."""

    keys: KeyMotions
    count: int
    lost: tuple[str, ...]


def carry(old: Animation, new: Animation) -> Carried:
    """The edits of `old`, which can be finished: changed, added and deleted key motions, on the key motions of `new`.

    An edited control keeps its value, at the same place of the same phone; all others are those of `new`. Controls that
    `new` lacks are left out.
    """
    places = Places(old, new)
    times, controls = new.keys.times, new.keys.controls
    lost: list[str] = []
    gone: set[int] = set()
    count = 0
    for time in _deleted(old):
        at = places.find(time)
        if at is None:
            lost.append(places.words(time, "deleted"))
        elif (same := places.key_of(at)) is not None:
            gone.add(same)
            count += 1
    columns = [(old.control_names.index(n), i) for i, n in enumerate(new.control_names) if n in old.control_names]
    added: dict[int, np.ndarray] = {}
    for index in np.flatnonzero(old.to_finish.edited):
        time, pose = float(old.keys.times[index]), old.keys.controls[index]
        at = places.find(time)
        if at is None:
            lost.append(places.words(time, "edited"))
            continue
        own, threshold = _as_generated(old, time)
        same = places.key_of(at) if threshold == CHANGED else None
        frame = round((at.time if same is None else float(times[same])) * new.fps)
        if frame in added or not 0 <= frame < len(new.times):
            lost.append(places.words(time, "edited"))
            continue
        made = added[frame] = new.controls[frame].copy()
        if same is not None:
            made[:] = controls[same]
        for column, to in columns:
            if abs(pose[column] - own[column]) > threshold:
                made[to] = pose[column]
        count += 1
    frames = nearest_frames(times, new.fps)
    kept = [i for i, frame in enumerate(frames.tolist()) if i not in gone and frame not in added]
    rows = [(times[i], controls[i]) for i in kept] + [(frame / new.fps, pose) for frame, pose in added.items()]
    rows.sort(key=lambda row: row[0])
    keys = KeyMotions(np.array([t for t, _ in rows]), np.array([c for _, c in rows], np.float32)) if rows else new.keys
    return Carried(keys, count, tuple(lost))


@dataclass(frozen=True)
class At:
    """An instant of a result: `time` s of its frames, in this `phone` of its alignment."""

    time: float
    phone: Phone


class Places:
    """Instants of the old result → those of the new one, by phones of words."""

    def __init__(self, old: Animation, new: Animation) -> None:
        self._old, self._new = old, new
        a, b = _tokens(old.alignment), _tokens(new.alignment)
        if not (old.alignment.words and new.alignment.words):
            a, b = [("", label) for _, label in a], [("", label) for _, label in b]
        blocks = SequenceMatcher(None, a, b, autojunk=False).get_matching_blocks()
        self._of = {x + n: y + n for x, y, size in blocks for n in range(size)}

    def find(self, time: float) -> At | None:
        """Where an instant of the old result's frames, s, is in the new one; None if its phone is said no more."""
        heard = time - self._old.sliders.offset
        index = _phone_at(self._old.alignment, heard)
        if index not in self._of:
            return None
        before, after = self._old.alignment.phones[index], self._new.alignment.phones[self._of[index]]
        share = min(max((heard - before.start) / max(before.end - before.start, 1e-9), 0.0), 1.0)
        if before.label == SILENCE:  # near its neighbours, not in the middle of a longer pause
            late = share > 0.5
            shift = (after.end - before.end) if late else (after.start - before.start)
            place = min(max(heard + shift, after.start), after.end)
        else:
            place = after.start + share * (after.end - after.start)
        frame = round((place + self._new.sliders.offset) * self._new.fps)
        return At(min(max(frame, 0), len(self._new.times) - 1) / self._new.fps, after)

    def key_of(self, at: At) -> int | None:
        """The key of the new result that is that of the phone at `at`, or nearly there; None if there is none."""
        times = self._new.keys.times
        heard = times - self._new.sliders.offset
        same = np.abs(times - at.time) * self._new.fps <= NEAR
        if at.phone.label != SILENCE:
            same |= (at.phone.start <= heard) & (heard < at.phone.end)
        found = np.flatnonzero(same)
        return int(found[np.abs(times[found] - at.time).argmin()]) if len(found) else None

    def words(self, time: float, what: str) -> str:
        """Names the key motion at `time`, to which `what` was done."""
        heard = time - self._old.sliders.offset
        alignment = self._old.alignment
        phone = alignment.phones[_phone_at(alignment, heard)].label
        word = next((w.label for w in alignment.words if w.start <= heard < w.end), "")
        return f"the key motion {what} at {time:.2f} s ({phone} of “{word}”)" if word else f"the one at {time:.2f} s"


def _tokens(alignment: Alignment) -> list[tuple[str, str]]:
    tokens = []
    for phone in alignment.phones:
        middle = (phone.start + phone.end) / 2
        word = next((w.label for w in alignment.words if w.start <= middle < w.end), "")
        tokens.append((word.casefold().strip(".,;:!?"), phone.label))
    return tokens


def _phone_at(alignment: Alignment, time: float) -> int:
    starts = np.array([phone.start for phone in alignment.phones])
    return max(int(np.searchsorted(starts, time + 1e-6, side="right")) - 1, 0)


def _as_generated(old: Animation, time: float) -> tuple[np.ndarray, float]:
    """The pose that was generated there, and from what difference on a control was edited."""
    generated = old.generated
    apart = np.abs(generated.keys.times - time)
    if len(apart) and apart.min() * old.fps < 0.5:
        return generated.keys.controls[int(apart.argmin())], CHANGED
    frame = min(max(round(time * old.fps), 0), len(generated.free) - 1)
    return generated.free[frame], COMPLETED


def _deleted(old: Animation) -> list[float]:
    """When there were key motions that somebody has deleted or moved away."""
    return [
        float(t) for t in old.generated.keys.times if np.abs(old.keys.times - t).min(initial=np.inf) * old.fps > 0.5
    ]
