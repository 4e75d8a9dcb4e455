"""Controls ↔ F-curves on the mesh's shape keys, in an Action of KMTalk's own.

Key motions are keyframes of type KEYFRAME, completed frames are GENERATED. When the curves are read back, a key motion
is any instant at which some channel bears a keyframe of another type than GENERATED, or a GENERATED one whose value the
animator has changed (inserting a keyframe on it or dragging it leaves its type as it is). The other channels give what
they show at that instant.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import bpy
import numpy as np

from kmtalk_core.errors import InputError
from kmtalk_core.motion import Animation, KeyMotions

from . import compat
from .strip import Line

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


def own_action(obj: bpy.types.Object) -> bpy.types.Action | None:
    """The Action of KMTalk's that the shape keys of `obj` play; None if they play another one or none."""
    keys = obj.data.shape_keys if obj is not None and obj.type == "MESH" else None
    action = keys.animation_data.action if keys and keys.animation_data else None
    return action if action and len(action.kmtalk_takes) else None


def ensure_action(obj: bpy.types.Object) -> bpy.types.Action:
    """Let the shape keys of `obj` play an Action of KMTalk's own.

    An Action that they play already moves to an NLA track below it, where it goes on playing whatever KMTalk's Action
    doesn't move. Raises InputError while an NLA strip is being tweaked.
    """
    keys = obj.data.shape_keys
    data = keys.animation_data or keys.animation_data_create()
    if (own := own_action(obj)) is not None:
        return own
    if data.use_tweak_mode:
        raise InputError("An NLA strip of the shape keys is being tweaked; leave that (Tab in the NLA editor).")
    if data.action is not None:
        _push_down(data)
    action = bpy.data.actions.new(f"KMTalk {obj.name}")
    compat.set_action(data, action, keys.name)
    return action


def write(
    obj: bpy.types.Object, action: bpy.types.Action, names: Mapping[str, str], line: Line, animation: Animation
) -> None:
    """Put `animation` on the shape keys `names` (control → name) from `line.first_frame` on.

    Replaces all keyframes between the line's first and last frame, and no other ones.
    """
    frames, values, types = _columns(line, animation)
    holder = compat.channels(action, compat.action_slot(obj.data.shape_keys.animation_data))
    curves = {curve.data_path: curve for curve in holder.fcurves}
    for column, control in enumerate(animation.control_names):
        if control not in names:
            continue
        path = obj.data.shape_keys.key_blocks[names[control]].path_from_id("value")
        curve = curves.get(path) or _new_curve(holder, path, control)
        _replace(curve, line, frames, values[:, column], types)
    obj.data.shape_keys.update_tag()


def read(
    obj: bpy.types.Object,
    action: bpy.types.Action,
    names: Mapping[str, str],
    line: Line,
    animation: Animation,
    shift: float = 0.0,
) -> KeyMotions:
    """The key motions as the animator left them; `shift` frames later than where they were written.

    A control without an F-curve keeps its poses in `animation`. Raises InputError if no key is left.
    """
    first, last = line.first_frame + shift, line.last_frame + shift
    curves = _curves(obj, action, names)
    points = {control: _points(curve) for control, curve in curves.items()}
    written = _columns(line, animation)
    marked = [np.zeros(0)]
    for column, control in enumerate(animation.control_names):
        if control in points:
            marked.append(_edited(*points[control], written[0] + shift, written[1][:, column], written[2]))
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


def count_marked_at(
    obj: bpy.types.Object, action: bpy.types.Action, names: Mapping[str, str], frames: np.ndarray
) -> int:
    """How many of `frames` bear a key motion on some channel."""
    marked = [xy[kinds != GENERATED, 0] for xy, kinds in map(_points, _curves(obj, action, names).values())]
    return int(
        np.isin(np.rint(frames / SAME_FRAME), np.rint(np.concatenate([np.zeros(0), *marked]) / SAME_FRAME)).sum()
    )


def lie_shifted(
    obj: bpy.types.Object,
    action: bpy.types.Action,
    names: Mapping[str, str],
    line: Line,
    animation: Animation,
    shift: float,
) -> bool:
    """Whether the animator has moved the keyframes of a line `shift` frames from where they were written."""
    frames = key_frames(line, animation)
    return bool(shift) and count_marked_at(obj, action, names, frames + shift) > count_marked_at(
        obj, action, names, frames
    )


def sample(
    obj: bpy.types.Object,
    action: bpy.types.Action,
    names: Mapping[str, str],
    line: Line,
    animation: Animation,
    shift: float = 0.0,
) -> np.ndarray:
    """(T, C) float32: what the curves show on every frame of the line, edits included, in the order of `animation`.

    A control without an F-curve is as in `animation`.
    """
    frames = line.first_frame + shift + np.arange(len(animation.times), dtype=np.float64)
    out = animation.controls.astype(np.float32)
    for control, curve in _curves(obj, action, names).items():
        if control in animation.control_names:
            out[:, animation.control_names.index(control)] = _values(curve, _points(curve)[0], frames)
    return out


def key_frames(line: Line, animation: Animation) -> np.ndarray:
    """(m,) frames of the scene on which the key motions lie."""
    return np.round(line.first_frame + animation.keys.times * line.frames_per_second_of_sound, 4)


def clear(obj: bpy.types.Object, action: bpy.types.Action, names: Mapping[str, str], line: Line) -> None:
    """Delete all keyframes of the line."""
    for curve in _curves(obj, action, names).values():
        _replace(curve, line, np.zeros(0), np.zeros(0), np.zeros(0))


def _columns(line: Line, animation: Animation) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Frames (n,), values (n, C) and keyframe types (n,): every frame of the motion, and the key motions in between."""
    inside = _inside(line, key_frames(line, animation))
    at_keys = key_frames(line, animation)[inside]
    completed = line.first_frame + np.arange(len(animation.times))
    free = (_nearest(at_keys, completed)[1] > SAME_FRAME) & (completed <= line.last_frame)
    frames = np.concatenate([completed[free], at_keys])
    values = np.concatenate([animation.controls[free], animation.keys.controls[inside]])
    types = np.repeat([GENERATED, KEYFRAME], [free.sum(), len(at_keys)])
    order = np.argsort(frames, kind="stable")
    return frames[order], values[order], types[order]


def _inside(line: Line, frames: np.ndarray) -> np.ndarray:
    """Which of `frames` lie within the line."""
    return (frames >= line.first_frame - SAME_FRAME) & (frames <= line.last_frame + SAME_FRAME)


def _edited(
    xy: np.ndarray, types: np.ndarray, frames: np.ndarray, values: np.ndarray, written_types: np.ndarray
) -> np.ndarray:
    """Frames of the key motions of a channel that has the keyframes `xy` (n, 2) of `types`; the rest is as written."""
    place, at_its_place = np.arange(len(xy)), np.ones(len(xy), bool)
    if len(xy) != len(frames) or (np.abs(xy[:, 0] - frames) > SAME_FRAME).any():
        place, distance = _nearest(frames, xy[:, 0])
        at_its_place = distance <= SAME_FRAME
    changed = ~at_its_place | (np.abs(xy[:, 1] - values[place]) > SAME_VALUE)
    marked, keys = types != GENERATED, written_types != GENERATED
    # Where keys were slid or scaled in time, their GENERATED neighbours came along: a value that was written, only
    # elsewhere, tells nothing there.
    elsewhere = marked & ~(at_its_place & keys[place])
    if elsewhere.any() and np.isin(xy[elsewhere, 1], values[keys]).any():
        changed &= ~np.isin(xy[:, 1], values)
    return xy[marked | changed, 0]


def _replace(curve: bpy.types.FCurve, line: Line, frames: np.ndarray, values: np.ndarray, types: np.ndarray) -> None:
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


def _revalued(curve: bpy.types.FCurve, line: Line, frames: np.ndarray, values: np.ndarray, types: np.ndarray) -> bool:
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
    points = curve.keyframe_points
    frames = _points(curve)[0][:, 0]
    outside = (frames < first - SAME_FRAME) | (frames > last + SAME_FRAME)
    if not outside.any():
        return {}
    kept = {}
    for name, (kind, width) in _FIELDS.items():
        flat = np.empty(len(points) * width, kind)
        points.foreach_get(name, flat)
        kept[name] = flat.reshape(len(points), width)[outside]
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


def _times(offsets: np.ndarray, line: Line, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Frames after the first one → seconds of sound, and which of the `known` times each is (-1: none).

    A key that was not moved gets the very time that it had, so that nothing is taken for an edit that is none.
    """
    rate = line.frames_per_second_of_sound
    nearest, distance = _nearest(known * rate, offsets)
    same = distance <= SAME_FRAME
    times = offsets / rate
    times[same] = known[nearest[same]]
    return times, np.where(same, nearest, -1)


def _nearest(ascending: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
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
    holder = compat.channels(action, compat.action_slot(obj.data.shape_keys.animation_data))
    by_path = {curve.data_path: curve for curve in holder.fcurves if len(curve.keyframe_points)}
    blocks = obj.data.shape_keys.key_blocks
    found = {control: by_path.get(blocks[name].path_from_id("value")) for control, name in names.items()}
    return {control: curve for control, curve in found.items() if curve is not None}


def _new_curve(holder: Any, path: str, control: str) -> bpy.types.FCurve:
    curve = holder.fcurves.new(path, index=0)
    title = next(title for title, beginning in GROUPS.items() if control.startswith(beginning))
    curve.group = holder.groups.get(title) or holder.groups.new(title)
    return curve


def _push_down(data: bpy.types.AnimData) -> None:
    action, slot = data.action, compat.action_slot(data)
    track = data.nla_tracks.new()
    track.name = action.name
    first = action.frame_range[0]
    strip = track.strips.new(action.name, int(first), action)
    strip.frame_start_ui = first  # may lie between two frames; moves the strip's end along
    compat.set_strip_slot(strip, slot)
    # Before and after KMTalk's keyframes the other animation has the face to itself.
    data.action_extrapolation = "NOTHING"
