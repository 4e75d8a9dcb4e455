"""Controls ↔ F-curves of the mesh's shape keys, in the Action of a line.

Key motions are keyframes of type KEYFRAME, completed frames are GENERATED. When the curves are read back, a key motion
is any instant at which some channel bears a keyframe of another type than GENERATED, or a GENERATED one whose value the
animator has changed (inserting a keyframe on it or dragging it leaves its type as it is). The other channels give what
they show at that instant.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import bpy
import numpy as np

from kmtalk_core.errors import InputError
from kmtalk_core.motion import Animation, KeyMotions

from . import compat
from .clips import own_action  # noqa: F401 (asked for here by scripts)
from .strip import Played

KEYFRAME, GENERATED = 0, 5  # values of Keyframe.type
BEZIER, AUTO_CLAMPED = 2, 4  # of Keyframe.interpolation and Keyframe.handle_…_type
SAME_FRAME = 1e-3  # frames: keyframes closer than this are one
SAME_VALUE = 1e-6

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

# What a keyframe consists of, as numpy types for foreach_get and foreach_set.
_FIELDS = {
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
) -> None:
    """Put `animation` on curves for the shape keys `names` (control → name), from `line.first_frame` on.

    Only what is in `parts` and moves gets a curve. Keyframes beside the line's first and last frame stay.
    """
    frames, values, types = _columns(line, animation)
    holder = compat.channels(action)
    curves = {curve.data_path: curve for curve in holder.fcurves}
    moved = set(written_controls(animation, names, parts))
    for column, control in enumerate(animation.control_names):
        if control not in names:
            continue
        path = obj.data.shape_keys.key_blocks[names[control]].path_from_id("value")
        if control in moved:
            _replace(curves.get(path) or _new_curve(holder, path, control), line, frames, values[:, column], types)
        elif path in curves:
            holder.fcurves.remove(curves[path])
    obj.data.shape_keys.update_tag()


def copy(source: bpy.types.Action, target: bpy.types.Action, line: Played) -> None:
    """Put the keyframes of a line, as they are in `source`, on curves of their own in the empty Action `target`."""
    for curve in compat.channels(source).fcurves:
        kept = _keyframes_where(curve, _inside(line, _points(curve)[0][:, 0]))
        if not kept:
            continue
        new = compat.channels(target).fcurves.new(curve.data_path, index=0)
        new.extrapolation = curve.extrapolation
        new.keyframe_points.add(len(kept["co"]))
        for name, values in kept.items():
            new.keyframe_points.foreach_set(name, values.ravel())
        new.update()


def mark(action: bpy.types.Action, frame: float) -> None:
    """Put a key motion on a frame of all curves, with what they show there."""
    for curve in compat.channels(action).fcurves:
        point = curve.keyframe_points.insert(frame, curve.evaluate(frame))
        point.type = "KEYFRAME"
        curve.update()


def shift(action: bpy.types.Action, frames: float) -> None:
    """Move all keyframes by some frames."""
    for curve in compat.channels(action).fcurves:
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
Snapshot = Mapping[str, tuple[np.ndarray, np.ndarray]]  # data path → keyframes (n, 2) and their types (n,)


def snapshot(action: bpy.types.Action) -> Snapshot:
    """All keyframes as they are now, to tell later what was changed since."""
    return {curve.data_path: _points(curve) for curve in compat.channels(action).fcurves}


def changes(before: Snapshot, after: Snapshot) -> Changes:
    """What was done by hand between two snapshots: data path → keyframes (n, 2) that were set, their types (n,), and
    the frames of those that were removed."""
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
    curves = {curve.data_path: curve for curve in compat.channels(action).fcurves}
    for path, (xy, types, gone) in made.items():
        curve = curves.get(path) or compat.channels(action).fcurves.new(path, index=0)
        for frame in gone:
            for point in [p for p in curve.keyframe_points if abs(p.co[0] - frame) <= SAME_FRAME]:
                curve.keyframe_points.remove(point)
        for (frame, value), kind in zip(xy, types, strict=True):
            point = curve.keyframe_points.insert(frame, value)
            point.type = TYPES[kind]
        curve.update()


def read(
    obj: bpy.types.Object,
    action: bpy.types.Action,
    names: Mapping[str, str],
    line: Played,
    animation: Animation,
) -> KeyMotions:
    """The key motions as the animator left them.

    A control without an F-curve keeps its poses in `animation`. Raises InputError if no key is left.
    """
    first, last = line.first_frame, line.last_frame
    curves = _curves(obj, action, names)
    points = {control: _points(curve) for control, curve in curves.items()}
    frames, values, types = _columns(line, animation)
    marked = [np.zeros(0)]
    for column, control in enumerate(animation.control_names):
        if control in points:
            marked.append(_edited(*points[control], frames, values[:, column], types))
    frames = np.unique(np.concatenate(marked))
    frames = frames[(frames >= first - SAME_FRAME) & (frames <= last + SAME_FRAME)]
    frames = frames[np.diff(frames, prepend=-np.inf) > SAME_FRAME]
    unshown = ~_inside(line, key_frames(line, animation))
    if not len(frames) and not unshown.any():
        raise InputError("All key motions are gone; keep at least one, or generate again.")
    times, before = _times(frames - first, line, animation.keys.times)
    controls = np.empty((len(frames), len(animation.control_names)), np.float32)
    for column, control in enumerate(animation.control_names):
        if control in curves:
            controls[:, column] = _values(curves[control], points[control][0], frames)
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
) -> np.ndarray:
    """(T, C) float32: what the curves show on every frame of the line, edits included, in the order of `animation`.

    A control without an F-curve is as in `animation`.
    """
    frames = line.first_frame + np.arange(len(animation.times), dtype=np.float64)
    out = animation.controls.astype(np.float32)
    for control, curve in _curves(obj, action, names).items():
        if control in animation.control_names:
            out[:, animation.control_names.index(control)] = _values(curve, _points(curve)[0], frames)
    return out


def clear(action: bpy.types.Action, line: Played) -> None:
    """Delete all keyframes of the line; those beside it stay."""
    holder = compat.channels(action)
    for curve in list(holder.fcurves):
        _replace(curve, line, np.zeros(0), np.zeros(0), np.zeros(0))
        if not len(curve.keyframe_points):
            holder.fcurves.remove(curve)


def key_frames(line: Played, animation: Animation) -> np.ndarray:
    """(m,) frames of the scene on which the key motions lie."""
    return np.round(line.first_frame + animation.keys.times * line.frames_per_second_of_sound, 4)


def _columns(line: Played, animation: Animation) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Frames (n,), values (n, C) and keyframe types (n,): every frame of the motion, and the key motions in between."""
    inside = _inside(line, key_frames(line, animation))
    at_keys = key_frames(line, animation)[inside]
    completed = line.first_frame + np.arange(len(animation.times))
    free = (nearest(at_keys, completed)[1] > SAME_FRAME) & (completed <= line.last_frame)
    frames = np.concatenate([completed[free], at_keys])
    values = np.concatenate([animation.controls[free], animation.keys.controls[inside]])
    types = np.repeat([GENERATED, KEYFRAME], [free.sum(), len(at_keys)])
    order = np.argsort(frames, kind="stable")
    return frames[order], values[order], types[order]


def _inside(line: Played, frames: np.ndarray) -> np.ndarray:
    """Which of `frames` lie within the line."""
    return (frames >= line.first_frame - SAME_FRAME) & (frames <= line.last_frame + SAME_FRAME)


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


def _replace(curve: bpy.types.FCurve, line: Played, frames: np.ndarray, values: np.ndarray, types: np.ndarray) -> None:
    if _revalued(curve, line, frames, values, types):
        return
    count, points = len(frames), curve.keyframe_points
    new = {
        "co": np.stack([frames, values], axis=1),
        "handle_left_type": np.full(count, AUTO_CLAMPED),
        "handle_right_type": np.full(count, AUTO_CLAMPED),
        "interpolation": np.full(count, BEZIER),
        "type": types,
        **{name: np.zeros(count) for name in _FIELDS if name.startswith("select")},  # else all are selected
    }
    kept = _other_keyframes(curve, line.first_frame, line.last_frame)
    points.clear()
    others = len(kept["co"]) if kept else 0
    points.add(others + count)
    for name, (kind, width) in _FIELDS.items():
        if not kept and name not in new:
            continue
        column = np.asarray(new.get(name, np.zeros((count, width))), kind)
        if kept:
            column = np.concatenate([kept[name].reshape(others, width), column.reshape(count, width)])
        points.foreach_set(name, np.ascontiguousarray(column, kind).ravel())
    curve.update()


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
    own = np.flatnonzero(_inside(line, xy[:, 0].astype(np.float64)))
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


def _other_keyframes(curve: bpy.types.FCurve, first: float, last: float) -> dict[str, np.ndarray]:
    """All that the keyframes outside of first…last consist of; empty if there are none."""
    frames = _points(curve)[0][:, 0]
    return _keyframes_where(curve, (frames < first - SAME_FRAME) | (frames > last + SAME_FRAME))


def _keyframes_where(curve: bpy.types.FCurve, wanted: np.ndarray) -> dict[str, np.ndarray]:
    """All that these keyframes consist of; empty if there are none."""
    if not wanted.any():
        return {}
    points, kept = curve.keyframe_points, {}
    for name, (kind, width) in _FIELDS.items():
        flat = np.empty(len(points) * width, kind)
        points.foreach_get(name, flat)
        kept[name] = flat.reshape(len(points), width)[wanted]
    return kept


def _points(curve: bpy.types.FCurve) -> tuple[np.ndarray, np.ndarray]:
    """(n, 2) frame and value, in ascending order of the frames, and (n,) types."""
    points = curve.keyframe_points
    flat, types = np.empty(len(points) * 2, np.float32), np.empty(len(points), np.int32)
    points.foreach_get("co", flat)
    points.foreach_get("type", types)
    xy = flat.reshape(-1, 2).astype(np.float64)
    order = np.argsort(xy[:, 0], kind="stable")
    return xy[order], types[order]


def _values(curve: bpy.types.FCurve, xy: np.ndarray, frames: np.ndarray) -> np.ndarray:
    """The value of a keyframe where there is one, of the curve elsewhere."""
    place = np.clip(np.searchsorted(xy[:, 0], frames - SAME_FRAME), 0, len(xy) - 1)
    values = xy[place, 1]
    for index in np.flatnonzero(np.abs(xy[place, 0] - frames) > SAME_FRAME):
        values[index] = curve.evaluate(frames[index])
    return values


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


def nearest(ascending: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The index of the nearest entry of `ascending` for each of `wanted`, and how far off it is."""
    if not len(ascending):
        return np.zeros(len(wanted), np.int64), np.full(len(wanted), np.inf)
    right = np.clip(np.searchsorted(ascending, wanted), 1, max(1, len(ascending) - 1))
    both = np.stack([right - 1, np.minimum(right, len(ascending) - 1)])
    distance = np.abs(ascending[both] - wanted)
    closer = distance.argmin(0)
    return np.take_along_axis(both, closer[None], 0)[0], distance.min(0)


def _curves(obj: bpy.types.Object, action: bpy.types.Action, names: Mapping[str, str]) -> dict[str, Any]:
    """Control → its F-curve, where it has one with keyframes."""
    holder = compat.channels(action)
    by_path = {curve.data_path: curve for curve in holder.fcurves if len(curve.keyframe_points)}
    blocks = obj.data.shape_keys.key_blocks
    found = {control: by_path.get(blocks[name].path_from_id("value")) for control, name in names.items()}
    return {control: curve for control, curve in found.items() if curve is not None}


def _new_curve(holder: Any, path: str, control: str) -> bpy.types.FCurve:
    curve = holder.fcurves.new(path, index=0)
    title = next((title for title, beginning in GROUPS.items() if control.startswith(beginning)), "Mouth")
    curve.group = holder.groups.get(title) or holder.groups.new(title)
    return curve
