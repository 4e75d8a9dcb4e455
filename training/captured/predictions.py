"""Predictions of other programs: found by the names of the public codes, and refused where they cannot be judged.

A figure of predictions at another rate, in another unit, of another speaker or without the neutral face looks like any
other figure; so each of these is told, with what to do.
"""

from __future__ import annotations

import glob
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kmtalk_core.errors import InputError

from .dataset import CapturedClip, DataSet, read_vertices

RATES = (24.0, 25.0, 30.0, 48.0, 50.0, 60.0)
SAME_LENGTH = 0.02  # share by which a length may miss that of a rate
SHORTEST, LONGEST = 0.9, 1.0  # of the captured frames; s beyond them, which is cut off as the public codes do
UNITS = {1000.0: "a thousand times larger (millimetres for metres?)", 0.001: "a thousand times smaller",
         100.0: "a hundred times larger", 0.01: "a hundred times smaller"}  # fmt: skip
SAME_SIZE = (0.5, 2.0)
NEARER = 0.6  # times as far as the named subject's face: then another subject's was moved


@dataclass(frozen=True)
class Prediction:
    """(T, V, 3) of a clip, and how long the networks took for it (s; NaN where they did not run here). `condition`: the
    training subject in whose style an unseen one speaks, "" where that is not asked."""

    clip: CapturedClip
    vertices: np.ndarray
    seconds: float
    condition: str = ""

    @property
    def name(self) -> str:
        """As the public codes name their files: CLIP, or CLIP_condition_SUBJECT."""
        return f"{self.clip.name}_condition_{self.condition}" if self.condition else self.clip.name


def read_predictions(
    folder: Path, data: DataSet, clips: list[CapturedClip], fps: float | None = None
) -> Iterator[Prediction]:
    """FOLDER/CLIP.npy, or as the public codes name them, CLIP_condition_SUBJECT.npy; of a subject that was trained on
    in its own condition, of an unseen one in all that there are. `fps` of the predictions where it is not the data's: a
    multiple of it. Raises InputError for what is missing or cannot be judged."""
    step = 1
    if fps is not None:
        step = round(fps / data.fps)
        if step < 1 or abs(step * data.fps - fps) > 1e-6 * fps:
            raise InputError(f"Predictions at {fps:g} fps do not fit data at {data.fps:g}; resample them first.")
    for clip in clips:
        for path in _files(folder, clip):
            condition = path.stem.removeprefix(clip.name).removeprefix("_condition_")
            prediction = Prediction(clip, read_vertices(path, step), float("nan"), condition)
            check_prediction(prediction, data)
            yield prediction


def _files(folder: Path, clip: CapturedClip) -> list[Path]:
    plain = folder / f"{clip.name}.npy"
    if plain.is_file():
        return [plain]
    found = sorted(folder.glob(f"{glob.escape(clip.name)}_condition_*.npy"))
    own = [path for path in found if path.stem.endswith(f"_condition_{clip.subject}")]
    if not found:
        raise InputError(
            f"{folder} has no prediction {clip.name}.npy or {clip.name}_condition_SUBJECT.npy; make it, or choose"
            " another split."
        )
    return own or found


def check_prediction(prediction: Prediction, data: DataSet) -> None:
    """Raises InputError where vertices, numbers, length and rate, unit, or subject are not the captured clip's."""
    clip, vertices = prediction.clip, prediction.vertices
    template = data.templates[clip.subject]
    if vertices.shape[1] != len(template):
        raise InputError(
            f"{prediction.name}: the prediction has {vertices.shape[1]} vertices, the data {len(template)}; choose"
            " predictions on the same mesh."
        )
    if not np.isfinite(vertices).all():
        raise InputError(f"{prediction.name}: the prediction has numbers that are not finite; make it again.")
    _check_length(prediction, data)
    _check_place(prediction, data.templates)


def _check_length(prediction: Prediction, data: DataSet) -> None:
    frames, true = len(prediction.vertices), prediction.clip.frames
    for rate in RATES:
        expected = true * rate / data.fps
        # Only where that is more than the tail of a sound after its motion, or a missing end.
        far = abs(expected - true) > max(0.15 * true, 0.4 * data.fps)
        if far and abs(frames - expected) <= max(SAME_LENGTH * expected, 2):
            raise InputError(
                f"{prediction.name}: the prediction has {frames} frames, the data {true}, as {rate:g} fps would have"
                f" against {data.fps:g}; tell its rate with --prediction-fps."
            )
    if frames < SHORTEST * true or frames > true + LONGEST * data.fps:
        raise InputError(
            f"{prediction.name}: the prediction has {frames} frames, the data {true}; choose predictions for this"
            f" sentence at {data.fps:g} fps."
        )


def _check_place(prediction: Prediction, templates: Mapping[str, np.ndarray]) -> None:
    mean, own = prediction.vertices.mean(0), templates[prediction.clip.subject]
    size = _size(mean) / _size(own)
    moved = np.linalg.norm(mean, axis=1).mean() < 0.2 * np.linalg.norm(own - own.mean(0), axis=1).mean()
    if moved and size < SAME_SIZE[0]:
        raise InputError(
            f"{prediction.name}: the prediction is displacement without a face; add the subject's neutral face to it."
        )
    if not SAME_SIZE[0] <= size <= SAME_SIZE[1]:
        nearest = min(UNITS, key=lambda factor: abs(np.log(size / factor)))
        told = UNITS[nearest] if 0.5 < size / nearest < 2 else f"{size:.3g} times as large"
        raise InputError(f"{prediction.name}: the predicted face is {told}; bring it to the data's unit.")
    distances = {subject: _distance(mean, face) for subject, face in templates.items()}
    nearest_face = min(distances, key=lambda subject: distances[subject])
    if distances[nearest_face] < NEARER * distances[prediction.clip.subject]:
        raise InputError(
            f"{prediction.name}: the predicted face is that of {nearest_face}, not of {prediction.clip.subject}; the"
            " prediction must be on the neutral face of the clip's subject."
        )


def _size(face: np.ndarray) -> float:
    return float(np.linalg.norm(face - face.mean(0), axis=1).mean())


def _distance(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.linalg.norm(first - second, axis=1).mean())
