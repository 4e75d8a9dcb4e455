"""Lines on heads of any family: what is animated are our controls, what is written are the head's own shapes.

The shapes' curves are kept with a take as they were written (`take.curves`), so that what the animator has changed on
them is told from what another version would compute. An edited key stays exactly as the animator left it: what its
shapes have beyond the solver's is added to the motion around it, as completion does with controls.
"""

from __future__ import annotations

import io
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import bpy
import numpy as np

from kmtalk_core.completion import between_keys
from kmtalk_core.errors import InputError
from kmtalk_core.motion import Animation, KeyMotions
from kmtalk_core.retarget.solver import Face
from kmtalk_core.retarget.wear import worn_motion
from kmtalk_core.rig.controls import ALL_CONTROLS

from . import charted, clips, drawing, drawings, families, key_view, keyframes, poses, shape_keys, takes
from .strip import Played

SAME_WEIGHT = 1e-5
SAME_TIME = 1e-4  # s


@dataclass(frozen=True)
class _Curves:
    """What was written: `names` (n,) of channels, their `weights` (T, n) and `key_weights` (m, n); `looks` (n, A)."""

    names: tuple[str, ...]
    weights: np.ndarray
    key_weights: np.ndarray
    looks: np.ndarray

    def packed(self) -> bytes:
        file = io.BytesIO()
        np.savez(
            file,
            names=np.array(self.names, dtype=str),
            weights=self.weights,
            key_weights=self.key_weights,
            looks=self.looks.astype(np.float32),
        )
        return file.getvalue()

    @staticmethod
    def of(take: bpy.types.PropertyGroup) -> _Curves | None:
        """None of a line that is written as controls. Raises InputError if they are damaged."""
        if not take.curves:
            return None
        try:
            with np.load(io.BytesIO(take.curves), allow_pickle=False) as z:
                names = tuple(str(name) for name in z["names"])
                return _Curves(names, z["weights"], z["key_weights"], z["looks"].astype(np.float64))
        except (ValueError, KeyError, OSError):
            raise InputError("What this file remembers of the line's shapes is damaged; generate it again.") from None

    def shown(self, animation: Animation) -> Animation:
        """The animation with these curves instead of its controls."""
        keys = KeyMotions(animation.keys.times, self.key_weights)
        return replace(animation, control_names=self.names, controls=self.weights, keys=keys)


def face_of(keys: bpy.types.Key) -> Face | None:
    """What is known of the shapes of a head that is not driven control by control; None of others."""
    found = shape_keys.recognition_of(keys)
    if found is None or not shape_keys.is_of_family(keys):
        return None
    meant_to = found.face
    if keys.kmtalk.face:
        measured = Face.unpacked(keys.kmtalk.face)
        if measured.motion is not None and set(measured.targets) & set(meant_to.targets):
            motion = np.zeros((len(meant_to.targets), *measured.motion.shape[1:]))
            for row, target in zip(motion, meant_to.targets, strict=True):
                if target in measured.targets:  # the others were added for bones, and move no lips
                    row[:] = measured.motion[measured.targets.index(target)]
            return replace(meant_to, motion=motion, rest=measured.rest)
    return meant_to


def draw(
    clip: takes.Clip,
    animation: Animation,
    look: takes.Look,
    pinned: Sequence[float] | None = None,
    last: Animation | None = None,
) -> None:
    """Put a motion on the curves of a line, on the frames of its `line`, and remember how.

    `pinned`: frames of the Action of pinned key motions, None: those that are. `last`: what was drawn before.
    """
    pins = keyframes.pinned(clip.action, clip.line) if pinned is None else pinned
    style = drawing.Style(look.curves, tuple(pins))
    known = None
    if last is not None and clip.take.drawn and not clip.take.curves and look == takes.look_worn(clip.take):
        known = drawing.LastDrawn(last, drawing.unpack(clip.take.drawn))
    write(clip.obj, clip.action, clip.names, clip.line, animation, look.parts, style, known)
    key_view.redraw(clip.keys)


def write(
    obj: bpy.types.Object,
    action: bpy.types.Action,
    names: Mapping[str, str],
    line: Played,
    animation: Animation,
    parts: Collection[str],
    style: drawing.Style = drawing.Style(),  # noqa: B008 (it is frozen)
    last: drawing.LastDrawn | None = None,
) -> None:
    """Put `animation` on the curves of the line, as the head's shapes; see `keyframes.write`."""
    keys, take = obj.data.shape_keys, clips.take_of(action)
    if charted.chart_of(keys) is not None:
        if keyframes.part_of(charted.CHANNEL) in parts:
            drawings.write(keys, action, line, animation)
        else:
            drawings.clear(keys, action)
    face = face_of(keys)
    if face is None:
        take.curves = b""
        take.drawn = drawing.pack(keyframes.write(obj, action, names, line, animation, parts, style, last))
        shape_keys.make_room_for(obj, names, animation)
        return
    found = shape_keys.recognition_of(keys)
    channels = tuple(families.channel(found.family, target) for target in face.targets)
    weights, key_weights = (poses.within_one(face.targets, some) for some in worn_motion(animation, face))
    pinned = _pinned(obj, action, names, animation, channels)
    if pinned:
        missing = np.zeros_like(key_weights)
        for index, values in pinned.items():
            missing[index] = values - key_weights[index]
            key_weights[index] = values
        weights = weights + between_keys(animation.keys.times, missing, animation.times)
        near = np.clip(animation.key_frames, 0, len(weights) - 1)
        for index in pinned:
            if abs(animation.keys.times[index] * animation.fps - near[index]) < SAME_TIME * animation.fps:
                weights[near[index]] = key_weights[index]
    curves = _Curves(channels, weights.astype(np.float32), key_weights.astype(np.float32), face.looks)
    worn = curves.shown(animation)
    shape_keys.drop_curves(obj, action, names)
    take.drawn = drawing.pack(keyframes.write(obj, action, names, line, worn, parts, style))
    shape_keys.make_room_for(obj, names, worn)
    take.curves = curves.packed()
    take.curves_offset = animation.sliders.offset


def mark_edited(clip: takes.Clip) -> None:
    """See `keyframes.mark_edited`."""
    curves, before = _Curves.of(clip.take), takes.shown(clip.take)
    shown = before if curves is None else curves.shown(before)
    keyframes.mark_edited(clip.obj, clip.action, clip.names, clip.line, shown)


def read(
    obj: bpy.types.Object, action: bpy.types.Action, names: Mapping[str, str], line: Played, before: Animation
) -> KeyMotions:
    """The key motions as the animator left them, as controls; see `keyframes.read`."""
    key_view.take_over(obj.data.shape_keys)
    if charted.chart_of(obj.data.shape_keys) is not None:
        return _beside_drawings(obj, action, names, line, before)
    curves, drawn = _Curves.of(clips.take_of(action)), drawing.unpack(clips.take_of(action).drawn)
    if curves is None:
        return keyframes.read(obj, action, names, line, before, drawn)
    found = keyframes.read(obj, action, names, line, curves.shown(before), drawn)
    controls = np.zeros((len(found.times), len(before.control_names)), np.float32)
    for index, (time, weights) in enumerate(zip(found.times, found.controls, strict=True)):
        base, was = _at(before, curves, float(time))
        controls[index] = base + _moved(curves, weights - was, before)
    return KeyMotions(found.times, controls)


def _beside_drawings(
    obj: bpy.types.Object, action: bpy.types.Action, names: Mapping[str, str], line: Played, before: Animation
) -> KeyMotions:
    """The key motions where drawings are the mouth: what else there is of the face bears few of them, and those that no
    curve bears are as they were."""
    others = {control: name for control, name in names.items() if control != charted.CHANNEL}
    try:
        found = keyframes.read(obj, action, others, line, before, drawing.unpack(clips.take_of(action).drawn))
    except InputError:  # no curve bears any
        return before.keys
    times = before.keys.times
    missing = np.array([np.abs(found.times - time).min(initial=np.inf) > SAME_TIME for time in times], bool)
    order = np.argsort(joined := np.concatenate([found.times, times[missing]]), kind="stable")
    return KeyMotions(joined[order], np.concatenate([found.controls, before.keys.controls[missing]])[order])


def sample(
    obj: bpy.types.Object, action: bpy.types.Action, names: Mapping[str, str], line: Played, before: Animation
) -> np.ndarray:
    """(T, C) float32: what the curves show on every frame, as controls; see `keyframes.sample`."""
    key_view.take_over(obj.data.shape_keys)
    curves = _Curves.of(clips.take_of(action))
    if curves is None:
        return keyframes.sample(obj, action, names, line, before)
    shown = keyframes.sample(obj, action, names, line, curves.shown(before))
    return before.controls.astype(np.float32) + _moved(curves, shown - curves.weights, before)


def _moved(curves: _Curves, change: np.ndarray, animation: Animation) -> np.ndarray:
    """What a change of weights (…, n) is in the controls of `animation`."""
    change = np.where(np.abs(change) > SAME_WEIGHT, change, 0.0)
    columns = [ALL_CONTROLS.index(name) for name in animation.control_names]
    return (change.astype(np.float64) @ curves.looks[:, columns]).astype(np.float32)


def _at(animation: Animation, curves: _Curves, time: float) -> tuple[np.ndarray, np.ndarray]:
    """Controls and weights that were written for a time: of the key there, else of the motion."""
    times = animation.keys.times
    if len(times):
        nearest = int(np.abs(times - time).argmin())
        if abs(times[nearest] - time) < SAME_TIME:
            return animation.keys.controls[nearest], curves.key_weights[nearest]
    place = np.clip(time * animation.fps, 0, len(animation.times) - 1)
    below = min(int(place), max(len(animation.times) - 2, 0))
    above, share = min(below + 1, len(animation.times) - 1), place - below
    return (
        (1 - share) * animation.controls[below] + share * animation.controls[above],
        (1 - share) * curves.weights[below] + share * curves.weights[above],
    )


def _pinned(
    obj: bpy.types.Object,
    action: bpy.types.Action,
    names: Mapping[str, str],
    animation: Animation,
    channels: tuple[str, ...],
) -> dict[int, np.ndarray]:
    """Index of an edited key of `animation` → the weights (n,) that the animator has given it on the curves."""
    take = clips.take_of(action)
    curves = _Curves.of(take)
    if curves is None or not take.result or animation.unfinished is None or not animation.unfinished.edited.any():
        return {}
    before = takes.shown(take)
    if before.audio_sha256 != animation.audio_sha256:
        return {}
    try:
        drawn = drawing.unpack(take.drawn)
        left = keyframes.read(obj, action, names, takes.read_line(take), curves.shown(before), drawn)
    except InputError:  # none is left
        return {}
    shift = round(animation.sliders.offset * animation.fps) - round(take.curves_offset * animation.fps)
    own = [curves.names.index(channel) if channel in curves.names else -1 for channel in channels]
    pinned = {}
    for index in np.flatnonzero(animation.unfinished.edited):
        distance = np.abs(left.times + shift / animation.fps - animation.keys.times[index])
        if len(distance) and distance.min() < SAME_TIME:
            weights = left.controls[int(distance.argmin())]
            pinned[int(index)] = np.array([weights[place] if place >= 0 else 0.0 for place in own], np.float32)
    return pinned
