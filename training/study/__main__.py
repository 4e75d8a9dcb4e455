"""`python -m training.study make NAME=FOLDER … --data DIR --out STUDY`, then `serve STUDY` and `report STUDY`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from kmtalk_core.errors import InputError, KMTalkError
from kmtalk_core.files import save_text
from training.captured.dataset import DataSet

from .judging import report
from .making import CAPTURED, make_study
from .serving import server_of


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except KMTalkError as error:
        print(f"study: {error}", file=sys.stderr)
        return 2 if isinstance(error, InputError) else 1
    return 0


def _make(options: argparse.Namespace) -> None:
    methods: dict[str, Path | None] = {}
    for word in options.methods:
        name, _, folder = word.partition("=")
        if not name or (not folder and name != CAPTURED) or (folder and not Path(folder).is_dir()):
            raise InputError(f"{word}: give NAME=FOLDER, a folder with CLIP.npy files, or {CAPTURED}.")
        methods[name] = Path(folder) if folder else None
    study = make_study(DataSet(options.data), options.split, methods, options.out, options.clips, options.seed)
    print(f"made {options.out}: {len(study.pairs)} pairs; show it with `python -m training.study serve {options.out}`")


def _serve(options: argparse.Namespace) -> None:
    with server_of(options.study, options.host, options.port) as server:
        print(f"http://{options.host}:{server.server_address[1]}/ until Ctrl-C; answers go to {options.study}/answers")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print()


def _report(options: argparse.Namespace) -> None:
    text = report(options.study)
    save_text(text, options.study / "report.md")
    print(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training.study", description="Ask viewers which face is better.")
    kinds = parser.add_subparsers(required=True, metavar="make|serve|report")
    make = kinds.add_parser("make", help="paint films and pairs")
    make.add_argument("methods", nargs="+", help=f"NAME=FOLDER of predictions (CLIP.npy); {CAPTURED}: the truth")
    make.add_argument("--data", type=Path, required=True, help="folder that `python -m training.prepare` made")
    make.add_argument("--split", default="test")
    make.add_argument("--out", type=Path, required=True, help="folder for the study")
    make.add_argument("--clips", type=int, default=10, help="sentences (10)")
    make.add_argument("--seed", type=int, default=0)
    make.set_defaults(run=_make)
    serve = kinds.add_parser("serve", help="show the page and keep the answers")
    serve.add_argument("study", type=Path)
    serve.add_argument("--host", default="127.0.0.1", help="0.0.0.0 lets others in your network answer (127.0.0.1)")
    serve.add_argument("--port", type=int, default=8000)
    serve.set_defaults(run=_serve)
    told = kinds.add_parser("report", help="who was preferred, and whether that is more than chance")
    told.add_argument("study", type=Path)
    told.set_defaults(run=_report)
    return parser


if __name__ == "__main__":
    sys.exit(main())
