"""What the peers share: encodings and masks of FaceFormer (Fan et al., CVPR 2022), and motion made frame by frame.

Shapes: B batch, N frames at the geometry's frame rate, d model width, C = 3 × vertices.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import InputError
from ..method import Geometry, Keys, Method, options_of
from ..speech import Speech, SpeechConfig, SpeechEncoder, sampled


def periodic_encoding(frames: int, d_model: int, period: int) -> Tensor:
    """(N, d): sinusoidal positions that repeat every `period` frames, so that longer sequences look familiar."""
    position = (torch.arange(frames) % period).float()[:, None]
    rate = torch.exp(torch.arange(0, d_model, 2).float() * (-math.log(10000.0) / d_model))
    return torch.stack([torch.sin(position * rate), torch.cos(position * rate)], -1).flatten(1)[:, :d_model]


def biased_causal_mask(heads: int, frames: int, period: int) -> Tensor:
    """(heads, N, N), added to attention: nothing of the future, the past falls off by period (ALiBi's slopes)."""
    slopes = 2.0 ** (-8.0 / heads * torch.arange(1, heads + 1))
    behind = torch.arange(frames)[:, None] - torch.arange(frames)[None]
    bias = -torch.div(behind.clamp(min=0), period, rounding_mode="floor") * slopes[:, None, None]
    return bias.masked_fill(behind < 0, float("-inf"))


def alignment_mask(frames: int) -> Tensor:
    """(N, N), True where attention to the sound is forbidden: every frame hears its own features alone."""
    return ~torch.eye(frames, dtype=torch.bool)


class AlignedDecoder(nn.Module):
    """FaceFormer's transformer decoder: biased causal self-attention, and cross-attention aligned with the sound."""

    def __init__(self, d_model: int, heads: int, layers: int, period: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.period = heads, period
        layer = nn.TransformerDecoderLayer(d_model, heads, 2 * d_model, dropout, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.TransformerDecoder(layer, layers)

    def forward(self, x: Tensor, audio: Tensor) -> Tensor:
        """(B, N, d) tokens, and features (B, N' ≥ N, d) of the sound → (B, N, d). Both masks keep padding harmless."""
        frames = x.shape[1]
        x = self.dropout(x + periodic_encoding(frames, x.shape[2], self.period).to(x))
        bias = biased_causal_mask(self.heads, frames, self.period).to(x).repeat(len(x), 1, 1)
        return self.layers(x, audio[:, :frames], bias, alignment_mask(frames).to(x.device))


class FramewisePeer(Method):
    """A method whose networks make one pose a frame of its training's rate; other times lie between two of them."""

    def _read(self, config: Mapping[str, Any], name: str, tables: Mapping[str, type]) -> dict[str, Any]:
        """The tables of a configuration as their dataclasses; raises InputError for what nobody reads."""
        if strange := [key for key in config if key not in tables]:
            raise InputError(f"The method {name} has no table [{strange[0]}]; it knows {', '.join(tables)}.")
        self._options = {
            key: kind(**options_of(config, key, [f.name for f in fields(kind)])) for key, kind in tables.items()
        }
        return self._options

    def _encoder(self, config: SpeechConfig, geometry: Geometry, d_model: int) -> None:
        self.speech = SpeechEncoder(config, geometry.fps)
        self.audio = nn.Linear(self.speech.width, d_model)

    @property
    def config(self) -> dict[str, Any]:
        out = {key: asdict(options) for key, options in self._options.items()}
        out["speech"] = {**out["speech"], "source": "", "architecture": self.speech.architecture}
        return out

    def heard(self, speech: Speech, frames: int) -> Tensor:
        """A (B, N, d) at the geometry's rate; beyond the end of a sound its last frame goes on."""
        hidden, counts = self.speech(speech)
        positions = torch.arange(frames, device=hidden.device).float().expand(len(hidden), -1)
        return sampled(self.audio(hidden), positions, counts)

    @abstractmethod
    def generated(self, speech: Speech, template: Tensor, style: Tensor, frames: Tensor) -> Tensor:
        """Displacement (B, N, C) in units of the geometry, of which `frames` (B,) are wanted of each clip."""

    def infer(
        self,
        speech: Speech,
        template: Tensor,
        style: Tensor,
        times: Tensor,
        keys: Keys | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        real = times if mask is None else torch.where(mask, times, 0.0)
        positions = real * self.geometry.fps
        frames = torch.ceil(positions.max(1).values - 1e-3).long() + 1
        motion = self.generated(speech, template, style, frames).float() * self.geometry.unit
        return sampled(motion, positions, frames)
