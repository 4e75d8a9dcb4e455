"""NLA strips as KMTalk lays them: on which frames, of what, and how they ease."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import bpy

from . import compat

SAME = 1e-3  # frames
VIEW = "KMTalk Key Motions"  # the track of a view of a line (`key_view`)


@dataclass(frozen=True)
class Laid:
    """An NLA strip as KMTalk lays it: its start in the scene, the frames of its Action, how far it eases."""

    start: float
    first: float
    last: float
    scale: float
    blend_in: float
    blend_out: float


@dataclass(frozen=True)
class Worn:
    """What a strip has beside its place; `influence`: keyframes (frame, value), None: it is not animated."""

    blend: str
    mute: bool = False
    influence: tuple[tuple[float, float], ...] | None = None


def add(track: Any, action: bpy.types.Action, slot: Any, laid: Laid, worn: Worn) -> bpy.types.NlaStrip:
    """A strip that plays `slot` of an Action on `track`."""
    strip = track.strips.new(action.name, math.ceil(laid.start - SAME), action)
    compat.set_strip_slot(strip, slot)
    stretch(strip, laid)
    strip.blend_type, strip.mute = worn.blend, worn.mute
    if worn.influence is not None:
        strip.use_animated_influence = True
        curve = strip.fcurves.find("influence")
        curve.keyframe_points.clear()
        for frame, value in worn.influence:
            curve.keyframe_points.insert(frame, value)
    return strip


def lay_view(data: bpy.types.AnimData, view: bpy.types.Action, slot: Any, like: bpy.types.NlaStrip) -> tuple[Any, Any]:
    """Lay a view of a line on a muted track above all, on the frames of the line's strip; the track and the strip."""
    track = data.nla_tracks.new()
    track.name = VIEW
    strip = add(track, view, slot, replace(as_is(like), blend_in=0.0, blend_out=0.0), Worn("REPLACE"))
    track.mute = True
    return track, strip


def views(data: bpy.types.AnimData | None) -> Iterator[tuple[bpy.types.NlaTrack, bpy.types.NlaStrip]]:
    """The tracks of views, the topmost first, and their strips."""
    for track in reversed(data.nla_tracks) if data is not None else ():
        action = track.strips[0].action if len(track.strips) == 1 else None  # it has a track of its own
        if action is not None and len(action.kmtalk_views):
            yield track, track.strips[0]


def stretch(strip: bpy.types.NlaStrip, laid: Laid) -> None:
    """Put a strip on its place."""
    strip.use_sync_length, strip.use_auto_blend, strip.extrapolation = False, False, "NOTHING"
    if laid.first > strip.action_frame_end:
        strip.action_frame_end, strip.action_frame_start = laid.last, laid.first
    else:
        strip.action_frame_start, strip.action_frame_end = laid.first, laid.last
    strip.scale = laid.scale
    strip.frame_start_ui = laid.start
    strip.blend_in, strip.blend_out = laid.blend_in, laid.blend_out


def as_is(strip: bpy.types.NlaStrip) -> Laid:
    """Where a strip is."""
    names = ("frame_start", "action_frame_start", "action_frame_end", "scale", "blend_in", "blend_out")
    return Laid(*(getattr(strip, name) for name in names))


def influence_of(strip: bpy.types.NlaStrip) -> tuple[tuple[float, float], ...] | None:
    """The keyframes of a strip's influence; None where it is not animated."""
    if not strip.use_animated_influence:
        return None
    curve = strip.fcurves.find("influence")
    return tuple((p.co[0], p.co[1]) for p in (curve.keyframe_points if curve is not None else ()))


def same(a: Laid, b: Laid) -> bool:
    """Whether two places are one, as far as Blender's precision goes."""
    return all(abs(x - y) < 4 * SAME for x, y in zip(vars(a).values(), vars(b).values(), strict=True))
