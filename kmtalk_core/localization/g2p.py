"""Words to phones: the CMU pronouncing dictionary first, then a small network for the words that it lacks."""

from __future__ import annotations

import functools
import importlib.util
import re
from pathlib import Path

import numpy as np

from ..phones import PHONES

DICTIONARY = "model/en-us/cmudict-en-us.dict"
NETWORK = Path(__file__).parent.parent / "assets" / "g2p.npz"
LONGEST_WORD = 40  # letters; what is longer is no word


def pocketsphinx_folder() -> Path | None:
    """Where the pocketsphinx wheel is installed, found without importing it; None where it is not."""
    spec = importlib.util.find_spec("pocketsphinx")
    return Path(spec.origin).parent if spec is not None and spec.origin else None


@functools.cache
def dictionary() -> dict[str, tuple[str, ...]]:
    """Word in lower case → its pronunciations, each as phones with blanks between ("DH AH").

    The CMU pronouncing dictionary inside the pocketsphinx wheel; empty where that is not installed.
    """
    folder = pocketsphinx_folder()
    if folder is None or not (folder / DICTIONARY).is_file():
        return {}
    entries: dict[str, tuple[str, ...]] = {}
    for line in (folder / DICTIONARY).read_text(encoding="utf-8").splitlines():
        name, _, phones = line.partition(" ")
        word = name.partition("(")[0] or name
        entries[word] = (*entries.get(word, ()), phones)
    return entries


def pronunciations(word: str) -> tuple[str, ...]:
    """How a spoken word of `text.spoken_words` may be pronounced, likeliest first; always at least one way.

    A word that the dictionary lacks is looked up without its ending or quotes, then guessed by the network. Capitals
    are also spelled.
    """
    if word != word.lower():
        letters, ending = re.fullmatch(r"([A-Z]+)('?s?)", word).groups()  # type: ignore[union-attr]
        spelled = " ".join(_known(f"{c.lower()}.")[0] for c in letters)
        spelled += " Z" if ending else ""
        return tuple(dict.fromkeys((*_known(word.lower()), spelled)))
    return _known(word) or (_guess(word),)


def _known(word: str) -> tuple[str, ...]:
    entries = dictionary()
    if found := entries.get(word):
        return found
    if word.endswith("in'") and (full := entries.get(f"{word[:-1]}g")):  # goin'
        return tuple(variant.removesuffix("NG") + "N" for variant in full)
    for ending, phones in (("'s", " Z"), ("s'", " Z"), ("'", "")):
        if word.endswith(ending) and (stem := entries.get(word.removesuffix(ending))):
            return tuple(variant + phones for variant in stem)
    bare = word.strip("'")
    return _known(bare) if bare != word else ()


def _guess(word: str) -> str:
    return " ".join(_network().guess(word.replace("'", "")[:LONGEST_WORD]))


@functools.cache
def _network() -> Network:
    with np.load(NETWORK) as weights:
        return Network({k: v if v.dtype.kind == "U" else v.astype(np.float32) for k, v in weights.items()})


class Network:
    """The grapheme-to-phoneme network of g2p-en (Park and Kim 2019): a GRU encoder and a GRU decoder.

    `weights`: `letters` and `phones` name the symbols; the matrices are as tools/make_g2p.py writes them, in the layout
    of torch's GRU (reset, update, new).
    """

    def __init__(self, weights: dict[str, np.ndarray]) -> None:
        self._w = weights
        self._letters = {str(letter): i for i, letter in enumerate(weights["letters"])}
        self._phones = [str(phone) for phone in weights["phones"]]

    def guess(self, word: str) -> list[str]:
        """The likeliest phones (ARPABET without stress) of a word in lower case."""
        w = self._w
        hidden = np.zeros(w["enc_w_hh"].shape[1], dtype=np.float32)
        for letter in (*word, "</s>"):
            hidden = self._step("enc", self._letters.get(letter, self._letters["<unk>"]), hidden)
        phones: list[str] = []
        last = self._phones.index("<s>")
        for _ in range(2 * len(word) + 4):
            hidden = self._step("dec", last, hidden)
            last = int(np.argmax(w["fc_w"] @ hidden + w["fc_b"]))
            if self._phones[last] == "</s>":
                break
            phones.append(self._phones[last].rstrip("012"))
        return [phone for phone in phones if phone in PHONES] or ["AH"]

    def _step(self, part: str, symbol: int, hidden: np.ndarray) -> np.ndarray:
        w = self._w
        into = w[f"{part}_w_ih"] @ w[f"{part}_emb"][symbol] + w[f"{part}_b_ih"]
        onto = w[f"{part}_w_hh"] @ hidden + w[f"{part}_b_hh"]
        (reset_in, update_in, new_in), (reset, update, new) = np.split(into, 3), np.split(onto, 3)
        gate = 1.0 / (1.0 + np.exp(-(update_in + update)))
        proposal = np.tanh(new_in + new / (1.0 + np.exp(-(reset_in + reset))))
        return (1.0 - gate) * proposal + gate * hidden
