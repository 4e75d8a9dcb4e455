"""Heads of library overrides: Blender overrides their objects, and leaves the meshes linked, which nothing can animate.

*Own Meshes* overrides them, too. Where shape keys have to be added, which an override forgets when its file is saved,
the object gets a copy of the mesh instead, which is of this file alone.
"""

from __future__ import annotations

import bpy

from kmtalk_core.errors import InputError

from . import bones, clips, inputs, parts, shape_keys


def waiting(head: bpy.types.Object) -> dict[bpy.types.Object, bool]:
    """The head and its parts whose meshes cannot be animated in this file, or not as they would have to be; with
    whether shape keys would be added to them."""
    if head.library is not None or head.type != "MESH":
        return {}
    grows = {head: shape_keys.needs_rig(head) or bool(bones.missing(head)) or inputs.are_wanted(head)}
    grows |= {part.obj: not part.keys for part in parts.parts_of(head) if part.obj.library is None}
    return {obj: more for obj, more in grows.items() if obj.data.library is not None or (more and _is_override(obj))}


def own_meshes(head: bpy.types.Object) -> list[str]:
    """Make the meshes of a head and its parts ones that can be animated here; returns the names of their objects."""
    if head.library is not None:
        raise InputError(
            f"{head.name} is linked from another file; override it first (Object > Library Override > Make)."
        )
    found = waiting(head)
    for obj, grows in found.items():
        if not grows:
            obj.data.override_create(remap_local_usages=True)
            continue
        mesh = obj.data.copy()
        if mesh.override_library is not None:
            mesh.make_local(clear_liboverride=True)
        obj.data = mesh
    bpy.context.view_layer.update()
    return [obj.name for obj in found]


def told(head: bpy.types.Object) -> str:
    """What does not move, or would be lost, and the remedy; empty if nothing."""
    found = waiting(head)
    if head in found:
        return (
            f"{head.name} needs further shape keys, which a library override does not keep; press Own Meshes, and its"
            " bones move too."
        )
    if found:
        names = ", ".join(obj.name for obj in found)
        return f"Left alone, as their meshes are still linked: {names}; press Own Meshes to let them move."
    return ""


def _is_override(obj: bpy.types.Object) -> bool:
    keys = obj.data.shape_keys
    return obj.data.override_library is not None if keys is None else clips.is_override(keys)
