"""Lines follow their sound strips: moved, cut, slipped, trimmed, retimed, duplicated, or at another frame rate.

Only NLA strips are laid anew; no Action is touched and nothing is inferred. What a strip plays beyond what was animated
has no motion until the line is generated again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import bpy
from bpy.app.handlers import persistent

from kmtalk_core.errors import InputError

from . import clips, compat, key_view, keyframes, takes
from .clips import Lie
from .session import current
from .strip import Played, is_same_sound, place_of, scene_rate, sound_strips, why_unheard
from .takes import Clip

SOON = 0.05  # s after a change; while a strip is dragged, every change asks anew
SAME_SCALE = 1e-6


def lie_for(line: Played, now: Played) -> Lie | None:
    """Where a line lies that was animated as `line` and plays as `now`; None if nothing of it is heard any more."""
    scale = now.frames_per_second_of_sound / line.frames_per_second_of_sound
    first, last = float(line.first_frame), float(line.last_frame)
    if abs(scale - 1.0) < SAME_SCALE:
        scale, at = 1.0, first + round(now.origin - line.origin)
    else:
        at = now.origin + (first - line.origin) * scale
    cut_first, cut_last = max(0.0, now.first_frame - at) / scale, max(0.0, at + (last - first) * scale - now.last_frame)
    begin, end = first + cut_first, last - cut_last / scale
    return Lie(begin, end, at + (begin - first) * scale, scale) if end >= begin else None


def follow(scene: bpy.types.Scene) -> tuple[str, ...]:
    """Let every line of the heads in `scene` lie where its strip plays it; what cannot be done is told."""
    told: list[str] = []
    _separate(scene)
    strips = strips_by_id(scene)
    for obj in heads(scene):
        lies, playing = {}, set(clips.playing(obj.data.shape_keys))
        for clip in clips_on(scene, obj):
            strip = strips.get(clip.take.line_id)
            if strip is None or clip.action not in playing:
                continue
            clip.take.name = strip.name
            try:
                lie = lie_for(clip.line, place_of(scene, strip))
            except InputError as error:
                told.append(str(error))
                continue
            if lie is not None and lie != clips.lie_of(clip.take):
                lies[clip.action] = lie
        if lies:
            clips.move(obj.data.shape_keys, lies)
        give_way(obj.data.shape_keys)
        clips.mirror(obj.data.shape_keys)
        tell(scene, obj)
    _note(scene)
    return tuple(dict.fromkeys(told))


def settle(clip: Clip) -> None:
    """Lay the line of `clip` where its strip plays it now, with its keyframes on the frames of the scene if they only
    lie shifted."""
    settle_all(clip.scene, clip.obj, {clip.action: place(clip)})


def settle_all(scene: bpy.types.Scene, obj: bpy.types.Object, lies: Mapping[bpy.types.Action, Lie]) -> None:
    """Lay lines of a head where `place` has told."""
    keys = obj.data.shape_keys
    clips.lay_all(keys, lies)
    give_way(keys)
    tell(scene, obj)
    _note(scene)


def place(clip: Clip) -> Lie:
    """Where the strip of a line plays it now. Its keyframes are moved to the frames of the scene if they only lie
    shifted."""
    line, strip = clip.line, clip.strip
    lie = None
    if strip is not None:
        try:
            lie = lie_for(line, place_of(clip.scene, strip))
        except InputError:
            lie = clips.lie_of(clip.take)  # nothing is heard; it stays
    lie = (
        lie or clips.lie_of(clip.take) or Lie(float(line.first_frame), float(line.last_frame), float(line.first_frame))
    )
    shift = round(lie.at - lie.first) if lie.scale == 1.0 else 0
    if shift:
        key_view.take_over(clip.keys)
        keyframes.shift(clip.action, shift)
        clip.take.line = takes.as_json(line.moved_to(line.origin + shift))
        key_view.redraw(clip.keys)
        lie = Lie(lie.first + shift, lie.last + shift, lie.at)
    return lie


def give_way(keys: bpy.types.Key) -> None:
    """Let clips that live between lines (`idle`) lie on the longest stretch of their frames that lines leave free."""
    lies = {}
    for action in clips.playing(keys):
        take = clips.take_of(action)
        if not take.idle:
            continue
        made = takes.read_line(take)
        free = clips.without(made.first_frame, made.last_frame, clips.spans_of_lines(keys, take.ease))
        begin, end = max(free, key=lambda span: span[1] - span[0], default=(made.first_frame, made.first_frame + 1))
        lie = Lie(float(begin), float(end), float(begin))
        if lie != clips.lie_of(take):
            lies[action] = lie
    if lies:
        clips.move(keys, lies)


@dataclass(frozen=True)
class _Sight:
    """What tells where the lines of a head stand, gathered once for all of them."""

    strips: Mapping[str, Any]
    playing: frozenset[bpy.types.Action]
    by_hand: frozenset[bpy.types.Action]
    overlaps: clips.Overlaps

    @classmethod
    def of(cls, scene: bpy.types.Scene, keys: bpy.types.Key) -> _Sight:
        own = [strip for _, strip in clips.own_strips(keys)]
        by_hand = frozenset(strip.action for strip in own if clips.is_moved_by_hand(strip))
        return cls(strips_by_id(scene), frozenset(strip.action for strip in own), by_hand, clips.overlaps(keys))

    def standing(self, clip: Clip) -> list[str]:
        take, strip = clip.take, self.strips.get(clip.take.line_id)
        told = []
        if clip.action not in self.playing:
            return [f"The line {take.name} was taken out of the NLA; choose its take to let it play again."]
        if strip is not None:
            try:
                told += filter(None, [why_unheard(clip.scene, strip)])
                told += _beyond(clip.line, place_of(clip.scene, strip))
            except InputError as error:
                told.append(str(error))
        if clip.action in self.by_hand:
            told.append(f"The line {take.name} was moved in the NLA; it stays there until its sound strip moves.")
        for other, first, last in self.overlaps.get(clip.action, ()):
            name = clips.take_of(other).name
            told.append(
                f"{take.name} and {name} overlap on frames {first:.0f} to {last:.0f}; the later one is seen there."
            )
        return told


def standing(clip: Clip) -> list[str]:
    """What is to be known of where a line lies, in sentences: also why it may not be seen."""
    return standing_of([clip])[0]


def standing_of(lines: Sequence[Clip]) -> list[list[str]]:
    """As `standing`, for lines of one head."""
    sight = _Sight.of(lines[0].scene, lines[0].keys) if lines else None
    return [sight.standing(clip) for clip in lines] if sight is not None else []


def tell(scene: bpy.types.Scene, obj: bpy.types.Object) -> None:
    """Keep for the panel, which must not change anything, what is to be known of the lines of a head."""
    sight = _Sight.of(scene, obj.data.shape_keys)
    for clip in clips_on(scene, obj):
        told = "\n".join(sight.standing(clip))
        if clip.take.standing != told:
            clip.take.standing = told


def strips_by_id(scene: bpy.types.Scene) -> dict[str, Any]:
    """The sound strips of lines; where several have the same id, the first one."""
    return {strip.kmtalk.id: strip for strip in reversed(sound_strips(scene)) if strip.kmtalk.id}


def _beyond(line: Played, now: Played) -> list[str]:
    if not is_same_sound(now.audio, line.audio):
        return [f"The strip {now.strip} plays another sound than was animated; generate it again."]
    before = (line.start - now.start) * now.frames_per_second_of_sound
    after = (now.start + now.duration - line.start - line.duration) * now.frames_per_second_of_sound
    if max(before, after) > 1.0:
        count = sum(round(frames) for frames in (before, after) if frames > 1.0)
        return [f"{count} frames of the strip {now.strip} were not animated; generate it again."]
    return []


def heads(scene: bpy.types.Scene) -> Iterator[bpy.types.Object]:
    """The mesh objects of `scene` with lines, one for each shape keys."""
    seen = set()
    for obj in scene.objects:
        keys = clips.keys_of(obj)
        if keys is not None and keys not in seen and len(keys.kmtalk.actions):
            seen.add(keys)
            yield obj


def clips_on(scene: bpy.types.Scene, obj: bpy.types.Object) -> list[Clip]:
    """All lines of a head."""
    return [Clip(scene, obj, action) for action in takes.lines_on(obj.data.shape_keys)]


def plays(clip: Clip) -> bool:
    """Whether the line is on the face; the user may have taken its NLA strip away."""
    return clip.action in clips.playing(clip.keys)


def _separate(scene: bpy.types.Scene) -> None:
    """Give strips that were duplicated or cut ids of their own, and lines of their own."""
    by_id = defaultdict(list)
    for strip in sound_strips(scene):
        if strip.kmtalk.id:
            by_id[strip.kmtalk.id].append(strip)
    for line_id, strips in by_id.items():
        if len(strips) == 1:
            continue
        found = [clip for obj in heads(scene) for clip in clips_on(scene, obj) if clip.take.line_id == line_id]
        names = {clip.take.name for clip in found}
        original = min(strips, key=lambda strip: strip.name not in names)
        for strip in strips:
            if strip != original:
                strip.kmtalk.id = takes.new_id()
                for clip in found:
                    _duplicate(clip, strip)


def _duplicate(clip: Clip, strip: Any) -> None:
    if not plays(clip):
        return
    try:
        lie = lie_for(clip.line, place_of(clip.scene, strip))
    except InputError:
        return
    if lie is None:
        return
    key_view.take_over(clip.keys)
    action = clip.action.copy()
    take = action.kmtalk_takes[0]
    take.line_id, take.name, take.laid = strip.kmtalk.id, strip.name, ""
    clips.hold(clip.keys, action)
    clips.lay(clip.keys, action, lie)


def _sight(scene: bpy.types.Scene) -> tuple[Any, ...]:
    """What tells whether a strip of a line has changed; quick, for it is looked at all the time."""
    strips = tuple(
        (s.kmtalk.id, s.name, s.mute, s.volume, compat.handles(s), compat.sound_delay(s), compat.speed_changes(s))
        for s in sound_strips(scene)
        if s.kmtalk.id
    )
    return (scene_rate(scene), strips) if strips else ()


def _note(scene: bpy.types.Scene) -> None:
    current.followed[scene.session_uid] = _sight(scene)


def register() -> None:
    """Follow by itself."""
    bpy.app.handlers.depsgraph_update_post.append(_after_update)
    bpy.app.handlers.render_init.append(_before_render)
    bpy.app.handlers.load_post.append(_after_load)
    bpy.app.handlers.save_pre.append(_before_save)


def unregister() -> None:
    """The inverse of `register`."""
    for handlers, handler in (
        (bpy.app.handlers.depsgraph_update_post, _after_update),
        (bpy.app.handlers.render_init, _before_render),
        (bpy.app.handlers.load_post, _after_load),
        (bpy.app.handlers.save_pre, _before_save),
    ):
        if handler in handlers:
            handlers.remove(handler)
    if bpy.app.timers.is_registered(_soon):
        bpy.app.timers.unregister(_soon)
    current.followed.clear()


def _has_changed(scene: bpy.types.Scene) -> bool:
    return scene.kmtalk.follow and _sight(scene) != current.followed.get(scene.session_uid, ())


@persistent
def _after_update(scene: bpy.types.Scene, depsgraph: bpy.types.Depsgraph) -> None:
    if current.following or not depsgraph.id_type_updated("SCENE") or not _has_changed(scene):
        return
    if bpy.app.background:
        _follow(scene)
    elif not bpy.app.timers.is_registered(_soon):
        bpy.app.timers.register(_soon, first_interval=SOON)


@persistent
def _before_render(scene: bpy.types.Scene, *_: object) -> None:
    _follow(scene)


@persistent
def _after_load(*_: object) -> None:
    current.followed.clear()


@persistent
def _before_save(*_: object) -> None:
    """A file does not keep right which strip of an override is being edited: the line would not play after loading."""
    for keys in bpy.data.shape_keys:
        if clips.is_override(keys) and clips.own_is_edited(keys):
            key_view.put_away(keys)


def _soon() -> None:
    for scene in bpy.data.scenes:
        if _has_changed(scene):
            _follow(scene)


def _follow(scene: bpy.types.Scene) -> None:
    if current.following or not scene.kmtalk.follow:
        return
    current.following = True
    try:
        follow(scene)
    except Exception as error:  # a traceback in a handler helps nobody
        current.explain(error)
        _note(scene)
    finally:
        current.following = False
