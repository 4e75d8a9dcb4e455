"""The menu of styles: those that ship, and files that `kmtalk learn-style` has written.

A strip keeps the name of a shipped style or a file's path, which may be relative to the .blend (//). The menu offers
the files that strips of the scene use, and those that the preferences remember from other scenes.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import bpy
from bpy.props import StringProperty

from kmtalk_core.errors import KMTalkError
from kmtalk_core.settings import STYLE_ENDING, STYLES
from kmtalk_core.styles import load_style

from . import compat, preferences
from .operators import can_work
from .session import current
from .strip import choose_strip, sound_strips

REMEMBERED = 20  # files


def label_of(style: str) -> str:
    """What the menu's button says of a strip's style."""
    return STYLES[style][0] if style in STYLES else Path(style.removeprefix("//")).stem


def offered(scene: bpy.types.Scene, remembered: str) -> list[str]:
    """The files to choose from, full paths: those that strips use first."""
    used = [strip.kmtalk.style for strip in sound_strips(scene)]
    found = [bpy.path.abspath(style) for style in used if style not in STYLES] + remembered.splitlines()
    return [path for path in dict.fromkeys(found) if is_there(path)]


def is_there(path: str) -> bool:
    """Whether a file is there, as of lately: panels are drawn often."""
    return current.glances.at(("style", path), lambda: Path(path).is_file())


def wear(context: bpy.types.Context, style: str) -> None:
    """Give the chosen strip a style; its lines follow at once. Raises InputError for a file that is none."""
    if style not in STYLES:
        load_style(style)
        remember(context, style)
        if bpy.data.filepath and context.preferences.filepaths.use_relative_paths:
            style = _relative(style)
    choose_strip(compat.sequencer_scene(context), context.scene.kmtalk.strip).kmtalk.style = style


def remember(context: bpy.types.Context, path: str) -> None:
    """Offer this file in other scenes, too."""
    if (kept := preferences.own(context)) is not None:
        files = dict.fromkeys([path, *kept.styles.splitlines()])
        kept.styles = "\n".join([*files][:REMEMBERED])


def _relative(path: str) -> str:
    try:
        return bpy.path.relpath(path)
    except ValueError:  # another drive
        return path


class _OnStrip:
    """An operator on the chosen strip."""

    bl_options: ClassVar = {"UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return can_work(cls, lambda: choose_strip(compat.sequencer_scene(context), context.scene.kmtalk.strip))

    def done(self, work: Callable[[], None]) -> set[str]:
        try:
            work()
        except KMTalkError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        return {"FINISHED"}


class KMTALK_OT_style(_OnStrip, bpy.types.Operator):
    """Let the line speak in this style; key motions that you have edited stay"""

    bl_idname = "kmtalk.style"
    bl_label = "Style"

    style: StringProperty(options={"HIDDEN", "SKIP_SAVE"})

    @classmethod
    def description(cls, context: bpy.types.Context, properties: bpy.types.OperatorProperties) -> str:
        return STYLES[properties.style][1] if properties.style in STYLES else properties.style

    def execute(self, context: bpy.types.Context) -> set[str]:
        return self.done(lambda: wear(context, self.style))


class KMTALK_OT_open_style(_OnStrip, bpy.types.Operator):
    """Let the line speak in the style of a file that `kmtalk learn-style` has written"""

    bl_idname = "kmtalk.open_style"
    bl_label = "Open Style"

    filepath: StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"})
    filter_glob: StringProperty(default=f"*{STYLE_ENDING}", options={"HIDDEN"})

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        return self.done(lambda: wear(context, str(Path(bpy.path.abspath(self.filepath)).absolute())))


class KMTALK_MT_style(bpy.types.Menu):
    """Whose way of speaking"""

    bl_label = "Style"

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        for name, (label, _) in STYLES.items():
            layout.operator("kmtalk.style", text=label).style = name
        kept = preferences.own(context)
        files = offered(compat.sequencer_scene(context), kept.styles if kept is not None else "")
        if files:
            layout.separator()
        for path in files:
            layout.operator("kmtalk.style", text=Path(path).stem, icon="FILE").style = path
        layout.separator()
        layout.operator("kmtalk.open_style", text="Open…", icon="FILE_FOLDER")


def draw(layout: bpy.types.UILayout, strip: bpy.types.Strip) -> None:
    """The row of the panel."""
    split = layout.split(factor=0.4)
    label = split.row()
    label.alignment = "RIGHT"
    label.label(text="Style")
    split.menu("KMTALK_MT_style", text=label_of(strip.kmtalk.style))


classes = (KMTALK_OT_style, KMTALK_OT_open_style, KMTALK_MT_style)
