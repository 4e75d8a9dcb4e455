"""What keeps a face from showing what lies on its shape keys: mutes, the pin, and locks that somebody has set."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import bpy

from . import compat


def hindrances(obj: bpy.types.Object, names: Collection[str]) -> tuple[str, ...]:
    """A sentence for each thing that hides some of the shape keys `names` of the mesh `obj`, or all of them."""
    keys = obj.data.shape_keys
    if keys is None:
        return ()
    found = []
    blocks = keys.key_blocks
    if obj.show_only_shape_key and (shown := obj.active_shape_key) is not None:
        found.append(
            f"{obj.name} shows its shape key {shown.name} alone; switch off the pin below the list of shape keys."
        )
    if muted := [name for name in names if blocks[name].mute]:
        found.append(f"{obj.name} has muted shape keys ({_few(muted)}); switch them on in the list of shape keys.")
    paths = {blocks[name].path_from_id("value"): name for name in names}
    curves = [curve for action in _played(keys) for curve in compat.all_fcurves(action) if curve.data_path in paths]
    if muted := [paths[curve.data_path] for curve in curves if curve.mute or (curve.group and curve.group.mute)]:
        found.append(f"The curves of {_few(muted)} are muted; switch them on in the Graph Editor.")
    if locked := [paths[curve.data_path] for curve in curves if curve.lock or (curve.group and curve.group.lock)]:
        found.append(f"The curves of {_few(locked)} are locked against editing; KMTalk writes them all the same.")
    return (*found, *_of_tracks(keys))


def _played(keys: bpy.types.Key) -> Iterator[bpy.types.Action]:
    """KMTalk's own Actions that `keys` play."""
    data = keys.animation_data
    if data is None:
        return
    actions = [data.action, *(strip.action for track in data.nla_tracks for strip in track.strips)]
    seen = set()
    for action in actions:
        if action is not None and action.name not in seen and _is_active(action):
            seen.add(action.name)
            yield action


def _of_tracks(keys: bpy.types.Key) -> Iterator[str]:
    """What the NLA keeps from playing."""
    data = keys.animation_data
    own = [
        (track, strip)
        for track in (data.nla_tracks if data is not None else ())
        for strip in track.strips
        if strip.action is not None and _is_active(strip.action)
    ]
    if not own:
        return
    if not data.use_nla:
        yield "The NLA of the shape keys is switched off; switch on its tracks in the NLA Editor."
    if any(track.mute for track, _ in own):
        yield "An NLA track with lip sync is muted; unmute it in the NLA Editor."
    elif any(strip.mute for _, strip in own):
        yield "An NLA strip with lip sync is muted; unmute it in the NLA Editor (H)."
    solo = next((track for track in data.nla_tracks if track.is_solo), None)
    if solo is not None and all(track != solo for track, _ in own):
        yield f"Only the NLA track {solo.name} plays; switch off its star in the NLA Editor."


def _is_active(action: bpy.types.Action) -> bool:
    """Whether it is of KMTalk's and meant to play; other takes of a line are muted on purpose."""
    return any(getattr(take, "active", True) for take in action.kmtalk_takes)


def _few(names: list[Any]) -> str:
    """The first of the names, and how many more there are."""
    names = list(dict.fromkeys(names))
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
