"""Localization without a text: the words that a recogniser hears, aligned to the sound that it heard them in.

The sound has the last word. Passages and words whose phones it does not bear out get the phones that it seems to have,
as if nothing had been heard there; so do cries and songs that a recogniser makes words of. Speech that no word was
found for is heard a second time, by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Protocol

import numpy as np

from ..audio import Sound
from ..packed import Samples
from ..phones import (
    BILABIALS,
    LABIODENTALS,
    PHONE_INDEX,
    PHONES,
    SILENCE,
    Alignment,
    HeardText,
    Phone,
    Word,
    index_at,
)
from ..progress import Progress
from ..tongues import ANY_LANGUAGE, ENGLISH, from_whisper, to_whisper
from .forced import Segment, force
from .laughter import without_laughter
from .posterior import ALIGNED, SPEECH, Script, fit_of, free_phones

SOURCE = f"recogniser+{ALIGNED}"
# Mean log-posterior of a word against the likeliest phones', from which on the sound alone decides. Measured with
# `python -m benchmarks.localization backends`.
DOUBTED = -3.5
WRONG_PASSAGE = -1.6  # of all words of a passage: then none of them is said
FOUND = 0.5  # share of its words that must be found, or none is said
LOST = 0.5  # s of speech without a word that are heard again
AROUND = 0.2  # s on both sides that are heard with it
SURE = float(np.log(0.7))  # of a closure or contact that no word has: it is seen all the same, ...
SHORTEST = 2  # ... if it lasts so many frames
NEAR = 1 / 30  # s within which a word may have it


class HeardWord(Protocol):
    """A word as the recogniser wrote it, and how sure it is, 0…1."""

    @property
    def label(self) -> str: ...
    @property
    def probability(self) -> float: ...


class HeardPassage(Protocol):
    """Words that were heard between `start` and `end` s."""

    @property
    def start(self) -> float: ...
    @property
    def end(self) -> float: ...
    @property
    def words(self) -> Sequence[HeardWord]: ...


class Heard(Protocol):
    """What a recogniser heard; `language` is Whisper's code."""

    @property
    def passages(self) -> Sequence[HeardPassage]: ...
    @property
    def language(self) -> str: ...
    @property
    def recogniser(self) -> str: ...


Hear = Callable[[Samples, np.ndarray, float, str, Callable[[float], None]], Heard]
"""Samples at 16 kHz, (N,) chances of speech 0…1 at a rate in Hz, Whisper's code of the language (empty for the one that
is heard), what is told the share done → the words."""


@dataclass(frozen=True)
class _Place:
    """Words to look for between `start` and `end` s."""

    start: float
    end: float
    words: tuple[HeardWord, ...]


def localize_heard(
    sound: Sound,
    log_posteriors: np.ndarray,
    rate: float,
    hear: Hear,
    read: Callable[[str, str], Script],
    language: str,
    progress: Progress | None = None,
) -> Alignment | None:
    """Phones and words of what `hear` hears in `sound`; None if it hears no words.

    (N, phones) `log_posteriors` at `rate` Hz are of the sound; `read` makes the script of a text in a language of
    tongues.LANGUAGES, which may leave out words that it cannot read; `language` is that of the settings.
    """

    def telling(begin: float, end: float) -> Callable[[float], None]:
        def tell(share: float) -> None:
            if progress is not None:
                progress(begin + (end - begin) * share, "hearing the words")

        return tell

    # English is what the settings say of themselves; another language is meant.
    wanted = ANY_LANGUAGE if language == ENGLISH else language
    speech = 1.0 - np.exp(log_posteriors[:, PHONE_INDEX[SILENCE]].astype(np.float32))
    heard = hear(sound.stored, speech, rate, to_whisper(wanted), telling(0.0, 0.8))
    places = [_Place(p.start, p.end, tuple(p.words)) for p in heard.passages if p.words]
    if not places:
        return None
    spoken = from_whisper(heard.language, wanted)
    if spoken == ANY_LANGUAGE:
        return None
    found = _found(places, log_posteriors, rate, spoken, read)
    lost = list(_lost(found, log_posteriors, rate))
    if lost:
        again = np.zeros_like(speech)
        for start, end in lost:
            here = slice(index_at(start, rate), index_at(end, rate))
            again[here] = np.maximum(speech[here], 0.5)
        more = hear(sound.stored, again, rate, heard.language, telling(0.8, 0.9))
        fresh = [_Place(p.start, p.end, tuple(p.words)) for p in more.passages if p.words]
        if fresh:
            places = _merged(found, fresh)
            found = _found(places, log_posteriors, rate, spoken, read)
    words: list[Word] = []
    phones: list[Phone] = []
    at = 0.0
    for passage in found:
        phones += without_laughter(free_phones(log_posteriors, rate, at, passage.place.start))
        phones += passage.phones(log_posteriors, rate)
        words += passage.words
        at = passage.place.end
    phones += without_laughter(free_phones(log_posteriors, rate, at, sound.duration))
    if not words:
        return None
    phones = with_sure_contacts(phones, log_posteriors, rate)
    text = " ".join(word.label for passage in found if passage.words for word in passage.place.words)
    telling(0.9, 1.0)(1.0)
    return replace(
        Alignment.from_segments(phones, words, sound.duration, SOURCE),
        heard=HeardText(text, spoken, heard.recogniser),
    )


def with_sure_contacts(phones: Sequence[Phone], log_posteriors: np.ndarray, rate: float) -> list[Phone]:
    """The phones, with lip closures and contacts that are plain to hear but that no word has: a misheard “that” for
    “fat” is not seen, but its lips are."""
    out = list(phones)
    for group in (BILABIALS, LABIODENTALS):
        columns = [PHONE_INDEX[label] for label in sorted(group)]
        sure = np.logaddexp.reduce(log_posteriors[:, columns].astype(np.float32), axis=1) > SURE
        edges = np.flatnonzero(np.diff(np.concatenate([[0], sure.astype(np.int8), [0]])))
        for first, last in edges.reshape(-1, 2).tolist():
            start, end = max((first - 0.5) / rate, 0.0), (last - 0.5) / rate
            if last - first < SHORTEST or any(
                p.label in group and p.start < end + NEAR and p.end > start - NEAR for p in out
            ):
                continue
            label = PHONES[columns[int(log_posteriors[first:last, columns].sum(0).argmax())]]
            out = [part for phone in out for part in _outside(phone, start, end)]
            out.append(Phone(label, start, end))
    return sorted(out, key=lambda phone: phone.start)


def _outside(phone: Phone, start: float, end: float) -> Iterator[Phone]:
    """What of a phone is before `start` or after `end` s."""
    if phone.start < start:
        yield replace(phone, end=min(phone.end, start))
    if phone.end > end:
        yield replace(phone, start=max(phone.start, end))


@dataclass(frozen=True)
class _Found:
    """A place with its words aligned: `segments` in s, by number of the script's spoken words; `words` with times;
    `at`: the first frame."""

    place: _Place
    segments: tuple[Segment, ...]
    words: tuple[Word, ...]
    labels: tuple[str, ...]
    script: Script
    doubted: frozenset[int]

    def phones(self, log_posteriors: np.ndarray, rate: float) -> Iterator[Phone]:
        """The phones of the words, and where there are none, or doubtful ones, those that the sound seems to have."""
        for alone, some in groupby(self.segments, key=lambda s: s.word == -1 or s.word in self.doubted):
            part = list(some)
            if alone:
                yield from without_laughter(free_phones(log_posteriors, rate, part[0].start, part[-1].end))
            else:
                yield from (self.script.phone(s.column, s.start, s.end) for s in part)


def _found(
    places: Sequence[_Place], log_posteriors: np.ndarray, rate: float, language: str, read: Callable[[str, str], Script]
) -> list[_Found]:
    """Each place aligned within itself."""
    script = read(_subtitles(places), language)
    of_place: list[list[int]] = [[] for _ in places]
    number = {_shown(place): index for index, place in enumerate(places)}
    for word, (index, _) in enumerate(script.spoken):
        times = script.times[index]
        if times is not None and times in number:
            of_place[number[times]].append(word)
    found = []
    for place, numbers in zip(places, of_place, strict=True):
        first = min(max(index_at(place.start, rate), 0), len(log_posteriors) - 1)
        last = max(min(index_at(place.end, rate), len(log_posteriors)), first + 1)
        emissions, plain = script.emissions(log_posteriors[first:last]), script.heard(log_posteriors[first:last])
        segments = tuple(
            replace(
                s,
                word=s.word if s.word is None or s.word < 0 else numbers[s.word],
                start=max((s.start + first) / rate, place.start),
                end=min((s.end + first) / rate, place.end),
            )
            for s in force(emissions, rate, [script.spoken[n][1] for n in numbers], heard=plain)
        )
        found.append(_judged(place, segments, script, len(numbers)))
    return found


def _judged(place: _Place, segments: tuple[Segment, ...], script: Script, count: int) -> _Found:
    """Those of the `count` words of a place that were found, with their times, and which of them are doubtful."""
    of_word: dict[int, list[Segment]] = {}
    for s in segments:
        if s.word is not None and s.word >= 0:
            of_word.setdefault(s.word, []).append(s)
    said = [s for some in of_word.values() for s in some]
    if len(of_word) < FOUND * count or not said or fit_of(said) < WRONG_PASSAGE:
        nothing = tuple(replace(s, word=-1) for s in segments)
        return _Found(place, nothing, (), (), script, frozenset())
    doubted = frozenset(
        n for n, some in of_word.items() if fit_of(some) < DOUBTED and script.spoken[n][0] not in script.weak
    )
    written: dict[int, list[int]] = {}
    for n in of_word:
        written.setdefault(script.spoken[n][0], []).append(n)
    labels = tuple(script.labels[index] for index in written)
    sure = _probabilities(labels, place.words)
    words = tuple(
        Word(
            script.labels[index],
            of_word[numbers[0]][0].start,
            of_word[numbers[-1]][-1].end,
            min(float(np.exp(fit_of([s for n in numbers for s in of_word[n]]))), probability),
        )
        for (index, numbers), probability in zip(written.items(), sure, strict=True)
    )
    return _Found(place, segments, words, labels, script, doubted)


def _probabilities(labels: Sequence[str], words: Sequence[HeardWord]) -> list[float]:
    """How sure the recogniser is of each label, which stand in `words` in this order; 1 where that is not clear."""
    found, at = [], 0
    for label in labels:
        place = next((n for n in range(at, len(words)) if label.lower() in words[n].label.lower()), None)
        found.append(1.0 if place is None else words[place].probability)
        at = at if place is None else place
    return found


def _lost(found: Sequence[_Found], log_posteriors: np.ndarray, rate: float) -> Iterator[tuple[float, float]]:
    """Stretches of speech in s that no word was found for."""
    silence = log_posteriors[:, PHONE_INDEX[SILENCE]]
    for passage in found:
        for in_word, some in groupby(passage.segments, key=lambda s: s.word is not None and s.word >= 0):
            part = list(some)
            here = slice(index_at(part[0].start, rate), index_at(part[-1].end, rate))
            if not in_word and passage.words and (silence[here] < SPEECH).sum() / rate >= LOST:
                yield max(part[0].start - AROUND, 0.0), part[-1].end + AROUND


def _merged(found: Sequence[_Found], fresh: Sequence[_Place]) -> list[_Place]:
    """The places with those that were heard again between their words."""
    places: list[_Place] = []
    for passage in found:
        inside = [p for p in fresh if passage.place.start < (p.start + p.end) / 2 < passage.place.end]
        if not inside:
            places.append(passage.place)
            continue
        words = _timed(passage)
        at = passage.place.start
        for new in inside:
            middle = (new.start + new.end) / 2
            before = [(word, end) for word, start, end in words if at <= (start + end) / 2 < middle]
            start = max([at, *(end for _, end in before)])
            if before:
                places.append(_Place(at, start, tuple(word for word, _ in before)))
            after = [begin for _, begin, end in words if (begin + end) / 2 >= middle]
            end = min([passage.place.end, *after])
            places.append(_Place(start, max(end, start + 0.05), new.words))
            at = places[-1].end
        rest = tuple(word for word, start, end in words if (start + end) / 2 >= at)
        if rest:
            places.append(_Place(at, passage.place.end, rest))
    return places


def _timed(passage: _Found) -> list[tuple[HeardWord, float, float]]:
    """The recogniser's words that were found, with their times."""
    out, at = [], 0
    for word in passage.words:
        heard = passage.place.words
        n = next((n for n in range(at, len(heard)) if word.label.lower() in heard[n].label.lower()), None)
        if n is not None:
            out.append((heard[n], word.start, word.end))
            at = n + 1
    return out


def _shown(place: _Place) -> tuple[float, float]:
    """Its times as subtitles have them."""
    return round(place.start, 3), round(place.end, 3)


def _subtitles(places: Sequence[_Place]) -> str:
    """The words of all places as WebVTT: a text that says when its words are said."""
    cues = (f"{_clock(p.start)} --> {_clock(p.end)}\n{' '.join(w.label for w in p.words)}" for p in places)
    return "WEBVTT\n\n" + "\n\n".join(cues)


def _clock(seconds: float) -> str:
    whole = round(seconds * 1000)
    return f"{whole // 3_600_000:02}:{whole // 60_000 % 60:02}:{whole // 1000 % 60:02}.{whole % 1000:03}"
