"""Trainings and evaluations of an experiment. What has been trained with the same recipe already is taken as it is."""

from __future__ import annotations

import csv
import shutil
import sys
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from kmtalk_core.checkpoint import load_checkpoint
from kmtalk_core.errors import InputError, KMTalkError
from kmtalk_core.files import save_text
from kmtalk_core.networks.method import load_method
from training.captured.config import recipe_of
from training.captured.dataset import DataSet, KeyChoice
from training.captured.evaluation import Extras, evaluate, predict
from training.captured.loop import is_complete, stage_file
from training.captured.training import Order, train

from .plans import Plan, Row, Training

CONFIGS = Path(__file__).parents[1] / "configs"


@dataclass(frozen=True)
class Figures:
    """A row's figures: `summary` (`training.captured.metrics`), with `keys`, the share of frames that are key motions,
    and `found`, the share of key frames within a frame of one by the training's choice; and LVE by `sentence`."""

    summary: Mapping[str, float]
    sentences: Mapping[str, float]


@dataclass(frozen=True)
class Bench:
    """Where and how an experiment runs: recipes are CONFIGS/METHOD_`scale`.toml; `epochs` and `learning_rate` replace
    the recipes' where given."""

    data: DataSet
    run: Path
    split: str
    scale: str
    device: str
    epochs: int | None
    extras: Extras

    def recipe(self, training: Training) -> str:
        """The whole configuration of a training as TOML."""
        path = CONFIGS / f"{training.method}_{self.scale}.toml"
        if not path.is_file():
            raise InputError(f"There is no configuration {path}; choose another --scale.")
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        content["name"] = training.name
        for table, options in training.changes.items():
            content[table] = {**content.get(table, {}), **options}
        if self.epochs is not None:
            own = content.setdefault("training", {})
            own["epochs"] = self.epochs
            for stage in own.values():
                if isinstance(stage, dict):
                    stage.pop("epochs", None)
        return toml(content)

    def trained(self, training: Training) -> Path:
        """The checkpoint of a training, which is done or gone on with if need be."""
        run = self.run / "trained" / training.name
        out, config = run / f"{training.name}.npz", run / "recipe.toml"
        text = self.recipe(training)
        if out.is_file() and config.is_file() and config.read_text(encoding="utf-8") == text:
            return out
        if config.is_file() and config.read_text(encoding="utf-8") != text:
            raise InputError(f"{run} was trained with another recipe; delete it, or choose another --run.")
        run.mkdir(parents=True, exist_ok=True)
        save_text(text, config)
        if training.shared:
            self._share(training, run)
        print(f"training {training.name}", file=sys.stderr)
        if train(Order(config, self.data.folder, run, device=self.device)) is None:
            raise KMTalkError(f"The training {training.name} did not end; start again to go on.")
        return out

    def _share(self, training: Training, run: Path) -> None:
        """Stages that do not depend on what is changed come from the training without changes."""
        whole = Training(training.method, training.method)
        self.trained(whole)
        for stage in training.shared:
            if not is_complete(stage, run):
                shutil.copyfile(stage_file(self.run / "trained" / whole.name, stage), stage_file(run, stage))

    def evaluated(self, row: Row, experiment: str) -> Figures:
        """The figures of a row; its report is in RUN/EXPERIMENT/ROW."""
        checkpoint = load_checkpoint(self.trained(row.training))
        other = None if row.keys_from is None else load_method(self.trained(row.keys_from))
        choice = replace(KeyChoice(**checkpoint.config["keys"]), **row.keys)
        clips = self.data.split(self.split)
        predictions = predict(load_method(checkpoint), self.data, clips, choice, torch.device(self.device), other)
        out = self.run / experiment / row.name.replace(" ", "_").replace("%", "")
        out.mkdir(parents=True, exist_ok=True)
        figures = evaluate(self.data, self.split, predictions, row.name, out, self.extras)
        chosen = [self.data.key_frames(clip, choice) for clip in clips]
        trained = [self.data.key_frames(clip, KeyChoice(**checkpoint.config["keys"])) for clip in clips]
        keys = {"keys": _mean(len(k) / clip.frames for k, clip in zip(chosen, clips, strict=True))}
        near = (np.abs(a[:, None] - b).min(1) <= 1 for a, b in zip(chosen, trained, strict=True))
        keys["found"] = _mean(float(n.mean()) for n in near)
        return Figures({**figures, **keys}, _by_sentence(out / "sentences.csv"))


def run_plan(bench: Bench, plan: Plan, experiment: str) -> dict[str, Figures]:
    """All rows of a plan by name."""
    if not bench.data.split(bench.split):
        raise InputError(f"The split {bench.split} of {bench.data.name} is empty; choose another one.")
    for row in plan.rows:
        recipe_of(tomllib.loads(bench.recipe(row.training)), "", row.name)  # raises InputError before hours of training
    return {row.name: bench.evaluated(row, experiment) for row in plan.rows}


def _mean(values: Iterable[float]) -> float:
    kept = list(values)
    return sum(kept) / len(kept)


def _by_sentence(path: Path) -> dict[str, float]:
    """LVE of every sentence, the mean over its conditions."""
    found: dict[str, list[float]] = {}
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            found.setdefault(row["clip"], []).append(float(row["lve_code"]))
    return {clip: _mean(values) for clip, values in found.items()}


def toml(content: Mapping[str, Any]) -> str:
    """Nested tables of strings, numbers, booleans and lists as TOML."""
    lines: list[str] = []

    def table(name: str, values: Mapping[str, Any]) -> None:
        if name:
            lines.append(f"[{name}]")
        lines.extend(f"{key} = {_value(v)}" for key, v in values.items() if not isinstance(v, Mapping))
        for key, inner in values.items():
            if isinstance(inner, Mapping):
                table(f"{name}.{key}" if name else key, inner)

    table("", content)
    return "\n".join(lines) + "\n"


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_value, value)) + "]"
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    return repr(value)
