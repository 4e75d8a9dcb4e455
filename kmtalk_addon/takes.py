"""A line on a head: one handle for all that belongs to it (`Clip`), and what a file remembers of it.

A line is known by the id of its sound strip, whatever has been renamed since. Each of its takes is an Action of its
own, with one `kmtalk_takes` entry. There, `result` is what was computed last (OUT.npz). Once a slider has moved,
`finished` holds what lies on the curves instead: also edits that were not completed yet. Both are kept as they were
written, so that another version of KMTalk does not take its own differences for edits.
"""

from __future__ import annotations

import io
import json
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import bpy

from kmtalk_core.archives import parsed
from kmtalk_core.errors import InputError
from kmtalk_core.leftovers import temporary_folder
from kmtalk_core.motion import Animation
from kmtalk_core.phones import DOUBTFUL, Phone, Word
from kmtalk_core.results import load_animation, save_animation, unpack_finished
from kmtalk_core.settings import CurveSettings, KeyDensitySettings, Layers, Sliders, known_fields, settings_of

from . import clips, key_view, keyframes, shape_keys
from .session import current
from .strip import Played, choose_strip, sound_strips

SAME_TIME = 1e-4  # s; Blender keeps single precision


@dataclass(frozen=True)
class Clip:
    """One take of a line on one head. Holds what Blender may free: never keep one over a wait, keep its `ref`."""

    scene: bpy.types.Scene
    obj: bpy.types.Object
    action: bpy.types.Action

    @property
    def keys(self) -> bpy.types.Key:
        """The shape keys that the line moves."""
        return self.obj.data.shape_keys

    @property
    def take(self) -> bpy.types.PropertyGroup:
        """What is remembered of the line."""
        return self.action.kmtalk_takes[0]

    @property
    def strip(self) -> Any:
        """The sound strip; None if it is gone."""
        return strip_with_id(self.scene, self.take.line_id)

    @property
    def line(self) -> Played:
        """What the strip played when the line was generated, on the frames of the Action."""
        return read_line(self.take)

    @property
    def names(self) -> dict[str, str]:
        """Control → name of the shape key that may be moved."""
        return shape_keys.drivable(self.obj)[0]

    @property
    def ref(self) -> ClipRef:
        """What finds it again."""
        return ClipRef(self.scene.session_uid, self.obj.session_uid, self.action.session_uid, self.take.name)


@dataclass(frozen=True)
class ClipRef:
    """Finds a line again after a wait in which the user may have done anything."""

    scene: int
    obj: int
    action: int
    name: str

    def again(self) -> Clip:
        """Raises InputError if it is gone."""
        obj = mesh_again(self.obj)
        action = next((a for a in bpy.data.actions if a.session_uid == self.action and clips.take_of(a)), None)
        if action is None or obj.data.shape_keys is None:
            raise InputError(f"The line {self.name} was removed meanwhile; nothing was changed.")
        return Clip(scene_again(self.scene), obj, action)


def scene_again(uid: int) -> bpy.types.Scene:
    """The scene with this session_uid; raises InputError if it is gone."""
    scene = next((scene for scene in bpy.data.scenes if scene.session_uid == uid), None)
    if scene is None:
        raise InputError("The scene is gone; nothing was changed.")
    return scene


def mesh_again(uid: int) -> bpy.types.Object:
    """The mesh object with this session_uid; raises InputError if it is gone."""
    obj = next((obj for obj in bpy.data.objects if obj.session_uid == uid), None)
    if obj is None:
        raise InputError("The mesh is gone; nothing was changed.")
    return shape_keys.check_mesh(obj)


def strip_with_id(scene: bpy.types.Scene, line_id: str) -> Any:
    """The sound strip of `scene` with this id; None if there is none."""
    return next((s for s in sound_strips(scene) if s.kmtalk.id == line_id), None) if line_id else None


def new_id() -> str:
    """An id that no other strip has."""
    return uuid.uuid4().hex


def id_of(strip: Any) -> str:
    """The id of a sound strip, which gets one if it has none."""
    if not strip.kmtalk.id:
        strip.kmtalk.id = new_id()
    return strip.kmtalk.id


def lines_on(keys: bpy.types.Key | None) -> Iterator[bpy.types.Action]:
    """The Actions of all lines on these shape keys, one a line: the take that plays, else the active one."""
    if keys is None:
        return
    seen = set()
    on = clips.playing(keys)
    for action in [*on, *(a for a in own_actions(keys) if clips.take_of(a).active)]:
        if clips.take_of(action).idle:
            continue
        if (line_id := clips.take_of(action).line_id) not in seen:
            seen.add(line_id)
            yield action


def own_actions(keys: bpy.types.Key) -> list[bpy.types.Action]:
    """All Actions of KMTalk's on these shape keys: every take of every line."""
    held = [item.action for item in keys.kmtalk.actions if clips.take_of(item.action) is not None]
    return list(dict.fromkeys([*held, *clips.playing(keys)]))


def takes_of(keys: bpy.types.Key, line_id: str) -> list[bpy.types.Action]:
    """The takes of a line, in the order in which they were made."""
    return [action for action in own_actions(keys) if clips.take_of(action).line_id == line_id]


def activate(keys: bpy.types.Key, action: bpy.types.Action) -> None:
    """Note that this take of its line is the one that plays; `clips.lay` lets it play."""
    for other in takes_of(keys, clips.take_of(action).line_id):
        clips.take_of(other).active = other == action


def free_title(others: Sequence[bpy.types.Action]) -> str:
    """What to call a new take of a line."""
    taken = {clips.take_of(other).title for other in others}
    return next(title for number in range(1, len(taken) + 2) if (title := f"Take {number}") not in taken)


def take_titled(clip: Clip, title: str) -> bpy.types.Action:
    """The take of that title; raises InputError if there is none."""
    of_line = takes_of(clip.keys, clip.take.line_id)
    for action in of_line:
        if clips.take_of(action).title == title:
            return action
    titles = ", ".join(clips.take_of(action).title for action in of_line)
    raise InputError(f"The line {clip.take.name} has no take {title}; it has {titles}.")


def is_only_here(keys: bpy.types.Key, action: bpy.types.Action) -> bool:
    """Whether no other head has this Action too, as copies of a head have."""
    return action.library is None and not any(
        other != keys and action in own_actions(other) for other in bpy.data.shape_keys
    )


def only_here(clip: Clip) -> Clip:
    """The same line with an Action that no other head has."""
    if is_only_here(clip.keys, clip.action):
        return clip
    key_view.take_over(clip.keys)
    action = clip.action.copy()
    for item in clip.keys.kmtalk.actions:
        if item.action == clip.action:
            item.action = action
    activate(clip.keys, action)
    clips.lay(clip.keys, action, clips.lie_of(clip.take))
    return Clip(clip.scene, clip.obj, action)


def find_clip(scene: bpy.types.Scene, strip_name: str, obj: bpy.types.Object | None) -> Clip:
    """The line of a strip on a head; without a name that of the active or only one. Raises InputError."""
    obj = shape_keys.check_mesh(obj)
    actions = list(lines_on(obj.data.shape_keys))
    if not actions:
        raise InputError(f"{obj.name} has no animation of KMTalk's; generate it first.")
    try:
        strip = choose_strip(scene, strip_name)
    except InputError:
        strip = None
    if strip is not None and strip.kmtalk.id:
        found = [a for a in actions if clips.take_of(a).line_id == strip.kmtalk.id]
    else:
        found = [a for a in actions if clips.take_of(a).name == strip_name and strip is None]
    if not found and len(actions) == 1 and strip is None:
        found = actions  # the only line is meant where no strip is named, or one that has another name by now
    if not found:
        name = strip.name if strip is not None else strip_name or "the strip"
        raise InputError(f"The strip {name} has not been animated on {obj.name}; generate it first.")
    if found[0].library is not None:
        raise InputError(f"The line {clips.take_of(found[0]).name} is linked from another file; generate it here.")
    return Clip(scene, obj, found[0])


def find_take(
    scene: bpy.types.Scene, strip_name: str, obj: bpy.types.Object | None
) -> tuple[bpy.types.PropertyGroup, bpy.types.Action]:
    """What is remembered of the strip's line, and the Action that holds it. Raises InputError if there is none."""
    clip = find_clip(scene, strip_name, obj)
    return clip.take, clip.action


def read_line(take: bpy.types.PropertyGroup) -> Played:
    """What the strip played when `take` was generated."""
    return _line(take.line)


def as_json(line: Played) -> str:
    """The inverse of `read_line`."""
    return json.dumps(asdict(line))


def read_take(take: bpy.types.PropertyGroup) -> tuple[Played, Animation]:
    """What the strip played when `take` was generated, and the result as computed last."""
    return read_line(take), loaded(take.result)


def packed(animation: Animation) -> bytes:
    """The inverse of `loaded`."""
    with temporary_folder() as folder:
        save_animation(animation, folder / "out.npz", compressed=False)
        return (folder / "out.npz").read_bytes()


@lru_cache(maxsize=4)
def loaded(result: bytes) -> Animation:
    """The result that the bytes of an OUT.npz hold."""
    return load_animation(io.BytesIO(result))


def shown(take: bpy.types.PropertyGroup) -> Animation:
    """What lies on the curves if nobody has edited them since: the result, as the sliders have finished it."""
    base = loaded(take.result)
    return unpack_finished(base, take.finished) if take.finished else base


def settings_on(strip: bpy.types.Strip) -> tuple[Sliders, Layers]:
    """Sliders and layers as a strip's properties have them."""
    return Sliders(**values_on(strip.kmtalk, Sliders)), Layers(**values_on(strip.kmtalk, Layers))


def values_on(properties: bpy.types.PropertyGroup, *kinds: type) -> dict[str, Any]:
    """The settings of these kinds as properties have them."""
    # Blender keeps single precision (0.1 is 0.10000000149…), and paths that are relative to its file (//).
    found = {setting.name: getattr(properties, setting.name) for setting in settings_of(*kinds)}
    shared = {float: lambda value: round(value, 6), str: bpy.path.abspath}
    return {name: shared.get(type(value), lambda value: value)(value) for name, value in found.items()}


def set_on(strip: bpy.types.Strip, animation: Animation) -> None:
    """Show the sliders and layers of a result in the strip's properties."""
    with current.fill_in():
        now = values_on(strip.kmtalk, Sliders, Layers)
        for name, value in (asdict(animation.sliders) | asdict(animation.layers)).items():
            if now[name] != value:  # a path that is relative stays so
                setattr(strip.kmtalk, name, value)


@dataclass(frozen=True)
class Look:
    """What a line draws on the face: the `parts` that it moves, with which `curves` (settings.CURVES), and at which
    `density` key motions are."""

    parts: frozenset[str] = keyframes.ALL_PARTS
    curves: str = CurveSettings().curves
    density: float = KeyDensitySettings().key_density


def look_on(strip: Any) -> Look:
    """What a strip's line draws."""
    said = strip.kmtalk
    return Look(frozenset(said.parts), said.curves, round(said.key_density, 6))


def look_of(clip: Clip) -> Look:
    """What a line draws: as its strip says, or as it was drawn if the strip is gone."""
    strip = clip.strip
    return look_on(strip) if strip is not None else look_worn(clip.take)


def look_worn(take: bpy.types.PropertyGroup) -> Look:
    """How the curves of a take were drawn. Takes of before there was a choice have a key on every frame."""
    noted = json.loads(take.worn or "{}")
    parts = frozenset(noted.get("parts", keyframes.ALL_PARTS))
    density = noted.get("density", KeyDensitySettings().key_density)
    return Look(parts, noted.get("curves", "frames"), density)


def show_look(strip: Any, look: Look) -> None:
    """Show in a strip's properties what its line draws."""
    said = strip.kmtalk
    with current.fill_in():
        said.parts, said.curves = set(look.parts), look.curves
        said.key_density = look.density


def wear(strip: Any, take: bpy.types.PropertyGroup) -> None:
    """Show in a strip's properties how a take is worn."""
    set_on(strip, shown(take))
    show_look(strip, look_worn(take))
    with current.fill_in():
        strip.kmtalk.blend, strip.kmtalk.ease = take.blend, take.ease


def worn(sliders: Sliders, layers: Layers, look: Look) -> str:
    """Sliders, layers and look as a take notes them (`worn`), to be compared."""
    # Formerly, takes could be drawn without completed keys ("shown": false); those are drawn anew.
    drawn = {"parts": sorted(look.parts), "curves": look.curves, "shown": True, "density": look.density}
    return json.dumps(asdict(sliders) | asdict(layers) | drawn)


@dataclass(frozen=True)
class Facts:
    """What the panel shows of a result besides its words and phones."""

    contacts: str
    fitted: bool
    missed: tuple[tuple[str, float, float, str], ...]  # name, start and end (s), reason


def facts(animation: Animation) -> Facts:
    """What is to be told of the lip contacts of a result."""
    from kmtalk_core.finish.report import contact_report

    report, offset = contact_report(animation), animation.sliders.offset
    missed = tuple(
        (
            f"{v.phone} of “{v.word}”" if v.word else v.phone,
            v.start + offset,
            v.end + offset,
            f"{v.apart:.1f} mm apart: {v.reason}",
        )
        for v in report.violations
    )
    return Facts(f"{report.summary}.", animation.lip_line is not None, missed)


def remember(
    take: bpy.types.PropertyGroup,
    line: Played,
    animation: Animation,
    look: Look,
    known: Facts | None = None,
) -> None:
    """Fill in what the panel shows of a result, drawn with `look` on the frames of `line`; `known`: its facts."""
    take.line = as_json(line)
    take.key_count = len(animation.keys.times)
    take.worn = worn(animation.sliders, animation.layers, look)
    alignment = animation.alignment
    heard = alignment.heard
    take.heard_text, take.heard_language = ("", "") if heard is None else (heard.text, heard.language)
    guessed = animation.emotion
    take.emotion = "" if guessed is None else f"{guessed.name} ({guessed.confidence:.0%} sure)"
    with current.fill_in():
        if not _is_heard(take.words, alignment.words):
            _fill(take.words, alignment.words)
            take.word = min(take.word, max(len(take.words) - 1, 0))
        if not _is_heard(take.phones, alignment.phones):
            _fill(take.phones, alignment.phones)
            take.phone = min(take.phone, max(len(take.phones) - 1, 0))
    remember_missed(take, known or facts(animation))


def remember_missed(take: bpy.types.PropertyGroup, known: Facts) -> None:
    """Fill in which lip contacts the motion misses."""
    take.contacts, take.fitted = known.contacts, known.fitted
    with current.fill_in():
        take.missed.clear()
        take.contact = -1  # so that a click on the first one is a change, too
        for name, start, end, reason in known.missed:
            item = take.missed.add()
            item.name, item.start, item.end, item.reason = name, start, end, reason


def _is_heard(items: bpy.types.CollectionProperty, segments: Sequence[Word | Phone]) -> bool:
    """Whether `items` are these already, edited or not."""
    heard = [item for item in items if item.heard]
    return len(heard) == len(segments) and all(
        item.heard == s.label
        and abs(item.heard_start - s.start) < SAME_TIME
        and abs(item.heard_end - s.end) < SAME_TIME
        for item, s in zip(heard, segments, strict=True)
    )


def _fill(items: bpy.types.CollectionProperty, segments: Sequence[Word | Phone]) -> None:
    items.clear()
    for segment in segments:
        item = items.add()
        item.name = item.heard = segment.label
        item.start, item.end = item.heard_start, item.heard_end = segment.start, segment.end
        if isinstance(segment, Word):
            item.confidence = segment.confidence
            item.doubtful = segment.confidence < DOUBTFUL


@lru_cache(maxsize=16)
def _line(text: str) -> Played:
    try:
        return Played(**known_fields(Played, parsed(text)))
    except (TypeError, ValueError, AttributeError):
        raise InputError("What this file remembers of the line is damaged; generate it again.") from None
