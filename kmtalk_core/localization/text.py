"""Transcripts as people write them → words as they are spoken."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class SpokenWord:
    """A word as written (`label`) and what is said for it: dictionary words in lower case ("five", "dollars")."""

    label: str
    spoken: tuple[str, ...]


def spoken_words(transcript: str) -> tuple[SpokenWord, ...]:
    return tuple(
        SpokenWord(w.strip('.,;:!?"'), (q,)) for w in transcript.split() if (q := re.sub(r"[^a-z']", "", w.lower()))
    )
