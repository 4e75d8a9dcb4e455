"""The KMTalk tab of the 3-D view's and the sequencer's sidebar, in the order of the work."""

from __future__ import annotations

import textwrap

import bpy

from kmtalk_core.errors import KMTalkError

from . import compat, lipsync, shape_keys
from .operators import chosen_mesh
from .session import current
from .strip import choose_strip, sound_path, text_beside

CHARACTER_WIDTH = 6.5  # pixels, roughly, at a scale of 1


class KMTalkPanel:
    """The whole panel; the two classes below put it into two editors."""

    bl_label = "KMTalk"
    bl_region_type = "UI"
    bl_category = "KMTalk"

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        layout.use_property_split = True
        layout.use_property_decorate = False
        strip = _chosen_strip(context)
        draw_sound(section(layout, "Sound", "PLAY_SOUND"), context, strip)
        draw_text(section(layout, "Text", "TEXT"), context, strip)
        draw_mesh(section(layout, "Mesh", "MESH_DATA"), context)
        draw_settings(layout, context, strip)
        draw_generate(layout, context)
        draw_edit(layout, context)


class KMTALK_PT_view3d(KMTalkPanel, bpy.types.Panel):
    bl_space_type = "VIEW_3D"


class KMTALK_PT_sequencer(KMTalkPanel, bpy.types.Panel):
    bl_space_type = "SEQUENCE_EDITOR"


def section(layout: bpy.types.UILayout, title: str, icon: str) -> bpy.types.UILayout:
    """A column under a heading, with a little air above it."""
    column = layout.column(align=True)
    column.separator(factor=0.5)
    column.label(text=title, icon=icon)
    return column


def draw_sound(layout: bpy.types.UILayout, context: bpy.types.Context, strip: bpy.types.Strip | None) -> None:
    row = layout.row(align=True)
    row.use_property_split = False
    row.prop(
        context.scene.kmtalk,
        "strip",
        text="",
        icon="SEQ_STRIP_DUPLICATE",
        placeholder=strip.name if strip else "Sound strip",
    )
    row.operator("kmtalk.add_sound", text="", icon="ADD")
    if strip is not None and not strip.sound.packed_file and not sound_path(strip).is_file():
        sentence(layout, context, f"{sound_path(strip).name} is missing", "ERROR")


def draw_text(layout: bpy.types.UILayout, context: bpy.types.Context, strip: bpy.types.Strip | None) -> None:
    if strip is None:
        layout.label(text="Choose a sound first")
        return
    said = strip.kmtalk
    column = layout.column(align=True)
    column.use_property_split = False
    column.active = not said.alignment
    row = column.row(align=True)
    row.active = said.text is None
    row.prop(said, "transcript", text="", placeholder="What is said")
    column.prop(said, "text", text="")
    if said.alignment:
        sentence(layout, context, "The TextGrid in the settings says it")
    elif not said.text and not said.transcript:
        found = text_beside(sound_path(strip))
        sentence(layout, context, "Text from the .txt beside the sound" if found else "No text: phones are recognised")


def draw_mesh(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    mesh = chosen_mesh(context)
    row = layout.row()
    row.use_property_split = False
    row.prop(context.scene.kmtalk, "mesh", text="", placeholder=mesh.name if mesh and mesh.type == "MESH" else "Head")
    if mesh is not None and mesh.type == "MESH":
        count = len(shape_keys.controls_of(mesh))
        built = shape_keys.needs_rig(mesh)
        sentence(layout, context, "Shape keys will be built" if built else f"{count} shape keys will be driven")


def draw_settings(layout: bpy.types.UILayout, context: bpy.types.Context, strip: bpy.types.Strip | None) -> None:
    header, body = layout.panel("kmtalk_settings", default_closed=True)
    header.label(text="Settings")
    if body is not None:
        if strip is not None:
            body.prop(strip.kmtalk, "alignment")
        layers = ("upper_face", "head", "expression", "expression_strength", "seed")
        for name in ("localizer", "key_rule", "intensity", *layers):
            body.prop(context.scene.kmtalk, name)


def draw_generate(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    column = layout.column()
    if current.job is not None:
        row = column.row(align=True)
        row.progress(factor=current.fraction, text=current.message.capitalize())
        row.operator("kmtalk.cancel", text="", icon="X")
    else:
        row = column.row()
        row.scale_y = 1.5
        row.operator("kmtalk.generate", icon="PLAY")
    if current.error:
        sentence(column.box(), context, current.error, "ERROR")


def draw_edit(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    column = section(layout, "Edit", "KEYFRAME_HLT")
    column.operator("kmtalk.complete", icon="FILE_REFRESH")
    try:
        take, _ = lipsync.find_take(compat.sequencer_scene(context), context.scene.kmtalk.strip, chosen_mesh(context))
    except KMTalkError:
        return
    column.label(text=f"{take.key_count} key motions: {take.name}")
    for warning in take.warnings.splitlines():
        sentence(column, context, warning, "ERROR")


def sentence(layout: bpy.types.UILayout, context: bpy.types.Context, text: str, icon: str = "NONE") -> None:
    """Show a sentence, wrapped to the width of the sidebar; without an icon it is a remark, in grey."""
    width = context.region.width / (context.preferences.system.ui_scale * CHARACTER_WIDTH)
    column = layout.column(align=True)
    column.scale_y = 0.8
    column.active = icon != "NONE"
    for number, part in enumerate(textwrap.wrap(text, max(16, int(width) - 6))):
        column.label(text=part, icon="BLANK1" if number and icon != "NONE" else icon)


def _chosen_strip(context: bpy.types.Context) -> bpy.types.Strip | None:
    try:
        return choose_strip(compat.sequencer_scene(context), context.scene.kmtalk.strip)
    except KMTalkError:
        return None


classes = (KMTALK_PT_view3d, KMTALK_PT_sequencer)
