"""Stages 2 and 3: LKMA learns key motions, CMC learns to complete them; independent of each other (paper Sec. 4).

Stage 4 goes on with both together: CMC completes the key motions that LKMA makes, as in use.

The motion to learn comes from the articulation synthesizer, evaluated anew for every crop, so the same speech is seen
at many frame rates, with many selections of key instants, and for CMC in many speaking styles.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from kmtalk_core.completion import between_keys
from kmtalk_core.conditioning import UNKNOWN, phone_context, unknown_context
from kmtalk_core.localization.keys import KeyInstants, key_instants
from kmtalk_core.localization.posterior import free_phones
from kmtalk_core.networks.kmtalk import KMTalk
from kmtalk_core.phones import Alignment, Phone
from kmtalk_core.runtime.inference import at_times

from ..articulation import Style, synthesize
from ..articulation.targets import FITTED
from ..capture.motion import in_manner, with_seen
from .data import FEATURE_RATE, CropSampler, Utterance
from .loop import Schedule, train_stage
from .losses import completion_loss, key_motion_loss, lip_matrix

FRAME_RATES = (24.0, 25.0, 25.0, 25.0, 25.0, 30.0, 60.0)  # Hz, one drawn per batch; 25 is what is asked for in use
KEY_RULES = ("apexes", "apexes", "boundaries", "both")
REAL_SHARE = 0.5  # of the crops that come from real speech
THINNED = 0.2  # share of crops from which a random part of the keys is dropped
LATEST_START = 10.0  # s: crops are placed at random times, so that time encodings of long pieces are known
LEAST_WEIGHT = 0.3  # weight of frames whose phone label is least certain
PLAIN = 0.4  # share of crops in the neutral manner
OWN = 0.5  # share of captured crops in the person's own manner
PERSON = Style.of(FITTED.person)  # the manner of the captured people, as far as it is known
BLENDED = 0.3  # share of captured crops whose motion lies between the rules' and the person's


@dataclass(frozen=True)
class Batch:
    """Crops at one frame rate, padded: T frames, m keys. Times in s."""

    audio: np.ndarray  # (B, T, d)
    motion: np.ndarray  # (B, T, C)
    times: np.ndarray  # (B, T)
    mask: np.ndarray  # (B, T) bool
    weights: np.ndarray  # (B, T) confidence
    key_frames: np.ndarray  # (B, m) int, index of the frame of each key
    key_mask: np.ndarray  # (B, m) bool
    phones: np.ndarray  # (B, m, 3) int
    timing: np.ndarray  # (B, m, 4)
    style: np.ndarray  # (B, S) as `conditioning.STYLE`


@dataclass(frozen=True)
class Encoded:
    """What the trained encoder makes of an utterance: the features A (N, d) float16, and the phones that it hears."""

    audio: np.ndarray
    heard: Alignment


class MotionSampler:
    """Draws batches of `utterances`; `encoded` has each of them by name.

    Where an utterance has captured motion, what a camera sees is the person's; the tongue, and everything else, is the
    rules'. `captured` is the share of such crops. With `styles` the manner of speaking varies, and is told.

    In the share `misheard` of the crops, key instants and phones are those that the encoder hears, as in use without
    a transcript: the motion to learn stays that of the phones that were said.
    """

    def __init__(
        self,
        utterances: list[Utterance],
        encoded: dict[str, Encoded],
        seconds: float,
        styles: bool,
        misheard: float,
        captured: float = 0.0,
    ) -> None:
        self._crops = CropSampler(utterances, seconds, REAL_SHARE, captured)
        self._encoded, self._seconds, self._styles, self._misheard = encoded, seconds, styles, misheard

    def draw(self, size: int, rng: np.random.Generator) -> Batch:
        fps = float(rng.choice(FRAME_RATES))
        rows = [self._row(fps, rng) for _ in range(size)]
        m = max(len(row["key_frames"]) for row in rows)
        n = round(self._seconds * fps) + 1

        def padded(name: str, length: int) -> np.ndarray:
            first = rows[0][name]
            out = np.zeros((size, length, *first.shape[1:]), first.dtype)
            for index, row in enumerate(rows):
                out[index, : len(row[name])] = row[name]
            return out

        lengths, key_counts = (np.array([len(row[k]) for row in rows])[:, None] for k in ("motion", "key_frames"))
        offsets = rng.uniform(0.0, LATEST_START, (size, 1))
        return Batch(
            audio=padded("audio", n),
            motion=padded("motion", n),
            times=np.arange(n)[None] / fps + offsets,
            mask=np.arange(n)[None] < lengths,
            weights=padded("weights", n),
            key_frames=padded("key_frames", m),
            key_mask=np.arange(m)[None] < key_counts,
            phones=padded("phones", m),
            timing=padded("timing", m),
            style=np.stack([row["style"] for row in rows]),
        )

    def _row(self, fps: float, rng: np.random.Generator) -> dict[str, np.ndarray]:
        u, first = self._crops.draw(rng)
        start = first / FEATURE_RATE
        duration = min(self._seconds, u.duration - start)
        known = self._encoded[u.name].heard if rng.random() < self._misheard else u.alignment
        crop = cut_alignment(known, start, duration)
        instants = key_instants(crop, str(rng.choice(KEY_RULES)), fps)
        if rng.random() < THINNED:
            instants = thin(instants, rng.uniform(0.3, 0.9), rng)
        times = start + np.arange(int(np.floor(duration * fps + 1e-6)) + 1) / fps
        feature_times = np.arange(len(u.prosody)) / FEATURE_RATE
        loudness = 1.0 + np.interp(times, feature_times, u.prosody[:, 0].astype(np.float64))
        style = Style.random(rng) if self._styles and rng.random() > PLAIN else Style()
        if u.captured is not None:  # nobody knows how they would articulate with more or less effort
            style = PERSON if not self._styles or rng.random() < OWN else replace(style, effort=1.0)
        motion = synthesize(u.alignment, times, loudness=loudness, stress=u.stress, style=style)
        phones, timing = phone_context(crop, instants)
        certain = np.interp(times, feature_times, u.weights.astype(np.float64))
        share = 0.0
        if u.captured is not None:
            seen, certain = u.captured.at(times)
            share = rng.random() if rng.random() < BLENDED else 1.0
            rounding, spreading = style.rounding / PERSON.rounding, style.spreading / PERSON.spreading
            seen = in_manner(seen, style.amplitude, style.jaw, rounding, spreading)
            motion = with_seen(motion, seen, share)
        return {
            "audio": at_times(self._encoded[u.name].audio, FEATURE_RATE, times),
            "motion": motion,
            "style": style.code(share),
            "weights": (certain if share else np.maximum(certain, LEAST_WEIGHT)).astype(np.float32),
            "key_frames": np.minimum(np.rint(instants.times * fps).astype(np.int64), len(times) - 1),
            "phones": phones,
            "timing": timing,
        }


def cut_alignment(alignment: Alignment, start: float, duration: float) -> Alignment:
    """The part from `start` s on, `duration` s long, its times counted from `start`."""
    inside = [
        Phone(p.label, max(p.start - start, 0.0), min(p.end - start, duration))
        for p in alignment.phones
        if p.end > start + 1e-6 and p.start < start + duration - 1e-6
    ]
    return Alignment(tuple(inside), (), duration, alignment.source)


def thin(instants: KeyInstants, share: float, rng: np.random.Generator) -> KeyInstants:
    """A random `share` of the instants, the first and the last always among them."""
    keep = rng.random(len(instants.times)) < share
    keep[[0, -1]] = True
    return KeyInstants(*(getattr(instants, name)[keep] for name in instants.__dataclass_fields__))


def encode_all(model: KMTalk, utterances: list[Utterance]) -> dict[str, Encoded]:
    """Every utterance by name as the encoder has it; as in use, it is not told where the speech is."""
    encoded = {}
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        for u in utterances:
            audio, logits, _ = (x[0].float() for x in model.encoder(torch.from_numpy(u.mel.astype(np.float32))[None]))
            phones = free_phones(torch.log_softmax(logits, -1).numpy(), FEATURE_RATE, 0.0, u.duration)
            heard = Alignment.from_segments(phones, (), u.duration, "posterior")
            encoded[u.name] = Encoded(audio.numpy().astype(np.float16), heard)
    return encoded


def train_lkma(model: KMTalk, sampler: MotionSampler, options: dict[str, Any], run: Path, seed: int) -> None:
    lips = lip_matrix()

    def loss(rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        batch = sampler.draw(options["batch"], rng)
        frames, motion = torch.from_numpy(batch.key_frames), torch.from_numpy(batch.motion)
        keys = pose_keys(model, batch, options, rng)
        return key_motion_loss(keys, frames, motion, batch, lips, options)

    schedule = Schedule.of(options)
    train_stage("lkma", model.lkma, loss, schedule, run, seed)


def train_cmc(model: KMTalk, sampler: MotionSampler, options: dict[str, Any], run: Path, seed: int) -> None:
    lips = lip_matrix()

    def loss(rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        batch = sampler.draw(options["batch"], rng)
        motion, key_of = edit_keys(batch, options, rng)
        target = torch.from_numpy(motion)
        completed = complete(model, batch, at_frames(target, torch.from_numpy(batch.key_frames)), key_of)
        return completion_loss(completed, target, batch, lips, options)

    schedule = Schedule.of(options)
    train_stage("cmc", model.cmc, loss, schedule, run, seed)


def train_joint(model: KMTalk, sampler: MotionSampler, options: dict[str, Any], run: Path, seed: int) -> None:
    """LKMA and CMC together, judged by the motion that comes out, which passes through the keys as in use.

    The share `own_keys` of the crops is completed from LKMA's keys, the rest from true and edited ones, as CMC learned.
    """
    lips = lip_matrix()

    def loss(rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        batch = sampler.draw(options["batch"], rng)
        frames, motion = torch.from_numpy(batch.key_frames), torch.from_numpy(batch.motion)
        posed = pose_keys(model, batch, options, rng)
        of_keys, _ = key_motion_loss(posed, frames, motion, batch, lips, options)
        edited, key_of = edit_keys(batch, options, rng)
        own = torch.from_numpy(rng.random((len(motion), 1, 1)) < options["own_keys"])
        keys = torch.where(own, posed, at_frames(torch.from_numpy(edited), frames))
        target = torch.where(own, motion, torch.from_numpy(edited))
        raw = complete(model, batch, keys, key_of)
        passing = raw + torch.from_numpy(spread_of_keys(batch)) @ (keys - at_frames(raw, frames))
        of_motion, parts = completion_loss(passing, target, batch, lips, options)
        return of_motion + options["key_weight"] * of_keys, parts

    train_stage("joint", nn.ModuleList([model.lkma, model.cmc]), loss, Schedule.of(options), run, seed)


def pose_keys(model: KMTalk, batch: Batch, options: dict[str, Any], rng: np.random.Generator) -> Tensor:
    """LKMA's key motions (B, m, C); some phones are withheld or wrong, as in use without a transcript."""
    frames = torch.from_numpy(batch.key_frames)
    phones, timing = batch.phones.copy(), batch.timing.copy()
    withheld = rng.random(len(phones)) < options["withheld"]
    phones[withheld], timing[withheld] = unknown_context(phones.shape[1])
    confused = (rng.random(phones.shape) < options["confused"]) & (phones != UNKNOWN)
    phones[confused] = rng.integers(0, model.config.phones, int(confused.sum()))
    return model.lkma(
        at_frames(torch.from_numpy(batch.audio), frames),
        torch.from_numpy(phones),
        torch.from_numpy(timing),
        at_frames(torch.from_numpy(batch.times).float().unsqueeze(-1), frames).squeeze(-1),
        torch.from_numpy(batch.key_mask),
        torch.from_numpy(batch.style),
    )


def complete(model: KMTalk, batch: Batch, keys: Tensor, key_of: np.ndarray) -> Tensor:
    """CMC's motion (B, T, C) for `keys` (B, m, C); `key_of` (B, T) as `edit_keys` gives it."""
    times = torch.from_numpy(batch.times).float()
    return model.cmc(
        torch.from_numpy(batch.audio),
        keys,
        at_frames(times.unsqueeze(-1), torch.from_numpy(batch.key_frames)).squeeze(-1),
        times,
        torch.from_numpy(key_of),
        torch.from_numpy(batch.mask),
        torch.from_numpy(batch.key_mask),
        torch.from_numpy(batch.style),
    )


def spread_of_keys(batch: Batch) -> np.ndarray:
    """(B, T, m) float32: how far each frame goes with each key, as `completion.complete_through` adds what lacks."""
    out = np.zeros((*batch.times.shape, batch.key_frames.shape[1]), np.float32)
    for row, times in enumerate(batch.times):
        count = int(batch.key_mask[row].sum())
        at = times[batch.key_frames[row, :count]]
        out[row, :, :count] = between_keys(at, np.eye(count, dtype=np.float32), times)
    return out


def edit_keys(batch: Batch, options: dict[str, Any], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The target motion with keys that err as LKMA does or were edited by an animator, and `key_of` (B, T).

    What is added to a key spreads into its two spans by smooth steps: completion has to follow its keys, wherever
    they are.
    """
    motion = batch.motion.copy()
    key_of = np.full(batch.times.shape, -1, np.int64)
    for row in range(len(motion)):
        frames = batch.key_frames[row, batch.key_mask[row]]
        key_of[row, frames] = np.arange(len(frames))
        added = options["key_noise"] * rng.standard_normal((len(frames), motion.shape[2]))
        if rng.random() < options["edits"]:
            edited = rng.random(len(frames)) < 0.15
            moved = rng.random((int(edited.sum()), motion.shape[2])) < 0.2
            added[edited] += moved * rng.normal(0.0, 0.25, moved.shape)
        times = batch.times[row]
        spread = between_keys(times[frames], added, times).astype(np.float32)
        motion[row] = np.where(batch.mask[row, :, None], np.clip(motion[row] + spread, 0.0, 1.2), 0.0)
    return motion, key_of


def at_frames(sequence: Tensor, frames: Tensor) -> Tensor:
    """(B, T, d) and (B, m) frame indices → (B, m, d)."""
    return sequence.gather(1, frames.unsqueeze(-1).expand(-1, -1, sequence.shape[2]))
