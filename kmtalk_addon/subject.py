"""What a piece of work is about, found again after a wait in which the user may have done anything.

Undo, loading a file and deleting free what Blender's Python objects stand for, and using one then ends Blender. So work
keeps no such object while it waits, only what the thing is known by.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import bpy

from kmtalk_core.errors import InputError

from .strip import Played, origin_of, sound_strips, what_plays


@dataclass(frozen=True)
class Subject:
    """A sound strip, its scene and the head that it moves. Blender's `session_uid`s outlast undo and renaming.

    `plays` is what the strip played at first (see `strip.what_plays`), on the frames of `line`.
    """

    scene_uid: int
    scene_name: str
    strip_name: str
    strip_id: str
    head_uid: int
    head_name: str
    plays: tuple[Any, ...]
    line: Played

    @classmethod
    def of(cls, scene: bpy.types.Scene, strip: Any, head: bpy.types.Object, line: Played) -> Subject:
        """Note what these are known by; `line` is what the strip plays now."""
        known, plays = _id_of(strip), what_plays(scene, strip)
        return cls(scene.session_uid, scene.name, strip.name, known, head.session_uid, head.name, plays, line)

    def scene(self) -> bpy.types.Scene:
        """The scene, or InputError if it is gone."""
        return _found(bpy.data.scenes, self.scene_uid, f"The scene {self.scene_name}")

    def head(self) -> bpy.types.Object:
        """The head, or InputError if it is gone."""
        return find_head(self.head_uid, self.head_name)

    def strip(self) -> Any:
        """The strip, or InputError if it is gone. A renamed one is the only other one that plays the same there."""
        scene = self.scene()
        strips = sound_strips(scene)
        by_id = [strip for strip in strips if self.strip_id and _id_of(strip) == self.strip_id]
        by_name = [strip for strip in strips if strip.name == self.strip_name]
        alike = by_id or by_name or [strip for strip in strips if self._plays_the_same(scene, strip)]
        if len(alike) != 1:
            raise InputError(f"The strip {self.strip_name} is gone, so nothing was changed; choose one and try again.")
        return alike[0]

    def line_now(self) -> Played:
        """The line where the strip lies now; InputError if it plays something else by now, or at another rate."""
        scene, strip = self.scene(), self.strip()
        if what_plays(scene, strip) != self.plays:
            raise InputError(
                f"The strip {strip.name} or the frame rate was changed meanwhile, so nothing was changed on the face;"
                " generate it again."
            )
        return self.line.moved_to(origin_of(scene, strip))

    def _plays_the_same(self, scene: bpy.types.Scene, strip: Any) -> bool:
        return what_plays(scene, strip) == self.plays and origin_of(scene, strip) == self.line.origin


def find_head(uid: int, name: str) -> bpy.types.Object:
    """The object of this `session_uid`, named `name` before; InputError if it is gone."""
    return _found(bpy.data.objects, uid, f"The mesh {name}")


def _id_of(strip: Any) -> str:
    return str(getattr(strip.kmtalk, "id", ""))


def _found(things: Any, uid: int, what: str) -> Any:
    for thing in things:
        if thing.session_uid == uid:
            return thing
    raise InputError(f"{what} is gone, so nothing was changed; choose again.")
