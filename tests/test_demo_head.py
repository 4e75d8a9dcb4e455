"""The demo head's file: sound topology, symmetry, landmarks, and a mouth whose inside stays inside."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from kmtalk_core.delivery.raster import rasterise
from kmtalk_core.files import load_npz
from tools.demo_head.assemble import demo_head

ASSET = Path(__file__).resolve().parents[1] / "kmtalk_core" / "assets" / "demo_head.npz"
RIGHT_TO_LEFT = {
    **{i: 16 - i for i in range(8)}, **{17 + i: 26 - i for i in range(5)}, 31: 35, 32: 34,
    36: 45, 37: 44, 38: 43, 39: 42, 40: 47, 41: 46,
    48: 54, 49: 53, 50: 52, 59: 55, 58: 56, 60: 64, 61: 63, 67: 65,
}  # fmt: skip
MM = 1e-3


@pytest.fixture(scope="module")
def head() -> dict[str, np.ndarray]:
    return load_npz(ASSET)


def part(head: dict[str, np.ndarray], name: str) -> tuple[np.ndarray, np.ndarray]:
    """Vertex indices and triangles (whole-mesh indices) of one component."""
    number = [str(n) for n in head["component_names"]].index(name)
    f = head["faces"]
    quads = f[f[:, 3] >= 0]
    triangles = np.vstack([f[f[:, 3] < 0][:, :3], quads[:, :3], quads[:, [0, 2, 3]]])
    return np.flatnonzero(head["components"] == number), triangles[head["components"][triangles[:, 0]] == number]


def directed_edges(head: dict[str, np.ndarray], name: str) -> list[tuple[int, int]]:
    number = [str(n) for n in head["component_names"]].index(name)
    edges = []
    for face in head["faces"]:
        loop = [int(i) for i in face if i >= 0]
        if head["components"][loop[0]] == number:
            edges += list(zip(loop, loop[1:] + loop[:1], strict=True))
    return edges


def boundary_loops(edges: list[tuple[int, int]]) -> list[np.ndarray]:
    """The vertices of each loop of edges that only one face uses."""
    present = set(edges)
    rim = np.array([e for e in edges if (e[1], e[0]) not in present]).reshape(-1, 2)
    if not len(rim):
        return []
    count = rim.max() + 1
    _, label = connected_components(sparse.coo_matrix((np.ones(len(rim)), rim.T), shape=(count, count)), directed=False)
    return [np.unique(rim[label[rim[:, 0]] == k]) for k in np.unique(label[rim[:, 0]])]


def solid_angle(point: np.ndarray, corners: np.ndarray) -> float:
    """How much of all directions triangles (N, 3, 3) cover as seen from `point`: 1 inside a closed outward surface."""
    a, b, c = np.moveaxis(corners - point, 1, 0)
    la, lb, lc = (np.linalg.norm(v, axis=1) for v in (a, b, c))
    triple = np.einsum("ij,ij->i", a, np.cross(b, c))
    dots = la * lb * lc + (a * b).sum(1) * lc + (b * c).sum(1) * la + (c * a).sum(1) * lb
    return float(2 * np.arctan2(triple, dots).sum() / (4 * np.pi))


def test_shapes_types_and_size(head):
    count, faces = len(head["vertices"]), head["faces"]
    assert 5_000 <= count <= 15_000
    assert head["vertices"].dtype == np.float32 and faces.dtype == np.int32 and faces.shape[1] == 4
    assert faces[:, :3].min() == 0 and faces.max() == count - 1  # no vertex left over at the end
    assert len(np.unique(faces[faces >= 0])) == count
    assert head["material_index"].shape == (len(faces),) and head["landmarks"].shape == (68,)
    assert set(head["material_index"]) == set(range(len(head["material_names"])))
    assert {"face", "eye_left", "eye_right", "teeth_upper", "teeth_lower", "tongue", "brow_left", "hair"} <= set(
        head["component_names"]
    )


def test_components_are_the_connected_pieces(head):
    faces, count = head["faces"], len(head["vertices"])
    pairs = np.vstack([faces[:, [0, 1]], faces[:, [1, 2]], faces[faces[:, 3] >= 0][:, [2, 3]]])
    graph = sparse.coo_matrix((np.ones(len(pairs)), pairs.T), shape=(count, count))
    number, label = connected_components(graph, directed=False)
    assert number == len(head["component_names"])
    assert len(set(zip(label, head["components"], strict=True))) == number


@pytest.mark.parametrize("name", load_npz(ASSET)["component_names"])
def test_manifold_with_consistent_winding(head, name):
    edges = directed_edges(head, name)
    assert len(edges) == len(set(edges))  # no edge twice in the same direction


@pytest.mark.parametrize(
    "name", ["eye_left", "eye_right", "teeth_upper", "teeth_lower", "tongue", "brow_left", "brow_right"]
)
def test_solid_parts_are_closed_and_face_outwards(head, name):
    assert not boundary_loops(directed_edges(head, name))
    _, triangles = part(head, name)
    a, b, c = np.moveaxis(head["vertices"][triangles].astype(float), 1, 0)
    assert np.einsum("ij,ij->i", a, np.cross(b, c)).sum() > 0


def test_face_is_open_at_the_neck_and_behind_the_lids_only(head):
    loops = boundary_loops(directed_edges(head, "face"))
    lowest = sorted(float(head["vertices"][loop, 1].mean()) for loop in loops)
    assert len(loops) == 3 and lowest[0] < -0.15 and lowest[1] == pytest.approx(0, abs=0.01)


def test_face_is_mirror_symmetric(head):
    vertices, _ = part(head, "face")
    points = head["vertices"][vertices]
    own = {tuple(p) for p in points}
    assert all((-x + 0.0, y, z) in own for x, y, z in points)


def test_landmarks_are_symmetric_ordered_and_on_the_face(head):
    face = [str(n) for n in head["component_names"]].index("face")
    assert (head["components"][head["landmarks"]] == face).all() and len(set(head["landmarks"])) == 68
    p = head["vertices"][head["landmarks"]]
    for right, left in RIGHT_TO_LEFT.items():
        np.testing.assert_array_equal(p[right] * (-1, 1, 1), p[left])
    assert np.abs(p[[8, 27, 28, 29, 30, 33, 51, 57, 62, 66], 0]).max() == 0
    assert (np.diff(p[0:17, 0]) > 0)[2:14].all() and p[0, 0] < 0  # from the person's right to the left
    for row in (range(17, 27), range(31, 36), range(36, 40), range(42, 46), range(48, 55), range(60, 65)):
        assert (np.diff(p[list(row), 0]) > 0).all()
    assert (np.diff(p[27:31, 1]) < 0).all() and p[30, 2] == p[:, 2].max()  # the nose's tip is foremost
    assert p[51, 1] > p[62, 1] > p[66, 1] > p[57, 1] and p[43, 1] > p[42, 1] > p[47, 1]
    assert 0.12 < p[[19, 24], 1].mean() - p[8, 1] < 0.145  # brow to chin, m


def test_lips_nearly_touch(head):
    p = head["vertices"][head["landmarks"]].astype(float)
    for upper, lower in ((61, 67), (62, 66), (63, 65)):
        assert 0 <= p[upper, 1] - p[lower, 1] <= 0.3 * MM
        assert np.linalg.norm((p[upper] - p[lower])[[0, 2]]) < 0.05 * MM


@pytest.mark.parametrize("name", ["teeth_upper", "teeth_lower", "tongue"])
def test_teeth_and_tongue_are_inside_the_mouth(head, name):
    """The face winds once round a point in the flesh, and not round one in the mouth bag or in front of the lips."""
    vertices, _ = part(head, name)
    _, triangles = part(head, "face")
    corners = head["vertices"][triangles].astype(float)
    for point in head["vertices"][vertices[::3]].astype(float):
        assert abs(solid_angle(point, corners)) < 0.45, f"{name} pokes into the flesh at {point / MM} mm"
        assert point[2] < head["vertices"][head["landmarks"][62], 2]


def test_mouth_bag_stays_under_the_skin(head):
    names = [str(n) for n in head["material_names"]]

    def of(material: str) -> np.ndarray:
        vertices = np.unique(head["faces"][head["material_index"] == names.index(material)])
        return vertices[vertices >= 0]

    _, triangles = part(head, "face")
    points = head["vertices"].astype(float)
    normals = np.zeros_like(points)
    for corner in range(3):
        a, b, c = np.moveaxis(points[triangles], 1, 0)
        np.add.at(normals, triangles[:, corner], np.cross(b - a, c - a))
    skin, bag = of("skin"), np.setdiff1d(of("mouth"), of("lips"))
    _, nearest = cKDTree(points[skin]).query(points[bag])
    outward = normals[skin[nearest]] / np.linalg.norm(normals[skin[nearest]], axis=1, keepdims=True)
    assert ((points[bag] - points[skin[nearest]]) * outward).sum(axis=1).max() < -3 * MM


def test_nothing_folds_over_around_the_nostrils(head):
    """Neighbouring faces turn from each other as skin does round an opening, and nowhere back over themselves."""
    points, names = head["vertices"].astype(float), [str(n) for n in head["material_names"]]
    inside = np.unique(head["faces"][head["material_index"] == names.index("nostril")])
    near = np.flatnonzero(np.isin(head["faces"], inside[inside >= 0]).any(axis=1))
    normals, beside = {}, {}
    for face in near:
        loop = [int(i) for i in head["faces"][face] if i >= 0]
        corners = points[loop] - points[loop].mean(axis=0)
        normal = np.cross(corners, np.roll(corners, -1, axis=0)).sum(axis=0)
        normals[face] = normal / np.linalg.norm(normal)
        for edge in zip(loop, loop[1:] + loop[:1], strict=True):
            beside.setdefault(frozenset(edge), []).append(face)
    pairs = [pair for pair in beside.values() if len(pair) == 2]
    assert len(pairs) > 60
    assert min(float(normals[a] @ normals[b]) for a, b in pairs) > -0.5


def test_back_teeth_leave_the_corners_of_the_mouth_dark(head):
    corner = float(head["vertices"][head["landmarks"][64], 0])
    for name in ("teeth_upper", "teeth_lower"):
        vertices, _ = part(head, name)
        assert np.abs(head["vertices"][vertices, 0]).max() < corner - 1.5 * MM


def test_lids_lie_on_the_eyeballs(head):
    for eye, lids in (("eye_left", range(42, 48)), ("eye_right", range(36, 42))):
        ball = head["vertices"][part(head, eye)[0]].astype(float)
        centre = (ball.min(axis=0) + ball.max(axis=0)) / 2
        radius = np.linalg.norm(ball - centre, axis=1)
        assert np.ptp(radius) < 0.1 * MM
        off = np.linalg.norm(head["vertices"][head["landmarks"][list(lids)]] - centre, axis=1) - radius.mean()
        assert (off > 0.5 * MM).all() and (off < 3.5 * MM).all()


def test_the_generator_makes_this_file(head):
    made = demo_head()
    assert list(made) == list(head)
    for name, array in made.items():
        if name == "vertices":
            np.testing.assert_allclose(array, head[name], atol=1e-6)  # m; the last bits differ between machines
        else:
            np.testing.assert_array_equal(array, head[name])


@pytest.mark.parametrize(("yaw", "pitch"), [(0, 0), (0, -30), (35, 0), (60, 0), (90, 0), (90, 25), (120, 0)])
def test_no_surface_is_seen_from_behind(head, yaw, pitch):
    """Where a part pokes through another or a strip folds, its back is nearest: dark or white shards in a picture."""
    faces = head["faces"]
    triangles = np.vstack([faces[:, :3], faces[faces[:, 3] >= 0][:, [0, 2, 3]]])
    turn, tilt = np.radians((yaw, pitch))
    away = np.array([np.sin(turn) * np.cos(tilt), np.sin(tilt), np.cos(turn) * np.cos(tilt)])
    right = np.array([np.cos(turn), 0, -np.sin(turn)])
    points = head["vertices"] - np.array([0, -0.02, 0.02])
    screen = np.stack([points @ right, -points @ np.cross(away, right), 1 + points @ away], axis=1)
    screen = (screen * (2500, 2500, 1) + (400, 400, 0)).astype(np.float32)
    seen = rasterise(screen[np.vstack([triangles, triangles[:, ::-1]])], (800, 800))
    backs = seen.triangle >= len(triangles)
    assert len(backs) > 100_000 and backs.mean() < 2e-4
