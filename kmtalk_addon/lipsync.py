"""What KMTalk does in Blender, as `job.Steps`: generate lip sync, complete it again after edits, correct its words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import bpy
import numpy as np

from kmtalk_core.errors import InputError
from kmtalk_core.files import save_npz
from kmtalk_core.finish.carry import carry
from kmtalk_core.finish.pins import with_pins, without
from kmtalk_core.leftovers import temporary_folder
from kmtalk_core.motion import Animation, KeyMotions
from kmtalk_core.results import save_animation
from kmtalk_core.retarget.cues import Edit
from kmtalk_core.service.protocol import Animate, BuildRig, Complete, Correct, MeasureFace
from kmtalk_core.settings import Layers, LineSettings, Sliders

from . import (
    bones,
    clips,
    corrections,
    drawings,
    edit_keys,
    faces,
    follow,
    inputs,
    key_view,
    keyframes,
    legacy,
    live,
    overrides,
    pins,
    rig_keys,
    shape_keys,
    takes,
)
from . import parts as parts_of_head
from .hindrances import hindrances
from .job import Steps
from .strip import Played, read_line, remarks, sound_file, what_is_said
from .subject import Subject
from .takes import Clip, ClipRef, find_take, read_take  # noqa: F401 (asked for here by scripts)

OF_BLENDER = ("parts", "curves", "keep_keys")  # of Options, which the worker needs not know


@dataclass(frozen=True)
class Options(LineSettings):
    """How to animate a line: all its settings, and as in `kmtalk_core.service.protocol.Animate` what follows.

    None as `transcript` means what the strip says: its text, name, or the file beside the sound; None as `parts`
    (keyframes.PARTS) and `curves` (settings.CURVES) what the strip says; `keep_keys`: edited key motions of the line
    are carried over.
    """

    transcript: str | None = None
    alignment: str | None = None
    tools: Mapping[str, Any] = field(default_factory=dict)
    parts: frozenset[str] | None = None
    curves: str | None = None
    keep_keys: bool = True

    def look(self, strip: Any) -> takes.Look:
        """What the line of a strip draws, with these options."""
        look = takes.look_on(strip)
        parts = self.parts if self.parts is not None else look.parts
        return replace(look, parts=parts, curves=self.curves or look.curves, density=round(self.key_density, 6))


@dataclass(frozen=True)
class Outcome:
    """What was done: a sentence for the status bar, sentences that the user should read, and which line was made."""

    summary: str
    warnings: tuple[str, ...] = ()
    made: ClipRef | None = None


@dataclass(frozen=True)
class Made:
    """What the worker has made of a strip, before anything of it is on the face; keeps nothing that Blender may free.

    `asked`: sliders and layers of the strip when it began; `corrected`: what is corrected in its words and phones;
    `result`: the bytes of OUT.npz; `built`: shape keys to add; `face`: what was measured of the head's own, packed;
    `pinned`: when key motions are pinned, s.
    """

    about: Subject
    options: Options
    asked: tuple[Sliders, Layers]
    corrected: corrections.Stored
    delay: float
    result: bytes
    warnings: tuple[str, ...]
    built: shape_keys.Built | None
    face: bytes = b""
    pinned: tuple[float, ...] = ()


def generate(scene: bpy.types.Scene, strip: bpy.types.Strip, obj: bpy.types.Object, options: Options) -> Steps[Outcome]:
    """Animate the shape keys of `obj` with what `strip` plays, at its place in time.

    Shape keys are built if the mesh has none for speech. The line's take is replaced if nobody has edited it; else the
    result is a new take, with the edits of the former one if `options.keep_keys`. What the user has corrected in the
    strip's words and phones counts, applied already or not.
    """
    with temporary_folder() as folder:
        made = yield from make(scene, strip, obj, options, folder)
    return put_on(made)


def make(
    scene: bpy.types.Scene, strip: bpy.types.Strip, obj: bpy.types.Object, options: Options, heads: Path
) -> Steps[Made]:
    """Do all of `generate` that changes nothing. What the worker needs of the head lies in `heads`, once for all lines
    that are made with the same folder."""
    shape_keys.check_speaks(shape_keys.check_mesh(obj))
    clips.check_free(obj.data.shape_keys)
    line = read_line(scene, strip)
    about, asked = Subject.of(scene, strip, obj, line), takes.settings_on(strip)
    corrected = corrections.with_pending(strip, obj)
    given = {f.name: getattr(options, f.name) for f in fields(options) if f.name not in OF_BLENDER}
    given["transcript"] = options.transcript or what_is_said(strip).text
    if options.alignment is not None:  # the worker has another working folder
        given["alignment"] = str(Path(options.alignment).absolute())
    noticed = remarks(strip, line)
    with temporary_folder() as folder, sound_file(strip) as audio:
        head = yield from _known_head(obj, heads)
        given |= head.given
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
        kept = _Kept(result)
        if options.keep_keys:
            kept = yield from _with_edits_kept(about, result, folder)
        takes.loaded(kept.result)  # what is damaged is told before anything is changed
        built = head.built(shape_keys.check_mesh(about.head()))
    warnings, delay = (*details["warnings"], *noticed, *kept.told), details["delay"]
    return Made(about, options, asked, corrected, delay, kept.result, warnings, built, head.face, kept.pinned)


def take_in(
    scene: bpy.types.Scene,
    strip: bpy.types.Strip,
    obj: bpy.types.Object,
    options: Options,
    heads: Path,
    result: bytes,
    played: Played,
) -> Steps[Made]:
    """As `make`, with a result that was made elsewhere of what the strip played then, `played`."""
    shape_keys.check_speaks(shape_keys.check_mesh(obj))
    clips.check_free(obj.data.shape_keys)
    about, animation = Subject.of(scene, strip, obj, played), takes.loaded(result)
    with temporary_folder() as folder:
        head = yield from _known_head(obj, heads)
        kept = _Kept(_fitted(animation, head.face, folder) if head.face else result)
        if options.keep_keys:
            kept = yield from _with_edits_kept(about, kept.result, folder)
        built = head.built(shape_keys.check_mesh(about.head()))
    worn = animation.sliders, animation.layers
    warnings, nothing = (*animation.alignment.warnings, *kept.told), corrections.Stored(None)
    return Made(about, options, worn, nothing, played.delay, kept.result, warnings, built, head.face, kept.pinned)


@dataclass(frozen=True)
class _KnownHead:
    """What is known of a head before it is animated: `given`, what of it `Animate` takes; where its `rig` is, if one is
    needed; its `face` as it was measured, b"" for heads of our own names."""

    given: dict[str, str]
    rig: Path | None = None
    face: bytes = b""

    def built(self, obj: bpy.types.Object) -> shape_keys.Built | None:
        """The shape keys to add."""
        return shape_keys.load_shapes(obj, self.rig) if self.rig is not None else None


def _known_head(obj: bpy.types.Object, heads: Path) -> Steps[_KnownHead]:
    """Rig or measure a head, unless what comes of that lies in the folder `heads` already."""
    mesh, rig, known = (heads / f"{what}-{obj.session_uid}.npz" for what in ("mesh", "rig", "face"))
    if shape_keys.needs_rig(obj):
        if not rig.is_file():
            shape_keys.save_mesh(obj, mesh)
            yield BuildRig(str(mesh), str(rig))
        return _KnownHead({}, rig)
    if shape_keys.own_shapes(obj):
        if not mesh.is_file():
            shape_keys.save_mesh(obj, mesh, with_shapes=True)
        return _KnownHead({"mesh": str(mesh)})
    if mesh.is_file():
        return _KnownHead({"mesh": str(mesh)})
    if moved := bones.reach(obj):
        shape_keys.save_mesh(obj, mesh, moves=moved)
        return _KnownHead({"mesh": str(mesh)})
    if (face := faces.face_of(obj.data.shape_keys)) is None:
        return _KnownHead({})
    if not known.is_file():
        shape_keys.save_targets(obj, face, mesh)
        yield MeasureFace(str(mesh), str(known))
    return _KnownHead({"face": str(known)}, face=known.read_bytes())


def _fitted(animation: Animation, face: bytes, folder: Path) -> bytes:
    """The result with contacts as the lips of a measured face make them, as the worker fits it."""
    from kmtalk_core.finish.compose import finish
    from kmtalk_core.retarget.solver import Face

    lips = Face.unpacked(face).lip_line
    fitted = animation if lips is None or animation.unfinished is None else finish(animation, lip_line=lips)
    save_animation(fitted, folder / "fitted.npz", compressed=False)
    return (folder / "fitted.npz").read_bytes()


def put_on(made: Made, alone: bool = True) -> Outcome:
    """Put what was made on the face, as it is now. Raises KMTalkError, with nothing changed, where that cannot be.

    Where it is not `alone`, `follow.settle_all` and `live.show` are for later, and its keyframes are not shown for
    editing.
    """
    about, options = made.about, made.options
    strip, obj, animation = about.strip(), about.head(), takes.loaded(made.result)
    line = replace(about.line_now(), delay=made.delay, strip=strip.name)
    untouched = takes.settings_on(strip) == made.asked  # else somebody has moved a slider meanwhile
    look = options.look(strip)
    cues, lost = _drawings_kept(about, animation) if options.keep_keys else ((), ())
    outcome = apply(
        about.scene(),
        obj,
        strip,
        line,
        animation,
        made.result,
        (*made.warnings, *lost),
        made.built,
        look,
        alone,
        made.face,
        made.pinned,
        cues,
    )
    takes.show_look(strip, look)
    if untouched:
        takes.set_on(strip, animation)
    if (corrected := made.corrected).listed:
        corrections.store(strip, replace(corrected, audio_sha256=corrected.audio_sha256 or animation.audio_sha256))
    return outcome


@dataclass(frozen=True)
class _Kept:
    """A result, completed with what was edited before; what could not be kept, in sentences; when keys are pinned."""

    result: bytes
    told: tuple[str, ...] = ()
    pinned: tuple[float, ...] = ()


def _with_edits_kept(about: Subject, result: bytes, folder: Path) -> Steps[_Kept]:
    """The result with what the animator has edited and pinned in the line's take so far."""
    kept = _Kept(result)
    seen: keyframes.Snapshot | None = None
    while (clip := _edited_line(about)) is not None:
        key_view.take_over(clip.keys)
        now = keyframes.snapshot(clip.action)
        if seen is not None and not keyframes.changes(seen, now):
            break  # nothing was edited while it was completed
        new = takes.loaded(result)
        try:
            left = live.as_left(clip)
        except InputError:  # all key motions are gone, and with them whatever was edited
            break
        free = replace(left, edited=left.edited & ~left.pinned)
        carried = carry(free.on(takes.read_take(clip.take)[1]), new)
        told = tuple(f"Not kept: {lost}; what it belongs to is said no more." for lost in carried.lost)
        pinned, beside = pins.on_new_line(clip, left, about.line_now(), new)
        kept, seen = _Kept(result, (*told, *beside), tuple(pinned.times)), now
        if not carried.count and not len(pinned.times):
            break
        (folder / "new.npz").write_bytes(result)
        _save_keys(with_pins(carried.keys, pinned, new.fps), new.control_names, folder / "keys.npz")
        yield Complete(str(folder / "new.npz"), str(folder / "keys.npz"), str(folder / "kept.npz"))
        kept = replace(kept, result=pins.held((folder / "kept.npz").read_bytes(), pinned))
    return kept


def _drawings_kept(about: Subject, new: Animation) -> tuple[tuple[Edit, ...], tuple[str, ...]]:
    """What was edited in the drawings of a strip's line so far, for a `new` result; what is lost, in sentences."""
    keys, line_id = clips.keys_of(about.head()), about.strip().kmtalk.id or None
    action = next((a for a in takes.lines_on(keys) if clips.take_of(a).line_id == line_id), None)
    if action is None:
        return (), ()
    take = clips.take_of(action)
    kept, lost = drawings.carried(keys, action, takes.read_line(take), takes.shown(take), new)
    return kept, tuple(f"Not kept: {one}; what it belongs to is said no more." for one in lost)


def _edited_line(about: Subject) -> Clip | None:
    """The line of a strip if it has been edited, and can be carried over."""
    obj, strip = about.head(), about.strip()
    actions = [a for a in takes.lines_on(clips.keys_of(obj)) if clips.take_of(a).line_id == (strip.kmtalk.id or None)]
    if not actions:
        return None
    clip = Clip(about.scene(), obj, actions[0])
    return clip if takes.read_take(clip.take)[1].unfinished is not None and is_edited(clip) else None


def complete(
    scene: bpy.types.Scene, strip_name: str, obj: bpy.types.Object, keys: KeyMotions | None = None
) -> Steps[Outcome]:
    """Compute the motion between the key motions again, as the animator left them; the keys stay exactly so.

    If the strip was moved, the animation follows it. An empty `strip_name` means the active or only strip. `keys`: what
    `faces.read` has just found, for it takes time.
    """
    with temporary_folder() as folder:
        edited = _edited(takes.find_clip(scene, strip_name, obj), keys)
        yield from _completed(edited, folder)
        result = pins.held((folder / "out.npz").read_bytes(), edited.pins)
    outcome = _put_back(edited, takes.loaded(result), result, edited.warnings)
    told = set(edited.warnings)  # before
    return replace(outcome, warnings=tuple(warning for warning in outcome.warnings if warning not in told))


def reset(scene: bpy.types.Scene, strip_name: str, obj: bpy.types.Object, frame: float | None = None) -> Steps[Outcome]:
    """Take back what was edited at the key motion on `frame` of the scene, deleted ones too; None: everything."""
    clip = takes.find_clip(scene, strip_name, obj)
    drawn = None if frame is None else live.second_at(clip.take, frame)
    if drawings.take_back(clip.keys, clip.action, clip.line, drawn) and frame is not None:
        return (yield from complete(scene, strip_name, obj))
    with temporary_folder() as folder:
        edited = _edited(clip)
        at = None if frame is None else live.second_at(clip.take, frame)
        unpinned = [f for f in keyframes.pinned(clip.action, clip.line) if frame is None or live.is_on(clip, f, frame)]
        edited = replace(edited, keys=_taken_back(edited.before, edited.keys, at))
        yield from _completed(edited, folder)
        kept = edited.pins if at is None else without(edited.pins, at, edited.before.fps)
        result = (folder / "out.npz").read_bytes()
        result = result if at is None else pins.held(result, kept)
    clip = edited.ref.again()
    key_view.take_over(clip.keys)
    for pin in unpinned:
        keyframes.unpin(clip.action, pin)
    return _put_back(
        replace(edited, seen=keyframes.snapshot(clip.action)), takes.loaded(result), result, edited.warnings
    )


def _taken_back(before: Animation, keys: KeyMotions, at: float | None) -> KeyMotions:
    """`keys` with the one at `at` s as it was generated, or without it if it was added; None: all as generated."""
    generated = before.generated.keys
    if at is None:
        return generated
    now, then = (np.abs(some.times - at) * before.fps < 0.5 for some in (keys, generated))
    if not now.any() and not then.any():
        raise InputError("There is no key motion on this frame; go to one with the arrows.")
    times = np.concatenate([keys.times[~now], generated.times[then]])
    order = np.argsort(times)
    return KeyMotions(times[order], np.concatenate([keys.controls[~now], generated.controls[then]])[order])


def correct(scene: bpy.types.Scene, strip_name: str, obj: bpy.types.Object, options: Options) -> Steps[Outcome]:
    """Apply what was edited in the words and phones of a line: only what is near them is aligned and moved anew.

    Of the options the language, key rule and key density count. The corrections stay with the strip.
    """
    clip = takes.find_clip(scene, strip_name, obj)
    line, strip = clip.line, clip.strip
    if strip is None:
        raise InputError(f"The sound strip {clip.take.name} is gone; bring it back to correct its words.")
    pending = corrections.pending(clip.take)
    if not pending:
        raise InputError("No word or phone has been changed; change a text or a time first.")
    about = Subject.of(scene, strip, obj, line)
    with temporary_folder() as folder, sound_file(strip) as audio:
        edited = _edited(clip)
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
    scene: bpy.types.Scene,
    obj: bpy.types.Object,
    strip: bpy.types.Strip | None,
    line: Played,
    animation: Animation,
    result: bytes,
    warnings: tuple[str, ...] = (),
    built: shape_keys.Built | None = None,
    look: takes.Look | None = None,
    alone: bool = True,
    face: bytes = b"",
    pinned: Sequence[float] = (),
    cues: Sequence[Edit] = (),
) -> Outcome:
    """Put a result (`animation`, and `result`, its bytes as OUT.npz) on the mesh as a line, and remember it.

    All that may fail comes before anything is changed. Where it is one of many, not `alone`, it does not play yet:
    `follow.settle_all` and `live.show` are for the end, and its keyframes are not shown for editing. `face` is what
    MeasureFace has told of the mesh's shapes; `look`, how it is drawn, None: as the strip says; `pinned`, when key
    motions are pinned, s; `cues`: what was edited in the line's drawings before.
    """
    shape_keys.check_mesh(obj)
    clips.check_free(obj.data.shape_keys)
    names, held = shape_keys.drivable(obj)
    facts = takes.facts(animation)
    if look is None:
        look = takes.look_on(strip) if strip is not None else takes.Look()
    if legacy.is_legacy(obj):  # a head that was appended from an older file
        legacy.adopt(scene, obj)
    added = shape_keys.add_missing(obj, built) if built is not None else []
    bones.prepare(obj)
    inputs.prepare(obj)
    (names, held), keys = shape_keys.drivable(obj), obj.data.shape_keys
    keyed = inputs.keyed_names(keys)
    if held := [name for name in held if name not in keyed]:
        warnings = (*warnings, f"Drivers move {', '.join(held[:3])}, which KMTalk therefore leaves alone.")
    if not names and rig_keys.on(keys) is None:
        raise InputError(f"Drivers move all shape keys of {obj.name}; remove the drivers or choose another mesh.")
    shape_keys.remember(keys)
    keys.kmtalk.face = face or keys.kmtalk.face
    clips.note_stills(keys, {control: keys.key_blocks[name] for control, name in names.items()})
    clip = Clip(scene, obj, _action_for(scene, obj, strip, line))
    take = clip.take
    drawings.take_over(take, cues)
    take.line = takes.as_json(line)
    pins_on = [round(line.first_frame + time * line.frames_per_second_of_sound, 4) for time in pinned]
    faces.draw(clip, animation, look, pins_on)
    followers = [*parts_of_head.attach(obj), *bones.attach(obj)]
    warnings = (*warnings, *filter(None, [overrides.told(obj)]))
    if alone:
        warnings = (*warnings, *hindrances(obj, names.values()), *rig_keys.hidden(keys))
    take.name = line.strip if strip is None else strip.name
    take.result, take.finished, take.lie = result, b"", ""
    take.warnings = "\n".join(dict.fromkeys(warnings))
    if strip is not None:
        take.blend, take.ease = strip.kmtalk.blend, strip.kmtalk.ease
    takes.remember(take, line, animation, look, facts)
    keys.kmtalk.line = take.line_id
    if alone:
        follow.settle(clip)
        key_view.redraw(keys)
        if clips.hides_nothing(keys):
            edit_keys.edit(clip)
        live.show(scene)
        warnings = (*warnings, *follow.standing(clip))
    else:
        clips.remember_lie(take, follow.place(clip))
    lie = clips.lie_of(take)
    counted = drawings.counted(keys, clip.action, clip.line)
    summary = f"{counted} on frames {lie.at:.0f} to {lie.end:.0f} of {obj.name}"
    summary += f", {len(added)} shape keys built" if added else ""
    return Outcome(summary + (f"; with it {', '.join(followers)}" if followers else ""), warnings, clip.ref)


def _action_for(scene: bpy.types.Scene, obj: bpy.types.Object, strip: bpy.types.Strip | None, line: Played) -> Any:
    """The Action for a new result: that of the line's take if nobody has edited it, emptied; else one of a new take."""
    keys = obj.data.shape_keys
    line_id = takes.id_of(strip) if strip is not None else takes.new_id()
    of_line = takes.takes_of(keys, line_id)
    now = next((action for action in of_line if clips.take_of(action).active), None)
    if now is not None and takes.is_only_here(keys, now) and not is_edited(Clip(scene, obj, now)):
        before = clips.take_of(now)
        if takes.read_line(before) != line:
            keyframes.clear(now, takes.read_line(before))
        return now
    action = keyframes.new_action(keys, f"KMTalk {line.strip if strip is None else strip.name}")
    clips.hold(keys, action)
    take = action.kmtalk_takes[0]
    take.line_id, take.title = line_id, takes.free_title(of_line)
    takes.activate(keys, action)
    return action


def edited_keys(scene: bpy.types.Scene, strip_name: str, obj: bpy.types.Object) -> bool:
    """Whether the animator has edited key motions of the strip's line."""
    try:
        return is_edited(takes.find_clip(scene, strip_name, obj))
    except InputError:
        return False


def is_edited(clip: Clip) -> bool:
    """Whether the animator has edited key motions of the line."""
    before = takes.shown(clip.take)
    if drawings.edits_on(clip.keys, clip.action, clip.line):
        return True
    try:
        keys = faces.read(clip.obj, clip.action, clip.names, clip.line, before)
    except InputError:  # all are gone
        return True
    changed = bool(live.edits(before, keys).any()) or len(keys.times) < len(before.keys.times)
    return changed or bool(len(keyframes.pinned(clip.action, clip.line)))


@dataclass(frozen=True)
class _Edited:
    """A line to be completed: `before`, finished with the sliders as they are, has the key motions as computed, `keys`
    those of now. `written` and `seen` tell later what was changed meanwhile."""

    ref: ClipRef
    before: Animation
    keys: KeyMotions
    warnings: tuple[str, ...]
    written: tuple[bytes, bytes, str]
    seen: keyframes.Snapshot
    pins: KeyMotions


def _edited(clip: Clip, keys: KeyMotions | None = None) -> _Edited:
    take, strip, base = clip.take, clip.strip, takes.read_take(clip.take)[1]
    left = live.as_left(clip, keys)
    before = _as_worn(base, takes.settings_on(strip) if strip is not None else None)
    times, controls = left.keys.times.copy(), left.keys.controls.copy()
    for index in np.flatnonzero(~left.edited):  # as finished, like the keys of `before`
        place = int(np.abs(base.keys.times - times[index]).argmin())
        times[index], controls[index] = before.keys.times[place], before.keys.controls[place]
    shift = round(before.sliders.offset * base.fps) - round(base.sliders.offset * base.fps)
    times[left.edited] += shift / base.fps
    pinned = KeyMotions(times[left.pinned], controls[left.pinned])
    return _Edited(
        clip.ref,
        before,
        KeyMotions(times, controls),
        tuple(take.warnings.splitlines()),
        (take.result, take.finished, take.line),
        keyframes.snapshot(clip.action),
        pinned,
    )


def _as_worn(base: Animation, settings: tuple[Sliders, Layers] | None) -> Animation:
    if settings is None or base.unfinished is None or settings == (base.sliders, base.layers):
        return base
    from kmtalk_core.finish.compose import finish

    return finish(base, *settings)


def _completed(edited: _Edited, folder: Path) -> Steps[None]:
    """Leaves the line, completed through its keys, as out.npz in `folder`."""
    save_animation(edited.before, folder / "before.npz", compressed=False)
    _save_keys(edited.keys, edited.before.control_names, folder / "keys.npz")
    yield Complete(str(folder / "before.npz"), str(folder / "keys.npz"), str(folder / "out.npz"))


def _save_keys(keys: KeyMotions, names: tuple[str, ...], path: Path) -> None:
    arrays = {"key_times": keys.times, "key_controls": keys.controls, "control_names": np.array(names, dtype=str)}
    save_npz(arrays, path, compressed=False)


def _put_back(edited: _Edited, animation: Animation, result: bytes, warnings: tuple[str, ...]) -> Outcome:
    """Write what was completed; what the user has done to the keyframes meanwhile stays, as edits."""
    clip = edited.ref.again()
    take, keys = clip.take, clip.keys
    clips.check_free(keys)
    if (take.result, take.finished, take.line) != edited.written:
        raise InputError(f"The line {take.name} was made anew meanwhile; run it again.")
    facts = takes.facts(animation)
    key_view.take_over(keys)
    meanwhile = keyframes.changes(edited.seen, keyframes.snapshot(clip.action))
    clip = takes.only_here(clip)
    before = clip.line.first_frame
    follow.settle(clip)
    look = takes.look_of(clip)
    faces.draw(clip, animation, look, last=takes.shown(take))
    if meanwhile:
        keyframes.change(clip.action, keyframes.shifted(meanwhile, clip.line.first_frame - before))
        key_view.redraw(keys)
    take = clip.take
    take.result, take.finished = result, b""
    take.warnings = "\n".join(dict.fromkeys(warnings))
    if clip.strip is not None:
        take.name = clip.strip.name
    takes.remember(take, clip.line, animation, look, facts)
    keys.kmtalk.line = take.line_id
    clips.hold_rest(keys)
    live.show(clip.scene)
    lie = clips.lie_of(take)
    counted = drawings.counted(keys, clip.action, clip.line)
    summary = f"{counted} on frames {lie.at:.0f} to {lie.end:.0f} of {clip.obj.name}"
    return Outcome(summary, (*warnings, *follow.standing(clip)))
