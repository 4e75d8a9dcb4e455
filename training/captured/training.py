"""Train a method on a prepared data set: `python -m training.train --config FILE --data DIR --run DIR`.

Stages that don't need each other can be trained by separate commands at the same time (`--stages lkma`, `--stages
cmc`), or by one with `--concurrent`. Started again, a run goes on where it stopped. With torchrun, several processes
share every batch. At the end RUN/NAME.npz holds configuration, weights and checksum.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import torch

from kmtalk_core.errors import InputError, KMTalkError
from kmtalk_core.files import written_whole
from kmtalk_core.networks.method import Method, make_method, save_method
from training.captured.dataset import DataSet

from .config import Recipe, read_recipe
from .loop import dry_run, restore, stage_file, train_stage
from .processes import Processes, joined


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    options = _parser().parse_args(arguments)
    torch.set_num_threads(options.threads)
    try:
        recipe = read_recipe(options.config)
        with joined(options.device) as processes:
            return _run(options, recipe, processes, arguments)
    except KMTalkError as error:
        print(f"training: {error}", file=sys.stderr)
        return 2 if isinstance(error, InputError) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training.train", description=__doc__.splitlines()[0])
    parser.add_argument("--config", type=Path, required=True, help="a configuration with a method")
    parser.add_argument("--data", type=Path, required=True, help="folder that `python -m training.prepare` made")
    parser.add_argument("--run", type=Path, required=True, help="folder for checkpoints and logs; goes on there")
    parser.add_argument("--stages", nargs="+", help="train these only (those of the configuration)")
    parser.add_argument("--out", type=Path, help="the finished checkpoint (RUN/NAME.npz)")
    parser.add_argument("--concurrent", action="store_true", help="train independent stages at once")
    parser.add_argument(
        "--dry-run", action="store_true", help="one step of each stage, its size and time; writes nothing"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    parser.add_argument("--tensorboard", action="store_true", help="log for TensorBoard too, in RUN/tensorboard")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    return parser


def _run(options: argparse.Namespace, recipe: Recipe, processes: Processes, arguments: list[str]) -> int:
    data = DataSet(options.data)
    torch.manual_seed(recipe.seed)
    method = make_method(recipe.method, recipe.tables, data.geometry()).to(processes.device)
    known = {stage.name: stage for stage in method.stages}
    stages = tuple(options.stages or recipe.stages or known)
    for name in stages:
        if name not in known:
            raise InputError(f"{recipe.method} has no stage {name!r}; choose from {', '.join(known)}.")
    stages = tuple(name for name in known if name in stages)
    if options.dry_run:
        for name in stages:
            print(dry_run(method, name, data, recipe.stage(name), recipe.keys, processes))
        return 0
    if processes.first:
        options.run.mkdir(parents=True, exist_ok=True)
        with written_whole(options.run / "config.toml") as partial:
            partial.write_text(recipe.text, encoding="utf-8")
    processes.wait()
    if options.concurrent:
        independent = [name for name in stages if not known[name].after]
        if len(independent) > 1:
            _train_concurrently(arguments, independent)
    for name in stages:
        for earlier in known[name].after:
            restore(method, earlier, options.run)
        training = recipe.stage(name)
        train_stage(method, name, data, training, recipe.keys, options.run, recipe.seed, processes, options.tensorboard)
    return _finish(options, recipe, data, method, stages, processes)


def _finish(
    options: argparse.Namespace,
    recipe: Recipe,
    data: DataSet,
    method: Method,
    stages: tuple[str, ...],
    processes: Processes,
) -> int:
    """Write the checkpoint once every stage of the recipe has been trained, here or by another command."""
    needed = [s.name for s in method.stages if s.name in (recipe.stages or [s.name for s in method.stages])]
    lacking = [n for n in needed if not (stage_file(options.run, n).exists() and restore(method, n, options.run))]
    if lacking:
        if processes.first:
            print(f"trained {', '.join(stages)}; still to train: {', '.join(lacking)}", file=sys.stderr)
        return 0
    out = options.out or options.run / f"{recipe.name}.npz"
    if processes.first:
        facts = {
            "name": recipe.name,
            "data": {"name": data.name, "clips": {k: len(v) for k, v in data.splits.items()}, "unit": data.unit},
            "keys": vars(recipe.keys),
            "recipe": recipe.text,
        }
        digest = save_method(method, recipe.method, facts, out)
        print(f"wrote {out} (sha256 {digest})", file=sys.stderr)
    processes.wait()
    return 0


def _train_concurrently(arguments: list[str], stages: list[str]) -> None:
    """Each stage in a process of its own; afterwards this one finds them trained."""
    plain = [a for a in arguments if a != "--concurrent"]
    if "--stages" in plain:
        at = plain.index("--stages")
        end = next((i for i in range(at + 1, len(plain)) if plain[i].startswith("--")), len(plain))
        plain = plain[:at] + plain[end:]
    command = [sys.executable, "-m", "training.train", *plain, "--stages"]
    children = [subprocess.Popen([*command, stage]) for stage in stages]
    failed = [stage for stage, child in zip(stages, children, strict=True) if child.wait()]
    if failed:
        raise KMTalkError(f"The stage {failed[0]} failed; its message is above. Start again to go on.")
