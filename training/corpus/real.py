"""Real speech with phone times, from three independent readings.

No transcript is needed: Whisper writes down the words and how sure it is of each (`transcribe.py`), forced alignment of
these words gives phones with times and how well they fit, and all-phone decoding, which knows no words, says which
phones it hears. Where they agree the label is trusted; where they don't, its confidence falls, and below `TRUSTED` it
is 0: not to be learned from.

Kept apart for judging, never in the corpus: LibriSpeech speakers whose number ends in 3, and the LJ Speech clips
`JUDGED`.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pocketsphinx

from kmtalk_core.audio import load_sound
from kmtalk_core.files import written_whole
from kmtalk_core.localization import sphinx_worker
from kmtalk_core.localization.g2p import pronunciations
from kmtalk_core.localization.text import spoken_words
from kmtalk_core.phones import SILENCE
from training.corpus import SAMPLE_RATE, Label, Utterance
from training.corpus.stress import with_stress
from training.corpus.transcribe import transcriber

JUDGED = frozenset(f"LJ001-{number:04d}" for number in (1, 2, 4, 5, 6, 7, 8))
TRUSTED = 0.35  # below, a label is not learned from
SURE = 0.7  # certainty of a word from which on Whisper is as good as always right
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
    """What was made of a recording, as cached: everything that `labels` needs.

    `text` the transcript; `aligned`: (phone, start s, end s, log score per frame, certainty 0…1 of its word, −1 where
    nobody said); `heard`: (phone, start s, end s).
    """

    text: str
    aligned: list[tuple[str, float, float, float, float]]
    heard: list[tuple[str, float, float]]


class Reader:
    """Transcriber, aligner and all-phone decoder (about 0.1 of real time; 0.25 where PocketSphinx transcribes)."""

    def __init__(self) -> None:
        quiet = {"samprate": float(SAMPLE_RATE), "loglevel": "FATAL"}
        self._transcribe = transcriber()
        self._recognizer = None if self._transcribe else pocketsphinx.Decoder(**quiet)
        phone_lm = pocketsphinx.get_model_path("en-us/en-us-phone.lm.bin")
        self._phones = pocketsphinx.Decoder(lm=None, allphone=phone_lm, lw=2.0, **quiet)

    def read(self, samples: np.ndarray) -> Reading:
        """Read one recording of at most about 30 s; an unintelligible one gives empty lists."""
        faint = np.random.default_rng(0).normal(0.0, 1e-4, int(PADDING * SAMPLE_RATE))
        padded = np.concatenate([faint, samples / max(float(np.abs(samples).max()), 1e-3) * 0.5, faint])
        data = np.round(padded * 32767).astype(np.int16).tobytes()
        self._decode(self._phones, data)
        heard = [
            (_arpabet(s.word), s.start_frame / 100 - PADDING, (s.end_frame + 1) / 100 - PADDING)
            for s in self._phones.seg() or ()
        ]
        words = self._words(samples, data)
        return Reading(" ".join(word for word, _ in words), self._align(data, words), heard)

    def _words(self, samples: np.ndarray, data: bytes) -> list[tuple[str, float]]:
        """The words as written, with the certainty of each."""
        if self._transcribe is not None:
            return [(word.text, word.probability) for word in self._transcribe(samples) if word.text]
        assert self._recognizer is not None
        self._decode(self._recognizer, data)
        return [(_plain(s.word), -1.0) for s in self._recognizer.seg() or () if _is_word(s.word)]

    @staticmethod
    def _align(data: bytes, words: list[tuple[str, float]]) -> list[tuple[str, float, float, float, float]]:
        """The phones of `words` in padded 16-bit `data`."""
        said = [(said, sure) for said, sure in _spoken(words) if said]
        if not said:
            return []
        found = sphinx_worker.align(data, {"words": [pronunciations(word) for word, _ in said]})
        return [
            (
                _arpabet(phone) if index is not None else SILENCE,
                first / 100 - PADDING,
                (first + frames) / 100 - PADDING,
                score / max(frames, 1),
                said[index][1] if index is not None else 1.0,
            )
            for index, phones in found or []
            for phone, first, frames, score in phones
        ]

    @staticmethod
    def _decode(decoder: pocketsphinx.Decoder, data: bytes) -> None:
        decoder.start_utt()
        try:
            decoder.process_raw(data, full_utt=True)
        finally:
            decoder.end_utt()


def _spoken(words: list[tuple[str, float]]) -> Iterator[tuple[str, float]]:
    """What is said for each word as written (numbers, abbreviations), with the certainty of that word."""
    at = 0
    for item in spoken_words(" ".join(word for word, _ in words)):
        match = next((i for i in range(at, len(words)) if item.label in words[i][0] or words[i][0] in item.label), at)
        at = min(match, len(words) - 1)
        for said in item.spoken:
            yield said, words[at][1]


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
    sure = np.array([certainty for *_, certainty in aligned])
    own = 0.55 * np.where(sure < 0, agreement, np.minimum(sure / SURE, 1.0)) + 0.2 * agreement + 0.25 * fit
    # A wrong word is wrong in most of its phones, and spoils its neighbours: their agreement counts too.
    kernel = np.array([0.5, 1.0, 1.5, 1.0, 0.5])
    around = np.convolve(own, kernel, "same") / np.convolve(np.ones(len(own)), kernel, "same")
    confidence = 0.5 * own + 0.5 * around
    # A silence in which phones were heard is a gap in the recognized text, whatever is around it.
    unheard = np.array([phone == SILENCE for phone, *_ in aligned]) & (agreement == 0.0)
    confidence[(confidence < TRUSTED) | unheard] = 0.0
    found = tuple(
        Label(phone, max(start, 0.0), end, confidence=float(c))
        for (phone, start, end, _, _), c in zip(aligned, confidence, strict=True)
        if end > 0.0
    )
    return with_stress(found, reading.text)


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
            dataclasses.replace(label, start=max(label.start, start) - start, end=min(label.end, end) - start)
            for label in whole.labels
            if label.end > start and label.start < end
        )
        yield from _pieces(Utterance(whole.samples[first:last], inside, whole.source, whole.voice, whole.speaker))
