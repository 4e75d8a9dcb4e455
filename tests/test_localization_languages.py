"""Other languages: sounds by their articulation, words by espeak-ng, alignment without a model of the language."""

import numpy as np
import pytest

from kmtalk_core.audio import Sound
from kmtalk_core.errors import InputError, KMTalkError
from kmtalk_core.localization import espeak, languages, localize
from kmtalk_core.localization.ipa import likeness, lips_of, nearest, segments
from kmtalk_core.phones import PHONE_INDEX, PHONES, SILENCE

EITHER = [espeak._bundled(), espeak._program()]  # the package's library, and the program
needs_espeak = pytest.mark.skipif(not any(EITHER), reason="espeak-ng is not installed")

WORDS = {
    "es": ("niño bebe", "N B"), "fr": ("pomme chat", "P SH"), "de": ("Mutter schön", "M SH"), "it": ("bambino", "B"),
    "pt": ("menino vermelha", "M V"), "cs": ("malý bílý", "M B"), "pl": ("mały przyjaciel", "M P"), "ja": ("みず", "M"),
    "cmn": ("mā píng", "M P"), "hi": ("माँ पानी", "M P"), "ar": ("مرحبا", "M"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("ipa", "expected"),
    [
        ("bˈɔ̃", ["b", "ɔ"]),
        ("tʃˈaʊ", ["ʧ", "aʊ"]),
        ("kʰɑː5", ["k", "ɑ"]),
        ("ç", ["ç"]),
        ("d͡ʑɛɲ", ["ʥ", "ɛ", "ɲ"]),
        ("|", []),
    ],
)
def test_ipa_is_taken_apart(ipa, expected):
    assert segments(ipa) == expected


@pytest.mark.parametrize(
    ("symbol", "phone"),
    [
        *[("p", "P"), ("ʧ", "CH"), ("ɲ", "N"), ("aɪ", "AY")],
        *[("y", "UW"), ("ʏ", "UW"), ("ø", "UH"), ("ɥ", "W"), ("ɯ", "IH")],  # lips of their own beside: `lips_of`
        *[("ʁ", "G"), ("r", "D"), ("ɾ", "D"), ("ɹ", "R")],  # only the English r rounds the lips
        *[("β", "B"), ("ɸ", "W"), ("ɕ", "S"), ("ʃ", "SH")],  # no lip is at the teeth, or pursed
    ],
)
def test_foreign_sounds_get_the_lips_of_an_english_phone(symbol, phone):
    assert nearest(symbol) == phone


def test_lips_that_english_lacks_are_known():
    purses = {symbol: lips_of(symbol) for symbol in ("y", "ʏ", "ø", "œ", "u", "o", "ɥ")}
    assert all(value is not None and value > 0.4 for value in purses.values())
    assert purses["y"] > purses["ø"] > purses["œ"]
    assert [lips_of(symbol) for symbol in ("ɯ", "ʁ", "r", "ɕ")] == [0.0] * 4
    assert [lips_of(symbol) for symbol in ("a", "i", "m", "ɹ", "ɔ", "aɪ")] == [None] * 6
    assert segments("pfeːɐ") == ["p", "f", "e", "ɐ"]  # the lips close before they are at the teeth


def test_likeness_is_articulatory():
    for symbol, like, unlike in (("ɸ", "F", "K"), ("r", "R", "M"), ("ø", "UH", "AA"), ("ɡ", "G", "B"), ("ɓ", "B", "S")):
        (symbol,) = segments(symbol)
        weights = dict(zip(PHONES, likeness(symbol), strict=True))
        assert weights[like] > 0.3 > weights[unlike] >= 0.0
        assert weights[SILENCE] == 0.0 and max(weights.values()) == 1.0


@needs_espeak
@pytest.mark.parametrize("language", WORDS)
def test_words_of_many_languages_are_pronounced(language):
    text, firsts = WORDS[language]
    script = languages.foreign_script(text, language)
    assert [script.phones[ways[0][0]] for _, ways in script.spoken] == firsts.split()
    assert script.labels == tuple(text.split())
    assert script.mixture.shape == (len(PHONES), len(script.phones))


def posteriors_of(script, frames=6):
    """Log-posteriors of the script said slowly: each sound as the English phone that is most like it."""
    columns = [0] * 15 + [c for _, ways in script.spoken for c in ways[0] for _ in range(frames)] + [0] * 15
    log = np.full((len(columns), len(PHONES)), -8.0, np.float32)
    log[np.arange(len(columns)), script.mixture.argmax(0)[columns]] = -0.01
    return log


@needs_espeak
def test_a_german_sentence_aligns():
    text = "Der kleine Junge isst (lachend) 3 rote Äpfel!"
    script = languages.foreign_script(text, "de")
    log = posteriors_of(script)
    sound = Sound(np.full(int(len(log) / 50 * 16000), 0.1, np.float32), "", "")
    alignment = localize(sound, text, posteriors=lambda _: (log, 50.0), language="de")
    assert [w.label for w in alignment.words] == ["Der", "kleine", "Junge", "isst", "3", "rote", "Äpfel"]
    assert alignment.warnings == ()
    at = 0.3
    for word, (_, ways) in zip(alignment.words, script.spoken, strict=True):
        assert word.start == pytest.approx(at - 0.01, abs=0.021)
        at += 6 / 50 * len(ways[0])
    assert all(p.label in PHONE_INDEX for p in alignment.phones)


@needs_espeak
def test_writing_that_cannot_be_read_is_told():
    with pytest.raises(InputError, match="write Mandarin in pinyin, Japanese in kana"):
        languages.foreign_script("漢字", "ja")


def test_without_espeak_it_says_what_is_needed(monkeypatch):
    monkeypatch.setattr(espeak, "_program", lambda: None)
    monkeypatch.setattr(espeak, "_bundled", lambda: None)
    with pytest.raises(KMTalkError, match="install espeak-ng"):
        espeak.where()
    with pytest.raises(KMTalkError, match="need espeak-ng; install it"):
        languages.foreign_script("Guten Tag", "de")


def test_any_language_uses_the_sound_alone():
    log = np.full((50, len(PHONES)), -8.0, np.float32)
    log[:, PHONE_INDEX["AA"]] = -0.01
    sound = Sound(np.full(16000, 0.1, np.float32), "", "")
    alignment = localize(sound, "whatever", posteriors=lambda _: (log, 50.0), language="any")
    assert alignment.source == "posterior" and alignment.words == ()


@pytest.mark.skipif(not all(EITHER), reason="not both of espeak-ng's library and its program are installed")
@pytest.mark.parametrize("language", WORDS)
def test_the_library_says_what_the_program_says(language, monkeypatch):
    words = WORDS[language][0].split()
    first = languages.pronounced(words, language)
    monkeypatch.setattr(espeak, "_bundled", lambda: None)
    assert [len(word) for word in languages.pronounced(words, language)] == [len(word) for word in first]


@needs_espeak
def test_odd_words_are_no_harm():
    words = ["25", "z.B.", "", "a" * 3000, "x'\"<b>", "😀", "\u200f", "1984", "-", "été"]
    found = espeak.words_in_ipa(words, "fr")
    assert len(found) == len(words) and found[0].replace("_", "").startswith("v")


@pytest.mark.skipif(EITHER[0] is None, reason="the package espeakng-loader is not installed")
def test_an_unknown_voice_and_a_dead_child_are_told(monkeypatch, tmp_path):
    with pytest.raises(KMTalkError, match="has no voice qqq; install its complete data"):
        espeak.words_in_ipa(["a"], "qqq")
    (tmp_path / "child.py").write_text("import os\nos.abort()\n")
    monkeypatch.setattr(espeak, "_CHILD", tmp_path / "child.py")
    with pytest.raises(KMTalkError, match=r"espeak-ng ended with status -?[0-9]+; check"):
        espeak.words_in_ipa(["a"], "fr")


@pytest.mark.parametrize(
    ("marked", "numbered"),
    [("mā", "ma1"), ("nǐhǎo", "ni3hao3"), ("píngguǒ", "ping2guo3"), ("nǚrén", "nü3ren2"), ("Běijīng", "Bei3jing1"),
     ("zhōngguó", "zhong1guo2"), ("fāngàn", "fan1gan4"), ("ma1 hao3", "ma1 hao3"), ("hello", "hello")],
)  # fmt: skip
def test_tones_become_numbers(marked, numbered):
    assert languages._with_numbers(marked) == numbered


def test_clauses_without_spaces_between_them_are_apart():
    assert languages._said("小男孩吃红苹果，妈妈做饭。再见！好").split() == [
        "小男孩吃红苹果，",
        "妈妈做饭。",
        "再见！",
        "好",
    ]
