"""Learning a style: what must be added to the model's motion so that it becomes somebody's.

Ridge regression (Hoerl and Kennard 1970) from the model's motion and the phones around each frame to the difference
between it and the person's. Every direction of the pose is held back towards the model as much as stretches of speech
that were left out say (cross-validation), so that a few corrected lines change little and a minute of video much. What
regression calms, gains and speed give back in part, so that amplitude and speed come near the person's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..errors import InputError
from ..phones import BILABIALS, LABIODENTALS, PHONES, SILENCE, VOWELS, Alignment
from ..rig.controls import SPEECH_CONTROLS
from ..rig.mouth_measures import mouth_measures
from ..styles import APPROACH, MOST_WEIGHT, Adaptation, Style
from .manner import AWAY, BESIDE, HIGHEST, circumstances, from_speech, speech_starts, styled

# What people see of a face; the model's motion of the tongue says nothing about that.
INPUTS = tuple(
    name
    for name in SPEECH_CONTROLS
    if name == "jawOpen" or (name.startswith("mouth") and not name.startswith("mouthDimple"))
)
DELAYS = (-0.06, 0.0, 0.06)  # s
MEASURES = (4.0, 2.5, 0.7)  # how much a mm of opening, width and chin count against each other
# Closures are short and matter most: frames in which the person's lips are less than SHUT_MM apart count so often.
SHUT_MM, SHUT_COUNTS = 1.0, 3.0
BLOCK = 3.0  # s of a stretch that is left out at once
FOLDS = 5
HOLDS = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0, np.inf)  # frames at RATE that hold to the model
RATE = 25.0  # Hz at which a frame counts as one
LEAST = 3.0  # s of speech that a style is learned from at least
NOISE = 0.02  # variance that each circumstance has at least
# Of what regression calms, half (of the logarithm) is given back: the rest is the tracker's noise, and the person's
# freedom, which follows nothing. Bounds of what is learned: SPEEDS.
GIVEN_BACK = 0.5
GAINS, SPEEDS = (0.5, 2.0), (0.5, 3.0)
FASTEST = 95.0  # percentile of the opening's speed
MARGIN = 0.2  # s around speech that belongs to it
HABIT = 25  # percentile of a control in pauses: what three quarters of them show is a habit
STILL = 0.05  # value below which a control of the rest pose is noise
# Consonants in which the person's lips come within NEAR_MM of each other in NEAR_SHARE of at least NEAR_TIMES.
# What stands beside a sound in which everybody's lips do, or beside a pause, does not count: they are on their way.
NEAR_MM, NEAR_SHARE, NEAR_TIMES = 1.5, 0.4, 10
MEETING = BILABIALS | LABIODENTALS | {"W", SILENCE}
STARTS = 3  # beginnings of speech after a pause of PAUSED s that are seen at least, for how a person gets ready for it
PAUSED = 1.0


@dataclass(frozen=True)
class Example:
    """A stretch of speech: `speech` (T, S) is the model's motion over SPEECH_CONTROLS at evenly spaced `times` (T,) s,
    `goal` (T, S) the person's; `weight` (T,) 0…1: how much a frame counts; `alignment`: what is said."""

    name: str
    times: np.ndarray
    alignment: Alignment
    speech: np.ndarray
    goal: np.ndarray
    weight: np.ndarray

    @property
    def spoken(self) -> np.ndarray:
        """(T,) bool: where something is said, with MARGIN around it; in between the face comes to rest."""
        if self.alignment.source == "uniform":
            return np.ones(len(self.times), bool)
        out = np.zeros(len(self.times), bool)
        for phone in self.alignment.phones:
            if phone.label != SILENCE:
                out |= (self.times >= phone.start - MARGIN) & (self.times <= phone.end + MARGIN)
        return out


def as_seen(captured: np.ndarray, speech: np.ndarray) -> np.ndarray:
    """The goal that `captured` motion (T, S) is: what no camera sees goes as the model's `speech` (T, S) does."""
    return np.where([name in INPUTS for name in SPEECH_CONTROLS], captured, speech).astype(np.float32)


@dataclass(frozen=True)
class Likeness:
    """How like the goal a motion is: correlation of `opening` and `width`, 0 where they do not move; `amplitude`,
    `spread` and `speed`: standard deviation of the opening and of the width, and the 95th percentile of the opening's
    speed, over the goal's."""

    opening: float
    width: float
    amplitude: float
    spread: float
    speed: float


@dataclass(frozen=True)
class Learned:
    """A `style`, from `seconds` of speech; `before` and `after`: how like the person the model is without it, and with
    it, measured on stretches that it was not learned from."""

    style: Style
    seconds: float
    before: Likeness
    after: Likeness


def learn(examples: Sequence[Example], name: str, made_from: str, model: str = "") -> Learned:
    """The style of the person whose motion the examples' goals are. Raises InputError for too little speech."""
    seconds = sum(float(e.weight[e.spoken].sum()) * _step(e.times) for e in examples)
    if seconds < LEAST:
        raise InputError(
            f"Only {seconds:.1f} s of speech can be learned from, {LEAST:g} are needed; give more video or more lines."
        )
    axes = _axes()
    blocks = [block for example in examples for block in _blocks(example, axes)]
    folds = [place % FOLDS for place in range(len(blocks))]
    holds = _chosen_holds(blocks, folds)
    weights = _ridge(blocks, holds) @ axes.T
    adaptation = _adaptation(weights)
    unseen = _left_out(blocks, folds, holds, axes)
    near = _near(examples)
    speed = _speed(blocks, unseen) ** (0.0 if near else GIVEN_BACK)  # lips that all but meet are fast by that
    faster = [styled(out, b.times, b.alignment, Style(speed=speed)) for out, b in zip(unseen, blocks, strict=True)]
    likeness = _likeness(blocks, faster)
    ratios = (likeness.amplitude, likeness.spread)
    opening, width = (float(np.clip((1 / max(r, 1e-6)) ** GIVEN_BACK, *GAINS)) for r in ratios)
    gains = {"jaw": opening, "lips": opening, "rounding": width, "spreading": width}
    style = Style(
        name,
        made_from,
        model,
        {group: round(gain, 3) for group, gain in gains.items()},
        round(speed, 3),
        _pause(examples, 0.0, BESIDE),
        _pause(examples, AWAY, np.inf),
        _approach(examples),
        near,
        adaptation,
    )
    worn = replace(style, speed=1.0, adaptation=None)
    after = [styled(out, b.times, b.alignment, worn) for out, b in zip(faster, blocks, strict=True)]
    return Learned(style, seconds, _likeness(blocks, [b.speech for b in blocks]), _likeness(blocks, after))


@dataclass(frozen=True)
class _Block:
    """A stretch of an example, as regression sees it: `rows` (T, R) and `missing` (T, S) along the axes."""

    times: np.ndarray
    alignment: Alignment
    speech: np.ndarray
    goal: np.ndarray
    weight: np.ndarray
    rows: np.ndarray
    missing: np.ndarray

    @property
    def squares(self) -> tuple[np.ndarray, np.ndarray]:
        """What the normal equations are summed from."""
        weighted = self.rows * self.weight[:, None]
        return weighted.T @ self.rows, weighted.T @ self.missing


def _axes() -> np.ndarray:
    """(S, S): directions of the pose, as columns, of which the first are what opens, widens and lowers the mouth."""
    seen = mouth_measures(SPEECH_CONTROLS) * MEASURES
    seen[[name not in INPUTS for name in SPEECH_CONTROLS]] = 0.0  # no camera sees what else they do
    _, axes = np.linalg.eigh(seen @ seen.T + np.diag(np.linspace(0.02, 0.01, len(seen))))  # the others stay controls
    return axes[:, ::-1]


def _blocks(example: Example, axes: np.ndarray) -> list[_Block]:
    """The spoken part of an example, cut into stretches of about BLOCK."""
    rows = circumstances(example.speech, example.times, example.alignment, INPUTS, DELAYS, PHONES)
    missing = (example.goal - example.speech).astype(np.float64) @ axes
    shut = example.goal @ mouth_measures(SPEECH_CONTROLS)[:, 0] < SHUT_MM
    weight = example.weight * example.spoken * RATE * _step(example.times) * np.where(shut, SHUT_COUNTS, 1.0)
    inside = np.flatnonzero(example.spoken)
    pieces = [
        piece
        for run in np.split(inside, np.flatnonzero(np.diff(inside) > 1) + 1)
        for piece in np.array_split(run, max(round(len(run) * _step(example.times) / BLOCK), 1))
    ]
    return [
        _Block(example.times[k], example.alignment, example.speech[k], example.goal[k], weight[k], rows[k], missing[k])
        for k in pieces
        if len(k) > 1
    ]


def _chosen_holds(blocks: Sequence[_Block], folds: Sequence[int]) -> np.ndarray:
    """(S,): how much each axis is held to the model: as is best for blocks that were left out."""
    errors = np.zeros((len(HOLDS), len(SPEECH_CONTROLS)))
    for fold in set(folds):
        others = [b for b, f in zip(blocks, folds, strict=True) if f != fold]
        if not others:
            continue
        for place, hold in enumerate(HOLDS):
            weights = _ridge(others, np.full(len(SPEECH_CONTROLS), hold))
            for block in (b for b, f in zip(blocks, folds, strict=True) if f == fold):
                errors[place] += block.weight @ np.square(block.missing - block.rows @ weights)
    best = errors.min(0)
    # The strongest hold that is as good: nothing is learned where there is nothing to learn.
    return np.array(HOLDS)[[np.flatnonzero(errors[:, k] <= best[k] + 1e-9)[-1] for k in range(errors.shape[1])]]


def _ridge(blocks: Sequence[_Block], holds: np.ndarray) -> np.ndarray:
    """(R, S): the weights along the axes, each with its own hold (S,)."""
    squares = [block.squares for block in blocks]
    gram, goal = np.sum([a for a, _ in squares], axis=0), np.sum([b for _, b in squares], axis=0)
    frames = max(sum(float(block.weight.sum()) for block in blocks), 1e-6)
    scale = np.diag(gram) / frames + NOISE
    out = np.zeros_like(goal)
    for hold in set(holds[np.isfinite(holds)].tolist()):
        columns = holds == hold
        out[:, columns] = np.linalg.solve(gram + hold * np.diag(scale), goal[:, columns])
    return out


def _adaptation(weights: np.ndarray) -> Adaptation | None:
    """Weights (R, S) over controls, without the controls that do not change."""
    weights = np.clip(np.round(weights, 4), -MOST_WEIGHT, MOST_WEIGHT)
    moved = np.flatnonzero(weights.any(0))
    if not len(moved):
        return None
    outputs = tuple(SPEECH_CONTROLS[k] for k in moved)
    return Adaptation(INPUTS, outputs, DELAYS, PHONES, tuple(map(tuple, weights[:, moved].tolist())))


def _left_out(blocks: Sequence[_Block], folds: Sequence[int], holds: np.ndarray, axes: np.ndarray) -> list[np.ndarray]:
    """For each block the motion (T, S) that is learned from the others."""
    found = {}
    for fold in set(folds):
        others = [b for b, f in zip(blocks, folds, strict=True) if f != fold]
        found[fold] = _ridge(others, holds) @ axes.T if others else 0.0
    return [
        np.clip(b.speech + b.rows @ found[f], 0.0, HIGHEST).astype(np.float32)
        if isinstance(found[f], np.ndarray)
        else b.speech
        for b, f in zip(blocks, folds, strict=True)
    ]


def _speed(blocks: Sequence[_Block], motions: Sequence[np.ndarray]) -> float:
    """The speed of a style with which these motions are as fast as the goals are."""
    low, high = SPEEDS
    for _ in range(20):
        middle = (low + high) / 2
        worn = Style(speed=middle)
        faster = [styled(m, b.times, b.alignment, worn) for m, b in zip(motions, blocks, strict=True)]
        low, high = (middle, high) if _likeness(blocks, faster).speed < 1 else (low, middle)
    return (low + high) / 2


def _likeness(blocks: Sequence[_Block], motions: Sequence[np.ndarray]) -> Likeness:
    """How like the blocks' goals these motions are."""
    measures = mouth_measures(SPEECH_CONTROLS)[:, :2]
    ours, theirs, rates = [], [], []
    for block, motion in zip(blocks, motions, strict=True):
        counted = block.weight > 0
        if counted.sum() < 3:
            continue
        seen, goal = motion @ measures, block.goal @ measures
        pairs = counted[1:] & counted[:-1]
        rates.append(np.abs(np.stack([np.diff(seen[:, 0])[pairs], np.diff(goal[:, 0])[pairs]])) / _step(block.times))
        ours.append(seen[counted] - seen[counted].mean(0))
        theirs.append(goal[counted] - goal[counted].mean(0))
    a, b = np.concatenate(ours), np.concatenate(theirs)
    tiny = 1e-9
    spread = (np.sqrt((a * a).mean(0)) + tiny) / (np.sqrt((b * b).mean(0)) + tiny)
    alike = (a * b).mean(0) / (np.sqrt((a * a).mean(0) * (b * b).mean(0)) + tiny)
    fast, goal_fast = np.percentile(np.concatenate(rates, axis=1), FASTEST, axis=1)
    speed = float((fast + tiny) / (goal_fast + tiny))
    return Likeness(float(alike[0]), float(alike[1]), float(spread[0]), float(spread[1]), speed)


def _pause(examples: Sequence[Example], after: float, until: float) -> dict[str, float]:
    """The pose in which the person is silent, so many s from speech."""
    silent = []
    for e in examples:
        away = from_speech(e.times, e.alignment)
        silent.append(e.goal[(e.weight > 0) & ~e.spoken & (away >= after) & (away <= until)])
    frames = np.concatenate(silent)
    if len(frames) < RATE:
        return {}
    pose = np.percentile(frames, HABIT, axis=0)
    values = zip(SPEECH_CONTROLS, np.clip(pose, 0, 1), strict=True)
    return {name: round(float(value), 3) for name, value in values if name in INPUTS and value > STILL}


def _approach(examples: Sequence[Example]) -> dict[str, tuple[float, ...]]:
    """How the person gets ready for speech: the mean at each of APPROACH; empty where it is not seen often enough."""
    seen: list[list[np.ndarray]] = [[] for _ in APPROACH]
    for e in examples:
        for start, pause in speech_starts(e.alignment):
            for place, delay in enumerate(APPROACH):
                frame = round((start + delay - float(e.times[0])) / _step(e.times))
                if pause >= PAUSED and 0 <= frame < len(e.times) and e.weight[frame] > 0:
                    seen[place].append(e.goal[frame])
    if min(map(len, seen)) < STARTS:
        return {}
    course = np.clip([np.mean(poses, axis=0) for poses in seen], 0.0, 1.0)
    columns = [(k, name) for k, name in enumerate(SPEECH_CONTROLS) if name in INPUTS and course[:, k].max() > STILL]
    return {name: tuple(round(float(v), 3) for v in course[:, k]) for k, name in columns}


def _near(examples: Sequence[Example]) -> tuple[str, ...]:
    """The consonants beside w in which the person's lips all but meet."""
    apart = mouth_measures(SPEECH_CONTROLS)[:, 0]
    found: dict[str, list[float]] = {}
    for e in examples:
        opening = e.goal @ apart
        said = ("", *(phone.label for phone in e.alignment.phones), "")
        for before, phone, after in zip(said, e.alignment.phones, said[2:], strict=False):
            if phone.label in VOWELS or MEETING & {before, phone.label, after}:
                continue
            within = (e.times >= phone.start) & (e.times <= phone.end) & (e.weight > 0)
            if within.any():
                found.setdefault(phone.label, []).append(float(opening[within].min()))
    often = {label: np.mean(np.array(seen) < NEAR_MM) for label, seen in found.items() if len(seen) >= NEAR_TIMES}
    return tuple(label for label in PHONES if often.get(label, 0.0) >= NEAR_SHARE)


def _step(times: np.ndarray) -> float:
    return float(times[1] - times[0]) if len(times) > 1 else 0.0
