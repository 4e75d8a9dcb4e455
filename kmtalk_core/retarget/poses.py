"""Poses of bones, blended: locations and scales as they are, turns by their logarithms, which need no order.

A turn in logarithms is its axis times its angle, rad. One pose at any weight so turns about one axis at an even rate
(as slerp does), and of several poses at once none comes first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

IDENTITY = np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0])
STILL = 1e-5  # of a channel that no pose changes
CHANNELS = ("location", "turn", "scale")  # of three numbers each


@dataclass(frozen=True)
class Posed:
    """How one bone goes with the weights of poses: `rest` (9,) and `by_pose` pose → (9,) what it adds at weight 1.

    The nine are the location, the turn in logarithms, and the scale, in the bone's own axes.
    """

    rest: np.ndarray
    by_pose: Mapping[str, np.ndarray]

    def at(self, weights: Mapping[str, float]) -> np.ndarray:
        """(9,) where the bone is with these weights."""
        return self.rest + sum((weights.get(name, 0.0) * added for name, added in self.by_pose.items()), np.zeros(9))

    def moving(self) -> np.ndarray:
        """(9,) bool: which of the nine are ever another than those of a bone at rest."""
        away = [np.abs(self.rest - IDENTITY), *(np.abs(added) for added in self.by_pose.values())]
        return np.max(away, axis=0) > STILL


def posed_bones(poses: Mapping[str, Mapping[str, np.ndarray]], at_rest: str) -> dict[str, Posed]:
    """Bone → how it goes with poses (pose → bone → (9,)); the pose `at_rest`, if there is one, is where none counts."""
    bones = dict.fromkeys(bone for pose in poses.values() for bone in pose)
    found = {}
    for bone in bones:
        rest = poses.get(at_rest, {}).get(bone, IDENTITY)
        added = {name: pose.get(bone, IDENTITY) - rest for name, pose in poses.items() if name != at_rest}
        posed = Posed(rest, {name: move for name, move in added.items() if np.abs(move).max() > STILL})
        if posed.moving().any():
            found[bone] = posed
    return found


def logarithm(quaternion: Sequence[float]) -> np.ndarray:
    """(3,) rad: axis times angle of a turn (w, x, y, z), the shorter way round."""
    q = np.asarray(quaternion, np.float64)
    length = float(np.linalg.norm(q))
    if length == 0:
        return np.zeros(3)
    q = q / length * (1.0 if q[0] >= 0 else -1.0)
    sine = float(np.linalg.norm(q[1:]))
    return q[1:] * (2 * np.arctan2(sine, q[0]) / sine) if sine > 1e-12 else 2 * q[1:]
