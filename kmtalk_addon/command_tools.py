"""What the commands of `blender --command kmtalk` share: which scene and head are meant, the work, saving the file."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import bpy

from kmtalk_core.errors import InputError, KMTalkError

from . import compat, lipsync, operators, shape_keys
from .job import Steps
from .preferences import interpreter
from .session import current

if TYPE_CHECKING:
    from kmtalk_core.command.display import Display

T = TypeVar("T")


def scene_of(options: argparse.Namespace) -> bpy.types.Scene:
    """The scene that --scene names; raises InputError if there is none."""
    scene = compat.sequencer_scene(bpy.context)
    if options.scene is not None and (scene := bpy.data.scenes.get(options.scene)) is None:
        raise InputError(f"There is no scene {options.scene} in the file; the file has {names(bpy.data.scenes)}.")
    return scene


def mesh_of(scene: bpy.types.Scene, name: str | None) -> bpy.types.Object:
    """The head of that name, or the panel's; raises InputError if there is none."""
    if name is None:
        return shape_keys.check_mesh(scene.kmtalk.mesh or operators.chosen_mesh(bpy.context))
    obj = bpy.data.objects.get(name)
    if obj is None:
        heads = [o for o in bpy.data.objects if o.type == "MESH"]
        raise InputError(f"There is no object {name} in the file; its meshes are {names(heads)}.")
    return shape_keys.check_mesh(obj)


def names(things: Sequence[Any]) -> str:
    """The names of some things of the file."""
    listed = [thing.name for thing in things]
    return ", ".join(listed[:5]) + (", …" if len(listed) > 5 else "") if listed else "none"


def wishes(options: argparse.Namespace, line: Any) -> lipsync.Options:
    """The panel's settings, over which the options that were given win."""
    from kmtalk_core.localization.transcript import read_transcript
    from kmtalk_core.settings import STYLE_ENDING

    own = operators.options_of(bpy.context, line)
    given = {name: value for name, value in vars(options).items() if value is not None and hasattr(own, name)}
    if "alignment" in given:
        given["alignment"] = str(given["alignment"].resolve())
    if given.get("style", "").endswith(STYLE_ENDING):  # the worker has another working folder
        given["style"] = str(Path(given["style"]).resolve())
    if (text := getattr(options, "transcript_file", None)) is not None:
        given["transcript"] = read_transcript(text)
    return replace(own, **given)


def work(steps: Steps[T], progress: Callable[[float, str], None]) -> T:
    """Do the steps in the worker, and tell how far it is."""
    job = current.start(steps, *interpreter(bpy.context))
    try:
        while not job.poll(timeout=0.05):
            progress(current.fraction, current.message)
        return job.result
    finally:
        current.finish(job)


def check_blend(path: Path) -> None:
    """Notice an output that cannot be written before any work is done."""
    from kmtalk_core.command.cli import check_output

    check_output(path, ".blend")


def save(path: Path, summary: str, warnings: Sequence[str], progress: Display) -> None:
    """Save the file, and say what was done."""
    progress(0.95, "saving")
    target = path.resolve()
    try:
        bpy.ops.wm.save_as_mainfile(filepath=str(target), copy=target != Path(bpy.data.filepath))
    except RuntimeError as error:
        raise KMTalkError(f"{path} cannot be written ({str(error).strip()}); check path and free space.") from None
    progress.warnings(warnings)
    progress.done(path, summary)
