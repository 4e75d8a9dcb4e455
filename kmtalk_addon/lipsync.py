"""What KMTalk does in Blender, as `job.Steps`: generate lip sync, complete it again after edits, correct its words."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import bpy
import numpy as np

from kmtalk_core.errors import InputError
from kmtalk_core.files import save_npz
from kmtalk_core.motion import Animation, KeyMotions
from kmtalk_core.results import save_animation
from kmtalk_core.service.protocol import Animate, BuildRig, Complete, Correct
from kmtalk_core.settings import Layers, LineSettings, Sliders

from . import corrections, keyframes, live, shape_keys, takes
from .hindrances import hindrances
from .job import Steps
from .strip import Line, choose_strip, read_line, scene_rate, sound_file, what_is_said
from .subject import Subject
from .takes import find_take, read_take


@dataclass(frozen=True)
class Options(LineSettings):
    """How to animate a line: all its settings, and as in `kmtalk_core.service.protocol.Animate` what follows.

    None as `transcript` means what the strip says: its text, name, or the file beside the sound.
    """

    transcript: str | None = None
    alignment: str | None = None
    tools: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """What was done: a sentence for the status bar, and sentences that the user should read."""

    summary: str
    warnings: tuple[str, ...] = ()


def generate(scene: bpy.types.Scene, strip: bpy.types.Strip, obj: bpy.types.Object, options: Options) -> Steps[Outcome]:
    """Animate the shape keys of `obj` with what `strip` plays, at its place in time.

    Shape keys are built if the mesh has none for speech. Other keyframes than those of this line stay as they are.
    What the user has corrected in the strip's words and phones counts, applied already or not.
    """
    shape_keys.check_mesh(obj)
    line = read_line(scene, strip)
    about, asked = Subject.of(scene, strip, obj, line), takes.settings_on(strip)
    corrected = corrections.with_pending(strip, obj)
    given = {f.name: getattr(options, f.name) for f in fields(options)}
    given["transcript"] = options.transcript or what_is_said(strip).text
    if options.alignment is not None:  # the worker has another working folder
        given["alignment"] = str(Path(options.alignment).absolute())
    with _folder() as folder, sound_file(strip) as audio:
        built = None
        if shape_keys.needs_rig(obj):
            shape_keys.save_mesh(obj, folder / "mesh.npz")
            yield BuildRig(str(folder / "mesh.npz"), str(folder / "rig.npz"))
            built = shape_keys.load_shapes(shape_keys.check_mesh(about.head()), folder / "rig.npz")
        elif shape_keys.own_shapes(obj):
            shape_keys.save_mesh(obj, folder / "mesh.npz", with_shapes=True)
            given["mesh"] = str(folder / "mesh.npz")
        details = yield Animate(
            audio=audio,
            out=str(folder / "out.npz"),
            start=line.start,
            duration=line.duration,
            as_strip=True,
            fps=line.frames_per_second_of_sound,
            corrections=corrected.listed,
            corrections_of=corrected.audio_sha256,
            **given,
        )
        result = (folder / "out.npz").read_bytes()
    animation = takes.loaded(result)
    strip, line = about.strip(), replace(about.line_now(), delay=details["delay"])
    outcome = apply(about.head(), replace(line, strip=strip.name), animation, result, tuple(details["warnings"]), built)
    if takes.settings_on(strip) == asked:  # else somebody has moved a slider meanwhile
        takes.set_on(strip, animation)
    if corrected.listed:
        corrections.store(strip, replace(corrected, audio_sha256=corrected.audio_sha256 or animation.audio_sha256))
    return outcome


def complete(scene: bpy.types.Scene, strip_name: str, obj: bpy.types.Object) -> Steps[Outcome]:
    """Compute the motion between the key motions again, as the animator left them; the keys stay exactly so.

    If the strip was moved, the animation follows it. An empty `strip_name` means the active or only strip.
    """
    with _folder() as folder:
        edited = _edited(scene, strip_name, obj)
        yield from _completed(edited, folder)
        result = (folder / "out.npz").read_bytes()
    outcome = _put_back(edited, takes.loaded(result), result, edited.warnings)
    return replace(outcome, warnings=())  # they were told before


def correct(scene: bpy.types.Scene, strip_name: str, obj: bpy.types.Object, options: Options) -> Steps[Outcome]:
    """Apply what was edited in the words and phones of a line: only what is near them is aligned and moved anew.

    Of the options the language, key rule and key density count. The corrections stay with the strip.
    """
    take, _ = find_take(scene, strip_name, obj)
    strip = choose_strip(scene, take.name)
    line = takes.read_line(take)
    pending = corrections.pending(take)
    if not pending:
        raise InputError("No word or phone has been changed; change a text or a time first.")
    about = Subject.of(scene, strip, obj, line)
    with _folder() as folder, sound_file(strip) as audio:
        edited = _edited(scene, take.name, obj)
        yield from _completed(edited, folder)
        yield Correct(
            animation=str(folder / "out.npz"),
            audio=audio,
            out=str(folder / "corrected.npz"),
            corrections=pending,
            start=line.start,
            duration=line.duration,
            as_strip=True,
            language=options.language,
            key_rule=options.key_rule,
            key_density=options.key_density,
        )
        result = (folder / "corrected.npz").read_bytes()
    animation, strip = takes.loaded(result), about.strip()
    outcome = _put_back(edited, animation, result, ())
    stored = corrections.stored(strip)
    corrections.store(strip, corrections.Stored(animation.audio_sha256, (*stored.listed, *pending)))
    return Outcome(f"{len(pending)} corrected; {outcome.summary}", outcome.warnings)


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
    shape_keys.make_room_for(obj, names, animation)
    warnings = (*warnings, *hindrances(obj, names.values()))
    take = action.kmtalk_takes.get(line.strip) or action.kmtalk_takes.add()
    take.name = line.strip
    take.result, take.finished = result, b""
    take.warnings = "\n".join(dict.fromkeys(warnings))
    takes.remember(take, line, animation)
    live.show(bpy.context.scene)
    summary = f"{take.key_count} key motions on frames {line.first_frame} to {line.last_frame} of {obj.name}"
    return Outcome(summary + (f", {len(added)} shape keys built" if added else ""), warnings)


def edited_keys(scene: bpy.types.Scene, strip_name: str, obj: bpy.types.Object) -> bool:
    """Whether the animator has edited key motions of the strip's line."""
    try:
        take, action = find_take(scene, strip_name, obj)
        line, before = takes.read_line(take), takes.shown(take)
        keys = keyframes.read(obj, action, shape_keys.drivable(obj)[0], line, before)
    except InputError:
        return False
    return bool(live.edits(before, keys).any()) or len(keys.times) < len(before.keys.times)


@dataclass(frozen=True)
class _Edited:
    """A line to be completed: `before`, finished with the sliders as they are, has the key motions as computed, `keys`
    those of now."""

    mesh: str
    take: str
    left: live.AsLeft
    before: Animation
    keys: KeyMotions
    warnings: tuple[str, ...]


def _edited(scene: bpy.types.Scene, strip_name: str, obj: bpy.types.Object) -> _Edited:
    take, action = find_take(scene, strip_name, obj)
    strip = _strip(scene, take.name)
    line, base = read_take(take)
    _check_pace(scene, strip, line)
    left = live.as_left(scene, strip, obj, take, action)
    before = _as_worn(base, takes.settings_on(strip) if strip is not None else None)
    times, controls = left.keys.times.copy(), left.keys.controls.copy()
    for index in np.flatnonzero(~left.edited):  # as finished, like the keys of `before`
        place = int(np.abs(base.keys.times - times[index]).argmin())
        times[index], controls[index] = before.keys.times[place], before.keys.controls[place]
    shift = round(before.sliders.offset * base.fps) - round(base.sliders.offset * base.fps)
    times[left.edited] += shift / base.fps
    return _Edited(obj.name, take.name, left, before, KeyMotions(times, controls), tuple(take.warnings.splitlines()))


def _as_worn(base: Animation, settings: tuple[Sliders, Layers] | None) -> Animation:
    if settings is None or base.unfinished is None or settings == (base.sliders, base.layers):
        return base
    from kmtalk_core.finish.compose import finish

    return finish(base, *settings)


def _completed(edited: _Edited, folder: Path) -> Steps[None]:
    """Leaves the line, completed through its keys, as out.npz in `folder`."""
    save_animation(edited.before, folder / "before.npz", compressed=False)
    save_npz(
        {
            "key_times": edited.keys.times,
            "key_controls": edited.keys.controls,
            "control_names": np.array(edited.before.control_names, dtype=str),
        },
        folder / "keys.npz",
        compressed=False,
    )
    yield Complete(str(folder / "before.npz"), str(folder / "keys.npz"), str(folder / "out.npz"))


def _put_back(edited: _Edited, animation: Animation, result: bytes, warnings: tuple[str, ...]) -> Outcome:
    obj = _mesh(edited.mesh)
    if edited.left.left_behind:
        keyframes.clear(obj, keyframes.ensure_action(obj), shape_keys.drivable(obj)[0], edited.left.line)
    return apply(obj, edited.left.now, animation, result, warnings)


def _check_pace(scene: bpy.types.Scene, strip: bpy.types.Strip | None, line: Line) -> None:
    """Raise InputError if frames and seconds are no longer to each other as when the line was animated."""
    if abs(scene_rate(scene) - line.fps) > 1e-6:
        raise InputError(f"The scene no longer runs at {line.fps:g} frames a second; set that again or generate anew.")
    if strip is None:
        return
    try:
        now = read_line(scene, strip)
    except InputError:
        return
    if abs(now.speed - line.speed) > 1e-6:
        raise InputError(f"The strip {strip.name} has another speed than when it was animated; generate it again.")


def _strip(scene: bpy.types.Scene, name: str) -> bpy.types.Strip | None:
    try:
        return choose_strip(scene, name)
    except InputError:
        return None


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
