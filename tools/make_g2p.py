"""Train the grapheme-to-phoneme model of kmtalk_core.localization.g2p on the dictionary that ships.

    python -m tools.make_g2p             train without the held-out words, write kmtalk_core/assets/g2p.npz, measure
    python -m tools.make_g2p --measure   measure the shipped model on the words that it was trained without

A joint-sequence n-gram model (Bisani and Ney 2008): letters are aligned with phones by expectation maximisation, each
letter with none, one or two phones; sequences of such pairs are counted, smoothed as by Kneser and Ney (1995) with
interpolation. Takes some minutes on one core. Held-out words (one in twenty, by a checksum of their spelling) are
never counted, in no pronunciation, so that the measured error is that of unknown words.
"""

from __future__ import annotations

import hashlib
import math
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from kmtalk_core.files import save_npz
from kmtalk_core.localization.dictionary import dictionary
from kmtalk_core.localization.g2p import MODEL, Model

ORDER = 8  # letters, counting the one that is predicted
HELD_OUT = 20  # one word in so many
ITERATIONS = 4
SAMPLE = 8  # the alignment is learned from one word in so many
DISCOUNT = 0.75  # Kneser and Ney's D for n-grams
KEPT = (1, 1, 1, 1, 2, 2, 2, 2)  # n-grams of order 1, 2, … seen less often are dropped
RAREST_PAIR = 12  # pairs of letter and phones that are rarer come of spelled-out or foreign words
LONGEST = 2  # phones of one letter

Pair = tuple[str, str]  # letter, its phones with blanks between
Entry = tuple[str, tuple[str, ...]]  # word, phones


def main(arguments: Sequence[str]) -> None:
    if "--measure" not in arguments:
        train(MODEL)
    print(measure())


def held_out(word: str) -> bool:
    """Whether `word` is kept from training."""
    return int.from_bytes(hashlib.sha1(word.encode()).digest()[:4], "big") % HELD_OUT == 0


def entries() -> list[Entry]:
    """Every word of letters only, with each of its pronunciations."""
    return [
        (word, tuple(variant.split()))
        for word, variants in dictionary().items()
        if word.isascii() and word.isalpha() and len(word) > 1
        for variant in variants
    ]


def train(path: Path) -> None:
    start = time.process_time()
    known = [entry for entry in entries() if not held_out(entry[0])]
    aligned = align(known)
    frequent = {pair for pair, count in Counter(p for line in aligned for p in line).items() if count >= RAREST_PAIR}
    aligned = [line for line in aligned if frequent.issuperset(line)]
    arrays = pack(estimate(aligned))
    save_npz(arrays, path)
    seconds, size = time.process_time() - start, path.stat().st_size / 1e6
    print(
        f"{path.name}: {len(aligned)} pronunciations, {len(arrays['symbol'])} n-grams, {size:.1f} MB, {seconds:.0f} s"
    )


def align(known: Sequence[Entry]) -> list[list[Pair]]:
    """Each word as its likeliest pairs; words that have more phones than letters can bear are left out."""
    fitting = [(word, phones) for word, phones in known if len(phones) <= LONGEST * len(word)]
    weights: dict[Pair, float] = defaultdict(lambda: 1.0)
    for round_ in range(ITERATIONS):
        counts: dict[Pair, float] = defaultdict(float)
        for word, phones in fitting[::SAMPLE]:
            expect(word, phones, weights, counts)
        letters: dict[str, float] = defaultdict(float)
        for (letter, _), count in counts.items():
            letters[letter] += count
        total = sum(letters.values())
        weights = defaultdict(lambda: 1e-9, {pair: count / total for pair, count in counts.items()})
        print(f"alignment {round_ + 1} of {ITERATIONS}: {len(weights)} pairs", flush=True)
    return [best(word, phones, weights) for word, phones in fitting]


def spans(word: str, phones: tuple[str, ...]) -> Iterable[tuple[int, int, int, Pair]]:
    """Every (letter number, first phone, phone after the last, pair) that a whole alignment may hold."""
    count, total = len(word), len(phones)
    for i, letter in enumerate(word):
        for j in range(max(0, total - LONGEST * (count - i)), min(total, LONGEST * i) + 1):
            for k in range(j, min(j + LONGEST, total) + 1):
                if k >= total - LONGEST * (count - i - 1):
                    yield i, j, k, (letter, " ".join(phones[j:k]))


def expect(word: str, phones: tuple[str, ...], weights: Mapping[Pair, float], counts: dict[Pair, float]) -> None:
    """Add the expected counts of one word's pairs."""
    steps = [(i, j, k, pair, weights[pair]) for i, j, k, pair in spans(word, phones)]
    size = len(phones) + 1
    forward = [[0.0] * size for _ in range(len(word) + 1)]
    backward = [[0.0] * size for _ in range(len(word) + 1)]
    forward[0][0] = backward[-1][-1] = 1.0
    for i, j, k, _, weight in steps:
        forward[i + 1][k] += forward[i][j] * weight
    for i, j, k, _, weight in reversed(steps):
        backward[i][j] += backward[i + 1][k] * weight
    whole = forward[-1][-1]
    if whole > 0.0:
        for i, j, k, pair, weight in steps:
            counts[pair] += forward[i][j] * weight * backward[i + 1][k] / whole


def best(word: str, phones: tuple[str, ...], weights: Mapping[Pair, float]) -> list[Pair]:
    """The likeliest pairs of one word."""
    scores: dict[tuple[int, int], tuple[float, tuple[int, int] | None, Pair | None]] = {(0, 0): (0.0, None, None)}
    for i, j, k, pair in spans(word, phones):
        if (i, j) in scores:
            score = scores[i, j][0] + math.log(max(weights[pair], 1e-30))
            if (i + 1, k) not in scores or score > scores[i + 1, k][0]:
                scores[i + 1, k] = (score, (i, j), pair)
    pairs: list[Pair] = []
    at: tuple[int, int] | None = (len(word), len(phones))
    while at is not None:
        _, at, pair_here = scores[at]
        if pair_here is not None:
            pairs.append(pair_here)
    return pairs[::-1]


START: Pair = ("<", "")
END: Pair = (">", "")
Gram = tuple[int, ...]


def estimate(aligned: Sequence[Sequence[Pair]]) -> tuple[list[Pair], dict[Gram, float], dict[Gram, float]]:
    """The symbols, and of every n-gram its log-probability and the log-weight of backing off from it as a context."""
    symbols = [START, END, *sorted({pair for line in aligned for pair in line})]
    number = {pair: index for index, pair in enumerate(symbols)}
    lines = [(0, *(number[pair] for pair in line), 1) for line in aligned]
    raw: list[Counter[Gram]] = [Counter() for _ in range(ORDER)]
    for line in lines:
        for n in range(ORDER):
            raw[n].update(line[i : i + n + 1] for i in range(len(line) - n))
    # Below the highest order, what counts is after how many different symbols an n-gram stands.
    counts: list[Counter[Gram]] = [Counter() for _ in range(ORDER)]
    counts[-1] = raw[-1]
    for n in range(ORDER - 1):
        counts[n] = Counter(gram[1:] for gram in raw[n + 1])
        counts[n].update({gram: c for gram, c in raw[n].items() if gram[0] == 0})  # nothing stands before the start
    kept = [{gram for gram in counts[n] if raw[n][gram] >= KEPT[n]} for n in range(ORDER)]
    for n in range(ORDER - 1, 0, -1):
        kept[n - 1] |= {gram[:-1] for gram in kept[n]} | {gram[1:] for gram in kept[n]}
    probability: dict[Gram, float] = {}
    back: dict[Gram, float] = {}
    for n in range(ORDER):
        totals: dict[Gram, float] = defaultdict(float)
        kinds: dict[Gram, int] = defaultdict(int)
        for gram, count in counts[n].items():
            if gram[-1] != 0:
                totals[gram[:-1]] += count
                kinds[gram[:-1]] += 1
        for gram in kept[n]:
            if gram[-1] == 0:
                continue
            context = gram[:-1]
            lower = probability[gram[1:]] if n else 1.0 / len(symbols)
            share = DISCOUNT * kinds[context] / totals[context]
            probability[gram] = max(counts[n][gram] - DISCOUNT, 0.0) / totals[context] + share * lower
        here: dict[Gram, float] = defaultdict(float)
        below: dict[Gram, float] = defaultdict(float)
        for gram in kept[n]:
            if gram[-1] != 0:
                here[gram[:-1]] += probability[gram]
                below[gram[:-1]] += probability[gram[1:]] if n else 0.0
        for context, mass in here.items():
            if context:
                back[context] = max(1.0 - mass, 1e-6) / max(1.0 - below[context], 1e-6)
    probability[(0,)] = 1.0
    return symbols, {g: math.log(p) for g, p in probability.items()}, {g: math.log(b) for g, b in back.items()}


def pack(model: tuple[list[Pair], dict[Gram, float], dict[Gram, float]]) -> dict[str, np.ndarray]:
    """The n-grams as a trie in breadth-first order: see `Model`."""
    symbols, probability, back = model
    grams = sorted(probability, key=lambda gram: (len(gram), gram))
    number = {(): 0, **{gram: index for index, gram in enumerate(grams, 1)}}
    children = np.zeros(len(grams) + 1, np.uint16)
    for gram in grams:
        children[number[gram[:-1]]] += 1
    return {
        "letters": np.array([letter for letter, _ in symbols]),
        "phones": np.array([phones for _, phones in symbols]),
        "children": children,
        "symbol": np.array([gram[-1] for gram in grams], np.uint16),
        "log_probability": np.array([min(round(-16 * probability[g]), 255) for g in grams], np.uint8),
        "log_back_off": np.array([min(max(round(-16 * back.get(g, 0.0)), 0), 255) for g in grams], np.uint8),
    }


def measure() -> str:
    """The shipped model's error on the held-out words, against the nearest of their pronunciations, and its speed."""
    with np.load(MODEL) as arrays:
        model = Model(dict(arrays))
    words = [word for word in dictionary() if word.isascii() and word.isalpha() and len(word) > 1 and held_out(word)]
    start = time.process_time()
    guesses = [model.guess(word) for word in words]
    seconds = time.process_time() - start
    wrong = phones = misses = 0
    for word, guess in zip(words, guesses, strict=True):
        truths = [variant.split() for variant in dictionary()[word]]
        errors, length = min((distance(guess, truth), len(truth)) for truth in truths)
        wrong, phones, misses = wrong + errors, phones + length, misses + (errors > 0)
    return (
        f"{len(words)} held-out words: phone error {wrong / phones:.1%}, words with an error {misses / len(words):.1%},"
        f" {len(words) / seconds:.0f} words per second"
    )


def distance(a: Sequence[str], b: Sequence[str]) -> int:
    """Levenshtein's."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        previous, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (x != y))
    return row[-1]


if __name__ == "__main__":
    main(sys.argv[1:])
