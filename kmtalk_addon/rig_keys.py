"""Lines key a rig: its bones and custom properties get curves in the line's Action, in a slot of the rig's own.

Which properties a head's lines key, and how far each goes with which control, is noted on its shape keys. What the rig
holds beside lines is in an Action too, whose curves Blender keeps right when bones are renamed: they tell where a
channel is now. A line's own motion of them is drawn and read back as that of shape keys is (see `faces`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import bpy
import numpy as np

from . import clips, compat, rig_tracks
from .keyframes import NOWHERE, Place, Places
from .rig_channels import Channel, Channels


@dataclass(frozen=True)
class Wanted:
    """A property that a head's lines are to key: components `indices` (-1: it has none) of `path` from `block` on."""

    block: bpy.types.ID
    path: str
    indices: tuple[int, ...]
    group: str
    channel: Channel


@dataclass(frozen=True)
class Rigged:
    """What lines of a head key of its rig."""

    channels: Channels
    wanted: tuple[Wanted, ...]

    def places(self, action: bpy.types.Action, make: bool = False) -> dict[str, Place]:
        """Where the components are in a line's Action, those without a slot left out unless it is to be made."""
        found, names = {}, iter(self.channels.names)
        slots: dict[Any, Any] = {}
        for one in self.wanted:
            if one.block not in slots:
                own = (slot for slot in action.slots if compat.is_for(slot, one.block))
                slots[one.block] = compat.slot_for(action, one.block) if make else next(own, None)
            for index, base in zip(one.indices, one.channel.base, strict=True):
                name = next(names)
                if slots[one.block] is not None:
                    gain = one.channel.gain
                    found[name] = Place(slots[one.block], one.path, max(index, 0), one.group, base, gain)
        return found


def on(keys: bpy.types.Key | None) -> Rigged | None:
    """What the lines of a head key of its rig; None if nothing."""
    if keys is None or not len(keys.kmtalk.rigs):
        return None
    channels, wanted = {}, []
    for item in keys.kmtalk.rigs:
        if item.block is None or item.rest is None or not rig_tracks.can_be_keyed(item.block):
            continue
        curves = list(_curves(item))
        for row in json.loads(item.channels):
            own = [curves.pop(0) for _ in row["indices"]] if len(curves) >= len(row["indices"]) else []
            if not own:
                continue
            base = tuple(float(np.float32(curve.keyframe_points[0].co[1])) for curve in own)
            moves = np.array(row["moves"]).reshape(len(row["sources"]), -1)
            channel = Channel(row["control"], tuple(row["sources"]), moves, base, row["mode"])
            channels[row["first"]] = channel
            path = own[0].data_path
            wanted.append(Wanted(item.block, path, tuple(row["indices"]), _group(path), channel))
    return Rigged(Channels(channels), tuple(wanted)) if channels else None


def places_in(action: bpy.types.Action, rigged: Rigged | None, make: bool = False) -> Places:
    """As `Rigged.places`, of a head whose lines may key nothing of a rig."""
    return rigged.places(action, make) if rigged is not None else NOWHERE


def note(keys: bpy.types.Key, wanted: Sequence[Wanted]) -> None:
    """Let lines of these shape keys key these properties from now on."""
    known = on(keys)
    have = {(one.block, one.path, one.indices) for one in known.wanted} if known is not None else set()
    first = 1 + max((n + len(c.base) for n, c in known.channels.of.items()), default=0) if known is not None else 0
    for one in wanted:
        if (one.block, one.path, one.indices) in have:
            continue
        compat.keep_pointers(keys, clips.HOLDS)
        item = next((item for item in keys.kmtalk.rigs if item.block == one.block), None)
        if item is None:
            item = keys.kmtalk.rigs.add()
            item.block, item.rest, item.channels = one.block, bpy.data.actions.new(clips.REST), "[]"
        holder = compat.channels(item.rest, compat.slot_for(item.rest, one.block))
        for index, base in zip(one.indices, one.channel.base, strict=True):
            curve = holder.fcurves.new(one.path, index=max(index, 0))
            curve.keyframe_points.insert(clips.EVER[0], base)
        rows = json.loads(item.channels)
        channel = one.channel
        rows.append(
            {
                "first": first, "control": channel.control, "sources": list(channel.sources), "mode": channel.mode,
                "moves": channel.moves.tolist(), "indices": list(one.indices),
            }
        )  # fmt: skip
        item.channels = json.dumps(rows)
        first += len(channel.base)
        rig_tracks.hold(one.block, item.rest, clips.EVER)


def detach(keys: bpy.types.Key) -> None:
    """Let lines key a rig no more; it is as it was before."""
    known = on(keys)
    for item in keys.kmtalk.rigs:
        if item.block is not None and item.block.library is None:
            rig_tracks.release(item.block, keys, item.rest)
    for one in known.wanted if known is not None else ():
        for index, value in zip(one.indices, one.channel.base, strict=True):
            _set(one.block, one.path, index, value)
    rests = [item.rest for item in keys.kmtalk.rigs if item.rest is not None]
    keys.kmtalk.property_unset("rigs")
    for rest in rests:
        if not rest.users:
            bpy.data.actions.remove(rest)


def hidden(keys: bpy.types.Key) -> list[str]:
    """What of a rig the line cannot show, as the rig's own Action moves it since, in sentences."""
    known = on(keys)
    by_block: dict[Any, list[str]] = {}
    for one in known.wanted if known is not None else ():
        data = one.block.animation_data
        action = data.action if data is not None else None
        if action is None or clips.is_kmtalks(action):
            continue
        if one.path in compat.played_paths(action, compat.action_slot(data)):
            by_block.setdefault(one.block, []).append(one.group)
    return [
        f"The Action {block.animation_data.action.name} moves {', '.join(dict.fromkeys(groups))} of {block.name} and"
        " hides the line's keyframes there; remove its curves, or push it down in the NLA editor, below KMTalk's."
        for block, groups in by_block.items()
    ]


def keyed(keys: bpy.types.Key | None) -> set[tuple[Any, str]]:
    """The properties that lines key: block and path."""
    known = on(keys)
    return {(one.block, one.path) for one in known.wanted} if known is not None else set()


def _curves(item: bpy.types.PropertyGroup) -> list[bpy.types.FCurve]:
    slot = next((slot for slot in item.rest.slots if compat.is_for(slot, item.block)), None)
    bag = compat.bag_of(item.rest, slot) if slot is not None else None
    return list(bag.fcurves) if bag is not None else []


def _group(path: str) -> str:
    """How the curves of a property are grouped: by the bone, as Blender does."""
    return path.split('"')[1] if path.startswith("pose.bones") else "Object"


def _set(block: bpy.types.ID, path: str, index: int, value: float) -> None:
    try:
        if index >= 0:
            block.path_resolve(path)[index] = value
        elif path.endswith('"]'):
            start = path.rindex("[")
            owner = block.path_resolve(path[:start]) if start else block
            owner[bpy.utils.unescape_identifier(path[start + 2 : -2])] = value
        else:
            owner, _, name = path.rpartition(".")
            setattr(block.path_resolve(owner) if owner else block, name, value)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError):
        return  # it is gone
    block.update_tag()
