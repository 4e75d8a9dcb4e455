"""Whole numbers in English words, as most speakers say them."""

from __future__ import annotations

LONGEST = 36  # digits that have a name; longer numbers are read digit by digit

_SMALL = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
_TENS = ("", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_POWERS = (
    "", "thousand", "million", "billion", "trillion", "quadrillion", "quintillion", "sextillion", "septillion",
    "octillion", "nonillion", "decillion",
)  # fmt: skip
_ORDINALS = {
    "one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth", "nine": "ninth",
    "twelve": "twelfth",
}  # fmt: skip


def cardinal_words(number: int) -> list[str]:
    """1234 → one thousand two hundred and thirty four; `number` from 0 to 10**LONGEST - 1."""
    if number < 20:
        return [_SMALL[number]]
    if number < 100:
        return [_TENS[number // 10], *(cardinal_words(number % 10) if number % 10 else ())]
    if number < 1000:
        return [_SMALL[number // 100], "hundred", *(("and", *cardinal_words(number % 100)) if number % 100 else ())]
    power = (len(str(number)) - 1) // 3
    head, rest = divmod(number, 1000**power)
    joined = (("and",) if rest < 100 else ()) + tuple(cardinal_words(rest)) if rest else ()
    return [*cardinal_words(head), _POWERS[power], *joined]


def ordinal_words(number: int) -> list[str]:
    """21 → twenty first."""
    *first, last = cardinal_words(number)
    ending = last[:-1] + "ieth" if last.endswith("y") else f"{last}th"
    return [*first, _ORDINALS.get(last, ending)]


def year_words(year: int) -> list[str]:
    """1905 → nineteen oh five, 2005 → two thousand and five; `year` from 1000 to 9999."""
    century, rest = divmod(year, 100)
    if century % 10 == 0 and rest < 10:
        return cardinal_words(year)
    if rest == 0:
        return [*cardinal_words(century), "hundred"]
    return [*cardinal_words(century), *(("oh",) if rest < 10 else ()), *cardinal_words(rest)]
