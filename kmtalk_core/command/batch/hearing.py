"""What a line hears and is told: its sound, or the part of it that it names, and what its files say of that."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from .line import Line

if TYPE_CHECKING:
    from ...audio import Sound
    from ...localization.corrections import Correction
    from ...motion import Animation
    from ...phones import Alignment


def sound_of(line: Line) -> Sound:
    """What `line` hears. Raises InputError."""
    from ...audio import load_sound

    return load_sound(line.audio, line.start, line.duration, line.as_strip)


def text_of(line: Line, sound: Sound) -> str | None:
    """What is said in `sound`, as the line tells. Raises InputError."""
    from ...excerpt import text_within
    from ...localization.transcript import read_transcript

    text = read_transcript(line.transcript_file) if line.transcript_file else line.transcript
    return text_within(text, line.start, sound) if text is not None and line.is_part else text


def alignment_of(line: Line, sound: Sound) -> Alignment | None:
    """The phones of `sound` where the line names a file with them. Raises InputError."""
    from ...excerpt import alignment_within

    if line.alignment is None:
        return None
    return alignment_within(line.alignment, line.alignment_fps, line.start, sound)


def corrections_of(line: Line, sound: Sound) -> tuple[Correction, ...]:
    """What was corrected in `sound`. Raises InputError."""
    from ...excerpt import corrections_within
    from ...localization.corrections import load_corrections

    if line.corrections is None:
        return ()
    listed = load_corrections(line.corrections, sound.sha256)
    return corrections_within(listed, line.start, sound.duration) if line.is_part else listed


def with_part_noted(animation: Animation, line: Line, sound: Sound) -> Animation:
    """The same, which says what part of the file it is of, where it is not all of it."""
    if not line.is_part or animation.origin is None:
        return animation
    length = sound.duration if line.duration is None else line.duration
    return replace(animation, origin=replace(animation.origin, part=(line.start, length, sound.delay)))


def fitted(animation: Animation, line: Line) -> Animation:
    """With contacts as the lips of the line's head make them, if it has shapes (see retarget.own_lips)."""
    if line.mesh is None or line.vertices or line.mesh.suffix.lower() != ".npz":
        return animation
    from ...finish.compose import finish
    from ...retarget.own_lips import lips_of

    lips = lips_of(line.mesh)
    return animation if lips is None else finish(animation, lip_line=lips)
