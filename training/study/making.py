"""The films of a study and its pairs. Names of films tell neither method nor sentence; only key.json does.

STUDY/public/ is what viewers get: index.html, study.json (pairs and questions) and films/; STUDY/key.json is not shown.
"""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kmtalk_core.audio import SAMPLE_RATE
from kmtalk_core.errors import InputError
from kmtalk_core.files import save_text
from training.captured.dataset import CapturedClip, DataSet
from training.captured.film import Stage, encode
from training.captured.predictions import read_predictions

CAPTURED = "captured"  # the name of the truth, where it takes part
QUESTIONS = {
    "lips": "Whose lips fit the speech better?",
    "natural": "Which face moves more naturally?",
}  # those of the papers' studies
PAGE = Path(__file__).with_name("page.html")


@dataclass(frozen=True)
class Study:
    """`films`: name → (method, sentence); `pairs`: two films of a sentence each; `questions`: key → wording."""

    films: Mapping[str, tuple[str, str]]
    pairs: tuple[tuple[str, str], ...]
    questions: Mapping[str, str]


def make_study(
    data: DataSet, split: str, methods: Mapping[str, Path | None], out: Path, clips: int, seed: int
) -> Study:
    """Write the study of `methods` (name → folder of predictions, None for the captured motion) to `out`.

    `clips` sentences are drawn from the split; every two methods meet in each of them, the seed decides names and
    order.
    Of an unseen subject's conditions the first is shown. Raises InputError for a folder that holds a study.
    """
    if len(methods) < 2:
        raise InputError("A study compares two methods or more; name them as NAME=FOLDER, or captured.")
    if (out / "key.json").exists():
        raise InputError(f"{out} holds a study; choose another folder, so that its answers keep their meaning.")
    rng, stage = np.random.default_rng(seed), Stage.of(data)
    known = data.split(split)
    chosen = [known[k] for k in sorted(rng.choice(len(known), min(clips, len(known)), replace=False))]
    films: dict[str, tuple[str, str]] = {}
    folder = out / "public" / "films"
    folder.mkdir(parents=True, exist_ok=True)
    by_clip: dict[str, list[str]] = {}
    for clip in chosen:
        for method, source in methods.items():
            name = f"{rng.integers(16**8):08x}"
            while name in films:
                name = f"{rng.integers(16**8):08x}"
            write_plain_film(folder / f"{name}.mp4", stage, data, clip, _vertices(data, clip, source))
            films[name] = (method, clip.name)
            by_clip.setdefault(clip.name, []).append(name)
    pairs = [pair for of_clip in by_clip.values() for pair in itertools.combinations(of_clip, 2)]
    pairs = [pairs[k] for k in rng.permutation(len(pairs))]
    study = Study(films, tuple(pairs), QUESTIONS)
    told = {"pairs": [{"id": n, "films": list(pair)} for n, pair in enumerate(pairs)], "questions": dict(QUESTIONS)}
    shutil.copyfile(PAGE, out / "public" / "index.html")
    save_text(json.dumps(told, indent=1) + "\n", out / "public" / "study.json")
    save_text(json.dumps({"films": films, "pairs": pairs, "questions": QUESTIONS}, indent=1) + "\n", out / "key.json")
    return study


def _vertices(data: DataSet, clip: CapturedClip, source: Path | None) -> np.ndarray:
    true = data.vertices(clip)
    if source is None:
        return true
    return next(iter(read_predictions(source, data, [clip]))).vertices[: len(true)]


def write_plain_film(path: Path, stage: Stage, data: DataSet, clip: CapturedClip, vertices: np.ndarray) -> None:
    """One face and its sound, nothing else."""
    frames = (stage.picture(face.astype(np.float64)) for face in vertices)
    encode(path, frames, data.fps, data.samples(clip)[: round(len(vertices) / data.fps * SAMPLE_RATE)])


def read_study(folder: Path) -> Study:
    """The study in a folder; raises InputError where there is none."""
    try:
        key = json.loads((folder / "key.json").read_text(encoding="utf-8"))
        films = {str(name): (str(method), str(clip)) for name, (method, clip) in key["films"].items()}
        return Study(films, tuple((str(a), str(b)) for a, b in key["pairs"]), key["questions"])
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError(f"{folder} holds no study; make one with `python -m training.study make`.") from None
