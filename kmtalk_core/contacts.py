"""Contacts are what viewers notice first when they are missed: p, b, m seal the lips, f, v touch the upper teeth.

The networks come within a millimetre or two, and sliders, expressions and completion between keys may part what was
closed. So each contact is held at the very end for as long as speech holds it: the motion is blended into the nearest
pose that makes it, and out again (JALI, Edwards et al. 2016: bilabials always close, labiodentals always touch). Keys
that the animator has edited are not touched.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from .localization.keys import KeyInstants
from .motion import KeyMotions
from .phones import BILABIALS, Alignment
from .rig.controls import SPEECH_CONTROLS

LIPS, TEETH = "lips", "teeth"  # the two kinds of contact: of p, b, m and of f, v
RAMP = 0.08  # s into a contact and out of it
# The share of its phone for which a contact is held: stops end with their release, before their aspiration.
HOLD = {"P": (0.1, 0.6), "B": (0.1, 0.7), "M": (0.15, 0.85), "F": (0.2, 0.8), "V": (0.2, 0.8)}

_JAW, _CLOSE = SPEECH_CONTROLS.index("jawOpen"), SPEECH_CONTROLS.index("mouthClose")
# What parts the lips by itself, however far the mouth is closed.
PARTING = (
    "mouthFunnel", "mouthLowerDownLeft", "mouthLowerDownRight", "mouthUpperUpLeft", "mouthUpperUpRight",
)  # fmt: skip
_PARTING = [SPEECH_CONTROLS.index(name) for name in PARTING]


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


def find_contacts(alignment: Alignment, times: np.ndarray, offset: float = 0.0) -> list[Contact]:
    """The contacts of all p, b, m, f, v, each held on at least one frame of `times` (T,) s, ascending by `start`.

    `offset`: s that the motion is later than the sound.
    """
    found = []
    for index, phone in enumerate(alignment.phones):
        if phone.label not in HOLD:
            continue
        low, high = (phone.start + share * (phone.end - phone.start) + offset for share in HOLD[phone.label])
        nearest = times[np.abs(times - (low + high) / 2).argmin()] if len(times) < 2 else _nearest(times, low, high)
        kind = LIPS if phone.label in BILABIALS else TEETH
        found.append(Contact(kind, index, min(low, nearest), max(high, nearest)))
    # Where two kinds are next to each other, neither reaches into the other's hold.
    apart = []
    for index, contact in enumerate(found):
        before, after = found[index - 1] if index else None, found[index + 1] if index + 1 < len(found) else None
        if before and before.kind != contact.kind:
            contact = replace(contact, rise=float(np.clip(contact.start - before.end, 1e-6, RAMP)))
        if after and after.kind != contact.kind:
            contact = replace(contact, fall=float(np.clip(after.start - contact.end, 1e-6, RAMP)))
        apart.append(contact)
    return apart


def _nearest(times: np.ndarray, low: float, high: float) -> float:
    frame = np.clip(np.rint((low + high) / 2 / (times[1] - times[0])), 0, len(times) - 1)
    return float(times[int(frame)])


def hold_contacts(
    times: np.ndarray,
    motion: np.ndarray,
    control_names: Sequence[str],
    alignment: Alignment,
    offset: float,
    key_times: np.ndarray,
    edited: np.ndarray,
    strength: float = 1.0,
) -> np.ndarray:
    """`motion` (T, C) at `times` (T,) s with every contact of `alignment` held: (T, C).

    Where the animator has edited keys (`edited` (m,) bool, at `key_times` (m,) s) the motion stays theirs. `strength`
    0…1: below 1 contacts are only approached.
    """
    out = motion.copy()
    contacts = find_contacts(alignment, times, offset)
    theirs = _edited_groups(key_times, edited)
    for kind in (TEETH, LIPS):
        part = np.ones(len(times), np.float32)
        for contact in contacts:
            if contact.kind == kind:
                phone = alignment.phones[contact.phone]
                here = slice(
                    int(np.searchsorted(times, contact.start - contact.rise)),
                    int(np.searchsorted(times, contact.end + contact.fall, side="right")),
                )
                weight = _ease((times[here] - contact.start) / contact.rise + 1)
                weight *= _ease((contact.end - times[here]) / contact.fall + 1)
                for group in theirs:
                    if group[1] < contact.start - contact.rise or group[2] > contact.end + contact.fall:
                        continue
                    weight *= 1 - _governed(times[here], contact, (phone.start + offset, phone.end + offset), group)
                part[here] *= (1 - strength * weight).astype(np.float32)
        touched = np.flatnonzero(part < 1)
        pose = contact_pose(out[touched], control_names, kind)
        out[touched] += (1 - part[touched])[:, None] * (pose - out[touched])
        exact = touched[part[touched] == 0]
        out[exact] = pose[part[touched] == 0]
    return out


def contact_pose(motion: np.ndarray, control_names: Sequence[str], kind: str) -> np.ndarray:
    """The poses (n, C) nearest to `motion` (n, C) that make the contact `kind`."""
    column = {name: index for index, name in enumerate(control_names)}
    out = motion.copy()
    if kind == LIPS:
        out[:, column["mouthClose"]] = out[:, column["jawOpen"]]
        out[:, [column[name] for name in PARTING]] = 0.0
        return out
    out[:, column["jawOpen"]] = np.minimum(out[:, column["jawOpen"]], 0.1)
    out[:, column["mouthClose"]] = np.maximum(out[:, column["jawOpen"]] - 0.04, 0.0)
    out[:, column["mouthRollLower"]] = 0.6
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
    """(N,) how far the animator's keys govern the motion within a contact: 1 at them, 0 at the untouched ones beside.

    Keys outside of the contact's phone leave its hold alone and only cut its ease off.
    """
    before, first, last, after = group
    if first > phone[1] + 1e-9:
        before = max(before, contact.end)
    elif last < phone[0] - 1e-9:
        after = min(after, contact.start)
    out = np.ones(len(times))
    if np.isfinite(before):
        out *= _ease((times - before) / max(first - before, 1e-9))
    if np.isfinite(after):
        out *= _ease((after - times) / max(after - last, 1e-9))
    return out


def _ease(u: np.ndarray) -> np.ndarray:
    """0 → 1 over u = 0 → 1 along a raised cosine."""
    return 0.5 - 0.5 * np.cos(np.pi * np.clip(u, 0.0, 1.0))
