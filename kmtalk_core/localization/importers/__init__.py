"""Alignments of other tools → `Alignment`. The format is found by what a file holds, not by its name."""

from __future__ import annotations

import csv
import json
import math
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import InputError, shortened
from ...phones import PHONE_INDEX, SILENCE, VOWELS, Alignment, Phone, Word
from ..ipa import lips_of, segments
from ..labels import is_silent, to_arpabet
from ..markup import local_name, xml_root
from ..transcript import Cue, decoded, subtitles, timed_labels
from ..vocal import kind_of
from .aligners import ctm_lines, is_ctm, json_track, label_lines, master_labels, mfa_csv
from .elan import elan_track
from .mouths import RHUBARB_LINES, moho_dat, mouth_phones, papagayo_pgo, rhubarb_tsv, rhubarb_xml
from .praat import is_textgrid, textgrid_track
from .track import Interval, Track

IMPORTED = "imported"
WORDS_ONLY = "imported-words"
"""The source of an alignment whose phones were only spread inside of imported words; see within_words."""

FORMATS = "TextGrid, ELAN, MFA, Gentle, Whisper, PocketSphinx, Rhubarb, Papagayo, label or karaoke subtitle file"
LARGEST = 256 * 1024**2  # bytes
LONGEST = 24 * 3600.0  # s
LONGEST_LABEL = 100  # spoken words of one label; what has more is no word
SLIP = 0.02  # s that neighbours may overlap without a word about it: rounding
_DAMAGED = (ValueError, LookupError, TypeError, AttributeError, StopIteration, RuntimeError, ArithmeticError)
FEW = 0.2  # share of the phones that may overlap by more; otherwise the times mean something else


def load_alignment(path: str | os.PathLike[str], fps: float | None = None) -> Alignment:
    """Read an alignment of any tool of FORMATS; `fps`: frames a second of a .dat, which does not tell them.

    Phones may be ARPABET (with stress or not), IPA or X-SAMPA. Where there are words only, their phones are those of
    the dictionary, spread over the word; where there are mouth shapes only, each is a phone that looks like it. Gaps
    are silence; small overlaps and times outside of the sound are cut, with a warning. Raises InputError.
    """
    name = Path(path).name
    try:
        if Path(path).stat().st_size > LARGEST:
            raise InputError(f"{name} is too large to be an alignment; choose a {FORMATS}.")
        data = Path(path).read_bytes()
    except FileNotFoundError:
        raise InputError(f"There is no alignment {path}; check the path.") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); choose a TextGrid or .json file.") from None
    return read_alignment(data, name, fps)


def read_alignment(data: bytes, name: str, fps: float | None = None) -> Alignment:
    """As `load_alignment`, from the bytes of a file called `name`."""
    if b"ooBinaryFile" in data[:20]:
        raise InputError(f"{name} is a binary TextGrid; save it in Praat with “Save as text file”.")
    try:
        try:
            text = decoded(data)
        except UnicodeDecodeError:
            text = data.decode("latin-1")
        track = read_track(text.lstrip("\ufeff"), name, fps)
        return _alignment(track, name)
    except InputError:
        raise
    except (*_DAMAGED, csv.Error):
        raise InputError(f"{name} is no {FORMATS}, or is damaged; export it again.") from None


def read_track(text: str, name: str, fps: float | None = None) -> Track:
    """What a file holds, by its content; raises InputError, or ValueError and the like for a damaged file."""
    start = text.lstrip()
    if start[:1] in ("{", "["):
        return json_track(name, _json(start))
    if start[:1] == "<":
        return _xml_track(name, start)
    if is_textgrid(text):
        return textgrid_track(text)
    if start.startswith("MohoSwitch1"):
        return moho_dat(name, start, fps)
    if start.startswith("lipsync version"):
        return papagayo_pgo(start)
    if start.startswith("Begin,End,Label,Type"):
        return mfa_csv(start)
    if start.startswith("#!MLF!#"):
        return master_labels(name, start)
    if RHUBARB_LINES.fullmatch(text):
        return rhubarb_tsv(text)
    if (cues := subtitles(text)) is not None:
        return karaoke(name, cues)
    if is_ctm(text):
        return ctm_lines(name, text)
    if timed_labels(text):
        return label_lines(text)
    raise ValueError


def _json(text: str) -> Any:
    """One value, or a list of those that follow one another, as PocketSphinx (one a line) and Vosk write them."""
    decoder, values, at = json.JSONDecoder(), [], 0
    while at < len(text):
        value, at = decoder.raw_decode(text, at)
        values.append(value)
        while at < len(text) and text[at] in " \t\r\n":
            at += 1
    return values[0] if len(values) == 1 else values


def _xml_track(name: str, text: str) -> Track:
    root = xml_root(text)
    kind = local_name(root)
    if kind == "rhubarbResult":
        return rhubarb_xml(root)
    if kind == "ANNOTATION_DOCUMENT":
        return elan_track(root)
    if kind == "tt" and (cues := subtitles(text)) is not None:
        return karaoke(name, cues)
    raise InputError(f"{name} is XML of no known tool; give the output of Rhubarb (.xml) or ELAN (.eaf).")


def karaoke(name: str, cues: Sequence[Cue]) -> Track:
    """Words from subtitles with a time for each word: inside of the cues, highlighted one by one, or a cue for each."""
    inside = [word for cue in cues for word in cue.words]
    if sum(len(word.text.split()) for word in inside) >= 0.8 * sum(len(cue.text.split()) for cue in cues) > 0:
        timed = [(word.start, word.end, word.text) for word in inside]
    elif cues and sum(len(cue.text.split()) == 1 for cue in cues) >= 0.8 * len(cues):
        timed = [(cue.start, cue.end, cue.text) for cue in cues]
    else:
        raise InputError(
            f"{name} has times for whole lines only; give it as transcript (--transcript-file), to find the words."
        )
    return Track("karaoke", words=tuple(Interval(s, e, t, f"word {n}") for n, (s, e, t) in enumerate(timed, 1)))


def _alignment(track: Track, name: str) -> Alignment:
    everything = (*track.phones, *track.mouths, *track.words)
    _check_times(name, track, everything)
    warnings = list(track.warnings)
    duration = track.duration
    end = max((interval.end for interval in everything), default=0.0)
    if duration and end > duration + SLIP:
        warnings.append(f"{name} goes on for {end - duration:.2f} s after the end that it names; that part was kept.")
    duration = max(duration, end)
    words = [
        Word(w.label.strip(), w.start, max(w.start, w.end))
        for w in track.words
        if w.label.strip() and not _noise(w.label)
    ]
    sounds = [Word(w.label.strip(), w.start, max(w.start, w.end)) for w in track.words if kind_of(w.label)]
    if not track.phones and not track.mouths and not words:
        raise _nothing_usable(name, track)
    phones = [phone for phone in _phones(name, track) if phone.label != SILENCE]
    warnings += _repairs(name, phones or words)
    if phones or (track.phones and not words):
        left, unknown = _left_without(track, words, phones)
        warnings += _told(name, left, unknown)
        source = IMPORTED
    else:
        left, unknown, source = words, [], WORDS_ONLY
    phones += (phone for word in left for phone in spread(word))
    guessed = [(word.start, word.end) for word in left] + [(i.start, i.end) for i in unknown]
    return Alignment.from_segments(phones, [*words, *sounds], duration, source, warnings, guessed)


def _nothing_usable(name: str, track: Track) -> InputError:
    if track.others:
        listed = ", ".join(f"“{shortened(other, 30)}”" for other in track.others[:5])
        more = f" and {len(track.others) - 5} more" if len(track.others) > 5 else ""
        return InputError(
            f"{name} has no tier of phones or words as intervals, only {listed}{more}; name those that hold them"
            " “phones” and “words”."
        )
    return InputError(
        f"{name} has no tier of phones or words, and no mouth shapes; export it with the tiers words and phones."
    )


def _noise(label: str) -> bool:
    """Whether a word is a sign for what is no word: [laughter], {NS}, <noise>, (music)."""
    return bool(re.fullmatch(r"\s*(?:\[[^\]]*\]|\{[^}]*\}|<[^>]*>|\([^)]*\))\s*", label))


def _phones(name: str, track: Track) -> list[Phone]:
    if track.phones:
        _known(name, track.phones)
        labels, _ = to_arpabet(phone.label for phone in track.phones)
        return [Phone(label, p.start, p.end, _sound(p.label)) for label, p in zip(labels, track.phones, strict=True)]
    return list(_mouths(name, track.mouths)) if track.mouths else []


def _sound(label: str) -> str:
    """What IPA calls a phone whose lips no English one has; else ""."""
    found = segments(label) if not label.isascii() and len(label) <= LONGEST_LABEL else []
    return found[0] if len(found) == 1 and lips_of(found[0]) is not None else ""


def _left_without(track: Track, words: Sequence[Word], phones: Sequence[Phone]) -> tuple[list[Word], list[Interval]]:
    """The words in which no phone is said, and the stretches without words and phones that their tool calls speech."""
    if track.mouths:
        return [], []
    said = np.sort([(phone.start + phone.end) / 2 for phone in phones])
    worded = np.sort([(word.start + word.end) / 2 for word in words])
    left = [w for w in words if w.end > w.start and not _between(said, w.start, w.end)]
    unknown = [
        interval
        for interval in track.phones
        if is_silent(interval.label, speech=True)
        and not _between(said, interval.start, interval.end)
        and not _between(worded, interval.start, interval.end)
    ]
    return left, unknown


def _between(instants: np.ndarray, start: float, end: float) -> bool:
    return bool(np.searchsorted(instants, start) < np.searchsorted(instants, end))


def _told(name: str, left: Sequence[Word], unknown: Sequence[Interval]) -> Iterator[str]:
    """Sentences on speech that came without phones."""
    if left:
        quoted = ", ".join(f"“{shortened(word.label, 30)}”" for word in left[:5])
        more = f" and {len(left) - 5} more" if len(left) > 5 else ""
        were = "it was" if len(left) == 1 else "they were"
        yield f"{name} has no phones for {quoted}{more}, so {were} read from the spelling; check there."
    if unknown:
        listed = ", ".join(f"{i.start:.1f} s" for i in unknown[:5])
        more = f" and {len(unknown) - 5} more times" if len(unknown) > 5 else ""
        yield f"{name} has speech without phones at {listed}{more}; there the mouth follows the sound alone."


def _check_times(name: str, track: Track, everything: Iterable[Interval]) -> None:
    latest = track.duration
    for interval in everything:
        if not math.isfinite(interval.start) or not math.isfinite(interval.end):
            raise InputError(f"{name} has times that are NaN or infinite ({interval.where}); export it again.")
        if interval.end < interval.start - 1e-6:
            raise InputError(
                f"{name}, {interval.where}: “{shortened(interval.label)}” ends ({interval.end:g} s) before it starts"
                f" ({interval.start:g} s); correct it there."
            )
        latest = max(latest, interval.end)
    if not math.isfinite(latest) or latest > LONGEST:
        raise InputError(f"{name} lasts longer than a day; its times must be in seconds, so export it again.")


def _known(name: str, phones: Sequence[Interval]) -> None:
    _, strange = to_arpabet(phone.label for phone in phones)
    if strange:
        first = next(phone for phone in phones if phone.label in strange)
        more = f" (and {len(strange) - 1} others)" if len(strange) > 1 else ""
        raise InputError(
            f"{name}, {first.where}: “{shortened(first.label)}”{more} is no phone of ARPABET, IPA or X-SAMPA; rename"
            " it there, or leave it empty for silence."
        )


def _mouths(name: str, mouths: Sequence[Interval]) -> Iterator[Phone]:
    """A phone for every mouth shape; Papagayo can also hold phones, so they are tried last."""
    labels = mouth_phones([mouth.label for mouth in mouths])
    if None in labels:
        found, strange = to_arpabet(mouth.label if mouth.label != "rest" else "" for mouth in mouths)
        if strange:
            first = next(mouth for mouth, label in zip(mouths, labels, strict=True) if label is None)
            raise InputError(
                f"{name}, {first.where}: “{shortened(first.label)}” is no mouth shape of Rhubarb (A to H, X) or Preston"
                " Blair (AI, E, O, U, etc, L, WQ, MBP, FV, rest); rename it there."
            )
        labels = list(found)
    for label, mouth in zip(labels, mouths, strict=True):
        yield Phone(label or SILENCE, mouth.start, mouth.end)


def _repairs(name: str, segments: Sequence[Phone] | Sequence[Word]) -> list[str]:
    """Sentences on what `Alignment.from_segments` will cut."""
    ordered = sorted((s.start, s.end) for s in segments)
    overlaps = sum(end - start > SLIP for (_, end), (start, _) in pairwise(ordered))
    before = sum(start < -SLIP for start, _ in ordered)
    found = []
    if overlaps > max(FEW * len(ordered), 2):
        found.append(f"In {name} most neighbours overlap (several speakers?); the later ones were cut, so check them.")
    elif overlaps:
        found.append(f"{name} has {overlaps} overlaps; the later ones begin where the earlier ones end.")
    if before:
        found.append(f"{name} has times before the start of the sound; they were cut there.")
    return found


# Typical lengths, to share out a word's time: vowels are longer than consonants, stops and taps shortest (Klatt 1976).
_LENGTHS = {
    **dict.fromkeys(VOWELS, 1.4), "AH": 0.9, "IH": 1.0, "AW": 2.0, "AY": 2.0, "OY": 2.0, "EY": 1.7, "OW": 1.7,
    "S": 1.3, "SH": 1.4, "F": 1.2, "TH": 1.1, "CH": 1.4, "JH": 1.1, "DH": 0.6, "D": 0.7, "HH": 0.7,
}  # fmt: skip


def spread(word: Word) -> Iterator[Phone]:
    """The phones of a word by dictionary, in proportion to their typical lengths, inside of its times."""
    phones = [phone for way in ways(word.label)[:1] for phone in way]
    shares = np.cumsum([0.0, *(_LENGTHS.get(phone, 1.0) for phone in phones)])
    edges = word.start + (word.end - word.start) * shares / max(shares[-1], 1e-9)
    for phone, start, end in zip(phones, edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        yield Phone(phone, start, end)


def ways(label: str) -> list[list[str]]:
    """How a written word may be said, as phones; none if nothing is said for it."""
    from ..g2p import pronunciations
    from ..text import spoken_words

    found: list[list[str]] = [[]]
    spoken = (said for item in spoken_words(re.sub(r"[\[\](){}<>*]", "", label)) for said in item.spoken)
    for said in islice(spoken, LONGEST_LABEL):
        variants = [[phone for phone in way.split() if phone in PHONE_INDEX] for way in pronunciations(said)]
        found = [before + variant for before in found for variant in variants][:8]
    return [way for way in found if way]


def fitted(alignment: Alignment, duration: float) -> Alignment:
    """An imported alignment on a sound of `duration` s: cut or filled with silence, with a warning if they differ."""
    warnings = list(alignment.warnings)
    last = max((phone.end for phone in alignment.phones if phone.label != SILENCE), default=0.0)
    if last > duration + 0.1:
        warnings.append(
            f"The alignment goes on for {last - duration:.1f} s after the end of the sound; check that they belong"
            " together."
        )
    return Alignment.from_segments(
        alignment.phones, alignment.words, duration, alignment.source, warnings, alignment.guessed
    )


__all__ = ["FORMATS", "IMPORTED", "WORDS_ONLY", "fitted", "load_alignment", "read_alignment", "spread", "ways"]
