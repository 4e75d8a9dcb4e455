"""Localization on the sample speech: transcripts, free recognition, misfits, cancelling, children that die."""

import difflib
import itertools
import os
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from kmtalk_core.assets import ASSETS
from kmtalk_core.audio import SAMPLE_RATE, Sound, load_sound
from kmtalk_core.errors import Cancelled, InputError, KMTalkError
from kmtalk_core.localization import LOCALIZERS, localize, sphinx
from kmtalk_core.localization.child import Children
from kmtalk_core.localization.g2p import pronunciations
from kmtalk_core.localization.mfa import Utterance, _Run
from kmtalk_core.localization.posterior import english_script
from kmtalk_core.localization.text import spoken_words
from kmtalk_core.localization.textgrid import load_alignment
from kmtalk_core.phones import PHONE_INDEX, PHONES, SILENCE

pytestmark = pytest.mark.skipif(not sphinx.available(), reason="pocketsphinx is not installed for this Python")

TEXT = (ASSETS / "sample_speech.txt").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def sound():
    return load_sound(ASSETS / "sample_speech.flac")


@pytest.fixture(scope="module")
def aligned(sound):
    return localize(sound, TEXT)


def cut(sound: Sound, start: float, end: float) -> Sound:
    return replace(sound, stored=sound.samples[round(start * SAMPLE_RATE) : round(end * SAMPLE_RATE)])


def span(alignment, word):
    return next((w.start, w.end) for w in alignment.words if w.label == word)


def assert_covers(alignment):
    phones = alignment.phones
    assert phones[0].start == 0.0 and phones[-1].end == pytest.approx(alignment.duration)
    assert all(a.end == b.start for a, b in itertools.pairwise(phones))
    assert all(p.label in PHONE_INDEX for p in phones)


def test_the_sample_speech_aligns_word_for_word(sound, aligned):
    assert aligned.source == "pocketsphinx" and aligned.warnings == ()
    assert_covers(aligned)
    assert [w.label for w in aligned.words] == [w.strip(".,!:") for w in TEXT.split()]
    # The voice is silent for 0.3 s at both ends and 0.7 s between the two sentences.
    assert aligned.phones[0].label == aligned.phones[-1].label == SILENCE
    assert aligned.words[0].start == pytest.approx(0.3, abs=0.03)
    assert aligned.words[-1].end == pytest.approx(sound.duration - 0.3, abs=0.08)
    pause = next(p for p in aligned.phones if p.label == SILENCE and p.start < span(aligned, "You")[0] <= p.end)
    assert pause.end - pause.start == pytest.approx(0.7, abs=0.08)


def test_phones_lie_where_the_sound_is(sound, aligned):
    loudness = {
        label: np.mean(
            [
                np.sqrt(np.mean(cut(sound, p.start, p.end).samples ** 2))
                for p in aligned.phones
                if p.label in kinds and p.end - p.start > 0.04
            ]
        )
        for label, kinds in {"vowels": {"AY", "AW", "OW", "UW"}, "stops": {"P", "B", "T"}, "silence": {SILENCE}}.items()
    }
    assert loudness["silence"] < 0.02 < 2 * loudness["stops"] < loudness["vowels"]


def test_long_sound_is_aligned_in_pieces(sound, aligned):
    times = 4  # 46 s: two windows, several pieces
    long = replace(sound, stored=np.tile(sound.samples, times))
    alignment = localize(long, "\n".join([TEXT] * times))
    assert_covers(alignment)
    assert [w.label for w in alignment.words] == [w.label for w in aligned.words] * times
    starts = (
        np.array([w.start for w in alignment.words]).reshape(times, -1) - sound.duration * np.arange(times)[:, None]
    )
    assert np.abs(starts - [w.start for w in aligned.words]).max() < 0.06
    assert alignment.warnings == ()


def test_a_wrong_transcript_is_noticed(sound):
    wrong = "The committee will publish its quarterly report on agricultural subsidies in the eastern provinces"
    alignment = localize(sound, wrong)
    assert_covers(alignment)
    assert len(alignment.warnings) == 1
    assert "transcript" in alignment.warnings[0] and (
        "correct it" in alignment.warnings[0] or "check" in alignment.warnings[0]
    )


def test_a_passage_that_is_not_said_is_named(sound, aligned):
    spoiled = TEXT.replace("five foxes", "seventeen elephants, five foxes")
    alignment = localize(sound, spoiled)
    assert "seventeen elephants" in alignment.warnings[0]
    assert span(alignment, "foxes") == pytest.approx(span(aligned, "foxes"), abs=0.05)


def test_a_transcript_that_goes_on_after_the_sound_still_finds_its_place(sound, aligned):
    alignment = localize(cut(sound, 0.0, 3.0), TEXT)
    said = [w for w in aligned.words if w.end < 2.9]
    assert len(said) > 4
    for expected, word in zip(said, alignment.words, strict=False):
        assert (word.label, word.start) == (expected.label, pytest.approx(expected.start, abs=0.1))
    assert len(alignment.words) >= len(said) - 1 and alignment.warnings


def test_a_single_word(sound, aligned):
    first = cut(sound, 0.0, span(aligned, "My")[0] - 0.02)
    alignment = localize(first, "Hello")
    assert alignment.warnings == ()
    assert span(alignment, "Hello") == pytest.approx(span(aligned, "Hello"), abs=0.05)


def test_unknown_words_and_numbers_are_pronounced(sound, aligned):
    # The same sounds, written so that neither word is in the dictionary and the number is a figure.
    alignment = localize(sound, TEXT.replace("five foxes", "5 phauxes"))
    assert alignment.warnings == ()
    assert span(alignment, "5") == pytest.approx(span(aligned, "five"), abs=0.05)
    assert span(alignment, "phauxes") == pytest.approx(span(aligned, "foxes"), abs=0.05)


def test_digital_silence_inside_and_around_is_silence(sound, aligned):
    first = cut(sound, 0.0, span(aligned, "You")[0] - 0.3)
    quiet = np.zeros(2 * SAMPLE_RATE, np.float32)
    spoken = replace(first, stored=np.concatenate([quiet, first.samples, quiet]))
    alignment = localize(spoken, TEXT.partition("You")[0])
    assert alignment.words[0].start == pytest.approx(2.0 + aligned.words[0].start, abs=0.05)
    assert alignment.phones[-1].label == SILENCE and alignment.phones[-1].end - alignment.phones[-1].start > 1.8


def test_level_does_not_matter(sound, aligned):
    quiet = localize(replace(sound, stored=sound.samples * 0.01), TEXT)
    assert [w.start for w in quiet.words] == pytest.approx([w.start for w in aligned.words], abs=0.05)


def test_the_same_input_gives_the_same_alignment(sound, aligned):
    assert localize(sound, TEXT) == aligned


def test_silent_sound_is_one_silence():
    silent = Sound(np.zeros(SAMPLE_RATE, np.float32), "", "")
    for localizer in LOCALIZERS:
        alignment = localize(silent, "Hello there", localizer)
        assert [(p.label, p.start, p.end) for p in alignment.phones] == [(SILENCE, 0.0, 1.0)]
        assert alignment.words == ()
        assert "nothing to hear" in alignment.warnings[0]


def test_without_a_transcript_pocketsphinx_recognises(sound, aligned):
    alignment = localize(sound)
    assert_covers(alignment)
    assert len(alignment.words) > 10
    at = np.arange(0.005, sound.duration, 0.01)

    def labels(a):
        return np.array([PHONE_INDEX[p.label] for p in a.phones])[
            np.searchsorted([p.start for p in a.phones], at, "right") - 1
        ]

    assert np.mean(labels(alignment) == labels(aligned)) > 0.5
    silent, should = labels(alignment) == 0, labels(aligned) == 0
    assert np.mean(silent == should) > 0.9


def test_noise_is_no_reason_to_fail():
    noise = np.random.default_rng(0).normal(0, 0.1, 2 * SAMPLE_RATE).astype(np.float32)
    for transcript in (None, "Hello there"):
        assert_covers(localize(Sound(noise, "", ""), transcript))


def test_very_short_sound(sound):
    for samples in (1, 1600):
        assert_covers(localize(replace(sound, stored=sound.samples[8000 : 8000 + samples] + 0.1), "Hello my"))


def fake_posteriors(sound):
    rate = 50.0
    log = np.full((round(sound.duration * rate), len(PHONES)), -9.0, np.float32)
    log[:, PHONE_INDEX["AA"]] = 0.0
    return log, rate


def test_auto_prefers_posteriors(sound):
    assert localize(sound, posteriors=fake_posteriors).source == "posterior"
    assert localize(sound, TEXT).source == "pocketsphinx"
    assert localize(sound, TEXT, "pocketsphinx", posteriors=fake_posteriors).source == "pocketsphinx"


def test_a_transcript_of_which_nothing_is_heard_falls_back_with_a_warning(sound):
    click = replace(sound, stored=np.full(3000, 0.1, np.float32))
    for localizer, given in (("auto", sound), ("pocketsphinx", click)):
        alignment = localize(given, "fifteen pieces", localizer, posteriors=fake_posteriors)
        assert alignment.source == "posterior"
        assert "Nothing of the transcript was heard" in alignment.warnings[0]


@pytest.mark.parametrize(
    ("text", "language", "told"),
    [
        ("Привет 你好", "en", "“Привет”, “你好” cannot be read out in English and were left out"),
        ("[applause] (beat) …", "en", "no words that are said"),
        ("… ?!", "de", "no words that are said"),
    ],
)
def test_a_transcript_without_words_to_say_is_told(sound, text, language, told):
    alignment = localize(sound, text, posteriors=fake_posteriors, language=language)
    assert alignment.source == "posterior" and not alignment.words
    assert len(alignment.warnings) == 1 and told in alignment.warnings[0]


def test_words_that_cannot_be_read_are_told_beside_the_others(sound):
    alignment = localize(sound, f"{TEXT} привет", "pocketsphinx")
    assert "“привет” cannot be read out in English and was left out" in alignment.warnings[0]
    assert len(alignment.words) == len(TEXT.split())


def test_a_missing_wheel_is_told(sound, monkeypatch):
    monkeypatch.setattr(sphinx, "available", lambda: False)
    assert localize(sound, TEXT, posteriors=fake_posteriors).source == "posterior-forced"
    for localizer in ("auto", "pocketsphinx"):
        with pytest.raises(KMTalkError, match="install the pocketsphinx package"):
            localize(sound, TEXT, localizer)


def test_wrong_requests(sound):
    with pytest.raises(InputError, match="no localizer psychic; choose one of"):
        localize(sound, localizer="psychic")
    with pytest.raises(KMTalkError, match="choose the localizer pocketsphinx"):
        localize(sound, localizer="posterior")
    with pytest.raises(InputError, match="no language tlh; choose one of en"):
        localize(sound, language="tlh")
    with pytest.raises(KMTalkError, match="PocketSphinx knows English only"):
        localize(sound, "Guten Tag", "pocketsphinx", language="de")


def test_progress_rises_and_cancel_ends_the_children(sound):
    shares = []

    def progress(share, doing):
        shares.append(share)
        if len(shares) == 4:
            raise Cancelled("Cancelled.")

    children = []
    original = Children._child

    def watched(self):
        child = original(self)
        children.append(child)
        return child

    long = replace(sound, stored=np.tile(sound.samples, 5))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Children, "_child", watched)
        began = time.monotonic()
        with pytest.raises(Cancelled):
            localize(long, TEXT * 5, progress=progress)
    assert time.monotonic() - began < 5.0
    assert shares == sorted(shares) and 0.0 <= shares[0] <= shares[-1] <= 1.0
    assert children and all(child.poll() is not None for child in children)


def test_a_killed_child_is_one_sentence(sound):
    original = Children._child

    def doomed(self):
        child = original(self)
        child.kill()
        return child

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Children, "_child", doomed)
        with pytest.raises(KMTalkError, match=r"ended unexpectedly .*run it again") as caught:
            localize(sound, TEXT)
    assert "\n" not in str(caught.value)


def test_children_go_with_their_parent(tmp_path):
    """The parent is killed without a chance to clean up."""
    script = textwrap.dedent(
        """
        import os, signal, sys
        from kmtalk_core.localization.sphinx import _children
        children = _children()
        print(children.submit("anchor", lambda: bytes(32000), words=[["AH"]], open_end=True).result(), flush=True)
        print(children._all[0].pid, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ASSETS.parent.parent)},
    )
    assert done.returncode == -signal.SIGKILL
    pid = int(done.stdout.split()[-1])
    for _ in range(100):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    pytest.fail("the child outlived its parent")


def test_it_works_from_any_folder_in_isolated_mode(tmp_path):
    """As in Blender's Python: -I, a foreign working directory, packages found through sys.path alone."""
    code = (
        f"import sys; sys.path[:0] = {[p for p in sys.path if p]!r} + [{str(ASSETS.parent.parent)!r}];"
        "from kmtalk_core.audio import load_sound; from kmtalk_core.localization import localize;"
        f"print(len(localize(load_sound({str(ASSETS / 'sample_speech.flac')!r}), 'Hello').words))"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.strip() == "1", done.stderr


def test_words_of_real_fast_speech_lie_where_a_person_marked_them():
    clips = ASSETS.parent.parent.parent / "shared" / "data" / "speech" / "clips"
    if not clips.is_dir():
        pytest.skip("the reference speech is not here")
    gold = load_alignment(clips / "acoustic_corpus.TextGrid")
    text = (clips / "acoustic_corpus.txt").read_text(encoding="utf-8")
    found = localize(load_sound(clips / "acoustic_corpus.wav"), text)
    labels = [[w.label.lower() for w in a.words] for a in (found, gold)]
    blocks = difflib.SequenceMatcher(None, *labels, autojunk=False).get_matching_blocks()
    pairs = [(found.words[i + o], gold.words[j + o]) for i, j, n in blocks for o in range(n)]
    errors = np.abs([(a.start - b.start, a.end - b.end) for a, b in pairs])
    assert len(pairs) > 0.9 * len(gold.words)
    assert np.median(errors) < 0.015 and np.mean(errors < 0.05) > 0.88


TYPED = "[00:01] Speaker 1: Mr.Smith paid $1,234.56 for 5G, ~~not~~ NASA!"


def test_the_localizers_read_a_text_alike(sound, monkeypatch):
    said = [word for item in spoken_words(TYPED) for word in item.spoken]
    wanted = [pronunciations(word) for word in said]
    script = english_script(TYPED)
    assert [tuple(" ".join(PHONES[c] for c in way) for way in ways) for _, ways in script.spoken] == wanted
    asked = []
    monkeypatch.setattr(sphinx, "_pieces", lambda duration, stretch, variants, *_: asked.extend(variants) or iter(()))
    sphinx.align_transcript(sound, TYPED)
    assert asked == wanted
    run = SimpleNamespace(_english=True)
    tokens = _Run._tokens(run, Utterance(TYPED, 0.0, 1.0))
    assert [token.spelling for token in tokens] == [word.rstrip(".") if word.islower() else word for word in said]


def test_pocketsphinx_without_its_language_model_says_what_to_do(monkeypatch):
    """As in the extension, whose own recogniser hears the words."""
    from kmtalk_core.errors import KMTalkError
    from kmtalk_core.localization import sphinx

    monkeypatch.setattr(sphinx, "knows_words", lambda: False)
    with pytest.raises(KMTalkError, match="choose the localizer auto"):
        sphinx.recognise(Sound(np.full(16000, 0.1, np.float32), "", ""))
