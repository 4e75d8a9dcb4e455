"""From what the encoder heard to tokens: the likeliest token at each step, several passages side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .network import Saying

REPEATED = 12  # tokens in all that say the same again …
TIMES = 3  # … so many times in succession at least are a loop


@dataclass(frozen=True)
class Tokens:
    """Numbers of Whisper's special tokens, and of those that are never written (`suppressed`, `not_first`)."""

    begin: int
    end: int
    no_speech: int
    prompt: tuple[int, ...]  # after the language
    languages: tuple[int, ...]
    suppressed: np.ndarray
    not_first: np.ndarray


@dataclass(frozen=True)
class Written:
    """Tokens of a passage and the log-probability of each; `no_speech` 0…1: that nothing is said; `looped`: it was cut
    where it began to repeat itself."""

    tokens: tuple[int, ...]
    log_probabilities: tuple[float, ...]
    no_speech: float
    looped: bool = False


def language_chances(saying: Saying, tokens: Tokens) -> np.ndarray:
    """(languages,) log-probabilities that the first passage of `saying`, which has just begun, is in each language."""
    first = saying.say(np.full((saying.rows, 1), tokens.begin))[0, -1]
    return _log_softmax(first[np.array(tokens.languages)])


def write_down(saying: Saying, tokens: Tokens, language: int, limits: Sequence[int]) -> list[Written]:
    """The likeliest tokens of each passage of `saying`, which has just begun, at most `limits`; `language` is its place
    among tokens.languages."""
    first = saying.say(np.full((saying.rows, 1), tokens.begin))[:, -1]
    no_speech = np.exp(_log_softmax(first)[:, tokens.no_speech])
    spoken = tokens.languages[language]
    last = saying.say(np.tile((spoken, *tokens.prompt), (saying.rows, 1)))[:, -1].copy()
    last[:, tokens.not_first] = -np.inf
    written: list[list[int]] = [[] for _ in limits]
    chances: list[list[float]] = [[] for _ in limits]
    looped = [False] * len(limits)
    rows = np.arange(len(limits))
    while len(rows):
        last[:, tokens.suppressed] = -np.inf
        chosen = last.argmax(1)
        top = last[np.arange(len(rows)), chosen]
        probable = -np.log(np.exp(last - top[:, None]).sum(1))
        going_on = np.ones(len(rows), bool)
        for place, row in enumerate(rows):
            chances[row].append(float(probable[place]))
            if chosen[place] == tokens.end:
                going_on[place] = False
                continue
            written[row].append(int(chosen[place]))
            extra = repetition(written[row])
            if extra:
                looped[row] = True
                del written[row][-extra:], chances[row][-extra:]
            full = len(written[row]) >= limits[row] or saying.said + 1 >= saying.network.longest
            going_on[place] = not extra and not full
        if not going_on.all():
            keep = np.flatnonzero(going_on)
            rows, chosen = rows[keep], chosen[keep]
            saying.keep(keep)
        if len(rows):
            last = saying.say(chosen[:, None])[:, -1].copy()
    return [
        Written(tuple(w), tuple(c), float(n), loop)
        for w, c, n, loop in zip(written, chances, no_speech, looped, strict=True)
    ]


def repetition(said: Sequence[int]) -> int:
    """How many of the last tokens only say again what stands before them; 0 unless they go in circles."""
    for length in range(1, len(said) // TIMES + 1):
        times = max(TIMES, -(-REPEATED // length))
        if length * times > len(said):
            continue
        tail = said[-length:]
        if all(said[-length * (n + 1) : len(said) - length * n] == tail for n in range(times)):
            return length * (times - 1)
    return 0


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    top = logits.max(-1, keepdims=True)
    return logits - top - np.log(np.exp(logits - top).sum(-1, keepdims=True))
