"""Transcripts from files: plain text, and subtitles (.srt, .vtt, those of `cue_files`), whose times are kept as hints.

A transcript stays one string all the way, so that it can also be typed or pasted; subtitles are known by their time
lines, wherever they come from.
"""

from __future__ import annotations

import codecs
import json
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from ..errors import InputError
from .cue_files import Cue, TimedText, other_subtitles

SUFFIXES = (".txt", ".srt", ".vtt", ".lab")
RARER = (".ass", ".ssa", ".sbv", ".lrc", ".ttml", ".dfxp")  # looked for where none of SUFFIXES is
LARGEST = 32 * 1024**2  # bytes; a day of speech has less than one of them

_CLOCK = r"(?:(\d{1,3}):)?(\d{1,2}):(\d{2})[.,:](\d{1,3})"
_TIMES = re.compile(rf"^\s*{_CLOCK}\s*--?>\s*{_CLOCK}(?:\s.*)?$")
_INSIDE = re.compile(rf"<{_CLOCK}>")
_VOICE = re.compile(r"<v(?:\.[^\s<>]*)?[ \t]+([^<>\n]+)>")
_TAG = re.compile(r"</?[a-zA-Z][^<>\n]*>|</>|\{\\[^{}\n]*\}")
_NO_CUE = re.compile(r"^(?:WEBVTT|NOTE|STYLE|REGION|X-TIMESTAMP-MAP)\b")


def read_transcript(path: str | os.PathLike[str]) -> str:
    """The text of a transcript or subtitle file: UTF-8, UTF-16 or Windows-1252. Raises InputError."""
    name = Path(path).name
    try:
        if Path(path).stat().st_size > LARGEST:
            raise InputError(f"{name} is too large to be a transcript; choose a text, .srt or .vtt file.")
        data = Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"Cannot read {path} ({error.strerror}); check the path.") from None
    if kind := _no_text(data, Path(path).suffix.lower()):
        raise InputError(f"{name} is {kind}; save what is said as plain text (.txt) or as subtitles (.srt).")
    try:
        text = decoded(data)
    except UnicodeDecodeError:
        raise InputError(f"{name} is not UTF-8 text, nor any other text; save the transcript as UTF-8.") from None
    if kind := _other_text(text):
        raise InputError(f"{name} is {kind}.")
    if subtitles(text) == ():
        raise InputError(f"{name} has times but no words; export the subtitles again, or use plain text.")
    return text


def _no_text(data: bytes, suffix: str) -> str:
    """What a file is that is no text but often holds some; empty for all others."""
    if data.startswith(b"PK\x03\x04"):
        kinds = {".docx": "a Word document", ".odt": "an OpenDocument text", ".pages": "a Pages document"}
        return kinds.get(suffix, "an archive or an office document")
    for start, kind in (
        (b"%PDF", "a PDF"), (b"{\\rtf", "rich text (RTF)"), (b"\xd0\xcf\x11\xe0", "an old Word document"),
        (b"RIFF", "a sound or video"), (b"ID3", "a sound"), (b"fLaC", "a sound"), (b"OggS", "a sound or video"),
        (b"\x1aE\xdf\xa3", "a video"), (b"\x1f\x8b", "compressed (gzip)"),
    ):  # fmt: skip
        if data.startswith(start):
            return kind
    return ""


def _other_text(text: str) -> str:
    """What a text is that should not be read aloud, and the remedy; empty for a transcript."""
    start = text.lstrip("\ufeff \t\r\n")[:4000]
    if re.match(r'(?:File type\s*=\s*)?"ooTextFile|<\?xml[^<]*<ANNOTATION_DOCUMENT|<ANNOTATION_DOCUMENT', start):
        return "an alignment; give it as such (--alignment)"
    if start.startswith(("{", "[")) and _is_json(text):
        return "JSON; if it is an alignment, give it as such (--alignment), else save what is said as plain text"
    if re.match(r"(?i)<!doctype html|<html", start):
        return "a web page (HTML); save what is said as plain text (.txt)"
    if re.match(r"(?i)<sami", start):
        return "subtitles of the kind SAMI; save them as .srt"
    if re.match(r"\{\d+\}\{\d+\}", start):
        return "subtitles of the kind MicroDVD; save them as .srt"
    if start.startswith("<?xml") and subtitles(text) is None:
        return "XML; save what is said as plain text (.txt), or subtitles as .srt"
    return ""


def _is_json(text: str) -> bool:
    try:
        return isinstance(json.loads(text.lstrip("\ufeff")), dict | list)
    except (ValueError, RecursionError):
        return False


def transcript_beside(sound: str | os.PathLike[str]) -> Path | None:
    """The file with what is said that lies beside a sound under the same name, None if there is none.

    Raises InputError where several lie there, since only the user knows which of them is meant.
    """
    found = [path for suffix in SUFFIXES if (path := Path(sound).with_suffix(suffix)).is_file()]
    found = [path for path in found if not (path.suffix == ".lab" and timed_labels(_peek(path)))]
    found = found or [path for suffix in RARER if (path := Path(sound).with_suffix(suffix)).is_file()]
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
    """The cues of SubRip, WebVTT or `cue_files`' kinds of text in order of time; None for text that is none of them.

    Lines that a caption repeats while it scrolls, and the repetitions that highlight word after word, count once.
    """
    raw = list(_raw_cues(text)) if "->" in text else []
    if not raw and not text.lstrip("\ufeff \n").startswith("WEBVTT"):
        return other_subtitles(text)
    scrolls = any(_INSIDE.search(body) for _, _, body in raw)
    highlights = any("<u>" in body for _, _, body in raw)
    cues: list[Cue] = []
    following: list[TimedText] = []  # the words of the latest cue, which may be highlighted one by one

    def finish() -> None:
        if cues and following:
            cues[-1] = replace(cues[-1], words=tuple(following))

    for start, end, body in sorted(raw, key=lambda cue: cue[0]):
        speaker = match[1].strip() if (match := _VOICE.search(body)) else ""
        lines = [line for line in body.split("\n") if line.strip()]
        before = cues[-1] if cues else None
        if scrolls and before and lines and _plain(lines[0]) == before.text.rpartition("\n")[2]:
            lines = lines[1:]  # scrolled up, said before
        shown = "\n".join(filter(None, map(_plain, lines)))
        words = list(_inside("\n".join(lines), start, end)) or list(_highlighted("\n".join(lines), start, end))
        if highlights and before and shown == before.text and start - before.end < 0.1:
            following += words
            cues[-1] = replace(before, end=max(before.end, end))
        elif shown:
            finish()
            cues.append(Cue(start, end, shown, speaker))
            following = words
    finish()
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
    from html import unescape

    return " ".join(unescape(_TAG.sub("", _INSIDE.sub("", line))).split())


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
    _, opened, rest = body.partition("<u>")
    inside, closed, _ = rest.partition("</u>")
    if opened and closed and body.count("<u>") == 1 and (text := _plain(inside)):
        yield TimedText(text, start, end)


def _peek(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return decoded(file.read(400))
    except (OSError, UnicodeDecodeError):
        return ""
