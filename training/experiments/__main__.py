"""`python -m training.experiments main|ablations|robustness|key-count|plugged --data DIR --run RUN`.

Trains what is missing (each training once for all experiments in RUN, resumed where it stopped), evaluates, and writes
RUN/NAME/table.md and results.json. Published figures stand beside the measured ones only where the data is the same.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch
from tqdm import tqdm

from kmtalk_core.errors import InputError, KMTalkError
from kmtalk_core.localization import LOCALIZERS
from training.captured.dataset import DataSet
from training.captured.evaluation import Extras
from training.prepare.align import add_alignments

from .plans import EXPERIMENTS, plan_of, with_others
from .published import TEST_SPLITS
from .report import read_reported, write_report
from .runs import SCALES, Bench, run_plan, scale_of


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    options = _parser().parse_args(arguments)
    torch.set_num_threads(options.threads)
    try:
        data = DataSet(options.data)
        split = options.split or TEST_SPLITS.get(data.name, "test")
        if options.experiment == "robustness":
            data = _localized(data, options.localizers)
        extras = Extras(options.plots, options.films)
        if options.seeds < 1:
            raise InputError(f"--seeds {options.seeds} is too few; it must be 1 or more.")
        bench = Bench(
            data,
            options.run,
            split,
            scale_of(data, options.scale),
            options.device,
            options.epochs,
            extras,
            options.seeds,
        )
        name = options.experiment.replace("-", "_")
        plan = with_others(plan_of(name, data), _others(options.predictions))
        reported = {} if options.reported is None else read_reported(options.reported)
        figures = run_plan(bench, plan, name)
        print(write_report(options.run / name, name, plan, data, split, figures, reported))
    except KMTalkError as error:
        print(f"experiments: {error}", file=sys.stderr)
        return 2 if isinstance(error, InputError) else 1
    return 0


def _others(told: list[str]) -> dict[str, Path]:
    """NAME=FOLDER … → by name."""
    out: dict[str, Path] = {}
    for word in told:
        name, _, folder = word.partition("=")
        if not (name and folder and Path(folder).is_dir()):
            raise InputError(f"--predictions {word}: give NAME=FOLDER, a folder with CLIP.npy files.")
        out[name] = Path(folder)
    return out


def _localized(data: DataSet, localizers: list[str]) -> DataSet:
    """The data set with alignments by `localizers` too; those that are there already are kept."""
    for localizer in localizers:
        if localizer not in data.localizations:
            with tqdm(total=len(data.clips), desc=localizer, disable=not sys.stderr.isatty()) as bar:
                for warning in add_alignments(data, localizer, localizer, lambda _: bar.update()):
                    print(f"note: {warning}", file=sys.stderr)
    return DataSet(data.folder)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m training.experiments", description="The paper's experiments, one command each."
    )
    parser.add_argument("experiment", choices=EXPERIMENTS)
    parser.add_argument("--data", type=Path, required=True, help="folder that `python -m training.prepare` made")
    parser.add_argument("--run", type=Path, required=True, help="folder for trainings and reports; goes on there")
    parser.add_argument("--split", help="what is judged (test; test_a for BIWI)")
    parser.add_argument("--scale", choices=SCALES, help="whose configurations (the data's own, else vocaset)")
    parser.add_argument("--seeds", type=int, default=1, help="trainings of each system (1); 5 tell chance from effect")
    parser.add_argument(
        "--predictions", nargs="*", default=[], metavar="NAME=FOLDER", help="rows for what other programs predicted"
    )
    parser.add_argument("--reported", type=Path, help="TOML with rows of figures that others report, shown as such")
    parser.add_argument("--epochs", type=int, help="of every training, instead of the configurations'")
    localizers = [name for name in LOCALIZERS if name not in ("auto", "uniform")]
    parser.add_argument(
        "--localizers", nargs="*", choices=localizers, default=["pocketsphinx", "posterior"], metavar="L",
        help="robustness: other localizers than the data's (pocketsphinx, posterior)",
    )  # fmt: skip
    parser.add_argument("--plots", action="store_true", help="as `python -m training.evaluate --plots`")
    parser.add_argument("--films", type=int, nargs="?", const=3, default=0, help="films of this many sentences (3)")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    return parser


if __name__ == "__main__":
    sys.exit(main())
