"""Files of before lines were clips: one Action that was active and held all lines of a head."""

from __future__ import annotations

from dataclasses import replace

import bpy
from bpy.app.handlers import persistent

from kmtalk_core.motion import Animation

from . import clips, follow, keyframes, shape_keys, takes
from .session import current
from .takes import Clip

FIELDS = ("name", "line", "result", "finished", "warnings", "key_count")


def adopt_all() -> None:
    """Make clips of all such lines of the file."""
    for scene in bpy.data.scenes:
        for obj in scene.objects:
            if is_legacy(obj):
                adopt(scene, obj)


def is_legacy(obj: bpy.types.Object) -> bool:
    """Whether the shape keys of a mesh play KMTalk's Action of before."""
    keys = clips.keys_of(obj)
    data = keys.animation_data if keys is not None else None
    if data is None or data.use_tweak_mode or data.action is None or data.action.library is not None:
        return False
    return any(not take.line_id for take in data.action.kmtalk_takes)


def adopt(scene: bpy.types.Scene, obj: bpy.types.Object) -> None:
    """Make a clip of each line of the Action that the shape keys of `obj` play; the keyframes stay as they are."""
    keys = obj.data.shape_keys
    data = keys.animation_data
    old = data.action
    names = shape_keys.drivable(obj)[0]
    shape_keys.remember(keys)
    clips.note_stills(keys, {c: keys.key_blocks[n] for c, n in names.items()}, at=0.0)
    data.action, data.action_extrapolation = None, "HOLD"
    for former in old.kmtalk_takes:
        strip = next((s for s in takes.sound_strips(scene) if s.name == former.name), None)
        action = keyframes.new_action(keys, f"KMTalk {former.name}")
        line, animation = takes.read_line(former), takes.shown(former)
        keyframes.copy(old, action, line)
        clips.hold(keys, action)
        take = action.kmtalk_takes[0]
        for name in FIELDS:
            setattr(take, name, getattr(former, name))
        take.line_id, take.title = takes.id_of(strip) if strip is not None else takes.new_id(), takes.free_title([])
        takes.remember(take, line, animation, look_of_before(take, animation))
        takes.activate(keys, action)
        keys.kmtalk.line = take.line_id
        follow.settle(Clip(scene, obj, action))
    if not old.users:
        bpy.data.actions.remove(old)


def look_of_before(take: bpy.types.PropertyGroup, animation: Animation) -> takes.Look:
    """How a line was drawn when there was no choice yet: a key on every frame, at the density of the result."""
    settings = animation.origin.settings if animation.origin is not None else {}
    look = replace(takes.look_worn(take), curves="frames")
    return replace(look, density=float(settings.get("key_density", look.density)))


def note_looks() -> None:
    """Note how lines of before were drawn, so that nothing draws them anew unasked."""
    for scene in bpy.data.scenes:
        for obj in scene.objects:
            keys = clips.keys_of(obj)
            for action in takes.own_actions(keys) if keys is not None else ():
                take = clips.take_of(action)
                if '"curves"' in take.worn or not take.result or action.library is not None:
                    continue
                animation = takes.shown(take)
                look = look_of_before(take, animation)
                take.worn = takes.worn(animation.sliders, animation.layers, look)
                strip = takes.strip_with_id(scene, take.line_id)
                if strip is not None and take.active:
                    takes.show_look(strip, look)


def register() -> None:
    """Make clips of such lines when a file is opened."""
    bpy.app.handlers.load_post.append(_after_load)


def unregister() -> None:
    """The inverse of `register`."""
    if _after_load in bpy.app.handlers.load_post:
        bpy.app.handlers.load_post.remove(_after_load)


@persistent
def _after_load(*_: object) -> None:
    try:
        adopt_all()
        note_looks()
    except Exception as error:  # a traceback in a handler helps nobody
        current.explain(error)
