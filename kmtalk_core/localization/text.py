"""Transcripts as people write them → words as they are spoken: numbers, abbreviations, symbols, stage directions."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class SpokenWord:
    """A word as written (`label`) and what is said for it (`spoken`).

    Spoken words are in lower case, of letters and apostrophes; a single letter with a full stop ("a.") is the letter's
    name, and capitals ("NASA", "DVDs") may be read as a word or spelled.
    """

    label: str
    spoken: tuple[str, ...]


# What is not said: [sighs], (beat), {music}, <i>, *coughs*, and the speaker's name that begins a line of a script.
_DIRECTION = re.compile(r"\[[^\]]*\]|\([^)]*\)|\{[^}]*\}|<[^>]*>|\*[^*\n]*\*|^\s*[A-Z][A-Z .'’-]+:", re.MULTILINE)
_BREAK = re.compile(r"[\s…]+|\.{2,}|--+|—|(?<!\d)–|–(?!\d)|(?<=[^\W\d])[/_](?=[^\W\d])")
_EDGES = re.compile(r"^[^\w$£€¥#%&@+=½¼¾'’.-]+|[^\w%&@+=°'’.½¼¾]+$")

_LONGEST_NUMBER = 36  # digits; longer ones are read digit by digit

_SYMBOLS = {"&": "and", "%": "percent", "@": "at", "+": "plus", "=": "equals", "#": "number", "°": "degrees"}
_CURRENCIES = {
    "$": ("dollar", "dollars", "cent", "cents"),
    "£": ("pound", "pounds", "penny", "pence"),
    "€": ("euro", "euros", "cent", "cents"),
    "¥": ("yen", "yen", "sen", "sen"),
}
_SCALES = {"k": "thousand", "m": "million", "bn": "billion"}
_SCALE_WORDS = {"hundred", "thousand", "million", "billion", "trillion"}
_UNITS = {
    "km": "kilometers", "cm": "centimeters", "mm": "millimeters", "kg": "kilograms", "g": "grams",
    "mg": "milligrams", "lb": "pounds", "lbs": "pounds", "oz": "ounces", "ft": "feet", "mph": "miles per hour",
    "kmh": "kilometers per hour", "hz": "hertz", "khz": "kilohertz", "mhz": "megahertz", "ghz": "gigahertz",
    "kb": "kilobytes", "mb": "megabytes", "gb": "gigabytes", "tb": "terabytes", "ms": "milliseconds",
    "min": "minutes", "fps": "frames per second", "px": "pixels", "am": "a. m.", "pm": "p. m.", "s": "seconds",
    "m": "meters", "x": "times", "%": "percent", "°": "degrees", "°c": "degrees celsius",
    "°f": "degrees fahrenheit",
}  # fmt: skip
# The full stop may be left out of these, and of these it may not ("no", "sat", "gen").
_ABBREVIATIONS = {
    "mr": "mister", "mrs": "missus", "ms": "miz", "dr": "doctor", "vs": "versus", "jr": "junior", "sr": "senior",
    "prof": "professor", "etc": "et cetera", "dept": "department", "approx": "approximately", "ltd": "limited",
    "blvd": "boulevard",
}  # fmt: skip
_DOTTED = {
    "e.g.": "for example", "i.e.": "that is", "capt.": "captain", "col.": "colonel", "gen.": "general",
    "lt.": "lieutenant", "sgt.": "sergeant", "rev.": "reverend", "hon.": "honorable", "gov.": "governor",
    "sen.": "senator", "rep.": "representative", "inc.": "incorporated", "co.": "company", "corp.": "corporation",
    "ave.": "avenue", "rd.": "road", "mt.": "mount", "ft.": "fort", "est.": "established", "jan.": "january",
    "feb.": "february", "aug.": "august", "sept.": "september", "oct.": "october", "nov.": "november",
    "dec.": "december", "a.m.": "a. m.", "p.m.": "p. m.", "ph.d.": "p. h. d.",
}  # fmt: skip
_VULGAR = {"½": "a half", "¼": "a quarter", "¾": "three quarters"}
_ROMAN = {"ii": "two", "iii": "three", "iv": "four", "vi": "six", "vii": "seven", "viii": "eight", "ix": "nine"}

_NUMBER = r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d*\.\d+|\d+"
_MONEY = re.compile(rf"([$£€¥])({_NUMBER})(k|m|bn)?")
_TIME = re.compile(r"(\d{1,2}):(\d\d)(am|pm)?")
_RANGE = re.compile(rf"({_NUMBER})[-–]({_NUMBER})([a-z%°]*)")
_FRACTION = re.compile(r"(\d+)[/⁄](\d+)")
_DECADE = re.compile(r"'?(\d{2,4})'?s")
_ORDINAL = re.compile(r"(\d[\d,]*)(?:st|nd|rd|th)")
_QUANTITY = re.compile(rf"([-+]?)({_NUMBER})([a-z%°]*)")
_DENOMINATORS = {"2": ("half", "halves"), "4": ("quarter", "quarters")}


def spoken_words(transcript: str) -> tuple[SpokenWord, ...]:
    """The words of a transcript in order, with what is said for each; words of which nothing is said are left out."""
    text = _DIRECTION.sub(" ", transcript.replace("\u00ad", ""))
    text = re.sub(r"(?<=\d)(?=[½¼¾])", " ", text)
    # In a text that is all in capitals, they do not mean abbreviations.
    if text.isupper():
        text = text.lower()
    chunks = [chunk for chunk in _BREAK.split(text) if chunk and chunk.strip("-–'’.") != ""]
    words: list[SpokenWord] = []
    for number, chunk in enumerate(chunks):
        following = chunks[number + 1] if number + 1 < len(chunks) else ""
        previous = chunks[number - 1] if number else ""
        spoken = tuple(_said(_EDGES.sub("", chunk), previous, following))
        if label := chunk.strip(".,;:!?\"“”„«»()[]‘’'*–-") or chunk:
            words.append(SpokenWord(label, spoken))
    return tuple(word for word in words if word.spoken)


def _said(chunk: str, previous: str, following: str) -> Iterator[str]:
    plain = _plain(chunk)
    lower = plain.lower()
    bare = lower.strip(".'-")
    if lower in _DOTTED or (f"{bare}." in _DOTTED and lower.endswith(".")):
        yield from _DOTTED.get(lower, _DOTTED.get(f"{bare}.", "")).split()
    elif bare in _ABBREVIATIONS:
        yield from _ABBREVIATIONS[bare].split()
    elif lower == "st.":
        yield "saint" if following[:1].isupper() and not previous[:1].isupper() else "street"
    elif lower in ("no.", "nos.") and following[:1].isdigit():
        yield "number" if lower == "no." else "numbers"
    elif bare in _ROMAN and plain.isupper() and previous[:1].isupper():
        yield _ROMAN[bare]
    elif re.fullmatch(r"(?:[a-z]\.)+[a-z]?(?:'?s)?", lower) and len(bare) > 1:
        yield from (f"{letter}." for letter in re.sub(r"[^a-z]|'?s$", "", lower))
    elif chunk in _VULGAR:
        yield from (("and",) if previous[-1:].isdigit() else ())
        yield from _VULGAR[chunk].split()
    elif bare in _UNITS and len(bare) > 1 and previous[-1:].isdigit():
        yield from _UNITS[bare].split()
    elif re.search(r"\d", plain) and re.search(r"[^\W\d]{2}-|-[^\W\d]|[^\W\d]-\d", plain):  # 20-year-old, F-16
        for part in plain.split("-"):
            yield from _said(part, "", "")
    elif any(c.isdigit() for c in plain):
        yield from _number_said(lower.strip(".,'") if not lower.startswith((".", "'")) else lower, following)
    elif _plain(previous)[:1] in _CURRENCIES and lower in _SCALE_WORDS:
        yield lower
        yield _CURRENCIES[_plain(previous)[0]][1]
    else:
        yield from _letters_said(plain)


def _letters_said(plain: str) -> Iterator[str]:
    """Words without digits: hyphens and symbols split them; a full stop inside is said (blender.org)."""
    for part in re.findall(r"[A-Za-z']+|[&%@+=#°]|\.(?=[A-Za-z])", plain):
        if part in _SYMBOLS:
            yield _SYMBOLS[part]
        elif part == ".":
            yield "dot"
        elif len(part) == 1 and part in "ABCDEFGHJKLMNOPQRSTUVWXYZ" and part != "A":
            yield f"{part.lower()}."
        elif re.fullmatch(r"[A-Z]{2,}('?s)?", part):
            yield part
        elif word := re.sub(r"^'(.*)'$", r"\1", part.lower()):
            yield word


def _number_said(lower: str, following: str) -> Iterator[str]:
    """What is said for a word with digits in it."""
    if match := _MONEY.fullmatch(lower):
        yield from _money_said(match[1], match[2], match[3], following)
    elif match := _TIME.fullmatch(lower):
        hours, minutes, half = match.groups()
        yield from _cardinal(hours)
        if minutes != "00":
            yield from (("oh",) if minutes[0] == "0" else ())
            yield from _cardinal(minutes.lstrip("0"))
        yield from _UNITS[half].split() if half else ()
    elif match := _FRACTION.fullmatch(lower):
        above, below = match.groups()
        one, many = _DENOMINATORS.get(below) or (_words(below, "ordinal"), _words(below, "ordinal") + "s")
        yield from (*_cardinal(above), *(one if above == "1" else many).split())
    elif match := _RANGE.fullmatch(lower):
        first, last, unit = match.groups()
        yield from (*_cardinal(first), "to", *_cardinal(last), *_UNITS.get(unit, unit).split())
    elif match := _DECADE.fullmatch(lower):
        said = " ".join(_cardinal(match[1]))
        yield from (said[:-1] + "ies" if said.endswith("y") else said + "s").split()
    elif match := _ORDINAL.fullmatch(lower):
        yield from _words(match[1].replace(",", ""), "ordinal").split()
    elif (match := _QUANTITY.fullmatch(lower)) and (not match[3] or match[3] in _UNITS):
        sign, number, unit = match.groups()
        yield from (("minus",) if sign == "-" else ("plus",) if sign else ())
        yield from (*_cardinal(number), *_UNITS.get(unit, "").split())
    else:  # B2B, mp3, 2.0.1, #5
        for part in re.findall(r"\d+|[a-z]+(?:'[a-z]+)?|[&%@+=#°]|\.(?=\w)", lower):
            if part.isdigit():
                yield from _cardinal(part)
            elif part in _SYMBOLS or part == ".":
                yield _SYMBOLS.get(part, "point")
            elif len(part) <= 3:
                yield from (f"{letter}." for letter in part)
            else:
                yield part


def _money_said(sign: str, number: str, scale: str | None, following: str) -> Iterator[str]:
    one, many, cent, cents = _CURRENCIES[sign]
    whole, _, part = number.replace(",", "").partition(".")
    if scale or following.lower().strip(".,!?") in _SCALE_WORDS:  # $3 million: the dollars come after the million
        yield from _cardinal(number)
        yield from (_SCALES[scale], many) if scale else ()
        return
    if int(whole or 0) or not part:
        yield from (*_cardinal(whole), one if whole == "1" else many)
    if part and int(part):
        small = part.ljust(2, "0")[:2].lstrip("0")
        yield from (*(("and",) if int(whole or 0) else ()), *_cardinal(small), cent if small == "1" else cents)


def _cardinal(number: str) -> list[str]:
    """Years are read in pairs, zeros at the front one by one, all else as a number."""
    plain = number.replace(",", "")
    if len(plain) > 1 and plain.startswith("0") and plain.isdigit():
        return ["oh" if digit == "0" else _words(digit, "cardinal") for digit in plain]
    if len(number) == 4 and number.isdigit() and 1100 <= int(number) < 2100 and not 2000 <= int(number) < 2010:
        return _words(number, "year").split()
    return _words(plain, "cardinal").split()


def _words(number: str, to: str) -> str:
    from num2words import num2words  # only texts with numbers pay for it

    if len(number) > _LONGEST_NUMBER:  # num2words has no name for it
        return " ".join(_words(digit, "cardinal") for digit in number if digit.isdigit())
    said = num2words(number, to=to) if "." in number else num2words(int(number), to=to)
    return str(said).replace("-", " ").replace(",", "")


def _plain(text: str) -> str:
    """Without accents; straight apostrophes and hyphens."""
    text = text.replace("’", "'").replace("‘", "'").replace("ʼ", "'").replace("‑", "-").replace("−", "-")
    text = text.replace("æ", "ae").replace("Æ", "Ae").replace("œ", "oe").replace("ø", "o").replace("ß", "ss")
    decomposed = unicodedata.normalize("NFKD", text)
    return "".join(c for c in decomposed if not unicodedata.combining(c))
