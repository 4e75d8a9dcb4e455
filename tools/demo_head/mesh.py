"""Meshes in the making: keyed vertices and faces, mirroring, and the pieces the head is assembled from."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy import sparse


@dataclass(frozen=True)
class Piece:
    """One connected part: `vertices` (V, 3) mm, `faces` (F, 4) with -1 as fourth of a triangle, `materials` (F,)."""

    name: str
    vertices: np.ndarray
    faces: np.ndarray
    materials: list[str]

    def mirrored(self, name: str) -> Piece:
        """The same part on the other side, turned inside out so that it faces outwards again."""
        return Piece(name, self.vertices * (-1, 1, 1), flipped(self.faces), self.materials)


@dataclass
class Builder:
    """Collects vertices under keys and faces between keys, so that neighbouring patches share what they share."""

    index: dict[Hashable, int] = field(default_factory=dict)
    positions: list[np.ndarray] = field(default_factory=list)
    faces: list[tuple[int, ...]] = field(default_factory=list)
    materials: list[str] = field(default_factory=list)

    def vertex(self, key: Hashable, position: Sequence[float] | np.ndarray) -> None:
        """Add or move the vertex `key`."""
        if key in self.index:
            self.positions[self.index[key]] = np.asarray(position, float)
        else:
            self.index[key] = len(self.positions)
            self.positions.append(np.asarray(position, float))

    def face(self, material: str, *keys: Hashable) -> None:
        self.faces.append(tuple(self.index[k] for k in keys))
        self.materials.append(material)

    def at(self, key: Hashable) -> np.ndarray:
        return self.positions[self.index[key]]

    def strip(self, material: str, a: Sequence[Hashable], b: Sequence[Hashable], closed: bool = False) -> None:
        """Quads between two rows of keys, counter-clockwise when `b` lies left of `a` walked forwards."""
        n = len(a)
        for i in range(n if closed else n - 1):
            j = (i + 1) % n
            self.face(material, a[i], a[j], b[j], b[i])

    def piece(self, name: str) -> Piece:
        return Piece(name, np.array(self.positions), quads(self.faces), list(self.materials))


def quads(faces: Sequence[tuple[int, ...]]) -> np.ndarray:
    """(F, 4) int32 of triangles and quads."""
    return np.array([(*f, -1)[:4] for f in faces], dtype=np.int32)


def flipped(faces: np.ndarray) -> np.ndarray:
    """The same faces with the opposite winding."""
    triangle = faces[:, 3] < 0
    out = faces[:, ::-1].copy()
    out[triangle] = faces[triangle][:, [2, 1, 0, 3]]
    return out


def mirror_and_weld(piece: Piece) -> tuple[Piece, np.ndarray]:
    """A half (x >= 0) and its mirror image, sharing the vertices at x = 0; also (V,) the partner of each vertex."""
    n = len(piece.vertices)
    middle = piece.vertices[:, 0] == 0
    other = np.where(middle, np.arange(n), 0)
    other[~middle] = n + np.arange((~middle).sum())
    vertices = np.vstack([piece.vertices, piece.vertices[~middle] * (-1, 1, 1)])
    mirrored_faces = flipped(np.where(piece.faces >= 0, other[piece.faces], -1))
    partner = np.concatenate([other, np.flatnonzero(~middle)])
    whole = Piece(piece.name, vertices, np.vstack([piece.faces, mirrored_faces]).astype(np.int32), piece.materials * 2)
    return whole, partner


def neighbours(faces: np.ndarray, count: int) -> sparse.csr_matrix:
    """(V, V) averaging matrix over the edges of the faces."""
    rows, cols = [], []
    for f in faces:
        loop = f[f >= 0]
        for a, b in zip(loop, np.roll(loop, -1), strict=True):
            rows += [a, b]
            cols += [b, a]
    adjacency = sparse.csr_matrix((np.ones(len(rows)), (rows, cols)), shape=(count, count))
    adjacency.data[:] = 1
    degree = np.maximum(np.asarray(adjacency.sum(axis=1)).ravel(), 1)
    return sparse.diags(1 / degree) @ adjacency
