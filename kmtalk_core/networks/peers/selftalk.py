"""SelfTalk (Peng et al., ACM MM 2023; github psyai-net/SelfTalk_release): all frames at once, with lip reading.

d = 512 on VOCASET and 1024 on BIWI, one transformer decoder layer with 4 heads whose memory is the sound itself (no
masks and no positions: wav2vec 2.0 has its own), wav2vec2-large-xlsr-53-english. Losses: eq. (2) of KMTalk, which took
them from here, over the whole sequence and in the data's unit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..lip_reader import CHARACTERS, LipReader, LipReadingConfig, lip_losses
from ..method import Batch, Geometry, Stage
from ..sequence_losses import reconstruction, velocity
from ..speech import Recogniser, Speech, SpeechConfig
from .parts import FramewisePeer


@dataclass(frozen=True)
class NetworkConfig:
    """The published code's, for VOCASET."""

    d_model: int = 512
    heads: int = 4
    layers: int = 1
    dropout: float = 0.1
    unit: str = "data"


@dataclass(frozen=True)
class LossConfig:
    rec: float = 1000.0
    vel: float = 1000.0
    lat: float = 0.001
    ctc: float = 0.0001


class SelfTalk(FramewisePeer):
    stages = (Stage("motion"),)
    training_only = ("recogniser.", "lip_reader.")
    lips: Tensor

    def __init__(self, config: Mapping[str, Any], geometry: Geometry) -> None:
        super().__init__(config, geometry)
        tables = {"network": NetworkConfig, "speech": SpeechConfig, "losses": LossConfig}
        lips = config.get("lip_reading")
        options = self._read(
            config, "selftalk", tables if lips is None else {**tables, "lip_reading": LipReadingConfig}
        )
        c: NetworkConfig = options["network"]
        self._losses: LossConfig = options["losses"]
        self._encoder(options["speech"], geometry, c.d_model)
        layer = nn.TransformerDecoderLayer(c.d_model, c.heads, 2 * c.d_model, c.dropout, batch_first=True)
        self.decoder = nn.TransformerDecoder(layer, c.layers)
        self.out = nn.Linear(c.d_model, 3 * geometry.vertices)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)
        self.register_buffer("lips", torch.as_tensor(geometry.lips, dtype=torch.long), persistent=False)
        self.recogniser: Recogniser | None = None
        self.lip_reader: LipReader | None = None
        if lips is not None:
            reading: LipReadingConfig = options["lip_reading"]
            heard = self.recogniser = Recogniser(reading.recogniser, reading.architecture, reading.download)
            vocabulary = heard.vocabulary if reading.text == "recogniser" else len(CHARACTERS)
            self.lip_reader = LipReader(reading, len(geometry.lips), geometry.fps, heard.width, heard.rate, vocabulary)

    @property
    def config(self) -> dict[str, Any]:
        return {key: table for key, table in super().config.items() if key != "lip_reading"}  # training only

    def trained(self, stage: str) -> Sequence[nn.Module]:
        own: list[nn.Module] = [self.speech, self.audio, self.decoder, self.out]
        return own if self.lip_reader is None else [*own, self.lip_reader]

    def generated(
        self, speech: Speech, template: Tensor, style: Tensor, frames: Tensor, fitted: bool = False
    ) -> tuple[Tensor, Tensor]:
        heard = self.heard(speech, frames, fitted)
        padding = torch.arange(heard.features.shape[1], device=frames.device)[None] >= heard.counts[:, None]
        decoded = self.decoder(
            heard.features, heard.features, tgt_key_padding_mask=padding, memory_key_padding_mask=padding
        )
        return self.out(decoded), heard.counts

    def loss(self, stage: str, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        weights = self._losses
        made, true, mask = self._learned(batch)
        error = (made - true) * self.unit
        parts = {"rec": reconstruction(error, mask), "vel": velocity(error, mask)}
        total = weights.rec * parts["rec"] + weights.vel * parts["vel"]
        if self.recogniser is not None and self.lip_reader is not None:
            reading = (self.recogniser, self.lip_reader, self._options["lip_reading"].text)
            parts["lat"], parts["ctc"] = lip_losses(*reading, made * self.unit, self.lips, mask, batch)
            total = total + weights.lat * parts["lat"] + weights.ctc * parts["ctc"]
        return total, parts
