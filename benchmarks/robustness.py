"""`python -m benchmarks.robustness`: lip sync in noise, through a telephone, with other voices and languages.

Two tables with the judge's figures (with transcript, and without), and one of sounds in which nobody speaks: there the
mouth has to stay still and the eyes alive. Other voices need `pyworld`, other languages espeak-ng; without them those
rows are left out.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from kmtalk_core.audio import load_sound

from .clips import SETS, load_clips
from .conditions import conditions, in_other_languages, without_speech
from .judge import add_common, guarded
from .measures import STILLNESS, Figures, figures, stillness
from .stage import KMTalk, Take, watch_table
from .table import AIMS, head, record, row

EVERY = 3  # every third clip of the set: these tables are long


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.robustness", description=__doc__.splitlines()[0])
    add_common(parser, ["held-out"])
    parser.add_argument("--every", type=int, default=EVERY, help=f"take every n-th clip (default: {EVERY})")
    options = parser.parse_args()
    return guarded(parser.prog, lambda: measure(options))


def measure(options: argparse.Namespace) -> None:
    """Print the tables. Raises InputError."""
    clips = [clip for name in options.set for clip in load_clips(SETS.get(name, Path(name)), options.speech)]
    clips = clips[:: options.every]
    plain = [(load_sound(clip.path).samples, clip) for clip in clips]
    spoken = {name: [change(*each) for each in plain] for name, change in conditions(clips).items()}
    foreign = in_other_languages()
    for kind in ("with", "without"):
        system = KMTalk(kind == "with", options.checkpoint)
        rows = [(name, [Take(system, clip, samples) for samples, clip in each]) for name, each in spoken.items()]
        if kind == "without":
            rows += [(f"{name} (synthetic)", [Take(system, clip, sound)]) for name, (sound, clip) in foreign.items()]
        seen = {name: figures(observed) for name, observed in watch_table(rows, options.workers).items()}
        print(f"\n{kind} transcript, {len(clips)} clips\n\n{head('condition')}")
        for name, found in seen.items():
            print(row(name, found, AIMS[kind]), flush=True)
        record(options.json, f"robustness {kind} transcript", seen)
    print(f"\nnobody speaks\n\n| sound | {' | '.join(STILLNESS)} |\n|---{'|---' * len(STILLNESS)}|")
    still: dict[str, Figures] = {}
    silent = [(name, [Take(system, clip, sound)]) for name, (sound, clip) in without_speech().items()]
    for name, (observed,) in watch_table(silent, options.workers).items():
        still[name] = stillness(observed)
        print(f"| {name} | {' | '.join(f'{still[name][figure]:.2f}' for figure in STILLNESS)} |")
    record(options.json, "nobody speaks", still)


if __name__ == "__main__":
    raise SystemExit(main())
