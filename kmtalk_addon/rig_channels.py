"""Properties of a rig that move with a line: what their values are for controls, and what edited values mean in these.

A channel is the location or the rotation of a bone, or one number. It goes by *moves*, which are sums over controls:
along the bone's own axes, turns about these, or what is added to the number. Its values are on curves in units of what
controls at 1 do, so that what is little of a control is little of a value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from mathutils import Euler, Matrix, Quaternion

from kmtalk_core.finish.reduced import PLACE
from kmtalk_core.rig.controls import HEAD_CONTROLS

LINEAR, QUATERNION = "", "QUATERNION"
SAME = 1e-5  # of a control: a change that is none
RIDGE = 0.02  # of what a source does on average: how little weights are preferred
ROUNDS = 3
NUDGE = 1e-4  # of a control: lets a key motion count as edited that only bears what no control shows


@dataclass(frozen=True)
class Channel:
    """`control`: what it shows most; `sources` (S,) and `moves` (S, d): how far it goes with each at 1.

    `base` (k,): its values at rest; `mode`: LINEAR, QUATERNION, or the order of Euler angles, of which the moves are
    turns in rad.
    """

    control: str
    sources: tuple[str, ...]
    moves: np.ndarray
    base: tuple[float, ...]
    mode: str

    @property
    def gain(self) -> float:
        """By how much its values change at most for a source at 1."""
        largest = float(np.abs(self.moves).max())
        return largest / 2 if self.mode == QUATERNION else largest

    def values(self, weights: Mapping[str, np.ndarray]) -> np.ndarray:
        """(T, k) of sources' `weights` (T,); those that are not given are 0."""
        count = len(next(iter(weights.values())))
        zero = np.zeros(count)
        moves = np.stack([weights.get(name, zero) for name in self.sources], axis=1).astype(np.float64) @ self.moves
        if self.mode == LINEAR:
            return np.array(self.base) + moves
        base, out = self._turn(self.base), np.empty((count, len(self.base)))
        before = None
        for row, turn in zip(out, moves, strict=True):
            matrix = base @ Euler(turn).to_matrix()
            if self.mode == QUATERNION:
                now = matrix.to_quaternion()
                if now.dot(before or Quaternion(self.base)) < 0:
                    now.negate()
            else:
                now = matrix.to_euler(self.mode, before or Euler(self.base, self.mode))
            row[:], before = now, now
        return out

    def moved(self, values: np.ndarray) -> np.ndarray:
        """(n, d): the inverse of `values`, as far as moves say."""
        if self.mode == LINEAR:
            return values - np.array(self.base)
        back = self._turn(self.base).inverted()
        return np.array([(back @ self._turn(row)).to_euler() for row in values]).reshape(-1, 3)

    def _turn(self, values: Sequence[float]) -> Matrix:
        if self.mode == QUATERNION:
            return Quaternion(values).normalized().to_matrix()
        return Euler(values, self.mode).to_matrix()


@dataclass(frozen=True)
class Channels:
    """All of a head's, with numbers that name their components: `control@number`."""

    of: Mapping[int, Channel]  # the number of the first component → the channel

    @property
    def names(self) -> tuple[str, ...]:
        """(n,) of all components."""
        return tuple(f"{c.control}{PLACE}{first + i}" for first, c in self.of.items() for i in range(len(c.base)))

    def poses(self, names: Sequence[str], weights: np.ndarray) -> np.ndarray:
        """(T, n) components in units of what controls do, for `weights` (T, S) of the sources `names`."""
        by_name = dict(zip(names, weights.T, strict=True))
        found = [(c.values(by_name) - np.array(c.base)) / c.gain for c in self.of.values()]
        return np.concatenate(found, axis=1)

    def kept(self, units: np.ndarray) -> np.ndarray:
        """(T, n) as curves, which have single precision, will give components (T, n) back."""
        base = np.concatenate([c.base for c in self.of.values()])
        gain = np.repeat([c.gain for c in self.of.values()], [len(c.base) for c in self.of.values()])
        return ((base + gain * units).astype(np.float32).astype(np.float64) - base) / gain

    def meant(
        self, names: Sequence[str], weights: np.ndarray, before: np.ndarray, after: np.ndarray, slack: float = SAME
    ) -> np.ndarray:
        """(k, S) weights of the sources `names` for components that were changed from `before` to `after` (k, n).

        Many bones show a control, and each several: of all weights the smallest that come near. Changes up to `slack`
        are none. Where no source shows what was changed, one changes by NUDGE, so that it counts as changed.
        """
        out = weights.astype(np.float64)
        change = after - before
        after = before + np.sign(change) * np.maximum(np.abs(change) - (slack if slack > SAME else 0.0), 0.0)
        rows = np.flatnonzero((np.abs(change) > slack).any(1))
        if not len(rows):
            return out
        goal = self._moved(after[rows]) - self._moved(before[rows])
        matrix = self._matrix(names)
        low = np.array([-1.0 if name in HEAD_CONTROLS else 0.0 for name in names])
        most = int(np.abs(matrix).max(1).argmax())
        steps = _nearest(matrix, goal)
        for row, step, wanted in zip(rows, steps, goal, strict=True):
            step = _within(matrix, step, wanted, low - out[row], np.maximum(1.0, out[row]) - out[row])
            if slack <= SAME and np.abs(step).max(initial=0.0) < NUDGE:
                step[most] += NUDGE if out[row, most] < 0.5 else -NUDGE
            out[row] += step
        return out

    def _moved(self, units: np.ndarray) -> np.ndarray:
        """(k, D): the moves of all channels, in units of what controls do."""
        found, at = [], 0
        for channel in self.of.values():
            size = len(channel.base)
            values = np.array(channel.base) + channel.gain * units[:, at : at + size]
            found.append(channel.moved(values) / np.abs(channel.moves).max())
            at += size
        return np.concatenate(found, axis=1)

    def _matrix(self, names: Sequence[str]) -> np.ndarray:
        """(S, D): what `_moved` gives for each source at 1."""
        found = []
        for channel in self.of.values():
            own = dict(zip(channel.sources, channel.moves / np.abs(channel.moves).max(), strict=True))
            found.append(np.array([own.get(name, np.zeros(channel.moves.shape[1])) for name in names]))
        return np.concatenate(found, axis=1)


def _nearest(matrix: np.ndarray, goal: np.ndarray) -> np.ndarray:
    """(k, S) the steps whose moves by `matrix` (S, D) come near `goal` (k, D), and are small."""
    gram = matrix @ matrix.T
    own = np.diag(gram)[np.diag(gram) > 0]
    if not len(own):
        return np.zeros((len(goal), len(matrix)))
    return np.linalg.solve(gram + RIDGE * own.mean() * np.eye(len(gram)), matrix @ goal.T).T


def _within(matrix: np.ndarray, step: np.ndarray, goal: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """(S,) a step that stays within its bounds: what would leave them stays there, and the others make up for it."""
    free = np.ones(len(step), bool)
    step = step.copy()
    for _ in range(ROUNDS):
        beyond = free & ((step < low) | (step > high)) & (np.abs(step) > 1e-9)
        if not beyond.any():
            break
        step[beyond] = np.clip(step, low, high)[beyond]
        free &= ~beyond
        step[free] = _nearest(matrix[free], (goal - step[~free] @ matrix[~free])[None])[0]
    return np.clip(step, np.minimum(low, 0.0), np.maximum(high, 0.0))
