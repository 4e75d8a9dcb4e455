"""Sound → the words that are said in it, passage by passage, and their language."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from ..assets import RECOGNISER
from ..packed import Samples
from .archive import load_recogniser
from .network import FRAMES, Memory, RecogniserNetwork
from .passages import passages
from .search import Tokens, Written, write_down
from .spectrogram import HOP, SAMPLE_RATE, log_mel

FRAME_RATE = FRAMES / 30.0  # Hz of the encoder
AFTER = 2.0  # s of silence that are heard after a passage; the 30 s of training cost five times as much
LEAST = 6.0  # s that it hears at least
TOGETHER = 1  # passages that are written down side by side: each more takes 56 MB and saves an eighth of the time
LISTENERS = 1  # threads that listen, 60 MB each
TOKENS_A_SECOND, TOKENS_MORE = 12.0, 12  # that are written at most
# Whisper's own limits of what is no speech, and of what it is unsure.
NO_SPEECH, UNSURE = 0.6, -1.0
ENGLISH = "en"
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


class Recogniser:
    """Holds one loaded recogniser."""

    def __init__(self, path: str | os.PathLike[str] = RECOGNISER) -> None:
        file = load_recogniser(path)
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
        groups = [places[first : first + TOGETHER] for first in range(0, len(places), TOGETHER)]
        found: list[Passage] = []
        # The next passages are listened to while these are written down: nothing else runs on the second processor.
        pool = ThreadPoolExecutor(LISTENERS, thread_name_prefix="listener")
        try:
            waiting = [pool.submit(self._listen, samples, *place) for place in groups[0]] if groups else []
            for number, group in enumerate(groups):
                memories = [future.result() for future in waiting]
                following = groups[number + 1] if number + 1 < len(groups) else []
                waiting = [pool.submit(self._listen, samples, *place) for place in following]
                more, language = self._words(samples, group, memories, language)
                found += more
                tell((number + 1) / len(groups))
        finally:
            pool.shutdown(cancel_futures=True)
        return Heard(tuple(found), language or ENGLISH, self.name)

    def _listen(self, samples: Samples, start: float, end: float, least: float = LEAST) -> Memory:
        sound = samples[round(start * SAMPLE_RATE) : round(end * SAMPLE_RATE)]
        seconds = max(len(sound) / SAMPLE_RATE + AFTER, least)
        frames = min(round(seconds * FRAME_RATE), FRAMES)
        return self._network.encode(log_mel(sound, frames * round(SAMPLE_RATE / HOP / FRAME_RATE)))

    def _words(
        self, samples: Samples, places: Sequence[tuple[float, float]], memories: list[Memory], language: str
    ) -> tuple[list[Passage], str]:
        """The words of passages that were listened to, and their language."""
        chosen = [self.languages.index(language)] if language else []

        def choose(chances: np.ndarray) -> int:
            if not chosen:
                together = chances.sum(0)
                best, english = int(together.argmax()), self.languages.index(ENGLISH)
                chosen.append(best if together[best] - together[english] > FOREIGN else english)
            return chosen[0]

        limits = [round((end - start) * TOKENS_A_SECOND) + TOKENS_MORE for start, end in places]
        saying = self._network.begin(memories)
        memories.clear()  # they are large, and not needed any more
        written = write_down(saying, self._tokens, choose, limits)
        for row, (start, end) in enumerate(places):
            if written[row].looped:  # the silence after it was too short for it to see the end
                whole = self._network.begin([self._listen(samples, start, end, FRAMES / FRAME_RATE)])
                written[row] = write_down(whole, self._tokens, choose, limits[row : row + 1])[0]
        spoken = self.languages[chosen[0]]
        found = [
            Passage(start, end, self._split(w, spoken), float(np.mean(w.log_probabilities)))
            for (start, end), w in zip(places, written, strict=True)
            if w.tokens and not is_no_speech(w)
        ]
        return found, spoken

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


@functools.cache
def shipped() -> Recogniser | None:
    """The recogniser of the assets, loaded once; None in a build without it."""
    return Recogniser(RECOGNISER) if RECOGNISER.is_file() else None


def is_no_speech(written: Written) -> bool:
    """Whether a passage is to be left out: it says that nothing is said, and is unsure of what it wrote."""
    return written.no_speech > NO_SPEECH and float(np.mean(written.log_probabilities)) < UNSURE


def _is_whole(text: bytes) -> bool:
    try:
        text.decode("utf-8")
        return True
    except UnicodeDecodeError:
        return False
