"""The sound of one strip: which part of which file it plays, and when. Never a mixdown of the scene."""

from __future__ import annotations

import contextlib
import math
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy

from kmtalk_core.errors import InputError
from kmtalk_core.localization.transcript import read_transcript, transcript_beside

from . import compat

# Frames cut off the end, so that motion ends with the strip's last frame and not on the next strip's first.
SHORT_OF_END = 0.01


@dataclass(frozen=True)
class Line:
    """One line of dialogue: what a strip plays.

    `start` and `duration` (s) are the part of the sound file that is heard; its time 0 falls on frame `origin` (may be
    fractional) and what is heard begins on `first_frame`. `fps` is the scene's rate, `speed` that of the strip.
    """

    strip: str
    audio: str
    start: float
    duration: float
    first_frame: int
    origin: float
    fps: float
    speed: float

    @property
    def frames_per_second_of_sound(self) -> float:
        """A sound at double speed has half as many frames in each of its own seconds."""
        return self.fps / self.speed

    @property
    def last_frame(self) -> int:
        """The last frame with motion."""
        return self.first_frame + math.floor(self.duration * self.frames_per_second_of_sound + 1e-6)


def scene_rate(scene: bpy.types.Scene) -> float:
    """Frames per second, 30000/1001 too."""
    return scene.render.fps / scene.render.fps_base


def sound_strips(scene: bpy.types.Scene) -> list[Any]:
    """All strips of `scene` that play a sound."""
    return [strip for strip in compat.all_strips(scene) if strip.type == "SOUND" and strip.sound is not None]


def choose_strip(scene: bpy.types.Scene, name: str = "") -> Any:
    """The sound strip `name`; without a name the active strip, else the only one. Raises InputError."""
    strips = sound_strips(scene)
    if name:
        for strip in strips:
            if strip.name == name:
                return strip
        raise InputError(f"There is no sound strip {name}; choose one.")
    if not strips:
        raise InputError("There is no sound strip; add one in the sequencer or with Add Sound.")
    active = scene.sequence_editor.active_strip
    for strip in strips:
        if strip == active or len(strips) == 1:
            return strip
    raise InputError(f"There are {len(strips)} sound strips; choose one.")


def sound_path(strip: Any) -> Path:
    """Where the sound file of `strip` is expected."""
    return Path(bpy.path.abspath(strip.sound.filepath, library=strip.sound.library))


def read_line(scene: bpy.types.Scene, strip: Any) -> Line:
    """What `strip` of `scene` plays. Raises InputError if that cannot be known."""
    at, fps = compat.handles(strip), scene_rate(scene)
    speed = _speed(scene, strip, at)
    # As Blender plays it: whole frames of offset, and a delay of the sound track in seconds.
    origin = at.left - int(at.offset) - at.trim + compat.sound_delay(strip) * fps
    first = max(at.left, math.ceil(origin - 1e-6))
    end = min(at.right, origin + at.trim + at.length)
    if end - first < 1:
        raise InputError(f"The strip {strip.name} plays nothing of its sound; drag its handles apart.")
    rate = fps / speed
    return Line(
        strip=strip.name,
        audio=str(sound_path(strip)),
        start=max(0.0, (first - origin) / rate),
        duration=(end - first - SHORT_OF_END) / rate,
        first_frame=first,
        origin=origin,
        fps=fps,
        speed=speed,
    )


@contextlib.contextmanager
def sound_file(strip: Any) -> Iterator[str]:
    """The path of the sound of `strip`; a packed one is unpacked for as long as the block runs. Raises InputError."""
    path, packed = sound_path(strip), strip.sound.packed_file
    if packed is None:
        if not path.is_file():
            raise InputError(
                f"The sound {path.name} is missing; bring it back with File > External Data > Find Missing."
            )
        yield str(path)
        return
    with tempfile.TemporaryDirectory(prefix="kmtalk-") as folder:
        unpacked = Path(folder) / f"packed{path.suffix}"
        unpacked.write_bytes(packed.data)
        yield str(unpacked)


def text_beside(path: Path) -> str | None:
    """The transcript that lies beside a sound as .txt, .srt, .vtt or .lab of the same name.

    None if there is none, or several, of which only the user knows the right one.
    """
    try:
        found = transcript_beside(path)
        return (read_transcript(found).strip() or None) if found is not None else None
    except InputError:
        return None


def _speed(scene: bpy.types.Scene, strip: Any, at: compat.Handles) -> float:
    changes = compat.speed_changes(strip)
    if changes == 0:
        return 1.0
    if changes is not None and changes > 1:
        raise InputError(f"The strip {strip.name} changes its speed; reset its retiming keys or give it one speed.")
    with sound_file(strip) as path:
        return _frames_of(path, scene) / at.length


def _frames_of(path: str, scene: bpy.types.Scene) -> int:
    """How many frames of `scene` the whole file lasts, as Blender counts: asked of a strip in a scene made for it."""
    trial = bpy.data.scenes.new("KMTalk")
    sounds = set(bpy.data.sounds)
    try:
        trial.render.fps, trial.render.fps_base = scene.render.fps, scene.render.fps_base
        return compat.handles(compat.add_sound_strip(trial, "KMTalk", path, 1, 1)).length
    finally:
        bpy.data.scenes.remove(trial)
        for sound in set(bpy.data.sounds) - sounds:
            bpy.data.sounds.remove(sound)
