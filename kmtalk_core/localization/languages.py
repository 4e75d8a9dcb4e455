"""Transcripts in other languages than English: espeak-ng says how words are pronounced, articulation does the rest.

No acoustic model of the language is needed. Each sound is looked for where the model's posteriors of the English phones
that are articulated alike (`ipa`) are high in sum.
"""

from __future__ import annotations

import functools
import re
import shutil
import subprocess

import numpy as np

from ..errors import InputError, KMTalkError, shortened
from ..phones import PHONES, SILENCE
from ..tongues import LANGUAGES
from .ipa import likeness, nearest, segments
from .posterior import Script, subtitle_times
from .transcript import subtitles
from .unspoken import speaker_labels, without_directions, without_lists, without_markup, without_names, without_times

ESPEAK = "espeak-ng"
_VOICES = {"fr": "fr-fr"}  # where espeak-ng's code is another one
_FOREIGN = re.compile(r"\([a-z-]+\)")  # espeak-ng's mark that it reads on in another language
WEAK = 2  # sounds; words that have no more are often hardly said
_TOGETHER = 500  # words handed to espeak-ng at once


def foreign_script(transcript: str, language: str) -> Script:
    """A transcript in a language of LANGUAGES → its words in sounds, and which phones those may sound like.

    Raises KMTalkError if espeak-ng is missing, InputError for writing that it cannot read.
    """
    cues = subtitles(transcript)
    texts = [(transcript, None, None)] if cues is None else [(cue.text, cue.start, cue.end) for cue in cues]
    listed = [
        (word, (start, end))
        for text, start, end in texts
        for word in _said(text).split()
        if any(c.isalnum() for c in word)
    ]
    words = [word for word, _ in listed]
    spoken = pronounced(words, language)
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
    )


def _said(text: str) -> str:
    """A text without markup, times, names before colons, and directions."""

    def drop(_: str) -> str:
        return " "

    plain = without_times(without_markup(text), drop)
    return without_directions(without_names(without_lists(plain), speaker_labels(plain), drop), drop)


def pronounced(words: list[str], language: str) -> list[tuple[str, ...]]:
    """The segments of each word; none where nothing is said."""
    distinct = list(dict.fromkeys(_bare(word) for word in words))
    said: dict[str, tuple[str, ...]] = {}
    for first in range(0, len(distinct), _TOGETHER):
        some = distinct[first : first + _TOGETHER]
        lines = _espeak("\n\n".join(some), language)
        if len(lines) != len(some):  # numbers, say, may be read in several lines
            lines = [" ".join(_espeak(word, language)) for word in some]
        for word, line in zip(some, lines, strict=True):
            if _FOREIGN.search(line) and not word.isascii():
                hint = " (write Mandarin in pinyin, Japanese in kana)" if language in ("cmn", "ja") else ""
                raise InputError(
                    f"espeak-ng cannot read “{shortened(word)}” in {LANGUAGES[language]}; write it in letters that"
                    f" it knows{hint}, or choose the language any."
                )
            sounds = [s for token in re.split(r"[_ ]+", _FOREIGN.sub("", line)) for s in segments(token)]
            said[word] = tuple(sounds)
    return [said[_bare(word)] for word in words]


def _bare(word: str) -> str:
    return word.strip('.,;:!?¡¿"“”„«»()…،؟।、。-–—')


def _espeak(text: str, language: str) -> list[str]:
    """The lines of IPA, sounds separated by "_", that espeak-ng writes for `text`; empty ones left out."""
    program = espeak_program()
    voice = _VOICES.get(language, language)
    if language == "cmn" and not any(ord(c) > 0x2E80 for c in text):
        voice = "cmn-latn-pinyin"
    command = [program, "-q", "--ipa=1", "-b", "1", "-v", voice, "--stdin"]
    try:
        done = subprocess.run(
            command, input=text.encode(), capture_output=True, check=False, timeout=120,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise KMTalkError(f"espeak-ng does not work ({error}); install it again, or choose the language any.") from None
    if done.returncode:
        raise KMTalkError(f"espeak-ng has no voice {voice}; install its complete data, or choose the language any.")
    return [line.strip() for line in done.stdout.decode("utf-8", "replace").split("\n") if line.strip()]


@functools.cache
def _program() -> str | None:
    return shutil.which(ESPEAK)


def espeak_program() -> str:
    """Where espeak-ng is; raises KMTalkError if it is not installed."""
    program = _program()
    if program is None:
        raise KMTalkError(
            "Transcripts in this language need espeak-ng; install it (https://github.com/espeak-ng/espeak-ng), import"
            " an alignment, or choose the language any."
        )
    return program
