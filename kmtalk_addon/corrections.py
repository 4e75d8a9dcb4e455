"""What the user corrects in the words and phones of a line: edited in the panel, kept with the strip.

A take's words and phones are what was heard, and what the user has made of it since. The difference is pending until it
is applied or the line is generated again; then it is stored in the strip, as `kmtalk_core.localization.corrections` has
it in files, with times from the beginning of the sound file.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import bpy
import numpy as np

from . import clips, takes

SAME_TIME = 1e-4  # s; Blender keeps single precision


@dataclass(frozen=True)
class Stored:
    """Arguments of `localization.corrections.Correction`, in the order in which they apply, of the sound with this
    checksum (None: not known)."""

    audio_sha256: str | None
    listed: tuple[dict[str, Any], ...] = ()


def stored(strip: bpy.types.Strip) -> Stored:
    """What a strip keeps."""
    kept = json.loads(strip.kmtalk.corrections or "{}")
    return Stored(kept.get("audio_sha256"), tuple(kept.get("corrections", ())))


def store(strip: bpy.types.Strip, corrections: Stored) -> None:
    """The inverse of `stored`."""
    kept = {"audio_sha256": corrections.audio_sha256, "corrections": corrections.listed}
    strip.kmtalk.corrections = json.dumps(kept, ensure_ascii=False) if corrections.listed else ""


def with_pending(strip: bpy.types.Strip, obj: bpy.types.Object) -> Stored:
    """What a strip keeps, and what is pending for its line on the mesh `obj`."""
    kept = stored(strip)
    of_strip = (clips.take_of(action) for action in takes.lines_on(clips.keys_of(obj)))
    take = next((take for take in of_strip if take.line_id and take.line_id == strip.kmtalk.id), None)
    return Stored(kept.audio_sha256, (*kept.listed, *pending(take))) if take is not None else kept


def pending(take: bpy.types.PropertyGroup) -> tuple[dict[str, Any], ...]:
    """The edits of a take's words and phones that were not applied yet, words first."""
    start = takes.read_line(take).start
    words = [_correction("word", word, start) for word in take.words if is_edited(word)]
    # A word that is said otherwise has other phones.
    phones = [
        _correction("phone", phone, start)
        for phone in take.phones
        if is_edited(phone) and not any(is_edited(word) and _within(phone, word) for word in take.words)
    ]
    return tuple(correction for correction in (*words, *phones) if correction is not None)


def has_pending(take: bpy.types.PropertyGroup) -> bool:
    """Whether anything was edited; quick, for a panel that is drawn all the time."""
    return any(
        any(_differ(_column(items, edge), _column(items, f"heard_{edge}")).any() for edge in ("start", "end"))
        or any(item.name != item.heard for item in items)
        for items in (take.words, take.phones)
    )


def is_edited(item: bpy.types.PropertyGroup) -> bool:
    """Whether a word or phone is no longer as heard."""
    return item.name != item.heard or _differ(item.start, item.heard_start) or _differ(item.end, item.heard_end)


def said(take: bpy.types.PropertyGroup) -> str:
    """What was heard, or where its words were edited, what the user says that they are."""
    if not any(is_edited(word) for word in take.words):
        return take.heard_text
    return " ".join(word.name.strip() for word in take.words if word.name.strip())


def revert(take: bpy.types.PropertyGroup) -> None:
    """Let all words and phones be as heard again."""
    for items in (take.words, take.phones):
        for index in reversed(range(len(items))):
            item = items[index]
            if item.heard:
                item.name, item.start, item.end = item.heard, item.heard_start, item.heard_end
            else:
                items.remove(index)


def add_word(take: bpy.types.PropertyGroup, at: float) -> None:
    """Add an empty word at `at` s of the line, to be filled in, and choose it."""
    place = next((index for index, word in enumerate(take.words) if word.start > at), len(take.words))
    word = take.words.add()
    word.start = word.end = word.heard_start = word.heard_end = at
    take.words.move(len(take.words) - 1, place)
    take.word = place


def phones_of(take: bpy.types.PropertyGroup) -> np.ndarray:
    """(phones,) bool: which belong to the chosen word; all where no words are known."""
    if not len(take.words):
        return np.ones(len(take.phones), bool)
    word = take.words[min(max(take.word, 0), len(take.words) - 1)]
    middle = (_column(take.phones, "heard_start") + _column(take.phones, "heard_end")) / 2
    return (word.heard_start <= middle) & (middle < word.heard_end)


def sentence(correction: dict[str, Any]) -> str:
    """A stored correction in a few words."""
    parts = [f"{correction['tier']} at {correction['at']:.2f} s:"]
    if "label" in correction:
        parts.append(f"“{correction['label']}”" if correction["label"] else "removed")
    parts += [f"{name} {correction[name]:.2f} s" for name in ("start", "end") if name in correction]
    return " ".join(parts).capitalize()


def _correction(tier: str, item: bpy.types.PropertyGroup, start: float) -> dict[str, Any] | None:
    """`start`: s of the sound file at which the line begins."""
    label = item.name.strip()
    if not item.heard:  # added; it needs a text, and may have times
        if not label:
            return None
        found: dict[str, Any] = {"tier": tier, "at": item.heard_start, "label": label}
        if item.end - item.start > SAME_TIME:
            found |= {"start": item.start, "end": item.end}
    else:
        found = {"tier": tier, "at": (item.heard_start + item.heard_end) / 2}
        if label != item.heard:
            found["label"] = label
        if label:
            found |= {"start": item.start} if _differ(item.start, item.heard_start) else {}
            found |= {"end": item.end} if _differ(item.end, item.heard_end) else {}
    if len(found) == 2:
        return None
    times = {name: round(found[name] + start, 4) for name in ("at", "start", "end") if name in found}
    return found | times


def _within(phone: bpy.types.PropertyGroup, word: bpy.types.PropertyGroup) -> bool:
    return word.heard_start <= (phone.heard_start + phone.heard_end) / 2 < word.heard_end


def _column(items: bpy.types.bpy_prop_collection, name: str) -> np.ndarray:
    values = np.empty(len(items), np.float32)
    items.foreach_get(name, values)
    return values


def _differ(a: Any, b: Any) -> Any:
    return abs(a - b) > SAME_TIME
