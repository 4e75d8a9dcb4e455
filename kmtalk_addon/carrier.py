"""A small mesh that is there for its shape keys only, for mouths that belong to no mesh: it is never rendered."""

from __future__ import annotations

import bpy

OWN = "kmtalk_mouth"  # custom property of such an object
SIZE = 0.01


def carrier_of(target: bpy.types.Object) -> bpy.types.Object | None:
    """The one of an object; None if it has none."""
    return next((some for some in bpy.data.objects if OWN in some and some.kmtalk_mouths.target == target), None)


def new_carrier(target: bpy.types.Object, parent: bpy.types.Object | None) -> bpy.types.Object:
    """One beside an object, in its collections."""
    name = f"{target.name} Mouth"
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata([(0, 0, 0), (SIZE, 0, 0), (0, 0, SIZE)], [], [(0, 1, 2)])
    made = bpy.data.objects.new(name, mesh)
    made[OWN] = True
    made.hide_render, made.display_type, made.parent = True, "WIRE", parent
    for collection in target.users_collection:
        collection.objects.link(made)
    return made


def is_carrier(obj: bpy.types.Object) -> bool:
    """Whether an object is such a mesh."""
    return OWN in obj


def remove_carrier(obj: bpy.types.Object) -> None:
    """Take it away."""
    mesh = obj.data
    bpy.data.objects.remove(obj)
    bpy.data.meshes.remove(mesh)
