"""Teeth, tongue, eyes, lashes, brows and beard that are objects of their own: they move with the head's shape keys.

A part's shape keys are driven by those of the head, so that a line, its takes and edits are all on the head. Parts with
keys of the same or mapped names have these driven. Others get keys that follow the skin next to them, the jaw, the
skull or the gaze. What was added is noted on the part and goes with the head's last line.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import bpy
import numpy as np
from mathutils.kdtree import KDTree

from kmtalk_core.retarget import followers

from . import clips, compat, families, shape_keys
from .bones import looks_of

IGNORED = "none"
HOLDS = "kmtalk_holds"  # custom property of a head, see compat.keep_pointers
ROLES = (
    (followers.ATTACHED, "With the Skin", "Brows, lashes, beard: follows the skin next to it"),
    (followers.JAW, "With the Jaw", "Lower teeth: follows the jaw"),
    (followers.TONGUE, "Tongue", "Follows the jaw; its own shape keys are driven"),
    (followers.EYE_LEFT, "Left Eye", "The person's left eye: looks where the eyes look"),
    (followers.EYE_RIGHT, "Right Eye", "The person's right eye: looks where the eyes look"),
    (followers.SKULL, "With the Skull", "Upper teeth, hair, glasses: moves with the head only"),
    (IGNORED, "Not a Part", "KMTalk leaves it alone"),
)
NEAREST = 4  # vertices of the skin that a vertex of a part follows
STILL = 1e-5  # of the part's size: a key that moves less is not made


@dataclass(frozen=True)
class Found:
    """An object that belongs to a head, and its role; `keys`: shape key of the part → channel of the head."""

    obj: bpy.types.Object
    role: str
    keys: Mapping[str, str]

    @property
    def how(self) -> str:
        """In a few words, what moves it."""
        if self.keys:
            return f"{len(self.keys)} shape keys"
        return next(title for role, title, _ in ROLES if role == self.role).lower()


def parts_of(head: bpy.types.Object) -> list[Found]:
    """The parts of a head: those that the user has named, and those that are found, in the order of their names."""
    said = {row.part: row.role for row in head.kmtalk_parts if row.part is not None}
    found = []
    for obj in sorted(_candidates(head), key=lambda obj: obj.name):
        role = said.get(obj) or _role(head, obj)
        if role and role != IGNORED:
            found.append(Found(obj, role, _shared(head, obj)))
    return found


def attach(head: bpy.types.Object) -> list[str]:
    """Let all parts follow the head's shape keys; returns the names of the parts."""
    names = shape_keys.controls_of(head)
    if not names:
        return []
    looks = looks_of(head)
    moved = []
    for part in parts_of(head):
        if part.obj.library is not None or part.obj.data.library is not None or part.obj.mode == "EDIT":
            continue
        if not part.keys:
            _build(head, part, names, looks)
        keys = part.obj.data.shape_keys
        channels = _shared(head, part.obj)
        for own, channel in channels.items():
            _drive(keys, own, head, names[channel])
        if channels:
            moved.append(part.obj.name)
    return moved


def say(head: bpy.types.Object, obj: bpy.types.Object, role: str) -> None:
    """Note what the user says of an object; where the head has lines, it moves so at once."""
    row = next((row for row in head.kmtalk_parts if row.part == obj), None)
    if row is None:
        compat.keep_pointers(head, HOLDS)
        row = head.kmtalk_parts.add()
        row.part = obj
    row.role = role
    detach(head, obj)
    if clips.playing(head.data.shape_keys):
        attach(head)


def detach(head: bpy.types.Object, only: bpy.types.Object | None = None) -> None:
    """Take the drivers and the shape keys off that `attach` has added to parts of the head, or to `only` one."""
    head_keys = head.data.shape_keys
    for obj in bpy.data.objects:
        keys = obj.data.shape_keys if obj.type == "MESH" and obj != head and only in (None, obj) else None
        if keys is None or not keys.kmtalk.follows:
            continue
        noted = json.loads(keys.kmtalk.follows)
        if _driven_by(keys) not in (head_keys, None):
            continue
        for name, before in noted["driven"].items():
            if name in keys.key_blocks:
                keys.driver_remove(keys.key_blocks[name].path_from_id("value"))
                keys.key_blocks[name].value = before
        keys.kmtalk.property_unset("follows")
        data = keys.animation_data
        if data is not None and not (data.drivers or data.action or data.nla_tracks):
            keys.animation_data_clear()
        for name in noted["built"]:
            if name in keys.key_blocks:
                obj.shape_key_remove(keys.key_blocks[name])
        if noted["built"] and len(keys.key_blocks) == 1:
            obj.shape_key_clear()


def _candidates(head: bpy.types.Object) -> Iterator[bpy.types.Object]:
    """Mesh objects that may be parts of a head: of the same rig or parent, below it, or inside of it."""
    rigs = _rigs(head)
    said = {row.part for row in head.kmtalk_parts}
    low, high = _bounds(head)
    widgets = _widgets(rigs)
    for obj in head.users_scene[0].objects if head.users_scene else ():
        if obj.type != "MESH" or obj.data == head.data or not obj.data.vertices or obj in widgets:
            continue  # the head, and others that show its mesh, move by themselves
        related = obj.parent == head or bool(_rigs(obj) & rigs)
        centre = sum(_bounds(obj)) / 2
        if obj in said or related or bool(((centre > low) & (centre < high)).all()):
            yield obj


def _role(head: bpy.types.Object, obj: bpy.types.Object) -> str | None:
    """What an object is by its name; with shape keys of the head's, it is a part whatever its name."""
    role = followers.role_of(obj.name) or followers.role_of(obj.data.name)
    if role is None and len(_shared(head, obj)) > 1 and (obj.parent == head or _rigs(obj) & _rigs(head)):
        return followers.SKULL
    return role


def _shared(head: bpy.types.Object, obj: bpy.types.Object) -> dict[str, str]:
    """Shape key of a part → channel of the head: keys of the same names, or that mean the same."""
    keys = obj.data.shape_keys
    if keys is None:
        return {}
    channels = shape_keys.controls_of(head)
    by_key = {name: channel for channel, name in channels.items()}
    found = {block.name: by_key[block.name] for block in keys.key_blocks[1:] if block.name in by_key}
    names = tuple(block.name for block in keys.key_blocks)
    for theirs in (families.channels(names), shape_keys.plain_controls(names)):
        for channel, name in theirs.items():
            if channel in channels and channel not in found.values():
                found.setdefault(name, channel)
    return found


def _build(
    head: bpy.types.Object, part: Found, names: Mapping[str, str], looks: Mapping[str, Mapping[str, float]]
) -> None:
    """Give a part a shape key for each of the head's that it follows."""
    to_world, from_world = np.array(head.matrix_world), np.linalg.inv(np.array(part.obj.matrix_world))
    own = np.array(part.obj.matrix_world)
    skin = _placed(shape_keys.rest_positions(head), to_world)
    rest = shape_keys.rest_positions(part.obj)
    points = _placed(rest, own)
    size = float(np.ptp(points, axis=0).max())
    near: tuple[np.ndarray, np.ndarray] | None = None
    built = []
    for channel, name in names.items():
        how = followers.follows(part.role, looks.get(channel, {}))
        if not how:
            continue
        move = shape_keys.displacement(head, name) @ to_world[:3, :3].T
        if how == "skin":
            near = near or _nearest(skin, points)
            moved = np.einsum("kn,knx->kx", near[1], move[near[0]])
        elif how == "bone":
            moved = followers.with_bone(skin, move, points)
        else:
            moved = followers.gaze(points, looks[channel], part.role, _axes_of(head))
        if np.abs(moved).max() < STILL * size:
            continue
        if part.obj.data.shape_keys is None:
            part.obj.shape_key_add(name="Basis", from_mix=False)
        block = part.obj.shape_key_add(name=name, from_mix=False)
        block.value = 0.0
        block.slider_min = head.data.shape_keys.key_blocks[name].slider_min
        block.data.foreach_set("co", (rest + moved @ from_world[:3, :3].T).astype(np.float32).ravel())
        built.append(block.name)
    if built:
        _note(part.obj.data.shape_keys, built=built)


def _drive(keys: bpy.types.Key, own: str, head: bpy.types.Object, name: str) -> None:
    """Let a part's shape key have the value of the head's, unless something of the user's moves it."""
    block = keys.key_blocks[own]
    path = block.path_from_id("value")
    theirs = head.data.shape_keys.key_blocks[name]
    data = keys.animation_data
    noted = json.loads(keys.kmtalk.follows or "{}").get("driven", {})
    if path in clips.paths_of_others(keys):
        return  # the user has animated it
    if data is not None and (curve := data.drivers.find(path)) is not None:
        if own not in noted or _comes_from(curve, theirs):
            return  # the user's own, or as it is to be
        keys.driver_remove(path)
    _note(keys, driven={own: noted.get(own, round(block.value, 6))})
    driver = block.driver_add("value").driver
    driver.type = "SUM"  # needs no Python
    variable = driver.variables.new()
    variable.targets[0].id_type = "KEY"
    variable.targets[0].id = head.data.shape_keys
    variable.targets[0].data_path = theirs.path_from_id("value")
    block.slider_min, block.slider_max = (
        min(block.slider_min, theirs.slider_min),
        max(block.slider_max, theirs.slider_max),
    )


def _comes_from(curve: bpy.types.FCurve, block: bpy.types.ShapeKey) -> bool:
    """Whether a driver hands on the value of a shape key."""
    targets = [variable.targets[0] for variable in curve.driver.variables]
    return [(t.id, t.data_path) for t in targets] == [(block.id_data, block.path_from_id("value"))]


def _note(keys: bpy.types.Key, driven: dict[str, float] | None = None, built: list[str] | None = None) -> None:
    noted = {"driven": {}, "built": []} | json.loads(keys.kmtalk.follows or "{}")
    noted["driven"] |= driven or {}  # shape key → its value before
    noted["built"] = list(dict.fromkeys([*noted["built"], *(built or [])]))
    keys.kmtalk.follows = json.dumps(noted)


def _driven_by(keys: bpy.types.Key) -> Any:
    """The shape keys that drive those of a part; None if they are gone."""
    for curve in keys.animation_data.drivers if keys.animation_data is not None else ():
        for variable in curve.driver.variables:
            if isinstance(variable.targets[0].id, bpy.types.Key):
                return variable.targets[0].id
    return None


def _rigs(obj: bpy.types.Object) -> set[bpy.types.Object]:
    """The armatures that move an object, or what it is parented to."""
    found = {m.object for m in obj.modifiers if m.type == "ARMATURE" and m.object is not None}
    return found | ({obj.parent} if obj.parent is not None else set())


def _widgets(rigs: set[bpy.types.Object]) -> set[bpy.types.Object]:
    """What shows the bones of control rigs, and is no part of a character."""
    shown = (bone.custom_shape for rig in rigs if rig.pose is not None for bone in rig.pose.bones)
    return {shape for shape in shown if shape is not None}


def _bounds(obj: bpy.types.Object) -> tuple[np.ndarray, np.ndarray]:
    corners = _placed(np.array(obj.bound_box, np.float64), np.array(obj.matrix_world))
    return corners.min(0), corners.max(0)


def _placed(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    return points @ matrix[:3, :3].T + matrix[:3, 3]


def _nearest(skin: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Indices (k, 4) of the skin's vertices nearest to `points` (k, 3), and their weights (k, 4)."""
    tree = KDTree(len(skin))
    for index, point in enumerate(skin):
        tree.insert(point, index)
    tree.balance()
    found = [tree.find_n(point, min(NEAREST, len(skin))) for point in points]
    index = np.array([[hit[1] for hit in hits] for hits in found])
    distance = np.array([[hit[2] for hit in hits] for hits in found])
    weight = 1 / np.maximum(distance, 1e-6 + 1e-3 * distance.max()) ** 2
    return index, weight / weight.sum(1, keepdims=True)


def _axes_of(head: bpy.types.Object) -> np.ndarray:
    """The person's left, up and forward as rows, in the world: Blender's heads stand upright and look along -y.

    The object's own axes where it was turned.
    """
    turn = np.array(head.matrix_world.to_3x3().normalized())
    upright = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])
    low, high = np.array(head.bound_box).min(0), np.array(head.bound_box).max(0)
    if high[2] - low[2] < high[1] - low[1]:  # y is up in the object, as importers leave it
        upright = np.eye(3)
    return upright @ turn.T
