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

from . import likeness as real_faces
from .dataset import CapturedClip, DataSet, KeyChoice, collate
from .likeness import Likeness, curves_of_head, likeness, summarized, voiced
from .metrics import Sentence, diversity, intensity_correlation, measure, mouth_opening, summary, table
from .predictions import Prediction

COLUMNS = (
    "sentences", "lve_code", "fdd_code", "lve", "fdd", "mve", "eve", "opening", "closure", "sync", "sync_r", "mtm",
    "mtm_met", "slcc", "slcc_true", "diversity",
)  # fmt: skip
VERTEX_ERRORS = "vertex_errors.npz"  # `mean` (V,): of every vertex over all frames, in the data's unit
MEANING = (
    "lve_code, fdd_code: squared distances, as CodeTalker's evaluation code (fdd signed: true minus predicted); lve,"
    " fdd: distances, as the papers word it; closure: mean share of closed frames that are open and of open frames that"
    " are closed, 0.5 for a mouth that stands still; sync and mtm in ms, mtm_met: share of the true extrema that mtm is"
    " of; slcc: correlation of the lips' speed with loudness, to be compared with that of the captured lips, slcc_true."
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


def compare_with_person(data: DataSet, prediction: Prediction) -> Likeness | None:
    """The prediction against the tracked person, or where none was kept, the captured head; None without landmarks."""
    if data.landmarks is None:
        return None
    clip = prediction.clip
    template = data.templates[clip.subject]
    person = data.person(clip)
    if person is None:
        person = curves_of_head(data.vertices(clip), template, data.landmarks)
    spoken = voiced(data.alignment(clip).phones, clip.frames, data.fps)
    return likeness(person, curves_of_head(prediction.vertices, template, data.landmarks), spoken, data.fps)


@dataclass(frozen=True)
class Judged:
    """A prediction without its vertices, and what was found of it."""

    prediction: Prediction
    sentence: Sentence
    likeness: Likeness | None

    @property
    def row(self) -> dict[str, object]:
        """A row of sentences.csv."""
        clip = self.prediction.clip
        who = {"clip": clip.name, "subject": clip.subject, "condition": self.prediction.condition}
        return {**who, **asdict(self.sentence), **({} if self.likeness is None else asdict(self.likeness))}


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
        self._filmed = 0

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
        if self._filmed < self._extras.films:
            from .film import write_film

            (self._out / "films").mkdir(exist_ok=True)
            path, data = self._out / "films" / f"{prediction.name}.mp4", self._data
            told = (data.fps, data.samples(clip), data.alignment(clip).phones, self._name)
            write_film(path, self._stage, prediction.vertices, true, *told)
            self._filmed += 1

    def finish(self, errors: np.ndarray) -> None:
        """The mean error of every vertex (V,) over all frames, as heat on a template: error_map.png."""
        if self._stage is None or not self._extras.plots:
            return
        from PIL import Image

        with written_whole(self._out / "error_map.png") as partial:
            Image.fromarray(self._stage.error_map(errors)).save(partial)


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
    judged: list[Judged] = []
    spreads: list[float] = []
    errors, frames = np.zeros(len(next(iter(data.templates.values())))), 0
    total = len(data.split(split))
    bar = tqdm(total=total, desc=split, disable=not sys.stderr.isatty())
    for _, of_clip in itertools.groupby(predictions, key=lambda prediction: prediction.clip.name):
        conditions: list[np.ndarray] = []
        for prediction in of_clip:
            found = judge(data, prediction), compare_with_person(data, prediction)
            judged.append(Judged(replace(prediction, vertices=np.zeros(0)), *found))
            pictures.add(prediction)
            true = data.vertices(prediction.clip)[: len(prediction.vertices)]
            errors += np.linalg.norm(prediction.vertices[: len(true)] - true, axis=2).sum(0, dtype=np.float64)
            frames += len(true)
            conditions.append(prediction.vertices)
        spreads.append(diversity(conditions))
        bar.update()
    bar.close()
    pictures.finish(errors / frames)
    figures = _figures(data, judged, spreads)
    with written_whole(out / "sentences.csv") as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(judged[0].row))
        writer.writeheader()
        writer.writerows(one.row for one in judged)
    masks = {"lips": _mask(data.lips), "upper_face": _mask(data.upper_face), "opening": _mask(data.opening)}
    about = {"method": name, "data": data.name, "split": split, "unit": data.unit, "figures": figures, "masks": masks}
    with written_whole(out / "summary.json") as partial:
        partial.write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    save_npz({"lips": data.lips, "upper_face": data.upper_face}, out / "masks.npz")
    save_npz({"mean": (errors / frames).astype(np.float32)}, out / VERTEX_ERRORS)
    with written_whole(out / "table.md") as partial:
        partial.write_text(report(data, split, {name: figures}), encoding="utf-8")
    return figures


def _figures(data: DataSet, judged: list[Judged], spreads: list[float]) -> dict[str, float]:
    """The summary, with what needs more than one sentence or the sound."""
    sentences = [one.sentence for one in judged]
    figures = summary(sentences)
    if alike := [one.likeness for one in judged if one.likeness is not None]:
        figures |= summarized(alike)
    names = [one.prediction.clip.name for one in judged]
    figures["sentences"] = len(set(names))
    subjects = [one.prediction.clip.subject for one in judged]
    loudness = {name: float(np.sqrt(np.mean(np.square(data.samples(data.clips[name]))))) for name in set(names)}
    heard = [loudness[name] for name in names]
    figures["slcc"] = intensity_correlation([s.intensity for s in sentences], heard, subjects)
    figures["slcc_true"] = intensity_correlation([s.true_intensity for s in sentences], heard, subjects)
    known = [spread for spread in spreads if spread == spread]
    figures["diversity"] = sum(known) / len(known) if known else float("nan")
    seconds = sum(one.prediction.seconds for one in judged)
    figures["times_real_time"] = figures["frames"] / data.fps / seconds if seconds else float("nan")
    return figures


def report(data: DataSet, split: str, rows: Mapping[str, Mapping[str, float | str]]) -> str:
    """The table with what its columns mean."""
    lips, upper = len(np.unique(data.lips)), len(data.upper_face)
    return (
        f"{data.name}, split {split}, {data.fps:g} fps, vertices in {data.unit}; {lips} lip and {upper} upper-face"
        " vertices.\n\n" + table(rows, COLUMNS) + f"\n{MEANING}\n" + likeness_table(rows)
    )


def likeness_table(rows: Mapping[str, Mapping[str, float | str]]) -> str:
    """A second table, against the persons, with what its columns mean; "" where no row has these figures."""
    known = {name: row for name, row in rows.items() if real_faces.FIGURES[0] in row}
    return f"\n{table(known, real_faces.FIGURES)}\n{real_faces.MEANING}\n" if known else ""


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
