"""Subtitles of other kinds than SubRip and WebVTT: .ass and .ssa, YouTube's .sbv, .lrc, and TTML (.ttml, .dfxp)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .markup import local_name, xml_root

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element


@dataclass(frozen=True)
class TimedText:
    """A word, or some, with the seconds at which they are said."""

    text: str
    start: float
    end: float


@dataclass(frozen=True)
class Cue:
    """What one subtitle shows from `start` to `end` seconds, without its markup; `speaker` as the file names it.

    `words` have times of their own where the subtitle has them (karaoke).
    """

    start: float
    end: float
    text: str
    speaker: str = ""
    words: tuple[TimedText, ...] = field(default=())


# Patterns of `re`, which compiles each when it is first met.
_CLOCK = r"(\d{1,3}):(\d{2}):(\d{2})[.,](\d{1,3})"
_TIME = r"(\d{1,3}):(\d{2}):(\d{2})[.:](\d{1,3})"
_SBV = rf"(?m)^[ \t]*{_CLOCK},{_CLOCK}[ \t]*$"
_LRC = r"\[(\d{1,3}):(\d{2})[.:](\d{2,3})\]"
_LRC_TAG = r"\[[a-zA-Z#]+:[^\[\]\n]*\]\s*"
_LRC_WORD = r"<(\d{1,3}):(\d{2})[.:](\d{2,3})>"
_OVERRIDE = r"\{[^{}\n]*\}"
_KARAOKE = r"\\[kK][fot]?(\d{1,6})"
_DRAWING = r"\\p[1-9]"
LAST = 4.0  # s that the last line of a .lrc is shown


def other_subtitles(text: str) -> tuple[Cue, ...] | None:
    """The cues of a text in one of these formats, in order of time; None for all other texts."""
    start = text.lstrip("\ufeff \t\r\n").replace("\r\n", "\n").replace("\r", "\n")
    found: Iterator[Cue] | None = None
    if start[:13].lower() == "[script info]" or start.startswith(("[Events]", "Dialogue:")):
        found = _advanced(start)
    elif start.startswith("<") and "<tt" in start[:4000]:
        found = _timed_text(start)
    elif re.match(_SBV, start):
        found = _youtube(start)
    elif start.startswith("["):
        lines = [line for line in start.splitlines() if line.strip()]
        timed = sum(bool(re.match(_LRC, line.lstrip())) for line in lines)
        tags = sum(bool(re.fullmatch(_LRC_TAG, line.strip())) for line in lines)
        found = _lyrics(lines) if timed and 2 * timed >= len(lines) - tags else None
    return None if found is None else tuple(sorted(found, key=lambda cue: cue.start))


def _advanced(text: str) -> Iterator[Cue]:
    """SubStation Alpha: the order of a dialogue's columns stands before it. Comments and drawings are not said."""
    columns = ["layer", "start", "end", "style", "name", "marginl", "marginr", "marginv", "effect", "text"]
    events = True
    for line in text.splitlines():
        kind, _, rest = line.partition(":")
        if line.startswith("["):
            events = line.strip().lower() == "[events]"
        elif kind.strip().lower() == "format" and events:
            columns = [name.strip().lower() for name in rest.split(",")]
        elif kind.strip().lower() == "dialogue":
            row = dict(zip(columns, rest.split(",", len(columns) - 1), strict=False))
            first, last = (re.fullmatch(_TIME, row.get(name, "").strip()) for name in ("start", "end"))
            if first is None or last is None:
                continue
            body = row.get("text", "").replace("\\N", "\n").replace("\\n", "\n").replace("\\h", " ")
            if any(re.search(_DRAWING, block) for block in re.findall(_OVERRIDE, body)):
                continue
            start, end = _clock(*first.groups()), _clock(*last.groups())
            shown = _lines(re.sub(_OVERRIDE, "", body))
            if shown:
                words = tuple(_syllables(body, start)) if re.search(_KARAOKE, body) else ()
                yield Cue(start, end, shown, row.get("name", row.get("actor", "")).strip(), words)


def _syllables(body: str, start: float) -> Iterator[TimedText]:
    """The words of a karaoke line, whose syllables last as many hundredths as the \\k before them says."""
    blocks = list(re.finditer(_OVERRIDE, body))
    edges = [*(block.start() for block in blocks[1:]), len(body)][: len(blocks)]
    word, begun, ended = "", start, start
    at = start
    for block, edge in zip(blocks, edges, strict=True):
        lengths = re.findall(_KARAOKE, block[0])
        begin, at = at, at + sum(map(int, lengths)) / 100
        for part in re.findall(r"\s+|\S+", body[block.end() : edge]):
            if word and part.isspace():
                yield TimedText(word, begun, ended)
                word = ""
            elif not part.isspace():
                begun = begun if word else begin
                word, ended = word + part, at
    if word and at > start:
        yield TimedText(word, begun, ended)


def _youtube(text: str) -> Iterator[Cue]:
    times = list(re.finditer(_SBV, text))
    for number, match in enumerate(times):
        until = times[number + 1].start() if number + 1 < len(times) else len(text)
        if shown := _lines(text[match.end() : until]):
            clocks = match.groups()
            yield Cue(_clock(*clocks[:4]), _clock(*clocks[4:]), shown)


def _lyrics(lines: list[str]) -> Iterator[Cue]:
    """A line may have several times, at each of which it is sung; it lasts until the next one."""
    sung: list[tuple[float, str]] = []
    stamp = re.compile(_LRC)
    for line in lines:
        rest, times = line.strip(), []
        at = 0
        while match := stamp.match(rest, at):
            times.append(_short_clock(*match.groups()))
            at = match.end()
        sung += [(time, rest[at:].strip()) for time in times]
    sung.sort(key=lambda item: item[0])
    for number, (start, line) in enumerate(sung):
        end = sung[number + 1][0] if number + 1 < len(sung) else start + LAST
        if shown := _lines(re.sub(_LRC_WORD, "", line)):
            yield Cue(start, end, shown, "", tuple(_timed_words(line, start, end)))


def _timed_words(line: str, start: float, end: float) -> Iterator[TimedText]:
    pieces = re.split(_LRC_WORD, line)
    if len(pieces) > 1:
        times = [start, *(_short_clock(*pieces[i : i + 3]) for i in range(1, len(pieces), 4)), end]
        for number, piece in enumerate(pieces[::4]):
            if piece.strip():
                yield TimedText(piece.strip(), times[number], max(times[number + 1], times[number]))


def _timed_text(text: str) -> Iterator[Cue]:
    """TTML: paragraphs with begin and end (or dur), each a subtitle."""
    try:
        root = xml_root(text)
    except (ValueError, RecursionError):
        return
    if local_name(root) != "tt":
        return
    numbers = {_local_key(key): value for key, value in root.attrib.items()}
    rates = _Rates(_number(numbers.get("frameRate"), 30.0), _number(numbers.get("tickRate"), 1.0))
    for element in root.iter():
        if local_name(element) != "p":
            continue
        for part in element.iter():
            if local_name(part) == "br":
                part.tail = f"\0{part.tail or ''}"
        # A line break is a space here, and <br/> is one.
        shown = _lines(" ".join("".join(element.itertext()).split()).replace("\0", "\n"))
        start, end = rates.span(element)
        if shown and start is not None and end is not None:
            words = []
            for part in element.iter():
                if local_name(part) == "span" and (word := " ".join("".join(part.itertext()).split())):
                    first, last = rates.span(part)
                    if first is not None and last is not None:
                        words.append(TimedText(word, first, last))
            yield Cue(start, end, shown, words=tuple(words))


@dataclass(frozen=True)
class _Rates:
    """Frames and ticks a second of a TTML file."""

    frames: float
    ticks: float

    def span(self, element: Element) -> tuple[float | None, float | None]:
        """When an element begins and ends, in s, by its own attributes."""
        begin, end, length = (self.seconds(element.get(name)) for name in ("begin", "end", "dur"))
        return begin, end if end is not None or begin is None or length is None else begin + length

    def seconds(self, time: str | None) -> float | None:
        """00:00:01.5, 00:00:01:12 (frames), 1.5s, 100ms, 30f or 1000t."""
        if match := re.fullmatch(r"\s*(\d{1,4}):(\d{2}):(\d{2})(?:([.:])(\d{1,6}))?\s*", time or ""):
            hours, minutes, seconds, sign, part = match.groups()
            rest = 0.0 if not part else int(part) / self.frames if sign == ":" else float(f"0.{part}")
            return int(hours) * 3600 + int(minutes) * 60 + int(seconds) + rest
        if match := re.fullmatch(r"\s*(\d{1,12}(?:\.\d{1,9})?)(h|ms|m|s|f|t)\s*", time or ""):
            units = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "f": 1 / self.frames, "t": 1 / self.ticks}
            return float(match[1]) * units[match[2]]
        return None


def _local_key(key: str) -> str:
    """An attribute's name without its namespace."""
    return key.rpartition("}")[2]


def _number(value: str | None, otherwise: float) -> float:
    return float(value) if value and re.fullmatch(r"\d{1,9}(?:\.\d{1,6})?", value) and float(value) > 0 else otherwise


def _lines(text: str) -> str:
    return "\n".join(filter(None, (" ".join(line.split()) for line in text.split("\n"))))


def _clock(hours: str, minutes: str, seconds: str, part: str) -> float:
    return int(hours) * 3600 + int(minutes) * 60 + int(seconds) + float(f"0.{part}")


def _short_clock(minutes: str, seconds: str, part: str) -> float:
    return int(minutes) * 60 + int(seconds) + float(f"0.{part}")
