"""The two things that KMTalk does in Blender, as `job.Steps`: generate lip sync, and complete it again after edits."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import bpy
import numpy as np

from kmtalk_core.errors import InputError
from kmtalk_core.motion import Animation, KeyMotions, load_animation, save_npz
from kmtalk_core.runtime.protocol import Animate, BuildRig, Complete

from . import keyframes, shape_keys
from .job import Steps
from .strip import Line, choose_strip, read_line, scene_rate, sound_file, sound_path, text_beside


@dataclass(frozen=True)
class Options:
    """How to animate a line; None as `transcript` means the .txt file beside the sound, if there is one."""

    transcript: str | None = None
    alignment: str | None = None
    localizer: str = "auto"
    key_rule: str = "apexes"
    intensity: float = 1.0
    upper_face: float = 1.0
    head: float = 1.0
    expression: str = "neutral"
    expression_strength: float = 1.0
    seed: int = 0


@dataclass(frozen=True)
class Outcome:
    """What was done: a sentence for the status bar, and sentences that the user should read."""

    summary: str
    warnings: tuple[str, ...] = ()


def generate(scene: bpy.types.Scene, strip: bpy.types.Strip, obj: bpy.types.Object, options: Options) -> Steps[Outcome]:
    """Animate the shape keys of `obj` with what `strip` plays, at its place in time.

    Shape keys are built if the mesh has none for speech. Other keyframes than those of this line stay as they are.
    """
    shape_keys.check_mesh(obj)
    line = read_line(scene, strip)
    mesh, path = obj.name, sound_path(strip)
    with _folder() as folder, sound_file(strip) as audio:
        built = None
        if shape_keys.needs_rig(obj):
            shape_keys.save_mesh(obj, folder / "mesh.npz")
            yield BuildRig(str(folder / "mesh.npz"), str(folder / "rig.npz"))
            built = shape_keys.load_shapes(_mesh(mesh), folder / "rig.npz")
        details = yield Animate(
            audio=audio,
            out=str(folder / "out.npz"),
            start=line.start,
            duration=line.duration,
            transcript=options.transcript or text_beside(path),
            alignment=options.alignment,
            localizer=options.localizer,
            fps=line.frames_per_second_of_sound,
            key_rule=options.key_rule,
            intensity=options.intensity,
            upper_face=options.upper_face,
            head=options.head,
            expression=options.expression,
            expression_strength=options.expression_strength,
            seed=options.seed,
        )
        animation = load_animation(folder / "out.npz")
        result = (folder / "out.npz").read_bytes()
    return apply(_mesh(mesh), line, animation, result, tuple(details["warnings"]), built)


def complete(scene: bpy.types.Scene, strip_name: str, obj: bpy.types.Object) -> Steps[Outcome]:
    """Compute the motion between the key motions again, as the animator left them; the keys stay exactly so.

    If the strip was moved, the animation follows it. An empty `strip_name` means the active or only strip.
    """
    take, action = find_take(scene, strip_name, obj)
    line, before = read_take(take)
    take_name, mesh = take.name, obj.name
    names, _ = shape_keys.drivable(obj)
    moved = _moved(scene, take_name, line)
    shift = moved.first_frame - line.first_frame
    where_written = keyframes.key_frames(line, before)
    # The keyframes lie where they were written, unless the animator has moved them along with the strip.
    count = [keyframes.count_marked_at(obj, action, names, where_written + by) for by in (0, shift)]
    with_strip = count[1] > count[0]
    keys = keyframes.read(obj, action, names, line, before, shift if with_strip else 0)
    with _folder() as folder:
        (folder / "before.npz").write_bytes(take.result)
        save_npz(
            {
                "key_times": keys.times,
                "key_controls": keys.controls,
                "control_names": np.array(before.control_names, dtype=str),
            },
            folder / "keys.npz",
        )
        yield Complete(str(folder / "before.npz"), str(folder / "keys.npz"), str(folder / "out.npz"))
        animation = load_animation(folder / "out.npz")
        result = (folder / "out.npz").read_bytes()
    obj = _mesh(mesh)
    if shift and not with_strip:
        keyframes.clear(obj, keyframes.ensure_action(obj), names, line)
    return apply(obj, moved, animation, result, ())


def apply(
    obj: bpy.types.Object,
    line: Line,
    animation: Animation,
    result: bytes,
    warnings: tuple[str, ...] = (),
    built: shape_keys.Built | None = None,
) -> Outcome:
    """Put a result (`animation`, and `result`, its bytes as OUT.npz) on the mesh and remember it for re-completion."""
    shape_keys.check_mesh(obj)
    added = shape_keys.add_missing(obj, built) if built is not None else []
    names, held = shape_keys.drivable(obj)
    if not names:
        raise InputError(f"Drivers move all shape keys of {obj.name}; remove the drivers or choose another mesh.")
    if held:
        warnings = (*warnings, f"Drivers move {', '.join(held[:3])}, which KMTalk therefore leaves alone.")
    action = keyframes.ensure_action(obj)
    keyframes.write(obj, action, names, line, animation)
    poses = np.concatenate([animation.controls, animation.keys.controls])
    reach = zip(poses.min(0).tolist(), poses.max(0).tolist(), strict=True)
    shape_keys.make_room(obj, {names[c]: r for c, r in zip(animation.control_names, reach, strict=True) if c in names})
    take = action.kmtalk_takes.get(line.strip) or action.kmtalk_takes.add()
    take.name = line.strip
    take.line = json.dumps(asdict(line))
    take.result = result
    take.warnings = "\n".join(warnings)
    take.key_count = len(animation.keys.times)
    bpy.context.scene.frame_set(bpy.context.scene.frame_current)
    summary = f"{take.key_count} key motions on frames {line.first_frame} to {line.last_frame} of {obj.name}"
    return Outcome(summary + (f", {len(added)} shape keys built" if added else ""), warnings)


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


def read_take(take: bpy.types.PropertyGroup) -> tuple[Line, Animation]:
    """What the strip played when `take` was generated, and the result as computed last."""
    with _folder() as folder:
        (folder / "take.npz").write_bytes(take.result)
        return Line(**json.loads(take.line)), load_animation(folder / "take.npz")


def edited_keys(scene: bpy.types.Scene, strip_name: str, obj: bpy.types.Object) -> bool:
    """Whether the animator has edited the key motions of the strip's line since they were computed."""
    try:
        take, action = find_take(scene, strip_name, obj)
        line, before = read_take(take)
        keys = keyframes.read(obj, action, shape_keys.drivable(obj)[0], line, before)
    except InputError:
        return False
    return not _same(keys, before.keys)


def _same(a: KeyMotions, b: KeyMotions) -> bool:
    return np.array_equal(a.times, b.times) and np.allclose(a.controls, b.controls, rtol=0, atol=1e-6)


def _moved(scene: bpy.types.Scene, strip_name: str, line: Line) -> Line:
    """`line` where its strip is now; where it was, if the strip is gone."""
    if abs(scene_rate(scene) - line.fps) > 1e-6:
        raise InputError(f"The scene no longer runs at {line.fps:g} frames a second; set that again or generate anew.")
    try:
        now = read_line(scene, choose_strip(scene, strip_name))
    except InputError:
        return line
    if abs(now.speed - line.speed) > 1e-6:
        raise InputError(f"The strip {strip_name} has another speed than when it was animated; generate it again.")
    shift = round(now.origin - line.origin)
    return replace(line, origin=line.origin + shift, first_frame=line.first_frame + shift)


def _mesh(name: str) -> bpy.types.Object:
    """The mesh again after a while in which the user may have done anything."""
    obj = bpy.data.objects.get(name)
    if obj is None:
        raise InputError(f"The mesh {name} is gone; choose a mesh and generate again.")
    return shape_keys.check_mesh(obj)


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="kmtalk-") as folder:
        yield Path(folder)
