"""Triangle meshes and their files: .ply (ASCII and binary), .obj and .npz."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..files import load_npz

PLY_TYPES = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "i2", "int16": "i2", "ushort": "u2",
    "uint16": "u2", "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4", "float": "f4", "float32": "f4",
    "double": "f8", "float64": "f8",
}  # fmt: skip
HEADER = 1 << 20  # bytes within which the header of a .ply ends
LARGEST_FAN = 8  # corners
SMALLEST, FARTHEST = 1e-9, 1e12  # units: the size of a mesh, and how far from the origin it may lie


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
        if np.abs(v).max() > FARTHEST or np.ptp(v, axis=0).max() < SMALLEST:
            reach = float(np.abs(v).max())
            raise InputError(
                f"The mesh has no size, or reaches too far ({reach:g} units from its origin); scale it, or move it."
            )
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
    """Read a mesh; polygons become triangles, and those without an area by their indices are left out.

    Raises InputError for anything that is not a usable mesh.
    """
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
    except (ValueError, IndexError, KeyError, TypeError, OverflowError, OSError, MemoryError):
        raise InputError(f"{path} is damaged or not a {path.suffix} mesh; export it again.") from None


def triangulate(polygons: np.ndarray) -> np.ndarray:
    """(F, n) polygons, padded at their end with -1, → (F', 3) triangles; see `triangles_of`."""
    own = polygons != -1
    return triangles_of(own.sum(1), polygons[own])


def triangles_of(sizes: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Polygons of `sizes` (F,) corners each, one after the other in `corners` (sum,), → (F', 3) int64 triangles.

    Small polygons are fanned about their first vertex, large ones cut in zigzag, so that no vertex gets many edges.
    Triangles that name a vertex twice are left out.
    """
    sizes, corners = np.asarray(sizes, np.int64), np.asarray(corners, np.int64)
    starts = np.cumsum(sizes) - sizes
    counts = np.maximum(sizes - 2, 0)
    own = np.cumsum(counts) - counts
    first = np.repeat(starts, counts)
    step = np.arange(counts.sum()) - np.repeat(own, counts)
    places = np.stack([first, first + step + 1, first + step + 2], axis=1)
    for polygon in np.flatnonzero(sizes > LARGEST_FAN):
        places[own[polygon] :][: counts[polygon]] = starts[polygon] + _zigzag(int(sizes[polygon]))
    triangles = corners[places]
    twice = (triangles == triangles[:, [1, 2, 0]]).any(1)
    return triangles[~twice] if twice.any() else triangles


def _zigzag(count: int) -> np.ndarray:
    """(count - 2, 3) the corners of triangles that fill a polygon, from side to side."""
    order = np.empty(count, np.int64)  # 0, 1, n - 1, 2, n - 2, …
    order[0] = 0
    order[1::2] = np.arange(1, count // 2 + 1)
    order[2::2] = np.arange(count - 1, count // 2, -1)
    strip = np.stack([order[:-2], order[1:-1], order[2:]], axis=1)
    strip[1::2] = strip[1::2, ::-1]  # every second one is the other way round
    return strip


def _read_npz(path: Path) -> Mesh:
    z = load_npz(path)
    if "vertices" not in z or "faces" not in z:
        raise InputError(f"{path} is no mesh; it needs the arrays vertices (V, 3) and faces (F, 3) or (F, 4).")
    for name in ("faces", "components", "landmarks"):
        if name in z and z[name].dtype.kind not in "iu":
            raise InputError(f"{path}: {name} has to be whole numbers; save it as int32.")
    if z["vertices"].dtype.kind not in "fiu" or z["faces"].ndim != 2:
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
    """Vertices and faces; all else (groups, materials, curves, free-form surfaces) is passed over."""
    vertices: list[list[float]] = []
    sizes: list[int] = []
    corners: list[int] = []
    text = path.read_bytes().decode("utf-8-sig", "replace").replace("\r\n", "\n").replace("\r", "\n")
    for line in text.replace("\\\n", " ").split("\n"):
        words = line.partition("#")[0].split()
        if not words:
            continue
        if words[0] == "v":
            _, x, y, z, *_ = words  # a weight or a colour may follow
            vertices.append([float(x), float(y), float(z)])
        elif words[0] in ("f", "fo"):
            numbers = [int(word.partition("/")[0]) for word in words[1:]]
            if 0 in numbers:
                raise ValueError("OBJ counts from 1")
            sizes.append(len(numbers))
            corners += [n - 1 if n > 0 else len(vertices) + n for n in numbers]
    if corners and min(corners) < 0:
        raise ValueError("a relative index before the first vertex")
    faces = triangles_of(np.array(sizes, np.int64), np.array(corners, np.int64))
    return Mesh(np.array(vertices, dtype=np.float64).reshape(-1, 3), faces)


_Property = tuple[str, str, str]  # name, type, type of a list's length or ""


def _read_ply(path: Path) -> Mesh:
    data = path.read_bytes().removeprefix(b"\xef\xbb\xbf")
    end = re.search(rb"(?m)^[ \t]*end_header[ \t]*(?:\r\n|\n|\r)", data[:HEADER].replace(b"\r\n", b" \n"))
    if end is None or not data.startswith(b"ply"):
        raise ValueError("no PLY header")
    head, body = data[: end.end()], data[end.end() :]
    style = ""
    elements: list[tuple[str, int, list[_Property]]] = []
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
    if any(not properties or not 0 <= count <= len(body) for _, count, properties in elements):
        raise ValueError("an element of nothing, or more of them than there are bytes")
    read = _ascii_reader(body) if style == "ascii" else _binary_reader(body, style)
    found = {name: read(count, properties) for name, count, properties in elements}
    vertex, faces = found["vertex"], found.get("face", {})
    polygons = faces.get("vertex_indices", faces.get("vertex_index", []))
    if isinstance(polygons, list):
        sizes = np.array([len(polygon) for polygon in polygons], np.int64)
        corners = np.concatenate(polygons) if polygons else np.zeros(0)
    else:
        sizes, corners = np.full(len(polygons), polygons.shape[1]), polygons.ravel()
    if not (np.abs(corners) < 2.0**31).all():
        raise ValueError("a vertex of no mesh")
    return Mesh(
        np.stack([np.asarray(vertex[axis], dtype=np.float64) for axis in "xyz"], axis=1),
        triangles_of(sizes, corners.astype(np.int64)),
    )


def _ascii_reader(body: bytes) -> Callable[[int, list[_Property]], dict[str, Any]]:
    words = body.split()
    at = 0

    def read(count: int, properties: list[_Property]) -> dict[str, Any]:
        nonlocal at
        if not any(length for _, _, length in properties):
            table = np.array(words[at : at + count * len(properties)], "S").astype(np.float64)
            at += count * len(properties)
            return dict(zip((name for name, _, _ in properties), table.reshape(count, -1).T, strict=True))
        columns: dict[str, list[Any]] = {name: [] for name, _, _ in properties}
        for _ in range(count):
            for name, _kind, length in properties:
                n = int(words[at]) if length else 1
                at += bool(length)
                if not 0 <= n <= len(words) - at:
                    raise ValueError("the file ends early")
                values = [float(word) for word in words[at : at + n]]
                columns[name].append(values if length else values[0])
                at += n
        return columns

    return read


def _binary_reader(body: bytes, order: str) -> Callable[[int, list[_Property]], dict[str, Any]]:
    at = 0

    def length_at(offset: int, kind: str) -> int:
        n = int(np.frombuffer(body, order + kind, 1, offset)[0])
        if not 0 <= n <= len(body):
            raise ValueError("a list of impossible length")
        return n

    def read(count: int, properties: list[_Property]) -> dict[str, Any]:
        nonlocal at
        # Fast where every list has the length of the first one (all triangles or all quads); else one row at a time.
        fields, lengths = [], []
        offset = at
        for number, (_, kind, length) in enumerate(properties):
            n = length_at(offset, length) if length and count else 0
            if length:
                fields += [(f"#{number}", order + length), (f"{number}", order + kind, (n,))]
                lengths.append((f"#{number}", n))
                offset += np.dtype(length).itemsize + n * np.dtype(kind).itemsize
            else:
                fields.append((f"{number}", order + kind))
                offset += np.dtype(kind).itemsize
        if at + count * (offset - at) <= len(body):
            table = np.frombuffer(body, np.dtype(fields), count, at)
            if all((table[name] == n).all() for name, n in lengths):
                at += table.nbytes
                return {name: table[f"{number}"] for number, (name, _, _) in enumerate(properties)}
        if not lengths:
            raise ValueError("the file ends early")
        columns: dict[str, list[Any]] = {name: [] for name, _, _ in properties}
        for _ in range(count):
            for name, kind, length in properties:
                n = length_at(at, length) if length else 1
                at += np.dtype(length).itemsize if length else 0
                values = np.frombuffer(body, order + kind, n, at)
                at += values.nbytes
                columns[name].append(values if length else values[0])
        return columns

    return read
