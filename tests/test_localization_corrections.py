"""Corrections: words and phones, near and far, kept in a file, applied to another run."""

import json

import numpy as np
import pytest

from kmtalk_core.audio import Sound
from kmtalk_core.command.cli import main
from kmtalk_core.errors import InputError
from kmtalk_core.localization.corrections import Correction, corrected, load_corrections, save_corrections
from kmtalk_core.localization.posterior import align_posterior, english_script
from kmtalk_core.phones import PHONE_INDEX, PHONES, SILENCE

RATE = 50.0
# cat see dog man: phones and their frames
SAID = (
    *("SIL", 15, "K", 4, "AE", 8, "T", 4, "SIL", 6, "S", 6, "IY", 9, "SIL", 4),
    *("D", 4, "AO", 8, "G", 5, "SIL", 20, "M", 6, "AE", 8, "N", 7, "SIL", 15),
)


@pytest.fixture(scope="module")
def log_posteriors():
    labels = [PHONE_INDEX[p] for p, n in zip(SAID[::2], SAID[1::2], strict=True) for _ in range(n)]
    logits = np.random.default_rng(0).normal(0.0, 0.5, (len(labels), len(PHONES)))
    logits[np.arange(len(labels)), labels] += 7.0
    return (logits - np.log(np.exp(logits).sum(1, keepdims=True))).astype(np.float32)


@pytest.fixture(scope="module")
def align(log_posteriors):
    sound = Sound(np.full(int(len(log_posteriors) / RATE * 16000), 0.1, np.float32), "", "")
    return lambda text: align_posterior(sound, english_script(text), lambda _: (log_posteriors, RATE))


@pytest.fixture(scope="module")
def right(align):
    return align("cat see dog man")


def middle(alignment, label):
    return next((w.start + w.end) / 2 for w in alignment.words if w.label == label)


def times(alignment):
    return {w.label: (w.start, w.end) for w in alignment.words}


def test_a_wrong_word_is_put_right_and_nothing_far_away_moves(align, right, log_posteriors):
    wrong = align("cat tree dog man")
    edit = Correction("word", middle(wrong, "tree"), "see")
    again = corrected(wrong, [edit], log_posteriors, RATE)
    assert [w.label for w in again.words] == ["cat", "see", "dog", "man"]
    for label, span in times(right).items():
        assert times(again)[label] == pytest.approx(span, abs=0.011), label
    assert [p.label for p in again.phones] == [p.label for p in right.phones]
    far = times(wrong)["dog"][1]
    assert [p for p in again.phones if p.start > far] == [p for p in wrong.phones if p.start > far]
    assert again.words[-1] == wrong.words[-1]


def test_given_times_hold_exactly(right, log_posteriors):
    start, end = times(right)["see"]
    again = corrected(right, [Correction("word", start + 0.01, None, start - 0.05, end + 0.04)], log_posteriors, RATE)
    assert times(again)["see"] == (start - 0.05, end + 0.04)
    assert times(again)["cat"][0] == times(right)["cat"][0] and times(again)["dog"][1] == times(right)["dog"][1]
    only_end = corrected(right, [Correction("word", start + 0.01, None, end=end - 0.05)], log_posteriors, RATE)
    assert times(only_end)["see"] == (pytest.approx(start, abs=0.02), end - 0.05)


def test_words_come_and_go(right, log_posteriors):
    gone = corrected(right, [Correction("word", middle(right, "see"), "")], log_posteriors, RATE)
    assert [w.label for w in gone.words] == ["cat", "dog", "man"]
    assert not any(p.label == "IY" for p in gone.phones)
    back = corrected(gone, [Correction("word", middle(right, "see"), "see")], log_posteriors, RATE)
    assert times(back)["see"] == pytest.approx(times(right)["see"], abs=0.011)
    two = corrected(right, [Correction("word", middle(right, "dog"), "big dog")], log_posteriors, RATE)
    assert [w.label for w in two.words] == ["cat", "see", "big", "dog", "man"]


def test_a_phone_takes_another_name_and_other_times(right, log_posteriors):
    phone = next(p for p in right.phones if p.label == "AO")
    edit = Correction("phone", phone.start + 0.01, "ɑː", phone.start + 0.03, phone.end + 0.02)
    again = corrected(right, [edit], log_posteriors, RATE)
    changed = [p for p in again.phones if p not in right.phones]
    assert [p.label for p in changed] == ["D", "AA", "G"]
    assert (changed[1].start, changed[1].end) == (phone.start + 0.03, phone.end + 0.02)
    last = next(p for p in right.phones if p.label == "G")
    longer = corrected(right, [Correction("phone", last.start + 0.01, end=last.end + 0.1)], log_posteriors, RATE)
    assert times(longer)["dog"] == (times(right)["dog"][0], last.end + 0.1)  # the word ends with its phone


def test_more_phones_than_frames_all_find_room(right, log_posteriors):
    start = times(right)["see"][0]
    tight = Correction("word", start + 0.01, "extraordinarily", start, start + 0.08)
    again = corrected(right, [tight], log_posteriors, RATE)
    inside = [p for p in again.phones if start - 1e-9 <= p.start < start + 0.08]
    assert len([p for p in inside if p.label != SILENCE]) >= 10


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (("word", 0.1), "changes nothing"),
        (("sentence", 0.1, "a"), "make it word or phone"),
        (("word", float("nan"), "a"), "must be seconds"),
        (("word", 0.1, None, 0.3, 0.2), "ends before it starts"),
        (("word", 99.0, "dog"), "corrections of this sound"),
        (("word", 0.05, None, 0.1), "needs the word that is missing"),
        (("word", 0.4, None, None, 2.5), "beyond its neighbours"),
        (("word", 0.4, "♪"), "can be spoken"),
        (("phone", 0.4, "♪"), "no phone"),
        (("phone", 0.4, None, None, 2.5), "beyond its neighbours"),
    ],
)
def test_what_cannot_be_is_one_sentence(right, log_posteriors, edit, message):
    with pytest.raises(InputError, match=message):
        corrected(right, [Correction(*edit)], log_posteriors, RATE)


def test_the_file_knows_its_sound(tmp_path):
    path = tmp_path / "line.json"
    edits = (Correction("word", 1.25, "foxes", end=1.5), Correction("phone", 2.0, "AA"))
    save_corrections(edits, "abc", path)
    assert load_corrections(path, "abc") == edits
    with pytest.raises(InputError, match="of another sound"):
        load_corrections(path, "xyz")
    path.write_text('{"corrections": [{"tier": "word", "at": 1.2, "label": "hello"}]}')  # by hand
    assert load_corrections(path, "xyz") == (Correction("word", 1.2, "hello"),)
    for content in ("[]", "no", '{"corrections": [{"at": 1}]}', '{"corrections": [{"tier": "word", "at": "x"}]}'):
        path.write_text(content)
        with pytest.raises(InputError):
            load_corrections(path, "abc")
    with pytest.raises(InputError, match="check the path"):
        load_corrections(tmp_path / "none.json", "abc")


def test_the_command_line_applies_them(tmp_path):
    from kmtalk_core.assets import ASSETS

    speech, first, second = ASSETS / "sample_speech.flac", tmp_path / "first.json", tmp_path / "second.json"
    text = (ASSETS / "sample_speech.txt").read_text(encoding="utf-8")
    fix = tmp_path / "fix.json"
    wrong = text.replace("foxes", "boxes")
    assert main(["align", str(speech), "--transcript", wrong, "--out", str(first)]) == 0
    entries = json.loads(first.read_text(encoding="utf-8"))["tiers"]["words"]["entries"]
    start, end, _ = next(e for e in entries if e[2] == "boxes")
    fix.write_text(json.dumps({"corrections": [{"tier": "word", "at": (start + end) / 2, "label": "foxes"}]}))
    arguments = ["align", str(speech), "--transcript", wrong, "--corrections", str(fix), "--out", str(second)]
    assert main(arguments) == 0
    labels = [e[2] for e in json.loads(second.read_text(encoding="utf-8"))["tiers"]["words"]["entries"]]
    assert "foxes" in labels and "boxes" not in labels
