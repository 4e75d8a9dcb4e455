"""Mouth shapes of 2-D animation: Rhubarb Lip Sync (tsv, xml, json), Papagayo (.pgo, and .dat for Moho)."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any
from xml.etree.ElementTree import Element

from .track import Interval, Track

DEFAULT_FPS = 24.0  # of Papagayo, and of Rhubarb's .dat

# A phone that looks like the drawing. Rhubarb's letters (the Hanna-Barbera shapes) and the words of Preston Blair's
# set say the same; see Rhubarb's and Papagayo's manuals.
RHUBARB = {
    "A": "M", "B": "S", "C": "EH", "D": "AA", "E": "ER", "F": "UW", "G": "F", "H": "L", "X": "SIL",
}  # fmt: skip
PRESTON_BLAIR = {
    "MBP": "M", "etc": "S", "E": "EH", "AI": "AA", "O": "AO", "U": "UW", "FV": "F", "L": "L", "WQ": "W", "rest": "SIL",
}  # fmt: skip

RHUBARB_LINES = re.compile(r"(?:\s*\d+(?:\.\d+)?\t[A-HX][ \t]*\r?(?:\n|$))+\s*")


def mouth_phones(labels: list[str]) -> list[str | None]:
    """Mouth shapes → phones of phones.PHONES; None for what is in neither set, or belongs to the other one."""
    blair = {name.lower(): phone for name, phone in PRESTON_BLAIR.items()}
    names = {label.strip() for label in labels}
    # E alone is in both sets; a name of several letters is Preston Blair's.
    table = blair if any(len(name) > 1 for name in names) or not names <= set(RHUBARB) else None
    return [table.get(label.strip().lower()) if table else RHUBARB.get(label.strip()) for label in labels]


def rhubarb_tsv(text: str) -> Track:
    found: list[Interval] = []
    rows = [(number, line.split("\t")) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    for (number, (start, shape, *_)), (_, (end, *_)) in pairwise(rows):
        found.append(Interval(float(start), float(end), shape.strip(), f"line {number}"))
    return Track("Rhubarb", mouths=tuple(found), duration=float(rows[-1][1][0]))


def rhubarb_xml(root: Element) -> Track:
    found = tuple(
        Interval(float(cue.attrib["start"]), float(cue.attrib["end"]), (cue.text or "").strip(), f"cue {number}")
        for number, cue in enumerate(root.iter("mouthCue"), 1)
    )
    return Track("Rhubarb", mouths=found, duration=float(root.findtext("metadata/duration") or 0.0))


def rhubarb_json(data: dict[str, Any]) -> Track:
    found = tuple(
        Interval(float(cue["start"]), float(cue["end"]), str(cue["value"]), f"cue {number}")
        for number, cue in enumerate(data["mouthCues"], 1)
    )
    return Track("Rhubarb", mouths=found, duration=float(data.get("metadata", {}).get("duration", 0.0)))


def moho_dat(name: str, text: str, fps: float | None) -> Track:
    """`MohoSwitch1`, then lines of a frame, counted from 1, and the shape that begins there."""
    cues: list[tuple[int, str, int]] = []
    for number, line in enumerate(text.splitlines()[1:], 2):
        if match := re.fullmatch(r"\s*FPS\s+(\d+(?:\.\d+)?)\s*", line):
            fps = fps or float(match[1])
        elif match := re.fullmatch(r"\s*(-?\d{1,9})\s+(\S.*?)\s*", line):
            cues.append((max(int(match[1]) - 1, 0), match[2], number))
        elif line.strip() and len(line.split()) > 1:
            raise ValueError
    warnings: tuple[str, ...] = ()
    if not fps:
        fps = DEFAULT_FPS
        warnings = (f"{name} does not say its frame rate, so 24 frames a second were taken; give another one if not.",)
    last = cues[-1][0] + 1
    found = tuple(
        Interval(frame / fps, following / fps, label, f"line {number}")
        for (frame, label, number), (following, _, _) in pairwise([*cues, (last, "", 0)])
        if following > frame
    )
    return Track("Papagayo .dat", mouths=found, duration=last / fps, warnings=warnings)


def papagayo_pgo(text: str) -> Track:
    """Papagayo's project: indented lines of voices, phrases, words (first and last frame) and shapes (frame)."""
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1)]
    at = iter(lines[2:])  # after the version and the sound's path

    def number() -> int:
        return int(next(at)[1])

    fps, frames, voices = float(next(at)[1]), number(), number()
    if not 0.0 < fps <= 1000.0:
        raise ValueError
    words: list[Interval] = []
    mouths: list[Interval] = []
    for _ in range(voices):
        next(at), next(at)  # name and text
        for _ in range(number()):
            next(at), next(at), next(at)  # text, first and last frame
            for _ in range(number()):
                line, word = next(at)
                label, first, last, count = word.rsplit(" ", 3)
                shapes = [(int((found := next(at))[1].split()[0]), found) for _ in range(int(count))]
                cues = [(frame, cue[1].split(None, 1)[1], cue[0]) for frame, cue in shapes]
                _add_word(words, mouths, (label, int(first), int(last)), cues, fps, line)
    return Track("Papagayo", words=tuple(words), mouths=tuple(mouths), duration=frames / fps)


def papagayo_json(data: dict[str, Any]) -> Track:
    """Papagayo-NG's project in JSON (version 2)."""
    fps = float(data["fps"])
    if not 0.0 < fps <= 1000.0:
        raise ValueError
    words: list[Interval] = []
    mouths: list[Interval] = []
    for voice in data["voices"]:
        for phrase in voice["phrases"]:
            for word in phrase["words"]:
                cues = [(int(cue["frame"]), str(cue["text"]), len(words) + 1) for cue in word["phonemes"]]
                named = (str(word["text"]), int(word["start_frame"]), int(word["end_frame"]))
                _add_word(words, mouths, named, cues, fps, len(words) + 1)
    return Track("Papagayo", words=tuple(words), mouths=tuple(mouths), duration=float(data["sound_duration"]) / fps)


def _add_word(
    words: list[Interval],
    mouths: list[Interval],
    word: tuple[str, int, int],
    cues: list[tuple[int, str, int]],
    fps: float,
    line: int,
) -> None:
    """Frames count from 0; a word's last frame is part of it."""
    label, first, last = word
    words.append(Interval(first / fps, (last + 1) / fps, label, f"line {line}"))
    for (frame, shape, number), (following, _, _) in pairwise([*cues, (last + 1, "", 0)]):
        if following > frame:
            mouths.append(Interval(frame / fps, following / fps, shape, f"line {number}"))
