"""Styles: how somebody speaks, as a small file (`.style`) that any line can be given.

A style changes the completed speech motion before sliders, layers and contacts (`finish.manner`), so key motions and
completion follow it, and lips that must meet still do. Each says what it was made from. The file is JSON; docs/style.md
says what stands in it, and `learning.learn` makes one from a captured person or from corrected lines.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from .archives import parsed
from .assets import ASSETS
from .errors import InputError
from .files import save_text
from .phones import PHONES
from .rig.controls import SPEECH_CONTROLS
from .settings import STYLE_ENDING, STYLES

FORMAT = 1
NEUTRAL = "neutral"
LARGEST = 2**20  # bytes of a file
# What each gain moves. mouthClose undoes the opening of the jaw, so it goes with it.
GROUPS: Mapping[str, tuple[str, ...]] = {
    "jaw": ("jawOpen", "mouthClose"),
    "lips": ("mouthLowerDownLeft", "mouthLowerDownRight", "mouthUpperUpLeft", "mouthUpperUpRight"),
    "rounding": ("mouthFunnel", "mouthPucker"),
    "spreading": ("mouthStretchLeft", "mouthStretchRight", "mouthSmileLeft", "mouthSmileRight", "mouthDimpleLeft",
                  "mouthDimpleRight"),
}  # fmt: skip
MOST_GAIN = 3.0  # of amplitude and speed
MOST_WEIGHT = 20.0  # of an adaptation
LONGEST_DELAY = 1.0  # s
MOST_DELAYS = 16
APPROACH = (-0.6, -0.5, -0.4, -0.3, -0.2, -0.1, 0.0)  # s from the first sound after a pause
LONGEST_TEXT = 1000  # characters of a name or of what a style was made from


@dataclass(frozen=True)
class Adaptation:
    """A linear change of the motion: what is added to `outputs` at each instant, from what moves around it.

    `weights` (R, O): for each of `delays` (s, earlier where negative) one row for each of `inputs`; one row for each of
    `phones`, of which as much counts as is spoken at the instant; and one of what is always added. `inputs` and
    `outputs` are names of SPEECH_CONTROLS.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    delays: tuple[float, ...]
    phones: tuple[str, ...]
    weights: tuple[tuple[float, ...], ...]

    @property
    def rows(self) -> int:
        """How many rows `weights` has."""
        return len(self.delays) * len(self.inputs) + len(self.phones) + 1


@dataclass(frozen=True)
class Style:
    """One way of speaking; the default changes nothing, bit for bit.

    `made_from`: a sentence about it; `model`: the model whose motion it was learned on, "" where that makes no
    difference. `gains`: how far each of GROUPS moves, 1 as the model does. `speed`: gain of what moves within less than
    `finish.manner.SLOW`. `ready` and `rest`: values of SPEECH_CONTROLS where nothing is said, beside speech and in
    longer pauses, 0 for those not named. `approach`: how they get ready for speech after a pause, values of
    SPEECH_CONTROLS at the instants APPROACH, 0 for those not named; empty: as the model does. `near`: phones in which
    their lips all but meet, beside w, in which everybody's do.
    """

    name: str = NEUTRAL
    made_from: str = "The model as it is"
    model: str = ""
    gains: Mapping[str, float] = field(default_factory=dict)
    speed: float = 1.0
    ready: Mapping[str, float] = field(default_factory=dict)
    rest: Mapping[str, float] = field(default_factory=dict)
    approach: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    near: tuple[str, ...] = ()
    adaptation: Adaptation | None = None

    @property
    def is_neutral(self) -> bool:
        """Whether it changes nothing."""
        still = all(gain == 1.0 for gain in self.gains.values())
        still &= not self.shows_in_pauses and not self.approach and not self.near
        return still and self.speed == 1.0 and self.adaptation is None

    @property
    def shows_in_pauses(self) -> bool:
        """Whether the face is not the model's where nothing is said."""
        return any(self.ready.values()) or any(self.rest.values())

    def warnings(self, model: str) -> tuple[str, ...]:
        """What is to be said of wearing it with this model."""
        if self.model in ("", model):
            return ()
        return (
            f"The style {self.name} was learned with another model ({self.model}); learn it again to be like them.",
        )

    @property
    def as_dict(self) -> dict[str, Any]:
        """What a file holds; the inverse of `style_of`."""
        return {"kmtalk_style": FORMAT, **{name: value for name, value in asdict(self).items() if value is not None}}


def shipped(name: str) -> Path:
    """The file of a style that ships; the neutral one has none."""
    return ASSETS / f"{name}{STYLE_ENDING}"


def style_named(name: str) -> Style:
    """The style that a setting names: a shipped one, or that of a file. Raises InputError."""
    if name == NEUTRAL:
        return Style()
    return load_style(shipped(name) if name in STYLES else name)


def load_style(path: str | os.PathLike[str]) -> Style:
    """Read a .style file; raises InputError for one that is missing, damaged or of another version."""
    try:
        with open(path, "rb") as file:
            content = file.read(LARGEST + 1)
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else "") or "no name that files can have"
        raise InputError(f"The style {path} cannot be read ({reason}); check the path.") from None
    try:
        if len(content) > LARGEST:
            raise ValueError("it is too large")
        return style_of(parsed(content.decode("utf-8")))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        reason = f"{error.args[0]} is missing" if isinstance(error, KeyError) else str(error)
        raise InputError(f"{path} is no style ({reason:.120}); learn it again with `kmtalk learn-style`.") from None


def save_style(style: Style, path: str | os.PathLike[str]) -> None:
    """Write a .style file whole or not at all; the same style gives the same bytes."""
    told = style.as_dict
    adaptation = told.get("adaptation")
    if adaptation is None:
        save_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n", path)
        return
    rows = adaptation.pop("weights")
    text = json.dumps(told | {"adaptation": adaptation | {"weights": "@"}}, indent=1, ensure_ascii=False)
    table = ",\n".join(f"   {json.dumps(row)}" for row in rows)  # a row a line
    save_text(text.replace('"@"', f"[\n{table}\n  ]") + "\n", path)


def style_of(told: Any) -> Style:
    """The style that `Style.as_dict` told; raises ValueError, TypeError, KeyError or AttributeError for anything else.

    What a later version may add is left out.
    """
    if not isinstance(told, Mapping) or "kmtalk_style" not in told:
        raise ValueError("it does not say that it is one")
    if told["kmtalk_style"] != FORMAT:
        raise ValueError(f"it is of format {told['kmtalk_style']!r:.20}, this version of KMTalk reads {FORMAT}")
    gains = {_one_of(str(k), GROUPS): _number(v, 0.0, MOST_GAIN, f"gain of {k}") for k, v in told["gains"].items()}
    ready, rest = (_pose(told.get(name, {}), name) for name in ("ready", "rest"))
    approach = {_one_of(str(k), SPEECH_CONTROLS): _course(v, k) for k, v in told.get("approach", {}).items()}
    return Style(
        name=_text(told["name"]) or "unnamed",
        made_from=_text(told["made_from"]),
        model=_text(told.get("model", "")),
        gains=gains,
        speed=_number(told["speed"], 0.0, MOST_GAIN, "speed"),
        ready=ready,
        rest=rest,
        approach=approach,
        near=_names(told.get("near", []), PHONES),
        adaptation=_adaptation(told["adaptation"]) if told.get("adaptation") is not None else None,
    )


def _pose(told: Mapping[str, Any], what: str) -> dict[str, float]:
    return {_one_of(str(k), SPEECH_CONTROLS): _number(v, 0.0, 1.0, f"{what} of {k}") for k, v in told.items()}


def _course(told: Any, of: str) -> tuple[float, ...]:
    values = tuple(_number(v, 0.0, 1.0, f"approach of {of}") for v in _sequence(told))
    if len(values) != len(APPROACH):
        raise ValueError(f"the approach of {of} has not {len(APPROACH)} values")
    return values


def _adaptation(told: Mapping[str, Any]) -> Adaptation:
    inputs, outputs = (_names(told[side], SPEECH_CONTROLS) for side in ("inputs", "outputs"))
    phones = _names(told["phones"], PHONES)
    delays = tuple(_number(d, -LONGEST_DELAY, LONGEST_DELAY, "delay") for d in told["delays"])
    if len(delays) > MOST_DELAYS:
        raise ValueError("it has too many delays")
    weights = tuple(
        tuple(_number(w, -MOST_WEIGHT, MOST_WEIGHT, "weight") for w in _sequence(row)) for row in told["weights"]
    )
    found = Adaptation(inputs, outputs, delays, phones, weights)
    if len(weights) != found.rows or {len(row) for row in weights} != {len(outputs)}:
        raise ValueError("its weights do not fit its names")
    return found


def _names(told: Any, known: Sequence[str]) -> tuple[str, ...]:
    names = tuple(_one_of(str(name), known) for name in _sequence(told))
    if len(set(names)) < len(names):
        raise ValueError("it has a name twice")
    return names


def _sequence(told: Any) -> Sequence[Any]:
    if not isinstance(told, list | tuple):
        raise ValueError("it holds a value where a list must be")
    return told


def _one_of(name: str, known: Any) -> str:
    if name not in known:
        raise ValueError(f"there is no {name:.40}")
    return name


def _number(value: Any, low: float, high: float, what: str) -> float:
    try:
        number = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ValueError(f"{what} is no number")
    if not low <= number <= high:
        raise ValueError(f"{what} is {number:g}")
    return number


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > LONGEST_TEXT or not value.isprintable():
        raise ValueError("a text in it cannot be read")
    return value
