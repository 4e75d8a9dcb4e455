"""Sounds of any language by how they are articulated, and which English phones resemble them.

Places, manners and vowel heights are those of the IPA chart (International Phonetic Association, 2020).
"""

from __future__ import annotations

import functools
import re
import unicodedata

import numpy as np

from ..phones import PHONE_INDEX, PHONES, SILENCE
from .labels import to_arpabet

NEAR = 3.0  # how fast likeness falls with articulatory distance

# Symbol → (height: 0 close … 1 open, backness: 0 front … 1 back, rounding).
_VOWELS = {
    "i": (0, 0, 0), "y": (0, 0, 1), "ɨ": (0, 0.5, 0), "ʉ": (0, 0.5, 1), "ɯ": (0, 1, 0), "u": (0, 1, 1),
    "ɪ": (0.2, 0.15, 0), "ʏ": (0.2, 0.15, 1), "ʊ": (0.2, 0.85, 1), "e": (0.33, 0, 0), "ø": (0.33, 0, 1),
    "ɘ": (0.33, 0.5, 0), "ɵ": (0.33, 0.5, 1), "ɤ": (0.33, 1, 0), "o": (0.33, 1, 1), "ə": (0.5, 0.5, 0),
    "ɛ": (0.67, 0, 0), "œ": (0.67, 0, 1), "ɜ": (0.67, 0.5, 0), "ɞ": (0.67, 0.5, 1), "ʌ": (0.67, 0.85, 0),
    "ɔ": (0.67, 1, 1), "æ": (0.83, 0, 0), "ɐ": (0.83, 0.5, 0), "a": (1, 0.3, 0), "ɶ": (1, 0, 1), "ɑ": (1, 1, 0),
    "ɒ": (1, 1, 1), "ɚ": (0.5, 0.5, 0.3), "ɝ": (0.5, 0.5, 0.3),
}  # fmt: skip

# By place, from the lips to the glottis: symbols by manner, voiceless then voiced ("." where there is none).
_PLACES = ("bilabial", "labiodental", "dental", "alveolar", "postalveolar", "retroflex", "palatal", "velar", "uvular",
           "pharyngeal", "glottal")  # fmt: skip
_MANNERS = {
    "stop": "pb .. .. td .. ʈɖ cɟ kɡ qɢ .. ʔ.",
    "nasal": ".m .ɱ .. .n .. .ɳ .ɲ .ŋ .ɴ .. ..",
    "trill": ".ʙ .. .. .r .. .. .. .. .ʀ .. ..",
    "tap": ".. .ⱱ .. .ɾ .. .ɽ .. .. .. .. ..",
    "fricative": "ɸβ fv θð sz ʃʒ ʂʐ çʝ xɣ χʁ ħʕ hɦ",
    "affricate": ".. .. .. ʦʣ ʧʤ .. ʨʥ .. .. .. ..",
    "approximant": ".w .ʋ .. .ɹ .. .ɻ .j .ɰ .. .. ..",
    "lateral": ".. .. .. ɬl .. .ɭ .ʎ .ʟ .. .. ..",
}
_ALIKE = {
    frozenset(pair): distance
    for *pair, distance in (
        ("stop", "affricate", 0.4), ("fricative", "affricate", 0.4), ("stop", "tap", 0.4), ("trill", "tap", 0.3),
        ("approximant", "tap", 0.4), ("approximant", "trill", 0.4), ("approximant", "lateral", 0.5),
        ("approximant", "fricative", 0.5), ("lateral", "tap", 0.5), ("stop", "fricative", 0.7),
    )
}  # fmt: skip
_CONSONANTS = {
    symbol: (place, manner, voice)
    for manner, row in _MANNERS.items()
    for place, pair in enumerate(row.split())
    for voice, symbol in enumerate(pair)
    if symbol != "."
}
_CONSONANTS |= {"ɥ": (6, "approximant", 1), "ɕ": (4, "fricative", 0), "ʑ": (4, "fricative", 1)}  # like j, ʃ and ʒ
# Other ways to write a symbol, sequences that are one sound first.
_SPELLINGS = {
    "tʃ": "ʧ", "dʒ": "ʤ", "ts": "ʦ", "dz": "ʣ", "tɕ": "ʨ", "dʑ": "ʥ", "ʈʂ": "ʧ", "ɖʐ": "ʤ", "tʂ": "ʧ", "dʐ": "ʤ",
    "th": "t", "kh": "k", "ph": "p", "g": "ɡ", "ɧ": "ʃ", "ʍ": "w", "ɫ": "l",
    "ɮ": "l", "ɺ": "ɾ", "ɓ": "b", "ɗ": "d", "ɠ": "ɡ", "ᵻ": "ɪ", "ɹ̩": "ɚ", "ʢ": "ʕ", "ʜ": "ħ", "ɦ": "h",
}  # fmt: skip
_WRITTEN = {"ʧ": "tʃ", "ʤ": "dʒ", "ʦ": "ts", "ʣ": "dz", "ʨ": "tɕ", "ʥ": "dʑ"}
_GLIDES = {"j": "i", "w": "u", "ɹ": "ɚ", "ʋ": "v", "ɰ": "ɯ", "ɥ": "y"}  # sounds that differ in little but length
_DIPHTHONGS = {"aɪ", "ai", "aʊ", "au", "eɪ", "ei", "oʊ", "ou", "əʊ", "ɔɪ", "ɔø", "oɪ", "aj", "aw", "ɔʏ", "oi"}

_ARPABET = {
    "AA": "ɑ", "AE": "æ", "AH": "ʌə", "AO": "ɔ", "AW": "aʊ", "AY": "aɪ", "EH": "ɛ", "ER": "ɚ", "EY": "eɪ", "IH": "ɪ",
    "IY": "i", "OW": "oʊ", "OY": "ɔɪ", "UH": "ʊ", "UW": "u", "B": "b", "CH": "ʧ", "D": "d", "DH": "ð", "F": "f",
    "G": "ɡ", "HH": "h", "JH": "ʤ", "K": "k", "L": "l", "M": "m", "N": "n", "NG": "ŋ", "P": "p", "R": "ɹ", "S": "s",
    "SH": "ʃ", "T": "t", "TH": "θ", "V": "v", "W": "w", "Y": "j", "Z": "z", "ZH": "ʒ",
}  # fmt: skip


def segments(ipa: str) -> list[str]:
    """One sound or several in IPA → symbols that `likeness` knows; stress, length, tone and other marks are left out.

    A diphthong stays one segment of two symbols.
    """
    marks = unicodedata.normalize("NFD", ipa)
    plain = "".join(c for c in marks if unicodedata.category(c)[0] == "L" and unicodedata.category(c) != "Lm")
    if "\u0327" in marks:  # the cedilla of ç
        plain = unicodedata.normalize("NFC", "".join(c for c in marks if c.isalpha() or c == "\u0327"))
    for spelling, symbol in _SPELLINGS.items():
        plain = plain.replace(spelling, symbol)
    found = re.findall("|".join((*_DIPHTHONGS, ".")), plain)
    return [s for s in found if s in _VOWELS or s in _CONSONANTS or s in _DIPHTHONGS]


_SPREAD = frozenset("ɯɤrʀʁɽɕʑʨʥ")  # no lips are rounded


LAX = 0.7  # of the rounding, where a vowel behind is lax


@functools.cache
def likeness(segment: str) -> tuple[float, ...]:
    """How much each of PHONES resembles a segment, 0…1; the nearest gets 1."""
    distances = np.array([np.inf if phone == SILENCE else _distance(segment, _ARPABET[phone]) for phone in PHONES])
    return tuple(np.exp(-NEAR * (distances - distances.min())))


# Whose lips and jaw others have than the English sound that they are written like: trills and r in the throat round no
# lips, b and p that do not close fully come from the lips and not from the teeth, and ɕ spreads what sh rounds.
_LOOKS = {
    "r": "D", "ʀ": "G", "ʁ": "G", "χ": "HH", "ɽ": "D", "β": "B", "ɸ": "W", "ɥ": "W", "ɕ": "S", "ʑ": "Z", "ʨ": "S",
    "ʥ": "Z", "y": "UW", "ʏ": "UW", "ø": "UH", "œ": "UH",
}  # fmt: skip


def nearest(segment: str) -> str:
    """The phone of PHONES whose lips and jaw a segment has."""
    if segment in _LOOKS:
        return _LOOKS[segment]
    # A label that ARPABET lacks comes first, so that y is read as IPA.
    return to_arpabet(["ə", _WRITTEN.get(segment, segment)])[0][1]


def lips_of(segment: str) -> float | None:
    """How far a sound purses the lips, 0…1, where English has none that does so: rounded vowels in front, and vowels
    and glides that the labels' would round; None for all others."""
    if segment in _SPREAD:
        return 0.0
    first = segment[0]
    if first == "ɥ":
        return 1.0
    if len(segment) == 1 and first in _VOWELS:
        height, back, rounding = _VOWELS[first]
        if rounding == 1 and (back < 1 or height < 0.5):
            return (1.0 - 0.7 * height) * (LAX if first == "ʊ" else 1.0)
    return None


def _distance(segment: str, phone: str) -> float:
    """Of the nearest pair of parts; a diphthong against a plain vowel costs a little."""
    if len(segment) > 1 and len(phone) > 1:
        return (_apart(segment[0], phone[0]) + _apart(segment[1], phone[1])) / 2
    nearest_pair = min(_apart(a, b) for a in segment for b in phone)
    return nearest_pair + (0.6 if len(segment) != len(phone) and phone != "ʌə" else 0.0)


def _apart(a: str, b: str) -> float:
    if a == b:
        return 0.0
    if _GLIDES.get(a) == b or _GLIDES.get(b) == a:
        return 0.4
    if a in _VOWELS and b in _VOWELS:
        (height, back, rounding), (other_height, other_back, other_rounding) = _VOWELS[a], _VOWELS[b]
        return 1.2 * abs(height - other_height) + 0.6 * abs(back - other_back) + 0.4 * abs(rounding - other_rounding)
    if a in _VOWELS or b in _VOWELS:
        return 3.0
    (place, manner, voice), (other_place, other_manner, other_voice) = _CONSONANTS[a], _CONSONANTS[b]
    lips = 1.0 if (place <= 1) != (other_place <= 1) else 0.0  # the lips are seen, and close
    manners = 0.0 if manner == other_manner else _ALIKE.get(frozenset((manner, other_manner)), 1.0)
    return lips + 0.15 * abs(place - other_place) + manners + 0.3 * abs(voice - other_voice)


assert set(_ARPABET) | {SILENCE} == set(PHONE_INDEX)
