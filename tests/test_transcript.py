"""Transcripts from files: encodings, subtitles, the file beside a sound."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kmtalk_core.errors import InputError
from kmtalk_core.localization.transcript import (
    Cue,
    TimedText,
    read_transcript,
    subtitles,
    transcript_beside,
)

SRT = """1
00:00:01,000 --> 00:00:02,500 X1:40 Y1:20
<font color="#fff">Hello,</font>
{\\an8}world &amp; all!

2
00:01:00,250 --> 01:00:03,5
Blank lines

go on here.

3
00:00:00,000 --> 00:00:00,900
First
"""

VTT = """WEBVTT - with a title
Kind: captions

NOTE this is
not said

STYLE
::cue { color: red }

intro
00:01.000 --> 00:02.000 align:start position:0%
<v.loud Ann Lee>Hello <c.red>there</c>

00:00:03.000 --> 00:00:04.000
<v Bob>Bye
"""

HIGHLIGHTED = """1
00:00:00,000 --> 00:00:00,400
<u>Ask</u> not

2
00:00:00,400 --> 00:00:00,500
Ask not

3
00:00:00,500 --> 00:00:01,000
Ask <u>not</u>
"""

SCROLLING = """WEBVTT

00:00:00.000 --> 00:00:02.000
one<00:00:00.500><c> two</c><00:00:01.000><c> three</c>

00:00:02.000 --> 00:00:04.000
one two three
four<00:00:03.000><c> five</c>
"""


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
def test_encodings(tmp_path, encoding):
    path = tmp_path / "x.txt"
    path.write_bytes("“Café” – it’s £5, naïve".encode(encoding))
    assert read_transcript(path) == "“Café” – it’s £5, naïve"


def test_subrip():
    assert subtitles(SRT.replace("\n", "\r\n")) == (
        Cue(0.0, 0.9, "First"),
        Cue(1.0, 2.5, "Hello,\nworld & all!"),
        Cue(60.25, 3603.5, "Blank lines\ngo on here."),
    )


def test_webvtt():
    assert subtitles(VTT) == (Cue(1.0, 2.0, "Hello there", "Ann Lee"), Cue(3.0, 4.0, "Bye", "Bob"))


def test_highlighted_words_are_said_once():
    assert subtitles(HIGHLIGHTED) == (
        Cue(0.0, 1.0, "Ask not", "", (TimedText("Ask", 0.0, 0.4), TimedText("not", 0.5, 1.0))),
    )


def test_captions_that_scroll_are_said_once():
    cues = subtitles(SCROLLING)
    assert [cue.text for cue in cues] == ["one two three", "four five"]
    assert cues[0].words == (TimedText("one", 0.0, 0.5), TimedText("two", 0.5, 1.0), TimedText("three", 1.0, 2.0))


@pytest.mark.parametrize("text", ["", "Hello.", "a --> b", "He said: 1:00 -> 2:00", "00:01 --> nothing"])
def test_plain_text_is_no_subtitle(text):
    assert subtitles(text) is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x07data of some kind\x00\x10 and more", "is not UTF-8 text.*save"),
        (b"RIFF\x00\x10\x00\x00WAVEfmt \x10", "x.txt is a sound or video; save what is said as plain text"),
        (b"PK\x03\x04\x14\x00", "x.txt is an archive or an office document; save"),
        (b"%PDF-1.7\n", "x.txt is a PDF; save"),
        (b"{\\rtf1\\ansi Hello}", r"x.txt is rich text \(RTF\); save"),
        (b'{"tiers": {}}', r"x.txt is JSON; if it is an alignment, give it as such \(--alignment\)"),
        (b'File type = "ooTextFile"\nObject class = "TextGrid"', r"is an alignment; give it as such \(--alignment\)"),
        (b"<!DOCTYPE html>\n<html>", r"is a web page \(HTML\); save"),
        (b"<SAMI><HEAD>", "subtitles of the kind SAMI; save them as .srt"),
        (b"{0}{25}Hello", "subtitles of the kind MicroDVD; save them as .srt"),
        (b"<?xml version='1.0'?><FinalDraft/>", "is XML; save what is said as plain text"),
        (b"WEBVTT\n\n", "has times but no words"),
        (b"[Script Info]\nTitle: x\n", "has times but no words"),
    ],
)
def test_files_that_are_no_transcript(tmp_path, content, message):
    path = tmp_path / "x.txt"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_transcript(path)
    with pytest.raises(InputError, match="check the path"):
        read_transcript(tmp_path / "none.txt")


def test_the_file_beside_a_sound(tmp_path):
    sound = tmp_path / "line 1.wav"
    assert transcript_beside(sound) is None
    (tmp_path / "line 1.lab").write_text("0 1500000 sil\n1500000 3000000 hh\n")  # phones, not a transcript
    assert transcript_beside(sound) is None
    (tmp_path / "line 1.lab").write_text("hello world\n")
    assert transcript_beside(sound) == tmp_path / "line 1.lab"
    (tmp_path / "line 1.srt").write_text(SRT)
    with pytest.raises(InputError, match=r"line 1\.srt and line 1\.lab; name the one"):
        transcript_beside(sound)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from([*SRT.split("\n"), *VTT.split("\n"), *HIGHLIGHTED.split("\n")]), max_size=20))
def test_mixed_up_subtitles_never_fail(lines):
    for cue in subtitles("\n".join(lines)) or ():
        assert cue.text and cue.start >= 0.0


ASS = """[Script Info]
Title: Demo
[V4+ Styles]
Format: Name, Fontname, Fontsize
Style: Default,Arial,20
[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
Comment: 0,0:00:00.00,0:00:09.00,Default,,0,0,0,,not said
Dialogue: 0,0:00:02.00,0:00:03.50,Default,Bob,0,0,0,,{\\i1}Bye,{\\i0} you\\Nthere
Dialogue: 0,0:00:00.50,0:00:01.60,Default,Ann,0,0,0,,{\\k20}Hel{\\k30}lo {\\kf50}you
Dialogue: 0,0:00:04.00,0:00:05.00,Default,,0,0,0,,{\\p1}m 0 0 l 10 10{\\p0}
"""
TTML = """<?xml version="1.0" encoding="UTF-8"?>
<tt xmlns="http://www.w3.org/ns/ttml" xmlns:ttp="http://www.w3.org/ns/ttml#parameter" ttp:frameRate="25"><body><div>
<p begin="00:00:00.500" end="00:00:01:15"><span begin="0.5s" end="0.8s">Hello</span>
 <span begin="800ms" dur="20f">you</span></p>
<p begin="2s" dur="1.5s">Bye,<br/>you
 there</p></div></body></tt>
"""
SBV = "0:00:00.500,0:00:01.600\nHello you\n\n0:00:02.000,0:00:03.500\nBye, you\nthere\n"
LRC = "[ar:Somebody]\n[00:00.50]<00:00.50>Hello <00:00.80>you\n[00:02.00]Bye, you there\n[00:03.50]\n"


@pytest.mark.parametrize("text", [ASS, TTML, SBV, LRC], ids=["ass", "ttml", "sbv", "lrc"])
def test_subtitles_of_other_kinds(tmp_path, text):
    (tmp_path / "x.txt").write_bytes(text.replace("\n", "\r\n").encode("utf-8-sig"))
    for cues in (subtitles(text), subtitles(read_transcript(tmp_path / "x.txt"))):
        assert [" ".join(cue.text.split()) for cue in cues] == ["Hello you", "Bye, you there"]
        assert [cue.start for cue in cues] == [0.5, 2.0] and cues[1].end == 3.5
    if text is ASS:
        assert [cue.speaker for cue in cues] == ["Ann", "Bob"]
        assert cues[0].words == (TimedText("Hello", 0.5, 1.0), TimedText("you", 1.0, 1.5))
    if text in (TTML, LRC):
        assert [(w.text, w.start) for w in cues[0].words] == [("Hello", 0.5), ("you", 0.8)]


@pytest.mark.parametrize(
    "text", ["[sighs] Hello.\n[00:01] Hi", "<b>Hello</b> you", "Dialogue is hard.", "[00:01.5] Hi\nHo\nHo"]
)
def test_plain_text_with_brackets_is_no_subtitle(text):
    assert subtitles(text) is None


def test_rarer_subtitles_lie_beside_a_sound(tmp_path):
    (tmp_path / "a.ass").write_text(ASS)
    assert transcript_beside(tmp_path / "a.wav") == tmp_path / "a.ass"
    (tmp_path / "a.srt").write_text(SRT)
    assert transcript_beside(tmp_path / "a.wav") == tmp_path / "a.srt"
