"""Judge what methods predict on a prepared data set, and report it: figures, tables, plots and films.

Each evaluation writes sentences.csv (a row a sentence), summary.json (figures, conventions, masks) and table.md;
`training.captured.metrics` says what each figure is.
"""

from __future__ import annotations

import csv
import hashlib
import itertools
import json
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from kmtalk_core.files import save_npz, written_whole
from kmtalk_core.networks.method import Batch, Keys, Method, styles_of

from .dataset import CapturedClip, DataSet, KeyChoice, collate
from .metrics import Sentence, diversity, intensity_correlation, measure, mouth_opening, summary, table
from .predictions import Prediction

COLUMNS = (
    "sentences", "lve_code", "fdd_code", "lve", "fdd", "mve", "eve", "opening", "closure", "sync", "sync_r", "mtm",
    "slcc", "slcc_true", "diversity",
)  # fmt: skip
MEANING = (
    "lve_code, fdd_code: squared distances, as CodeTalker's evaluation code (fdd signed: true minus predicted); lve,"
    " fdd: distances, as the papers word it; closure: mean share of closed frames that are open and of open frames that"
    " are closed, 0.5 for a mouth that stands still; sync and mtm in ms; slcc: correlation of the lips' speed with"
    " loudness, to be compared with that of the captured lips, slcc_true."
)


def predict(
    method: Method,
    data: DataSet,
    clips: list[CapturedClip],
    choice: KeyChoice,
    device: torch.device,
    keys_from: Method | None = None,
    true_keys: bool = False,
) -> Iterator[Prediction]:
    """What a method makes of the sound of each clip. `keys_from`: completes the motion of this other method at the key
    instants (the paper's Table 5, and Table 3 without its decoder); `true_keys`: the captured key motions, so that only
    completion is judged. An unseen subject speaks in the styles of all training subjects in turn, one prediction each,
    where styles change anything."""
    method = method.to(device).eval()
    keys_from = None if keys_from is None else keys_from.to(device).eval()
    styled = keys_from if keys_from is not None and keys_from.has_style else method
    for clip in clips:
        batch = collate(data, [clip], choice).to(device)
        unseen = styled.has_style and not bool(batch.style.any())
        for number, style in enumerate(styles_of(styled, batch.style)):
            began = time.perf_counter()
            motion = infer(method, replace(batch, style=style), keys_from, true_keys)[0, : clip.frames]
            vertices = (motion + batch.template[0]).cpu().numpy().reshape(clip.frames, -1, 3)
            condition = data.training_subjects[number] if unseen else ""
            yield Prediction(clip, vertices, time.perf_counter() - began, condition)


@torch.no_grad()
def infer(method: Method, batch: Batch, keys_from: Method | None = None, true_keys: bool = False) -> torch.Tensor:
    """Motion (B, N, C) of a batch."""
    keys, style = batch.keys, batch.style
    if true_keys:
        at = batch.key_frames.unsqueeze(-1).expand(-1, -1, batch.motion.shape[2])
        keys = Keys(keys.times, keys.mask, batch.motion.gather(1, at))
    elif keys_from is not None:
        keys = Keys(keys.times, keys.mask, keys_from.key_motions(batch.speech, batch.template, style, keys))
    return method.infer(batch.speech, batch.template, style, batch.times, keys, batch.mask)


def judge(data: DataSet, prediction: Prediction) -> Sentence:
    """The figures of one prediction; what it has more frames than the data is cut off, as the public codes do."""
    clip, true = prediction.clip, data.vertices(prediction.clip)
    n = min(len(prediction.vertices), len(true))
    template = data.templates[clip.subject]
    vertices = prediction.vertices[:n]
    return measure(vertices, true[:n], template, data.lips, data.upper_face, data.opening, data.fps)


@dataclass(frozen=True)
class Extras:
    """What a report has besides its tables: curves and the error on the mesh, how many films, the vertices."""

    plots: bool = False
    films: int = 0
    save: bool = False


class Pictures:
    """Draws what `Extras` asks for, sentence by sentence. Raises at once where something for it is missing."""

    def __init__(self, data: DataSet, name: str, out: Path, extras: Extras) -> None:
        self._data, self._name, self._out, self._extras = data, name, out, extras
        self._stage = None
        if extras.films or (extras.plots and data.faces is not None):
            from .film import Stage

            self._stage = Stage.of(data)
        self._filmed, self._errors, self._frames = 0, np.zeros(0), 0

    def add(self, prediction: Prediction) -> None:
        clip, true = prediction.clip, self._data.vertices(prediction.clip)
        if self._extras.save:
            folder = self._out / "predictions"
            folder.mkdir(exist_ok=True)
            np.save(folder / f"{prediction.name}.npy", prediction.vertices.reshape(len(prediction.vertices), -1))
        if self._extras.plots:
            _plot(self._data, prediction, self._out / "plots" / f"{prediction.name}.png")
        if self._stage is None:
            return
        n = min(len(true), len(prediction.vertices))
        errors = np.linalg.norm(prediction.vertices[:n] - true[:n], axis=2).sum(0, dtype=np.float64)
        self._errors, self._frames = errors if not self._frames else self._errors + errors, self._frames + n
        if self._filmed < self._extras.films:
            from .film import write_film

            (self._out / "films").mkdir(exist_ok=True)
            path, data = self._out / "films" / f"{prediction.name}.mp4", self._data
            told = (data.fps, data.samples(clip), data.alignment(clip).phones, self._name)
            write_film(path, self._stage, prediction.vertices, true, *told)
            self._filmed += 1

    def finish(self) -> None:
        """The mean error of every vertex over all frames, as heat on a template: error_map.png."""
        if self._stage is None or not self._extras.plots or not self._frames:
            return
        from PIL import Image

        from .film import heat_colours

        mean = self._errors / self._frames
        template = next(iter(self._data.templates.values())).astype(np.float64)
        picture = self._stage.picture(template, heat_colours(mean / self._stage.hottest))
        with written_whole(self._out / "error_map.png") as partial:
            Image.fromarray(picture).save(partial)


def evaluate(
    data: DataSet,
    split: str,
    predictions: Iterator[Prediction],
    name: str,
    out: Path,
    extras: Extras = Extras(),
) -> dict[str, float]:
    """Judge `predictions`, write the report to `out`, and return the summary."""
    pictures = Pictures(data, name, out, extras)
    out.mkdir(parents=True, exist_ok=True)
    judged: list[tuple[Prediction, Sentence]] = []
    spreads: list[float] = []
    total = len(data.split(split))
    bar = tqdm(total=total, desc=split, disable=not sys.stderr.isatty())
    for _, of_clip in itertools.groupby(predictions, key=lambda prediction: prediction.clip.name):
        conditions: list[np.ndarray] = []
        for prediction in of_clip:
            judged.append((replace(prediction, vertices=np.zeros(0)), judge(data, prediction)))
            pictures.add(prediction)
            conditions.append(prediction.vertices)
        spreads.append(diversity(conditions))
        bar.update()
    bar.close()
    pictures.finish()
    figures = _figures(data, judged, spreads)
    with written_whole(out / "sentences.csv") as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["clip", "subject", "condition", *asdict(judged[0][1])])
        writer.writeheader()
        for prediction, sentence in judged:
            who = {"clip": prediction.clip.name, "subject": prediction.clip.subject, "condition": prediction.condition}
            writer.writerow({**who, **asdict(sentence)})
    masks = {"lips": _mask(data.lips), "upper_face": _mask(data.upper_face), "opening": _mask(data.opening)}
    about = {"method": name, "data": data.name, "split": split, "unit": data.unit, "figures": figures, "masks": masks}
    with written_whole(out / "summary.json") as partial:
        partial.write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    save_npz({"lips": data.lips, "upper_face": data.upper_face}, out / "masks.npz")
    with written_whole(out / "table.md") as partial:
        partial.write_text(report(data, split, {name: figures}), encoding="utf-8")
    return figures


def _figures(data: DataSet, judged: list[tuple[Prediction, Sentence]], spreads: list[float]) -> dict[str, float]:
    """The summary, with what needs more than one sentence or the sound."""
    sentences = [sentence for _, sentence in judged]
    figures = summary(sentences)
    names = [prediction.clip.name for prediction, _ in judged]
    figures["sentences"] = len(set(names))
    subjects = [prediction.clip.subject for prediction, _ in judged]
    loudness = {name: float(np.sqrt(np.mean(np.square(data.samples(data.clips[name]))))) for name in set(names)}
    heard = [loudness[name] for name in names]
    figures["slcc"] = intensity_correlation([s.intensity for s in sentences], heard, subjects)
    figures["slcc_true"] = intensity_correlation([s.true_intensity for s in sentences], heard, subjects)
    known = [spread for spread in spreads if spread == spread]
    figures["diversity"] = sum(known) / len(known) if known else float("nan")
    seconds = sum(prediction.seconds for prediction, _ in judged)
    figures["times_real_time"] = figures["frames"] / data.fps / seconds if seconds else float("nan")
    return figures


def report(data: DataSet, split: str, rows: Mapping[str, Mapping[str, float | str]]) -> str:
    """The table with what its columns mean."""
    lips, upper = len(data.lips), len(data.upper_face)
    return (
        f"{data.name}, split {split}, {data.fps:g} fps, vertices in {data.unit}; {lips} lip and {upper} upper-face"
        " vertices.\n\n" + table(rows, COLUMNS) + f"\n{MEANING}\n"
    )


def _mask(indices: np.ndarray | None) -> dict[str, object] | None:
    if indices is None:
        return None
    digest = hashlib.sha256(np.ascontiguousarray(indices, "<i8").tobytes()).hexdigest()
    return {"count": len(indices), "sha256": digest}


def _plot(data: DataSet, prediction: Prediction, path: Path) -> None:
    """The opening of the mouth, true and predicted, and the error of the lips, with the phones below."""
    from .plots import Panel, write_curves

    path.parent.mkdir(exist_ok=True)
    clip, true = prediction.clip, data.vertices(prediction.clip)
    n = min(len(true), len(prediction.vertices))
    made, true = prediction.vertices[:n], true[:n]
    error = np.linalg.norm(made[:, data.lips] - true[:, data.lips], axis=2).max(1)
    panels = [Panel(f"largest error of a lip vertex ({data.unit})", {"": error})]
    if data.opening is not None:
        curves = {"captured": mouth_opening(true, data.opening), "predicted": mouth_opening(made, data.opening)}
        panels.insert(0, Panel(f"mouth opening ({data.unit})", curves))
    write_curves(path, clip.name, panels, data.fps, data.alignment(clip).phones)
