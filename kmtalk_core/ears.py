"""When the recogniser that comes along is loaded, and when it goes: it takes half a second, and 125 MB."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from .memory import LONG, give_back, give_back_at_once
from .threads import begun
from .tongues import ANY_LANGUAGE

if TYPE_CHECKING:
    from .audio import Sound
    from .hearing.recogniser import Recogniser
    from .localization.heard import Hear, Heard
    from .packed import Samples
    from .request import Request

SCARCE = 1024**2  # bytes of arrays that go back at once while words are heard in it, too


def ears_for(sound: Sound, request: Request) -> Callable[[], Hear | None]:
    """What gives the shipped recogniser, or None in a build without it.

    It is loaded once: from now on, while the sound is listened to, if words will surely have to be heard. It does not
    stay beside a long sound, which has use for its memory.
    """
    long = sound.duration > LONG
    if long:
        give_back_at_once()
    told = request.alignment is not None or (request.transcript or "").strip() or request.language == ANY_LANGUAGE
    if not (told or long or sound.is_silent) and request.localizer == "auto":
        from .hearing import recogniser

        if recogniser.is_shipped():
            loading = begun(recogniser.shipped)
            return lambda: loading().hear

    def ears() -> Hear | None:
        from .hearing import recogniser

        if not recogniser.is_shipped():
            return None
        if not long:
            return recogniser.shipped().hear
        recogniser.shipped.cache_clear()
        return _heard_once

    return ears


def _heard_once(
    samples: Samples, speech: np.ndarray, rate: float, language: str, tell: Callable[[float], None]
) -> Heard:
    """As `Recogniser.hear`, by a recogniser that is gone afterwards."""
    from .hearing.recogniser import Recogniser

    give_back_at_once(SCARCE)
    try:
        return _heard_by(Recogniser(), samples, speech, rate, language, tell)
    finally:
        give_back()


def _heard_by(
    recogniser: Recogniser,
    samples: Samples,
    speech: np.ndarray,
    rate: float,
    language: str,
    tell: Callable[[float], None],
) -> Heard:
    def told(share: float) -> None:
        recogniser.let_wait()  # passages differ in length, so what one leaves hardly fits the next
        tell(share)

    recogniser.let_wait()  # what loading it took: half as much again
    return recogniser.hear(samples, speech, rate, language, told)
