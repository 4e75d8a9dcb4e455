"""KMTalk as published (Xu et al., ECCV 2024): wav2vec 2.0 in, vertices out. Equations are named where they are.

Sec. 3.2: A by the audio encoder (`speech`), I by localization (given here as `Keys`), K by `VertexKeyMotionDecoder`
(LKMA, eq. (1)); trained with eq. (2) over the pseudo-complete sequence. Sec. 3.3: Y = CMC(A, K, I), eq. (3), with
eq. (4) to (6). The completion module is the compact model's own, at the paper's size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import InputError
from .kmtalk import MotionCompletion
from .layers import CrossAttentionLayer, EncoderLayer, TimeEncoding
from .lip_reader import CHARACTERS, LipReader, LipReadingConfig, lip_losses
from .method import Batch, Geometry, Keys, Method, Stage, Wanted, options_of
from .sequence_losses import reconstruction, velocity
from .speech import IN_TIME, Recogniser, Speech, SpeechConfig, SpeechEncoder, sampled

OF_MESH = ("lkma.out.", "cmc.out.", "cmc.flow.motion.")  # layers that depend on the mesh
TICKS = 1e5  # a second: instants closer than one tick are the same


@dataclass(frozen=True)
class NetworkConfig:
    """Sizes where the paper is silent: SelfTalk's (d = 512 on VOCASET, 1024 on BIWI, 4 heads, one decoder layer)."""

    d_model: int = 512
    heads: int = 4
    feed_forward_multiple: int = 2
    key_layers: int = 1
    flow_layers: int = 2
    cross_layers: int = 2
    decoder_layers: int = 1
    dropout: float = 0.1
    audio_guidance: bool = True  # False: the paper's ablation, Z = Φ
    motion_dim: int = 0  # set from the geometry


@dataclass(frozen=True)
class LossConfig:
    """λ of eq. (2), in the data's own unit; `key_noise`: standard deviation, in units of the geometry, of what is added
    to the true key motions that CMC trains with (the paper: none)."""

    rec: float = 1000.0
    vel: float = 1000.0
    lat: float = 0.001
    ctc: float = 0.0001
    key_noise: float = 0.0


@dataclass(frozen=True)
class Config:
    network: NetworkConfig = field(default_factory=NetworkConfig)
    speech: SpeechConfig = field(default_factory=SpeechConfig)
    losses: LossConfig = field(default_factory=LossConfig)
    lip_reading: LipReadingConfig | None = None

    @classmethod
    def of(cls, tables: Mapping[str, Any], motion_dim: int) -> Config:
        """From the tables [network], [speech], [losses] and, where L_lat and L_ctc are wanted, [lip_reading]."""

        def table(name: str, kind: Any) -> dict[str, Any]:
            return options_of(tables, name, [f.name for f in fields(kind)])

        lips = tables.get("lip_reading")
        return cls(
            NetworkConfig(**{**table("network", NetworkConfig), "motion_dim": motion_dim}),
            SpeechConfig(**table("speech", SpeechConfig)),
            LossConfig(**table("losses", LossConfig)),
            None if lips is None else LipReadingConfig(**table("lip_reading", LipReadingConfig)),
        )


class VertexKeyMotionDecoder(nn.Module):
    """The key motion-focused decoder (Sec. 3.2): A_k = (a_i1 … a_im) → K. A transformer decoder whose memory is A_k
    itself, as SelfTalk's, with attention that knows the distances in time."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        d, sizes = config.d_model, (config.heads, config.feed_forward_multiple, config.dropout)
        self.encoding = TimeEncoding(d)
        self.self_layers = nn.ModuleList(EncoderLayer(d, *sizes) for _ in range(config.key_layers))
        self.cross_layers = nn.ModuleList(CrossAttentionLayer(d, *sizes) for _ in range(config.key_layers))
        self.norm = nn.LayerNorm(d)
        self.out = nn.Linear(d, config.motion_dim)

    def forward(self, audio_at_keys: Tensor, key_times: Tensor, mask: Tensor | None = None) -> Tensor:
        """A_k (B, m, d) at (B, m) s → K (B, m, C) in units."""
        memory = audio_at_keys + self.encoding(key_times)
        x = memory
        for own, cross in zip(self.self_layers, self.cross_layers, strict=True):
            x = cross(own(x, key_times, mask), key_times, memory, key_times, mask)
        return self.out(self.norm(x))


class VertexMotionCompletion(MotionCompletion):
    """CMC, eq. (3), with the audio guidance of eq. (4) and (5) as an option (Table 3)."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__(config)
        self.guided = config.audio_guidance
        if not self.guided:
            del self.gate

    def fused(self, audio: Tensor, flow: Tensor) -> Tensor:
        return super().fused(audio, flow) if self.guided else flow


class VertexKMTalk(Method):
    """LKMA and CMC in vertex space. Each module fine-tunes an audio encoder of its own, since the paper trains them
    independently; a frozen encoder is shared."""

    stages = (Stage("lkma"), Stage("cmc"), Stage("joint", after=("lkma", "cmc")))
    training_only = ("recogniser.", "lip_reader.")
    lips: Tensor

    def __init__(self, config: Mapping[str, Any], geometry: Geometry) -> None:
        super().__init__(config, geometry)
        c = self._config = Config.of(config, 3 * geometry.vertices)
        known = ("network", "speech", "losses", "lip_reading")
        if strange := [name for name in config if name not in known]:
            raise InputError(f"The method kmtalk has no table [{strange[0]}]; it knows {', '.join(known)}.")
        if c.speech.interpolate not in IN_TIME:
            raise InputError(
                f"[speech] interpolate is {c.speech.interpolate!r}; KMTalk takes features at any times, so choose one"
                f" of {', '.join(IN_TIME)}."
            )
        shared = c.speech.trainable == "none"
        self.speech = nn.ModuleDict(
            {name: SpeechEncoder(c.speech, geometry.fps) for name in (("shared",) if shared else ("lkma", "cmc"))}
        )
        if c.speech.trainable == "transformer":  # convolutions that stay frozen are the same in both
            self._encoder("cmc").backbone.feature_extractor = self._encoder("lkma").backbone.feature_extractor
        width = self._encoder("lkma").width
        self.audio = nn.ModuleDict({name: nn.Linear(width, c.network.d_model) for name in ("lkma", "cmc")})
        self.lkma = VertexKeyMotionDecoder(c.network)
        self.cmc = VertexMotionCompletion(c.network)
        for decoder in (self.lkma, self.cmc):  # training starts from the neutral face, as SelfTalk's does
            nn.init.zeros_(decoder.out.weight)
            nn.init.zeros_(decoder.out.bias)
        self.register_buffer("lips", torch.as_tensor(geometry.lips, dtype=torch.long), persistent=False)
        self.recogniser: Recogniser | None = None
        self.lip_reader: LipReader | None = None
        self._balance = 1.0  # of the losses in the data's unit, where data of several units share networks
        if c.lip_reading is not None:
            self._add_lip_reading(c.lip_reading)

    def share(self, other: VertexKMTalk) -> None:
        """Take all modules of `other` but those that depend on the mesh or the frame rate; its losses count as if its
        data moved as much as `other`'s."""
        for name in ("lkma", "cmc"):
            self._encoder(name).backbone = other._encoder(name).backbone
        self.audio, self.recogniser = other.audio, other.recogniser
        pairs = {
            "lkma.": (self.lkma, other.lkma),
            "cmc.": (self.cmc, other.cmc),
            "cmc.flow.": (self.cmc.flow, other.cmc.flow),
        }
        for path, (mine, theirs) in pairs.items():
            for name, module in theirs.named_children():
                if not any(kept.startswith(f"{path}{name}.") for kept in OF_MESH):
                    setattr(mine, name, module)
        self._balance = other.geometry.unit / self.geometry.unit

    def _add_lip_reading(self, c: LipReadingConfig) -> None:
        self.recogniser = Recogniser(c.recogniser, c.architecture, c.download)
        heard = self.recogniser
        vocabulary = heard.vocabulary if c.text == "recogniser" else len(CHARACTERS)
        fps = self.geometry.fps
        self.lip_reader = LipReader(c, len(self.geometry.lips), fps, heard.width, heard.rate, vocabulary)

    @property
    def config(self) -> dict[str, Any]:
        speech = {**self._config.speech.to_dict(), "source": ""}
        speech["architecture"] = self._encoder("lkma").architecture
        network = asdict(self._config.network)
        del network["motion_dim"]
        return {"network": network, "speech": speech, "losses": asdict(self._config.losses)}

    def trained(self, stage: str) -> Sequence[nn.Module]:
        lkma = [self.audio["lkma"], self.lkma, *self._own_speech("lkma")]
        if self.lip_reader is not None:
            lkma.append(self.lip_reader)
        cmc = [self.audio["cmc"], self.cmc, *self._own_speech("cmc")]
        if not self._config.network.audio_guidance:
            cmc = [self.cmc]
        return {"lkma": lkma, "cmc": cmc, "joint": lkma + cmc}[stage]

    def _encoder(self, module: str) -> SpeechEncoder:
        found = self.speech[module] if module in self.speech else self.speech["shared"]
        assert isinstance(found, SpeechEncoder)
        return found

    def _own_speech(self, module: str) -> list[nn.Module]:
        return [self.speech[module]] if module in self.speech else []

    # --- from sound to motion -----------------------------------------------------------------------------------------

    def hear(self, speech: Speech, module: str, convolved: list[Tensor] | None = None) -> tuple[Tensor, Tensor]:
        """A of `module` ("lkma" or "cmc"): (B, F, d) at the geometry's fps, and the frames of each sound (B,)."""
        hidden, counts = self._encoder(module)(speech, convolved)
        return self.audio[module](hidden), counts

    def heard(self, speech: Speech) -> tuple[Tensor, Tensor]:
        """The features of both modules side by side, (B, F, 2 d) at the geometry's fps, and frames (B,): all that
        `pose` and `complete` need of a sound, so that a result can be completed again without it."""
        encoder = self._encoder("lkma")
        if "shared" in self.speech:
            hidden, counts = encoder(speech)
            return torch.cat([self.audio[m](hidden) for m in ("lkma", "cmc")], dim=-1), counts
        convolved = encoder.convolved(speech) if encoder.config.trainable == "transformer" else None
        parts = [self.hear(speech, module, convolved) for module in ("lkma", "cmc")]
        return torch.cat([audio for audio, _ in parts], dim=-1), parts[0][1]

    def pose(self, features_at_keys: Tensor, key_times: Tensor, mask: Tensor | None = None) -> Tensor:
        """LKMA, eq. (1): features (B, m, 2 d) of `heard` at the key instants → K (B, m, C)."""
        audio = features_at_keys[..., : self._config.network.d_model]
        return self.lkma(audio, key_times, mask).float() * self.geometry.unit

    def complete(
        self, features: Tensor, keys: Keys, times: Tensor, key_of: Tensor, mask: Tensor | None = None
    ) -> Tensor:
        """CMC, eq. (3): features (B, N, 2 d) at `times` (B, N), K, and `key_of` (B, N), the index of the key at each
        position or -1 → Y (B, N, C)."""
        if keys.motion is None:
            raise InputError("Completion needs key motions; make them with `pose` first.")
        return self._completed(features[..., self._config.network.d_model :], keys, times, key_of, mask)

    def _completed(self, audio: Tensor, keys: Keys, times: Tensor, key_of: Tensor, mask: Tensor | None) -> Tensor:
        assert keys.motion is not None
        unit = self.geometry.unit
        return self.cmc(audio, keys.motion / unit, keys.times, times, key_of, mask, keys.mask).float() * unit

    def predicted(self, wanted: Wanted) -> Tensor:
        """Y; key instants between two of the wanted times count as positions of their own (arrangement)."""
        times, keys, mask = wanted.times, wanted.keys, wanted.mask
        if keys is None:
            raise InputError("KMTalk needs key instants; localize the speech first.")
        features, counts = self.heard(wanted.speech)
        if keys.motion is None:
            keys = Keys(keys.times, keys.mask, self._posed(features, counts, keys))
        everywhere, key_of, where = arranged(times, keys, mask)
        at = sampled(features, everywhere * self.geometry.fps, counts)
        motion = self.complete(at, keys, everywhere, key_of, key_of > -2)
        return motion.gather(1, where.unsqueeze(-1).expand(-1, -1, motion.shape[2]))

    def key_motions(self, speech: Speech, template: Tensor, style: Tensor, keys: Keys) -> Tensor:
        return self._posed(*self.heard(speech), keys)

    def _posed(self, features: Tensor, counts: Tensor, keys: Keys) -> Tensor:
        return self.pose(sampled(features, keys.times * self.geometry.fps, counts), keys.times, keys.mask)

    # --- losses -------------------------------------------------------------------------------------------------------

    def loss(self, stage: str, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        if stage == "lkma":
            total, parts, _ = self._lkma_loss(batch)
            return total, parts
        if stage == "cmc":
            at_frames = batch.key_frames.unsqueeze(-1).expand(-1, -1, batch.motion.shape[2])
            keys = batch.motion.gather(1, at_frames)
            noise = self._config.losses.key_noise * self.geometry.unit
            return self._cmc_loss(batch, keys + noise * torch.randn_like(keys) if noise else keys)
        if stage == "joint":
            first, parts, keys = self._lkma_loss(batch)
            second, more = self._cmc_loss(batch, keys)
            return first + second, {f"lkma_{k}": v for k, v in parts.items()} | {f"cmc_{k}": v for k, v in more.items()}
        raise InputError(f"KMTalk has no stage {stage!r}; choose one of {', '.join(s.name for s in self.stages)}.")

    def _lkma_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        """L_LKMA = λ1 L_rec + λ2 L_vel + λ3 L_lat + λ4 L_ctc, eq. (2), over the pseudo-complete sequence Y_p: K at the
        key frames, the true motion at all others."""
        weights = self._config.losses
        audio, counts = self.hear(batch.speech, "lkma")
        at_keys = sampled(audio, batch.keys.times * self.geometry.fps, counts)
        keys = self.lkma(at_keys, batch.keys.times, batch.keys.mask).float() * self.geometry.unit
        pseudo_complete = placed(batch.motion, keys, batch.key_frames, batch.keys.mask)
        pseudo_complete = pseudo_complete * self._balance
        error = pseudo_complete - batch.motion * self._balance
        parts = {"rec": reconstruction(error, batch.mask), "vel": velocity(error, batch.mask)}
        total = weights.rec * parts["rec"] + weights.vel * parts["vel"]
        if self.recogniser is not None and self.lip_reader is not None and self._config.lip_reading is not None:
            reading = (self.recogniser, self.lip_reader, self._config.lip_reading.text)
            parts["lat"], parts["ctc"] = lip_losses(*reading, pseudo_complete, self.lips, batch.mask, batch)
            total = total + weights.lat * parts["lat"] + weights.ctc * parts["ctc"]
        return total, parts, keys

    def _cmc_loss(self, batch: Batch, keys: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """L_CMC = L_rec + L_vel, eq. (6), here in units of the geometry: Adam does not mind a constant factor, but in
        square metres the gradients would vanish in its epsilon."""
        audio, counts = self.hear(batch.speech, "cmc")
        at = sampled(audio, batch.times * self.geometry.fps, counts)
        key_of = key_index(batch.key_frames, batch.keys.mask, batch.motion.shape[1])
        completed = self._completed(at, Keys(batch.keys.times, batch.keys.mask, keys), batch.times, key_of, batch.mask)
        error = (completed - batch.motion) / self.geometry.unit
        parts = {"rec": reconstruction(error, batch.mask), "vel": velocity(error, batch.mask)}
        return parts["rec"] + parts["vel"], parts


def placed(motion: Tensor, keys: Tensor, key_frames: Tensor, mask: Tensor) -> Tensor:
    """The pseudo-complete sequence Y_p (Sec. 3.2): `motion` (B, N, C) with `keys` (B, m, C) at their frames."""
    at = key_frames.unsqueeze(-1).expand(-1, -1, motion.shape[2])
    change = torch.where(mask.unsqueeze(-1), keys - motion.gather(1, at), 0.0)
    # Padding keys point at frame 0 with a change of zero, so adding is safe where writing would not be.
    return motion + torch.zeros_like(motion).scatter_add(1, at, change)


def key_index(key_frames: Tensor, mask: Tensor, frames: int) -> Tensor:
    """(B, m) frames of the keys → (B, N): the index of the key at each frame, or -1."""
    out = torch.full((len(key_frames), frames + 1), -1, dtype=torch.long, device=key_frames.device)
    index = torch.arange(key_frames.shape[1], device=key_frames.device).expand_as(key_frames)
    return out.scatter(1, torch.where(mask, key_frames, frames), index)[:, :frames]


def arranged(times: Tensor, keys: Keys, mask: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """Frames and key instants in the order of time (arrangement by index, Sec. 3.3).

    → all times (B, M); `key_of` (B, M), index of the key there, -1 for none, -2 for padding; and the position of each
    of `times` among them (B, N), 0 for those that are not in `mask`. Instants that fall on a frame share its position.
    """
    rows = []
    for row, (key_times, real) in enumerate(zip(keys.times, keys.mask, strict=True)):
        frame_times = times[row] if mask is None else times[row][mask[row]]
        instants = key_times[real]
        ticks = torch.cat([frame_times, instants]).double().mul(TICKS).round().long()
        both, back = torch.unique(ticks, sorted=True, return_inverse=True)
        key_of = torch.full((len(both),), -1, dtype=torch.long, device=times.device)
        key_of[back[len(frame_times) :]] = torch.arange(len(key_times), device=times.device)[real]
        rows.append(((both.double() / TICKS).to(times.dtype), key_of, back[: len(frame_times)]))
    pad = nn.utils.rnn.pad_sequence
    where = pad([nn.functional.pad(r[2], (0, times.shape[1] - len(r[2]))) for r in rows], batch_first=True)
    return pad([r[0] for r in rows], batch_first=True), pad([r[1] for r in rows], True, -2), where
