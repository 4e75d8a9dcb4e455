"""Implicit surfaces: signed distances (negative inside) of points (N, 3), in mm, and how they blend."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Field = Callable[[np.ndarray], np.ndarray]  # points (N, 3) -> signed distance (N,)


def ellipsoid(p: np.ndarray, centre: tuple[float, float, float], radii: tuple[float, float, float]) -> np.ndarray:
    """Distance to an axis-aligned ellipsoid, exact to first order near its surface."""
    q = (p - centre) / radii
    k0 = np.linalg.norm(q, axis=1)
    k1 = np.linalg.norm(q / radii, axis=1)
    return k0 * (k0 - 1) / np.maximum(k1, 1e-9)


def capsule(
    p: np.ndarray, a: tuple[float, float, float], b: tuple[float, float, float], ra: float, rb: float
) -> np.ndarray:
    """Distance to a round cone from `a` with radius `ra` to `b` with radius `rb`."""
    start, axis = np.asarray(a, float), np.subtract(b, a).astype(float)
    t = np.clip((p - start) @ axis / (axis @ axis), 0, 1)
    return np.linalg.norm(p - start - t[:, None] * axis, axis=1) - (ra + (rb - ra) * t)


def join(a: np.ndarray, b: np.ndarray, k: float) -> np.ndarray:
    """Union with a fillet of about `k` mm."""
    h = np.maximum(k - np.abs(a - b), 0) / k
    return np.minimum(a, b) - h * h * h * k / 6


def cut(a: np.ndarray, b: np.ndarray, k: float) -> np.ndarray:
    """`a` without `b`, with a fillet of about `k` mm."""
    return -join(-a, b, k)


def mirrored(p: np.ndarray) -> np.ndarray:
    return p * (-1, 1, 1)


def gradient(field: Field, p: np.ndarray, step: float = 0.05) -> np.ndarray:
    """(N, 3) unit normals by central differences."""
    g = np.stack([field(p + step * e) - field(p - step * e) for e in np.eye(3)], axis=1)
    return g / np.maximum(np.linalg.norm(g, axis=1, keepdims=True), 1e-9)


def project(field: Field, p: np.ndarray, steps: int = 4, reach: float = 6.0) -> np.ndarray:
    """Move points (N, 3) along the normal onto the surface, at most `reach` mm a step."""
    for _ in range(steps):
        p = p - np.clip(field(p), -reach, reach)[:, None] * gradient(field, p)
    return p


def cast_z(field: Field, xy: np.ndarray, z_from: float = 150.0, z_to: float = 0.0) -> np.ndarray:
    """z (N,) of the first surface met when looking backwards (towards -z) from the front at `xy` (N, 2)."""
    z = np.full(len(xy), z_from)
    for _ in range(80):
        d = field(np.column_stack([xy, z]))
        z = np.maximum(z - 0.7 * d, z_to)
    return z


def cast_out(field: Field, origin: np.ndarray, rays: np.ndarray) -> np.ndarray:
    """(N, 3) where unit `rays` (N, 3) from `origin`, inside, first leave the surface."""
    t = np.full(len(rays), 5.0)
    for _ in range(60):
        t -= 0.8 * field(origin + t[:, None] * rays)
    return origin + t[:, None] * rays
