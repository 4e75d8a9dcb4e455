"""The 68 landmarks of a head about which nothing is known: found by the worker, moved and picked by the user.

They are vertices, kept on the mesh as a custom property, so that they are saved, undone and copied with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import bpy
import numpy as np
from mathutils import Vector

from kmtalk_core.errors import InputError
from kmtalk_core.leftovers import temporary_folder
from kmtalk_core.service.protocol import FindLandmarks

from . import shape_keys
from .job import Steps
from .shape_keys import LANDMARKS, check_mesh
from .subject import find_head

INNER_LIPS = range(60, 68)
UNSURE = 0.9  # below, the user is asked to look at what was found
COARSE = 0.06  # of the eyes' distance: with longer edges, half of one is as far off as points may be
FEATURES = range(36, 68)  # lids and lips
MOVE = "Move wrong ones with Move Points, or click all of them with Pick."
SHOW = "The points are shown over the head; move those that are wrong."


@dataclass(frozen=True)
class Outcome:
    """What came of it, in a sentence, and what is to be known about it."""

    summary: str
    warnings: tuple[str, ...] = ()


def of(mesh: bpy.types.Mesh) -> np.ndarray | None:
    """(68,) the vertices that are noted on a mesh; None if there are none, or the mesh has fewer vertices now."""
    noted = mesh.get(LANDMARKS)
    if noted is None or len(noted) != 68:
        return None
    marks = np.array(noted, np.int64)
    return marks if marks.min() >= 0 and marks.max() < len(mesh.vertices) else None


def note(obj: bpy.types.Object, marks: np.ndarray) -> tuple[str, ...]:
    """Keep 68 vertices on the mesh; returns what is to be known, in sentences."""
    obj.data[LANDMARKS] = [int(mark) for mark in marks]
    keys = obj.data.shape_keys
    if keys is not None and shape_keys.built_by_rig(keys):
        return (f"{obj.name} keeps the shape keys that were built before; Remove KMTalk there, then generate again.",)
    return ()


def find(obj: bpy.types.Object) -> Steps[Outcome]:
    """Find the landmarks of a head, and note them on it."""
    uid, name = check_mesh(obj).session_uid, obj.name
    with temporary_folder() as folder:
        path = Path(folder) / "mesh.npz"
        shape_keys.save_mesh(obj, path, with_landmarks=False)
        details = yield FindLandmarks(str(path))
    head = check_mesh(find_head(uid, name))
    marks, sure = np.array(details["landmarks"], np.int64), float(details["sure"])
    if marks.max() >= len(head.data.vertices):
        raise InputError(f"The mesh {head.name} was changed meanwhile; find its landmarks again.")
    warnings = note(head, marks)
    if sure < UNSURE:
        warnings += (f"KMTalk is not sure about the face of {head.name} ({sure:.0%}); look at the points. {MOVE}",)
    if (share := coarseness(head, marks)) > COARSE:
        warnings += (
            f"The mesh of {head.name} is coarse about lips and eyes (edges are {share:.0%} of the eyes' distance), so"
            f" that points lie beside where they belong. {MOVE}",
        )
    return Outcome(f"Found the face of {head.name}. {SHOW}", warnings)


def coarseness(obj: bpy.types.Object, marks: np.ndarray) -> float:
    """How long the edges at the landmarks of lips and lids are on average, as a share of the eyes' distance."""
    rest, triangles = shape_keys.rest_positions(obj), shape_keys.triangles(obj.data)
    edges = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    near = edges[np.isin(edges, marks[FEATURES]).any(1)]
    length = np.linalg.norm(rest[near[:, 0]] - rest[near[:, 1]], axis=1)
    eyes = float(np.linalg.norm(rest[marks[45]] - rest[marks[36]]))
    return float(length.mean()) / max(eyes, 1e-12) if len(near) else 0.0


def shown_positions(obj: bpy.types.Object, depsgraph: bpy.types.Depsgraph) -> np.ndarray:
    """(V, 3) where the vertices are seen, in the object's own space: as modifiers leave them, if these add none."""
    mesh = obj.evaluated_get(depsgraph).data
    if len(mesh.vertices) != len(obj.data.vertices):
        mesh = obj.data
    out = np.empty(3 * len(mesh.vertices), np.float32)
    mesh.vertices.foreach_get("co", out)
    return out.reshape(-1, 3).astype(np.float64)


def vertex_under(
    obj: bpy.types.Object, depsgraph: bpy.types.Depsgraph, origin: Vector, way: Vector, positions: np.ndarray
) -> int | None:
    """The vertex nearest to where a ray of the world meets the head; None where it misses. See `shown_positions`."""
    back = obj.matrix_world.inverted_safe()
    start = back @ origin
    hit, place, _, _ = obj.evaluated_get(depsgraph).ray_cast(start, (back @ (origin + way)) - start)
    if not hit:
        return None
    return int(np.square(positions - np.array(place)).sum(1).argmin())


def completed(obj: bpy.types.Object, picked: Mapping[int, int]) -> np.ndarray:
    """(68,) all landmarks from those that are `picked`, landmark → vertex.

    The picked ones stay, but for the inner edges of the lips: where these touch, one click looks like the other.
    """
    from kmtalk_core.landmarks.picking import completed as all_points

    rest = shape_keys.rest_positions(obj)
    points = all_points({mark: rest[vertex] for mark, vertex in picked.items()})
    taken = list(picked.values())
    fixed = {mark: vertex for mark, vertex in picked.items() if mark not in INNER_LIPS and taken.count(vertex) == 1}
    return _as_vertices(obj, points, fixed)


def mirrored(obj: bpy.types.Object, marks: np.ndarray, left_to_right: bool) -> np.ndarray:
    """(68,) `marks` with one side as the mirror image of the other."""
    from kmtalk_core.landmarks.picking import other_side
    from kmtalk_core.rig.frame import PAIRS

    points = other_side(shape_keys.rest_positions(obj)[marks], left_to_right)
    moved = {pair[0 if left_to_right else 1] for pair in PAIRS}
    return _as_vertices(obj, points, {mark: int(marks[mark]) for mark in range(68) if mark not in moved})


def _as_vertices(obj: bpy.types.Object, points: np.ndarray, fixed: Mapping[int, int]) -> np.ndarray:
    from kmtalk_core.landmarks.vertices import nearest_vertices
    from kmtalk_core.rig.mesh import Mesh

    mesh = Mesh(shape_keys.rest_positions(obj), shape_keys.triangles(obj.data))
    return nearest_vertices(mesh, points, fixed)
