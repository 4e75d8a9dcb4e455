"""Poses of an armature as mouths: pose assets or Actions, or the pose markers of one Action, blended by a line.

The line moves an empty shape key for each mouth, so that its takes, edits and the solver are those of any head. Drivers
blend the poses by these weights on a helper for each bone, and the bone adds the helper's transform to its own: what
the animator gives the bones stays, and all of it works without Python and without KMTalk.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import bpy
import numpy as np
from mathutils import Euler, Quaternion, Vector

from kmtalk_core.errors import InputError
from kmtalk_core.retarget.cues import drawings_of
from kmtalk_core.retarget.families import Family, Shape, as_data
from kmtalk_core.retarget.poses import IDENTITY, Posed, logarithm, posed_bones
from kmtalk_core.retarget.recognition import match_family
from kmtalk_core.rig.controls import SPEECH_CONTROLS
from kmtalk_core.rig.naming import match_controls

from . import carrier, compat
from .drivers import add_up
from .session import current
from .skeleton import rig_of

KEY = "Pose {}"  # the shape key of a mouth
CONSTRAINT = "KMTalk Pose"
HELPER = "kmtalk_pose"  # custom property of a helper
TURN = ("x", "y", "z")  # custom properties of a helper: its turn in logarithms
BONE = re.compile(r'pose\.bones\["((?:[^"\\]|\\.)*)"\]\.(location|rotation_\w+|scale)')
WIDTHS = {"location": 3, "scale": 3, "rotation_euler": 3, "rotation_quaternion": 4, "rotation_axis_angle": 4}

Candidate = tuple[str, Any, float]  # what it is called, its Action, and the frame


def candidates(rig: bpy.types.Object | None = None) -> Iterator[Candidate]:
    """The poses that this file has, of an armature if one is named: Actions, and pose markers in them."""
    for action in bpy.data.actions:
        if len(action.kmtalk_takes) or (rig is not None and not _bones_in(action) & set(rig.pose.bones.keys())):
            continue
        if len(action.pose_markers):
            yield from ((marker.name, action, float(marker.frame)) for marker in action.pose_markers)
        elif _bones_in(action):
            yield action.name, action, float(action.frame_range[0])


def rig_for(obj: bpy.types.Object) -> bpy.types.Object:
    """The armature that poses an object; raises InputError without any."""
    rig = obj if obj.type == "ARMATURE" else rig_of(obj)
    if rig is None:
        raise InputError(f"{obj.name} has no armature; choose the armature whose poses are the mouths.")
    return rig


def head_for(obj: bpy.types.Object, rig: bpy.types.Object) -> bpy.types.Object:
    """The mesh that lines are made on: the object itself, the largest one that the armature moves, or a new one."""
    if obj.type == "MESH" and len(obj.data.polygons):
        return obj
    moved = [some for some in bpy.data.objects if some.type == "MESH" and rig_of(some) == rig and some.data.polygons]
    moved = [some for some in moved if some.data.library is None and not carrier.is_carrier(some)]
    if moved:
        return max(moved, key=lambda some: (some.kmtalk_mouths.target == rig, len(some.data.polygons)))
    return carrier.carrier_of(rig) or carrier.new_carrier(rig, rig)


def is_used(head: bpy.types.Object) -> bool:
    """Whether poses are the mouths of a head."""
    return any(row.block is not None and HELPER in row.block for row in head.kmtalk_mouths.driven)


def is_posed(rig: bpy.types.Object, bone: str) -> bool:
    """Whether poses move a bone of an armature."""
    return any(constraint.name == CONSTRAINT for constraint in rig.pose.bones[bone].constraints)


def fill(head: bpy.types.Object, chart: Family) -> None:
    """Let the rows show the poses that are called like the mouths of a chart."""
    found = {name: (action, frame) for name, action, frame in candidates(head.kmtalk_mouths.target)}
    named = match_family(chart, list(found))
    with current.fill_in():
        for row in head.kmtalk_mouths.mouths:
            row.action, row.frame = found.get(named.get(row.name, ""), (None, 0.0))


def use(head: bpy.types.Object, chart: Family) -> None:
    """Let a head speak by the poses of its rows. Raises InputError, with nothing changed."""
    said = head.kmtalk_mouths
    rig = said.target
    if rig is None or rig.type != "ARMATURE":
        raise InputError("Choose the armature whose poses are the mouths.")
    if rig.library is not None:
        raise InputError(f"{rig.name} is linked from another file; override it (Object > Library Override > Make).")
    present = {row.name: (row.action, row.frame) for row in said.mouths if row.action is not None}
    at_rest = drawings_of(chart)[0]
    if not set(present) - {at_rest}:
        raise InputError(f"No pose is called like a mouth of {chart.title}; choose an Action for each mouth.")
    bones = posed_bones({name: pose_of(rig, *of) for name, of in present.items()}, at_rest)
    if not bones:
        raise InputError(f"The poses move no bone of {rig.name}; choose others.")
    remove(head)
    names = _add_keys(head, chart, [name for name in present if name != at_rest])
    for bone, posed in bones.items():
        row = said.driven.add()
        row.block = _pose(head, rig, bone, posed, names)
    head.data.shape_keys.update_tag()


def remove(head: bpy.types.Object) -> None:
    """Take off what `use` has added."""
    said, keys = head.kmtalk_mouths, head.data.shape_keys
    helpers = [row.block for row in said.driven if row.block is not None and HELPER in row.block]
    if not helpers:
        return
    for rig in bpy.data.objects:
        for bone in rig.pose.bones if rig.type == "ARMATURE" and rig.pose is not None else ():
            for constraint in [c for c in bone.constraints if c.name == CONSTRAINT and c.target in helpers]:
                bone.constraints.remove(constraint)
    for helper in helpers:
        bpy.data.objects.remove(helper)
    said.driven.clear()
    posed = list(_posed_keys(keys))
    keys.kmtalk.mapping = said.mapping_before
    for block in posed:
        head.shape_key_remove(block)
    if len(keys.key_blocks) == 1 and not len(keys.kmtalk.actions):
        head.shape_key_clear()


def show(head: bpy.types.Object, name: str) -> None:
    """Let one mouth be seen now."""
    for block in _posed_keys(head.data.shape_keys):
        block.value = float(block.name == KEY.format(name))


def within_one(targets: Sequence[str], weights: np.ndarray) -> np.ndarray:
    """(…, n) the weights of a face's targets, those of poses together no more than 1: they are whole mouths, to be
    blended, not added up."""
    posed = np.array([target.startswith(KEY.format("")) for target in targets], bool)
    together = np.where(posed, weights, 0.0).sum(-1, keepdims=True)
    return np.where(posed, weights / np.maximum(together, 1.0), weights)


def pose_of(rig: bpy.types.Object, action: bpy.types.Action, frame: float) -> dict[str, np.ndarray]:
    """Bone → (9,) location, turn in logarithms and scale (`retarget.poses`) that an Action gives it on a frame."""
    values: dict[str, dict[str, dict[int, float]]] = {}
    for curve in compat.all_fcurves(action):
        if (match := BONE.fullmatch(curve.data_path)) is not None and match[2] in WIDTHS:
            bone = bpy.utils.unescape_identifier(match[1])
            values.setdefault(bone, {}).setdefault(match[2], {})[curve.array_index] = curve.evaluate(frame)
    return {bone: _nine(rig, bone, channels) for bone, channels in values.items() if bone in rig.pose.bones}


def measured(head: bpy.types.Object, names: Mapping[str, str]) -> dict[str, np.ndarray]:
    """What the poses do to the mesh of a head: shape key (of `names`, by target) → (V, 3) displacement, in the mesh's
    own space; none where the mesh cannot be looked at."""
    keys, rig = head.data.shape_keys, head.kmtalk_mouths.target
    posed = {target: name for target, name in names.items() if target.startswith(KEY.format(""))}
    if not posed or not is_used(head):
        return {}
    hidden = [some for some in head.modifiers if some.type != "ARMATURE" and some.show_viewport]
    before = {name: keys.key_blocks[name].value for name in keys.key_blocks.keys()[1:]}
    acted = [(bone, bone.matrix_basis.copy()) for bone in rig.pose.bones]
    try:
        for modifier in hidden:
            modifier.show_viewport = False
        for bone, _ in acted:
            bone.matrix_basis.identity()
        rest = _looked_at(head, {})
        found = {name: _looked_at(head, {name: 1.0}) - rest for name in posed.values()}
        return found if len(rest) == len(head.data.vertices) else {}
    finally:
        for bone, matrix in acted:
            bone.matrix_basis = matrix
        for modifier in hidden:
            modifier.show_viewport = True
        for name, value in before.items():
            keys.key_blocks[name].value = value
        bpy.context.view_layer.update()


def _looked_at(head: bpy.types.Object, weights: Mapping[str, float]) -> np.ndarray:
    """(n, 3) the mesh as it is deformed with these shape keys and no others."""
    for block in head.data.shape_keys.key_blocks[1:]:
        block.value = weights.get(block.name, 0.0)
    bpy.context.view_layer.update()
    evaluated = head.evaluated_get(bpy.context.evaluated_depsgraph_get())
    flat = np.empty(len(evaluated.data.vertices) * 3, np.float32)
    evaluated.data.vertices.foreach_get("co", flat)
    return flat.reshape(-1, 3).astype(np.float64)


def _posed_keys(keys: bpy.types.Key) -> Iterator[bpy.types.ShapeKey]:
    shapes = json.loads(keys.kmtalk.mapping or "{}").get("shapes", {})
    for name in shapes:
        if name.startswith(KEY.format("")) and name in keys.key_blocks:
            yield keys.key_blocks[name]


def _bones_in(action: bpy.types.Action) -> set[str]:
    found = (BONE.fullmatch(curve.data_path) for curve in compat.all_fcurves(action))
    return {bpy.utils.unescape_identifier(match[1]) for match in found if match is not None}


def _nine(rig: bpy.types.Object, name: str, channels: Mapping[str, Mapping[int, float]]) -> np.ndarray:
    bone, nine = rig.pose.bones[name], IDENTITY.copy()
    for axis, value in channels.get("location", {}).items():
        nine[axis] = value
    for axis, value in channels.get("scale", {}).items():
        nine[6 + axis] = value
    ways = [way for way in channels if way.startswith("rotation")]
    if ways:
        usual = {"QUATERNION": "rotation_quaternion", "AXIS_ANGLE": "rotation_axis_angle"}
        way = usual.get(bone.rotation_mode, "rotation_euler")
        way = way if way in ways else ways[0]
        nine[3:6] = logarithm(_quaternion(way, channels[way], bone.rotation_mode))
    if bone.bone.use_connect and bone.parent is not None:
        nine[:3] = 0.0  # Blender does not move it either
    elif not bone.bone.use_local_location:
        nine[:3] = bone.bone.matrix_local.to_3x3().inverted() @ Vector(nine[:3])
    return nine


def _quaternion(way: str, values: Mapping[int, float], mode: str) -> Quaternion:
    if way == "rotation_euler":
        order = mode if len(mode) == 3 else "XYZ"
        return Euler([values.get(axis, 0.0) for axis in range(3)], order).to_quaternion()
    usual = (1.0, 0.0, 0.0, 0.0) if way == "rotation_quaternion" else (0.0, 0.0, 1.0, 0.0)
    four = [values.get(axis, usual[axis]) for axis in range(4)]
    return Quaternion(four) if way == "rotation_quaternion" else Quaternion(four[1:], four[0])


def _add_keys(head: bpy.types.Object, chart: Family, mouths: list[str]) -> dict[str, str]:
    """Mouth → its empty shape key. They are the head's family from now on, beside what it has for eyes and brows."""
    if head.data.shape_keys is None:
        head.shape_key_add(name="Basis", from_mix=False)
    keys, active, names = head.data.shape_keys, head.active_shape_key_index, {}
    others = match_controls(block.name for block in keys.key_blocks[1:])
    for mouth in mouths:
        block = keys.key_blocks.get(KEY.format(mouth)) or head.shape_key_add(name=KEY.format(mouth), from_mix=False)
        block.value = 0.0
        names[mouth] = block.name
    head.active_shape_key_index = active
    shapes = [Shape(names[mouth], chart.by_name[mouth].looks) for mouth in mouths]
    shapes += [Shape(name, {control: 1.0}) for control, name in others.items() if control not in SPEECH_CONTROLS]
    head.kmtalk_mouths.mapping_before = keys.kmtalk.mapping
    keys.kmtalk.mapping = json.dumps(as_data(Family("own", f"Poses ({chart.title})", tuple(shapes))))
    return names


def _pose(
    head: bpy.types.Object, rig: bpy.types.Object, bone: str, posed: Posed, names: Mapping[str, str]
) -> bpy.types.Object:
    """A helper with the transform that a bone adds to its own."""
    helper = bpy.data.objects.new(f"KMTalk {head.name} {bone}", None)
    helper[HELPER], helper.rotation_mode = True, "AXIS_ANGLE"
    keys, moving = head.data.shape_keys, posed.moving()

    def drive(path: str, index: int, place: int) -> None:
        factors = {names[name]: float(added[place]) for name, added in posed.by_pose.items() if added[place]}
        curve = helper.driver_add(path, index) if index >= 0 else helper.driver_add(path)
        add_up(curve.driver, keys, factors.items(), f"{posed.rest[place]:.6g}")

    for axis in range(3):
        if moving[axis]:
            drive("location", axis, axis)
        if moving[6 + axis]:
            drive("scale", axis, 6 + axis)
        helper[TURN[axis]] = 0.0
        if moving[3 + axis]:
            drive(f'["{TURN[axis]}"]', -1, 3 + axis)
    if moving[3:6].any():
        for place, expression in enumerate(("sqrt(x*x + y*y + z*z)", *TURN)):
            driver = helper.driver_add("rotation_axis_angle", place).driver
            driver.type = "SCRIPTED"
            for axis in TURN:
                variable = driver.variables.new()
                variable.name, variable.targets[0].id = axis, helper
                variable.targets[0].data_path = f'["{axis}"]'
            driver.expression = expression
    constraint = rig.pose.bones[bone].constraints.new("COPY_TRANSFORMS")
    constraint.name, constraint.target, constraint.mix_mode = CONSTRAINT, helper, "AFTER_SPLIT"
    constraint.owner_space, constraint.target_space = "LOCAL", "WORLD"  # in its "local" space an object stands still
    return helper
