"""Train the network of `kmtalk_core.sound_kinds` on scenes; what `near` needs, too."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from kmtalk_core.assets import COMPACT_CHECKPOINT
from kmtalk_core.audio import load_sound
from kmtalk_core.checkpoint import load_checkpoint
from kmtalk_core.convolutions import DILATIONS, TAPS
from kmtalk_core.features import log_mel
from kmtalk_core.files import save_sealed
from kmtalk_core.phones import PHONE_INDEX, SILENCE
from kmtalk_core.runtime.onnx_backend import OnnxBackend
from kmtalk_core.sound_kinds import INPUTS, KINDS, WIDTH, network_input

from .scenes import Scene, make_scene
from .sources import SPEECH, recorded

KEPT_OUT = "3"  # speakers whose number ends so judge, here as everywhere
SPEAKING = 0.5  # chance of silence below which a frame of a clean recording is speech
BATCH, RATE_OF_LEARNING = 32, 2e-3

Heard = tuple[np.ndarray, np.ndarray]  # what the network hears of a scene, and its kinds


class Encoder:
    """The compact model's ear."""

    def __init__(self) -> None:
        self._backend = OnnxBackend(load_checkpoint(COMPACT_CHECKPOINT))

    def __call__(self, samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(n,) samples → log-mel at 100 Hz, log-posteriors at 50 Hz."""
        mel = log_mel(samples)
        _, logits, _ = self._backend.encode(mel)
        top = logits.max(1, keepdims=True)
        return mel, logits - top - np.log(np.exp(logits - top).sum(1, keepdims=True))


class Network(nn.Module):
    """As `convolutions.Convolutions`."""

    def __init__(self, inputs: int = INPUTS, width: int = WIDTH, outputs: int = len(KINDS)) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Conv1d(inputs if number == 0 else width, width, TAPS, padding=TAPS // 2 * d, dilation=d)
            for number, d in enumerate(DILATIONS)
        )
        self.head = nn.Linear(width, outputs)
        self.dropout = nn.Dropout(0.15)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, n, inputs) → (B, n, outputs) logits."""
        x = x.transpose(1, 2)
        for number, layer in enumerate(self.layers):
            y = self.dropout(torch.relu(layer(x)))
            x = y if number == 0 else x + y
        return self.head(x.transpose(1, 2))


def readers(folder: Path, encoder: Encoder) -> list[tuple[np.ndarray, np.ndarray]]:
    """Everybody below `folder` who is not kept out: samples, and the frames in which they speak."""
    out = []
    for path in sorted(folder.rglob("*.flac")):
        if path.stem.partition("-")[0].endswith(KEPT_OUT):
            continue
        samples = load_sound(path).samples
        posteriors = encoder(samples)[1]
        said = np.exp(posteriors[:, PHONE_INDEX[SILENCE]]) < SPEAKING
        out.append((samples, said[: len(samples) // 320]))
    return out


def heard_scenes(
    count: int,
    seed: int,
    encoder: Encoder,
    speech: Sequence[tuple[np.ndarray, np.ndarray]],
    sounds: Mapping[str, Sequence[np.ndarray]],
) -> Iterator[Heard]:
    """`count` scenes as the network hears them."""
    for number in range(count):
        scene: Scene = make_scene(np.random.default_rng([seed, number]), speech, sounds)
        x = network_input(*encoder(scene.samples))
        yield x[: len(scene.kinds)].astype(np.float16), scene.kinds[: len(x)]


def sounds_of(folder: Path) -> dict[str, list[np.ndarray]]:
    """Kind → the recordings below `folder`."""
    out: dict[str, list[np.ndarray]] = {}
    for uttered in recorded(folder):
        out.setdefault("words" if uttered.kind == SPEECH else uttered.kind, []).append(uttered.samples)
    return out


def train(scenes: Sequence[Heard], steps: int, seed: int, tell: Callable[[str], None] = print) -> Network:
    """Cross-entropy with the kinds weighted by how rare they are."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    frames = np.bincount(np.concatenate([kinds for _, kinds in scenes]), minlength=len(KINDS))
    weight = torch.tensor((frames.sum() / len(KINDS) / np.maximum(frames, 1)) ** 0.4, dtype=torch.float32)
    network = Network()

    def loss() -> torch.Tensor:
        some = [scenes[n] for n in rng.integers(len(scenes), size=BATCH)]
        x = torch.tensor(np.stack([x for x, _ in some]), dtype=torch.float32)
        y = torch.tensor(np.stack([kinds for _, kinds in some]), dtype=torch.long)
        # Spectra are tilted anew each time, so that no microphone is learned.
        tilt = torch.tensor(
            rng.normal(0, 0.15, (BATCH, 1, 1)) + rng.normal(0, 0.01, (BATCH, 1, 1)) * np.arange(-32, 32)
        )
        x[:, :, :64] += tilt.float()
        x[:, :, 64:128] += tilt.float()
        return nn.functional.cross_entropy(network(x).flatten(0, 1), y.flatten(), weight=weight, label_smoothing=0.03)

    return fit(network, steps, loss, tell)


def command_line(module: str, said: str, out: Path, scenes: int, steps: int) -> argparse.ArgumentParser:
    """The options of both trainings; `said` is the module's docstring, `out` where its network ships."""
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=said.split("\n")[0])
    parser.add_argument("--real-speech", type=Path, required=True, metavar="DIR", help="folder of .flac files")
    parser.add_argument("--out", type=Path, default=out, metavar="FILE", help="default: where it ships")
    parser.add_argument("--scenes", type=int, default=scenes, help=f"how many of 8 s ({scenes})")
    parser.add_argument("--steps", type=int, default=steps, help=f"of training ({steps})")
    return parser


def fit(
    network: Network, steps: int, loss_of_a_batch: Callable[[], torch.Tensor], tell: Callable[[str], None]
) -> Network:
    """Lower the loss of batches, each drawn anew."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=RATE_OF_LEARNING, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE_OF_LEARNING, steps, pct_start=0.1)
    shown = 0.0
    for step in range(1, steps + 1):
        loss = loss_of_a_batch()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        shown = 0.98 * shown + 0.02 * float(loss.detach())
        if step % 100 == 0:
            tell(f"step {step}: loss {shown / (1 - 0.98**step):.3f}")
    return network.eval()


def save(network: Network, path: Path, about: Mapping[str, object]) -> str:
    """Write the weights as `convolutions` reads them; returns the checksum."""
    arrays = {}
    learned = network.state_dict()
    for number in range(len(DILATIONS)):
        weight = learned[f"layers.{number}.weight"]
        arrays[f"layer{number}.weights"] = weight.permute(2, 1, 0).reshape(-1, len(weight)).numpy()
        arrays[f"layer{number}.bias"] = learned[f"layers.{number}.bias"].numpy()
    arrays["head.weights"] = learned["head.weight"].T.numpy()
    arrays["head.bias"] = learned["head.bias"].numpy()
    weights = {name: array.astype(np.float16) for name, array in arrays.items()}
    return save_sealed({**weights, "config": np.array(json.dumps(about))}, path)
