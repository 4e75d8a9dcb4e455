"""How a take of a line differs from the one that plays, in sentences."""

from __future__ import annotations

import json
from typing import Any

import bpy
import numpy as np

from kmtalk_core.motion import Animation
from kmtalk_core.settings import Layers, Sliders, settings_of

from . import clips, lipsync, live, takes
from .takes import Clip

SAME = 0.02  # of a control: nobody sees less
NAMES = {"curves": "Curves", "density": "Key Density", "parts": "Parts"}  # of what is no slider


def sentences(clip: Clip, action: bpy.types.Action) -> tuple[str, ...]:
    """What a take of the line of `clip` is, and how it differs from `clip`, the take that plays. Raises InputError if
    what the file remembers of one is damaged."""
    take, shown = clips.take_of(action), takes.shown(clips.take_of(action))
    edited = int(shown.unfinished.edited.sum()) if shown.unfinished is not None else 0
    if not edited and lipsync.is_edited(Clip(clip.scene, clip.obj, action)):
        told = [f"{take.title}: {take.key_count} key motions, edited since they were computed."]
    else:
        told = [f"{take.title}: {take.key_count} key motions, {edited or 'none'} of them edited."]
    if action == clip.action:
        return (*told, "This take plays.")
    playing = takes.shown(clip.take)
    if others := _settings(take, clip.take):
        told.append(f"Other settings than the take that plays: {', '.join(others)}.")
    said = [one.origin.transcript or "" if one.origin is not None else "" for one in (shown, playing)]
    if said[0] != said[1]:
        told.append(f"It has {'another text' if said[0] else 'no text'}.")
    return (*told, _farthest(clip, shown, playing))


def _settings(take: bpy.types.PropertyGroup, other: bpy.types.PropertyGroup) -> list[str]:
    """The settings of a take that are not those of another one."""
    ours, theirs = (json.loads(one.worn or "{}") for one in (take, other))
    names = {setting.name: setting.label or setting.name for setting in settings_of(Sliders, Layers)} | NAMES
    return [
        f"{label} {_value(ours[name])} instead of {_value(theirs[name])}"
        for name, label in names.items()
        if name in ours and name in theirs and ours[name] != theirs[name]
    ]


def _value(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else f"{len(value)}" if isinstance(value, list) else f"{value}"


def _farthest(clip: Clip, shown: Animation, playing: Animation) -> str:
    """Where the motion of a take is farthest from that of the one that plays."""
    if shown.control_names != playing.control_names or shown.fps != playing.fps:
        return "It has other controls, or another frame rate."
    count = min(len(shown.times), len(playing.times))
    off = np.abs(shown.controls[:count] - playing.controls[:count])
    if off.max(initial=0.0) < SAME:
        return "It moves the face in the same way."
    at, control = np.unravel_index(off.argmax(), off.shape)
    ours, theirs = (float(one.controls[at, control]) for one in (shown, playing))
    frame = live.frame_of(clip.take, at / shown.fps)
    differ = (off.max(1) >= SAME).mean()
    return (
        f"It differs on {differ:.0%} of the frames, most on frame {frame:.0f}: {shown.control_names[control]}"
        f" {ours:.2f} instead of {theirs:.2f}."
    )
