"""Pictures of a moving head without a renderer: triangles on a depth buffer in numpy, some 0.1 s each at 320 pixels.

Good enough to see contacts, shapes and timing; the demo's pictures are Cycles'.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.sparse import csr_matrix

from kmtalk_core.files import load_npz
from kmtalk_core.rig.mesh import Mesh

YAW = {"front": 0.0, "three_quarter": 40.0}  # degrees to the head's left
BACKGROUND = (0.86, 0.88, 0.90)
LIGHTS = (((0.35, 0.55, 0.75), 0.75), ((-0.7, 0.1, 0.6), 0.3))  # direction, strength
AMBIENT = 0.22
BEHIND = 0.35  # brightness of faces seen from behind: the inside of a mouth
# By a part of the component's or material's name; what is not named is skin.
COLOURS = {
    "teeth": (0.95, 0.92, 0.84), "gums": (0.70, 0.32, 0.32), "tongue": (0.80, 0.35, 0.35), "eye": (0.95, 0.95, 0.95),
    "hair": (0.25, 0.16, 0.12), "brow": (0.2, 0.13, 0.1), "lash": (0.1, 0.08, 0.08), "shirt": (0.2, 0.35, 0.4),
    "mouth": (0.35, 0.10, 0.10), "iris": (0.25, 0.35, 0.30), "pupil": (0.05, 0.05, 0.05), "lid": (0.62, 0.42, 0.38),
    "nostril": (0.35, 0.20, 0.18), "lips": (0.70, 0.36, 0.34),
}  # fmt: skip
SKIN = (0.83, 0.66, 0.57)


@dataclass(frozen=True)
class View:
    """Orthographic: `yaw` degrees, `centre` (3,) in the middle of the picture, `height` of it in the mesh's units."""

    yaw: float
    centre: np.ndarray
    height: float


class Painter:
    """Paints poses of one head. `landmarks` (68,) are vertex indices; y is up and the face looks along +z.

    `colours` (V, 3) 0…1; by default the named components', with lips around the landmarks. Without landmarks the inside
    of the mouth stays unpainted.
    """

    def __init__(self, mesh: Mesh, landmarks: np.ndarray | None, colours: np.ndarray | None = None) -> None:
        self._faces = mesh.faces
        count = len(mesh.vertices)
        corner = np.repeat(np.arange(len(mesh.faces)), 3)
        ones = np.ones(len(corner))
        self._around = csr_matrix((ones, (mesh.faces.ravel(), corner)), shape=(count, len(mesh.faces)))
        # Faces turned away are hidden by others, but for the inside of the mouth.
        self._inside = np.zeros(len(mesh.faces), bool)
        if landmarks is not None:
            mouth = mesh.vertices[landmarks[48:60]]
            reach = 1.2 * np.linalg.norm(mouth[0] - mouth[6])
            self._inside = (np.linalg.norm(mesh.vertices - mouth.mean(0), axis=1) < reach)[mesh.faces].all(1)
            if colours is None:  # a head that may be hollow: the dark behind the lips is the back of its skull
                self._inside[:] = True
        self._colours = _colours(mesh, landmarks) if colours is None else colours

    def paint(self, vertices: np.ndarray, view: View, size: int, colours: np.ndarray | None = None) -> np.ndarray:
        """Vertices (V, 3) → picture (size, size, 3) uint8, in other `colours` (V, 3) than the painter's if given."""
        colours = self._colours if colours is None else colours
        turned = (vertices - view.centre) @ _yaw(view.yaw).T
        scale = size / view.height
        x, y, depth = turned[:, 0] * scale + size / 2, size / 2 - turned[:, 1] * scale, turned[:, 2] * scale
        a, b, c = (turned[self._faces[:, k]] for k in range(3))
        of_face = np.cross(b - a, c - a)
        normals = self._around @ of_face
        normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
        drawn = np.flatnonzero((of_face[:, 2] > 0) | self._inside)
        corners = self._faces[drawn]
        face, where, shares = _covered(x[corners].astype(np.float32), y[corners].astype(np.float32), size)
        face = drawn[face]
        near = (depth[self._faces[face]] * shares).sum(1)
        order = np.argsort(near, kind="stable")  # the nearest is painted last
        front = np.full(size * size, -1)
        front[where[order]] = order
        seen = front[front >= 0]
        corners, weights = self._faces[face[seen]], shares[seen][:, :, None]
        normal = (normals[corners] * weights).sum(1)
        normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
        light = np.full(len(seen), AMBIENT)
        for direction, strength in LIGHTS:
            towards = np.array(direction) / np.linalg.norm(direction)
            light += strength * np.clip(normal @ towards, 0.0, None)
        light *= np.where(of_face[face[seen], 2] > 0, 1.0, BEHIND)
        picture = np.tile(np.array(BACKGROUND), (size * size, 1))
        picture[front >= 0] = (colours[corners] * weights).sum(1) * light[:, None]
        return np.rint(np.clip(picture, 0, 1) ** (1 / 1.3) * 255).astype(np.uint8).reshape(size, size, 3)


def material_colours(path: Path) -> np.ndarray | None:
    """(V, 3) of a head's .npz that names materials, as the demo head does; None for other heads."""
    z = load_npz(path) if path.suffix == ".npz" else {}
    if "material_index" not in z:
        return None
    names = [str(name) for name in z["material_names"]]
    of_material = np.array([next((c for part, c in COLOURS.items() if part in name), SKIN) for name in names])
    colours = np.tile(np.array(SKIN), (len(z["vertices"]), 1))
    for corner in z["faces"].T:  # the fourth of a triangle is -1
        there = corner >= 0
        colours[corner[there]] = of_material[z["material_index"][there]]
    return colours


def _covered(x: np.ndarray, y: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Corners (F, 3) in pixels → all (face, pixel) with the pixel's centre inside, and the corners' shares there."""
    left, top = np.floor(x.min(1)).astype(int), np.floor(y.min(1)).astype(int)
    extent = np.maximum(np.ceil(x.max(1)).astype(int) - left, np.ceil(y.max(1)).astype(int) - top) + 1
    area = (x[:, 1] - x[:, 0]) * (y[:, 2] - y[:, 0]) - (x[:, 2] - x[:, 0]) * (y[:, 1] - y[:, 0])
    on_picture = (left + extent > 0) & (left < size) & (top + extent > 0) & (top < size) & (np.abs(area) > 1e-9)
    found = []
    low = 0
    while low < extent.max(initial=0):
        high = max(low + low // 2, 3)
        group = np.flatnonzero(on_picture & (extent > low) & (extent <= high))
        low = high
        step = np.arange(high)
        px = left[group, None, None] + step[None, None, :]
        py = top[group, None, None] + step[None, :, None]
        ax, ay, bx, by, cx, cy = (v[group, k, None, None] for k in range(3) for v in (x, y))
        qx, qy, full = px + np.float32(0.5), py + np.float32(0.5), area[group, None, None]
        first = ((bx - qx) * (cy - qy) - (cx - qx) * (by - qy)) / full
        second = ((cx - qx) * (ay - qy) - (ax - qx) * (cy - qy)) / full
        third = 1 - first - second
        eps = -1e-4
        inside = (first >= eps) & (second >= eps) & (third >= eps) & (px >= 0) & (px < size) & (py >= 0) & (py < size)
        n, _, _ = np.nonzero(inside)
        pixel = np.broadcast_to(py * size + px, inside.shape)[inside]
        found.append((group[n], pixel, np.stack([first[inside], second[inside], third[inside]], 1)))
    face, pixel, shares = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return face, pixel, shares


def _colours(mesh: Mesh, landmarks: np.ndarray | None) -> np.ndarray:
    colours = np.tile(np.array(SKIN), (len(mesh.vertices), 1))
    if mesh.components is not None:
        for index, name in enumerate(mesh.component_names or ()):
            for part, colour in COLOURS.items():
                if part in str(name):
                    colours[mesh.components == index] = colour
    if landmarks is None:
        return colours
    # The lips: between the inner and the outer contour, by distance from the ring half way.
    outer, inner = mesh.vertices[landmarks[48:60]], mesh.vertices[landmarks[60:68]]
    ring = np.concatenate([_resampled(contour, 48) for contour in (outer, 0.5 * (outer + _nearest(outer, inner)))])
    ring = np.concatenate([ring, _resampled(inner, 48)])
    width = 0.035 * np.linalg.norm(outer[0] - outer[6])
    skin = (colours == SKIN).all(1)
    near = np.flatnonzero(skin & (np.linalg.norm(mesh.vertices - ring.mean(0), axis=1) < 20 * width))
    distance = np.linalg.norm(mesh.vertices[near, None] - ring, axis=2).min(1)
    colours[near[distance < width]] = COLOURS["lips"]
    return colours


def _nearest(points: np.ndarray, others: np.ndarray) -> np.ndarray:
    return others[np.linalg.norm(points[:, None] - others, axis=2).argmin(1)]


def _resampled(contour: np.ndarray, count: int) -> np.ndarray:
    closed = np.concatenate([contour, contour[:1]])
    at = np.linspace(0, len(contour), count, endpoint=False)
    return np.stack([np.interp(at, np.arange(len(closed)), closed[:, k]) for k in range(3)], 1)


def _yaw(degrees: float) -> np.ndarray:
    """Turn the head so that a camera at `degrees` towards its left (+x) looks along -z."""
    angle = np.deg2rad(-degrees)
    return np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
