"""How light falls on the moving head: Cycles measures it in a few telling poses, and the others follow from these.

The light on each vertex is taken as linear in the few shapes that the motion mostly consists of (principal components),
fitted to all poses measured: that averages Cycles' noise away, and nothing flickers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from .picture import Surface

POSES = 14  # how many are measured
MODES = 6
RIDGE = 0.6  # how strongly a mode must show to count, in rounds of noise
SMOOTHING = {True: (6, 3, 2), False: (3, 3, 3)}  # rounds in red, green and blue: red spreads furthest under skin
DARKEST = 0.3  # of its mean, what the light on a vertex falls to: nothing in an open mouth turns black
CLOUD = 1500  # vertices that stand for all in the components
SEED = 1


@dataclass(frozen=True)
class Light:
    """`mean` (V, 3), `modes` (K, V, 3) and their `weights` (T, K) in each pose."""

    mean: np.ndarray
    modes: np.ndarray
    weights: np.ndarray

    def at(self, pose: int) -> np.ndarray:
        """(V, 3) what falls on the surface: what a white matt one would send back."""
        light = self.mean + np.tensordot(self.weights[pose], self.modes, 1)
        return np.maximum(light, DARKEST * np.maximum(self.mean, 0)).astype(np.float32)


def components(motion: np.ndarray) -> np.ndarray:
    """(T, K) how much each pose of `motion` (T, V, 3) has of the main components, each with variance 1."""
    some = np.random.default_rng(SEED).permutation(motion.shape[1])[:CLOUD]
    cloud = motion[:, some].reshape(len(motion), -1).astype(np.float64)
    cloud -= cloud.mean(axis=0)
    value, vector = np.linalg.eigh(cloud @ cloud.T)
    count = int(min(MODES, (value > 1e-6 * max(value[-1], 1e-12)).sum(), len(motion) - 1))
    return (vector[:, ::-1][:, :count] * np.sqrt(len(motion))).astype(np.float32)


def telling_poses(weights: np.ndarray, count: int) -> list[int]:
    """Up to `count` poses that are far from each other, the most usual one first."""
    chosen = [int(np.linalg.norm(weights, axis=1).argmin())]
    distance = np.full(len(weights), np.inf)
    while len(chosen) < min(count, len(weights)):
        distance = np.minimum(distance, np.linalg.norm(weights - weights[chosen[-1]], axis=1))
        chosen.append(int(distance.argmax()))
    return chosen


def fit(measured: np.ndarray, poses: list[int], weights: np.ndarray, surface: Surface) -> Light:
    """The light of all poses from that of some: `measured` (P, V, 3) in `poses`, `weights` (T, K) of all."""
    inputs = np.column_stack([np.ones(len(poses)), weights[poses]]).astype(np.float64)
    penalty = np.diag([1e-9, *[RIDGE] * weights.shape[1]])
    answers = np.linalg.solve(inputs.T @ inputs + penalty, inputs.T @ measured.reshape(len(poses), -1))
    fields = smoothed(answers.reshape(-1, *measured.shape[1:]), surface).astype(np.float32)
    low, high = weights[poses].min(axis=0), weights[poses].max(axis=0)
    return Light(fields[0], fields[1:], np.clip(weights, low, high))


def smoothed(fields: np.ndarray, surface: Surface) -> np.ndarray:
    """`fields` (F, V, 3) spread over neighbours of the same material, as light spreads under skin."""
    corners = surface.vertex[surface.triangles]
    a, b = corners[:, [0, 1, 2]].ravel(), corners[:, [1, 2, 0]].ravel()
    same = surface.material[a] == surface.material[b]
    a, b = a[same], b[same]
    count = fields.shape[1]
    near = sparse.csr_matrix((np.ones(len(a)), (a, b)), shape=(count, count))
    near = near + near.T + sparse.identity(count)
    near.data[:] = 1
    near = sparse.diags(1 / np.asarray(near.sum(axis=1)).ravel()) @ near
    out = np.array(fields, np.float64)
    for scatters, rounds in SMOOTHING.items():
        here = surface.scatters == scatters
        for colour, times in enumerate(rounds):
            field = fields[..., colour].T.astype(np.float64)
            for _ in range(times):
                field = near @ field
            out[:, here, colour] = field.T[:, here]
    return out
