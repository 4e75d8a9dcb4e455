"""Vertex space in Blender: a checkpoint at paper scale moves the mesh itself (design, "Vertex-space output").

The completed motion is a point cache beside the .blend file, played by a Mesh Cache modifier; every key motion is a
shape key "STRIP FRAME", which can be sculpted. Re-run completion reads the shape keys back: changed, deleted, added (a
shape key of such a name) and moved (renamed to another frame).
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, ClassVar

import bpy
import numpy as np
from bpy.props import StringProperty

from kmtalk_core.errors import InputError, KMTalkError
from kmtalk_core.export import write_pc2
from kmtalk_core.files import save_npz, written_whole
from kmtalk_core.leftovers import remove_leftovers, temporary_folder
from kmtalk_core.motion import VertexAnimation
from kmtalk_core.results import load_vertex_animation
from kmtalk_core.rig.mesh import triangles_of
from kmtalk_core.service.protocol import Animate, Complete

from . import compat, shape_keys, takes
from .job import Steps
from .lipsync import Options, Outcome
from .operators import Working, can_work, chosen_mesh, options_of
from .strip import choose_strip, read_line, sound_file, sound_strips, what_is_said
from .subject import Subject, find_head

FOLDER = "kmtalk_cache"  # beside the .blend file
LINES = "kmtalk_vertex_lines"  # custom property of the object: JSON, strip → `CachedLine`
MODIFIER = "KMTalk {}"
SAME = 1e-6  # of the mesh's size: a shape key that differs less was not sculpted


@dataclass(frozen=True)
class CachedLine:
    """One line in vertex space: the names of its files `result` and `cache` in FOLDER, and on which frames it lies.

    A .blend from anywhere holds this, so nothing of it names a place outside of that folder (see `_place`).
    """

    checkpoint: str
    result: str
    cache: str
    first_frame: int
    frames: int
    fps: float
    strip_id: str = ""  # of its sound strip, whatever its name is by now

    @classmethod
    def read(cls, given: Any) -> CachedLine:
        """As kept in the object; raises ValueError for what KMTalk has not written."""
        names = {f.name for f in fields(cls)}
        if not isinstance(given, dict) or not names - {"strip_id"} <= set(given) <= names:
            raise ValueError("no line")
        checkpoint, result, cache = (str(given[name]) for name in ("checkpoint", "result", "cache"))
        # Earlier versions kept paths, beginning with //.
        result, cache = (re.split(r"[\\/]", path)[-1] for path in (result, cache))
        if not all(re.fullmatch(r"[\w.-]+", name) for name in (result, cache)):
            raise ValueError("no file of KMTalk's")
        frames = int(given["first_frame"]), int(given["frames"])
        return cls(checkpoint, result, cache, *frames, float(given["fps"]), str(given.get("strip_id", "")))


def generate(
    scene: bpy.types.Scene,
    strip: bpy.types.Strip,
    obj: bpy.types.Object,
    checkpoint: str,
    options: Options | None = None,
) -> Steps[Outcome]:
    """Move the vertices of `obj` with what `strip` plays: cache and shape keys as above. Raises InputError.

    Of the options those of text and localization count, the key density and the intensity.
    """
    options = options or Options()
    shape_keys.check_mesh(obj)
    _folder_of_file()
    if not checkpoint:
        raise InputError("No checkpoint is chosen; choose one that was trained on vertices.")
    line = read_line(scene, strip)
    about = Subject.of(scene, strip, obj, line)
    with temporary_folder() as folder, sound_file(strip) as audio:
        save_npz({"vertices": shape_keys.rest_positions(obj), "faces": _triangles(obj)}, folder / "mesh.npz", False)
        details = yield Animate(
            audio=audio,
            out=str(folder / "out.npz"),
            start=line.start,
            duration=line.duration,
            as_strip=True,
            transcript=options.transcript or what_is_said(strip).text,
            alignment=options.alignment and str(Path(options.alignment).absolute()),
            localizer=options.localizer,
            language=options.language,
            fps=line.frames_per_second_of_sound,
            key_rule="auto",
            key_density=options.key_density,
            intensity=options.intensity,
            tools=options.tools,
            mesh=str(folder / "mesh.npz"),
            checkpoint=str(Path(bpy.path.abspath(checkpoint)).absolute()),
        )
        animation = _loaded(folder / "out.npz")
        obj, line = about.head(), about.line_now()
        known = takes.id_of(about.strip())
        name = _name_of(obj, known) or line.strip  # that of its shape keys and files stays as it was first
        result, cache = _files(obj, name)
        made = CachedLine(checkpoint, result, cache, line.first_frame, len(animation.times), animation.fps, known)
        return _show(obj, name, made, animation, folder / "out.npz", tuple(details["warnings"]))


def complete(scene: bpy.types.Scene, strip_name: str, obj: bpy.types.Object) -> Steps[Outcome]:
    """Compute the motion between the key motions again, as their shape keys are now; these poses stay exactly so."""
    strip_name, line = find_line(scene, strip_name, obj)
    before = _loaded(_place(line.result, ".npz"))
    frames, poses = read_keys(obj, strip_name, line, before)
    uid, name = obj.session_uid, obj.name
    with temporary_folder() as folder:
        times = (np.array(frames) - line.first_frame) / line.fps
        save_npz({"key_times": times, "key_vertices": poses}, folder / "keys.npz", False)
        yield Complete(
            animation=str(_place(line.result, ".npz")),
            keys=str(folder / "keys.npz"),
            out=str(folder / "out.npz"),
            checkpoint=bpy.path.abspath(line.checkpoint),
        )
        animation = _loaded(folder / "out.npz")
        return _show(find_head(uid, name), strip_name, line, animation, folder / "out.npz", ())


def lines_of(obj: bpy.types.Object | None) -> dict[str, CachedLine]:
    """Strip → its line in vertex space."""
    try:
        kept = json.loads(str(obj.get(LINES, "{}"))) if obj is not None else {}
        return {strip: CachedLine.read(line) for strip, line in kept.items()}
    except (ValueError, TypeError, AttributeError, OverflowError):  # not as KMTalk writes it
        return {}


def find_line(scene: bpy.types.Scene, strip_name: str, obj: bpy.types.Object | None) -> tuple[str, CachedLine]:
    """The line of that strip, or the only one; raises InputError."""
    lines = lines_of(shape_keys.check_mesh(obj))
    strip = next((strip for strip in sound_strips(scene) if strip.name == strip_name), None)
    name = (strip is not None and _name_of(obj, strip.kmtalk.id)) or strip_name
    if name in lines:
        return name, lines[name]
    if not strip_name and len(lines) == 1:
        return next(iter(lines.items()))
    raise InputError("This line was not generated in vertex space; use Generate Vertex Animation first.")


def _name_of(obj: bpy.types.Object, strip_id: str) -> str | None:
    """What the line of a strip is called on a mesh; None if it has none there."""
    return next((name for name, line in lines_of(obj).items() if strip_id and line.strip_id == strip_id), None)


def key_name(strip: str, frame: int) -> str:
    """The shape key of a key motion."""
    return f"{strip} {frame:04d}"


def key_blocks(obj: bpy.types.Object, strip: str) -> dict[int, bpy.types.ShapeKey]:
    """Frame → shape key of the key motions of a line, in the order of time."""
    keys = obj.data.shape_keys
    pattern = re.compile(re.escape(strip) + r" (-?\d+)$")
    found = {int(m[1]): b for b in (keys.key_blocks if keys else ()) if (m := pattern.match(b.name))}
    return dict(sorted(found.items()))


def read_keys(
    obj: bpy.types.Object, strip: str, line: CachedLine, before: VertexAnimation
) -> tuple[list[int], np.ndarray]:
    """Frames and poses (m, V, 3) of the key motions as they are now; what was not sculpted is exactly as before."""
    blocks = key_blocks(obj, strip)
    if not blocks:
        raise InputError(f"The shape keys of {strip} are gone; generate again.")
    known = dict(zip((before.key_frames + line.first_frame).tolist(), before.key_vertices, strict=True))
    size = float(np.ptp(before.template, axis=0).max())
    poses = []
    for frame, block in blocks.items():
        if not 0 <= frame - line.first_frame < line.frames:
            raise InputError(f"The shape key {block.name} is outside of the line; name it {strip} and a frame of it.")
        pose = np.empty(3 * len(obj.data.vertices), np.float32)
        block.data.foreach_get("co", pose)
        pose = pose.reshape(-1, 3)
        if pose.shape != before.template.shape:
            raise InputError(f"The mesh {obj.name} was changed; generate again.")
        old = known.get(frame)
        poses.append(old if old is not None and np.abs(pose - old).max() <= SAME * size else pose)
    return list(blocks), np.stack(poses)


def _show(
    obj: bpy.types.Object,
    strip: str,
    line: CachedLine,
    animation: VertexAnimation,
    result: Path,
    warnings: tuple[str, ...],
) -> Outcome:
    """Write the files, then change the mesh: the modifier plays the cache, the shape keys are the key motions."""
    if len(obj.data.vertices) != len(animation.template):
        raise InputError(f"The mesh {obj.name} was changed meanwhile; generate again.")
    places = _place(line.result, ".npz"), _place(line.cache, ".pc2")
    with written_whole(places[0]) as partial:
        shutil.copyfile(result, partial)
    with written_whole(places[1]) as partial:
        write_pc2(animation, partial)
    _write_keys(obj, strip, line, animation)
    _play(obj, strip, line)
    lines = {**{name: asdict(kept) for name, kept in lines_of(obj).items()}, strip: asdict(line)}
    obj[LINES] = json.dumps(lines)
    last = line.first_frame + line.frames - 1
    summary = f"{len(animation.key_times)} key motions on frames {line.first_frame} to {last} of {obj.name}"
    return Outcome(summary, warnings)


def _write_keys(obj: bpy.types.Object, strip: str, line: CachedLine, animation: VertexAnimation) -> None:
    frames = (animation.key_frames + line.first_frame).tolist()
    if obj.data.shape_keys is None:
        obj.shape_key_add(name="Basis", from_mix=False)
    blocks = key_blocks(obj, strip)
    for frame in set(blocks) - set(frames):
        obj.shape_key_remove(blocks[frame])
    blocks = key_blocks(obj, strip)
    for frame, pose in zip(frames, animation.key_vertices, strict=True):
        block = blocks.get(frame)
        if block is None:
            block = obj.shape_key_add(name=key_name(strip, frame), from_mix=False)
            block.value = 0.0
        block.data.foreach_set("co", np.ascontiguousarray(pose, np.float32).ravel())
    obj.show_only_shape_key = False
    obj.data.update()


def _play(obj: bpy.types.Object, strip: str, line: CachedLine) -> None:
    """The Mesh Cache modifier of a line: first of all modifiers, and only while the line lasts."""
    name = MODIFIER.format(strip)
    modifier = obj.modifiers.get(name) or obj.modifiers.new(name, "MESH_CACHE")
    obj.modifiers.move(obj.modifiers.find(modifier.name), 0)
    modifier.cache_format, modifier.filepath = "PC2", f"//{FOLDER}/{line.cache}"
    modifier.forward_axis, modifier.up_axis = "POS_Y", "POS_Z"  # the cache is in the object's own axes
    modifier.play_mode, modifier.time_mode, modifier.interpolation = "SCENE", "FRAME", "LINEAR"
    modifier.frame_start, modifier.frame_scale, modifier.deform_mode = line.first_frame, 1.0, "OVERWRITE"
    modifier.show_viewport = modifier.show_render = True
    modifier.driver_remove("factor")
    driver = modifier.driver_add("factor").driver
    driver.type = "SCRIPTED"
    driver.expression = f"frame >= {line.first_frame} and frame <= {line.first_frame + line.frames - 1}"


def _files(obj: bpy.types.Object, strip: str) -> tuple[str, str]:
    """Names of the result and the point cache of a line, in a folder beside the .blend file."""
    # The digits keep apart what is the same without its special characters, or without its end.
    digits = hashlib.sha256(f"{obj.name}\0{strip}".encode()).hexdigest()[:8]
    stem = f"{re.sub(r'[^A-Za-z0-9_-]+', '_', f'{obj.name}-{strip}')[:80]}-{digits}"
    _folder_of_file().mkdir(exist_ok=True)
    remove_leftovers(_folder_of_file())
    return f"{stem}.npz", f"{stem}.pc2"


def _place(name: str, suffix: str) -> Path:
    """Where the file `name` of a line is, in KMTalk's own folder and nowhere else. Raises InputError."""
    folder = _folder_of_file()
    path = folder / name
    if path.parent != folder or path.suffix != suffix or folder.is_symlink() or path.is_symlink():
        raise InputError(f"{name} is no file of KMTalk's own in {FOLDER}; remove what is there and generate again.")
    return path


def _folder_of_file() -> Path:
    if not bpy.data.filepath:
        raise InputError("Save the .blend file first: the vertex cache is kept beside it.")
    return Path(bpy.path.abspath(f"//{FOLDER}"))


def _loaded(path: Path) -> VertexAnimation:
    return load_vertex_animation(path)


def _triangles(obj: bpy.types.Object) -> np.ndarray:
    mesh = obj.data
    sizes, corners = np.empty(len(mesh.polygons), np.int32), np.empty(len(mesh.loops), np.int32)
    mesh.polygons.foreach_get("loop_total", sizes)
    mesh.loops.foreach_get("vertex_index", corners)
    return triangles_of(sizes, corners)


class KMTALK_OT_generate_vertices(Working, bpy.types.Operator):
    """Move the mesh itself by a checkpoint at paper scale: a vertex cache, and a shape key for each key motion"""

    bl_idname = "kmtalk.generate_vertices"
    bl_label = "Generate Vertex Animation"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return can_work(cls, lambda: _ready(context))

    def steps(self, context: bpy.types.Context) -> Steps[Outcome]:
        strip, mesh = _ready(context)
        options = options_of(context, strip)
        return generate(compat.sequencer_scene(context), strip, mesh, context.scene.kmtalk_checkpoint, options)


class KMTALK_OT_complete_vertices(Working, bpy.types.Operator):
    """Compute the motion between the key motions again; the sculpted shape keys stay exactly as you made them"""

    bl_idname = "kmtalk.complete_vertices"
    bl_label = "Re-run Completion"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        scene = compat.sequencer_scene(context)
        return can_work(cls, lambda: find_line(scene, context.scene.kmtalk.strip, chosen_mesh(context)))

    def steps(self, context: bpy.types.Context) -> Steps[Outcome]:
        return complete(compat.sequencer_scene(context), context.scene.kmtalk.strip, chosen_mesh(context))


class KMTALK_OT_pose_key(bpy.types.Operator):
    """Show the key motion nearest to the current frame alone, to be sculpted; Re-run Completion plays the line again"""

    bl_idname = "kmtalk.pose_key"
    bl_label = "Sculpt Nearest Key"
    bl_options: ClassVar = {"UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return KMTALK_OT_complete_vertices.poll(context)

    def execute(self, context: bpy.types.Context) -> set[str]:
        scene, obj = compat.sequencer_scene(context), chosen_mesh(context)
        try:
            strip, _ = find_line(scene, context.scene.kmtalk.strip, obj)
            blocks = key_blocks(obj, strip)
            if not blocks:
                raise InputError(f"The shape keys of {strip} are gone; generate again.")
        except KMTalkError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        frame = min(blocks, key=lambda f: abs(f - scene.frame_current))
        scene.frame_set(frame)
        obj.active_shape_key_index = obj.data.shape_keys.key_blocks.find(blocks[frame].name)
        obj.show_only_shape_key = True
        obj.modifiers[MODIFIER.format(strip)].show_viewport = False
        return {"FINISHED"}


class KMTALK_PT_vertices(bpy.types.Panel):
    """Checkpoints that move vertices"""

    bl_label = "KMTalk: Vertex Space"
    bl_region_type = "UI"
    bl_space_type = "VIEW_3D"
    bl_category = "KMTalk"
    bl_options: ClassVar = {"DEFAULT_CLOSED"}
    bl_order = 10

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        layout.use_property_split = True
        layout.use_property_decorate = False
        layout.prop(context.scene, "kmtalk_checkpoint")
        layout.operator(KMTALK_OT_generate_vertices.bl_idname, icon="MESH_DATA")
        row = layout.row(align=True)
        row.operator(KMTALK_OT_pose_key.bl_idname, icon="SCULPTMODE_HLT")
        row.operator(KMTALK_OT_complete_vertices.bl_idname, icon="FILE_REFRESH")


def _ready(context: bpy.types.Context) -> tuple[compat.StripType, bpy.types.Object]:
    strip = choose_strip(compat.sequencer_scene(context), context.scene.kmtalk.strip)
    mesh = shape_keys.check_mesh(chosen_mesh(context))
    _folder_of_file()
    if not context.scene.kmtalk_checkpoint:
        raise InputError("No checkpoint is chosen; choose one that was trained on vertices.")
    return strip, mesh


def add() -> None:
    """The scene's property; after the classes are registered."""
    bpy.types.Scene.kmtalk_checkpoint = StringProperty(
        name="Checkpoint",
        description="A checkpoint at paper scale (.npz), trained on meshes of this topology",
        subtype="FILE_PATH",
    )


def remove() -> None:
    """The inverse of `add`."""
    del bpy.types.Scene.kmtalk_checkpoint


classes = (
    KMTALK_OT_generate_vertices,
    KMTALK_OT_complete_vertices,
    KMTALK_OT_pose_key,
    KMTALK_PT_vertices,
)
