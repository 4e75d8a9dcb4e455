"""Evaluate on a prepared data set: `python -m training.evaluate --checkpoint FILE --data DIR --split test --out DIR`.

Or predictions made elsewhere: `--predictions FOLDER` with SUBJECT_SENTENCE.npy (T, V·3), as the public codes save them.
Writes sentences.csv (a row a sentence), summary.json (figures, conventions, masks), table.md; with --plots curves of
the mouth's opening and where on the mesh the errors are, with --films predicted, captured and error side by side.
`training.captured.metrics` says what each figure is.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch

from kmtalk_core.checkpoint import Checkpoint, load_checkpoint
from kmtalk_core.errors import InputError, KMTalkError
from kmtalk_core.files import save_text
from kmtalk_core.heads import fitting, heads_of
from kmtalk_core.networks.method import Method, load_method

from .captured.dataset import DataSet, KeyChoice
from .captured.evaluation import Extras, evaluate, predict, report
from .captured.metrics import spread, with_deviation
from .captured.predictions import Prediction, read_predictions


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    options = _parser().parse_args(arguments)
    torch.set_num_threads(options.threads)
    try:
        data = DataSet(options.data)
        if not data.split(options.split):
            raise InputError(f"The split {options.split} of {data.name} is empty; choose another one.")
        extras = Extras(options.plots, options.films, options.save_predictions)
        name = options.name or ""
        rows: list[dict[str, float]] = []
        for told, predictions in _judged(options, data):
            alone = options.checkpoint is None or len(options.checkpoint) == 1
            name = name or told
            out = options.out if alone else options.out / f"seed{len(rows)}"
            rows.append(evaluate(data, options.split, predictions, options.name or told, out, extras))
        text = report(data, options.split, {name: with_deviation(*spread(rows))})
        if len(rows) > 1:
            text += f"\n{len(rows)} trainings: mean ± standard deviation.\n"
            save_text(text, options.out / "table.md")
        print(text)
    except KMTalkError as error:
        print(f"evaluate: {error}", file=sys.stderr)
        return 2 if isinstance(error, InputError) else 1
    return 0


def _judged(options: argparse.Namespace, data: DataSet) -> Iterator[tuple[str, Iterator[Prediction]]]:
    """What is to be judged: name and predictions, one for each checkpoint."""
    clips = data.split(options.split)
    if options.checkpoint is None:
        yield options.predictions.name, read_predictions(options.predictions, data, clips, options.prediction_fps)
        return
    other = None
    if options.keys_from is not None:
        other = load_method(_headed(options.keys_from, data))
        _must_fit(other, data)
    for path in options.checkpoint:
        checkpoint = _headed(path, data)
        method = load_method(checkpoint)
        _must_fit(method, data)
        choice = _choice(options, dict(checkpoint.config.get("keys", {})))
        true_keys = options.keys == "true"
        yield checkpoint.name, predict(method, data, clips, choice, torch.device(options.device), other, true_keys)


def _headed(path: Path, data: DataSet) -> Checkpoint:
    """The checkpoint, of several heads the one for this data set: by its name, else by the number of vertices."""
    checkpoint = load_checkpoint(path)
    named = data.name if data.name in heads_of(checkpoint) else ""
    return fitting(checkpoint, data.geometry().vertices, named)


def _must_fit(method: Method, data: DataSet) -> None:
    ours, theirs = method.geometry, data.geometry()
    if (ours.vertices, ours.fps) != (theirs.vertices, theirs.fps):
        raise InputError(
            f"The checkpoint is for {ours.vertices} vertices at {ours.fps:g} fps, the data has {theirs.vertices} at"
            f" {theirs.fps:g}; choose the checkpoint that was trained on this data."
        )


def _choice(options: argparse.Namespace, trained: dict) -> KeyChoice:
    """The key instants of the training, with what the command changes."""
    wanted = {"rule": options.key_rule, "localization": options.localization, "offset": options.offset}
    return replace(KeyChoice(**trained), **{k: v for k, v in wanted.items() if v is not None})


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training.evaluate", description=__doc__.splitlines()[0])
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--checkpoint", type=Path, nargs="+",
        help="a checkpoint of `python -m training.train --data`; several, of other seeds, give mean ± deviation",
    )  # fmt: skip
    source.add_argument("--predictions", type=Path, help="folder with CLIP.npy of any program")
    parser.add_argument("--prediction-fps", type=float, help="of --predictions, where it is a multiple of the data's")
    parser.add_argument("--data", type=Path, required=True, help="folder that `python -m training.prepare` made")
    parser.add_argument("--split", default="test", help="test; test_a or test_b for BIWI")
    parser.add_argument("--out", type=Path, required=True, help="folder for the report")
    parser.add_argument("--name", help="of the method in the table")
    parser.add_argument("--keys", choices=("made", "true"), default="made", help="key motions: made or captured")
    parser.add_argument("--keys-from", type=Path, help="a checkpoint whose motion at the key instants is completed")
    parser.add_argument("--key-rule", help="another rule for key instants than in training")
    parser.add_argument("--localization", help="alignments of `training.prepare align` by their label")
    parser.add_argument("--offset", type=int, help="frames by which key instants are moved")
    parser.add_argument("--plots", action="store_true", help="mouth opening, lip error, error on the mesh")
    parser.add_argument("--films", type=int, nargs="?", const=3, default=0, help="of how many sentences (3)")
    parser.add_argument("--save-predictions", action="store_true", help="keep the vertices as .npy")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    return parser


if __name__ == "__main__":
    sys.exit(main())
