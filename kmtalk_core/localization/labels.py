"""Phone labels of other tools → ARPABET without stress.

Understood are ARPABET with stress or without, TIMIT's extras, IPA as the Montreal Forced Aligner and others write it,
X-SAMPA (Wells 1995), and what tools write for silence.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable

from ..phones import PHONE_INDEX, SILENCE, VOWELS

# What aligners write for speech whose phones they do not know, a word that their dictionary lacks above all.
_UNKNOWN_SPEECH = frozenset(("spn", "<spn>", "<unk>", "unk", "oov", "[oov]", "+spn+", "[speech]", "<usb>"))
_SILENT = _UNKNOWN_SPEECH | frozenset(
    ("", "sil", "sp", "silence", "pau", "pause", "<eps>", "<p:>", "<p>", "#", "h#", "_", "<sil>", "<sp>", "noise", "ns",
     "nsn", "lau", "br", "brth", "breath", "ap", "epi", "<s>", "</s>", "[noise]", "-", "∅", "<nib>",
     "++noise++", "++breath++")
)  # fmt: skip

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
    "ʙ": "B", "ⱱ": "V", "ʟ": "L", "ɺ": "L", "ɶ": "AE", "ɧ": "SH", "ʜ": "HH", "ʢ": "HH", "ʡ": "HH", "ɗ": "D", "ʄ": "G",
    "ɠ": "G", "ʛ": "G", "ʘ": "P", "ǀ": "T", "ǃ": "T", "ǂ": "T", "ǁ": "L", "ʧ": "CH", "ʤ": "JH", "ʦ": "S", "ʣ": "Z",
    "ʨ": "CH", "ʥ": "JH", "tʂ": "CH", "ʈʂ": "CH", "dʐ": "JH", "ɖʐ": "JH", "ɚɹ": "ER", "eə": "EH", "ɛə": "EH",
    "ɪə": "IH", "iə": "IY", "ʊə": "UH", "uə": "UW", "ɔə": "AO", "ɔʏ": "OY", "ɔø": "OY", "oi": "OY", "ʌɪ": "AY",
    "ɑɪ": "AY", "ɑʊ": "AW", "æʊ": "AW", "ɛɪ": "EY", "əʉ": "OW", "oʉ": "OW", "ᵻ": "IH", "ᵊ": "AH",
    "r": "R", "ɹ": "R", "ɻ": "R", "ɽ": "R", "ʀ": "R", "j": "Y", "w": "W", "ʍ": "W", "ɥ": "W", "ɰ": "W",
}  # fmt: skip
# X-SAMPA → IPA; letters that are the same in both are left out.
_X_SAMPA = {
    "A": "ɑ", "B": "β", "C": "ç", "D": "ð", "E": "ɛ", "F": "ɱ", "G": "ɣ", "H": "ɥ", "I": "ɪ", "J": "ɲ", "K": "ɬ",
    "L": "ʎ", "M": "ɯ", "N": "ŋ", "O": "ɔ", "P": "ʋ", "Q": "ɒ", "R": "ʁ", "S": "ʃ", "T": "θ", "U": "ʊ", "V": "ʌ",
    "W": "ʍ", "X": "χ", "Y": "ʏ", "Z": "ʒ", "@": "ə", "{": "æ", "}": "ʉ", "1": "ɨ", "2": "ø", "3": "ɜ", "4": "ɾ",
    "5": "ɫ", "6": "ɐ", "7": "ɤ", "8": "ɵ", "9": "œ", "&": "ɶ", "?": "ʔ", "@`": "ɚ", "3`": "ɝ", "@\\": "ɘ",
    "3\\": "ɞ", "B\\": "ʙ", "G\\": "ɢ", "H\\": "ʜ", "I\\": "ɪ", "J\\": "ɟ", "K\\": "ɮ", "L\\": "ʟ", "M\\": "ɰ",
    "N\\": "ɴ", "O\\": "ʘ", "R\\": "ʀ", "U\\": "ʊ", "X\\": "ħ", "?\\": "ʕ", "<\\": "ʢ", ">\\": "ʡ", "!\\": "ǃ",
    "|\\": "ǀ", "|\\|\\": "ǁ", "=\\": "ǂ", "b_<": "ɓ", "d_<": "ɗ", "g_<": "ɠ", "h\\": "ɦ", "j\\": "ʝ", "l\\": "ɺ",
    "p\\": "ɸ", "r\\": "ɹ", "s\\": "ɕ", "v\\": "ʋ", "x\\": "ɧ", "z\\": "ʑ", "d`": "ɖ", "l`": "ɭ", "n`": "ɳ",
    "r`": "ɽ", "r\\`": "ɻ", "s`": "ʂ", "t`": "ʈ", "z`": "ʐ",
}  # fmt: skip
_X_SAMPA_SYMBOL = re.compile("|".join((*map(re.escape, sorted(_X_SAMPA, key=len, reverse=True)), "[a-z]")))
_X_SAMPA_MARK = re.compile(r"_[A-Za-z\"+\-/\\^~}=]|[:\"%'~=.|-]|_\d+|<[FR]>")
_SPECIAL = {"ɹ̩": "ɚ", "ɻ̩": "ɚ", "r̩": "ɚ", "ə˞": "ɚ", "ɜ˞": "ɝ", "ɐ˞": "ɚ"}
LONGEST = 16  # signs; a phone has fewer
UNKNOWN = "AH"  # a mouth that is neither closed nor wide

SETS = ("ARPABET", "IPA", "X-SAMPA")


def to_arpabet(labels: Iterable[str]) -> tuple[list[str], list[str]]:
    """Labels of one file → labels of phones.PHONES, and those that are not understood (they become UNKNOWN).

    The phone set is the one of SETS that understands most of them, the first of equals.
    """
    given = list(labels)
    kinds = dict.fromkeys(given)
    if not all(label.isascii() for label in kinds):
        ways: tuple[Callable[[str], str | None], ...] = (_from_ipa, _from_x_sampa, _from_arpabet)
    else:
        ways = (_from_arpabet, _from_ipa, _from_x_sampa)
    short = [label for label in kinds if len(label) <= LONGEST]
    best = max(ways, key=lambda way: sum(is_silent(label) or way(label) is not None for label in short))
    found: dict[str, str | None] = {}
    for label in kinds:
        # A label that only another set knows may be a slip, or a sign that a tool added.
        tried = (way(label) for way in (best, *ways) if len(label) <= LONGEST)
        found[label] = SILENCE if is_silent(label) else next((phone for phone in tried if phone), None)
    return [found[label] or UNKNOWN for label in given], [label for label, phone in found.items() if phone is None]


def is_silent(label: str, speech: bool = False) -> bool:
    """Whether a label is no phone: a pause, a breath, noise, or speech that its tool does not know.

    With `speech`, whether it is the latter.
    """
    plain = label.strip().lower()
    if plain[-2:-1] == "_" and plain[-1] in "bies":  # Kaldi's position in the word
        plain = plain[:-2]
    return plain in (_UNKNOWN_SPEECH if speech else _SILENT)


def _from_arpabet(label: str) -> str | None:
    plain = re.sub(r"(?:_[BIES])?\d?(?:_[BIES])?$", "", label.strip().upper())
    return plain if plain in PHONE_INDEX and plain != SILENCE else _TIMIT.get(plain)


def _from_ipa(label: str) -> str | None:
    marked = unicodedata.normalize("NFD", label.strip()).replace("c\u0327", "ç")
    for written, symbol in _SPECIAL.items():
        marked = marked.replace(unicodedata.normalize("NFD", written), symbol)
    # Length, stress, places, nasality, aspiration, tone and the like are modifiers and combining marks.
    plain = "".join(c for c in marked if unicodedata.category(c) not in ("Mn", "Lm", "Sk") or c == "ᵊ")
    plain = re.sub(r"[\d:.ˈˌ|‿↓↑→↗↘-]+$|^[ˈˌ'.-]+", "", plain)
    if plain in _IPA or not plain or not all(c in _IPA for c in plain):
        return _IPA.get(plain)
    # Several vowels or several consonants may be one sound; both together are a syllable or a word.
    if len({_IPA[c] in VOWELS for c in plain}) > 1 or len(plain) > 3:
        return None
    return _IPA.get(plain[:2]) or _IPA[plain[0]]


def _from_x_sampa(label: str) -> str | None:
    plain = label.strip()
    rest, ipa = plain, ""
    while rest:
        if match := _X_SAMPA_SYMBOL.match(rest):
            ipa += _X_SAMPA.get(match[0], match[0])
        elif not (match := _X_SAMPA_MARK.match(rest)):
            return None
        rest = rest[match.end() :]
    if plain.endswith("=") and ipa in ("r", "ɹ"):  # syllabic
        ipa = "ɚ"
    return _from_ipa(ipa) if ipa else None
