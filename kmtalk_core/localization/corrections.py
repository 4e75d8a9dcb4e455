"""What a user corrects in words and phones, kept apart from what was heard, so that it survives a new run.

A correction names its word or phone by an instant at which it is said, not by its number, which a new run may change.
Applying one realigns the neighbouring words at most; everything farther away stays as it was.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..archives import parsed
from ..errors import InputError, shortened
from ..files import written_whole
from ..phones import PHONE_INDEX, PHONES, SILENCE, Alignment, Phone, Word
from ..tongues import ENGLISH
from .forced import Costs, force
from .labels import to_arpabet
from .posterior import Script, word_confidence
from .vocal import USUAL, is_sound, kind_of, without_phones

TIERS = ("word", "phone")
NEAR = 0.5  # s around a word without near neighbours that may change
LONGEST = 7 * 24 * 3600.0  # s, of a sound
SHORTEST = 0.02  # s that a phone lasts at least
_ALL_SAID = Costs(skip=1e4, filler=1e4)


@dataclass(frozen=True)
class Correction:
    """One edit of the word or phone (`tier`) that is said at the instant `at` (s).

    `label`: what is really said: one or more words, or a phone in any notation of `labels`; None keeps it, "" removes
    it. `start`, `end` (s): when; None leaves them to the sound (a word) or as they are (a phone). A word with a label
    at an instant without a word is added there.
    """

    tier: str
    at: float
    label: str | None = None
    start: float | None = None
    end: float | None = None

    def __post_init__(self) -> None:
        times = [self.at, *(t for t in (self.start, self.end) if t is not None)]
        if self.tier not in TIERS:
            raise InputError(f"A correction has the tier “{shortened(self.tier, 30)}”; make it word or phone.")
        if not all(isinstance(t, int | float) and 0.0 <= t <= LONGEST for t in times):
            raise InputError(f"The times of the correction at {shortened(self.at, 30)} must be seconds from 0 on.")
        if self.label is not None and not isinstance(self.label, str):
            raise InputError(f"The label of the correction at {self.at:g} s must be text.")
        if self.label is None and self.start is None and self.end is None:
            raise InputError(f"The correction at {self.at:g} s changes nothing; give a label, a start or an end.")
        if self.start is not None and self.end is not None and self.end - self.start < SHORTEST:
            raise InputError(f"The correction at {self.at:g} s ends before it starts; give at least {SHORTEST:g} s.")


def corrected(
    alignment: Alignment,
    corrections: Iterable[Correction],
    log_posteriors: np.ndarray,
    rate: float,
    language: str = ENGLISH,
) -> Alignment:
    """Apply corrections in their order; `log_posteriors` (N, phones) at `rate` Hz are of the same sound."""
    heard = alignment.heard
    for correction in corrections:
        if not correction.at < alignment.duration:
            raise InputError(
                f"A correction is at {correction.at:g} s, but the sound ends at {alignment.duration:.2f} s; choose the"
                " corrections of this sound."
            )
        if correction.tier == "phone":
            alignment = _phone_edited(alignment, correction)
        else:
            alignment = realign(alignment, correction, log_posteriors, rate, language)
    return replace(alignment, heard=heard)


def realign(
    alignment: Alignment, edit: Correction, log_posteriors: np.ndarray, rate: float, language: str = ENGLISH
) -> Alignment:
    """Edit one word: it, and the boundaries that its neighbours share with it, are aligned again.

    The start of the word before and the end of the word after stay, and everything outside of them.
    """
    if edited := _sound_edited(alignment, edit):
        return edited
    sounds = [w for w in alignment.words if is_sound(w) and not w.start <= edit.at < w.end]
    words = tuple(w for w in alignment.words if not is_sound(w))
    index = next((i for i, w in enumerate(words) if w.start <= edit.at < w.end), None)
    if index is None and not edit.label:
        raise InputError(f"No word is said at {edit.at:g} s; a correction there needs the word that is missing.")
    following = (
        index + 1 if index is not None else next((i for i, w in enumerate(words) if w.start > edit.at), len(words))
    )
    leading = following - 1 if index is None else index - 1
    old = words[index] if index is not None else None
    low, high = (old.start, old.end) if old else (edit.at, edit.at)
    low, high = min(low, edit.start if edit.start is not None else low), max(high, edit.end or high)
    before = words[leading] if leading >= 0 and words[leading].end > low - NEAR else None
    after = words[following] if following < len(words) and words[following].start < high + NEAR else None
    first = before.start if before else max(low - NEAR, words[leading].end if leading >= 0 else 0.0)
    last = after.end if after else min(high + NEAR, words[following].start if following < len(words) else math.inf)
    last = min(last, alignment.duration)
    for time in (edit.start, edit.end):
        if time is not None and not first < time < last:
            raise InputError(
                f"The correction at {edit.at:g} s moves a word beyond its neighbours; correct these first, or stay"
                f" between {first:.2f} and {last:.2f} s."
            )
    wanted = _wanted(alignment, edit, old, language)
    chain = [*_kept(alignment, before), *wanted, *_kept(alignment, after)]
    middle = slice(len(_kept(alignment, before)), len(_kept(alignment, before)) + len(wanted))
    phones, found = _chained(chain, middle, (first, edit.start, edit.end, last), log_posteriors, rate)
    outside = [p for p in words if p is not before and p is not after and p is not old]
    kept = [
        replace(p, start=max(p.start, a), end=min(p.end, b))
        for a, b in ((0.0, first), (last, alignment.duration))
        for p in alignment.phones
        if p.start < b and p.end > a
    ]
    return Alignment.from_segments(
        [*kept, *phones], [*outside, *found, *sounds], alignment.duration, alignment.source, alignment.warnings
    )


def _sound_edited(alignment: Alignment, edit: Correction) -> Alignment | None:
    """The alignment with a laugh, a breath, … added, moved or removed; None where a word is meant."""
    old = next((w for w in alignment.words if w.start <= edit.at < w.end), None)
    named, kept = kind_of(edit.label or "") is not None, not (edit.label or "").strip()
    if not named and not (kept and old is not None and is_sound(old)):
        return None
    others = [w for w in alignment.words if w is not old]
    if edit.label is not None and not edit.label.strip():
        return replace(alignment, words=tuple(others))
    start = edit.start if edit.start is not None else old.start if old is not None else edit.at
    end = edit.end if edit.end is not None else old.end if old is not None else edit.at + USUAL
    new = Word(edit.label.strip() if edit.label else old.label, start, max(end, start + SHORTEST))  # type: ignore[union-attr]
    phones = [part for phone in alignment.phones for part in without_phones(phone, [new])]
    return Alignment.from_segments(
        phones, [*others, new], alignment.duration, alignment.source, alignment.warnings, alignment.guessed
    )


@dataclass(frozen=True)
class _Said:
    """A word to place: its label, and per spoken part its ways as phones."""

    label: str
    script: Script


def _kept(alignment: Alignment, word: Word | None) -> list[_Said]:
    """A neighbour: it keeps its phones, and may only move."""
    if word is None:
        return []
    said = tuple(
        PHONE_INDEX[p.label]
        for p in alignment.phones
        if p.label != SILENCE and word.start - 1e-6 <= (p.start + p.end) / 2 < word.end + 1e-6
    )
    return [_Said(word.label, Script((word.label,), ((0, (said,)),)))] if said else []


def _wanted(alignment: Alignment, edit: Correction, old: Word | None, language: str) -> list[_Said]:
    if edit.label is None:
        return _kept(alignment, old)
    if not edit.label.strip():
        return []
    from . import script_of

    script = script_of(edit.label, language)
    if not script.spoken:
        raise InputError(f"Nothing of “{shortened(edit.label)}” can be spoken; write the word out.")
    words = []
    for number, label in enumerate(script.labels):
        if spoken := tuple((0, ways) for index, ways in script.spoken if index == number):
            words.append(_Said(label, replace(script, labels=(label,), spoken=spoken)))
    return words


def _chained(
    chain: Sequence[_Said],
    middle: slice,
    cuts: tuple[float, float | None, float | None, float],
    log_posteriors: np.ndarray,
    rate: float,
) -> tuple[list[Phone], list[Word]]:
    """Place the words of the chain between the first and the last cut, the `middle` ones between the other two."""
    first, start, end, last = cuts
    leading, own, following = chain[: middle.start], chain[middle], chain[middle.stop :]
    # Words of a part, from, to, and whether its first word starts and its last one ends exactly there.
    parts: list[tuple[Sequence[_Said], float, float, bool, bool]]
    if start is not None and end is not None:
        parts = [
            (leading, first, start, False, False),
            (own, start, end, True, True),
            (following, end, last, False, False),
        ]
    elif start is not None:
        parts = [(leading, first, start, False, False), ([*own, *following], start, last, True, False)]
    elif end is not None:
        parts = [([*leading, *own], first, end, False, True), (following, end, last, False, False)]
    else:
        parts = [(chain, first, last, False, False)]
    # Nor do the outer ends of the neighbours move.
    parts[0] = (*parts[0][:3], parts[0][3] or bool(leading), parts[0][4])
    parts[-1] = (*parts[-1][:4], parts[-1][4] or bool(following))
    phones: list[Phone] = []
    words: list[Word] = []
    for part in parts:
        some, placed = _placed(*part, log_posteriors, rate)
        phones += some
        words += placed
    return phones, words


def _placed(
    said: Sequence[_Said],
    begin: float,
    stop: float,
    from_begin: bool,
    to_stop: bool,
    log_posteriors: np.ndarray,
    rate: float,
) -> tuple[list[Phone], list[Word]]:
    if not said:
        return [Phone(SILENCE, begin, stop)], []
    # One set of columns for words of the chain in any language: English phones, then each word's own sounds.
    labels: list[str] = list(PHONES)
    sounds: list[str] = [""] * len(PHONES)
    low = max(round(begin * rate), 0)
    heard = log_posteriors[low : max(round(stop * rate), low + 1)].astype(np.float32)
    tables = [Script((), ()).emissions(heard)]
    spoken: list[tuple[int, tuple[tuple[int, ...], ...]]] = []
    for number, word in enumerate(said):
        shift = 0
        if word.script.mixture is not None:
            shift = len(labels)
            labels += word.script.phones
            sounds += word.script.sounds or [""] * len(word.script.phones)
            tables.append(word.script.emissions(heard)[:, : len(word.script.phones)])
        spoken += [(number, tuple(tuple(c + shift for c in way) for way in ways)) for _, ways in word.script.spoken]
    emissions = np.concatenate(tables, 1)
    shortest = sum(min(len(way) for way in ways) for _, ways in spoken)
    finer = max(math.ceil((shortest + 1) / len(emissions)), 1)  # more phones than frames: none may be lost
    emissions = np.repeat(emissions, finer, 0)
    segments = list(force(emissions, rate * finer, [ways for _, ways in spoken], _ALL_SAID))
    centred = [(low + (s.start - (finer - 1) / 2) / finer) / rate for s in segments[1:]]  # frame i is centred at i
    edges = [begin, *(min(max(t, begin), stop) for t in centred), stop]
    spans = [(s, a, b) for s, a, b in zip(segments, edges[:-1], edges[1:], strict=True)]
    silent = [s.word is None or s.word < 0 for s in segments]
    if from_begin and silent[0] and len(spans) > 1:
        spans[1] = (spans[1][0], begin, spans[1][2])
        del spans[0]
    if to_stop and silent[-1] and len(spans) > 1:
        spans[-2] = (spans[-2][0], spans[-2][1], stop)
        del spans[-1]
    phones = [Phone(labels[s.column], a, b, sounds[s.column]) for s, a, b in spans]
    words = []
    for number, word in enumerate(said):
        own = [(s, a, b) for s, a, b in spans if s.word is not None and s.word >= 0 and spoken[s.word][0] == number]
        if own:
            words.append(Word(word.label, own[0][1], own[-1][2], word_confidence([s for s, _, _ in own])))
    return phones, words


def _phone_edited(alignment: Alignment, edit: Correction) -> Alignment:
    """Relabel, remove or retime one phone; its neighbours give way, as far as half of themselves."""
    phones = list(alignment.phones)
    index = next(i for i, p in enumerate(phones) if p.start <= edit.at < p.end)
    old = phones[index]
    label = old.label
    if edit.label is not None:
        labels, strange = to_arpabet([edit.label])
        if strange:
            raise InputError(f"There is no phone “{shortened(edit.label)}”; use ARPABET (AA) or IPA (ɑ).")
        label = labels[0]
    start = old.start if edit.start is None else edit.start
    end = old.end if edit.end is None else edit.end
    low = phones[index - 1].start + SHORTEST if index else 0.0
    high = phones[index + 1].end - SHORTEST if index + 1 < len(phones) else alignment.duration
    if not low <= start < end <= high + 1e-9:
        raise InputError(
            f"The correction at {edit.at:g} s moves a phone beyond its neighbours; stay between {low:.2f} and"
            f" {high:.2f} s."
        )
    phones[index] = Phone(label, start, end)
    if index:
        phones[index - 1] = replace(phones[index - 1], end=start)
    if index + 1 < len(phones):
        phones[index + 1] = replace(phones[index + 1], start=end)
    moved = {old.start: start, old.end: end}
    words = [
        replace(
            w,
            start=next((new for was, new in moved.items() if abs(was - w.start) < 1e-6), w.start),
            end=next((new for was, new in moved.items() if abs(was - w.end) < 1e-6), w.end),
        )
        for w in alignment.words
    ]
    return Alignment.from_segments(phones, words, alignment.duration, alignment.source, alignment.warnings)


def save_corrections(corrections: Iterable[Correction], audio_sha256: str, path: str | os.PathLike[str]) -> None:
    """Write corrections of the sound with this checksum as JSON, whole or not at all."""
    listed = [{name: value for name, value in asdict(c).items() if value is not None} for c in corrections]
    text = json.dumps({"audio_sha256": audio_sha256, "corrections": listed}, ensure_ascii=False, indent=1)
    with written_whole(path) as partial:
        partial.write_text(text + "\n", encoding="utf-8")


def load_corrections(path: str | os.PathLike[str], audio_sha256: str) -> tuple[Correction, ...]:
    """Read what `save_corrections` wrote, or a person (then `audio_sha256` may be left out).

    Raises InputError if it is no such file, or of another sound.
    """
    try:
        content: Any = parsed(Path(path).read_text(encoding="utf-8-sig"))
        made_for = content.get("audio_sha256")
        listed = [Correction(**entry) for entry in content["corrections"]]
    except OSError as error:
        raise InputError(f"Cannot read {path} ({error.strerror}); check the path.") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError):
        raise InputError(
            f'{path} holds no corrections; it must be JSON such as {{"corrections": [{{"tier": "word", "at": 1.2,'
            ' "label": "hello"}]}.'
        ) from None
    if made_for not in (None, audio_sha256):
        raise InputError(f"The corrections in {path} are of another sound; choose those of this one.")
    return tuple(listed)
