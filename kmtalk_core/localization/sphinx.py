"""Localization by PocketSphinx, in child processes: forced alignment of a transcript, and free phone recognition."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..audio import SAMPLE_RATE, Sound
from ..errors import KMTalkError
from ..phones import SILENCE, Alignment, Phone, Word
from ..progress import Progress
from .child import Children, patiently
from .g2p import pronunciations
from .posterior import doubtful_passages
from .text import spoken_words

SOURCE = "pocketsphinx"
FRAME = 0.01  # s
PAD = 0.25  # s of faint noise that the aligner needs at both ends
WINDOW = 24.0  # s that are searched for words at once
SHORTEST_PIECE = 5.0  # s; the aligner adapts to each piece's mean spectrum, and needs some speech for it
PAUSE = 0.12  # s of silence in whose middle a sound may be cut
FASTEST = 7.0  # words per second that anybody says
# Score per frame, averaged over phones: -8 to -24 for the right text on clean speech, -39 to -58 for a wrong one.
MISFIT = -34.0
PASSAGE_MISFIT = -42.0  # the same of three neighbouring words in a transcript that fits otherwise
LONG_WORD = 4  # phones; shorter words are often swallowed although they are meant

_WORKER = Path(__file__).with_name("sphinx_worker.py")


def available() -> bool:
    """Whether the pocketsphinx wheel is installed."""
    return importlib.util.find_spec("pocketsphinx") is not None


def knows_words() -> bool:
    """Whether it came with its language model, which the extension lacks."""
    spec = importlib.util.find_spec("pocketsphinx")
    places = (spec.submodule_search_locations or ()) if spec is not None else ()
    return any(Path(place, "model", "en-us", "en-us.lm.bin").is_file() for place in places)


@dataclass(frozen=True)
class _Piece:
    """A stretch of sound, in seconds, and the numbers of the words that are said in it."""

    start: float
    end: float
    words: tuple[int, ...]


@dataclass(frozen=True)
class _Scored:
    """A phone, the number of its word (None: silence) and its score per frame."""

    phone: Phone
    word: int | None
    score: float


def align_transcript(sound: Sound, transcript: str, progress: Progress | None = None) -> Alignment:
    """Forced alignment: when each phone of the transcript is said.

    First a coarse pass finds which words are said where, window by window, so that memory stays bounded and a few
    missing words do no harm; then each piece between two pauses is aligned exactly. Words that do not fit are named in
    the warnings. Without any words if nothing of the transcript is heard.
    """
    written = spoken_words(transcript)
    spoken = [(pronunciations(word), index) for index, item in enumerate(written) for word in item.spoken]
    variants = [phones for phones, _ in spoken]
    scored: list[_Scored] = []
    stretch = _Stretches(sound)
    with _children() as children:
        jobs: list[tuple[_Piece, Future[Any]]] = []
        for piece in _pieces(sound.duration, stretch, variants, children, progress):
            if piece.words:
                words = [variants[i] for i in piece.words]
                jobs.append((piece, children.submit("align", stretch(piece.start, piece.end), words=words)))
        for done, (piece, job) in enumerate(jobs):
            patiently([job], progress, 0.4 + 0.6 * done / len(jobs), "aligning the transcript")
            scored += _scored(job.result() or [], piece)
    labels = [(written[index].label, index) for _, index in spoken]
    said = [s for s in scored if s.word is not None]
    return _alignment(sound, scored, labels, _doubts(said, labels, variants) if said else ())


def recognise(sound: Sound, progress: Progress | None = None) -> Alignment:
    """Phones and words without a transcript: decoded with the wheel's language model, then aligned.

    Words are often wrong but sound alike, so that the phones are of use. Raises KMTalkError where there is no such
    model.
    """
    if not knows_words():
        raise KMTalkError(
            "PocketSphinx came without the model that it guesses words by; choose the localizer auto, which hears them."
        )
    scored: list[_Scored] = []
    labels: list[tuple[str, int]] = []
    with _children() as children:
        spans = _spans(sound)
        stretch = _Stretches(sound)
        jobs = [children.submit("recognise", stretch(start, end)) for start, end in spans]
        for done, ((start, end), job) in enumerate(zip(spans, jobs, strict=True)):
            patiently([job], progress, done / len(jobs), "recognising speech")
            heard = job.result()
            if heard["aligned"] is not None:
                first = len(labels)
                labels += [(word, first + i) for i, word in enumerate(heard["words"])]
                piece = _Piece(start, end, tuple(range(first, len(labels))))
                scored += _scored(heard["aligned"], piece)
    return _alignment(sound, scored, labels, ())


def _doubts(
    said: Sequence[_Scored], labels: Sequence[tuple[str, int]], variants: Sequence[Sequence[str]]
) -> tuple[str, ...]:
    """What the user should know about words that were not heard, or do not sound as written."""
    frames = np.zeros(len(labels))
    scores = np.zeros(len(labels))
    for s in said:
        length = s.phone.end - s.phone.start
        frames[s.word] += length
        scores[s.word] += length * s.score
    heard = frames > 0
    if scores.sum() / frames.sum() < MISFIT or heard.mean() < 0.5:
        return ("The transcript does not seem to fit the sound; correct it, or leave it empty to work without one.",)
    # A single word may be slurred; three in a row that do not fit are another text.
    around = _of_three(scores) / np.maximum(_of_three(frames), 1e-9)
    swallowed = (_of_three(~heard) == 1) & np.array([len(phones[0].split()) < LONG_WORD for phones in variants])
    wrong = np.flatnonzero(((around < PASSAGE_MISFIT) & (_of_three(heard) == 3)) | (~heard & ~swallowed))
    written = {number: label for label, number in labels}
    return doubtful_passages(written, [labels[i][1] for i in wrong])


def _of_three(values: np.ndarray) -> np.ndarray:
    """For each value the sum of itself and its two neighbours."""
    return np.convolve(values.astype(np.float64), np.ones(3))[1:-1]


def _spans(sound: Sound) -> list[tuple[float, float]]:
    """Cut the sound into stretches of at most WINDOW seconds, each where it is most quiet."""
    step = SAMPLE_RATE // 10
    blocks = sound.samples[: len(sound.samples) // step * step].reshape(-1, step)
    power = np.einsum("ij,ij->i", blocks, blocks)
    spans, start = [], 0.0
    while sound.duration - start > WINDOW:
        first, last = round((start + WINDOW / 2) * 10), round((start + WINDOW) * 10)
        cut = (first + int(np.argmin(power[first:last])) + 0.5) / 10
        spans.append((start, cut))
        start = cut
    return [*spans, (start, sound.duration)]


def _alignment(
    sound: Sound, scored: Sequence[_Scored], labels: Sequence[tuple[str, int]], warnings: Sequence[str]
) -> Alignment:
    """`labels`: for each spoken word its label as written and the number of the written word that it belongs to."""
    said = [s for s in scored if s.word is not None]
    spans: dict[tuple[str, int], list[Phone]] = {}
    for s in said:
        assert s.word is not None
        spans.setdefault(labels[s.word], []).append(s.phone)
    words = [Word(label, phones[0].start, phones[-1].end) for (label, _), phones in spans.items()]
    return Alignment.from_segments((s.phone for s in said), words, sound.duration, SOURCE, warnings)


def _children() -> Children:
    return Children(_WORKER, min(os.cpu_count() or 1, 4))


class _Stretches:
    """16-bit samples of stretches of one sound, for the children.

    All are brought to one level, with faint noise over them and PAD seconds before and after: digital silence would
    give the aligner spectra that no model knows.
    """

    def __init__(self, sound: Sound) -> None:
        self._samples = sound.samples
        self._gain = 16_000 / max(float(self._samples.max()), -float(self._samples.min()), 1e-3)

    def __call__(self, start: float, end: float) -> Callable[[], bytes]:
        return lambda: self._pcm(start, end)

    def _pcm(self, start: float, end: float) -> bytes:
        cut = self._samples[round(start * SAMPLE_RATE) : round(end * SAMPLE_RATE)]
        padded = np.pad(cut * self._gain, round(PAD * SAMPLE_RATE))
        return (padded + np.random.default_rng(0).normal(0.0, 4.0, len(padded))).astype("<i2").tobytes()


def _pieces(
    duration: float,
    stretch: _Stretches,
    variants: Sequence[Sequence[str]],
    children: Children,
    progress: Progress | None,
) -> Iterator[_Piece]:
    """Cut the sound at pauses, and say which words are in each piece."""
    at, word = 0.0, 0
    while at < duration:
        final = duration - at <= WINDOW + SHORTEST_PIECE
        end = duration if final else at + WINDOW
        candidates = variants[word : word + int((end - at) * FASTEST) + 20]
        job = children.submit("anchor", stretch(at, end), words=candidates, open_end=not final)
        patiently([job], progress, 0.4 * at / duration, "finding the words")
        found = [
            (None if index is None else word + index, at + first * FRAME - PAD, at + last * FRAME - PAD)
            for index, first, last in job.result() or []
        ]
        start = at
        for piece in _cut(found, at, end, final):
            yield piece
            at, word = piece.end, max((*piece.words, word - 1)) + 1
        if at == start:  # nothing said
            yield _Piece(at, end, ())
            at = end


def _cut(found: list[tuple[int | None, float, float]], start: float, end: float, final: bool) -> Iterator[_Piece]:
    """Pieces of a window from its start on; all of it if it is final, else up to the last pause that can be trusted."""
    said = [i for i, (word, _, _) in enumerate(found) if word is not None]
    if not said:
        return
    # The window's end cuts a word, and what seems to be the words before it may be too.
    trusted = said[-1] + 1 if final else said[max(len(said) - 3, 0)]
    pauses = [
        (i, (a + b) / 2)
        for i, (word, a, b) in enumerate(found[:trusted])
        if word is None and b - a >= PAUSE and said[0] < i
    ]
    if not final and not any(at - start >= SHORTEST_PIECE for _, at in pauses):
        pauses = [(trusted, found[trusted][1])]  # no pause anywhere: between two words
    begin = 0
    for i, at in pauses:
        if at - start >= SHORTEST_PIECE and (not final or end - at >= SHORTEST_PIECE):
            yield _Piece(start, at, tuple(w for w, _, _ in found[begin:i] if w is not None))
            begin, start = i, at
    if final:
        yield _Piece(start, end, tuple(w for w, _, _ in found[begin:] if w is not None))


def _scored(found: list[Any], piece: _Piece) -> Iterator[_Scored]:
    for index, phones in found:
        for label, first, frames, score in phones:
            # Counted from one origin, so that a phone ends exactly where the next one starts.
            start, end = (piece.start - PAD + frame * FRAME for frame in (first, first + frames))
            phone = Phone(label if index is not None else SILENCE, start, end)
            yield _Scored(phone, None if index is None else piece.words[index], score / max(frames, 1))
