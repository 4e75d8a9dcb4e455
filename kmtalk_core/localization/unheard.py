"""A voice without phones is told, whoever found the phones: else a face that rests would be the only sign of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..phones import PHONE_INDEX, SILENCE, Alignment, index_at
from .posterior import SOURCE, SPEECH, clock

LONG = 1.0  # s of silence in which a voice is looked for; shorter ones are pauses
VOICE = 0.7  # s of it at least,
SHARE = 0.5  # and this share of the silence
NAMED = 5  # stretches that are named
PHONELESS = frozenset(("uniform", "silence"))  # localizers that look for none

NOTHING = "No phones were found in the sound, so the face rests; check that it is the right sound, and not too faint."


def unheard_voice(alignment: Alignment, log_posteriors: np.ndarray, voiced: np.ndarray, rate: float) -> tuple[str, ...]:
    """What to tell of a voice where `alignment` has silence; nothing if there is none.

    (N, len(PHONES)) `log_posteriors` and `voiced` (N,) bool are at i / `rate` s.
    """
    if alignment.source in PHONELESS:
        return ()
    if all(phone.label == SILENCE for phone in alignment.phones):
        return (NOTHING,)
    speech = log_posteriors[:, PHONE_INDEX[SILENCE]] < SPEECH
    # Phones from the posteriors themselves leave out what they know as laughter.
    voice = voiced & ~speech if alignment.source == SOURCE else voiced | speech
    found = []
    for phone in alignment.phones:
        length = phone.end - phone.start
        if phone.label == SILENCE and length >= LONG:
            here = slice(max(index_at(phone.start, rate), 0), index_at(phone.end, rate))
            if voice[here].sum() / rate >= max(VOICE, SHARE * length):
                found.append((phone.start, phone.end))
    return (_told(found),) if found else ()


def _told(stretches: Sequence[tuple[float, float]]) -> str:
    named = ", ".join(f"{clock(start)} to {clock(end)}" for start, end in stretches[:NAMED])
    more = f" and {len(stretches) - NAMED} more times" if len(stretches) > NAMED else ""
    return (
        f"A voice is heard, but there are no phones from {named}{more}, so the mouth rests there; correct the text or"
        " the alignment."
    )
