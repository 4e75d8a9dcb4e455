"""SelfTalk's lip-reading branch (Peng et al., ACM MM 2023), whose losses the paper adopts in eq. (2).

Lip vertices → features that should equal those of a speech recogniser (L_lat) → characters (L_ctc). It is needed in
training only.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import InputError
from .layers import TimeEncoding
from .method import Batch
from .sequence_losses import ctc, latent
from .speech import Recogniser, sampled

# The vocabulary where a transcript is the target: 0 is CTC's blank, | stands between words.
CHARACTERS = ("", "|", "'", *"abcdefghijklmnopqrstuvwxyz")
TEXTS = ("recogniser", "transcript")


@dataclass(frozen=True)
class LipReadingConfig:
    """`recogniser`: folder or hub id of a wav2vec 2.0 CTC model (or its `architecture`); `text`: whose characters are
    to be read, the recogniser's own (SelfTalk's code; needs no transcripts) or the transcript's. Layers and heads are
    those of SelfTalk's published code.
    """

    recogniser: str = "jonatasgrosman/wav2vec2-large-xlsr-53-english"
    architecture: dict[str, Any] = field(default_factory=dict)
    text: str = "recogniser"
    layers: int = 6
    heads: int = 8
    feed_forward: int = 2048
    dropout: float = 0.1
    download: bool = True

    def __post_init__(self) -> None:
        if self.text not in TEXTS:
            raise InputError(f"[lip_reading] text is {self.text!r}; choose one of {', '.join(TEXTS)}.")

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def encode_text(text: str) -> list[int]:
    """A transcript as indices into CHARACTERS; other signs fall away, runs of space become |."""
    words = "|".join(text.lower().replace("’", "'").split())
    return [CHARACTERS.index(c) for c in words if c in CHARACTERS]


class LipReader(nn.Module):
    """Lip displacement in units (B, N, 3 L) at `rate` Hz → latent (B, M, width) at `out_rate` Hz and logits."""

    def __init__(
        self, config: LipReadingConfig, lips: int, rate: float, width: int, out_rate: float, vocabulary: int
    ) -> None:
        super().__init__()
        self.ratio, self.out_rate = rate / out_rate, out_rate
        self.lips = nn.Linear(3 * lips, width)
        self.encoding = TimeEncoding(width)
        self.transformer = nn.Transformer(
            width,
            config.heads,
            config.layers,
            config.layers,
            config.feed_forward,
            config.dropout,
            batch_first=True,
        )
        self.transformer.encoder.use_nested_tensor = False  # type: ignore[union-attr]
        self.head = nn.Linear(width, vocabulary)

    def forward(self, lips: Tensor, counts: Tensor, out_counts: Tensor) -> tuple[Tensor, Tensor]:
        """`counts` (B,) frames of motion, `out_counts` (B,) frames of the recogniser → latent, logits."""
        index = torch.arange(int(out_counts.max()), device=lips.device)
        positions = (index * self.ratio).expand(len(lips), -1)
        x = sampled(self.lips(lips), positions, counts) + self.encoding(index / self.out_rate)
        padding = index[None] >= out_counts[:, None]
        read = self.transformer(
            x, x, src_key_padding_mask=padding, tgt_key_padding_mask=padding, memory_key_padding_mask=padding
        )
        return read, self.head(read)


def lip_losses(
    recogniser: Recogniser, reader: LipReader, text: str, motion: Tensor, lips: Tensor, batch: Batch
) -> tuple[Tensor, Tensor]:
    """L_lat and L_ctc of eq. (2), from the `lips` (n,) of `motion` (B, N, C) in units; `text` as configured."""
    heard, counts, tokens = recogniser(batch.speech)
    read, logits = reader(motion.unflatten(-1, (-1, 3))[:, :, lips].flatten(2), batch.mask.sum(1), counts)
    real = torch.arange(heard.shape[1], device=heard.device)[None] < counts[:, None]
    if text == "recogniser":
        targets = nn.utils.rnn.pad_sequence(tokens, batch_first=True)
        lengths, blank = torch.tensor([len(t) for t in tokens], device=heard.device), recogniser.blank
    else:
        targets, lengths, blank = batch.text, batch.text_lengths, 0
    return latent(read.float(), heard.float(), real), ctc(logits, counts, targets, lengths, blank)
