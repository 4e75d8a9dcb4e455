"""The training corpus: utterances with phone times, synthetic and real, clean and augmented.

`python -m training.corpus` makes it; `Utterance` is what every source yields and what a file holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kmtalk_core.audio import SAMPLE_RATE
from kmtalk_core.files import written_whole
from kmtalk_core.phones import Alignment, Phone

__all__ = ["SAMPLE_RATE", "Label", "Utterance"]


@dataclass(frozen=True)
class Label:
    """One phone of a source: ARPABET label, start and end in seconds, stress (0, 1, 2; −1: unknown), confidence 0…1."""

    phone: str
    start: float
    end: float
    stress: int = 0
    confidence: float = 1.0


@dataclass(frozen=True)
class Utterance:
    """Speech with phone times.

    `samples` (n,) float32, 16 kHz mono, −1…1; `labels` in order of time, not necessarily without gaps (a gap is
    silence). `voice` names how it was spoken (engine, variant, rate, pitch), `speaker` who spoke.
    """

    samples: np.ndarray
    labels: tuple[Label, ...]
    source: str
    voice: str
    speaker: str

    @property
    def duration(self) -> float:
        """Seconds."""
        return len(self.samples) / SAMPLE_RATE

    def arrays(self) -> dict[str, np.ndarray]:
        """The arrays of an utterance's file: see `save`."""
        alignment = Alignment.from_segments(
            [Phone(label.phone, label.start, label.end) for label in self.labels], (), self.duration, self.source
        )
        phones = alignment.phones
        # from_segments clips, drops and joins: what it kept is found again by the middle of each phone.
        labels = sorted(self.labels, key=lambda label: label.start)
        starts = np.array([label.start for label in labels] or [0.0])
        stress, confidence = np.zeros(len(phones), np.int8), np.ones(len(phones), np.float32)
        for i, phone in enumerate(phones):
            at = int(np.searchsorted(starts, 0.5 * (phone.start + phone.end), side="right")) - 1
            if 0 <= at < len(labels) and labels[at].phone == phone.label:
                stress[i], confidence[i] = labels[at].stress, labels[at].confidence
        return {
            "samples": np.round(np.clip(self.samples, -1.0, 1.0) * 32767).astype(np.int16),
            "phone_labels": np.array([phone.label for phone in phones]),
            "phone_starts": np.array([phone.start for phone in phones]),
            "phone_ends": np.array([phone.end for phone in phones]),
            "stress": stress,
            "confidence": confidence,
            "source": np.array(self.source),
            "voice": np.array(self.voice),
            "speaker": np.array(self.speaker),
        }

    def save(self, path: Path) -> None:
        """Write `path` (.npz) whole or not at all.

        `samples` (n,) int16; `phone_labels` (P,) str, `phone_starts`, `phone_ends` (P,) s, which cover the whole
        sound without gap; `stress` (P,) int 0, 1, 2 (-1 where unknown); `confidence` (P,) float 0…1, where 0 means
        that the label must not be learned from; `source`, `voice`, `speaker` str.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(path) as temporary, open(temporary, "wb") as file:
            np.savez(file, **self.arrays())
