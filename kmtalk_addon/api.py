"""KMTalk for scripts: the same calls as the operators', waiting for the result. Errors are KMTalkError."""

from __future__ import annotations

from dataclasses import dataclass

import bpy

from . import clips, compat, lipsync, removal, session
from . import follow as following
from . import takes as _takes
from .lipsync import Options, Outcome
from .preferences import interpreter
from .strip import choose_strip


@dataclass(frozen=True)
class Take:
    """One take of a line: its title, whether it is the one that plays, its key motions, whether some were edited."""

    title: str
    plays: bool
    key_motions: int
    edited: bool


def generate(
    obj: bpy.types.Object, strip_name: str = "", scene: bpy.types.Scene | None = None, options: Options | None = None
) -> Outcome:
    """Animate the mesh `obj` with the sound strip of that name (default: the active or only one).

    A take of the line that somebody has edited stays, and the result is a new take.
    """
    scene = scene or compat.sequencer_scene(bpy.context)
    return run(lipsync.generate(scene, choose_strip(scene, strip_name), obj, options or Options()))


def complete(obj: bpy.types.Object, strip_name: str = "", scene: bpy.types.Scene | None = None) -> Outcome:
    """Re-run completion of that strip's line on the mesh `obj` after its key motions were edited."""
    return run(lipsync.complete(scene or compat.sequencer_scene(bpy.context), strip_name, obj))


def correct(
    obj: bpy.types.Object, strip_name: str = "", scene: bpy.types.Scene | None = None, options: Options | None = None
) -> Outcome:
    """Apply what was edited in the words and phones of that line (`kmtalk_takes` of its Action)."""
    return run(lipsync.correct(scene or compat.sequencer_scene(bpy.context), strip_name, obj, options or Options()))


def takes(obj: bpy.types.Object, strip_name: str = "", scene: bpy.types.Scene | None = None) -> tuple[Take, ...]:
    """The takes of that strip's line on the mesh `obj`, in the order in which they were made."""
    clip = _takes.find_clip(scene or compat.sequencer_scene(bpy.context), strip_name, obj)
    playing = clips.playing(clip.keys)
    found = []
    for action in _takes.takes_of(clip.keys, clip.take.line_id):
        take, edited = clips.take_of(action), lipsync.is_edited(_takes.Clip(clip.scene, obj, action))
        found.append(Take(take.title, action in playing, take.key_count, edited))
    return tuple(found)


def use_take(obj: bpy.types.Object, title: str, strip_name: str = "", scene: bpy.types.Scene | None = None) -> None:
    """Let the take of that title play."""
    clip = _takes.find_clip(scene or compat.sequencer_scene(bpy.context), strip_name, obj)
    removal.use_take(clip, _takes.take_titled(clip, title))


def remove(obj: bpy.types.Object, strip_name: str = "", scene: bpy.types.Scene | None = None) -> None:
    """Take that strip's line off the mesh `obj`; without a name everything that KMTalk has made there."""
    scene = scene or compat.sequencer_scene(bpy.context)
    if strip_name:
        removal.remove_line(_takes.find_clip(scene, strip_name, obj))
    else:
        removal.remove_all(scene, obj)


def bake(obj: bpy.types.Object, scene: bpy.types.Scene | None = None) -> None:
    """Leave the lines of the mesh `obj` behind as plain Actions on the NLA, which KMTalk no longer knows."""
    removal.bake(scene or compat.sequencer_scene(bpy.context), obj)


def follow(scene: bpy.types.Scene | None = None) -> tuple[str, ...]:
    """Let all lines lie where their sound strips are now; returns what could not be done, in sentences."""
    return following.follow(scene or compat.sequencer_scene(bpy.context))


def run(steps: lipsync.Steps[Outcome]) -> Outcome:
    """Do the work now, and wait for it."""
    job = session.current.start(steps, *interpreter(bpy.context))
    try:
        return job.wait()
    finally:
        session.current.finish(job)
