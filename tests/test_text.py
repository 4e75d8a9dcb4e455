"""Transcripts as written → words as spoken, with the written form kept."""

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kmtalk_core.localization.number_words import cardinal_words, ordinal_words, year_words
from kmtalk_core.localization.text import SpokenWord, spoken_text, spoken_words


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
        ("Henry VIII, George V, World War II, Rocky IV", "henry the eighth george the fifth world war two rocky four"),
        ("Elizabeth I of England, I think", "elizabeth the first of england i think"),
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
        ("1962-05-01, 12/31/99", "may first nineteen sixty two december thirty first ninety nine"),
        ("on 3/4 we ate 3/4", "on march fourth we ate three quarters"),
        ("May 3rd; May 3; 3 May; Sept. 5", "may third may third third of may september fifth"),
        ("in 1066, 24/7, 3 1/2", "in ten sixty six twenty four seven three and one half"),
        ("£1m, 50¢, 5€, US$20, -$5, $5/hour", "one million pounds fifty cents five euros twenty dollars minus five"
         " dollars five dollars per hour"),
        ("1 km, 5 °C, 100 km/h, 1 hr, 2 m², 5'10\"", "one kilometer five degrees celsius one hundred kilometers"
         " per hour one hour two square meters five foot ten"),
        ("(555) 123-4567", "five five five one two three four five six seven"),
        ("www.x.com/a-b jo.doe@x.org!", "w. w. w. dot x. dot com slash a. dash b. jo dot doe at x. dot org"),
        ("No. I have no. 5 on p. 3", "no i have number five on page three"),
        ("I wor- work s-s-so th-that T-shirt, I-I", "i wor- work s- s- so th- that t. shirt i i"),
        ("um, uh-huh, mm-hmm", "um uh huh mm hmm"),
        ("YouTube, McDonald, OpenAI, eBay", "you tube mcdonald open AI e. bay"),
        ("R&D in C++, #tag", "r. and d. in c. plus plus hashtag tag"),
        ("Note: it is **really** late", "note it is really late"),
        ("rock 'n' roll", "rock 'n roll"),
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


def test_what_is_not_said_is_kept_apart():
    text = spoken_text("Anna: [sighs] Hi, мир.\nBob: (waves) Hello!")
    assert text.unspoken == ("Anna:", "Bob:", "[sighs]", "(waves)")
    assert text.unreadable == ("мир",)
    assert text.warnings[0].startswith("“мир” cannot be read out in English")
    assert text.spoken == (("hi", 0), ("hello", 1))


def test_spoken_words_know_their_written_word():
    text = spoken_text("It cost $5.50 today")
    assert [text.words[number].label for _, number in text.spoken] == ["It", "cost", *["$5.50"] * 5, "today"]


def test_subtitles_give_times_and_speakers():
    text = spoken_text(
        "WEBVTT\n\n00:01.000 --> 00:02.500\n<v Ann>Hello <i>you</i>!\n\n00:03.000 --> 00:04.000\n- Hi &amp; bye"
    )
    assert text.words == (
        SpokenWord("Hello", ("hello",), 1.0, 2.5, "Ann"),
        SpokenWord("you", ("you",), 1.0, 2.5, "Ann"),
        SpokenWord("Hi", ("hi",), 3.0, 4.0),
        SpokenWord("&", ("and",), 3.0, 4.0),
        SpokenWord("bye", ("bye",), 3.0, 4.0),
    )


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("The 5G network, 4K, 5g, 5M", "the five g. network four k. five grams five million"),
        ("$1,234.56 or 1,234.56", "one thousand two hundred and thirty four dollars and fifty six cents or one thousand"
         " two hundred and thirty four point five six"),
        ("+44 20 7946 0018 or +442079460018!", " or ".join(["plus four four two zero seven nine four six zero zero one"
         " eight"] * 2)),
        ("555 123 4567, 020 7946 0018, 1 800 555 1234", "five five five one two three four five six seven zero two zero"
         " seven nine four six zero zero one eight one eight zero zero five five five one two three four"),
        ("Mr.Smith, Dr.Who vs.them. Vol.2 and No.1", "mister smith doctor who versus them volume two and number one"),
        ("Hello,world.Then we left.", "hello world then we left"),
        ("Super Bowl XLVIII, Size XL", "super bowl forty eight size XL"),
        ("10:30–11:45 am at 17:00", "ten thirty to eleven forty five a. m. at seventeen hundred"),
        ("1.000.000 or 1\u202f000 or 10 000 000", "one million or one thousand or ten million"),
        ("Speaker 1 (00:01): hello\nQ: why", "hello why"),
        ("call 911, 5 €, 1 €, w/o 100 km/h", "call nine one one five euros one euro without one hundred kilometers per"
         " hour"),
        ("Jan 5, Dec. 2020, a may 5", "january fifth december twenty twenty a may fifth"),
        ("10³ and 5²", "ten cubed and five squared"),
        ("3.50 and 10.10", "three point five zero and ten point one zero"),
        ("😀 Hello 👋🏽 world ❤️ 5️⃣ :) :-D <3", "hello world five"),
        ("a ~~bad~~ good `code` ==idea== __here__", "a bad good code idea here"),
        ("[a link](https://x.com/y) ![alt](/b.png)", "a link alt"),
        ("# Title\n- item one\n* item two\n> quoted", "title item one item two quoted"),
        ("A &amp; B, it`s", "a and b. it's"),
        ("[00:00:01] Speaker 1: Hello\n[00:00:04] Speaker 2: Bye", "hello bye"),
        ("[00:00.000 --> 00:02.000]  Hello there", "hello there"),
        ("(0:01) hello\n(0:04) bye", "hello bye"),
        ("0:01\nHello there\n0:04\nBye", "hello there bye"),
        ("0:00\nHello", "hello"),
        ("0:00 Hello\n1:05 - there\n2:30 you", "hello there you"),
        ("Ann Lee  0:03\nHello\n\nBob  0:07\nBye", "hello bye"),
        ("SPEAKER_00: hello\nSPEAKER_01: bye", "hello bye"),
        ("Speaker 1: hello", "hello"),
        ("ANNA (V.O.): Hello", "hello"),
        ("Meet me at 5:30\nor at 6:00", "meet me at five thirty or at six"),
        ("5:30 is when we meet.", "five thirty is when we meet"),
        ("5:30", "five thirty"),
        ("AT 5:30 WE GO", "at five thirty we go"),
        ("[a [b] c] hi (x (y) z) there [unclosed, 5) :(", "hi there unclosed five"),
    ],
)  # fmt: skip
def test_what_people_and_tools_write(written, said):
    assert spoken(written) == said
    assert spoken_text(written).warnings == ()


@pytest.mark.parametrize(
    "label", ["5G", "$1,234.56", "+44", "100%", "24/7", "#1", "-5", ".5", "'90s", "km/h", "x.com", "1ˢᵗ", "O’Neil"]
)
def test_labels_are_what_was_typed(label):
    words = spoken_words(f"The “{label}”, 100 {label} there")
    assert [word.label for word in words] == ["The", label, "100", label, "there"]


def test_numbers_are_said_as_num2words_says_them():
    numbers = [*range(2200), *(3**power for power in range(8, 75))]
    lines = [" ".join((*cardinal_words(number), *ordinal_words(number))) for number in numbers]
    lines += [" ".join(year_words(year)) for year in range(1000, 10000)]
    known = "49b5bc69aedf38292da1174b4ddbd24e6e76b242a870a6cf3fd9bdd19e4fa7d0"  # of num2words 0.5.14
    assert hashlib.sha256("\n".join(lines).encode()).hexdigest() == known
    assert " ".join(cardinal_words(10**36 - 1)).startswith("nine hundred and ninety nine decillion nine hundred and")


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet=st.one_of(st.sampled_from("aI5.,:;/-–'’$€%°½()[]<>*@#&+ \n"), st.characters()), max_size=40))
def test_any_text_can_be_spoken(text):
    for word in spoken_text(text).words:
        assert word.label and word.spoken
        assert all(said.strip("'-").rstrip(".").replace("'", "").isascii() and " " not in said for said in word.spoken)
