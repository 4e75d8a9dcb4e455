"""What stands in transcripts and is not said: markup, times, speakers' names, stage directions, smileys.

Every pattern here takes time in proportion to the text, whatever it holds.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

_Drop = Callable[[str], str]
"""Keeps what was left out, and says what comes in its place."""

# Patterns of `re`, which compiles each when it is first met: most texts have nothing of all this.
_TAG = r"</?[a-zA-Z][^<>\n]*>"
_LINK = r"(?i)!?\[([^\[\]\n]*)\]\((?:https?:|www\.|mailto:|[/#.])[^()\s]*\)"
_TICK = r"(?<=[^\W\d_])[`´](?=[^\W\d_])"
_MARKS = r"~~|`|(?<!\S)==(?=[^\s=])|(?<=[^\s=])==(?!\S)|(?<!\w)__(?=\w)|(?<=\w)__(?!\w)"
_LINE_START = r"(?m)^[ \t]*(?:#{1,6}[ \t]+|>[> \t]*|[*+•‣◦▪·-][ \t]+)"
_SMILEY = r"(?<!\S)(?:[:;=][-o'^]?[)(\]\[DPpO3/\\|*$]+|<3+|[xX]D+)(?!\S)"

_CLOCK = r"\d{1,2}:\d{2}(?::\d{2})?(?:[.,]\d{1,3})?"
_SPAN = rf"{_CLOCK}(?:[ \t]*(?:-+>?|–)[ \t]*{_CLOCK})?"
_STAMP = rf"(?m)^[ \t]*[\[(<][ \t]?{_SPAN}[ \t]?[\])>][ \t]*(?:[-–:][ \t]+)?"
_BARE_STAMP = rf"[ \t]*({_SPAN})(?=[ \t]|$)(?:[ \t]*[-–|][ \t]+)?"
_NAME = r"[A-Z][\w.'’-]*(?: [A-Z\d][\w.'’-]*){0,2}"
_NAME_AND_TIME = rf"(?m)^[ \t]*{_NAME}[ \t]+\(?{_CLOCK}\)?[ \t]*:?[ \t]*$"
_LABEL = rf"(?m)^[ \t]*(?:[-–][ \t]*)?({_NAME})[ \t]*:(?=\s|$)"
_NUMBERED = r"(?im)^[ \t]*(?:speaker|spk|voice|person)[ _-]?[\dA-Z]{1,3}[ \t]*:(?=\s|$)"
_CAPITALS = r"(?m)^[ \t]*[A-Z][A-Z.'’_-]*(?: [A-Z.'’_-]+){0,3}[ \t]*:|^[ \t]*[A-Z][A-Z_]*[ _]?\d+:(?=\s)"
_EMPHASIS = r"(?<!\*)\*(?=[^\s*])[^*\n]*(?<!\s)\*(?!\*)"
_AREA_CODE = r"\(\d[\d .-]{1,8}\)"
_BRACKET = r"[\[\](){}]"
_OPENED_BY = {")": "(", "]": "[", "}": "{"}


def without_markup(text: str) -> str:
    """Without HTML and markdown: their words stay, their signs go."""
    text = text.replace("\u00ad", "").replace("\u200b", "").replace("\ufe0f", "")
    text = _replaced(_TAG, " ", text, "<")
    if "&" in text:
        from html import unescape

        text = unescape(text)
    text = _replaced(_LINK, r"\1", text, "[")
    text = _replaced(_TICK, "'", text, "`´")
    text = _replaced(_MARKS, "", text, "~`=_")
    return _replaced(_SMILEY, " ", text, ":;=<xX")


def without_lists(text: str) -> str:
    """Without the signs that begin lines of lists, headings and quotations."""
    return _replaced(_LINE_START, "", text, "#>*+•‣◦▪·-")


def speaker_labels(text: str) -> frozenset[str]:
    """Names before colons ("Anna: Hello.") that begin most lines; a single "Note: …" is said."""
    if ":" not in text:
        return frozenset()
    lines = sum(1 for line in text.split("\n") if line.strip())
    labels = re.findall(_LABEL, text)
    return frozenset(labels) if len(labels) >= 2 and 2 * len(labels) >= lines else frozenset()


def without_times(text: str, drop: _Drop) -> str:
    """Without the times that begin lines of a transcript: [0:01], (00:00:01.5), and bare ones where they go on."""
    if ":" not in text:
        return text
    text = re.sub(_STAMP, lambda match: drop(match[0]), text)
    if len(re.findall(_NAME_AND_TIME, text)) >= 2:
        text = re.sub(_NAME_AND_TIME, lambda match: drop(match[0]), text)
    lines = text.split("\n")
    stamps = [re.match(_BARE_STAMP, line) for line in lines]
    times = [_seconds(match[1]) for match in stamps if match]
    written = [(line, match) for line, match in zip(lines, stamps, strict=True) if line.strip()]
    alone = bool(written) and written[0][1] is not None and written[0][1].end() == len(written[0][0].rstrip())
    going_on = len(times) >= 2 and times == sorted(times) and 3 * len(times) >= len(written)
    if not times or not (going_on or (alone and len(written) > len(times))):
        return text
    return "\n".join(
        drop(match[0]) + line[match.end() :] if match else line for line, match in zip(lines, stamps, strict=True)
    )


def without_names(text: str, labels: frozenset[str], drop: _Drop) -> str:
    """Without the names of who speaks: `labels`, those with numbers, and those in capitals."""
    if ":" not in text:
        return text
    text = re.sub(_LABEL, lambda match: drop(match[0]) if match[1] in labels else match[0], text)
    text = re.sub(_NUMBERED, lambda match: drop(match[0]), text)
    return re.sub(_CAPITALS, lambda match: drop(match[0]), text)


def without_directions(text: str, drop: _Drop) -> str:
    """Without what is done but not said: [sighs], (beat), {music}, *coughs*; brackets may lie in one another."""
    kept: list[str] = []
    at = 0
    for start, end in _bracketed(text):
        if not re.fullmatch(_AREA_CODE, text[start:end]):
            kept += (text[at:start], drop(text[start:end]))
            at = end
    return _replaced(_EMPHASIS, lambda match: drop(match[0]), "".join((*kept, text[at:])), "*")


def _replaced(pattern: str, by: str | Callable[[re.Match[str]], str], text: str, signs: str) -> str:
    """`re.sub` where the text has one of the `signs`, of which each match has one."""
    return re.sub(pattern, by, text) if any(sign in text for sign in signs) else text


def _bracketed(text: str) -> Iterator[tuple[int, int]]:
    """Where brackets open and close, the outermost ones; one without its partner is no bracket."""
    open_: list[tuple[str, int]] = []
    waiting = dict.fromkeys(_OPENED_BY.values(), 0)
    found: list[tuple[int, int]] = []
    for match in re.finditer(_BRACKET, text):
        sign = match[0]
        if sign in waiting:
            open_.append((sign, match.start()))
            waiting[sign] += 1
        elif waiting[_OPENED_BY[sign]]:
            while True:
                opened, start = open_.pop()
                waiting[opened] -= 1
                if opened == _OPENED_BY[sign]:
                    break
            while found and found[-1][0] > start:
                found.pop()
            found.append((start, match.end()))
    yield from found


def _seconds(clock: str) -> float:
    first = re.split(r"[ \t]*[-–]", clock, maxsplit=1)[0].replace(",", ".")
    seconds = 0.0
    for part in first.split(":"):
        seconds = 60 * seconds + float(part)
    return seconds
