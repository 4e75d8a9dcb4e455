"""Transcripts from files: plain text, and subtitles (SubRip .srt, WebVTT .vtt) whose times are kept as hints.

A transcript stays one string all the way, so that it can also be typed or pasted; subtitles are known by their time
lines, wherever they come from.
"""

from __future__ import annotations

import codecs
import html
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..errors import InputError

SUFFIXES = (".txt", ".srt", ".vtt", ".lab")
LARGEST = 32 * 1024**2  # bytes; a day of speech has less than one of them

_CLOCK = r"(?:(\d{1,3}):)?(\d{1,2}):(\d{2})[.,:](\d{1,3})"
_TIMES = re.compile(rf"^\s*{_CLOCK}\s*--?>\s*{_CLOCK}(?:\s.*)?$")
_INSIDE = re.compile(rf"<{_CLOCK}>")
_VOICE = re.compile(r"<v(?:\.[^\s>]*)?\s+([^>]+)>")
_TAG = re.compile(r"</?[a-zA-Z][^<>\n]*>|</>|\{\\[^}]*\}")
_NO_CUE = re.compile(r"^(?:WEBVTT|NOTE|STYLE|REGION|X-TIMESTAMP-MAP)\b")


@dataclass(frozen=True)
class TimedText:
    """A word, or some, with the seconds at which they are said."""

    text: str
    start: float
    end: float


@dataclass(frozen=True)
class Cue:
    """What one subtitle shows from `start` to `end` seconds, without its markup; `speaker` as WebVTT's voices name it.

    `words` have times of their own where the subtitle has them (karaoke).
    """

    start: float
    end: float
    text: str
    speaker: str = ""
    words: tuple[TimedText, ...] = field(default=())


def read_transcript(path: str | os.PathLike[str]) -> str:
    """The text of a transcript or subtitle file: UTF-8, UTF-16 or Windows-1252. Raises InputError."""
    name = Path(path).name
    try:
        if Path(path).stat().st_size > LARGEST:
            raise InputError(f"{name} is too large to be a transcript; choose a text, .srt or .vtt file.")
        data = Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"Cannot read {path} ({error.strerror}); check the path.") from None
    try:
        text = decoded(data)
    except UnicodeDecodeError:
        raise InputError(f"{name} is not UTF-8 text, nor any other text; save the transcript as UTF-8.") from None
    if subtitles(text) == ():
        raise InputError(f"{name} has times but no words; export the subtitles again, or use plain text.")
    return text


def transcript_beside(sound: str | os.PathLike[str]) -> Path | None:
    """The file with what is said that lies beside a sound under the same name, None if there is none.

    Raises InputError where several lie there, since only the user knows which of them is meant.
    """
    found = [path for suffix in SUFFIXES if (path := Path(sound).with_suffix(suffix)).is_file()]
    found = [path for path in found if not (path.suffix == ".lab" and timed_labels(_peek(path)))]
    if len(found) > 1:
        names = " and ".join(path.name for path in found)
        raise InputError(f"Beside the sound lie {names}; name the one that is meant with --transcript-file.")
    return found[0] if found else None


def timed_labels(text: str) -> bool:
    """Whether a .lab holds phones with times (HTK) rather than a transcript (Montreal Forced Aligner)."""
    return bool(re.match(r"\s*\d+(?:\.\d+)?\s+\d+(?:\.\d+)?\s+\S", text))


def decoded(data: bytes) -> str:
    """Text in UTF-8 or UTF-16, with or without byte-order mark, else Windows-1252; raises UnicodeDecodeError."""
    if data.startswith((codecs.BOM_UTF16_BE, codecs.BOM_UTF16_LE)):
        return data.decode("utf-16")
    even, odd = data[0:4000:2].count(0), data[1:4000:2].count(0)
    if even + odd >= max(len(data[:4000]) // 4, 1):  # Latin letters of UTF-16 have a zero byte each
        return data.decode("utf-16-le" if odd > even else "utf-16-be")
    if even + odd:
        raise UnicodeDecodeError("utf-8", data[:1], 0, 1, "binary")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252")


def subtitles(text: str) -> tuple[Cue, ...] | None:
    """The cues of SubRip or WebVTT text in order of time; None for text that is neither.

    Lines that a caption repeats while it scrolls, and the repetitions that highlight word after word, count once.
    """
    raw = list(_raw_cues(text)) if "->" in text else []
    if not raw and not text.lstrip("\ufeff \n").startswith("WEBVTT"):
        return None
    scrolls = any(_INSIDE.search(body) for _, _, body in raw)
    highlights = any("<u>" in body for _, _, body in raw)
    cues: list[Cue] = []
    for start, end, body in sorted(raw, key=lambda cue: cue[0]):
        speaker = match[1].strip() if (match := _VOICE.search(body)) else ""
        lines = [line for line in body.split("\n") if line.strip()]
        before = cues[-1] if cues else None
        if scrolls and before and lines and _plain(lines[0]) == before.text.rpartition("\n")[2]:
            lines = lines[1:]  # scrolled up, said before
        shown = "\n".join(filter(None, map(_plain, lines)))
        words = tuple(_inside("\n".join(lines), start, end)) or tuple(_highlighted("\n".join(lines), start, end))
        if highlights and before and shown == before.text and start - before.end < 0.1:
            cues[-1] = replace(before, end=max(before.end, end), words=before.words + words)
        elif shown:
            cues.append(Cue(start, end, shown, speaker, words))
    return tuple(cues)


def _raw_cues(text: str) -> Iterator[tuple[float, float, str]]:
    at: tuple[float, float] | None = None
    body: list[str] = []
    vtt = text.lstrip("\ufeff \n").startswith("WEBVTT")
    for block in re.split(r"\n[ \t]*\n", text.replace("\r\n", "\n").replace("\r", "\n").lstrip("\ufeff")):
        lines = block.strip("\n").split("\n")
        if _NO_CUE.match(lines[0]) and not any(_TIMES.match(line) for line in lines[:2]):
            continue
        fresh = True
        for number, line in enumerate(lines):
            following = lines[number + 1] if number + 1 < len(lines) else ""
            if match := _TIMES.match(line):
                if at is not None:
                    yield (*at, "\n".join(body))
                at, body = (_seconds(match.groups()[:4]), _seconds(match.groups()[4:])), []
                fresh = False
            elif _TIMES.match(following) and (number == 0 or line.strip().isdigit()):
                continue  # the number or name of a cue
            elif at is not None and not (vtt and fresh):  # SubRip files have blank lines inside of cues
                body.append(line)
    if at is not None:
        yield (*at, "\n".join(body))


def _seconds(clock: tuple[str | None, ...]) -> float:
    hours, minutes, seconds, part = clock
    return int(hours or 0) * 3600 + int(minutes or 0) * 60 + int(seconds or 0) + float(f"0.{part}")


def _plain(line: str) -> str:
    return " ".join(html.unescape(_TAG.sub("", _INSIDE.sub("", line))).split())


def _inside(body: str, start: float, end: float) -> Iterator[TimedText]:
    """The words of a cue whose text holds the times at which they begin (WebVTT, enhanced SubRip)."""
    pieces = _INSIDE.split(body)
    if len(pieces) == 1:
        return
    times = [start, *(_seconds(tuple(pieces[i : i + 4])) for i in range(1, len(pieces), 5)), end]
    for number, piece in enumerate(pieces[::5]):
        if text := _plain(piece):
            yield TimedText(text, times[number], max(times[number + 1], times[number]))


def _highlighted(body: str, start: float, end: float) -> Iterator[TimedText]:
    """The one word that a cue underlines, as Whisper's subtitles do with highlighted words."""
    if len(found := re.findall(r"<u>(.*?)</u>", body, re.DOTALL)) == 1 and (text := _plain(found[0])):
        yield TimedText(text, start, end)


def _peek(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return decoded(file.read(400))
    except (OSError, UnicodeDecodeError):
        return ""
