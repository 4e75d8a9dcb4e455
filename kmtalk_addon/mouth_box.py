"""The box of mouths that are drawings or poses: what shows them, which is which, and a click to try each."""

from __future__ import annotations

from typing import ClassVar

import bpy
from bpy.props import BoolProperty, EnumProperty, StringProperty

from kmtalk_core.errors import InputError
from kmtalk_core.retarget.cues import drawings_of
from kmtalk_core.retarget.families import families

from . import clips, compat, drawings, live, mouths, poses, takes
from .mouth_rows import KINDS
from .operators import can_work, chosen_mesh
from .session import current

TITLES = {kind: title for kind, title, _ in KINDS}
NODES = ("PICTURES", "SHEET")


class OnMouths:
    """An operator on the mouths of the chosen object: `work` does it."""

    bl_options: ClassVar = {"UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return can_work(cls, lambda: _chosen(context))

    def execute(self, context: bpy.types.Context) -> set[str]:
        try:
            self.work(context, _chosen(context))
        except Exception as error:
            self.report({"ERROR"}, current.explain(error))
            return {"CANCELLED"}
        current.glances.forget()
        return {"FINISHED"}


class KMTALK_OT_use_mouths(OnMouths, bpy.types.Operator):
    """Let pictures, layers, objects or poses be the mouths of this object; they are found by their names"""

    bl_idname = "kmtalk.use_mouths"
    bl_label = "Use as Mouths"

    kind: EnumProperty(name="Mouths", items=KINDS)

    def work(self, context, obj):
        head = mouths.set_up(obj, self.kind)
        self.report({"INFO"}, f"{head.name} speaks by {TITLES[self.kind].lower()}")


class KMTALK_OT_remove_mouths(OnMouths, bpy.types.Operator):
    """Take the mouths off again: what shows them is as before"""

    bl_idname = "kmtalk.remove_mouths"
    bl_label = "Remove Mouths"

    def work(self, context, obj):
        mouths.remove(obj)


class KMTALK_OT_try_mouth(OnMouths, bpy.types.Operator):
    """Show this mouth now, to try it. Shift: let the line show it from the current frame on"""

    bl_idname = "kmtalk.try_mouth"
    bl_label = "Try Mouth"

    mouth: StringProperty(options={"HIDDEN"})
    key: BoolProperty(options={"HIDDEN", "SKIP_SAVE"})

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        self.key = event.shift
        return self.execute(context)

    def work(self, context, obj):
        if not self.key:
            mouths.show(obj, self.mouth)
            return
        if poses.is_used(obj):
            raise InputError("Poses are blended; edit the keyframes of their shape keys instead.")
        clip = takes.find_clip(compat.sequencer_scene(context), context.scene.kmtalk.strip, obj)
        number = drawings_of(families()[obj.kmtalk_mouths.chart]).index(self.mouth)
        drawings.key_here(clip.keys, clip.action, live.frame_within(clip, clip.scene.frame_current_final), number)
        live.show(clip.scene)


def draw_mouths(layout: bpy.types.UILayout, context: bpy.types.Context, head: bpy.types.Object) -> None:
    """What shows the mouths of a head, closed at first; of other objects a menu to choose it."""
    used = mouths.is_used(head)
    if head.type != "MESH":
        layout.operator_menu_enum("kmtalk.use_mouths", "kind", text=f"Mouths of {head.name}")
        return
    said = head.kmtalk_mouths
    header, body = layout.panel("kmtalk_mouths", default_closed=True)
    header.label(text=f"Mouths: {TITLES[said.kind]}" if used else "Mouths: as the mesh has them")
    if body is None:
        return
    if not used:
        body.operator_menu_enum("kmtalk.use_mouths", "kind", text="Drawings or Poses")
        return
    header.operator("kmtalk.remove_mouths", text="", icon="X", emboss=False)
    column = body.column(align=True)
    for name in ("kind", "chart", "target"):
        column.prop(said, name)
    if said.kind in NODES:
        column.prop(said, "node")
    if said.kind == "SHEET":
        column.prop(said, "columns")
        column.prop(said, "rows")
    if said.kind == "PROPERTY":
        column.prop(said, "path")
    _draw_rows(body, said)


def told(head: bpy.types.Object) -> str:
    """In a few words, what the mouths of a head are; empty where they are the mesh's own."""
    if not mouths.is_used(head):
        return ""
    said = head.kmtalk_mouths
    return f"{families()[said.chart].title}: {len(said.mouths)} mouths by {TITLES[said.kind].lower()}"


def _draw_rows(layout: bpy.types.UILayout, said: bpy.types.PropertyGroup) -> None:
    column = layout.column(align=True)
    column.use_property_split = False
    for row in said.mouths:
        line = column.split(factor=0.22, align=True)
        line.operator("kmtalk.try_mouth", text=row.name).mouth = row.name
        if said.kind in mouths.NUMBERED:
            line.prop(row, "number", text="")
        elif said.kind == "LAYERS" and said.target is not None and said.target.type in mouths.GREASE_PENCIL:
            line.prop_search(row, "layer", said.target.data, "layers", text="")
        elif said.kind == "KEYS" and (keys := clips.keys_of(said.target)) is not None:
            line.prop_search(row, "layer", keys, "key_blocks", text="")
        elif said.kind in mouths.NAMED:
            line.prop(row, "layer", text="")
        elif said.kind == "OBJECTS":
            line.prop(row, "shown", text="")
        elif said.kind == mouths.POSES:
            pair = line.split(factor=0.7, align=True)
            pair.prop(row, "action", text="")
            pair.prop(row, "frame", text="")


def _chosen(context: bpy.types.Context) -> bpy.types.Object:
    """The chosen mesh, or the active object that has no mesh with mouths yet."""
    obj = chosen_mesh(context)
    if obj is None:
        raise InputError("Nothing is chosen; select the object that shows the mouths.")
    if obj.library is not None:
        raise InputError(f"{obj.name} is linked from another file; override it (Object > Library Override > Make).")
    return obj


classes = (KMTALK_OT_use_mouths, KMTALK_OT_remove_mouths, KMTALK_OT_try_mouth)
