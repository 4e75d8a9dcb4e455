"""Lines on heads of any family: what is animated are our controls, what is written are the head's own shapes.

The shapes' curves are kept with a take as they were written (`take.curves`), so that what the animator has changed on
them is told from what another version would compute. An edited key stays exactly as the animator left it: what its
shapes have beyond the solver's is added to the motion around it, as completion does with controls. Where lines key the
rig of a head, its channels are kept and read back in the same way (see `rig_keys`).
"""

from __future__ import annotations

import io
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import bpy
import numpy as np

from kmtalk_core.completion import between_keys
from kmtalk_core.errors import InputError
from kmtalk_core.files import load_npz
from kmtalk_core.motion import Animation, KeyMotions
from kmtalk_core.retarget.solver import Face
from kmtalk_core.retarget.wear import worn_motion
from kmtalk_core.rig.controls import ALL_CONTROLS

from . import charted, clips, drawing, drawings, families, key_view, keyframes, poses, rig_keys, shape_keys, takes
from .strip import Played

SAME_WEIGHT = 1e-5
SAME_TIME = 1e-4  # s


@dataclass(frozen=True)
class _Curves:
    """What was written: `names` (n,) of channels, their `weights` (T, n) and `key_weights` (m, n).

    `looks` (s, A): what the first s of them, shapes of another family, look like; the others are of a rig.
    """

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
            z = load_npz(io.BytesIO(take.curves))
            names = tuple(str(name) for name in z["names"])
            return _Curves(names, z["weights"], z["key_weights"], z["looks"].astype(np.float64))
        except (InputError, ValueError, KeyError):
            raise InputError("What this file remembers of the line's shapes is damaged; generate it again.") from None

    @property
    def shapes(self) -> int:
        """How many of the channels are shapes; none on heads that are driven control by control."""
        return len(self.looks)

    def as_kept(self, rigged: rig_keys.Rigged | None) -> _Curves:
        """As curves give the values back, which have single precision."""

        def kept(values: np.ndarray) -> np.ndarray:
            values = values.astype(np.float32)
            if rigged is None:
                return values
            beside = rigged.channels.kept(values[:, self.shapes :].astype(np.float64))
            return np.concatenate([values[:, : self.shapes], beside], axis=1)

        return replace(self, weights=kept(self.weights), key_weights=kept(self.key_weights))

    def shown(self, animation: Animation) -> Animation:
        """The animation with these curves: shapes instead of its controls, a rig's channels beside."""
        names, controls, key_controls = self.names, self.weights, self.key_weights
        if not self.shapes:
            names = (*animation.control_names, *names)
            controls = np.concatenate([animation.controls, controls], axis=1)
            key_controls = np.concatenate([animation.keys.controls, key_controls], axis=1)
        keys = KeyMotions(animation.keys.times, key_controls)
        return replace(animation, control_names=names, controls=controls, keys=keys)


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
    face, rigged = face_of(keys), rig_keys.on(keys)
    if face is None and rigged is None:
        take.curves = b""
        take.drawn = drawing.pack(keyframes.write(obj, action, names, line, animation, parts, style, last))
        shape_keys.make_room_for(obj, names, animation)
        return
    curves = _with_edits(obj, action, names, animation, _curves_for(keys, animation, face, rigged)).as_kept(rigged)
    worn = curves.shown(animation)
    if face is not None:
        shape_keys.drop_curves(obj, action, names)
    places = rig_keys.places_in(action, rigged, make=True)
    take.drawn = drawing.pack(keyframes.write(obj, action, names, line, worn, parts, style, None, places))
    shape_keys.make_room_for(obj, names, worn)
    take.curves = curves.packed()
    take.curves_offset = animation.sliders.offset


def mark_edited(clip: takes.Clip) -> None:
    """See `keyframes.mark_edited`."""
    curves, before = _Curves.of(clip.take), takes.shown(clip.take)
    shown = before if curves is None else curves.shown(before)
    rigged = rig_keys.on(clip.keys)
    places = rig_keys.places_in(clip.action, rigged)
    keyframes.mark_edited(clip.obj, clip.action, clip.names, clip.line, shown, places)


def _curves_for(
    keys: bpy.types.Key, animation: Animation, face: Face | None, rigged: rig_keys.Rigged | None
) -> _Curves:
    """What the shapes and the rig of a head do for a motion."""
    names: tuple[str, ...] = ()
    both, looks = [np.zeros((len(animation.times), 0)), np.zeros((len(animation.keys.times), 0))], np.zeros((0, 0))
    if face is not None:
        found = shape_keys.recognition_of(keys)
        names = tuple(families.channel(found.family, target) for target in face.targets)
        both = [poses.within_one(face.targets, some) for some in worn_motion(animation, face)]
        looks = face.looks
    if rigged is not None:
        sources = (*animation.control_names, *names)
        beside = (animation.controls, animation.keys.controls)
        posed = [
            rigged.channels.poses(sources, np.concatenate([controls, some], axis=1))
            for controls, some in zip(beside, both, strict=True)
        ]
        names = (*names, *rigged.channels.names)
        both = [np.concatenate(some, axis=1) for some in zip(both, posed, strict=True)]
    return _Curves(names, both[0], both[1], looks)


def _with_edits(
    obj: bpy.types.Object, action: bpy.types.Action, names: Mapping[str, str], animation: Animation, curves: _Curves
) -> _Curves:
    """The curves as the animator has edited those of the take before."""
    pinned = _pinned(obj, action, names, animation, curves.names)
    if not pinned:
        return curves
    weights, key_weights = curves.weights.copy(), curves.key_weights.copy()
    missing = np.zeros_like(key_weights)
    for index, values in pinned.items():
        missing[index] = values - key_weights[index]
        key_weights[index] = values
    weights = weights + between_keys(animation.keys.times, missing, animation.times)
    near = np.clip(animation.key_frames, 0, len(weights) - 1)
    for index in pinned:
        if abs(animation.keys.times[index] * animation.fps - near[index]) < SAME_TIME * animation.fps:
            weights[near[index]] = key_weights[index]
    return replace(curves, weights=weights, key_weights=key_weights)


def read(
    obj: bpy.types.Object, action: bpy.types.Action, names: Mapping[str, str], line: Played, before: Animation
) -> KeyMotions:
    """The key motions as the animator left them, as controls; see `keyframes.read`."""
    key_view.take_over(obj.data.shape_keys)
    if charted.chart_of(obj.data.shape_keys) is not None:
        return _beside_drawings(obj, action, names, line, before)
    return _read(obj, action, names, line, before)


def _read(
    obj: bpy.types.Object, action: bpy.types.Action, names: Mapping[str, str], line: Played, before: Animation
) -> KeyMotions:
    take = clips.take_of(action)
    curves, drawn, rigged = _Curves.of(take), drawing.unpack(take.drawn), rig_keys.on(obj.data.shape_keys)
    if curves is None:
        return keyframes.read(obj, action, names, line, before, drawn)
    places = rig_keys.places_in(action, rigged)
    found = keyframes.read(obj, action, names, line, curves.shown(before), drawn, places)
    at = [_at(before, curves, float(time)) for time in found.times]
    base = np.array([controls for controls, _ in at], np.float32).reshape(-1, len(before.control_names))
    was = np.array([weights for _, weights in at]).reshape(-1, len(curves.names))
    if curves.shapes:
        return KeyMotions(found.times, _as_controls(curves, rigged, base, was, found.controls, before))
    own, beside = np.split(found.controls, [base.shape[1]], axis=1)
    return KeyMotions(found.times, _as_controls(curves, rigged, own, was, beside, before))


def _beside_drawings(
    obj: bpy.types.Object, action: bpy.types.Action, names: Mapping[str, str], line: Played, before: Animation
) -> KeyMotions:
    """The key motions where drawings are the mouth: what else there is of the face bears few of them, and those that no
    curve bears are as they were."""
    others = {control: name for control, name in names.items() if control != charted.CHANNEL}
    try:
        found = _read(obj, action, others, line, before)
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
    curves, rigged = _Curves.of(clips.take_of(action)), rig_keys.on(obj.data.shape_keys)
    if curves is None:
        return keyframes.sample(obj, action, names, line, before)
    places = rig_keys.places_in(action, rigged)
    shown = keyframes.sample(obj, action, names, line, curves.shown(before), places)
    if curves.shapes:
        return _as_controls(curves, rigged, before.controls, curves.weights, shown, before, drawing.BENT)
    own, beside = np.split(shown, [before.controls.shape[1]], axis=1)
    return _as_controls(curves, rigged, own, curves.weights, beside, before, drawing.BENT)


def _as_controls(
    curves: _Curves,
    rigged: rig_keys.Rigged | None,
    controls: np.ndarray,
    was: np.ndarray,
    now: np.ndarray,
    animation: Animation,
    slack: float = SAME_WEIGHT,
) -> np.ndarray:
    """(k, C) float32: `controls` (k, C) with what a change of weights (k, n) from `was` to `now` is in controls.

    `slack`: how far the curves of a rig may be from where they were drawn without being changed.
    """
    out = controls.astype(np.float32)
    shapes, names = curves.shapes, animation.control_names
    if shapes:
        out = out + _moved(curves, now[:, :shapes] - was[:, :shapes], animation)
    if rigged is None or curves.names[shapes:] != rigged.channels.names:
        return out
    sources = (*names, *curves.names[:shapes])
    weights = np.concatenate([out, now[:, :shapes]], axis=1)
    meant = rigged.channels.meant(sources, weights, was[:, shapes:], now[:, shapes:], slack)
    changed = np.abs(meant - weights).max(1, initial=0.0) > 0
    if changed.any():
        out[changed] = meant[changed, : len(names)]
        if shapes:
            out[changed] += _moved(curves, (meant - weights)[changed, len(names) :], animation)
    return out


def _moved(curves: _Curves, change: np.ndarray, animation: Animation) -> np.ndarray:
    """What a change of shapes' weights (…, s) is in the controls of `animation`."""
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
    shown, rigged = curves.shown(before), rig_keys.on(obj.data.shape_keys)
    places = rig_keys.places_in(action, rigged)
    try:
        drawn = drawing.unpack(take.drawn)
        left = keyframes.read(obj, action, names, takes.read_line(take), shown, drawn, places)
    except InputError:  # none is left
        return {}
    shift = round(animation.sliders.offset * animation.fps) - round(take.curves_offset * animation.fps)
    own = [shown.control_names.index(channel) if channel in shown.control_names else -1 for channel in channels]
    pinned = {}
    for index in np.flatnonzero(animation.unfinished.edited):
        distance = np.abs(left.times + shift / animation.fps - animation.keys.times[index])
        if len(distance) and distance.min() < SAME_TIME:
            weights = left.controls[int(distance.argmin())]
            pinned[int(index)] = np.array([weights[place] if place >= 0 else 0.0 for place in own], np.float32)
    return pinned
