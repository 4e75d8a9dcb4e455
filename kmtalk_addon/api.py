"""KMTalk for scripts: the same calls as the operators', waiting for the result. Errors are KMTalkError."""

from __future__ import annotations

import bpy

from . import compat, lipsync, session
from .lipsync import Options, Outcome
from .preferences import interpreter
from .strip import choose_strip


def generate(
    obj: bpy.types.Object, strip_name: str = "", scene: bpy.types.Scene | None = None, options: Options | None = None
) -> Outcome:
    """Animate the mesh `obj` with the sound strip of that name (default: the active or only one)."""
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


def run(steps: lipsync.Steps[Outcome]) -> Outcome:
    """Do the work now, and wait for it."""
    job = session.current.start(steps, *interpreter(bpy.context))
    try:
        return job.wait()
    finally:
        session.current.finish(job)
