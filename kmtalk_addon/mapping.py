"""The table that says what each shape key looks like: one's own mapping, filled in by KMTalk, kept in a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import ClassVar

import bpy
from bpy.props import BoolProperty, EnumProperty, StringProperty

from kmtalk_core.errors import InputError, KMTalkError
from kmtalk_core.files import save_text
from kmtalk_core.retarget import followers
from kmtalk_core.retarget.families import Family, read_family
from kmtalk_core.retarget.skeletons import ROLES

from . import bones, clips, parts, shape_keys
from .mapped import keep
from .operators import can_work, chosen_mesh
from .session import current
from .skeleton import bones_of, rig_of
from .wrapping import sentence

ROWS = 6
SHOWN = 3  # parts in the heading


def fill(keys: bpy.types.Key, family: Family, names: dict[str, str]) -> None:
    """Let the table show a family; `names`: shape of the family → shape key."""
    with current.fill_in():
        keys.kmtalk.mapped.clear()
        for target, name in names.items():
            for control, weight in family.by_name[target].looks.items():
                row = keys.kmtalk.mapped.add()
                row.name, row.control, row.weight = name, control, weight
        keys.kmtalk.mapped_row = 0
    keep(keys)


class OnShapes:
    """An operator on the mapping of the chosen head's shape keys: `work` does it."""

    bl_options: ClassVar = {"UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return can_work(cls, lambda: _keys(context))

    def execute(self, context: bpy.types.Context) -> set[str]:
        try:
            self.work(_keys(context))
        except Exception as error:
            self.report({"ERROR"}, current.explain(error))
            return {"CANCELLED"}
        return {"FINISHED"}


class KMTALK_OT_map_found(OnShapes, bpy.types.Operator):
    """Fill the table with what KMTalk knows of these shape keys, to be changed"""

    bl_idname = "kmtalk.map_found"
    bl_label = "Fill In"

    def work(self, keys):
        keys.kmtalk.mapping = ""
        found = shape_keys.recognition_of(keys)
        if found is None:
            raise InputError("KMTalk knows none of these shape keys by name; add them with + and say what they are.")
        fill(keys, found.family, dict(found.keys))


class KMTALK_OT_map_add(OnShapes, bpy.types.Operator):
    """Say what the active shape key looks like"""

    bl_idname = "kmtalk.map_add"
    bl_label = "Add Shape"

    def work(self, keys):
        mesh = chosen_mesh(bpy.context)
        active = mesh.active_shape_key
        with current.fill_in():
            row = keys.kmtalk.mapped.add()
            row.name = active.name if active is not None and active != keys.reference_key else ""
            row.control = "jawOpen"
        keys.kmtalk.mapped_row = len(keys.kmtalk.mapped) - 1
        keep(keys)


class KMTALK_OT_map_remove(OnShapes, bpy.types.Operator):
    """Take the chosen row out of the table"""

    bl_idname = "kmtalk.map_remove"
    bl_label = "Remove Shape"

    def work(self, keys):
        keys.kmtalk.mapped.remove(keys.kmtalk.mapped_row)
        keys.kmtalk.mapped_row = max(0, min(keys.kmtalk.mapped_row, len(keys.kmtalk.mapped) - 1))
        keep(keys)


class KMTALK_OT_map_clear(OnShapes, bpy.types.Operator):
    """Forget the mapping; KMTalk finds the family of the shape keys by itself again"""

    bl_idname = "kmtalk.map_clear"
    bl_label = "Forget Mapping"

    def work(self, keys):
        keys.kmtalk.mapped.clear()
        keep(keys)


class KMTALK_OT_map_load(OnShapes, bpy.types.Operator):
    """Read a mapping from a file"""

    bl_idname = "kmtalk.map_load"
    bl_label = "Load Mapping"

    filepath: StringProperty(subtype="FILE_PATH")
    filter_glob: StringProperty(default="*.json", options={"HIDDEN"})

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def work(self, keys):
        from kmtalk_core.retarget.recognition import match_family

        family = read_family(Path(self.filepath))
        names = match_family(family, [block.name for block in keys.key_blocks[1:]])
        if not names:
            raise InputError(
                f"{Path(self.filepath).name} names none of these shape keys; choose the mapping of this head."
            )
        fill(keys, family, names)
        self.report({"INFO"}, f"{len(names)} shape keys mapped")


class KMTALK_OT_map_save(OnShapes, bpy.types.Operator):
    """Write the mapping to a file, for other heads and for kmtalk --target"""

    bl_idname = "kmtalk.map_save"
    bl_label = "Save Mapping"

    filepath: StringProperty(subtype="FILE_PATH")
    check_existing: BoolProperty(default=True, options={"HIDDEN"})
    filter_glob: StringProperty(default="*.json", options={"HIDDEN"})

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        self.filepath = self.filepath or "mapping.json"
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def work(self, keys):
        if not keys.kmtalk.mapping:
            raise InputError("The table is empty; fill it in first.")
        path = Path(bpy.path.ensure_ext(self.filepath, ".json"))
        data = json.loads(keys.kmtalk.mapping) | {"family": path.stem, "title": path.stem}
        save_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n", path)
        self.report({"INFO"}, f"{path.name} was written")


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


class KMTALK_UL_mapped(bpy.types.UIList):
    """Shape keys, what they look like, and how much of it."""

    def draw_item(self, context, layout, data, item, icon, active_data, active_property, index):
        row = layout.split(factor=0.36, align=True)
        row.prop_search(item, "name", data.id_data, "key_blocks", text="", icon="BLANK1")
        rest = row.split(factor=0.68, align=True)
        rest.prop(item, "control", text="")
        rest.prop(item, "weight", text="")


def draw_head(layout: bpy.types.UILayout, context: bpy.types.Context, mesh: bpy.types.Object) -> None:
    """What the head is, how much of speech its shape keys show, and what is missing."""
    keys = mesh.data.shape_keys
    if keys is not None and not shape_keys.needs_rig(mesh):
        found = shape_keys.recognition_of(keys)
        if found is not None:
            sentence(layout, context, f"{found.summary} driven", "CHECKMARK")
            shown = current.glances.at(("costs", mesh.session_uid), lambda: bones.shows(mesh))
            for cost in found.costs:
                if cost not in shown:
                    sentence(layout, context, cost)
    elif shape_keys.jaw_bone(mesh) and not _can_build(mesh):
        sentence(layout, context, "Its jaw bone opens the mouth; lips have no shape keys", "CHECKMARK")
    elif _can_build(mesh):
        sentence(layout, context, "Shape keys will be built: its landmarks are known", "CHECKMARK")
    draw_parts(layout, context, mesh)
    draw_bones(layout, context, mesh)
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
    column = body.column(align=True)
    for role in ROLES:
        icon = "CHECKMARK" if found is not None and role in found.of else "BLANK1"
        row = column.row(align=True)
        row.prop_search(head.kmtalk_bones, role, rig.data, "bones", icon=icon)
        if found is not None and role in found.of and not getattr(head.kmtalk_bones, role):
            row.label(text=found.of[role])


def draw_table(layout: bpy.types.UILayout, context: bpy.types.Context, keys: bpy.types.Key) -> None:
    """The table, closed at first."""
    header, body = layout.panel("kmtalk_shapes", default_closed=True)
    header.label(text="Shapes: own mapping" if keys.kmtalk.mapping else "Shapes")
    if body is None:
        return
    found = shape_keys.recognition_of(keys)
    if found is not None and found.missing:
        sentence(body, context, "Not driven: " + ", ".join(found.missing))
    if len(keys.kmtalk.mapped):
        row = body.row()
        row.template_list("KMTALK_UL_mapped", "", keys.kmtalk, "mapped", keys.kmtalk, "mapped_row", rows=ROWS)
        buttons = row.column(align=True)
        buttons.operator("kmtalk.map_add", text="", icon="ADD")
        buttons.operator("kmtalk.map_remove", text="", icon="REMOVE")
        buttons.operator("kmtalk.map_clear", text="", icon="X")
    else:
        row = body.row(align=True)
        row.operator("kmtalk.map_found", icon="PRESET")
        row.operator("kmtalk.map_add", text="", icon="ADD")
    row = body.row(align=True)
    row.operator("kmtalk.map_load", text="Load")
    row.operator("kmtalk.map_save", text="Save")


def _can_build(mesh: bpy.types.Object) -> bool:
    return shape_keys.landmarks_known(mesh.data)


def _keys(context: bpy.types.Context) -> bpy.types.Key:
    keys = clips.keys_of(chosen_mesh(context))
    if keys is None:
        raise KMTalkError("The head has no shape keys; choose another mesh")
    if keys.library is not None:
        raise KMTalkError("The shape keys are linked from another file; override the mesh first")
    return keys


classes = (
    KMTALK_UL_mapped,
    KMTALK_OT_map_found,
    KMTALK_OT_map_add,
    KMTALK_OT_map_remove,
    KMTALK_OT_map_clear,
    KMTALK_OT_map_load,
    KMTALK_OT_map_save,
    KMTALK_OT_set_part,
    KMTALK_OT_add_parts,
)
