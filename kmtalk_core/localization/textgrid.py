"""Alignments to files: Praat's TextGrid, JSON as the Montreal Forced Aligner writes it, SubRip subtitles."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from ..errors import InputError
from ..files import written_whole
from ..phones import SILENCE, Alignment, Word
from .importers import load_alignment as load_alignment

LINE = 42  # letters of a subtitle's line, as broadcasters have it
CUE_PAUSE, CUE_LENGTH = 0.5, 6.0  # s of silence that end a subtitle; s that it lasts at most

_Interval = tuple[float, float, str]


def save_alignment(alignment: Alignment, path: str | os.PathLike[str]) -> None:
    """Write a long TextGrid or, by the ending, MFA's .json or subtitles (.srt); whole or not at all.

    Silence is an empty label.
    """
    words = _filled(((w.start, w.end, w.label) for w in alignment.words), alignment.duration)
    phones = [(p.start, p.end, "" if p.label == SILENCE else p.label) for p in alignment.phones]
    tiers = {"words": list(words), "phones": phones}
    suffix = Path(path).suffix.lower()
    if suffix == ".json":
        text = _json_text(tiers, alignment.duration)
    elif suffix == ".textgrid":
        text = _textgrid_text(tiers, alignment.duration)
    elif suffix == ".srt":
        text = _subtitle_text(alignment)
    else:
        raise InputError(
            f"An alignment cannot be written as {suffix or 'a file without ending'}; use .TextGrid, .json or .srt."
        )
    with written_whole(path) as partial:
        partial.write_text(text, encoding="utf-8")


def _filled(intervals: Iterable[_Interval], duration: float) -> Iterator[_Interval]:
    """Cover 0…duration: empty labels in the gaps, overlaps cut."""
    at = 0.0
    for start, end, label in intervals:
        if start > at:
            yield at, start, ""
            at = start
        if end > at:
            yield at, end, label
            at = end
    if at < duration:
        yield at, duration, ""


def _json_text(tiers: dict[str, list[_Interval]], duration: float) -> str:
    entries = {
        name: {"type": "interval", "entries": [[round(a, 6), round(b, 6), label] for a, b, label in intervals]}
        for name, intervals in tiers.items()
    }
    return json.dumps({"start": 0.0, "end": round(duration, 6), "tiers": entries}, ensure_ascii=False, indent=1) + "\n"


def _textgrid_text(tiers: dict[str, list[_Interval]], duration: float) -> str:
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "xmin = 0", f"xmax = {duration:.6f}"]
    lines += ["tiers? <exists>", f"size = {len(tiers)}", "item []:"]
    for number, (name, intervals) in enumerate(tiers.items(), 1):
        lines += [f"    item [{number}]:", '        class = "IntervalTier"', f'        name = "{name}"']
        lines += ["        xmin = 0", f"        xmax = {duration:.6f}", f"        intervals: size = {len(intervals)}"]
        for index, (start, end, label) in enumerate(intervals, 1):
            quoted = label.replace('"', '""')
            lines += [
                f"        intervals [{index}]:",
                f"            xmin = {start:.6f}",
                f"            xmax = {end:.6f}",
            ]
            lines.append(f'            text = "{quoted}"')
    return "\n".join(lines) + "\n"


def _subtitle_text(alignment: Alignment) -> str:
    """The words as subtitles of at most two lines, broken at pauses."""
    cues: list[list[Word]] = []
    for word in alignment.words:
        cue = cues[-1] if cues else []
        letters = sum(len(w.label) + 1 for w in cue) + len(word.label)
        fits = cue and word.start - cue[-1].end < CUE_PAUSE and word.end - cue[0].start <= CUE_LENGTH
        if fits and letters <= 2 * LINE - 10:
            cue.append(word)
        else:
            cues.append([word])
    blocks = []
    for number, cue in enumerate(cues, 1):
        lines = [""]
        for word in cue:
            longer = f"{lines[-1]} {word.label}".strip()
            lines = [*lines[:-1], longer] if len(longer) <= LINE or not lines[-1] else [*lines, word.label]
        times = f"{_clock(cue[0].start)} --> {_clock(cue[-1].end)}"
        blocks.append(f"{number}\n{times}\n" + "\n".join(lines) + "\n")
    return "\n".join(blocks)


def _clock(seconds: float) -> str:
    milliseconds = round(seconds * 1000)
    return (
        f"{milliseconds // 3_600_000:02}:{milliseconds // 60_000 % 60:02}:{milliseconds // 1000 % 60:02}"
        f",{milliseconds % 1000:03}"
    )
