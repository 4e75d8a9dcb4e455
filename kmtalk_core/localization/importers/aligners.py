"""The files of aligners: JSON of MFA, Gentle, PocketSphinx and KMTalk; MFA's CSV; labels of HTK, Kaldi and Audacity."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ...errors import InputError, shortened
from ..labels import to_arpabet
from .mouths import papagayo_json, rhubarb_json
from .recognisers import recogniser_track
from .tiers import NO_WORD, tiers_track
from .track import Interval, Track

_HTK_TICK = 1e-7  # s


def json_track(name: str, data: Any) -> Track:
    """Any of the JSON layouts; raises InputError for one that is not known, ValueError and the like where damaged."""
    if isinstance(data, list) and data and all(isinstance(item, dict) for item in data):
        if all("w" in item or "t" in item for item in data):
            return _pocketsphinx(data)
        if all("start" in item and "end" in item for item in data):
            data = {"segments": data}
    if isinstance(data, dict):
        if "tiers" in data:
            return _mfa(data)
        if "mouthCues" in data:
            return rhubarb_json(data)
        if "voices" in data and "fps" in data:
            return papagayo_json(data)
        if "phones" in data and "words" in data:
            return _kmtalk(data)
        if "w" in data:
            return _pocketsphinx([data])
        if isinstance(data.get("words"), list) and any("case" in w or "phones" in w for w in data["words"]):
            return _gentle(name, data)
    return recogniser_track(name, data)


def _mfa(data: dict[str, Any]) -> Track:
    if isinstance(data["tiers"], list):  # praatio's textgrid_json
        found = [(str(tier["name"]), tier["entries"]) for tier in data["tiers"]]
    else:
        found = [(str(tier), content["entries"]) for tier, content in data["tiers"].items()]
    points = [tier for tier, entries in found if entries and all(len(entry) == 2 for entry in entries)]
    tiers = [
        (tier, [Interval(float(e[0]), float(e[1]), str(e[2]), f"{tier}, entry {n}") for n, e in enumerate(entries, 1)])
        for tier, entries in found
        if tier not in points
    ]
    duration = float(data.get("end", data.get("xmax", 0.0)))
    return tiers_track("MFA JSON", tiers, duration, (f"{tier} (points)" for tier in points))


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
        quoted = ", ".join(f"“{shortened(word)}”" for word in lost[:5])
        quoted += f" and {len(lost) - 5} more" if len(lost) > 5 else ""
        warnings = (f"{name} has words that were not found in the sound ({quoted}); the mouth rests there.",)
    return Track("Gentle", tuple(phones), tuple(words), warnings=warnings)


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
            if label.lower() not in NO_WORD and not label.startswith(("<", "[", "++")):
                words.append(Interval(start, start + length, label, f"word {len(words) + 1}"))
            for phone in word.get("w") or ():
                at = float(phone["b"])
                phones.append(Interval(at, at + float(phone["d"]), str(phone["t"]), f"word “{shortened(label)}”"))
    return Track("PocketSphinx", tuple(phones), tuple(words), duration=end)


def mfa_csv(text: str) -> Track:
    """MFA's .csv: Begin, End, Label, Type (words or phones), Speaker."""
    tiers: dict[str, list[Interval]] = {}
    rows = csv.DictReader(io.StringIO(text, newline=None))
    for row in rows:
        interval = Interval(float(row["Begin"]), float(row["End"]), row["Label"] or "", f"line {rows.line_num}")
        tiers.setdefault(f"{row.get('Speaker') or ''} - {row['Type']}", []).append(interval)
    return tiers_track("MFA CSV", list(tiers.items()), 0.0)


def label_lines(text: str) -> Track:
    """Lines of start, end and label: HTK's, in 100 ns, or Audacity's and others', in seconds.

    They are phones if all of them are, else words.
    """
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
    return _labels_track("HTK labels" if htk else "labels", found)


def master_labels(name: str, text: str) -> Track:
    """HTK's master label file (.mlf) of one sound: "start end phone [score [word]]", in 100 ns."""
    phones: list[Interval] = []
    words: list[Interval] = []
    sounds: list[str] = []
    for number, line in enumerate(text.splitlines()[1:], 2):
        parts = line.split()
        if line.lstrip().startswith('"'):
            sounds.append(line.strip().strip('"'))
        elif len(parts) >= 3:
            start, end = (float(part) * _HTK_TICK for part in parts[:2])
            phones.append(Interval(start, end, parts[2], f"line {number}"))
            if len(parts) >= 5 and parts[4].strip('"').lower() not in NO_WORD:
                words.append(Interval(start, end, parts[4], f"line {number}"))
            elif words:
                words[-1] = replace(words[-1], end=end if len(parts) < 5 else words[-1].end)
    if len(sounds) > 1:
        raise InputError(
            f"{name} has the labels of {len(sounds)} sounds ({shortened(sounds[0])}, …); save those of this one alone."
        )
    return replace(_labels_track("HTK labels", phones), words=tuple(words)) if words else _labels_track("HTK", phones)


CTM_LINE = re.compile(r"\S+[ \t]+\S+[ \t]+\d+(?:\.\d+)?[ \t]+\d+(?:\.\d+)?[ \t]+\S+(?:[ \t]+[\d.]+)?[ \t]*")


def is_ctm(text: str) -> bool:
    """Whether this is NIST's and Kaldi's .ctm: lines of sound, channel, start, length, label and confidence."""
    lines = [line for line in text.splitlines()[:50] if line.strip() and not line.startswith(";;")]
    return bool(lines) and all(CTM_LINE.fullmatch(line.strip()) for line in lines)


def ctm_lines(name: str, text: str) -> Track:
    """NIST's and Kaldi's .ctm of one sound: words, or phones if all of its labels are phones."""
    found: list[Interval] = []
    sounds: dict[str, None] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and not line.startswith(";;"):
            sound, _, start, length, label = line.split()[:5]
            sounds[sound] = None
            found.append(Interval(float(start), float(start) + float(length), label, f"line {number}"))
    if len(sounds) > 1:
        first = shortened(next(iter(sounds)))
        raise InputError(f"{name} has the labels of {len(sounds)} sounds ({first}, …); save those of this one alone.")
    return _labels_track("ctm", found)


def _labels_track(form: str, found: Sequence[Interval]) -> Track:
    """Labels of unknown kind: phones if all of them are, else words."""
    _, strange = to_arpabet(i.label for i in found)
    if not strange:
        return Track(form, phones=tuple(found))
    return Track(form, words=tuple(i for i in found if i.label.strip().lower() not in NO_WORD))
