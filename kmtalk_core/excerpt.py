"""A part of a sound file: what text, alignment and corrections of the whole file say of it, in its own times.

`start` (s) is where it begins in the file, and `sound` what was read of it; its `delay` is added for times of the file.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .audio import Sound
    from .localization.corrections import Correction
    from .phones import Alignment


def text_within(text: str, start: float, sound: Sound) -> str | None:
    """The text; of subtitles only what is heard in the part; None if that is nothing."""
    from .localization.transcript import subtitles

    cues = subtitles(text)
    if cues is None:
        return text
    begin = start + sound.delay
    end = begin + sound.duration
    return "\n".join(cue.text for cue in cues if begin < (cue.start + cue.end) / 2 < end) or None


def alignment_within(path: Path, fps: float | None, start: float, sound: Sound) -> Alignment:
    """The alignment of a file from the part's beginning on; `fps` where it counts frames. Raises InputError."""
    from .localization.importers import load_alignment

    return load_alignment(path, fps).from_time(start + sound.delay)


def corrections_within(corrections: Iterable[Correction], start: float, duration: float) -> tuple[Correction, ...]:
    """Corrections with times from the file's beginning → those within `duration` s from `start` on, from there."""
    found = []
    for correction in corrections:
        edges = {name: getattr(correction, name) for name in ("at", "start", "end")}
        times = {name: time - start for name, time in edges.items() if time is not None}
        if min(times.values()) >= 0 and max(times.values()) < duration:
            found.append(replace(correction, **times))
    return tuple(found)
