"""How a style is worn: completed speech motion → the same in another way of speaking, before sliders and contacts."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..easing import smoothstep
from ..phones import PHONE_INDEX, PHONES, SILENCE, Alignment
from ..rig.controls import SPEECH_CONTROLS
from ..styles import APPROACH, GROUPS, Adaptation, Style
from .smoothing import smoothed

SLOW = 0.06  # s, standard deviation of the Gaussian that tells slow movement from fast
BLUR = 0.05  # s, standard deviation over which a phone comes and goes
BESIDE, AWAY = 0.5, 0.8  # s from speech up to which the face is `ready`, and from which on it rests
TAKEN, GIVEN, LEFT_OFF = 0.15, -0.2, -0.04  # s in which an approach begins, and from speech where the model goes on
HIGHEST = 1.2  # of a control: captured people pass its usual maximum by a little
_COLUMN = {name: index for index, name in enumerate(SPEECH_CONTROLS)}


def styled(speech: np.ndarray, times: np.ndarray, alignment: Alignment, style: Style) -> np.ndarray:
    """Completed speech motion (T, S) over SPEECH_CONTROLS at evenly spaced `times` (T,) s, in `style`: (T, S) float32.

    The neutral style gives the very array back.
    """
    if style.is_neutral:
        return speech
    out = speech
    if style.adaptation is not None:
        out = adapted(speech, times, alignment, style.adaptation)
    if style.speed != 1.0 and len(times) > 1:
        slow = smoothed(out, SLOW / float(times[1] - times[0]))
        out = slow + np.float32(style.speed) * (out - slow)
    return np.clip(out * gains_of(style), 0.0, HIGHEST).astype(np.float32)


def gains_of(style: Style) -> np.ndarray:
    """(S,) float32: how far each control moves."""
    out = np.ones(len(SPEECH_CONTROLS), np.float32)
    for group, gain in style.gains.items():
        out[[_COLUMN[name] for name in GROUPS[group]]] = gain
    return out


def in_pauses(style: Style, times: np.ndarray, alignment: Alignment) -> np.ndarray:
    """(T, S) float32: the pose of the face at `times` (T,) s if nothing is said there."""
    away = smoothstep((from_speech(times, alignment) - BESIDE) / (AWAY - BESIDE))[:, None].astype(np.float32)
    return _pose(style.ready) * (1 - away) + _pose(style.rest) * away


def from_speech(times: np.ndarray, alignment: Alignment) -> np.ndarray:
    """(T,) s from `times` (T,) to the nearest sound of speech; 0 where it is, or no phones were looked for."""
    out = np.full(len(times), 0.0 if alignment.source == "uniform" else np.inf)
    for phone in alignment.phones:
        if phone.label != SILENCE:
            out = np.minimum(out, np.maximum(np.maximum(phone.start - times, times - phone.end), 0.0))
    return out


def approaching(style: Style, times: np.ndarray, alignment: Alignment) -> tuple[np.ndarray, np.ndarray]:
    """How the face gets ready for speech after pauses: poses (T, S) float32, and (T, 1) 0…1, how far it is in them.

    An approach takes no more than half of its pause.
    """
    course = np.zeros((len(APPROACH), len(SPEECH_CONTROLS)), np.float32)
    for name, values in style.approach.items():
        course[:, _COLUMN[name]] = values
    out, share = np.zeros((len(times), len(SPEECH_CONTROLS)), np.float32), np.zeros((len(times), 1), np.float32)
    for start, pause in speech_starts(alignment):
        first = start + max(APPROACH[0], -pause / 2)
        here = slice(*np.searchsorted(times, [first, start + LEFT_OFF]))
        since = times[here] - start
        out[here] = _at(course, np.array(APPROACH), since)
        going = smoothstep((LEFT_OFF - since) / (LEFT_OFF - GIVEN))
        share[here, 0] = smoothstep((times[here] - first) / TAKEN) * going
    return out, share


def speech_starts(alignment: Alignment) -> list[tuple[float, float]]:
    """Where speech begins after a pause, s, and how long the pause is; inf at the beginning of the sound."""
    found, spoken = [], -np.inf
    for phone in alignment.phones if alignment.source != "uniform" else ():
        if phone.label == SILENCE:
            continue
        if phone.start > spoken + 1e-6:
            found.append((phone.start, phone.start - spoken))
        spoken = phone.end
    return found


def _pose(values: Mapping[str, float]) -> np.ndarray:
    out = np.zeros(len(SPEECH_CONTROLS), np.float32)
    for name, value in values.items():
        out[_COLUMN[name]] = value
    return out


def adapted(speech: np.ndarray, times: np.ndarray, alignment: Alignment, adaptation: Adaptation) -> np.ndarray:
    """The motion (T, S) with what `adaptation` adds to it: (T, S) float32."""
    rows = circumstances(speech, times, alignment, adaptation.inputs, adaptation.delays, adaptation.phones)
    out = speech.copy()
    out[:, [_COLUMN[name] for name in adaptation.outputs]] += (rows @ np.array(adaptation.weights)).astype(np.float32)
    return out


def circumstances(
    speech: np.ndarray,
    times: np.ndarray,
    alignment: Alignment,
    inputs: tuple[str, ...],
    delays: tuple[float, ...],
    phones: tuple[str, ...],
) -> np.ndarray:
    """(T, R): what an adaptation looks at, in the order of its rows."""
    moved = speech[:, [_COLUMN[name] for name in inputs]].astype(np.float64)
    columns = [_at(moved, times, times + delay) for delay in delays]
    columns.append(spoken_shares(alignment, times)[:, [PHONE_INDEX[name] for name in phones]])
    columns.append(np.ones((len(times), 1)))
    return np.concatenate(columns, axis=1)


def spoken_shares(alignment: Alignment, times: np.ndarray) -> np.ndarray:
    """(T, phones) 0…1: how much of each phone is spoken at `times` (T,) s; 0 where no phones were looked for."""
    out = np.zeros((len(times), len(PHONES)))
    if alignment.source == "uniform":
        return out
    for phone in alignment.phones:
        low, high = np.searchsorted(times, [phone.start - 4 * BLUR, phone.end + 4 * BLUR])
        near = times[low:high]
        share = _step((near - phone.start) / BLUR) - _step((near - phone.end) / BLUR)
        out[low:high, PHONE_INDEX[phone.label]] += share
    return out


def _step(u: np.ndarray) -> np.ndarray:
    """The logistic function that is as steep as the integral of a Gaussian of standard deviation 1."""
    return 1 / (1 + np.exp(-1.702 * u))


def _at(motion: np.ndarray, times: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """(N, C) at evenly spaced `times` → at `wanted`; the first and the last go on beyond the ends."""
    if len(times) < 2:
        return np.repeat(motion, len(wanted), axis=0)
    place = np.clip((wanted - times[0]) / (times[1] - times[0]), 0, len(times) - 1)
    below = np.minimum(place.astype(np.int64), len(times) - 2)
    share = (place - below)[:, None]
    return motion[below] * (1 - share) + motion[below + 1] * share
