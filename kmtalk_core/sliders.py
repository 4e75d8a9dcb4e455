"""What an animator sets after the networks are done: sliders over the speech motion, and the layers on top of it.

Moving one needs no inference (see `finish`). They travel with a result, so that it can be finished anew later.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

from .errors import InputError
from .finish.expression import prototype_of


@dataclass(frozen=True)
class Sliders:
    """How the completed speech motion is worn.

    `intensity` 0…2 scales all of it, `jaw` 0…2 and `lips` 0…2 the jaw and the lips by themselves; `smoothing` 0…1 calms
    it; `offset` in s, -1…1, moves it, keys and all, later (or earlier where negative). Raises InputError.
    """

    intensity: float = 1.0
    jaw: float = 1.0
    lips: float = 1.0
    smoothing: float = 0.0
    offset: float = 0.0

    def __post_init__(self) -> None:
        _check(self, {"intensity": (0, 2), "jaw": (0, 2), "lips": (0, 2), "smoothing": (0, 1), "offset": (-1, 1)})


@dataclass(frozen=True)
class Layers:
    """What moves besides the speech; see docs/upper_face.md. Each is off at 0. Raises InputError.

    `upper_face` 0…2: brows, gaze, and blinks at anything above 0; `head` 0…2: nods, posture and drift of the head;
    `expression` names one of `expression.EXPRESSIONS`, `expression_strength` 0…1; another `seed` gives other motion.
    """

    upper_face: float = 1.0
    head: float = 1.0
    expression: str = "neutral"
    expression_strength: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        _check(self, {"upper_face": (0, 2), "head": (0, 2), "expression_strength": (0, 1)})
        prototype_of(self.expression)  # raises InputError


def known_fields(kind: type, values: Mapping[str, object]) -> dict:
    """Those of `values` that the dataclass `kind` has: files of later versions may hold more."""
    names = {f.name for f in fields(kind)}
    return {name: value for name, value in values.items() if name in names}


def _check(settings: object, ranges: Mapping[str, tuple[float, float]]) -> None:
    for name, (low, high) in ranges.items():
        if not low <= getattr(settings, name) <= high:
            raise InputError(f"{name.replace('_', ' ').capitalize()} must be between {low:g} and {high:g}.")
