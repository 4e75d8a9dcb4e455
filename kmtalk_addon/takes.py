"""What a file remembers of a line that was animated, so that it can be worked on later, sound or not.

`result` is what was computed last (OUT.npz). Once a slider has moved, `finished` holds what lies on the curves instead:
also edits that were not completed yet. Both are kept as they were written, so that another version of KMTalk does not
take its own differences for edits.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import lru_cache
from typing import Any

import bpy
import numpy as np

from kmtalk_core.errors import InputError
from kmtalk_core.motion import Animation, KeyMotions
from kmtalk_core.phones import Phone, Word
from kmtalk_core.results import load_animation
from kmtalk_core.settings import Layers, Sliders, known_fields, settings_of

from . import keyframes, shape_keys
from .session import current
from .strip import Line, choose_strip

SAME_TIME = 1e-4  # s; Blender keeps single precision
DOUBTFUL = 0.1  # confidence of a word below which are 2 in 100 right words of read speech, and half of the wrong ones


def find_take(
    scene: bpy.types.Scene, strip_name: str, obj: bpy.types.Object | None
) -> tuple[bpy.types.PropertyGroup, bpy.types.Action]:
    """What is remembered of the strip's line, and KMTalk's Action that holds it. Raises InputError if there is none."""
    obj = shape_keys.check_mesh(obj)
    action = keyframes.own_action(obj)
    if action is None:
        raise InputError(f"{obj.name} has no animation of KMTalk's; generate it first.")
    takes = action.kmtalk_takes
    try:
        name = choose_strip(scene, strip_name).name
        named = bool(strip_name)
    except InputError:
        name, named = strip_name, False
    # The only take is meant where no strip is named, or one that has another name by now.
    take = takes.get(name) or (takes[0] if len(takes) == 1 and not named else None)
    if take is None:
        raise InputError(f"The strip {name} has not been animated on {obj.name}; generate it first.")
    return take, action


def read_line(take: bpy.types.PropertyGroup) -> Line:
    """What the strip played when `take` was generated."""
    return _line(take.line)


def as_json(line: Line) -> str:
    """The inverse of `read_line`."""
    return json.dumps(asdict(line))


def read_take(take: bpy.types.PropertyGroup) -> tuple[Line, Animation]:
    """What the strip played when `take` was generated, and the result as computed last."""
    return read_line(take), loaded(take.result)


@lru_cache(maxsize=4)
def loaded(result: bytes) -> Animation:
    """The result that the bytes of an OUT.npz hold."""
    return load_animation(io.BytesIO(result))


def shown(take: bpy.types.PropertyGroup) -> Animation:
    """What lies on the curves if nobody has edited them since: the result, as the sliders have finished it."""
    base = loaded(take.result)
    return _unpacked(base, take.finished) if take.finished else base


def settings_on(strip: bpy.types.Strip) -> tuple[Sliders, Layers]:
    """Sliders and layers as a strip's properties have them."""
    return Sliders(**values_on(strip.kmtalk, Sliders)), Layers(**values_on(strip.kmtalk, Layers))


def values_on(properties: bpy.types.PropertyGroup, *kinds: type) -> dict[str, Any]:
    """The settings of these kinds as properties have them."""
    # Blender keeps single precision: 0.1 is 0.10000000149…
    found = {setting.name: getattr(properties, setting.name) for setting in settings_of(*kinds)}
    return {name: round(value, 6) if isinstance(value, float) else value for name, value in found.items()}


def set_on(strip: bpy.types.Strip, animation: Animation) -> None:
    """Show the sliders and layers of a result in the strip's properties."""
    with current.fill_in():
        for name, value in (asdict(animation.sliders) | asdict(animation.layers)).items():
            setattr(strip.kmtalk, name, value)


def worn(sliders: Sliders, layers: Layers) -> str:
    """Sliders and layers as a take notes them (`worn`), to be compared."""
    return json.dumps(asdict(sliders) | asdict(layers))


def remember(take: bpy.types.PropertyGroup, line: Line, animation: Animation) -> None:
    """Fill in what the panel shows of a result, which lies on the frames of `line`."""
    take.line = as_json(line)
    take.key_count = len(animation.keys.times)
    take.worn = worn(animation.sliders, animation.layers)
    alignment = animation.alignment
    with current.fill_in():
        if not _is_heard(take.words, alignment.words):
            _fill(take.words, alignment.words)
            take.word = min(take.word, max(len(take.words) - 1, 0))
        if not _is_heard(take.phones, alignment.phones):
            _fill(take.phones, alignment.phones)
            take.phone = min(take.phone, max(len(take.phones) - 1, 0))
    remember_missed(take, animation)


def remember_missed(take: bpy.types.PropertyGroup, animation: Animation) -> None:
    """Fill in which lip contacts the motion misses."""
    from kmtalk_core.finish.report import contact_report

    report = contact_report(animation)
    take.contacts, take.fitted = f"{report.summary}.", animation.lip_line is not None
    with current.fill_in():
        take.missed.clear()
        take.contact = -1  # so that a click on the first one is a change, too
        for violation in report.violations:
            item = take.missed.add()
            item.name = f"{violation.phone} of “{violation.word}”" if violation.word else violation.phone
            item.start, item.end = (time + animation.sliders.offset for time in (violation.start, violation.end))
            item.reason = f"{violation.apart:.1f} mm apart: {violation.reason}"


def pack(animation: Animation) -> bytes:
    """What finishing changes in a result."""
    file = io.BytesIO()
    np.savez(
        file,
        controls=animation.controls,
        free=animation.to_finish.free,
        key_times=animation.keys.times,
        key_controls=animation.keys.controls,
        edited=animation.to_finish.edited,
        settings=np.array(json.dumps({"sliders": asdict(animation.sliders), "layers": asdict(animation.layers)})),
    )
    return file.getvalue()


def _unpacked(base: Animation, finished: bytes) -> Animation:
    with np.load(io.BytesIO(finished), allow_pickle=False) as arrays:
        settings = json.loads(str(arrays["settings"]))
        return replace(
            base,
            controls=arrays["controls"],
            keys=KeyMotions(arrays["key_times"], arrays["key_controls"]),
            unfinished=replace(base.to_finish, free=arrays["free"], edited=arrays["edited"]),
            sliders=Sliders(**known_fields(Sliders, settings["sliders"])),
            layers=Layers(**known_fields(Layers, settings["layers"])),
        )


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
def _line(text: str) -> Line:
    return Line(**json.loads(text))
