"""Training of the finder's networks on written pictures; a few minutes each on one core."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from kmtalk_core.files import load_npz
from kmtalk_core.landmarks.crops import ANYWHERE, FACE, MOUTH_CROP, PARTNER, Crop

from .networks import Feature, Whole
from .pictures import STEPS

BATCH = 48
RATE = 2e-3
BLUR = 0.9  # of a map's cells: how wide the place of a landmark is told
KEPT_OUT = 12  # every so many files are for validation


@dataclass(frozen=True)
class Lesson:
    """Pictures (n, channels, s, s) int8, landmarks (n, marks, 3), and whether there is a face (n,)."""

    pictures: np.ndarray
    marks: np.ndarray
    true: np.ndarray


def network(crop: Crop) -> nn.Module:
    return (Whole if crop is ANYWHERE else Feature)(len(crop.marks), crop.size)


def read(folders: list[Path], crop: Crop) -> tuple[Lesson, Lesson]:
    """What to learn from, and what to judge by."""
    files = [path for folder in folders for path in sorted(folder.glob("*.npz"))]
    names = [f"{crop.name}_pictures", f"{crop.name}_marks", "anywhere_true"]
    parts = []
    for chosen in (
        [path for k, path in enumerate(files) if k % KEPT_OUT != KEPT_OUT - 1],
        [path for k, path in enumerate(files) if k % KEPT_OUT == KEPT_OUT - 1] or files[:1],
    ):
        rows = [load_npz(path, names) for path in chosen]
        pictures = np.concatenate([row[names[0]] for row in rows])
        true = np.concatenate([row[names[2]] for row in rows]) if crop is ANYWHERE else np.ones(len(pictures))
        parts.append(Lesson(pictures, np.concatenate([row[names[1]] for row in rows]), true.astype(np.float32)))
    return parts[0], parts[1]


def learn(
    crop: Crop, lesson: Lesson, judge: Lesson, epochs: int, seed: int, say: Callable[[str], None] = print
) -> nn.Module:
    """Train one network; the same seed and pictures give the same network on the same machine."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    net = network(crop)
    steps = epochs * (len(lesson.pictures) // BATCH)
    optimizer = torch.optim.AdamW(net.parameters(), RATE, weight_decay=1e-3)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=max(steps, 1), pct_start=0.15)
    for epoch in range(epochs):
        net.train()
        order, losses = rng.permutation(len(lesson.pictures)), []
        for first in range(0, len(order) - BATCH + 1, BATCH):
            some = np.sort(order[first : first + BATCH])
            loss = _loss(net, *_batch(crop, lesson, some, rng))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            rate.step()
            losses.append(float(loss.detach()))
        say(f"{crop.name} {epoch + 1}/{epochs}: loss {np.mean(losses):.4f}, {_judged(net, crop, judge)}")
    return net.eval()


def _batch(
    crop: Crop, lesson: Lesson, some: np.ndarray, rng: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    pictures = torch.from_numpy(lesson.pictures[some]).float() / STEPS
    marks = torch.from_numpy(lesson.marks[some])
    if crop in (ANYWHERE, FACE, MOUTH_CROP):
        flip = torch.from_numpy(rng.random(len(some)) < 0.5)
        order = PARTNER if len(crop.marks) == 68 else PARTNER[crop.marks] - crop.marks[0]
        other = pictures.flip(-1)
        other[:, 0] *= -1
        pictures = torch.where(flip[:, None, None, None], other, pictures)
        marks = torch.where(flip[:, None, None], marks[:, order] * torch.tensor([-1.0, 1.0, 1.0]), marks)
    rough = torch.from_numpy(rng.random(len(some)) < 0.3).float()[:, None, None, None] * 0.08
    pictures[:, :4] += torch.randn(pictures[:, :4].shape) * rough
    return pictures, marks, torch.from_numpy(lesson.true[some])


def _loss(net: nn.Module, pictures: torch.Tensor, marks: torch.Tensor, true: torch.Tensor) -> torch.Tensor:
    placed, other = net(pictures)
    off = nn.functional.smooth_l1_loss(placed, marks, beta=0.01, reduction="none").mean((1, 2))
    if isinstance(net, Whole):
        return 20 * (off * true).sum() / true.sum().clamp(min=1) + nn.functional.binary_cross_entropy_with_logits(
            other, true
        )
    return 20 * off.mean() + 0.2 * _blurred(other, marks)


def _blurred(where: torch.Tensor, marks: torch.Tensor) -> torch.Tensor:
    """Cross entropy between the maps and small bumps at the landmarks."""
    n = where.shape[-1]
    along = (torch.arange(n) + 0.5) / n - 0.5
    x = (along[None, None, None, :] - marks[:, :, 0, None, None]) * n / BLUR
    y = (-along[None, None, :, None] - marks[:, :, 1, None, None]) * n / BLUR
    wanted = (-0.5 * (x**2 + y**2)).flatten(2).softmax(2)
    return -(wanted * where.flatten(2).log_softmax(2)).sum(2).mean()


@torch.no_grad()
def _judged(net: nn.Module, crop: Crop, judge: Lesson) -> str:
    net.eval()
    off, right = [], []
    for first in range(0, len(judge.pictures), 200):
        some = slice(first, first + 200)
        placed, other = net(torch.from_numpy(judge.pictures[some]).float() / STEPS)
        true = judge.true[some] > 0
        off.append((placed.numpy() - judge.marks[some])[true])
        if isinstance(net, Whole):
            right.append((other.numpy() > 0) == true)
    error = np.linalg.norm(np.concatenate(off)[..., :2], axis=-1)
    text = f"off by {100 * np.median(error):.2f} % of the picture (95 %: {100 * np.quantile(error, 0.95):.2f})"
    return text + (f", judged right {np.concatenate(right).mean():.3f}" if crop is ANYWHERE else "")
