"""Which keyframes each control gets for a motion, and what is remembered of them, to tell later what was edited."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from kmtalk_core.bezier import BezierCurve, fit_curves
from kmtalk_core.errors import InputError
from kmtalk_core.files import load_npz
from kmtalk_core.finish.reduced import Sampled, sample_motion
from kmtalk_core.motion import Animation
from kmtalk_core.settings import CurveSettings

from .strip import Played

KEYFRAME, EXTREME, GENERATED = 0, 1, 5  # values of Keyframe.type: key motions, pinned ones, completed frames
SAME_FRAME = 1e-3  # frames: keyframes closer than this are one
SAME_VALUE = 1e-6
BENT = 0.02  # of a control: a curve that handles take farther than this from where it was drawn was bent on purpose
AS_DRAWN = 2e-3  # of a control that Blender's precision may change
SAME_HANDLE = 0.01  # frames and values of a handle that Blender's precision may change

Drawn = Mapping[str, BezierCurve]  # control → its curve over frames after the line's first one, as it was drawn


@dataclass(frozen=True)
class Style:
    """How a line's curves are drawn: one of settings.CURVES; and on which frames of the Action key motions are
    pinned."""

    curves: str = CurveSettings().curves
    pinned: tuple[float, ...] = ()

    @property
    def every_frame(self) -> bool:
        """Whether each frame has a keyframe."""
        return self.curves == "frames"


@dataclass(frozen=True)
class LastDrawn:
    """A motion of the same line, and what was drawn of it."""

    animation: Animation
    drawn: Drawn


@dataclass(frozen=True)
class Keyframes:
    """The keyframes of a curve: `frames` (n,), `values` (n,) and `types` (n,), and handles (n, 2); None: Blender's."""

    frames: np.ndarray
    values: np.ndarray
    types: np.ndarray
    left: np.ndarray | None = None
    right: np.ndarray | None = None


def keyframes_for(
    line: Played, animation: Animation, controls: Sequence[str], style: Style, last: LastDrawn | None = None
) -> tuple[dict[str, Keyframes], Drawn]:
    """The keyframes for each of `controls`, and what is to be remembered of them.

    What `last` tells of what was drawn in this style saves time, and changes nothing.
    """
    if style.every_frame:
        frames, values, types = every_frame(line, animation, style.pinned)
        columns = {name: animation.control_names.index(name) for name in controls}
        return {name: Keyframes(frames, values[:, column], types) for name, column in columns.items()}, {}
    if not controls:
        return {}, {}
    sampled = _sampled(line, animation, controls, style)
    if last is not None and list(last.drawn) == list(controls):
        before = _sampled(line, last.animation, controls, style)
        curves = fit_curves(sampled, before, list(last.drawn.values()))
    else:
        curves = fit_curves(sampled)
    kinds = _types(line.first_frame + sampled.positions, sampled.key >= 0, style.pinned)
    found = {}
    shift = np.array([line.first_frame, 0.0])
    for name, curve in zip(controls, curves, strict=True):
        rows = np.clip(np.searchsorted(sampled.positions, curve.points[:, 0] - SAME_FRAME), 0, len(kinds) - 1)
        left, right = curve.left + shift, curve.right + shift
        frames = np.round(line.first_frame + curve.points[:, 0], 4)
        found[name] = Keyframes(frames, curve.points[:, 1], kinds[rows], left, right)
    return found, dict(zip(controls, curves, strict=True))


def every_frame(
    line: Played, animation: Animation, pinned: Sequence[float] = ()
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Frames (n,), values (n, C) and keyframe types (n,): every frame of the motion, and the key motions in between."""
    inside = is_inside(line, key_frames(line, animation))
    at_keys = key_frames(line, animation)[inside]
    completed = line.first_frame + np.arange(len(animation.times))
    free = (nearest(at_keys, completed)[1] > SAME_FRAME) & (completed <= line.last_frame)
    frames = np.concatenate([completed[free], at_keys])
    values = np.concatenate([animation.controls[free], animation.keys.controls[inside]])
    is_key = np.repeat([False, True], [free.sum(), len(at_keys)])
    order = np.argsort(frames, kind="stable")
    return frames[order], values[order], _types(frames[order], is_key[order], pinned)


def key_frames(line: Played, animation: Animation) -> np.ndarray:
    """(m,) frames of the Action on which the key motions lie."""
    return np.round(line.first_frame + animation.keys.times * line.frames_per_second_of_sound, 4)


def is_inside(line: Played, frames: np.ndarray) -> np.ndarray:
    """Which of `frames` lie within the line."""
    return (frames >= line.first_frame - SAME_FRAME) & (frames <= line.last_frame + SAME_FRAME)


@dataclass(frozen=True)
class Touched:
    """What was done by hand to a curve since it was drawn, for each of its keyframes (k,) bool: `changed`, it was not
    drawn so; `turned`, one of its handles was not."""

    now: BezierCurve
    drawn: BezierCurve
    changed: np.ndarray
    turned: np.ndarray

    @classmethod
    def of(cls, drawn: BezierCurve, now: BezierCurve) -> Touched:
        """Compare a curve with what was drawn, both over frames after the line's first one."""
        place, distance = nearest(drawn.points[:, 0], now.points[:, 0])
        same = (distance <= SAME_FRAME) & (np.abs(drawn.points[place, 1] - now.points[:, 1]) <= SAME_VALUE)
        turned = np.zeros(len(same), bool)
        for was, by in ((drawn.left, now.left), (drawn.right, now.right)):
            turned |= (np.abs((was - drawn.points)[place] - (by - now.points)) > SAME_HANDLE).any(1)
        return cls(now, drawn, ~same, turned)

    def bent(self, deleted: np.ndarray) -> np.ndarray:
        """The frames on which handles have taken the curve farthest from where it was drawn.

        One for each stretch between two keyframes that are where they were drawn; where one of the `deleted` key
        motions (m,) lay in between, nothing was bent.
        """
        found, at = [], self.now.points[:, 0]
        for first in np.flatnonzero(~self.changed[:-1] & ~self.changed[1:] & (self.turned[:-1] | self.turned[1:])):
            low, high = at[first : first + 2]
            between = np.arange(np.floor(low) + 1, np.ceil(high))
            if len(between) and not ((deleted > low + SAME_FRAME) & (deleted < high - SAME_FRAME)).any():
                off = np.abs(self.now.at(between) - self.drawn.at(between))
                if off.max() > BENT:
                    found.append(between[off.argmax()])
        return np.array(found)

    def near(self, frames: np.ndarray, posed: bool) -> np.ndarray:
        """(n,) bool at which of `frames`, without keyframes, the curve shows what was done to those beside.

        Not where one was only deleted: it comes back. A control that is `posed` by key motions only shows where handles
        have bent it: what a changed key does to it ends at the key motions beside.
        """
        after, last = np.searchsorted(self.now.points[:, 0], frames), len(self.changed) - 1
        ends = np.clip(after - 1, 0, last), np.clip(after, 0, last)
        changed, turned = (some[ends[0]] | some[ends[1]] for some in (self.changed, self.turned))
        beside = turned & ~changed if posed else changed | turned
        if beside.any():
            here = frames[beside]
            beside[beside] = np.abs(self.now.at(here) - self.drawn.at(here)) > AS_DRAWN
        return beside


def pack(drawn: Drawn) -> bytes:
    """For `unpack`; empty for nothing."""
    if not drawn:
        return b""
    file = io.BytesIO()
    keys = [np.concatenate([c.points, c.left, c.right], axis=1) for c in drawn.values()]
    counts = np.array([len(some) for some in keys])
    np.savez(file, names=np.array(list(drawn), dtype=str), counts=counts, keys=np.concatenate(keys).astype(np.float64))
    return file.getvalue()


@lru_cache(maxsize=4)
def unpack(packed: bytes) -> Drawn:
    """What was drawn; nothing is known of curves with a keyframe on every frame. Raises InputError if it is damaged."""
    if not packed:
        return {}
    z = load_npz(io.BytesIO(packed), ("names", "counts", "keys"))
    try:
        pieces = np.split(z["keys"].astype(np.float64), np.cumsum(z["counts"])[:-1])
        return {
            str(name): BezierCurve(some[:, 0:2], some[:, 2:4], some[:, 4:6])
            for name, some in zip(z["names"], pieces, strict=True)
        }
    except (KeyError, ValueError, IndexError, TypeError):
        raise InputError("What this file remembers of the line is damaged; generate it again.") from None


def nearest(ascending: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The index of the nearest entry of `ascending` for each of `wanted`, and how far off it is."""
    if not len(ascending):
        return np.zeros(len(wanted), np.int64), np.full(len(wanted), np.inf)
    last = len(ascending) - 1
    right = np.minimum(np.searchsorted(ascending, wanted), last)
    left = np.maximum(right - 1, 0)
    to_left, to_right = wanted - ascending[left], ascending[right] - wanted
    to_left, to_right = np.abs(to_left, out=to_left), np.abs(to_right, out=to_right)
    return np.where(to_right < to_left, right, left), np.minimum(to_left, to_right)


def _sampled(line: Played, animation: Animation, controls: Sequence[str], style: Style) -> Sampled:
    """What the curves have to go through, on the line's frames."""
    sampled = sample_motion(animation, controls)
    here = sampled.positions <= line.last_frame - line.first_frame + SAME_FRAME
    sampled = Sampled(**{name: array[here] for name, array in vars(sampled).items()})
    sampled.keyed[_types(line.first_frame + sampled.positions, sampled.key >= 0, style.pinned) == EXTREME] = True
    return sampled


def _types(frames: np.ndarray, is_key: np.ndarray, pinned: Sequence[float]) -> np.ndarray:
    types = np.where(is_key, KEYFRAME, GENERATED)
    if len(pinned):
        types[is_key & (nearest(np.sort(pinned), frames)[1] <= SAME_FRAME)] = EXTREME
    return types
