"""The files of aligners and recognisers: JSON of MFA, Gentle, Whisper and its kin, PocketSphinx and KMTalk; MFA's CSV;
HTK's and Audacity's label files.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from ...errors import InputError
from .track import Interval, Track

PHONE_TIERS = frozenset(("phones", "phone", "phonemes", "phoneme", "segments", "segment", "mau", "phon", "phn"))
WORD_TIERS = frozenset(("words", "word", "ort", "ort-mau", "wrd", "orthography"))
_NO_WORD = frozenset(("", "<eps>", "<s>", "</s>", "<sil>", "sil", "sp", "<unk>", "[noise]", "[speech]"))
_HTK_TICK = 1e-7  # s


def tier_kind(name: str) -> str:
    """The name of a tier without its speaker ("ann - phones"), in lower case."""
    return name.rpartition(" - ")[2].strip().lower()


def tiers_track(form: str, tiers: list[tuple[str, list[Interval]]], duration: float) -> Track:
    """A track from named tiers; those of several speakers are taken together."""
    phones = [i for name, intervals in tiers if tier_kind(name) in PHONE_TIERS for i in intervals]
    words = [i for name, intervals in tiers if tier_kind(name) in WORD_TIERS for i in intervals]
    words = [word for word in words if word.label.strip().lower() not in _NO_WORD]
    return Track(form, tuple(phones), tuple(words), duration=duration)


def json_track(name: str, data: Any) -> Track:
    """Any of the JSON layouts; raises InputError for one that is not known, ValueError and the like where damaged."""
    if isinstance(data, list) and data and all(isinstance(item, dict) for item in data):
        if all("w" in item or "t" in item for item in data):
            return _pocketsphinx(data)
        if all("start" in item and "end" in item for item in data):
            data = {"segments": data}
    if not isinstance(data, dict):
        raise ValueError
    if "tiers" in data:
        return _mfa(data)
    if "mouthCues" in data:
        from .mouths import rhubarb_json

        return rhubarb_json(data)
    if "voices" in data and "fps" in data:
        from .mouths import papagayo_json

        return papagayo_json(data)
    if "phones" in data and "words" in data:
        return _kmtalk(data)
    if "w" in data:
        return _pocketsphinx([data])
    if "transcription" in data:
        return _whisper_cpp(name, data)
    if isinstance(data.get("words"), list) and any("case" in w or "phones" in w for w in data["words"]):
        return _gentle(name, data)
    if "segments" in data or "words" in data or "word_segments" in data or "chunks" in data:
        return _whisper(name, data)
    raise InputError(
        f"{name} is JSON of no known tool; give the output of MFA, Gentle, Whisper, PocketSphinx, Rhubarb or Papagayo."
    )


def _mfa(data: dict[str, Any]) -> Track:
    if isinstance(data["tiers"], list):  # praatio's textgrid_json
        found = [(str(tier["name"]), tier["entries"]) for tier in data["tiers"]]
    else:
        found = [(str(tier), content["entries"]) for tier, content in data["tiers"].items()]
    tiers = [
        (tier, [Interval(float(e[0]), float(e[1]), str(e[2]), f"{tier}, entry {n}") for n, e in enumerate(entries, 1)])
        for tier, entries in found
        if tier_kind(tier) in PHONE_TIERS | WORD_TIERS
    ]
    return tiers_track("MFA JSON", tiers, float(data.get("end", data.get("xmax", 0.0))))


def _kmtalk(data: dict[str, Any]) -> Track:
    phones, words = (
        tuple(
            Interval(float(item["start"]), float(item["end"]), str(item["label"]), f"{key}, entry {number}")
            for number, item in enumerate(data[key], 1)
        )
        for key in ("phones", "words")
    )
    return Track("KMTalk JSON", phones, words, duration=float(data.get("duration", 0.0)))


def _gentle(name: str, data: dict[str, Any]) -> Track:
    phones: list[Interval] = []
    words: list[Interval] = []
    lost: list[str] = []
    for number, word in enumerate(data["words"], 1):
        if word.get("start") is None:
            lost.append(str(word.get("word", "")))
            continue
        at = float(word["start"])
        words.append(Interval(at, float(word["end"]), str(word["word"]), f"word {number}"))
        for phone in word.get("phones", ()):
            end = at + float(phone["duration"])
            phones.append(Interval(at, end, str(phone["phone"]), f"word {number}"))
            at = end
    warnings: tuple[str, ...] = ()
    if lost:
        quoted = ", ".join(f"“{word}”" for word in lost[:5]) + (f" and {len(lost) - 5} more" if len(lost) > 5 else "")
        warnings = (f"{name} has words that were not found in the sound ({quoted}); the mouth rests there.",)
    return Track("Gentle", tuple(phones), tuple(words), warnings=warnings)


def _whisper(name: str, data: dict[str, Any]) -> Track:
    if "chunks" in data:  # transformers' pipeline
        listed = [{"word": c["text"], "start": c["timestamp"][0], "end": c["timestamp"][1]} for c in data["chunks"]]
        if sum(len(str(item["word"]).split()) for item in listed) > 2 * len(listed):
            raise _only_sentences(name)
    elif data.get("segments"):
        listed = [word for segment in data["segments"] for word in _segment_words(segment)]
        listed = listed or list(data.get("words") or ())
        if not listed and any(str(segment.get("text", "")).strip() for segment in data["segments"]):
            raise _only_sentences(name)
    else:
        listed = list(data.get("words") or data.get("word_segments") or ())
    words = tuple(_timed_words(listed))
    end = data.get("duration") or max((float(s.get("end") or 0.0) for s in data.get("segments") or ()), default=0.0)
    return Track("Whisper", words=words, duration=max(float(end), max((w.end for w in words), default=0.0)))


def _segment_words(segment: dict[str, Any]) -> list[dict[str, Any]]:
    # A word without time (whisperX leaves numbers out) lies within its segment.
    bounds = {"segment_start": segment.get("start"), "segment_end": segment.get("end")}
    return [{**bounds, **word} for word in segment.get("words") or ()]


def _timed_words(listed: list[dict[str, Any]]) -> Iterator[Interval]:
    """Words; those without times share the gap between their neighbours."""
    number = 0
    before = 0.0
    while number < len(listed):
        last = number
        while last < len(listed) and listed[last].get("start") is None:
            last += 1
        if last > number:
            start = max(before, float(listed[number].get("segment_start") or 0.0))
            end = listed[last]["start"] if last < len(listed) else listed[-1].get("segment_end") or start + 0.3
            step = max(float(end) - start, 0.0) / (last - number)
            for i in range(number, last):
                yield _interval(listed[i], start + (i - number) * step, start + (i - number + 1) * step, i)
            number = last
            continue
        word = listed[number]
        start = float(word["start"])
        end = float(word["end"]) if word.get("end") is not None else start + 0.3
        if _text(word):
            yield _interval(word, start, end, number)
        before = end
        number += 1


def _interval(word: dict[str, Any], start: float, end: float, index: int) -> Interval:
    return Interval(start, end, _text(word), f"word {index + 1}")


def _text(word: dict[str, Any]) -> str:
    return str(word.get("word", word.get("text", ""))).strip()


def _whisper_cpp(name: str, data: dict[str, Any]) -> Track:
    """The JSON of whisper.cpp: tokens with times in ms (-ojf), or segments of one word each (-ml 1)."""
    words: list[Interval] = []
    sentences = 0
    for segment in data["transcription"]:
        tokens = [t for t in segment.get("tokens") or () if not str(t["text"]).startswith("[_")]
        for piece in tokens or [segment]:
            start, end = (float(piece["offsets"][key]) / 1000.0 for key in ("from", "to"))
            text = str(piece["text"])
            sentences += len(text.split()) > 2
            if not text.strip():
                continue
            if words and not text.startswith(" ") and (tokens or text.strip() in ",.!?;:"):  # goes on with the word
                words[-1] = Interval(words[-1].start, end, words[-1].label + text.strip(), words[-1].where)
            else:
                words.append(Interval(start, end, text.strip(), f"word {len(words) + 1}"))
    if sentences > len(words) // 4:
        raise _only_sentences(name)
    return Track("whisper.cpp", words=tuple(words))


def _only_sentences(name: str) -> InputError:
    return InputError(
        f"{name} has times for whole sentences only; let Whisper write word times (--word_timestamps True),"
        " or give its text as transcript."
    )


def pocketsphinx_lines(text: str) -> list[Any] | None:
    """PocketSphinx writes one JSON object a line; None if this is not it."""
    import json

    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) < 2 or not all(line.lstrip().startswith("{") for line in lines):
        return None
    return [json.loads(line) for line in lines]


def _pocketsphinx(lines: list[dict[str, Any]]) -> Track:
    """`pocketsphinx align`'s: begin `b` and duration `d` in s, text `t`, parts `w` (words, and in them phones)."""
    phones: list[Interval] = []
    words: list[Interval] = []
    end = 0.0
    for line in lines:
        end = max(end, float(line.get("b", 0.0)) + float(line.get("d", 0.0)))
        for word in line.get("w") or ():
            label = re.sub(r"\(\d+\)$", "", str(word["t"]))
            start, length = float(word["b"]), float(word["d"])
            if label.lower() not in _NO_WORD and not label.startswith(("<", "[", "++")):
                words.append(Interval(start, start + length, label, f"word {len(words) + 1}"))
            for phone in word.get("w") or ():
                at = float(phone["b"])
                phones.append(Interval(at, at + float(phone["d"]), str(phone["t"]), f"word “{label}”"))
    return Track("PocketSphinx", tuple(phones), tuple(words), duration=end)


def mfa_csv(text: str) -> Track:
    """MFA's .csv: Begin, End, Label, Type (words or phones), Speaker."""
    tiers: dict[str, list[Interval]] = {}
    rows = csv.DictReader(io.StringIO(text, newline=None))
    for row in rows:
        interval = Interval(float(row["Begin"]), float(row["End"]), row["Label"] or "", f"line {rows.line_num}")
        tiers.setdefault(row["Type"], []).append(interval)
    return tiers_track("MFA CSV", list(tiers.items()), 0.0)


def label_lines(text: str) -> Track:
    """Lines of start, end and label: HTK's, in 100 ns, or Audacity's and others', in seconds.

    They are phones if all of them are, else words.
    """
    from ..labels import to_arpabet

    found: list[Interval] = []
    whole = True
    for number, line in enumerate(text.splitlines(), 1):
        parts = line.split(None, 2)
        if not parts or parts[0].startswith(("#", "\\")):
            continue
        whole = whole and parts[0].isdigit() and parts[1].isdigit()
        label = parts[2].strip() if len(parts) > 2 else ""
        found.append(Interval(float(parts[0]), float(parts[1]), label, f"line {number}"))
    htk = whole and max((i.end for i in found), default=0.0) >= 1000
    if htk:
        found = [
            replace(i, start=i.start * _HTK_TICK, end=i.end * _HTK_TICK, label=i.label.split()[0])
            for i in found
            if i.label
        ]
    _, strange = to_arpabet(i.label for i in found)
    form = "HTK labels" if htk else "labels"
    return Track(form, words=tuple(found)) if strange else Track(form, phones=tuple(found))
