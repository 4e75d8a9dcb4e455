"""Audio features A of the paper (Sec. 3.2): wav2vec 2.0 (or HuBERT, WavLM) through transformers, at the frame rate.

transformers is an optional package, imported where it is needed. Weights come from a local folder or a hub id; a bare
`architecture` makes random ones, and a checkpoint of this project carries architecture and weights itself.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import InputError, KMTalkError

SAMPLE_RATE = 16_000  # Hz
WORD_BOUNDARY = 4  # the token | in the vocabularies of wav2vec 2.0 for English
TRAINABLE = ("none", "transformer", "all")
INTERPOLATE = ("before", "after", "stretched", "none")
IN_TIME = INTERPOLATE[:2]  # ways that place every frame at the time that it hears
# Of transformers' configurations those that are words; others may name what is to be fetched or run.
WORDS = {
    "model_type", "hidden_act", "feat_extract_norm", "feat_extract_activation", "feat_proj_layer_norm",
    "ctc_loss_reduction", "adapter_act", "position_embeddings_type",
}  # fmt: skip
INSTALL = "The package transformers is missing; install it with `pip install transformers`."


@dataclass(frozen=True)
class SpeechConfig:
    """Where A comes from.

    `source`: folder or hub id of pre-trained weights, or "" with an `architecture` (transformers' configuration).
    `trainable`: "none", "transformer" (the convolutions stay frozen, as FaceFormer and SelfTalk train) or "all".
    `interpolate`: to the frame rate "before" the transformer or "after" it, every frame at the time that it hears;
    "stretched", before it from end to end, as FaceFormer, CodeTalker and SelfTalk do on VOCASET; "none", several
    features a frame at the encoder's own rate, as they do on BIWI. `download`: whether a hub id may be fetched.
    """

    source: str = "facebook/wav2vec2-base-960h"
    architecture: Mapping[str, Any] = field(default_factory=dict)
    trainable: str = "transformer"
    interpolate: str = "before"
    download: bool = True

    def __post_init__(self) -> None:
        for name, allowed in (("trainable", TRAINABLE), ("interpolate", INTERPOLATE)):
            if getattr(self, name) not in allowed:
                raise InputError(f"[speech] {name} is {getattr(self, name)!r}; choose one of {', '.join(allowed)}.")

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Speech:
    """Padded sound: `samples` (B, S) at 16 kHz, each normalised by `normalised`; `lengths` (B,) in samples."""

    samples: Tensor
    lengths: Tensor

    def to(self, device: torch.device) -> Speech:
        return Speech(self.samples.to(device), self.lengths.to(device))


def architecture_only(options: Mapping[str, Any]) -> dict[str, Any]:
    """The table [speech] of a checkpoint without anything that would be fetched or run: its weights it has itself."""
    given = options.get("architecture", {})
    if not isinstance(given, Mapping) or "model_type" not in given:
        raise InputError("This checkpoint lacks the architecture of its speech encoder; export it again.")
    plain = {k: v for k, v in given.items() if k in WORDS or not (isinstance(v, str | Mapping) or k.startswith("_"))}
    return {**options, "source": "", "architecture": plain, "download": False}


def normalised(samples: Tensor) -> Tensor:
    """(n,) samples with zero mean and unit variance, as wav2vec 2.0's own feature extractor does."""
    return (samples - samples.mean()) / torch.sqrt(samples.var(unbiased=False) + 1e-7)


def sampled(sequence: Tensor, positions: Tensor, lengths: Tensor) -> Tensor:
    """Linear interpolation: (B, N, d) whose rows have `lengths` (B,), at fractional `positions` (B, M) → (B, M, d)."""
    last = (lengths[:, None] - 1).clamp(min=0)
    at = torch.minimum(positions.clamp(min=0), last.to(positions.dtype))
    below = at.floor().long()
    above = torch.minimum(below + 1, last)
    part = (at - below).unsqueeze(-1).to(sequence.dtype)

    def take(index: Tensor) -> Tensor:
        return sequence.gather(1, index.unsqueeze(-1).expand(-1, -1, sequence.shape[2]))

    return take(below) * (1 - part) + take(above) * part


class SpeechEncoder(nn.Module):
    """Samples → hidden states (B, N · `per_frame`, width), N frames at `rate` Hz.

    With `interpolate` before or after, frame n is at n / rate seconds: convolution frames are placed at the centres of
    what they hear. Every sound goes through the convolutions by itself (wav2vec 2.0 base normalises over the whole
    sound there), so padding and batches change nothing. `per_frame` is 1 but for "none".
    """

    def __init__(self, config: SpeechConfig, rate: float) -> None:
        super().__init__()
        self.config, self.rate = config, rate
        self.backbone = _backbone(config)
        c = self.backbone.config
        self.width = int(c.hidden_size)
        self._hop, self._reach = 1, 1
        for kernel, stride in zip(c.conv_kernel, c.conv_stride, strict=True):
            self._reach += (kernel - 1) * self._hop
            self._hop *= stride
        self.per_frame = 1
        if config.interpolate == "none":
            self.per_frame = max(round(self.own_rate / rate), 1)
            if abs(self.per_frame * rate - self.own_rate) > 1e-6:
                raise InputError(
                    f'[speech] interpolate = "none" needs a frame rate that divides {self.own_rate:g} Hz, not {rate:g};'
                    ' choose "before".'
                )
        self.backbone.requires_grad_(config.trainable != "none")
        if config.trainable == "transformer":
            self.backbone.feature_extractor.requires_grad_(False)

    @property
    def own_rate(self) -> float:
        """Convolution frames a second."""
        return SAMPLE_RATE / self._hop

    @property
    def architecture(self) -> dict[str, Any]:
        """transformers' configuration, which builds the same network again without any download."""
        return {k: v for k, v in self.backbone.config.to_dict().items() if k != "_name_or_path"}

    def convolved(self, speech: Speech) -> list[Tensor]:
        """What the convolutions make of each sound, (n, c) each; the same for encoders that share them frozen."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.config.trainable == "all"):
            return [self._convolved(row[:n]) for row, n in zip(speech.samples, speech.lengths.tolist(), strict=True)]

    def forward(
        self, speech: Speech, convolved: list[Tensor] | None = None, frames: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """→ hidden (B, N · per_frame, width) and the number N of frames of each sound (B,).

        `frames` (B,) of the motion to the sounds, where it is known: "stretched" fits the sound to it, "none" cuts off
        what goes beyond; the other ways do not look at it.
        """
        alone = self.convolved(speech) if convolved is None else convolved
        counts = torch.tensor([len(h) for h in alone], device=speech.samples.device)
        hidden = nn.utils.rnn.pad_sequence(alone, batch_first=True)
        if self.config.interpolate == "none":
            whole = counts // self.per_frame
            whole = whole if frames is None else torch.minimum(whole, frames)
            kept = (whole * self.per_frame).clamp(min=1)
            return self._transformed(hidden[:, : int(kept.max())], kept), whole
        if self.config.interpolate == "stretched":
            if frames is None:  # rounded as the published codes round
                lengths = [max(int(n / self.own_rate * self.rate), 1) for n in counts.tolist()]
                frames = torch.tensor(lengths, device=counts.device)
            step = (counts - 1) / (frames - 1).clamp(min=1)
            positions = torch.arange(int(frames.max()), device=hidden.device) * step[:, None]
            return self._transformed(sampled(hidden, positions, counts), frames), frames
        frames = torch.floor(speech.lengths / SAMPLE_RATE * self.rate + 1e-6).long() + 1
        times = torch.arange(int(frames.max()), device=hidden.device) / self.rate
        positions = ((times * SAMPLE_RATE - self._reach / 2) / self._hop).expand(len(alone), -1)
        if self.config.interpolate == "before":
            return self._transformed(sampled(hidden, positions, counts), frames), frames
        return sampled(self._transformed(hidden, counts), positions, counts), frames

    def _convolved(self, samples: Tensor) -> Tensor:
        short = self._reach - len(samples)
        if short > 0:
            samples = nn.functional.pad(samples, (0, short))
        return self.backbone.feature_extractor(samples[None])[0].transpose(0, 1)

    def _transformed(self, hidden: Tensor, counts: Tensor) -> Tensor:
        frozen = self.config.trainable == "none"
        with torch.set_grad_enabled(torch.is_grad_enabled() and not frozen):
            projected = self.backbone.feature_projection(hidden)
            if isinstance(projected, tuple):  # wav2vec 2.0 returns the input of the projection too, HuBERT does not
                projected = projected[0]
            real = torch.arange(hidden.shape[1], device=hidden.device)[None] < counts[:, None]
            return self.backbone.encoder(projected, attention_mask=real).last_hidden_state

    def train(self, mode: bool = True) -> SpeechEncoder:
        """A frozen encoder stays in evaluation mode: its features must not depend on dropout."""
        return super().train(mode and self.config.trainable != "none")


class Recogniser(nn.Module):
    """A frozen speech recogniser with a CTC head (wav2vec 2.0 for CTC): what the lips are to be read as.

    `width` of its hidden states, `vocabulary` tokens with `blank` among them, `rate` Hz.
    """

    def __init__(self, source: str, architecture: Mapping[str, Any], download: bool = True) -> None:
        super().__init__()
        transformers = _transformers()
        self.network = _load(
            transformers.AutoModelForCTC, SpeechConfig(source, architecture, "none", "after", download)
        )
        c = self.network.config
        self.width, self.vocabulary = int(c.hidden_size), int(c.vocab_size)
        self.blank = int(c.pad_token_id or 0)
        hop = 1
        for stride in c.conv_stride:
            hop *= stride
        self.rate = SAMPLE_RATE / hop
        self.requires_grad_(False)
        super().train(False)

    def train(self, mode: bool = True) -> Recogniser:
        return self

    @torch.no_grad()
    def forward(self, speech: Speech) -> tuple[Tensor, Tensor, list[Tensor]]:
        """→ hidden (B, M, width), their counts (B,), and the best token of every frame of each sound."""
        hidden, best = [], []
        for row, n in zip(speech.samples, speech.lengths.tolist(), strict=True):
            out = self.network(row[None, :n], output_hidden_states=True)
            hidden.append(out.hidden_states[-1][0])
            best.append(out.logits[0].argmax(-1))
        counts = torch.tensor([len(h) for h in hidden], device=speech.samples.device)
        return nn.utils.rnn.pad_sequence(hidden, batch_first=True), counts, best

    def text(self, best: Tensor) -> Tensor:
        """The best tokens (n,) of frames → those of the text: without repetitions, blanks, and boundaries of words at
        its ends, as the recogniser's own tokenizer decodes and encodes it."""
        tokens = torch.unique_consecutive(best)
        tokens = tokens[tokens != self.blank]
        inside = torch.nonzero(tokens != WORD_BOUNDARY).flatten()
        return tokens[inside[0] : inside[-1] + 1] if len(inside) else tokens[:0]


def _transformers() -> Any:
    try:
        import transformers
    except ImportError:
        raise KMTalkError(INSTALL) from None
    return transformers


def _backbone(config: SpeechConfig) -> Any:
    return _load(_transformers().AutoModel, config)


def _load(kind: Any, config: SpeechConfig) -> Any:
    """A transformers model without random masking or dropped layers, which a seed could not repeat."""
    transformers = _transformers()
    steady = {"layerdrop": 0.0, "mask_time_prob": 0.0, "mask_feature_prob": 0.0, "apply_spec_augment": False}
    if not config.source:
        if "model_type" not in config.architecture:
            raise InputError("[speech] needs a source (folder or hub id) or an architecture with its model_type.")
        wanted = transformers.AutoConfig.for_model(**{**config.architecture, **steady})
        return kind.from_config(wanted)
    loggers = [logging.getLogger(name) for name in ("transformers.modeling_utils", "huggingface_hub")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:  # that a recogniser's head is left out, and every retry, is said at length
        logger.setLevel(logging.CRITICAL)
    try:
        try:
            return kind.from_pretrained(config.source, local_files_only=True, **steady)
        except OSError:
            if Path(config.source).is_dir() or not config.download:
                raise
        return kind.from_pretrained(config.source, **steady)
    except (OSError, ValueError) as error:
        said = str(error).strip().splitlines()[0][:160]
        raise InputError(
            f"The speech encoder {config.source} cannot be loaded ({said}); name a folder with config.json and weights,"
            " or a hub id while online."
        ) from None
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
