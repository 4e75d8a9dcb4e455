"""The table that says what each shape key looks like: one's own mapping, filled in by KMTalk, kept in a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import ClassVar

import bpy
from bpy.props import BoolProperty, StringProperty

from kmtalk_core.errors import InputError, KMTalkError
from kmtalk_core.files import save_text
from kmtalk_core.retarget.families import Family, read_family

from . import clips, shape_keys
from .mapped import keep
from .operators import can_work, chosen_mesh
from .session import current
from .wrapping import sentence

ROWS = 6


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


class KMTALK_UL_mapped(bpy.types.UIList):
    """Shape keys, what they look like, and how much of it."""

    def draw_item(self, context, layout, data, item, icon, active_data, active_property, index):
        row = layout.split(factor=0.36, align=True)
        row.prop_search(item, "name", data.id_data, "key_blocks", text="", icon="BLANK1")
        rest = row.split(factor=0.68, align=True)
        rest.prop(item, "control", text="")
        rest.prop(item, "weight", text="")


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
)
