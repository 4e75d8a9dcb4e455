"""From messages to what the façade takes: requests for either motion space, with times that count from the sound read.

A message's times count from the beginning of the file; the sound that was read of it begins at `start`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..excerpt import alignment_within, corrections_within, text_within
from ..localization.tools import Tools
from ..request import Request
from ..settings import KeySettings, LocalizerSettings, Settings, settings_of
from .protocol import Animate, Correct

if TYPE_CHECKING:
    from ..audio import Sound
    from ..localization.corrections import Correction
    from ..phones import Alignment

OTHER_SOUND = "The corrections were made for another sound, so they were left out; remove them, or correct anew."


def request_of(message: Animate, sound: Sound) -> tuple[Request, tuple[str, ...]]:
    """What `message` wants of `sound`, which was read for it, and warnings. Raises InputError.

    Of subtitles, an alignment and corrections, what lies outside of the sound is left out.
    """
    corrections, warnings = _corrections(message, sound)
    request = Request(
        transcript=_transcript(message, sound),
        alignment=_alignment(message, sound),
        alignment_name=Path(message.alignment or "").name,
        corrections=corrections,
        tools=replace(Tools.from_environment(), **message.tools),
        **_settings(message, Settings),
    )
    return request, warnings


def correction_of(message: Correct, sound: Sound) -> Request:
    """What `message` wants of `sound`, which was read for it; for `Animator.correct`. Raises InputError."""
    corrections = _within(message.corrections, message.start, sound.duration)
    return Request(corrections=corrections, **_settings(message, LocalizerSettings, KeySettings))


def _settings(message: object, *kinds: type) -> dict[str, Any]:
    return {setting.name: getattr(message, setting.name) for setting in settings_of(*kinds)}


def _transcript(message: Animate, sound: Sound) -> str | None:
    """The text; of subtitles only what is heard in the part that the message is of."""
    if message.transcript is None or (message.start == 0 and message.duration is None):
        return message.transcript
    return text_within(message.transcript, message.start, sound)


def _alignment(message: Animate, sound: Sound) -> Alignment | None:
    if message.alignment is None:
        return None
    # Moho's .dat files count frames of the scene.
    return alignment_within(Path(message.alignment), message.fps, message.start, sound)


def _corrections(message: Animate, sound: Sound) -> tuple[tuple[Correction, ...], tuple[str, ...]]:
    """The corrections that lie within the sound, and a warning if they are of another one."""
    if not message.corrections:
        return (), ()
    if message.corrections_of not in (None, sound.sha256):
        return (), (OTHER_SOUND,)
    return _within(message.corrections, message.start, sound.duration), ()


def _within(corrections: Sequence[Mapping[str, Any]], start: float, duration: float) -> tuple[Correction, ...]:
    """Corrections with times from the file's beginning → those within `duration` s from `start` on, from there."""
    from ..localization.corrections import Correction

    return corrections_within((Correction(**given) for given in corrections), start, duration)
