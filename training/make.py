"""`python -m training.make`: the shipped weights, from speech to checkpoint, in one command.

Makes the corpus in WORK/corpus (`training.corpus`), adds captured people to it (`training.corpus.captured`) and trains
the stages in WORK/run (`training.train`). Each goes on where it was interrupted. Some two hours on two CPU cores; with
a GPU the training takes minutes.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from kmtalk_core.assets import COMPACT_CHECKPOINT
from kmtalk_core.errors import InputError, KMTalkError

HOURS = 6.0  # of synthetic speech


def main() -> int:
    """Run the command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m training.make", description=__doc__.splitlines()[0])
    parser.add_argument("--real-speech", type=Path, help="folder with librispeech/*.flac and ljspeech/*.flac")
    parser.add_argument(
        "--captured", type=Path, nargs="*", default=[], metavar="SET", help="sets of tracked clips of people who speak"
    )
    parser.add_argument("--start-from", type=Path, help="go on from the networks of this checkpoint")
    parser.add_argument("--work", type=Path, default=Path("runs/compact"), help="folder for corpus and checkpoints")
    parser.add_argument("--hours", type=float, default=HOURS, help=f"hours of synthetic speech ({HOURS:g})")
    parser.add_argument("--out", type=Path, default=COMPACT_CHECKPOINT, help="the finished checkpoint")
    options = parser.parse_args()
    from .compact.training import CONFIG, STAGES, train
    from .corpus import captured
    from .corpus.making import make

    try:
        make(options.work / "corpus", options.hours, options.real_speech, seed=0)
        for tracked in options.captured:
            captured.make(tracked, options.work / "corpus", tracked.name)
        stages = STAGES if options.start_from is None else STAGES[1:]
        digest = train(CONFIG, options.work / "corpus", options.work / "run", options.out, stages, options.start_from)
    except KMTalkError as error:
        print(f"training: {error}", file=sys.stderr)
        return 2 if isinstance(error, InputError) else 1
    print(f"wrote {options.out} (sha256 {digest})", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
