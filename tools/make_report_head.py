"""Make kmtalk_core/assets/report_head.json, the head that reports draw: python -m tools.make_report_head

The demo head from the front, thinned out, with the shapes of kmtalk_core.command.batch.preview.POSED; small enough to
stand in each report, and quick enough for a browser to draw it hundreds of times without help of a graphics card.
"""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np

from kmtalk_core.assets import REPORT_HEAD
from kmtalk_core.command.batch.preview import POSED
from kmtalk_core.delivery.heads import head_at
from kmtalk_core.delivery.painting import vertex_normals
from kmtalk_core.files import save_text

LOWEST = -0.135  # m: what lies below is left out
FRONT = -0.35  # of a normal towards the camera, from which on a vertex may be seen
FINE, COARSE = 0.0016, 0.0045  # m between vertices of the mouth, and elsewhere
MOUTH, AROUND = (0.0, -0.066), 0.034  # m: its middle, and how far it is fine
APART = 0.0015  # m that the jaw moves vertices differently, so that they are not one
MOVES = 4e-4  # m that a shape moves a vertex, else it is left out


def report_head() -> dict[str, Any]:
    """Arrays as base64: `points` int16 (V, 3) times `unit` m, `colours` uint8 (V, 3), `faces` uint16 (F, 3); for each
    of `shapes` the vertices `at` uint16 (n,) and how they move, `by` int8 (n, 3) times its `unit`."""
    head = head_at(None)
    shapes = {name: np.zeros_like(head.vertices) for name in POSED}
    for name in POSED:
        parts = [name] if name in head.names else [f"{name}Left", f"{name}Right"]
        for part in parts:
            shapes[name] += head.shapes[head.names.index(part)]
    jaw = shapes["jawOpen"]
    cell = np.where(np.linalg.norm(head.vertices[:, :2] - MOUTH, axis=1) < AROUND, FINE, COARSE)
    cell = np.where(head.vertices[:, 2] < 0.0, 2 * cell, cell)
    keys = np.concatenate(
        [
            np.rint(head.vertices / cell[:, None]),
            np.rint(jaw[:, 1:2] / APART),
            np.rint(head.colours * 20) @ [[1.0], [50.0], [2500.0]],
            cell[:, None] * 1e6,
        ],
        axis=1,
    ).astype(np.int64)
    _, first, of = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    of = of.reshape(-1)
    faces = of[head.faces]
    faces = faces[(faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])]
    faces = np.unique(np.stack([np.roll(f, -f.argmin()) for f in faces]), axis=0)
    points = head.vertices[first]
    front = vertex_normals(head.vertices, head.faces)[first][:, 2] > FRONT
    faces = faces[front[faces].any(1) & (points[faces][:, :, 1].max(1) > LOWEST)]
    used, faces = np.unique(faces, return_inverse=True)
    faces = faces.reshape(-1, 3)
    points, rows = points[used], first[used]
    assert len(points) < 1 << 16
    scale = float(np.abs(points).max()) / 32767
    return {
        "unit": scale,
        "points": _packed(np.rint(points / scale), "<i2"),
        "colours": _packed(np.rint(head.colours[rows] * 255), "u1"),
        "faces": _packed(faces, "<u2"),
        "shapes": [_shape(shapes[name][rows]) for name in POSED],
    }


def _shape(moved: np.ndarray) -> dict[str, Any]:
    at = np.flatnonzero(np.linalg.norm(moved, axis=1) > MOVES)
    unit = max(float(np.abs(moved[at]).max(initial=0.0)) / 127, 1e-9)
    return {"unit": unit, "at": _packed(at, "<u2"), "by": _packed(np.rint(moved[at] / unit), "i1")}


def _packed(values: np.ndarray, kind: str) -> str:
    return base64.b64encode(np.ascontiguousarray(values).astype(kind).tobytes()).decode("ascii")


if __name__ == "__main__":
    save_text(json.dumps(report_head(), separators=(",", ":")) + "\n", REPORT_HEAD)
