"""Alignments from and to files: Praat TextGrid (long or short text) and JSON as Montreal Forced Aligner writes it."""

from __future__ import annotations

import codecs
import json
import math
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..motion import written_whole
from ..phones import SILENCE, Alignment, Phone, Word
from .labels import to_arpabet

_PHONE_TIERS = frozenset(("phones", "phone", "phonemes", "phoneme", "segments", "segment", "mau"))
_WORD_TIERS = frozenset(("words", "word", "ort", "ort-mau"))
# Praat's text format is free: only strings, numbers and flags that stand alone count, all else is comment.
_TOKEN = re.compile(r'"((?:[^"]|"")*)"|(?<![^\s=])(-?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?)(?!\S)|<(exists|absent)>')

_Interval = tuple[float, float, str]


def load_alignment(path: str | os.PathLike[str]) -> Alignment:
    """Read an alignment: a TextGrid or an MFA .json with a tier of phones, and of words if there is one.

    Phones may be ARPABET (with stress or not) or IPA. Tiers of several speakers ("ann - phones") are taken together.
    Raises InputError.
    """
    name = Path(path).name
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError:
        raise InputError(f"There is no alignment {path}; check the path.") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); choose a TextGrid or .json file.") from None
    try:
        if data.lstrip()[:1] == b"{":
            tiers, duration = _read_json(json.loads(data))
        else:
            tiers, duration = _read_textgrid(_decode(data))
    except (ValueError, KeyError, TypeError, AttributeError, StopIteration, RuntimeError):
        raise InputError(f"{name} is no TextGrid or alignment .json, or is damaged; export it again.") from None
    if not all(math.isfinite(time) for _, intervals in tiers for start, end, _ in intervals for time in (start, end)):
        raise InputError(f"{name} has times that are NaN or infinite; export it again.")
    phones = [interval for tier, intervals in tiers if _kind(tier) in _PHONE_TIERS for interval in intervals]
    words = [interval for tier, intervals in tiers if _kind(tier) in _WORD_TIERS for interval in intervals]
    if not phones:
        raise InputError(f"{name} has no tier of phones; export it with the tiers words and phones.")
    labels, strange = to_arpabet(label for _, _, label in phones)
    warnings = []
    if strange:
        listed = ", ".join(f"“{label}”" for label in strange[:5])
        warnings.append(f"{name} has phones that are not known ({listed}); they are animated as a neutral vowel.")
    return Alignment.from_segments(
        (Phone(label, start, end) for label, (start, end, _) in zip(labels, phones, strict=True)),
        (Word(label, start, end) for start, end, label in words if label.strip() not in ("", "<eps>")),
        duration,
        "imported",
        warnings,
    )


def save_alignment(alignment: Alignment, path: str | os.PathLike[str]) -> None:
    """Write a long TextGrid or, by the ending .json, MFA's JSON; whole or not at all. Silence is an empty label."""
    words = _filled(((w.start, w.end, w.label) for w in alignment.words), alignment.duration)
    phones = [(p.start, p.end, "" if p.label == SILENCE else p.label) for p in alignment.phones]
    tiers = {"words": list(words), "phones": phones}
    suffix = Path(path).suffix.lower()
    if suffix == ".json":
        text = _json_text(tiers, alignment.duration)
    elif suffix == ".textgrid":
        text = _textgrid_text(tiers, alignment.duration)
    else:
        raise InputError(
            f"An alignment cannot be written as {suffix or 'a file without ending'}; use .TextGrid or .json."
        )
    with written_whole(path) as partial:
        partial.write_text(text, encoding="utf-8")


def _kind(tier: str) -> str:
    return tier.rpartition(" - ")[2].strip().lower()


def _decode(data: bytes) -> str:
    if data.startswith((codecs.BOM_UTF16_BE, codecs.BOM_UTF16_LE)):
        return data.decode("utf-16")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _read_json(content: Any) -> tuple[list[tuple[str, list[_Interval]]], float]:
    tiers = [
        (str(name), [(float(start), float(end), str(label)) for start, end, label in tier["entries"]])
        for name, tier in content["tiers"].items()
    ]
    return tiers, float(content["end"])


def _read_textgrid(text: str) -> tuple[list[tuple[str, list[_Interval]]], float]:
    tokens = _tokens(text)
    if next(tokens) != "ooTextFile" or next(tokens) != "TextGrid":
        raise ValueError
    _, duration, present = next(tokens), float(next(tokens)), next(tokens)
    tiers = []
    for _ in range(int(next(tokens)) if present == "exists" else 0):
        kind, name = next(tokens), next(tokens)
        _, _, count = next(tokens), next(tokens), int(next(tokens))
        if kind == "IntervalTier":
            tiers.append((name, [(float(next(tokens)), float(next(tokens)), next(tokens)) for _ in range(count)]))
        else:
            for _ in range(2 * count):  # points: time and mark
                next(tokens)
    return tiers, duration


def _tokens(text: str) -> Iterator[str]:
    for match in _TOKEN.finditer(text):
        string, number, flag = match.groups()
        yield string.replace('""', '"') if string is not None else number or flag


def _filled(intervals: Iterable[_Interval], duration: float) -> Iterator[_Interval]:
    """Cover 0…duration: empty labels in the gaps, overlaps cut."""
    at = 0.0
    for start, end, label in intervals:
        if start > at:
            yield at, start, ""
            at = start
        if end > at:
            yield at, end, label
            at = end
    if at < duration:
        yield at, duration, ""


def _json_text(tiers: dict[str, list[_Interval]], duration: float) -> str:
    entries = {
        name: {"type": "interval", "entries": [[round(a, 6), round(b, 6), label] for a, b, label in intervals]}
        for name, intervals in tiers.items()
    }
    return json.dumps({"start": 0.0, "end": round(duration, 6), "tiers": entries}, ensure_ascii=False, indent=1) + "\n"


def _textgrid_text(tiers: dict[str, list[_Interval]], duration: float) -> str:
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "xmin = 0", f"xmax = {duration:.6f}"]
    lines += ["tiers? <exists>", f"size = {len(tiers)}", "item []:"]
    for number, (name, intervals) in enumerate(tiers.items(), 1):
        lines += [f"    item [{number}]:", '        class = "IntervalTier"', f'        name = "{name}"']
        lines += ["        xmin = 0", f"        xmax = {duration:.6f}", f"        intervals: size = {len(intervals)}"]
        for index, (start, end, label) in enumerate(intervals, 1):
            quoted = label.replace('"', '""')
            lines += [
                f"        intervals [{index}]:",
                f"            xmin = {start:.6f}",
                f"            xmax = {end:.6f}",
            ]
            lines.append(f'            text = "{quoted}"')
    return "\n".join(lines) + "\n"
