"""Phones with times → key instants: the frames that become key motions (KMTalk, Sec. 3.2, Phoneme-based Localization).

The paper takes the boundaries of phones, where articulators are seen to jump. An animator rather edits the poses in
which an articulation is reached, its apexes. Both are offered, and their union.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ..errors import InputError
from ..phones import BILABIALS, LABIODENTALS, SILENCE, Alignment, Phone, index_at
from ..settings import KEY_RULES

RULES = tuple(rule for rule in KEY_RULES if rule != "auto")
UNIFORM_SHARE = 1 / 3  # of all frames, as in the paper's ablation

# Where in a phone its articulation is reached, as a share of its length; the middle for all that are not named.
_STOPS = dict.fromkeys(("P", "B", "T", "D", "K", "G"), (0.4,))  # the closure, not the burst that ends it
_DIPHTHONGS = dict.fromkeys(("AW", "AY", "EY", "OW", "OY"), (0.25, 0.75))
_APEXES = {**_STOPS, **_DIPHTHONGS}
_SHORT_DIPHTHONG = 0.1 - 1e-6  # s; below, it has one apex
# How much a missing pose is seen, against that of a vowel: the tongue does most of these, behind the teeth.
_LITTLE_SEEN = dict.fromkeys(("T", "D", "N", "K", "G", "NG", "HH", "L", "Y", "DH", "TH", "S", "Z"), 0.5) | {"AH": 0.7}
_TO_REST = 0.12  # s that the lips take into and out of rest
_REST_KEYS = 1.0  # s between keys in long silence

# Which of two instants stays if both cannot: ends of the sound, lip closures, lip contacts, apexes, boundaries.
_END, _CLOSURE, _CONTACT, _APEX, _REST, _BOUNDARY = range(6)


@dataclass(frozen=True)
class KeyInstants:
    """`times` (m,) s, ascending, each n / fps; `phone_index` (m,) int64 into alignment.phones; `position` (m,) float32,
    0…1 within that phone; `kind` (m,) str: "apex", "boundary", "rest", "end" (of the sound) or "uniform".
    """

    times: np.ndarray
    phone_index: np.ndarray
    position: np.ndarray
    kind: np.ndarray


@dataclass(frozen=True)
class _Candidate:
    time: float
    phone: int
    kind: str
    rank: int


def key_instants(
    alignment: Alignment, rule: str = "boundaries", fps: float = 30.0, min_gap: float = 0.0, density: float = 1.0
) -> KeyInstants:
    """The frames to pose, from the phones' times. The first and the last frame are always among them.

    `rule`: "boundaries" (the paper's: starts and ends of phones), "apexes" (where each articulation is reached),
    "both", or "uniform" (every third frame, also for an alignment by the localizer `uniform`). `min_gap`: seconds
    between neighbouring keys, for fewer keys. `density`: the share of the rule's keys that is kept, 0…1: less is easier
    to edit, more is truer to the speech. Either way those go first that are missed least: boundaries, then apexes that
    are crowded and hardly seen, then contacts of the lip with the teeth, lip closures last. Raises InputError.
    """
    if rule not in RULES:
        raise InputError(f"There is no key rule {rule}; choose one of {', '.join(RULES)}.")
    if not 0.0 <= density <= 1.0:
        raise InputError(f"The key density is {density:g}; choose 0 (fewest keys) to 1 (all).")
    last = int(np.floor(alignment.duration * fps + 1e-6))
    if rule == "uniform" or alignment.source == "uniform":
        return _uniform(alignment, fps, last, UNIFORM_SHARE * max(density, 1e-9))
    count = len(alignment.phones)
    candidates = [_Candidate(0.0, 0, "end", _END), _Candidate(last / fps, count - 1, "end", _END)]
    if rule != "boundaries":
        for index, phone in enumerate(alignment.phones):
            candidates += _apexes(index, phone, index == 0, index == count - 1)
    if rule != "apexes":
        candidates += [_Candidate(p.start, i, "boundary", _BOUNDARY) for i, p in enumerate(alignment.phones)]
    return _instants(alignment, candidates, fps, last, max(min_gap * fps - 1e-6, 1.0), density)


def uniform_instants(duration: float, fps: float = 30.0, share: float = UNIFORM_SHARE) -> KeyInstants:
    """`share` of the frames, evenly spaced, whatever is said: the paper's ablation. The phone is one of silence."""
    alignment = Alignment((Phone(SILENCE, 0.0, duration),), (), duration, "uniform")
    return _uniform(alignment, fps, int(np.floor(duration * fps + 1e-6)), share)


def offset_instants(instants: KeyInstants, frames: int, fps: float, duration: float) -> KeyInstants:
    """The same instants some frames later (negative: earlier), as in the paper's test of robustness.

    Phones and positions stay as they were; what would leave 0…`duration` is dropped.
    """
    number = np.rint(instants.times * fps).astype(np.int64) + frames
    inside = (number >= 0) & (number <= int(np.floor(duration * fps + 1e-6)))
    return KeyInstants(
        number[inside] / fps, instants.phone_index[inside], instants.position[inside], instants.kind[inside]
    )


def _apexes(index: int, phone: Phone, first: bool, last: bool) -> Iterator[_Candidate]:
    length = phone.end - phone.start
    if phone.label != SILENCE:
        shares = _APEXES.get(phone.label, (0.5,))
        if len(shares) > 1 and length < _SHORT_DIPHTHONG:
            shares = (0.5,)
        rank = _CLOSURE if phone.label in BILABIALS else _CONTACT if phone.label in LABIODENTALS else _APEX
        for share in shares:
            yield _Candidate(phone.start + share * length, index, "apex", rank)
        return
    begin = phone.start + (0.0 if first else _TO_REST)
    end = phone.end - (0.0 if last else _TO_REST)
    if end - begin < _TO_REST - 1e-6:  # too short to come to rest and leave it
        yield _Candidate((phone.start + phone.end) / 2, index, "rest", _REST)
        return
    for time in np.linspace(begin, end, 2 + int((end - begin) / _REST_KEYS + 1e-6)):
        yield _Candidate(float(time), index, "rest", _REST)


def _instants(
    alignment: Alignment, candidates: list[_Candidate], fps: float, last: int, gap_in_frames: float, density: float
) -> KeyInstants:
    taken = np.zeros(last + 1, dtype=bool)
    kept: dict[int, _Candidate] = {}
    reach = int(np.ceil(gap_in_frames)) - 1
    for candidate in sorted(candidates, key=lambda c: (c.rank, c.time)):
        frame = min(max(index_at(candidate.time, fps), 0), last)
        if not taken[max(frame - reach, 0) : frame + reach + 1].any() or (candidate.rank == _END and frame not in kept):
            taken[frame] = True
            kept[frame] = candidate
    frames = np.array(sorted(_thinned(alignment, kept, density)), dtype=np.int64)
    chosen = [kept[int(frame)] for frame in frames]
    return _placed(alignment, frames / fps, np.array([c.phone for c in chosen]), np.array([c.kind for c in chosen]))


def _thinned(alignment: Alignment, kept: dict[int, _Candidate], density: float) -> set[int]:
    """The frames of `kept` that stay: the share `density`, the ends of the sound always.

    One after the other goes, each time that which is missed least: by rank, then by how far apart its neighbours are
    and how much of its phone is seen.
    """
    frames = sorted(kept)
    surplus = len(frames) - max(round(density * len(frames)), 2)
    if surplus <= 0:
        return set(frames)
    before = {frame: previous for previous, frame in pairwise(frames)}
    after = dict(pairwise(frames))

    def missed(frame: int) -> tuple[int, float, int]:
        candidate = kept[frame]
        rank = _APEX if candidate.rank == _REST else candidate.rank
        seen = _LITTLE_SEEN.get(alignment.phones[candidate.phone].label, 1.0)
        return -rank, (after[frame] - before[frame]) * seen, frame

    queue = [missed(frame) for frame in frames[1:-1]]
    heapq.heapify(queue)
    gone: set[int] = set()
    while len(gone) < surplus:
        least = heapq.heappop(queue)
        frame = least[2]
        if frame in gone or least != missed(frame):
            continue
        gone.add(frame)
        left, right = before[frame], after[frame]
        after[left], before[right] = right, left
        for neighbour in (left, right):
            if neighbour in before and neighbour in after:
                heapq.heappush(queue, missed(neighbour))
    return set(frames) - gone


def _uniform(alignment: Alignment, fps: float, last: int, share: float) -> KeyInstants:
    if not 0.0 < share <= 1.0:
        raise InputError(f"The share of key frames is {share:g}; choose more than 0 and at most 1.")
    frames = np.unique(np.rint(np.linspace(0, last, max(round(last * share), 1) + 1)).astype(np.int64))
    starts = np.array([p.start for p in alignment.phones])
    phones = np.maximum(np.searchsorted(starts, frames / fps + 1e-9, side="right") - 1, 0)
    return _placed(alignment, frames / fps, phones, np.full(len(frames), "uniform"))


def _placed(alignment: Alignment, times: np.ndarray, phones: np.ndarray, kinds: np.ndarray) -> KeyInstants:
    starts = np.array([p.start for p in alignment.phones])[phones]
    ends = np.array([p.end for p in alignment.phones])[phones]
    position = np.clip((times - starts) / np.maximum(ends - starts, 1e-9), 0.0, 1.0)
    return KeyInstants(times, phones.astype(np.int64), position.astype(np.float32), kinds)
