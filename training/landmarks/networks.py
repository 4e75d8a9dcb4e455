"""The networks that find landmarks in pictures of depth and direction: two that look at a face, two at its features."""

from __future__ import annotations

import torch
from torch import nn

from kmtalk_core.landmarks.views import CHANNELS


def block(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
    )


class Whole(nn.Module):
    """Pictures (n, CHANNELS, s, s) → landmarks (n, marks, 3) in the picture, and whether it is a face (n,), a logit."""

    def __init__(self, marks: int, size: int, width: int = 16) -> None:
        super().__init__()
        self.marks = marks
        w = width
        self.body = nn.Sequential(
            block(CHANNELS, w, 2), block(w, 2 * w), block(2 * w, 2 * w, 2), block(2 * w, 3 * w), block(3 * w, 4 * w, 2),
            block(4 * w, 4 * w), block(4 * w, 4 * w),
        )  # fmt: skip
        self.narrow = nn.Conv2d(4 * w, 24, 1)
        self.head = nn.Sequential(nn.Linear(24 * (size // 8) ** 2, 192), nn.ReLU(inplace=True), nn.Dropout(0.1))
        self.place, self.judge = nn.Linear(192, 3 * marks), nn.Linear(192, 1)

    def forward(self, pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        hidden = self.head(self.narrow(self.body(pictures)).flatten(1))
        return self.place(hidden).reshape(-1, self.marks, 3), self.judge(hidden)[:, 0]


class Feature(nn.Module):
    """Pictures (n, CHANNELS, s, s) → landmarks (n, marks, 3): the middles of maps of where each is, and how near."""

    def __init__(self, marks: int, size: int, width: int = 16) -> None:
        super().__init__()
        self.size, w = size, width
        self.finest = nn.Sequential(nn.PixelUnshuffle(2), block(4 * CHANNELS, 2 * w), block(2 * w, 2 * w))
        self.quarter = nn.Sequential(block(2 * w, 3 * w, 2), block(3 * w, 3 * w))
        self.eighth = nn.Sequential(block(3 * w, 4 * w, 2), block(4 * w, 4 * w), block(4 * w, 4 * w))
        self.up3 = block(4 * w + 3 * w, 2 * w)
        self.up2 = block(2 * w + 2 * w, 2 * w)
        self.maps = nn.Conv2d(2 * w, 2 * marks, 1)

    def forward(self, pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The landmarks, and the logits of where they are (n, marks, s/2, s/2)."""
        half = self.finest(pictures)
        quarter = self.quarter(half)
        eighth = self.eighth(quarter)
        up = self.up3(torch.cat([nn.functional.interpolate(eighth, scale_factor=2.0), quarter], 1))
        up = self.up2(torch.cat([nn.functional.interpolate(up, scale_factor=2.0), half], 1))
        where, near = self.maps(up).chunk(2, 1)
        share = where.flatten(2).softmax(2)
        n = self.size // 2
        along = (torch.arange(n, device=pictures.device) + 0.5) / n - 0.5
        x, y = along.repeat(n), -along.repeat_interleave(n)
        placed = torch.stack([(share * x).sum(2), (share * y).sum(2), (share * near.flatten(2)).sum(2)], 2)
        return placed, where
