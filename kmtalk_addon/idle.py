"""Clips of a face that lives between lines: Actions of KMTalk's without a sound strip, below all lines.

They fill what lines leave free of the frames that they were made for, and give way to lines that come there later.
"""

from __future__ import annotations

import bpy

from kmtalk_core.errors import InputError

from . import clips, faces, keyframes, live, removal, shape_keys, takes
from .clips import Lie
from .strip import Played, scene_rate
from .takes import Clip

NAME = "Idle"
PARTS = frozenset({"BROWS", "BLINKS", "GAZE", "HEAD"})
EASE = 6  # frames in which the face goes into it and out of it
SHORTEST = 1.0  # s of a clip


def make(scene: bpy.types.Scene, obj: bpy.types.Object, first: int, last: int) -> int:
    """Let the head live on the frames `first` to `last` of `scene`, wherever no line plays; returns how many clips it
    took. Raises InputError if there is no room, or the head has no shape keys for it."""
    from kmtalk_core.finish.idle import idle_motion

    shape_keys.check_mesh(obj)
    keys = obj.data.shape_keys
    clips.check_free(keys)
    names = shape_keys.drivable(obj)[0] if keys is not None else {}
    if not names:
        raise InputError(f"{obj.name} has no shape keys that KMTalk knows; generate a line on it first.")
    pieces = free_spans(keys, first, last, scene_rate(scene))
    if not pieces:
        remedy = "choose other frames, or let the scene end later"
        raise InputError(f"No second is free between lines on frames {first} to {last}; {remedy}.")
    shape_keys.remember(keys)
    clips.note_stills(keys, {control: keys.key_blocks[name] for control, name in names.items()})
    for begin, end in pieces:
        fps = scene_rate(scene)
        motion = idle_motion((end - begin) / fps, fps, seed=begin)
        action = keyframes.new_action(keys, f"KMTalk {NAME}")
        clips.hold(keys, action)
        take = action.kmtalk_takes[0]
        take.idle, take.line_id, take.name, take.title, take.ease = True, takes.new_id(), NAME, NAME, EASE
        take.line = takes.as_json(Played(NAME, "", 0.0, (end - begin) / fps, begin, float(begin), fps, 1.0))
        takes.activate(keys, action)
        faces.draw(Clip(scene, obj, action), motion, takes.Look(parts=PARTS))
        if not len(keyframes.snapshot(action)):
            removal.forget_actions(keys, [action])
            raise InputError(f"{obj.name} has no shape keys for blinks, brows, gaze or head, so it cannot live.")
        clips.lay(keys, action, Lie(float(begin), float(end), float(begin)))
    clips.hold_rest(keys)
    live.show(scene)
    return len(pieces)


def idles_on(keys: bpy.types.Key | None) -> list[bpy.types.Action]:
    """The Actions of such clips."""
    return [action for action in takes.own_actions(keys) if clips.take_of(action).idle] if keys is not None else []


def remove(scene: bpy.types.Scene, obj: bpy.types.Object) -> None:
    """Take all such clips off the head. Raises InputError if there are none."""
    keys = shape_keys.check_mesh(obj).data.shape_keys
    found = idles_on(keys)
    if not found:
        raise InputError(f"{obj.name} has no idle motion.")
    clips.take_off(keys, found)
    removal.forget_actions(keys, found)
    if takes.own_actions(keys):
        clips.hold_rest(keys)
        live.show(scene)
    else:
        removal.remove_all(scene, obj)


def free_spans(keys: bpy.types.Key, first: int, last: int, fps: float) -> list[tuple[int, int]]:
    """From which to which frame, within `first` to `last`, none of KMTalk's clips plays or eases; SHORTEST at least."""
    idles = [clips.lie_of(clips.take_of(action)) for action in idles_on(keys)]
    taken = [(lie.at - 2 * EASE - 1, lie.end + 2 * EASE + 1) for lie in idles if lie is not None]
    spans = clips.without(first, last, [*clips.spans_of_lines(keys, EASE), *taken])
    return [(a, b) for a, b in spans if b - a >= SHORTEST * fps]
