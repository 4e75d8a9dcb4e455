"""`generate`, for one strip or a whole scene, also with sounds that are added first."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import bpy

from kmtalk_core.errors import InputError, KMTalkError

from . import casting, compat, lipsync, scenes, strip
from .casting import Part
from .command_tools import check_blend, mesh_of, save, scene_of, wishes, work

if TYPE_CHECKING:
    from kmtalk_core.command.display import Display


def add_generate_options(sub: argparse.ArgumentParser) -> None:
    """Describe the options of `generate`, without where to save the file."""
    from kmtalk_core.command import arguments
    from kmtalk_core.settings import LineSettings, settings_of

    sub.add_argument("--scene", metavar="NAME", help="the scene (the file's active one)")
    which = sub.add_mutually_exclusive_group()
    which.add_argument("--strip", default="", metavar="NAME", help="the sound strip (the active or only one)")
    which.add_argument("--all", action="store_true", help="every sound strip on the head that says it")
    which.add_argument("--table", type=Path, metavar="F", help="the same; columns strip (or channel) and head say who")
    which.add_argument(
        "--audio", type=Path, action="append", default=[], metavar="FILE", help="a sound to be added; may be repeated"
    )
    sub.add_argument(
        "--mesh", dest="heads", action="append", default=[], metavar="NAME",
        help="the head's object (the panel's mesh, else the active object); may be repeated: one for each sound, or"
        " several that say the same",
    )  # fmt: skip
    sub.add_argument(
        "--at", type=int, action="append", default=[], metavar="FRAME",
        help="where each added sound begins (one after the other from the scene's first frame on)",
    )  # fmt: skip
    text = sub.add_mutually_exclusive_group()
    text.add_argument("--transcript", metavar="TEXT", help="what is said (what the strip says)")
    text.add_argument("--transcript-file", type=Path, metavar="F", help="text or subtitles with what is said")
    sub.add_argument("--alignment", type=Path, metavar="F", help="phones or words with times: TextGrid, JSON, …")
    for setting in settings_of(LineSettings):
        arguments.add_setting(sub, setting, with_default=False)


def generate(options: argparse.Namespace, progress: Display) -> int:
    check_blend(options.out)
    scene = scene_of(options)
    if options.all or options.table is not None:
        return generate_all(options, scene, progress)
    if len(options.audio) > 1 or len(options.heads) > 1:
        parts, lost = added_parts(options, scene) if options.audio else (parts_of(options, scene), {})
        return finish_scene(options, scene, parts, progress, lost=lost)
    obj = mesh_of(scene, options.heads[0] if options.heads else None)
    if options.audio:
        at = options.at[0] if options.at else scene.frame_start
        line = strip.add_speech(scene, options.audio[0], at)
    else:
        line = strip.choose_strip(scene, options.strip)
    outcome = work(lipsync.generate(scene, line, obj, wishes(options, line)), progress.span(0.0, 0.95))
    save(options.out, outcome.summary, outcome.warnings, progress)
    return 0


def generate_all(options: argparse.Namespace, scene: bpy.types.Scene, progress: Display) -> int:
    table = casting.read_table(options.table) if options.table is not None else casting.Table()
    heads = [mesh_of(scene, name) for name in options.heads]
    if len(heads) == 1 and options.table is None:
        parts = [Part(some, heads[0], "chosen") for some in strip.sound_strips(scene)]
    else:
        parts = casting.cast(scene, table, heads)
    unknown = table.unknown(strip.sound_strips(scene))
    return finish_scene(options, scene, parts, progress, unknown)


def parts_of(options: argparse.Namespace, scene: bpy.types.Scene) -> list[Part]:
    """One strip, which several heads say."""
    line = strip.choose_strip(scene, options.strip)
    return [Part(line, mesh_of(scene, name), "chosen") for name in options.heads]


def added_parts(options: argparse.Namespace, scene: bpy.types.Scene) -> tuple[list[Part], dict[str, str]]:
    """The sounds of --audio as new strips, with their heads; and for each that cannot be read, why not."""
    sounds, heads = options.audio, [mesh_of(scene, name) for name in options.heads]
    if len(heads) > 1 < len(sounds) and len(heads) != len(sounds):
        raise InputError(
            f"There are {len(sounds)} sounds and {len(heads)} heads; give one head for each, or one alone."
        )
    if options.at and len(options.at) != len(sounds):
        raise InputError(f"There are {len(sounds)} sounds and {len(options.at)} frames; give one for each.")
    said, lost, free = [], {}, scene.frame_start
    for place, path in enumerate(sounds):
        try:
            line = strip.add_speech(scene, path, options.at[place] if options.at else free)
        except KMTalkError as error:
            lost[path.name] = str(error)
            continue
        free = compat.handles(line).right
        who = heads if len(sounds) == 1 else heads if len(heads) == 1 else heads[place : place + 1]
        said += [(line, head) for head in who or [None]]
    found = {part.strip.name: part for part in casting.cast(scene)} if not heads else {}
    parts = [Part(line, head, "chosen") if head is not None else found[line.name] for line, head in said]
    return parts, lost


def finish_scene(
    options: argparse.Namespace,
    scene: bpy.types.Scene,
    parts: Sequence[Part],
    progress: Display,
    unknown: Sequence[str] = (),
    lost: Mapping[str, str] | None = None,
) -> int:
    """Generate all parts, save the file if any could be made, and tell of each that could not (exit status 1)."""
    steps = scenes.generate_scene(scene, parts, lambda line: wishes(options, line), unknown)
    outcome = work(steps, progress.span(0.0, 0.95))
    for name, why in (lost or {}).items():
        progress.warning(f"{name}: {why}")
    for line in outcome.failed:
        progress.warning(f"{line.strip}{f' on {line.head}' if line.head else ''}: {line.told}")
    made = outcome.of(scenes.DONE, scenes.SAME)
    if not made:
        raise KMTalkError("No line could be made, so nothing was saved; see the warnings.")
    save(options.out, outcome.summary, tuple(told for line in made for told in line.warnings), progress)
    return 1 if outcome.failed or lost else 0
