"""Forced alignment by posteriors: made-up ones whose truth is known, the sample speech, and real speech by hand."""

import difflib
import itertools
import re
from dataclasses import replace

import numpy as np
import pytest

from kmtalk_core.animator import Animator, Request
from kmtalk_core.assets import ASSETS
from kmtalk_core.audio import Sound, load_sound
from kmtalk_core.errors import Cancelled
from kmtalk_core.localization import localize
from kmtalk_core.localization.forced import force
from kmtalk_core.localization.posterior import align_posterior, clock, doubtful_passages, english_script
from kmtalk_core.localization.textgrid import load_alignment
from kmtalk_core.phones import DOUBTFUL, PHONE_INDEX, PHONES, SILENCE

TEXT = (ASSETS / "sample_speech.txt").read_text(encoding="utf-8")
RATE = 50.0


def said(segments, noise=0.0, seed=0):
    """(phone, frames) pairs → log-posteriors that are sure of each phone, but for `noise`."""
    labels = [PHONE_INDEX[label] for label, frames in segments for _ in range(frames)]
    logits = np.random.default_rng(seed).normal(0.0, noise, (len(labels), len(PHONES)))
    logits[np.arange(len(labels)), labels] += 6.0
    return (logits - np.log(np.exp(logits).sum(1, keepdims=True))).astype(np.float32)


def columns(*words):
    return [[tuple(PHONE_INDEX[p] for p in way.split()) for way in word.split("|")] for word in words]


def found(log_posteriors, *words):
    return [
        (s.word, PHONES[s.column], int(s.start + 0.5), int(s.end + 0.5))
        for s in force(np.maximum(log_posteriors, -10.0), RATE, columns(*words))
    ]


SEGMENTS = [("SIL", 10), ("K", 4), ("AE", 6), ("T", 3), ("SIL", 5), ("S", 6), ("AE", 5), ("T", 4), ("SIL", 7)]


def test_every_phone_is_where_it_is_said():
    runs = found(said(SEGMENTS), "K AE T", "S AE T")
    edges = np.cumsum([0] + [n for _, n in SEGMENTS])
    assert [(label, a, b) for _, label, a, b in runs] == [
        (label, a, b) for (label, _), a, b in zip(SEGMENTS, edges[:-1], edges[1:], strict=True)
    ]
    assert [word for word, *_ in runs] == [None, 0, 0, 0, None, 1, 1, 1, None]


def test_a_vowel_that_is_said_as_another_takes_its_frames():
    log = said([("SIL", 10), ("B", 4), ("AH", 12), ("T", 5), ("SIL", 10)], noise=0.3)
    script = english_script("boot")
    ways = [ways for _, ways in script.spoken]
    segments = list(force(script.emissions(log), RATE, ways, heard=script.heard(log)))
    vowel = next(s for s in segments if PHONES[s.column] == "UW")
    assert 13 < vowel.start < 15.5 and 24.5 < vowel.end < 27
    assert vowel.fit < -4, "that another vowel is heard counts against the word"


def test_boundaries_lie_between_frames():
    log = said([("AA", 10), ("S", 10)])
    log[9, [PHONE_INDEX["AA"], PHONE_INDEX["S"]]] = -0.9, -0.6  # hardly S: the boundary is just before this frame
    (first, second) = list(force(log, RATE, columns("AA S")))
    assert 8.5 < first.end < 9.0 and first.end == second.start


def test_the_pronunciation_that_is_heard_is_taken():
    runs = found(said([("AY", 8), ("DH", 4), ("ER", 8)]), "IY DH ER|AY DH ER")
    assert [label for _, label, *_ in runs] == ["AY", "DH", "ER"]


def test_words_that_are_not_said_and_sounds_that_are_in_no_word():
    extra = [("M", 8), ("UW", 8), ("ZH", 9)]
    runs = found(said([*SEGMENTS[:5], *extra, *SEGMENTS[5:]], 0.5), "K AE T", "F IH L D Z D", "S AE T")
    words = [word for word, *_ in runs]
    assert 1 not in words and words.count(0) == 3 and words.count(2) == 3
    filler = [(a, b) for word, _, a, b in runs if word == -1]
    assert filler == [(28, 53)]


def test_pieces_of_a_long_sound_join():
    rng = np.random.default_rng(1)
    spelled = [("B", "AA", "T"), ("S", "IY", "N"), ("K", "OW", "L", "D"), ("F", "IH", "SH")]
    words = [spelled[i] for i in rng.integers(0, 4, 600)]
    segments = [(SILENCE, 20)]
    for number, word in enumerate(words):
        segments += [(p, int(rng.integers(3, 8))) for p in word]
        if number % 9 == 8:
            segments.append((SILENCE, 15))
    log = said(segments, 0.7)
    assert len(log) > 150 * RATE  # several windows
    shares = []
    runs = list(force(np.maximum(log, -10.0), RATE, columns(*(" ".join(w) for w in words)), tell=shares.append))
    assert runs[0].start == 0.0 and runs[-1].end == len(log)
    assert all(a.end == b.start for a, b in itertools.pairwise(runs))
    assert len(shares) > 2 and shares == sorted(shares) and shares[-1] == 1.0
    begun = {s.word: s.start for s in reversed(runs) if s.word is not None}
    edges, at = [], 0
    for label, frames in segments:
        edges.append((label, at))
        at += frames
    expected = iter(edges)
    for number, word in enumerate(words):
        label, start = next(expected)
        if label == SILENCE:
            label, start = next(expected)
        assert begun[number] == pytest.approx(start, abs=1.5), number
        for _ in word[1:]:
            next(expected)


def test_no_words_is_all_silence_or_filler():
    assert {s.word for s in force(said(SEGMENTS), RATE, [])} <= {None, -1}


@pytest.fixture(scope="module")
def sound():
    return load_sound(ASSETS / "sample_speech.flac")


@pytest.fixture(scope="module")
def animator():
    return Animator()


@pytest.fixture(scope="module")
def posteriors(sound, animator):
    heard = animator._hear(sound, lambda share: None)
    return lambda _: (heard.posteriors_from_start(), heard.rate)


def span(alignment, word):
    return next((w.start, w.end) for w in alignment.words if w.label == word)


def test_the_sample_speech_aligns_word_for_word(sound, posteriors):
    alignment = localize(sound, TEXT, posteriors=posteriors)
    assert alignment.source == "posterior-forced" and alignment.warnings == ()
    assert [w.label for w in alignment.words] == [w.strip(".,!:") for w in TEXT.split()]
    assert alignment.phones[0].start == 0.0 and alignment.phones[-1].end == pytest.approx(alignment.duration)
    assert all(a.end == b.start for a, b in itertools.pairwise(alignment.phones))
    assert alignment.words[0].start == pytest.approx(0.3, abs=0.03)  # the voice is silent for 0.3 s at both ends
    assert all(0.0 < w.confidence <= 1.0 for w in alignment.words)


def test_a_wrong_word_is_doubted_and_the_others_stay(sound, posteriors):
    right = localize(sound, TEXT, posteriors=posteriors)
    wrong = localize(sound, TEXT.replace("five foxes", "seventeen elephants, five foxes"), posteriors=posteriors)
    assert "seventeen elephants" in wrong.warnings[0]
    assert span(wrong, "foxes") == pytest.approx(span(right, "foxes"), abs=0.02)


@pytest.mark.parametrize(("said", "wrong"), [("foxes", "marbles"), ("moments", "giraffes"), ("voices", "umbrella")])
def test_a_word_of_other_sounds_in_the_place_of_one_is_told(sound, posteriors, said, wrong):
    text = TEXT.replace(said, wrong)
    assert text != TEXT
    found = localize(sound, text, posteriors=posteriors)
    assert wrong in found.warnings[0]
    doubtful = [w.label for w in found.words if w.confidence < DOUBTFUL]
    assert wrong in doubtful and len(doubtful) <= 2


def test_no_word_of_a_right_text_is_in_doubt(sound, posteriors):
    assert all(w.confidence >= DOUBTFUL for w in localize(sound, TEXT, posteriors=posteriors).words)


def test_what_the_transcript_lacks_keeps_its_phones(sound, posteriors):
    right = localize(sound, TEXT, posteriors=posteriors)
    start = span(right, "You")[0]
    partial = localize(sound, TEXT.partition("You")[2], posteriors=posteriors)
    missing = [p for p in partial.phones if p.end <= start and p.label != SILENCE]
    assert len(missing) > 10
    expected = [(w.label, w.start) for w in right.words if w.start > start + 0.5]
    assert [(w.label, pytest.approx(w.start, abs=0.02)) for w in partial.words][-len(expected) :] == expected


def subtitled(right, shift=0.0, size=4):
    """The words of an alignment as SubRip, some in each subtitle."""

    def stamp(t):
        return f"00:{int(t // 60):02}:{t % 60:06.3f}".replace(".", ",")

    groups = [right.words[i : i + size] for i in range(0, len(right.words), size)]
    return "\n\n".join(
        f"{n}\n{stamp(g[0].start + shift)} --> {stamp(g[-1].end + shift)}\n{' '.join(w.label for w in g)}"
        for n, g in enumerate(groups, 1)
    )


@pytest.mark.parametrize("shift", [0.0, 7.0])
def test_subtitles_that_fit_change_nothing_even_if_late(sound, posteriors, shift):
    right = localize(sound, TEXT, posteriors=posteriors)
    timed = localize(sound, subtitled(right, shift), posteriors=posteriors)
    assert timed.warnings == () and timed.phones == right.phones


def test_subtitles_of_another_cut_are_told_and_only_their_text_is_used(sound, posteriors):
    right = localize(sound, TEXT, posteriors=posteriors)
    blocks = subtitled(right).split("\n\n")
    hours = [b.replace("00:00:", f"{n % 3:02}:{5 * n:02}:", 2) for n, b in enumerate(blocks)]
    timed = localize(sound, "\n\n".join(sorted(hours, key=lambda b: b.split("\n")[1])), posteriors=posteriors)
    assert any("do not fit" in w for w in timed.warnings)


def test_subtitles_tell_which_of_two_equal_passages_is_meant(sound, posteriors):
    """The sound says it twice, the text has only the second time: without times the first would do as well."""
    log, rate = posteriors(sound)
    right = localize(sound, TEXT, posteriors=posteriors)
    half = sound.duration
    twice = replace(sound, stored=np.concatenate([sound.samples, sound.samples]))
    both = np.concatenate([log[: round(half * rate)], log])

    def begin(text):
        return localize(twice, text, posteriors=lambda _: (both, rate)).words[0].start

    assert begin(subtitled(right)) == pytest.approx(right.words[0].start, abs=0.03)
    later = subtitled(right) + "\n\n" + subtitled(right, half).replace(right.words[0].label, "Hear", 1)
    assert begin(later) == pytest.approx(right.words[0].start, abs=0.03)


def test_bounds_hold_words_softly():
    """Two equal words of which one is meant: the bounds decide, but no bound tears a word from where it must be."""
    word = [("K", 5), ("AE", 8), ("T", 5)]
    log = said([("SIL", 60), *word, ("SIL", 150), *word, ("SIL", 60)])
    for low in (50.0, 210.0):
        runs = list(force(log, RATE, columns("K AE T"), bounds=np.array([[low - 10, low + 40]])))
        begins = next(s.start for s in runs if s.word == 0)
        assert low - 10 <= begins <= low + 40
    once = said([("SIL", 60), *word, ("SIL", 150)])
    runs = list(force(once, RATE, columns("K AE T"), bounds=np.array([[180.0, 200.0]])))
    assert next(s.start for s in runs if s.word == 0) == pytest.approx(59.5, abs=1)


def test_a_long_passage_that_is_not_said_is_passed_over():
    """More words than a window looks at are missing in the sound."""
    rng = np.random.default_rng(2)
    sounds = [p for p in PHONES if p != SILENCE]
    words = [" ".join(rng.choice(sounds, 4)) for _ in range(900)]
    segments = [(SILENCE, 20)]
    for word in words[:80] + words[700:]:
        segments += [(p, 6) for p in word.split()] + [(SILENCE, 8)]
    found = {s.word for s in force(np.maximum(said(segments, 0.5), -10.0), RATE, columns(*words))}
    assert len(found & {*range(80), *range(700, 900)}) > 270


def test_speech_that_the_transcript_lacks_is_told_by_its_time(sound, posteriors):
    right = localize(sound, TEXT, posteriors=posteriors)
    labels = TEXT.split()
    partial = localize(sound, " ".join(labels[:5] + labels[10:]), posteriors=posteriors)
    assert len(partial.warnings) == 1 and "transcript lacks what is said from" in partial.warnings[0]
    start, end = (float(t) for t in re.findall(r"(\d+\.\d) s", partial.warnings[0])[:2])
    assert start == pytest.approx(right.words[5].start, abs=0.3) and end == pytest.approx(right.words[9].end, abs=0.3)


def test_times_are_written_for_people():
    assert [clock(t) for t in (3.21, 59.97, 63.2, 3723.25)] == ["3.2 s", "1:00.0", "1:03.2", "1:02:03.2"]


def test_long_doubtful_passages_are_cut():
    labels = [f"w{i}" for i in range(40)]
    (sentence,) = doubtful_passages(labels, range(5, 35))
    assert "“w5 w6 w7 … w32 w33 w34”" in sentence


def test_another_text_is_noticed(sound, posteriors):
    wrong = "The committee will publish its quarterly report on agricultural subsidies in the eastern provinces"
    alignment = localize(sound, wrong, posteriors=posteriors)
    assert "does not seem to fit" in alignment.warnings[0] or "Nothing of the transcript" in alignment.warnings[0]


def test_sounds_shorter_than_their_text(posteriors, animator):
    for samples in (1, 500, 3200):
        sound = Sound(np.full(samples, 0.1, np.float32), "", "")
        alignment = animator.align(sound)
        assert alignment.phones[-1].end == pytest.approx(alignment.duration)
        aligned = localize(sound, TEXT, posteriors=lambda s: (said([("AA", len(s.samples) // 320 + 1)]), RATE))
        assert aligned.phones[-1].end == pytest.approx(sound.duration)


def test_it_can_be_cancelled(sound, posteriors):
    def progress(share, doing):
        raise Cancelled("Cancelled.")

    with pytest.raises(Cancelled):
        align_posterior(sound, english_script(TEXT), posteriors, progress)


def test_words_of_real_fast_speech_lie_where_a_person_marked_them(animator):
    clips = ASSETS.parent.parent.parent / "shared" / "data" / "speech" / "clips"
    if not clips.is_dir():
        pytest.skip("the reference speech is not here")
    gold = load_alignment(clips / "acoustic_corpus.TextGrid")
    text = (clips / "acoustic_corpus.txt").read_text(encoding="utf-8")
    sound = load_sound(clips / "acoustic_corpus.wav")
    result = animator.align(sound, Request(transcript=text))
    labels = [[w.label.lower() for w in a.words] for a in (result, gold)]
    blocks = difflib.SequenceMatcher(None, *labels, autojunk=False).get_matching_blocks()
    pairs = [(result.words[i + o], gold.words[j + o]) for i, j, n in blocks for o in range(n)]
    errors = np.abs([(a.start - b.start, a.end - b.end) for a, b in pairs])
    assert len(pairs) > 0.9 * len(gold.words)
    assert np.median(errors) <= 0.020 and np.quantile(errors, 0.9) <= 0.060


def test_noise_moves_words_little(sound, animator):
    clean = animator.align(sound, Request(transcript=TEXT))
    level = np.sqrt(np.mean(sound.samples**2)) / 10 ** (10 / 20)
    noise = np.random.default_rng(0).normal(0.0, level, len(sound.samples)).astype(np.float32)
    noisy = animator.align(replace(sound, stored=sound.samples + noise), Request(transcript=TEXT))
    ends = {w.label: w.start for w in clean.words}
    moved = [abs(w.start - ends[w.label]) for w in noisy.words if w.label in ends]
    assert len(noisy.words) > 0.9 * len(clean.words) and np.median(moved) < 0.03


def test_words_that_were_not_heard_stay_where_they_would_be_said():
    """So that the user sees them in the list of words, and where to click."""
    from kmtalk_core.localization.posterior import with_lost
    from kmtalk_core.phones import Word

    labels = ["ask", "what", "you", "can", "do", "for", "your", "country"]
    heard = {0: Word("ask", 0.0, 0.4), 1: Word("what", 0.4, 0.6), 4: Word("do", 1.2, 1.4), 5: Word("for", 1.4, 1.42)}
    words = with_lost(heard, [2, 3, 5, 6, 7], labels, 1.43)
    assert [w.label for w in words.values()] == ["ask", "what", "you", "can", "do", "for"]
    assert [(words[n].start, words[n].end, words[n].confidence) for n in (2, 3)] == [
        (0.6, pytest.approx(0.9), 0.0),
        (pytest.approx(0.9), pytest.approx(1.2), 0.0),
    ]
    assert words[5] is heard[5], "one that was found keeps its times"
    (sentence,) = doubtful_passages(labels, [2, 3, 7], {index: word.start for index, word in words.items()})
    assert "“you can” (0.6 s), “country”;" in sentence
