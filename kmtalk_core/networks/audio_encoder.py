"""The compact audio encoder: log-mel → features A, with phone posteriors learned on the way."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .layers import EncoderLayer

MEL_MEAN, MEL_DEVIATION = -7.0, 3.5  # of log-mel over the training corpus, roughly
STRIDE = 2  # mel frames (100 Hz) to feature frames (50 Hz)


class ConvModule(nn.Module):
    """Depthwise convolution over time between two pointwise ones (the convolution module of Conformer, Gulati 2020)."""

    def __init__(self, d_model: int, kernel: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(d_model)
        self.expand = nn.Linear(d_model, 2 * d_model)
        self.depthwise = nn.Conv1d(d_model, d_model, kernel, padding=kernel // 2, groups=d_model)
        self.project = nn.Linear(d_model, d_model)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        value, gate = self.expand(self.norm(x)).chunk(2, dim=-1)
        mixed = self.depthwise((value * torch.sigmoid(gate)).transpose(1, 2)).transpose(1, 2)
        return x + self.dropout(self.project(nn.functional.silu(mixed)))


class AudioEncoder(nn.Module):
    """(B, n, mels) log-mel at 100 Hz → A (B, ⌈n/2⌉, d) at 50 Hz, phone logits (B, ⌈n/2⌉, phones), prosody.

    `prosody` (B, ⌈n/2⌉, 2): the relative loudness and the stress of the moment. Being asked for both keeps them in A,
    where the amplitude of the motion is read from.
    """

    def __init__(
        self, mels: int, d_model: int, heads: int, layers: int, multiple: int, kernel: int, phones: int, dropout: float
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv1d(mels, d_model, 5, padding=2),
            nn.GELU(),
            nn.Conv1d(d_model, d_model, 3, stride=STRIDE, padding=1),
            nn.GELU(),
        )
        self.convolutions = nn.ModuleList(ConvModule(d_model, kernel, dropout) for _ in range(layers))
        self.layers = nn.ModuleList(EncoderLayer(d_model, heads, multiple, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(d_model)
        self.phone_head = nn.Linear(d_model, phones)
        self.prosody_head = nn.Linear(d_model, 2)

    def forward(self, mel: Tensor, rate: float = 50.0) -> tuple[Tensor, Tensor, Tensor]:
        x = self.stem(((mel - MEL_MEAN) / MEL_DEVIATION).transpose(1, 2)).transpose(1, 2)
        times = (torch.arange(x.shape[1], device=x.device, dtype=torch.float32) / rate).expand(x.shape[0], -1)
        for convolution, layer in zip(self.convolutions, self.layers, strict=True):
            x = layer(convolution(x), times)
        a = self.norm(x)
        return a, self.phone_head(a), self.prosody_head(a)
