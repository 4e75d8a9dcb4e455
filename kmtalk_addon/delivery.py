"""Lines for other programs through Blender's own exporters, and as a library of Actions; for the command line.

An exporter writes the head, its parts and its armature over the frames of the line, as the scene shows them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bpy
import numpy as np

from kmtalk_core.delivery.catalogs import FILE, catalog_id, with_catalogs
from kmtalk_core.errors import InputError, KMTalkError
from kmtalk_core.files import save_text, written_whole

from . import clips, compat, parts, takes

if TYPE_CHECKING:
    from kmtalk_core.motion import Animation

    from .takes import Clip

LIBRARY = ".blend"
PREVIEW = 128  # pixels
FACE = 2.2  # times as much as speech moves is shown
GREY = (0.8, 0.8, 0.8)


@dataclass(frozen=True)
class Exporter:
    """One of Blender's exporters: its operator, what it is called with, and the add-on that brings it, if one does."""

    operator: str
    settings: dict[str, Any]
    addon: str = ""


_USD = {"selected_objects_only": True, "export_animation": True, "export_shapekeys": True, "export_armatures": True}
_GLTF = {"use_selection": True, "export_animation_mode": "SCENE", "export_morph": True, "export_frame_range": True}
EXPORTERS = {
    ".fbx": Exporter(
        "export_scene.fbx",
        {
            "use_selection": True, "bake_anim": True, "bake_anim_use_nla_strips": False,
            "bake_anim_use_all_actions": False, "bake_anim_simplify_factor": 0.0, "use_mesh_modifiers": False,
            "add_leaf_bones": False,
        },
        "io_scene_fbx",
    ),
    ".usd": Exporter("wm.usd_export", _USD), ".usda": Exporter("wm.usd_export", _USD),
    ".usdc": Exporter("wm.usd_export", _USD),
    ".abc": Exporter("wm.alembic_export", {"selected": True, "as_background_job": False}),
    ".glb": Exporter("export_scene.gltf", {**_GLTF, "export_format": "GLB"}, "io_scene_gltf2"),
}  # fmt: skip
ENDINGS = (*EXPORTERS, LIBRARY)


def lines_of_file() -> list[Clip]:
    """All lines of the file, one take each: those that play, head by head."""
    found = []
    for scene in bpy.data.scenes:
        for obj in scene.objects:
            if obj.type == "MESH":
                found += [takes.Clip(scene, obj, action) for action in takes.lines_on(clips.keys_of(obj))]
    return list({clip.action: clip for clip in found}.values())


def name_of(clip: Clip) -> str:
    """What a line's files are called: its head and its strip, as names that files may have."""
    name = f"{clip.obj.name}_{clip.take.name}"
    return "".join("_" if c in '<>:"/\\|?*' or ord(c) < 32 else c for c in name).strip(" .") or "line"


def write(clips_written: Sequence[Clip], path: Path) -> None:
    """Write lines into one file whose ending says how; only a library takes several. Raises KMTalkError."""
    if path.suffix.lower() == LIBRARY:
        write_library(clips_written, path)
        return
    (clip,) = clips_written
    write_scene(clip, path)


def write_scene(clip: Clip, path: Path) -> None:
    """Let Blender's exporter write the head and what belongs to it, over the frames of the line."""
    exporter = EXPORTERS[path.suffix.lower()]
    _switch_on(exporter.addon)
    operator, known = _operator(exporter)
    if not known:
        raise InputError(f"This Blender was built without {path.suffix.lower()}; use one of blender.org.")
    settings = {key: value for key, value in exporter.settings.items() if key in known}  # of this Blender
    scene, lie = clip.scene, clips.lie_of(clip.take)
    if lie is None:
        raise InputError(f"The line {clip.take.name} does not play on {clip.obj.name}; choose a take of it.")
    if exporter.operator == "wm.alembic_export":
        settings |= {"start": int(lie.at), "end": int(np.ceil(lie.end))}
    try:
        with written_whole(path) as partial, _only(scene, clip.obj, int(lie.at), int(np.ceil(lie.end))):
            operator(filepath=str(partial), check_existing=False, **settings)
    except (RuntimeError, OSError) as error:
        raise KMTalkError(f"Blender could not export {path.name} ({str(error).strip()[:200]}).") from None


def is_built_in(exporter: Exporter) -> bool:
    """Whether this Blender has an exporter."""
    try:
        _switch_on(exporter.addon)
    except KMTalkError:
        return False
    return bool(_operator(exporter)[1])


def _operator(exporter: Exporter) -> tuple[Any, set[str]]:
    """The operator, and the names of its settings; none where Blender was built without it, as Debian's is."""
    group, name = exporter.operator.split(".")
    operator = getattr(getattr(bpy.ops, group), name)
    try:
        return operator, set(operator.get_rna_type().properties.keys())
    except (KeyError, AttributeError):
        return operator, set()


def _switch_on(addon: str) -> None:
    import addon_utils

    if addon and not addon_utils.check(addon)[1] and addon_utils.enable(addon) is None:
        raise KMTalkError(f"This Blender lacks its exporter {addon}; enable it in the preferences.")


@contextmanager
def _only(scene: bpy.types.Scene, head: bpy.types.Object, first: int, last: int) -> Iterator[None]:
    """The scene in the window, with these frames, and the head, its parts and its armatures alone selected."""
    managers = bpy.data.window_managers
    window = bpy.context.window or next(
        (w for manager in managers for w in manager.windows), None
    )  # none is active yet
    if window is not None:
        window.scene = scene
    layer = scene.view_layers[0] if window is None else window.view_layer
    wanted = {head, *(part.obj for part in parts.parts_of(head))}
    wanted |= {m.object for obj in wanted for m in obj.modifiers if m.type == "ARMATURE" and m.object is not None}
    before = {obj.name for obj in layer.objects if obj.select_get(view_layer=layer)}
    frames, active = (scene.frame_start, scene.frame_end, scene.frame_current), layer.objects.active
    hidden = [obj for obj in wanted if obj.name in layer.objects and obj.hide_get(view_layer=layer)]
    for obj in hidden:
        obj.hide_set(False, view_layer=layer)
    for obj in layer.objects:
        obj.select_set(obj in wanted, view_layer=layer)
    layer.objects.active = head
    scene.frame_start, scene.frame_end = first, max(first, last)
    try:
        selected = [obj for obj in layer.objects if obj in wanted]
        with bpy.context.temp_override(
            window=window, scene=scene, view_layer=layer, selected_objects=selected, active_object=head, object=head
        ):
            yield
    finally:
        scene.frame_start, scene.frame_end = frames[:2]
        scene.frame_set(frames[2])
        for obj in layer.objects:
            obj.select_set(obj.name in before, view_layer=layer)
        layer.objects.active = active
        for obj in hidden:
            obj.hide_set(True, view_layer=layer)


def write_file(path: Path) -> None:
    """Write the file as it is. Raises KMTalkError."""
    try:
        with written_whole(path) as partial:
            bpy.ops.wm.save_as_mainfile(filepath=str(partial), copy=True, compress=True, check_existing=False)
    except RuntimeError as error:
        raise KMTalkError(f"Blender could not write {path.name} ({str(error).strip()[:200]}).") from None


def write_library(lines: Sequence[Clip], path: Path, catalog: str = "") -> None:
    """Write an Action for each line, from frame 1 on, marked as asset, with a picture, in a catalog of its head.

    The catalogs go into the file that Blender looks for in the folder; those that are there already stay. Where a
    `catalog` is named, the lines are in that one, and somebody else writes the file.
    """
    made = [_asset(clip, catalog or clip.obj.name) for clip in lines]
    try:
        with written_whole(path) as partial:
            bpy.data.libraries.write(str(partial), set(made), fake_user=True, compress=True)
    except (RuntimeError, OSError) as error:
        raise KMTalkError(f"Blender could not write {path.name} ({str(error).strip()[:200]}).") from None
    finally:
        for action in made:
            bpy.data.actions.remove(action)
    if not catalog:
        _note_catalogs(path.with_name(FILE), {clip.obj.name for clip in lines})


def _asset(clip: Clip, catalog: str) -> bpy.types.Action:
    """A copy of a line's Action without what KMTalk remembers in it, as an asset in a catalog."""
    lie = clips.lie_of(clip.take)
    first = lie.first if lie is not None else clip.action.frame_range[0]
    last = lie.last if lie is not None else clip.action.frame_range[1]
    animation = takes.shown(clip.take)
    action = clip.action.copy()
    action.name = clip.take.name
    action.property_unset("kmtalk_takes")
    for curve in compat.all_fcurves(action):
        for point in curve.keyframe_points:
            for part in (point.co, point.handle_left, point.handle_right):
                part[0] += 1 - first
        curve.update()
    action.use_frame_range, action.frame_start, action.frame_end = True, 1, 1 + last - first
    action.asset_mark()
    about = action.asset_data
    about.catalog_id = str(catalog_id(catalog))
    about.description = " ".join(word.label for word in animation.alignment.words)[:1000]
    for tag in dict.fromkeys(("KMTalk", clip.obj.name, catalog, clip.scene.name)):
        about.tags.new(tag, skip_if_exists=True)
    _picture(action, clip, animation)
    return action


def _picture(action: bpy.types.Action, clip: Clip, animation: Animation) -> None:
    """The head in the pose of the line that is the farthest from rest, as the preview of an Action."""
    from kmtalk_core.delivery.painting import painted

    scene, lie = clip.scene, clips.lie_of(clip.take)
    if lie is None or not len(animation.times):
        return
    frame = scene.frame_current
    scene.frame_set(int(lie.at))
    rest, _, _ = _seen(clip.obj)
    scene.frame_set(int(lie.at + np.abs(animation.controls).sum(1).argmax() * lie.scale))
    points, faces, colours = _seen(clip.obj)
    scene.frame_set(frame)
    moved = points[np.linalg.norm(points - rest, axis=1) > 1e-4 * np.ptp(points)] if rest.shape == points.shape else ()
    low, high = (part(moved if len(moved) > 2 else points, axis=0) for part in (np.min, np.max))
    middle, height = (low + high)[:2] / 2, FACE * float((high - low)[:2].max())
    picture = painted(points, faces, colours, (middle[0], middle[1]), max(height, 1e-6), PREVIEW)[::-1]  # bottom first
    pixels = np.ones((PREVIEW, PREVIEW, 4), np.float32)
    pixels[..., :3] = picture / 255.0
    preview = action.preview_ensure()
    preview.image_size = (PREVIEW, PREVIEW)
    preview.image_pixels_float.foreach_set(pixels.ravel())


def _seen(obj: bpy.types.Object) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A head as the scene shows it now, y up and z forward: vertices (V, 3), triangles (F, 3), and colours (V, 3)."""
    evaluated = obj.evaluated_get(bpy.context.evaluated_depsgraph_get())
    mesh = evaluated.to_mesh()
    mesh.calc_loop_triangles()
    points = np.empty((len(mesh.vertices), 3), np.float32)
    mesh.vertices.foreach_get("co", points.ravel())
    faces, of_face = np.empty((len(mesh.loop_triangles), 3), np.int32), np.empty(len(mesh.loop_triangles), np.int32)
    mesh.loop_triangles.foreach_get("vertices", faces.ravel())
    mesh.loop_triangles.foreach_get("material_index", of_face)
    shown = [slot.material.diffuse_color[:3] if slot.material else GREY for slot in obj.material_slots] or [GREY]
    colours = np.tile(np.array(GREY, np.float32), (len(points), 1))
    colours[faces.ravel()] = np.array(shown, np.float32)[np.minimum(np.repeat(of_face, 3), len(shown) - 1)]
    evaluated.to_mesh_clear()
    matrix = np.array(obj.matrix_world, np.float32)
    world = points @ matrix[:3, :3].T + matrix[:3, 3]
    return np.stack([world[:, 0], world[:, 2], -world[:, 1]], axis=1), faces, colours


def _note_catalogs(path: Path, heads: set[str]) -> None:
    """Add the catalogs of these heads to the file of catalogs."""
    save_text(with_catalogs(path.read_text(encoding="utf-8") if path.is_file() else "", heads), path)


def write_all(
    lines: Sequence[Clip],
    endings: Sequence[str],
    folder: Path,
    write_result: Callable[[Clip, Path], Any],
    tell: Callable[[float, str], None],
) -> tuple[int, dict[str, str]]:
    """Write a file for each line and ending into `folder`, and one library; how many, and what could not be and why.

    What is none of Blender's formats is written by `write_result`.
    """

    written, failed, names = 0, dict[str, str](), set[str]()
    for place, clip in enumerate(lines):
        name = number = name_of(clip)
        count = 1
        while number.casefold() in names:
            count, number = count + 1, f"{name}.{count + 1}"
        names.add(number.casefold())
        for ending in [ending for ending in endings if ending != LIBRARY]:
            tell(place / len(lines), f"{number}{ending}")
            try:
                if ending in EXPORTERS:
                    write([clip], folder / f"{number}{ending}")
                else:
                    write_result(clip, folder / f"{number}{ending}")
                written += 1
            except KMTalkError as error:
                failed[f"{number}{ending}"] = str(error)
    if LIBRARY in endings:
        tell(0.95, "the library of Actions")
        write_library(lines, folder / f"{Path(bpy.data.filepath).stem or 'lines'}_actions{LIBRARY}")
        written += 1
    return written, failed
