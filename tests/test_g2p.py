"""Pronunciations from the dictionary, from endings, and from the network."""

import numpy as np
import pytest

from kmtalk_core.localization import g2p
from kmtalk_core.phones import PHONES

needs_dictionary = pytest.mark.skipif(not g2p.dictionary(), reason="the pocketsphinx wheel is not installed")


@pytest.fixture(scope="module")
def network():
    with np.load(g2p.NETWORK) as weights:
        return g2p.Network({k: v if v.dtype.kind == "U" else v.astype(np.float32) for k, v in weights.items()})


@needs_dictionary
@pytest.mark.parametrize(
    ("word", "pronunciation"),
    [
        ("the", ("DH AH", "DH IY")),
        ("'hello'", ("HH AH L OW", "HH EH L OW")),
        ("blender's", ("B L EH N D ER Z",)),
        ("muttering", ("M AH T ER IH NG",)),
        ("mutterin'", ("M AH T ER IH N",)),
        ("NASA", ("N AE S AH", "EH N EY EH S EY")),
        ("DVDs", ("D IY V IY D IY Z",)),
        ("XQZ", ("EH K S K Y UW Z IY",)),
        ("a.", ("EY",)),
    ],
)
def test_pronunciations(word, pronunciation):
    assert g2p.pronunciations(word) == pronunciation


@pytest.mark.parametrize(
    ("word", "phones"),
    [
        ("blendering", "B L EH N D ER IH NG"),
        ("phauxes", "F AO K S IH Z"),
        ("woodcutters", "W UH D K AH T ER Z"),
        ("zorgon", "Z AO R G AH N"),
    ],
)
def test_the_network_reads_words_that_nobody_wrote_down(network, word, phones):
    assert " ".join(network.guess(word)) == phones


def test_the_network_never_fails(network):
    for word in ("", "x", "zzzzzzzzzzzz", "a" * 40, "日本", "q'q"):
        phones = network.guess(word)
        assert phones and set(phones) <= set(PHONES)


@needs_dictionary
def test_the_network_agrees_with_the_dictionary(network):
    words = [w for w in g2p.dictionary() if w.isalpha() and 4 <= len(w) <= 10]
    sample = np.random.default_rng(0).choice(words, 150, replace=False)
    wrong = total = 0
    for word in sample:
        guess = network.guess(str(word))
        truths = [p.split() for p in g2p.dictionary()[str(word)]]
        wrong += min(distance(guess, truth) for truth in truths)
        total += len(truths[0])
    assert wrong / total < 0.12


def distance(a: list[str], b: list[str]) -> int:
    """Levenshtein's."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        previous, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (x != y))
    return row[-1]
