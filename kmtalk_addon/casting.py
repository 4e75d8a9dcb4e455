"""Who says what in a scene: each sound strip to the head that it belongs to, and how that was found out.

What somebody said counts most: a table, then the choice on the strip. Then the head on which the strip was animated
before, whatever is called how by now. Else names tell: of the strip, then of its channel; then the other strips of the
channel; and where there is one head alone, it says everything.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import bpy

from kmtalk_core.errors import InputError

from . import clips, compat, parts, shape_keys, skeleton, takes
from .session import current
from .strip import make_active, metas_around, sound_strips

# Words of names that tell nothing about who somebody is.
PLAIN = frozenset({
    "body", "char", "character", "chr", "face", "geo", "geometry", "grp", "group", "head", "high", "lod", "low", "mesh",
    "model", "obj", "object", "proxy", "rig", "the",
})  # fmt: skip
_WORD = re.compile(r"[^\W\d_]+|\d+")
_HUMP = re.compile(r"(?<=[^\W\d_A-Z])(?=[A-Z])")
_COPY = re.compile(r"\.\d{3}$")  # what Blender adds to names that are taken
_UNNAMED = re.compile(r"Channel \d+")  # what Blender calls channels
Head = bpy.types.Object


@dataclass(frozen=True)
class Part:
    """A strip and who says it: `head`, None where `why` says why nobody does; `how` that was found out, in a few words.

    `left_out`: nobody is meant to say it. Holds what Blender may free, so it is not kept over a wait.
    """

    strip: Any
    head: Head | None
    how: str = ""
    why: str = ""
    left_out: bool = False


@dataclass(frozen=True)
class Table:
    """Who says what, as somebody wrote it down: the names of strips (with * and ? too), or the numbers of channels, and
    an object, its name, or nobody (None or ""). A full name counts before a pattern, that before a channel.
    """

    rows: Mapping[str | int, Head | str | None] = field(default_factory=dict)

    def says(self, strip: Any) -> tuple[bool, Head | str | None]:
        """Whether the table names the strip, and its head."""
        names = [key for key in self.rows if isinstance(key, str)]
        if strip.name in self.rows:
            return True, self.rows[strip.name]
        for pattern in names:
            if fnmatchcase(strip.name, pattern):
                return True, self.rows[pattern]
        for channel in (str(strip.channel), strip.channel):
            if channel in self.rows:
                return True, self.rows[channel]
        return False, None

    def unknown(self, strips: Sequence[Any]) -> list[str]:
        """The names in the table that no strip has."""
        known = {strip.name for strip in strips}
        return [
            key
            for key in self.rows
            if isinstance(key, str) and not key.isdecimal() and not set(key) & set("*?[") and key not in known
        ]


def read_table(path: Path) -> Table:
    """A table of a .csv or .json with the columns strip (or channel) and head. Raises InputError."""
    from kmtalk_core.command.batch.sources import read_records

    rows: dict[str | int, Head | str | None] = {}
    for record in read_records(path):
        strip, channel = record.cells.get("strip", ""), record.cells.get("channel", "")
        if bool(strip) == bool(channel):
            raise InputError(f"{record.where}: give one of strip and channel, and who says it in the column head.")
        if channel and not channel.isdecimal():
            raise InputError(f"{record.where}: the channel {channel[:40]} is no number; correct it.")
        rows[strip or int(channel)] = record.cells.get("head", record.cells.get("character"))
    return Table(rows)


def heads(scene: bpy.types.Scene) -> list[Head]:
    """The meshes of `scene` that can be told to be heads, one for each mesh: they have lines, or something that speech
    moves, or known landmarks, or somebody has chosen them. Parts of other heads (teeth, lashes, …) are none."""
    chosen = {scene.kmtalk.mesh, *(strip.kmtalk.speaker for strip in sound_strips(scene))}
    found = [obj for obj in _meshes(scene) if obj in chosen or _is_head(obj)]
    others: set[Head] = set()
    for obj in sorted(found, key=lambda obj: len(obj.data.polygons), reverse=True) if len(found) > 1 else ():
        if obj not in others:
            others |= {part.obj for part in parts.parts_of(obj)} - chosen
    return [obj for obj in found if obj not in others or _has_lines(obj)]


def cast(scene: bpy.types.Scene, table: Table | None = None, everybody: Sequence[Head] = ()) -> list[Part]:
    """A part for each sound strip of `scene`, in the order of the strips: two where two heads were animated with it.

    `everybody`: the heads that come into question, instead of those that can be told to be some.
    """
    strips = sorted(sound_strips(scene), key=lambda strip: (compat.handles(strip).left, strip.channel, strip.name))
    known = list(everybody) or heads(scene)
    others = [] if everybody else [obj for obj in _meshes(scene) if obj not in known]
    if not known and len(others) == 1:
        known, others = others, []
    named, also = _names(known), _names(others)
    lines = {obj: _lines_on(obj) for obj in known}
    cast_of: dict[str, list[Part]] = {}
    open_ones = []
    for strip in strips:
        found = _said(scene, strip, table) or _animated(strip, lines) or _by_names(scene, strip, named, also)
        if found:
            cast_of[strip.name] = found
        else:
            open_ones.append(strip)
    on_channel = defaultdict(Counter)
    for strip in strips:
        for part in cast_of.get(strip.name, ()):
            if part.head is not None:
                on_channel[_place(strip)][part.head] += 1
    for strip in open_ones:
        alone = list(on_channel[_place(strip)])
        if len(alone) == 1:
            cast_of[strip.name] = [Part(strip, alone[0], "channel")]
        elif len(known) == 1:
            cast_of[strip.name] = [Part(strip, known[0], "only head")]
        else:
            cast_of[strip.name] = [Part(strip, None, why=_why_nobody(strip, named))]
    return [part for strip in strips for part in cast_of[strip.name]]


def head_of_rig(scene: bpy.types.Scene, rig: bpy.types.Object) -> Head | None:
    """The head that an armature or another control moves, or whose shape keys it drives; None if there is none, or
    several of which not just one has lines."""
    found = [obj for obj in heads(scene) if skeleton.rig_of(obj) == rig or rig in _drivers_of(obj)]
    spoken = [obj for obj in found if _has_lines(obj)] or found
    return spoken[0] if len(spoken) == 1 else None


def changed(settings: bpy.types.PropertyGroup, context: bpy.types.Context) -> None:
    """Who says a strip was chosen: look again who says the others."""
    current.glances.forget()


def to_strip(settings: bpy.types.PropertyGroup, context: bpy.types.Context) -> None:
    """A strip was chosen in the list of the scene: choose it in the sequencer, and its head."""
    scene = compat.sequencer_scene(context)
    strips = compat.all_strips(scene)
    if current.quiet or not 0 <= settings.row < len(strips):
        return
    choose(scene, settings, strips[settings.row])


def choose(scene: bpy.types.Scene, settings: bpy.types.PropertyGroup, strip: Any) -> None:
    """Let this strip be the one that the sequencer and the panel show, and the head that says it."""
    make_active(scene, settings, strip)
    head = next((part.head for part in cast(scene) if part.strip == strip and part.head is not None), None)
    if head is not None:
        settings.mesh = head


def _said(scene: bpy.types.Scene, strip: Any, table: Table | None) -> list[Part]:
    """What somebody said of a strip."""
    if table is not None:
        told, head = table.says(strip)
        if told and not head:
            return [Part(strip, None, "table", f"{strip.name} is nobody's.", left_out=True)]
        if told:
            obj = scene.objects.get(head) if isinstance(head, str) else head
            why = f"There is no object {head} in the scene {scene.name}; correct the table." if obj is None else ""
            return [Part(strip, obj, "table", why)]
    if not strip.kmtalk.speech:
        return [Part(strip, None, "chosen", f"{strip.name} is no speech.", left_out=True)]
    if (head := strip.kmtalk.speaker) is not None:
        if scene.objects.get(head.name) != head:
            return [Part(strip, None, "chosen", f"{head.name} is not in the scene {scene.name}; choose another head.")]
        return [Part(strip, head, "chosen")]
    return []


def _animated(strip: Any, lines: Mapping[Head, set[str]]) -> list[Part]:
    """The heads that a strip was animated on."""
    line_id = strip.kmtalk.id
    return [Part(strip, obj, "animated before") for obj, ids in lines.items() if line_id and line_id in ids]


def _lines_on(obj: Head) -> set[str]:
    """The ids of the lines that a head has."""
    keys = clips.keys_of(obj)
    return {clips.take_of(action).line_id for action in takes.own_actions(keys)} if keys is not None else set()


def _by_names(
    scene: bpy.types.Scene, strip: Any, named: Mapping[Head, set[str]], also: Mapping[Head, set[str]]
) -> list[Part]:
    """The one head that a strip's name tells, or else its channel's."""
    channels = [name for name in _channel_names(scene, strip) if not _UNNAMED.fullmatch(name)]
    for how, texts in (("strip's name", [strip.name]), ("channel's name", channels)):
        for text in texts:
            for candidates in (named, also):
                found = _told_by(text, candidates)
                if len(found) == 1:
                    return [Part(strip, found[0], how)]
    return []


def _told_by(text: str, candidates: Mapping[Head, set[str]]) -> list[Head]:
    """Those whose names are in `text`; where one name is a part of another, whose is the longer one."""
    said = f" {_plain(text)} "
    longest = {
        obj: max((n for n in names if f" {n} " in said), key=len, default="") for obj, names in candidates.items()
    }
    found = {obj: name for obj, name in longest.items() if name}
    return [o for o, name in found.items() if not any(f" {name} " in f" {n} " for p, n in found.items() if p != o)]


def _names(objects: Sequence[Head]) -> dict[Head, set[str]]:
    """What each of them is called, without what tells nothing as several are called so."""
    called = {obj: {_bare(name) for name in _called(obj)} - {""} for obj in objects}
    count = Counter(name for names in called.values() for name in names)
    return {obj: {name for name in names if count[name] == 1} for obj, names in called.items()}


def _called(obj: Head) -> Iterator[str]:
    """By its own name, its mesh's, those of what it hangs on, and of its collections."""
    yield obj.name
    yield obj.data.name
    above = obj.parent
    while above is not None:
        yield above.name
        above = above.parent
    for collection in obj.users_collection:
        if collection.name != "Scene Collection":
            yield collection.name


def _bare(name: str) -> str:
    """A name without the words that tell nothing; all of it if only numbers are left, and "" for numbers alone."""
    words = _plain(_COPY.sub("", name)).split()
    for left in ([word for word in words if word not in PLAIN], words):
        if any(not word.isdecimal() for word in left):
            return " ".join(left)
    return ""


def _plain(name: str) -> str:
    """A name's words in lower case, numbers without zeros before them."""
    words = _WORD.findall(_HUMP.sub(" ", unicodedata.normalize("NFC", name)))
    return " ".join(str(int(word)) if word.isdecimal() else word.casefold() for word in words)


def _channel_names(scene: bpy.types.Scene, strip: Any) -> Iterator[str]:
    """Of the channel on which a strip lies, and of those of the meta strips around it."""
    around = metas_around(strip)
    for inner, outer in zip((strip, *around), (*around, None), strict=True):
        yield (outer or scene.sequence_editor).channels[inner.channel].name


def _place(strip: Any) -> tuple[str, int]:
    """The channel that a strip lies on: of the scene, or of its meta strip."""
    around = metas_around(strip)
    return (around[0].name if around else "", strip.channel)


def _why_nobody(strip: Any, named: Mapping[Head, set[str]]) -> str:
    if not named:
        return f"There is no head for {strip.name}; choose a mesh for it."
    if several := _told_by(strip.name, named):
        return f"{strip.name} names {' and '.join(obj.name for obj in several[:3])}; choose who says it."
    remedy = "choose a head, name the strip or its channel after one, or untick it if it is no speech"
    return f"Who says {strip.name} is not known; {remedy}."


def _meshes(scene: bpy.types.Scene) -> Iterator[Head]:
    """The mesh objects of `scene` with faces, the first one of those that share a mesh."""
    seen = set()
    for obj in scene.objects:
        if obj.type == "MESH" and obj.data not in seen and len(obj.data.polygons):
            seen.add(obj.data)
            yield obj


def _is_head(obj: Head) -> bool:
    return _has_lines(obj) or not shape_keys.needs_rig(obj) or shape_keys.landmarks_known(obj.data)


def _drivers_of(obj: Head) -> set[bpy.types.ID]:
    """What drives the shape keys of a mesh."""
    keys = obj.data.shape_keys
    drivers = keys.animation_data.drivers if keys is not None and keys.animation_data is not None else ()
    return {target.id for curve in drivers for variable in curve.driver.variables for target in variable.targets}


def _has_lines(obj: Head) -> bool:
    keys = obj.data.shape_keys
    return keys is not None and len(keys.kmtalk.actions) > 0
