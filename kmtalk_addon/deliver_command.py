"""`deliver`: lines of `kmtalk batch` in the formats that Blender alone writes, as many as it asks for, one by one.

Requests come through standard input and answers leave through standard output, a line of JSON each (see
kmtalk_core.command.batch.blender). Every line begins with a new file or its template; nothing of the one before stays.
"""

from __future__ import annotations

import argparse
import json
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, TextIO

import bpy
import numpy as np

from kmtalk_core.errors import InputError, KMTalkError, StorageError, storage_trouble
from kmtalk_core.leftovers import temporary_folder
from kmtalk_core.service.protocol import Ping

from . import casting, compat, delivery, lipsync, strip, takes
from .command_tools import wishes, work
from .job import Steps
from .session import current
from .shape_keys import check_mesh
from .strip import Played

if TYPE_CHECKING:
    from kmtalk_core.command.display import Display
    from kmtalk_core.delivery.heads import MorphHead
    from kmtalk_core.motion import Animation

SCENE = ".scene.blend"
COLOUR = "Colour"  # attribute with the colours of heads that come from no file of Blender's


def deliver(options: argparse.Namespace, progress: Display) -> int:
    """Do what is asked until nobody asks any more."""
    from kmtalk_core import __version__
    from kmtalk_core.command.batch.blender import MARK

    asked, out = private_pipes()
    lacks = [ending for ending, exporter in delivery.EXPORTERS.items() if not delivery.is_built_in(exporter)]
    answer: dict[str, Any] = {"kmtalk": __version__, "blender": bpy.app.version_string, "lacks": lacks}
    while True:
        out.write(f"{MARK}{json.dumps(answer)}\n")
        out.flush()
        answer = answered(json.loads(asked.get()))


def private_pipes() -> tuple[SimpleQueue[str], TextIO]:
    """What comes through standard input, whose end is the end of this process, and standard output for answers alone:
    what Blender and its exporters print goes to standard error."""
    source, out = os.fdopen(os.dup(0), encoding="utf-8"), os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    lines: SimpleQueue[str] = SimpleQueue()

    def read() -> None:
        for line in source:
            lines.put(line)
        current.end_worker()
        os._exit(0)

    threading.Thread(target=read, daemon=True).start()
    return lines, out


def answered(request: Mapping[str, Any]) -> dict[str, Any]:
    """Do what is asked; what goes wrong becomes the sentence `error`."""
    try:
        return look(Path(request["look"])) if "look" in request else written(request)
    except StorageError as error:
        return {"error": str(error), "storage": True}
    except KMTalkError as error:
        return {"error": str(error)}
    except OSError as error:
        return {"error": storage_trouble(error)}
    except Exception as error:
        return {"error": f"Blender could not do it ({type(error).__name__}: {str(error).strip()[:200]})."}


def look(template: Path) -> dict[str, Any]:
    """The rate and the heads of a template."""
    open_template(template)
    scene = compat.sequencer_scene(bpy.context)
    return {"fps": strip.scene_rate(scene), "heads": names_of_heads(scene), "objects": [o.name for o in scene.objects]}


def written(request: Mapping[str, Any]) -> dict[str, Any]:
    """Put a result on its head, and write that in all formats that are asked for."""
    try:
        result = Path(request["result"]).read_bytes()
    except OSError as error:
        raise InputError(storage_trouble(error)) from None
    animation = takes.loaded(result)
    if request["template"] is None:
        bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
        head = added_head(request["mesh"], request["catalog"])
        set_rate(bpy.context.scene, animation.fps)
    else:
        open_template(Path(request["template"]))
        head = head_of(request["character"])
    scene = compat.sequencer_scene(bpy.context)
    line = laid(scene, Path(request["sound"]), Path(request["result"]).stem, animation)
    line.kmtalk.speaker = head
    line.kmtalk.transcript = request["transcript"]
    played = played_by(scene, line, animation)
    told = work(taken_in(scene, line, head, result, played), lambda share, doing: None).warnings
    clip = takes.find_clip(scene, line.name, head)
    for ending, path in request["outputs"].items():
        if ending == SCENE:
            delivery.write_file(Path(path))
        elif ending == delivery.LIBRARY:
            delivery.write_library([clip], Path(path), request["catalog"])
        else:
            delivery.write_scene(clip, Path(path))
    return {"told": [sentence for sentence in told if sentence not in animation.alignment.warnings]}


def taken_in(scene: Any, line: Any, head: Any, result: bytes, played: Played) -> Steps[lipsync.Outcome]:
    """Put a result on the face, with its own sliders."""
    yield Ping()  # heads that need no rig have nothing else to ask, and there is no work without a question
    takes.set_on(line, takes.loaded(result))
    with temporary_folder() as folder:
        options = wishes(argparse.Namespace(), line)
        made = yield from lipsync.take_in(scene, line, head, options, folder, result, played)
    return lipsync.put_on(made)


def open_template(path: Path) -> None:
    """Open a template as it is on the disk; raises InputError."""
    try:
        bpy.ops.wm.open_mainfile(filepath=str(path), load_ui=False)
    except RuntimeError as error:
        raise InputError(f"Blender cannot open {path} ({str(error).strip()[:200]}); save it again.") from None


def head_of(character: str) -> bpy.types.Object:
    """The head in the file that says what a character says; raises InputError."""
    from kmtalk_core.command.batch.blender import head_for

    scene = compat.sequencer_scene(bpy.context)
    name = character if character in scene.objects else head_for(character, names_of_heads(scene))
    if not name:
        raise InputError(f"Who says it is not known ({character or 'no character'}); see the heads of the template.")
    return check_mesh(scene.objects[name])


def names_of_heads(scene: bpy.types.Scene) -> list[str]:
    """What the heads of a scene are called."""
    return [head.name for head in casting.heads(scene)]


def added_head(mesh: str | None, name: str) -> bpy.types.Object:
    """The head of a mesh file (None: the demo head) in the new file, with a shape key for each control that it has."""
    from kmtalk_core.delivery.heads import head_at

    head = head_at(None if mesh is None else Path(mesh))
    obj = head_object(head, name)
    bpy.context.scene.collection.objects.link(obj)
    bpy.context.view_layer.objects.active = obj
    return obj


def head_object(head: MorphHead, name: str) -> bpy.types.Object:
    """A head as an object, z up and facing -y, in metres."""
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata(blender_axes(head.vertices).tolist(), [], head.faces.tolist())
    mesh.shade_smooth()
    colours = np.concatenate([head.colours, np.ones((len(head.colours), 1), np.float32)], axis=1)
    mesh.color_attributes.new(COLOUR, "BYTE_COLOR", "POINT").data.foreach_set("color_srgb", colours.ravel())
    mesh.materials.append(bpy.data.materials.new(f"{name} skin"))
    obj = bpy.data.objects.new(name, mesh)
    obj.shape_key_add(name="Basis", from_mix=False)
    for control, shape in zip(head.names, head.shapes, strict=True):
        block = obj.shape_key_add(name=control, from_mix=False)
        block.value = 0.0
        block.data.foreach_set("co", blender_axes(head.vertices + shape).astype(np.float32).ravel())
    return obj


def blender_axes(points: np.ndarray) -> np.ndarray:
    """(…, 3) from y up, facing +z, to z up, facing -y."""
    return np.stack([points[..., 0], -points[..., 2], points[..., 1]], axis=-1)


def set_rate(scene: bpy.types.Scene, fps: float) -> None:
    """Have a scene play `fps` frames a second, 30000/1001 too."""
    whole = max(1, round(fps))
    scene.render.fps, scene.render.fps_base = whole, whole / fps


def laid(scene: bpy.types.Scene, sound: Path, name: str, animation: Animation) -> Any:
    """A new strip of the part of a sound that a result is of, on the scene's first frame."""
    line = strip.add_speech(scene, sound, scene.frame_start)
    line.name = name
    if animation.origin is not None and animation.origin.part:
        rate = strip.scene_rate(scene)
        start, duration, _ = animation.origin.part
        compat.show_part(line, round(start * rate), round(duration * rate))
    scene.frame_end = max(scene.frame_start, compat.handles(line).right - 1)
    return line


def played_by(scene: bpy.types.Scene, line: Any, animation: Animation) -> Played:
    """What the strip plays, to the exact second where a result is of a part of its sound."""
    played = strip.read_line(scene, line)
    if animation.origin is None or not animation.origin.part:
        return played
    start, duration, delay = animation.origin.part
    first, rate = scene.frame_start, played.fps
    return Played(line.name, played.audio, start, duration, first, first - start * rate, rate, 1.0, delay)
