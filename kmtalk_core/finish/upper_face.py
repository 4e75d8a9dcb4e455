"""Upper face: blinks, brows and gaze. A seeded layer of its own, apart from the lips; off at strength 0.

Blinks: people who talk blink some 20 times a minute (Bentivoglio et al. 1997: 26 in conversation, 17 at rest), at
intervals that are roughly log-normal, mostly where speech pauses (Nakano and Kitazawa 2010). The lid falls in some
80 ms, rests shut briefly, goes two thirds of the way up in 120 ms and takes nearly half a second for the rest (fitted
to a captured man, docs/upper_face.md; VanderWerf et al. 2003); some blinks are partial (Stern et al. 1984), some come
in pairs. Brows rise with the strongest accents (Cavé et al. 1996) and in questions, and settle at the phrase's end.
Gaze is held, but for the small shifts of somebody who looks at a face (Yarbus 1967).
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from ..easing import smoothstep
from ..rig.controls import UPPER_FACE_CONTROLS
from .rhythm import Rhythm

BLINK_INTERVAL = 2.9  # s, median between blinks
BLINK_SPREAD = 0.4  # standard deviation of its logarithm
INTERVALS = 1.4, 5.0  # s, shortest and longest
MOST_A_MINUTE = 25
CLOSING, SHUT, OPENING = 0.08, 0.042, 0.12  # s; shut lasts a frame at 24 a second
TAIL, SLOWER = 0.33, 4.0  # share of the lid's way that takes so many times longer to open
DURATION_SPREAD = 0.12  # of one blink's durations against another's, as a share
BLINK_SEARCH = 0.9  # s around the drawn instant within which the best moment is taken
BEFORE_ONSET = 0.5  # s before the first vowel's end from which blinks are drawn
FIRST = 0.15  # s before which the eyes are open
BLINK_STEP = 0.02  # s between the moments that are tried
PHRASE_END = 0.3  # s around the end of a phrase that invite a blink
PARTIAL_SHARE, PARTIAL_DEPTH = 0.12, (0.72, 0.9)  # less would look sleepy
DOUBLE_SHARE, DOUBLE_AFTER = 0.12, (0.3, 0.46)  # s from one closing to the next

BROW_GAP = 1.1 - 1e-6  # s, shortest distance between raised brows
BROW_THRESHOLD = 0.55  # strength of the accents that move the brows
BROW_RISE, BROW_FALL = 0.2, 0.45  # s
BROW_AMPLITUDE = 0.27
FROWN_SHARE = 0.2  # of the accents draw the brows together instead
QUESTION_BROWS = 0.3

FIXATION = 1.3  # s, median
FIXATION_SPREAD = 0.5  # standard deviation of its logarithm
GAZE_DEG = 1.0, 0.6  # standard deviation sideways and upwards
SACCADE = 0.035  # s
LEAD_IN, TEN = 2.0, 10.0  # s
_LOOK_DEG = {"In": 35.0, "Out": 35.0, "Up": 25.0, "Down": 30.0}  # of the rig's eyeLook controls at 1

_COLUMN = {name: index for index, name in enumerate(UPPER_FACE_CONTROLS)}


def upper_face(times: np.ndarray, rhythm: Rhythm, seed: int, strength: float) -> np.ndarray:
    """(T, len(UPPER_FACE_CONTROLS)) float32 in 0…1 at `times` (T,) s; `strength` 0…2 scales brows and gaze.

    The same seed gives the same face at any frame rate.
    """
    out = np.zeros((len(times), len(UPPER_FACE_CONTROLS)))
    if strength <= 0.0:
        return out.astype(np.float32)
    _brows(out, times, rhythm, np.random.default_rng([seed, 1]))
    _gaze(out, times, rhythm, np.random.default_rng([seed, 2]))
    out *= strength
    # A half-strength blink would be a sleepy lid: any strength keeps blinks whole.
    for blink in blinks(rhythm, np.random.default_rng([seed, 0])):
        here = _around(times, blink.at - 0.3, blink.at + 0.8)
        for name, lag, depth in (("eyeBlinkLeft", 0.0, 1.0), ("eyeBlinkRight", blink.lag, blink.evenness)):
            lid = out[here, _COLUMN[name]]
            lids = blink.depth * depth * _lid(times[here], blink.at + lag, *blink.durations)
            out[here, _COLUMN[name]] = np.maximum(lid, lids)
    return np.clip(out, 0.0, 1.0).astype(np.float32)


class Blink:
    """One blink: fully shut around `at` s. `durations` s of closing, rest and opening; the right lid `lag` s later."""

    def __init__(self, at: float, rng: np.random.Generator) -> None:
        self.at = at
        self.durations = tuple(np.array([CLOSING, SHUT, OPENING]) * np.exp(DURATION_SPREAD * rng.uniform(-1, 1)))
        self.depth = rng.uniform(*PARTIAL_DEPTH) if rng.random() < PARTIAL_SHARE else 1.0
        self.lag = rng.uniform(-0.004, 0.004)
        self.evenness = rng.uniform(0.98, 1.0)


def blinks(rhythm: Rhythm, rng: np.random.Generator) -> list[Blink]:
    """Log-normal intervals; each blink moves to the best moment nearby: in a pause, at a phrase's end, off accents."""
    start = rhythm.onset - BEFORE_ONSET
    tried = np.arange(start, rhythm.duration, BLINK_STEP)
    # The lid is down for a quarter of a second: what counts is the most prominent moment of that.
    cost = np.max([rhythm.prominence_at(tried + d) for d in (-0.06, 0.0, 0.06, 0.12, 0.18)], axis=0, initial=0.0)
    for phrase in rhythm.phrases:
        here = _around(tried, phrase.end - 4 * PHRASE_END, phrase.end + 4 * PHRASE_END)
        cost[here] -= 0.7 * np.exp(-(((tried[here] - phrase.end) / PHRASE_END) ** 2))
    found: list[Blink] = []
    silent = np.random.default_rng(rng.integers(1 << 32))
    at = start + rng.uniform(0.5, BLINK_INTERVAL)
    earliest = start + FIRST
    while at < rhythm.duration:
        low = max(at - BLINK_SEARCH, earliest)
        near = np.flatnonzero((tried >= low - 1e-6) & (tried <= at + BLINK_SEARCH))
        if len(near):
            at = float(tried[near[np.argmin(1.2 * cost[near] + 0.5 * ((tried[near] - at) / BLINK_SEARCH) ** 2)]])
        found.append(Blink(at, rng))
        if rng.random() < DOUBLE_SHARE:
            at += rng.uniform(*DOUBLE_AFTER)
            found.append(Blink(at, rng))
        earliest = at + INTERVALS[0]
        at += _interval(rng)
    # In the silence before, from its end backwards: more of it changes none of the others.
    at = start + 0.5 - _interval(silent)
    while at > 0.0:
        found.insert(0, Blink(at, silent))
        at -= _interval(silent)
    found = [blink for blink in found if blink.at >= FIRST]
    # Short clips too have no more than a person: the blink that follows another one soonest is left out.
    while len(found) > max(int(rhythm.duration * MOST_A_MINUTE / 60), 1):
        del found[1 + int(np.argmin([b.at - a.at for a, b in pairwise(found)]))]
    return found


def _interval(rng: np.random.Generator) -> float:
    return float(np.clip(BLINK_INTERVAL * np.exp(BLINK_SPREAD * rng.standard_normal()), *INTERVALS))


def _brows(out: np.ndarray, times: np.ndarray, rhythm: Rhythm, rng: np.random.Generator) -> None:
    starts = np.array([phrase.start for phrase in rhythm.phrases])
    for instant, size in _strongest(rhythm):
        phrase = rhythm.phrases[max(int(np.searchsorted(starts, instant, side="right")) - 1, 0)]
        # They are back where the phrase ends, or soon after.
        fall = float(np.clip(phrase.end + 0.1 - instant, 0.25, BROW_FALL))
        here = _around(times, instant - 0.4, instant + 0.8)
        move = BROW_AMPLITUDE * size * rng.uniform(0.75, 1.1) * _bump(times[here], instant, BROW_RISE, 0.08, fall)
        inner, outer, side = rng.uniform(0.6, 1.0), rng.uniform(0.5, 1.0), rng.uniform(0.85, 1.0, 2)
        if rng.random() < FROWN_SHARE:
            for name, share in zip(("browDownLeft", "browDownRight"), side, strict=True):
                out[here, _COLUMN[name]] += 0.6 * share * move
            continue
        out[here, _COLUMN["browInnerUp"]] += inner * move
        for name, share in zip(("browOuterUpLeft", "browOuterUpRight"), side, strict=True):
            out[here, _COLUMN[name]] += outer * share * move
    for phrase in rhythm.phrases:
        if phrase.rising:
            here = _around(times, phrase.end - 1.0, phrase.end + 1.0)
            move = QUESTION_BROWS * phrase.rising * _bump(times[here], phrase.end - 0.1, 0.35, 0.3, 0.4)
            for name, share in (("browInnerUp", 0.8), ("browOuterUpLeft", 1.0), ("browOuterUpRight", 0.95)):
                out[here, _COLUMN[name]] += share * move


def _gaze(out: np.ndarray, times: np.ndarray, rhythm: Rhythm, rng: np.random.Generator) -> None:
    """Fixations close to where the eyes look anyway, with quick steps between them; both eyes alike."""
    # It begins before the sound, so far ahead of speech that more silence changes nothing, in steps of TEN seconds.
    start = rhythm.onset - LEAD_IN - TEN * max(np.ceil((rhythm.onset - LEAD_IN) / TEN), 0.0)
    count = max(int(3 * (rhythm.duration - start) / FIXATION), 1) + 8
    lots = rng.standard_normal((count, 3))  # row by row, so that a longer sound begins like a shorter one
    steps = start + np.cumsum(FIXATION * np.exp(FIXATION_SPREAD * lots[:, 0]))
    places = np.concatenate([np.zeros((1, 2)), lots[:, 1:] * GAZE_DEG])
    number = np.searchsorted(steps, times, side="right")
    number = np.minimum(number, count)
    since = times - np.concatenate([[start - 1.0], steps])[number]
    moved = smoothstep(since / SACCADE)[:, None]
    gaze = places[np.maximum(number - 1, 0)] * (1 - moved) + places[number] * moved
    left, up = gaze.T  # degrees, towards the person's left and upwards
    for name, angle in (
        ("eyeLookOutLeft", left), ("eyeLookInRight", left), ("eyeLookInLeft", -left), ("eyeLookOutRight", -left),
        ("eyeLookUpLeft", up), ("eyeLookUpRight", up), ("eyeLookDownLeft", -up), ("eyeLookDownRight", -up),
    ):  # fmt: skip
        way = name.removeprefix("eyeLook").removesuffix("Left").removesuffix("Right")
        out[:, _COLUMN[name]] += np.maximum(angle, 0.0) / _LOOK_DEG[way]


def _strongest(rhythm: Rhythm) -> list[tuple[float, float]]:
    """Accents that move the brows, none closer than BROW_GAP to a stronger one."""
    chosen: list[tuple[float, float]] = []
    for instant, strength in zip(rhythm.accents.tolist(), rhythm.strengths.tolist(), strict=True):
        if strength < BROW_THRESHOLD:
            continue
        if chosen and instant - chosen[-1][0] < BROW_GAP:
            if strength <= chosen[-1][1]:
                continue
            chosen.pop()
        chosen.append((instant, strength))
    return chosen


def _lid(times: np.ndarray, middle: float, closing: float, shut: float, opening: float) -> np.ndarray:
    """(T,) 0 open … 1 shut: quickly down, most of the way up almost as quickly, the rest slowly."""
    down = smoothstep((times - (middle - shut / 2 - closing)) / closing)
    since = (times - middle - shut / 2) / opening
    return down * ((1 - TAIL) * (1 - smoothstep(since)) + TAIL * (1 - smoothstep(since / SLOWER)))


def _bump(times: np.ndarray, middle: float, rise: float, hold: float, fall: float) -> np.ndarray:
    up = smoothstep((times - (middle - hold / 2 - rise)) / rise)
    down = smoothstep((middle + hold / 2 + fall - times) / fall)
    return up * down


def _around(times: np.ndarray, low: float, high: float) -> slice:
    """The part of ascending `times` within low…high s."""
    return slice(int(np.searchsorted(times, low)), int(np.searchsorted(times, high)))
