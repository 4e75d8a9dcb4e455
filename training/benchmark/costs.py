"""What each system costs on a data set, measured in a process of its own: `python -m training.benchmark.costs …`.

Parameters, seconds for a training step and for inference with and without localization, peak memory of either. Each
result is kept in a file, which belongs to the recipe and the device that it was measured with.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from kmtalk_core.animator import Animator, Request
from kmtalk_core.audio import SAMPLE_RATE, Sound
from kmtalk_core.errors import KMTalkError
from kmtalk_core.files import save_text
from kmtalk_core.localization import LOCALIZERS
from kmtalk_core.networks.method import Batch, Keys, load_method, make_method
from kmtalk_core.networks.speech import Speech, normalised
from training.captured.architectures import unfetched
from training.captured.config import read_recipe
from training.captured.dataset import DataSet, collate
from training.captured.speed import inference, median, peak_memory, training_step, used_parameters

SECONDS = 10.0  # of speech for inference
REPEATS = 3
EVERY = 3  # a key instant every so many frames
LOCALIZED = ("kmtalk",)  # methods that need key instants


@dataclass(frozen=True)
class Costs:
    """`parameters` that inference uses, in millions; `inference` and `localization` in s for SECONDS of speech, the
    latter 0 for methods that need none; `steps`: stage → s for a training step with the recipe's batch; peak memory in
    MiB, NaN where it cannot be told. Memory of a CPU is that of the whole process, `base` of it before any network."""

    device: str
    parameters: float
    inference: float
    localization: float
    steps: Mapping[str, float]
    base_memory: float
    inference_memory: float
    training_memory: float


def costs(checkpoint: Path, recipe: Path, data: Path, device: str, out: Path, threads: int) -> Costs:
    """What `out` holds, or measured there by another process. Raises KMTalkError where that fails."""
    mark = f"{recipe.read_text(encoding='utf-8')}\n{device} {threads}"
    try:
        content = json.loads(out.read_text(encoding="utf-8"))
        if content.pop("of") == mark:
            return Costs(**content)
    except (OSError, ValueError, KeyError, TypeError):
        pass
    words = ["--checkpoint", checkpoint, "--recipe", recipe, "--data", data, "--device", device, "--threads", threads]
    done = subprocess.run(
        [sys.executable, "-m", "training.benchmark.costs", *map(str, words)], capture_output=True, text=True
    )
    if done.returncode:
        told = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise KMTalkError(f"The costs of {checkpoint.stem} could not be measured on {device}: {told}")
    found = Costs(**json.loads(done.stdout.splitlines()[-1]))
    save_text(json.dumps({"of": mark, **asdict(found)}) + "\n", out)
    return found


def measure(checkpoint: Path, recipe_file: Path, data: DataSet, device: torch.device) -> Costs:
    """Measure here, with nothing else in memory."""
    torch.manual_seed(0)
    base = peak_memory(device)
    samples = _speech(data)
    method = load_method(checkpoint).to(device)
    seconds = median(inference(method, _asked(data, samples).to(device)), REPEATS, device)
    of_inference, parameters = peak_memory(device), used_parameters(method)
    del method
    recipe = read_recipe(recipe_file)
    trained = make_method(recipe.method, unfetched(recipe.method, recipe.tables), data.geometry()).to(device)
    steps = {}
    for stage in recipe.stages or [stage.name for stage in trained.stages]:
        options = recipe.stage(stage)
        clips = collate(data, data.split("train")[: options.batch], recipe.keys).to(device)
        steps[stage] = median(training_step(trained, stage, clips, options.precision), REPEATS, device)
    of_training = peak_memory(device)
    localization = _localization(data, samples) if recipe.method in LOCALIZED else 0.0
    return Costs(_named(device), parameters, seconds, localization, steps, base, of_inference, of_training)


def _speech(data: DataSet) -> np.ndarray:
    """SECONDS of the data set's speech, (n,) float32 at 16 kHz."""
    wanted = round(SECONDS * SAMPLE_RATE)
    parts: list[np.ndarray] = []
    clips = list(data.clips.values())
    while sum(len(part) for part in parts) < wanted:
        parts.append(data.samples(clips[len(parts) % len(clips)]))
    return np.concatenate(parts)[:wanted]


def _asked(data: DataSet, samples: np.ndarray) -> Batch:
    """The speech as a batch of one, with key instants at a third of the frames."""
    clip = data.split("train")[0]
    frames = round(len(samples) / SAMPLE_RATE * data.fps)
    key_frames = torch.unique(torch.cat([torch.arange(0, frames, EVERY), torch.tensor([frames - 1])]))[None]
    template = torch.from_numpy(data.templates[clip.subject].reshape(1, -1).astype(np.float32))
    nothing = torch.zeros(1, 0)
    return Batch(
        speech=Speech(normalised(torch.from_numpy(samples))[None], torch.tensor([len(samples)])),
        template=template,
        style=torch.eye(len(data.training_subjects))[:1],
        times=torch.arange(frames)[None] / data.fps,
        mask=torch.ones(1, frames, dtype=torch.bool),
        motion=nothing,
        keys=Keys(key_frames / data.fps, torch.ones_like(key_frames, dtype=torch.bool)),
        key_frames=key_frames,
        text=nothing.long(),
        text_lengths=torch.zeros(1, dtype=torch.long),
    )


def _localization(data: DataSet, samples: np.ndarray) -> float:
    """Seconds in which the data's localizer, or the shipped one, finds the phones; it runs on the processor."""
    localizer = data.localizations[0] if data.localizations[0] in LOCALIZERS else "posterior"
    animator, sound = Animator(), Sound(samples, "0" * 64, "speech.wav")
    return median(lambda: animator.align(sound, Request(localizer=localizer)), REPEATS, torch.device("cpu"))


def _named(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU, {torch.get_num_threads()} thread{'s' * (torch.get_num_threads() > 1)}"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m training.benchmark.costs")
    for name in ("checkpoint", "recipe", "data"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--device", required=True)
    parser.add_argument("--threads", type=int, required=True)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    try:
        found = measure(options.checkpoint, options.recipe, DataSet(options.data), torch.device(options.device))
    except KMTalkError as error:
        print(error, file=sys.stderr)
        return 1
    print(json.dumps(asdict(found)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
