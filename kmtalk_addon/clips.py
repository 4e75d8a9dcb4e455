"""Lines as clips: KMTalk's Actions on NLA tracks of their own, and what else plays on the shape keys.

Each line is one NLA strip. Lines that overlap lie on tracks above each other, the later one above, and ease into each
other; a line eases in and out beside its frames, as far as no other line is there. What the user plays stays as it is:
the active Action stays active unless it moves channels that speech moves too. Then it goes on below, in an NLA strip
that plays it just so, on all frames.
"""

from __future__ import annotations

import json
import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import bpy

from kmtalk_core.errors import InputError

from . import compat, rig_tracks
from .laid import SAME, Laid, Worn, add, as_is, influence_of, lay_view, same, stretch, views
from .shape_keys import controls_of_keys, renamed

# "All frames", for what has to play everywhere. Not more: the NLA computes with single precision from the first one on.
EVER = (-16384.0, 100_000.0)
HELD = 0.99  # frames that a line is held for where the next one begins at once
TRACK, REST = "KMTalk", "KMTalk Rest"
HOLDS = "kmtalk_holds"  # custom property of shape keys, see compat.keep_pointers


@dataclass(frozen=True)
class Lie:
    """Where a line lies: the frames `first` to `last` of its Action, from frame `at` of the scene on, `scale` frames of
    the scene for each of the Action."""

    first: float
    last: float
    at: float
    scale: float = 1.0

    @property
    def end(self) -> float:
        """The last frame of the scene."""
        return self.at + (self.last - self.first) * self.scale


def take_of(action: bpy.types.Action | None) -> bpy.types.PropertyGroup | None:
    """What KMTalk remembers in an Action of its own; None if it is another one."""
    return action.kmtalk_takes[0] if action is not None and len(action.kmtalk_takes) else None


def viewed(action: bpy.types.Action | None) -> bpy.types.PropertyGroup | None:
    """What KMTalk remembers in an Action that only shows the key motions of a line (`key_view`); None if it is none."""
    return action.kmtalk_views[0] if action is not None and len(action.kmtalk_views) else None


def is_kmtalks(action: bpy.types.Action | None) -> bool:
    """Whether an Action holds a line, or shows one."""
    return take_of(action) is not None or viewed(action) is not None


def keys_of(obj: bpy.types.Object | None) -> bpy.types.Key | None:
    """The shape keys of a mesh object."""
    return obj.data.shape_keys if obj is not None and obj.type == "MESH" else None


def hold(keys: bpy.types.Key, action: bpy.types.Action) -> None:
    """Let these shape keys keep an Action of KMTalk's, whether it plays or not."""
    compat.keep_pointers(keys, HOLDS)
    keys.kmtalk.actions.add().action = action


def forget(keys: bpy.types.Key) -> None:
    """Forget all that was noted on these shape keys."""
    face = keys.kmtalk
    for name in ("actions", "line", "rest", "stills", "pushed", "pushed_as", "known", "face", "inputs", "rigs"):
        face.property_unset(name)
    for name in ("kmtalk", HOLDS):  # before 5.0, properties of add-ons are custom properties too
        if name in keys and (name == HOLDS or not len(keys[name])):
            del keys[name]


def own_strips(keys: bpy.types.Key | None) -> Iterator[tuple[bpy.types.NlaTrack, bpy.types.NlaStrip]]:
    """The NLA strips of KMTalk's lines on these shape keys, with their tracks."""
    if keys is None or keys.animation_data is None:
        return
    for track in keys.animation_data.nla_tracks:
        for strip in track.strips:
            if take_of(strip.action) is not None:
                yield track, strip


def playing(keys: bpy.types.Key | None) -> list[bpy.types.Action]:
    """The Actions of KMTalk's lines that play on these shape keys, one a line."""
    return [strip.action for _, strip in own_strips(keys)]


def own_action(obj: bpy.types.Object | None) -> bpy.types.Action | None:
    """The Action of the head's line: of the one that is being edited, else was worked on last; None without lines."""
    keys = keys_of(obj)
    actions = playing(keys)
    if not actions:
        return None
    if (edited := _edited(keys)) is not None:
        return edited
    lines = [a for a in actions if not take_of(a).idle]
    return next((a for a in lines if take_of(a).line_id == keys.kmtalk.line), lines[0] if lines else None)


def check_free(keys: bpy.types.Key | None) -> None:
    """Raise InputError where no line can be laid on these shape keys."""
    data = keys.animation_data if keys is not None else None
    if data is None:
        return
    if data.use_tweak_mode and not is_kmtalks(data.action):
        raise InputError("An NLA strip of the shape keys is being tweaked; leave that (Tab in the NLA editor).")
    if not data.use_nla:
        raise InputError("The NLA of the shape keys is switched off; switch it on in the NLA editor.")


def lay(keys: bpy.types.Key, action: bpy.types.Action, lie: Lie) -> None:
    """Let the line of `action` play on these shape keys, instead of another take of the same line, at `lie`."""
    lay_all(keys, {action: lie})


def lay_all(keys: bpy.types.Key, lies: Mapping[bpy.types.Action, Lie]) -> None:
    """As `lay`, for many lines at once."""
    with untweaked(keys):
        for action, lie in lies.items():
            remember_lie(take_of(action), lie)
        lines = {take_of(action).line_id for action in lies}
        rivals = {a for a in playing(keys) if a not in lies and take_of(a).line_id in lines}
        _note_names(keys, rivals)
        for action in lies:
            _follow_names(keys, action)
            _make_room(keys, action)
        _arrange(keys, bring=lies, without=rivals, anew=set(lies))
        hold_rest(keys)


def take_off(keys: bpy.types.Key, actions: Iterable[bpy.types.Action]) -> None:
    """Let these lines no longer play."""
    with untweaked(keys):
        _note_names(keys, actions)
        _arrange(keys, without=set(actions))


def _note_names(keys: bpy.types.Key, actions: Iterable[bpy.types.Action]) -> None:
    """Note the names of the shape keys in Actions that cease to play: Blender renames paths only in those that do."""
    for action in actions:
        if action.library is None and (take := take_of(action)) is not None:
            take.blocks = json.dumps([block.name for block in keys.key_blocks])


def _follow_names(keys: bpy.types.Key, action: bpy.types.Action) -> None:
    """Let the curves of an Action that is to play again find shape keys that were renamed meanwhile."""
    if not take_of(action).blocks:
        return
    now = renamed(json.loads(take_of(action).blocks), [block.name for block in keys.key_blocks])
    take_of(action).blocks = ""
    if all(before == after for before, after in now.items()):
        return
    paths = {_value_path(before): _value_path(after) for before, after in now.items()}
    for curve in compat.channels(action).fcurves:
        curve.data_path = paths.get(curve.data_path, curve.data_path)


def _value_path(name: str) -> str:
    return f'key_blocks["{bpy.utils.escape_identifier(name)}"].value'


def move(keys: bpy.types.Key, lies: Mapping[bpy.types.Action, Lie]) -> None:
    """Let lines that play already lie elsewhere."""
    with untweaked(keys):
        for action, lie in lies.items():
            remember_lie(take_of(action), lie)
        _arrange(keys, anew=set(lies))


def remember_lie(take: bpy.types.PropertyGroup, lie: Lie) -> None:
    """Note in a take where it lies."""
    take.lie = json.dumps([lie.first, lie.last, lie.at, lie.scale])


def lie_of(take: bpy.types.PropertyGroup) -> Lie | None:
    """Where a take lies, or last lay."""
    return _lie(take.lie) if take.lie else None


@lru_cache(maxsize=4096)
def _lie(noted: str) -> Lie:
    return Lie(*json.loads(noted))


@lru_cache(maxsize=4096)
def _laid(noted: str) -> Laid:
    return Laid(*json.loads(noted))


def overlapping(keys: bpy.types.Key, action: bpy.types.Action) -> list[tuple[bpy.types.Action, float, float]]:
    """The other lines that play on frames of this one, and the first and last of these frames."""
    return overlaps(keys).get(action, [])


Overlaps = Mapping[bpy.types.Action, list[tuple[bpy.types.Action, float, float]]]


def overlaps(keys: bpy.types.Key) -> Overlaps:
    """For each line that plays on frames of other ones, which these are, and the first and last of these frames."""
    lies = {a: lie for a in playing(keys) if not take_of(a).idle and (lie := lie_of(take_of(a))) is not None}
    found: dict[bpy.types.Action, list[tuple[bpy.types.Action, float, float]]] = {}
    open_still: list[bpy.types.Action] = []
    for action in sorted(lies, key=lambda a: lies[a].at):
        own = lies[action]
        open_still = [a for a in open_still if lies[a].end >= own.at]
        for other in open_still:
            span = own.at, min(own.end, lies[other].end)
            found.setdefault(action, []).append((other, *span))
            found.setdefault(other, []).append((action, *span))
        open_still.append(action)
    return found


def is_moved_by_hand(strip: bpy.types.NlaStrip) -> bool:
    """Whether the user has moved or changed a line's strip in the NLA editor; it stays as it is then."""
    laid = take_of(strip.action).laid
    return bool(laid) and not same(as_is(strip), _laid(laid))


@contextmanager
def untweaked(keys: bpy.types.Key) -> Iterator[None]:
    """Leave tweak mode for a while, if a line of KMTalk's is being edited."""
    data = keys.animation_data
    edited = data.action if data is not None and data.use_tweak_mode else None
    line = _line_id(edited)
    if not line:
        yield
        return
    data.use_tweak_mode = False
    on_rig = rig_tracks.is_tweaked(keys)
    try:
        yield
    finally:
        data.use_tweak_mode = False
        action = next((a for a in playing(keys) if take_of(a).line_id == line), None)
        if action is not None:
            tweak(keys, action, edited if viewed(edited) is not None else None, on_rig)
        else:
            _drop_views(keys)


def tweak(
    keys: bpy.types.Key, action: bpy.types.Action, view: bpy.types.Action | None = None, on_rig: bool = False
) -> None:
    """Show the keyframes of a line for editing, as Tab in the NLA editor does. Raises InputError if that fails.

    Its strip lies on the topmost track as long as that lasts, for Blender plays nothing beside and above it. Where a
    `view` of the line is shown instead, that is on a muted track above all: everything plays on as it is. Keyframes
    that the line has on a rig are shown if that hides nothing of the rig's, or `on_rig`.
    """
    data = keys.animation_data
    data.use_tweak_mode = False
    _drop_views(keys, kept=view)
    for anew in (set(), set(playing(keys))):  # an active strip of the track goes first; strips laid anew are not active
        _arrange(keys, anew=anew, top=action if view is None else None)
        track, strip = next((pair for pair in own_strips(keys) if pair[1].action == action), (None, None))
        if strip is None:
            break
        if view is not None:
            track, strip = lay_view(data, view, compat.slot_for_keys(view), strip)
        for other in data.nla_tracks:
            other.select = other == track
            for some in other.strips:
                some.select = some == strip
        data.nla_tracks.active = track
        data.use_tweak_mode = True
        if data.action == (view or action):
            rig_tracks.tweak(keys, action, on_rig, view)
            return
        data.use_tweak_mode = False
    _drop_views(keys)
    raise InputError("The line does not play, so it cannot be edited; generate it again, or choose a take of it.")


def view_on(keys: bpy.types.Key | None) -> bpy.types.Action | None:
    """The view of a line that lies on these shape keys, being edited or left behind; None if there is none."""
    data = keys.animation_data if keys is not None else None
    return next((strip.action for _, strip in views(data)), None)


def _drop_views(keys: bpy.types.Key, kept: bpy.types.Action | None = None) -> None:
    """Take views off these shape keys, and all but the one that is `kept` out of the file."""
    rig_tracks.drop_views(keys)
    for track, strip in list(views(keys.animation_data)):
        view = strip.action
        keys.animation_data.nla_tracks.remove(track)
        if view != kept and not view.users:
            bpy.data.actions.remove(view)


def _line_id(edited: bpy.types.Action | None) -> str:
    """The id of the line that is being edited where this Action is."""
    known = take_of(edited) or viewed(edited)
    return known.line_id if known is not None else ""


def _edited(keys: bpy.types.Key | None) -> bpy.types.Action | None:
    """The Action of the line whose keyframes are shown for editing, all or its key motions alone; None if none is."""
    data = keys.animation_data if keys is not None else None
    if data is None or not data.use_tweak_mode:
        return None
    if viewed(data.action) is None:
        return data.action if take_of(data.action) is not None else None
    line = viewed(data.action).line_id
    return next((action for action in playing(keys) if take_of(action).line_id == line), None)


def is_edited(keys: bpy.types.Key | None, action: bpy.types.Action) -> bool:
    """Whether the keyframes of a line are shown for editing."""
    return _edited(keys) == action


def own_is_edited(keys: bpy.types.Key) -> bool:
    """Whether the keyframes of one of KMTalk's lines are shown for editing."""
    return _edited(keys) is not None


def leave_tweak(keys: bpy.types.Key) -> None:
    """Let the line that is being edited be one among the others again."""
    if keys.animation_data is None:
        return
    if keys.animation_data.use_tweak_mode:
        keys.animation_data.use_tweak_mode = False
        rig_tracks.leave_tweak(keys)
        _drop_views(keys)
        _arrange(keys)
    else:
        _drop_views(keys)


def mirror(keys: bpy.types.Key) -> None:
    """Let the rig of a head play what its shape keys play: the user may have moved or muted strips of lines by hand."""
    rig_tracks.mirror(keys, own_strips(keys))


def is_override(keys: bpy.types.Key) -> bool:
    """Whether these are the shape keys of a library override."""
    return keys.user is not None and keys.user.override_library is not None


def hides_nothing(keys: bpy.types.Key) -> bool:
    """Whether editing a line hides nothing of the user's: Blender leaves out the active Action and upper tracks."""
    data = keys.animation_data
    if is_override(keys):  # its file would not keep it right
        return False
    if data.action is not None and not is_kmtalks(data.action):
        return False
    seen_own = False
    for track in data.nla_tracks:
        seen_own = seen_own or _is_own(track)
        others = [strip for strip in track.strips if _is_the_users(keys, strip)]
        if seen_own and others:
            return False
    return True


def move_below(keys: bpy.types.Key) -> None:
    """Let the user's active Action go on in an NLA strip below KMTalk's lines, looking as before on every frame."""
    data = keys.animation_data
    action, slot = data.action, compat.action_slot(data)
    extrapolation, blend, influence = _way_of(data)
    span = EVER
    if extrapolation == "NOTHING" and not compat.has_modifiers(action, slot):
        span = tuple(action.frame_range)
    with _own_tracks_above(keys):
        data.action = None
        track = data.nla_tracks.new()
        track.name = action.name
        strip = track.strips.new(action.name, 1, action)
        compat.set_strip_slot(strip, slot)
        stretch(strip, Laid(span[0], *span, 1.0, 0.0, 0.0))
        strip.blend_type = blend
        if influence < 1.0:
            strip.use_animated_influence, strip.influence = True, influence
    keys.kmtalk.pushed = action
    keys.kmtalk.pushed_as = keys.kmtalk.pushed_as or json.dumps([extrapolation, blend, influence])
    _set_way(data, "HOLD", "REPLACE", 1.0)


def move_back(keys: bpy.types.Key) -> None:
    """Let the user's Action be active as before, if no other one is by now. No line of KMTalk's may play any more."""
    action, data = keys.kmtalk.pushed, keys.animation_data
    if data is not None and data.action is None and action is not None:
        for track in data.nla_tracks:
            if [strip.action for strip in track.strips] == [action]:
                slot = compat.strip_slot(track.strips[0])
                data.nla_tracks.remove(track)
                compat.set_action(data, action, slot)
                break
    if data is not None and keys.kmtalk.pushed_as:
        _set_way(data, *json.loads(keys.kmtalk.pushed_as))
    keys.kmtalk.pushed, keys.kmtalk.pushed_as = None, ""


def _way_of(data: bpy.types.AnimData) -> tuple[str, str, float]:
    """How the active Action is shown. Without tracks Blender heeds nothing of what it would do above them."""
    if not len(data.nla_tracks):
        return "HOLD", "REPLACE", 1.0
    return data.action_extrapolation, data.action_blend_type, data.action_influence


def _set_way(data: bpy.types.AnimData, extrapolation: str, blend: str, influence: float) -> None:
    data.action_extrapolation, data.action_blend_type, data.action_influence = extrapolation, blend, influence


@contextmanager
def _own_tracks_above(keys: bpy.types.Key) -> Iterator[None]:
    """Whatever tracks are made meanwhile lie below those of KMTalk's lines."""
    lines, kept = playing(keys), _Kept.of(keys)
    for track in [track for track in keys.animation_data.nla_tracks if _is_own(track)]:
        keys.animation_data.nla_tracks.remove(track)
    yield
    _arrange(keys, also=lines, kept=kept)


def _is_the_users(keys: bpy.types.Key, strip: bpy.types.NlaStrip) -> bool:
    """Whether an NLA strip is none of KMTalk's."""
    return not is_kmtalks(strip.action) and strip.action != keys.kmtalk.rest


def paths_of_others(keys: bpy.types.Key) -> set[str]:
    """The data paths that others than KMTalk play on these shape keys."""
    data = keys.animation_data
    if data is None:
        return set()
    paths = set()
    if data.action is not None and not is_kmtalks(data.action):
        paths |= compat.played_paths(data.action, compat.action_slot(data))
    for track in data.nla_tracks:
        for strip in track.strips:
            if strip.action is not None and _is_the_users(keys, strip):
                paths |= compat.played_paths(strip.action, compat.strip_slot(strip))
    return paths


def note_stills(keys: bpy.types.Key, blocks: Mapping[str, bpy.types.ShapeKey], at: float | None = None) -> None:
    """Note the values of shape keys (control → block) that nobody has animated so far: they come back beside lines.

    `at`: the value to note where theirs is not known any more.
    """
    stills = json.loads(keys.kmtalk.stills or "{}")
    others = paths_of_others(keys)
    for control, block in blocks.items():
        if control not in stills and block.path_from_id("value") not in others:
            stills[control] = round(block.value, 6) if at is None else at
    keys.kmtalk.stills = json.dumps(stills)


def hold_rest(keys: bpy.types.Key) -> None:
    """Hold what only KMTalk moves at its value of before, wherever no line plays.

    The NLA would let it fall to the property's default, which is 1 in Blender 5.0, and 0 in others.
    """
    stills, others = json.loads(keys.kmtalk.stills or "{}"), paths_of_others(keys)
    names = controls_of_keys(keys)
    held = {}
    for control, value in stills.items():
        block = keys.key_blocks.get(names.get(control, ""))
        if block is None or value == block.bl_rna.properties["value"].default:
            continue
        path = block.path_from_id("value")
        if path not in others:
            held[path] = value
    moved: set[str] = set()
    for action in playing(keys):
        if moved >= held.keys():
            break
        moved |= compat.played_paths(action, compat.slot_for_keys(action))
    _hold(keys, {path: value for path, value in held.items() if path in moved})


def _hold(keys: bpy.types.Key, held: Mapping[str, float]) -> None:
    data, rest = keys.animation_data, keys.kmtalk.rest
    curves = {} if rest is None else {c.data_path: c for c in compat.channels(rest).fcurves}
    plays = rest is not None and any(s.action == rest for t in data.nla_tracks for s in t.strips)
    values = {path: curve.keyframe_points[0].co[1] for path, curve in curves.items() if len(curve.keyframe_points)}
    if plays == bool(held) and values.keys() == held.keys() and all(abs(values[p] - held[p]) < 1e-6 for p in held):
        return
    with untweaked(keys):
        _hold_anew(keys, held)


def _hold_anew(keys: bpy.types.Key, held: Mapping[str, float]) -> None:
    remove_rest(keys)
    if not held:
        return
    data = keys.animation_data
    rest = bpy.data.actions.new(REST)
    slot = compat.slot_for_keys(rest, keys.name)
    for path, value in held.items():
        compat.channels(rest, slot).fcurves.new(path, index=0).keyframe_points.insert(EVER[0], value)
    with _own_tracks_above(keys):
        track = data.nla_tracks.new()
        track.name = REST
        strip = track.strips.new(REST, int(EVER[0]), rest)
        compat.set_strip_slot(strip, slot)
        stretch(strip, Laid(EVER[0], *EVER, 1.0, 0.0, 0.0))
    keys.kmtalk.rest = rest


def remove_rest(keys: bpy.types.Key) -> None:
    """Let nothing be held any more."""
    rest, data = keys.kmtalk.rest, keys.animation_data
    if rest is None:
        return
    for track in list(data.nla_tracks) if data is not None else ():
        if any(strip.action == rest for strip in track.strips) and not compat.is_of_library(track):
            data.nla_tracks.remove(track)
    keys.kmtalk.rest = None
    if not rest.users and rest.library is None:
        bpy.data.actions.remove(rest)


def _make_room(keys: bpy.types.Key, action: bpy.types.Action) -> None:
    """See to it that the user's active Action does not hide the line."""
    data = keys.animation_data or keys.animation_data_create()
    if data.action is None or is_kmtalks(data.action):
        return
    if not len(data.nla_tracks) and _way_of(data) != (
        data.action_extrapolation, data.action_blend_type, data.action_influence,
    ):  # fmt: skip
        keys.kmtalk.pushed_as = json.dumps([data.action_extrapolation, data.action_blend_type, data.action_influence])
        _set_way(data, *_way_of(data))
    theirs = compat.played_paths(data.action, compat.action_slot(data))
    if theirs & compat.played_paths(action, compat.slot_for_keys(action)):
        move_below(keys)


@dataclass(frozen=True)
class _Kept:
    """What the user may have set on the strip of a line: it survives that the strip is laid anew."""

    laid: Laid
    by_hand: bool
    mute: bool
    influence: tuple[tuple[float, float], ...] | None  # keyframes of the influence; None: not animated

    @staticmethod
    def of(keys: bpy.types.Key) -> dict[bpy.types.Action, _Kept]:
        kept = {}
        for _, strip in own_strips(keys):
            kept[strip.action] = _Kept(as_is(strip), is_moved_by_hand(strip), strip.mute, influence_of(strip))
        return kept


def _arrange(
    keys: bpy.types.Key,
    bring: Iterable[bpy.types.Action] = (),
    without: set[bpy.types.Action] | None = None,
    anew: set[bpy.types.Action] | None = None,
    also: Iterable[bpy.types.Action] = (),
    kept: Mapping[bpy.types.Action, _Kept] | None = None,
    top: bpy.types.Action | None = None,
) -> None:
    """Lay all lines that play, and `bring`, not `without`, and `top` above all. Those in `anew` forget that they were
    moved by hand."""
    data = keys.animation_data or keys.animation_data_create()
    kept = {**_Kept.of(keys), **(kept or {})}
    for track, strip in [(t, s) for t, s in _strips_apart(keys) if s.action in (without or ())]:
        if not compat.is_of_library(track):
            track.strips.remove(strip)
    apart = {strip.action for _, strip in _strips_apart(keys)}
    actions = dict.fromkeys([*playing(keys), *also, *bring])
    actions = [a for a in actions if a not in (without or ()) and a not in apart]
    fixed = {a for a in actions if a in kept and kept[a].by_hand and a not in (anew or ())}
    lies = {a: _lie_as_laid(kept[a].laid) if a in fixed else lie_of(take_of(a)) for a in actions}
    wanted = {a: kept[a].laid if a in fixed else laid for a, laid in _laid_out(lies).items()}
    levels = _levels(lies)
    if top in levels:
        levels[top] = 1 + max(levels.values())
    on = [[] for _ in set(levels.values())]
    for action, level in levels.items():
        on[sorted(set(levels.values())).index(level)].append(action)
    tracks = [track for track in data.nla_tracks if _is_own(track)]
    for track in tracks[len(on) :]:
        data.nla_tracks.remove(track)
    tracks = tracks[: len(on)]
    wrong = []
    for number, actions_on in enumerate(on):
        actions_on.sort(key=lambda a: wanted[a].start)
        if number < len(tracks):
            right = _count_right(tracks[number], actions_on, wanted)
            if right < max(len(actions_on), len(tracks[number].strips)):
                wrong.append((number, right))
            for strip in list(tracks[number].strips)[right:]:
                tracks[number].strips.remove(strip)
    for number in range(len(tracks), len(on)):
        wrong.append((number, 0))
        tracks.append(data.nla_tracks.new())
        tracks[number].name = TRACK if not number else f"{TRACK} {number + 1}"
    for number, right in wrong:
        for action in on[number][right:]:
            _add(tracks[number], action, wanted[action], kept.get(action))
    for _, strip in own_strips(keys):
        if strip.action in wanted and strip.action not in fixed:
            take_of(strip.action).laid = json.dumps(list(vars(as_is(strip)).values()))
    mirror(keys)
    keys.update_tag()


def _add(track: Any, action: bpy.types.Action, laid: Laid, kept: _Kept | None) -> None:
    mute, influence = (kept.mute, kept.influence) if kept is not None else (False, None)
    worn = Worn(take_of(action).blend, mute, influence)
    add(track, action, compat.slot_for_keys(action), laid, worn)


def _lie_as_laid(laid: Laid) -> Lie:
    first, last = laid.first + laid.blend_in / laid.scale, laid.last - laid.blend_out / laid.scale
    return Lie(first, max(first, last), laid.start + laid.blend_in, laid.scale)


def _count_right(track: Any, actions: list[bpy.types.Action], wanted: Mapping[bpy.types.Action, Laid]) -> int:
    """How many strips of a track, from its beginning on, lie as they should."""
    for number, (strip, action) in enumerate(zip(track.strips, actions, strict=False)):
        so = strip.action == action and same(as_is(strip), wanted[action])
        if not so or strip.blend_type != take_of(action).blend:
            return number
    return min(len(track.strips), len(actions))


def _is_own(track: bpy.types.NlaTrack) -> bool:
    """Whether a track holds lines alone, and is not that of a library, which an override cannot change."""
    lines = len(track.strips) > 0 and all(take_of(strip.action) is not None for strip in track.strips)
    return lines and not compat.is_of_library(track)


def _strips_apart(keys: bpy.types.Key) -> list[tuple[bpy.types.NlaTrack, bpy.types.NlaStrip]]:
    """The strips of lines on tracks of the user's, with these: they are theirs to move."""
    tracks = [track for track in keys.animation_data.nla_tracks if not _is_own(track)]
    return [(track, strip) for track in tracks for strip in track.strips if take_of(strip.action) is not None]


def _levels(lies: Mapping[bpy.types.Action, Lie]) -> dict[bpy.types.Action, int]:
    """Which track each line belongs on, from below: above all that began before it and still play, and above idles."""
    levels: dict[bpy.types.Action, int] = {}
    open_still: list[bpy.types.Action] = []  # those that play on, and all idles
    for action in sorted(lies, key=lambda a: (not take_of(a).idle, lies[a].at)):
        own = lies[action]
        open_still = [o for o in open_still if take_of(o).idle or lies[o].end + HELD > own.at]
        below = [levels[o] for o in open_still if lies[o].end + HELD > own.at and own.end + HELD > lies[o].at]
        levels[action] = 1 + max(below) if below else 0
        open_still.append(action)
    return levels


def _laid_out(lies: Mapping[bpy.types.Action, Lie]) -> dict[bpy.types.Action, Laid]:
    """The strip of each line: its frames, and beside them as many to ease in and out as it wants and others leave."""
    laid = {}
    starts, ends = sorted(lie.at for lie in lies.values()), sorted(lie.end for lie in lies.values())
    for action, lie in lies.items():
        ease = 0.0 if take_of(action).cues else float(take_of(action).ease)  # drawings have nothing in between
        before, after = bisect_left(ends, lie.at), bisect_right(starts, lie.end)
        free_before = lie.at - ends[before - 1] - 1 if before else math.inf
        free_after = starts[after] - lie.end - 1 if after < len(starts) else math.inf
        before = max(0.0, min(ease, _half(free_before)))
        after = max(0.0, min(ease, free_after - _half(free_after) if free_after < math.inf else ease))
        hold = after if after > 0 else HELD if free_after < SAME else 0.0
        laid[action] = Laid(
            lie.at - before,
            lie.first - before / lie.scale,
            max(lie.last + hold / lie.scale, lie.first + HELD),
            lie.scale,
            before,
            after,
        )
    return laid


def spans_of_lines(keys: bpy.types.Key, ease: float) -> list[tuple[float, float]]:
    """The frames of the scene on which lines play or ease, and `ease` more in which something else may go out."""
    found = []
    for action in playing(keys):
        take = take_of(action)
        if not take.idle and (lie := lie_of(take)) is not None:
            found.append((lie.at - take.ease - ease - 1, lie.end + take.ease + ease + 1))
    return found


def without(first: float, last: float, taken: Iterable[tuple[float, float]]) -> list[tuple[int, int]]:
    """What is left of the frames `first` to `last`, in whole frames, without those that are `taken`."""
    left, begin = [], first
    for low, high in sorted(taken):
        if low > begin:
            left.append((math.ceil(begin), math.floor(min(low, last))))
        begin = max(begin, high)
    return [(a, b) for a, b in (*left, (math.ceil(begin), math.floor(last))) if b > a]


def _half(frames: float) -> float:
    return frames if math.isinf(frames) else float(math.floor(frames / 2 + SAME))
