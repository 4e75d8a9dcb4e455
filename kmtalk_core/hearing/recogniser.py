"""Sound → the words that are said in it, passage by passage, and their language."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

import numpy as np

from ..assets import RECOGNISER
from ..packed import Samples
from ..threads import in_order, threads
from .network import FRAMES, Memory, RecogniserNetwork
from .passages import passages
from .search import Tokens, Written, write_down
from .spectrogram import HOP, SAMPLE_RATE, log_mel
from .unpacked import open_recogniser

FRAME_RATE = FRAMES / 30.0  # Hz of the encoder
AFTER = 2.0  # s of silence that are heard after a passage; the 30 s of training cost five times as much
LEAST = 6.0  # s that it hears at least
TOKENS_A_SECOND, TOKENS_MORE = 12.0, 12  # that are written at most
# Whisper's own limits of what is no speech, and of what it is unsure.
NO_SPEECH, UNSURE = 0.6, -1.0
ENGLISH = "en"
LONG = 300.0  # s of sound beyond which room is scarce
FOREIGN = 2.0  # how much likelier (natural log) another language must be than English, where none was named


@dataclass(frozen=True)
class HeardWord:
    """A word as written, with its punctuation, and how sure the recogniser is of it, 0…1."""

    label: str
    probability: float


@dataclass(frozen=True)
class Passage:
    """`words` between `start` and `end` s; `log_probability`: mean over its tokens."""

    start: float
    end: float
    words: tuple[HeardWord, ...]
    log_probability: float

    @property
    def text(self) -> str:
        return " ".join(word.label for word in self.words)


@dataclass(frozen=True)
class Heard:
    """What was heard: passages in order; `language` is Whisper's code ("en"), `recogniser` its name and checksum."""

    passages: tuple[Passage, ...]
    language: str
    recogniser: str


class Choice:
    """The language of all passages: one that was named, or what the first passage seems to be in, which those that are
    written down at the same time wait for."""

    def __init__(self, languages: Sequence[str], named: str) -> None:
        self._languages = languages
        self._made: Future[int] = Future()
        if named:
            self._made.set_result(languages.index(named))

    def by_first(self, chances: np.ndarray) -> int:
        """(1, languages) log-probabilities of the first passage → the number of the language."""
        if not self._made.done():
            (of_each,) = chances
            best, english = int(of_each.argmax()), self._languages.index(ENGLISH)
            self._made.set_result(best if of_each[best] - of_each[english] > FOREIGN else english)
        return self._made.result()

    def by_others(self, chances: np.ndarray) -> int:
        """The same for another passage. Raises concurrent.futures.CancelledError where the first one failed."""
        return self._made.result()

    @property
    def language(self) -> str:
        return self._languages[self._made.result()]

    def give_up(self) -> None:
        """Let nobody wait for a choice that will not come."""
        self._made.cancel()


class Recogniser:
    """Holds one loaded recogniser."""

    def __init__(self, path: str | os.PathLike[str] = RECOGNISER) -> None:
        file = open_recogniser(path)
        config = file.config
        self.name = file.name
        self.languages: tuple[str, ...] = tuple(config["languages"])
        self._vocabulary = file.vocabulary
        self._spaceless = frozenset(config["spaceless"])
        special = config["tokens"]
        self._tokens = Tokens(
            special["begin"],
            special["end"],
            special["no_speech"],
            tuple(special["prompt"]),
            tuple(special["languages"]),
            np.array(special["suppressed"], np.int64),
            np.array(special["not_first"], np.int64),
        )
        self._network = RecogniserNetwork(file)

    def hear(
        self,
        samples: Samples,
        speech: np.ndarray,
        rate: float,
        language: str = "",
        tell: Callable[[float], None] = lambda share: None,
    ) -> Heard:
        """The words of (n,) samples at 16 kHz where `speech` (N,), chances 0…1 at `rate` Hz, says that there are any.

        `language`: Whisper's code, or empty for the one that is heard: English unless another is clearly likelier.
        `tell` gets the share done, 0…1, and may raise.
        """
        places = passages(speech, rate)
        found: list[Passage] = []
        chosen = Choice(self.languages, language)

        def write(number: int, memory: Memory | None = None) -> Passage | None:
            memory = memory or self._listen(samples, *places[number])
            return self._written_down(samples, places[number], memory, chosen, number == 0)

        def both(number: int) -> Passage | None:
            try:
                return write(number)
            except BaseException:
                if number == 0:
                    chosen.give_up()
                raise

        # Passages are listened to and written down side by side; of a long sound the next one is only listened to
        # meanwhile, since what is remembered of two that are being written down takes much room.
        numbers = range(len(places))
        if len(samples) <= LONG * SAMPLE_RATE:
            written = in_order(both, numbers, ahead=2 * (threads() - 1))
        else:
            written = map(write, numbers, in_order(lambda number: self._listen(samples, *places[number]), numbers))
        for number, passage in enumerate(written):
            found += [passage] if passage is not None else []
            tell((number + 1) / len(places))
        return Heard(tuple(found), chosen.language if places else language or ENGLISH, self.name)

    def _listen(self, samples: Samples, start: float, end: float, least: float = LEAST) -> Memory:
        sound = samples[round(start * SAMPLE_RATE) : round(end * SAMPLE_RATE)]
        seconds = max(len(sound) / SAMPLE_RATE + AFTER, least)
        frames = min(round(seconds * FRAME_RATE), FRAMES)
        return self._network.encode(log_mel(sound, frames * round(SAMPLE_RATE / HOP / FRAME_RATE)))

    def _written_down(
        self, samples: Samples, place: tuple[float, float], memory: Memory, chosen: Choice, first: bool
    ) -> Passage | None:
        """What a passage says that was listened to, if anything."""
        start, end = place
        choose = chosen.by_first if first else chosen.by_others
        limits = [round((end - start) * TOKENS_A_SECOND) + TOKENS_MORE]
        (written,) = write_down(self._network.begin([memory]), self._tokens, choose, limits)
        if written.looped:  # the silence after it was too short for it to see the end
            memory = self._listen(samples, start, end, FRAMES / FRAME_RATE)
            (written,) = write_down(self._network.begin([memory]), self._tokens, choose, limits)
        if not written.tokens or is_no_speech(written):
            return None
        return Passage(start, end, self._split(written, chosen.language), float(np.mean(written.log_probabilities)))

    def _split(self, written: Written, language: str) -> tuple[HeardWord, ...]:
        """Tokens → words: at spaces, in languages without them at whole characters."""
        parts: list[tuple[bytes, list[float]]] = []
        for token, chance in zip(written.tokens, written.log_probabilities, strict=False):
            piece = self._vocabulary[token]
            begins = piece.startswith(b" ") or (
                language in self._spaceless and _is_whole(parts[-1][0] if parts else b"")
            )
            if begins or not parts:
                parts.append((b"", []))
            parts[-1] = (parts[-1][0] + piece, [*parts[-1][1], chance])
        words = [(text.decode("utf-8", "ignore").strip(), chances) for text, chances in parts]
        return tuple(HeardWord(text, float(np.exp(np.mean(chances)))) for text, chances in words if text)


def is_shipped() -> bool:
    """Whether the assets have a recogniser; a lean build's have none."""
    return RECOGNISER.is_file()


@functools.cache
def shipped() -> Recogniser:
    """The recogniser of the assets, loaded once."""
    return Recogniser(RECOGNISER)


def is_no_speech(written: Written) -> bool:
    """Whether a passage is to be left out: it says that nothing is said, and is unsure of what it wrote."""
    return written.no_speech > NO_SPEECH and float(np.mean(written.log_probabilities)) < UNSURE


def _is_whole(text: bytes) -> bool:
    try:
        text.decode("utf-8")
        return True
    except UnicodeDecodeError:
        return False
