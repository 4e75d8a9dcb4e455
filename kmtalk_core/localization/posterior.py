"""Localization by the compact model's own phone posteriors: no aligner, no language model, any speaker."""

from __future__ import annotations

import math
from bisect import bisect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from ..audio import Sound
from ..errors import shortened
from ..phones import (
    BILABIALS,
    DOUBTFUL,
    LABIODENTALS,
    PHONE_INDEX,
    PHONES,
    SILENCE,
    VOWELS,
    Alignment,
    Phone,
    Word,
    index_at,
)
from ..progress import Progress
from .cues import Times, misfit, trusted_bounds, within
from .forced import Pronunciation, Segment, force
from .laughter import without_laughter
from .vocal import Tag, marked, tagged, unmarked

if TYPE_CHECKING:
    from .child import Progress

SOURCE = "posterior"
ALIGNED = "posterior-forced"

# Measured on real speech with `python -m benchmarks.localization tune`.
# Log-probability of leaving a phone for a given other one, against staying in it: less gives spurious phones, more
# swallows short ones.
SWITCH = -1.25
# Added to the log-posteriors of lip closures and contacts: a closure that is missed is seen by everybody, one too many
# by few, so the decision with the least expected harm takes them below even odds.
CLOSURE_BIAS = 1.25
CONTACT_BIAS = 2.0
# Added to silence's: breaths and reverberation are often taken for phones, phones hardly ever for silence.
SILENCE_BIAS = 1.5
FLOOR = -10.0  # no frame speaks more than this against a phone
# Where a vowel is written and another is heard, it is said all the same, as people have it (“Gutenberg” with “uh”), and
# takes a vowel's frames, not those of the consonants beside it: so much of what is heard speaks for it, …
ANOTHER_VOWEL = 0.03
DOUBTED_VOWEL = 0.002  # … and so much where it is asked how well a word fits
_VOWELS = [PHONE_INDEX[vowel] for vowel in VOWELS]
# Mean log-posterior, against the likeliest phone: right words of real speech are below in 3 of 1,000 cases, ...
MISFIT, SHORT_MISFIT = -3.5, -5.0
# The same with all phones alike: with a word of other sounds in its place, 93 of 100 are below, of right ones 1 in 280.
MISFIT_BY_PHONE, SHORT_BY_PHONE = -4.0, -5.0
LONG_WORD = 4  # phones; shorter words are often slurred or swallowed although they are meant
# Of these nothing may be left in fluent speech; alone they are never doubted.
_WEAK = frozenset(
    ("a", "an", "the", "and", "or", "but", "nor", "as", "at", "by", "for", "from", "in", "into", "of", "off", "on",
     "to", "up", "with", "than", "that", "this", "these", "those", "there", "then", "so", "if", "i", "you",
     "your", "he", "his", "him", "she", "her", "it", "its", "we", "us", "our", "they", "them", "their", "who",
     "whom", "whose", "what", "which", "when", "am", "is", "are", "was", "were", "be", "been", "do", "does",
     "did", "had", "has", "have", "can", "could", "may", "might", "must", "shall", "should", "will", "would",
     "not", "no", "all", "any", "some")
)  # fmt: skip
SPEECH = float(np.log(0.2))  # a frame is speech where silence is less likely than this
QUOTED = 10  # words that are quoted in full
UNWRITTEN = 0.5  # s of speech in no word that are told: right texts of real speech leave less
SHOWN, LONGEST_SHOWN = 0.04, 0.5  # s that a word is shown for where it was not found, at least and at most
FEWEST = 0.1  # s of speech in a silence or filler that belong to it
TEXT_MISFIT = -1.3  # ... right texts of at least 5 words never

WRONG_TEXT = "The transcript does not seem to fit the sound; correct it, or leave it empty to work without one."
WRONG_TIMES = (
    "The subtitles' times do not fit the sound, so only their text was used; check that they belong to this sound."
)

Posteriors = Callable[[Sound], tuple[np.ndarray, float]]


@dataclass(frozen=True)
class Script:
    """What is to be found in a sound, word by word.

    `labels`: of each word, as written; `spoken`: of each spoken word, the number of its written word and its
    pronunciations, as columns of the emissions; `phones`: the label of each column, silence first, and `sounds` what
    IPA calls it, where its lips differ (none: nowhere); `mixture` (len(PHONES), columns): which of the model's phones
    each column may sound like, None where columns are PHONES; `times`: of each word's subtitle, none where there are no
    subtitles; `weak`: numbers of words that are hardly said; `tags`: sounds that are no words, and between which words.
    """

    labels: tuple[str, ...]
    spoken: tuple[tuple[int, tuple[Pronunciation, ...]], ...]
    phones: tuple[str, ...] = PHONES
    mixture: np.ndarray | None = None
    times: tuple[Times, ...] = ()
    weak: frozenset[int] = frozenset()
    tags: tuple[Tag, ...] = ()
    sounds: tuple[str, ...] = ()

    def phone(self, column: int, start: float, end: float) -> Phone:
        """The phone of a column, from `start` to `end` s."""
        return Phone(self.phones[column], start, end, self.sounds[column] if self.sounds else "")

    def emissions(self, log_posteriors: np.ndarray) -> np.ndarray:
        """(N, phones) log-posteriors → (N, columns) of this script, and more columns that none of its words has."""
        return self._with_vowels(log_posteriors, ANOTHER_VOWEL)

    def heard(self, log_posteriors: np.ndarray) -> np.ndarray:
        """The same, but a vowel that is said as another one hardly counts: what tells how well the words fit."""
        return self._with_vowels(log_posteriors, DOUBTED_VOWEL)

    def _with_vowels(self, log_posteriors: np.ndarray, another: float) -> np.ndarray:
        if self.mixture is None:
            said = np.exp(log_posteriors)
            said[:, _VOWELS] += another * said[:, _VOWELS].sum(1, keepdims=True)
            return np.log(said + np.exp(FLOOR)).astype(np.float32)
        # The model's own phones too, which no word names: what is likeliest is judged among all of them.
        every = np.concatenate([self.mixture, np.eye(len(PHONES), dtype=np.float32)], 1)
        return np.log(np.exp(log_posteriors) @ every + np.exp(FLOOR)).astype(np.float32)


def english_script(transcript: str) -> Script:
    """An English transcript as words and their pronunciations."""
    from .g2p import pronunciations  # takes a while to load, and many sounds come without a text
    from .text import spoken_text

    every = spoken_text(marked(transcript)).words
    tags, words = unmarked([word.label for word in every])
    written = [every[number] for number in words]
    spoken = []
    for index, word in enumerate(written):
        for part in word.spoken:
            ways = tuple(tuple(PHONE_INDEX[phone] for phone in way.split()) for way in pronunciations(part))
            spoken.append((index, tuple(way for way in ways if way)))
    return Script(
        tuple(word.label for word in written),
        tuple(s for s in spoken if s[1]),
        times=subtitle_times([(word.start, word.end) for word in written]),
        weak=frozenset(i for i, word in enumerate(written) if word.label.lower() in _WEAK),
        tags=tags,
    )


def subtitle_times(given: Sequence[tuple[float | None, float | None]]) -> tuple[Times, ...]:
    """The times of each word's subtitle; none if no word has one."""
    times = tuple(None if start is None or end is None else (start, end) for start, end in given)
    return times if any(times) else ()


def localize_posterior(sound: Sound, posteriors: Posteriors) -> Alignment:
    """The most probable phone sequence under (N, phones) log-posteriors at their rate in Hz."""
    log_posteriors, rate = posteriors(sound)
    phones = without_laughter(free_phones(log_posteriors, rate, 0.0, sound.duration))
    return Alignment.from_segments(phones, (), sound.duration, SOURCE)


def align_posterior(
    sound: Sound, script: Script, posteriors: Posteriors, progress: Progress | None = None
) -> Alignment:
    """Forced alignment of `script`; sound that is in no word gets the phones that it seems to have.

    Words carry how well they fit; those that do not are named in the warnings. Without any words if none is heard.
    """
    log_posteriors, rate = posteriors(sound)

    def tell(share: float) -> None:
        if progress is not None:
            progress(share, "aligning the transcript")

    spoken = [ways for _, ways in script.spoken]
    emissions, heard = script.emissions(log_posteriors), script.heard(log_posteriors)
    found = list(force(emissions, rate, spoken, tell=tell, heard=heard))
    notes: tuple[str, ...] = ()
    if script.times:
        times = [script.times[index] for index, _ in script.spoken]
        bounds = trusted_bounds(times, found, rate)
        if bounds is not None and not within(bounds, found):
            found = list(force(emissions, rate, spoken, tell=tell, bounds=bounds, heard=heard))
        elif bounds is None and misfit(times, found):
            notes = (WRONG_TIMES,)
    phones: list[Phone] = []
    of_word: dict[int, list[Segment]] = {}
    for s in found:
        start, end = (max(edge / rate, 0.0) for edge in (s.start, s.end))
        if s.word == -1:
            phones += free_phones(log_posteriors, rate, start, end)
        else:
            phones.append(script.phone(s.column, start, end))
            if s.word is not None:
                of_word.setdefault(s.word, []).append(s)
    words = _words(script, of_word, rate)
    if of_word:
        wrong = _doubted(script, of_word, _replaced(found))
        if wrong is None:
            notes += (WRONG_TEXT,)
        else:
            words = with_lost(_decided(words, wrong), wrong, script.labels, sound.duration)
            starts = {index: word.start for index, word in words.items()}
            notes += doubtful_passages(script.labels, wrong, starts) + _unwritten(found, script, log_posteriors, rate)
    listed = [*words.values(), *tagged(script.tags, words, sound.duration)]
    return Alignment.from_segments(phones, listed, sound.duration, ALIGNED, notes)


def _words(script: Script, of_word: dict[int, list[Segment]], rate: float) -> dict[int, Word]:
    """The words that were found, by their numbers in the script."""
    written: dict[int, list[Segment]] = {}
    for number, segments in of_word.items():
        written.setdefault(script.spoken[number][0], []).extend(segments)
    return {
        index: Word(script.labels[index], max(s[0].start / rate, 0.0), s[-1].end / rate, word_confidence(s))
        for index, s in written.items()
    }


def _decided(words: Mapping[int, Word], wrong: Sequence[int]) -> dict[int, Word]:
    """The words with confidences that tell those of `wrong`, and no others, as doubtful."""
    return {
        index: replace(w, confidence=min(w.confidence, DOUBTFUL / 2) if index in wrong else max(w.confidence, DOUBTFUL))
        for index, w in words.items()
    }


def with_lost(
    words: Mapping[int, Word], wrong: Sequence[int], labels: Sequence[str], duration: float
) -> dict[int, Word]:
    """The words with those of `wrong` that were not found, where they would be said, so that they can be corrected.

    All are by their numbers. What is between two words that were found is shared by those that are lost there; nothing
    is shared that would leave a word less than SHOWN s.
    """
    out = dict(words)
    lost = sorted(set(wrong) - set(words))
    found = sorted(words)
    for _, some in groupby(lost, key=lambda index: bisect(found, index)):
        run = list(some)
        place = bisect(found, run[0])
        begin = words[found[place - 1]].end if place else 0.0
        end = words[found[place]].start if place < len(found) else duration
        share = min((end - begin) / len(run), LONGEST_SHOWN)
        if share >= SHOWN:
            out |= {
                index: Word(labels[index], begin + share * n, begin + share * (n + 1), 0.0)
                for n, index in enumerate(run)
            }
    return dict(sorted(out.items()))


def word_confidence(segments: Sequence[Segment]) -> float:
    """0…1: how likely the phones of a word are, against the likeliest ones (geometric mean over its frames)."""
    return float(np.exp(fit_of(segments)))


def fit_of(segments: Sequence[Segment]) -> float:
    """Mean log-posterior of segments against the likeliest phones' (over their frames): 0 is perfect."""
    return sum(s.fit * (s.end - s.start) for s in segments) / max(sum(s.end - s.start for s in segments), 1e-9)


def phone_fit(segments: Sequence[Segment]) -> float:
    """The same with every phone counted alike: a wrong word is stretched over a sound that one of its phones fits."""
    return sum(s.fit for s in segments) / max(len(segments), 1)


def _replaced(found: Sequence[Segment]) -> set[int]:
    """The numbers of the words in whose place there are other sounds."""
    words = [s.word for s in found if s.word is not None]
    places: set[int] = set()
    for before, here, after in zip([-1, *words], words, [*words[1:], -1], strict=False):
        if here == -1 and after != -1:
            places.update(range(before + 1, after))
    return places


def _doubted(script: Script, of_word: dict[int, list[Segment]], replaced: set[int]) -> list[int] | None:
    """The numbers of the words that were not heard, or do not sound as written; None where the text is another one."""
    fits = [fit_of(of_word[i]) if i in of_word else None for i in range(len(script.spoken))]
    by_phone = [phone_fit(of_word[i]) if i in of_word else 0.0 for i in range(len(script.spoken))]
    heard = [segment for segments in of_word.values() for segment in segments]
    if len(of_word) < 0.5 * len(fits) or fit_of(heard) < TEXT_MISFIT:
        return None
    wrong = []
    for number, ((index, ways), fit) in enumerate(zip(script.spoken, fits, strict=True)):
        long = len(ways[0]) >= LONG_WORD
        # Two short words that are lost together, or next to other sounds, are no longer slurred.
        together = number in replaced or None in fits[max(number - 1, 0) : number] + fits[number + 1 : number + 2]
        lost = fit is None and (long or together)
        alone = index in script.weak and not together
        unlike = by_phone[number] < (MISFIT_BY_PHONE if long else SHORT_BY_PHONE)
        if lost or (fit is not None and not alone and (unlike or fit < (MISFIT if long else SHORT_MISFIT))):
            wrong.append(index)
    return wrong


def _unwritten(found: Sequence[Segment], script: Script, log_posteriors: np.ndarray, rate: float) -> tuple[str, ...]:
    """One sentence on when something is said that the transcript lacks; none if all is in it.

    Where other words are written, `_doubts` tells; where a sound is tagged, it is what is heard.
    """
    silence = PHONE_INDEX[SILENCE]
    tagged_before = {tag.before for tag in script.tags}
    number_of = [index for index, _ in script.spoken]
    stretches: list[str] = []
    parts = [list(some) for _, some in groupby(found, key=_in_word)]
    for before, part, after in zip([[], *parts[:-1]], parts, [*parts[1:], []], strict=True):
        first, following = (before[-1].word if before else -1), (after[0].word if after else None)
        if _in_word(part[0]) or (following is not None and following != first + 1):  # type: ignore[operator]
            continue
        if (number_of[following] if following is not None else len(script.labels)) in tagged_before:
            continue
        speech = [
            (log_posteriors[index_at(s.start, 1.0) : index_at(s.end, 1.0), silence] < SPEECH).sum() / rate for s in part
        ]
        if sum(speech) >= UNWRITTEN:
            said = [s for s, length in zip(part, speech, strict=True) if length >= FEWEST]
            stretches.append(f"{clock(said[0].start / rate)} to {clock(said[-1].end / rate)}")
    if not stretches:
        return ()
    more = f" and {len(stretches) - 5} more times" if len(stretches) > 5 else ""
    return (
        f"The transcript lacks what is said from {', '.join(stretches[:5])}{more}; add the words there, or the mouth"
        " follows the sound alone.",
    )


def _in_word(segment: Segment) -> bool:
    return segment.word is not None and segment.word >= 0


def clock(seconds: float) -> str:
    """3.2 s, 1:03.2 or 1:02:03.2 for people."""
    minutes, rest = divmod(round(seconds, 1), 60)
    hours, minutes = divmod(int(minutes), 60)
    if hours:
        return f"{hours}:{minutes:02}:{rest:04.1f}"
    return f"{minutes}:{rest:04.1f}" if minutes else f"{rest:.1f} s"


def doubtful_passages(
    labels: Sequence[str] | Mapping[int, str], wrong: Sequence[int], starts: Mapping[int, float] | None = None
) -> tuple[str, ...]:
    """One sentence that quotes the words `wrong` (their numbers), neighbours together; none if there are none.

    `starts`: when words begin in s, where that is known.
    """
    numbers = np.unique(np.array(wrong, np.int64))
    if not len(numbers):
        return ()
    runs = [run.tolist() for run in np.split(numbers, np.flatnonzero(np.diff(numbers) > 1) + 1)]
    said = [[labels[i] for i in run] for run in runs]
    passages = [" ".join(run if len(run) <= QUOTED else [*run[:3], "…", *run[-3:]]) for run in said]
    known = starts or {}
    times = [f" ({clock(known[run[0]])})" if run[0] in known else "" for run in runs]
    quoted = ", ".join(f"“{shortened(p, 200)}”{time}" for p, time in zip(passages[:5], times, strict=False))
    more = f" and {len(passages) - 5} more" if len(passages) > 5 else ""
    return (f"The sound seems to differ from the transcript at {quoted}{more}; correct the text there.",)


def free_phones(
    log_posteriors: np.ndarray,
    rate: float,
    start: float,
    end: float,
    switch: float = SWITCH,
    closure: float = CLOSURE_BIAS,
    contact: float = CONTACT_BIAS,
) -> list[Phone]:
    """The most probable phones from `start` to `end` s. Index i is centred at i / rate."""
    first, last = max(index_at(start, rate), 0), min(math.ceil(end * rate + 0.5 - 1e-6), len(log_posteriors))
    if last <= first:
        return []
    path = best_path(log_posteriors[first:last] + phone_bias(closure, contact), switch)
    starts = np.flatnonzero(np.diff(path, prepend=-1))
    edges = np.clip((first + starts - 0.5) / rate, start, end)
    edges[0] = start
    return [
        Phone(PHONES[path[index]], float(a), float(b))
        for index, a, b in zip(starts, edges, np.append(edges[1:], end), strict=True)
    ]


def phone_bias(closure: float, contact: float) -> np.ndarray:
    """(phones,) what is added to log-posteriors: `closure` to bilabials, `contact` to labiodentals."""
    bias = np.array([closure * (p in BILABIALS) + contact * (p in LABIODENTALS) for p in PHONES], np.float32)
    bias[PHONE_INDEX[SILENCE]] = SILENCE_BIAS
    return bias


def best_path(log_posteriors: np.ndarray, switch: float) -> np.ndarray:
    """Viterbi over (N, P) log-posteriors where every change of phone costs `switch`: (N,) phone indices."""
    n, count = log_posteriors.shape
    came_from = np.empty((n, count), np.int16)
    own = np.arange(count, dtype=np.int16)
    score = log_posteriors[0].astype(np.float64)
    for index in range(1, n):
        best = int(score.argmax())
        stay = score >= score[best] + switch
        came_from[index] = np.where(stay, own, best)
        score = np.where(stay, score, score[best] + switch) + log_posteriors[index]
    path = np.empty(n, np.int64)
    path[-1] = int(score.argmax())
    for index in range(n - 1, 0, -1):
        path[index - 1] = came_from[index, path[index]]
    return path
