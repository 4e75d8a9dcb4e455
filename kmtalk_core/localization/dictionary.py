"""The CMU pronouncing dictionary, packed into one small file of which a look-up unpacks some words only.

`tools/make_dictionary.py` makes that file and describes it.
"""

from __future__ import annotations

import functools
import zlib
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path

import numpy as np

from ..files import load_npz

PACKED = Path(__file__).parent.parent / "assets" / "dictionary.npz"
FIRST_SIGN = "0"  # stands for the first of the file's phones, the next sign for the second, and so on


class Dictionary(Mapping[str, tuple[str, ...]]):
    """Word in lower case → its pronunciations, likeliest first, each as phones without stress ("DH AH").

    `arrays`: `phones` (P,) labels; `first` (B,) the first word of each block; `starts` (B + 1,) int, where in
    `blocks` (bytes,) uint8 each block begins. A block is deflated text: lines of a word and its pronunciations with
    tabs between, in which a sign stands for a phone.
    """

    def __init__(self, arrays: Mapping[str, np.ndarray]) -> None:
        self._labels = {chr(ord(FIRST_SIGN) + number): str(phone) for number, phone in enumerate(arrays["phones"])}
        self._first: list[str] = arrays["first"].tolist()
        self._starts: list[int] = arrays["starts"].tolist()
        self._blocks = arrays["blocks"].tobytes()
        self._seen: dict[int, dict[str, str]] = {}

    def __getitem__(self, word: str) -> tuple[str, ...]:
        ways = self._block(max(bisect_right(self._first, word) - 1, 0))[word]
        return tuple(" ".join(map(self._labels.__getitem__, way)) for way in ways.split("\t"))

    def __iter__(self) -> Iterator[str]:
        return (word for number in range(len(self._first)) for word in self._block(number))

    def __len__(self) -> int:
        return sum(len(self._block(number)) for number in range(len(self._first)))

    def _block(self, number: int) -> dict[str, str]:
        if number not in self._seen:
            packed = self._blocks[self._starts[number] : self._starts[number + 1]]
            lines = zlib.decompress(packed).decode("utf-8").split("\n")
            self._seen[number] = {word: ways for word, _, ways in (line.partition("\t") for line in lines)}
        return self._seen[number]


@functools.cache
def dictionary() -> Dictionary:
    """The dictionary that ships."""
    return Dictionary(load_npz(PACKED))


def pack(entries: Mapping[str, tuple[str, ...]], block: int = 128) -> dict[str, np.ndarray]:
    """The arrays of a `Dictionary` with these entries, `block` words in a block."""
    phones = sorted({phone for ways in entries.values() for way in ways for phone in way.split()})
    sign = {phone: chr(ord(FIRST_SIGN) + number) for number, phone in enumerate(phones)}
    words = sorted(entries)
    lines = ["\t".join((word, *("".join(map(sign.__getitem__, w.split())) for w in entries[word]))) for word in words]
    edges = [*range(0, len(lines), block), len(lines)]
    packed = [zlib.compress("\n".join(lines[a:b]).encode("utf-8"), 9) for a, b in pairwise(edges)]
    return {
        "phones": np.array(phones),
        "first": np.array(words[::block]),
        "starts": np.cumsum([0, *map(len, packed)]).astype(np.int32),
        "blocks": np.frombuffer(b"".join(packed), np.uint8),
    }
