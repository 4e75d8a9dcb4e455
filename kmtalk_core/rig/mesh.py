"""Triangle meshes and their files: .ply (ASCII and binary), .obj and .npz."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..files import load_npz

PLY_TYPES = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "i2", "int16": "i2", "ushort": "u2",
    "uint16": "u2", "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4", "float": "f4", "float32": "f4",
    "double": "f8", "float64": "f8",
}  # fmt: skip


@dataclass(frozen=True)
class Mesh:
    """A head: `vertices` (V, 3) float64 in any unit, axes and pose; `faces` (F, 3) int, triangles.

    Optional: `components` (V,) int, the part that each vertex belongs to, named by `component_names`;
    `landmarks` (68,) int, the vertex of each iBUG-68 landmark.
    """

    vertices: np.ndarray
    faces: np.ndarray
    components: np.ndarray | None = None
    component_names: tuple[str, ...] | None = None
    landmarks: np.ndarray | None = None

    def __post_init__(self) -> None:
        v, f = self.vertices, self.faces
        if v.ndim != 2 or v.shape[1:] != (3,) or f.ndim != 2 or f.shape[1:] != (3,):
            raise InputError("A mesh needs vertices of shape (V, 3) and triangles of shape (F, 3).")
        if not len(v) or not len(f):
            raise InputError("The mesh has no faces; export it as a surface, not as points or curves.")
        if not np.isfinite(v).all():
            raise InputError("The mesh has vertices that are NaN or infinite; clean it up and export it again.")
        if f.min() < 0 or f.max() >= len(v):
            raise InputError(f"A face of the mesh names a vertex outside 0…{len(v) - 1}; export the mesh again.")
        if self.components is not None and self.components.shape != (len(v),):
            raise InputError("`components` of a mesh needs one number for each vertex.")
        if self.components is not None and self.component_names is not None:
            used = np.unique(self.components)
            if used[0] < 0 or used[-1] >= len(self.component_names):
                raise InputError("`components` of the mesh uses a number that `component_names` does not name.")
        marks = self.landmarks
        if marks is not None and (marks.shape != (68,) or marks.min() < 0 or marks.max() >= len(v)):
            raise InputError(f"`landmarks` of a mesh needs 68 vertex numbers within 0…{len(v) - 1}.")


def load_mesh(path: str | os.PathLike[str]) -> Mesh:
    """Read a mesh; polygons become triangles. Raises InputError for anything that is not a usable mesh."""
    path = Path(path)
    reader = {".ply": _read_ply, ".obj": _read_obj, ".npz": _read_npz}.get(path.suffix.lower())
    if reader is None:
        raise InputError(f"{path} is not a mesh that can be read; use a .ply, .obj or .npz file.")
    if not path.is_file():
        raise InputError(f"There is no file {path}; check the path.")
    try:
        return reader(path)
    except InputError as error:
        raise error if str(path) in str(error) else InputError(f"{path}: {error}") from None
    except (ValueError, IndexError, KeyError, TypeError, OverflowError, OSError):
        raise InputError(f"{path} is damaged or not a {path.suffix} mesh; export it again.") from None


def triangulate(polygons: np.ndarray) -> np.ndarray:
    """(F, n) polygons, padded at their end with -1, → (F', 3) triangles fanned about each polygon's first vertex."""
    fans = np.stack([polygons[:, [0, k, k + 1]] for k in range(1, polygons.shape[1] - 1)], axis=1).reshape(-1, 3)
    return fans[fans[:, 2] != -1].astype(np.int64)


def _padded(polygons: list[list[int]]) -> np.ndarray:
    polygons = [p for p in polygons if len(p) >= 3]
    width = max((len(p) for p in polygons), default=3)
    return np.array([p + [-1] * (width - len(p)) for p in polygons], dtype=np.int64).reshape(-1, width)


def _read_npz(path: Path) -> Mesh:
    z = load_npz(path)
    if "vertices" not in z or "faces" not in z:
        raise InputError(f"{path} is no mesh; it needs the arrays vertices (V, 3) and faces (F, 3) or (F, 4).")
    names = z.get("component_names")
    return Mesh(
        z["vertices"].astype(np.float64),
        triangulate(z["faces"].astype(np.int64)),
        z["components"].astype(np.int64) if "components" in z else None,
        None if names is None else tuple(str(n) for n in names),
        z["landmarks"].astype(np.int64) if "landmarks" in z else None,
    )


def _read_obj(path: Path) -> Mesh:
    vertices: list[list[float]] = []
    polygons: list[list[int]] = []
    for line in path.read_text(encoding="utf-8", errors="replace").replace("\\\n", " ").splitlines():
        words = line.split()
        if words and words[0] == "v":
            vertices.append([float(x) for x in words[1:4]])
        elif words and words[0] == "f":
            numbers = [int(w.split("/")[0]) for w in words[1:]]
            if 0 in numbers:
                raise ValueError("OBJ counts from 1")
            polygons.append([n - 1 if n > 0 else len(vertices) + n for n in numbers])
    if any(n < 0 for polygon in polygons for n in polygon):
        raise ValueError("a relative index before the first vertex")
    return Mesh(np.array(vertices, dtype=np.float64).reshape(-1, 3), triangulate(_padded(polygons)))


def _read_ply(path: Path) -> Mesh:
    data = path.read_bytes()
    head, end, body = data.partition(b"end_header")
    if not end or not head.startswith(b"ply"):
        raise ValueError("no PLY header")
    body = body[2:] if body.startswith(b"\r\n") else body[1:]
    style = ""
    # Each element: name, count, and its properties as (name, type, type of a list's length or "").
    elements: list[tuple[str, int, list[tuple[str, str, str]]]] = []
    for words in (line.split() for line in head.decode("ascii", "replace").splitlines()):
        match words:
            case ["format", kind, *_]:
                style = {"ascii": "ascii", "binary_little_endian": "<", "binary_big_endian": ">"}[kind]
            case ["element", name, count]:
                elements.append((name, int(count), []))
            case ["property", "list", length, kind, name]:
                elements[-1][2].append((name, PLY_TYPES[kind], PLY_TYPES[length]))
            case ["property", kind, name]:
                elements[-1][2].append((name, PLY_TYPES[kind], ""))
    read = _ascii_reader(body) if style == "ascii" else _binary_reader(body, style)
    found = {name: read(count, properties) for name, count, properties in elements}
    faces = found.get("face", {})
    polygons = faces.get("vertex_indices", faces.get("vertex_index", []))
    if isinstance(polygons, list) or not len(polygons):
        polygons = _padded([[int(n) for n in p] for p in polygons])
    vertex = found["vertex"]
    return Mesh(
        np.stack([np.asarray(vertex[axis], dtype=np.float64) for axis in "xyz"], axis=1),
        triangulate(polygons.astype(np.int64)),
    )


def _ascii_reader(body: bytes):
    words = body.split()
    at = 0

    def read(count: int, properties: list[tuple[str, str, str]]) -> dict[str, list]:
        nonlocal at
        columns: dict[str, list] = {name: [] for name, _, _ in properties}
        for _ in range(count):
            for name, _kind, length in properties:
                if length:
                    n = int(words[at])
                    columns[name].append([float(w) for w in words[at + 1 : at + 1 + n]])
                    if len(columns[name][-1]) != n:
                        raise ValueError("the file ends early")
                    at += 1 + n
                else:
                    columns[name].append(float(words[at]))
                    at += 1
        return columns

    return read


def _binary_reader(body: bytes, order: str):
    at = 0

    def read(count: int, properties: list[tuple[str, str, str]]) -> dict:
        nonlocal at
        # Fast where every list has the length of the first one (all triangles or all quads); else one row at a time.
        fields, lengths = [], []
        offset = at
        for name, kind, length in properties:
            if length and count:
                n = int(np.frombuffer(body, order + length, 1, offset)[0])
                fields += [(f"#{name}", order + length), (name, order + kind, (n,))]
                lengths.append((f"#{name}", n))
                offset += np.dtype(length).itemsize + n * np.dtype(kind).itemsize
            else:
                fields.append((name, order + kind))
                offset += np.dtype(kind).itemsize
        row = np.dtype(fields)
        if at + count * row.itemsize <= len(body):
            table = np.frombuffer(body, row, count, at)
            if all((table[name] == n).all() for name, n in lengths):
                at += count * row.itemsize
                return {name: table[name] for name, _, _ in properties}
        if not lengths:
            raise ValueError("the file ends early")
        columns: dict[str, list] = {name: [] for name, _, _ in properties}
        for _ in range(count):
            for name, kind, length in properties:
                n = int(np.frombuffer(body, order + length, 1, at)[0]) if length else 1
                at += np.dtype(length).itemsize if length else 0
                values = np.frombuffer(body, order + kind, n, at)
                at += values.nbytes
                columns[name].append(values if length else values[0])
        return columns

    return read
