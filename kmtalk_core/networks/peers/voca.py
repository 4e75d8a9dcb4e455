"""VOCA (Cudeiro et al., CVPR 2019; github TimoBolkart/voca): windows of sound → convolutions → a linear basis.

Every frame by itself: 16 features of the sound around it (a third of a second) and the speaker, four convolutions over
time, two linear layers, 50 coefficients of a basis of displacements. Published features are DeepSpeech's character
probabilities; here they are the hidden states of any encoder, frozen. Losses: reconstruction and 10 · velocity.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..method import Batch, Geometry, Stage
from ..sequence_losses import reconstruction, velocity
from ..speech import Speech, SpeechConfig, SpeechEncoder, sampled
from .parts import FramewisePeer

RATE = 50.0  # features a second: 16 of them are a third of a second


@dataclass(frozen=True)
class NetworkConfig:
    """The published code's."""

    features: int = 32  # of the sound, about as many as DeepSpeech has characters
    window: int = 16
    filters: tuple[int, ...] = (32, 32, 64, 64)
    hidden: int = 128
    basis: int = 50


@dataclass(frozen=True)
class LossConfig:
    rec: float = 1.0
    vel: float = 10.0


class VOCA(FramewisePeer):
    stages = (Stage("motion"),)

    def __init__(self, config: Mapping[str, Any], geometry: Geometry) -> None:
        super().__init__(config, geometry)
        tables = {"network": NetworkConfig, "speech": SpeechConfig, "losses": LossConfig}
        options = self._read(config, "voca", tables)
        c: NetworkConfig = options["network"]
        self._window, self._losses = c.window, options["losses"]
        self.speech = SpeechEncoder(options["speech"], RATE)
        self.audio = nn.Linear(self.speech.width, c.features)
        subjects = len(geometry.subjects)
        layers: list[nn.Module] = []
        width, length = c.features + subjects, c.window
        for filters in c.filters:
            layers += [nn.Conv1d(width, filters, 3, stride=2, padding=1), nn.ReLU()]
            width, length = filters, (length + 1) // 2
        self.convolutions = nn.Sequential(*layers)
        self.hidden = nn.Linear(width * length + subjects, c.hidden)
        self.coefficients = nn.Linear(c.hidden, c.basis)
        self.out = nn.Linear(c.basis, 3 * geometry.vertices)

    def trained(self, stage: str) -> Sequence[nn.Module]:
        return [self]

    def generated(self, speech: Speech, template: Tensor, style: Tensor, frames: Tensor) -> Tensor:
        heard, counts = self.speech(speech)
        audio = self.audio(heard)
        around = torch.arange(self._window, device=audio.device) - self._window / 2 + 0.5
        middles = torch.arange(int(frames.max()), device=audio.device) / self.geometry.fps * RATE
        positions = (middles[:, None] + around).flatten().expand(len(audio), -1)
        # Beyond its ends a sound goes on as it begins and ends.
        windows = sampled(audio, positions, counts).unflatten(1, (-1, self._window))
        speaker = style[:, None, None].expand(-1, windows.shape[1], self._window, -1)
        x = torch.cat([windows, speaker], dim=-1).flatten(0, 1).transpose(1, 2)
        x = self.convolutions(x).flatten(1).unflatten(0, (len(audio), -1))
        x = torch.tanh(self.hidden(torch.cat([x, speaker[:, :, 0]], dim=-1)))
        return self.out(self.coefficients(x))

    def loss(self, stage: str, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        made = self.generated(batch.speech, batch.template, batch.style, batch.mask.sum(1)).float()
        error = made - batch.motion / self.geometry.unit
        parts = {"rec": reconstruction(error, batch.mask), "vel": velocity(error, batch.mask)}
        return self._losses.rec * parts["rec"] + self._losses.vel * parts["vel"], parts
