"""Shape keys that a control rig drives: the rig's own inputs, bones and custom properties, move instead of them.

What an input does to a shape key is tried out. Where it does so in proportion, the input gets keyframes (`rig_keys`).
Where it cannot have any, the line moves an empty shape key, a stand-in, and a driver hands its value on to the input.
So the whole of the rig follows, as if its control were moved.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import bpy
import numpy as np

from . import rig_keys, rig_tracks, shape_keys
from .drivers import add_up
from .rig_channels import LINEAR, Channel

STAND_IN = "{} (KMTalk)"
TRIED = (1.0, 0.1, 0.01, -1.0, -0.1, -0.01)  # how far an input is moved to see what it does
SEEN, PROPORTIONAL = 0.02, 0.12  # a change of a shape key that is seen; how far from proportional is proportional
TRANSFORMS = {"LOC": "location", "ROT": "rotation_euler", "SCALE": "scale"}


@dataclass(frozen=True)
class Input:
    """A property of a control rig: `owner`'s `path`, or its component `index` where that is no -1."""

    id: Any
    bone: str
    path: str
    index: int

    @property
    def owner(self) -> Any:
        """The bone or data-block whose property it is."""
        return self.id.pose.bones[self.bone] if self.bone else self.id

    @property
    def full_path(self) -> str:
        """The data path from the data-block on, as F-curves have it."""
        return f'pose.bones["{bpy.utils.escape_identifier(self.bone)}"]{self._tail}' if self.bone else self.path

    @property
    def _tail(self) -> str:
        return self.path if self.path.startswith("[") else f".{self.path}"

    @property
    def value(self) -> float:
        """As it is now."""
        found = self.owner.path_resolve(self.path)
        return float(found[self.index] if self.index >= 0 else found)

    def set(self, new: float) -> None:
        """Change it."""
        if self.index >= 0:
            self.owner.path_resolve(self.path)[self.index] = new
        elif self.path.startswith("["):
            self.owner[self.path[2:-2]] = new
            self.id.update_tag()
        else:
            setattr(self.owner, self.path, new)

    def driver(self) -> Any:
        """A new driver of it."""
        return self.owner.driver_add(self.path, self.index) if self.index >= 0 else self.owner.driver_add(self.path)

    def remove_driver(self) -> None:
        """The inverse of `driver`."""
        if self.index >= 0:
            self.owner.driver_remove(self.path, self.index)
        else:
            self.owner.driver_remove(self.path)

    @property
    def is_driven(self) -> bool:
        """Whether something drives it."""
        data = self.id.animation_data
        return data is not None and any(
            curve.data_path == self.full_path and (self.index < 0 or curve.array_index == self.index)
            for curve in data.drivers
        )


def prepare(head: bpy.types.Object) -> list[str]:
    """Let lines key the inputs of shape keys that a control rig drives in proportion; where an input can have no
    keyframes, its shape keys get stand-ins, and it gets a driver.

    Returns the names of the stand-ins. What cannot be moved so stays as it is.
    """
    keys = head.data.shape_keys
    if keys is None:
        return []
    _, held = shape_keys.drivable(head)
    known = json.loads(keys.kmtalk.inputs or "[]")
    made: list[str] = []
    by_input: dict[tuple, list[tuple[str, float]]] = {}
    inputs: dict[tuple, tuple[Input, float]] = {}
    for name in dict.fromkeys(held):
        found = _input_of(keys, name)
        if found is None or found.is_driven or found.id.library is not None or _is_keyed(keys, found):
            continue
        before = found.value
        slope = _slope(keys, name, found, before)
        if slope is None:
            continue
        where = (found.id.name_full, found.bone, found.path, found.index)
        inputs.setdefault(where, (found, before))
        by_input.setdefault(where, []).append((name, slope))
    for where, moved in by_input.items():
        found, before = inputs[where]
        if _can_be_keyed(head, found):
            rig_keys.note(keys, [_to_key(head, found, before, moved)])
            continue
        stand_ins = []
        for name, slope in moved:
            block = head.shape_key_add(name=STAND_IN.format(name), from_mix=False)
            block.value = 0.0
            stand_ins.append((block.name, slope))
            made.append(block.name)
            known.append({"key": name, "stand_in": block.name, "before": before})
        _hand_on(found, before, keys, stand_ins)
    if made:
        keys.kmtalk.inputs = json.dumps(known)
        shape_keys.remember(keys, made)
    return made


def are_wanted(head: bpy.types.Object) -> bool:
    """Whether `prepare` would find inputs of a control rig that need stand-ins; it still has to try them out."""
    keys = head.data.shape_keys
    held = shape_keys.drivable(head)[1] if keys is not None else []
    found = [_input_of(keys, name) for name in held]
    return any(
        one is not None
        and not one.is_driven
        and one.id.library is None
        and not _is_keyed(keys, one)
        and not _can_be_keyed(head, one)
        for one in found
    )


def keyed_names(keys: bpy.types.Key) -> set[str]:
    """The shape keys whose inputs lines key."""
    rigged, names = rig_keys.on(keys), shape_keys.controls_of_keys(keys)
    sources = {name for one in rigged.wanted for name in one.channel.sources} if rigged is not None else set()
    return {names[source] for source in sources if source in names}


def _is_keyed(keys: bpy.types.Key, found: Input) -> bool:
    rigged = rig_keys.on(keys)
    at = (found.id, found.full_path, (found.index,))
    return rigged is not None and any((one.block, one.path, one.indices) == at for one in rigged.wanted)


def _can_be_keyed(head: bpy.types.Object, found: Input) -> bool:
    wanted = head.kmtalk_bones.keyed and rig_tracks.can_be_keyed(found.id)
    return wanted and rig_tracks.is_free(found.id, found.full_path, found.index)


def _to_key(head: bpy.types.Object, found: Input, before: float, moved: list[tuple[str, float]]) -> rig_keys.Wanted:
    channels = {name: channel for channel, name in shape_keys.controls_of(head).items()}
    sources = tuple(channels[name] for name, _ in moved)
    moves = np.array([[1 / slope] for _, slope in moved])
    most = sources[int(np.abs(moves).argmax())]
    channel = Channel(most, sources, moves, (before,), LINEAR)
    return rig_keys.Wanted(found.id, found.full_path, (found.index,), found.bone or found.id.name, channel)


def detach(head: bpy.types.Object) -> None:
    """Take the drivers off the rig's inputs; their values are as before."""
    keys = head.data.shape_keys
    if keys is None or not keys.kmtalk.inputs:
        return
    known = {row["stand_in"]: row for row in json.loads(keys.kmtalk.inputs)}
    for found, names in _handed_on(keys):
        rows = [known[name] for name in names if name in known]
        if rows:
            found.remove_driver()
            found.set(rows[0]["before"])
    keys.kmtalk.inputs = ""


def _input_of(keys: bpy.types.Key, name: str) -> Input | None:
    """The one property that a shape key is driven by; None if there are several, or it is of no rig."""
    path = keys.key_blocks[name].path_from_id("value")
    curve = next((c for c in keys.animation_data.drivers if c.data_path == path), None)
    found = set()
    for variable in curve.driver.variables if curve is not None else ():
        target = variable.targets[0]
        if variable.type == "SINGLE_PROP" and target.id is not None:
            found.add((target.id, *_split(target.data_path)))
        elif variable.type == "TRANSFORMS" and target.id is not None and target.bone_target:
            kind, _, axis = target.transform_type.partition("_")
            if kind not in TRANSFORMS or axis not in ("X", "Y", "Z"):
                return None
            bone = target.id.pose.bones.get(target.bone_target)
            if bone is None or (kind == "ROT" and bone.rotation_mode in ("QUATERNION", "AXIS_ANGLE")):
                return None
            found.add((target.id, bone.name, TRANSFORMS[kind], "XYZ".index(axis)))
        else:
            return None
    if len(found) != 1:
        return None
    one = Input(*found.pop())
    try:
        return one if isinstance(one.value, float) and not isinstance(one.id, bpy.types.Key) else None
    except (ValueError, TypeError, KeyError, IndexError, AttributeError):
        return None


def _split(data_path: str) -> tuple[str, str, int]:
    """A data path → bone, path within it, and index (-1: none)."""
    bone = ""
    if match := re.fullmatch(r'pose\.bones\["((?:[^"\\]|\\.)*)"\]\.?(.+)', data_path):
        bone, data_path = bpy.utils.unescape_identifier(match[1]), match[2]
    if match := re.fullmatch(r"(.+)\[(\d+)\]", data_path):
        return bone, match[1], int(match[2])
    return bone, data_path, -1


def _slope(keys: bpy.types.Key, name: str, found: Input, before: float) -> float | None:
    """By how much the shape key changes for 1 of the input; None if not in proportion, up to its full value."""
    block = keys.key_blocks[name]
    view = bpy.context.view_layer

    def at(value: float) -> float:
        found.set(value)
        view.update()
        return float(block.value)

    try:
        base = at(before)
        room = min(1.0, block.slider_max - base)  # where it is at rest, it may be on its way already
        for step in TRIED:
            change = at(before + step) - base
            if SEEN < change < 0.98 * room:
                break
        else:  # a switch, or something that only goes down from here
            step = next((s for s in TRIED if at(before + s) - base >= 0.98 * room), 0.0)
            change = room if step and abs(at(before + step / 2) - base - room / 2) < PROPORTIONAL else 0.0
        if not change:
            return None
        slope = change / step
        shares = (0.5 * room, 0.9 * room)
        right = all(abs(at(before + share / slope) - base - share) < PROPORTIONAL for share in shares)
        return slope if right else None
    except (TypeError, ValueError, RuntimeError):
        return None
    finally:
        found.set(before)
        view.update()


def _hand_on(found: Input, before: float, keys: bpy.types.Key, stand_ins: list[tuple[str, float]]) -> None:
    factors = [(name, 1 / slope) for name, slope in stand_ins]
    add_up(found.driver().driver, keys, factors, f"{before:.6g}")


def _handed_on(keys: bpy.types.Key) -> Iterator[tuple[Input, list[str]]]:
    """The inputs that stand-ins of these shape keys drive, with their names."""
    names = {block.path_from_id("value"): block.name for block in keys.key_blocks}
    for block in (*bpy.data.objects, *bpy.data.armatures):
        data = block.animation_data
        for curve in list(data.drivers) if data is not None else ():
            targets = [variable.targets[0] for variable in curve.driver.variables]
            theirs = [names[t.data_path] for t in targets if t.id == keys and t.data_path in names]
            if theirs:
                bone, path, index = _split(curve.data_path)
                found = Input(block, bone, path, index)
                if index < 0 and not path.startswith("["):
                    try:
                        found.owner.path_resolve(path)[0]
                        found = Input(block, bone, path, curve.array_index)
                    except (TypeError, IndexError, KeyError, ValueError):
                        pass
                yield found, theirs
