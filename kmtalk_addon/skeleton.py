"""The armature of a head, and which of its bones are the head's."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import bpy

from kmtalk_core.retarget.skeletons import ROLES, Skeleton, find_bones

NONE = "-"  # what a user writes for no bone


@dataclass(frozen=True)
class Bones:
    """An armature, what kind it is, and role → bone of those that move a head."""

    rig: bpy.types.Object
    title: str
    of: dict[str, str]


def bones_of(head: bpy.types.Object) -> Bones | None:
    """The bones that move a head: as the user says, else found by their names; None without any."""
    rig = rig_of(head)
    if rig is None:
        return None
    found = _found(tuple(bone.name for bone in rig.data.bones))
    of = dict(found.bones) if found is not None else {}
    for role in ROLES:
        said = getattr(head.kmtalk_bones, role)
        if said == NONE:
            of.pop(role, None)
        elif said in rig.data.bones:
            of[role] = said
    return Bones(rig, found.title if found is not None else "Own", of) if of else None


def rig_of(head: bpy.types.Object) -> bpy.types.Object | None:
    """The armature that moves a mesh: by a modifier, or as a parent somewhere above it."""
    for modifier in head.modifiers:
        if modifier.type == "ARMATURE" and modifier.object is not None:
            return modifier.object
    above = head.parent
    while above is not None and above.type != "ARMATURE":
        above = above.parent
    return above


@lru_cache(maxsize=8)
def _found(names: tuple[str, ...]) -> Skeleton | None:
    return find_bones(names)
