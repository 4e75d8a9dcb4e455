"""How figures are read out in English: numbers, years, dates, times, money, units, fractions, scores, versions."""

from __future__ import annotations

import re
from collections.abc import Iterator

from .number_words import LONGEST, cardinal_words, ordinal_words, year_words

SYMBOLS = {
    "&": "and", "%": "percent", "@": "at", "+": "plus", "=": "equals", "#": "number", "°": "degrees", "~": "about",
    "≈": "about", "×": "times", "÷": "divided by", "±": "plus or minus", "<": "less than", ">": "greater than",
    "§": "section", "√": "square root of", "π": "pi", "№": "number", "≤": "at most", "≥": "at least",
}  # fmt: skip
CURRENCIES = {
    "$": ("dollar", "dollars", "cent", "cents"), "£": ("pound", "pounds", "penny", "pence"),
    "€": ("euro", "euros", "cent", "cents"), "¥": ("yen", "yen", "sen", "sen"),
    "₹": ("rupee", "rupees", "paisa", "paise"), "₩": ("won", "won", "jeon", "jeon"),
    "₽": ("ruble", "rubles", "kopek", "kopeks"), "¢": ("cent", "cents", "", ""), "₿": ("bitcoin", "bitcoins", "", ""),
}  # fmt: skip
_CODES = {"us$": "$", "a$": "$", "c$": "$", "ca$": "$", "nz$": "$", "hk$": "$"}
_SCALES = {
    "k": "thousand", "m": "million", "mn": "million", "mio": "million", "b": "billion", "bn": "billion",
    "t": "trillion", "tn": "trillion",
}  # fmt: skip
SCALE_WORDS = frozenset(("hundred", "thousand", "million", "billion", "trillion", "bn", "mn"))
UNITS = {
    "km": "kilometers", "cm": "centimeters", "mm": "millimeters", "kg": "kilograms", "g": "grams",
    "mg": "milligrams", "lb": "pounds", "lbs": "pounds", "oz": "ounces", "ft": "feet", "mph": "miles per hour",
    "kmh": "kilometers per hour", "kph": "kilometers per hour", "mps": "meters per second", "hz": "hertz",
    "khz": "kilohertz", "mhz": "megahertz", "ghz": "gigahertz", "kb": "kilobytes", "mb": "megabytes",
    "gb": "gigabytes", "tb": "terabytes", "ms": "milliseconds", "min": "minutes", "mins": "minutes", "hr": "hours",
    "hrs": "hours", "sec": "seconds", "secs": "seconds", "yr": "years", "yrs": "years", "fps": "frames per second",
    "px": "pixels", "am": "a. m.", "pm": "p. m.", "s": "seconds", "m": "meters", "h": "hours", "l": "liters",
    "ml": "milliliters", "cl": "centiliters", "w": "watts", "kw": "kilowatts", "mw": "megawatts",
    "kwh": "kilowatt hours", "v": "volts", "kv": "kilovolts", "ma": "milliamps", "x": "times", "%": "percent",
    "°": "degrees", "°c": "degrees celsius", "°f": "degrees fahrenheit", "k": "thousand", "bn": "billion",
    "m2": "square meters", "km2": "square kilometers", "m3": "cubic meters", "ft2": "square feet", "db": "decibels",
    "rpm": "revolutions per minute", "bpm": "beats per minute", "mi": "miles", "yd": "yards", "in": "inches",
    "kcal": "kilocalories", "dpi": "dots per inch", "μm": "micrometers", "p": "p.",
}  # fmt: skip
_SINGULAR = {"feet": "foot", "inches": "inch"}
_SAME = frozenset(("hertz", "kilohertz", "megahertz", "gigahertz", "percent", "celsius", "times"))

MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
    "december",
)  # fmt: skip
_SHORT_MONTHS = {name[:3]: name for name in MONTHS} | {"sept": "september"}
_BEFORE_DATES = frozenset(
    ("on", "by", "since", "until", "till", "before", "after", "from", "dated", "monday", "tuesday", "wednesday",
     "thursday", "friday", "saturday", "sunday")
)  # fmt: skip
_BEFORE_YEARS = frozenset(("in", "since", "year", "until", "till", "before", "after", "from", "by", "anno", "circa"))
_SAID_APART = {"24/7", "9/11", "7/11", "50/50", "20/20"}
_EMERGENCY = {"911", "999", "411"}
# Patterns of `re`, which compiles each when a figure is first met: most texts have none.
_DOTTED_THOUSANDS = r"\d{1,3}(?:\.\d{3}){2,}"
_DENOMINATORS = {"2": ("half", "halves"), "4": ("quarter", "quarters")}
_DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

_NUMBER = r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d*\.\d+|\d+"
_SIGNS = re.escape("".join(CURRENCIES))
_SCALE = "|".join(sorted(_SCALES, key=len, reverse=True))
_MONEY = rf"([-+]?)(?:us|a|c|ca|nz|hk)?([{_SIGNS}])({_NUMBER})({_SCALE})?"
_MONEY_AFTER = rf"([-+]?)({_NUMBER})({_SCALE})?([{_SIGNS}])"
_MONEY_RANGE = rf"([{_SIGNS}])({_NUMBER})[-–][{_SIGNS}]?({_NUMBER})({_SCALE})?"
_ISO = r"(\d{4})-(\d{1,2})-(\d{1,2})"
_DATE = r"(\d{1,2})(?:/(\d{1,2})/(\d{4}|\d{2})|\.(\d{1,2})\.(\d{4}))"
_PHONE = r"\+?(?:\d{1,3}[-.])?(?:\(?\d{3}\)?[-.]?)?\d{3}[-.]\d{4}|\+\d{7,15}"
_TIME = r"(\d{1,2}):(\d\d)(?::(\d\d))?(am|pm)?"
_RANGE = rf"({_NUMBER})[-–]({_NUMBER})([a-z%°]*)"
_FRACTION = r"(\d+)[/⁄](\d+)"
_DECADE = r"'?(\d{2,4})'?s"
_ORDINAL = r"(\d[\d,]*)(?:st|nd|rd|th)"
_BY = rf"({_NUMBER})[x×]({_NUMBER})"
_HEIGHT = r"(\d)'(\d{1,2})"
_QUANTITY = rf"([-+~≈±<>]?)({_NUMBER})([a-zμ%°]*[23]?)(?:/([a-z]+))?"


def is_month(text: str) -> str:
    """The month that a word names, shortened too ("Sept."); empty if it names none."""
    bare = text.lower().strip(".,;:!?\"'“”’)")
    return bare if bare in MONTHS else _SHORT_MONTHS.get(bare, "")


def number_said(lower: str, previous: str, following: str) -> Iterator[str]:
    """What is said for a word with digits in it, in lower case, between the words before and after it."""
    before = previous.lower().strip(".,;:!?")
    if match := re.fullmatch(_ISO, lower):
        year, month, day = match.groups()
        yield from _date_said(month, day, year) if _is_date(month, day) else digits(lower)
    elif match := re.fullmatch(_DATE, lower):
        first, second, year, middle, long_year = match.groups()
        month, day = (first, second) if second and int(first) <= 12 else (second or middle, first)
        if _is_date(month, day):
            yield from _date_said(month, day, year or long_year)
        else:
            yield from _pieces_said(lower)
    elif re.fullmatch(_PHONE, lower) and sum(c.isdecimal() for c in lower) >= 7:
        yield from (*(("plus",) if lower.startswith("+") else ()), *digits(lower))
    elif lower in _EMERGENCY:
        yield from digits(lower)
    elif re.fullmatch(_DOTTED_THOUSANDS, lower):
        yield from cardinal(lower.replace(".", ","))
    elif match := re.fullmatch(_TIME, lower):
        yield from _time_said(*match.groups())
    elif times := _both(_TIME, lower):
        yield from (*_time_said(*times[0].groups()), "to", *_time_said(*times[1].groups()))
    elif match := re.fullmatch(_MONEY, lower):
        yield from (("minus",) if match[1] == "-" else ())
        yield from money_said(match[2], match[3], match[4], following)
    elif match := re.fullmatch(_MONEY_AFTER, lower):
        yield from (("minus",) if match[1] == "-" else ())
        yield from money_said(match[4], match[2], match[3], following)
    elif match := re.fullmatch(_MONEY_RANGE, lower):
        yield from (*cardinal(match[2]), "to", *money_said(match[1], match[3], match[4], following))
    elif lower in _SAID_APART:
        yield from (word for part in lower.split("/") for word in cardinal(part))
    elif match := re.fullmatch(_FRACTION, lower):
        above, below = match.groups()
        if before in _BEFORE_DATES and _is_date(above, below) and "⁄" not in lower:
            yield from _date_said(above, below, "")
        else:
            yield from (("and",) if before.isdecimal() else ())
            yield from fraction_said(above, below)
    elif match := re.fullmatch(_RANGE, lower):
        yield from _range_said(match[1], match[2], match[3], before)
    elif match := re.fullmatch(_DECADE, lower):
        said = " ".join(cardinal(match[1]))
        yield from (
            said[:-1] + "ies" if said.endswith("y") else said + "es" if said.endswith("x") else said + "s"
        ).split()
    elif match := re.fullmatch(_ORDINAL, lower):
        yield from ordinal(match[1].replace(",", ""))
    elif match := re.fullmatch(_BY, lower):
        yield from (*cardinal(match[1]), "by", *cardinal(match[2]))
    elif match := re.fullmatch(_HEIGHT, lower):
        yield from (*cardinal(match[1]), "foot", *cardinal(match[2]))
    elif (
        lower.isdecimal()
        and 1 <= int(lower[:3]) <= 31
        and len(lower) <= 2
        and (is_month(before) or is_month(following))
    ):
        yield from ordinal(lower)  # May 3
        yield from (("of",) if not is_month(before) else ())
    elif lower.isdecimal() and len(lower) == 4 and lower[0] != "0" and int(lower) < 1100 and before in _BEFORE_YEARS:
        yield from year_words(int(lower))
    elif (match := re.fullmatch(_QUANTITY, lower)) and (not match[3] or match[3] in UNITS):
        sign, number, unit, per = match.groups()
        yield from ("minus" if sign == "-" else SYMBOLS[sign]).split() if sign else ()
        yield from (*cardinal(number), *unit_said(unit, number))
        yield from ("per", UNITS.get(per, per).removesuffix("s")) if per else ()
    elif (per := lower.partition("/")) and re.fullmatch("[a-z]+", per[2]) and re.search(r"\d", per[0]):
        yield from (*number_said(per[0], previous, ""), "per", per[2])
    else:
        yield from _pieces_said(lower)


def unit_said(unit: str, number: str) -> list[str]:
    """A unit after `number`, in the singular after 1."""
    said = UNITS.get(unit, unit).split()
    if number == "1" and said and len(said[0]) > 2:
        # The noun is the first word ("miles per hour"), but for "square meters" and the like.
        at = 1 if said[0] in ("square", "cubic", "kilowatt") else 0
        if said[at] not in _SAME:
            said[at] = _SINGULAR.get(said[at], said[at].removesuffix("s"))
    return said


def money_said(sign: str, number: str, scale: str | None, following: str) -> Iterator[str]:
    """An amount; dollars come after the million, which may be the following word."""
    one, many, cent, cents = CURRENCIES[sign]
    whole, _, part = number.partition(".")
    if scale or following.lower().strip(".,!?") in SCALE_WORDS:
        yield from cardinal(number)
        yield from (_SCALES[scale], many) if scale else ()
        return
    if not cent or (part and len(part) != 2):  # no coins: $1.5, ₿0.25
        yield from (*cardinal(number), one if number == "1" else many)
        return
    some = int(whole.replace(",", "") or 0)
    if some or not part or not int(part):
        yield from (*cardinal(whole or "0"), one if whole == "1" else many)
    if part and int(part):
        small = part.lstrip("0")
        yield from (*(("and",) if some else ()), *cardinal(small), cent if small == "1" else cents)


def fraction_said(above: str, below: str) -> Iterator[str]:
    named = " ".join(ordinal(below))
    one, many = _DENOMINATORS.get(below) or (named, f"{named}s")
    yield from (*cardinal(above), *(one if above == "1" else many).split())


def cardinal(number: str) -> list[str]:
    """Years are read in pairs, zeros at the front one by one, decimals too, all else as a number."""
    whole, point, decimals = number.replace(",", "").partition(".")
    if len(number) == 4 and number.isdecimal() and 1100 <= int(number) < 2100 and not 2000 <= int(number) < 2010:
        said = year_words(int(number))
    elif len(whole) > LONGEST:  # it has no name
        said = list(digits(whole))
    elif len(whole) > 1 and whole.startswith("0"):
        said = ["oh" if digit == "0" else _DIGITS[int(digit)] for digit in whole]
    else:
        said = cardinal_words(int(whole or 0))
    return [*said, *(("point", *digits(decimals)) if point and decimals else ())]


def digits(text: str) -> Iterator[str]:
    """Every digit of a text by itself."""
    yield from (_DIGITS[int(c)] for c in text if c in "0123456789")


def ordinal(number: str) -> list[str]:
    """23 → twenty third."""
    return ordinal_words(int(number)) if len(number) <= LONGEST else list(digits(number))


def _is_date(month: str, day: str) -> bool:
    return 1 <= int(month) <= 12 and 1 <= int(day) <= 31


def _date_said(month: str, day: str, year: str) -> Iterator[str]:
    yield MONTHS[int(month) - 1]
    yield from ordinal(day)
    yield from cardinal(year) if year else ()


def _both(pattern: str, text: str) -> tuple[re.Match[str], re.Match[str]] | None:
    """The two sides of a dash, if the pattern is that of both."""
    first, _, last = text.replace("–", "-").partition("-")
    found = re.fullmatch(pattern, first), re.fullmatch(pattern, last)
    return found if all(found) else None  # type: ignore[return-value]


def _time_said(hours: str, minutes: str, seconds: str | None, half: str | None) -> Iterator[str]:
    yield from cardinal(hours.lstrip("0") or "0")
    if minutes == "00" and int(hours) > 12 and not seconds and not half:
        yield "hundred"  # 17:00
    for part in (minutes, *([seconds] if seconds else [])):
        if part != "00":
            yield from (("oh",) if part[0] == "0" else ())
            yield from cardinal(part.lstrip("0"))
    yield from UNITS[half].split() if half else ()


def _range_said(first: str, last: str, unit: str, before: str) -> Iterator[str]:
    if is_month(before) and last.isdecimal() and int(last) <= 31:
        yield from (*ordinal(first), "to", *ordinal(last))
    else:
        yield from (*cardinal(first), "to", *cardinal(last), *unit_said(unit, last))


def _pieces_said(lower: str) -> Iterator[str]:
    """Letters and numbers by turns: B2B, mp3, 2.0.1, #5."""
    for part in re.findall(rf"\d+|[a-z]+(?:'[a-z]+)?|[{re.escape(''.join(SYMBOLS))}]|\.(?=\w)", lower):
        if part.isdecimal():
            yield from cardinal(part)
        elif part in SYMBOLS or part == ".":
            yield from SYMBOLS.get(part, "point").split()
        elif len(part) <= 3:
            yield from (f"{letter}." for letter in part.replace("'", ""))
        else:
            yield part
