"""FaceFormer (Fan et al., CVPR 2022; github EvelynFan/FaceFormer): autoregressive, one transformer decoder layer.

d = 64 on VOCASET and 128 on BIWI, 4 heads, period 30 and 25, wav2vec 2.0 base whose convolutions stay frozen, a linear
embedding of the speaker. Trained on what it makes itself, with the mean square error, as the published code is by
default; `teacher_forcing` feeds it the true past instead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..method import Batch, Geometry, Stage
from ..sequence_losses import reconstruction
from ..speech import Speech, SpeechConfig
from .parts import AlignedDecoder, FramewisePeer


@dataclass(frozen=True)
class NetworkConfig:
    """The published code's, for VOCASET."""

    d_model: int = 64
    heads: int = 4
    layers: int = 1
    period: int = 30  # frames
    dropout: float = 0.1
    teacher_forcing: bool = False


class FaceFormer(FramewisePeer):
    stages = (Stage("motion"),)

    def __init__(self, config: Mapping[str, Any], geometry: Geometry) -> None:
        super().__init__(config, geometry)
        options = self._read(config, "faceformer", {"network": NetworkConfig, "speech": SpeechConfig})
        c = self._network = options["network"]
        self._encoder(options["speech"], geometry, c.d_model)
        size = 3 * geometry.vertices
        self.past = nn.Linear(size, c.d_model)
        self.style = nn.Linear(len(geometry.subjects), c.d_model, bias=False)
        self.decoder = AlignedDecoder(c.d_model, c.heads, c.layers, c.period, c.dropout)
        self.out = nn.Linear(c.d_model, size)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def trained(self, stage: str) -> Sequence[nn.Module]:
        return [self]

    def generated(self, speech: Speech, template: Tensor, style: Tensor, frames: Tensor) -> Tensor:
        """Token by token, the past read anew each time, as published; padding is in the future and changes nothing."""
        count = int(frames.max())
        audio, speaker = self.heard(speech, count), self.style(style)[:, None]
        tokens = speaker
        while tokens.shape[1] < count:
            motion = self.out(self.decoder(tokens, audio)[:, -1:])
            tokens = torch.cat([tokens, self.past(motion) + speaker], 1)
        return self.out(self.decoder(tokens, audio))

    def loss(self, stage: str, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        motion = batch.motion / self.geometry.unit
        if self._network.teacher_forcing:
            audio, speaker = self.heard(batch.speech, motion.shape[1]), self.style(batch.style)[:, None]
            before = torch.cat([torch.zeros_like(motion[:, :1]), motion[:, :-1]], 1)
            made = self.out(self.decoder(self.past(before) + speaker, audio))
        else:
            made = self.generated(batch.speech, batch.template, batch.style, batch.mask.sum(1))
        rec = reconstruction(made.float() - motion, batch.mask)
        return rec, {"rec": rec}
