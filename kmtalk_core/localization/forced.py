"""Forced alignment by posteriors: where each phone of known words lies, by Viterbi search over log-posteriors.

The words form a line. Between any two there may be silence, or sound that is in no word (filler), and words may be left
out, so that a transcript that fits only in part is aligned as far as it fits. A word has one or more pronunciations.
Works for any set of sound classes: the columns of `emissions` are whatever the pronunciations name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

Pronunciation = Sequence[int]
"""Columns of the emissions, one for each phone."""

SILENCE_COLUMN = 0

WINDOW = 40.0  # s that are searched at once, so that memory stays bounded
SHORTEST_ADVANCE = 0.5  # share of a window that is kept at least, if there is a pause after it
PAUSE = 0.08  # s of silence that a window may be cut in
FASTEST = 7.0  # words per second that anybody says
DOUBTED = 3.0  # s before a window's end whose words may be pressed there by what follows
LOST = 0.2  # share of a window that is in no word, from which on words are looked for farther on, ...
FARTHEST = 1500  # ... among so many
SLACK = 5.0  # s outside of a window within which words whose bounds are known are still looked for in it


@dataclass(frozen=True)
class Costs:
    """Natural-log costs of the search; measured with `python -m benchmarks.localization`."""

    length: float = 5.0  # frames that a phone lasts on average
    pause: float = 3.0  # of a silence between words
    skip: float = 20.0  # of leaving out words
    skip_more: float = 2.0  # of every further word left out
    filler: float = 15.0  # of a stretch that is in no word
    filler_frame: float = 2.5  # of each of its frames, against the likeliest phone
    outside: float = 5.0  # of a word that begins outside of its bounds, for each s, ...
    farthest: float = 12.0  # ... at most: less than leaving it out


DEFAULT_COSTS = Costs()


@dataclass(frozen=True)
class Segment:
    """A phone as found: the number of its word (None: silence, -1: filler), its column, start and end in frames.

    `fit` is the mean log-posterior of its frames against the likeliest column's there: 0 is perfect.
    """

    word: int | None
    column: int
    start: float
    end: float
    fit: float


def force(
    emissions: np.ndarray,
    rate: float,
    words: Sequence[Sequence[Pronunciation]],
    costs: Costs = DEFAULT_COSTS,
    tell: Callable[[float], None] | None = None,
    bounds: np.ndarray | None = None,
    heard: np.ndarray | None = None,
) -> Iterator[Segment]:
    """Yield the segments of `words` in (N, K) log `emissions` at `rate` Hz, in order, covering 0…N frames.

    Column 0 is silence. Long sounds are searched window by window; memory does not grow with the length. `tell` gets
    the share done, 0…1, and may raise. `bounds` (words, 2): frames between which each word should begin, softly.
    `heard` (N, K), by default the emissions, are what the segments' `fit` is of.
    """
    frames, at, word = len(emissions), 0, 0
    window = round(WINDOW * rate)
    while at < frames:
        final = frames - at <= window * 1.25
        end = frames if final else at + window
        reach = int((end - at) / rate * FASTEST) + 20
        if bounds is not None:
            # Words that must have been before this window are lost, those that must be after it wait.
            word += _leading(bounds[word:, 1] < at - SLACK * rate)
            reach = min(_leading(bounds[word:, 0] <= end + SLACK * rate), reach)
        while True:
            candidates = words[word : word + reach]
            complete = final and len(candidates) == len(words) - word
            near = None if bounds is None else bounds[word : word + reach] - at
            runs = _Search(emissions[at:end], candidates, costs, near, rate).path(complete)
            filler = sum(last - first for said, _, first, last in runs if said == -1)
            if bounds is not None or complete or reach >= FARTHEST or filler < LOST * (end - at):
                break
            reach = FARTHEST  # a passage may be missing in the sound: look for its words farther on
        if not final:
            runs = _trusted(runs, rate)
        here = emissions[at:end]
        yield from (
            Segment(
                s.word if s.word is None or s.word < 0 else s.word + word, s.column, s.start + at, s.end + at, s.fit
            )
            for s in _refined(here, here if heard is None else heard[at:end], runs)
        )
        said = [run[0] for run in runs if run[0] is not None and run[0] >= 0]
        word += max(said, default=-1) + 1
        at += runs[-1][3]
        if tell is not None:
            tell(at / frames)


def _leading(true: np.ndarray) -> int:
    """How many of the first are true."""
    return int(np.argmin(np.append(true, False)))


_Run = tuple["int | None", int, int, int]  # word, column, first frame, frame after the last


class _Search:
    """One window: states are the phones of all pronunciations, then a silence and a filler before each word and last.

    Scores of all frames are kept, so that the way back needs no pointers.
    """

    def __init__(
        self,
        emissions: np.ndarray,
        words: Sequence[Sequence[Pronunciation]],
        costs: Costs,
        bounds: np.ndarray | None = None,
        rate: float = 1.0,
    ) -> None:
        self.costs = costs
        self.count = len(words)
        self.bounds = bounds if bounds is not None and len(bounds) else None
        self.outside = costs.outside / rate
        columns = [column for word in words for variant in word for column in variant]
        lengths = np.array([len(variant) for word in words for variant in word], np.int64)
        self.columns = np.array(columns, np.int64)
        self.first = np.cumsum(lengths) - lengths  # state of each variant's first phone
        self.last = self.first + lengths - 1
        per_word = np.array([len(word) for word in words], np.int64)
        self.variant_word = np.repeat(np.arange(self.count), per_word)
        self.word_variants = np.cumsum(per_word) - per_word  # number of each word's first variant
        self.word_of = np.repeat(self.variant_word, lengths)
        self.phones = len(columns)
        self.silences = slice(self.phones, self.phones + self.count + 1)
        self.fillers = slice(self.silences.stop, self.silences.stop + self.count + 1)
        self.is_first = np.zeros(self.phones, bool)
        self.is_first[self.first] = True
        self.stay, self.leave = np.log1p(-1.0 / costs.length), -np.log(costs.length)
        self.line = np.arange(self.count + 1) * costs.skip_more
        self.scores = self._forward(emissions)

    def _forward(self, emissions: np.ndarray) -> np.ndarray:
        phones, count = self.phones, self.count
        scores = np.empty((len(emissions), self.fillers.stop), np.float32)
        scores[:, :phones] = emissions[:, self.columns]
        scores[:, self.silences] = emissions[:, :1]
        scores[:, self.fillers] = emissions.max(1, keepdims=True) - self.costs.filler_frame
        stay = np.float32(self.stay) + np.zeros(self.fillers.stop, np.float32)
        stay[phones:] = 0.0
        enter = np.empty(self.fillers.stop, np.float32)
        ways = np.full(count + 1, -np.inf)
        ways[0] = 0.0
        before: np.ndarray | None = None
        for t, now in enumerate(scores):
            if before is not None:
                ways = self.ways(before)
            ways = self.skipped(ways)
            if before is None:
                enter[:phones] = -np.inf
            else:
                enter[1:phones] = before[: phones - 1]
                enter[1:phones] += self.leave
            enter[self.first] = ways[self.variant_word]
            if self.bounds is not None:
                enter[self.first] -= self.misplaced(t)[self.variant_word]
            enter[self.silences] = ways
            enter[self.silences] -= self.costs.pause
            enter[self.fillers] = ways
            enter[self.fillers] -= self.costs.filler
            if before is not None:
                np.maximum(enter, before + stay, out=enter)
            now += enter
            before = now
        return scores

    def misplaced(self, t: int) -> np.ndarray:
        """(words,) what it costs each word to begin at frame `t`."""
        assert self.bounds is not None
        away = np.maximum(self.bounds[:, 0] - t, t - self.bounds[:, 1])
        return np.clip(away * self.outside, 0.0, self.costs.farthest)

    def ways(self, before: np.ndarray) -> np.ndarray:
        """(words + 1,) best score of being between two words after a frame whose scores are `before`."""
        ways = np.maximum(before[self.silences], before[self.fillers])
        if self.count:
            ended = np.maximum.reduceat(before[self.last], self.word_variants) + np.float32(self.leave)
            np.maximum(ways[1:], ended, out=ways[1:])
        return ways

    def skipped(self, ways: np.ndarray) -> np.ndarray:
        """The same if words may be left out."""
        farther = np.maximum.accumulate(ways + self.line) - self.line - (self.costs.skip - self.costs.skip_more)
        return np.maximum(ways, farther)

    def path(self, complete: bool) -> list[_Run]:
        """The best way; `complete`: all words must be said or left out at their cost."""
        scores, phones = self.scores, self.phones
        ways = self.ways(scores[-1])
        place = self.count if complete else int(ways.argmax())
        runs: list[_Run] = []
        end = len(scores)
        state = self._source(len(scores) - 1, place)
        if not complete:
            state = int(scores[-1].argmax())
        for t in range(len(scores) - 1, -1, -1):
            before = scores[t - 1] if t else None
            start = False
            if state < phones and not self.is_first[state]:
                if before is not None and before[state - 1] + self.leave > before[state] + self.stay:
                    following, start = state - 1, True
            else:
                word = int(self.word_of[state]) if state < phones else (state - phones) % (self.count + 1)
                cost = 0.0
                if state >= phones:
                    cost = self.costs.pause if state < self.fillers.start else self.costs.filler
                elif self.bounds is not None:
                    cost = float(self.misplaced(t)[word])
                stay = self.stay if state < phones else 0.0
                if before is None:
                    start = True
                    following = state
                elif self.skipped(self.ways(before))[word] - cost > before[state] + stay:
                    following, start = self._source(t - 1, word), True
            if start or t == 0:
                runs.append((*self._named(state), t, end))
                end = t
                if t:
                    state = following
        return runs[::-1]

    def _source(self, t: int, place: int) -> int:
        """The state at frame `t` after which the best way comes to be before word `place`."""
        before = self.scores[t]
        ways = self.ways(before)
        if (
            place
            and (ways + self.line)[:place].max() - self.line[place] - (self.costs.skip - self.costs.skip_more)
            > ways[place]
        ):
            place = int((ways + self.line)[:place].argmax())
        silence, filler = self.silences.start + place, self.fillers.start + place
        best = silence if before[silence] >= before[filler] else filler
        if place:
            variants = np.flatnonzero(self.variant_word == place - 1)
            last = self.last[variants]
            ended = int(last[before[last].argmax()])
            if before[ended] + self.leave >= before[best]:
                best = ended
        return best

    def _named(self, state: int) -> tuple[int | None, int]:
        if state < self.phones:
            return int(self.word_of[state]), int(self.columns[state])
        return (None if state < self.fillers.start else -1), SILENCE_COLUMN


def _trusted(runs: list[_Run], rate: float) -> list[_Run]:
    """The runs up to the last pause that what follows can't have moved; else up to the end of a word."""
    total = runs[-1][3]
    doubted = {run[0] for run in runs if run[0] is not None and run[0] >= 0 and run[3] > total - DOUBTED * rate}
    safe = next((i for i, run in enumerate(runs) if run[0] in doubted), 0)
    if not safe:
        return runs
    pauses = [
        i
        for i, (word, _, first, last) in enumerate(runs[:safe])
        if word is None and last - first >= PAUSE * rate and first >= SHORTEST_ADVANCE * total
    ]
    if not pauses:
        return runs[:safe]
    word, column, first, last = runs[pauses[-1]]
    return [*runs[: pauses[-1]], (word, column, first, (first + last + 1) // 2)]


def _refined(emissions: np.ndarray, heard: np.ndarray, runs: list[_Run]) -> Iterator[Segment]:
    """Between two frames a boundary lies where both phones are equally likely; frame i is centred at i."""
    best = heard.max(1)
    edges = [0.0]
    for (_, a, _, _), (_, b, first, _) in pairwise(runs):
        edges.append(first - 0.5)
        if a != b:
            before, after = (emissions[first - 1 : first + 1, a] - emissions[first - 1 : first + 1, b]).tolist()
            if before > 0 > after:
                edges[-1] = first - 1 + before / (before - after)
    edges.append(float(runs[-1][3]))
    for (word, column, first, last), start, end in zip(runs, edges[:-1], edges[1:], strict=True):
        fit = 0.0 if word == -1 else float((heard[first:last, column] - best[first:last]).mean())
        yield Segment(word, column, start, end, fit)
