"""The drawings of a line: stepped keyframes on the one shape key that says which drawing of a mouth chart is shown.

What the animator has changed is noted in the take (`take.cues`) beside what was written, so that whatever is computed
anew, edited keyframes come back exactly, and deleted ones stay away.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import astuple, dataclass

import bpy
import numpy as np

from kmtalk_core.finish.carry import Places
from kmtalk_core.motion import Animation
from kmtalk_core.retarget.charts import HOLD, mouths_of
from kmtalk_core.retarget.cues import GONE, Edit, computed, edits_of, with_edits

from . import charted, clips, compat
from .drawing import SAME_FRAME, is_inside
from .strip import Played

GROUP = "Mouth"
USER = "EXTREME"  # of a pinned keyframe, whose type stays


@dataclass(frozen=True)
class Written:
    """What was put on the curve last: `cues` (frame after the line's first one → drawing), with the `edits` in it, by
    `offset` frames later than the sound."""

    cues: dict[float, int]
    edits: tuple[Edit, ...] = ()
    offset: int = 0

    @staticmethod
    def of(take: bpy.types.PropertyGroup) -> Written | None:
        """None of a line without drawings."""
        if not take.cues:
            return None
        data = json.loads(take.cues)
        edits = tuple(Edit(float(time), int(drawing)) for time, drawing in data["edits"])
        return Written({float(frame): int(drawing) for frame, drawing in data["cues"]}, edits, data["offset"])

    def packed(self) -> str:
        """The inverse of `of`."""
        edits = [astuple(edit) for edit in self.edits]
        return json.dumps({"cues": list(self.cues.items()), "edits": edits, "offset": self.offset})


def write(keys: bpy.types.Key, action: bpy.types.Action, line: Played, animation: Animation) -> None:
    """Put the drawings of a motion on the curve of a line; what was edited there stays exactly so."""
    chart, take = charted.chart_of(keys), clips.take_of(action)
    if chart is None:
        return
    offset = round(animation.sliders.offset * animation.fps)
    edits = edits_on(keys, action, line)
    cues = with_edits(computed(mouths_of(animation, chart), chart), edits, animation.fps, offset, len(animation.times))
    _put(_curve(keys, action, make=True), line, cues)
    take.cues = Written(cues, edits, offset).packed()


def clear(keys: bpy.types.Key, action: bpy.types.Action) -> None:
    """Take the curve off a line that leaves the mouth to the animator."""
    curve = _curve(keys, action)
    if curve is not None:
        compat.channels(action).fcurves.remove(curve)
    clips.take_of(action).cues = ""


def edits_on(keys: bpy.types.Key, action: bpy.types.Action, line: Played) -> tuple[Edit, ...]:
    """All that the animator has changed on the curve of a line, since it was written and before."""
    written = Written.of(clips.take_of(action))
    if written is None:
        return ()
    curve = _curve(keys, action)
    now = cues_on(curve, line) if curve is not None else {}
    rate = line.frames_per_second_of_sound
    if not now and written.cues:  # the curve as a whole was deleted: it comes back as it was computed
        return ()
    return edits_of(written.cues, now, written.edits, rate, written.offset)


def has_new(keys: bpy.types.Key, action: bpy.types.Action, line: Played) -> bool:
    """Whether the animator has changed something since the curve was written."""
    written = Written.of(clips.take_of(action))
    return written is not None and edits_on(keys, action, line) != written.edits


def take_over(take: bpy.types.PropertyGroup, edits: Sequence[Edit]) -> None:
    """Let the next `write` of a new take keep these edits."""
    if edits:
        take.cues = Written({}, tuple(edits)).packed()


def carried(
    keys: bpy.types.Key, action: bpy.types.Action, line: Played, old: Animation, new: Animation
) -> tuple[tuple[Edit, ...], tuple[str, ...]]:
    """The edits of a line whose result was `old`, at the same places of the same phones of `new`; and those of phones
    that are said no more, each in a few words."""
    chart, edits = charted.chart_of(keys), edits_on(keys, action, line)
    if chart is None or not edits:
        return (), ()
    places = Places(old, new)
    shown = np.array(list(computed(mouths_of(new, chart), chart))) / new.fps
    found, lost = [], []
    for edit in edits:
        time = edit.time + old.sliders.offset
        at = places.find(time)
        if at is None:
            lost.append(places.words(time, "deleted" if edit.drawing == GONE else "edited"))
            continue
        there = at.time
        if edit.drawing == GONE:  # the drawing of that phone, wherever it begins now
            phone, offset, slack = at.phone, new.sliders.offset, HOLD / new.fps
            own = shown[(shown >= phone.start + offset - slack) & (shown < phone.end + offset)]
            there = float(own[np.abs(own - there).argmin()]) if len(own) else there
        found.append(Edit(round(there - new.sliders.offset, 6), edit.drawing))
    return tuple(found), tuple(lost)


def take_back(keys: bpy.types.Key, action: bpy.types.Action, line: Played, at: float | None) -> bool:
    """Forget what was edited at `at` s of the line, None: everything; whether there was something."""
    take = clips.take_of(action)
    written = Written.of(take)
    edits = edits_on(keys, action, line)
    if written is None or not edits:
        return False
    rate = line.frames_per_second_of_sound
    near = [at is None or abs(edit.time + written.offset / rate - at) * rate <= 0.5 for edit in edits]
    kept = tuple(edit for edit, gone in zip(edits, near, strict=True) if not gone)
    curve = _curve(keys, action)
    now = cues_on(curve, line) if curve is not None else {}
    take.cues = Written(now, kept, written.offset).packed()
    return any(near)


def times_on(keys: bpy.types.Key, action: bpy.types.Action, line: Played) -> list[float] | None:
    """When the drawings of a line begin, s after its first frame; None of a line without drawings."""
    curve = _curve(keys, action) if Written.of(clips.take_of(action)) is not None else None
    if curve is None:
        return None
    return [frame / line.frames_per_second_of_sound for frame in sorted(cues_on(curve, line))]


def counted(keys: bpy.types.Key, action: bpy.types.Action, line: Played) -> str:
    """How many drawings a line has, or key motions where it has no drawings, in words."""
    times = times_on(keys, action, line)
    if times is not None:
        return f"{len(times)} drawings"
    return f"{clips.take_of(action).key_count} key motions"


def key_here(keys: bpy.types.Key, action: bpy.types.Action, frame: float, drawing: int) -> None:
    """Let a line show a drawing from `frame` of its Action on, as an edit."""
    point = _curve(keys, action, make=True).keyframe_points.insert(frame, drawing)
    point.interpolation, point.type = "CONSTANT", "KEYFRAME"


def cues_on(curve: bpy.types.FCurve, line: Played) -> dict[float, int]:
    """Frame after the line's first one → the drawing of its keyframe there."""
    points = np.array([point.co for point in curve.keyframe_points], np.float64).reshape(-1, 2)
    points = points[is_inside(line, points[:, 0])]
    return {round(frame - line.first_frame, 3): round(value) for frame, value in points}


def _put(curve: bpy.types.FCurve, line: Played, cues: dict[float, int]) -> None:
    """Put cues on the line's frames; keyframes beside it stay, as do selections and pins."""
    points = curve.keyframe_points
    beside = [(p.co[0], p.co[1], p.interpolation) for p in points if not is_inside(line, np.array([p.co[0]]))[0]]
    was = {round(p.co[0], 3): (p.select_control_point, p.type) for p in points}
    wanted = [(line.first_frame + frame, float(drawing), "CONSTANT") for frame, drawing in cues.items()]
    wanted = [row for row in wanted if row[0] <= line.last_frame + SAME_FRAME]
    points.clear()
    points.add(len(beside) + len(wanted))
    for point, (frame, value, interpolation) in zip(points, sorted(beside + wanted), strict=True):
        point.co, point.interpolation = (frame, value), interpolation
        point.handle_left, point.handle_right = (frame - 1, value), (frame + 1, value)
        point.select_control_point, kind = was.get(round(frame, 3), (False, "KEYFRAME"))
        point.type = kind if kind == USER else "KEYFRAME"
    curve.update()


def _curve(keys: bpy.types.Key, action: bpy.types.Action, make: bool = False) -> bpy.types.FCurve | None:
    block = charted.block_of(keys)
    if block is None:
        return None
    holder, path = compat.channels(action), block.path_from_id("value")
    curve = holder.fcurves.find(path, index=0)
    if curve is None and make:
        curve = holder.fcurves.new(path, index=0)
        curve.group = holder.groups.get(GROUP) or holder.groups.new(GROUP)
    return curve
