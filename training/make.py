"""`python -m training.make`: the shipped weights, from speech to checkpoint, in one command.

Makes the corpus in WORK/corpus (`training.corpus`), adds captured people to it (`training.corpus.captured`), fits the
articulation rules to them (`training.articulation.fit`, into `fitted.json`) and trains the stages in WORK/run
(`training.train`). Each goes on where it was interrupted. Some three hours on two CPU cores, one with `--encoder-from`;
with a GPU the training takes minutes.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

from kmtalk_core.assets import COMPACT_CHECKPOINT
from kmtalk_core.errors import InputError, KMTalkError

HOURS = 6.0  # of synthetic speech
FITTED_EVERY = 3  # every so many captured clips the rules are fitted to: more change nothing but the time


def main() -> int:
    """Run the command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m training.make", description=__doc__.splitlines()[0])
    parser.add_argument("--real-speech", type=Path, help="folder with librispeech/*.flac and ljspeech/*.flac")
    parser.add_argument(
        "--captured", type=Path, nargs="*", default=[], metavar="SET", help="sets of tracked clips of people who speak"
    )
    parser.add_argument("--encoder-from", type=Path, help="take the audio encoder of this checkpoint as it is")
    parser.add_argument("--start-from", type=Path, help="go on from this checkpoint, last stage only")
    parser.add_argument("--work", type=Path, default=Path("runs/compact"), help="folder for corpus and checkpoints")
    parser.add_argument("--hours", type=float, default=HOURS, help=f"hours of synthetic speech ({HOURS:g})")
    parser.add_argument("--out", type=Path, default=COMPACT_CHECKPOINT, help="the finished checkpoint")
    options = parser.parse_args()
    from .corpus import captured
    from .corpus.making import make

    try:
        make(options.work / "corpus", options.hours, options.real_speech, seed=0)
        for tracked in options.captured:
            captured.make(tracked, options.work / "corpus", tracked.name)
        if options.captured:
            fit(options.work)
        from .compact.training import CONFIG, STAGES, train  # the rules are read when this is imported

        corpus, run = options.work / "corpus", options.work / "run"
        stages: tuple[str, ...] = STAGES if options.encoder_from is None else STAGES[1:]
        if options.start_from is not None:
            stages = STAGES[-1:]
        digest = train(CONFIG, corpus, run, options.out, stages, options.start_from, options.encoder_from)
    except KMTalkError as error:
        print(f"training: {error}", file=sys.stderr)
        return 2 if isinstance(error, InputError) else 1
    print(f"wrote {options.out} (sha256 {digest})", file=sys.stderr)
    return 0


def fit(work: Path) -> None:
    """Fit the rules to the captured people of WORK/corpus, once, and let training use them."""
    fitted = work / "fitted.json"
    if not fitted.exists():
        folder = str(work / "corpus" / "captured")
        command = [sys.executable, "-m", "training.articulation.fit", folder, "--every", str(FITTED_EVERY)]
        if subprocess.run([*command, "--out", str(fitted)], check=False).returncode:
            raise KMTalkError("The rules could not be fitted to the captured people; the lines above say why.")
    shutil.copyfile(fitted, Path(__file__).parent / "articulation" / "fitted.json")


if __name__ == "__main__":
    sys.exit(main())
