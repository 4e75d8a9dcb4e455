"""VOCA (Cudeiro et al., CVPR 2019; github TimoBolkart/voca) on other features: windows of sound → a linear basis.

A variant: the published networks hear DeepSpeech's 29 character scores, these a trained projection of any encoder's
hidden states, frozen. The rest is as published: 16 features at 60 Hz around every frame, zero beyond the sound, batch
normalisation over all of them, the speaker, four convolutions over time, two linear layers, 50 coefficients of a basis
of displacements, which starts as FLAME's expressions where `basis_file` has them. Losses: reconstruction and
10 · velocity. A training step takes all frames of its clips, where the published one takes 64 pairs from anywhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ...errors import InputError
from ..method import Batch, Geometry, Stage
from ..sequence_losses import reconstruction, velocity
from ..speech import IN_TIME, Speech, SpeechConfig, SpeechEncoder, sampled
from .parts import FramewisePeer

RATE = 60.0  # features a second: 16 of them are about a quarter of a second


@dataclass(frozen=True)
class NetworkConfig:
    """The published code's. `basis_file`: .npy (3 V, ≥ `basis`) that the basis starts from, such as FLAME's first
    expressions (init_expression_basis.npy of VOCA's data); without one it starts at zero."""

    features: int = 29  # of the sound
    window: int = 16
    filters: tuple[int, ...] = (32, 32, 64, 64)
    hidden: int = 128
    basis: int = 50
    basis_file: str = ""
    unit: str = "data"


@dataclass(frozen=True)
class LossConfig:
    rec: float = 1.0
    vel: float = 10.0


class WindowEncoder(nn.Module):
    """Windows (n, window, features) and speakers (n, subjects) → coefficients (n, basis), as published."""

    def __init__(self, c: NetworkConfig, subjects: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(1, eps=1e-5, momentum=0.1)  # of all features together
        width, length = c.features + subjects, c.window
        layers: list[nn.Conv1d] = []
        for filters in c.filters:
            layers.append(nn.Conv1d(width, filters, 3, stride=2))
            width, length = filters, (length + 1) // 2
            _normal(layers[-1].weight, 0.02)
            if layers[-1].bias is not None:
                _normal(layers[-1].bias, 0.02)
        self.convolutions = nn.ModuleList(layers)
        self.hidden = nn.Linear(width * length + subjects, c.hidden)
        self.coefficients = nn.Linear(c.hidden, c.basis)
        for linear in (self.hidden, self.coefficients):
            _normal(linear.weight, 0.1)
            nn.init.zeros_(linear.bias)

    def forward(self, windows: Tensor, speaker: Tensor) -> Tensor:
        x = self.norm(windows[:, None])[:, 0]
        x = torch.cat([x, speaker[:, None].expand(-1, x.shape[1], -1)], dim=-1).transpose(1, 2)
        for layer in self.convolutions:
            # TensorFlow's padding: as much as the stride needs, what is odd of it at the end.
            needed = 1 if x.shape[2] % 2 == 0 else 2
            x = torch.relu(layer(nn.functional.pad(x, (needed // 2, needed - needed // 2))))
        # TensorFlow flattens time before channels.
        x = torch.tanh(self.hidden(torch.cat([x.transpose(1, 2).flatten(1), speaker], dim=-1)))
        return self.coefficients(x)


class VOCA(FramewisePeer):
    stages = (Stage("motion"),)
    has_style = True

    def __init__(self, config: Mapping[str, Any], geometry: Geometry) -> None:
        super().__init__(config, geometry)
        tables = {"network": NetworkConfig, "speech": SpeechConfig, "losses": LossConfig}
        options = self._read(config, "voca", tables)
        c: NetworkConfig = options["network"]
        self._window, self._losses = c.window, options["losses"]
        if options["speech"].interpolate not in IN_TIME:
            raise InputError(f"[speech] interpolate of VOCA is one of {', '.join(IN_TIME)}.")
        self.speech = SpeechEncoder(options["speech"], RATE)
        self.audio = nn.Linear(self.speech.width, c.features)
        self.encoder = WindowEncoder(c, len(geometry.subjects))
        self.out = nn.Linear(c.basis, 3 * geometry.vertices)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)
        if c.basis_file:
            with torch.no_grad():
                self.out.weight.copy_(_basis(Path(c.basis_file), *self.out.weight.shape) / self.unit)

    @property
    def config(self) -> dict[str, Any]:
        out = super().config
        return {**out, "network": {**out["network"], "basis_file": ""}}

    def trained(self, stage: str) -> Sequence[nn.Module]:
        return [self]

    def generated(
        self, speech: Speech, template: Tensor, style: Tensor, frames: Tensor, fitted: bool = False
    ) -> tuple[Tensor, Tensor]:
        hidden, counts = self.speech(speech)
        audio = self.audio(hidden)
        around = torch.arange(self._window, device=audio.device) - self._window // 2
        middles = torch.arange(int(frames.max()), device=audio.device) / self.geometry.fps * RATE
        positions = (middles[:, None] + around).flatten().expand(len(audio), -1)
        inside = (positions > -1e-3) & (positions < counts[:, None])
        windows = sampled(audio, positions, counts) * inside.unsqueeze(-1)
        windows = windows.unflatten(1, (-1, self._window))
        real = torch.arange(windows.shape[1], device=audio.device)[None] < frames[:, None]
        speaker = style[:, None].expand(-1, windows.shape[1], -1)
        made = self.out(self.encoder(windows[real], speaker[real]))  # padding must not count in the norm
        return made.new_zeros(*real.shape, made.shape[1]).masked_scatter(real.unsqueeze(-1), made), frames

    def loss(self, stage: str, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        made, motion, mask = self._learned(batch)
        parts = {"rec": reconstruction(made - motion, mask), "vel": velocity(made - motion, mask)}
        return self._losses.rec * parts["rec"] + self._losses.vel * parts["vel"], parts


def _normal(weight: Tensor, deviation: float) -> None:
    nn.init.trunc_normal_(weight, std=deviation, a=-2 * deviation, b=2 * deviation)


def _basis(path: Path, size: int, count: int) -> Tensor:
    try:
        found = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise InputError(f"[network] basis_file {path} cannot be read ({error}); name a .npy of numbers.") from None
    if found.ndim != 2 or found.shape[0] != size or found.shape[1] < count or not np.isfinite(found).all():
        raise InputError(f"{path} has the shape {found.shape}; a basis of {size} × {count} or more is needed.")
    return torch.from_numpy(found[:, :count].astype(np.float32))
