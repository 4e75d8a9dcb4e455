"""KMTalk's two modules (Xu et al., ECCV 2024): key motion acquisition (LKMA) and motion completion (CMC).

Shapes: B batch, m key motions, N positions of the complete sequence (every frame, and key instants that lie between
frames), d model width, C = `motion_dim`. Times are in seconds; only their differences matter to attention, and the
sinusoidal encodings take them from the start of the sequence. Masks are True at real positions.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from ..checkpoint import Checkpoint
from ..conditioning import TIMING
from .audio_encoder import AudioEncoder
from .layers import CrossAttentionLayer, EncoderLayer, TimeEncoding


@dataclass(frozen=True)
class KMTalkConfig:
    """Dimensions of the compact model; saved with the weights."""

    mels: int = 64
    feature_rate: float = 50.0  # Hz
    d_model: int = 192
    heads: int = 4
    encoder_layers: int = 4
    key_layers: int = 3
    flow_layers: int = 2
    cross_layers: int = 1
    decoder_layers: int = 3
    feed_forward_multiple: int = 3
    kernel: int = 9
    phones: int = 40
    motion_dim: int = 35
    style_dim: int = 0  # numbers that tell the way of speaking (`conditioning.STYLE`); 0: one way only
    dropout: float = 0.0

    def to_dict(self) -> dict[str, float]:
        return asdict(self)


class Dimensions(Protocol):
    """What completion needs to know of a configuration; the compact model's and the paper-scale one have it."""

    @property
    def d_model(self) -> int: ...
    @property
    def heads(self) -> int: ...
    @property
    def flow_layers(self) -> int: ...
    @property
    def cross_layers(self) -> int: ...
    @property
    def decoder_layers(self) -> int: ...
    @property
    def feed_forward_multiple(self) -> int: ...
    @property
    def motion_dim(self) -> int: ...
    @property
    def dropout(self) -> float: ...


STYLE_SCALE = 4.0  # so that the few weights of the style learn as fast as the rest


class StyleCode(nn.Module):
    """The way of speaking, (B, style_dim), as what is added to every position: (B, 1, d), or 0 where there is none."""

    def __init__(self, style_dim: int, d_model: int) -> None:
        super().__init__()
        self.project = nn.Linear(style_dim, d_model, bias=False) if style_dim else None

    def forward(self, style: Tensor | None) -> Tensor | float:
        return 0.0 if self.project is None or style is None else self.project(STYLE_SCALE * style).unsqueeze(1)


class KeyMotionDecoder(nn.Module):
    """The key motion-focused decoder of LKMA (paper Sec. 3.2): A_k at the key instants → K, eq. (1).

    The paper's decoder sees A_k alone. The phones that located the key instants are known at this point, so the compact
    configuration also tells it which phone the instant belongs to; unknown phones (-1) fall back to the audio.
    """

    def __init__(self, config: KMTalkConfig) -> None:
        super().__init__()
        d = config.d_model
        self.audio = nn.Linear(d, d)
        # Index 0 is "unknown", so that labels can be withheld; phone p is p + 1. Before, at and after the instant.
        self.phones = nn.ModuleList(nn.Embedding(config.phones + 1, d) for _ in range(3))
        self.timing = nn.Linear(TIMING, d)
        self.style = StyleCode(config.style_dim, d)
        self.encoding = TimeEncoding(d)
        self.layers = nn.ModuleList(
            EncoderLayer(d, config.heads, config.feed_forward_multiple, config.dropout)
            for _ in range(config.key_layers)
        )
        self.norm = nn.LayerNorm(d)
        self.out = nn.Linear(d, config.motion_dim)

    def forward(
        self,
        audio_at_keys: Tensor,
        phones: Tensor,
        timing: Tensor,
        key_times: Tensor,
        mask: Tensor | None = None,
        style: Tensor | None = None,
    ) -> Tensor:
        """A_k (B, m, d), phones (B, m, 3) int64 with -1 for unknown, timing (B, m, 4), times (B, m) → K (B, m, C).

        `style` (B, style_dim), None: all zeros.
        """
        x = self.audio(audio_at_keys) + self.timing(timing) + self.encoding(key_times) + self.style(style)
        for place, embedding in enumerate(self.phones):
            x = x + embedding(phones[:, :, place] + 1)
        for layer in self.layers:
            x = layer(x, key_times, mask)
        return self.out(self.norm(x))


class MotionFlowEncoder(nn.Module):
    """Key motions → motion flow features Φ at every position (paper Sec. 3.3, after CITL, Mo et al. 2023)."""

    def __init__(self, config: Dimensions) -> None:
        super().__init__()
        d, heads, multiple, dropout = config.d_model, config.heads, config.feed_forward_multiple, config.dropout
        self.motion = nn.Linear(config.motion_dim, d)
        self.encoding = TimeEncoding(d)
        self.key_layers = nn.ModuleList(EncoderLayer(d, heads, multiple, dropout) for _ in range(config.flow_layers))
        self.query = nn.Linear(d, d)
        self.cross_layers = nn.ModuleList(
            CrossAttentionLayer(d, heads, multiple, dropout) for _ in range(config.cross_layers)
        )
        self.fuse = nn.Conv1d(d, d, 3, padding=1)

    def forward(
        self,
        keys: Tensor,
        key_times: Tensor,
        times: Tensor,
        key_of: Tensor,
        mask: Tensor | None = None,
        key_mask: Tensor | None = None,
    ) -> Tensor:
        """K (B, m, C), their times (B, m), all times (B, N), `key_of` (B, N): index of the key there, or -1 → Φ."""
        context = self.motion(keys) + self.encoding(key_times)
        for layer in self.key_layers:
            context = layer(context, key_times, key_mask)  # Φ_k
        between = self.query(self.encoding(times))
        for cross in self.cross_layers:
            between = cross(between, times, context, key_times, key_mask)  # Φ_non-key
        at_keys = context.gather(1, key_of.clamp(min=0).unsqueeze(-1).expand(-1, -1, context.shape[2]))
        arranged = torch.where((key_of >= 0).unsqueeze(-1), at_keys, between)
        if mask is not None:  # padding looks to the convolution like the end of the sequence
            arranged = arranged * mask.unsqueeze(-1)
        return self.fuse(arranged.transpose(1, 2)).transpose(1, 2)


class MotionCompletion(nn.Module):
    """Cross-modal motion completion, CMC (paper Sec. 3.3): Y = CMC(A, K, I), eq. (3)."""

    def __init__(self, config: Dimensions, style_dim: int = 0) -> None:
        super().__init__()
        d = config.d_model
        self.flow = MotionFlowEncoder(config)
        self.gate = nn.Linear(2 * d, d)
        self.style = StyleCode(style_dim, d)
        self.encoding = TimeEncoding(d)
        self.layers = nn.ModuleList(
            EncoderLayer(d, config.heads, config.feed_forward_multiple, config.dropout)
            for _ in range(config.decoder_layers)
        )
        self.norm = nn.LayerNorm(d)
        self.out = nn.Linear(d, config.motion_dim)

    def forward(
        self,
        audio: Tensor,
        keys: Tensor,
        key_times: Tensor,
        times: Tensor,
        key_of: Tensor,
        mask: Tensor | None = None,
        key_mask: Tensor | None = None,
        style: Tensor | None = None,
    ) -> Tensor:
        """A (B, N, d) at `times` (B, N), K (B, m, C) at `key_times` (B, m), `key_of` (B, N) → Y (B, N, C).

        `style` (B, style_dim), None: all zeros.
        """
        flow = self.flow(keys, key_times, times, key_of, mask, key_mask)
        z = self.fused(audio, flow) + self.encoding(times) + self.style(style)
        for layer in self.layers:
            z = layer(z, times, mask)
        return self.out(self.norm(z))

    def fused(self, audio: Tensor, flow: Tensor) -> Tensor:
        """G = σ([A, Φ] W), eq. (4); Z = G ⊙ A + (1 − G) ⊙ Φ, eq. (5)."""
        g = torch.sigmoid(self.gate(torch.cat([audio, flow], dim=-1)))
        return g * audio + (1 - g) * flow


class KMTalk(nn.Module):
    """The compact KMTalk: audio encoder, LKMA's decoder and CMC. They are called one by one, as training does."""

    def __init__(self, config: KMTalkConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = AudioEncoder(
            config.mels,
            config.d_model,
            config.heads,
            config.encoder_layers,
            config.feed_forward_multiple,
            config.kernel,
            config.phones,
            config.dropout,
        )
        self.lkma = KeyMotionDecoder(config)
        self.cmc = MotionCompletion(config, config.style_dim)

    @classmethod
    def from_checkpoint(cls, checkpoint: Checkpoint) -> KMTalk:
        """The networks of a checkpoint, in evaluation mode on the CPU."""
        model = cls(KMTalkConfig(**checkpoint.config["dimensions"]))
        model.load_state_dict({name: torch.from_numpy(w.astype(np.float32)) for name, w in checkpoint.weights.items()})
        return model.eval()
