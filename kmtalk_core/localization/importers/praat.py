"""Praat's TextGrid, long and short text, in the encodings that Praat writes."""

from __future__ import annotations

import re
from collections.abc import Iterator

from .tiers import Tier, tiers_track
from .track import Interval, Track

# Praat's text format is free: only strings, numbers and flags that stand alone count, all else is comment.
_TOKEN = re.compile(r'"((?:[^"]|"")*)"|(?<![^\s=])(-?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?)(?!\S)|<(exists|absent)>')


def is_textgrid(text: str) -> bool:
    return bool(re.match(r'\s*(?:File type\s*=\s*)?"ooTextFile', text))


def textgrid_track(text: str) -> Track:
    """The tiers of phones and words of a TextGrid; raises ValueError or StopIteration where it is damaged."""
    tokens = _Tokens(text)
    if next(tokens) != "ooTextFile" or next(tokens) != "TextGrid":
        raise ValueError
    _, duration, present = next(tokens), float(next(tokens)), next(tokens)
    tiers: list[Tier] = []
    points: list[str] = []
    for _ in range(int(next(tokens)) if present == "exists" else 0):
        kind, name = next(tokens), next(tokens)
        _, _, count = next(tokens), next(tokens), int(next(tokens))
        if kind == "IntervalTier":
            intervals = []
            for _ in range(count):
                start, end, label = float(next(tokens)), float(next(tokens)), next(tokens)
                intervals.append(Interval(start, end, label, f"line {tokens.line}"))
            tiers.append((name, intervals))
        else:
            points.append(f"{name} (points)")
            for _ in range(2 * count):  # time and mark
                next(tokens)
    return tiers_track("TextGrid", tiers, duration, points)


class _Tokens(Iterator[str]):
    """The tokens that count; `line` is that of the latest."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._found = _TOKEN.finditer(text)
        self._at = 0
        self.line = 1

    def __next__(self) -> str:
        match = next(self._found)
        self.line += self._text.count("\n", self._at, match.start())
        self._at = match.start()
        string, number, flag = match.groups()
        return string.replace('""', '"') if string is not None else number or flag
