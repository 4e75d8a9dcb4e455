"""The mesh's shape keys: those that it has are driven, those that it lacks are built by the articulation rig."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import lru_cache
from pathlib import Path
from typing import Any

import bpy
import numpy as np

from kmtalk_core.errors import InputError
from kmtalk_core.files import load_npz, save_npz
from kmtalk_core.motion import Animation
from kmtalk_core.retarget.recognition import Recognition
from kmtalk_core.retarget.solver import Face
from kmtalk_core.rig.controls import ARKIT_CONTROLS, HEAD_CONTROLS, SPEECH_CONTROLS
from kmtalk_core.rig.mesh import Mesh, triangles_of, triangulate
from kmtalk_core.rig.naming import match_controls

from . import charted, compat, families, poses
from .skeleton import bones_of

# A head with the jaw and this share of ARKit's speech controls has been rigged by somebody: it is driven as it is.
RIGGED_SHARE = 0.5
LARGEST_LOOKED_AT = 100_000  # vertices of a mesh whose topology is compared with those that are known
# Custom property of a mesh: the vertices of its 68 iBUG landmarks, for heads whose topology the rig doesn't know.
LANDMARKS = "kmtalk_landmarks"
# Custom property of a mesh's shape keys in files of earlier versions: which of them KMTalk's rig has built.
BUILT = "kmtalk_built"
_ARKIT_SPEECH = [name for name in SPEECH_CONTROLS if name in ARKIT_CONTROLS]


@dataclass(frozen=True)
class Built:
    """Shape keys to add: `shapes` (C, V, 3), the displacement of each of `names` in the mesh's own space."""

    names: tuple[str, ...]
    shapes: np.ndarray


def check_mesh(obj: bpy.types.Object | None) -> bpy.types.Object:
    """`obj`, if shape keys can be added to it and animated; raises InputError that says why not."""
    if obj is None or obj.type != "MESH":
        raise InputError("No head is chosen; select a mesh object.")
    if obj.data.library and not obj.library:
        which = f"{obj.name} is a library override, but its mesh" if obj.override_library else f"Of {obj.name} the mesh"
        raise InputError(
            f"{which} {obj.data.name} is still linked; press Own Meshes, or in the Outliner right-click the mesh and"
            " choose Library Override > Make."
        )
    if obj.library:
        raise InputError(
            f"{obj.name} is linked from another file; override it (Object > Library Override > Make), and then press"
            " Own Meshes."
        )
    if obj.mode == "EDIT":
        raise InputError(f"{obj.name} is in Edit Mode; leave it (Tab).")
    if not obj.data.polygons:
        raise InputError(f"{obj.name} has no faces; select the mesh of a head.")
    keys = obj.data.shape_keys
    if keys is not None and not keys.use_relative:
        raise InputError(f"The shape keys of {obj.name} are absolute; switch on Relative in its shape keys.")
    return obj


def controls_of(obj: bpy.types.Object) -> dict[str, str]:
    """Control, or other channel (see `families`) → name of the shape key that it drives."""
    return controls_of_keys(obj.data.shape_keys)


def controls_of_keys(keys: bpy.types.Key | None) -> dict[str, str]:
    """Control → name of the shape key that it drives; one that KMTalk has driven before is known by any name.

    On heads that are not driven control by control: channel → name.
    """
    if keys is None:
        return {}
    instead = stand_ins(keys)
    if (drawing := charted.block_of(keys)) is not None:
        found = {c: name for c, name in _resolved(_names(keys), keys.kmtalk.known).items() if c not in SPEECH_CONTROLS}
        found[charted.CHANNEL] = drawing.name
    elif is_of_family(keys):
        now = dict(zip(_called(keys), _names(keys), strict=True))
        found = {
            channel: now[name] for channel, name in families.channels(_that_open(keys), keys.kmtalk.mapping).items()
        }
    else:
        found = _resolved(_names(keys), keys.kmtalk.known)
    return {channel: instead.get(name, name) for channel, name in found.items()}


def stand_ins(keys: bpy.types.Key) -> dict[str, str]:
    """Shape key that a control rig drives → the empty one that a line moves instead (see `inputs`)."""
    known = _inputs(keys.kmtalk.inputs)
    return {row["key"]: row["stand_in"] for row in known if row["stand_in"] in keys.key_blocks}


def plain_controls(names: tuple[str, ...]) -> dict[str, str]:
    """Control → shape key, of all shape keys' names, the basis first."""
    return match_controls(names[1:])


def recognition_of(keys: bpy.types.Key | None) -> Recognition | None:
    """What the shape keys are, by the names that they had first; None if they are of no family, nor mapped."""
    return None if keys is None else families.recognised(_that_open(keys), keys.kmtalk.mapping)


def is_of_family(keys: bpy.types.Key) -> bool:
    """Whether the shapes of a family are driven as such, rather than our controls one by one.

    What lines have been made for stays so. A head with few shapes gets ours if its landmarks are known.
    """
    if charted.chart_of(keys) is not None:
        return False
    known = _known(keys.kmtalk.known)["controls"]
    if known and not keys.kmtalk.mapping:
        return any(families.OF in channel for channel in known)
    names = _that_open(keys)
    if not families.channels(names, keys.kmtalk.mapping):
        return False
    found = families.recognised(names, keys.kmtalk.mapping)
    return found is not None and not (found.family.name == "simple" and landmarks_known(keys.user))


def landmarks_known(mesh: bpy.types.Mesh) -> bool:
    """Whether the articulation rig knows where the landmarks of a mesh are: noted on it, or by its topology."""
    if LANDMARKS in mesh:
        return True
    return _topology_known(mesh.session_uid, len(mesh.vertices), len(mesh.polygons))


def jaw_bone(obj: bpy.types.Object) -> bool:
    """Whether a bone of its armature opens the mouth of a mesh."""
    found = bones_of(obj)
    return found is not None and "jaw" in found.of


def check_speaks(obj: bpy.types.Object) -> bpy.types.Object:
    """`obj`, if lip sync can be made on it; raises InputError that says what is to be done if not."""
    if needs_rig(obj) and not landmarks_known(obj.data):
        if obj.data.shape_keys is None:
            raise InputError(
                f"{obj.name} has no shape keys and no jaw bone, and the landmarks of its face are not known; find"
                " or pick them (Mesh: Find Landmarks, Pick), or give it shape keys or a jaw bone."
            )
        raise InputError(
            f"KMTalk knows none of the shape keys of {obj.name} that could open its mouth; say in Shapes, above, what"
            " they look like (see docs/rigs.md)."
        )
    return obj


def remember(keys: bpy.types.Key, built: Sequence[str] = ()) -> None:
    """Note which shape key is which control, so that renaming changes nothing; `built`: names of new ones."""
    names, known = _names(keys), _known(keys.kmtalk.known)
    now = renamed(known["names"], names)
    controls = controls_of_keys(keys)
    ranges = {now.get(name, name): span for name, span in known["ranges"].items()}
    for name in controls.values():
        ranges.setdefault(name, [keys.key_blocks[name].slider_min, keys.key_blocks[name].slider_max])
    made = [now.get(name, name) for name in known["built"]] + list(built)
    called = {name: first for name, first in zip(names, _called(keys), strict=True) if name != first}
    keys.kmtalk.known = json.dumps(
        {"names": names, "controls": controls, "built": made, "ranges": ranges, "called": called}
    )


def built_by_rig(keys: bpy.types.Key) -> list[str]:
    """The shape keys that KMTalk's rig has built, by the names that they have now."""
    known = _known(keys.kmtalk.known)
    now = renamed(known["names"], _names(keys))
    before = str(keys.get(BUILT, "")).split("\n")  # as earlier versions have noted it
    return [name for name in dict.fromkeys([*before, *(now.get(n, n) for n in known["built"])]) if name]


def ranges_before(keys: bpy.types.Key) -> dict[str, tuple[float, float]]:
    """Name of a shape key → the range of its slider before KMTalk widened it."""
    known = _known(keys.kmtalk.known)
    now = renamed(known["names"], _names(keys))
    return {now.get(name, name): (low, high) for name, (low, high) in known["ranges"].items()}


def renamed(before: Sequence[str], after: Sequence[str]) -> dict[str, str]:
    """Name of before → name of now, for shape keys in their order; those that are gone are missing."""
    now: dict[str, str] = {}
    for kind, a, b, c, d in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if kind == "equal" or (kind == "replace" and b - a == d - c):
            now |= dict(zip(before[a:b], after[c:d], strict=True))
    return {name: name for name in before if name in set(after) - set(now.values())} | now


def needs_rig(obj: bpy.types.Object) -> bool:
    """Whether shape keys have to be built before speech can move this mesh."""
    keys = obj.data.shape_keys
    if keys is not None and (charted.chart_of(keys) is not None or is_of_family(keys)):
        return False
    if jaw_bone(obj) and not landmarks_known(obj.data):
        return False
    found = controls_of(obj)
    share = sum(name in found for name in _ARKIT_SPEECH) / len(_ARKIT_SPEECH)
    return "jawOpen" not in found or share < RIGGED_SHARE


def drivable(obj: bpy.types.Object) -> tuple[dict[str, str], list[str]]:
    """Like `controls_of`, without shape keys that drivers move; those are named second."""
    found = controls_of(obj)
    animation = obj.data.shape_keys.animation_data if found else None
    driven = {curve.data_path for curve in animation.drivers} if animation else set()
    blocks = obj.data.shape_keys.key_blocks if found else {}
    held = [name for name in found.values() if blocks[name].path_from_id("value") in driven]
    return {control: name for control, name in found.items() if name not in held}, held


def own_shapes(obj: bpy.types.Object) -> dict[str, str]:
    """Control → name of the shape key, for those of the mouth that somebody else than KMTalk's rig has made.

    None on heads that are not driven control by control: see `faces`.
    """
    keys = obj.data.shape_keys
    built = set(built_by_rig(keys)) if keys else set()
    return {control: name for control, name in controls_of(obj).items() if name not in built and _of_mouth(control)}


def save_mesh(
    obj: bpy.types.Object,
    path: Path,
    with_shapes: bool = False,
    moves: Mapping[str, np.ndarray] | None = None,
    with_landmarks: bool = True,
) -> None:
    """Write the undeformed mesh for the rig: at the size and proportions that the object shows, as triangles.

    `with_landmarks`: and those that are noted on it. `with_shapes`: and what the shape keys of the mouth do to it, as
    `control_names` and `shapes` (C, V, 3); `moves`: instead of these, control → (V, 3) what bones do to it, in the
    object's own space.
    """
    mesh, faces = obj.data, triangles(obj.data)
    to_world = _to_world(obj)
    if np.linalg.det(to_world) < 0:  # mirrored: the triangles would face inwards
        faces = faces[:, ::-1]
    arrays = {"vertices": rest_positions(obj) @ to_world.T, "faces": faces}
    if with_landmarks and LANDMARKS in mesh:
        arrays["landmarks"] = np.array(mesh[LANDMARKS], np.int64)
    if with_shapes:
        names = {control: name for control, name in controls_of(obj).items() if _of_mouth(control)}
        moves = {control: displacement(obj, name) for control, name in names.items()}
    if moves is not None:
        arrays["control_names"] = np.array(list(moves), dtype=str)
        shapes = [move @ to_world.T for move in moves.values()]
        arrays["shapes"] = np.array(shapes, np.float32).reshape(len(moves), -1, 3)
    save_npz(arrays, path, compressed=False)


def triangles(mesh: bpy.types.Mesh) -> np.ndarray:
    """(F, 3). Not Blender's triangles: topologies are recognised by their edges, diagonals included."""
    sizes, corners = np.empty(len(mesh.polygons), np.int32), np.empty(len(mesh.loops), np.int32)
    mesh.polygons.foreach_get("loop_total", sizes)
    mesh.loops.foreach_get("vertex_index", corners)
    # Scripts make meshes whose corners name no vertex (-1), and Blender keeps them: such triangles are left out.
    return triangulate(triangles_of(sizes, corners))


def save_targets(obj: bpy.types.Object, face: Face, path: Path) -> None:
    """Write the undeformed mesh and what the shape keys of the targets of `face` do to it, for MeasureFace."""
    keys, to_world = obj.data.shape_keys, _to_world(obj)
    names = {channel.partition(families.OF)[2]: name for channel, name in controls_of_keys(keys).items()}
    posed = poses.measured(obj, names)
    arrays = {
        "vertices": rest_positions(obj) @ to_world.T,
        "target_names": np.array(face.targets, dtype=str),
        "looks": face.looks,
        "shapes": np.array(
            [posed.get(name := names[t], displacement(obj, name)) @ to_world.T for t in face.targets], np.float32
        ),
    }
    save_npz(arrays, path, compressed=False)


def drop_curves(obj: bpy.types.Object, action: bpy.types.Action, names: Mapping[str, str]) -> None:
    """Remove the curves of an Action of KMTalk's that move other shape keys than `names`: the mapping has changed."""
    blocks = obj.data.shape_keys.key_blocks
    wanted = {blocks[name].path_from_id("value") for name in names.values()}
    holder = compat.channels(action)
    for curve in [curve for curve in holder.fcurves if curve.data_path not in wanted]:
        holder.fcurves.remove(curve)


def load_shapes(obj: bpy.types.Object, path: Path) -> Built:
    """Read what the rig built, back into the object's own space."""
    arrays = load_npz(path)
    names = tuple(str(name) for name in arrays["control_names"])
    return Built(names, arrays["shapes"] @ np.linalg.inv(_to_world(obj)).T)


def add_missing(obj: bpy.types.Object, built: Built) -> list[str]:
    """Add those of the built shape keys that the mesh lacks, after its own ones; returns their names."""
    if built.shapes.shape[1] != len(obj.data.vertices):
        raise InputError(f"The mesh {obj.name} was changed meanwhile; generate again.")
    rest = rest_positions(obj)
    if obj.data.shape_keys is None:
        obj.shape_key_add(name="Basis", from_mix=False)
    present, active = controls_of(obj), obj.active_shape_key_index
    added = []
    for name, shape in zip(built.names, built.shapes, strict=True):
        if name in present or not shape.any():
            continue
        block = obj.shape_key_add(name=name, from_mix=False)
        block.value = 0.0
        if name in HEAD_CONTROLS:
            block.slider_min = -1.0
        block.data.foreach_set("co", (rest + shape).astype(np.float32).ravel())
        added.append(block.name)
    obj.active_shape_key_index = active
    remember(obj.data.shape_keys, added)
    obj.data.update()
    return added


def make_room_for(obj: bpy.types.Object, names: Mapping[str, str], animation: Animation) -> None:
    """Let every pose of `animation` be shown; `names`: control → name of the shape key that it drives."""
    poses = np.concatenate([animation.controls, animation.keys.controls])
    reach = zip(animation.control_names, poses.min(0).tolist(), poses.max(0).tolist(), strict=True)
    make_room(obj, {names[control]: (low, high) for control, low, high in reach if control in names})


def make_room(obj: bpy.types.Object, reach: Mapping[str, tuple[float, float]]) -> None:
    """Widen the sliders of shape keys that are to go beyond their range, for Blender would cut the motion off.

    `reach`: name of a shape key → its lowest and highest value.
    """
    for name, (low, high) in reach.items():
        block = obj.data.shape_keys.key_blocks[name]
        if low < block.slider_min:
            block.slider_min = max(-10.0, low)
        if high > block.slider_max:
            block.slider_max = min(10.0, high)


def rest_positions(obj: bpy.types.Object) -> np.ndarray:
    """(V, 3) vertices of the basis, in the object's own space."""
    keys = obj.data.shape_keys
    return _positions(keys.reference_key.data if keys else obj.data.vertices)


def displacement(obj: bpy.types.Object, name: str) -> np.ndarray:
    """(V, 3) what a shape key does at 1, in the object's own space."""
    keys = obj.data.shape_keys
    name = {stand_in: key for key, stand_in in stand_ins(keys).items() if key in keys.key_blocks}.get(name, name)
    block = keys.key_blocks[name]
    return _positions(block.data) - _positions(block.relative_key.data)


def _positions(points: bpy.types.bpy_prop_collection) -> np.ndarray:
    flat = np.empty(len(points) * 3, np.float32)
    points.foreach_get("co", flat)
    return flat.reshape(-1, 3).astype(np.float64)


@lru_cache(maxsize=16)
def _resolved(names: tuple[str, ...], known: str) -> dict[str, str]:
    found = match_controls(names[1:])
    if known:
        before = _known(known)
        now = renamed(before["names"], names)
        for control, name in before["controls"].items():
            if (new := now.get(name)) is not None:
                found = {c: n for c, n in found.items() if n != new} | {control: new}
    return found


def _called(keys: bpy.types.Key) -> tuple[str, ...]:
    """The names that the shape keys had when KMTalk saw them first."""
    return _called_first(_names(keys), keys.kmtalk.known)


def _that_open(keys: bpy.types.Key) -> tuple[str, ...]:
    """`_called`, without the names of shape keys that should open the mouth and move nothing, if others do.

    Many characters bear empty keys with ARKit's names, so that programs find all of them, beside visemes that work.
    """
    names = _called(keys)
    while not keys.kmtalk.mapping:
        found = families.recognised(names)
        opening = {} if found is None else families.that_open(found)
        left = tuple("" if name in opening else name for name in names)
        others = families.recognised(left) if opening else None
        if others is None or not others.usable or any(_moves(keys, names.index(name)) for name in opening):
            break
        if not any(_moves(keys, names.index(name)) for name in families.that_open(others)):
            break
        names = left
    return names


def _moves(keys: bpy.types.Key, index: int) -> bool:
    """Whether a shape key is other than the one that it is relative to."""
    block = keys.key_blocks[index]
    values = np.empty(3 * len(block.points), np.float32), np.empty(3 * len(block.points), np.float32)
    for some, out in zip((block, block.relative_key), values, strict=True):
        some.points.foreach_get("co", out)
    return bool((values[0] != values[1]).any())


@lru_cache(maxsize=32)
def _called_first(names: tuple[str, ...], before_this: str) -> tuple[str, ...]:
    known = _known(before_this)
    if not known["names"]:
        return names
    before = {now: then for then, now in renamed(known["names"], names).items()}
    return tuple(known["called"].get(before.get(name, name), before.get(name, name)) for name in names)


@lru_cache(maxsize=32)
def _topology_known(uid: int, vertices: int, faces: int) -> bool:
    from kmtalk_core.rig.profiles import find_landmarks

    mesh = next((mesh for mesh in bpy.data.meshes if mesh.session_uid == uid), None)
    if mesh is None or vertices > LARGEST_LOOKED_AT or not faces:
        return False
    points, faces = _positions(mesh.vertices), triangles(mesh)
    try:
        find_landmarks(Mesh(points, faces))
    except InputError:
        return False
    return True


def _names(keys: bpy.types.Key) -> tuple[str, ...]:
    return tuple(block.name for block in keys.key_blocks)


@lru_cache(maxsize=16)
def _known(known: str) -> dict[str, Any]:
    return {"names": [], "controls": {}, "built": [], "ranges": {}, "called": {}} | json.loads(known or "{}")


@lru_cache(maxsize=16)
def _inputs(known: str) -> list[dict[str, Any]]:
    return json.loads(known or "[]")


def _of_mouth(control: str) -> bool:
    return control in SPEECH_CONTROLS and not control.startswith("tongue")


def _to_world(obj: bpy.types.Object) -> np.ndarray:
    matrix = np.array(obj.matrix_world.to_3x3(), np.float64)
    if abs(np.linalg.det(matrix)) < 1e-12:
        raise InputError(f"{obj.name} is scaled to nothing; give it a scale other than 0.")
    return matrix
