"""Mesh files: what is read, and what is refused in one sentence."""

import struct

import numpy as np
import pytest

from kmtalk_core.errors import InputError
from kmtalk_core.rig.mesh import Mesh, load_mesh

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


@pytest.mark.parametrize("wrong", [np.full(68, 5), np.full(67, 0), np.full(68, -1)])
def test_landmarks_outside_the_mesh_are_refused(wrong):
    with pytest.raises(InputError, match="68 vertex numbers"):
        Mesh(np.array(POINTS), np.array([[0, 1, 2]]), landmarks=wrong)
