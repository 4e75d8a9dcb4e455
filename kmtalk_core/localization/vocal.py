"""Laughs, breaths and the like among the words: found by their sound, placed by tags in the text, listed as "[laughs]".

A listed sound is a `Word` whose label stands in square brackets: it has times, can be corrected, and comes out in
subtitles as captions write it. No phone is said in it; `finish.vocal` moves the face.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..near_voice import shipped_near_voice
from ..phones import PHONE_INDEX, PHONES, SILENCE, Alignment, Phone, Word, index_at
from ..sound_kinds import KINDS, NOBODY, RATE, WORDS

SIGHS = "sighs"
VOCAL = (*(kind for kind in KINDS if kind not in (NOBODY, WORDS)), SIGHS)
SIGH = 0.75  # s of breath, from which on it is a sigh
SMOOTH = 0.1  # s over which chances are averaged
CHANCE = 0.5  # of a sound that is no word, from which on there is one, …
LEAST = 0.5  # … and that of its kind, at least
SURE = 0.6  # of a sound that a recogniser may have made words of
SHORTEST = {"kiss": 0.06, "coughs": 0.1, "breath": 0.2, "laughs": 0.3, "hums": 0.3}  # s
SHORT = 0.15  # s, of all others
TOGETHER = 0.4  # s between notes of a laugh, or coughs, that are listed as one
USUAL = 0.6  # s of a tagged sound that is not to be heard
CERTAIN = 0.95  # at most so much of a frame is taken from the phones
AROUND = 0.24  # s over which the chances of sounds are averaged
RANGE = (2.0, 85.0)  # percentiles of the level between which …
CLEAN_DB, CROWDED_DB = 28.0, 22.0  # … there is so much in a clean recording at least, and in a crowd at most
QUIET_DB, NOISY_DB = 21.0, 16.0  # and so much where laughs and breaths are told for sure, and not at all
SOUND = (0.7, 0.2)  # chance of such a sound from which on silence takes from the phones, and over how much more all
# As stems: what stands in brackets or between asterisks, in the languages that scripts are mostly written in.
_STEMS = {
    "laughs": "laugh chuckl giggl snicker snigger cackl guffaw haha titter lach kicher rit rient rire rire ríe risa rie"
              " rise ride risata ri",
    SIGHS: "sigh seufz soupir suspir sospir",
    "breath": "breath inhal exhal gasp pant yawn atm keuch gähn respir inspir expir souffl halèt jade ansim",
    "coughs": "cough sneez hiccup sniff throat hust nies räusper tousse éternu tose estornud toss starnut",
    "cries": "cry cries crying sob weep wail scream shriek yell whimper wein schluchz schrei pleur sanglot cri llora"
             " solloz grita piang singhiozz urla chora",
    "effort": "grunt groan effort strain moan stöhn ächz gémi grogn gruñ gime gem",
    "hums": "hum hums humming summ fredonn tarare",
    "kiss": "kiss smooch mwah küss kuss bisou embrass bes baci beij",
}  # fmt: skip
_WHOLE = frozenset(("ri", "rit", "rie", "ride", "rise", "hum", "cri", "bes", "gem"))  # others begin so, too
_TAG = re.compile(
    r"\[[^\[\]\n]{2,40}\]|\([^()\n]{2,40}\)|\{[^{}\n]{2,40}\}|(?<!\*)\*[^*\n]{2,40}\*(?!\*)|<[^<>\n]{2,20}>"
)
_MARK = "zq{}qz"  # a word that nobody says, in place of a tag
_MARKED = re.compile(rf"zq({'|'.join(VOCAL)})qz")
_CRIES = re.compile(r"(ha|he|hi|ho|hah|heh|ah|aah+|oh|ooh+|ugh|uh|h?m+|argh+|ow|ouch|ha[ -]ha)+", re.IGNORECASE)


@dataclass(frozen=True)
class Tag:
    """A sound that the text places: its kind (of VOCAL), and the number of the written word that follows it."""

    kind: str
    before: int


@dataclass(frozen=True)
class VocalSound:
    """One sound: its kind (of VOCAL), start and end in s, and how sure that is, 0…1."""

    kind: str
    start: float
    end: float
    confidence: float


def label_of(kind: str) -> str:
    """laughs → [laughs]."""
    return f"[{kind}]"


def kind_of(label: str) -> str | None:
    """The kind of VOCAL that a bracketed label or tag names, in any of some languages; None for words."""
    if not _TAG.fullmatch(label.strip()):
        return None
    for word in re.findall(r"[^\W\d_]+", label.lower()):
        for kind, stems in _STEMS.items():
            if any(word == stem if stem in _WHOLE else word.startswith(stem) for stem in stems.split()):
                return kind
    return None


def is_sound(word: Word) -> bool:
    """Whether a listed word is a sound."""
    return kind_of(word.label) is not None


def marked(text: str) -> str:
    """The text with a word that nobody says in place of each tag that names a sound; `unmarked` finds it again."""

    def mark(match: re.Match[str]) -> str:
        kind = kind_of(match[0])
        return match[0] if kind is None else f" {_MARK.format(kind)} "

    return _TAG.sub(mark, text)


def unmarked(labels: Sequence[str]) -> tuple[tuple[Tag, ...], tuple[int, ...]]:
    """The tags among the labels of a marked text's words, and the numbers of those that are words."""
    tags: list[Tag] = []
    words: list[int] = []
    for number, label in enumerate(labels):
        if match := _MARKED.search(label):
            tags.append(Tag(match[1], len(words)))
        else:
            words.append(number)
    return tuple(tags), tuple(words)


def tagged(tags: Sequence[Tag], words: dict[int, Word], duration: float) -> Iterator[Word]:
    """The tags as listed sounds, each in its share of the gap between the words (by number) around it."""
    for before in dict.fromkeys(tag.before for tag in tags):
        here = [tag for tag in tags if tag.before == before]
        start = max((word.end for number, word in words.items() if number < before), default=0.0)
        end = min((word.start for number, word in words.items() if number >= before), default=duration)
        share = (end - start) / len(here)
        for number, tag in enumerate(here if share > 0 else ()):
            yield Word(label_of(tag.kind), start + share * number, start + share * (number + 1))


def quieted(log_posteriors: np.ndarray, kinds: np.ndarray, level: np.ndarray, rate: float) -> np.ndarray:
    """(N, phones) log-posteriors with silence where nobody near says words: a voice in the background, a laugh or a
    breath is nothing to align words to.

    (N, KINDS) `kinds` and (N,) `level` in dB, at `rate` Hz.
    """
    sounds = trusted(kinds, level)[:, 2:].astype(np.float64).sum(1)
    vocal = np.clip((_smoothed(sounds, rate) - SOUND[0]) / SOUND[1], 0.0, 1.0)
    crowd = crowded(level)
    far = np.zeros(len(level))
    if crowd and rate == RATE and log_posteriors.shape[1] == len(PHONES):
        far = crowd * (1.0 - shipped_near_voice()(log_posteriors, kinds, level))
    wordless = CERTAIN * np.maximum(vocal, far)
    out = log_posteriors + np.log1p(-wordless)[:, None]
    silence = PHONE_INDEX[SILENCE]
    with np.errstate(divide="ignore"):
        out[:, silence] = np.logaddexp(out[:, silence], np.log(wordless))
    return out.astype(log_posteriors.dtype)


def crowded(level: np.ndarray) -> float:
    """0…1: how little quieter than its speech a sound with such (N,) `level` in dB ever is; 0 for clean recordings,
    whose pauses the phone posteriors know."""
    if not len(level):
        return 0.0
    return float(np.clip((CLEAN_DB - _range(level)) / (CLEAN_DB - CROWDED_DB), 0.0, 1.0))


def trusted(kinds: np.ndarray, level: np.ndarray) -> np.ndarray:
    """(N, KINDS) chances of a sound with such (N,) `level` in dB: laughs and breaths are not told from a crowd."""
    if not len(level):
        return kinds
    out = kinds.astype(np.float32)
    trust = float(np.clip((_range(level) - NOISY_DB) / (QUIET_DB - NOISY_DB), 0.0, 1.0))
    out[:, KINDS.index(NOBODY)] += (1 - trust) * out[:, 2:].sum(1)
    out[:, 2:] *= trust
    return out


def _range(level: np.ndarray) -> float:
    quietest, usual = np.percentile(level.astype(np.float64), RANGE)
    return float(usual - quietest)


def _smoothed(values: np.ndarray, rate: float) -> np.ndarray:
    """(N,) averaged over AROUND s, bell-shaped."""
    half = max(round(AROUND / 2 * rate), 1)
    bell = np.hanning(2 * half + 3)[1:-1]
    return np.convolve(np.pad(values, half, mode="edge"), bell / bell.sum(), "valid")


def says_words(kinds: np.ndarray) -> np.ndarray:
    """(N,) bool: whether words are likelier than not in (N, KINDS) chances."""
    return kinds[:, KINDS.index(WORDS)] > CHANCE


def find_sounds(kinds: np.ndarray, rate: float) -> list[VocalSound]:
    """The sounds in (N, KINDS) chances at `rate` Hz, ascending; notes of one laugh and coughs in a row are one."""
    if not len(kinds):
        return []
    width = max(round(SMOOTH * rate), 1)
    vocal = np.apply_along_axis(lambda c: np.convolve(c, np.full(width, 1 / width), "same"), 0, kinds[:, 2:])
    heard = vocal.sum(1) > CHANCE
    edges = np.flatnonzero(np.diff(np.concatenate([[0], heard.astype(np.int8), [0]]))).reshape(-1, 2)
    runs: list[list[int]] = []
    which = [int(kinds[first:last, 2:].sum(0).argmax()) for first, last in edges]
    for (first, last), kind in zip(edges.tolist(), which, strict=True):
        if (
            runs
            and kind == runs[-1][2]
            and (first - runs[-1][1]) / rate < TOGETHER
            and _wordless(kinds, runs[-1][1], first)
        ):
            runs[-1][1] = last
        else:
            runs.append([first, last, kind])
    found = []
    for first, last, kind in runs:
        name = KINDS[2 + kind]
        chances = kinds[first:last, 2:][heard[first:last]].mean(0)
        sure, share = float(chances[kind]), float(chances[kind] / max(chances.sum(), 1e-9))
        length = (last - first) / rate
        if length >= SHORTEST.get(name, SHORT) and sure >= LEAST and share >= CHANCE:
            if name == "breath" and length >= SIGH:
                name = SIGHS
            found.append(VocalSound(name, max((first - 0.5) / rate, 0.0), (last - 0.5) / rate, min(sure, 1.0)))
    return found


def _wordless(kinds: np.ndarray, first: int, last: int) -> bool:
    """Whether no word is said from one frame to another."""
    return bool(kinds[first:last, KINDS.index(WORDS)].max(initial=0.0) < CHANCE)


def with_sounds(alignment: Alignment, kinds: np.ndarray, rate: float) -> Alignment:
    """The alignment with the sounds that are heard outside of its words, and with its tags where they are heard.

    `kinds` (N, KINDS) at `rate` Hz are of the same sound. Where a sound is, no phone is said.
    """
    sounds = find_sounds(kinds, rate)
    given = alignment.heard is None
    said = [w for w in alignment.words if not is_sound(w)]
    listed: list[Word] = []
    for tag in alignment.words:
        if is_sound(tag):
            inside = [s for s in sounds if s.start < tag.end and s.end > tag.start]
            listed.append(_heard_tag(tag, inside, kinds, rate))
            sounds = [s for s in sounds if s not in inside]
    for sound in sounds:
        if not given and sound.confidence >= SURE:  # a recogniser makes words of laughs and cries
            said = [w for w in said if not (_CRIES.fullmatch(w.label.strip(".,!?… ")) and _within(w, sound))]
        for start, end in _outside(sound.start, sound.end, said):
            if end - start >= SHORTEST.get(sound.kind, SHORT):
                listed.append(Word(label_of(sound.kind), start, end, sound.confidence))
    if not listed and len(said) == len(alignment.words):
        return alignment
    phones = [part for phone in alignment.phones for part in without_phones(phone, listed)]
    whole = Alignment.from_segments(
        phones, [*said, *listed], alignment.duration, alignment.source, alignment.warnings, alignment.guessed
    )
    return replace(whole, heard=alignment.heard)


def _heard_tag(tag: Word, inside: Sequence[VocalSound], kinds: np.ndarray, rate: float) -> Word:
    """A tag where its sound is heard; where none is, where anything is; else in the middle of its gap."""
    if inside:
        start, end = max(inside[0].start, tag.start), min(inside[-1].end, tag.end)
        return replace(tag, start=start, end=end)
    first = max(index_at(tag.start, rate), 0)
    loud = np.flatnonzero(kinds[first : index_at(tag.end, rate), KINDS.index(NOBODY)] < CHANCE)
    if len(loud):
        return replace(
            tag, start=max((first + loud[0]) / rate, tag.start), end=min((first + loud[-1] + 1) / rate, tag.end)
        )
    middle, half = (tag.start + tag.end) / 2, min(USUAL, tag.end - tag.start) / 2
    return replace(tag, start=middle - half, end=middle + half)


def _within(word: Word, sound: VocalSound) -> bool:
    """Whether most of a word is in a sound."""
    return min(word.end, sound.end) - max(word.start, sound.start) > 0.5 * (word.end - word.start)


def _outside(start: float, end: float, words: Iterable[Word]) -> Iterator[tuple[float, float]]:
    """The parts of a stretch that are in none of the ascending words."""
    for word in words:
        if word.end > start and word.start < end:
            if word.start > start:
                yield start, word.start
            start = max(start, word.end)
    if end > start:
        yield start, end


def without_phones(phone: Phone, sounds: Sequence[Word]) -> Iterator[Phone]:
    """What of a phone is in none of the sounds."""
    inside = sorted((s for s in sounds if s.start < phone.end and s.end > phone.start), key=lambda s: s.start)
    for start, end in _outside(phone.start, phone.end, inside):
        yield replace(phone, start=start, end=end)
