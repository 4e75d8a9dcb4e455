"""Layers shared by the networks: attention that knows about time in seconds, and encodings of time.

All sequences carry their positions as times in seconds, (B, N) float, so that any frame rate and any spacing works.
Masks are (B, N) bool, True where a position is real and False where it is padding.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

# Periods of the sinusoidal encodings of time, seconds: finer than a frame up to longer than a chunk.
SHORTEST_PERIOD, LONGEST_PERIOD = 0.05, 40.0
# Attention falls off with distance in time (ALiBi, Press et al. 2022; FaceFormer biases its attention likewise).
# One slope a head, in nepers per second: from 1 s wide context to the neighbouring phone.
WIDEST_SLOPE, NARROWEST_SLOPE = 1.0, 27.0


class TimeEncoding(nn.Module):
    """Sinusoidal position embedding of times in seconds: (B, N) → (B, N, d)."""

    periods: Tensor

    def __init__(self, d_model: int) -> None:
        super().__init__()
        ratio = torch.linspace(0.0, 1.0, d_model // 2)
        self.register_buffer("periods", SHORTEST_PERIOD * (LONGEST_PERIOD / SHORTEST_PERIOD) ** ratio, persistent=False)

    def forward(self, times: Tensor) -> Tensor:
        angle = times[..., None] * (2.0 * math.pi / self.periods)
        return torch.cat([torch.sin(angle), torch.cos(angle)], dim=-1)


class TimeAttention(nn.Module):
    """Multi-head attention from queries at `query_times` to `memory` at `memory_times`, biased towards the near."""

    slopes: Tensor

    def __init__(self, d_model: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(d_model, d_model)
        self.key_value = nn.Linear(d_model, 2 * d_model)
        self.out = nn.Linear(d_model, d_model)
        ratio = torch.linspace(0.0, 1.0, heads)
        self.register_buffer("slopes", WIDEST_SLOPE * (NARROWEST_SLOPE / WIDEST_SLOPE) ** ratio, persistent=False)

    def forward(
        self, x: Tensor, query_times: Tensor, memory: Tensor, memory_times: Tensor, memory_mask: Tensor | None
    ) -> Tensor:
        def split(t: Tensor) -> Tensor:
            return t.unflatten(-1, (self.heads, -1)).transpose(1, 2)

        q = split(self.query(x))
        k, v = (split(t) for t in self.key_value(memory).chunk(2, dim=-1))
        distance = (query_times[:, None, :, None] - memory_times[:, None, None, :]).abs()
        bias = -distance * self.slopes[None, :, None, None]
        if memory_mask is not None:
            bias = bias.masked_fill(~memory_mask[:, None, None, :], -1e4)
        attended = functional.scaled_dot_product_attention(q, k, v, attn_mask=bias.to(q.dtype))
        return self.out(attended.transpose(1, 2).flatten(2))


class FeedForward(nn.Sequential):
    def __init__(self, d_model: int, multiple: int, dropout: float) -> None:
        super().__init__(
            nn.LayerNorm(d_model),
            nn.Linear(d_model, multiple * d_model),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(multiple * d_model, d_model),
        )


class TimeLayer(nn.Module):
    """What the transformer layers below consist of: pre-norm attention over time, then a feed-forward network."""

    def __init__(self, d_model: int, heads: int, multiple: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(d_model)
        self.attention = TimeAttention(d_model, heads)
        self.feed_forward = FeedForward(d_model, multiple, dropout)
        self.dropout = nn.Dropout(dropout)


class EncoderLayer(TimeLayer):
    """Self-attention: a sequence reads itself."""

    def forward(self, x: Tensor, times: Tensor, mask: Tensor | None = None) -> Tensor:
        normed = self.norm(x)
        x = x + self.dropout(self.attention(normed, times, normed, times, mask))
        return x + self.dropout(self.feed_forward(x))


class CrossAttentionLayer(TimeLayer):
    """Cross-attention: queries at some times read a memory at others."""

    def forward(
        self, x: Tensor, times: Tensor, memory: Tensor, memory_times: Tensor, memory_mask: Tensor | None = None
    ) -> Tensor:
        x = x + self.dropout(self.attention(self.norm(x), times, memory, memory_times, memory_mask))
        return x + self.dropout(self.feed_forward(x))
