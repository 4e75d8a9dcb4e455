"""The configuration of a training at paper scale: one TOML file.

`method` and `name`; [training] for all stages and [training.STAGE] where one differs; [keys] how key instants are
chosen; the other tables belong to the method.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from kmtalk_core.errors import InputError
from training.captured.dataset import KeyChoice

PRECISIONS = ("float32", "bfloat16", "float16")
OPTIMIZERS = ("adam", "adamw")


@dataclass(frozen=True)
class Training:
    """How a stage is trained; the paper's values.

    `batch` clips a step in all processes together; `epochs` passes over the data; `optimizer` adam or adamw with
    `learning_rate`, its `epsilon` and `weight_decay`; every `step_epochs` epochs, 0: never, the learning rate is
    multiplied by `step_factor`; `clip` the gradient's norm, 0: not. `precision` of the networks' arithmetic, weights
    and losses are float32 always. A checkpoint every `save_every` steps, validation every `validate_every` epochs.
    """

    epochs: int = 200
    batch: int = 1
    optimizer: str = "adam"
    learning_rate: float = 1e-4
    step_epochs: int = 0
    step_factor: float = 0.5
    epsilon: float = 1e-8
    weight_decay: float = 0.0
    clip: float = 0.0
    precision: str = "float32"
    save_every: int = 500
    validate_every: int = 10

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise InputError(f"[training] precision is {self.precision!r}; choose one of {', '.join(PRECISIONS)}.")
        if self.optimizer not in OPTIMIZERS:
            raise InputError(f"[training] optimizer is {self.optimizer!r}; choose one of {', '.join(OPTIMIZERS)}.")
        for name in ("epochs", "batch", "save_every", "validate_every"):
            if getattr(self, name) < 1:
                raise InputError(f"[training] {name} is {getattr(self, name)}; it must be 1 or more.")

    def rate(self, epoch: int) -> float:
        """The learning rate of an epoch, counted from 0."""
        return self.learning_rate * (self.step_factor ** (epoch // self.step_epochs) if self.step_epochs > 0 else 1.0)


@dataclass(frozen=True)
class Recipe:
    """A whole configuration. `stages` trains by default; `tables` go to the method."""

    name: str
    method: str
    seed: int
    stages: tuple[str, ...]
    training: Training
    of_stage: Mapping[str, Training]
    keys: KeyChoice
    tables: Mapping[str, Any]
    text: str

    def stage(self, name: str) -> Training:
        return self.of_stage.get(name, self.training)


def read_recipe(path: Path) -> Recipe:
    """Read a configuration; raises InputError that names what is wrong in it."""
    try:
        text = path.read_text(encoding="utf-8")
        content = tomllib.loads(text)
    except FileNotFoundError:
        raise InputError(f"There is no configuration {path}; training/configs has some to start from.") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error}); correct it.") from None
    return recipe_of(content, text, path.name)


def recipe_of(content: Mapping[str, Any], text: str, file: str) -> Recipe:
    tables = dict(content)
    try:
        name, method = str(tables.pop("name")), str(tables.pop("method"))
    except KeyError as missing:
        raise InputError(f"{file} lacks {missing.args[0]}; a configuration needs name and method.") from None
    seed, stages = int(tables.pop("seed", 0)), tuple(tables.pop("stages", ()))
    table = dict(tables.pop("training", {}))
    special = {key: table.pop(key) for key in list(table) if isinstance(table[key], dict)}
    training = _made(Training(), table, "training")
    return Recipe(
        name,
        method,
        seed,
        stages,
        training,
        {stage: _made(training, own, f"training.{stage}") for stage, own in special.items()},
        _made(KeyChoice(), dict(tables.pop("keys", {})), "keys"),
        tables,
        text,
    )


def _made(base: Any, options: Mapping[str, Any], table: str) -> Any:
    known = [f.name for f in fields(base)]
    for key in options:
        if key not in known:
            raise InputError(f"[{table}] has an unknown option {key!r}; it knows {', '.join(known)}.")
    return replace(base, **options)
