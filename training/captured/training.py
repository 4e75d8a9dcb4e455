"""Train a method on a prepared data set: one function, whose order says what, where and how.

Stages that don't need each other can be trained by separate calls at the same time, or by one with `concurrent`. Called
again, a run goes on where it stopped. With torchrun, several processes share every batch.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from kmtalk_core.errors import InputError, KMTalkError
from kmtalk_core.files import written_whole
from kmtalk_core.networks.method import Method, make_method, save_method
from kmtalk_core.networks.shared_kmtalk import SharedKMTalk, save_heads
from training.captured.dataset import Mixture

from .architectures import unfetched
from .config import Recipe, read_recipe
from .loop import dry_run, restore, stage_file, train_stage
from .processes import Processes, joined


@dataclass(frozen=True)
class Order:
    """What is to be trained: the configuration file `config` on the prepared data set `data`, in the folder `run`.

    `together`: further data sets, which KMTalk learns from at the same time, with a head for each; `stages`: these only
    (those of the configuration where empty); `out`: the finished checkpoint (RUN/NAME.npz); `concurrent`: independent
    stages at once; `device`: auto, cpu, cuda or mps; `tensorboard`: log to RUN/tensorboard too; `threads` of the
    processor.
    """

    config: Path
    data: Path
    run: Path
    stages: tuple[str, ...] = ()
    out: Path | None = None
    concurrent: bool = False
    device: str = "auto"
    tensorboard: bool = False
    threads: int | None = None
    together: tuple[Path, ...] = ()

    def command(self, stage: str) -> list[str]:
        """The command line that trains one stage of this order in a process of its own."""
        words = ["--config", self.config, "--data", self.data, *self.together, "--run", self.run]
        words += ["--device", self.device]
        words += ["--out", self.out] if self.out is not None else []
        words += ["--tensorboard"] if self.tensorboard else []
        words += ["--threads", self.threads] if self.threads is not None else []
        return [sys.executable, "-m", "training.train", *map(str, words), "--stages", stage]


def train(order: Order) -> Path | None:
    """Train what is missing; → the finished checkpoint, None while other stages are still to be trained.

    The checkpoint holds configuration, weights and checksum. Raises InputError for a wrong configuration or data set.
    """
    recipe = read_recipe(order.config)
    with joined(order.device) as processes:
        data, method, stages = _prepared(order, recipe, processes)
        if processes.first:
            order.run.mkdir(parents=True, exist_ok=True)
            with written_whole(order.run / "config.toml") as partial:
                partial.write_text(recipe.text, encoding="utf-8")
        processes.wait()
        known = {stage.name: stage for stage in method.stages}
        if order.concurrent:
            independent = [name for name in stages if not known[name].after]
            if len(independent) > 1:
                _train_concurrently(order, independent)
        for name in stages:
            for earlier in known[name].after:
                restore(method, earlier, order.run)
            train_stage(
                method, name, data, recipe.stage(name), recipe.keys, order.run, recipe.seed, processes,
                order.tensorboard,
            )  # fmt: skip
        return _finished(order, recipe, data, method, stages, processes)


def rehearse(order: Order) -> list[str]:
    """One step of each stage: its size and time, a line each; nothing is written or fetched: encoders are random."""
    recipe = read_recipe(order.config)
    recipe = replace(recipe, tables=unfetched(recipe.method, recipe.tables))
    with joined(order.device) as processes:
        data, method, stages = _prepared(order, recipe, processes)
        return [dry_run(method, name, data, recipe.stage(name), recipe.keys, processes) for name in stages]


def _prepared(order: Order, recipe: Recipe, processes: Processes) -> tuple[Mixture, Method, tuple[str, ...]]:
    """Data, untrained method, and the stages to train in their order."""
    data = Mixture.of([order.data, *order.together])
    torch.manual_seed(recipe.seed)
    method = _untrained(recipe, data).to(processes.device)
    known = [stage.name for stage in method.stages]
    wanted = order.stages or recipe.stages or known
    for name in wanted:
        if name not in known:
            raise InputError(f"{recipe.method} has no stage {name!r}; choose from {', '.join(known)}.")
    return data, method, tuple(name for name in known if name in wanted)


def _untrained(recipe: Recipe, data: Mixture) -> Method:
    geometries = {head: one.geometry() for head, one in data.sets.items()}
    if len(geometries) == 1:
        return make_method(recipe.method, recipe.tables, geometries[""])
    if recipe.method != "kmtalk":
        raise InputError(f"{recipe.method} learns from one data set; only kmtalk has a head for each of several.")
    return SharedKMTalk(recipe.tables, geometries)


def _finished(
    order: Order, recipe: Recipe, data: Mixture, method: Method, stages: Sequence[str], processes: Processes
) -> Path | None:
    """Write the checkpoint once every stage of the recipe has been trained, here or by another call."""
    needed = [s.name for s in method.stages if s.name in (recipe.stages or [s.name for s in method.stages])]
    lacking = [n for n in needed if not (stage_file(order.run, n).exists() and restore(method, n, order.run))]
    if lacking:
        if processes.first:
            print(f"trained {', '.join(stages)}; still to train: {', '.join(lacking)}", file=sys.stderr)
        return None
    out = order.out or order.run / f"{recipe.name}.npz"
    if processes.first:
        told = [
            {"name": one.name, "clips": {k: len(v) for k, v in one.splits.items()}, "unit": one.unit}
            for one in data.sets.values()
        ]
        facts = {
            "name": recipe.name,
            "data": told if len(told) > 1 else told[0],
            "keys": vars(recipe.keys),
            "recipe": recipe.text,
        }
        if isinstance(method, SharedKMTalk):
            digest = save_heads(method, facts, out)
        else:
            digest = save_method(method, recipe.method, facts, out)
        print(f"wrote {out} (sha256 {digest})", file=sys.stderr)
    processes.wait()
    return out


def _train_concurrently(order: Order, stages: Sequence[str]) -> None:
    """Each stage in a process of its own; afterwards this one finds them trained."""
    children = [subprocess.Popen(order.command(stage)) for stage in stages]
    failed = [stage for stage, child in zip(stages, children, strict=True) if child.wait()]
    if failed:
        raise KMTalkError(f"The stage {failed[0]} failed; its message is above. Start again to go on.")
