"""Named tiers of intervals (TextGrid, MFA, ELAN, Praat's kin) → one track of phones and words."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ...errors import shortened
from ...phones import CONSONANTS, VOWELS
from ..labels import is_silent, to_arpabet
from .track import Interval, Track

PHONE_TIERS = frozenset(
    ("phones", "phone", "phonemes", "phoneme", "segments", "segment", "mau", "phon", "phn", "phonalign")
)
WORD_TIERS = frozenset(("words", "word", "ort", "ort-mau", "wrd", "orthography", "tokens", "tokensalign"))
_OTHER_TIERS = frozenset(("kan-mau", "trn-mau", "mas", "mas-mau", "kas", "kas-mau"))  # WebMAUS's further ones
NO_WORD = frozenset(("", "<eps>", "<s>", "</s>", "<sil>", "sil", "sp", "<unk>", "[noise]", "[speech]", "<p:>", "<p>"))
ON_TOP = 0.5  # share of a tier's labels that lie on those of another: it says the same again
FEWEST = 5  # labels by which a tier without a known name shows what it holds

Tier = tuple[str, list[Interval]]


@dataclass
class _Joined:
    """Intervals of several tiers, and the union of their times."""

    intervals: list[Interval] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    _starts: list[float] = field(default_factory=list)
    _ends: list[float] = field(default_factory=list)

    def add(self, name: str, more: Sequence[Interval]) -> None:
        self.intervals += more
        self.names.append(name)
        self._starts, self._ends = [], []
        for interval in sorted(self.intervals, key=lambda i: (i.start, i.end)):
            if self._ends and interval.start <= self._ends[-1]:
                self._ends[-1] = max(self._ends[-1], interval.end)
            else:
                self._starts.append(interval.start)
                self._ends.append(interval.end)

    def holds(self, instant: float) -> bool:
        number = bisect_right(self._starts, instant) - 1
        return number >= 0 and instant < self._ends[number]


def tier_kind(name: str) -> str:
    """What a tier's name says that it holds: "phones", "words" or nothing.

    The speaker may be part of it: "ann - phones", "Ann_words", "phone (Ann)".
    """
    plain = name.strip().lower()
    ending = plain.rpartition(" - ")[2].strip()
    parts = () if ending in _OTHER_TIERS else (ending, *reversed(re.findall(r"[^\W\d_]+", plain)))
    for part in parts:
        if part in PHONE_TIERS:
            return "phones"
        if part in WORD_TIERS:
            return "words"
    return ""


def tiers_track(form: str, tiers: Sequence[Tier], duration: float, others: Iterable[str] = ()) -> Track:
    """A track from named tiers; those of several speakers are taken together.

    Where no name is known, what the tiers hold decides. `others`: names of tiers that hold no intervals.
    """
    kinds = [tier_kind(name) for name, _ in tiers]
    if not any(kinds):
        kinds = [_held(intervals) for _, intervals in tiers]
    warnings: list[str] = []
    found = {
        kind: _together([tier for tier, own in zip(tiers, kinds, strict=True) if own == kind], warnings)
        for kind in ("phones", "words")
    }
    unused = tuple(name for (name, _), kind in zip(tiers, kinds, strict=True) if not kind)
    words = tuple(word for word in found["words"] if word.label.strip().lower() not in NO_WORD)
    return Track(
        form, tuple(found["phones"]), words, duration=duration, warnings=tuple(warnings), others=(*unused, *others)
    )


def _together(tiers: Sequence[Tier], warnings: list[str]) -> list[Interval]:
    """The intervals of all tiers but for silence, which says nothing about other speakers.

    A tier that says the same time again is left out; `warnings` gets a sentence if it says something else.
    """
    joined, unknown = _Joined(), list[Interval]()
    for name, intervals in tiers:
        unknown += [i for i in intervals if is_silent(i.label, speech=True)]
        said = [i for i in intervals if not is_silent(i.label)]
        if not said:
            continue
        again = sum(joined.holds((i.start + i.end) / 2) for i in said)
        if again <= ON_TOP * len(said):
            joined.add(name, said)
        elif {(i.start, i.end, i.label) for i in said} - {(i.start, i.end, i.label) for i in joined.intervals}:
            taken = "”, “".join(shortened(other, 30) for other in joined.names[:3])
            warnings.append(
                f"The tier “{shortened(name, 30)}” says something at the same time as “{taken}”, so it was left out."
            )
    if not joined.intervals and not unknown and tiers:
        return list(tiers[0][1])
    return joined.intervals + unknown


def _held(intervals: Sequence[Interval]) -> str:
    """What a tier holds by its labels: "phones", single "words", or nothing that can be told."""
    labels = [i.label.strip() for i in intervals if not is_silent(i.label)]
    if len(labels) < FEWEST:
        return ""
    found, strange = to_arpabet(labels)
    both = not set(VOWELS).isdisjoint(found) and not set(CONSONANTS).isdisjoint(found)
    if not strange and both and any(label.isalpha() for label in labels):
        return "phones"
    lettered = sum(any(c.isalpha() for c in label) for label in labels)
    single = sum(len(label.split()) == 1 for label in labels)
    return "words" if 2 * lettered >= len(labels) and single >= 0.8 * len(labels) else ""
