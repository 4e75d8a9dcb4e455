"""Cues: on which frame which drawing of a mouth chart begins, and what an animator has changed in them.

Drawings are numbered, the mouth at rest is 0. What was changed by hand is kept apart from what was computed, so that it
comes back exactly whatever the chart is computed from next.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from .charts import HOLD, cues_of
from .families import Family

GONE = -1  # instead of a drawing: the cue was deleted
SAME_FRAME = 1e-3
NEAR = 1.0  # frames that a computed cue may have moved since its deletion

Value = TypeVar("Value")
Cues = Mapping[float, int]  # frame → the drawing that begins there


@dataclass(frozen=True)
class Edit:
    """What an animator has made of an instant, `time` s of the line without its slider Offset: a drawing, or GONE."""

    time: float
    drawing: int


def drawings_of(chart: Family) -> tuple[str, ...]:
    """The drawings of a chart in the order of their numbers: the mouth at rest, then all others."""
    at_rest = next(name for name, phones in chart.mouths.items() if "SIL" in phones)
    return (at_rest, *(name for name in chart.mouths if name != at_rest))


def filled(chart: Family, present: Mapping[str, Value]) -> dict[str, Value]:
    """Something for each drawing of a chart: what is `present`, else that of the drawing which is shown instead."""
    found = {}
    for name in drawings_of(chart):
        other, seen = name, set()
        while other not in present and other not in seen:
            seen.add(other)
            other = chart.instead.get(other, other)
        found[name] = present[other] if other in present else next(iter(present.values()))
    return found


def computed(shown: Sequence[str], chart: Family) -> dict[float, int]:
    """The cues of the drawings that are shown frame by frame (`charts.mouths_of`)."""
    numbers = {name: number for number, name in enumerate(drawings_of(chart))}
    return {float(frame): numbers[name] for frame, name in cues_of(list(shown))}


def edits_of(written: Cues, now: Cues, before: Iterable[Edit], fps: float, offset: int) -> tuple[Edit, ...]:
    """All that was changed by hand, now and `before`; `offset`: frames by which the slider has moved the cues."""

    def edit(frame: float, drawing: int) -> Edit:
        return Edit(round((frame - offset) / fps, 6), drawing)

    changed = [edit(frame, drawing) for frame, drawing in now.items() if _at(written, frame) != drawing]
    changed += [edit(frame, GONE) for frame in written if _at(now, frame) is None]
    fresh = [round(one.time * fps, 3) for one in changed]
    kept = [old for old in before if all(abs(old.time * fps - frame) > SAME_FRAME for frame in fresh)]
    return tuple(sorted((*kept, *changed), key=lambda one: one.time))


def with_edits(cues: Cues, edits: Iterable[Edit], fps: float, offset: int, count: int) -> dict[float, int]:
    """The cues of a line of `count` frames with what was changed by hand, which stays exactly so.

    What was computed gives way: no drawing between two edits and computed cues is shorter than HOLD frames.
    """
    mine: dict[float, int] = {}
    left = dict(cues)
    for edit in sorted(edits, key=lambda one: one.drawing != GONE):
        frame = round(edit.time * fps + offset, 3)
        if not -SAME_FRAME <= frame <= count - 1 + SAME_FRAME:
            continue
        if edit.drawing == GONE:
            near = [f for f in left if abs(f - frame) <= NEAR]
            for gone in sorted(near, key=lambda f: abs(f - frame))[:1]:
                del left[gone]
        else:
            mine[_whole(frame)] = edit.drawing
    for frame in mine:
        left = _given_way(left, frame, [f for f in mine if f > frame])
    found = dict(sorted({**left, **mine}.items()))
    if 0.0 not in found:
        found = {0.0: 0, **found}
    return _merged(found, set(mine))


def _given_way(cues: Cues, frame: float, later: Sequence[float]) -> dict[float, int]:
    """Computed cues that leave an edited one at `frame` its room: what begins too soon after it begins later."""
    end = min([frame + HOLD, *later])
    inside = [f for f in cues if frame - SAME_FRAME <= f < end]
    before = [f for f in cues if frame - HOLD < f < frame]  # would be too short before it
    left = {f: drawing for f, drawing in cues.items() if f not in (*inside, *before)}
    after = min((f for f in left if f >= end), default=float("inf"))
    if inside and end == frame + HOLD and after - end >= HOLD and max(inside) > frame + SAME_FRAME:
        left[end] = cues[max(inside)]
    return left


def _merged(cues: Cues, kept: set[float]) -> dict[float, int]:
    """Without computed cues that show what is shown already."""
    found: dict[float, int] = {}
    shown = None
    for frame, drawing in cues.items():
        if drawing != shown or frame in kept:
            found[frame] = drawing
        shown = drawing
    return found


def _at(cues: Cues, frame: float) -> int | None:
    return next((drawing for f, drawing in cues.items() if abs(f - frame) <= SAME_FRAME), None)


def _whole(frame: float) -> float:
    return float(round(frame)) if abs(frame - round(frame)) <= SAME_FRAME else frame
