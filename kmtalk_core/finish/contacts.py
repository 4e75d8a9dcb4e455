"""Contacts are what viewers notice first when they are missed: p, b, m seal the lips, f, v touch the upper teeth.

The networks come within a millimetre or two, and sliders, expressions and completion between keys may part what was
closed. So each contact is held at the very end for as long as speech holds it: the motion is blended into the nearest
pose that makes it, and out again (JALI, Edwards et al. 2016: bilabials always close, labiodentals always touch). Keys
that the user has edited are not touched. Lips that the neutral pose leaves apart come together in pauses, too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np

from ..easing import smoothstep
from ..localization.keys import KeyInstants
from ..motion import KeyMotions
from ..phones import BILABIALS, SILENCE, Alignment
from ..rig.controls import SPEECH_CONTROLS
from ..rig.lip_line import LipLine
from ..settings import Sliders
from .contact_poses import LIPS, PARTING, TEETH, contact_pose, lips_apart, opening_by, pursed_pose, resting_pose
from .pace import paced_within

REST = "rest"  # a third kind of contact: of lips that lie together while nothing is said
RAMP = 0.08  # s into a contact and out of it at least
# The highest speeds, mm/s, to which the way to a contact and out of it is slowed. Out of p, b, m captured people's lips
# open by 5 to 6 mm in 40 ms, nine in ten of them by less than 9; the fastest closings are somewhat faster.
CLOSING, OPENING = 300.0, 168.0
GATHER = 0.25  # the share of the way over which they gather speed, and lose it
PEAK = 1 / (1 - GATHER)  # the highest speed over the mean
NEARBY = 0.2  # s within which the lips' opening beside a contact tells how far their way is
FILM = 30.0  # frames a second, of which each contact has one at least
SHUT = 0.045  # s that lips stay shut for p, b, m at least: two frames of film
# Lips that rest apart: people shut them as the last sound settles and before they draw breath for the next.
SETTLE, BREATH = 0.08, 0.34  # s after speech from which on, and before it until which they are shut
MEETING = 0.045  # s that they stay shut on either side at least
# Beside that some people's lips are shut, others' part again: ours come a little nearer, and meet in longer pauses.
RELAXED, EASED = 0.3, 0.62  # that share of the way; s from speech within which
OPEN_MM = 9.0  # of motion, below which lips that rest apart come the nearer together the less it is
# In w people's lips all but meet: of a captured speaker's, three in four come within 1.4 mm of each other.
PURSED = 0.3, 0.5  # the share of w for which they do
UNHURRIED = 2.0  # times as long as into w they take into other sounds in which somebody's lips do so
TUCKING = 2.3  # times as long as the lips' way to a contact takes the roll of the lower lip to the teeth
FAINT = 0.3  # the intensity below which contacts are only approached
# The share of its phone for which a contact is held: stops end with their release, before their aspiration.
SHORTEST = 1 / 36  # s of each hold at least: slow frames show nearly what fast ones do
HOLD = {"P": (0.3, 0.45), "B": (0.3, 0.5), "M": (0.4, 0.6), "F": (0.4, 0.6), "V": (0.4, 0.6)}

_JAW, _CLOSE = SPEECH_CONTROLS.index("jawOpen"), SPEECH_CONTROLS.index("mouthClose")
_PARTING = [SPEECH_CONTROLS.index(name) for name in PARTING]
# What a contact bears to be on its way still, or already, where another kind of contact is beside it.
YIELDING = {LIPS: ("mouthRollLower", "mouthPucker"), TEETH: ("mouthPucker",)}
USUAL_OPENING = 8.0  # mm, of open vowels


@dataclass(frozen=True)
class Contact:
    """One contact to hold: its `kind`, its `phone` (index into alignment.phones), held from `start` to `end` s of the
    motion, eased into over `rise` and out of over `fall` s."""

    kind: str
    phone: int
    start: float
    end: float
    rise: float = RAMP
    fall: float = RAMP
    last: int | None = None  # the last phone, where there are several


def contact_strength(sliders: Sliders) -> float:
    """0…1: contacts fade away with a faint motion, or a still mouth would tuck its lip for every f and v."""
    return min(sliders.intensity / FAINT, 1.0)


def contact_ramp(sliders: Sliders) -> float:
    """s into and out of a contact at least: more where the motion is to be calm."""
    return RAMP * (1 + 0.5 * sliders.smoothing)


def seal_lips(keys: KeyMotions, alignment: Alignment, instants: KeyInstants) -> KeyMotions:
    """Close the lips at the apexes of p, b, m: keys (m, C) over SPEECH_CONTROLS, one for each instant.

    It acts before completion, so that CMC moves in and out of the closure. mouthClose = jawOpen seals the lips at any
    opening of the jaw (ARKit's meaning of mouthClose).
    """
    bilabial = np.array([alignment.phones[phone].label in BILABIALS for phone in instants.phone_index])
    sealed = bilabial & (instants.kind == "apex")
    controls = keys.controls.copy()
    controls[sealed, _CLOSE] = np.maximum(controls[sealed, _CLOSE], controls[sealed, _JAW])
    controls[np.ix_(sealed, _PARTING)] = 0.0
    return KeyMotions(keys.times, controls)


def find_contacts(
    alignment: Alignment,
    times: np.ndarray,
    offset: float = 0.0,
    ramp: float = RAMP,
    apart: np.ndarray | None = None,
) -> list[Contact]:
    """The contacts of all p, b, m, f, v, ascending; each is held for SHORTEST, and on one frame of `times` (T,) s.

    `offset`: s that the motion is later than the sound; `ramp`: s into and out of a contact, more where the lips are
    further `apart` (T,) mm beside it.
    """
    found: list[Contact] = []
    held = [index for index, phone in enumerate(alignment.phones) if phone.label in HOLD]
    spans = []
    for index in held:
        phone = alignment.phones[index]
        low, high = (phone.start + share * (phone.end - phone.start) + offset for share in HOLD[phone.label])
        more = max((SHORTEST - (high - low)) / 2, 0.0)
        spans.append([low - more, high + more])
    for place, (index, (low, high)) in enumerate(zip(held, spans, strict=True)):
        kind = LIPS if alignment.phones[index].label in BILABIALS else TEETH
        if kind == LIPS:
            middle, half = (low + high) / 2, max(high - low, SHUT) / 2
            # A lip that is at the teeth right before or after comes first: this closure is as short as it has to be.
            floor, ceiling = (_beside(times, spans, held, alignment, place + side, side) for side in (-1, 1))
            low, high = min(max(middle - half, floor), low), max(min(middle + half, ceiling), high)
            first, last = (float(np.clip(t, floor, ceiling)) for t in _frames_of(times, low, high, kind))
            single = _frames_of(times, low, high, TEETH)[0]
            first, last = min(first, single), max(last, single)
        else:
            first, last = _frames_of(times, low, high, kind)
        start, end = min(low, first), max(high, last)
        rise, fall = _ways(start, end, times, apart, ramp)
        found.append(Contact(kind, index, start, end, rise, fall))
    # Where two kinds are next to each other, neither reaches into the other's hold.
    separate = []
    for index, contact in enumerate(found):
        before, after = found[index - 1] if index else None, found[index + 1] if index + 1 < len(found) else None
        if before and before.kind != contact.kind:
            contact = replace(contact, rise=float(np.clip(contact.start - before.end, 1e-6, contact.rise)))
        if after and after.kind != contact.kind:
            contact = replace(contact, fall=float(np.clip(after.start - contact.end, 1e-6, contact.fall)))
        separate.append(contact)
    return separate


def _ways(start: float, end: float, times: np.ndarray, apart: np.ndarray | None, ramp: float) -> tuple[float, float]:
    """s into and out of a contact: `ramp`, or more where the lips would be faster than CLOSING and OPENING."""
    if apart is None:
        return ramp, ramp
    first, last = np.searchsorted(times, [start - NEARBY, end])
    before = apart[first : max(int(np.searchsorted(times, start)), first + 1)].max(initial=0.0)
    after = apart[last : int(np.searchsorted(times, end + NEARBY, side="right"))].max(initial=0.0)
    return max(ramp, PEAK * before / CLOSING), max(ramp, PEAK * after / OPENING)


def _purses(alignment: Alignment, offset: float, ramp: float, nearly: Sequence[str] = ()) -> list[Contact]:
    """Where the lips all but meet: in w, and in the phones `nearly`."""
    found = []
    for index, phone in enumerate(alignment.phones):
        if phone.label == "W" or phone.label in nearly:
            start, end = (phone.start + share * (phone.end - phone.start) + offset for share in PURSED)
            way = ramp if phone.label == "W" else UNHURRIED * ramp
            found.append(Contact(LIPS, index, start, end, way, way))
    return found


def _stretches(alignment: Alignment, offset: float) -> list[Contact]:
    """The stretches of speech between pauses, in which the motion says how near the lips are."""
    found = []
    for silent, run in groupby(range(len(alignment.phones)), key=lambda i: alignment.phones[i].label == SILENCE):
        members = list(run)
        if not silent and alignment.source != "uniform":
            start, end = alignment.phones[members[0]].start, alignment.phones[members[-1]].end
            found.append(Contact(REST, members[0], start + offset, end + offset, RAMP, RAMP, members[-1]))
    return found


def _beside(
    times: np.ndarray, spans: list[list[float]], held: list[int], alignment: Alignment, place: int, side: int
) -> float:
    """Up to where a closure may reach, s: one frame away from the hold of a touch beside it."""
    if not 0 <= place < len(spans) or alignment.phones[held[place]].label in BILABIALS or len(times) < 2:
        return side * np.inf
    low, high = spans[place]
    frame = _frames_of(times, low, high, TEETH)[0]
    edge = min(low, frame) if side > 0 else max(high, frame)
    return edge - side * _film(times)[1]


def find_rests(alignment: Alignment, offset: float = 0.0, ramp: float = RAMP) -> list[Contact]:
    """The pauses in which the mouth can come to rest and part again, ascending; the motion goes on beyond its ends.

    None where no phones were looked for.
    """
    found: list[Contact] = []
    if alignment.source == "uniform":
        return found
    phones = alignment.phones
    for silent, run in groupby(range(len(phones)), key=lambda index: phones[index].label == SILENCE):
        members = list(run)
        first, last = members[0], members[-1]
        if not silent:
            continue
        start = phones[first].start + offset + ramp if first else -np.inf
        end = phones[last].end + offset - ramp if last < len(phones) - 1 else np.inf
        if start <= end:
            found.append(Contact(REST, first, start, end, ramp, ramp, last))
    return found


def _meetings(alignment: Alignment, offset: float) -> tuple[list[Contact], list[Contact]]:
    """Where lips that rest apart are shut in pauses, and where they come nearer by RELAXED."""
    shut, relaxed = [], []
    for pause in find_rests(alignment, offset, 0.0):
        settled, breath = pause.start + SETTLE, pause.end - BREATH
        if settled > breath:
            continue
        relaxed.append(replace(pause, start=settled, end=breath, rise=RAMP, fall=RAMP))
        long = (pause.start + EASED, pause.end - EASED)
        for start, end in ((settled, min(settled + MEETING, breath)), long, (max(breath - MEETING, settled), breath)):
            if start <= end and (np.isfinite(start) or np.isfinite(end)):
                shut.append(replace(pause, start=start, end=end, rise=RAMP, fall=RAMP))
    return shut, relaxed


def _frames_of(times: np.ndarray, low: float, high: float, kind: str) -> tuple[float, float]:
    """The times of the frame that is nearest to the middle of `low`…`high` s, of the two nearest for closures.

    Of many frames a second only those count that a film shows: a line looks the same whatever its frame rate.
    """
    if len(times) < 2:
        return float(times[0]), float(times[0])
    every, step = _film(times)
    place, last = (low + high) / 2 / step, len(times) - 1
    near = (math.floor(place), math.floor(place + 1)) if kind == LIPS else (round(place), round(place))
    first, second = (float(times[min(max(every * frame, 0), last)]) for frame in near)
    return first, second


def _film(times: np.ndarray) -> tuple[int, float]:
    """How many of the frames at `times` come for one of a film of FILM a second, or nearly so; s between two of it."""
    apart = float(times[1] - times[0])
    every = max(round(1 / (FILM * apart)), 1)
    return every, every * apart


def hold_contacts(
    times: np.ndarray,
    motion: np.ndarray,
    control_names: Sequence[str],
    alignment: Alignment,
    offset: float,
    key_times: np.ndarray,
    edited: np.ndarray,
    strength: float = 1.0,
    ramp: float = RAMP,
    lips: LipLine | None = None,
    unedited: np.ndarray | None = None,
    parted: np.ndarray | None = None,
    nearly: Sequence[str] = (),
) -> np.ndarray:
    """`motion` (T, C) at `times` (T,) s with every contact of `alignment` held: (T, C).

    Where the user has edited keys (`edited` (m,) bool, at `key_times` (m,) s) the motion stays theirs. `strength`
    0…1: below 1 contacts are only approached; `ramp`: s into and out of them at least. How long they take follows
    `unedited` (T, C), None: `motion`, so that an edit changes nothing beyond its spans. `parted` (T,) 0…1, None: 0,
    says how far somebody's lips stay apart in pauses; `nearly`: the phones beside w in which their lips all but meet.
    """
    theirs = _edited_groups(key_times, edited)
    contacts = None
    if unedited is not None:
        contacts = find_contacts(alignment, times, offset, ramp, lips_apart(unedited, control_names, lips))
    purses = _purses(alignment, offset, ramp, nearly)

    def held(motion: np.ndarray, slowed: bool, freedoms: _Freedoms) -> np.ndarray:
        return _held(
            times, motion, control_names, alignment, offset, ramp, lips, purses, contacts, parted, slowed, freedoms
        )

    plainly = _Freedoms(times, alignment, offset, (), strength)
    if not theirs:
        return held(motion, True, plainly)
    # What is slowed is what was generated, and nothing where the user's keys govern.
    plain = motion if unedited is None else unedited
    slower = held(plain, True, plainly) - held(plain, False, plainly)
    edited_too = _Freedoms(times, alignment, offset, theirs, strength)
    return held(motion, False, edited_too) + _free_of(times, theirs)[:, None] * slower


def _slowed(
    times: np.ndarray, motion: np.ndarray, held: Mapping[str, np.ndarray], control_names: Sequence[str]
) -> np.ndarray:
    """`motion` (T, C) without what of speech flashes beside contacts; `held`: kind → (T,) bool, where they are held."""
    if len(times) < 2:
        return motion
    speech = [c for c, name in enumerate(control_names) if name in SPEECH_CONTROLS]
    at_first, fps = motion[:, speech], 1 / float(times[1] - times[0])
    moving, exact = at_first, np.zeros(at_first.shape, bool)
    for kind, at in held.items():
        kept = at[:, None] & ~np.isin([control_names[c] for c in speech], YIELDING[kind])
        moving = paced_within(moving, fps, np.where(kept, at_first, -np.inf), np.where(kept, at_first, np.inf))
        exact |= kept
    out = motion.copy()
    out[:, speech] = np.where(exact, at_first, moving)  # contacts that are too close to each other are both made
    return out


def _free_of(times: np.ndarray, theirs: Sequence[tuple[float, float, float, float]]) -> np.ndarray:
    """(T,) float32: 0 among the user's keys, 1 from the untouched ones beside them on."""
    free = np.ones(len(times), np.float32)
    for before, first, last, after in theirs:
        free[(times >= first) & (times <= last)] = 0.0
        for near, far, way in ((first, before, first - times), (last, after, times - last)):
            beside = (way > 0) & ((times > far) if far < near else (times < far))
            free[beside] *= _ease(way[beside] / abs(far - near)) if np.isfinite(far) else 0.0
    return free


class _Freedoms:
    """`freedom` from contacts, each asked for once."""

    def __init__(
        self,
        times: np.ndarray,
        alignment: Alignment,
        offset: float,
        theirs: Sequence[tuple[float, float, float, float]],
        strength: float,
    ) -> None:
        self._asked = (alignment, offset, theirs, strength)
        self._times = times
        self._known: dict[tuple[Contact, ...], np.ndarray] = {}

    def of(self, contacts: Sequence[Contact]) -> np.ndarray:
        """(T,) as `freedom`."""
        key = tuple(contacts)
        if key not in self._known:
            self._known[key] = freedom(self._times, key, *self._asked)
        return self._known[key]


def _held(
    times: np.ndarray,
    motion: np.ndarray,
    control_names: Sequence[str],
    alignment: Alignment,
    offset: float,
    ramp: float,
    lips: LipLine | None,
    purses: Sequence[Contact],
    contacts: Sequence[Contact] | None,
    parted: np.ndarray | None,
    slowed: bool,
    freedoms: _Freedoms,
) -> np.ndarray:
    """As `hold_contacts`, with these contacts, None: those of the motion; however fast, if not `slowed`."""
    out, held = motion.copy(), {}
    press = (lips or LipLine()).resting_press
    if press:
        shut, relaxed = (freedoms.of(c) for c in _meetings(alignment, offset))
        spoken = freedoms.of(_stretches(alignment, offset))
        apart = lips_apart(out, control_names)
        near = (1 - spoken) * (1 - smoothstep(apart / OPEN_MM))
        shutting, together = 1 - shut, np.maximum(RELAXED * (1 - relaxed), near)
        if parted is not None:
            shutting, together = shutting * (1 - parted), together * (1 - parted)
        resting = resting_pose(out, control_names, lips or LipLine())
        out += together.astype(np.float32)[:, None] * (resting - out)
        out += shutting.astype(np.float32)[:, None] * (contact_pose(out, control_names, LIPS, lips) - out)
    near = np.flatnonzero((free := freedoms.of(purses)) < 1)
    pursed = pursed_pose(out[near], control_names, lips)
    out[near] = _approached(out[near], pursed, free[near], free[near], control_names)
    if contacts is None:
        contacts = find_contacts(alignment, times, offset, ramp, lips_apart(out, control_names, lips))
    for kind in (TEETH, LIPS):
        these = [c for c in contacts if c.kind == kind]
        free = freedoms.of(these)
        slower = [replace(c, rise=TUCKING * c.rise, fall=TUCKING * c.fall) for c in these]
        untucked = free if kind == LIPS else freedoms.of(slower)
        near = np.flatnonzero((free < 1) | (untucked < 1))
        pose = contact_pose(out[near], control_names, kind, lips)
        out[near] = _approached(out[near], pose, free[near], untucked[near], control_names)
        held[kind] = free <= 0
        if slowed:  # so that lips begin to close where those that were at the teeth can be
            out = _slowed(times, out, held, control_names)
    return out


def freedom(
    times: np.ndarray,
    contacts: Sequence[Contact],
    alignment: Alignment,
    offset: float = 0.0,
    theirs: Sequence[tuple[float, float, float, float]] = (),
    strength: float = 1.0,
) -> np.ndarray:
    """(T,): 0 where one of `contacts` is held, 1 where none is near or the user's keys govern."""
    free = np.ones(len(times))
    for contact in contacts:
        begin = alignment.phones[contact.phone].start + offset
        finish = alignment.phones[contact.phone if contact.last is None else contact.last].end + offset
        here = slice(
            int(np.searchsorted(times, contact.start - contact.rise)),
            int(np.searchsorted(times, contact.end + contact.fall, side="right")),
        )
        weight = _ease((times[here] - contact.start) / contact.rise + 1)
        weight *= _ease((contact.end - times[here]) / contact.fall + 1)
        for group in theirs:
            if group[2] < contact.start - contact.rise or group[1] > contact.end + contact.fall:
                continue
            weight *= 1 - _governed(times[here], contact, (begin, finish), group)
        free[here] *= 1 - strength * weight
    return free


def _approached(
    motion: np.ndarray, pose: np.ndarray, free: np.ndarray, untucked: np.ndarray, control_names: Sequence[str]
) -> np.ndarray:
    """`motion` (n, C) moved to `pose` (n, C) where `free` (n,) is 0, left where it is 1; the lip rolls by `untucked`.

    In between, a contact only takes what is still in its way: a mouth that closes by itself is not hurried. With the
    distance d left, the way is d e / (e + (1 - e) d / D): a raised cosine e from the distance D on, less for a smaller
    one.
    """
    column = {name: index for index, name in enumerate(control_names)}
    tucking = [column["mouthRollLower"]]
    opening = [c for c in range(motion.shape[1]) if c not in tucking]
    apart = np.minimum(np.abs(opening_by(motion, column) - opening_by(pose, column)) / USUAL_OPENING, 1.0)
    out = motion.copy()
    weights: tuple[tuple[list[int], np.ndarray, np.ndarray], ...] = (
        (opening, free, (1 - free) * apart / np.maximum(free + (1 - free) * apart, 1e-9)),
        (tucking, untucked, 1 - untucked),
    )
    for columns, still, weight in weights:
        held = still <= 0
        weight = np.where(held, 1.0, weight).astype(np.float32)[:, None]
        out[:, columns] += weight * (pose[:, columns] - motion[:, columns])
        exact = np.ix_(held, np.array(columns))
        out[exact] = pose[exact]
    return out


def _edited_groups(key_times: np.ndarray, edited: np.ndarray) -> list[tuple[float, float, float, float]]:
    """Runs of edited keys: the untouched key before, the first and the last edited one, the untouched key after (s)."""
    groups = []
    bounds = np.flatnonzero(np.diff(np.concatenate([[False], edited, [False]]).astype(np.int8)))
    for first, after in bounds.reshape(-1, 2):
        before = key_times[first - 1] if first else -np.inf
        beyond = key_times[after] if after < len(key_times) else np.inf
        groups.append((float(before), float(key_times[first]), float(key_times[after - 1]), float(beyond)))
    return groups


def _governed(times: np.ndarray, contact: Contact, phone: tuple[float, float], group: tuple) -> np.ndarray:
    """(N,) how far the user's keys govern the motion within a contact: 1 at them, 0 at the untouched ones beside.

    Keys outside of the contact's phone leave its hold alone and only cut its ease off; at a key the motion is the key.
    """
    before, first, last, after = group
    if first > phone[1] + 1e-9:
        before = max(before, min(contact.end, first - 1e-9))
    elif last < phone[0] - 1e-9:
        after = min(after, max(contact.start, last + 1e-9))
    out = np.ones(len(times))
    if np.isfinite(before):
        out *= _ease((times - before) / max(first - before, 1e-9))
    if np.isfinite(after):
        out *= _ease((after - times) / max(after - last, 1e-9))
    return out


def _ease(u: np.ndarray) -> np.ndarray:
    """0 → 1 over u = 0 → 1: gathering speed over a quarter of the way, then at one speed, then losing it."""
    u = np.clip(u, 0.0, 1.0)
    first = np.minimum(u, 1 - u)  # both halves are alike
    half = np.where(first < GATHER, first**2 / (2 * GATHER), first - GATHER / 2) * PEAK
    return np.where(u < 0.5, half, 1 - half)
