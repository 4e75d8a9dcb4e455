"""Alignments by kind: arrangements of tiers, speech without phones, recognisers' and ELAN's files."""

import json

import numpy as np
import pytest

from kmtalk_core.errors import InputError, shortened
from kmtalk_core.localization.importers import WORDS_ONLY, read_alignment
from kmtalk_core.localization.within_words import placed
from kmtalk_core.phones import PHONE_INDEX, PHONES, Word

PLEASE = [(0.2, 0.25, "P"), (0.25, 0.3, "L"), (0.3, 0.5, "IY1"), (0.5, 0.6, "Z")]
PAT = [(1.2, 1.3, "P"), (1.3, 1.5, "AE1"), (1.5, 1.6, "T")]


def grid(*tiers, end=2.0, filling=""):
    """A long TextGrid; gaps are filled as aligners do. A tier whose labels are (time, mark) is one of points."""
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "xmin = 0", f"xmax = {end}", "tiers? <exists>"]
    lines += [f"size = {len(tiers)}", "item []:"]
    for name, labels in tiers:
        points = bool(labels) and len(labels[0]) == 2
        kind = "TextTier" if points else "IntervalTier"
        whole, at = [], 0.0
        for label in labels if not points else ():
            whole += [(at, label[0], filling)] if label[0] > at else []
            whole.append(label)
            at = max(at, label[1])
        whole += [(at, end, filling)] if at < end and not points else []
        lines += [f'class = "{kind}"', f'name = "{name}"', "xmin = 0", f"xmax = {end}"]
        lines.append(f"size = {len(labels if points else whole)}")
        lines += [f'number = {t}\nmark = "{mark}"' for t, mark in labels] if points else []
        lines += [f'xmin = {a}\nxmax = {b}\ntext = "{label}"' for a, b, label in whole]
    return "\n".join(lines)


def read(text):
    return read_alignment(text.encode(), "x")


def said(alignment):
    return " ".join(p.label for p in alignment.phones if p.label != "SIL")


@pytest.mark.parametrize("filling", ["", "sil", "sp", "sil_S", "<p:>"])
@pytest.mark.parametrize(
    "names",
    [("ann - phones", "bob - phones"), ("phones", "phones"), ("Ann - phone", "Bob - phone"), ("phones_a", "b (phone)")],
)
def test_the_silence_of_one_speaker_says_nothing_of_the_other(names, filling):
    for tiers in ([(names[0], PLEASE), (names[1], PAT)], [(names[1], PAT), (names[0], PLEASE)]):
        found = read(grid(*tiers, filling=filling))
        assert said(found) == "P L IY Z P AE T"
        assert not [w for w in found.warnings if "overlap" in w or "left out" in w]
    found = read(grid((names[0], PLEASE), (names[1], []), filling=filling))
    assert said(found) == "P L IY Z"


def test_a_second_transcription_is_left_out_and_told():
    other = [(0.2, 0.6, "AA1"), (1.2, 1.6, "OW1")]
    found = read(grid(("phones", PLEASE + PAT), ("phones corrected", other)))
    assert said(found) == "P L IY Z P AE T"
    assert found.warnings == (
        "The tier “phones corrected” says something at the same time as “phones”, so it was left out.",
    )
    assert read(grid(("phones", PLEASE), ("phones", PLEASE))).warnings == ()


def test_speakers_who_overlap_are_both_heard():
    late = [(0.55, 0.7, "M"), (0.7, 0.9, "AA1"), (0.9, 1.0, "P")]
    found = read(grid(("ann - phones", PLEASE), ("bob - phones", late)))
    assert said(found) == "P L IY Z M AA P" and "has 1 overlaps" in found.warnings[0]


def test_tiers_are_known_by_their_names_or_by_what_they_hold():
    words = [(0.2, 0.6, "please"), (1.2, 1.6, "pat")]
    maus = read(grid(("ORT-MAU", words), ("KAN-MAU", [(0.2, 0.6, "pli:z")]), ("MAU", PLEASE + PAT)))
    assert said(maus) == "P L IY Z P AE T" and [w.label for w in maus.words] == ["please", "pat"]
    only_words = read(grid(("Ann - words", words[:1]), ("Bob - words", words[1:])))
    assert only_words.source == WORDS_ONLY and said(only_words) == "P L IY Z P AE T"
    assert said(read(grid(("whatever", PLEASE + PAT), ("remarks", [(0.0, 2.0, "a good take")])))) == "P L IY Z P AE T"
    five = [(n / 4, n / 4 + 0.2, word) for n, word in enumerate(["please", "pat", "the", "other", "peppers"])]
    assert [w.label for w in read(grid(("Ann", five))).words] == ["please", "pat", "the", "other", "peppers"]


@pytest.mark.parametrize(
    "tiers", [[("phones", [(0.3, "P")])], [("remarks", [(0.0, 2.0, "a good take")])], [("words", [(0.3, "a")])]]
)
def test_tiers_that_hold_nothing_usable_are_named(tiers):
    with pytest.raises(InputError, match=f"only “{tiers[0][0]}.*; name those that hold them “phones” and “words”"):
        read(grid(*tiers))


@pytest.mark.parametrize("unknown", ["spn", "<unk>", "", "oov_S", None])
def test_a_word_without_phones_is_spelled_and_told(unknown):
    middle = [] if unknown is None else [(0.6, 1.2, unknown)]
    words = [(0.2, 0.6, "please"), (0.6, 1.2, "Peppronia"), (1.2, 1.6, "pat")]
    found = read(grid(("words", words), ("phones", [*PLEASE, *middle, *PAT])))
    assert said(found) == "P L IY Z P EH P R OW N IY AH P AE T"
    assert found.guessed == ((0.6, 1.2),)
    assert found.warnings == ("x has no phones for “Peppronia”, so it was read from the spelling; check there.",)


def posteriors(labels, rate=50.0, duration=2.0):
    """As if the sound said `labels`, (start, end, phone), and nothing else."""
    heard = np.full((round(duration * rate) + 1, len(PHONES)), -8.0)
    for index in range(len(heard)):
        label = next((p for a, b, p in labels if a <= index / rate < b), "SIL")
        heard[index, PHONE_INDEX[label]] = -0.05
    return heard, rate


def test_the_sound_puts_a_spelled_word_and_leaves_the_others_alone():
    words = [(0.2, 0.6, "please"), (0.6, 1.2, "bop"), (1.2, 1.6, "pat")]
    found = read(grid(("words", words), ("phones", [*PLEASE, (0.6, 1.2, "spn"), *PAT])))
    heard = posteriors([(0.7, 0.76, "B"), (0.76, 0.9, "AA"), (0.9, 1.0, "P")])
    put = placed(found, 2.0, lambda: heard)
    assert [(p.label, round(p.start, 2)) for p in put.phones if 0.6 <= p.start < 1.2] == [
        ("SIL", 0.6), ("B", 0.69), ("AA", 0.75), ("P", 0.89), ("SIL", 0.99),
    ]  # fmt: skip
    assert [p for p in put.phones if p.end < 0.59] == [p for p in found.phones if p.end < 0.59]
    assert put.guessed == () and put.words[0] == found.words[0]


def test_speech_without_a_word_follows_the_sound():
    words = [(0.2, 0.6, "please"), (0.6, 1.2, "<unk>"), (1.2, 1.6, "pat")]
    found = read(grid(("words", words), ("phones", [*PLEASE, (0.6, 1.2, "spn"), *PAT])))
    assert said(found) == "P L IY Z P AE T" and found.guessed == ((0.6, 1.2),)
    assert found.warnings[0].startswith("x has speech without phones at 0.6 s; there the mouth follows the sound")
    put = placed(found, 2.0, lambda: posteriors([(0.7, 0.8, "B"), (0.8, 1.0, "AA")]))
    assert said(put) == "P L IY Z B AA P AE T"


def test_noises_are_no_words():
    words = [(0.2, 0.6, "please"), (0.6, 1.2, "[laughter]"), (1.2, 1.6, "{NS}")]
    found = read(grid(("words", words), ("phones", PLEASE)))
    assert [w.label for w in found.words] == ["please", "[laughter]"]  # a sound that moves the face, and a noise
    assert said(found) == "P L IY Z" and not found.warnings


DEEPGRAM = {"metadata": {"duration": 2.0}, "results": {"channels": [{"alternatives": [{"words": [
    {"word": "please", "start": 0.2, "end": 0.6, "confidence": 0.9, "punctuated_word": "Please,"},
    {"word": "pat", "start": 1.2, "end": 1.6, "confidence": 0.9}]}]}]}}  # fmt: skip
AMAZON = {"results": {"items": [
    {"type": "pronunciation", "start_time": "0.2", "end_time": "0.6", "alternatives": [{"content": "Please"}]},
    {"type": "punctuation", "alternatives": [{"content": ","}]},
    {"type": "pronunciation", "start_time": "1.2", "end_time": "1.6",
     "alternatives": [{"content": "pat"}]}]}}  # fmt: skip
GOOGLE = {"results": [
    {"alternatives": [{"words": [{"startTime": "0.200s", "endTime": "0.600s", "word": "please"}]}]},
    {"alternatives": [{"words": [{"startOffset": "1.2s", "endOffset": {"seconds": "1", "nanos": 600000000},
                                  "word": "pat"}]}]}]}  # fmt: skip
GOOGLE_TWICE = {"response": {"results": [*GOOGLE["results"], {"alternatives": [{"words": [
    {"startTime": "0.2s", "endTime": "0.6s", "word": "please", "speakerTag": 1},
    {"startTime": "1.2s", "endTime": "1.6s", "word": "pat", "speakerTag": 2}]}]}]}}  # fmt: skip
AZURE = {
    "RecognitionStatus": "Success",
    "NBest": [
        {
            "Display": "Please pat.",
            "Words": [
                {"Word": "please", "Offset": 2000000, "Duration": 4000000},
                {"Word": "pat", "Offset": 12000000, "Duration": 4000000},
            ],
        }
    ],
}
AZURE_BATCH = {"recognizedPhrases": [{"nBest": [{"words": [
    {"word": "please", "offsetInTicks": 2000000.0, "durationInTicks": 4000000.0},
    {"word": "pat", "offsetInTicks": 12000000.0, "durationInTicks": 4000000.0}]}]}]}  # fmt: skip
VOSK = {"result": [{"conf": 1.0, "start": 0.2, "end": 0.6, "word": "please"},
                   {"conf": 1.0, "start": 1.2, "end": 1.6, "word": "pat"}], "text": "please pat"}  # fmt: skip
ELEVENLABS = {"language_code": "en", "text": "please pat", "words": [
    {"text": "please", "start": 0.2, "end": 0.6, "type": "word"}, {"text": " ", "type": "spacing"},
    {"text": "(laughs)", "start": 0.7, "end": 1.1, "type": "audio_event"},
    {"text": "pat", "start": 1.2, "end": 1.6, "type": "word"}]}  # fmt: skip
ELEVENLABS_TTS = {"alignment": {
    "characters": list("please pat"),
    "character_start_times_seconds": [0.2, 0.25, 0.3, 0.4, 0.5, 0.55, 0.6, 1.2, 1.3, 1.5],
    "character_end_times_seconds": [0.25, 0.3, 0.4, 0.5, 0.55, 0.6, 1.2, 1.3, 1.5, 1.6]}}  # fmt: skip
ASSEMBLY = {
    "text": "please pat",
    "audio_duration": 2,
    "words": [{"text": "please", "start": 200, "end": 600, "x": 0}, {"text": "pat", "start": 1200, "end": 1600}],
}
CTM = ";; by Kaldi\nutt-1 1 0.20 0.40 please 0.98\nutt-1 1 1.20 0.40 pat 1.00\n"
EAF = """<?xml version="1.0" encoding="UTF-8"?>
<ANNOTATION_DOCUMENT AUTHOR="" DATE="2024-01-01T00:00:00+00:00" FORMAT="3.0" VERSION="3.0"
 xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
<HEADER MEDIA_FILE="" TIME_UNITS="milliseconds"/>
<TIME_ORDER><TIME_SLOT TIME_SLOT_ID="ts1" TIME_VALUE="200"/><TIME_SLOT TIME_SLOT_ID="ts2" TIME_VALUE="600"/>
<TIME_SLOT TIME_SLOT_ID="ts3" TIME_VALUE="1200"/><TIME_SLOT TIME_SLOT_ID="ts4" TIME_VALUE="1600"/></TIME_ORDER>
<TIER LINGUISTIC_TYPE_REF="default-lt" TIER_ID="Ann words">
<ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a1" TIME_SLOT_REF1="ts1" TIME_SLOT_REF2="ts2">
<ANNOTATION_VALUE>please</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>
<ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a2" TIME_SLOT_REF1="ts3" TIME_SLOT_REF2="ts4">
<ANNOTATION_VALUE>pat</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION></TIER>
PHONES</ANNOTATION_DOCUMENT>
"""
EAF_PHONES = '<TIER TIER_ID="Ann phones" PARENT_REF="Ann words">' + "".join(
    f'<ANNOTATION><REF_ANNOTATION ANNOTATION_ID="p{n}" ANNOTATION_REF="{parent}"><ANNOTATION_VALUE>{phone}'
    "</ANNOTATION_VALUE></REF_ANNOTATION></ANNOTATION>"
    for n, (parent, phone) in enumerate([("a1", "P"), ("a1", "L"), ("a1", "IY"), ("a1", "Z"), ("a2", "P"), ("a2", "AE"),
                                         ("a2", "T")])
) + "</TIER>"  # fmt: skip
MLF = "\n".join(
    ("#!MLF!#", '"*/line.lab"', "2000000 2500000 p -1.0 please", "2500000 3000000 l -1.0", "3000000 5000000 iy -1.0",
     "5000000 6000000 z -1.0", "6000000 12000000 sil -1.0 sil", "12000000 13000000 p -1.0 pat",
     "13000000 15000000 ae", "15000000 16000000 t", ".\n")
)  # fmt: skip
JSONS = (DEEPGRAM, AMAZON, GOOGLE, GOOGLE_TWICE, AZURE, AZURE_BATCH, VOSK, ELEVENLABS, ELEVENLABS_TTS, ASSEMBLY)
RECOGNISED = (*map(json.dumps, JSONS), json.dumps([VOSK, {"text": ""}]), CTM, EAF.replace("PHONES", ""),
              EAF.replace("PHONES", EAF_PHONES), MLF)  # fmt: skip


@pytest.mark.parametrize("text", RECOGNISED)
def test_recognisers_and_annotators(text):
    found = read(text)
    words = [(w.label.strip(",").lower(), round(w.start, 3), round(w.end, 3)) for w in found.words]
    assert words == [("please", 0.2, 0.6), ("pat", 1.2, 1.6)]
    assert said(found) == "P L IY Z P AE T"
    assert (found.source == WORDS_ONLY) == ("p0" not in text and "MLF" not in text)


def test_vosk_writes_one_value_after_another():
    text = "".join(f"{json.dumps(part, indent=1)}\n" for part in ({**VOSK, "result": VOSK["result"][:1]}, {"text": ""}))
    assert read(text).words == (Word("please", 0.2, 0.6),)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (CTM.replace("utt-1 1 1.20", "utt-2 1 1.20"), r"x has the labels of 2 sounds \(utt-1, …\); save those of"),
        (MLF + '"*/b.lab"\n0 10 a\n.\n', r"x has the labels of 2 sounds \(\*/line\.lab, …\); save those of"),
        (json.dumps({"results": [{"alternatives": [{"transcript": "please"}]}]}), "times for whole sentences only"),
        (json.dumps({"text": "please", "result": []}), "no times for its words; let Vosk write them"),
        ("<html><body/></html>", r"XML of no known tool; give the output of Rhubarb \(\.xml\) or ELAN"),
    ],
)
def test_what_they_leave_open_gets_one_sentence(text, message):
    with pytest.raises(InputError, match=message):
        read(text)


def test_long_cells_are_shortened():
    assert shortened("a" * 59) == "a" * 59 and shortened("a\nb\x00 c") == "a b c"
    assert len(shortened("a" * 61)) <= 60 and len(shortened("é" * 10**6)) <= 60
    for text in (
        grid(("phones", [(0.2, 0.1, "M" * 10**5)])), grid(("phones", [(0.1, 0.2, "%" * 10**5)])),
        grid(("t" * 10**5, [(0.3, "P")])), "MohoSwitch1\n1 rest\n3 " + "x" * 10**5 + "\n",
    ):  # fmt: skip
        with pytest.raises(InputError) as caught:
            read(text)
        assert len(str(caught.value)) < 400
