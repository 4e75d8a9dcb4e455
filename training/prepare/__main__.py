"""Prepare a data set: `python -m training.prepare vocaset|biwi|multiface|beat2|folder SOURCE --out DIR`.

`synthetic --out DIR` makes a small one first, from the rig and the articulation synthesizer, `faces PERSON… --out DIR`
one of captured people. `align DIR --localizer L
--label NAME` adds alignments by another localizer to a prepared set, for experiments on localization. Every problem
with the data is told in one sentence; with problems nothing is written, unless --leave-out-bad skips those clips.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from tqdm import tqdm

from kmtalk_core.errors import InputError, KMTalkError
from kmtalk_core.localization import LOCALIZERS
from training.captured.dataset import DataSet, write_dataset

from .align import IMPORTED, add_alignments, align_clips
from .beat2 import unpack_beat2
from .checks import Checked, check
from .faces import make_faces
from .layouts import LAYOUTS, Layout
from .multiface import unpack_multiface
from .raw_vocaset import is_raw, unpack
from .synthetic import make_source

# Data sets in layouts of their own, which are unpacked first: what they are, and by what.
UNPACKED: dict[str, tuple[str, Callable[[argparse.Namespace, Path, Callable[[float], None]], Path]]] = {
    "multiface": (
        "Multiface: tracked meshes and sounds of sentences",
        lambda options, out, progress: unpack_multiface(options.source, out, progress, _note),
    ),
    "beat2": (
        "BEAT2: FLAME's expressions and jaw on SMPL-X's head",
        lambda options, out, progress: unpack_beat2(options.source, options.model, out, progress),
    ),
}


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options) or 0)
    except KMTalkError as error:
        print(f"prepare: {error}", file=sys.stderr)
        return 2 if isinstance(error, InputError) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training.prepare", description=__doc__.splitlines()[0])
    kinds = parser.add_subparsers(required=True, metavar="KIND")
    choices = (*(name for name in LOCALIZERS if name != "uniform"), IMPORTED)
    for kind in LAYOUTS:
        one = kinds.add_parser(kind, help=(LAYOUTS[kind].__doc__ or "").split(".")[0])
        one.add_argument("source", type=Path, help="folder with wav/, vertices_npy/ and the templates")
        one.add_argument("--out", type=Path, required=True, help="folder for the prepared data set")
        one.add_argument("--localizer", choices=choices, default="auto", help="what finds the phones (auto)")
        one.add_argument("--leave-out-bad", action="store_true", help="go on without the clips that have problems")
        one.set_defaults(run=lambda o, kind=kind: _prepare(kind, o))
    for kind, (told, _) in UNPACKED.items():
        one = kinds.add_parser(kind, help=told)
        one.add_argument("source", type=Path, help="folder that the data set was downloaded to")
        one.add_argument("--out", type=Path, required=True, help="folder for the prepared data set")
        one.add_argument("--localizer", choices=choices, default="auto", help="what finds the phones (auto)")
        one.add_argument("--leave-out-bad", action="store_true", help="go on without the clips that have problems")
        if kind == "beat2":
            one.add_argument("--model", type=Path, help="SMPLX_NEUTRAL_2020.npz (that in SOURCE)")
        one.set_defaults(run=lambda o, kind=kind: _unpacked(kind, o))
    made = kinds.add_parser("synthetic", help="a small data set from the rig and the articulation synthesizer")
    made.add_argument("--out", type=Path, required=True)
    made.add_argument("--subjects", type=int, default=4, help="the last one is for the test (4)")
    made.add_argument("--sentences", type=int, default=6, help="of each subject (6)")
    made.add_argument("--vertices", type=int, default=800, help="of the face (800)")
    made.add_argument("--fps", type=float, default=30.0)
    made.add_argument("--mesh", type=Path, help="a head with known landmarks (the demo head)")
    made.add_argument("--voice", default="auto", help="flite, espeak, festival, sample or auto")
    made.add_argument("--seed", type=int, default=0)
    made.set_defaults(run=_synthetic)
    real = kinds.add_parser("faces", help="captured people on one head, through the rig")
    real.add_argument(
        "people", type=Path, nargs="+", help="folders that training.capture wrote, or sets of tracked clips"
    )
    real.add_argument("--out", type=Path, required=True)
    real.add_argument("--unseen", type=Path, nargs="*", default=[], help="people for the test alone")
    real.add_argument("--every", type=int, default=1, help="take every N-th clip of the people only")
    real.add_argument("--vertices", type=int, help="a patch of so many around the face (the whole head)")
    real.add_argument("--mesh", type=Path, help="a head with known landmarks (the demo head)")
    real.add_argument("--localizer", choices=choices, default="auto", help="what finds the phones (auto)")
    real.set_defaults(run=_faces)
    more = kinds.add_parser("align", help="add alignments by another localizer to a prepared data set")
    more.add_argument("data", type=Path, help="the prepared data set")
    more.add_argument("--localizer", choices=choices, required=True)
    more.add_argument("--label", help="name of these alignments (the localizer's)")
    more.set_defaults(run=_align)
    return parser


def _prepare(kind: str, options: argparse.Namespace) -> int:
    source = options.source
    if kind == "vocaset" and is_raw(source):
        with _bar("unpacking") as bar:
            source = unpack(source, options.out / "source", lambda share: bar.update(share - bar.n))
    return prepare(LAYOUTS[kind](source), options.out, options.localizer, options.leave_out_bad)


def _unpacked(kind: str, options: argparse.Namespace) -> int:
    with _bar("unpacking") as bar:
        source = UNPACKED[kind][1](options, options.out / "source", lambda share: bar.update(share - bar.n))
    return prepare(LAYOUTS["folder"](source), options.out, options.localizer, options.leave_out_bad)


def prepare(layout: Layout, out: Path, localizer: str = "auto", leave_out_bad: bool = False) -> int:
    """Check `layout`, localize, and write the prepared data set to `out`; → exit status."""
    with _bar("checking") as bar:
        checked = check(layout, lambda share: bar.update(share - bar.n))
    for note in checked.notes:
        _note(note)
    for problem in checked.problems:
        print(f"problem: {problem}", file=sys.stderr)
    if checked.problems and not (leave_out_bad and checked.clips and checked.splits["train"]):
        print(
            f"prepare: {len(checked.problems)} problems, nothing was written; mend them, or add --leave-out-bad.",
            file=sys.stderr,
        )
        return 2
    out.mkdir(parents=True, exist_ok=True)
    with tqdm(total=len(checked.clips), desc="localizing", disable=not sys.stderr.isatty()) as bar:
        warnings = align_clips(checked.clips, layout.source, out, localizer, localizer, lambda name: _tell(bar, name))
    for warning in warnings:
        _note(warning)
    _write(layout, checked, out, localizer)
    seconds = sum(clip.frames for clip in checked.clips) / layout.fps
    counts = ", ".join(f"{split} {len(names)}" for split, names in checked.splits.items())
    print(f"prepared {out}: {len(checked.clips)} clips, {seconds / 60:.1f} minutes ({counts})", file=sys.stderr)
    return 0


def _write(layout: Layout, checked: Checked, out: Path, localizer: str) -> None:
    used = {clip.subject for clip in checked.clips}
    arrays: dict[str, np.ndarray] = {f"template/{s}": t for s, t in sorted(layout.templates.items()) if s in used}
    arrays |= {"lips": layout.lips, "upper_face": layout.upper_face}
    for name, array in (("faces", layout.faces), ("opening", checked.opening), ("landmarks", layout.landmarks)):
        if array is not None:
            arrays[name] = array.astype(np.int64)
    about = {
        "name": layout.name,
        "fps": layout.fps,
        "unit": layout.unit,
        "rms": checked.rms,
        "source": os.path.relpath(layout.source.resolve(), out.resolve()),
        "splits": checked.splits,
        "localizations": [localizer],
    }
    write_dataset(out, about, checked.clips, arrays)


def _synthetic(options: argparse.Namespace) -> int:
    source = options.out / "source"
    with _bar("synthesizing") as bar:
        make_source(
            source,
            options.subjects,
            options.sentences,
            options.vertices,
            options.fps,
            options.seed,
            options.mesh,
            options.voice,
            lambda share, doing: bar.update(share - bar.n),
        )
    return prepare(LAYOUTS["folder"](source), options.out, IMPORTED)


def _faces(options: argparse.Namespace) -> int:
    source = options.out / "source"
    with tqdm(desc="putting on the head", disable=not sys.stderr.isatty()) as bar:
        make_faces(
            source,
            options.people,
            options.unseen,
            options.every,
            options.vertices,
            options.mesh,
            lambda name: _tell(bar, name),
        )
    return prepare(LAYOUTS["folder"](source), options.out, options.localizer)


def _align(options: argparse.Namespace) -> int:
    data, label = DataSet(options.data), options.label or options.localizer
    with tqdm(total=len(data.clips), desc="localizing", disable=not sys.stderr.isatty()) as bar:
        for warning in add_alignments(data, options.localizer, label, lambda name: _tell(bar, name)):
            _note(warning)
    return 0


def _note(text: str) -> None:
    print(f"note: {text}", file=sys.stderr)


def _bar(doing: str) -> tqdm:
    return tqdm(total=1.0, desc=doing, disable=not sys.stderr.isatty(), bar_format="{desc} {percentage:3.0f}% {bar}")


def _tell(bar: tqdm, name: str) -> None:
    bar.set_postfix_str(name, refresh=False)
    bar.update()


if __name__ == "__main__":
    sys.exit(main())
