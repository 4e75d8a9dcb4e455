"""Key motions alone, for editing: *Show Completed Keys* off.

What plays stays bit for bit as it is, for it is the line's own Action that plays. The dope sheet and the graph editor
show another one, the view, with its key motions alone, on a muted NLA track above all; so they do on the rig that the
line keys. What is done there is done to the line at once, by comparing the view with how it was drawn; so is taking it
back.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass, replace

import bpy
import numpy as np

from kmtalk_core.bezier import BezierCurve
from kmtalk_core.files import load_npz

from . import clips, compat, drawing, keyframes, rig_keys
from .drawing import GENERATED, SAME_FRAME, SAME_VALUE, Touched, nearest
from .keyframes import AUTO_CLAMPED, BEZIER, Fields

HANDLES = ("handle_left", "handle_right")

Keyed = Mapping[str, Fields]  # where a curve is (`keyframes.by_place`) → all that its keyframes consist of
Gains = Mapping[str, float]  # where the line keys a rig → what a whole step of a control is on that curve


@dataclass(frozen=True)
class _Before:
    """The `view` as it was drawn last, and the `line` then."""

    view: Keyed
    line: Keyed

    def packed(self) -> bytes:
        """For `of`."""
        arrays = {}
        for name, keyed in vars(self).items():
            arrays[f"{name}/paths"] = np.array(list(keyed), dtype=str)
            arrays[f"{name}/counts"] = np.array([len(fields["co"]) for fields in keyed.values()], np.int64)
            for field in keyframes.FIELDS if keyed else ():
                arrays[f"{name}/{field}"] = np.concatenate([fields[field] for fields in keyed.values()])
        file = io.BytesIO()
        np.savez(file, **arrays)
        return file.getvalue()

    @classmethod
    def of(cls, packed: bytes) -> _Before:
        """What a view remembers."""
        z, found = load_npz(io.BytesIO(packed)), {}
        for name in ("view", "line"):
            paths, ends = z[f"{name}/paths"].tolist(), np.cumsum(z[f"{name}/counts"])[:-1]
            pieces = {field: np.split(z[f"{name}/{field}"], ends) for field in keyframes.FIELDS if paths}
            found[name] = {path: {f: pieces[f][i] for f in pieces} for i, path in enumerate(paths)}
        return cls(**found)


def new_view(keys: bpy.types.Key, action: bpy.types.Action) -> bpy.types.Action:
    """A view of a line, to be tweaked (`clips.tweak`)."""
    view = bpy.data.actions.new(f"{action.name} (Key Motions)")
    compat.slot_for_keys(view, keys.name)
    compat.keep_pointers(view, clips.HOLDS)
    view.kmtalk_views.add().line_id = clips.take_of(action).line_id
    _draw(keys, view, action)
    return view


def put_away(keys: bpy.types.Key) -> None:
    """Show no keyframes of the head's lines for editing any more."""
    take_over(keys)
    clips.leave_tweak(keys)


def redraw(keys: bpy.types.Key) -> None:
    """Let a view show the key motions of its line as they are now."""
    view = clips.view_on(keys)
    if view is None:
        return
    line = clips.viewed(view).line_id
    action = next((action for action in clips.playing(keys) if clips.take_of(action).line_id == line), None)
    if action is not None:
        _draw(keys, view, action)


def take_over(keys: bpy.types.Key | None) -> None:
    """Do to a line what was done in its view."""
    view = clips.view_on(keys)
    action = clips.viewed(view).of if view is not None else None
    if action is None or action.library is not None:
        return
    rig = _gains(keys, action)
    known, line = clips.viewed(view), _keyed(action, rig)
    if _digest(line) != known.seen:  # something else has written the line: it counts
        redraw(keys)
        return
    curves = keyframes.by_place(action)
    for path, (shown, _) in keyframes.by_place(view).items():
        if path in curves:
            _set_muted(curves[path][0], shown)
    now = _keyed(view, rig)
    if (digest := _digest(now)) == known.taken:
        return
    before = _Before.of(known.before)
    changed = False
    for path in before.view.keys() | before.line.keys() | now.keys() | line.keys():
        was = before.line.get(path)
        wanted = _edits(before.view.get(path), now.get(path), rig.get(path, 1.0))
        curve, holder = curves.get(path, (None, None))
        if wanted is None:
            if was is None and path in line:
                holder.fcurves.remove(curve)
                changed = True
            elif was is not None and (path not in line or not _same_bits(was, line[path])):
                keyframes.put(curve or _curve_like(action, view, path), was)
                changed = True
            continue
        done = wanted.done_to(was)
        if path not in line or not _same_keys(done, line[path]):
            curve = curve or _curve_like(action, view, path)
            keyframes.put(curve, done)
            curve.update()
            changed = True
    known.taken = digest
    if changed:
        known.seen = _digest(_keyed(action, rig))
        action.update_tag()
        keys.update_tag()
        for item in keys.kmtalk.rigs:
            if item.block is not None:
                item.block.update_tag()


@dataclass(frozen=True)
class _Edits:
    """What was done to a curve of the view: keyframes that were `put` there, the frames of those that are `gone`, and
    where it was `bent` by its handles: frames (b,) and by how much (b,)."""

    put: Fields
    gone: np.ndarray
    bent: np.ndarray
    by: np.ndarray

    def done_to(self, was: Fields | None) -> Fields:
        """The keyframes of the line's curve, with it."""
        if was is None:
            return {name: values.copy() for name, values in self.put.items()}
        stays = nearest(np.sort(self.gone), was["co"][:, 0])[1] > SAME_FRAME
        line = {name: values[stays] for name, values in was.items()}
        bezier = _bezier(was)
        for frame, by in zip(self.bent, self.by, strict=True):
            value = bezier.at(np.array([frame]))[0] if bezier is not None else np.interp(frame, *was["co"].T)
            line = _with_key(line, _new_key(self.put, frame, value + by))
        for index in range(len(self.put["co"])):
            line = _with_key(line, {name: values[index : index + 1] for name, values in self.put.items()})
        return line


def _edits(before: Fields | None, now: Fields | None, gain: float) -> _Edits | None:
    """What was done to a curve of the view; None: nothing. `gain`: what a whole step of a control is on it."""
    if before is None and now is None:
        return None
    nothing = {name: np.zeros((0, width), kind) for name, (kind, width) in keyframes.FIELDS.items()}
    old, new = before or nothing, now or nothing
    place, distance = nearest(old["co"][:, 0], new["co"][:, 0])
    same = distance <= SAME_FRAME
    same[same] = (np.abs(old["co"][place[same], 1] - new["co"][same, 1]) <= SAME_VALUE) & (
        old["type"][place[same], 0] == new["type"][same, 0]
    )
    gone = old["co"][nearest(new["co"][:, 0], old["co"][:, 0])[1] > SAME_FRAME, 0]
    bent, by = _bent(old, new, gain)
    if same.all() and not len(gone) and not len(bent):
        return None
    return _Edits({name: values[~same] for name, values in new.items()}, gone, bent, by)


def _bent(old: Fields, new: Fields, gain: float) -> tuple[np.ndarray, np.ndarray]:
    """Where handles that the user has turned took a curve of the view farthest from where it was, and how far."""
    was, curve = _bezier(old, gain), _bezier(new, gain)
    nothing = np.zeros(0), np.zeros(0)
    if was is None or curve is None:
        return nothing
    by_hand = np.any([new[f"{name}_type"][:, 0] != AUTO_CLAMPED for name in HANDLES], axis=0)
    touched = Touched.of(was, curve)
    frames = replace(touched, turned=touched.turned & by_hand).bent(np.zeros(0))
    return (frames, gain * (curve.at(frames) - was.at(frames))) if len(frames) else nothing


def _bezier(fields: Fields, gain: float = 1.0) -> BezierCurve | None:
    if not len(fields["co"]) or (fields["interpolation"] != BEZIER).any() or (np.diff(fields["co"][:, 0]) <= 0).any():
        return None
    return BezierCurve(*(fields[name].astype(np.float64) / [1.0, gain] for name in ("co", *HANDLES)))


def _with_key(line: Fields, key: Fields) -> Fields:
    """A curve's keyframes with one more; one that is there already is taken along, handles and all."""
    at = int(np.searchsorted(line["co"][:, 0], key["co"][0, 0] - SAME_FRAME))
    if at < len(line["co"]) and abs(line["co"][at, 0] - key["co"][0, 0]) <= SAME_FRAME:
        there = {name: values.copy() for name, values in line.items()}
        by = key["co"][0, 1] - there["co"][at, 1]
        for name in ("co", *HANDLES):
            there[name][at, 1] += by
        there["co"][at], there["type"][at] = key["co"][0], key["type"][0]
        return there
    return {name: np.insert(values, at, key[name], axis=0) for name, values in line.items()}


def _new_key(like: Fields, frame: float, value: float) -> Fields:
    """A key motion as the user would have put it there."""
    key = {name: np.zeros((1, values.shape[1]), values.dtype) for name, values in like.items()}
    for name in ("co", *HANDLES):
        key[name][0] = frame, value
    for name in HANDLES:
        key[f"{name}_type"][:] = AUTO_CLAMPED
    key["interpolation"][:], key["type"][:] = BEZIER, drawing.KEYFRAME
    for name, usual in keyframes.USUAL.items():
        key[name][:] = usual
    return key


def _draw(keys: bpy.types.Key, view: bpy.types.Action, action: bpy.types.Action) -> None:
    """Put the key motions of a line on the curves of a view; keyframes that stay where they are stay selected."""
    rig = _gains(keys, action)
    known_as = {slot.identifier for slot in compat.slots_beside(view)}
    for slot in compat.slots_beside(action):  # called as those of the line
        if slot.identifier not in known_as:
            view.slots.new(id_type=slot.target_id_type, name=slot.name_display)
    curves = {path: pair for path, pair in keyframes.by_place(view).items() if _is_lines(path, rig)}
    line, wanted = _keyed(action, rig), {}
    for path, fields in line.items():
        own = {name: values[fields["type"][:, 0] != GENERATED] for name, values in fields.items()}
        if len(own["co"]):
            wanted[path] = own
    for path in curves.keys() - wanted.keys():
        curve, holder = curves.pop(path)
        holder.fcurves.remove(curve)
    for path, own in wanted.items():
        curve = curves[path][0] if path in curves else None
        if curve is not None and _same_keys(own, keyframes.all_of(curve)):
            continue
        curve = curve or _curve_like(view, action, path)
        for name in HANDLES:
            own[f"{name}_type"] = np.full_like(own[f"{name}_type"], AUTO_CLAMPED)
        keyframes.stay_selected(own, keyframes.all_of(curve))
        keyframes.put(curve, own)
        curve.update()
    shown = keyframes.by_place(view)
    for path, (curve, _) in keyframes.by_place(action).items():
        if path in shown:
            _set_muted(shown[path][0], curve)
    known = clips.viewed(view)
    drawn = _keyed(view, rig)
    known.of, known.before, known.seen, known.taken = (
        action,
        _Before(drawn, line).packed(),
        _digest(line),
        _digest(drawn),
    )
    view.update_tag()


def _gains(keys: bpy.types.Key, action: bpy.types.Action) -> Gains:
    """Where a line keys the rig of a head. What the user keys there beside it is none of the line's."""
    places = rig_keys.places_in(action, rig_keys.on(keys)).values()
    return {keyframes.place_of(place.slot, place.path, place.index): place.gain for place in places}


def _is_lines(path: str, rig: Gains) -> bool:
    return keyframes.BESIDE not in path or path in rig


def _set_muted(curve: bpy.types.FCurve, like: bpy.types.FCurve) -> None:
    if curve.mute != like.mute:
        curve.mute = like.mute


def _curve_like(action: bpy.types.Action, other: bpy.types.Action, path: str) -> bpy.types.FCurve:
    """A new curve of an Action, in the group that it has in another one."""
    like, _ = keyframes.by_place(other).get(path, (None, None))
    curve, holder = keyframes.new_curve_at(action, path)
    if like is not None:
        curve.extrapolation = like.extrapolation
        if like.group is not None:
            curve.group = holder.groups.get(like.group.name) or holder.groups.new(like.group.name)
    return curve


def _keyed(action: bpy.types.Action, rig: Gains) -> Keyed:
    """The keyframes of an Action; while some are dragged, they may be out of order."""
    found = {}
    for path, (curve, _) in keyframes.by_place(action).items():
        if not _is_lines(path, rig):
            continue
        fields = keyframes.all_of(curve)
        if (np.diff(fields["co"][:, 0]) < 0).any():
            order = np.argsort(fields["co"][:, 0], kind="stable")
            fields = {name: values[order] for name, values in fields.items()}
        if len(fields["co"]):
            found[path] = fields
    return found


def _digest(keyed: Keyed) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for path, fields in keyed.items():
        digest.update(path.encode())
        for name in ("co", *HANDLES, "type"):
            digest.update(fields[name].tobytes())
    return digest.hexdigest()


def _same_bits(one: Fields, other: Fields) -> bool:
    return all(np.array_equal(one[name], other[name]) for name in one)


def _same_keys(one: Fields, other: Fields) -> bool:
    """Whether these are the same keyframes, whatever their handles are, which Blender turns by itself."""
    return np.array_equal(one["co"], other["co"]) and np.array_equal(one["type"], other["type"])
