"""`python -m benchmarks.reference`: true phones of held-out speech, for measuring lip sync on unknown voices.

Held out are LibriSpeech's speakers whose number ends in 3: training never sees them (training/corpus/real.py). Their
recordings come without transcripts. A transcript is taken from `--transcripts`, or made by Whisper (tiny.en, through
the packages that training/corpus/transcribe.py names), or guessed by PocketSphinx. Forced alignment of it, with wide
beams, gives the phones. A clip is kept if transcript and alignment are beyond doubt:

- words: at least WORDS; Whisper's probability on average at least SURE, and below DOUBTFUL for at most DOUBTS of them
- alignment: every word found; mean score per frame at least FITS, and nowhere below PASSAGE_FITS over three words
- pauses: none in which something is as loud as speech usually is, for then the transcript lacks words
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kmtalk_core.audio import SAMPLE_RATE, load_sound
from kmtalk_core.errors import InputError, KMTalkError
from kmtalk_core.localization.g2p import pronunciations
from kmtalk_core.localization.text import spoken_words
from kmtalk_core.phones import SILENCE, Alignment, Phone

from .clips import HELD_OUT, SPEECH, JudgedClip, save_clips

WORDS = 5
SURE, DOUBTFUL, DOUBTS = 0.8, 0.4, 0.1
FITS, PASSAGE_FITS = -34.0, -42.0  # as kmtalk_core/localization/sphinx.py warns of transcripts that do not fit
PAUSE, EDGE, LOUDNESS_WINDOW = 0.3, 0.1, 0.05  # s: of which pauses, how far from their ends, over how long
PAD = 0.25  # s of faint noise that the aligner needs at both ends
LONGEST = 30.0  # s that are aligned at once
FRAME = 0.01  # s
HELD_OUT_ENDING = "3"  # of the speaker's number


@dataclass(frozen=True)
class Transcript:
    """`words` as written, and how sure their recognizer was of each (0…1); no probabilities for a given text."""

    words: tuple[str, ...]
    probabilities: tuple[float, ...] = ()

    @property
    def text(self) -> str:
        return " ".join(self.words)


@dataclass(frozen=True)
class Aligned:
    """`phones` of a recording in order, and the mean score per frame of each spoken word (NaN: not found)."""

    phones: tuple[Phone, ...]
    word_scores: np.ndarray
    score: float


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reference", description=__doc__.splitlines()[0])
    parser.add_argument("--speech", type=Path, default=SPEECH, help="folder with librispeech/SPEAKER-….flac")
    parser.add_argument("--out", type=Path, default=HELD_OUT, help="reference file to write")
    parser.add_argument("--transcripts", type=Path, help='.json: {file: text} or {file: {"words": [[word, …, p], …]}}')
    options = parser.parse_args()
    try:
        given = read_transcripts(options.transcripts) if options.transcripts else {}
        paths = held_out(options.speech)
        kept = list(reference_clips(paths, given))
    except KMTalkError as error:
        print(f"reference: {error}", file=sys.stderr)
        return 2 if isinstance(error, InputError) else 1
    save_clips(kept, options.out)
    minutes = sum(clip.duration for clip in kept) / 60
    print(f"{len(kept)} of {len(paths)} clips, {minutes:.1f} minutes: {options.out}")
    return 0


def held_out(speech: Path) -> list[Path]:
    """The recordings of LibriSpeech below `speech` whose speakers training leaves out. Raises InputError."""
    paths = sorted(
        path for path in speech.rglob("librispeech/*.flac") if path.stem.split("-")[0].endswith(HELD_OUT_ENDING)
    )
    if not paths:
        raise InputError(f"There is no librispeech/*3-*.flac below {speech}; name its folder with --speech.")
    return paths


def read_transcripts(path: Path) -> dict[str, Transcript]:
    """File name → transcript, from a .json with a text, or words and their probabilities, for each file."""
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        out = {}
        for file, said in content.items():
            if isinstance(said, str):
                out[Path(file).name] = Transcript(tuple(said.split()))
            else:
                words = [(str(word).strip(), float(certainty)) for word, *_, certainty in said["words"]]
                out[Path(file).name] = Transcript(tuple(w for w, _ in words), tuple(p for _, p in words))
        return out
    except FileNotFoundError:
        raise InputError(f"There is no file {path}; check --transcripts.") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise InputError(f"{path} holds no transcripts; it needs {{file: text}} as .json.") from None


def reference_clips(paths: Sequence[Path], given: Mapping[str, Transcript]) -> Iterator[JudgedClip]:
    """Align each recording with its transcript and yield those that are beyond doubt; says on stderr why not."""
    recognize = None
    for path in paths:
        sound = load_sound(path)
        transcript = given.get(path.name)
        if transcript is None:
            recognize = recognize or _recognizer()
            transcript = recognize(sound.samples)
        doubt = doubt_of_words(transcript)
        aligned = None if doubt else align(sound.samples, transcript.text)
        doubt = doubt or doubt_of_alignment(aligned)
        if doubt:
            print(f"left out {path.name}: {doubt}", file=sys.stderr)
            continue
        assert aligned is not None
        alignment = Alignment.from_segments(aligned.phones, (), sound.duration, "reference")
        if doubt := doubt_of_pauses(alignment, sound.samples):
            print(f"left out {path.name}: {doubt}", file=sys.stderr)
            continue
        yield JudgedClip(path.name, path, transcript.text, alignment.phones, sound.duration)


def doubt_of_words(transcript: Transcript) -> str:
    """Why a transcript is not to be trusted; empty if it is."""
    if len(transcript.words) < WORDS:
        return f"{len(transcript.words)} words"
    sure = np.array(transcript.probabilities)
    if len(sure) and sure.mean() < SURE:
        return f"the recognizer is unsure of its words ({sure.mean():.2f} on average)"
    if len(sure) and (sure < DOUBTFUL).mean() > DOUBTS:
        return f"the recognizer is unsure of {(sure < DOUBTFUL).sum()} of {len(sure)} words"
    return ""


def doubt_of_alignment(aligned: Aligned | None) -> str:
    """Why an alignment is not to be trusted; empty if it is."""
    if aligned is None:
        return "the words do not fit the sound"
    if np.isnan(aligned.word_scores).any():
        return "some words were not found in the sound"
    if aligned.score < FITS:
        return f"the words fit the sound badly ({aligned.score:.0f})"
    passages = np.convolve(aligned.word_scores, np.ones(3) / 3, "valid")
    if len(passages) and passages.min() < PASSAGE_FITS:
        return f"three words in a row do not fit the sound ({passages.min():.0f})"
    return ""


def doubt_of_pauses(alignment: Alignment, samples: np.ndarray) -> str:
    """Where samples (n,) at 16 kHz are loud although nothing is said; empty if nowhere."""
    window = round(LOUDNESS_WINDOW * SAMPLE_RATE)
    energy = np.convolve(samples.astype(np.float64) ** 2, np.ones(window) / window, "same")
    spoken = [p for p in alignment.phones if p.label != SILENCE]
    usual = np.median(np.concatenate([energy[_span(p.start, p.end)] for p in spoken]))
    for pause in alignment.phones:
        inner = energy[_span(pause.start + EDGE, pause.end - EDGE)]
        if pause.label == SILENCE and pause.end - pause.start >= PAUSE and len(inner) and inner.max() > usual:
            return f"something is said in the pause at {pause.start:.2f} s"
    return ""


def _span(start: float, end: float) -> slice:
    return slice(max(round(start * SAMPLE_RATE), 0), max(round(end * SAMPLE_RATE), 0))


def align(samples: np.ndarray, text: str) -> Aligned | None:
    """Forced alignment of `text` to samples (n,) at 16 kHz by PocketSphinx with wide beams; None if nothing fits.

    Raises InputError for sound of more than LONGEST seconds: the aligner's memory grows with the square of it.
    """
    from pocketsphinx import Decoder

    if len(samples) > LONGEST * SAMPLE_RATE:
        raise InputError(f"The sound is {len(samples) / SAMPLE_RATE:.0f} s long; references are made of up to 30 s.")
    words = [word for item in spoken_words(text) for word in item.spoken]
    decoder = Decoder(
        samprate=SAMPLE_RATE, lm=None, dict=None, bestpath=False, beam=1e-200, wbeam=1e-200, pbeam=1e-200,
        loglevel="FATAL",
    )  # fmt: skip
    for index, word in enumerate(words):  # named by their numbers, so that repeated words stay apart
        for number, phones in enumerate(pronunciations(word), 1):
            decoder.add_word(str(index) if number == 1 else f"{index}({number})", phones, False)
    decoder.set_align_text(" ".join(map(str, range(len(words)))))
    pcm = _pcm(samples)
    _decode(decoder, pcm)
    if decoder.hyp() is None:
        return None
    decoder.set_alignment()
    _decode(decoder, pcm)
    phones: list[Phone] = []
    totals, frames = np.zeros(len(words)), np.zeros(len(words))
    for word in decoder.get_alignment():
        number = word.name.partition("(")[0]
        for phone in word:
            start = phone.start * FRAME - PAD
            label = phone.name if number.isdigit() else SILENCE
            phones.append(Phone(label, start, start + phone.duration * FRAME))
            if number.isdigit():
                totals[int(number)] += phone.score
                frames[int(number)] += phone.duration
    scores = np.where(frames > 0, totals / np.maximum(frames, 1), np.nan)
    return Aligned(tuple(phones), scores, float(totals.sum() / max(frames.sum(), 1)))


def _pcm(samples: np.ndarray) -> bytes:
    """16-bit samples at one level, with faint noise and PAD s of it at both ends: digital silence confuses it."""
    padded = np.pad(samples / max(float(np.abs(samples).max()), 1e-3) * 16_000, round(PAD * SAMPLE_RATE))
    return (padded + np.random.default_rng(0).normal(0.0, 4.0, len(padded))).astype("<i2").tobytes()


def _decode(decoder: Any, pcm: bytes) -> None:
    decoder.start_utt()
    try:
        decoder.process_raw(pcm, no_search=False, full_utt=True)
    finally:
        decoder.end_utt()


def _recognizer() -> Any:
    """Samples (n,) → Transcript, by Whisper if it is installed, else by PocketSphinx, whose guesses are often wrong."""
    from training.corpus.transcribe import transcriber

    whisper = transcriber()
    if whisper is not None:

        def by_whisper(samples: np.ndarray) -> Transcript:
            heard = [word for word in whisper(samples) if word.text]
            return Transcript(tuple(w.text for w in heard), tuple(w.probability for w in heard))

        return by_whisper
    from pocketsphinx import Decoder

    print("Whisper is not installed; PocketSphinx guesses the words, and most will be wrong.", file=sys.stderr)
    decoder = Decoder(samprate=SAMPLE_RATE, bestpath=False, loglevel="FATAL")

    def by_sphinx(samples: np.ndarray) -> Transcript:
        _decode(decoder, _pcm(samples))
        words = [s.word.partition("(")[0] for s in decoder.seg()] if decoder.hyp() is not None else []
        return Transcript(tuple(word for word in words if word and word[0] not in "<[+"))

    return by_sphinx


if __name__ == "__main__":
    sys.exit(main())
