"""The panel of the 3-D view shows the strip that was clicked at in the sequencer, at once.

Blender tells add-ons nothing of such a click, but it draws the sequencer anew.
"""

from __future__ import annotations

import bpy

from . import compat, live
from .session import current


def register() -> None:
    """Watch the sequencer being drawn."""
    current.watching = bpy.types.SpaceSequenceEditor.draw_handler_add(_drawn, (), "WINDOW", "POST_PIXEL")


def unregister() -> None:
    """The inverse of `register`."""
    if current.watching is not None:
        bpy.types.SpaceSequenceEditor.draw_handler_remove(current.watching, "WINDOW")
    current.watching = None


def _drawn() -> None:
    scene = compat.sequencer_scene(bpy.context)
    active = scene.sequence_editor.active_strip if scene.sequence_editor else None
    now = (scene.session_uid, *((active.name, active.mute) if active else ()))
    if now != current.clicked:
        current.clicked = now
        live.redraw()
