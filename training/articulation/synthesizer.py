"""Phones with times → control curves: dominance functions for coarticulation, gates for the contacts of the lips."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

import numpy as np
from scipy.sparse import csc_matrix
from scipy.special import expit

from kmtalk_core.errors import InputError
from kmtalk_core.phones import BILABIALS, LABIODENTALS, SILENCE, VOWELS, Alignment, Phone
from kmtalk_core.rig.controls import SPEECH_CONTROLS

from .style import Style
from .targets import (
    ARTICULATORS,
    COLUMNS,
    DIPHTHONGS,
    FIRST_SHARE,
    FITTED,
    HOLD_SHARE,
    ROUNDED,
    ROUNDED_LEAD,
    ROWS,
    SIBILANT_HOLD,
    SIBILANTS,
    SYNERGIES,
    TEETH_PARTED,
    TIME_CONSTANT,
    TIP_AT_REST,
    TIP_CONTACT,
    TIP_PER_JAW,
    Rules,
)

SHORT_PAUSE, LONG_PAUSE = 0.05, 0.30  # s; over this range a pause grows from little influence to a closed mouth
PAUSE_FLOOR = 0.08  # dominance of the shortest pause
FORGOTTEN = 16.0  # time constants after which a phone counts no more (1e-7 of it is left)
OUTSIDE = 1e3  # s of silence around the sound
TOUCH_SLACK, TOUCH_HOLD = 0.12, 0.01  # as `seal_slack` and `seal_hold` of the rules: f, v only touch
RELEASE_SHARE = {"P": 0.3, "B": 0.1}  # of the phone that is burst and aspiration, with the lips apart again
# Lips that are closed in a pause stay so into a p, b, m after it, from so many s before it, and after a final m.
PAUSE_SEAL = 0.12
TOUCH_CLOSE, TOUCH_ROLL = 0.85, 0.58  # f, v: how far the lower lip follows the upper teeth, and curls over its own
ROUND_TO_TOUCH = 3  # power of the ramp with which rounding gives way to f, v: most of it in the last 40 ms
SOFT_LIMIT = 0.85  # controls above this are compressed, so that they never exceed 1
RIGHTWARD = 0.8  # how far the mean speaker leans to the right, in standard deviations of the asymmetry (NS06)
OPENERS = ("mouthLowerDown", "mouthUpperUp", "mouthStretch")  # what the right side does more of; smiles don't
PHONE_SPREAD = 0.07  # standard deviation of a target between two utterances of a phone, as a share


class Segments(NamedTuple):
    """Phones prepared for blending, (S,) each: row of the table, start and end s, gain, dominance factor, rounded.

    `held` is how long the jaw stays after the end, s.
    """

    row: np.ndarray
    start: np.ndarray
    end: np.ndarray
    gain: np.ndarray
    weight: np.ndarray
    rounded: np.ndarray
    held: np.ndarray


def synthesize(
    alignment: Alignment,
    times: np.ndarray,
    *,
    loudness: np.ndarray | None = None,
    stress: Sequence[int] | np.ndarray | None = None,
    style: Style | None = None,
    rules: Rules = FITTED,
) -> np.ndarray:
    """Control curves (T, 35) float32, 0…1 in the order of SPEECH_CONTROLS, at `times` (T,) s, ascending.

    `loudness` (T,) is the factor of the opening at `times` (`loudness_curve`), 1 if None. `stress` (P,) gives each
    phone's stress as the CMU dictionary does (0, 1, 2, or -1: unknown; consonants are ignored). The result is a
    continuously differentiable function of time, so any frame rate and single instants sample the same motion.

    Each articulator is the dominance-weighted mean of the phones around (Cohen & Massaro 1993); short phones therefore
    undershoot. Lip contacts are gates on top: p, b, m seal and f, v touch in every context (JALI). Raises InputError
    for sizes that don't fit.
    """
    style = style or Style()
    times = np.asarray(times, dtype=np.float64)
    if loudness is not None and np.shape(loudness) != times.shape:
        raise InputError("The loudness needs one value for each time; evaluate loudness_curve at the same times.")
    if stress is not None and len(stress) != len(alignment.phones):
        raise InputError("The stress needs one value for each phone; give 0 for consonants and silence.")
    rng = np.random.default_rng(style.seed)
    drift = _drifts(times, rng) * style.variation
    segments = _segments(alignment, stress, rules)
    curves = _blend(segments, times, style, rng, rules)

    opening = style.amplitude * (1 + 0.04 * drift[0])
    if loudness is not None:
        opening = opening * np.asarray(loudness) ** rules.loudness_exponent
    curves["jawOpen"] *= opening * style.jaw
    for name in ARTICULATORS["lips"]:
        curves[name] *= opening / style.jaw
    for name in ("mouthFunnel", "mouthPucker"):
        curves[name] *= style.rounding
    for name in ("mouthStretch", "mouthSmile"):
        curves[name] *= style.spreading
    for follower, leader, share in SYNERGIES:
        curves[follower] = share * curves[leader]

    curves["tongueTipUp"] *= (TIP_AT_REST + TIP_PER_JAW * curves["jawOpen"]) / TIP_CONTACT
    curves["tongueOut"] *= 1 - np.exp(-((curves["jawOpen"] / TEETH_PARTED) ** 2))

    _close_lips(curves, times, alignment, rules)
    _vary(curves, drift[1:], style)
    return _by_side(curves, drift, rng, style)


def _segments(alignment: Alignment, stress: Sequence[int] | np.ndarray | None, rules: Rules) -> Segments:
    """Merge equal neighbours (JALI), split diphthongs, and place silence around the sound."""
    merged: list[tuple[str, float, float, float]] = []
    for i, phone in enumerate(alignment.phones):
        gain = rules.stress_gain[stress[i]] if stress is not None and phone.label in VOWELS else 1.0
        if merged and merged[-1][0] == phone.label:
            _, start, _, gain = merged.pop()
        else:
            start = phone.start
        merged.append((phone.label, start, phone.end, gain))
    first, last = merged[0], merged[-1]  # before and after the sound the mouth stays closed
    merged.insert(0, (SILENCE, first[1] - OUTSIDE, first[1], 1.0))
    merged.append((SILENCE, last[2], last[2] + OUTSIDE, 1.0))

    parts: list[tuple[int, float, float, float, bool]] = []
    for label, start, end, gain in merged:
        if label in DIPHTHONGS:
            middle = start + FIRST_SHARE * (end - start)
            vowel, glide = DIPHTHONGS[label]
            parts.append((ROWS[vowel], start, middle, gain, vowel in ROUNDED))
            parts.append((ROWS[glide], middle, end, gain, glide in ROUNDED))
        else:
            parts.append((ROWS[label], start, end, gain, label in ROUNDED))
    row, starts, ends, gains, rounded = (np.array(column) for column in zip(*parts, strict=True))
    pause = np.clip((ends - starts - SHORT_PAUSE) / (LONG_PAUSE - SHORT_PAUSE), PAUSE_FLOOR, 1.0)
    room = HOLD_SHARE * np.append((ends - starts)[1:], 0.0)  # of the phone after it, whatever its length
    hold = SIBILANT_HOLD * rules.time_constant["jaw"] / TIME_CONSTANT["jaw"]  # a slower jaw begins later
    held = np.where(np.isin(row, [ROWS[label] for label in SIBILANTS]), np.minimum(hold, room), 0.0)
    return Segments(row, starts, ends, gains, np.where(row == ROWS[SILENCE], pause, gains), rounded, held)


def _pairs(times: np.ndarray, start: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All (frame, event) with start ≤ time ≤ end, as frames (n,), events (n,) and the offsets of each event."""
    first, last = np.searchsorted(times, start, "left"), np.searchsorted(times, end, "right")
    offsets = np.concatenate([[0], np.cumsum(last - first)])
    events = np.repeat(np.arange(len(start)), last - first)
    return np.arange(offsets[-1]) - offsets[events] + first[events], events, offsets


def _blend(
    s: Segments, times: np.ndarray, style: Style, rng: np.random.Generator, rules: Rules
) -> dict[str, np.ndarray]:
    """Dominance-weighted mean of the targets, articulator by articulator: column name → (T,).

    The dominance of a phone rises and falls exponentially on both sides of it, as in the paper, but with round corners
    (a difference of logistic functions): equal dominances add up to 1 everywhere, and a short phone weighs less than a
    long one, which is undershoot. How fast one phone gives way to the next doesn't depend on their dominances.
    """
    longest = FORGOTTEN * max(rules.time_constant.values()) / style.effort + ROUNDED_LEAD + s.held.max()
    longest += max(abs(lead) for lead in rules.lead.values())
    frames, events, offsets = _pairs(times, s.start - longest, s.end + longest)
    later = np.concatenate([[0.0], s.held[:-1]])  # the phone after a sibilant lowers the jaw later
    since_start, since_end = times[frames] - s.start[events], times[frames] - s.end[events]
    spread = np.clip(rng.normal(size=(len(s.row), len(COLUMNS))), -2, 2) * PHONE_SPREAD * style.variation
    targets = rules.targets[s.row] * (1 + spread)
    curves: dict[str, np.ndarray] = {}
    column = 0
    for articulator, (name, columns) in enumerate(ARTICULATORS.items()):
        constant = rules.time_constant[name] / style.effort
        early = rules.lead[name]
        lead = early + (ROUNDED_LEAD * s.rounded[events] if name == "shape" else 0.0)
        lag, hold = (later[events], s.held[events]) if name == "jaw" else (0.0, 0.0)
        present = expit((since_start + lead - lag) / constant) - expit((since_end + early - hold) / constant)
        weight = present * (rules.dominance[s.row, articulator] * s.weight)[events]
        goal = targets[:, column : column + len(columns)]
        if name in ("jaw", "lips"):
            goal = goal * s.gain[:, None]
        matrix = csc_matrix((weight, frames, offsets), shape=(len(times), len(s.row)))
        total = matrix @ np.ones(len(s.row))
        curves.update(zip(columns, (matrix @ goal / total[:, None]).T, strict=True))
        column += len(columns)
    return curves


def _gate(
    times: np.ndarray, alignment: Alignment, labels: frozenset[str], slack: float, hold: float, ramp: float
) -> np.ndarray:
    """Closedness (T,) in 0…1: 1 in the middle of the phones of `labels`, with raised cosines before and after."""
    contacts = []
    runs = [(key, list(run)) for key, run in groupby(alignment.phones, key=lambda phone: phone.label in labels)]
    for i, (closed, phones) in enumerate(runs):
        if closed:  # neighbours with the same contact share one (JALI)
            start = np.array([phone.start for phone in phones])
            length = [(phone.end - phone.start) * (1 - RELEASE_SHARE.get(phone.label, 0.0)) for phone in phones]
            middle, half = start + np.divide(length, 2), np.maximum(np.subtract(length, slack), hold) / 2
            before = _pause(runs[i - 1][1][-1]) if i else PAUSE_SEAL
            after = _pause(runs[i + 1][1][0]) if i + 1 < len(runs) else PAUSE_SEAL
            first = start[0] - before if labels == BILABIALS and before else (middle - half).min()
            last = phones[-1].end + after if phones[-1].label == "M" and after else (middle + half).max()
            contacts.append((first, last))
    starts, ends = np.array(contacts).reshape(-1, 2).T
    frames, events, _ = _pairs(times, starts - ramp, ends + ramp)
    distance = np.maximum(np.maximum(starts[events] - times[frames], times[frames] - ends[events]), 0.0)
    opened = np.ones(len(times))
    np.multiply.at(opened, frames, 0.5 - 0.5 * np.cos(np.pi * np.minimum(distance / ramp, 1.0)))
    return 1 - opened


def _pause(phone: Phone) -> float:
    """How far a closure of the lips reaches into this neighbour, s: lips that rest on each other don't part for it."""
    return min(PAUSE_SEAL, (phone.end - phone.start) / 2) if phone.label == SILENCE else 0.0


def _close_lips(curves: dict[str, np.ndarray], times: np.ndarray, alignment: Alignment, rules: Rules) -> None:
    """Let p, b, m seal and f, v touch, whatever the jaw and the neighbours do.

    mouthClose equal to jawOpen seals the lips at any opening of the jaw (ARKit), so the slow jaw may stay half open
    (LG). Everything else that parts the lips fades out, the funnel too; the pucker may stay through p, b, m. After
    contact the lower lip goes on upwards and pushes the upper one (LG96).
    """
    seal = _gate(times, alignment, BILABIALS, rules.seal_slack, rules.seal_hold, rules.ramp)
    touch = _gate(times, alignment, LABIODENTALS, TOUCH_SLACK, TOUCH_HOLD, rules.ramp)
    parted = 1 - seal
    for name in ("mouthUpperUp", "tongueOut", "noseSneer"):
        curves[name] *= parted
    curves["mouthLowerDown"] *= parted * (1 - touch)
    # Lips that are pushed forward don't reach the teeth: drawn back in f, v only, not in the round vowel before them.
    drawn = touch**ROUND_TO_TOUCH
    curves["mouthFunnel"] *= parted * (1 - 0.8 * drawn)
    curves["mouthPucker"] *= 1 - 0.75 * drawn
    tucked = touch * (1 - 0.9 * seal)  # a lip that is tucked for f, v stays so by a little under a seal next to it
    touch *= parted
    curves["mouthStretch"] *= 1 - 0.4 * seal
    curves["mouthClose"] = curves["jawOpen"] * (seal + TOUCH_CLOSE * touch)
    curves["mouthRollLower"] = 0.08 * seal + TOUCH_ROLL * tucked
    curves["mouthRollUpper"] = 0.10 * seal
    curves["mouthPress"] = 0.14 * seal
    curves["mouthShrugLower"] += 0.10 * seal  # the lower lip goes on upwards after contact and pushes the upper one
    curves["mouthShrugUpper"] = 0.07 * seal


def _drifts(times: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Eight slow random curves (8, T) of unit variance, each three sinusoids between 0.05 and 0.6 Hz."""
    frequency = rng.uniform(0.05, 0.6, (8, 3, 1))
    phase = rng.uniform(0, 2 * np.pi, (8, 3, 1))
    return np.sqrt(2 / 3) * np.sin(2 * np.pi * frequency * times + phase).sum(1)


def _vary(curves: dict[str, np.ndarray], drift: np.ndarray, style: Style) -> None:
    """Slow life that needs no voice: the mouth and the jaw wander sideways, the corners and the lips tense a little."""
    for drifting, amount, (one, other) in (
        (drift[0], 0.016, ("mouthLeft", "mouthRight")),
        (drift[1], 0.030, ("jawLeft", "jawRight")),
    ):
        for name, sign in ((one, 1), (other, -1)):
            curves[name] = style.variation * amount * _positive(sign * drifting)
    curves["mouthSmile"] += style.variation * 0.015 * _positive(drift[2])
    curves["mouthPress"] += style.variation * 0.015 * _positive(drift[3])
    curves["mouthFrown"] = style.variation * 0.030 * _positive(drift[4])


def _positive(x: np.ndarray) -> np.ndarray:
    """The positive part with a rounded corner, so that speed stays continuous."""
    return 0.5 * (x + np.sqrt(x * x + 0.05))


def _by_side(curves: dict[str, np.ndarray], drift: np.ndarray, rng: np.random.Generator, style: Style) -> np.ndarray:
    """Spread the curves over left and right, one side a little stronger, into the order of SPEECH_CONTROLS.

    Right-handed speakers open the right side of the mouth more (Nicholls & Searle 2006, "Asymmetries for the visual
    expression and perception of speech"; Wolf & Goodale 1987); smiles lean to neither side here.
    """
    out = np.zeros((drift.shape[1], len(SPEECH_CONTROLS)), dtype=np.float32)
    lean = dict.fromkeys(OPENERS, -RIGHTWARD)
    bias = {name: style.asymmetry * (np.clip(rng.normal(), -2, 2) + lean.get(name, 0.0)) for name in curves}
    for column, name in enumerate(SPEECH_CONTROLS):
        base = name.removesuffix("Left").removesuffix("Right")
        if name in curves:
            out[:, column] = curves[name]
        elif base in curves:
            side = 1 if name.endswith("Left") else -1
            out[:, column] = curves[base] * (1 + side * (bias[base] + 0.3 * style.asymmetry * drift[-1]))
    over = np.maximum(out - SOFT_LIMIT, 0.0) / (1 - SOFT_LIMIT)  # the loudest voice bends below 1 without a corner
    return np.maximum(np.minimum(out, SOFT_LIMIT) + (1 - SOFT_LIMIT) * np.tanh(over), 0.0)
