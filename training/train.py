"""Train: `python -m training.train --corpus DIR --run DIR [--config FILE] [--out FILE]` the compact model, which ships;

`python -m training.train --config FILE --data DIR --run DIR` a method that moves vertices, on a prepared data set of
captured faces. Either goes on where it stopped; at the end is a checkpoint with configuration, weights and checksum.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

from kmtalk_core.assets import COMPACT_CHECKPOINT
from kmtalk_core.errors import InputError, KMTalkError

from .compact.training import CONFIG, STAGES


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    of_captured = any(argument.split("=")[0] == "--data" for argument in arguments)
    parser = _captured_parser() if of_captured else _compact_parser()
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    try:
        return int(options.run_it(options))
    except KMTalkError as error:
        print(f"training: {error}", file=sys.stderr)
        return 2 if isinstance(error, InputError) else 1


def _compact_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training.train", description=__doc__)
    parser.add_argument("--corpus", type=Path, required=True, help="folder that `python -m training.corpus` made")
    parser.add_argument("--run", type=Path, required=True, help="folder for checkpoints and log; goes on there")
    parser.add_argument("--config", type=Path, default=CONFIG)
    parser.add_argument("--out", type=Path, default=COMPACT_CHECKPOINT, help="the finished checkpoint")
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=list(STAGES), help="the others are restored")
    parser.add_argument("--start-from", type=Path, help="go on from the networks of this checkpoint")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.set_defaults(run_it=_train_compact)
    return parser


def _train_compact(options: argparse.Namespace) -> int:
    from .compact.training import train

    digest = train(options.config, options.corpus, options.run, options.out, tuple(options.stages), options.start_from)
    print(f"wrote {options.out} (sha256 {digest})", file=sys.stderr)
    return 0


def _captured_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training.train", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="a configuration with a method")
    parser.add_argument(
        "--data", type=Path, nargs="+", required=True,
        help="folder that `python -m training.prepare` made; several train together, with a head of KMTalk for each",
    )  # fmt: skip
    parser.add_argument("--run", type=Path, required=True, help="folder for checkpoints and logs; goes on there")
    parser.add_argument("--stages", nargs="+", default=[], help="train these only (those of the configuration)")
    parser.add_argument("--out", type=Path, help="the finished checkpoint (RUN/NAME.npz)")
    parser.add_argument("--concurrent", action="store_true", help="train independent stages at once")
    parser.add_argument(
        "--dry-run", action="store_true", help="one step of each stage, its size and time; writes nothing"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    parser.add_argument("--tensorboard", action="store_true", help="log for TensorBoard too, in RUN/tensorboard")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.set_defaults(run_it=_train_captured)
    return parser


def _train_captured(options: argparse.Namespace) -> int:
    from .captured.training import Order, rehearse, train

    order = Order(
        options.config, options.data[0], options.run, tuple(options.stages), options.out, options.concurrent,
        options.device, options.tensorboard, options.threads, tuple(options.data[1:]),
    )  # fmt: skip
    if options.dry_run:
        for line in rehearse(order):
            print(line)
    else:
        train(order)
    return 0


if __name__ == "__main__":
    sys.exit(main())
