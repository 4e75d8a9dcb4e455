"""KMTalk for scripts: the same calls as the operators', waiting for the result. Errors are KMTalkError."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import bpy

from . import casting, clips, compat, landmarks, lipsync, overrides, removal, scenes, session
from . import follow as following
from . import idle as idling
from . import mouths as drawn_mouths
from . import takes as _takes
from .lipsync import Options, Outcome
from .operators import options_of
from .preferences import interpreter
from .scenes import LineOutcome, SceneOutcome  # noqa: F401 (what `generate_scene` returns)
from .strip import choose_strip, sound_strips

T = TypeVar("T")


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

    A take of the line that somebody has edited stays, and the result is a new take. Here and below, an object
    whose mouths are drawings or poses (`use_mouths`) can be named instead of their mesh.
    """
    obj = drawn_mouths.head_of(obj)
    scene = scene or compat.sequencer_scene(bpy.context)
    return run(lipsync.generate(scene, choose_strip(scene, strip_name), obj, options or Options()))


def own_meshes(obj: bpy.types.Object) -> list[str]:
    """Make the linked meshes of an overridden head and of its parts ones that can be animated in this file; returns the
    names of their objects."""
    return overrides.own_meshes(obj)


def use_mouths(
    obj: bpy.types.Object, kind: str = "", chart: str = "", mouths: Mapping[str, Any] | None = None
) -> bpy.types.Object:
    """Let an object show drawings or poses as mouths (docs/two_d.md); returns the mesh to generate lines on.

    `kind` is one of mouth_rows.KINDS, `chart` one of mouth_rows.CHARTS; what is not said is found by names. `mouths`:
    mouth → picture, cell, slot, frame or value (a number), layer or shape key (its name), object, or Action.
    """
    return drawn_mouths.set_up(obj, kind, chart, mouths)


def remove_mouths(obj: bpy.types.Object) -> None:
    """The inverse of `use_mouths`, for the object or its mesh; its lines are to be removed before."""
    drawn_mouths.remove(drawn_mouths.head_of(obj))


def generate_scene(
    scene: bpy.types.Scene | None = None,
    table: Mapping[str | int, bpy.types.Object | str | None] | None = None,
    options: Options | None = None,
) -> SceneOutcome:
    """Animate every head of a scene with the sound strips that it says; what fails stops nothing and is in the result.

    `table` says who says what: names of strips (with * and ? too) or numbers of channels, and an object, its name, or
    None for nobody. What it does not name is found out as in the panel's *Scene* box: as chosen there, animated before,
    by the strip's name, its channel's name, the other strips of its channel, or as there is one head alone. `options`
    are for all strips; None: as the panel's settings and each strip's sliders say. Takes that somebody has edited stay;
    where nothing would change, none is made.
    """
    scene = scene or compat.sequencer_scene(bpy.context)
    said = casting.Table(dict(table or {}))
    parts, unknown = casting.cast(scene, said), said.unknown(sound_strips(scene))
    return run(scenes.generate_scene(scene, parts, lambda strip: options or options_of(bpy.context, strip), unknown))


def complete(obj: bpy.types.Object, strip_name: str = "", scene: bpy.types.Scene | None = None) -> Outcome:
    """Re-run completion of that strip's line on the mesh `obj` after its key motions were edited."""
    return run(lipsync.complete(scene or compat.sequencer_scene(bpy.context), strip_name, drawn_mouths.head_of(obj)))


def correct(
    obj: bpy.types.Object, strip_name: str = "", scene: bpy.types.Scene | None = None, options: Options | None = None
) -> Outcome:
    """Apply what was edited in the words and phones of that line (`kmtalk_takes` of its Action)."""
    return run(
        lipsync.correct(
            scene or compat.sequencer_scene(bpy.context), strip_name, drawn_mouths.head_of(obj), options or Options()
        )
    )


def takes(obj: bpy.types.Object, strip_name: str = "", scene: bpy.types.Scene | None = None) -> tuple[Take, ...]:
    """The takes of that strip's line on the mesh `obj`, in the order in which they were made."""
    clip = _takes.find_clip(scene or compat.sequencer_scene(bpy.context), strip_name, drawn_mouths.head_of(obj))
    playing = clips.playing(clip.keys)
    found = []
    for action in _takes.takes_of(clip.keys, clip.take.line_id):
        take, edited = clips.take_of(action), lipsync.is_edited(_takes.Clip(clip.scene, clip.obj, action))
        found.append(Take(take.title, action in playing, take.key_count, edited))
    return tuple(found)


def use_take(obj: bpy.types.Object, title: str, strip_name: str = "", scene: bpy.types.Scene | None = None) -> None:
    """Let the take of that title play."""
    clip = _takes.find_clip(scene or compat.sequencer_scene(bpy.context), strip_name, drawn_mouths.head_of(obj))
    removal.use_take(clip, _takes.take_titled(clip, title))


def remove(obj: bpy.types.Object, strip_name: str = "", scene: bpy.types.Scene | None = None) -> None:
    """Take that strip's line off the mesh `obj`; without a name everything that KMTalk has made there."""
    scene, obj = scene or compat.sequencer_scene(bpy.context), drawn_mouths.head_of(obj)
    if strip_name:
        removal.remove_line(_takes.find_clip(scene, strip_name, obj))
    else:
        removal.remove_all(scene, obj)


def bake(obj: bpy.types.Object, scene: bpy.types.Scene | None = None) -> None:
    """Leave the lines of the mesh `obj` behind as plain Actions on the NLA, which KMTalk no longer knows."""
    removal.bake(scene or compat.sequencer_scene(bpy.context), drawn_mouths.head_of(obj))


def idle(obj: bpy.types.Object, first: int, last: int, scene: bpy.types.Scene | None = None) -> int:
    """Let the face of the mesh `obj` live on the frames `first` to `last`, wherever no line plays: blinks, and small
    motion of gaze, brows and head. Returns how many clips it took."""
    return idling.make(scene or compat.sequencer_scene(bpy.context), drawn_mouths.head_of(obj), first, last)


def follow(scene: bpy.types.Scene | None = None) -> tuple[str, ...]:
    """Let all lines lie where their sound strips are now; returns what could not be done, in sentences."""
    return following.follow(scene or compat.sequencer_scene(bpy.context))


def find_landmarks(obj: bpy.types.Object) -> tuple[str, ...]:
    """Find the 68 landmarks of a head about which nothing is known, and note them on its mesh, so that shape keys can
    be built; returns what is to be known, in sentences. Raises InputError where there is no face."""
    return run(landmarks.find(obj)).warnings


def run(steps: lipsync.Steps[T]) -> T:
    """Do the work now, and wait for it."""
    job = session.current.start(steps, *interpreter(bpy.context))
    try:
        return job.wait()
    finally:
        session.current.finish(job)
