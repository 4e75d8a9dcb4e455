"""Laughter is heard as syllables, but is none: a mouth that speaks them flaps.

Notes of laughter follow each other four to six times a second, at even distances, and sound alike (Bachorowski et al.
2001). So do hardly any syllables of speech: with the limits here, no stretch of the 56 minutes of read speech that
they were set on is taken for laughter, and six sevenths of synthetic laughter are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ..phones import SILENCE, VOWELS, Phone

NOTES = 4  # in a row
SHORTEST, LONGEST = 0.1 + 1e-6, 0.4 - 1e-6  # s from one note to the next
UNEVEN = 0.3, 0.02  # share of the median distance, and s, by which a distance may differ from it
ALIKE = 0.7  # of the notes have the same vowel, and the same consonant before it
BREATH = 0.12 - 1e-6  # s of silence that end a bout
MOST = 0.5  # of a stretch between pauses that is laughter: then all of it is
CLUSTER = 2  # consonants before a note at most
SONORANTS = frozenset(["M", "N", "NG", "L", "R", "W", "Y"])  # notes of laughter begin with breath


@dataclass(frozen=True)
class Note:
    """One syllable: `start` and `end` of its vowels in s, and the labels of these and of the consonants before."""

    start: float
    end: float
    vowels: tuple[str, ...]
    consonants: tuple[str, ...]


def without_laughter(phones: Sequence[Phone]) -> list[Phone]:
    """Phones as heard in a sound alone → the same with silence in place of laughter."""
    out: list[Phone] = []
    stretch: list[Phone] = []
    for phone in [*phones, None]:
        if phone is not None and (phone.label != SILENCE or phone.end - phone.start < BREATH):
            stretch.append(phone)
            continue
        if stretch:
            laughed = sum(end - start for start, end in bouts(stretch))
            start, end = stretch[0].start, stretch[-1].end
            out += [Phone(SILENCE, start, end)] if laughed > MOST * (end - start) else stretch
        stretch = []
        if phone is not None:
            out.append(phone)
    return out


def bouts(phones: Sequence[Phone]) -> list[tuple[float, float]]:
    """Start and end (s) of every run of at least NOTES syllables that are alike and evenly spaced."""
    found: list[tuple[float, float]] = []
    run: list[Note] = []

    def close() -> None:
        while len(run) >= NOTES and not alike(run):
            run.pop(0)
        if len(run) >= NOTES:
            found.append((run[0].start, run[-1].end))

    for note in notes(phones):
        if run and (len(note.consonants) > CLUSTER or not even([*run, note])):
            close()
            run = []
        run.append(note)
    close()
    return found


def notes(phones: Sequence[Phone]) -> list[Note]:
    """The syllables of phones: adjacent vowels are one."""
    out: list[Note] = []
    consonants: list[str] = []
    after_vowel = False
    for phone in phones:
        vowel = phone.label in VOWELS
        if vowel and after_vowel:
            out[-1] = Note(out[-1].start, phone.end, (*out[-1].vowels, phone.label), out[-1].consonants)
        elif vowel:
            out.append(Note(phone.start, phone.end, (phone.label,), tuple(consonants)))
            consonants = []
        elif phone.label != SILENCE:
            consonants.append(phone.label)
        after_vowel = vowel
    return out


def even(run: Sequence[Note]) -> bool:
    """Whether all notes follow at much the same distance."""
    apart = np.array([later.start - earlier.start for earlier, later in pairwise(run)])
    slack = UNEVEN[0] * np.median(apart) + UNEVEN[1]
    return bool(apart.min() > SHORTEST and apart.max() < LONGEST and np.abs(apart - np.median(apart)).max() < slack)


def alike(run: Sequence[Note]) -> bool:
    """Whether most notes have one vowel, and most begin with one breathy consonant, or none."""
    return _common(run, lambda note: note.vowels, len(run)) is not None and (
        _common(run[1:], lambda note: note.consonants or ("",), len(run) - 1) not in SONORANTS | {None}
    )


def _common(run: Sequence[Note], labels: Callable[[Note], Sequence[str]], count: int) -> str | None:
    label, most = Counter(label for note in run for label in set(labels(note))).most_common(1)[0]
    return label if most >= ALIKE * count else None
