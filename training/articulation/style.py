"""How one speaker articulates, and how that differs from the next speaker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from kmtalk_core.conditioning import STYLE, STYLE_SPREAD


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
        amplitude, effort, jaw, rounding, spreading = gains(np.clip(rng.normal(size=5), -2, 2))
        asymmetry, variation, seed = rng.uniform(0.0, 0.10), rng.uniform(0.5, 1.5), int(rng.integers(2**31))
        return cls(amplitude, effort, jaw, rounding, spreading, asymmetry, variation, seed)

    @classmethod
    def of(cls, numbers: Mapping[str, float]) -> Style:
        """The speaker with such `numbers` of `conditioning.STYLE`, in standard deviations; 0 for those not named."""
        deviations = np.array([numbers.get(name, 0.0) for name in STYLE[:-1]])
        amplitude, effort, jaw, rounding, spreading = gains(deviations)
        return cls(amplitude, effort, jaw, rounding, spreading)

    def code(self, captured: float) -> np.ndarray:
        """(S,) float32: this style as the networks are told it (`conditioning.STYLE`)."""
        spread = [np.log(getattr(self, name)) / STYLE_SPREAD[name] for name in STYLE[:-1]]
        return np.array([*spread, captured], np.float32)


def gains(deviations: np.ndarray) -> list[float]:
    """The gains of amplitude, effort, jaw, rounding and spreading, so many standard deviations (5,) from neutral."""
    return np.exp(deviations * [STYLE_SPREAD[name] for name in STYLE[:-1]]).tolist()
