"""`python -m benchmarks.judge`: lip sync on real speech, with and without transcript, beside simple systems.

One markdown table for each set of clips; figures that miss their aim are in bold. `dev` and `held-out` are the clips
beside the project, where they are at hand (`benchmarks.reference` makes the latter); any other set is a reference file.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from kmtalk_core.errors import InputError, KMTalkError

from .baselines import BASELINES, RuleOnTruePhones
from .clips import SETS, SPEECH, JudgedClip, load_clips
from .measures import Figures, figures
from .stage import WORKERS, KMTalk, System, Take, watch_table
from .table import AIMS, aims_row, head, record, row

RULE = "rule on the true phones"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.judge", description=__doc__.splitlines()[0])
    add_common(parser)
    parser.add_argument("--only-kmtalk", action="store_true", help="leave out the systems to compare with")
    options = parser.parse_args()
    return guarded(parser.prog, lambda: judge(options))


def judge(options: argparse.Namespace) -> None:
    """Print a table for each set. Raises InputError."""
    for name in options.set:
        clips = load_clips(SETS.get(name, Path(name)), options.speech)
        minutes = sum(clip.duration for clip in clips) / 60
        print(f"\n{name}: {len(clips)} clips, {minutes:.1f} minutes\n\n{head('system')}\n{aims_row('with')}")
        print(aims_row("without"))
        rows = compared(clips, options.checkpoint, not options.only_kmtalk, options.workers)
        for system, found in rows.items():
            kind = "with" if "with transcript" in system else "without"
            print(row(system, found, None if system == RULE else AIMS[kind]), flush=True)
        record(options.json, name if name in SETS else Path(name).stem, rows)


def compared(clips: Sequence[JudgedClip], checkpoint: Path | None, baselines: bool, workers: int) -> dict[str, Figures]:
    """System → its figures over `clips`."""
    systems: dict[str, System] = {
        "KMTalk with transcript": KMTalk(True, checkpoint),
        "KMTalk without transcript": KMTalk(False, checkpoint),
    }
    if baselines:
        systems |= {**BASELINES, RULE: RuleOnTruePhones()}
    seen = watch_table([(name, [Take(system, clip) for clip in clips]) for name, system in systems.items()], workers)
    return {name: figures(observed) for name, observed in seen.items()}


def add_common(parser: argparse.ArgumentParser, sets: Sequence[str] | None = None) -> None:
    """The options that all measuring commands share."""
    present = [name for name, path in SETS.items() if path.is_file()]
    parser.add_argument(
        "--set", nargs="+", default=list(sets or present or ["held-out"]), help="dev, held-out, or reference files"
    )
    parser.add_argument("--speech", type=Path, default=SPEECH, help="folder below which the clips' sounds lie")
    parser.add_argument("--checkpoint", type=Path, help="weights to measure (default: the shipped ones)")
    parser.add_argument("--workers", type=int, default=WORKERS, help=f"processes (default: {WORKERS})")
    parser.add_argument("--json", type=Path, help="results file to put the figures into")


def guarded(prog: str, work: object) -> int:
    """Run `work`; wrong input becomes one line on stderr and status 2."""
    try:
        work()  # type: ignore[operator]
        return 0
    except KMTalkError as error:
        print(f"{prog.split('.')[-1]}: {error}", file=sys.stderr)
        return 2 if isinstance(error, InputError) else 1


if __name__ == "__main__":
    sys.exit(main())
