"""Nodes and modifiers by which an object shows one of its mouths: those that it has, and KMTalk's own."""

from __future__ import annotations

from typing import Any

import bpy

from . import compat

OWN = "KMTalk Mouth"  # the name of modifiers and node groups that KMTalk makes


def sheet_of(obj: bpy.types.Object, wanted: str = "") -> tuple[Any, str] | None:
    """A material of an object, and the path of the location in its Mapping node; None without any."""
    for slot in getattr(obj, "material_slots", ()):
        material = slot.material
        for node in material.node_tree.nodes if material is not None and material.node_tree is not None else ():
            if node.type == "MAPPING" and wanted in ("", node.name):
                name = bpy.utils.escape_identifier(node.name)
                return material, f'node_tree.nodes["{name}"].inputs[1].default_value'
    return None


def index_node(obj: bpy.types.Object) -> tuple[bpy.types.NodeTree, str]:
    """A modifier that gives all faces of a mesh one material slot: its nodes, and the path of the slot's number."""
    modifier = obj.modifiers.get(OWN)
    if modifier is None or modifier.type != "NODES" or modifier.node_group is None:
        modifier = obj.modifiers.new(OWN, "NODES")
        modifier.node_group = _group()
    return modifier.node_group, 'nodes["Slot"].integer'


def time_modifier(obj: bpy.types.Object, layer: str) -> str:
    """The path of the frame that the Time Offset modifier of a Grease Pencil object shows; `layer`: of which alone."""
    kind = compat.time_offset_type(obj)
    modifiers = compat.grease_pencil_modifiers(obj)
    modifier = next((some for some in modifiers if some.type == kind and some.mode == "FIX"), None)
    if modifier is None:
        modifier = modifiers.new(OWN, kind)
        modifier.mode = "FIX"
        compat.filter_layer(modifier, layer)
    return f'{compat.modifiers_path(obj)}["{bpy.utils.escape_identifier(modifier.name)}"].offset'


def remove_nodes(obj: bpy.types.Object) -> None:
    """Take off what the functions above have added."""
    for modifiers in (obj.modifiers, compat.grease_pencil_modifiers(obj)):
        for modifier in [some for some in modifiers if some.name == OWN]:
            group = modifier.node_group if modifier.type == "NODES" else None
            modifiers.remove(modifier)
            if group is not None and not group.users:
                bpy.data.node_groups.remove(group)


def _group() -> bpy.types.NodeTree:
    group = bpy.data.node_groups.new(OWN, "GeometryNodeTree")
    for way in ("INPUT", "OUTPUT"):
        group.interface.new_socket("Geometry", in_out=way, socket_type="NodeSocketGeometry")
    start, end = group.nodes.new("NodeGroupInput"), group.nodes.new("NodeGroupOutput")
    slot, node = group.nodes.new("FunctionNodeInputInt"), group.nodes.new("GeometryNodeSetMaterialIndex")
    slot.name = "Slot"
    group.links.new(start.outputs[0], node.inputs["Geometry"])
    group.links.new(slot.outputs[0], node.inputs["Material Index"])
    group.links.new(node.outputs[0], end.inputs[0])
    for place, some in enumerate((slot, start, node, end)):
        some.location = (200 * place, 0)
    return group
