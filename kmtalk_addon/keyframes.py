"""Controls ↔ F-curves of the mesh's shape keys, in the Action of a line.

Key motions are keyframes of type KEYFRAME, pinned ones EXTREME, completed frames GENERATED: so the dope sheet tells
them apart; the graph editor by the handles, which are free on completed ones. Which there are, `drawing` says. When the
curves are read back, a key motion is any instant at which some channel bears a keyframe of another type than GENERATED,
or a GENERATED one whose value the animator has changed (inserting a keyframe on it or dragging it leaves its type as it
is), and where the animator has bent a curve by its handles, the farthest from where it was. The other channels give
what they show at that instant.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import bpy
import numpy as np

from kmtalk_core.bezier import BezierCurve
from kmtalk_core.errors import InputError
from kmtalk_core.finish.reduced import spoken
from kmtalk_core.motion import Animation, KeyMotions

from . import compat, drawing
from .clips import own_action  # noqa: F401 (asked for here by scripts)
from .drawing import (
    EXTREME,
    GENERATED,
    SAME_FRAME,
    SAME_VALUE,
    Drawn,
    Keyframes,
    LastDrawn,
    Style,
    Touched,
    is_inside,
    nearest,
)
from .drawing import key_frames as key_frames  # asked for here by others
from .strip import Played

BEZIER = 2  # of Keyframe.interpolation
FREE, ALIGNED, AUTO_CLAMPED = 0, 3, 4  # of Keyframe.handle_…_type; the graph editor gives each a colour of its own

# What the dope sheet shows together: the group's name, and how its controls' names begin.
GROUPS = {
    "Jaw": "jaw",
    "Mouth": "mouth",
    "Tongue": "tongue",
    "Cheeks": "cheek",
    "Nose": "nose",
    "Eyes": "eye",
    "Brows": "brow",
    "Head": "head",
}

STILL = 1e-4  # a control that never goes farther than this does not move
TYPES = ("KEYFRAME", "EXTREME", "BREAKDOWN", "JITTER", "MOVING_HOLD", "GENERATED")  # in the order of their values
_NOTHING = np.zeros((0, 2)), np.zeros(0, np.int32)


@dataclass(frozen=True)
class Part:
    """A part of the face that a line moves or leaves to the animator: its controls begin with one of `beginnings`."""

    key: str
    title: str
    description: str
    beginnings: tuple[str, ...]


PARTS = (
    Part("MOUTH", "Lips and Jaw", "The lips and the jaw", ("jaw", "mouth")),
    Part("TONGUE", "Tongue", "The tongue", ("tongue",)),
    Part("CHEEKS", "Cheeks", "Cheeks and nose", ("cheek", "nose")),
    Part("BROWS", "Brows", "The brows", ("brow",)),
    Part("BLINKS", "Blinks", "Blinks, and lids that widen and narrow", ("eyeBlink", "eyeSquint", "eyeWide")),
    Part("GAZE", "Gaze", "Where the eyes look", ("eyeLook",)),
    Part("HEAD", "Head", "Nods and drift of the head", ("head",)),
)
ALL_PARTS = frozenset(part.key for part in PARTS)


@dataclass(frozen=True)
class Place:
    """Where the curve of a channel of a rig is: in `slot` of the line's Action, in a `group` of curves.

    What the channel is at 0 is `base` on the curve, and what it is at 1, `base + gain`.
    """

    slot: Any
    path: str
    index: int
    group: str
    base: float
    gain: float


Places = Mapping[str, Place]
NOWHERE: Places = {}

# What a keyframe consists of, as numpy types for foreach_get and foreach_set.
FIELDS = {
    "co": (np.float32, 2),
    "handle_left": (np.float32, 2),
    "handle_right": (np.float32, 2),
    "handle_left_type": (np.int32, 1),
    "handle_right_type": (np.int32, 1),
    "interpolation": (np.int32, 1),
    "easing": (np.int32, 1),
    "type": (np.int32, 1),
    "amplitude": (np.float32, 1),
    "back": (np.float32, 1),
    "period": (np.float32, 1),
    "select_control_point": (bool, 1),
    "select_left_handle": (bool, 1),
    "select_right_handle": (bool, 1),
}
USUAL = {"amplitude": 0.8, "back": 1.70158, "period": 4.1}  # of interpolations that a new keyframe does not have


def new_action(keys: bpy.types.Key, name: str) -> bpy.types.Action:
    """An empty Action of KMTalk's for a take of a line on these shape keys."""
    action = bpy.data.actions.new(name)
    compat.slot_for_keys(action, keys.name)
    action.kmtalk_takes.add()
    return action


def written_controls(animation: Animation, names: Mapping[str, str], parts: Collection[str]) -> list[str]:
    """Those of the controls `names` that get a curve: of the chosen `parts`, and moved by `animation`.

    The jaw gets one even where it rests: the mouth is the line's, and so are its key motions.
    """
    reach = np.maximum(np.abs(animation.controls).max(0), np.abs(animation.keys.controls).max(0, initial=0.0))
    return [
        control
        for control, most in zip(animation.control_names, reach, strict=True)
        if (most > STILL or control == "jawOpen") and control in names and part_of(control) in parts
    ]


def write(
    obj: bpy.types.Object,
    action: bpy.types.Action,
    names: Mapping[str, str],
    line: Played,
    animation: Animation,
    parts: Collection[str] = ALL_PARTS,
    style: Style = Style(),  # noqa: B008 (it is frozen)
    last: LastDrawn | None = None,
    places: Places = NOWHERE,
) -> Drawn:
    """Put `animation` on curves for the shape keys `names` (control → name), and those of a rig at `places`, from
    `line.first_frame` on.

    Only what is in `parts` and moves gets a curve. Keyframes beside the line's first and last frame stay. `last`: what
    was drawn last in this style, if it is known. Returns what is to be remembered of the curves (`read`).
    """
    holder = compat.channels(action)
    curves = {curve.data_path: curve for curve in holder.fcurves}
    blocks = obj.data.shape_keys.key_blocks
    paths = {control: blocks[name].path_from_id("value") for control, name in names.items()}
    moved = written_controls(animation, {**names, **places}, parts)
    wanted, drawn = drawing.keyframes_for(line, animation, moved, style, last)
    drawn = {**drawn, **{name: _as_kept(drawn[name], place) for name, place in places.items() if name in drawn}}
    for control in animation.control_names:
        path = paths.get(control)
        if control in places:
            _write_beside(action, line, places[control], wanted.get(control))
        elif control in wanted:
            _replace(curves.get(path) or _new_curve(holder, path, control), line, wanted[control])
        elif path in curves:
            holder.fcurves.remove(curves[path])
    obj.data.shape_keys.update_tag()
    return drawn


def _write_beside(action: bpy.types.Action, line: Played, place: Place, wanted: Keyframes | None) -> None:
    """Put keyframes on the curve of a channel of a rig; None: take those of the line off."""
    holder = compat.channels(action, place.slot)
    curve = holder.fcurves.find(place.path, index=place.index)
    if wanted is None:
        if curve is not None:
            holder.fcurves.remove(curve)
        return
    if curve is None:
        curve = holder.fcurves.new(place.path, index=place.index)
        curve.group = holder.groups.get(place.group) or holder.groups.new(place.group)
    left, right = (
        None if some is None else some * [1.0, place.gain] + [0.0, place.base] for some in (wanted.left, wanted.right)
    )
    values = place.base + place.gain * wanted.values
    _replace(curve, line, Keyframes(wanted.frames, values, wanted.types, left, right), place.gain)


def _as_kept(curve: BezierCurve, place: Place) -> BezierCurve:
    """A curve whose points are as its place keeps them, which has single precision."""
    points = curve.points.copy()
    values = (place.base + place.gain * points[:, 1]).astype(np.float32)
    points[:, 1] = (values.astype(np.float64) - place.base) / place.gain
    return BezierCurve(points, curve.left, curve.right)


def copy(source: bpy.types.Action, target: bpy.types.Action, line: Played) -> None:
    """Put the keyframes of a line, as they are in `source`, on curves of their own in the empty Action `target`."""
    for curve in compat.channels(source).fcurves:
        kept = _keyframes_where(curve, is_inside(line, _points(curve)[0][:, 0]))
        if not kept:
            continue
        new = compat.channels(target).fcurves.new(curve.data_path, index=0)
        new.extrapolation = curve.extrapolation
        new.keyframe_points.add(len(kept["co"]))
        for name, values in kept.items():
            new.keyframe_points.foreach_set(name, values.ravel())
        new.update()


Fields = dict[str, np.ndarray]  # all that keyframes consist of, by the names of FIELDS: (n, width) each


def all_of(curve: bpy.types.FCurve) -> Fields:
    """All that the keyframes of a curve consist of."""
    found = {}
    for name, (kind, width) in FIELDS.items():
        flat = np.empty(len(curve.keyframe_points) * width, kind)
        curve.keyframe_points.foreach_get(name, flat)
        found[name] = flat.reshape(-1, width)
    return found


def put(curve: bpy.types.FCurve, wanted: Fields) -> None:
    """Let a curve consist of these keyframes alone, exactly so."""
    if len(curve.keyframe_points) != len(wanted["co"]):
        curve.keyframe_points.clear()
        curve.keyframe_points.add(len(wanted["co"]))
    for name in FIELDS:
        curve.keyframe_points.foreach_set(name, np.ascontiguousarray(wanted[name]).ravel())


def stay_selected(new: Fields, there: Fields) -> None:
    """Let `new` keyframes be selected as those are that are on their frames."""
    place, distance = nearest(there["co"][:, 0], new["co"][:, 0])
    at = np.flatnonzero(distance <= SAME_FRAME)
    for name in (name for name in FIELDS if name.startswith("select")):
        new[name] = new[name] & False
        new[name][at] = there[name][place[at]]


def mark_edited(
    obj: bpy.types.Object,
    action: bpy.types.Action,
    names: Mapping[str, str],
    line: Played,
    animation: Animation,
    places: Places = NOWHERE,
) -> None:
    """Let completed keys whose values were changed by hand be key motions by their type, too."""
    frames, values, types = drawing.every_frame(line, animation)
    for control, curve in _curves(obj, action, names, places).items():
        if control not in animation.control_names:
            continue
        edited = np.sort(_edited(*curve.points(), frames, values[:, animation.control_names.index(control)], types))
        for point in curve.curve.keyframe_points:
            if TYPES.index(point.type) == GENERATED and nearest(edited, np.array([point.co[0]]))[1][0] <= SAME_FRAME:
                point.type = "KEYFRAME"


def mark(action: bpy.types.Action, frame: float, kind: str = "KEYFRAME") -> None:
    """Put a key motion on a frame of all curves, with what they show there; `kind`: its type."""
    for curve in compat.all_fcurves(action):
        there = _at(curve, frame)
        point = there[0] if there else curve.keyframe_points.insert(frame, curve.evaluate(frame))
        point.type = kind
        curve.update()


def unpin(action: bpy.types.Action, frame: float | None = None) -> None:
    """Let the key motion on a frame be pinned no more; None: all."""
    for curve in compat.all_fcurves(action):
        for point in curve.keyframe_points if frame is None else _at(curve, frame):
            if point.type == "EXTREME":
                point.type = "KEYFRAME"


def _at(curve: bpy.types.FCurve, frame: float) -> list[bpy.types.Keyframe]:
    return [point for point in curve.keyframe_points if abs(point.co[0] - frame) <= SAME_FRAME]


def pinned(action: bpy.types.Action, line: Played) -> np.ndarray:
    """(p,) frames of a line's Action on which key motions are pinned."""
    found = [_points(curve) for curve in compat.all_fcurves(action)]
    frames = np.unique(np.concatenate([np.zeros(0), *(xy[types == EXTREME, 0] for xy, types in found)]))
    frames = frames[is_inside(line, frames)]
    return frames[np.diff(frames, prepend=-np.inf) > SAME_FRAME]


def shift(action: bpy.types.Action, frames: float) -> None:
    """Move all keyframes by some frames."""
    for curve in compat.all_fcurves(action):
        flat = np.empty(len(curve.keyframe_points) * 2, np.float32)
        for name in ("co", "handle_left", "handle_right"):
            curve.keyframe_points.foreach_get(name, flat)
            flat[::2] += frames
            curve.keyframe_points.foreach_set(name, flat)
        curve.update()


def part_of(control: str) -> str:
    """The key of the part of the face that a control belongs to."""
    return next((part.key for part in PARTS if control.startswith(part.beginnings)), "MOUTH")


Changes = Mapping[str, tuple[np.ndarray, np.ndarray, np.ndarray]]  # see `changes`
# Data path, or where a curve of a rig's is → keyframes (n, 2) and their types (n,).
Snapshot = Mapping[str, tuple[np.ndarray, np.ndarray]]


def snapshot(action: bpy.types.Action) -> Snapshot:
    """All keyframes as they are now, to tell later what was changed since."""
    return {where: _points(curve) for where, (curve, _) in by_place(action).items()}


def changes(before: Snapshot, after: Snapshot) -> Changes:
    """What was done by hand between two snapshots: where → keyframes (n, 2) that were set, their types (n,), and the
    frames of those that were removed."""
    found = {}
    for path in before.keys() | after.keys():
        (old, old_types), (new, new_types) = (one.get(path, _NOTHING) for one in (before, after))
        place, distance = nearest(old[:, 0], new[:, 0])
        same = distance <= SAME_FRAME
        same[same] = (np.abs(old[place[same], 1] - new[same, 1]) <= SAME_VALUE) & (
            old_types[place[same]] == new_types[same]
        )
        gone = nearest(new[:, 0], old[:, 0])[1] > SAME_FRAME
        if not same.all() or gone.any():
            found[path] = new[~same], new_types[~same], old[gone, 0]
    return found


def shifted(made: Changes, frames: float) -> Changes:
    """The same changes some frames later."""
    return {path: (xy + np.array([frames, 0.0]), types, gone + frames) for path, (xy, types, gone) in made.items()}


def change(action: bpy.types.Action, made: Changes) -> None:
    """Do to the keyframes as they are now what was done by hand before (`changes`)."""
    curves = by_place(action)
    for path, (xy, types, gone) in made.items():
        if path in curves:
            curve = curves[path][0]
        elif BESIDE not in path:
            curve = compat.channels(action).fcurves.new(path, index=0)
        else:
            continue  # the rig does not move with the line any more
        for frame in gone:
            for point in [p for p in curve.keyframe_points if abs(p.co[0] - frame) <= SAME_FRAME]:
                curve.keyframe_points.remove(point)
        for (frame, value), kind in zip(xy, types, strict=True):
            point = curve.keyframe_points.insert(frame, value)
            point.type = TYPES[kind]
        curve.update()


BESIDE = "\n"  # between slot, path and index of a rig's curve


def by_place(action: bpy.types.Action) -> dict[str, tuple[bpy.types.FCurve, Any]]:
    """All curves of an Action and what holds each, by data path; those beside shape keys by slot and index, too."""
    holder = compat.channels(action)
    found = {curve.data_path: (curve, holder) for curve in holder.fcurves}
    for slot in compat.slots_beside(action):
        if (bag := compat.bag_of(action, slot)) is not None:
            found |= {place_of(slot, curve.data_path, curve.array_index): (curve, bag) for curve in bag.fcurves}
    return found


def place_of(slot: Any, path: str, index: int) -> str:
    """Where a curve beside shape keys is, for `by_place`."""
    return f"{slot.identifier}{BESIDE}{path}{BESIDE}{index}"


def new_curve_at(action: bpy.types.Action, place: str) -> tuple[bpy.types.FCurve, Any]:
    """A new curve where `by_place` has it in an Action with the same slots, and what holds it."""
    if BESIDE not in place:
        holder = compat.channels(action)
        return holder.fcurves.new(place, index=0), holder
    named, path, index = place.split(BESIDE)
    holder = compat.channels(action, next(slot for slot in action.slots if slot.identifier == named))
    return holder.fcurves.new(path, index=int(index)), holder


def read(
    obj: bpy.types.Object,
    action: bpy.types.Action,
    names: Mapping[str, str],
    line: Played,
    animation: Animation,
    drawn: Drawn | None = None,
    places: Places = NOWHERE,
) -> KeyMotions:
    """The key motions as the animator left them. `drawn`: what `write` has returned; `places`: as there.

    A control without an F-curve keeps its poses in `animation`. Raises InputError if no key is left.
    """
    first, last = line.first_frame, line.last_frame
    curves = _curves(obj, action, names, places)
    points = {control: curve.points() for control, curve in curves.items()}
    frames, values, types = drawing.every_frame(line, animation)
    at_keys = key_frames(line, animation)
    marked = [np.zeros(0)]
    for column, control in enumerate(animation.control_names):
        if control in points:
            marked.append(_edited(*points[control], frames, values[:, column], types))
    deleted = at_keys[nearest(np.unique(np.concatenate(marked)), at_keys)[1] > SAME_FRAME] - first
    touched = {}
    for control, was in (drawn or {}).items():
        if control in curves and (now := curves[control].bezier(line)) is not None:
            touched[control] = Touched.of(was, now)
            marked.append(first + touched[control].bent(deleted))
    frames = np.unique(np.concatenate(marked))
    frames = frames[(frames >= first - SAME_FRAME) & (frames <= last + SAME_FRAME)]
    frames = frames[np.diff(frames, prepend=-np.inf) > SAME_FRAME]
    unshown = ~is_inside(line, at_keys)
    if not len(frames) and not unshown.any():
        raise InputError("All key motions are gone; keep at least one, or generate again.")
    times, before = _times(frames - first, line, animation.keys.times)
    known, exact = _as_computed(frames - first, before, animation)
    controls = np.empty((len(frames), len(animation.control_names)), np.float32)
    for column, control in enumerate(animation.control_names):
        if control in curves:
            shown, keyed = curves[control].values(points[control][0], frames)
            as_computed = ~keyed & known
            if control in touched:
                as_computed &= ~touched[control].near(frames - first, bool(spoken([control])[0]))
            else:
                as_computed &= np.abs(shown - exact[:, column]) <= drawing.BENT
            controls[:, column] = np.where(as_computed, exact[:, column], shown)
        else:
            controls[:, column] = np.interp(times, animation.times, animation.controls[:, column])
            controls[before >= 0, column] = animation.keys.controls[before[before >= 0], column]
    # What an offset has pushed beyond the line's ends is no less a key motion.
    times = np.concatenate([times, animation.keys.times[unshown]])
    order = np.argsort(times)
    return KeyMotions(times[order], np.concatenate([controls, animation.keys.controls[unshown]])[order])


def sample(
    obj: bpy.types.Object,
    action: bpy.types.Action,
    names: Mapping[str, str],
    line: Played,
    animation: Animation,
    places: Places = NOWHERE,
) -> np.ndarray:
    """(T, C) float32: what the curves show on every frame of the line, edits included, in the order of `animation`.

    A control without an F-curve is as in `animation`.
    """
    frames = line.first_frame + np.arange(len(animation.times), dtype=np.float64)
    out = animation.controls.astype(np.float32)
    for control, curve in _curves(obj, action, names, places).items():
        if control in animation.control_names:
            out[:, animation.control_names.index(control)] = curve.shown(line, frames)
    return out


def clear(action: bpy.types.Action, line: Played) -> None:
    """Delete all keyframes of the line; those beside it stay."""
    for curve, holder in by_place(action).values():
        _replace(curve, line, Keyframes(np.zeros(0), np.zeros(0), np.zeros(0)))
        if not len(curve.keyframe_points):
            holder.fcurves.remove(curve)


def _as_computed(offsets: np.ndarray, before: np.ndarray, animation: Animation) -> tuple[np.ndarray, np.ndarray]:
    """(n,) bool where the very pose of an instant is known, and (n, C) these poses: the key motions numbered `before`
    (-1: none), else whole frames `offsets` after the first one."""
    number = np.rint(offsets).astype(np.int64)
    known = (np.abs(offsets - number) <= SAME_FRAME) & (number >= 0) & (number < len(animation.times))
    exact = animation.controls[np.clip(number, 0, len(animation.times) - 1)].copy()
    exact[before >= 0] = animation.keys.controls[before[before >= 0]]
    return known | (before >= 0), exact


def _edited(
    xy: np.ndarray, types: np.ndarray, frames: np.ndarray, values: np.ndarray, written_types: np.ndarray
) -> np.ndarray:
    """Frames of the key motions of a channel that has the keyframes `xy` (n, 2) of `types`; the rest is as written."""
    place, at_its_place = np.arange(len(xy)), np.ones(len(xy), bool)
    if len(xy) != len(frames) or (np.abs(xy[:, 0] - frames) > SAME_FRAME).any():
        place, distance = nearest(frames, xy[:, 0])
        at_its_place = distance <= SAME_FRAME
    changed = ~at_its_place | (np.abs(xy[:, 1] - values[place]) > SAME_VALUE)
    marked, keys = types != GENERATED, written_types != GENERATED
    # Where keys were slid or scaled in time, their GENERATED neighbours came along: a value that was written, only
    # elsewhere, tells nothing there.
    elsewhere = marked & ~(at_its_place & keys[place])
    if elsewhere.any() and np.isin(xy[elsewhere, 1], values[keys]).any():
        changed &= ~np.isin(xy[:, 1], values)
    return xy[marked | changed, 0]


def _replace(curve: bpy.types.FCurve, line: Played, wanted: Keyframes, gain: float = 1.0) -> None:
    """Put the keyframes `wanted` on the line's frames. What is there already stays as it is, and stays selected.

    `gain`: of the curve's place.
    """
    if wanted.left is None and _revalued(curve, line, wanted.frames, wanted.values, wanted.types):
        return
    count, points = len(wanted.frames), curve.keyframe_points
    drawn = np.where(wanted.types == GENERATED, FREE, ALIGNED)[:, None]
    handle = AUTO_CLAMPED if wanted.left is None else drawn
    new = {name: np.zeros((count, width), kind) for name, (kind, width) in FIELDS.items()}
    new["co"] = np.stack([wanted.frames, wanted.values], axis=1).astype(np.float32)
    for name in ("handle_left_type", "handle_right_type"):
        new[name][:] = handle
    new["interpolation"][:], new["type"][:, 0] = BEZIER, wanted.types
    for name, usual in USUAL.items():
        new[name][:] = usual
    if wanted.left is not None and wanted.right is not None:
        new["handle_left"], new["handle_right"] = wanted.left.astype(np.float32), wanted.right.astype(np.float32)
    all_there = all_of(curve) if len(points) else {}
    kept = {}
    if all_there:
        inside = is_inside(line, all_there["co"][:, 0].astype(np.float64))
        there = all_there if inside.all() else {name: column[inside] for name, column in all_there.items()}
        kept = {name: column[~inside] if there is not all_there else column[:0] for name, column in all_there.items()}
        _stay(new, there, gain)
        if not len(kept["co"]) and all(np.array_equal(new[name], all_there[name]) for name in new):
            return
    points.clear()
    points.add(count + (len(kept["co"]) if kept else 0))
    for name in FIELDS:
        if wanted.left is None and name.startswith("handle") and not name.endswith("type") and not kept:
            continue
        column = np.concatenate([kept[name], new[name]]) if kept else new[name]
        points.foreach_set(name, np.ascontiguousarray(column).ravel())
    curve.update()


def _stay(new: Mapping[str, np.ndarray], there: Mapping[str, np.ndarray], gain: float) -> None:
    """Let keyframes that are on the frames of `new` ones stay selected, and all else of those that stay where they
    are, handles included: for those, what was chosen by hand counts."""
    order = np.argsort(there["co"][:, 0], kind="stable")
    place, distance = nearest(there["co"][order, 0].astype(np.float64), new["co"][:, 0].astype(np.float64))
    at = np.flatnonzero(distance <= SAME_FRAME)
    if not len(at):
        return
    place = order[place[at]]
    for name in FIELDS:
        if name.startswith("select"):
            new[name][at] = there[name][place]
    shape = ("co", "handle_left", "handle_right")
    close = drawing.SAME_HANDLE * np.array([1.0, gain])
    same = np.all([(np.abs(new[n][at] - there[n][place]) <= close).all(1) for n in shape], axis=0)
    same &= new["co"][at, 1] == there["co"][place, 1]
    # Handles of the kinds that are drawn are drawn anew, exactly: what was there before may tell nothing.
    kinds = ("handle_left_type", "handle_right_type")
    by_hand = same & np.any([(new[n][at] != there[n][place])[:, 0] for n in kinds], axis=0)
    for name in FIELDS:
        stay = by_hand if name in shape[1:] else same
        if name != "type":
            new[name][at[stay]] = there[name][place[stay]]


def _revalued(curve: bpy.types.FCurve, line: Played, frames: np.ndarray, values: np.ndarray, types: np.ndarray) -> bool:
    """Only set the values where the line's keyframes are these already: much faster, and selections stay."""
    points = curve.keyframe_points
    if not len(points):
        return False
    flat, kinds = np.empty(len(points) * 2, np.float32), np.empty(len(points), np.int32)
    left, right = np.empty(len(points), np.int32), np.empty(len(points), np.int32)
    points.foreach_get("co", flat)
    points.foreach_get("type", kinds)
    points.foreach_get("handle_left_type", left)
    points.foreach_get("handle_right_type", right)
    xy = flat.reshape(-1, 2)
    own = np.flatnonzero(is_inside(line, xy[:, 0].astype(np.float64)))
    if len(own) != len(frames) or (np.diff(xy[:, 0]) <= 0).any():
        return False
    alike = (np.abs(xy[own, 0] - frames) < SAME_FRAME) & (kinds[own] == types)
    if not alike.all() or (left[own] != AUTO_CLAMPED).any() or (right[own] != AUTO_CLAMPED).any():
        return False
    if not np.array_equal(xy[own, 1], values.astype(np.float32)):
        xy[own, 1] = values
        points.foreach_set("co", flat)
        curve.update()
    return True


def _keyframes_where(curve: bpy.types.FCurve, wanted: np.ndarray) -> Fields:
    """All that these keyframes consist of; empty if there are none."""
    return {name: values[wanted] for name, values in all_of(curve).items()} if wanted.any() else {}


def _points(curve: bpy.types.FCurve) -> tuple[np.ndarray, np.ndarray]:
    """(n, 2) frame and value, in ascending order of the frames, and (n,) types."""
    points = curve.keyframe_points
    flat, types = np.empty(len(points) * 2, np.float32), np.empty(len(points), np.int32)
    points.foreach_get("co", flat)
    points.foreach_get("type", types)
    xy = flat.reshape(-1, 2).astype(np.float64)
    order = np.argsort(xy[:, 0], kind="stable")
    return xy[order], types[order]


@dataclass(frozen=True)
class _Curve:
    """An F-curve, read in units of its channel (see `Place`)."""

    curve: bpy.types.FCurve
    base: float = 0.0
    gain: float = 1.0

    def points(self) -> tuple[np.ndarray, np.ndarray]:
        """As `_points`."""
        xy, types = _points(self.curve)
        return self._read(xy), types

    def values(self, xy: np.ndarray, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The value of a keyframe where one of `xy` is, of the curve elsewhere; and (n,) bool where there is one."""
        place = np.clip(np.searchsorted(xy[:, 0], frames - SAME_FRAME), 0, len(xy) - 1)
        values, keyed = xy[place, 1], np.abs(xy[place, 0] - frames) <= SAME_FRAME
        for index in np.flatnonzero(~keyed):
            values[index] = (self.curve.evaluate(frames[index]) - self.base) / self.gain
        return values, keyed

    def shown(self, line: Played, frames: np.ndarray) -> np.ndarray:
        """The values on `frames`, which are many."""
        bezier = self.bezier(line)
        if bezier is None:
            return self.values(self.points()[0], frames)[0]
        return bezier.at(frames - line.first_frame)

    def bezier(self, line: Played) -> BezierCurve | None:
        """As `_bezier`."""
        found = _bezier(self.curve, line)
        if found is None or (self.base, self.gain) == (0.0, 1.0):
            return found
        return BezierCurve(*(self._read(some) for some in (found.points, found.left, found.right)))

    def _read(self, xy: np.ndarray) -> np.ndarray:
        return np.stack([xy[:, 0], (xy[:, 1] - self.base) / self.gain], axis=1)


def _bezier(curve: bpy.types.FCurve, line: Played) -> BezierCurve | None:
    """A curve over frames after the line's first one; None if it is no Bézier curve throughout, or reaches beyond."""
    count = len(curve.keyframe_points)
    kinds, flat = np.empty(count, np.int32), np.empty(count * 2, np.float32)
    curve.keyframe_points.foreach_get("interpolation", kinds)
    if not count or (kinds != BEZIER).any() or len(curve.modifiers):
        return None
    parts = []
    for name in ("co", "handle_left", "handle_right"):
        curve.keyframe_points.foreach_get(name, flat)
        parts.append(flat.reshape(-1, 2).astype(np.float64) - [line.first_frame, 0.0])
    order = np.argsort(parts[0][:, 0], kind="stable")
    points, left, right = (part[order] for part in parts)
    if not is_inside(line, line.first_frame + points[[0, -1], 0]).all() or (np.diff(points[:, 0]) <= 0).any():
        return None
    return BezierCurve(points, left, right)


def _times(offsets: np.ndarray, line: Played, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Frames after the first one → seconds of sound, and which of the `known` times each is (-1: none).

    A key that was not moved gets the very time that it had, so that nothing is taken for an edit that is none.
    """
    rate = line.frames_per_second_of_sound
    place, distance = nearest(known * rate, offsets)
    same = distance <= SAME_FRAME
    times = offsets / rate
    times[same] = known[place[same]]
    return times, np.where(same, place, -1)


def _curves(
    obj: bpy.types.Object, action: bpy.types.Action, names: Mapping[str, str], places: Places
) -> dict[str, _Curve]:
    """Control → its F-curve, where it has one with keyframes."""
    holder = compat.channels(action)
    by_path = {curve.data_path: curve for curve in holder.fcurves if len(curve.keyframe_points)}
    blocks = obj.data.shape_keys.key_blocks
    by_control = {control: by_path.get(blocks[name].path_from_id("value")) for control, name in names.items()}
    found = {control: _Curve(curve) for control, curve in by_control.items() if curve is not None}
    for control, place in places.items():
        bag = compat.bag_of(action, place.slot)
        curve = bag.fcurves.find(place.path, index=place.index) if bag is not None else None
        if curve is not None and len(curve.keyframe_points):
            found[control] = _Curve(curve, place.base, place.gain)
    return found


def _new_curve(holder: Any, path: str, control: str) -> bpy.types.FCurve:
    curve = holder.fcurves.new(path, index=0)
    title = next((title for title, beginning in GROUPS.items() if control.startswith(beginning)), "Mouth")
    curve.group = holder.groups.get(title) or holder.groups.new(title)
    return curve
