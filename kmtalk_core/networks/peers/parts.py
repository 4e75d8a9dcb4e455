"""What the peers share: encodings and masks of FaceFormer (Fan et al., CVPR 2022), and motion made frame by frame.

Shapes: B batch, N frames at the geometry's frame rate, k features of the sound a frame, d model width, C = 3 ×
vertices.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ...errors import InputError
from ..method import Batch, Geometry, Method, Wanted, options_of
from ..speech import IN_TIME, Speech, SpeechConfig, SpeechEncoder, sampled

UNITS = ("data", "rms")
FIRST_ROOM = 256  # tokens of a past that are made room for at once


def periodic_encoding(frames: int, d_model: int, period: int, first: int = 0) -> Tensor:
    """(N, d): sinusoidal positions that repeat every `period` frames, so that longer sequences look familiar; those of
    `frames` frames from the `first` on."""
    position = (torch.arange(first, first + frames) % period).float()[:, None]
    rate = torch.exp(torch.arange(0, d_model, 2).float() * (-math.log(10000.0) / d_model))
    return torch.stack([torch.sin(position * rate), torch.cos(position * rate)], -1).flatten(1)[:, :d_model]


def biased_causal_mask(heads: int, frames: int, period: int, first: int = 0) -> Tensor:
    """(heads, N, N), added to attention: nothing of the future, the past falls off by period (ALiBi's slopes). Of `N`
    rows those from the `first` on."""
    slopes = 2.0 ** (-8.0 / heads * torch.arange(1, heads + 1))
    behind = torch.arange(first, frames)[:, None] - torch.arange(frames)[None]
    bias = -torch.div(behind.clamp(min=0), period, rounding_mode="floor") * slopes[:, None, None]
    return bias.masked_fill(behind < 0, float("-inf"))


def alignment_mask(frames: int, per_frame: int = 1) -> Tensor:
    """(N, N k), True where attention to the sound is forbidden: every frame hears its own k features alone."""
    return ~torch.eye(frames, dtype=torch.bool).repeat_interleave(per_frame, 1)


class Past:
    """Keys and values, (B, heads, n, d / heads) each, of the n tokens that every layer of a decoder has read."""

    def __init__(self) -> None:
        self.length = 0  # n
        self._layers: list[Tensor] = []  # (2, B, heads, room for more, d / heads)

    def add(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Remember those of the next token, (B, heads, 1, d / heads); → all of this layer so far."""
        new = torch.stack([key, value])
        if layer == len(self._layers):
            self._layers.append(new.new_empty(*new.shape[:3], FIRST_ROOM, new.shape[4]))
        room = self._layers[layer]
        if self.length == room.shape[3]:  # twice as much, so that a long past is seldom copied
            room = self._layers[layer] = torch.cat([room, torch.empty_like(room)], 3)
        room[:, :, :, self.length : self.length + 1] = new
        known = room[:, :, :, : self.length + 1]
        return known[0], known[1]


class AlignedDecoder(nn.Module):
    """FaceFormer's transformer decoder: biased causal self-attention, and cross-attention aligned with the sound."""

    def __init__(self, d_model: int, heads: int, layers: int, period: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.period = heads, period
        layer = nn.TransformerDecoderLayer(d_model, heads, 2 * d_model, dropout, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.TransformerDecoder(layer, layers)

    def forward(self, x: Tensor, audio: Tensor, per_frame: int = 1) -> Tensor:
        """(B, N, d) tokens, and features (B, N' k, d) of the sound, N' ≥ N → (B, N, d). Both masks keep padding
        harmless."""
        frames = x.shape[1]
        x = self.dropout(x + periodic_encoding(frames, x.shape[2], self.period).to(x))
        bias = biased_causal_mask(self.heads, frames, self.period).to(x).repeat(len(x), 1, 1)
        allowed = alignment_mask(frames, per_frame).to(x.device)
        return self.layers(x, audio[:, : frames * per_frame], bias, allowed)

    def onward(self, token: Tensor, audio: Tensor, past: Past) -> Tensor:
        """The next token (B, 1, d), with its features (B, k, d) → (B, 1, d): what `forward` gives there without
        dropout, but the past is not read anew. `past` grows by the token."""
        here = past.length
        x = token + periodic_encoding(1, token.shape[2], self.period, here).to(token)
        bias = biased_causal_mask(self.heads, here + 1, self.period, here).to(x)
        for number, layer in enumerate(self.layers.layers):
            assert isinstance(layer, nn.TransformerDecoderLayer)
            x = layer.norm1(x + self._own(layer.self_attn, x, bias, past, number))
            x = layer.norm2(x + layer.multihead_attn(x, audio, audio, need_weights=False)[0])
            x = layer.norm3(x + layer.linear2(functional.relu(layer.linear1(x))))
        past.length += 1
        return x

    def _own(self, attention: nn.MultiheadAttention, x: Tensor, bias: Tensor, past: Past, number: int) -> Tensor:
        projected = functional.linear(x, attention.in_proj_weight, attention.in_proj_bias)
        q, k, v = (t.unflatten(-1, (self.heads, -1)).transpose(1, 2) for t in projected.chunk(3, -1))
        k, v = past.add(number, k, v)
        read = functional.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        return attention.out_proj(read.transpose(1, 2).flatten(2))


@dataclass(frozen=True)
class Heard:
    """The sound in frames: `features` (B, N k, d), `counts` (B,) frames that each sound reaches, `per_frame` k."""

    features: Tensor
    counts: Tensor
    per_frame: int = 1

    @property
    def frames(self) -> int:
        return int(self.counts.max())

    def at(self, frame: int) -> Tensor:
        """(B, k, d) of one frame."""
        return self.features[:, frame * self.per_frame : (frame + 1) * self.per_frame]

    def within(self, mask: Tensor) -> Tensor:
        """Of (B, N') real frames those that the sound reaches: the published codes cut longer motion off."""
        return mask & (torch.arange(mask.shape[1], device=mask.device)[None] < self.counts[:, None])


class FramewisePeer(Method):
    """A method whose networks make one pose a frame of its training's rate; other times lie between two of them."""

    unit: float  # of the displacements that the networks see and give, in the data's own unit

    def _read(self, config: Mapping[str, Any], name: str, tables: Mapping[str, type]) -> dict[str, Any]:
        """The tables of a configuration as their dataclasses; raises InputError for what nobody reads."""
        if strange := [key for key in config if key not in tables]:
            raise InputError(f"The method {name} has no table [{strange[0]}]; it knows {', '.join(tables)}.")
        self._options = {
            key: kind(**options_of(config, key, [f.name for f in fields(kind)])) for key, kind in tables.items()
        }
        unit = getattr(self._options.get("network"), "unit", "rms")
        if unit not in UNITS:
            raise InputError(f"[network] unit is {unit!r}; choose one of {', '.join(UNITS)}.")
        self.unit = 1.0 if unit == "data" else self.geometry.unit
        return self._options

    def _encoder(self, config: SpeechConfig, geometry: Geometry, d_model: int, joined: bool = True) -> None:
        """The speech encoder and the layer after it; `joined`: features of the same frame go through it together."""
        self.speech = SpeechEncoder(config, geometry.fps)
        self._joined = joined
        self.audio = nn.Linear(self.speech.width * (self.speech.per_frame if joined else 1), d_model)

    @property
    def config(self) -> dict[str, Any]:
        out = {key: asdict(options) for key, options in self._options.items()}
        out["speech"] = {**out["speech"], "source": "", "architecture": self.speech.architecture}
        return out

    def heard(self, speech: Speech, frames: Tensor, fitted: bool = False) -> Heard:
        """The sound in frames of the geometry's rate, of which `frames` (B,) are wanted of each clip.

        `fitted`: the motion is known and has so many frames, as in training. Where frames have their own times, the
        last feature goes on beyond the end of a sound; otherwise the sound says how many frames there are.
        """
        in_time, k = self.speech.config.interpolate in IN_TIME, self.speech.per_frame
        hidden, counts = self.speech(speech, frames=frames if fitted else None)
        if in_time:
            positions = torch.arange(int(frames.max()), device=hidden.device).float().expand(len(hidden), -1)
            return Heard(sampled(self.audio(hidden), positions, counts), frames)
        if self._joined and k > 1:
            hidden = hidden[:, : hidden.shape[1] // k * k].unflatten(1, (-1, k)).flatten(2)
            k = 1
        return Heard(self.audio(hidden), counts, k)

    @abstractmethod
    def generated(
        self, speech: Speech, template: Tensor, style: Tensor, frames: Tensor, fitted: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Displacement (B, N, C) in the networks' `unit`, of which `frames` (B,) are wanted of each clip, and how many
        there are (B,); `fitted` as in `heard`."""

    def predicted(self, wanted: Wanted) -> Tensor:
        positions, frames = wanted.positions(self.geometry.fps)
        motion, counts = self.generated(wanted.speech, wanted.template, wanted.style, frames)
        return sampled(motion.float() * self.unit, positions, counts)

    def _learned(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """What the networks make of a batch, (B, N, C), the captured motion, both in their unit, and the mask (B, N) of
        frames that both have."""
        made, counts = self.generated(batch.speech, batch.template, batch.style, batch.mask.sum(1), True)
        n = min(made.shape[1], batch.motion.shape[1])
        mask = Heard(made, counts).within(batch.mask)[:, :n]
        return made[:, :n].float(), batch.motion[:, :n] / self.unit, mask
