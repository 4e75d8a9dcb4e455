"""What an animator does, once: change one key motion, and let the motion around it be completed again; which one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kmtalk_core.motion import Animation
from kmtalk_core.phones import VOWELS

# What is added to the key motion: the mouth opens wide and smiles, the brows rise.
CHANGES = {
    "jawOpen": 0.45,
    "mouthSmileLeft": 0.4,
    "mouthSmileRight": 0.4,
    "mouthUpperUpLeft": 0.3,
    "mouthUpperUpRight": 0.3,
    "browInnerUp": 0.8,
    "browOuterUpLeft": 0.6,
    "browOuterUpRight": 0.6,
    "eyeWideLeft": 0.5,
    "eyeWideRight": 0.5,
}
MOST = 0.9  # of any control


@dataclass(frozen=True)
class Edit:
    """Key `key` of `before` was changed: the most telling `control` from `value[0]` to `value[1]`; `after` is all."""

    key: int
    control: str
    value: tuple[float, float]
    before: Animation
    after: Animation

    @property
    def frames(self) -> range:
        """The frames that differ, from the first to the last one."""
        moved = np.flatnonzero(np.abs(self.after.controls - self.before.controls).max(axis=1) > 1e-3)
        return range(int(moved[0]), int(moved[-1]) + 1) if len(moved) else range(0)


def choose_key(animation: Animation) -> int | None:
    """An open vowel in the second half with much room to its neighbours, so that the change is seen; None if no key
    has two neighbours."""
    times, jaw = animation.keys.times, animation.keys.controls[:, animation.control_names.index("jawOpen")]
    if len(times) < 3:
        return None
    inner = np.arange(1, len(times) - 1)
    room = times[inner + 1] - times[inner - 1]
    vowel = np.array([_phone(animation, t) in VOWELS for t in times[inner]])
    late = times[inner] > animation.alignment.duration / 2
    return int(inner[np.argmax(room.clip(0, 0.4) * (jaw[inner] + 0.1) * (0.1 + vowel) * (0.1 + late))])


def _phone(animation: Animation, time: float) -> str:
    return next((p.label for p in animation.alignment.phones if p.start <= time < p.end), "")
