"""Alignments of other tools: each format in its official layout, phone sets, damaged files."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kmtalk_core.errors import InputError
from kmtalk_core.localization.importers import WORDS_ONLY, fitted, load_alignment, read_alignment
from kmtalk_core.localization.labels import to_arpabet
from kmtalk_core.localization.textgrid import save_alignment
from kmtalk_core.localization.within_words import align_within, placed
from kmtalk_core.phones import PHONE_INDEX, PHONES, Alignment, Phone, Word

RHUBARB_TSV = "0.00\tX\n0.05\tD\n0.27\tC\n0.31\tB\n0.43\tA\n0.47\tX\n"
RHUBARB_XML = """<?xml version="1.0" encoding="utf-8"?>
<rhubarbResult>
  <metadata>
    <soundFile>C:\\hi.wav</soundFile>
    <duration>0.47</duration>
  </metadata>
  <mouthCues>
    <mouthCue start="0.00" end="0.05">X</mouthCue>
    <mouthCue start="0.05" end="0.27">D</mouthCue>
    <mouthCue start="0.27" end="0.31">C</mouthCue>
    <mouthCue start="0.31" end="0.43">B</mouthCue>
    <mouthCue start="0.43" end="0.47">A</mouthCue>
  </mouthCues>
</rhubarbResult>
"""
RHUBARB_JSON = json.dumps(
    {
        "metadata": {"soundFile": "hi.wav", "duration": 0.47},
        "mouthCues": [
            {"start": a, "end": b, "value": v}
            for a, b, v in [(0, 0.05, "X"), (0.05, 0.27, "D"), (0.27, 0.31, "C"), (0.31, 0.43, "B"), (0.43, 0.47, "A")]
        ],
    }
)
PGO = "lipsync version 1\nhi.wav\n24\n48\n1\n\tAnn\n\tSo lame\n\t1\n\t\tSo lame\n\t\t2\n\t\t20\n\t\t2\n" + (
    "\t\t\tSo 2 6 2\n\t\t\t\t2 etc\n\t\t\t\t4 O\n\t\t\tlame. 9 20 3\n\t\t\t\t9 L\n\t\t\t\t12 E\n\t\t\t\t18 MBP\n"
)
PGO_JSON = json.dumps(
    {
        "version": 2, "sound_path": "hi.wav", "fps": 24, "sound_duration": 48, "num_voices": 1,
        "phoneme_set": "preston_blair",
        "voices": [{"name": "Ann", "text": "So lame", "num_children": 8, "phrases": [{
            "id": 0, "text": "So lame", "start_frame": 2, "end_frame": 20, "tags": [], "words": [
                {"id": 0, "text": "So", "start_frame": 2, "end_frame": 6, "tags": [], "phonemes": [
                    {"id": 0, "text": "etc", "frame": 2, "tags": []}, {"id": 1, "text": "O", "frame": 4, "tags": []}]},
                {"id": 1, "text": "lame.", "start_frame": 9, "end_frame": 20, "tags": [], "phonemes": [
                    {"id": 0, "text": "L", "frame": 9, "tags": []}, {"id": 1, "text": "E", "frame": 12, "tags": []},
                    {"id": 2, "text": "MBP", "frame": 18, "tags": []}]}]}]}],
    }
)  # fmt: skip
DAT = "MohoSwitch1\n1 rest\n3 etc\n5 O\n8 rest\n10 L\n13 E\n19 MBP\n22 rest\n"
GENTLE = json.dumps(
    {
        "transcript": "cheap zzyx",
        "words": [
            {"alignedWord": "cheap", "case": "success", "start": 0.1, "end": 0.5, "startOffset": 0, "endOffset": 5,
             "word": "cheap", "phones": [{"duration": 0.1, "phone": "ch_B"}, {"duration": 0.2, "phone": "iy_I"},
                                         {"duration": 0.1, "phone": "p_E"}]},
            {"case": "not-found-in-audio", "startOffset": 6, "endOffset": 10, "word": "zzyx"},
        ],
    }
)  # fmt: skip
POCKETSPHINX = "".join(
    json.dumps(line) + "\n"
    for line in (
        {"b": 0.0, "d": 0.6, "p": 1.0, "t": "cheap", "w": [
            {"b": 0.0, "d": 0.1, "p": 1.0, "t": "<s>", "w": [{"b": 0.0, "d": 0.1, "p": 1.0, "t": "SIL"}]},
            {"b": 0.1, "d": 0.4, "p": 1.0, "t": "cheap(2)", "w": [
                {"b": 0.1, "d": 0.1, "p": 1.0, "t": "CH"}, {"b": 0.2, "d": 0.2, "p": 1.0, "t": "IY"},
                {"b": 0.4, "d": 0.1, "p": 1.0, "t": "P"}]}]},
        {"b": 0.6, "d": 0.2, "p": 1.0, "t": "", "w": []},
    )
)  # fmt: skip
MFA_CSV = """Begin,End,Label,Type,Speaker
0.1,0.5,cheap,words,ann
0.1,0.2,tʃ,phones,ann
0.2,0.4,iː,phones,ann
0.4,0.5,pʰ,phones,ann
"""
MFA_JSON = json.dumps(
    {"start": 0, "end": 1.0, "tiers": {
        "ann - words": {"type": "interval", "entries": [[0.1, 0.5, "cheap"]]},
        "ann - phones": {"type": "interval", "entries": [[0.1, 0.2, "tʃ"], [0.2, 0.4, "iː"], [0.4, 0.5, "pʰ"]]}}}
)  # fmt: skip
HTK = "0 1000000 sil\n1000000 2000000 ch\n2000000 4000000 iy\n4000000 5000000 p\n"
AUDACITY = "0.1\t0.2\ttS\n0.2\t0.4\ti:\n0.4\t0.5\tp_h\n"
WHISPER = json.dumps(
    {"text": " Cheap", "language": "en", "segments": [{"id": 0, "start": 0.1, "end": 1.0, "text": " Cheap", "words": [
        {"word": " Cheap", "start": 0.1, "end": 0.5, "probability": 0.9},
        {"word": " talk", "start": 0.5, "end": 1.0, "probability": 0.9}]}]}
)  # fmt: skip
WHISPERX = json.dumps(
    {"segments": [{"start": 0.1, "end": 1.5, "text": "Cheap 5 talk", "words": [
        {"word": "Cheap", "start": 0.1, "end": 0.5, "score": 0.8}, {"word": "5"},
        {"word": "talk", "start": 1.1, "end": 1.5, "score": 0.8}]}], "word_segments": []}
)  # fmt: skip
WHISPER_CPP = json.dumps(
    {"result": {"language": "en"}, "transcription": [
        {"timestamps": {"from": "00:00:00,000", "to": "00:00:01,000"}, "offsets": {"from": 0, "to": 1000},
         "text": " Cheap talking", "tokens": [
             {"text": "[_BEG_]", "offsets": {"from": 0, "to": 0}},
             {"text": " Cheap", "offsets": {"from": 100, "to": 500}},
             {"text": " talk", "offsets": {"from": 500, "to": 800}},
             {"text": "ing", "offsets": {"from": 800, "to": 1000}}]}]}
)  # fmt: skip
KARAOKE = "1\n00:00:00,100 --> 00:00:00,500\nCheap\n\n2\n00:00:00,500 --> 00:00:01,000\ntalk!\n"
KARAOKE_VTT = "WEBVTT\n\n00:00.100 --> 00:01.000\nCheap <00:00.500><c>talk</c>\n"


def read(text, name="x", fps=None):
    return read_alignment(text.encode(), name, fps)


def phones(alignment):
    return [(p.label, round(p.start, 3), round(p.end, 3)) for p in alignment.phones]


@pytest.mark.parametrize("text", [RHUBARB_TSV, RHUBARB_XML, RHUBARB_JSON], ids=["tsv", "xml", "json"])
def test_rhubarb(text):
    assert phones(read(text)) == [
        ("SIL", 0.0, 0.05), ("AA", 0.05, 0.27), ("EH", 0.27, 0.31), ("S", 0.31, 0.43), ("M", 0.43, 0.47),
    ]  # fmt: skip


@pytest.mark.parametrize("text", [PGO, PGO_JSON, DAT], ids=["pgo", "json", "dat"])
def test_papagayo(text):
    found = read(text, fps=24)
    assert [(p.label, round(p.start * 24, 2), round(p.end * 24, 2)) for p in found.phones][:8] == [
        ("SIL", 0, 2), ("S", 2, 4), ("AO", 4, 7), ("SIL", 7, 9), ("L", 9, 12), ("EH", 12, 18), ("M", 18, 21),
        ("SIL", 21, round(found.duration * 24, 2)),
    ]  # fmt: skip
    if text is not DAT:
        assert found.words == (Word("So", 2 / 24, 7 / 24), Word("lame.", 9 / 24, 21 / 24)) and found.duration == 2.0


def test_the_frame_rate_of_a_dat(tmp_path):
    assert "24 frames a second were taken" in read(DAT).warnings[0]
    assert read(DAT, fps=12).duration == 2 * read(DAT, fps=24).duration
    assert read(DAT.replace("1\n1", "1\nFPS 12\n1")).duration == read(DAT, fps=12).duration


@pytest.mark.parametrize(
    "text",
    [GENTLE, POCKETSPHINX, MFA_CSV, MFA_JSON, HTK, AUDACITY],
    ids=["gentle", "sphinx", "csv", "mfa", "htk", "audacity"],
)
def test_aligners_phones(text):
    found = read(text)
    assert phones(found)[:4] == [("SIL", 0.0, 0.1), ("CH", 0.1, 0.2), ("IY", 0.2, 0.4), ("P", 0.4, 0.5)]
    if text not in (HTK, AUDACITY):
        assert [w.label for w in found.words] == ["cheap"]
    if text is GENTLE:
        assert "were not found in the sound (“zzyx”)" in found.warnings[0]


@pytest.mark.parametrize("text", [WHISPER, KARAOKE, KARAOKE_VTT], ids=["whisper", "srt", "vtt"])
def test_words_get_their_phones_inside_of_them(text):
    found = read(text)
    assert found.source == WORDS_ONLY
    assert [p.label for p in found.phones if p.label != "SIL"] == ["CH", "IY", "P", "T", "AO", "K"]
    assert [(w.label.strip("!"), w.start, w.end) for w in found.words] == [("Cheap", 0.1, 0.5), ("talk", 0.5, 1.0)]
    ch, iy, p = found.phones[1:4]
    assert ch.start == 0.1 and p.end == pytest.approx(0.5) and iy.end - iy.start > p.end - p.start


def test_words_without_times_lie_between_their_neighbours():
    found = read(WHISPERX)
    assert [(w.label, w.start, w.end) for w in found.words] == [
        ("Cheap", 0.1, 0.5),
        ("5", 0.5, 1.1),
        ("talk", 1.1, 1.5),
    ]
    assert [p.label for p in found.phones if 0.5 <= p.start < 1.09] == ["F", "AY", "V"]
    assert [w.label for w in read(WHISPER_CPP).words] == ["Cheap", "talking"]


def test_the_sound_puts_phones_inside_of_words():
    rate, times = 50.0, [("CH", 0.1, 0.34), ("IY", 0.34, 0.4), ("P", 0.4, 0.5), ("T", 0.5, 0.56), ("AO", 0.56, 0.8)]
    truth = Alignment.from_segments([Phone(*t) for t in [*times, ("K", 0.8, 1.0)]], (), 1.2, "")
    log_posteriors = np.full((61, len(PHONES)), -6.0)
    for index in range(61):
        label = next((p.label for p in truth.phones if p.start <= index / rate < p.end), "SIL")
        log_posteriors[index, PHONE_INDEX[label]] = -0.1
    heard = align_within(fitted(read(WHISPER), 1.2), log_posteriors, rate)
    assert [p.label for p in heard.phones] == [p.label for p in truth.phones]
    assert [p.start for p in heard.phones] == pytest.approx([p.start for p in truth.phones], abs=0.02)
    assert heard.source == "imported"
    assert placed(read(WHISPER), 1.2, lambda: (log_posteriors, rate)) == heard
    assert placed(read(MFA_JSON), 1.2, pytest.fail).duration == 1.2


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ("ih_B t_E AH0 SIL", "IH T AH SIL"),
        ("t͡ʃ ɹ̩ ɚ aj tʰ ɫ̩ n̩ d̪ ʉː ɾ̃", "CH ER ER AY T L N D UW D"),
        ("h @ l @U 3` { r\\ A: T D", "HH AH L OW ER AE R AA TH DH"),
        ("dZ tS aI OI n= p_h e: N", "JH CH AY OY N P EH NG"),
        ("tʂ a55 ʈʂʰ uo˥˩ y˧˥", "CH AA CH UW UW"),
        ("s t a n", "S T AA N"),
        ("sh uh ng zh", "SH UH NG ZH"),
    ],
)
def test_phone_sets_are_found(labels, expected):
    assert to_arpabet(labels.split()) == (expected.split(), [])


def test_words_are_no_phones():
    assert to_arpabet(["s", "hello", "bar"])[1] == ["hello", "bar"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is no TextGrid, .* or is damaged; export it again"),
        ("Hello there.", "is no TextGrid"),
        ("[1, 2]", "is no TextGrid"),
        ('{"a": 1}', "JSON of no known tool; give the output of"),
        ("[" * 100000, "is no TextGrid"),
        ('{"end": 1, "tiers": {"phones": {"entries": [[0, 1e400, "M"]]}}}', r"NaN or infinite \(phones, entry 1\)"),
        ('{"end": 1, "tiers": {"phones": {"entries": [[0.5, 0.2, "M"]]}}}', "“M” ends .* before it starts"),
        ('{"end": 1, "tiers": {"phones": {"entries": [[0, 90000, "M"]]}}}', "longer than a day; its times must"),
        ('{"end": 1, "tiers": {"words": {"entries": []}}}', "no tier of phones or words, and no mouth shapes"),
        (DAT.replace("etc", "smile"), "line 3: “smile” is no mouth shape of Rhubarb .* rename it"),
        (AUDACITY.replace("i:", "%%"), None),
        (MFA_CSV.replace("iː", "iː%%"), "line 4: “iː%%” is no phone of ARPABET, IPA or X-SAMPA; rename it there"),
        (WHISPER.replace('"words"', '"none"'), "times for whole sentences only; let Whisper write word times"),
        ("1\n00:00:00,100 --> 00:00:02,500\nCheap talk is cheap\n", "whole lines only; give it as transcript"),
        ("<!DOCTYPE x [<!ENTITY a 'b'>]><rhubarbResult/>", "is no TextGrid"),
        ("ooBinaryFile\x08TextGrid", "binary TextGrid; save it in Praat"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_gets_one_sentence(text, message):
    if message is None:  # words then
        assert read(text).source == WORDS_ONLY
        return
    with pytest.raises(InputError, match=message) as caught:
        read(text, "x.txt")
    assert "\n" not in str(caught.value) and str(caught.value).startswith("x.txt")


def test_slips_are_repaired_and_told():
    entries = [[-0.5, 0.2, "M"], [0.1, 0.3, "AA"], [0.3, 1.4, "T"]]
    found = read(json.dumps({"end": 1.0, "tiers": {"phones": {"entries": entries}}}))
    assert phones(found) == [("M", 0.0, 0.2), ("AA", 0.2, 0.3), ("T", 0.3, 1.4)]
    assert [sentence.split(" ", 1)[1][:12] for sentence in found.warnings] == [
        "goes on for ",
        "has 1 overla",
        "has times be",
    ]
    assert "goes on for 0.4 s after the end of the sound" in fitted(found, 1.0).warnings[-1]
    assert fitted(found, 1.0).duration == 1.0


def test_own_subtitles(tmp_path):
    words = [Word(f"word{n}", n * 0.4, n * 0.4 + 0.3) for n in range(20)] + [Word("end", 3661.5, 3662.0)]
    alignment = Alignment.from_segments([], words, 3700.0, "")
    save_alignment(alignment, tmp_path / "x.srt")
    text = (tmp_path / "x.srt").read_text()
    assert text.startswith("1\n00:00:00,000 --> 00:00:04,700\nword0 word1 word2 word3 word4 word5 word6\nword7 ")
    assert text.endswith("3\n01:01:01,500 --> 01:01:02,000\nend\n")
    with pytest.raises(InputError, match="whole lines only"):
        load_alignment(tmp_path / "x.srt")


ALL = (RHUBARB_TSV, RHUBARB_XML, RHUBARB_JSON, PGO, PGO_JSON, DAT, GENTLE, POCKETSPHINX, MFA_CSV, MFA_JSON, HTK,
       AUDACITY, WHISPER, WHISPERX, WHISPER_CPP, KARAOKE, KARAOKE_VTT)  # fmt: skip


def check_bytes(data):
    try:
        found = read_alignment(data, "x")
    except InputError as error:
        assert "\n" not in str(error) and str(error).startswith("x")
        return
    edges = [t for p in found.phones for t in (p.start, p.end)]
    assert edges[0] == 0.0 and edges[-1] == pytest.approx(found.duration, abs=2e-6)
    assert np.allclose(edges[1:-1:2], edges[2::2], atol=2e-6)
    assert {p.label for p in found.phones} <= set(PHONES)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_are_an_alignment_or_one_sentence(data):
    check_bytes(data)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(ALL), st.data())
def test_damaged_files_are_an_alignment_or_one_sentence(text, data):
    whole = text.encode()
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(whole) - 1))
        size = data.draw(st.integers(0, 12))
        other = st.one_of(
            st.binary(max_size=6), st.sampled_from([b"-1", b"1e999", b"null", b"[]", b'"x"', b"NaN", b"0"])
        )
        whole = whole[:at] + data.draw(other) + whole[at + size :] or b" "
    check_bytes(whole)
