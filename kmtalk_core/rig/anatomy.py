"""What is where on a head: the skin with its lips, lids, mouth bag and sockets, and the parts beside it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components, dijkstra
from scipy.spatial import cKDTree

from ..easing import smoothstep
from ..errors import InputError
from .frame import HeadFrame, head_frame
from .mesh import Mesh
from .surface import contour, distance_from, edge_graph, enclosed, vertex_normals, welded

RIGHT_EYE, LEFT_EYE = (36, 37, 38, 39, 40, 41), (45, 44, 43, 42, 47, 46)  # outer corner, upper lid, inner, lower lid

SYMMETRIC_MM = 0.05
NOTCH = 0.12  # of an opening's width: how far from a corner its two edges may be one


@dataclass(frozen=True)
class Rim:
    """An opening's edge, upper and lower contour between the same two corners, as vertices of the skin."""

    upper: np.ndarray
    lower: np.ndarray

    @property
    def loop(self) -> np.ndarray:
        return np.unique(np.concatenate([self.upper, self.lower]))


@dataclass(frozen=True)
class Eye:
    """An eye, in mm: `centre` (3,), `radius` to the front of the cornea, the lids' `rim`; `left` the person's.

    `socket` (k,) is the skin behind the rim, `depth` (k,) how far behind, `source` (k,) the rim's vertex nearest to it.
    """

    centre: np.ndarray
    radius: float
    rim: Rim
    socket: np.ndarray
    depth: np.ndarray
    source: np.ndarray
    left: bool


@dataclass(frozen=True)
class Part:
    """A component beside the skin: its `vertices` and its `role`.

    Roles: eye_left, eye_right, teeth_upper, teeth_lower, tongue, skull (doesn't move), attached (follows the skin
    next to it).
    """

    vertices: np.ndarray
    role: str


@dataclass(frozen=True)
class Anatomy:
    """The skin is the welded component that carries the landmarks; indices are its own unless said otherwise."""

    frame: HeadFrame
    points: np.ndarray  # (V, 3) mm, all vertices of the mesh
    skin_of: np.ndarray  # (V,) index into the skin, -1 for the other parts
    vertex_of: np.ndarray  # (n,) a vertex of the mesh for each of the skin
    skin: np.ndarray  # (n, 3) mm
    mirror: np.ndarray | None  # (n,) the mirrored partner of each vertex, if the skin is symmetric
    faces: np.ndarray  # (f, 3) of the skin
    neighbours: sp.csr_matrix  # (n, n), 1 where an edge joins two vertices
    marks: np.ndarray  # (68,)
    lips_inner: Rim
    lips_outer: Rim
    eyes: tuple[Eye, Eye]  # right, left
    bag_depth: np.ndarray  # (n,) mm along the surface behind the inner lips, 0 outside the mouth
    bag_lower: np.ndarray  # (n,) 0 on the roof of the mouth bag, 1 on its floor
    still: np.ndarray  # (n,) bool: scalp, ears, neck, body
    parts: tuple[Part, ...]

    @property
    def p(self) -> np.ndarray:
        """(68, 3) the landmarks in mm."""
        return self.skin[self.marks]

    @property
    def outer(self) -> np.ndarray:
        """(n,) bool: the skin that is seen, without mouth bag and eye sockets."""
        mask = self.bag_depth == 0
        mask[np.concatenate([eye.socket for eye in self.eyes])] = False
        return mask


def study(mesh: Mesh, landmarks: np.ndarray) -> Anatomy:
    """Find everything the rig needs; raises InputError where the landmarks or the mesh do not allow it."""
    frame = head_frame(mesh.vertices[landmarks])
    points = frame.to_frame(mesh.vertices)
    same = welded(points, mesh.faces, 1e-4)
    graph = edge_graph(points, same[mesh.faces])
    _, label = connected_components(graph, directed=False)
    label = label[same]
    skin_label = label[landmarks[48]]
    if (label[landmarks] != skin_label).any():
        stray = int(np.flatnonzero(label[landmarks] != skin_label)[0])
        raise InputError(
            f"Landmark {stray} lies on another part of the mesh than the mouth; pick all 68 on the face's skin."
        )
    inside = label == skin_label
    own = np.flatnonzero(inside & (same == np.arange(len(same))))
    index = np.full(len(points), -1)
    index[own] = np.arange(len(own))
    skin_of = np.where(inside, index[same], -1)
    faces = skin_of[mesh.faces]
    faces = faces[(faces >= 0).all(1)]
    faces = faces[(faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])]
    skin, marks = points[own], skin_of[landmarks]
    if len(np.unique(marks)) < 68:
        raise InputError("Two landmarks are at the same vertex; pick 68 different ones.")
    if vertex_normals(skin, faces)[marks[:60], 2].sum() < 0:  # inside out, as mirrored files are
        faces = faces[:, ::-1]
    around = edge_graph(skin, faces)
    nose = int(marks[30])

    def rim(*stops: int) -> Rim:
        half = len(stops) // 2
        above, below = marks[list(stops[: half + 1])], marks[[stops[0], *stops[: half - 1 : -1]]]
        upper, lower = _parted(contour(around, skin, above), contour(around, skin, below), skin)
        if _meet(upper, lower):  # the surest way along the edges is the same one for both: each on its own
            try:
                upper = contour(_without(around, below[1:-1]), skin, above)
                lower = contour(_without(around, upper[1:-1]), skin, below)
            except InputError:
                raise InputError(
                    "The upper and lower rim of the mouth or of an eye meet in between; pick them again."
                ) from None
        return Rim(upper, lower)

    inner = rim(60, 61, 62, 63, 64, 65, 66, 67)
    outer = rim(48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59)
    lids = rim(*RIGHT_EYE), rim(*LEFT_EYE)
    bag = enclosed(around, inner.loop, nose)
    to_upper, to_lower = distance_from(around, inner.upper), distance_from(around, inner.lower)
    parts = _parts(mesh, points, label, skin_label, skin[marks])

    def eye(lid: Rim, left: bool) -> Eye:
        socket = np.flatnonzero(enclosed(around, lid.loop, nose))
        depth, _, source = dijkstra(around, indices=lid.loop, min_only=True, return_predecessors=True)
        centre, radius = _eyeball(points, parts, skin[lid.loop], left)
        return Eye(centre, radius, lid, socket, depth[socket], source[socket], left)

    return Anatomy(
        frame=frame, points=points, skin_of=skin_of, vertex_of=own,
        skin=skin, faces=faces, mirror=_mirror(skin, faces), neighbours=around.sign(), marks=marks,
        lips_inner=inner, lips_outer=outer,
        eyes=(eye(lids[0], False), eye(lids[1], True)),
        bag_depth=np.where(bag, np.minimum(to_upper, to_lower), 0.0),
        bag_lower=smoothstep(to_upper / np.maximum(to_upper + to_lower, 1e-9)),
        still=_still(skin, skin[marks]) & ~bag,
        parts=parts,
    )  # fmt: skip


def _parted(upper: np.ndarray, lower: np.ndarray, skin: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both paths between the last vertex near one corner and the first near the other that belong to both.

    A corner that is a notch, or lies beyond the opening's own, belongs to both up to where they part.
    """
    _, up, low = np.intersect1d(upper, lower, return_indices=True)
    ends = skin[upper[[0, -1]]]
    near = np.linalg.norm(skin[upper[up]] - ends[:, None], axis=2) < NOTCH * np.linalg.norm(ends[1] - ends[0])
    a, b = (np.flatnonzero(some) for some in near)
    first, last = a[(up + low)[a].argmax()], b[(up + low)[b].argmin()]
    cut = upper[up[first] : up[last] + 1], lower[low[first] : low[last] + 1]
    return cut if min(len(path) for path in cut) > 2 else (upper, lower)


def _meet(upper: np.ndarray, lower: np.ndarray) -> bool:
    return bool(np.isin(upper[1:-1], lower[1:-1]).any())


def _without(graph: sp.csr_matrix, vertices: np.ndarray) -> sp.csr_matrix:
    """The edges of `graph` but those of `vertices`."""
    keep = np.ones(graph.shape[0])
    keep[vertices] = 0.0
    left = (sp.diags(keep) @ graph @ sp.diags(keep)).tocsr()
    left.eliminate_zeros()
    return left


def _still(skin: np.ndarray, p: np.ndarray) -> np.ndarray:
    """(n,) bool: what no expression reaches, by planes set from the landmarks."""
    height = p[27, 1] - p[8, 1]
    y, z = skin[:, 1], skin[:, 2]
    ears, brows, chin = p[[0, 16], 2].mean(), p[17:27, 1].mean(), p[8]
    behind = z < ears - 0.02 * height
    scalp = y > brows + 0.40 * height
    # The temples, behind the tails of the brows; the cheeks below them move.
    temples = (y > p[[36, 45], 1].mean() + 0.05 * height) & (z < p[[17, 26], 2].mean() - 0.18 * height)
    below = y < chin[1] - 0.28 * height
    neck = (y < p[[4, 12], 1].mean() - 0.12 * height) & (z < p[[5, 11], 2].mean() - 0.18 * height)
    return behind | scalp | temples | below | neck


def _mirror(skin: np.ndarray, faces: np.ndarray) -> np.ndarray | None:
    """(n,) each vertex's partner across the middle plane; None unless all have one."""
    # With a little of the normals, so that touching lips are told apart.
    oriented = np.hstack([skin, 0.1 * vertex_normals(skin, faces)])
    _, partner = cKDTree(oriented).query(oriented * [-1, 1, 1, -1, 1, 1])
    off = np.abs(skin[partner] * [-1, 1, 1] - skin).max()
    if off > SYMMETRIC_MM or (partner[partner] != np.arange(len(skin))).any():
        return None
    return partner


def _sphere_centre(points: np.ndarray) -> np.ndarray:
    solution, *_ = np.linalg.lstsq(np.column_stack([2 * points, np.ones(len(points))]), (points**2).sum(1), rcond=None)
    return solution[:3]


def _eyeball(points: np.ndarray, parts: tuple[Part, ...], edge: np.ndarray, left: bool) -> tuple[np.ndarray, float]:
    """Centre and largest radius; where the mesh has no eyeball, the sphere on which its lids would slide."""
    role = "eye_left" if left else "eye_right"
    balls = [points[part.vertices] for part in parts if part.role == role]
    if balls:
        # Of nested shells (sclera, cornea, iris), the widest is the ball.
        ball = max(balls, key=lambda b: float(np.ptp(b, axis=0).min()))
        centre = _sphere_centre(ball)
        return centre, max(float(np.linalg.norm(b - centre, axis=1).max()) for b in balls)
    centre = edge.mean(0) - [0, 0, 0.43 * np.ptp(edge[:, 0])]
    return centre, float(np.linalg.norm(edge - centre, axis=1).min()) - 0.5


def _parts(mesh: Mesh, points: np.ndarray, label: np.ndarray, skin_label: int, p: np.ndarray) -> tuple[Part, ...]:
    parts = []
    for k in np.unique(label[mesh.faces.ravel()]):
        if k == skin_label:
            continue
        member = np.flatnonzero(label == k)
        role = None
        if mesh.components is not None and mesh.component_names is not None:
            role = _role_by_name(mesh.component_names[int(mesh.components[member[0]])])
        parts.append(Part(member, role or _role_by_place(points[member], p)))
    return tuple(parts)


def _role_by_name(name: str) -> str | None:
    words = name.lower()
    left = "left" in words or words.endswith(("_l", ".l"))
    if any(w in words for w in ("brow", "lash", "beard", "moustache", "skin", "caruncle", "tear", "lacrimal")):
        return "attached"
    if "tongue" in words:
        return "tongue"
    if any(w in words for w in ("teeth", "tooth", "gum", "jaw")):
        return "teeth_lower" if any(w in words for w in ("lower", "bottom", "mandib")) else "teeth_upper"
    if any(w in words for w in ("eye", "iris", "pupil", "cornea", "sclera")):
        return "eye_left" if left else "eye_right" if "right" in words or words.endswith(("_r", ".r")) else None
    if any(w in words for w in ("hair", "ear", "cap", "hat", "glasses", "body", "neck", "scalp")):
        return "skull"
    return None


def _role_by_place(points: np.ndarray, p: np.ndarray) -> str:
    low, high = points.min(0), points.max(0)
    centre, extent = (low + high) / 2, high - low
    for role, eye in (("eye_right", p[list(RIGHT_EYE)]), ("eye_left", p[list(LEFT_EYE)])):
        width = np.linalg.norm(eye[0] - eye[3])
        middle = eye.mean(0)
        # A thin shell is a cornea or an iris if it is narrow, lashes if it is as wide as the eye.
        shell = extent[2] < 0.5 * width
        if (
            extent.max() < (0.6 if shell else 1.6) * width
            and np.linalg.norm(centre[:2] - middle[:2]) < 0.4 * width
            and middle[2] - width < centre[2] < middle[2] + 0.1 * width
            and centre[2] + 0.5 * extent[2] < middle[2] + 0.5 * width
        ):
            return role
    mouth, half = p[60:68].mean(0), abs(p[54, 0] - p[48, 0]) / 2
    if (
        abs(centre[0]) < 0.5 * half
        and abs(centre[1] - mouth[1]) < 1.2 * half
        and mouth[2] - 4 * half < centre[2] < p[[51, 57], 2].max()
        and extent.max() < 4 * half
    ):
        # A dental arch is hollow behind its front; the tongue is not.
        behind = points[:, 2] < high[2] - 0.35 * extent[2]
        if (
            behind.any()
            and (np.abs(points[behind, 0] - centre[0]) < 0.25 * extent[0]).mean() > 0.25
            and centre[1] < mouth[1] + 0.2 * half
        ):
            return "tongue"
        return "teeth_lower" if centre[1] < mouth[1] else "teeth_upper"
    return "attached"


def nearest_skin(anatomy: Anatomy, points: np.ndarray) -> tuple[sp.csr_matrix, np.ndarray]:
    """(k, n) weights that average the outer skin near each of `points` (k, 3) mm, and the distance (k,) to it."""
    outer = np.flatnonzero(anatomy.outer)
    distance, near = cKDTree(anatomy.skin[outer]).query(points, k=4)
    weight = 1 / np.maximum(distance, 0.1) ** 2
    weight /= weight.sum(1, keepdims=True)
    rows = np.repeat(np.arange(len(points)), 4)
    return sp.csr_matrix(
        (weight.ravel(), (rows, outer[near].ravel())), shape=(len(points), len(anatomy.skin))
    ), distance[:, 0]
