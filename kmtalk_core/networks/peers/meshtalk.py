"""MeshTalk (Richard et al., ICCV 2021; github facebookresearch/meshtalk), in its two training stages.

"expression": a categorical latent space. Motion and sound are encoded together as `heads` one-hot codes of `classes` a
frame, from which and the neutral face a U-Net over vertices makes the motion; crossing modalities between clips teaches
that lips follow the sound and the upper face the motion. "context": with that frozen, an autoregressive model of the
codes, frame by frame and head by head, given the sound.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ...errors import InputError
from ..method import Batch, Geometry, Method, Stage, Wanted, options_of
from ..sequence_losses import per_clip
from ..speech import SAMPLE_RATE, Speech, sampled

CHUNK, FFT, WINDOW, HOP, MELS = SAMPLE_RATE, 2048, 800, 160, 80  # samples around a frame, and how they are heard
SLOPE = 0.2  # of leaky rectifiers


@dataclass(frozen=True)
class NetworkConfig:
    """The published code's. `segment`: frames that are drawn of a clip for a training step of each stage."""

    heads: int = 16
    classes: int = 128
    width: int = 128  # of the codes of sound and motion, and of the U-Net's middle
    channels: int = 128  # of the convolutions over the sound
    layers: tuple[int, int] = (512, 256)  # of the U-Net, outermost first
    motion: int = 256  # hidden, of the motion's encoder
    context: int = 64  # hidden, of every head
    segment: int = 32
    context_segment: int = 64


@dataclass(frozen=True)
class LossConfig:
    rec: float = 1.0
    crossing: float = 1.0


class SoundEncoder(nn.Module):
    """Chunks (n, 16,000) of sound, a second around each frame → codes (n, width)."""

    filters: Tensor
    window: Tensor

    def __init__(self, c: NetworkConfig) -> None:
        super().__init__()
        self.register_buffer("filters", torch.from_numpy(mel_filters()), persistent=False)
        self.register_buffer("window", torch.hann_window(WINDOW), persistent=False)
        self.first = nn.Conv1d(MELS, c.channels, 5)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(c.channels, c.channels, 5, dilation=2 * (n % 3 + 1)) for n in range(6)
        )
        self.code = nn.Linear(c.channels, c.width)
        for layer in (self.first, *self.convolutions):
            assert isinstance(layer, nn.Conv1d) and layer.bias is not None
            nn.init.xavier_uniform_(layer.weight)
            nn.init.constant_(layer.bias, 0.01)

    def forward(self, chunks: Tensor) -> Tensor:
        spectrum = torch.stft(chunks, FFT, HOP, WINDOW, self.window, return_complex=True).abs().square()
        x = functional.leaky_relu(self.first((self.filters @ spectrum).clamp(min=1e-10).log()), SLOPE)
        for layer in self.convolutions:
            made = functional.dropout(functional.leaky_relu(layer(x), SLOPE), 0.2, self.training)
            cut = (x.shape[2] - made.shape[2]) // 2
            x = (x[:, :, cut:-cut] + made) / 2
        return self.code(x.mean(-1))


class MotionEncoder(nn.Module):
    """Faces (B, N, C), normalised → codes (B, N, width)."""

    def __init__(self, c: NetworkConfig, size: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(size, c.motion), nn.Linear(c.motion, c.width)])
        self.lstm = nn.LSTM(c.width, c.width, batch_first=True)
        self.code = nn.Linear(c.width, c.width)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = functional.leaky_relu(layer(x), SLOPE)
        return self.code(self.lstm(x)[0])


class VertexUNet(nn.Module):
    """The neutral face (B, C), normalised, and codes (B, N, heads · classes) → faces (B, N, C)."""

    def __init__(self, c: NetworkConfig, size: int) -> None:
        super().__init__()
        sizes = (size, *c.layers, c.width)
        self.down = nn.ModuleList(nn.Linear(a, b) for a, b in itertools.pairwise(sizes))
        self.fusion = nn.Linear(c.heads * c.classes + c.width, c.width)
        self.over_time = nn.LSTM(c.width, c.width, 2, batch_first=True)
        self.up = nn.ModuleList(nn.Linear(b, a) for a, b in reversed(list(itertools.pairwise(sizes))))
        self.bias = nn.Parameter(torch.zeros(size))

    def forward(self, face: Tensor, codes: Tensor) -> Tensor:
        skips, x = [], face[:, None]
        for layer in self.down:
            skips.append(x)
            x = functional.leaky_relu(layer(x), SLOPE)
        x = torch.cat([x.expand(-1, codes.shape[1], -1), codes], dim=-1)
        x, _ = self.over_time(functional.leaky_relu(self.fusion(x), SLOPE))
        for layer, skip in zip(self.up, reversed(skips), strict=True):
            x = skip + functional.leaky_relu(layer(x), SLOPE)
        return x + self.bias


class MaskedLayer(nn.Module):
    """(B, N, heads · in) → (B, N, heads · out): a head sees those before it at the same frame, all heads of earlier
    frames (`dilation` apart, two of them; 0: none), and the sound where it is given."""

    mask: Tensor

    def __init__(self, heads: int, size: int, out: int, audio: int, dilation: int) -> None:
        super().__init__()
        self.out, self.size, self.dilation = out, size, dilation
        self.of_sound = nn.Linear(audio, heads * out) if audio else None
        self.of_heads = nn.Linear(heads * size, heads * out)
        earlier = torch.ones(heads, heads).tril(-1)
        self.register_buffer("mask", earlier.repeat_interleave(out, 0).repeat_interleave(size, 1), persistent=False)
        self.of_past = nn.Conv1d(heads * size, heads * out, 2, dilation=dilation) if dilation else None

    def beside(self, past: Tensor, sound: Tensor | None) -> Tensor:
        """What does not depend on the frame's own heads: `past` (B, N, heads · in) holds the frames before each."""
        added = torch.zeros((), device=past.device)
        if self.of_past is not None:
            added = added + self.of_past(past.transpose(1, 2)).transpose(1, 2)
        if self.of_sound is not None and sound is not None:
            added = added + self.of_sound(sound)
        return added

    def forward(self, x: Tensor, sound: Tensor) -> Tensor:
        before = functional.pad(x[:, :-1], (0, 0, self.dilation + 1, 0))
        own = functional.linear(x, self.of_heads.weight * self.mask, self.of_heads.bias)
        return own + self.beside(before, sound)

    def head(self, x: Tensor, head: int) -> Tensor:
        """Of one head (B, out), from the frame's heads so far (B, heads · in)."""
        rows = slice(head * self.out, (head + 1) * self.out)
        seen = head * self.size
        return functional.linear(x[:, :seen], self.of_heads.weight[rows, :seen], self.of_heads.bias[rows])


class ContextModel(nn.Module):
    """One-hot codes so far and sound (B, N, width) → scores of every class, (B, N, heads, classes)."""

    def __init__(self, c: NetworkConfig) -> None:
        super().__init__()
        self.heads, self.classes = c.heads, c.classes
        inner = [MaskedLayer(c.heads, c.context, c.context, c.width, d) for d in (1, 2, 4, 8)]
        first = MaskedLayer(c.heads, c.classes, c.context, 0, 0)
        self.layers = nn.ModuleList([first, *inner, MaskedLayer(c.heads, c.context, c.classes, 0, 0)])

    def forward(self, codes: Tensor, sound: Tensor) -> Tensor:
        x, last = codes, len(self.layers) - 1
        for number, layer in enumerate(self.layers):
            x = layer(x, sound)
            x = functional.leaky_relu(x, SLOPE) if 0 < number < last else x
        return x.unflatten(-1, (self.heads, self.classes))

    def drawn(self, sound: Tensor, seed: int | None) -> Tensor:
        """Codes (1, N, heads · classes) of one sound (1, N, width), drawn as the model finds them likely, the same for
        a `seed`; the likeliest where it is None."""
        frames, generator = sound.shape[1], torch.Generator().manual_seed(seed or 0)
        layers = [layer for layer in self.layers if isinstance(layer, MaskedLayer)]
        inputs = [sound.new_zeros(1, frames, self.heads * layer.size) for layer in layers]
        for t in range(frames):
            here = sound[:, t : t + 1]
            beside = [
                layer.beside(_before(x, t, layer.dilation), here) for layer, x in zip(layers, inputs, strict=True)
            ]
            for head in range(self.heads):
                for number, (layer, x) in enumerate(zip(layers, inputs, strict=True)):
                    made = layer.head(x[:, t], head)
                    if beside[number].dim():
                        made = made + beside[number][:, 0, head * layer.out : (head + 1) * layer.out]
                    if number + 1 == len(layers):
                        scores = made
                        break
                    made = functional.leaky_relu(made, SLOPE) if number else made
                    inputs[number + 1][:, t, head * layer.out : (head + 1) * layer.out] = made
                if seed is not None:
                    noise = torch.rand(scores.shape, generator=generator).clamp(1e-10, 1.0)
                    scores = scores.log_softmax(-1) - torch.log(-torch.log(noise)).to(scores)
                inputs[0][:, t, head * self.classes + int(scores.argmax())] = 1.0
        return inputs[0]


def _before(x: Tensor, frame: int, dilation: int) -> Tensor:
    """The frames that a layer of `dilation` looks back to from `frame`, zero before the beginning."""
    start = frame - dilation - 1
    return functional.pad(x[:, max(start, 0) : frame], (0, 0, max(-start, 0), 0))


class MeshTalk(Method):
    stages = (Stage("expression"), Stage("context", after=("expression",)))
    lips: Tensor
    upper_face: Tensor
    mean: Tensor

    def __init__(self, config: Mapping[str, Any], geometry: Geometry) -> None:
        super().__init__(config, geometry)
        if strange := [name for name in config if name not in ("network", "losses")]:
            raise InputError(f"The method meshtalk has no table [{strange[0]}]; it knows network, losses.")
        network = options_of(config, "network", list(NetworkConfig.__dataclass_fields__))
        sizes: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in network.items()}
        c = self._network = NetworkConfig(**sizes)
        self._losses = LossConfig(**options_of(config, "losses", list(LossConfig.__dataclass_fields__)))
        size = 3 * geometry.vertices
        self.sound, self.motion, self.unet = SoundEncoder(c), MotionEncoder(c, size), VertexUNet(c, size)
        self.fusion = nn.Sequential(
            nn.Linear(2 * c.width, 256), nn.LeakyReLU(SLOPE), nn.Linear(256, 256), nn.LeakyReLU(SLOPE),
            nn.Linear(256, c.heads * c.classes),
        )  # fmt: skip
        self.context = ContextModel(c)
        mean = np.zeros(size, np.float32) if geometry.template is None else geometry.template.reshape(-1)
        self.register_buffer("mean", torch.from_numpy(np.array(mean, np.float32)))
        for name in ("lips", "upper_face"):
            chosen = torch.as_tensor(getattr(geometry, name), dtype=torch.long)
            self.register_buffer(name, (3 * chosen[:, None] + torch.arange(3)).flatten(), persistent=False)

    @property
    def config(self) -> dict[str, Any]:
        return {"network": asdict(self._network), "losses": asdict(self._losses)}

    def trained(self, stage: str) -> Sequence[nn.Module]:
        if stage == "context":
            return [self.context]
        return [self.sound, self.motion, self.unet, self.fusion]

    def heard(self, speech: Speech, frames: int) -> Tensor:
        """(B, N, width): every frame from the second around it; beyond its ends a sound is silent."""
        starts = (torch.arange(frames, device=speech.samples.device) / self.geometry.fps * SAMPLE_RATE).round().long()
        padded = functional.pad(speech.samples, (CHUNK // 2, CHUNK // 2 + int(starts[-1])))
        chunks = padded.unfold(1, CHUNK, 1)[:, starts]
        return self.sound(chunks.flatten(0, 1)).unflatten(0, (len(chunks), frames))

    def codes(self, motion: Tensor, sound: Tensor) -> Tensor:
        """Scores (B, N, heads, classes) of faces coded with sound."""
        scores = self.fusion(torch.cat([motion, sound], dim=-1))
        return scores.unflatten(-1, (self._network.heads, self._network.classes))

    def moved(self, template: Tensor, codes: Tensor) -> Tensor:
        """Displacement (B, N, C) in the data's unit of one-hot codes (B, N, heads · classes)."""
        made = self.unet((template - self.mean) / self.geometry.unit, codes).float()
        return made * self.geometry.unit + (self.mean - template)[:, None]

    def predicted(self, wanted: Wanted) -> Tensor:
        """Codes are drawn, as published; the same ones for the same sound."""
        rows = []
        for one in wanted.alone():
            positions, frames = one.positions(self.geometry.fps)
            codes = self.context.drawn(self.heard(one.speech, int(frames)), seed=0)
            rows.append(sampled(self.moved(one.template, codes), positions, frames))
        return torch.cat(rows)

    def loss(self, stage: str, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        if stage not in ("expression", "context"):
            raise InputError(f"MeshTalk has no stage {stage!r}; choose one of expression, context.")
        length = self._network.segment if stage == "expression" else self._network.context_segment
        rows = torch.arange(batch.mask.shape[1]).expand(len(batch.mask), -1)
        rows = (_segment(batch.mask, length) if self.training_stage(stage) else rows).to(batch.mask.device)
        frames = int(rows.max()) + 1
        sound = self.heard(batch.speech, frames).gather(1, rows[..., None].expand(-1, -1, self._network.width))
        motion = batch.motion.gather(1, rows[..., None].expand(-1, -1, batch.motion.shape[2]))
        mask = batch.mask.gather(1, rows)
        faces = (motion + (batch.template - self.mean)[:, None]) / self.geometry.unit
        if stage == "context":
            return self._context_loss(self.motion(faces), sound, mask)
        return self._expression_loss(batch.template, motion, self.motion(faces), sound, mask)

    def training_stage(self, stage: str) -> bool:
        """Whether a stage is being trained, not validated."""
        return all(module.training for module in self.trained(stage))

    def _expression_loss(
        self, template: Tensor, motion: Tensor, coded: Tensor, sound: Tensor, mask: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean square errors in units of the geometry: of all, and with the motion (the sound) of another clip, of the
        lips (the upper face)."""
        learns = self.training_stage("expression")

        def error(of_motion: Tensor, of_sound: Tensor) -> Tensor:
            codes = one_hot(self.codes(of_motion, of_sound), learns).flatten(2)
            return ((self.moved(template, codes) - motion) / self.geometry.unit).square()

        parts = {"rec": per_clip(error(coded, sound).mean(-1), mask)}
        total = self._losses.rec * parts["rec"]
        if len(motion) > 1 and self._losses.crossing:  # published batches are of 8
            shift = int(torch.randint(1, len(motion), ()))
            lips = error(coded.roll(shift, 0), sound)[..., self.lips].mean(-1)
            upper = error(coded, sound.roll(shift, 0))[..., self.upper_face].mean(-1)
            both = mask & mask.roll(shift, 0)
            parts["crossing"] = per_clip(lips, both) + per_clip(upper, both)
            total = total + self._losses.crossing * parts["crossing"]
        return total, parts

    def _context_loss(self, coded: Tensor, sound: Tensor, mask: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Cross entropy of the codes, the true past given."""
        with torch.no_grad():
            labels = self.codes(coded, sound).argmax(-1)
        codes = functional.one_hot(labels, self._network.classes).to(sound.dtype).flatten(2)
        scores = self.context(codes, sound.detach()).float().log_softmax(-1)
        entropy = -scores.gather(-1, labels[..., None])[..., 0].mean(-1)
        loss = per_clip(entropy, mask)
        return loss, {"cross_entropy": loss}


def one_hot(scores: Tensor, drawn: bool) -> Tensor:
    """(…, classes) → one-hot by the Gumbel-max trick, or the likeliest; gradients as of the softmax."""
    log_probs = scores.log_softmax(-1)
    if drawn:
        log_probs = log_probs - torch.log(-torch.log(torch.rand_like(log_probs).clamp(1e-10, 1.0)))
    soft = log_probs.softmax(-1)
    hard = functional.one_hot(soft.argmax(-1), soft.shape[-1]).to(soft.dtype)
    return hard - soft.detach() + soft


def _segment(mask: Tensor, length: int) -> Tensor:
    """(B, n) frames in a row of each clip, drawn; n as `length` or as the shortest clip."""
    counts = mask.sum(1)
    n = min(length, int(counts.min()))
    starts = (torch.rand(len(mask)) * (counts.cpu() - n + 1)).long()
    return starts[:, None] + torch.arange(n)


def mel_filters() -> np.ndarray:
    """(MELS, FFT / 2 + 1) float32: triangles on HTK's mel scale up to half the sample rate."""
    frequencies = np.linspace(0, SAMPLE_RATE / 2, FFT // 2 + 1)
    top = 2595.0 * math.log10(1.0 + SAMPLE_RATE / 2 / 700.0)
    corners = 700.0 * (10.0 ** (np.linspace(0.0, top, MELS + 2) / 2595.0) - 1.0)
    rising = (frequencies - corners[:-2, None]) / np.diff(corners)[:-1, None]
    falling = (corners[2:, None] - frequencies) / np.diff(corners)[1:, None]
    return np.maximum(0.0, np.minimum(rising, falling)).astype(np.float32)
