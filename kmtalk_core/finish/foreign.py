"""Lips of sounds that English lacks: ü and ö purse them, and what English would round stays as it is.

The networks know English phones. A sound of another language comes with the label of the one that looks most like it,
and with its own name where the lips still differ (`phones.Phone.sound`); here they get what `localization.ipa` says of
it, as floors and ceilings of the rounding.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from ..easing import smoothstep
from ..phones import Alignment
from ..rig.controls import SPEECH_CONTROLS

PURSED = 0.7  # mouthPucker of a fully rounded sound, …
FUNNELLED = 0.12  # … and mouthFunnel
FLAT = 0.05  # mouthPucker at most of one that is not rounded
OPEN = (0.16, 0.3)  # jawOpen at most of a rounded vowel that is close, and of one that is open by half
BEFORE, AFTER = 0.1, 0.08  # s over which lips round ahead of a sound, and come back after it
_COLUMN = {name: index for index, name in enumerate(SPEECH_CONTROLS)}
_SPREADING = [_COLUMN[f"mouth{way}{side}"] for way in ("Smile", "Stretch", "Dimple") for side in ("Left", "Right")]


def rounded_as_said(speech: np.ndarray, times: np.ndarray, alignment: Alignment) -> np.ndarray:
    """Completed speech motion (T, S) over SPEECH_CONTROLS at `times` (T,) s with the lips of foreign sounds: (T, S).

    The very array comes back where there are none.
    """
    if not any(phone.sound for phone in alignment.phones):
        return speech
    out = speech.copy()
    for phone in alignment.phones:
        rounding = _rounding(phone.sound)
        if rounding is None:
            continue
        low, high = np.searchsorted(times, [phone.start - BEFORE, phone.end + AFTER])
        t = times[low:high]
        weight = smoothstep((t - phone.start + BEFORE) / BEFORE) * smoothstep((phone.end + AFTER - t) / AFTER)
        here = out[low:high]
        pucker, funnel = here[:, _COLUMN["mouthPucker"]], here[:, _COLUMN["mouthFunnel"]]
        if rounding:
            pucker += weight * np.maximum(PURSED * rounding - pucker, 0.0)
            funnel += weight * np.maximum(FUNNELLED * rounding - funnel, 0.0)
            here[:, _SPREADING] *= (1 - weight * rounding)[:, None]
            jaw = here[:, _COLUMN["jawOpen"]]
            jaw -= weight * np.maximum(jaw - (OPEN[1] - (OPEN[1] - OPEN[0]) * rounding), 0.0)
        else:
            pucker -= weight * np.maximum(pucker - FLAT, 0.0)
            funnel -= weight * np.maximum(funnel - FLAT, 0.0)
    return out


@cache
def _rounding(sound: str) -> float | None:
    if not sound:
        return None
    from ..localization.ipa import lips_of  # English needs none of it

    return lips_of(sound)
