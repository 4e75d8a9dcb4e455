"""KMTalk for Blender: lip sync with key motions that stay editable."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import bpy

# The extension brings kmtalk_core as a wheel; in a checkout it lies beside this folder.
if importlib.util.find_spec("kmtalk_core") is None:
    sys.path.append(str(Path(__file__).resolve().parents[1]))

from . import compat

if not compat.TOO_OLD:
    from . import (
        clicked,
        command_line,
        edit_keys,
        environment,
        follow,
        head_box,
        landmark_drawing,
        landmark_operators,
        legacy,
        line_operators,
        live,
        mapping,
        mouth_box,
        operators,
        panels,
        preferences,
        properties,
        rerun,
        scene_box,
        session,
        styles,
        try_it,
        vertex_cache,
    )

    classes = (
        *properties.classes,
        *preferences.classes,
        *environment.classes,
        *operators.classes,
        *line_operators.classes,
        *scene_box.classes,
        *mapping.classes,
        *head_box.classes,
        *mouth_box.classes,
        *landmark_operators.classes,
        *try_it.classes,
        *styles.classes,
        *panels.classes,
        *vertex_cache.classes,
    )


def register() -> None:
    """Called when the add-on is switched on."""
    if compat.TOO_OLD:
        print(compat.OUT_OF_RANGE)
        return
    for cls in classes:
        bpy.utils.register_class(cls)
    properties.add()
    vertex_cache.add()
    live.register()
    session.register()
    follow.register()
    edit_keys.register()
    rerun.register()
    clicked.register()
    legacy.register()
    landmark_drawing.register()
    command_line.register()


def unregister() -> None:
    """The inverse of `register`; also ends the worker."""
    if compat.TOO_OLD:
        return
    session.current.stop()
    command_line.unregister()
    landmark_drawing.unregister()
    session.unregister()
    legacy.unregister()
    clicked.unregister()
    rerun.unregister()
    edit_keys.unregister()
    follow.unregister()
    live.unregister()
    vertex_cache.remove()
    properties.remove()
    for cls in reversed(classes):
        bpy.utils.unregister_class(cls)
