"""`python -m training.benchmark --data DIR… --run RUN [--seeds N]`: all systems on all data sets, and one report.

Trains what is missing, judges it with every seed, measures what it costs, paints films and error maps, and writes
RUN/report.html (everything inside), report.md and figures.csv anew after each step. The same command goes on where it
was stopped.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

import torch

from kmtalk_core.errors import InputError, KMTalkError
from training.captured.dataset import DataSet
from training.captured.evaluation import Extras
from training.experiments.plans import EXPERIMENTS, Plan, only, plan_of
from training.experiments.published import TEST_SPLITS
from training.experiments.runs import SCALES, Bench, scale_of

from .suite import Suite, Wish


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    options = _parser().parse_args(arguments)
    torch.set_num_threads(options.threads)
    try:
        if options.seeds < 1:
            raise InputError(f"--seeds {options.seeds} is too few; it must be 1 or more.")
        suite = Suite(options.run, _benches(options), _wish(options))
        if options.dry_run:
            print("\n".join(suite.rehearse()))
        else:
            print(f"wrote {suite.go()}")
    except KMTalkError as error:
        print(f"benchmark: {error}", file=sys.stderr)
        return 2 if isinstance(error, InputError) else 1
    return 0


def _benches(options: argparse.Namespace) -> dict[str, Bench]:
    """By the names of the data sets' folders."""
    out: dict[str, Bench] = {}
    for folder in options.data:
        name, data = folder.resolve().name, DataSet(folder)
        if name in out:
            raise InputError(f"Two data sets lie in folders named {name}; rename one of them.")
        split = options.split or TEST_SPLITS.get(data.name, "test")
        if not data.split(split):
            raise InputError(f"The split {split} of {name} is empty; choose another one.")
        scale = scale_of(data, options.scale)
        run = options.run / name
        out[name] = Bench(data, run, split, scale, options.device, options.epochs, Extras(), options.seeds)
    return out


def _wish(options: argparse.Namespace) -> Wish:
    def plans(data: DataSet) -> Mapping[str, Plan]:
        found = {name.replace("-", "_"): plan_of(name, data) for name in options.experiments}
        if options.systems and "main" in found:
            known = [row.name for row in found["main"].rows]
            there = [name for name in options.systems if data.faces is not None or name != "ottalk" or name in known]
            found["main"] = only(found["main"], there)
        return found

    devices = [] if options.no_costs else ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    return Wish(plans, options.films, devices, options.threads)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m training.benchmark", description="All systems on all data sets, and one report."
    )
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="folders of `python -m training.prepare`")
    parser.add_argument("--run", type=Path, required=True, help="folder for trainings and report; goes on there")
    parser.add_argument("--experiments", nargs="+", choices=EXPERIMENTS, default=["main"], help="tables (main)")
    parser.add_argument("--systems", nargs="+", metavar="NAME", help="rows of the main table (all)")
    parser.add_argument("--seeds", type=int, default=1, help="trainings of each system (1); 5 tell chance from effect")
    parser.add_argument("--split", help="what is judged (test; test_a for BIWI)")
    parser.add_argument("--scale", choices=SCALES, help="whose configurations (the data's own, else vocaset)")
    parser.add_argument("--epochs", type=int, help="of every training, instead of the configurations'")
    parser.add_argument("--films", type=int, default=1, help="films and sheets of so many sentences (1)")
    parser.add_argument("--no-costs", action="store_true", help="measure no speed and no memory")
    parser.add_argument("--dry-run", action="store_true", help="one step of each training, and its size; keeps nothing")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    return parser


if __name__ == "__main__":
    sys.exit(main())
