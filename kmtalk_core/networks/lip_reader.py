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
from .method import Batch
from .sequence_losses import ctc, latent
from .speech import Recogniser, sampled

# The vocabulary where a transcript is the target: 0 is CTC's blank, | stands between words.
CHARACTERS = ("", "|", "'", *"abcdefghijklmnopqrstuvwxyz")
TEXTS = ("recogniser", "transcript")


@dataclass(frozen=True)
class LipReadingConfig:
    """`recogniser`: folder or hub id of a wav2vec 2.0 CTC model (or its `architecture`); `text`: whose characters are
    to be read, the recogniser's own (SelfTalk's code; needs no transcripts) or the transcript's. `stretched`: lips are
    fitted to the recogniser's features from end to end, as SelfTalk's code does, not placed at their times. Layers and
    heads are those of SelfTalk's published code.
    """

    recogniser: str = "jonatasgrosman/wav2vec2-large-xlsr-53-english"
    architecture: dict[str, Any] = field(default_factory=dict)
    text: str = "recogniser"
    layers: int = 6
    heads: int = 8
    feed_forward: int = 2048
    dropout: float = 0.1
    stretched: bool = False
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
    """Lip displacement in the data's unit (B, N, 3 L) at `rate` Hz → latent (B, M, width) at `out_rate` Hz and logits.

    As in SelfTalk's code, the transformer knows no positions.
    """

    def __init__(
        self, config: LipReadingConfig, lips: int, rate: float, width: int, out_rate: float, vocabulary: int
    ) -> None:
        super().__init__()
        self.ratio, self.stretched = rate / out_rate, config.stretched
        self.lips = nn.Linear(3 * lips, width)
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

    def reached(self, counts: Tensor, out_counts: Tensor) -> Tensor:
        """How many of the recogniser's `out_counts` (B,) frames `counts` (B,) frames of motion are read as: where each
        frame of motion has a whole number of them, those beyond the motion are cut off, as published."""
        whole = round(1 / self.ratio)
        if self.stretched and abs(whole * self.ratio - 1) < 1e-6:
            return torch.minimum(out_counts, counts * whole)
        return out_counts

    def forward(self, lips: Tensor, counts: Tensor, out_counts: Tensor) -> tuple[Tensor, Tensor]:
        """`counts` (B,) frames of motion, `out_counts` (B,) frames of the recogniser → latent, logits."""
        index = torch.arange(int(out_counts.max()), device=lips.device)
        if self.stretched:
            positions = index * ((counts - 1) / (out_counts - 1).clamp(min=1))[:, None]
        else:
            positions = (index * self.ratio).expand(len(lips), -1)
        x = sampled(self.lips(lips), positions, counts)
        padding = index[None] >= out_counts[:, None]
        read = self.transformer(
            x, x, src_key_padding_mask=padding, tgt_key_padding_mask=padding, memory_key_padding_mask=padding
        )
        return read, self.head(read)


def lip_losses(
    recogniser: Recogniser, reader: LipReader, text: str, motion: Tensor, lips: Tensor, mask: Tensor, batch: Batch
) -> tuple[Tensor, Tensor]:
    """L_lat and L_ctc of eq. (2), from the `lips` (n,) of `motion` (B, N, C) in the data's unit, real where `mask`
    (B, N) is True; `text` as configured."""
    heard, counts, best = recogniser(batch.speech)
    frames = mask.sum(1)
    counts = reader.reached(frames, counts)
    heard = heard[:, : int(counts.max())]
    read, logits = reader(motion.unflatten(-1, (-1, 3))[:, :, lips].flatten(2), frames, counts)
    real = torch.arange(heard.shape[1], device=heard.device)[None] < counts[:, None]
    if text == "recogniser":
        texts = [recogniser.text(row[:n]) for row, n in zip(best, counts.tolist(), strict=True)]
        targets, blank = nn.utils.rnn.pad_sequence(texts, batch_first=True), recogniser.blank
        lengths = torch.tensor([len(t) for t in texts], device=heard.device)
    else:
        targets, lengths, blank = batch.text, batch.text_lengths, 0
    return latent(read.float(), heard.float(), real), ctc(logits, counts, targets, lengths, blank)
