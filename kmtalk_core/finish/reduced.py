"""A result as few Bézier keys: what an animator would have drawn, and what takes little room elsewhere.

Keys are the key motions, the first and last frame of every contact, and as few others as keep each control within
TOLERANCE of the motion on every frame. A key motion is keyed on the controls that speech moves, where they move;
blinks, gaze, brows and head have their own keys. What the user has edited is keyed on all controls.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..bezier import BezierCurve, Samples, fit_curves
from ..motion import ON_FRAME, Animation
from ..rig.controls import ALL_CONTROLS, HEAD_CONTROLS, UPPER_FACE_CONTROLS
from ..rig.lip_line import PRESSING, LipLine
from .contact_poses import LIPS, PARTING
from .contacts import Contact, contact_ramp, find_contacts, find_rests

TOLERANCE = 0.015  # of a control
OF_REACH = 0.5  # … or this share of how far a control moves at all
HELD = 0.002  # … within a contact
AT_REST = 0.004  # … of what opens the lips, while they rest
PLACE = "@"  # after the control that a channel of a rig shows, before the number of the channel
STILL = 0.08  # a control that moves less from the key motion before to the one after has no key there
MARKED = "jawOpen"  # has a key at every key motion, also where nothing moves, and on the first and the last frame
OPENING_MM = 1.0  # at 1 of a control that a closure depends on
TOUCHING = (
    "jawOpen", "jawForward", "mouthClose", "mouthFunnel", "mouthLowerDownLeft", "mouthLowerDownRight", "mouthPucker",
    "mouthRollLower",
)  # fmt: skip


@dataclass(frozen=True)
class Sampled(Samples):
    """A motion on every frame and key motion; positions are frames after the first one.

    `key` (n,) is the index of the key motion there, -1 for none.
    """

    key: np.ndarray


def reduced_curves(animation: Animation, controls: Sequence[str], tolerance: float = TOLERANCE) -> list[BezierCurve]:
    """A curve over frames after the first one for each of `controls`, those of `animation`.

    None is farther than `tolerance` from the motion on any frame; key motions and contacts are exact.
    """
    return fit_curves(sample_motion(animation, controls, tolerance))


def sample_motion(animation: Animation, controls: Sequence[str], near: float = TOLERANCE) -> Sampled:
    """What curves of `controls` have to go through, and how `near`. Key motions beyond the frames are left out."""
    columns = [animation.control_names.index(name) for name in controls]
    frames, last = np.arange(len(animation.times), dtype=np.float64), len(animation.times) - 1
    at_keys = animation.keys.times * animation.fps
    at_keys = np.where(np.abs(at_keys - np.rint(at_keys)) < ON_FRAME, np.rint(at_keys), at_keys)
    inside = np.flatnonzero((at_keys >= 0) & (at_keys <= last))
    free = ~np.isin(frames, at_keys[inside])
    positions = np.concatenate([frames[free], at_keys[inside]])
    order = np.argsort(positions, kind="stable")
    samples = np.concatenate([animation.controls[free], animation.keys.controls[inside]])[order][:, columns]
    key = np.concatenate([np.full(free.sum(), -1), inside])[order]
    reach = np.ptp(samples, axis=0)
    tolerance = np.repeat(np.minimum(near, OF_REACH * reach)[None], len(positions), axis=0)
    keyed = _keyed(samples, key, controls)
    if animation.unfinished is not None:
        keyed[(key >= 0) & animation.unfinished.edited[key]] = True
    keyed[[0, -1], controls.index(MARKED) if MARKED in controls else 0] = True
    slopes = np.full(samples.shape, np.nan)
    sampled = Sampled(positions[order], samples, tolerance, keyed, slopes, key)
    _hold_exactly(animation, controls, sampled)
    return sampled


def spoken(controls: Sequence[str]) -> np.ndarray:
    """(C,) bool which controls, shapes of a head of another family, or channels of a rig, speech moves."""
    return ~np.isin(_shown(controls), (*UPPER_FACE_CONTROLS, *HEAD_CONTROLS))


def _shown(controls: Sequence[str]) -> list[str]:
    """What each channel shows: of a rig's, the control."""
    return [name.partition(PLACE)[0] for name in controls]


def _keyed(samples: np.ndarray, key: np.ndarray, controls: Sequence[str]) -> np.ndarray:
    """(n, C) bool: the key motions, on what speech moves, where it moves from the one before to the one after.

    Every key motion is keyed on some control.
    """
    out = np.zeros(samples.shape, bool)
    rows = np.flatnonzero(key >= 0)
    if not len(rows):
        return out
    bounds = np.concatenate([[0], rows, [len(samples) - 1]])
    starts = bounds[:-1].clip(max=len(samples) - 2) if len(samples) > 1 else bounds[:-1]
    high, low = (some.reduceat(samples, starts, axis=0) for some in (np.maximum, np.minimum))
    high, low = np.maximum(high, samples[bounds[1:]]), np.minimum(low, samples[bounds[1:]])
    moves = np.maximum(high[:-1], high[1:]) - np.minimum(low[:-1], low[1:]) > STILL
    out[rows] = moves & spoken(controls)
    nowhere = rows[~out[rows].any(1)]
    out[nowhere, controls.index(MARKED) if MARKED in controls else 0] = True
    return out


def _hold_exactly(animation: Animation, controls: Sequence[str], sampled: Sampled) -> None:
    """Key the first and the last frame of every contact, in place, and allow next to nothing in between.

    From one to the other all controls go straight, for lips that are to stay shut between frames too.
    """
    times, tolerance, keyed = sampled.positions / animation.fps, sampled.tolerance, sampled.keyed
    lips = animation.lip_line or LipLine()
    opening = [name for name, mm in lips.opening.items() if abs(mm) >= OPENING_MM]
    shown = _shown(controls)
    others = ~np.isin(shown, ALL_CONTROLS)  # of a head with shapes of another family
    closing, touching = (np.isin(shown, names) | others for names in ([*opening, *PRESSING, *PARTING], TOUCHING))
    offset, ramp = animation.sliders.offset, contact_ramp(animation.sliders)
    contacts = find_contacts(animation.alignment, animation.times, offset, ramp)
    for contact, (first, end) in zip(contacts, _rows_within(times, contacts, 1e-6), strict=True):
        if first < end:
            which, last = closing if contact.kind == LIPS else touching, end - 1
            keyed[first, which] = keyed[last, which] = True
            if last > first:
                way = sampled.values[last, which] - sampled.values[first, which]
                way = way / (sampled.positions[last] - sampled.positions[first])
                sampled.slopes[first, which] = sampled.slopes[last, which] = way
            _at_most(tolerance[first:end], HELD, which)
    rests = find_rests(animation.alignment, offset, ramp)
    for first, end in _rows_within(times, rests, 0.0):
        _at_most(tolerance[first:end], AT_REST, closing)


def _rows_within(times: np.ndarray, contacts: Sequence[Contact], slack: float) -> Sequence[Sequence[int]]:
    """For each contact its first row and the one after its last; `slack`: s."""
    bounds = [(contact.start - slack, contact.end + slack) for contact in contacts]
    return np.searchsorted(times, np.reshape(bounds, (-1, 2))).tolist()


def _at_most(tolerance: np.ndarray, most: float, which: np.ndarray) -> None:
    """Let those channels of a `tolerance` (n, C) be `most` at most, in place."""
    np.minimum(tolerance, most, out=tolerance, where=which)
