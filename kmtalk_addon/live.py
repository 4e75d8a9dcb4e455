"""Sliders that act at once: what was generated is finished anew in Blender's own process, without the networks.

The properties of a strip say how its line is worn; moving one finishes every line that was made from the strip. Where
that takes long, it waits until the slider rests. Undo may come back to a moment in between, so what lies on the curves
is compared with the sliders afterwards.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import bpy
import numpy as np
from bpy.app.handlers import persistent

from kmtalk_core.completion import same_keys
from kmtalk_core.errors import InputError
from kmtalk_core.motion import Animation, KeyMotions
from kmtalk_core.results import pack_finished
from kmtalk_core.settings import Layers, Sliders

from . import clips, compat, drawing, faces, follow, key_view, keyframes, takes
from .keyframes import nearest as nearest_keys
from .session import current
from .takes import Clip

AT_ONCE = 0.1  # s that a slider's move may take while it is dragged
CLOSE = 0.01  # s: a key motion closer to a pinned one gives way to it
REST = 0.12  # s after which a slider is at rest


@dataclass(frozen=True)
class AsLeft:
    """A line as the animator has left it.

    `keys`: the key motions of its result as computed last (`takes.read_take`) with all edits since; `edited` (m,) bool:
    which of them are the animator's, then or since; `pinned` (m,) bool: which are pinned, and so the animator's, too.
    """

    keys: KeyMotions
    edited: np.ndarray
    pinned: np.ndarray

    @property
    def pins(self) -> KeyMotions:
        """The pinned key motions."""
        return KeyMotions(self.keys.times[self.pinned], self.keys.controls[self.pinned])

    def staying(self, seconds: float) -> AsLeft:
        """With pinned key motions so much earlier, so that they stay where they are when all are moved later."""
        if not seconds or not self.pinned.any():
            return self
        times = np.where(self.pinned, self.keys.times - seconds, self.keys.times)
        near = np.abs(times[:, None] - times[self.pinned][None]).min(1) < CLOSE
        stays = self.pinned | ~near
        order = np.flatnonzero(stays)[np.argsort(times[stays])]
        return AsLeft(KeyMotions(times[order], self.keys.controls[order]), self.edited[order], self.pinned[order])

    def on(self, animation: Animation) -> Animation:
        """The result as computed last, with these keys."""
        unfinished = replace(animation.to_finish, edited=self.edited)
        if self.edited.any() or len(self.keys.times) != len(animation.keys.times):
            unfinished = replace(unfinished, generated=animation.generated)
        return replace(animation, keys=self.keys, unfinished=unfinished)


def changed(settings: bpy.types.PropertyGroup, context: bpy.types.Context) -> None:
    """A property of a strip has changed: finish its lines, now or when the slider rests."""
    if current.quiet or current.job is not None:
        return
    if bpy.app.background or current.slide_seconds <= AT_ONCE:
        bring_up_to_date(settings.id_data)
        return
    if bpy.app.timers.is_registered(_at_rest):
        bpy.app.timers.unregister(_at_rest)
    bpy.app.timers.register(_at_rest, first_interval=REST)


def bring_up_to_date(scene: bpy.types.Scene) -> None:
    """Finish every line of `scene` whose sliders were moved since; what cannot be done is said in the panel."""
    began = time.perf_counter()
    try:
        behind = list(_behind(scene))
        for clip in behind:
            slide(clip, *takes.settings_on(clip.strip))
    except Exception as error:  # a traceback in a property's update helps nobody
        current.explain(error)
        redraw()
        return
    if behind:
        current.error, current.slide_seconds = "", time.perf_counter() - began
        redraw()


def _behind(scene: bpy.types.Scene) -> Iterator[Clip]:
    """The lines that are not worn as their strips say, for the networks' part of it; all else is done at once."""
    strips = follow.strips_by_id(scene)
    for obj in follow.heads(scene):
        playing = set(clips.playing(clips.keys_of(obj)))
        for clip in follow.clips_on(scene, obj):
            if (strip := strips.get(clip.take.line_id)) is None or clip.action not in playing:
                continue
            take = clip.take
            if (take.blend, take.ease) != (strip.kmtalk.blend, strip.kmtalk.ease):
                take.blend, take.ease = strip.kmtalk.blend, strip.kmtalk.ease
                clips.move(clip.keys, {})
            if takes.worn(*takes.settings_on(strip), takes.look_on(strip)) != take.worn:
                yield clip


def slide(clip: Clip, sliders: Sliders, layers: Layers) -> None:
    """Finish a line anew. Keys that the animator has edited, completed already or not, stay as they are."""
    from kmtalk_core.finish.compose import finish

    left, shown, look = as_left(clip), takes.shown(clip.take), takes.look_of(clip)
    if look.density != takes.look_worn(clip.take).density:
        left = _at_density(clip, left, look.density)
    base = takes.read_take(clip.take)[1]
    moved = round(sliders.offset * base.fps) - _offset_frames(shown)
    animation = finish(left.staying(moved / base.fps).on(base), sliders, layers)
    follow.settle(clip)
    faces.draw(clip, animation, look, last=shown)
    clip.take.finished = pack_finished(animation)
    takes.remember(clip.take, clip.line, animation, look)
    clips.hold_rest(clip.keys)
    show(clip.scene)


def _at_density(clip: Clip, left: AsLeft, density: float) -> AsLeft:
    """Choose other key motions, for the result of a line and as it was left: those that nobody has edited."""
    from kmtalk_core.finish.density import choose_keys, rekeyed

    base = takes.read_take(clip.take)[1]
    choice = choose_keys(left.on(base), density)
    now = rekeyed(left.on(base), choice)
    chosen = rekeyed(base, choice)
    if chosen.origin is not None:
        asked = {**chosen.origin.settings, "key_density": density}
        chosen = replace(chosen, origin=replace(chosen.origin, settings=asked))
    clip.take.result = takes.packed(chosen)
    pinned = np.isin(now.keys.times, left.pins.times)
    return AsLeft(now.keys, now.to_finish.edited, pinned)


def as_left(clip: Clip, keys: KeyMotions | None = None) -> AsLeft:
    """Read a line back from its curves, or take the `keys` just read. Raises InputError if no key motion is left."""
    line, base = takes.read_take(clip.take)
    before = takes.shown(clip.take)
    if keys is None:
        keys = faces.read(clip.obj, clip.action, clip.names, line, before)
    pinned = _pinned(clip, keys)
    edited = edits(before, keys) | pinned
    times = keys.times - (_offset_frames(before) - _offset_frames(base)) / base.fps
    controls = keys.controls.copy()
    nearest, distance = nearest_keys(base.keys.times, times)
    untouched = ~edited & (distance * base.fps < 0.01)
    times[untouched] = base.keys.times[nearest[untouched]]
    controls[untouched] = base.keys.controls[nearest[untouched]]
    return AsLeft(KeyMotions(times, controls), edited, pinned)


def _pinned(clip: Clip, keys: KeyMotions) -> np.ndarray:
    """(m,) bool which of the key motions on the curves are pinned."""
    line = clip.line
    frames = line.first_frame + keys.times * line.frames_per_second_of_sound
    return nearest_keys(keyframes.pinned(clip.action, clip.line), frames)[1] <= drawing.SAME_FRAME


def toggle_pin(clip: Clip, frame: float) -> None:
    """Pin the pose on `frame` of the scene as a key motion, or let it go. Raises InputError beyond the line."""
    at = frame_within(clip, frame)
    key_view.take_over(clip.keys)
    if (np.abs(keyframes.pinned(clip.action, clip.line) - at) <= drawing.SAME_FRAME).any():
        keyframes.unpin(clip.action, at)
    else:
        keyframes.mark(clip.action, at, "EXTREME")
    key_view.redraw(clip.keys)


def on_curves(clip: Clip) -> Animation:
    """The line as its curves show it, with edits that were not completed yet."""
    before = takes.shown(clip.take)
    keys = faces.read(clip.obj, clip.action, clip.names, clip.line, before)
    controls = faces.sample(clip.obj, clip.action, clip.names, clip.line, before)
    unfinished = before.unfinished and replace(
        before.unfinished, edited=edits(before, keys), generated=before.generated
    )
    return replace(before, controls=controls, keys=keys, unfinished=unfinished)


def add_key(clip: Clip, frame: float) -> None:
    """Make a key motion of what the line shows on `frame` of the scene. Raises InputError beyond the line."""
    key_view.take_over(clip.keys)
    keyframes.mark(clip.action, frame_within(clip, frame))
    key_view.redraw(clip.keys)


def is_on(clip: Clip, frame: float, here: float) -> bool:
    """Whether a frame of the line's Action lies on the frame `here` of the scene, or nearly."""
    return abs(frame_of(clip.take, (frame - clip.line.first_frame) / clip.line.frames_per_second_of_sound) - here) < 0.5


def frame_within(clip: Clip, frame: float) -> float:
    """The frame of the line's Action that lies on `frame` of the scene."""
    line, seconds = clip.line, second_at(clip.take, frame)
    if not 0 <= seconds <= line.duration:
        raise InputError("The current frame is beside the line; go into it first.")
    return round(line.first_frame + seconds * line.frames_per_second_of_sound, 4)


def edits(before: Animation, keys: KeyMotions) -> np.ndarray:
    """(m,) bool: which of `keys` are the animator's, in `before` already or since."""
    in_before, in_after = same_keys(before.keys, keys)
    edited = np.ones(len(keys.times), bool)
    edited[in_after] = before.unfinished.edited[in_before] if before.unfinished is not None else False
    return edited


def frame_of(take: bpy.types.PropertyGroup, seconds: float) -> float:
    """The frame of the scene on which a second of the line lies now."""
    line, lie = takes.read_line(take), clips.lie_of(take)
    frame = line.first_frame + seconds * line.frames_per_second_of_sound
    return frame if lie is None else lie.at + (frame - lie.first) * lie.scale


def second_at(take: bpy.types.PropertyGroup, frame: float) -> float:
    """The second of the line that lies on `frame` of the scene now."""
    line, lie = takes.read_line(take), clips.lie_of(take)
    frame = frame if lie is None else lie.first + (frame - lie.at) / lie.scale
    return (frame - line.first_frame) / line.frames_per_second_of_sound


def to_word(take: bpy.types.PropertyGroup, context: bpy.types.Context) -> None:
    """A word was chosen: go there."""
    _go_to(context, take, take.words, take.word, 0.0)


def to_phone(take: bpy.types.PropertyGroup, context: bpy.types.Context) -> None:
    """A phone was chosen: go there."""
    _go_to(context, take, take.phones, take.phone, 0.0)


def to_contact(take: bpy.types.PropertyGroup, context: bpy.types.Context) -> None:
    """A missed contact was chosen: go there."""
    _go_to(context, take, take.missed, take.contact, 0.5)


def show(scene: bpy.types.Scene) -> None:
    """Let the meshes follow their curves."""
    scene.frame_set(scene.frame_current, subframe=scene.frame_subframe)


def redraw() -> None:
    """Show in all editors with KMTalk's panel or lane what has changed."""
    manager = bpy.context.window_manager
    for window in manager.windows if manager else ():
        for area in window.screen.areas:
            if area.type in {"VIEW_3D", "SEQUENCE_EDITOR", "DOPESHEET_EDITOR"}:
                area.tag_redraw()


def register() -> None:
    """Follow undo."""
    for handlers in (bpy.app.handlers.undo_post, bpy.app.handlers.redo_post):
        handlers.append(_after_undo)


def unregister() -> None:
    """The inverse of `register`."""
    for handlers in (bpy.app.handlers.undo_post, bpy.app.handlers.redo_post):
        if _after_undo in handlers:
            handlers.remove(_after_undo)
    if bpy.app.timers.is_registered(_at_rest):
        bpy.app.timers.unregister(_at_rest)


def _at_rest() -> None:
    if current.job is None:
        bring_up_to_date(compat.sequencer_scene(bpy.context))


@persistent
def _after_undo(*_: object) -> None:
    if current.job is None:
        bring_up_to_date(compat.sequencer_scene(bpy.context))


def _go_to(context: bpy.types.Context, take: bpy.types.PropertyGroup, items, index: int, share: float) -> None:
    """Set the current frame to this share of an item's time."""
    if current.quiet or not 0 <= index < len(items):
        return
    scene, item = compat.sequencer_scene(context), items[index]
    scene.frame_set(round(frame_of(take, item.start + share * (item.end - item.start))))


def _offset_frames(animation: Animation) -> int:
    return round(animation.sliders.offset * animation.fps)
