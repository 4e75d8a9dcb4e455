"""Localization (KMTalk, Sec. 3.2): which phones are said when, and from them the key instants."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError, KMTalkError
from ..phones import SILENCE, Alignment, Phone
from ..settings import LOCALIZERS
from ..tongues import ANY_LANGUAGE, ENGLISH, check_language

if TYPE_CHECKING:
    from ..audio import Sound  # reads files, which many do not who import from this package
    from ..progress import Progress
    from .heard import Hear
    from .posterior import Script
    from .tools import Tools

Posteriors = Callable[["Sound"], tuple[np.ndarray, float]]
"""Sound → log-posteriors (n, 40) float32 over phones.PHONES, and their rate in Hz."""

INSTALL = "install the pocketsphinx package (Python 3.11 to 3.13)"


def localize(
    sound: Sound,
    transcript: str | None = None,
    localizer: str = "auto",
    posteriors: Posteriors | None = None,
    progress: Progress | None = None,
    language: str = "en",
    tools: Tools | None = None,
    hear: Callable[[], Hear | None] | None = None,
) -> Alignment:
    """Find the phones of `sound`, and its words where the localizer knows them.

    `posterior` uses the model's phone `posteriors`: forced alignment of a transcript, else the likeliest phones. `auto`
    does the same, but without a transcript aligns the words that `hear` gives (a recogniser, got only when it is
    needed; None if there is none here); where there are no posteriors it lets PocketSphinx align or recognise, as
    `pocketsphinx` always does.
    `whisper` does as `auto` with the text that Whisper hears; `whisper-mfa` is the paper's way, and `tools` says which
    Whisper and MFA; `uniform` finds no phones (`keys.key_instants` then takes every third frame).
    `language`: that of the transcript, one of tongues.LANGUAGES; `any` uses the sound alone. PocketSphinx knows
    English only. `progress` gets the share done, 0…1, and what is being done; it may raise Cancelled. What the user
    should know is in the result's `warnings`. Raises KMTalkError where a localizer cannot work here, InputError for an
    unknown one.
    """
    text = (transcript or "").strip()
    if localizer not in LOCALIZERS:
        raise InputError(f"There is no localizer {localizer}; choose one of {', '.join(LOCALIZERS)}.")
    check_language(language)
    if localizer == "uniform" or sound.is_silent:
        label = "uniform" if localizer == "uniform" else "silence"
        unheard = "There is nothing to hear in the sound, so the face rests; check that it is the right sound."
        warnings = (unheard,) if sound.is_silent else ()
        return Alignment((Phone(SILENCE, 0.0, sound.duration),), (), sound.duration, label, warnings)
    if language == ANY_LANGUAGE and localizer != "whisper-mfa":
        text = ""
    notes: tuple[str, ...] = ()
    if text:
        text, notes = _readable(text, language)
    found = _found(sound, text, localizer, posteriors, progress, language, tools, hear)
    return replace(found, warnings=(*notes, *found.warnings)) if notes else found


def _readable(text: str, language: str) -> tuple[str, tuple[str, ...]]:
    """The transcript, none if it has nothing to say, and what the user should know about what cannot be read."""
    if language != ENGLISH:
        return (text, ()) if any(c.isalnum() for c in text) else ("", (NO_WORDS,))
    from .text import spoken_text
    from .vocal import marked

    spoken = spoken_text(marked(text))
    return (text, spoken.warnings) if spoken.words else ("", spoken.warnings or (NO_WORDS,))


def _found(
    sound: Sound,
    text: str,
    localizer: str,
    posteriors: Posteriors | None,
    progress: Progress | None,
    language: str,
    tools: Tools | None,
    hear: Callable[[], Hear | None] | None,
) -> Alignment:
    """`localize` for a sound that is not silent and a checked transcript, empty if there is none."""
    if localizer == "whisper-mfa":
        from .whisper_mfa import localize_whisper_mfa

        return localize_whisper_mfa(sound, text or None, progress, language, tools)
    if localizer == "whisper" and not text:
        from .whisper_mfa import localize_whisper

        def by_text(heard: str, spoken: str, progress: Progress | None) -> Alignment:
            return localize(sound, heard, "auto", posteriors, progress, spoken)

        return localize_whisper(sound, by_text, language, progress, tools)
    if localizer == "pocketsphinx" or posteriors is None:
        if localizer == "posterior":
            raise KMTalkError("This model has no phone posteriors; choose the localizer pocketsphinx.")
        if text and language != ENGLISH:
            raise KMTalkError("PocketSphinx knows English only; choose the localizer auto, or the language any.")
        return _by_sphinx(sound, text, posteriors, progress)
    if localizer == "auto" and not text and language != ANY_LANGUAGE and hear is not None:
        found = _by_recogniser(sound, language, posteriors, hear(), progress)
        if found is not None:
            return found
    return _by_posteriors(sound, text, language, posteriors, progress)


NOTHING_HEARD = (
    "Nothing of the transcript was heard, so the phones were found from the sound alone; check that the text belongs to"
    " this sound."
)
NO_WORDS = "The transcript has no words that are said, so the phones were found from the sound alone."


def _by_posteriors(
    sound: Sound, text: str, language: str, posteriors: Posteriors, progress: Progress | None
) -> Alignment:
    from .posterior import align_posterior, localize_posterior

    if not text:
        return localize_posterior(sound, posteriors)
    alignment = align_posterior(sound, script_of(text, language), posteriors, progress)
    if alignment.words:
        return alignment
    return replace(localize_posterior(sound, posteriors), warnings=(NOTHING_HEARD,))


def _by_recogniser(
    sound: Sound, language: str, posteriors: Posteriors, hear: Hear | None, progress: Progress | None
) -> Alignment | None:
    """The words that `hear` hears, aligned; None where it hears none, or nothing here can read them out."""
    if hear is None:
        return None
    from .heard import localize_heard

    log_posteriors, rate = posteriors(sound)

    def read(text: str, spoken: str) -> Script:
        return script_of(text, spoken, leave_out=True)

    return localize_heard(sound, log_posteriors, rate, hear, read, language, progress)


def script_of(transcript: str, language: str, leave_out: bool = False) -> Script:
    """The words of a transcript as sounds to look for; see `posterior.Script`.

    Raises InputError for words that cannot be read in the language, unless `leave_out`: then they are not looked for.
    """
    if language == ENGLISH:
        from .posterior import english_script

        return english_script(transcript)
    from .languages import foreign_script

    return foreign_script(transcript, language, leave_out)


def _by_sphinx(sound: Sound, text: str, posteriors: Posteriors | None, progress: Progress | None) -> Alignment:
    from . import sphinx

    if not sphinx.available():
        raise KMTalkError(f"PocketSphinx is missing here; {INSTALL}, or import an alignment (TextGrid).")
    if not text:
        return sphinx.recognise(sound, progress)
    alignment = sphinx.align_transcript(sound, text, progress)
    if alignment.words:
        return alignment
    if posteriors is not None:
        from .posterior import localize_posterior

        return replace(localize_posterior(sound, posteriors), warnings=(NOTHING_HEARD,))
    return replace(sphinx.recognise(sound, progress), warnings=(NOTHING_HEARD,))
