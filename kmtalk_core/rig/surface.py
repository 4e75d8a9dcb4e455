"""The skin as a surface: contours along its edges, what they enclose, and biharmonic interpolation over it."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import scipy.sparse as sp
from scipy.interpolate import CubicSpline
from scipy.sparse.csgraph import connected_components, dijkstra
from scipy.sparse.linalg import splu
from scipy.spatial import cKDTree

from ..errors import InputError

CONTOUR_PULL = 4.0  # how much dearer an edge gets for a contour that is one leg's length off


def edges_of(count: int, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(E, 2) the edges of triangles over `count` vertices, each once and sorted; (E,) how many triangles have each."""
    ends = faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2).astype(np.int64)
    # One number for each edge: np.unique of rows takes ten times as long.
    edges, owners = np.unique(ends.min(1) * count + ends.max(1), return_counts=True)
    return np.stack([edges // count, edges % count], axis=1), owners


def edge_graph(vertices: np.ndarray, faces: np.ndarray) -> sp.csr_matrix:
    """(V, V) symmetric matrix of edge lengths."""
    ends, _ = edges_of(len(vertices), faces)
    length = np.maximum(np.linalg.norm(vertices[ends[:, 0]] - vertices[ends[:, 1]], axis=1), 1e-9)
    half = sp.csr_matrix((length, (ends[:, 0], ends[:, 1])), shape=(len(vertices),) * 2)
    return (half + half.T).tocsr()


def welded(vertices: np.ndarray, faces: np.ndarray, tolerance: float) -> np.ndarray:
    """(V,) int: for each vertex its representative; vertices on open borders that coincide share one.

    Importers split vertices along texture seams, which opens borders there; lips that merely touch stay apart.
    """
    ends, owners = edges_of(len(vertices), faces)
    border = np.unique(ends[owners == 1])
    representative = np.arange(len(vertices))
    if len(border):
        _, first, where = np.unique(
            np.rint(vertices[border] / tolerance).astype(np.int64), axis=0, return_index=True, return_inverse=True
        )
        representative[border] = border[first][where.ravel()]
    return representative


def contour(graph: sp.csr_matrix, points: np.ndarray, stops: np.ndarray) -> np.ndarray:
    """Vertices of the path along edges through `stops`; it keeps near the smooth curve through them."""
    at = points[stops]
    legs = np.linalg.norm(np.diff(at, axis=0), axis=1)
    along = np.concatenate([[0], np.cumsum(np.maximum(legs, 1e-9))])
    curve = CubicSpline(along, at, bc_type="natural")
    reach = 2 * legs.max()
    some = np.flatnonzero(((points > at.min(0) - reach) & (points < at.max(0) + reach)).all(1))
    graph, points, stops = graph[some][:, some], points[some], np.searchsorted(some, stops)
    rows, columns = graph.nonzero()
    route = [int(stops[0])]
    for k, (a, b) in enumerate(pairwise(stops)):
        off, _ = cKDTree(curve(np.linspace(along[k], along[k + 1], 40))).query(points, distance_upper_bound=legs[k])
        keep = np.isfinite(off[rows] + off[columns])
        cost = graph.data[keep] * (1 + CONTOUR_PULL * (off[rows[keep]] + off[columns[keep]]) / legs[k])
        local = sp.csr_matrix((cost, (rows[keep], columns[keep])), shape=graph.shape)
        _, before = dijkstra(local, indices=int(a), return_predecessors=True)
        leg = [int(b)]
        while leg[-1] != a:
            if before[leg[-1]] < 0:
                raise InputError("Neighbouring landmarks are not connected over the mesh; pick them on one surface.")
            leg.append(int(before[leg[-1]]))
        route += leg[-2::-1]
    return some[route]


def enclosed(graph: sp.csr_matrix, loop: np.ndarray, outside: int) -> np.ndarray:
    """(V,) bool: what the closed `loop` cuts off from the vertex `outside`."""
    open_ = np.ones(graph.shape[0], dtype=bool)
    open_[loop] = False
    keep = np.flatnonzero(open_)
    _, part = connected_components(graph[keep][:, keep], directed=False)
    inside = np.zeros(graph.shape[0], dtype=bool)
    inside[keep] = part != part[np.searchsorted(keep, outside)]
    return inside


def distance_from(graph: sp.csr_matrix, sources: np.ndarray, limit: float = np.inf) -> np.ndarray:
    """(V,) length of the shortest way along edges from the nearest of `sources`."""
    return dijkstra(graph, indices=sources, min_only=True, limit=limit)


def face_normals(points: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(F, 3) normals, as long as twice the triangles' areas."""
    p = points[faces]
    return np.cross(p[:, 1] - p[:, 0], p[:, 2] - p[:, 0])


def vertex_normals(points: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(V, 3) unit normals, weighted by area."""
    face = np.repeat(face_normals(points, faces), 3, axis=0)
    normal = np.stack([np.bincount(faces.ravel(), face[:, c], len(points)) for c in range(3)], axis=1)
    return normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)


def laplacian(vertices: np.ndarray, faces: np.ndarray) -> tuple[sp.csr_matrix, np.ndarray]:
    """The cotangent Laplacian (V, V), positive semi-definite, and the vertex areas (V,).

    Built from edge lengths that are lengthened a little where a triangle is degenerate (intrinsic mollification,
    Sharp & Crane 2020), so that slivers do no harm.
    """
    p = vertices[faces]
    lengths = np.linalg.norm(p[:, [1, 2, 0]] - p[:, [2, 0, 1]], axis=2)  # opposite each corner
    slack = (lengths.sum(1, keepdims=True) - 2 * lengths).min(1)
    lengths = lengths + np.maximum(1e-2 * lengths.mean() - slack, 0)[:, None]
    a, b, c = lengths.T
    s = (a + b + c) / 2
    area = np.sqrt(np.maximum(s * (s - a) * (s - b) * (s - c), 1e-300))
    square = lengths**2
    cot = (square.sum(1, keepdims=True) - 2 * square) / (8 * area[:, None])  # half the cotangent
    i, j = faces[:, [1, 2, 0]].ravel(), faces[:, [2, 0, 1]].ravel()
    n = len(vertices)
    w = sp.coo_matrix((cot.ravel(), (i, j)), shape=(n, n)).tocsr()
    w = w + w.T
    mass = np.bincount(faces.ravel(), np.repeat(area / 3, 3), minlength=n)
    return (sp.diags(np.asarray(w.sum(1)).ravel()) - w).tocsr(), np.maximum(mass, 1e-9 * mass.mean())


class Biharmonic:
    """Smoothest fields over the surface with given values at handles (Botsch & Kobbelt 2004), factorized once."""

    def __init__(self, vertices: np.ndarray, faces: np.ndarray, handles: np.ndarray) -> None:
        """`handles` (V,) bool: where values are given; every connected piece of the surface needs some."""
        stiffness, mass = laplacian(vertices, faces)
        energy = (stiffness @ sp.diags(1 / mass) @ stiffness).tocsr()
        self.handles, self.free = np.flatnonzero(handles), np.flatnonzero(~handles)
        rows = energy[self.free]
        self._coupling = rows[:, self.handles]
        self._mass = mass
        inner = rows[:, self.free].tocsc()
        # A trace of stiffness keeps vertices without any handle in reach (loose triangles) solvable.
        inner = inner + sp.diags(np.full(len(self.free), 1e-12 * inner.diagonal().mean()))
        self._factor = splu(
            inner.tocsc(), permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True}
        )

    def solve(self, values: np.ndarray, load: np.ndarray | None = None) -> np.ndarray:
        """(V, k) fields that equal `values` (V, k) at the handles; `load` (V, k) pushes the rest, per unit of area."""
        field = values.copy()
        right = -(self._coupling @ values[self.handles])
        if load is not None:
            right += (load * self._mass[:, None])[self.free]
        field[self.free] = 0
        some = right.any(0)
        field[np.ix_(self.free, some)] = self._factor.solve(np.asfortranarray(right[:, some]))
        return field
