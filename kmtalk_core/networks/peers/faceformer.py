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
from .parts import AlignedDecoder, FramewisePeer, Heard, Past


@dataclass(frozen=True)
class NetworkConfig:
    """The published code's, for VOCASET."""

    d_model: int = 64
    heads: int = 4
    layers: int = 1
    period: int = 30  # frames
    dropout: float = 0.1
    teacher_forcing: bool = False
    unit: str = "data"


class FaceFormer(FramewisePeer):
    stages = (Stage("motion"),)
    has_style = True

    def __init__(self, config: Mapping[str, Any], geometry: Geometry) -> None:
        super().__init__(config, geometry)
        options = self._read(config, "faceformer", {"network": NetworkConfig, "speech": SpeechConfig})
        c = self._network = options["network"]
        self._encoder(options["speech"], geometry, c.d_model, joined=False)
        size = 3 * geometry.vertices
        self.past = nn.Linear(size, c.d_model)
        self.style = nn.Linear(len(geometry.subjects), c.d_model, bias=False)
        self.decoder = AlignedDecoder(c.d_model, c.heads, c.layers, c.period, c.dropout)
        self.out = nn.Linear(c.d_model, size)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def trained(self, stage: str) -> Sequence[nn.Module]:
        return [self]

    def generated(
        self, speech: Speech, template: Tensor, style: Tensor, frames: Tensor, fitted: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Token by token; padding is in the future and changes nothing. In training the past is read anew each time, as
        published, since dropout differs each time."""
        heard, speaker = self.heard(speech, frames, fitted), self.style(style)[:, None]
        if not self.training:
            return self._onward(heard, speaker), heard.counts
        tokens = speaker
        while tokens.shape[1] < heard.frames:
            motion = self.out(self.decoder(tokens, heard.features, heard.per_frame)[:, -1:])
            tokens = torch.cat([tokens, self.past(motion) + speaker], 1)
        return self.out(self.decoder(tokens, heard.features, heard.per_frame)), heard.counts

    def _onward(self, heard: Heard, speaker: Tensor) -> Tensor:
        token, past, made = speaker, Past(), []
        for frame in range(heard.frames):
            motion = self.out(self.decoder.onward(token, heard.at(frame), past))
            made.append(motion)
            token = self.past(motion) + speaker
        return torch.cat(made, 1)

    def loss(self, stage: str, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        if self._network.teacher_forcing:
            made, motion, mask = self._forced(batch)
        else:
            made, motion, mask = self._learned(batch)
        rec = reconstruction(made - motion, mask)
        return rec, {"rec": rec}

    def _forced(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        heard, speaker = self.heard(batch.speech, batch.mask.sum(1), True), self.style(batch.style)[:, None]
        motion = batch.motion[:, : heard.frames] / self.unit
        before = torch.cat([torch.zeros_like(motion[:, :1]), motion[:, :-1]], 1)
        made = self.out(self.decoder(self.past(before) + speaker, heard.features, heard.per_frame))
        return made.float(), motion, heard.within(batch.mask)[:, : heard.frames]
