"""Transcripts in other languages than English: espeak-ng says how words are pronounced, articulation does the rest.

No acoustic model of the language is needed. Each sound is looked for where the model's posteriors of the English phones
that are articulated alike (`ipa`) are high in sum.
"""

from __future__ import annotations

import re
import unicodedata

import numpy as np

from ..errors import InputError, shortened
from ..phones import PHONES, SILENCE
from ..tongues import LANGUAGES
from .espeak import words_in_ipa
from .ipa import likeness, lips_of, nearest, segments
from .posterior import Script, subtitle_times
from .transcript import subtitles
from .unspoken import speaker_labels, without_directions, without_lists, without_markup, without_names, without_times
from .vocal import marked, unmarked

_FOREIGN = re.compile(r"\([a-z-]+\)")  # espeak-ng's mark that it reads on in another language
_CLAUSE = re.compile("(?<=[、，。！？；：])(?=\\w)")  # Chinese and Japanese have no spaces after these
# A vowel with the mark of its tone, and what follows in its syllable.
_TONE = re.compile("([aeiouüAEIOUÜ])([\u0304\u0301\u030c\u0300])([aeiouü]*(?:ng(?![aeiouü])|[nr](?![aeiouü]))?)")
WEAK = 2  # sounds; words that have no more are often hardly said


def foreign_script(transcript: str, language: str, leave_out: bool = False) -> Script:
    """A transcript in a language of LANGUAGES → its words in sounds, and which phones those may sound like.

    Raises KMTalkError if espeak-ng is missing, InputError for writing that it cannot read; with `leave_out`, these
    words are not looked for.
    """
    cues = subtitles(transcript)
    texts = [(transcript, None, None)] if cues is None else [(cue.text, cue.start, cue.end) for cue in cues]
    every = [
        (word, (start, end))
        for text, start, end in texts
        for word in _said(marked(text)).split()
        if any(c.isalnum() or c in "€$£¥₹%&+" for c in word)
    ]
    tags, numbers = unmarked([word for word, _ in every])
    listed = [every[number] for number in numbers]
    words = [word for word, _ in listed]
    spoken = pronounced(words, language, leave_out)
    inventory = sorted({segment for word in spoken for segment in word})
    column = {segment: index for index, segment in enumerate(inventory, 1)}
    mixture = np.zeros((len(PHONES), len(inventory) + 1), np.float32)
    mixture[0, 0] = 1.0
    for segment, index in column.items():
        mixture[:, index] = likeness(segment)
    said = [number for number, word in enumerate(spoken) if word]
    return Script(
        tuple(_bare(word) or word for word in words),
        tuple((number, (tuple(column[segment] for segment in spoken[number]),)) for number in said),
        (SILENCE, *(nearest(segment) for segment in inventory)),
        mixture,
        subtitle_times([times for _, times in listed]),
        frozenset(number for number, word in enumerate(spoken) if len(word) <= WEAK),
        tags,
        ("", *(segment if lips_of(segment) is not None else "" for segment in inventory)),
    )


def _said(text: str) -> str:
    """A text without markup, times, names before colons, and directions."""

    def drop(_: str) -> str:
        return " "

    plain = without_times(without_markup(text), drop)
    said = without_directions(without_names(without_lists(plain), speaker_labels(plain), drop), drop)
    return _CLAUSE.sub(" ", said)


def pronounced(words: list[str], language: str, leave_out: bool = False) -> list[tuple[str, ...]]:
    """The segments of each word; none where nothing is said, or with `leave_out` where it cannot be read."""
    distinct = list(dict.fromkeys(_bare(word) for word in words))
    in_pinyin = language == "cmn" and not any(ord(c) > 0x2E80 for word in distinct for c in word)
    said: dict[str, tuple[str, ...]] = {}
    if in_pinyin:
        lines = words_in_ipa([_with_numbers(word) for word in distinct], "cmn-latn-pinyin")
    else:
        lines = words_in_ipa(distinct, language)
    for word, line in zip(distinct, lines, strict=True):
        if _FOREIGN.search(line) and not word.isascii():
            if leave_out:
                said[word] = ()
                continue
            hint = " (write Mandarin in pinyin, Japanese in kana)" if language in ("cmn", "ja") else ""
            raise InputError(
                f"espeak-ng cannot read “{shortened(word)}” in {LANGUAGES[language]}; write it in letters that"
                f" it knows{hint}, or choose the language any."
            )
        sounds = [s for token in re.split(r"[_ ]+", _FOREIGN.sub("", line)) for s in segments(token)]
        said[word] = tuple(sounds)
    return [said[_bare(word)] for word in words]


def _with_numbers(pinyin: str) -> str:
    """Tones as numbers, nǐhǎo → ni3hao3: not all versions of espeak-ng know all of the marks."""
    marked = unicodedata.normalize("NFD", pinyin).replace("u\u0308", "ü")
    tones = {mark: str(number) for number, mark in enumerate("\u0304\u0301\u030c\u0300", 1)}
    numbered = _TONE.sub(lambda match: f"{match[1]}{match[3]}{tones[match[2]]}", marked)
    return unicodedata.normalize("NFC", numbered)


def _bare(word: str) -> str:
    return word.strip('.,;:!?¡¿"“”„«»()…،؟।、。-–—')
