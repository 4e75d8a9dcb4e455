"""Bones of the lips move with a line on heads whose mouth no shape key opens, on top of the animator's own acting.

How a bone moves the lips is tried out on the head's own skin, through the very constraint that moves it later, so that
any control rig between bone and skin counts. The moves are solved from that (see `kmtalk_core.retarget.lip_bones`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

import bpy
import numpy as np

from kmtalk_core.retarget.lip_bones import LipMoves, find_lip_bones, solve_lips
from kmtalk_core.retarget.skeletons import JAW_DEG

from . import shape_keys
from .skeleton import NONE, Bones

AJAR = 0.3  # jawOpen at which a jaw is looked at: where lips have to meet while it is down
STEP = 0.02  # of the head's height: how far a bone is moved to see what that does


def lip_bones_of(head: bpy.types.Object, found: Bones) -> tuple[str, ...]:
    """The bones of the lips: as the user says, else found by their names; none where no jaw bone opens the mouth."""
    said = head.kmtalk_bones.lips
    if "jaw" not in found.of or said == NONE:
        return ()
    own = tuple(name.strip() for name in said.split(",") if name.strip() in found.rig.data.bones)
    return own or _named(tuple(bone.name for bone in found.rig.data.bones))


def moves_of(head: bpy.types.Object, found: Bones, axes: np.ndarray) -> LipMoves | None:
    """How the lips' bones move, measured on the head; None where there are none, or the jaw parts no lips.

    `axes` (3, 3): the person's left, up and forward in the armature's space.
    """
    names = lip_bones_of(head, found)
    if not names:
        return None
    rest = shape_keys.rest_positions(head)
    at = found.rig.data.bones
    place = np.array([[at[name].head_local, at[name].tail_local] for name in (found.of["jaw"], *names)])
    known = (head.session_uid, head.data.session_uid, found.rig.session_uid, names, found.of["jaw"])
    return _measured(known, place.round(6).tobytes(), len(rest), axes.tobytes())


@lru_cache(maxsize=8)
def _named(names: tuple[str, ...]) -> tuple[str, ...]:
    return find_lip_bones(names)


@lru_cache(maxsize=8)
def _measured(known: tuple, place: bytes, vertices: int, axes: bytes) -> LipMoves | None:
    """`place` and `vertices` are only there to tell a head that was changed."""
    head_uid, _, rig_uid, names, jaw = known
    by_uid = {obj.session_uid: obj for obj in bpy.data.objects}
    head, rig = by_uid[head_uid], by_uid[rig_uid]
    person = np.frombuffer(axes).reshape(3, 3)
    turn = person[0] * np.radians(JAW_DEG)
    rest = shape_keys.rest_positions(head)
    with _skin_alone(head):
        unturned = _unturned(head, rig, jaw)
        step = STEP * float(np.ptp(rest, axis=0).max())
        with _helped(rig, jaw, "COPY_ROTATION") as helper:
            local = np.array(rig.data.bones[jaw].matrix_local.to_3x3()).T @ turn
            opened = _seen_by(head, helper, "rotation_euler", AJAR * local) / AJAR
        moved = np.zeros((len(names), 3, *rest.shape))
        for row, name in zip(moved, names, strict=True):
            with _helped(rig, name, "COPY_LOCATION") as helper:
                for axis in range(3):
                    row[axis] = _seen_by(head, helper, "location", step * np.eye(3)[axis]) / step
    if opened.shape != rest.shape:
        return None
    of_head = person @ np.array((rig.matrix_world.inverted() @ head.matrix_world).to_3x3().normalized())
    return solve_lips(rest, opened @ unturned.T, names, moved @ unturned.T, of_head)


def constrain(rig: bpy.types.Object, bone: str, helper: bpy.types.Object, kind: str) -> bpy.types.Constraint:
    """Let a bone add the turn or the move of a helper to its own."""
    constraint = rig.pose.bones[bone].constraints.new(kind)
    constraint.target = helper
    if kind == "COPY_ROTATION":
        constraint.mix_mode = "AFTER"
    else:
        constraint.use_offset = True
    constraint.owner_space, constraint.target_space = "LOCAL", "WORLD"  # in its "local" space an object stands still
    return constraint


@contextmanager
def _helped(rig: bpy.types.Object, bone: str, kind: str) -> Iterator[bpy.types.Object]:
    helper = bpy.data.objects.new("KMTalk measures", None)
    constraint = constrain(rig, bone, helper, kind)
    try:
        yield helper
    finally:
        rig.pose.bones[bone].constraints.remove(constraint)
        bpy.data.objects.remove(helper)


@contextmanager
def _skin_alone(head: bpy.types.Object) -> Iterator[None]:
    """Only the armature deforms the head meanwhile, so that its vertices are those of the mesh."""
    others = [m for m in head.modifiers if m.type != "ARMATURE" and m.show_viewport]
    for modifier in others:
        modifier.show_viewport = False
    try:
        yield
    finally:
        for modifier in others:
            modifier.show_viewport = True
        bpy.context.view_layer.update()


def _seen_by(head: bpy.types.Object, helper: bpy.types.Object, path: str, value: np.ndarray) -> np.ndarray:
    """(V, 3): what a helper does to the head, in the object's space."""
    setattr(helper, path, (0.0, 0.0, 0.0))
    before = _evaluated(head)
    setattr(helper, path, value)
    return _evaluated(head) - before


def _evaluated(head: bpy.types.Object) -> np.ndarray:
    bpy.context.view_layer.update()
    evaluated = head.evaluated_get(bpy.context.evaluated_depsgraph_get())
    flat = np.empty(len(evaluated.data.vertices) * 3, np.float32)
    evaluated.data.vertices.foreach_get("co", flat)
    return flat.reshape(-1, 3).astype(np.float64)


def _unturned(head: bpy.types.Object, rig: bpy.types.Object, jaw: str) -> np.ndarray:
    """(3, 3): takes directions of the head as it is posed now back to those of its rest, in the object's space."""
    bpy.context.view_layer.update()
    above = rig.data.bones[jaw].parent
    if above is None:
        return np.eye(3)
    posed = rig.evaluated_get(bpy.context.evaluated_depsgraph_get()).pose.bones[above.name].matrix
    turned = np.array((posed @ above.matrix_local.inverted()).to_3x3().normalized())
    to_rig = np.array((rig.matrix_world.inverted() @ head.matrix_world).to_3x3())
    return np.linalg.inv(to_rig) @ turned.T @ to_rig
