"""The sound of one strip: which part of which file it plays, and when. Never a mixdown of the scene."""

from __future__ import annotations

import contextlib
import math
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import bpy

from kmtalk_core.errors import InputError
from kmtalk_core.leftovers import temporary_folder

from . import compat

NO_TEXT = "No text"
PEEK = 4096  # bytes that tell an empty text from one that says something
# Frames cut off the end, so that motion ends with the strip's last frame and not on the next strip's first.
SHORT_OF_END = 0.01
LAST_CHANNEL = 128  # of the sequencer


@dataclass(frozen=True)
class Played:
    """What a strip plays of a sound file, and on which frames.

    `start` and `duration` (s) are the part of the sound file that is heard; its time 0 falls on frame `origin` (may be
    fractional) and what is heard begins on `first_frame`. `fps` is the scene's rate, `speed` that of the strip. Time 0
    is the first sample, from which Blender plays a sound; `delay` (s) after the file's own time 0.
    """

    strip: str
    audio: str
    start: float
    duration: float
    first_frame: int
    origin: float
    fps: float
    speed: float
    delay: float = 0.0

    @property
    def frames_per_second_of_sound(self) -> float:
        """A sound at double speed has half as many frames in each of its own seconds."""
        return self.fps / self.speed

    @property
    def last_frame(self) -> int:
        """The last frame with motion."""
        return self.first_frame + math.floor(self.duration * self.frames_per_second_of_sound + 1e-6)

    def moved_to(self, origin: float) -> Played:
        """The same line where the strip's sound begins on another frame, as far as whole frames go."""
        shift = round(origin - self.origin)
        return replace(self, origin=self.origin + shift, first_frame=self.first_frame + shift) if shift else self


def scene_rate(scene: bpy.types.Scene) -> float:
    """Frames per second, 30000/1001 too."""
    return scene.render.fps / scene.render.fps_base


def sound_strips(scene: bpy.types.Scene) -> list[Any]:
    """All strips of `scene` that play a sound."""
    return [strip for strip in compat.all_strips(scene) if strip.type == "SOUND" and strip.sound is not None]


def choose_strip(scene: bpy.types.Scene, name: str = "") -> Any:
    """The sound strip `name`; without a name the active strip, or the only one of it or of all. Raises InputError."""
    strips = sound_strips(scene)
    if name:
        for strip in strips:
            if strip.name == name:
                return strip
        other = next((strip for strip in compat.all_strips(scene) if strip.name == name), None)
        raise InputError(_no_sound(other) if other is not None else f"There is no sound strip {name}; choose one.")
    active = scene.sequence_editor.active_strip if scene.sequence_editor else None
    is_meta = active is not None and active.type == "META"  # asking every strip for its meta strips takes long
    inside = [strip for strip in strips if strip == active or (is_meta and active in metas_around(strip))]
    if len(inside) == 1 or (not inside and len(strips) == 1):
        return (inside or strips)[0]
    if not strips and active is not None:
        raise InputError(_no_sound(active))
    if not strips:
        raise InputError("There is no sound strip; add one with the + beside Sound, or in the sequencer.")
    raise InputError(f"There are {len(strips)} sound strips; choose one.")


def add_speech(scene: bpy.types.Scene, path: Path, frame: int, channel: int | None = None) -> Any:
    """A new sound strip at `frame`, on `channel` or (None) one of its own; the scene ends no earlier than it, and plays
    in time with the sound. Raises InputError if Blender cannot read it."""
    if not path.is_file() or not _is_sound(path):
        raise InputError(f"Blender cannot read the sound {path.name}; choose another file.")
    channel = channel or 1 + max((strip.channel for strip in compat.all_strips(scene)), default=0)
    if channel > LAST_CHANNEL:
        raise InputError("All channels of the sequencer are in use; make room on the last one.")
    strip = compat.add_sound_strip(scene, path.stem, str(path), channel, frame)
    scene.frame_end = max(scene.frame_end, compat.handles(strip).right - 1)
    scene.sync_mode = "AUDIO_SYNC"
    return strip


def make_active(scene: bpy.types.Scene, settings: bpy.types.PropertyGroup, strip: Any) -> None:
    """Let this strip alone be selected, and the panel show it, until another one is clicked at in the sequencer."""
    for other in compat.all_strips(scene):
        other.select = other == strip
    scene.sequence_editor.active_strip = strip
    settings.strip = ""  # a name here would hold the panel to this strip


def _is_sound(path: Path) -> bool:
    sound = bpy.data.sounds.load(str(path))
    try:
        return sound.channels != "INVALID"
    finally:
        bpy.data.sounds.remove(sound)


def metas_around(strip: Any) -> list[Any]:
    """The meta strips that hold `strip`, the inner ones first."""
    found = []
    while (strip := strip.parent_meta()) is not None:
        found.append(strip)
    return found


def why_unheard(scene: bpy.types.Scene, strip: Any) -> str:
    """Why nothing of `strip` is heard, and what to do: it is muted or has no volume, by itself, by its channel, or by a
    meta strip around it. "" if it is heard."""
    around = metas_around(strip)
    for inner, outer in zip((strip, *around), (*around, None), strict=True):
        which = f"The strip {strip.name}" if inner == strip else f"The meta strip {inner.name} around {strip.name}"
        if inner.mute:
            return f"{which} is muted, so nothing of it is heard; unmute it (Alt H) and try again."
        if getattr(inner, "volume", 1.0) <= 0.0 and not compat.is_animated(scene, inner.path_from_id("volume")):
            return f"{which} has volume 0, so nothing of it is heard; raise its volume and try again."
        channel = (outer or scene.sequence_editor).channels[inner.channel]
        if channel.mute:
            return f"{which} lies on {channel.name}, which is muted; unmute the channel and try again."
    return ""


def check_heard(scene: bpy.types.Scene, strip: Any) -> None:
    """Raise InputError if nothing of `strip` is heard (`why_unheard`)."""
    if why := why_unheard(scene, strip):
        raise InputError(why)


def sound_path(strip: Any) -> Path:
    """Where the sound file of `strip` is expected."""
    return Path(os.path.normpath(Path(bpy.path.abspath(strip.sound.filepath, library=strip.sound.library)).absolute()))


def is_same_sound(now: str, then: str) -> bool:
    """Whether a strip that plays the file `now` plays the sound that was animated as the file `then`: the same file, or
    one of its name where it is not there any more, for then the project was moved to another folder or computer."""
    then = os.path.normpath(then)
    names = [re.split(r"[\\/]", path)[-1] for path in (now, then)]
    return now == then or (names[0] == names[1] and not os.path.exists(then))


def read_line(scene: bpy.types.Scene, strip: Any) -> Played:
    """What is heard of `strip` in `scene`. Raises InputError if it is muted, or if that cannot be known."""
    check_heard(scene, strip)
    return place_of(scene, strip)


def place_of(scene: bpy.types.Scene, strip: Any) -> Played:
    """What `strip` of `scene` plays, muted or not. Raises InputError if that cannot be known."""
    at, fps, origin = compat.handles(strip), scene_rate(scene), origin_of(scene, strip)
    around = [compat.handles(meta) for meta in metas_around(strip)]
    first = max(at.left, math.ceil(origin - 1e-6), *(meta.left for meta in around))
    end = min(at.right, origin + at.trim + at.length, *(meta.right for meta in around))
    if end - first < 1:
        whose = "its handles or those of the meta strip around it" if around else "its handles"
        raise InputError(f"The strip {strip.name} plays nothing of its sound; drag {whose} apart.")
    speed = _speed(scene, strip, at)
    rate = fps / speed
    return Played(
        strip=strip.name,
        audio=str(sound_path(strip)),
        start=max(0.0, (first - origin) / rate),
        duration=(end - first - SHORT_OF_END) / rate,
        first_frame=first,
        origin=origin,
        fps=fps,
        speed=speed,
    )


def origin_of(scene: bpy.types.Scene, strip: Any) -> float:
    """The frame on which the beginning of its sound would fall."""
    at = compat.handles(strip)
    # As Blender plays it: whole frames of offset, and a delay of the sound track in seconds.
    return at.left - int(at.offset) - at.trim + compat.sound_delay(strip) * scene_rate(scene)


def remarks(strip: Any, line: Played) -> tuple[str, ...]:
    """What a user should know of how `strip` was read."""
    if compat.speed_changes(strip) is None and line.speed != 1.0:
        return (
            f"This Blender does not tell whether {strip.name} changes its speed, so one speed of {line.speed:.2f} was"
            " taken; if it changes, give it one speed, or use Blender 4.5 or newer.",
        )
    return ()


def what_plays(scene: bpy.types.Scene, strip: Any) -> tuple[Any, ...]:
    """Whatever decides what `strip` plays and how fast, but not when: the same as long as nobody has changed it."""
    at, origin = compat.handles(strip), origin_of(scene, strip)
    window = [(meta.left - origin, meta.right - origin) for meta in map(compat.handles, metas_around(strip))]
    return (
        scene_rate(scene), strip.sound.filepath, compat.retiming(strip, at.left - at.offset), *window,
        at.left - origin, at.right - origin, at.length,
    )  # fmt: skip


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
    with temporary_folder() as folder:
        unpacked = folder / f"packed{path.suffix}"
        unpacked.write_bytes(packed.data)
        yield str(unpacked)


@dataclass(frozen=True)
class Said:
    """What is said in a strip (`text`, None if nobody says), and in a few words where that was taken from."""

    text: str | None
    source: str


def what_is_said(strip: Any) -> Said:
    """The text of `strip`: a text of the file, the strip's name, what was typed, or the file beside the sound."""
    said = strip.kmtalk
    if (source := source_within(strip)) is None:
        path = sound_path(strip)
        return Said(text_beside(path), source_beside(path))
    if said.text is not None:
        return Said(said.text.as_string().strip() or None, source)
    return Said(text_of_name(strip.name) if said.use_name else said.transcript.strip(), source)


def source_within(strip: Any) -> str | None:
    """In a few words, what in the file says what is said in `strip`; None if nothing does."""
    said = strip.kmtalk
    if said.text is not None:
        return f"The text {said.text.name}"
    if said.use_name:
        return f"The strip's name: {text_of_name(strip.name) or 'no words'}"
    return "Typed" if said.transcript.strip() else None


def source_beside(path: Path) -> str:
    """In a few words, which file beside a sound says what is said; reads only the beginning of it."""
    from kmtalk_core.localization.transcript import decoded, transcript_beside

    try:
        found = transcript_beside(path)
        if found is None:
            return NO_TEXT
        with found.open("rb") as file:
            beginning = file.read(PEEK)
    except (InputError, OSError):
        return "Several texts lie beside the sound; choose one in this file's texts"
    try:
        empty = len(beginning) < PEEK and not decoded(beginning).strip()
    except UnicodeDecodeError:
        empty = True
    return NO_TEXT if empty else f"The file {found.name} beside the sound"


def text_of_name(name: str) -> str | None:
    """What a strip's name says, without a sound file's ending and the number that Blender adds."""
    plain = re.sub(r"\.\d{3}$", "", name)
    plain = re.sub(r"\.(?:wav|mp3|flac|ogg|aiff?|m4a|aac|mp4|mov|mkv|webm)$", "", plain, flags=re.IGNORECASE)
    return plain.replace("_", " ").strip() or None


def text_beside(path: Path) -> str | None:
    """The transcript that lies beside a sound as .txt, .srt, .vtt or .lab of the same name.

    None if there is none, or several, of which only the user knows the right one.
    """
    from kmtalk_core.localization.transcript import read_transcript, transcript_beside

    try:
        found = transcript_beside(path)
        return (read_transcript(found).strip() or None) if found is not None else None
    except InputError:
        return None


def _no_sound(strip: Any) -> str:
    """Why `strip`, which is none, is no sound strip, and what to do."""
    if strip.type == "SCENE" and strip.scene is not None:
        return (
            f"{strip.name} is a scene strip; choose the scene {strip.scene.name} in the sequencer and animate the sound"
            " strip there."
        )
    if strip.type == "META":
        return f"The meta strip {strip.name} holds no sound strip, or several; choose one."
    if strip.type == "SOUND":
        return f"The strip {strip.name} has lost its sound; choose a file in the strip's Source."
    return f"{strip.name} is no sound strip; choose the sound strip with the speech, or add one with the + beside it."


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
        compat.remove_scene(trial)
        for sound in set(bpy.data.sounds) - sounds:
            bpy.data.sounds.remove(sound)
