"""`python -m benchmarks.paper_speed`: paper-scale KMTalk against networks of the published layer sizes, in one run.

Weights are random, since speed does not depend on them: training/configs/METHOD_vocaset.toml with wav2vec 2.0 base
(KMTalk, FaceFormer, CodeTalker) and large (SelfTalk), on FLAME's 5,023 vertices at 30 fps; the faces that OT-Talk needs
are a sheet's, twice as many as vertices, as FLAME's are. Inference is what `infer`
does at batch 1, from samples to vertices, key instants given at a third of the frames; a training step is loss,
backward pass and Adam for one clip, once for each stage.
"""

from __future__ import annotations

import argparse
import gc
import os
import platform
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from kmtalk_core.networks.method import Batch, Geometry, Keys, make_method
from kmtalk_core.networks.speech import SAMPLE_RATE, Speech
from training.captured.architectures import unfetched
from training.captured.config import PRECISIONS
from training.captured.speed import inference, median, training_step, used_parameters

CONFIGS = Path(__file__).parents[1] / "training" / "configs"
METHODS = ("kmtalk", "voca", "meshtalk", "faceformer", "codetalker", "selftalk", "ottalk")
FPS, SUBJECTS, LIPS = 30.0, 8, 254
CLIP = 4.0  # s of a training clip, as long as VOCASET's sentences are


@dataclass(frozen=True)
class Speed:
    """`parameters` that inference uses, in millions; times in s; `steps`: stage → s for a training step."""

    parameters: float
    inference: float
    steps: dict[str, float]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.paper_speed", description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--seconds", type=float, default=5.0, help="of speech (5)")
    parser.add_argument("--vertices", type=int, default=5023)
    parser.add_argument("--repeats", type=int, default=3, help="the median counts (3)")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--no-training", action="store_true", help="inference only; SelfTalk's training takes 7 GB")
    parser.add_argument("--precision", choices=PRECISIONS, default="float32", help="of training steps (float32)")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {options.threads} thread(s)"
    print(
        f"{where} ({os.cpu_count()} cores, {platform.system()} {platform.machine()}), torch {torch.__version__}; ",
        end="",
    )
    print(f"{options.seconds:g} s of speech, {options.vertices:,} vertices, steps in {options.precision}\n")
    print("| method | parameters | inference | × real time | against KMTalk | training step (4-s clip) |")
    print("|---|---|---|---|---|---|", flush=True)
    first: float | None = None
    for name in options.methods:
        train = not options.no_training
        speed = measure(name, options.vertices, options.seconds, device, options.repeats, train, options.precision)
        first = speed.inference if first is None and name == "kmtalk" else first
        ratio = "–" if first is None else f"{speed.inference / first:.2f} × as long"
        steps = ", ".join(f"{stage} {s:.2f} s" for stage, s in speed.steps.items()) or "–"
        print(
            f"| {name} | {speed.parameters:.0f} M | {speed.inference:.3f} s | {options.seconds / speed.inference:.1f}"
            f" | {ratio} | {steps} |",
            flush=True,
        )
        gc.collect()


def measure(
    name: str, vertices: int, seconds: float, device: torch.device, repeats: int, training: bool, precision: str
) -> Speed:
    """One method, alone in memory."""
    torch.manual_seed(0)
    lips = np.arange(min(LIPS, vertices))
    geometry = Geometry(vertices, FPS, lips, lips, ("s",) * SUBJECTS, 0.002, sheet(vertices))
    method = make_method(name, published_sizes(name, training), geometry).to(device)
    inferred = median(inference(method, batch_of(geometry, seconds, device)), repeats, device)
    steps = {}
    if training:
        clip = batch_of(geometry, CLIP, device)
        for stage in method.stages:
            steps[stage.name] = median(training_step(method, stage.name, clip, precision), repeats, device)
    return Speed(used_parameters(method), inferred, steps)


def published_sizes(name: str, with_lip_reading: bool) -> dict[str, Any]:
    """The tables of the preset for VOCASET with random encoders of the same architecture."""
    content = tomllib.loads((CONFIGS / f"{name}_vocaset.toml").read_text(encoding="utf-8"))
    known = ("network", "codebook", "speech", "losses", "lip_reading")
    tables: dict[str, Any] = {key: content[key] for key in known if key in content}
    if not with_lip_reading:
        tables.pop("lip_reading", None)
    return unfetched(name, tables)


def sheet(vertices: int) -> np.ndarray:
    """(F, 3) triangles of a square sheet over most of the vertices, some two for each."""
    columns = int(vertices**0.5)
    corner = (np.arange(vertices // columns - 1)[:, None] * columns + np.arange(columns - 1)).ravel()
    first = np.stack([corner, corner + 1, corner + columns], 1)
    return np.concatenate([first, first[:, ::-1] + [0, 0, columns + 1]])


def batch_of(geometry: Geometry, seconds: float, device: torch.device) -> Batch:
    """A clip of noise with random motion."""
    generator = torch.Generator().manual_seed(0)
    frames = int(seconds * FPS)
    samples = torch.randn(1, round(seconds * SAMPLE_RATE), generator=generator)
    key_frames = torch.unique(torch.cat([torch.arange(0, frames, 3), torch.tensor([frames - 1])]))[None]
    times = torch.arange(frames)[None] / FPS
    batch = Batch(
        speech=Speech(samples, torch.tensor([samples.shape[1]])),
        template=torch.randn(1, 3 * geometry.vertices, generator=generator),
        style=torch.eye(SUBJECTS)[:1],
        times=times,
        mask=torch.ones(1, frames, dtype=torch.bool),
        motion=geometry.unit * torch.randn(1, frames, 3 * geometry.vertices, generator=generator),
        keys=Keys(key_frames / FPS, torch.ones_like(key_frames, dtype=torch.bool)),
        key_frames=key_frames,
        text=torch.ones(1, 20, dtype=torch.long),
        text_lengths=torch.tensor([20]),
    )
    return batch.to(device)


if __name__ == "__main__":
    main()
