"""Reading takes time in proportion to what is read, whatever it holds: no pattern is quadratic."""

import base64
import random
import time

import pytest

from kmtalk_core.errors import KMTalkError
from kmtalk_core.localization.g2p import pronunciations
from kmtalk_core.localization.importers import read_alignment
from kmtalk_core.localization.text import spoken_text
from kmtalk_core.localization.transcript import subtitles

SMALL, LARGE = 4_000, 16_000  # letters
MOST = 9.0  # times as long for LARGE as for SMALL; 4 in proportion, 16 if it is quadratic
FLOOR = 0.03  # s of processor time below which nothing is compared

UNITS = (
    "a!!!!", "1/1/1/", "<u>", "<u><u", "<v ", "{\\", "[", "[]", "(", ")(", "{", "<", "<a ", "*", "*a", "~~", "`", "==",
    "a.", "A.", "a@", "a-", "A", "AEIB", "AEIOU", "1", "1,", ",000", "1:", "1:00 ", "[0:01", "[00:00.00]a", "-", "--",
    "_", "'s", "x'll", "é", "日", "&", "&#", "&amp;", "http://", "x.com/", "a b ", "A b:\n", "A: ", "\n", "\n \n", " ",
    "\t", "0:00:01,0 --> 0:00:02,0\n", "0:00:01,0 --> 0:00:02,0\n<u>x</u> y\n\n", "0:00:00.1,0:00:00.2\na\n\n", "$1",
    "$", '"', '""', "#", "# \n", "> ", "XVI ", "+1 ", "12 ", "m.", "![](", "[a](", "<!--", '"*/a"\n', "1e", "st",
    "Ab Cd ", "½", ":) ", "{1}{2}a\n", "Dialogue: 0,0:00:00.2,0:00:01.2,,a,0,0,0,,{\\k2}a\n", "u 1 0.1 0.1 a\n",
    "0 1 a\n",
)  # fmt: skip
READERS = {
    "text": spoken_text,
    "subtitles": lambda text: subtitles("WEBVTT\n\n00:00.0 --> 00:01.0\n" + text),
    "cues": subtitles,
    "alignment": lambda text: read_alignment(text.encode(), "x"),
    "TextGrid": lambda text: read_alignment(b'"ooTextFile"\n"TextGrid"\n0 1 <exists> 1 ' + text.encode(), "x"),
    "json": lambda text: read_alignment(b'{"phones": "' + text.encode(), "x"),
    "xml": lambda text: read_alignment(b"<tt>" + text.encode(), "x"),
    "word": lambda text: pronunciations("".join(c for c in text.lower() if c.isalpha() or c == "'") or "a"),
}


def seconds(reader, text):
    start = time.process_time()
    try:
        reader(text)
    except KMTalkError as error:
        assert len(str(error)) < 500
    return time.process_time() - start


def grows_in_proportion(reader, make):
    for _ in range(3):  # another process may have got in the way
        small = seconds(reader, make(SMALL))
        if small < FLOOR / MOST or seconds(reader, make(LARGE)) < MOST * max(small, FLOOR / 4):
            return True
    return False


@pytest.mark.parametrize("name", READERS)
def test_nothing_is_quadratic(name):
    slow = [
        unit
        for unit in UNITS
        if not grows_in_proportion(READERS[name], lambda size, unit=unit: (unit * (size // len(unit) + 1))[:size])
    ]
    assert not slow


def test_encoded_data_takes_no_longer():
    rng = random.Random(0)
    assert grows_in_proportion(spoken_text, lambda size: base64.b64encode(rng.randbytes(3 * size // 4)).decode())


def test_a_long_text_takes_seconds():
    text = "Mr. Smith paid $1,234.56 on May 3rd, 2020 (at 5:30pm). “Well,” she said; it's 24/7!\n" * 2_000
    start = time.process_time()
    assert len(spoken_text(text).words) == 26_000
    assert time.process_time() - start < 20.0
