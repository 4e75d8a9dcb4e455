"""The NLA of a rig whose properties lines key: its strips lie as those of the shape keys do, from which they follow.

Below them, one strip holds what lines move as it was before, wherever no line plays.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import bpy

from . import compat
from .laid import Laid, Worn, add, as_is, influence_of, lay_view, same, views

TRACK = "KMTalk"
ADDED = {"ADD": "COMBINE"}  # how quaternions, and whatever rests at 1, are added


def is_free(block: bpy.types.ID, path: str, index: int = -1) -> bool:
    """Whether nobody animates or drives the property at `path` of `block`, all components or one, but KMTalk."""
    data = block.animation_data
    if data is None:
        return True
    if any(curve.data_path == path and index in (-1, curve.array_index) for curve in data.drivers):
        return False
    played = [(data.action, compat.action_slot(data))]
    played += [(strip.action, compat.strip_slot(strip)) for track in data.nla_tracks for strip in track.strips]
    return not any(path in compat.played_paths(a, s) for a, s in played if a is not None and not _is_own(a))


def can_be_keyed(block: bpy.types.ID) -> bool:
    """Whether lines can have keyframes on `block`: before 4.4 an Action is of one data-block only."""
    return compat.SLOTTED_ACTIONS and block.library is None and block.id_type in compat.SLOT_PREFIX


def mirror(keys: bpy.types.Key, laid: Iterable[tuple[bpy.types.NlaTrack, bpy.types.NlaStrip]]) -> None:
    """Let the rigs of a head play what its shape keys play, `laid`, in the same order."""
    if not len(keys.kmtalk.rigs):
        return
    strips = list(laid)
    for block, rest in _rigs(keys):
        data = block.animation_data or block.animation_data_create()
        wanted: list[list[tuple[Any, ...]]] = []
        last = None
        for track, strip in strips:
            slot = next((s for s in compat.slots_beside(strip.action) if _plays(strip.action, s, block)), None)
            if slot is None:
                continue
            if track != last:
                wanted.append([])
            last = track
            blend = ADDED.get(strip.blend_type, strip.blend_type)
            wanted[-1].append((strip.action, slot, as_is(strip), Worn(blend, strip.mute, influence_of(strip))))
        own = _own_tracks(data, keys, rest)
        if not _are(own, wanted):
            _leave(block, rest)
            for track in own:
                data.nla_tracks.remove(track)
            for number, row in enumerate(wanted):
                track = data.nla_tracks.new()
                track.name = TRACK if not number else f"{TRACK} {number + 1}"
                for action, slot, at, worn in row:
                    add(track, action, slot, at, worn)
        block.update_tag()


def tweak(
    keys: bpy.types.Key, action: bpy.types.Action, always: bool = False, view: bpy.types.Action | None = None
) -> None:
    """Show the keyframes of a line, or a `view` of it, on the rigs for editing too; unless `always`, where that hides
    nothing else."""
    for block, rest in _rigs(keys):
        data = block.animation_data
        if data is None or not (always or _hides_nothing(data, keys, rest)):
            continue
        if block.override_library is not None:  # its file would not keep it right
            continue
        _leave(block, rest)
        data.use_tweak_mode = False
        if view is not None:
            _lay_view(data, action, view)
        for track in data.nla_tracks:
            track.select = False
            for strip in track.strips:
                strip.select = strip.action == (view or action)
                if strip.select:
                    track.select = True
                    data.nla_tracks.active = track
        if data.nla_tracks.active is not None and data.nla_tracks.active.select:
            data.use_tweak_mode = True


def leave_tweak(keys: bpy.types.Key) -> None:
    """The inverse of `tweak`."""
    for block, rest in _rigs(keys):
        _leave(block, rest)
    drop_views(keys)


def drop_views(keys: bpy.types.Key) -> None:
    """Take views of lines off the rigs."""
    for block, rest in _rigs(keys):
        data = block.animation_data
        if data is None:
            continue
        if data.action is not None and len(data.action.kmtalk_views):
            _leave(block, rest)
        for track, _ in list(views(data)):
            data.nla_tracks.remove(track)


def is_tweaked(keys: bpy.types.Key) -> bool:
    """Whether the keyframes of a line are shown for editing on a rig."""
    return any(block.animation_data is not None and _tweaks_own(block.animation_data) for block, _ in _rigs(keys))


def hold(block: bpy.types.ID, rest: bpy.types.Action, span: tuple[float, float]) -> None:
    """Play `rest` on all frames of `span`, below all lines of the rig."""
    data = block.animation_data or block.animation_data_create()
    if any(strip.action == rest for track in data.nla_tracks for strip in track.strips):
        return
    track = data.nla_tracks.new()
    track.name = rest.name
    add(track, rest, compat.slot_for(rest, block), Laid(span[0], *span, 1.0, 0.0, 0.0), Worn("REPLACE"))


def release(block: bpy.types.ID, keys: bpy.types.Key, rest: bpy.types.Action | None) -> None:
    """Take all tracks of a head off a rig."""
    data = block.animation_data
    if data is None:
        return
    _leave(block, rest)
    for track in [*_own_tracks(data, keys, rest), *_tracks_of(data, rest)]:
        data.nla_tracks.remove(track)
    if data.action is None and not len(data.nla_tracks) and not len(data.drivers):
        block.animation_data_clear()


def _rigs(keys: bpy.types.Key) -> Iterator[tuple[bpy.types.ID, bpy.types.Action | None]]:
    for item in keys.kmtalk.rigs:
        if item.block is not None and can_be_keyed(item.block):
            yield item.block, item.rest


def _is_own(action: bpy.types.Action) -> bool:
    """Whether it is a line's or a view of one, or holds what lines move."""
    if len(action.kmtalk_takes) or len(action.kmtalk_views):
        return True
    return any(item.rest == action for keys in bpy.data.shape_keys for item in keys.kmtalk.rigs)


def _plays(action: bpy.types.Action, slot: Any, block: bpy.types.ID) -> bool:
    """Whether a slot of a line's is for `block`, and has curves."""
    bag = compat.bag_of(action, slot)
    return compat.is_for(slot, block) and bag is not None and len(bag.fcurves) > 0


def _own_tracks(
    data: bpy.types.AnimData, keys: bpy.types.Key, rest: bpy.types.Action | None
) -> list[bpy.types.NlaTrack]:
    """The tracks of a head's lines; a strip whose Action is gone was one of a line."""
    own, shown = {item.action for item in keys.kmtalk.actions} | {None}, {track for track, _ in views(data)}
    if keys.animation_data is not None:
        own |= {strip.action for track in keys.animation_data.nla_tracks for strip in track.strips}
    return [
        track
        for track in data.nla_tracks
        if track.name.startswith(TRACK)
        and len(track.strips)
        and all(s.action in own for s in track.strips)
        and track not in shown
    ]


def _tracks_of(data: bpy.types.AnimData, rest: bpy.types.Action | None) -> list[bpy.types.NlaTrack]:
    return [track for track in data.nla_tracks if rest is not None and any(s.action == rest for s in track.strips)]


def _are(tracks: list[bpy.types.NlaTrack], wanted: list[list[tuple[Any, ...]]]) -> bool:
    """Whether tracks hold these strips already."""
    if len(tracks) != len(wanted):
        return False
    for track, row in zip(tracks, wanted, strict=True):
        if len(track.strips) != len(row):
            return False
        for strip, (action, _, laid, worn) in zip(track.strips, row, strict=True):
            now = Worn(strip.blend_type, strip.mute, influence_of(strip))
            if strip.action != action or not same(as_is(strip), laid) or now != worn:
                return False
    return True


def _tweaks_own(data: bpy.types.AnimData) -> bool:
    action = data.action if data.use_tweak_mode else None
    return action is not None and bool(len(action.kmtalk_takes) or len(action.kmtalk_views))


def _lay_view(data: bpy.types.AnimData, action: bpy.types.Action, view: bpy.types.Action) -> None:
    """Lay a view of a line above all on a rig that the line keys."""
    like = next((s for track in data.nla_tracks for s in track.strips if s.action == action), None)
    named = compat.strip_slot(like).identifier if like is not None and compat.strip_slot(like) is not None else None
    slot = next((slot for slot in compat.slots_beside(view) if slot.identifier == named), None)
    if slot is not None:
        lay_view(data, view, slot, like)


def _leave(block: bpy.types.ID, rest: bpy.types.Action | None) -> None:
    """Show no line's keyframes on a rig any more. What else was keyed meanwhile goes to the rig's own Action."""
    data = block.animation_data
    if data is None or not _tweaks_own(data):
        return
    action, slot = data.action, compat.action_slot(data)
    data.use_tweak_mode = False
    bag = compat.bag_of(action, slot)
    own = {(c.data_path, c.array_index) for c in compat.channels(rest, compat.slot_for(rest, block)).fcurves}
    others = [curve for curve in bag.fcurves if (curve.data_path, curve.array_index) not in own]
    strip = next((s for track in data.nla_tracks for s in track.strips if s.action == action), None)
    if not others or strip is None:
        return
    if data.action is None:
        compat.set_action(data, new := bpy.data.actions.new(f"{block.name}Action"), compat.slot_for(new, block))
    theirs = compat.channels(data.action, compat.action_slot(data)).fcurves
    for curve in others:
        target = theirs.find(curve.data_path, index=curve.array_index)
        target = target or theirs.new(curve.data_path, index=curve.array_index)
        for point in curve.keyframe_points:
            frame = strip.frame_start + (point.co[0] - strip.action_frame_start) * strip.scale
            target.keyframe_points.insert(frame, point.co[1]).interpolation = point.interpolation
        bag.fcurves.remove(curve)


def _hides_nothing(data: bpy.types.AnimData, keys: bpy.types.Key, rest: bpy.types.Action | None) -> bool:
    """Whether editing a line's keyframes hides nothing of the user's: the active Action, and tracks above."""
    if data.action is not None and not _tweaks_own(data):
        return False
    own, above = _own_tracks(data, keys, rest), False
    shown = {track for track, _ in views(data)}
    for track in data.nla_tracks:
        if track in shown:
            continue
        above = above or track in own
        if above and track not in own and len(track.strips):
            return False
    return bool(own)
