"""Transcripts as people write them → words as they are spoken: numbers, abbreviations, symbols, stage directions."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

from ..errors import shortened
from .numerals import (
    CURRENCIES,
    SCALE_WORDS,
    SYMBOLS,
    UNITS,
    cardinal,
    digits,
    is_month,
    number_said,
    ordinal,
    unit_said,
)
from .transcript import subtitles
from .unspoken import speaker_labels, without_directions, without_lists, without_markup, without_names, without_times


@dataclass(frozen=True)
class SpokenWord:
    """A word as written (`label`) and what is said for it (`spoken`).

    Spoken words are in lower case, of letters and apostrophes; a single letter with a full stop ("a.") is the letter's
    name, capitals ("NASA", "DVDs") may be read as a word or spelled, and a hyphen at the end ("wor-") tells that the
    word was not finished. `start` and `end` are the seconds of the subtitle that the word is from, a hint of when it is
    said; `speaker` is who says it, where the transcript tells.
    """

    label: str
    spoken: tuple[str, ...]
    start: float | None = None
    end: float | None = None
    speaker: str = ""


@dataclass(frozen=True)
class SpokenText:
    """A whole transcript. `unspoken`: what was taken as not said, as written (stage directions, speakers' names);
    `unreadable`: words that English has no letters for.
    """

    words: tuple[SpokenWord, ...]
    unspoken: tuple[str, ...] = field(default=())
    unreadable: tuple[str, ...] = field(default=())

    @property
    def spoken(self) -> tuple[tuple[str, int], ...]:
        """Every spoken word in order, with the number of the written word that it belongs to."""
        return tuple((said, number) for number, word in enumerate(self.words) for said in word.spoken)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the user should know: words that cannot be read out."""
        if not self.unreadable:
            return ()
        quoted = ", ".join(f"“{shortened(word, 30)}”" for word in self.unreadable[:5])
        more = f" and {len(self.unreadable) - 5} more" if len(self.unreadable) > 5 else ""
        were = "was" if len(self.unreadable) == 1 else "were"
        return (f"{quoted}{more} cannot be read out in English and {were} left out; choose the language of the text.",)


_BREAK = re.compile(
    r"…+|\.{2,}|--+|—|(?<!\d)–|–(?!\d)|(?<=[^\W\d])[/_](?=[^\W\d])|\||(?<=[^\W\d_])[,;:!?]+(?=[^\W\d_])"
    r"|(?<=[a-z]{2})\.(?=[A-Z][a-z])"
)
_INSIDE = frozenset(f"_%&@+={''.join(CURRENCIES)}#§√π№~≈±<>°½¼¾⅓⅔⅛'’.-")  # may begin a word, letters and digits too
_AT_END = frozenset("_%&@+=°'’.½¼¾⅓⅔⅛€£¢")
_PUNCTUATION = ".,;:!?¡¿\"“”„«»()[]‘’'*–-_♪♫"
_ADDRESS = re.compile(
    r"(?:https?://|www\.)[^\s<>]+|[\w.+-]+@[\w-]+(?:\.[\w-]+)+|[\w-]+(?:\.[\w-]+)*\.(?:com|org|net|io|edu|gov|dev)(?:/\S*)?",
    re.IGNORECASE,
)
_GLUED = re.compile(
    r"\b(Mrs?|Ms|Dr|St|Prof|Capt|Gen|Lt|Sgt|Rev|Sen|Gov)\.(?=[A-Z])|\b(vs)\.(?=\w)|\b([Nn]os?|[Vv]ol|[Ff]igs?|[Cc]h|pp?|[Ss]ec|[Ee]p|[Pp]t|Art)\.(?=\d)"
)
_GROUP = re.compile(r"\+?\(?\d{1,5}\)?[.,;:!?]?")
_NATIONAL = ((3, 3, 4), (1, 3, 3, 4))  # digits of the groups of a telephone number
_GENERATION = re.compile(r"[2-7](?:\.5)?G|[248]K")  # 5G, 4K: the letter is said
_MILLIONS = re.compile(r"(\d[\d,]*(?:\.\d+)?)M")
_UNFINISHED = re.compile(r"[^\W\d_]-[\"”'’,.!?]*$")
# The spaces of 1 000 000, as it is set, or typed before noughts.
_SPACED = re.compile(r"(?<=\d)(?:[\u00a0\u202f\u2009](?=\d{3}(?!\d))| (?=000(?!\d)))")
_RATES = {"km/h": "kmh", "m/s": "mps", "mi/h": "mph"}
_WHOLE = frozenset((*_RATES, "w/o"))  # a stroke divides all other words

# The full stop may be left out of these, and of these it may not ("no", "sat", "gen").
_ABBREVIATIONS = {
    "mr": "mister", "mrs": "missus", "ms": "miz", "dr": "doctor", "vs": "versus", "jr": "junior", "sr": "senior",
    "prof": "professor", "etc": "et cetera", "dept": "department", "approx": "approximately", "ltd": "limited",
    "blvd": "boulevard", "messrs": "messers", "mt": "mount", "govt": "government", "w/o": "without", "w/": "with",
    "misc": "miscellaneous", "esq": "esquire", "&c": "et cetera",
}  # fmt: skip
_DOTTED = {
    "e.g.": "for example", "i.e.": "that is", "capt.": "captain", "col.": "colonel", "gen.": "general",
    "lt.": "lieutenant", "sgt.": "sergeant", "rev.": "reverend", "hon.": "honorable", "gov.": "governor",
    "sen.": "senator", "rep.": "representative", "inc.": "incorporated", "co.": "company", "corp.": "corporation",
    "ave.": "avenue", "rd.": "road", "ft.": "fort", "est.": "established", "a.m.": "a. m.", "p.m.": "p. m.",
    "ph.d.": "p. h. d.", "cmdr.": "commander", "maj.": "major", "pres.": "president", "univ.": "university",
    "tues.": "tuesday", "thurs.": "thursday", "fri.": "friday", "mon.": "monday", "viz.": "namely", "cf.": "compare",
    "bros.": "brothers", "no.": "no", "assn.": "association", "intl.": "international", "natl.": "national",
}  # fmt: skip
_BEFORE_NUMBERS = {
    "no.": "number", "nos.": "numbers", "p.": "page", "pp.": "pages", "fig.": "figure", "figs.": "figures",
    "ch.": "chapter", "vol.": "volume", "ca.": "circa", "c.": "circa", "sec.": "section", "art.": "article",
    "par.": "paragraph", "ep.": "episode", "pt.": "part", "st.": "saint",
}  # fmt: skip
_VULGAR = {
    "½": "a half", "¼": "a quarter", "¾": "three quarters", "⅓": "a third", "⅔": "two thirds", "⅛": "an eighth",
}  # fmt: skip
_ROMAN = re.compile(r"(?=[XVI])(X{0,3})(IX|IV|V?I{0,3})")
_LONG_ROMAN = re.compile(r"(?=[LXVI])(XL|L?X{0,3})(IX|IV|V?I{0,3})")  # XL is a size, too
_NUMBERED_THINGS = frozenset(("war", "chapter", "part", "act", "volume", "book", "bowl", "psalm", "section", "title"))
# After a ruler's name a Roman numeral is "the eighth", after all else "eight".
_RULERS = frozenset(
    ("henry", "louis", "george", "elizabeth", "charles", "james", "edward", "william", "richard", "john", "paul",
     "pius", "benedict", "francis", "philip", "ferdinand", "peter", "catherine", "frederick", "wilhelm", "ramses",
     "ramesses", "napoleon", "mary", "alexander", "nicholas", "ivan", "leo", "gregory", "innocent", "clement", "urban",
     "robert", "david", "malcolm", "alfonso", "carlos", "felipe", "juan", "otto", "gustav", "christian", "albert",
     "leopold", "joseph", "rudolf", "maximilian", "boniface", "julius", "sixtus", "umberto", "baldwin", "ptolemy",
     "xerxes", "darius", "cyrus", "mehmed", "murad", "osman", "selim", "elisabeth", "haakon", "olav", "abdullah")
)  # fmt: skip
_NO_BORDER = frozenset(("mc", "mac", "de", "du", "la", "le", "di", "da", "van", "von", "fitz", "o"))
_LETTERS = str.maketrans(
    {"’": "'", "‘": "'", "ʼ": "'", "‑": "-", "−": "-", "æ": "ae", "Æ": "Ae", "œ": "oe", "Œ": "Oe", "ø": "o", "Ø": "O",
     "ß": "ss", "ł": "l", "Ł": "L", "đ": "d", "Đ": "D", "ð": "th", "þ": "th", "Þ": "Th", "ı": "i"}
)  # fmt: skip


def spoken_words(transcript: str) -> tuple[SpokenWord, ...]:
    """The words of a transcript in order, with what is said for each; words of which nothing is said are left out."""
    return spoken_text(transcript).words


@lru_cache(maxsize=1)  # checking a text and aligning it ask for the same
def spoken_text(transcript: str) -> SpokenText:
    """A transcript, or the text of SubRip or WebVTT subtitles, as it is spoken."""
    cues = subtitles(transcript)
    if cues is None:
        return _spoken(transcript)
    texts = []
    labels = speaker_labels("\n".join(cue.text for cue in cues))
    for cue in cues:
        text = _spoken(cue.text, labels)
        texts.append(
            replace(
                text,
                words=tuple(
                    replace(word, start=cue.start, end=cue.end, speaker=cue.speaker or word.speaker)
                    for word in text.words
                ),
            )
        )
    return SpokenText(
        tuple(word for text in texts for word in text.words),
        tuple(piece for text in texts for piece in text.unspoken),
        tuple(word for text in texts for word in text.unreadable),
    )


def _spoken(transcript: str, labels: frozenset[str] | None = None) -> SpokenText:
    unspoken: list[str] = []

    def drop(what: str) -> str:
        if what.strip():
            unspoken.append(what.strip())
        return " "

    text = without_times(without_markup(transcript), drop)
    labels = speaker_labels(text) if labels is None else labels
    text = without_directions(without_names(without_lists(text), labels, drop), drop)
    text = without_names(text, labels, drop)  # a direction may have stood before the colon
    text = re.sub(r"(?<=\d)(?=[½¼¾⅓⅔⅛])", " ", text)
    text = _SPACED.sub(",", text)
    text = re.sub(r"(?<=\d)[²³]", lambda match: " squared" if match[0] == "²" else " cubed", text)
    text = _GLUED.sub(lambda match: f"{match[0]} ", text)
    text = "\n".join(_calm(line) for line in text.split("\n"))
    chunks = list(_chunks(text))
    telephone = _telephone(chunks)
    found: list[SpokenWord] = []
    unreadable: list[str] = []
    for number, chunk in enumerate(chunks):
        following = chunks[number + 1] if number + 1 < len(chunks) else ""
        previous = chunks[number - 1] if number else ""
        label = _label(chunk)
        if number in telephone:
            found.append(SpokenWord(label, (*(("plus",) if "+" in chunk else ()), *digits(chunk))))
        elif said := tuple(_said_for(chunk, previous, following)):
            found.append(SpokenWord(label, said))
        elif any(c.isalpha() for c in chunk):
            unreadable.append(label)
    return SpokenText(tuple(found), tuple(unspoken), tuple(unreadable))


def _telephone(chunks: Sequence[str]) -> set[int]:
    """The numbers of the chunks that are groups of telephone numbers: +44 20 7946 0018, 020 7946 0018, 555 123 4567."""
    found: set[int] = set()
    start = 0
    while start < len(chunks):
        lengths: list[int] = []
        for chunk in chunks[start : start + 7]:
            if not _GROUP.fullmatch(chunk) or (lengths and "+" in chunk) or sum(lengths) >= 10:
                break
            lengths.append(sum(c.isdecimal() for c in chunk))
            if chunk[-1] in ".,;:!?":
                break
        first = chunks[start][0]
        count = next((len(form) for form in _NATIONAL if tuple(lengths[: len(form)]) == form), 0)
        if not count and first in "+0" and len(lengths) > 1 and 7 <= sum(lengths) <= 15:
            count = len(lengths)
        found.update(range(start, start + count))
        start += max(count, 1)
    return found


def _label(chunk: str) -> str:
    """A word without the quotes and stops around it, but with what belongs to it: -5, .5, '90s, 'tis."""
    label = chunk.strip(_PUNCTUATION)
    first = chunk.find(label)
    if label and first > 0 and (chunk[first - 1] in "-.'’" and (label[0].isdecimal() or label.lower() == "tis")):
        label = chunk[first - 1] + label
    return label or chunk


def _calm(line: str) -> str:
    """A line that is all in capitals is loud; its capitals do not mean abbreviations."""
    letters = re.findall(r"[^\W\d_]{2,}", line)
    loud = len(letters) >= 3 and all(word.isupper() for word in letters)
    return line.lower() if loud or (line.isupper() and len(letters) >= 2) else line


def _chunks(text: str) -> Iterator[str]:
    for token in text.split():
        bare = token.strip(_PUNCTUATION + "<>")
        if bare.lower() in _WHOLE or _ADDRESS.fullmatch(bare):
            yield token
            continue
        for chunk in _BREAK.split(token):
            if chunk and chunk.strip("-–'’.") != "":
                yield chunk


def _said_for(chunk: str, previous: str, following: str) -> Iterator[str]:
    bare = chunk.strip(_PUNCTUATION + "<>")
    if _ADDRESS.fullmatch(bare):
        yield from _address_said(bare)
    elif re.fullmatch(r"\(\d{3}\)", chunk):  # the area code of a telephone number
        yield from digits(chunk)
    elif _UNFINISHED.search(chunk) and (parts := re.findall(r"[a-z']+", _plain(bare).lower())):
        yield from _with_stutter(parts[:-1])
        yield f"{parts[-1]}-"
    else:
        yield from _said(_within_edges(chunk), previous, following)


def _within_edges(chunk: str) -> str:
    """Without what surrounds a word: quotes, commas and the like."""
    first, last = 0, len(chunk)
    while first < last and not (chunk[first].isalnum() or chunk[first] in _INSIDE):
        first += 1
    while last > first and not (chunk[last - 1].isalnum() or chunk[last - 1] in _AT_END):
        last -= 1
    return chunk[first:last]


def _said(chunk: str, previous: str, following: str) -> Iterator[str]:
    plain = _plain(chunk)
    lower = plain.lower()
    bare = lower.strip(".'-")
    after_number = previous[-1:].isdecimal()
    bare = _RATES.get(bare, bare)
    if after_number and bare in CURRENCIES:  # 5 €
        yield CURRENCIES[bare][0 if previous == "1" else 1]
    elif after_number and bare in UNITS and (len(bare) > 1 or plain in ("m", "g", "h", "s", "l")) and bare != "in":
        yield from unit_said(bare, previous)
    elif lower in _BEFORE_NUMBERS and lower != "st." and following[:1].isdecimal():
        yield from _BEFORE_NUMBERS[lower].split()
    elif is_month(lower) and following[:1].isdecimal() and chunk[:1].isupper():
        yield is_month(lower)
    elif lower != "no." and (lower in _DOTTED or (f"{bare}." in _DOTTED and lower.endswith(".") and bare != "no")):
        yield from _DOTTED.get(lower, _DOTTED.get(f"{bare}.", "")).split()
    elif bare in _ABBREVIATIONS and (bare != "mt" or chunk[:1].isupper()):
        yield from _ABBREVIATIONS[bare].split()
    elif lower == "st.":
        yield "saint" if following[:1].isupper() and not previous[:1].isupper() else "street"
    elif roman := _roman_said(plain, previous, following):
        yield from roman
    elif re.fullmatch(r"(?:[a-z]\.)+[a-z]?(?:'?s)?", lower) and len(bare) > 1:
        yield from (f"{letter}." for letter in re.sub(r"[^a-z]|'?s$", "", lower))
    elif chunk in _VULGAR:
        yield from (("and",) if after_number else ())
        yield from _VULGAR[chunk].split()
    elif re.search(r"\d", plain) and re.search(r"[^\W\d]{2}-|-[^\W\d]|[^\W\d]-\d", plain):  # 20-year-old, F-16
        for part in plain.split("-"):
            yield from _said(part, "", "")
    elif _GENERATION.fullmatch(plain):
        yield from (*cardinal(plain[:-1]), f"{plain[-1].lower()}.")
    elif match := _MILLIONS.fullmatch(plain):
        yield from (*cardinal(match[1]), "million")
    elif any(c.isdecimal() for c in plain):
        yield from number_said(lower.strip(".,'") if not lower.startswith((".", "'")) else lower, previous, following)
    elif _plain(previous)[:1] in CURRENCIES and lower.strip(".,!?") in SCALE_WORDS:
        yield lower.strip(".,!?")
        yield CURRENCIES[_plain(previous)[0]][1]
    else:
        yield from _letters_said(plain)


def _roman_said(plain: str, previous: str, following: str) -> list[str]:
    """Henry VIII, World War II, Chapter IV; nothing for what is no numeral here."""
    bare, _, ending = plain.strip(".,'").partition("'")
    before = _plain(previous).strip(_PUNCTUATION).lower()
    numeral = _LONG_ROMAN if before in _NUMBERED_THINGS else _ROMAN
    if not numeral.fullmatch(bare) or not previous[:1].isupper() or previous[-1:] in ".,;:!?":
        return []
    ruler = before.removesuffix("'s") in _RULERS
    # "I", "V" and "X" alone are mostly something else.
    if len(bare) == 1 and not ((ruler and bare != "I") or (ruler and following.lower() in ("", "of", "and"))):
        return [] if bare == "I" or before not in _NUMBERED_THINGS else cardinal(str(_value(bare)))
    said = ["the", *ordinal(str(_value(bare)))] if ruler else cardinal(str(_value(bare)))
    return [*said[:-1], f"{said[-1]}'s" if ending == "s" else said[-1]]


def _value(roman: str) -> int:
    values = [{"I": 1, "V": 5, "X": 10, "L": 50}[c] for c in roman]
    return sum(-v if v < max(values[i:]) else v for i, v in enumerate(values))


def _address_said(address: str) -> Iterator[str]:
    """blender.org, www.x.com/help, ann@x.org: the signs are said, well-known endings are words."""
    plain = re.sub(r"^https?://", "", _plain(address).rstrip("/"), flags=re.IGNORECASE).partition("?")[0]
    signs = {".": "dot", "@": "at", "/": "slash", "-": "dash", "_": "underscore", "+": "plus", "~": "tilde"}
    for part in re.findall(r"[A-Za-z]+|\d+|[.@/_+~-]", plain):
        if part in signs:
            yield signs[part]
        elif part.isdecimal():
            yield from cardinal(part)
        elif part.lower() == "www" or len(part) == 1 or part.lower() in ("io", "uk", "de", "fr", "eu", "tv", "html"):
            yield from (f"{letter}." for letter in part.lower())
        else:
            yield part.lower()


def _letters_said(plain: str) -> Iterator[str]:
    """Words without digits: hyphens and symbols split them; a full stop inside is said (blender.org)."""
    parts = re.findall(rf"[A-Za-z']+|[{re.escape(''.join(SYMBOLS))}]|\.(?=[A-Za-z])", plain)
    if len(parts) > 1 and "-" in plain and all(part.isalpha() for part in parts):
        parts = list(_with_stutter(parts))
    for number, part in enumerate(parts):
        if part in SYMBOLS:
            yield from ("hashtag" if part == "#" and number + 1 < len(parts) else SYMBOLS[part]).split()
        elif part == ".":
            yield "dot"
        elif part.endswith("-"):
            yield part.lower()
        else:
            yield from _word_said(part)


def _with_stutter(parts: Iterable[str]) -> Iterator[str]:
    """The parts of a hyphened word; those that only begin the next one ("s-s-so") are marked as unfinished."""
    listed = list(parts)
    for part, following in zip(listed, [*listed, ""][1:], strict=True):
        begins = following.lower().startswith(part.lower())
        broken = begins and (len(part) == 1 or not re.search("[aeiouy]", part.lower())) and part not in ("I", "A", "a")
        yield f"{part.lower()}-" if broken else part


def _word_said(part: str) -> Iterator[str]:
    pieces = re.findall(r"[A-Z]{2,}(?![a-z])(?:'?s)?|[A-Z]?[a-z']+|[A-Z]", part)
    if len(part) == 1 and part in "ABCDEFGHJKLMNOPQRSTUVWXYZ" and part != "A":
        yield f"{part.lower()}."
    elif re.fullmatch(r"[A-Z]{2,}('?s)?", part):
        yield part
    elif part.lower() == "'n'":
        yield "'n"
    elif len(pieces) > 1 and "".join(pieces) == part and pieces[0].lower() not in _NO_BORDER and "'" not in pieces[0]:
        for piece in pieces:  # YouTube, iPhone, OpenAI
            yield from _word_said(piece.upper() if len(piece) == 1 else piece)
    elif word := re.sub(r"^'(.*)'$", r"\1", part.lower()):
        yield word


def _plain(text: str) -> str:
    """Without accents; straight apostrophes and hyphens."""
    decomposed = unicodedata.normalize("NFKD", text.translate(_LETTERS))
    if decomposed.isascii():
        return decomposed
    return "".join(str(int(c)) if c.isdecimal() else c for c in decomposed if not unicodedata.combining(c))
