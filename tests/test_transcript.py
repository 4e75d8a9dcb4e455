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
    [(b"RIFF\x00\x10\x00\x00WAVEfmt \x10", "is not UTF-8 text.*save"), (b"WEBVTT\n\n", "has times but no words")],
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
