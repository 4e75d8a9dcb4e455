"""The corpus in memory: log-mel features, phones and prosody of every utterance, and random crops of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kmtalk_core.errors import InputError
from kmtalk_core.features import MEL_RATE, SAMPLE_RATE, log_mel
from kmtalk_core.files import load_npz
from kmtalk_core.phones import PHONE_INDEX, VOWELS, Alignment, Phone

from ..articulation import loudness_curve
from ..capture.motion import CapturedMotion

FEATURE_RATE = 50.0  # Hz: the audio encoder's output
VALIDATION_SHARE = 33  # one speaker in so many is kept for validation
STRESS = np.array([0.0, 1.0, 0.5, np.nan])  # by the CMU dictionary's digit: none, primary, secondary; last: unknown
HELD_OUT = "held-out"  # the folder of captured utterances that are kept for judging
SYNTHETIC_SOURCES = frozenset({"espeak", "flite", "festival", "noise"})


@dataclass(frozen=True)
class Utterance:
    """One utterance with its targets at 100 Hz (`mel`) and 50 Hz (the others)."""

    name: str
    speaker: str
    real: bool
    mel: np.ndarray  # (n, mels) float16
    phones: np.ndarray  # (N,) int8
    weights: np.ndarray  # (N,) float16, confidence in the label, 0: ignore
    prosody: np.ndarray  # (N, 2) float16: loudness factor - 1; STRESS of the vowel, NaN where nobody knows it
    alignment: Alignment
    stress: np.ndarray  # (P,) int 0, 1, 2 as in the CMU dictionary; secondary where nobody knows it
    captured: CapturedMotion | None = None  # how the speaker's own face moved

    @property
    def duration(self) -> float:
        return self.alignment.duration


def read_corpus(folder: Path) -> tuple[list[Utterance], list[Utterance]]:
    """All utterances below `folder`, as (training, validation); validation is by speaker."""
    files = sorted(file for file in folder.glob("*/*.npz") if file.parent.name != HELD_OUT)
    if not files:
        raise InputError(f"There is no corpus in {folder}; make one with `python -m training.corpus --out {folder}`.")
    utterances = [read_utterance(path) for path in files]
    speakers = sorted({_person(u) for u in utterances if u.real and u.captured is None})
    held = set(speakers[::VALIDATION_SHARE])
    return [u for u in utterances if _person(u) not in held], [u for u in utterances if _person(u) in held]


def _person(utterance: Utterance) -> str:
    """Who spoke, in whatever manner: augmentation appends that to the speaker's name."""
    return utterance.speaker.split(" ")[0]


def read_utterance(path: Path) -> Utterance:
    z = load_npz(path)
    samples = z["samples"].astype(np.float32) / 32768.0
    alignment = Alignment(
        tuple(
            Phone(str(label), float(a), float(b))
            for label, a, b in zip(z["phone_labels"], z["phone_starts"], z["phone_ends"], strict=True)
        ),
        (),
        len(samples) / SAMPLE_RATE,
        "corpus",
    )
    mel = log_mel(samples)
    times = np.arange((len(mel) + 1) // 2) / FEATURE_RATE
    at = np.clip(np.searchsorted(z["phone_ends"], times, side="right"), 0, len(alignment.phones) - 1)
    labels = np.array([PHONE_INDEX[p.label] for p in alignment.phones])
    vowel = np.array([p.label in VOWELS for p in alignment.phones])
    stressed = np.where(vowel[at], STRESS[z["stress"][at]], 0.0)
    prosody = np.stack([loudness_curve(samples, times) - 1.0, stressed], 1)
    return Utterance(
        name=f"{path.parent.name}/{path.stem}",
        speaker=str(z["speaker"]),
        real=str(z["source"]) not in SYNTHETIC_SOURCES,
        mel=mel.astype(np.float16),
        phones=labels[at].astype(np.int8),
        weights=z["confidence"][at].astype(np.float16),
        prosody=prosody.astype(np.float16),
        alignment=alignment,
        stress=np.where(z["stress"] < 0, 2, z["stress"]).astype(np.int64),
        captured=CapturedMotion.of(z) if "controls" in z else None,
    )


class CropSampler:
    """Random crops of `seconds`, longer utterances more often.

    The share `captured_share` comes from captured people, `real_share` of the rest from other real speech.
    """

    def __init__(
        self, utterances: list[Utterance], seconds: float, real_share: float, captured_share: float = 0.0
    ) -> None:
        self.frames = round(seconds * FEATURE_RATE)
        captured = [u for u in utterances if u.captured is not None]
        others = [u for u in utterances if u.captured is None]
        groups = (captured, [u for u in others if u.real], [u for u in others if not u.real])
        rest = 1 - captured_share
        shares = (captured_share, rest * real_share, rest * (1 - real_share))
        there = [(group, share) for group, share in zip(groups, shares, strict=True) if group and share > 0]
        self._groups = [group for group, _ in there]
        self._odds = np.array([share for _, share in there]) / sum(share for _, share in there)
        self._weights = [np.array([u.duration for u in g]) / sum(u.duration for u in g) for g in self._groups]

    def draw(self, rng: np.random.Generator) -> tuple[Utterance, int]:
        """An utterance and the feature frame where its crop starts."""
        group = rng.choice(len(self._groups), p=self._odds)
        utterance = self._groups[group][rng.choice(len(self._groups[group]), p=self._weights[group])]
        return utterance, int(rng.integers(0, max(len(utterance.phones) - self.frames, 0) + 1))


def encoder_batch(sampler: CropSampler, size: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """mel (B, 2N, mels), phones (B, N) int64, weights (B, N), prosody (B, N, 2), NaN: unknown; padding has weight 0."""
    n = sampler.frames
    mels = None
    phones, weights = np.zeros((size, n), np.int64), np.zeros((size, n), np.float32)
    prosody = np.zeros((size, n, 2), np.float32)
    for row in range(size):
        u, start = sampler.draw(rng)
        mel = u.mel[2 * start : 2 * (start + n)]
        if mels is None:
            mels = np.full((size, 2 * n, mel.shape[1]), np.log(1e-5), np.float32)
        mels[row, : len(mel)] = mel
        count = len(u.phones[start : start + n])
        phones[row, :count] = u.phones[start : start + n]
        weights[row, :count] = u.weights[start : start + n]
        prosody[row, :count] = u.prosody[start : start + n]
    assert mels is not None
    return {"mel": mels, "phones": phones, "weights": weights, "prosody": prosody}


def vary_mel(mel: np.ndarray, rng: np.random.Generator, warp: float, tilt: float) -> None:
    """Other throats, microphones and rooms, in place on (B, n, mels).

    Half of the crops are warped in frequency by up to the share `warp` (vocal tract length perturbation, Jaitly and
    Hinton 2013), half are equalized by up to `tilt` nepers, and half get noise 8 to 45 dB below their loud parts.
    """
    bands = np.arange(mel.shape[2])
    knots = np.linspace(0, bands[-1], 6)
    for crop in mel:
        if rng.random() < 0.5:
            at = np.clip(bands * (1.0 + rng.uniform(-warp, warp)), 0, bands[-1])
            low = np.minimum(at.astype(np.int64), bands[-1] - 1)
            crop[:] = crop[:, low] + (at - low).astype(np.float32) * (crop[:, low + 1] - crop[:, low])
        if rng.random() < 0.5:
            crop += np.interp(bands, knots, rng.uniform(-tilt, tilt, len(knots))).astype(np.float32)
        if rng.random() < 0.5:
            level = np.percentile(crop[::4], 95) - rng.uniform(8.0, 45.0) / 10 * np.log(10.0)
            noise = level + np.interp(bands, knots, rng.uniform(-2.0, 2.0, len(knots)))
            np.logaddexp(crop, (noise + rng.gumbel(0.0, 0.5, crop.shape)).astype(np.float32), out=crop)


def mask_mel(mel: np.ndarray, rng: np.random.Generator, bands: int, seconds: float) -> None:
    """SpecAugment (Park et al. 2019) in place on (B, n, mels): bands and moments replaced by the crop's mean."""
    for crop in mel:
        mean = crop.mean()
        for _ in range(2):
            width = int(rng.integers(0, bands + 1))
            at = int(rng.integers(0, crop.shape[1] - width + 1))
            crop[:, at : at + width] = mean
        for _ in range(3):
            length = int(rng.integers(0, round(seconds * MEL_RATE) + 1))
            at = int(rng.integers(0, len(crop) - length + 1))
            crop[at : at + length] = mean
