"""KMTalk without a window: `blender -b FILE --command kmtalk generate|complete|bake|export|batch …`.

As the command line `kmtalk` of the core: progress on stderr, exit status 0 done, 2 wrong input, 1 anything else.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bpy
import numpy as np

from kmtalk_core.errors import InputError, KMTalkError, storage_trouble

from . import clips, compat, lipsync, live, operators, shape_keys, strip, takes
from .job import Steps, core_folders, start_code
from .preferences import interpreter
from .session import current

if TYPE_CHECKING:
    from kmtalk_core.command.display import Display
    from kmtalk_core.motion import Animation

PROGRAM = "blender -b FILE --command kmtalk"


def main(arguments: Sequence[str]) -> int:
    """Run one command on the file that Blender has opened; returns the exit status."""
    from kmtalk_core.command.display import Display
    from kmtalk_core.command.endings import ending

    given = list(arguments)
    progress = Display.wanted(given)
    try:
        options = build_parser().parse_args(given, argparse.Namespace(given=given))
        return int(options.run(options, progress) or 0)
    except OSError as error:
        progress.error(storage_trouble(error))
        return 1
    except SystemExit as leave:  # argparse after --help
        return int(leave.code or 0)
    except (Exception, KeyboardInterrupt) as error:
        return ending(error, progress)
    finally:
        current.stop()


def build_parser() -> argparse.ArgumentParser:
    """Describe the commands and their options."""
    from kmtalk_core.command import arguments
    from kmtalk_core.command.batch.command import add_options as add_batch_options
    from kmtalk_core.settings import LineSettings, settings_of

    parser = arguments.Parser(prog=PROGRAM, description="Lip sync for the opened file, without a window.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    command = partial(arguments.add_command, commands)

    def add_line(sub: argparse.ArgumentParser) -> None:
        sub.add_argument("--scene", metavar="NAME", help="the scene (the file's active one)")
        sub.add_argument("--strip", default="", metavar="NAME", help="the sound strip (the active or only one)")
        sub.add_argument("--mesh", metavar="NAME", help="the head's object (the panel's mesh, else the active object)")

    def add_out(sub: argparse.ArgumentParser, metavar: str, text: str) -> None:
        sub.add_argument("--out", type=Path, required=True, metavar=metavar, help=text)

    sub = command("generate", "animate a head with a sound strip, as the panel's settings say", generate)
    add_line(sub)
    sub.add_argument("--all", action="store_true", help="with every sound strip, one after the other")
    text = sub.add_mutually_exclusive_group()
    text.add_argument("--transcript", metavar="TEXT", help="what is said (what the strip says)")
    text.add_argument("--transcript-file", type=Path, metavar="F", help="text or subtitles with what is said")
    sub.add_argument("--alignment", type=Path, metavar="F", help="phones or words with times: TextGrid, JSON, …")
    for setting in settings_of(LineSettings):
        arguments.add_setting(sub, setting, with_default=False)
    add_out(sub, "F.blend", "where to save the file; it may be the opened one")

    sub = command("complete", "complete the motion again from the key motions as they are now", complete)
    add_line(sub)
    add_out(sub, "F.blend", "where to save the file; it may be the opened one")

    sub = command("bake", "write the head's vertices of every frame into a point cache", bake)
    add_line(sub)
    add_out(sub, "F.(mdd|pc2)", "the point cache")

    sub = command("export", "write a line's animation, as its curves show it, for other programs", export)
    add_line(sub)
    add_out(sub, "F.(npz|csv|livelink.csv|json|TextGrid|srt)", "the file; its ending says what is written")

    add_batch_options(command("batch", "animate every line of a manifest into .npz files, as `kmtalk batch`", batch))
    return parser


def generate(options: argparse.Namespace, progress: Display) -> int:
    check_blend(options.out)
    scene, obj = scene_and_mesh(options)
    strips = strip.sound_strips(scene) if options.all else [strip.choose_strip(scene, options.strip)]
    if not strips:
        raise InputError("There is no sound strip in the scene; add one in the sequencer.")
    outcomes = []
    for place, chosen in enumerate(s.name for s in strips):
        part = progress.span(0.95 * place / len(strips), 0.95 * (place + 1) / len(strips))
        line = strip.choose_strip(scene, chosen)
        outcomes.append(work(lipsync.generate(scene, line, obj, wishes(options, line)), part))
    save(options.out, outcomes, progress)
    return 0


def complete(options: argparse.Namespace, progress: Display) -> int:
    check_blend(options.out)
    save(options.out, [work(lipsync.complete(*animated_line(options)), progress.span(0, 0.95))], progress)
    return 0


def bake(options: argparse.Namespace, progress: Display) -> int:
    from kmtalk_core.command.cli import check_output
    from kmtalk_core.export import export_animation

    check_output(options.out, ".mdd", ".pc2")
    scene, name, obj = animated_line(options)
    animation, first = as_shown(scene, name, obj)
    vertices = positions(scene, obj, first, len(animation.times), lambda share: progress(share, "baking"))
    export_animation(replace(animation, vertices=vertices), options.out)
    progress.done(options.out, f"{len(vertices)} frames of {vertices.shape[1]} vertices, from frame {first} on")
    return 0


def export(options: argparse.Namespace, progress: Display) -> int:
    from kmtalk_core.command.cli import check_output
    from kmtalk_core.export import EXPORTERS, export_animation
    from kmtalk_core.results import save_animation

    check_output(options.out, ".npz", *(f".{ending.lower().rsplit('.', 1)[-1]}" for ending in EXPORTERS))
    animation, _ = as_shown(*animated_line(options))
    (save_animation if options.out.suffix.lower() == ".npz" else export_animation)(animation, options.out)
    progress.done(options.out, f"{len(animation.times)} frames, {len(animation.keys.times)} key motions")
    return 0


def batch(options: argparse.Namespace, progress: Display) -> int:
    """In the worker's Python, for it starts processes of its own."""
    code = (
        "from kmtalk_core.command import cli, stopping; "
        f"stopping.end_with_parent({os.getpid()}, 'SIGTERM'); sys.exit(cli.main(json.loads(sys.argv[2])))"
    )
    python = interpreter(bpy.context)[0]
    command = [*start_code(python, core_folders(python), code), json.dumps(options.given)]
    sys.stdout.flush()
    return subprocess.run(command, stdin=subprocess.DEVNULL, check=False).returncode


def scene_and_mesh(options: argparse.Namespace) -> tuple[bpy.types.Scene, bpy.types.Object]:
    """What --scene and --mesh name; raises InputError if there is no such thing."""
    scene = compat.sequencer_scene(bpy.context)
    if options.scene is not None and (scene := bpy.data.scenes.get(options.scene)) is None:
        raise InputError(f"There is no scene {options.scene} in the file; the file has {names(bpy.data.scenes)}.")
    if options.mesh is None:
        return scene, shape_keys.check_mesh(scene.kmtalk.mesh or operators.chosen_mesh(bpy.context))
    obj = bpy.data.objects.get(options.mesh)
    if obj is None:
        heads = [o for o in bpy.data.objects if o.type == "MESH"]
        raise InputError(f"There is no object {options.mesh} in the file; its meshes are {names(heads)}.")
    return scene, shape_keys.check_mesh(obj)


def animated_line(options: argparse.Namespace) -> tuple[bpy.types.Scene, str, bpy.types.Object]:
    """The scene, the strip's name and the mesh of a line that has been animated; its strip may be gone."""
    scene, obj = scene_and_mesh(options)
    lines = [clips.take_of(action) for action in takes.lines_on(obj.data.shape_keys)]
    ids = {found.kmtalk.id for found in strip.sound_strips(scene) if found.name == options.strip}
    if options.strip and lines and not any(t.name == options.strip or t.line_id in ids for t in lines):
        raise InputError(f"The strip {options.strip} has not been animated on {obj.name}; it has {names(lines)}.")
    return scene, options.strip, obj


def names(things: Sequence[Any]) -> str:
    """The names of some things of the file."""
    listed = [thing.name for thing in things]
    return ", ".join(listed[:5]) + (", …" if len(listed) > 5 else "") if listed else "none"


def wishes(options: argparse.Namespace, line: Any) -> lipsync.Options:
    """The panel's settings, over which the options that were given win."""
    from kmtalk_core.localization.transcript import read_transcript

    own = operators.options_of(bpy.context, line)
    given = {name: value for name, value in vars(options).items() if value is not None and hasattr(own, name)}
    if options.alignment is not None:
        given["alignment"] = str(options.alignment.resolve())
    if options.transcript_file is not None:
        given["transcript"] = read_transcript(options.transcript_file)
    return replace(own, **given)


def work(steps: Steps[lipsync.Outcome], progress: Callable[[float, str], None]) -> lipsync.Outcome:
    """Do the steps in the worker, and tell how far it is."""
    job = current.start(steps, *interpreter(bpy.context))
    try:
        while not job.poll(timeout=0.05):
            progress(current.fraction, current.message)
        return job.result
    finally:
        current.finish(job)


def as_shown(scene: bpy.types.Scene, strip_name: str, obj: bpy.types.Object) -> tuple[Animation, int]:
    """A line as its curves show it, and the frame on which it begins."""
    clip = takes.find_clip(scene, strip_name, obj)
    return live.on_curves(clip), round(live.frame_of(clip.take, 0.0))


def positions(
    scene: bpy.types.Scene, obj: bpy.types.Object, first: int, count: int, tell: Callable[[float], None]
) -> np.ndarray:
    """(T, V, 3) float32: where the shape keys move the vertices, in the object's own space; modifiers are left out."""
    for modifier in obj.modifiers:
        modifier.show_viewport = False
    out = np.empty((count, len(obj.data.vertices), 3), np.float32)
    for frame in range(count):
        scene.frame_set(first + frame)
        mesh = obj.evaluated_get(bpy.context.evaluated_depsgraph_get()).data
        mesh.vertices.foreach_get("co", out[frame].ravel())
        tell((frame + 1) / count)
    return out


def check_blend(path: Path) -> None:
    """Notice an output that cannot be written before any work is done."""
    from kmtalk_core.command.cli import check_output

    check_output(path, ".blend")


def save(path: Path, outcomes: Sequence[lipsync.Outcome], progress: Display) -> None:
    """Save the file, and say what was done."""
    progress(0.95, "saving")
    target = path.resolve()
    try:
        bpy.ops.wm.save_as_mainfile(filepath=str(target), copy=target != Path(bpy.data.filepath))
    except RuntimeError as error:
        raise KMTalkError(f"{path} cannot be written ({str(error).strip()}); check path and free space.") from None
    progress.warnings(*(outcome.warnings for outcome in outcomes))
    progress.done(path, "; ".join(outcome.summary for outcome in outcomes))


_handle: Any = None


def register() -> None:
    """Let Blender know the command."""
    global _handle
    if compat.HAS_COMMAND_LINE:
        _handle = bpy.utils.register_cli_command("kmtalk", main)


def unregister() -> None:
    """The inverse of `register`."""
    global _handle
    if _handle is not None:
        bpy.utils.unregister_cli_command(_handle)
    _handle = None
