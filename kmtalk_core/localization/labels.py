"""Phone labels of other tools → ARPABET without stress: stressed ARPABET, TIMIT's extras, IPA, marks for silence."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from ..phones import PHONE_INDEX, SILENCE

_SILENT = frozenset(("", "sil", "sp", "spn", "silence", "pau", "<eps>", "<p:>", "#", "h#", "_", "<sil>", "noise", "ns"))

_TIMIT = {
    "AX": "AH", "AXR": "ER", "AX-H": "AH", "IX": "IH", "UX": "UW", "DX": "D", "NX": "N", "EL": "L", "EM": "M",
    "EN": "N", "ENG": "NG", "HV": "HH", "BCL": "B", "DCL": "D", "GCL": "G", "PCL": "P", "TCL": "T", "KCL": "K",
}  # fmt: skip

# By what is seen and heard; sounds that English lacks get the one with the nearest lips and jaw.
_IPA = {
    "aj": "AY", "aɪ": "AY", "ai": "AY", "aw": "AW", "aʊ": "AW", "au": "AW", "ej": "EY", "eɪ": "EY", "ei": "EY",
    "ow": "OW", "oʊ": "OW", "əw": "OW", "əʊ": "OW", "ou": "OW", "ɔj": "OY", "ɔɪ": "OY", "oɪ": "OY", "tʃ": "CH",
    "tɕ": "CH", "dʒ": "JH", "dʑ": "JH", "ts": "S", "dz": "Z", "kp": "P", "ɡb": "B", "pf": "F",
    "i": "IY", "ɪ": "IH", "e": "EH", "ɛ": "EH", "æ": "AE", "a": "AA", "ɑ": "AA", "ɒ": "AO", "ɔ": "AO", "o": "OW",
    "ɐ": "AH", "ʌ": "AH", "ə": "AH", "ɘ": "AH", "ɤ": "AH", "ɨ": "IH", "ɯ": "IH", "u": "UW", "ʉ": "UW", "ʊ": "UH",
    "y": "UW", "ʏ": "UH", "ø": "UH", "œ": "UH", "ɵ": "UH", "ɞ": "ER", "ɚ": "ER", "ɝ": "ER", "ɜ": "ER",
    "p": "P", "b": "B", "m": "M", "ɓ": "B", "ɸ": "F", "β": "V", "ʋ": "V", "f": "F", "v": "V", "ɱ": "M", "θ": "TH",
    "ð": "DH", "t": "T", "d": "D", "ʈ": "T", "ɖ": "D", "ɾ": "D", "n": "N", "ɳ": "N", "ɲ": "N", "ŋ": "NG", "ɴ": "NG",
    "s": "S", "z": "Z", "ʃ": "SH", "ʒ": "ZH", "ɕ": "SH", "ʑ": "ZH", "ʂ": "SH", "ʐ": "ZH", "ç": "HH", "ʝ": "Y",
    "c": "K", "ɟ": "G", "k": "K", "ɡ": "G", "g": "G", "q": "K", "ɢ": "G", "x": "HH", "ɣ": "G", "χ": "HH", "ʁ": "R",
    "ħ": "HH", "ʕ": "AA", "h": "HH", "ɦ": "HH", "ʔ": "HH", "l": "L", "ɫ": "L", "ɭ": "L", "ʎ": "L", "ɬ": "L", "ɮ": "L",
    "r": "R", "ɹ": "R", "ɻ": "R", "ɽ": "R", "ʀ": "R", "j": "Y", "w": "W", "ʍ": "W", "ɥ": "W", "ɰ": "W",
}  # fmt: skip
_UNKNOWN = "AH"  # a mouth that is neither closed nor wide


def to_arpabet(labels: Iterable[str]) -> tuple[list[str], list[str]]:
    """Labels of one tier → labels of phones.PHONES, and those that are not understood (they become AH)."""
    given = list(labels)
    ipa_first = any(not label.isascii() for label in given)
    mapped, strange = [], []
    for label in given:
        ways = (_from_ipa, _from_arpabet) if ipa_first else (_from_arpabet, _from_ipa)
        phone = SILENCE if label.strip().lower() in _SILENT else ways[0](label) or ways[1](label)
        if phone is None and label not in strange:
            strange.append(label)
        mapped.append(phone or _UNKNOWN)
    return mapped, strange


def _from_arpabet(label: str) -> str | None:
    plain = label.strip().upper().rstrip("0123456789").partition("_")[0]
    return plain if plain in PHONE_INDEX else _TIMIT.get(plain)


def _from_ipa(label: str) -> str | None:
    # Length, stress, places, nasality, aspiration and the like are modifiers and combining marks.
    plain = "".join(
        c
        for c in unicodedata.normalize("NFD", label.strip()).replace("c\u0327", "ç")
        if unicodedata.category(c) not in ("Mn", "Lm", "Sk")
    )
    return _IPA.get(plain) or _IPA.get(plain[:2]) or _IPA.get(plain[:1])
