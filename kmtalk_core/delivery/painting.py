"""A mesh from the front as a small picture: two lamps, light from all sides, colours of the vertices. numpy alone."""

from __future__ import annotations

import numpy as np

from .raster import OVER, rasterise, resolve

LAMPS = (((-0.35, 0.45, 0.82), 0.75), ((0.6, 0.15, 0.78), 0.22))  # directions to them, and how bright they are
AROUND = 0.24  # the light from all sides
BACK = (0.20, 0.22, 0.25)


def painted(
    points: np.ndarray, faces: np.ndarray, colours: np.ndarray, centre: tuple[float, float], height: float, size: int
) -> np.ndarray:
    """(size, size, 3) uint8: the mesh `points` (V, 3), y up and z towards the camera, `faces` (F, 3), `colours` (V, 3).

    `centre` is x and y in the middle of the picture, `height` how much of the mesh's units it shows.
    """
    normals = vertex_normals(points, faces)
    light = np.full(len(points), AROUND, np.float32)
    for way, power in LAMPS:
        light += power * np.maximum(normals @ np.array(way, np.float32), 0.0)
    shades = np.clip(colours * light[:, None], 0, 1)
    samples = size * OVER
    scale = samples / height
    screen = np.empty((len(points), 3), np.float32)
    screen[:, 0] = samples / 2 + (points[:, 0] - centre[0]) * scale
    screen[:, 1] = samples / 2 - (points[:, 1] - centre[1]) * scale
    depth = points[:, 2]
    screen[:, 2] = 1.0 + (depth - depth.min()) / max(float(np.ptp(depth)), 1e-9)
    seen = rasterise(screen[faces], (samples, samples))
    shown = np.einsum("nkc,nk->nc", shades[faces[seen.triangle]], seen.weights)
    back = np.broadcast_to(np.array(BACK, np.float32), (samples, samples, 3))
    return np.clip(resolve(shown, seen.place, back) * 255 + 0.5, 0, 255).astype(np.uint8)


def vertex_normals(points: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(V, 3) float32 unit normals, weighted by area; 0 where a vertex has no face."""
    a, b, c = (points[faces[:, corner]] for corner in range(3))
    across = np.cross(b - a, c - a)
    corners = faces.ravel()
    sums = [np.bincount(corners, np.repeat(across[:, axis], 3), len(points)) for axis in range(3)]
    out = np.stack(sums, axis=1)
    return (out / np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-12)).astype(np.float32)
