"""The box of the chosen head: what it is, how much of speech it shows, and which objects and bones move with it."""

from __future__ import annotations

from typing import ClassVar

import bpy
from bpy.props import EnumProperty, StringProperty

from kmtalk_core.errors import InputError
from kmtalk_core.retarget import followers
from kmtalk_core.retarget.skeletons import ROLES

from . import bones, landmark_operators, overrides, parts, rig_tracks, shape_keys
from .lip_bones import lip_bones_of
from .mapping import draw_table
from .mouth_box import draw_mouths, told
from .operators import can_work, chosen_mesh
from .session import current
from .skeleton import bones_of, rig_of
from .wrapping import sentence

SHOWN = 3  # parts in the heading


class OnHeadsParts:
    """An operator on the parts of the chosen head."""

    bl_options: ClassVar = {"UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return can_work(cls, lambda: shape_keys.check_mesh(chosen_mesh(context)))

    def execute(self, context: bpy.types.Context) -> set[str]:
        try:
            self.work(context, shape_keys.check_mesh(chosen_mesh(context)))
        except Exception as error:
            self.report({"ERROR"}, current.explain(error))
            return {"CANCELLED"}
        current.glances.forget()
        return {"FINISHED"}


class KMTALK_OT_set_part(OnHeadsParts, bpy.types.Operator):
    """Say what this object moves with"""

    bl_idname = "kmtalk.set_part"
    bl_label = "Part"

    part: StringProperty(options={"HIDDEN"})
    role: EnumProperty(name="Follows", items=parts.ROLES)

    def work(self, context, head):
        parts.say(head, bpy.data.objects[self.part], self.role)


class KMTALK_OT_add_parts(OnHeadsParts, bpy.types.Operator):
    """Let the selected meshes be parts of the head"""

    bl_idname = "kmtalk.add_parts"
    bl_label = "Add Selected"

    def work(self, context, head):
        chosen = [obj for obj in context.selected_objects if obj.type == "MESH" and obj != head]
        if not chosen:
            raise InputError("Select the meshes that belong to the head first.")
        for obj in chosen:
            parts.say(head, obj, followers.role_of(obj.name) or followers.ATTACHED)


class KMTALK_OT_own_meshes(bpy.types.Operator):
    """Override the meshes of a head and its parts too, or give it copies where shape keys have to be added"""

    bl_idname = "kmtalk.own_meshes"
    bl_label = "Own Meshes"
    bl_options: ClassVar = {"UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return chosen_mesh(context) is not None

    def execute(self, context: bpy.types.Context) -> set[str]:
        try:
            own = overrides.own_meshes(chosen_mesh(context))
        except Exception as error:
            self.report({"ERROR"}, current.explain(error))
            return {"CANCELLED"}
        current.glances.forget()
        self.report({"INFO"}, f"The meshes of {', '.join(own)} can be animated here" if own else "Nothing to be done")
        return {"FINISHED"}


def draw_head(layout: bpy.types.UILayout, context: bpy.types.Context, mesh: bpy.types.Object) -> None:
    """What the head is, how much of speech its shape keys show, and what is missing."""
    if mesh.library is not None:
        return
    if current.glances.at(("waiting", mesh.session_uid), lambda: bool(overrides.waiting(mesh))):
        layout.operator("kmtalk.own_meshes", icon="LIBRARY_DATA_OVERRIDE")
    keys = mesh.data.shape_keys
    if drawn := told(mesh):
        sentence(layout, context, drawn, "CHECKMARK")
    elif keys is not None and not shape_keys.needs_rig(mesh):
        found = shape_keys.recognition_of(keys)
        if found is not None:
            sentence(layout, context, f"{found.summary} driven", "CHECKMARK")
            shown = current.glances.at(("costs", mesh.session_uid), lambda: bones.shows(mesh))
            for cost in found.costs:
                if cost not in shown:
                    sentence(layout, context, cost)
    elif shape_keys.jaw_bone(mesh) and not _can_build(mesh):
        found = bones_of(mesh)
        lips = len(lip_bones_of(mesh, found)) if found is not None else 0
        shaped = f"{lips} bones shape the lips" if lips else "lips have neither shape keys nor bones"
        sentence(layout, context, f"Its jaw bone opens the mouth; {shaped}", "CHECKMARK")
    elif _can_build(mesh):
        sentence(layout, context, "Shape keys will be built: its landmarks are known", "CHECKMARK")
        if shape_keys.LANDMARKS in mesh.data:
            landmark_operators.draw(layout, context, mesh)
    else:
        landmark_operators.draw(layout, context, mesh)
    draw_parts(layout, context, mesh)
    draw_bones(layout, context, mesh)
    draw_mouths(layout, context, mesh)
    if keys is not None:
        draw_table(layout, context, keys)


def draw_parts(layout: bpy.types.UILayout, context: bpy.types.Context, head: bpy.types.Object) -> None:
    """The objects that belong to the head, and what they move with."""
    found = current.glances.at(("parts", head.session_uid), lambda: parts.parts_of(head))
    told = ", ".join(part.obj.name for part in found[:SHOWN]) + (", …" if len(found) > SHOWN else "")
    header, body = layout.panel("kmtalk_parts", default_closed=True)
    header.label(text=f"Parts: {told}" if found else "Parts: none")
    if body is None:
        return
    for part in found:
        row = body.row(align=True)
        row.label(text=part.obj.name, icon="MESH_DATA")
        row.operator_menu_enum("kmtalk.set_part", "role", text=part.how.capitalize()).part = part.obj.name
    body.operator("kmtalk.add_parts", icon="ADD")


def draw_bones(layout: bpy.types.UILayout, context: bpy.types.Context, head: bpy.types.Object) -> None:
    """The bones that move with the head's lines, and others to choose."""
    rig = rig_of(head)
    if rig is None:
        return
    header, body = layout.panel("kmtalk_bones", default_closed=True)
    header.label(text=current.glances.at(("bones", head.session_uid), lambda: bones.told(head)) or "Bones: none")
    if body is None:
        return
    found = bones_of(head)
    if rig_tracks.can_be_keyed(rig):
        body.prop(head.kmtalk_bones, "keyed")
    column = body.column(align=True)
    for role in ROLES:
        icon = "CHECKMARK" if found is not None and role in found.of else "BLANK1"
        row = column.row(align=True)
        row.prop_search(head.kmtalk_bones, role, rig.data, "bones", icon=icon)
        if found is not None and role in found.of and not getattr(head.kmtalk_bones, role):
            row.label(text=found.of[role])
    column.prop(head.kmtalk_bones, "lips", placeholder=", ".join(lip_bones_of(head, found)) if found else "")


def _can_build(mesh: bpy.types.Object) -> bool:
    return shape_keys.landmarks_known(mesh.data)


classes = (KMTALK_OT_set_part, KMTALK_OT_add_parts, KMTALK_OT_own_meshes)
