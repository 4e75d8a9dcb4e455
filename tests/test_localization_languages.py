"""Other languages: sounds by their articulation, words by espeak-ng, alignment without a model of the language."""

import shutil

import numpy as np
import pytest

from kmtalk_core.audio import Sound
from kmtalk_core.errors import InputError, KMTalkError
from kmtalk_core.localization import languages, localize
from kmtalk_core.localization.ipa import likeness, nearest, segments
from kmtalk_core.phones import PHONE_INDEX, PHONES, SILENCE

needs_espeak = pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")

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
    ("symbol", "phone"), [("p", "P"), ("ʧ", "CH"), ("y", "UW"), ("ɲ", "N"), ("aɪ", "AY"), ("ʁ", "R")]
)
def test_foreign_sounds_get_the_lips_of_an_english_phone(symbol, phone):
    assert nearest(symbol) == phone


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
    with pytest.raises(InputError, match="write Mandarin in pinyin"):
        languages.foreign_script("你好", "cmn")


def test_without_espeak_it_says_what_is_needed(monkeypatch):
    monkeypatch.setattr(languages, "_program", lambda: None)
    with pytest.raises(KMTalkError, match="need espeak-ng; install it"):
        languages.foreign_script("Guten Tag", "de")


def test_any_language_uses_the_sound_alone():
    log = np.full((50, len(PHONES)), -8.0, np.float32)
    log[:, PHONE_INDEX["AA"]] = -0.01
    sound = Sound(np.full(16000, 0.1, np.float32), "", "")
    alignment = localize(sound, "whatever", posteriors=lambda _: (log, 50.0), language="any")
    assert alignment.source == "posterior" and alignment.words == ()
