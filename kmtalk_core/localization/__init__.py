"""Localization (KMTalk, Sec. 3.2): which phones are said when, and from them the key instants."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ..audio import Sound
from ..errors import InputError, KMTalkError
from ..phones import SILENCE, Alignment, Phone
from .child import Progress

LOCALIZERS = ("auto", "pocketsphinx", "posterior", "whisper-mfa", "uniform")

Posteriors = Callable[[Sound], tuple[np.ndarray, float]]
"""Sound → log-posteriors (n, 40) float32 over phones.PHONES, and their rate in Hz."""

INSTALL = "install the pocketsphinx package (Python 3.11 to 3.13)"


def localize(
    sound: Sound,
    transcript: str | None = None,
    localizer: str = "auto",
    posteriors: Posteriors | None = None,
    progress: Progress | None = None,
) -> Alignment:
    """Find the phones of `sound`, and its words where the localizer knows them.

    `auto` aligns the transcript with PocketSphinx; without a transcript, or where PocketSphinx is not installed, it
    uses the model's phone `posteriors`, else PocketSphinx's own recognition. `whisper-mfa` is the paper's way;
    `uniform` finds no phones (`keys.key_instants` then takes every third frame). `progress` gets the share done, 0…1,
    and what is being done; it may raise Cancelled. What the user should know is in the result's `warnings`. Raises
    KMTalkError where a localizer cannot work here, InputError for an unknown one.
    """
    text = (transcript or "").strip()
    if localizer not in LOCALIZERS:
        raise InputError(f"There is no localizer {localizer}; choose one of {', '.join(LOCALIZERS)}.")
    if localizer == "uniform" or sound.is_silent:
        label = "uniform" if localizer == "uniform" else "silence"
        unheard = "There is nothing to hear in the sound, so the face rests; check that it is the right sound."
        warnings = (unheard,) if sound.is_silent else ()
        return Alignment((Phone(SILENCE, 0.0, sound.duration),), (), sound.duration, label, warnings)
    if localizer == "whisper-mfa":
        from .whisper_mfa import localize_whisper_mfa

        return localize_whisper_mfa(sound, text or None, progress)
    if localizer == "posterior":
        return _by_posteriors(sound, posteriors)
    return _embedded(sound, text, posteriors, progress, only_sphinx=localizer == "pocketsphinx")


def _embedded(
    sound: Sound, text: str, posteriors: Posteriors | None, progress: Progress | None, only_sphinx: bool
) -> Alignment:
    from . import sphinx

    warnings: list[str] = []
    if text and sphinx.available():
        alignment = sphinx.align_transcript(sound, text, progress)
        if alignment.words:
            return alignment
        warnings.append(
            "Nothing of the transcript was heard, so the phones were found from the sound alone; check that the text"
            " belongs to this sound."
        )
    elif text:
        warnings.append(f"The transcript was not used because PocketSphinx is missing; to align it, {INSTALL}.")
    if posteriors is not None and not only_sphinx:
        alignment = _by_posteriors(sound, posteriors)
    elif sphinx.available():
        alignment = sphinx.recognise(sound, progress)
    else:
        raise KMTalkError(f"No localizer works here; {INSTALL}, or import an alignment (TextGrid).")
    return replace(alignment, warnings=(*warnings, *alignment.warnings))


def _by_posteriors(sound: Sound, posteriors: Posteriors | None) -> Alignment:
    if posteriors is None:
        raise KMTalkError("This model has no phone posteriors; choose the localizer pocketsphinx.")
    from .posterior import localize_posterior

    return localize_posterior(sound, posteriors)
