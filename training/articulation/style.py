"""How one speaker articulates, and how that differs from the next speaker."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Style:
    """A speaker. All gains are 1 for the neutral one; the same style always gives the same motion.

    `amplitude` scales the opening of jaw and lips. `effort` is articulatory precision, from hypo- to hyperarticulation
    (Lindblom 1990, "Explaining phonetic variation: a sketch of the H&H theory"): more of it means shorter
    coarticulation and less undershoot. `jaw` shares the opening between jaw (above 1) and lips (below 1).
    `rounding` and `spreading` scale the shapes of the lips. `asymmetry` is the standard deviation of the difference
    between the sides, as a share; `variation` scales the slow drift and the differences between two utterances of the
    same phone, 0 for none. `seed` chooses both.
    """

    amplitude: float = 1.0
    effort: float = 1.0
    jaw: float = 1.0
    rounding: float = 1.0
    spreading: float = 1.0
    asymmetry: float = 0.03
    variation: float = 1.0
    seed: int = 0

    @classmethod
    def random(cls, rng: np.random.Generator) -> Style:
        """A plausible speaker for training variety; the mean is the neutral one."""
        gain = np.exp(np.clip(rng.normal(size=5), -2, 2) * (0.14, 0.10, 0.10, 0.15, 0.20))
        amplitude, effort, jaw, rounding, spreading = gain.tolist()
        asymmetry, variation, seed = rng.uniform(0.0, 0.10), rng.uniform(0.5, 1.5), int(rng.integers(2**31))
        return cls(amplitude, effort, jaw, rounding, spreading, asymmetry, variation, seed)
