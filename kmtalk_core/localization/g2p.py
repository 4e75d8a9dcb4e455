"""Words to phones: the CMU pronouncing dictionary first, then a small model for the words that it lacks."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .dictionary import dictionary

MODEL = Path(__file__).parent.parent / "assets" / "g2p.npz"
LONGEST_WORD = 40  # letters; what is longer is no word
UNSEEN = -16.0  # log-probability of what was never counted

HESITATIONS: dict[str, tuple[str, ...]] = {
    "hmm": ("HH M", "M"), "hm": ("HH M", "M"), "mm": ("M",), "mmm": ("M",), "mhm": ("M HH M",), "um": ("AH M",),
    "umm": ("AH M",), "uhm": ("AH M",), "uh": ("AH",), "erm": ("ER M", "AH M"), "er": ("ER", "AH"), "ehm": ("EH M",),
    "shh": ("SH",), "sh": ("SH",), "psst": ("P S T",), "pst": ("P S T",), "pff": ("P F",), "pfft": ("P F T",),
    "brr": ("B ER",), "grr": ("G ER",), "ugh": ("AH G", "AH"), "eww": ("IY UW",), "ew": ("IY UW",), "aww": ("AO",),
    "ahh": ("AA",), "ooh": ("UW",), "ohh": ("OW",), "tsk": ("T S K",), "zzz": ("Z",), "phew": ("F Y UW",),
    "nuh": ("N AH",), "huh": ("HH AH",), "mwah": ("M W AA",), "'n": ("AH N",),
}  # fmt: skip
CONTRACTIONS: dict[str, tuple[str, ...]] = {
    "n't": (" AH N T", " N T"), "'ll": (" AH L", " L"), "'ve": (" AH V", " V"), "'re": (" ER", " R"),
    "'d": (" D", " AH D"), "'m": (" M",), "'em": (" AH M",), "'s": (" Z", " S"),
}  # fmt: skip

_Node = tuple[dict[int, tuple[float, int]], float]
"""Of each symbol that follows, its log-probability and its node; the log-weight of backing off."""


@functools.lru_cache(maxsize=65536)
def pronunciations(word: str) -> tuple[str, ...]:
    """How a spoken word of `text.spoken_words` may be pronounced, likeliest first; always at least one way.

    A word that the dictionary lacks is looked up without its ending or quotes, then guessed by the model. Capitals
    are also spelled; of an unfinished word ("wor-") only its beginning is said.
    """
    if word.endswith("-"):
        return _unfinished(word[:-1].lower())
    if len(word) > LONGEST_WORD:
        word = word[:LONGEST_WORD]
    if word != word.lower():
        letters, ending = re.fullmatch(r"([A-Z]+)('?s?)", word).groups()  # type: ignore[union-attr]
        spelled = " ".join(_known(f"{c.lower()}.")[0] for c in letters)
        spelled += " Z" if ending else ""
        whole = _known(word.lower()) or tuple(w + _plural(w) if ending else w for w in _known(letters.lower()))
        # What nobody wrote down is spelled, unless it is long and has vowels enough to be read: UNESCO.
        readable = len(letters) >= 5 and re.search("[AEIOUY]", letters) and not re.search("[^AEIOUY]{3}", letters)
        return tuple(dict.fromkeys((*whole, spelled, *([_guess(word.lower())] if readable and not whole else []))))
    return _known(word) or (_guess(word),)


def _known(word: str) -> tuple[str, ...]:
    if found := HESITATIONS.get(word) or dictionary().get(word):
        return found
    if word.endswith("in'") and (full := dictionary().get(f"{word[:-1]}g")):  # goin'
        return tuple(variant.removesuffix("NG") + "N" for variant in full)
    if word.endswith(("'s", "s'", "'")) and (stem := dictionary().get(re.sub(r"('s|')$", "", word))):
        return tuple(variant if word.endswith("s'") else variant + _plural(variant) for variant in stem)
    for ending, ways in CONTRACTIONS.items():
        if word.endswith(ending) and (stem := _known(word.removesuffix(ending))):
            return tuple(variant + way for variant in stem for way in ways)
    bare = word.strip("'")
    if bare != word and (found := _known(bare)):
        return found
    if re.search(r"(.)\1\1", word):  # drawn out: soooo, goood, hmmmm
        shorter = [re.sub(r"(.)\1{2,}", letters, word) for letters in (r"\1\1", r"\1")]
        return tuple(dict.fromkeys(way for stem in shorter for way in _known(stem)))
    return ()


def _plural(phones: str) -> str:
    last = phones.rpartition(" ")[2]
    return (
        " IH Z" if last in ("S", "Z", "SH", "ZH", "CH", "JH") else " S" if last in ("P", "T", "K", "F", "TH") else " Z"
    )


def _unfinished(start: str) -> tuple[str, ...]:
    """What is heard of a word that breaks off after the letters `start`."""
    if not re.search("[aeiouy]", start):  # only consonants: they are not spelled
        return (" ".join(phone for phone in _guess(f"{start}a").split()[:-1]) or _guess(start),)
    if start in ("a", "i", "o") or len(start) > 2:
        return _known(start) or (_guess(start),)
    return (_guess(start),)


@functools.lru_cache(maxsize=65536)
def _guess(word: str) -> str:
    return " ".join(_model().guess(word.replace("'", "")[:LONGEST_WORD]))


@functools.cache
def _model() -> Model:
    with np.load(MODEL) as arrays:
        return Model(dict(arrays))


class Model:
    """A joint-sequence n-gram model of letters and their phones (Bisani and Ney 2008), as tools/make_g2p.py makes it.

    `arrays`: `letters`, `phones` (S,): the symbols, each a letter with its phones; the first two mark a word's start
    and end. The n-grams are nodes of a trie in breadth-first order, the root first, which has no symbol: `children`
    (N + 1,) says how many each node has; `symbol` (N,), `log_probability` and `log_back_off` (N,) uint8 are in steps
    of -1/16.
    """

    BEAM = 12  # hypotheses that are followed at once
    MARGIN = 8.0  # natural logarithms that a hypothesis may be behind the best

    def __init__(self, arrays: Mapping[str, np.ndarray]) -> None:
        self._phones = [tuple(str(phones).split()) for phones in arrays["phones"]]
        self._of_letter: dict[str, list[int]] = {}
        for index, letter in enumerate(arrays["letters"][2:], 2):
            self._of_letter.setdefault(str(letter), []).append(index)
        self._children = arrays["children"]
        self._first = np.cumsum(np.append(0, self._children)) + 1  # number of each node's first child
        self._symbol = np.append(np.uint16(0), arrays["symbol"])
        self._probability = np.append(np.uint8(0), arrays["log_probability"])
        self._back_off = np.append(np.uint8(0), arrays["log_back_off"])
        # What was asked for once: most nodes never are, so nothing is worked out before.
        self._known: dict[int, _Node] = {}
        self._without_first: dict[int, int] = {0: 0}
        self._contexts: dict[int, int] = {}

    def guess(self, word: str) -> list[str]:
        """The likeliest phones (ARPABET without stress) of a word in lower case; letters that it does not know are
        left out."""
        paths: dict[int, tuple[float, tuple[Any, ...]]] = {self._step(0, 0)[1]: (0.0, ())}
        for letter in word:
            symbols = self._of_letter.get(letter)
            if symbols:
                paths = self._extended(paths, symbols)
        _, path = max((score + self._step(node, 1)[0], path) for node, (score, path) in paths.items())
        phones: list[str] = []
        while path:
            path, symbol = path
            phones[:0] = self._phones[symbol]
        return phones or ["AH"]

    def _extended(self, paths: Mapping[int, tuple[float, Any]], symbols: Sequence[int]) -> dict[int, tuple[float, Any]]:
        longer: dict[int, tuple[float, Any]] = {}
        for node, (score, path) in paths.items():
            for symbol in symbols:
                more, at = self._step(node, symbol)
                if at not in longer or score + more > longer[at][0]:
                    longer[at] = (score + more, (path, symbol))
        ranked = sorted(longer.items(), key=lambda item: item[1][0], reverse=True)[: self.BEAM]
        least = ranked[0][1][0] - self.MARGIN
        return {node: entry for node, entry in ranked if entry[0] >= least}

    def _step(self, node: int, symbol: int) -> tuple[float, int]:
        """The log-probability of `symbol` after the context `node`, and the context that they make together."""
        cost = 0.0
        while True:
            children, back_off = self._known.get(node) or self._node(node)
            if found := children.get(symbol):
                return cost + found[0], self._context(found[1])
            if node == 0:
                return cost + UNSEEN, 0
            cost, node = cost + back_off, self._shorter(node)

    def _node(self, node: int) -> _Node:
        first, last = int(self._first[node]), int(self._first[node + 1])
        probabilities = (self._probability[first:last] / -16.0).tolist()
        children = zip(
            self._symbol[first:last].tolist(), zip(probabilities, range(first, last), strict=True), strict=True
        )
        return self._known.setdefault(node, (dict(children), float(self._back_off[node]) / -16.0))

    def _context(self, node: int) -> int:
        """A context that nothing is known to follow is as good as a shorter one."""
        at = self._contexts.get(node)
        if at is None:
            at = node
            while at and not self._children[at]:
                at = self._shorter(at)
            self._contexts[node] = at
        return at

    def _shorter(self, node: int) -> int:
        """The node of the same n-gram without its first symbol."""
        found = self._without_first.get(node)
        if found is None:
            parent = int(np.searchsorted(self._first, node, "right")) - 1
            found = 0
            if parent:
                children, _ = self._node(self._shorter(parent))
                found = children[int(self._symbol[node])][1]
            self._without_first[node] = found
        return found
