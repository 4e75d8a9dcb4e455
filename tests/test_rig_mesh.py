"""Mesh files: what is read, and what is refused in one sentence."""

import struct

import numpy as np
import pytest

from kmtalk_core.errors import InputError
from kmtalk_core.rig.mesh import Mesh, load_mesh, triangles_of

POINTS = [(0.0, 0.0, 0.0), (1.0, 0.0, 0.0), (1.0, 1.0, 0.0), (0.0, 1.0, 0.0), (0.5, 0.5, 1.0)]
POLYGONS = [(0, 1, 2, 3), (0, 1, 4), (2, 3, 4)]
TRIANGLES = {(0, 1, 2), (0, 2, 3), (0, 1, 4), (2, 3, 4)}


def ply(kind: str, points=POINTS, polygons=POLYGONS, extra: str = "") -> bytes:
    """A PLY file with a colour at each vertex, which the reader must step over."""
    head = (
        f"ply\nformat {kind} 1.0\ncomment made by hand\nelement vertex {len(points)}\n"
        "property float x\nproperty float y\nproperty float z\nproperty uchar red\n"
        f"element face {len(polygons)}\nproperty list uchar int vertex_indices\n{extra}end_header\n"
    ).encode()
    if kind == "ascii":
        rows = [f"{x} {y} {z} 255" for x, y, z in points] + [f"{len(p)} {' '.join(map(str, p))}" for p in polygons]
        return head + "\n".join(rows).encode() + b"\n"
    order = "<" if "little" in kind else ">"
    body = b"".join(struct.pack(order + "3fB", *p, 255) for p in points)
    return head + body + b"".join(struct.pack(f"{order}B{len(p)}i", len(p), *p) for p in polygons)


def triangles(mesh: Mesh) -> set[tuple[int, ...]]:
    return {tuple(int(n) for n in face) for face in mesh.faces}


@pytest.mark.parametrize("kind", ["ascii", "binary_little_endian", "binary_big_endian"])
@pytest.mark.parametrize("polygons", [POLYGONS, sorted(TRIANGLES)], ids=["mixed", "triangles"])
def test_ply_of_every_kind_is_read(tmp_path, kind, polygons):
    path = tmp_path / "head.ply"
    path.write_bytes(ply(kind, polygons=polygons))
    mesh = load_mesh(path)
    assert np.allclose(mesh.vertices, POINTS) and mesh.vertices.dtype == np.float64
    assert triangles(mesh) == TRIANGLES


def test_obj_with_textures_quads_and_relative_numbers_is_read(tmp_path):
    path = tmp_path / "head.obj"
    lines = [f"v {x} {y} {z}" for x, y, z in POINTS]
    path.write_text("\n".join(["# head", *lines, "vt 0 0", "f 1/1/1 2/1 3//1 4", "f -5 -4 -1", "f 3 4 5", "l 1 2"]))
    mesh = load_mesh(path)
    assert np.allclose(mesh.vertices, POINTS) and triangles(mesh) == TRIANGLES


QUAD = "v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\n"


@pytest.mark.parametrize(
    "text",
    [
        QUAD + "f 1 2 3 4 # skin\n",
        QUAD + "f 1 2 3 4# skin\n",
        "\ufeff" + QUAD + "f 1 2 3 4\n",
        QUAD.replace("\n", "\r\n") + "f 1 2 \\\r\n3 4\r\n",
        QUAD.replace("\n", "\r") + "f 1 2 3 4\r",
        QUAD.replace("\n", " 0.5 0.25 1\n") + "f 1 2 3 4\n",  # colours
        QUAD.replace("\n", " 1.0 # a corner\n") + "f 1 2 3 4\n",  # weights
        QUAD + "f 1 1 2\nf 4 4 4\nf 1 2\nf\nf 1 2 3 4\n",  # empty faces
        QUAD + "f -4 -3 -2 -1\n",
        QUAD + "f 1/1 2/ 3//1 4/1/1\n",
        QUAD.replace(" ", "\t") + "\tf  1\t2 3   4  \n",
        "mtllib a.mtl\no head\ng a b\ns off\n" + QUAD + "vt 0 0\nvn 0 0 1\nvp 0.1 0.2\nusemtl skin\ncstype bezier\n"
        "deg 3\ncurv 0.0 1.0 1 2 3 4\nparm u 0.0 1.0\nend\nl 1 2\np 1\nf 1 2 3 4\ncall other.obj",
    ],
)
def test_unusual_obj_files_are_read_like_plain_ones(tmp_path, text):
    path = tmp_path / "head.obj"
    path.write_bytes(text.encode())
    mesh = load_mesh(path)
    assert mesh.vertices.tolist() == [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]]
    assert triangles(mesh) == {(0, 1, 2), (0, 2, 3)}


def test_unusual_ply_files_are_read(tmp_path):
    path = tmp_path / "head.ply"
    plain = ply("binary_little_endian")
    for content in (
        plain.replace(b"made by hand", b"end_header of another"),
        plain.replace(b"comment made", b"obj_info made"),
        plain.replace(b"end_header\n", b"element edge 0\nproperty int vertex1\nend_header\n"),
        b"\xef\xbb\xbf" + ply("ascii"),
        ply("ascii").replace(b"\n", b"\r\n"),
        plain.partition(b"end_header\n")[0].replace(b"\n", b"\r\n")
        + b"end_header\r\n"
        + plain.partition(b"end_header\n")[2],
    ):
        path.write_bytes(content)
        assert triangles(load_mesh(path)) == TRIANGLES


def test_large_polygons_cost_little_and_give_no_vertex_many_edges():
    for count in (9, 10, 1001, 100_000):
        faces = triangles_of(np.array([3, count]), np.arange(count + 3))
        assert len(faces) == 1 + count - 2 and np.bincount(faces[1:].ravel()).max() <= 4
        corner = np.column_stack([np.cos(a := np.linspace(0, 2 * np.pi, count, endpoint=False)), np.sin(a)])
        p = corner[faces[1:] - 3]
        turned = np.cross(p[:, 1] - p[:, 0], p[:, 2] - p[:, 0])
        assert (turned > 0).all()  # all the way round as the polygon
        area = count / 2 * np.sin(2 * np.pi / count)
        assert turned.sum() / 2 == pytest.approx(area, rel=1e-6)


def test_npz_keeps_components_names_and_landmarks(tmp_path):
    path = tmp_path / "head.npz"
    np.savez(
        path,
        vertices=np.array(POINTS, dtype=np.float32),
        faces=np.array([(0, 1, 2, 3), (0, 1, 4, -1), (2, 3, 4, -1)]),
        components=np.array([0, 0, 0, 0, 1]),
        component_names=np.array(["face", "eye_left"]),
        landmarks=np.arange(68) % 5,
        material_index=np.zeros(3),
    )
    mesh = load_mesh(path)
    assert triangles(mesh) == TRIANGLES
    assert mesh.component_names == ("face", "eye_left") and mesh.components.tolist() == [0, 0, 0, 0, 1]
    assert mesh.landmarks.shape == (68,)


NAN = [*POINTS[:4], (float("nan"), 0.0, 0.0)]


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("head.fbx", b"", "use a .ply, .obj or .npz file"),
        ("head.ply", b"no mesh at all", "damaged"),
        ("head.ply", ply("ascii")[:-30], "damaged"),
        ("head.ply", ply("binary_little_endian")[:-9], "damaged"),
        ("head.ply", ply("binary_little_endian", polygons=[]), "no faces"),
        ("head.ply", ply("ascii", points=NAN), "NaN"),
        ("head.ply", ply("binary_big_endian", polygons=[(0, 1, 7)]), "outside 0…4"),
        ("head.obj", b"v 0 0 0\nv 1 0 0\nv 0 1 0\n", "no faces"),
        ("head.obj", b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 4\n", "outside 0…2"),
        ("head.obj", b"v 0 0 0\nf 0 1 2\n", "damaged"),
        ("head.obj", b"v a b c\n", "damaged"),
        ("head.npz", b"PK nonsense", "not a readable .npz"),
        ("head.obj", QUAD.encode() + b"f 1 2 -9\n", "damaged"),
        ("head.obj", QUAD.replace("1 1 0", "1 inf 0").encode() + b"f 1 2 3\n", "NaN or infinite"),
        (
            "head.obj",
            QUAD.replace("1 1 0", "1 1e300 0").encode() + b"f 1 2 3\n",
            "no size, or reaches too far",
        ),
        ("head.obj", QUAD.replace("1", "1e-12").encode() + b"f 1 2 3\n", "no size, or reaches too far"),
        ("head.obj", QUAD.encode() + b"f 1 1 2\n", "no faces"),
        ("head.ply", b"ply\nformat ascii 1.0\nelement vertex 99999999999999\nend_header\n", "damaged"),
        ("head.ply", ply("binary_little_endian").replace(b"uchar int", b"char int ")[:-50] + b"\xff" * 50, "damaged"),
    ],
)
def test_unusable_files_are_refused_in_one_sentence(tmp_path, name, content, sentence):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError, match=sentence) as error:
        load_mesh(path)
    message = str(error.value)
    assert name in message and message.endswith(".") and "\n" not in message


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"no file .*nowhere\.obj"):
        load_mesh(tmp_path / "nowhere.obj")


def test_an_npz_without_a_mesh_says_what_it_needs(tmp_path):
    np.savez(tmp_path / "motion.npz", times=np.zeros(3))
    with pytest.raises(InputError, match="needs the arrays vertices"):
        load_mesh(tmp_path / "motion.npz")


def test_arrays_of_a_wrong_kind_are_refused(tmp_path):
    for arrays, sentence in (
        ({"faces": np.array([[0.0, 1.0, np.nan]])}, "faces has to be whole numbers"),
        ({"faces": np.array([0, 1, 2])}, "needs the arrays vertices"),
        ({"faces": np.array([[0, 1, 2]]), "vertices": np.array([["a", "b", "c"]])}, "needs the arrays vertices"),
        ({"faces": np.array([[0, 1, 2]]), "landmarks": np.zeros(68)}, "landmarks has to be whole numbers"),
    ):
        np.savez(tmp_path / "head.npz", **{"vertices": np.array(POINTS), **arrays})
        with pytest.raises(InputError, match=sentence):
            load_mesh(tmp_path / "head.npz")


@pytest.mark.parametrize("wrong", [np.full(68, 5), np.full(67, 0), np.full(68, -1)])
def test_landmarks_outside_the_mesh_are_refused(wrong):
    with pytest.raises(InputError, match="68 vertex numbers"):
        Mesh(np.array(POINTS), np.array([[0, 1, 2]]), landmarks=wrong)
