"""Completion that runs again by itself: soon after the animator has let go of the keyframes of the line being edited.

It works as the button does, in the background. While keyframes are dragged nothing is touched: Blender's operators hold
on to them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import bpy
import numpy as np
from bpy.app.handlers import persistent

from kmtalk_core.errors import InputError
from kmtalk_core.motion import KeyMotions

from . import clips, compat, drawings, faces, follow, lipsync, live, takes
from .preferences import interpreter
from .session import current

REST = 0.25  # s after the last change
POLL = 0.02  # s
HOLDING = ("TRANSFORM_OT", "GRAPH_OT", "ACTION_OT")  # operators that change keyframes until they are confirmed


@dataclass(frozen=True)
class Changed:
    """A line that is being edited, with its key motions as read a moment ago; None: not read."""

    clip: takes.Clip
    keys: KeyMotions | None


def line_to_rerun(scene: bpy.types.Scene) -> Changed | None:
    """The line that is being edited, if its key motions are others than those that it was completed through."""
    for obj in follow.heads(scene):
        for clip in follow.clips_on(scene, obj):
            if clips.is_edited(clip.keys, clip.action) and (changed := _if_changed(clip)) is not None:
                return changed
    return None


def _if_changed(clip: takes.Clip) -> Changed | None:
    before = takes.shown(clip.take)
    if drawings.has_new(clip.keys, clip.action, clip.line):
        return Changed(clip, None)
    try:
        now = faces.read(clip.obj, clip.action, clip.names, clip.line, before)
    except InputError:  # all key motions are gone: there is nothing to complete
        return None
    same = len(now.times) == len(before.keys.times) and np.allclose(now.times, before.keys.times, atol=1e-6)
    return None if same and np.allclose(now.controls, before.keys.controls, atol=1e-6) else Changed(clip, now)


def run(scene: bpy.types.Scene) -> bool:
    """Complete the line that is being edited again, now, and wait for it; False if nothing was to be done."""
    changed = line_to_rerun(scene)
    if changed is None or current.job is not None:
        return False
    job = current.start(_steps(changed), *interpreter(bpy.context))
    try:
        job.wait()
    finally:
        current.finish(job)
    return True


def _steps(changed: Changed) -> lipsync.Steps[lipsync.Outcome]:
    clip = changed.clip
    name = clip.strip.name if clip.strip is not None else clip.take.name
    return lipsync.complete(clip.scene, name, clip.obj, changed.keys)


def register() -> None:
    """Watch keyframes."""
    bpy.app.handlers.depsgraph_update_post.append(_after_update)
    for handlers in (bpy.app.handlers.undo_post, bpy.app.handlers.redo_post):
        handlers.append(_after_undo)


def unregister() -> None:
    """The inverse of `register`."""
    if _after_update in bpy.app.handlers.depsgraph_update_post:
        bpy.app.handlers.depsgraph_update_post.remove(_after_update)
    for handlers in (bpy.app.handlers.undo_post, bpy.app.handlers.redo_post):
        if _after_undo in handlers:
            handlers.remove(_after_undo)
    for timer in (_at_rest, _waiting):
        if bpy.app.timers.is_registered(timer):
            bpy.app.timers.unregister(timer)


@persistent
def _after_update(scene: bpy.types.Scene, depsgraph: bpy.types.Depsgraph) -> None:
    if bpy.app.background or not scene.kmtalk.rerun or not depsgraph.id_type_updated("ACTION"):
        return
    if bpy.app.timers.is_registered(_at_rest):
        bpy.app.timers.unregister(_at_rest)
    bpy.app.timers.register(_at_rest, first_interval=REST)


@persistent
def _after_undo(*_: object) -> None:
    """An edit that undo or redo has brought back is not completed by itself, or nobody could undo beyond it."""
    scene = compat.sequencer_scene(bpy.context)
    current.undone = None
    if scene.kmtalk.rerun and (changed := line_to_rerun(scene)) is not None:
        current.undone = _content(changed.clip)


def _content(clip: takes.Clip) -> tuple:
    """What the keyframes of a line hold, to be compared."""
    found: list = [clip.take.line_id]
    for curve in compat.all_fcurves(clip.action):
        places = np.empty(2 * len(curve.keyframe_points), np.float32)
        for where in ("co", "handle_left", "handle_right"):
            curve.keyframe_points.foreach_get(where, places)
            found.append(places.tobytes())
    return tuple(found)


def _at_rest() -> float | None:
    scene = compat.sequencer_scene(bpy.context)
    if not scene.kmtalk.rerun:
        return None
    if current.job is not None or _are_held():
        return REST
    try:
        changed = line_to_rerun(scene)
        if changed is not None and _content(changed.clip) != current.undone:
            current.start(_steps(changed), *interpreter(bpy.context))
            bpy.app.timers.register(_waiting, first_interval=POLL)
    except Exception as error:  # a traceback in a timer helps nobody
        _say(error)
    return None


def _waiting() -> float | None:
    job = current.job
    if job is None:  # cancelled
        return None
    if _are_held():
        return POLL
    try:
        if not job.poll():
            return POLL
        current.finish(job)
        live.bring_up_to_date(compat.sequencer_scene(bpy.context))
        with bpy.context.temp_override(window=bpy.context.window_manager.windows[0]):
            bpy.ops.ed.undo_push(message="Re-run Completion")
    except Exception as error:
        current.finish(job)
        _say(error)
    live.redraw()
    return None


def _say(error: Exception) -> None:
    current.explain(error)
    live.redraw()


def _are_held() -> bool:
    """Whether keyframes are being dragged."""
    return any(operator.bl_idname.startswith(HOLDING) for operator in _modal())


def _modal() -> Iterator[bpy.types.Operator]:
    manager = bpy.context.window_manager
    for window in manager.windows if manager else ():
        yield from getattr(window, "modal_operators", ())  # which the oldest versions do not tell
