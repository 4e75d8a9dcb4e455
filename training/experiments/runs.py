"""Trainings and evaluations of an experiment.

What was trained with the same recipe, or judged of the same checkpoint, is taken as it is, so that an experiment that
was killed goes on where it stopped.
"""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
import sys
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from kmtalk_core.checkpoint import Checkpoint, load_checkpoint
from kmtalk_core.errors import InputError, KMTalkError
from kmtalk_core.files import save_text
from kmtalk_core.networks.method import load_method
from training.captured import evaluation, likeness, metrics
from training.captured.config import recipe_of
from training.captured.dataset import DataSet, KeyChoice
from training.captured.evaluation import Extras, evaluate, predict
from training.captured.loop import is_complete, stage_file
from training.captured.predictions import read_predictions
from training.captured.training import Order, train

from .plans import Plan, Row, Training

JUDGED = ("lve_code", "fdd_abs", "mve")  # figures whose differences are tested
CONFIGS = Path(__file__).parents[1] / "configs"
SCALES = ("vocaset", "biwi", "synthetic")
JUDGES = (evaluation, likeness, metrics)  # what these modules say of a checkpoint is kept until they change
KEPT = "figures.json"


@dataclass(frozen=True)
class Figures:
    """A row's figures: `summary` (`training.captured.metrics`), with `keys`, the share of frames that are key motions,
    and `found`, the share of key frames within a frame of one by the training's choice; and by figure (`JUDGED`) the
    values of the `sentences`, in the order of the split."""

    summary: Mapping[str, float]
    sentences: Mapping[str, Sequence[float]]


@dataclass(frozen=True)
class Bench:
    """Where and how an experiment runs: recipes are CONFIGS/METHOD_`scale`.toml; `epochs` replaces the recipes' where
    given; every training is done with `seeds` seeds, the recipe's and those after it."""

    data: DataSet
    run: Path
    split: str
    scale: str
    device: str
    epochs: int | None
    extras: Extras
    seeds: int = 1

    def recipe(self, training: Training, seed: int = 0) -> str:
        """The whole configuration of a training as TOML."""
        path = CONFIGS / f"{training.method}_{self.scale}.toml"
        if not path.is_file():
            raise InputError(f"There is no configuration {path}; choose another --scale.")
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        content["name"] = _named(training, seed)
        content["seed"] = int(content.get("seed", 0)) + seed
        for table, options in training.changes.items():
            content[table] = {**content.get(table, {}), **options}
        if self.epochs is not None:
            own = content.setdefault("training", {})
            own["epochs"] = self.epochs
            for stage in own.values():
                if isinstance(stage, dict):
                    stage.pop("epochs", None)
        return toml(content)

    def trained(self, training: Training, seed: int = 0) -> Path:
        """The checkpoint of a training, which is done or gone on with if need be."""
        name = _named(training, seed)
        run = self.run / "trained" / name
        out, config = run / f"{name}.npz", run / "recipe.toml"
        text = self.recipe(training, seed)
        if out.is_file() and config.is_file() and config.read_text(encoding="utf-8") == text:
            return out
        if config.is_file() and config.read_text(encoding="utf-8") != text:
            raise InputError(f"{run} was trained with another recipe; delete it, or choose another --run.")
        run.mkdir(parents=True, exist_ok=True)
        save_text(text, config)
        if training.shared:
            self._share(training, seed, run)
        print(f"training {name}", file=sys.stderr)
        if train(Order(config, self.data.folder, run, device=self.device)) is None:
            raise KMTalkError(f"The training {name} did not end; start again to go on.")
        return out

    def _share(self, training: Training, seed: int, run: Path) -> None:
        """Stages that do not depend on what is changed come from the training without changes."""
        whole = Training(training.method, training.method)
        self.trained(whole, seed)
        for stage in training.shared:
            if not is_complete(stage, run):
                shutil.copyfile(stage_file(self.run / "trained" / _named(whole, seed), stage), stage_file(run, stage))

    def evaluated(self, row: Row, experiment: str, seed: int = 0) -> Figures:
        """The figures of a row with a seed; its report is in RUN/EXPERIMENT/ROW."""
        out = self.run / experiment / (_file_name(row.name) + (f"-seed{seed}" if seed else ""))
        if row.predictions is not None:
            return self._of_others(row.name, row.predictions, out)
        assert row.training is not None
        checkpoint = load_checkpoint(self.trained(row.training, seed))
        giver = None if row.keys_from is None else load_checkpoint(self.trained(row.keys_from, seed))
        choice = replace(KeyChoice(**checkpoint.config["keys"]), **row.keys)
        mark = self._mark(checkpoint, giver, choice)
        if (kept := _kept(out / KEPT, mark)) is not None:
            return kept
        other = None if giver is None else load_method(giver)
        clips = self.data.split(self.split)
        predictions = predict(load_method(checkpoint), self.data, clips, choice, torch.device(self.device), other)
        figures = evaluate(self.data, self.split, predictions, row.name, out, self.extras)
        chosen = [self.data.key_frames(clip, choice) for clip in clips]
        trained = [self.data.key_frames(clip, KeyChoice(**checkpoint.config["keys"])) for clip in clips]
        keys = {"keys": _mean(len(k) / clip.frames for k, clip in zip(chosen, clips, strict=True))}
        near = (np.abs(a[:, None] - b).min(1) <= 1 for a, b in zip(chosen, trained, strict=True))
        keys["found"] = _mean(float(n.mean()) for n in near)
        found = Figures({**figures, **keys}, _by_sentence(out / "sentences.csv", [clip.name for clip in clips]))
        save_text(json.dumps({"of": mark, **asdict(found)}) + "\n", out / KEPT)
        return found

    def _mark(self, checkpoint: Checkpoint, giver: Checkpoint | None, choice: KeyChoice) -> str:
        """A checksum over all that a row's figures come from."""
        parts = [checkpoint.sha256, "" if giver is None else giver.sha256, repr(choice), self.split, repr(self.extras)]
        digest = hashlib.sha256("\n".join(parts).encode())
        digest.update((self.data.folder / "dataset.json").read_bytes())
        for module in JUDGES:
            digest.update(Path(str(module.__file__)).read_bytes())
        return digest.hexdigest()

    def _of_others(self, name: str, folder: Path, out: Path) -> Figures:
        clips = self.data.split(self.split)
        figures = evaluate(
            self.data, self.split, read_predictions(folder, self.data, clips), name, out, self.extras
        )  # fmt: skip
        return Figures(figures, _by_sentence(out / "sentences.csv", [clip.name for clip in clips]))


def scale_of(data: DataSet, told: str | None) -> str:
    """Whose configurations: those that are told, else the data's own, else VOCASET's."""
    return told or (data.name if data.name in SCALES else "vocaset")


def run_plan(
    bench: Bench,
    plan: Plan,
    experiment: str,
    told: Callable[[Mapping[str, Sequence[Figures]]], None] = lambda found: None,
) -> dict[str, list[Figures]]:
    """All rows of a plan by name, with every seed, one seed after the other; predictions of others have none. `told` is
    called with what there is after each row."""
    if not bench.data.split(bench.split):
        raise InputError(f"The split {bench.split} of {bench.data.name} is empty; choose another one.")
    for row in plan.rows:
        if row.training is not None:  # raises InputError before hours of training
            recipe_of(tomllib.loads(bench.recipe(row.training)), "", row.name)
    found: dict[str, list[Figures]] = {}
    for seed in range(bench.seeds):
        for row in plan.rows:
            if row.predictions is None or not seed:
                found.setdefault(row.name, []).append(bench.evaluated(row, experiment, seed))
                told(found)
    return found


def _kept(path: Path, mark: str) -> Figures | None:
    """The figures of an evaluation, where they are of the same things."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return Figures(content["summary"], content["sentences"]) if content["of"] == mark else None
    except (OSError, ValueError, KeyError):
        return None


def _named(training: Training, seed: int) -> str:
    return training.name + (f"-seed{seed}" if seed else "")


def _file_name(row: str) -> str:
    return row.replace(" ", "_").replace("%", "").replace("/", "_")


def _mean(values: Iterable[float]) -> float:
    kept = list(values)
    return sum(kept) / len(kept)


def _by_sentence(path: Path, clips: Sequence[str]) -> dict[str, list[float]]:
    """The judged figures of every sentence, each the mean over its conditions."""
    found: dict[str, list[dict[str, float]]] = {}
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            values = {"lve_code": float(row["lve_code"]), "fdd_abs": abs(float(row["fdd_code"]))}
            found.setdefault(row["clip"], []).append({**values, "mve": float(row["mve"])})
    return {name: [_mean(row[name] for row in found[clip]) for clip in clips] for name in JUDGED}


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
