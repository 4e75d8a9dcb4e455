"""Which keyframes of a line the dope sheet and the graph editor show: all, or key motions alone (`key_view`)."""

from __future__ import annotations

from collections.abc import Iterator

import bpy
from bpy.app.handlers import persistent

from . import clips, faces, follow, key_view
from .session import current
from .takes import Clip

SOON = 0.0  # s after the user has left tweak mode, in which a view cannot be taken away yet


def edit(clip: Clip, on_rig: bool = False) -> None:
    """Show the keyframes of a line for editing: all of them, or key motions alone, as its strip says. Raises InputError
    if that fails. On a rig: all, where that hides nothing of the rig's, or `on_rig`."""
    key_view.put_away(clip.keys)
    strip = clip.strip
    if strip is None or strip.kmtalk.show_completed:
        clips.tweak(clip.keys, clip.action, on_rig=on_rig)
        return
    faces.mark_edited(clip)
    clips.tweak(clip.keys, clip.action, key_view.new_view(clip.keys, clip.action), on_rig)


def changed(settings: bpy.types.PropertyGroup, context: bpy.types.Context) -> None:
    """*Show Completed Keys* was switched on a strip: show the keyframes that are being edited so."""
    if current.quiet:
        return
    scene = settings.id_data
    try:
        for obj in follow.heads(scene):
            for clip in follow.clips_on(scene, obj):
                if clip.take.line_id == settings.id and clips.is_edited(clip.keys, clip.action):
                    edit(clip)
    except Exception as error:  # a traceback in a property's update helps nobody
        current.explain(error)


def register() -> None:
    """Watch views."""
    bpy.app.handlers.depsgraph_update_post.append(_after_update)


def unregister() -> None:
    """The inverse of `register`."""
    if _after_update in bpy.app.handlers.depsgraph_update_post:
        bpy.app.handlers.depsgraph_update_post.remove(_after_update)
    if bpy.app.timers.is_registered(_soon):
        bpy.app.timers.unregister(_soon)


def _with_views() -> Iterator[bpy.types.Key]:
    for keys in bpy.data.shape_keys:
        if clips.view_on(keys) is not None:
            yield keys


@persistent
def _after_update(scene: bpy.types.Scene, depsgraph: bpy.types.Depsgraph) -> None:
    if not depsgraph.id_type_updated("ACTION"):
        return
    try:
        for keys in _with_views():
            key_view.take_over(keys)
            if not keys.animation_data.use_tweak_mode and not bpy.app.timers.is_registered(_soon):
                bpy.app.timers.register(_soon, first_interval=SOON)
    except Exception as error:  # a traceback in a handler helps nobody
        current.explain(error)


def _soon() -> None:
    """Take away views that the user has left."""
    for keys in list(_with_views()):
        if not keys.animation_data.use_tweak_mode:
            key_view.put_away(keys)
