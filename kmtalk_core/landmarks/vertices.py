"""Which vertices of a mesh stand for 68 points: on the skin, seen from the front, and on the right one of two lips."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from ..errors import InputError
from ..rig.frame import EYE_CORNERS_MM, HeadFrame, head_frame
from ..rig.mesh import Mesh
from ..rig.surface import distance_from, edge_graph, edges_of, vertex_normals, welded
from .crops import MOUTH
from .views import BEHIND, DEPTH, Surface, View, look

UPPER_INNER, LOWER_INNER = (61, 62, 63), (65, 66, 67)
RIMS = (*range(36, 48), *range(60, 68))  # landmarks at the edge of an opening
SKIN = (*range(27, 36), *range(48, 60))  # by which the skin is told from eyes, teeth and hair
AROUND = 25.0  # mm: how far from its point a vertex may lie
ON_SKIN = 1e-3  # mm
CANDIDATES = 60  # vertices that are compared for a landmark
HIDDEN, HIDDEN_RIM, EDGE = 3.0, 1.0, 0.8  # mm: by which a vertex that isn't seen seems farther, one at a rim nearer
EDGES_OF_LIPS = (EDGE, 3.0)  # the same, of lips: what leaves them least apart is taken
DEEP = 0.6  # how much nearness counts against the place in the picture, but at rims
PICTURE = 192  # points along the side of the picture that tells what is seen
SLACK = 1.5  # mm behind the foremost that is seen, too


@dataclass(frozen=True)
class _Skin:
    """The skin in the face's frame: vertices (k,) of the mesh, `points` (n, 3) mm of all, and what is seen (n,)."""

    vertices: np.ndarray
    points: np.ndarray
    seen: np.ndarray
    rim: np.ndarray
    graph: sp.csr_matrix


def nearest_vertices(mesh: Mesh, points: np.ndarray, fixed: Mapping[int, int] | None = None) -> np.ndarray:
    """(68,) int: a vertex for each of the landmarks `points` (68, 3), no two the same.

    `fixed`: landmark → vertex, which is taken as it is if it is on the skin. Raises InputError where the mesh is too
    coarse.
    """
    frame = head_frame(points)
    skin, marks = _skin_of(mesh, points, frame), frame.to_frame(points)
    places = skin.points[skin.vertices]
    near = cKDTree(places).query(marks, k=min(CANDIDATES, len(places)))[1]
    taken = np.full(68, -1)
    for mark, vertex in (fixed or {}).items():
        if np.abs(places - skin.points[vertex]).sum(1).min() < ON_SKIN:  # not an eye, nor a tooth
            taken[mark] = vertex
    found = []
    for edge in EDGES_OF_LIPS:
        cost = _costs(skin, marks, near, edge)
        cost[:, np.isin(skin.vertices, taken[taken >= 0])] = np.inf
        found.append(_assigned(cost, skin.vertices, taken.copy()))
    return min(found, key=lambda own: _apart(skin.points[own]))


def _costs(skin: _Skin, marks: np.ndarray, near: np.ndarray, edge_of_lips: float) -> np.ndarray:
    """(68, k) how far each vertex of the skin seems from each landmark; only `near` (68, n) ones are compared."""
    cost = np.full((68, len(skin.vertices)), np.inf)
    for mark in range(68):
        own = skin.vertices[near[mark]]
        off = skin.points[own] - marks[mark]
        at_rim = mark in RIMS
        far = np.sqrt((off[:, :2] ** 2).sum(1) + ((1.0 if at_rim else DEEP) * off[:, 2]) ** 2)
        far += (HIDDEN_RIM if at_rim else HIDDEN) * ~skin.seen[own]
        edge = edge_of_lips if mark in (*UPPER_INNER, *LOWER_INNER) else EDGE
        cost[mark, near[mark]] = far - edge * (at_rim & skin.rim[own])
    _tell_lips_apart(cost, skin, marks)
    return cost


def _apart(points: np.ndarray) -> float:
    """How far the lips are apart in height where they are farthest, of landmarks' vertices (68, 3) mm.

    One vertex of another row of edges leaves a hole that the rig cannot close.
    """
    return float(np.abs(points[list(UPPER_INNER), 1] - points[list(LOWER_INNER)[::-1], 1]).max())


def _skin_of(mesh: Mesh, points: np.ndarray, frame: HeadFrame) -> _Skin:
    placed = frame.to_frame(mesh.vertices)
    same = welded(placed, mesh.faces, 1e-4)
    faces = same[mesh.faces]
    used = np.unique(faces)
    graph = edge_graph(placed, faces)
    _, label = connected_components(graph, directed=False)
    nearest = used[cKDTree(placed[used]).query(frame.to_frame(points[list(SKIN)]))[1]]
    kinds, votes = np.unique(label[nearest], return_counts=True)
    own = used[label[used] == kinds[votes.argmax()]]
    seen, rim = _seen(placed, faces, own, graph)
    return _Skin(own, placed, seen, rim, graph)


def _seen(
    placed: np.ndarray, faces: np.ndarray, own: np.ndarray, graph: sp.csr_matrix
) -> tuple[np.ndarray, np.ndarray]:
    """(n,) bool: vertices that are seen from the front; and seen ones of the skin beside others that are not, or at an
    open border."""
    width = 2.3 * EYE_CORNERS_MM
    view = View(np.array([0.0, -40.0, 0.0]), np.eye(3), width)
    picture = look(Surface(placed, faces, vertex_normals(placed, faces)), view, PICTURE)
    depth = np.where(picture[4] > 0, picture[3] * DEPTH, -np.inf)
    in_picture = view.to_picture(placed)
    column = np.floor((in_picture[:, 0] + 0.5) * PICTURE).astype(int)
    row = np.floor((0.5 - in_picture[:, 1]) * PICTURE).astype(int)
    inside = (column >= 1) & (column < PICTURE - 1) & (row >= 1) & (row < PICTURE - 1) & (in_picture[:, 2] > -BEHIND)
    front = np.full(len(placed), np.inf)
    # The lowest of the places around: a rim's neighbours may be in front of it.
    around = np.stack([depth[np.clip(row + a, 0, PICTURE - 1), np.clip(column + b, 0, PICTURE - 1)]
                       for a in (-1, 0, 1) for b in (-1, 0, 1)])  # fmt: skip
    around = np.where(np.isfinite(around), around, np.inf)
    front[inside] = around.min(0)[inside]
    seen = inside & (in_picture[:, 2] > front - SLACK / width)
    skin = np.zeros(len(placed), bool)
    skin[own] = True
    hidden = (graph.sign() @ (skin & ~seen).astype(float)) > 0
    ends, owners = edges_of(len(placed), faces)
    border = np.zeros(len(placed), bool)
    border[ends[owners == 1]] = True
    return seen, seen & skin & (hidden | border)


def _tell_lips_apart(cost: np.ndarray, skin: _Skin, marks: np.ndarray) -> None:
    """Forbid vertices of the lower lip to the inner edge of the upper one, and the other way round."""
    mouth = marks[MOUTH].mean(0)
    reach = 1.2 * float(np.linalg.norm(marks[54] - marks[48]))
    near = skin.vertices[np.linalg.norm(skin.points[skin.vertices] - mouth, axis=1) < reach]
    place = np.full(len(skin.points), -1)
    place[near] = np.arange(len(near))
    graph = skin.graph[near][:, near].tocsr()
    tree = cKDTree(skin.points[near])
    upper = np.unique(tree.query(marks[[50, 51, 52]])[1])
    lower = np.unique(tree.query(marks[[56, 57, 58]])[1])
    to_upper, to_lower = distance_from(graph, upper), distance_from(graph, lower)
    own = place[skin.vertices]
    with np.errstate(invalid="ignore"):
        # Equal shares where the way is measured from the outer edges: the height of each lip.
        share = to_upper / (to_upper + to_lower)
    middle = _height(marks)
    side = np.where(own >= 0, share[own], 0.5)
    cost[np.ix_(np.array(UPPER_INNER), np.flatnonzero(~(side < middle)))] += 100.0
    cost[np.ix_(np.array(LOWER_INNER), np.flatnonzero(~(side > middle)))] += 100.0


def _height(marks: np.ndarray) -> float:
    """Which share of the way from the upper lip's outer edge to the lower one's the lips meet at."""
    upper = float(np.linalg.norm(marks[62] - marks[51]))
    lower = float(np.linalg.norm(marks[66] - marks[57]))
    return upper / max(upper + lower, 1e-9)


def _assigned(cost: np.ndarray, vertices: np.ndarray, out: np.ndarray) -> np.ndarray:
    """`out` (68,) with the cheapest vertices where it has none, no two the same: the surest landmark chooses first."""
    for _ in range(int((out < 0).sum())):
        best = cost.min(1)
        best[out >= 0] = np.inf
        mark = int(best.argmin())
        if best[mark] > AROUND:
            break
        chosen = int(cost[mark].argmin())
        out[mark] = vertices[chosen]
        cost[:, chosen] = np.inf
    if (out < 0).any():
        raise InputError(
            f"Landmark {int(np.flatnonzero(out < 0)[0])} has no vertex of the face near it; subdivide the mesh, or pick"
            " the landmarks yourself."
        )
    return out
