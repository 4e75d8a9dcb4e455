"""Real speech with phone times from two independent readings by PocketSphinx.

No transcript is needed: free recognition guesses the words, forced alignment of the guess gives phones with times, and
all-phone decoding, which knows no words, says independently which phones it hears. Where both agree the label is
trusted; where they don't, its confidence falls, and below `TRUSTED` it is 0: not to be learned from.

Kept apart for judging, never in the corpus: LibriSpeech speakers whose number ends in 3, and the LJ Speech clips
`JUDGED`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pocketsphinx

from kmtalk_core.audio import load_sound
from kmtalk_core.motion import written_whole
from kmtalk_core.phones import SILENCE
from training.corpus import SAMPLE_RATE, Label, Utterance

JUDGED = frozenset(f"LJ001-{number:04d}" for number in (1, 2, 4, 5, 6, 7, 8))
TRUSTED = 0.35  # below, 65 % of the phones are right on clips whose text is known; above 0.65, 90 %
LONGEST = 13.0  # s; longer recordings are cut at a pause
PADDING = 0.25  # s of faint noise that the aligner wants at both ends

_BROAD_CLASSES = (
    {"AA", "AO", "AH", "AW", "AY", "OW", "AE", "EH"},
    {"IY", "IH", "EY", "EH", "Y", "AE", "AH"},
    {"UW", "UH", "OW", "W", "AO", "OY", "L"},
    {"ER", "R", "AH"},
    {"P", "B"},
    {"T", "D", "K", "G", "DH"},
    {"M", "N", "NG"},
    {"F", "V", "TH", "DH"},
    {"S", "Z", "TH"},
    {"SH", "ZH", "CH", "JH"},
    {SILENCE},
    {"HH"},
)


@dataclass(frozen=True)
class Reading:
    """What PocketSphinx made of a recording, as cached: everything that `labels` needs.

    `aligned`: (phone, start s, end s, log score per frame, index of the word); `heard`: (phone, start s, end s).
    """

    aligned: list[tuple[str, float, float, float, int]]
    heard: list[tuple[str, float, float]]


class Reader:
    """PocketSphinx three times over: recognizer, aligner and all-phone decoder (about 0.25 of real time)."""

    def __init__(self) -> None:
        quiet = {"samprate": float(SAMPLE_RATE), "loglevel": "FATAL"}
        wide = {"bestpath": False, "beam": 1e-200, "wbeam": 1e-200, "pbeam": 1e-200}
        self._recognizer = pocketsphinx.Decoder(**quiet)
        self._aligner = pocketsphinx.Decoder(lm=None, **wide, **quiet)
        phone_lm = pocketsphinx.get_model_path("en-us/en-us-phone.lm.bin")
        self._phones = pocketsphinx.Decoder(lm=None, allphone=phone_lm, lw=2.0, **quiet)

    def read(self, samples: np.ndarray) -> Reading:
        """Read one recording of at most about 30 s; an unintelligible one gives empty lists."""
        faint = np.random.default_rng(0).normal(0.0, 1e-4, int(PADDING * SAMPLE_RATE))
        data = np.concatenate([faint, samples, faint])
        data = np.round(np.clip(data, -1.0, 1.0) * 32767).astype(np.int16).tobytes()
        self._decode(self._recognizer, data)
        words = [_plain(segment.word) for segment in self._recognizer.seg() or () if _is_word(segment.word)]
        self._decode(self._phones, data)
        heard = [
            (_arpabet(s.word), s.start_frame / 100 - PADDING, (s.end_frame + 1) / 100 - PADDING)
            for s in self._phones.seg() or ()
        ]
        return Reading(self.align(data, " ".join(words)) if words else [], heard)

    def align(self, data: bytes, text: str) -> list[tuple[str, float, float, float, int]]:
        """The phones of `text` (lower-case words that the dictionary has) in padded 16-bit `data`."""
        self._aligner.set_align_text(text)
        self._decode(self._aligner, data)
        if not self._aligner.hyp():
            return []
        self._aligner.set_alignment()
        self._decode(self._aligner, data)
        return [
            (_arpabet(p.name), p.start / 100 - PADDING, (p.start + p.duration) / 100 - PADDING, p.score / p.duration, i)
            for i, word in enumerate(self._aligner.get_alignment().words())
            for p in word
        ]

    @staticmethod
    def _decode(decoder: pocketsphinx.Decoder, data: bytes) -> None:
        decoder.start_utt()
        try:
            decoder.process_raw(data, full_utt=True)
        finally:
            decoder.end_utt()


def _is_word(label: str) -> bool:
    return not label.startswith(("<", "[", "+"))


def _plain(label: str) -> str:
    return label.split("(")[0]


def _arpabet(label: str) -> str:
    return label if label.isalpha() else SILENCE  # +NSN+ and +SPN+ are noises


def labels(reading: Reading) -> tuple[Label, ...]:
    """Phones of the alignment with the confidence that the independent reading gives them."""
    aligned = [a for a in reading.aligned if a[2] > a[1]]
    if not aligned:
        return ()
    agreement = np.array([_agreement(phone, start, end, reading.heard) for phone, start, end, _, _ in aligned])
    fit = np.clip((np.array([score for *_, score, _ in aligned]) + 60.0) / 35.0, 0.0, 1.0)
    own = 0.75 * agreement + 0.25 * fit
    # A wrong word is wrong in most of its phones, and spoils its neighbours: their agreement counts too.
    kernel = np.array([0.5, 1.0, 1.5, 1.0, 0.5])
    around = np.convolve(own, kernel, "same") / np.convolve(np.ones(len(own)), kernel, "same")
    confidence = 0.5 * own + 0.5 * around
    # A silence in which phones were heard is a gap in the recognized text, whatever is around it.
    unheard = np.array([phone == SILENCE for phone, *_ in aligned]) & (agreement == 0.0)
    confidence[(confidence < TRUSTED) | unheard] = 0.0
    return tuple(
        Label(phone, start, end, confidence=float(c))
        for (phone, start, end, _, _), c in zip(aligned, confidence, strict=True)
    )


def _agreement(phone: str, start: float, end: float, heard: list[tuple[str, float, float]]) -> float:
    """1 where the same phone was heard over at least half of the span, 0.7 for one of its broad class, else 0."""
    same = alike = 0.0
    for other, other_start, other_end in heard:
        overlap = min(end, other_end) - max(start, other_start)
        if overlap > 0:
            same += overlap * (other == phone)
            alike += overlap * (other == phone or any(phone in group and other in group for group in _BROAD_CLASSES))
    half = 0.5 * (end - start)
    return 1.0 if same >= half else 0.7 if alike >= half else 0.0


def recordings(folder: Path) -> list[tuple[Path, str, str]]:
    """(file, source, speaker) of all recordings under `folder` that training may use; see the module's docstring."""
    found = []
    for path in sorted((folder / "librispeech").glob("*.flac")):
        speaker = path.stem.split("-")[0]
        if int(speaker) % 10 != 3:
            found.append((path, "librispeech", speaker))
    for path in sorted((folder / "ljspeech").glob("*.flac")):
        if path.stem not in JUDGED:
            found.append((path, "ljspeech", "LJ"))
    return found


def utterances(folder: Path, cache: Path) -> Iterator[tuple[str, Utterance]]:
    """(name, utterance) of each usable recording under `folder`, in pieces of at most about `LONGEST` s.

    `folder` holds `librispeech/SPEAKER-….flac` and `ljspeech/LJ….flac`. Readings are kept in `cache`.
    """
    cache.mkdir(parents=True, exist_ok=True)
    reader: Reader | None = None
    for path, source, speaker in recordings(folder):
        samples = load_sound(path).samples
        kept = cache / f"{path.stem}.json"
        if not kept.exists():
            reader = reader or Reader()
            with written_whole(kept) as temporary:
                temporary.write_text(json.dumps(vars(reader.read(samples))))
        reading = Reading(**json.loads(kept.read_text()))
        whole = Utterance(samples, labels(reading), source, source, f"{source}-{speaker}")
        for number, piece in enumerate(_pieces(whole)):
            if any(label.confidence > 0 for label in piece.labels):
                yield f"{path.stem}-{number}", piece


def _pieces(whole: Utterance) -> Iterator[Utterance]:
    """Cut in the longest pause of the middle half, until every piece is short enough."""
    middle = (0.25 * whole.duration, 0.75 * whole.duration)
    pauses = [
        label
        for label in whole.labels
        if label.phone == SILENCE
        and middle[0] < label.start
        and label.end < middle[1]
        and label.end - label.start > 0.1
    ]
    if whole.duration <= LONGEST or not pauses:
        yield whole
        return
    pause = max(pauses, key=lambda label: label.end - label.start)
    cut = round(0.5 * (pause.start + pause.end) * SAMPLE_RATE)
    for first, last in ((0, cut), (cut, len(whole.samples))):
        start, end = first / SAMPLE_RATE, last / SAMPLE_RATE
        inside = tuple(
            Label(label.phone, max(label.start, start) - start, min(label.end, end) - start, 0, label.confidence)
            for label in whole.labels
            if label.end > start and label.start < end
        )
        yield from _pieces(Utterance(whole.samples[first:last], inside, whole.source, whole.voice, whole.speaker))
