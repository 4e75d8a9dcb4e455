"""CodeTalker (Xing et al., CVPR 2023; github Doubiiu/CodeTalker), in its two training stages.

"codebook": a vector-quantized autoencoder of motion alone (1024 wide, 6 layers, 8 heads, 256 codes, commitment 0.25).
"query": with the autoencoder frozen, an autoregressive transformer decoder (d = 1024, 4 heads) that finds the codes
from sound, past motion and speaker. On VOCASET a frame has 16 codes of 64 numbers, 6 decoder layers and a period of 30;
on BIWI 8 codes of 128 numbers, which two linear layers of their own lead to and from (`projected`), 12 decoder layers
and a period of 25.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import InputError
from ..method import Batch, Geometry, Stage, Wanted
from ..sequence_losses import reconstruction
from ..speech import Speech, SpeechConfig
from .parts import AlignedDecoder, FramewisePeer, Past, periodic_encoding


@dataclass(frozen=True)
class CodebookConfig:
    """Stage 1. `faces`: codes a frame (face_quan_num), `code_dim`: numbers a code (zquant_dim), together as many as the
    networks are wide (`hidden`) unless `projected`: linear layers between the two, and no bias on the last layer."""

    hidden: int = 1024
    layers: int = 6
    heads: int = 8
    feed_forward: int = 1536
    codes: int = 256
    faces: int = 16
    code_dim: int = 64
    projected: bool = False
    commitment: float = 0.25
    kernel: int = 5
    dropout: float = 0.1  # of what goes into the transformers

    def __post_init__(self) -> None:
        if not self.projected and self.hidden != self.code_width:
            raise InputError(
                f"[codebook] faces × code_dim is {self.code_width} and hidden {self.hidden}; make them equal, or set"
                " projected = true."
            )

    @property
    def code_width(self) -> int:
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
    unit: str = "data"


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


class CodebookLayer(nn.Module):
    """A pre-norm transformer layer; attention is scaled by the whole width, not a head's, as published."""

    def __init__(self, width: int, heads: int, feed_forward: int) -> None:
        super().__init__()
        self.heads, self.scale = heads, width**-0.5
        self.attention_norm, self.feed_forward_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query_key_value = nn.Linear(width, 3 * width, bias=False)
        self.attended = nn.Linear(width, width)
        self.feed_forward = nn.Sequential(
            nn.Linear(width, feed_forward), nn.GELU("tanh"), nn.Linear(feed_forward, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        projected = self.query_key_value(self.attention_norm(x)).chunk(3, -1)
        q, k, v = (t.unflatten(-1, (self.heads, -1)).transpose(1, 2) for t in projected)
        read = nn.functional.scaled_dot_product_attention(q, k, v, scale=self.scale)
        x = x + self.attended(read.transpose(1, 2).flatten(2))
        return x + self.feed_forward(self.feed_forward_norm(x))


class Translator(nn.Module):
    """Half of the autoencoder: convolution over time, instance norm, transformer.

    The published encoding of positions adds that of the first one to every frame.
    """

    position: Tensor

    def __init__(self, c: CodebookConfig) -> None:
        super().__init__()
        width, padding = c.hidden, c.kernel // 2
        self.convolution = nn.Sequential(
            nn.Conv1d(width, width, c.kernel, padding=padding, padding_mode="replicate"), nn.LeakyReLU(0.2)
        )
        self.embedding = nn.Linear(width, width)
        self.register_buffer("position", periodic_encoding(1, width, 1)[0], persistent=False)
        self.dropout = nn.Dropout(c.dropout)
        self.layers = nn.Sequential(*(CodebookLayer(width, c.heads, c.feed_forward) for _ in range(c.layers)))

    def forward(self, x: Tensor) -> Tensor:
        x = self.convolution(x.transpose(1, 2))
        # Instance norm over time; a single frame has no variance, and stays.
        x = nn.functional.instance_norm(x) if x.shape[2] > 1 else x
        return self.layers(self.dropout(self.embedding(x.transpose(1, 2)) + self.position))


class Autoencoder(nn.Module):
    """Motion (1, N, C) of one clip ↔ codes (1, N, faces, code_dim). Its convolution and norm see where a clip ends, so
    clips are never padded."""

    def __init__(self, c: CodebookConfig, size: int) -> None:
        super().__init__()
        self.faces = c.faces
        self.motion = nn.Sequential(nn.Linear(size, c.hidden), nn.LeakyReLU(0.2))
        self.encoder = Translator(c)
        self.to_codes = nn.Linear(c.hidden, c.code_width) if c.projected else nn.Identity()
        self.quantizer = Quantizer(c.codes, c.code_dim, c.commitment)
        self.from_codes = nn.Linear(c.code_width, c.hidden) if c.projected else nn.Identity()
        self.decoder = Translator(c)
        self.out = nn.Linear(c.hidden, size, bias=not c.projected)

    def encode(self, motion: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """→ codes, the quantizer's loss, indices (1, N, faces)."""
        z = self.to_codes(self.encoder(self.motion(motion)))
        return self.quantizer(z.unflatten(-1, (self.faces, -1)))

    def decode(self, codes: Tensor) -> Tensor:
        return self.out(self.decoder(self.from_codes(codes.flatten(-2))))


class CodeTalker(FramewisePeer):
    stages = (Stage("codebook"), Stage("query", after=("codebook",)))
    has_style = True

    def __init__(self, config: Mapping[str, Any], geometry: Geometry) -> None:
        super().__init__(config, geometry)
        tables = {"codebook": CodebookConfig, "network": NetworkConfig, "speech": SpeechConfig}
        options = self._read(config, "codetalker", tables)
        c = self._network = options["network"]
        size, codes = 3 * geometry.vertices, options["codebook"]
        self.autoencoder = Autoencoder(codes, size)
        self._encoder(options["speech"], geometry, c.d_model, joined=False)
        self.past = nn.Linear(size, c.d_model)
        self.style = nn.Linear(len(geometry.subjects), c.d_model, bias=False)
        nn.init.normal_(self.style.weight)  # as an embedding of the speakers
        self.decoder = AlignedDecoder(c.d_model, c.heads, c.layers, c.period, c.dropout)
        self.to_code = nn.Linear(c.d_model, codes.code_width, bias=False)
        nn.init.zeros_(self.to_code.weight)

    def trained(self, stage: str) -> Sequence[nn.Module]:
        query: list[nn.Module] = [self.speech, self.audio, self.past, self.style, self.decoder, self.to_code]
        stages: dict[str, list[nn.Module]] = {"codebook": [self.autoencoder], "query": query}
        return stages[stage]

    def generated(
        self, speech: Speech, template: Tensor, style: Tensor, frames: Tensor, fitted: bool = False
    ) -> tuple[Tensor, Tensor]:
        """One clip, frame by frame. All codes so far are decoded anew each time, as published: their decoder looks at
        the whole sequence."""
        heard, speaker = self.heard(speech, frames, fitted), self.style(style)[:, None]
        token, past = speaker, Past()
        wanted: list[Tensor] = []
        while True:
            here = len(wanted)
            wanted.append(self._codes(self.decoder.onward(token, heard.at(here), past)))
            codes = self.autoencoder.quantizer(torch.cat(wanted, 1))[0]
            if here + 1 == heard.frames > 1:
                return self.autoencoder.decode(codes), heard.counts
            # As published: at the first step the only frame is decoded twice, for the norm over time.
            motion = self.autoencoder.decode(codes.repeat(1, 2, 1, 1) if here == 0 else codes)[:, here : here + 1]
            if here + 1 == heard.frames:
                return motion, heard.counts
            token = self.past(motion) + speaker

    def predicted(self, wanted: Wanted) -> Tensor:
        """Each clip by itself: the decoder of the codes looks at the whole sequence."""
        return torch.cat([super(CodeTalker, self).predicted(one) for one in wanted.alone()])

    def _codes(self, tokens: Tensor) -> Tensor:
        return self.to_code(tokens).unflatten(-1, (self.autoencoder.faces, -1))

    def loss(self, stage: str, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        motion, counts = batch.motion / self.unit, batch.mask.sum(1)
        if stage == "codebook":
            return self._codebook_loss(_clips(motion, counts))
        if stage == "query":
            return self._query_loss(batch, motion, counts)
        raise InputError(f"CodeTalker has no stage {stage!r}; choose one of codebook, query.")

    def _codebook_loss(self, clips: list[Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean absolute error of the motion in the data's unit, and the quantizer's loss, in balance as published."""
        rec, quantized = [], []
        for clip in clips:
            codes, loss, _ = self.autoencoder.encode(clip)
            rec.append((self.autoencoder.decode(codes) - clip).abs().mean() * self.unit)
            quantized.append(loss)
        parts = {"rec": torch.stack(rec).mean(), "quantizer": torch.stack(quantized).mean()}
        return parts["rec"] + parts["quantizer"], parts

    def _query_loss(self, batch: Batch, motion: Tensor, counts: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean square errors of motion (in the data's unit) and codes, the true past given, as published."""
        heard, speaker = self.heard(batch.speech, counts, True), self.style(batch.style)[:, None]
        motion, counts = motion[:, : heard.frames], torch.minimum(counts, heard.counts)
        before = torch.cat([torch.zeros_like(motion[:, :1]), motion[:, :-1]], 1)
        queried = self._codes(self.decoder(self.past(before) + speaker, heard.features, heard.per_frame))
        moved, coded = [], []
        for row, clip in enumerate(_clips(motion, counts)):
            wanted = queried[row : row + 1, : clip.shape[1]]
            with torch.no_grad():
                true = self.autoencoder.encode(clip)[0]
            with _frozen(self.autoencoder):
                made = self.autoencoder.decode(self.autoencoder.quantizer(wanted)[0])
            whole = torch.ones(1, clip.shape[1], dtype=torch.bool, device=clip.device)
            moved.append(reconstruction((made.float() - clip) * self.unit, whole))
            coded.append((wanted - true).square().mean())
        parts = {"motion": torch.stack(moved).mean(), "code": torch.stack(coded).mean()}
        return self._network.motion * parts["motion"] + self._network.code * parts["code"], parts


def _clips(motion: Tensor, counts: Tensor) -> list[Tensor]:
    return [clip[None, :n] for clip, n in zip(motion, counts.tolist(), strict=True)]


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
