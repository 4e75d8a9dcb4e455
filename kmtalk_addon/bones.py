"""Jaw, lips, eyes, head, neck and tongue of an armature move with a line, on top of what an animator gives them.

Bones that nobody else animates get keyframes (see `rig_keys`). What others need, as their armature's own Action moves
them or the user wants it so, and no shape key of the head has gets an empty one, whose value a line moves as that of
any other. Each such bone copies the turn of a helper, added to its own, which drivers turn by these values: nothing of
the animator's on the bones is touched, and what was added goes with the head's last line.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import bpy
import numpy as np

from kmtalk_core.retarget.lip_bones import SHAPED, LipMoves
from kmtalk_core.retarget.recognition import NO_GAZE, NO_NODS, NO_TONGUE
from kmtalk_core.retarget.skeletons import Turns, person_axes, turns_of
from kmtalk_core.rig.controls import ALL_CONTROLS, HEAD_CONTROLS

from . import charted, families, poses, rig_keys, rig_tracks, shape_keys
from .drivers import add_up
from .lip_bones import constrain, lip_bones_of, moves_of
from .rig_channels import LINEAR, Channel
from .skeleton import Bones, bones_of, rig_of

CONSTRAINT = "KMTalk"
HELPER = "kmtalk_helper"  # custom property of a helper
KINDS = ("COPY_ROTATION", "COPY_LOCATION")  # of constraints
LOOKED = 1e-4  # rad, or this share of a lip's largest move
GAZES = {"eye_left": "eyeLookOutLeft", "eye_right": "eyeLookOutRight"}
LOOKED_AT = 12  # vertices that a shape moves farthest
OPENS = 0.2  # jawOpen that one of the head's own shapes looks like, beside which the jaw's bone stays


def prepare(head: bpy.types.Object) -> list[str]:
    """Note which bones of a head are keyed, and add the empty shape keys that others need; returns their names."""
    keyed = _to_key(head)
    wanted = missing(head) if head.data.override_library is None else []  # which would not keep them
    if not keyed and not wanted:
        return []
    added = []
    if head.data.shape_keys is None:
        added.append(head.shape_key_add(name="Basis", from_mix=False).name)
    rig_keys.note(head.data.shape_keys, keyed)
    active = head.active_shape_key_index
    for control in wanted:
        block = head.shape_key_add(name=control, from_mix=False)
        block.value = 0.0
        if control in HEAD_CONTROLS:
            block.slider_min = -1.0
        added.append(block.name)
    head.active_shape_key_index = active
    shape_keys.remember(head.data.shape_keys, added)
    return added


def missing(head: bpy.types.Object) -> list[str]:
    """The controls that bones of a head need and none of its shape keys shows."""
    found = bones_of(head)
    if found is None:
        return []
    moving = _moving(head, found)
    added = [role for role in moving if not _is_keyed(head, found, found.of[role], "rotation")]
    wanted = {control for role in added for control in turns_of(role, "neck" in found.of)}
    if "jaw" in moving and (lips := lip_bones_of(head, found)) and not _lips_are_keyed(head, found, lips):
        wanted |= set(SHAPED)
    shown = _shown(head)
    return [c for c in ALL_CONTROLS if c in wanted and c not in shown]


def attach(head: bpy.types.Object) -> list[str]:
    """Let the bones of a head move with its shape keys; returns the names of these bones."""
    detach(head)
    found = bones_of(head)
    if found is None or found.rig.library is not None:
        return []
    moved = []
    lips = _lip_moves(head, found)
    for role in _moving(head, found):
        bone = found.of[role]
        if _is_keyed(head, found, bone, "rotation") or _turn(head, found, role, bone, _turns(found, role, lips)):
            moved.append(bone)
    if lips is not None:
        if not _lips_are_keyed(head, found, lips.bones):
            _move_lips(head, found, lips)
        moved.append(f"{len(lips.bones)} bones of the lips")
    return moved


def _turns(found: Bones, role: str, lips: LipMoves | None) -> Turns:
    turns = turns_of(role, "neck" in found.of)
    if lips is not None and "mouthClose" in lips.controls:  # lips close, rather than the jaw
        turns = {control: turn for control, turn in turns.items() if control != "mouthClose"}
    return turns


def _to_key(head: bpy.types.Object) -> list[rig_keys.Wanted]:
    """The bones of a head that get keyframes, and how they move."""
    found = bones_of(head)
    if found is None:
        return []
    lips, axes, wanted = _lip_moves(head, found), _axes(found), []
    for role in _moving(head, found):
        bone = found.of[role]
        if not _is_keyed(head, found, bone, "rotation"):
            continue
        turns = _turns(found, role, lips)
        rest = np.array(found.rig.data.bones[bone].matrix_local.to_3x3())
        moves = np.array(list(turns.values())) @ axes @ rest
        pose = found.rig.pose.bones[bone]
        path = _path(found, bone, "rotation")
        base = tuple(pose.path_resolve(path.rpartition(".")[2]))
        most = max(turns, key=lambda control: np.abs(turns[control]).max())
        channel = Channel(most, tuple(turns), moves, base, pose.rotation_mode)
        wanted.append(rig_keys.Wanted(found.rig, path, tuple(range(len(base))), bone, channel))
    if lips is not None and _lips_are_keyed(head, found, lips.bones):
        wanted += _lips_to_key(found, lips)
    return wanted


def _lips_to_key(found: Bones, lips: LipMoves) -> list[rig_keys.Wanted]:
    wanted = []
    for number, bone in enumerate(lips.bones):
        moves = np.where(np.abs(m := lips.moves[:, number]) > LOOKED * np.abs(m).max(), m, 0.0)
        own = np.abs(moves).max(1) > 0
        if not own.any():
            continue
        most = lips.controls[int(np.abs(moves).max(1).argmax())]
        base = tuple(found.rig.pose.bones[bone].location)
        sources = tuple(control for control, moved in zip(lips.controls, own, strict=True) if moved)
        channel = Channel(most, sources, moves[own], base, LINEAR)
        wanted.append(rig_keys.Wanted(found.rig, _path(found, bone, "location"), (0, 1, 2), bone, channel))
    return wanted


def _lips_are_keyed(head: bpy.types.Object, found: Bones, lips: Sequence[str]) -> bool:
    return all(_is_keyed(head, found, bone, "location") for bone in lips)


def _is_keyed(head: bpy.types.Object, found: Bones, bone: str, what: str) -> bool:
    """Whether a bone gets keyframes, rather than a constraint: as it has already, else if nobody else animates it."""
    path = _path(found, bone, what)
    if (found.rig, path) in rig_keys.keyed(head.data.shape_keys):
        return True
    if not head.kmtalk_bones.keyed or not rig_tracks.can_be_keyed(found.rig):
        return False
    constraints = found.rig.pose.bones[bone].constraints
    if any(c.type in KINDS and c.name.startswith(CONSTRAINT) for c in constraints):  # of lines that there are
        return False
    return not path.endswith("axis_angle") and rig_tracks.is_free(found.rig, path)


def _path(found: Bones, bone: str, what: str) -> str:
    """The path of what moves a bone: its `rotation`, as it is set to turn, or its `location`."""
    name = what
    if what == "rotation":
        mode = found.rig.pose.bones[bone].rotation_mode
        name = {"QUATERNION": "rotation_quaternion", "AXIS_ANGLE": "rotation_axis_angle"}.get(mode, "rotation_euler")
    return f'pose.bones["{bpy.utils.escape_identifier(bone)}"].{name}'


def detach(head: bpy.types.Object) -> None:
    """Take off what `attach` has added."""
    helpers = [obj for obj in bpy.data.objects if HELPER in obj and _follows(obj, head.data.shape_keys)]
    for rig in bpy.data.objects:
        if rig.type != "ARMATURE" or rig.pose is None:
            continue
        for bone in rig.pose.bones:
            for constraint in [c for c in bone.constraints if c.type in KINDS and c.target in helpers]:
                bone.constraints.remove(constraint)
    for helper in helpers:
        bpy.data.objects.remove(helper)


def shows(head: bpy.types.Object) -> frozenset[str]:
    """What of `recognition.Recognition.costs` the bones of a head make up for, or shape keys that turn it."""
    found = bones_of(head)
    moving = set(_moving(head, found)) if found is not None else set()
    by_role = {"head": NO_NODS, "eye_left": NO_GAZE, "eye_right": NO_GAZE, "tongue": NO_TONGUE}
    made_up = {cost for role, cost in by_role.items() if role in moving}
    if set(HEAD_CONTROLS) & shape_keys.controls_of(head).keys():
        made_up.add(NO_NODS)
    return frozenset(made_up)


def told(head: bpy.types.Object) -> str:
    """What bones of a head will move, in a sentence; empty if none."""
    found = bones_of(head)
    moving = _moving(head, found) if found is not None else []
    if not moving:
        return ""
    roles = [role.replace("_", " ") for role in moving]
    if "jaw" in moving and (lips := lip_bones_of(head, found)):
        roles.append(f"{len(lips)} of the lips")
    return f"Bones ({found.title}): {', '.join(roles)}"


def reach(head: bpy.types.Object) -> dict[str, np.ndarray]:
    """Control → (V, 3) what the bones of jaw and lips do to a head's mesh at 1, in its own space; empty where only a
    jaw bone opens the mouth, or shape keys do."""
    found = bones_of(head)
    lips = _lip_moves(head, found) if found is not None else None
    return {} if lips is None else dict(zip(lips.controls, lips.reach, strict=True))


def _lip_moves(head: bpy.types.Object, found: Bones) -> LipMoves | None:
    return moves_of(head, found, _axes(found)) if "jaw" in _moving(head, found) else None


def _move_lips(head: bpy.types.Object, found: Bones, lips: LipMoves) -> None:
    names = shape_keys.controls_of(head)
    for number, bone in enumerate(lips.bones):
        helper = _helper(head, found, f"lip {number + 1}")
        for axis in range(3):
            parts = {names[c]: m for c, m in zip(lips.controls, lips.moves[:, number, axis], strict=True) if c in names}
            largest = max(map(abs, parts.values()), default=0.0)
            parts = {name: move for name, move in parts.items() if abs(move) > LOOKED * largest}
            if parts:
                add_up(helper.driver_add("location", axis).driver, head.data.shape_keys, parts.items())
        constrain(found.rig, bone, helper, "COPY_LOCATION").name = CONSTRAINT


def _moving(head: bpy.types.Object, found: Bones) -> list[str]:
    """The roles whose bones move with a line: not those of a jaw, a head or an eye that shapes move already."""
    shown = _shown(head)
    built = set(shape_keys.built_by_rig(head.data.shape_keys)) if head.data.shape_keys is not None else set()
    empty = {name for name in built if name in head.data.shape_keys.key_blocks and not _moves(head, name)}
    opened = any(c == "jawOpen" and name not in empty for c, name in shown.items())
    turned = any(c in HEAD_CONTROLS and name not in empty for c, name in shown.items())
    drawn = charted.chart_of(head.data.shape_keys) is not None  # the mouth, tongue included
    roles = []
    for role, bone in found.of.items():
        if (drawn and role in ("jaw", "tongue")) or poses.is_posed(found.rig, bone):
            continue
        if (role == "jaw" and opened) or (role in ("head", "neck") and turned):
            continue
        if role in GAZES and _turned_by_shapes(head, found, role):
            continue
        roles.append(role)
    return roles


def _turned_by_shapes(head: bpy.types.Object, found: Bones, role: str) -> bool:
    """Whether shape keys of the head's gaze turn what the bone of an eye turns, so that both would turn it twice."""
    bone, control = found.of[role], GAZES[role]
    for obj in head.users_scene[0].objects if head.users_scene else ():
        keys = obj.data.shape_keys if obj.type == "MESH" else None
        if keys is None or bone not in obj.vertex_groups or rig_of(obj) != found.rig:
            continue
        name = shape_keys.plain_controls(tuple(block.name for block in keys.key_blocks)).get(control)
        if name is None:
            continue
        size = np.linalg.norm(shape_keys.displacement(obj, name), axis=1)
        farthest = np.argsort(size)[-LOOKED_AT:]
        index = obj.vertex_groups[bone].index
        of_bone = [any(g.group == index and g.weight > 0.5 for g in obj.data.vertices[v].groups) for v in farthest]
        if size.max(initial=0.0) > 0 and np.mean(of_bone) > 0.5:
            return True
    return False


def _moves(head: bpy.types.Object, name: str) -> bool:
    return bool(np.abs(shape_keys.displacement(head, name)).max(initial=0.0) > 0)


def _shown(head: bpy.types.Object) -> dict[str, str]:
    """Control → a shape key of the head that looks like it."""
    looks = looks_of(head)
    names = shape_keys.controls_of(head)
    found: dict[str, str] = {}
    for channel, weights in looks.items():
        for control, weight in weights.items():
            if weight >= OPENS and channel in names:
                found.setdefault(control, names[channel])
    return found


def looks_of(head: bpy.types.Object) -> dict[str, Mapping[str, float]]:
    """Channel of a head → what it looks like, in our controls."""
    keys = head.data.shape_keys
    if keys is None:
        return {}
    found = shape_keys.recognition_of(keys)
    if found is not None and shape_keys.is_of_family(keys):
        return {families.channel(found.family, target): found.family.by_name[target].looks for target in found.keys}
    return {channel: {channel: 1.0} for channel in shape_keys.controls_of(head)}


def _helper(head: bpy.types.Object, found: Bones, what: str) -> bpy.types.Object:
    helper = bpy.data.objects.new(f"KMTalk {head.name} {what}", None)
    helper[HELPER] = True
    helper.use_fake_user = found.rig.override_library is not None  # else its file forgets what only overrides use
    return helper


def _turn(head: bpy.types.Object, found: Bones, role: str, bone: str, turns: Turns) -> bool:
    """Let a bone turn; False if no shape key of the head says by how much."""
    names = shape_keys.controls_of(head)
    by_key: dict[str, np.ndarray] = {}
    for channel, looks in looks_of(head).items():
        turn = sum((weight * np.array(turns[c]) for c, weight in looks.items() if c in turns), np.zeros(3))
        if np.abs(turn).max() > LOOKED and channel in names:
            by_key[names[channel]] = turn
    if not by_key:
        return False
    axes = _axes(found)
    rest = np.array(found.rig.data.bones[bone].matrix_local.to_3x3())
    helper = _helper(head, found, role)
    helper.rotation_mode = "XYZ"
    local = {name: rest.T @ (axes.T @ turn) for name, turn in by_key.items()}
    for axis in range(3):
        parts = {name: turn[axis] for name, turn in local.items() if abs(turn[axis]) > LOOKED}
        if parts:
            _drive(helper, axis, head.data.shape_keys, parts)
    constrain(found.rig, bone, helper, "COPY_ROTATION").name = CONSTRAINT
    return True


def _drive(helper: bpy.types.Object, axis: int, keys: bpy.types.Key, parts: Mapping[str, float]) -> None:
    add_up(helper.driver_add("rotation_euler", axis).driver, keys, parts.items())


def _axes(found: Bones) -> np.ndarray:
    bones = found.rig.data.bones
    heads, tops = (np.array([getattr(bone, end) for bone in bones]) for end in ("head_local", "tail_local"))
    above = found.of.get("head") or next(iter(found.of.values()))
    return person_axes([bone.name for bone in bones], heads, tops, above)


def _follows(helper: bpy.types.Object, keys: bpy.types.Key | None) -> bool:
    """Whether shape keys turn a helper; one that nothing turns any more belongs to nobody."""
    drivers = helper.animation_data.drivers if helper.animation_data is not None else ()
    ids = {variable.targets[0].id for curve in drivers for variable in curve.driver.variables}
    return keys in ids or ids <= {None}
