"""Sound → the words that are said in it, passage by passage, and their language."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from threading import Semaphore

import numpy as np

from ..assets import RECOGNISER
from ..memory import LONG, give_back
from ..packed import Samples
from ..threads import in_order, threads
from .network import FRAMES, Memory, RecogniserNetwork
from .passages import passages
from .search import Tokens, Written, language_chances, write_down
from .spectrogram import HOP, SAMPLE_RATE, log_mel
from .unpacked import open_recogniser

FRAME_RATE = FRAMES / 30.0  # Hz of the encoder
AFTER = 2.0  # s of silence that are heard after a passage; the 30 s of training cost five times as much
LEAST = 6.0  # s that it hears at least
TOKENS_A_SECOND, TOKENS_MORE = 12.0, 12  # that are written at most
# Whisper's own limits of what is no speech, and of what it is unsure.
NO_SPEECH, UNSURE = 0.6, -1.0
ENGLISH = "en"
TOGETHER, TOGETHER_OF_LONG = 3, 2  # passages that are written down in one step, at most
FOREIGN = 2.0  # how much likelier (natural log) another language must be than English, where none was named


Place = tuple[float, float]  # start and end in s
Group = list[tuple[Place, Memory]]  # passages that are written down in one step


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
        if not places:
            return Heard((), language or ENGLISH, self.name)
        alone, long = threads() == 1, len(samples) > LONG * SAMPLE_RATE
        # Two groups of passages are written down side by side, while the next ones are listened to; of a long sound
        # one, since what is remembered of those that are being written down takes much room.
        most, at_once = (TOGETHER_OF_LONG, 1) if long else (TOGETHER, 2)
        room = Semaphore(threads())

        def listen(place: Place) -> Memory:
            with room:
                return self._listen(samples, *place)

        def write(group: Group) -> tuple[int, list[Passage]]:
            size = len(group)
            with room:
                return size, self._written_down(samples, group, spoken)

        found: list[Passage] = []
        memories = in_order(listen, places, ahead=0 if alone else most * at_once)
        first = next(memories)
        spoken = language or self._language(first)
        listened = zip(places, chain([first], memories), strict=False)
        del first
        done = 0
        for size, some in in_order(write, grouped(listened, most, at_once), ahead=0 if alone else at_once - 1):
            found += some
            done += size
            tell(done / len(places))
        return Heard(tuple(sorted(found, key=lambda passage: passage.start)), spoken, self.name)

    def let_wait(self) -> None:
        """Give the memory of weights that lie in a file back until they are needed: most have copies that are used."""
        give_back(self._network.embeddings)

    def _language(self, memory: Memory) -> str:
        """The language of a passage: English unless another is clearly likelier."""
        chances = language_chances(self._network.begin([memory]), self._tokens)
        best, english = int(chances.argmax()), self.languages.index(ENGLISH)
        return self.languages[best if chances[best] - chances[english] > FOREIGN else english]

    def _listen(self, samples: Samples, start: float, end: float, least: float = LEAST) -> Memory:
        sound = samples[round(start * SAMPLE_RATE) : round(end * SAMPLE_RATE)]
        seconds = max(len(sound) / SAMPLE_RATE + AFTER, least)
        frames = min(round(seconds * FRAME_RATE), FRAMES)
        return self._network.encode(log_mel(sound, frames * round(SAMPLE_RATE / HOP / FRAME_RATE)))

    def _written_down(self, samples: Samples, group: Group, language: str) -> list[Passage]:
        """What passages say that were listened to, of those that say anything; leaves `group` empty."""
        spoken, places = self.languages.index(language), [place for place, _ in group]
        limits = [round((end - start) * TOKENS_A_SECOND) + TOKENS_MORE for start, end in places]
        saying = self._network.begin([memory for _, memory in group])
        group.clear()  # what they were heard as is in `saying` now, and takes room
        found = []
        for (start, end), limit, written in zip(
            places, limits, write_down(saying, self._tokens, spoken, limits), strict=True
        ):
            if written.looped:  # the silence after it was too short for it to see the end
                memory = self._listen(samples, start, end, FRAMES / FRAME_RATE)
                (written,) = write_down(self._network.begin([memory]), self._tokens, spoken, [limit])
            if written.tokens and not is_no_speech(written):
                words = self._split(written, language)
                found.append(Passage(start, end, words, float(np.mean(written.log_probabilities))))
        return found

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


def grouped(listened: Iterable[tuple[Place, Memory]], most: int, at_once: int) -> Iterator[Group]:
    """Passages in groups of at most `most`, `at_once` groups of those that follow one another.

    To write down a group in one step takes little longer than one passage, if they are about equally long.
    """
    listened = iter(listened)
    while some := list(islice(listened, most * at_once)):
        some.sort(key=lambda each: each[0][0] - each[0][1])
        size = -(-len(some) // at_once)
        while some:
            group = some[-size:]
            del some[-size:]
            yield group


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
