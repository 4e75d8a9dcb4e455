"""KMTalk without a window: `blender -b FILE --command kmtalk generate|complete|bake|export|manifest|apply|batch …`.

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
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bpy
import numpy as np

from kmtalk_core.errors import InputError, storage_trouble

from . import clips, compat, deliver_command, delivery, farm_commands, lipsync, live, scene_commands, strip, takes
from .command_tools import check_blend, mesh_of, names, save, scene_of, work
from .job import core_folders, start_code
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
    from kmtalk_core.command.batch.command import add_options as batch_options

    parser = arguments.Parser(prog=PROGRAM, description="Lip sync for the opened file, without a window.")
    command = arguments.add_commands(parser)
    text = "animate heads with sound strips, as the panel's settings say"
    command("generate", text, scene_commands.generate, _generate_options)
    command("complete", "complete the motion again from the key motions as they are now", complete, _complete_options)
    command("bake", "write the head's vertices of every frame into a point cache", bake, _bake_options)
    text = "write a line's animation, as its curves show it, for other programs"
    command("export", text, export, _export_options)
    text = "list the file's lines for `kmtalk batch`, with what each strip plays"
    command("manifest", text, farm_commands.manifest, farm_commands.add_manifest_options)
    command("apply", "put the results of `kmtalk batch` on the faces, as lines", farm_commands.apply, _apply_options)
    command("deliver", "write lines of `kmtalk batch`, which starts this itself", deliver_command.deliver)
    command("batch", "animate every line of a manifest into .npz files, as `kmtalk batch`", batch, batch_options)
    return parser


def _generate_options(sub: argparse.ArgumentParser) -> None:
    scene_commands.add_generate_options(sub)
    _add_blend(sub)


def _complete_options(sub: argparse.ArgumentParser) -> None:
    _add_line(sub)
    _add_blend(sub)


def _bake_options(sub: argparse.ArgumentParser) -> None:
    _add_line(sub)
    _add_out(sub, "F.(mdd|pc2)", "the point cache")


def _export_options(sub: argparse.ArgumentParser) -> None:
    _add_line(sub)
    sub.add_argument("--all", action="store_true", help="every line of the file, into the folder --out")
    sub.add_argument("--formats", metavar="F,…", help="what to write with --all: fbx, usdc, abc, glb, blend, csv, …")
    text = "the file, whose ending says what is written; the folder for --all"
    _add_out(sub, "F.(fbx|usdc|abc|glb|blend|npz|csv|…)", text)


def _apply_options(sub: argparse.ArgumentParser) -> None:
    farm_commands.add_apply_options(sub)
    _add_blend(sub)


def _add_line(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--scene", metavar="NAME", help="the scene (the file's active one)")
    sub.add_argument("--strip", default="", metavar="NAME", help="the sound strip (the active or only one)")
    text = "the head's object (the panel's mesh, else the active)"
    sub.add_argument("--head", "--mesh", dest="mesh", metavar="NAME", help=text)


def _add_blend(sub: argparse.ArgumentParser) -> None:
    _add_out(sub, "F.blend", "where to save the file; it may be the opened one")


def _add_out(sub: argparse.ArgumentParser, metavar: str, text: str) -> None:
    sub.add_argument("--out", type=Path, required=True, metavar=metavar, help=text)


def complete(options: argparse.Namespace, progress: Display) -> int:
    check_blend(options.out)
    outcome = work(lipsync.complete(*animated_line(options)), progress.span(0, 0.95))
    save(options.out, outcome.summary, outcome.warnings, progress)
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

    if options.all:
        return export_all(options, progress)
    if options.formats is not None:
        raise InputError("--formats is for --all; without it the ending of --out says what is written.")
    endings = [*delivery.ENDINGS, *results_endings()]
    check_output(options.out, *dict.fromkeys(f".{ending.lower().rsplit('.', 1)[-1]}" for ending in endings))
    clip = takes.find_clip(*animated_line(options))
    if options.out.suffix.lower() in delivery.ENDINGS:
        delivery.write([clip], options.out)
        progress.done(options.out, f"{clip.take.name} on {clip.obj.name}")
        return 0
    animation = write_result(clip, options.out)
    progress.done(options.out, f"{len(animation.times)} frames, {len(animation.keys.times)} key motions")
    return 0


def export_all(options: argparse.Namespace, progress: Display) -> int:
    """Every line in every format that was asked for; what could not be written is told, and the exit status is 1."""
    known = {ending.lower().lstrip("."): ending for ending in (*delivery.ENDINGS, *results_endings())}
    asked = [name.strip().lower().lstrip(".") for name in (options.formats or "").split(",") if name.strip()]
    if unknown := [name for name in asked if name not in known]:
        raise InputError(f"There is no format {unknown[0][:40]}; choose from {', '.join(known)}.")
    if not asked:
        raise InputError("Say with --formats what to write: fbx, usdc, abc, glb, blend, …")
    lines = delivery.lines_of_file()
    if not lines:
        raise InputError("There is no animation of KMTalk's in the file; generate it first.")
    options.out.mkdir(parents=True, exist_ok=True)
    endings = [known[name] for name in dict.fromkeys(asked)]
    written, failed = delivery.write_all(lines, endings, options.out, write_result, progress.span(0, 0.95))
    for name, why in failed.items():
        progress.warning(f"{name}: {why}")
    progress.done(options.out, f"{written} files of {len(lines)} lines" + f", {len(failed)} failed" * bool(failed))
    return 1 if failed else 0


def results_endings() -> list[str]:
    """What a line can be written as without Blender's exporters; films need what Blender's Python may lack."""
    from kmtalk_core.export import EXPORTERS

    return [".npz", *(ending for ending in EXPORTERS if ending not in (*delivery.ENDINGS, ".mp4"))]


def write_result(clip: takes.Clip, path: Path) -> Animation:
    """Write a line as its curves show it."""
    from kmtalk_core.export import export_animation
    from kmtalk_core.results import save_animation

    animation = live.on_curves(clip)
    (save_animation if path.suffix.lower() == ".npz" else export_animation)(animation, path)
    return animation


def batch(options: argparse.Namespace, progress: Display) -> int:
    """In the worker's Python, for it starts processes of its own."""
    from kmtalk_core.command.batch.blender import VARIABLE

    code = (
        "from kmtalk_core.command import cli, stopping; "
        f"stopping.end_with_parent({os.getpid()}, 'SIGTERM'); sys.exit(cli.main(json.loads(sys.argv[2])))"
    )
    python = interpreter(bpy.context)[0]
    command = [*start_code(python, core_folders(python), code), json.dumps(options.given)]
    sys.stdout.flush()
    blender = {VARIABLE: bpy.app.binary_path} if bpy.app.binary_path else {}  # that lists the lines of other files
    environment = {**blender, **os.environ}
    return subprocess.run(command, stdin=subprocess.DEVNULL, env=environment, check=False).returncode


def animated_line(options: argparse.Namespace) -> tuple[bpy.types.Scene, str, bpy.types.Object]:
    """The scene, the strip's name and the mesh of a line that has been animated; its strip may be gone."""
    scene = scene_of(options)
    obj = mesh_of(scene, options.mesh)
    lines = [clips.take_of(action) for action in takes.lines_on(obj.data.shape_keys)]
    ids = {found.kmtalk.id for found in strip.sound_strips(scene) if found.name == options.strip}
    if options.strip and lines and not any(t.name == options.strip or t.line_id in ids for t in lines):
        raise InputError(f"The strip {options.strip} has not been animated on {obj.name}; it has {names(lines)}.")
    return scene, options.strip, obj


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
