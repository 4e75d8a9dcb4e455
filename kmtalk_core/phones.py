"""Phones and words with their times: the currency between localization and the networks."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

SILENCE = "SIL"

# ARPABET without stress, as in the CMU pronouncing dictionary, and silence first (index 0).
VOWELS = ("AA", "AE", "AH", "AO", "AW", "AY", "EH", "ER", "EY", "IH", "IY", "OW", "OY", "UH", "UW")
CONSONANTS = (
    "B", "CH", "D", "DH", "F", "G", "HH", "JH", "K", "L", "M", "N", "NG", "P", "R", "S", "SH", "T", "TH", "V", "W",
    "Y", "Z", "ZH",
)  # fmt: skip
PHONES = (SILENCE, *VOWELS, *CONSONANTS)
PHONE_INDEX = {label: index for index, label in enumerate(PHONES)}

DOUBTFUL = 0.1  # confidence of a word below which it is in doubt

BILABIALS = frozenset({"P", "B", "M"})
LABIODENTALS = frozenset({"F", "V"})


def index_at(seconds: float, rate: float) -> int:
    """The index nearest to a time; halves, where phones that were heard begin and end, go up whatever the sound's
    beginning."""
    return math.floor(seconds * rate + 0.5 + 1e-6)


@dataclass(frozen=True)
class Phone:
    """One phone: ARPABET label without stress (or `SIL`), start and end in seconds.

    `sound`: as IPA writes it, where another language has it and lips or jaw differ from the label's; else "".
    """

    label: str
    start: float
    end: float
    sound: str = ""


@dataclass(frozen=True)
class Word:
    """One spoken word as written, start and end in seconds.

    `confidence` 0…1: how well the sound fits the word, where the localizer can tell; 1 where it cannot.
    """

    label: str
    start: float
    end: float
    confidence: float = 1.0


@dataclass(frozen=True)
class HeardText:
    """What a recogniser wrote down where no text was given: `text`, its `language` (one of tongues.LANGUAGES), and the
    recogniser's name and checksum (`by`)."""

    text: str
    language: str
    by: str


@dataclass(frozen=True)
class Alignment:
    """What was said and when.

    `phones` cover 0…`duration` seconds without gap or overlap (silence is `SIL`); `words` may have gaps.
    `source` names the localizer; `warnings` are sentences for the user (a transcript that does not fit, say).
    `guessed` are stretches (start, end in s) whose phones an imported file lacks, until the sound is asked for them.
    `heard`: the text, where it was not given but heard.
    """

    phones: tuple[Phone, ...]
    words: tuple[Word, ...]
    duration: float
    source: str
    warnings: tuple[str, ...] = field(default=())
    guessed: tuple[tuple[float, float], ...] = field(default=())
    heard: HeardText | None = None

    @classmethod
    def from_segments(
        cls,
        phones: Iterable[Phone],
        words: Iterable[Word],
        duration: float,
        source: str,
        warnings: Iterable[str] = (),
        guessed: Iterable[tuple[float, float]] = (),
    ) -> Alignment:
        """Sort, clip to 0…`duration`, cut overlaps, fill gaps with silence and join neighbouring silences."""
        covered: list[Phone] = []
        at = 0.0

        def append(label: str, start: float, end: float, sound: str = "") -> None:
            if end - start <= 1e-6:
                return
            if label == SILENCE and covered and covered[-1].label == SILENCE:
                start = covered.pop().start
            covered.append(Phone(label, start, end, sound))

        for phone in sorted(phones, key=lambda p: (p.start, p.end)):
            start, end = max(phone.start, at), min(phone.end, duration)
            if end - start <= 1e-6:
                continue
            append(SILENCE, at, start)
            append(phone.label, start if start > at else at, end, phone.sound)
            at = end
        append(SILENCE, at, duration)
        if not covered:
            covered.append(Phone(SILENCE, 0.0, duration))
        inside = [
            Word(w.label, max(w.start, 0.0), min(w.end, duration), w.confidence)
            for w in words
            if w.start < duration and w.end > 0.0
        ]
        unsure = [(max(a, 0.0), min(b, duration)) for a, b in guessed if a < duration and b > 0.0]
        return cls(
            tuple(covered),
            tuple(sorted(inside, key=lambda w: w.start)),
            duration,
            source,
            tuple(warnings),
            tuple(sorted(unsure)),
        )

    def later(self, by: float) -> Alignment:
        """The same, `by` s later; the first phone begins at 0 all the same."""
        phones = [replace(p, start=p.start + by, end=p.end + by) for p in self.phones]
        return replace(
            self,
            phones=(replace(phones[0], start=0.0), *phones[1:]),
            words=tuple(Word(w.label, w.start + by, w.end + by, w.confidence) for w in self.words),
            duration=self.duration + by,
        )

    def from_time(self, start: float) -> Alignment:
        """The part from `start` seconds on, its times counted from there."""
        part = Alignment.from_segments(
            (replace(p, start=p.start - start, end=p.end - start) for p in self.phones),
            (Word(w.label, w.start - start, w.end - start, w.confidence) for w in self.words),
            max(self.duration - start, 0.0),
            self.source,
            self.warnings,
            ((a - start, b - start) for a, b in self.guessed),
        )
        return replace(part, heard=self.heard)
