"""Transcripts as written → words as spoken, with the written form kept."""

import pytest

from kmtalk_core.localization.text import spoken_words


def spoken(text: str) -> str:
    return " ".join(word for item in spoken_words(text) for word in item.spoken)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("Hello, “world”! It’s 'fine'.", "hello world it's fine"),
        ("wait...what? Well—yes -- no – maybe…", "wait what well yes no maybe"),
        ("a well-known T-shirt and/or hat", "a well known t. shirt and or hat"),
        ("café naïve Zoë Ærø", "cafe naive zoe aero"),
        ("[sighs] Hello (beat) there {music} *coughs* <i>friend</i>", "hello there friend"),
        ("ANNA: I'm here.\n  OLD MAN: So am I.", "i'm here so am i"),
        ("Dr. Smith vs. Mrs. O'Brien, etc.", "doctor smith versus missus o'brien et cetera"),
        ("St. Mary on Main St. again", "saint mary on main street again"),
        ("e.g. this, i.e. that", "for example this that is that"),
        ("the U.S.A. and O.K.", "the u. s. a. and o. k."),
        ("NASA, two DVDs and the FBI", "NASA two DVDs and the FBI"),
        ("I SAID NO TO THE USA", "i said no to the usa"),
        ("you & me @ 50%", "you and me at fifty percent"),
        ("Henry VIII", "henry eight"),
        ("1,455 people and 7 dwarfs", "one thousand four hundred and fifty five people and seven dwarfs"),
        ("1455, 1999, 2005, 2024", "fourteen fifty five nineteen ninety nine two thousand and five twenty twenty four"),
        ("the 1990s and '80s", "the nineteen nineties and eighties"),
        ("the 1st, 2nd and 23rd", "the first second and twenty third"),
        ("3.14 and .5 and -5°C", "three point one four and zero point five and minus five degrees celsius"),
        ("1" * 40, " ".join(["one"] * 40)),
        ("agent 007", "agent oh oh seven"),
        ("$5.50, £1, $0.99", "five dollars and fifty cents one pound ninety nine cents"),
        ("$3 million or €2.5bn", "three million dollars or two point five billion euros"),
        ("1/2, 3/4, 2/3, 1½", "one half three quarters two thirds one and a half"),
        ("at 5:30pm or 7:05 or 8:00", "at five thirty p. m. or seven oh five or eight"),
        ("10-20 or 1939–1945", "ten to twenty or nineteen thirty nine to nineteen forty five"),
        ("20 km, 5kg", "twenty kilometers five kilograms"),
        ("mp3 B2B 3D F-16 20-year-old", "m. p. three b. two b. three d. f. sixteen twenty year old"),
        ("No. 5, no. #1", "number five no number one"),
        ("blender.org", "blender dot org"),
        ("", ""),
        ("… — !?", ""),
        ("Привет", ""),
    ],
)  # fmt: skip
def test_spoken_form(written, said):
    assert spoken(written) == said


def test_the_written_word_is_kept():
    labels = [(word.label, len(word.spoken)) for word in spoken_words("“Hello,” said Dr. O’Neil: it’s $5.50!")]
    assert labels == [("Hello", 1), ("said", 1), ("Dr", 1), ("O’Neil", 1), ("it’s", 1), ("$5.50", 5)]
