"""CodeTalker (Xing et al., CVPR 2023; github Doubiiu/CodeTalker), in its two training stages.

"codebook": a vector-quantized autoencoder of motion alone (width 1024, 6 layers, 8 heads, 16 codes of 64 numbers a
frame out of 256, commitment 0.25). "query": with the autoencoder frozen, an autoregressive transformer decoder (d =
1024, 6 layers, 4 heads) that finds the codes from sound, past motion and speaker. Sizes are those of the published
VOCASET configuration; BIWI's has 8 codes of 128 numbers and a period of 25. Motion is in units of the geometry.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import InputError
from ..method import Batch, Geometry, Keys, Stage
from ..sequence_losses import reconstruction
from ..speech import Speech, SpeechConfig
from .parts import AlignedDecoder, FramewisePeer


@dataclass(frozen=True)
class CodebookConfig:
    """Stage 1. `faces`: codes a frame (face_quan_num), `code_dim`: numbers a code (zquant_dim); the networks are
    `faces` · `code_dim` wide."""

    layers: int = 6
    heads: int = 8
    feed_forward: int = 1536
    codes: int = 256
    faces: int = 16
    code_dim: int = 64
    commitment: float = 0.25
    kernel: int = 5
    dropout: float = 0.1  # of what goes into the transformers

    @property
    def width(self) -> int:
        return self.faces * self.code_dim


@dataclass(frozen=True)
class NetworkConfig:
    """Stage 2, and the weights of its two losses."""

    d_model: int = 1024
    heads: int = 4
    layers: int = 6
    period: int = 30  # frames
    dropout: float = 0.1
    motion: float = 1.0
    code: float = 1.0


class Quantizer(nn.Module):
    """Every vector (…, n) becomes the nearest of `codes` learned ones (van den Oord et al., 2017)."""

    def __init__(self, codes: int, size: int, commitment: float) -> None:
        super().__init__()
        self.commitment = commitment
        self.codebook = nn.Embedding(codes, size)
        nn.init.uniform_(self.codebook.weight, -1.0 / codes, 1.0 / codes)

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """→ the codes, through which gradients pass straight to z; the loss of codebook and commitment; the indices."""
        index = torch.cdist(z.flatten(0, -2), self.codebook.weight).argmin(-1).view(z.shape[:-1])
        code = self.codebook(index)
        loss = (code - z.detach()).square().mean() + self.commitment * (code.detach() - z).square().mean()
        return z + (code - z).detach(), loss, index


class Translator(nn.Module):
    """Half of the autoencoder: convolution over time, instance norm, pre-norm transformer encoder.

    No positions: the published encoding adds the same vector to every frame.
    """

    def __init__(self, c: CodebookConfig) -> None:
        super().__init__()
        width, padding = c.width, c.kernel // 2
        self.convolution = nn.Sequential(
            nn.Conv1d(width, width, c.kernel, padding=padding, padding_mode="replicate"), nn.LeakyReLU(0.2)
        )
        self.embedding = nn.Linear(width, width)
        self.dropout = nn.Dropout(c.dropout)
        layer = nn.TransformerEncoderLayer(
            width, c.heads, c.feed_forward, 0.0, "gelu", batch_first=True, norm_first=True
        )
        self.transformer = nn.TransformerEncoder(layer, c.layers, enable_nested_tensor=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.convolution(x.transpose(1, 2))
        # Instance norm over time; a single frame has no variance, and stays.
        x = nn.functional.instance_norm(x) if x.shape[2] > 1 else x
        return self.transformer(self.dropout(self.embedding(x.transpose(1, 2))))


class Autoencoder(nn.Module):
    """Motion (1, N, C) of one clip ↔ codes (1, N, faces, code_dim). Its convolution and norm see where a clip ends, so
    clips are never padded."""

    def __init__(self, c: CodebookConfig, size: int) -> None:
        super().__init__()
        self.faces = c.faces
        self.motion = nn.Sequential(nn.Linear(size, c.width), nn.LeakyReLU(0.2))
        self.encoder = Translator(c)
        self.quantizer = Quantizer(c.codes, c.code_dim, c.commitment)
        self.decoder = Translator(c)
        self.out = nn.Linear(c.width, size)

    def encode(self, motion: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """→ codes, the quantizer's loss, indices (1, N, faces)."""
        z = self.encoder(self.motion(motion))
        return self.quantizer(z.unflatten(-1, (self.faces, -1)))

    def decode(self, codes: Tensor) -> Tensor:
        return self.out(self.decoder(codes.flatten(-2)))


class CodeTalker(FramewisePeer):
    stages = (Stage("codebook"), Stage("query", after=("codebook",)))

    def __init__(self, config: Mapping[str, Any], geometry: Geometry) -> None:
        super().__init__(config, geometry)
        tables = {"codebook": CodebookConfig, "network": NetworkConfig, "speech": SpeechConfig}
        options = self._read(config, "codetalker", tables)
        c = self._network = options["network"]
        size, codes = 3 * geometry.vertices, options["codebook"]
        self.autoencoder = Autoencoder(codes, size)
        self._encoder(options["speech"], geometry, c.d_model)
        self.past = nn.Linear(size, c.d_model)
        self.style = nn.Linear(len(geometry.subjects), c.d_model, bias=False)
        self.decoder = AlignedDecoder(c.d_model, c.heads, c.layers, c.period, c.dropout)
        self.to_code = nn.Linear(c.d_model, codes.width, bias=False)
        nn.init.zeros_(self.to_code.weight)

    def trained(self, stage: str) -> Sequence[nn.Module]:
        query: list[nn.Module] = [self.speech, self.audio, self.past, self.style, self.decoder, self.to_code]
        stages: dict[str, list[nn.Module]] = {"codebook": [self.autoencoder], "query": query}
        return stages[stage]

    def generated(self, speech: Speech, template: Tensor, style: Tensor, frames: Tensor) -> Tensor:
        """One clip: frame by frame, everything so far decoded anew each time, as published."""
        count = int(frames.max())
        audio, speaker = self.heard(speech, count), self.style(style)[:, None]
        tokens = speaker
        while True:
            codes = self.autoencoder.quantizer(self._queried(tokens, audio))[0]
            # As published: at the first step the only frame is decoded twice, for the norm over time.
            motion = self.autoencoder.decode(torch.cat([codes, codes], 1) if codes.shape[1] == 1 else codes)
            here = tokens.shape[1]
            if here == count:
                return motion[:, :count]
            tokens = torch.cat([tokens, self.past(motion[:, here - 1 : here]) + speaker], 1)

    def infer(
        self,
        speech: Speech,
        template: Tensor,
        style: Tensor,
        times: Tensor,
        keys: Keys | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """Each clip by itself: the decoder of the codes looks at the whole sequence."""
        rows = []
        for row in range(len(times)):
            one = slice(row, row + 1)
            sound = Speech(speech.samples[one, : int(speech.lengths[row])], speech.lengths[one])
            own = None if mask is None else mask[one]
            rows.append(super().infer(sound, template[one], style[one], times[one], None, own))
        return torch.cat(rows)

    def _queried(self, tokens: Tensor, audio: Tensor) -> Tensor:
        codes = self.autoencoder.faces
        return self.to_code(self.decoder(tokens, audio)).unflatten(-1, (codes, -1))

    def loss(self, stage: str, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        motion, counts = batch.motion / self.geometry.unit, batch.mask.sum(1).tolist()
        clips = [clip[None, :n] for clip, n in zip(motion, counts, strict=True)]
        if stage == "codebook":
            return self._codebook_loss(clips)
        if stage == "query":
            return self._query_loss(batch, motion, clips)
        raise InputError(f"CodeTalker has no stage {stage!r}; choose one of codebook, query.")

    def _codebook_loss(self, clips: list[Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean absolute error of the motion, and the quantizer's loss."""
        rec, quantized = [], []
        for clip in clips:
            codes, loss, _ = self.autoencoder.encode(clip)
            rec.append((self.autoencoder.decode(codes) - clip).abs().mean())
            quantized.append(loss)
        parts = {"rec": torch.stack(rec).mean(), "quantizer": torch.stack(quantized).mean()}
        return parts["rec"] + parts["quantizer"], parts

    def _query_loss(self, batch: Batch, motion: Tensor, clips: list[Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean square errors of motion and codes, the true past given (teacher forcing), as published."""
        audio, speaker = self.heard(batch.speech, motion.shape[1]), self.style(batch.style)[:, None]
        before = torch.cat([torch.zeros_like(motion[:, :1]), motion[:, :-1]], 1)
        queried = self._queried(self.past(before) + speaker, audio)
        moved, coded = [], []
        for row, clip in enumerate(clips):
            wanted = queried[row : row + 1, : clip.shape[1]]
            with torch.no_grad():
                true = self.autoencoder.encode(clip)[0]
            with _frozen(self.autoencoder):
                made = self.autoencoder.decode(self.autoencoder.quantizer(wanted)[0])
            whole = torch.ones(1, clip.shape[1], dtype=torch.bool, device=clip.device)
            moved.append(reconstruction(made.float() - clip, whole))
            coded.append((wanted - true).square().mean())
        parts = {"motion": torch.stack(moved).mean(), "code": torch.stack(coded).mean()}
        return self._network.motion * parts["motion"] + self._network.code * parts["code"], parts


@contextmanager
def _frozen(module: nn.Module) -> Iterator[None]:
    """Gradients pass through what `module` computes here, but not into its parameters."""
    flags = [(p, p.requires_grad) for p in module.parameters()]
    module.requires_grad_(False)
    try:
        yield
    finally:
        for parameter, flag in flags:
            parameter.requires_grad_(flag)
