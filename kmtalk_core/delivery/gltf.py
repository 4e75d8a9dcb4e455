"""glTF 2.0 in one file (.glb): a head whose morph targets move, with one clip for each line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..glb import write_glb as write_container
from ..motion import Animation, VertexAnimation
from .heads import MorphHead
from .painting import vertex_normals

FLOAT, UNSIGNED, BYTE = 5126, 5125, 5121
ARRAY, ELEMENTS = 34962, 34963  # what a buffer's part holds: vertices, corners of triangles
MOVES = 1e-6  # m that a shape moves a vertex at least, else it is left out
SEEN = 1e-4  # of a control that moves at all


@dataclass(frozen=True)
class Clip:
    """A line of the name that its clip has."""

    name: str
    animation: Animation


@dataclass
class _Buffer:
    """The binary part, and how the file describes what lies in it."""

    data: bytearray = field(default_factory=bytearray)
    views: list[dict[str, Any]] = field(default_factory=list)
    accessors: list[dict[str, Any]] = field(default_factory=list)

    def view(self, values: np.ndarray, target: int | None = None) -> int:
        self.data.extend(b"\0" * (-len(self.data) % 4))
        about = {"buffer": 0, "byteOffset": len(self.data), "byteLength": values.nbytes}
        self.views.append(about if target is None else {**about, "target": target})
        self.data.extend(values.tobytes())
        return len(self.views) - 1

    def add(self, values: np.ndarray, kind: str, component: int, target: int | None = None, **more: Any) -> int:
        accessor = {"bufferView": self.view(values, target), "componentType": component, "count": len(values)}
        self.accessors.append({**accessor, "type": kind, **more})
        return len(self.accessors) - 1

    def sparse(self, moved: np.ndarray) -> int:
        """Displacements (V, 3), of which only those are stored that move."""
        which = np.flatnonzero(np.abs(moved).max(1) > MOVES).astype("<u4")
        if not len(which):
            which = np.zeros(1, "<u4")
        values = np.ascontiguousarray(moved[which], "<f4")
        inside = np.zeros_like(moved)
        inside[which] = values
        self.accessors.append({
            "componentType": FLOAT, "count": len(moved), "type": "VEC3",
            "min": inside.min(0).tolist(), "max": inside.max(0).tolist(),
            "sparse": {
                "count": len(which),
                "indices": {"bufferView": self.view(which), "componentType": UNSIGNED},
                "values": {"bufferView": self.view(values)},
            },
        })  # fmt: skip
        return len(self.accessors) - 1


def clips_of(results: Sequence[Animation | VertexAnimation], names: Sequence[str]) -> list[Clip]:
    """Clips with names apart from each other; raises InputError for results without controls."""
    found: list[Clip] = []
    taken: set[str] = set()
    for result, name in zip(results, names, strict=True):
        if not isinstance(result, Animation):
            raise InputError("The result moves vertices and has no controls; export it as .mdd or .pc2.")
        number, free = 1, name
        while free in taken:
            number, free = number + 1, f"{name}.{number + 1}"
        taken.add(free)
        found.append(Clip(free, result))
    return found


def write_glb(clips: Sequence[Clip], head: MorphHead, path: Path) -> None:
    """Write `head` with the clips, over the shapes that any of them moves; 0 s is the beginning of each sound."""
    weights = [head.weights(clip.animation) for clip in clips]
    used = [n for n in range(len(head.names)) if any(np.abs(w[:, n]).max(initial=0.0) > SEEN for w in weights)] or [0]
    head = head.with_shapes(used)
    buffer = _Buffer()
    points = np.ascontiguousarray(head.vertices, "<f4")
    normals = np.ascontiguousarray(vertex_normals(head.vertices, head.faces), "<f4")
    linear = np.concatenate([head.colours**2.2, np.ones((len(points), 1))], axis=1)  # a screen's colours as light
    primitive = {
        "attributes": {
            "POSITION": buffer.add(
                points, "VEC3", FLOAT, ARRAY, min=points.min(0).tolist(), max=points.max(0).tolist()
            ),
            "NORMAL": buffer.add(normals, "VEC3", FLOAT, ARRAY),
            "COLOR_0": buffer.add((linear * 255 + 0.5).astype(np.uint8), "VEC4", BYTE, ARRAY, normalized=True),
        },
        "indices": buffer.add(np.ascontiguousarray(head.faces.ravel(), "<u4"), "SCALAR", UNSIGNED, ELEMENTS),
        "targets": [{"POSITION": buffer.sparse(shape)} for shape in head.shapes],
        "material": 0,
    }
    animations = [_clip(buffer, clip, w[:, used]) for clip, w in zip(clips, weights, strict=True)]
    rest = [0.0] * len(used)
    data = {
        "asset": {"version": "2.0", "generator": "KMTalk"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"name": head.name, "mesh": 0}],
        "meshes": [
            {"name": head.name, "primitives": [primitive], "weights": rest, "extras": {"targetNames": list(head.names)}}
        ],
        "materials": [{"name": head.name, "pbrMetallicRoughness": {"metallicFactor": 0.0, "roughnessFactor": 0.7}}],
        "animations": animations,
        "accessors": buffer.accessors,
        "bufferViews": buffer.views,
        "buffers": [{"byteLength": len(buffer.data) + -len(buffer.data) % 4}],
    }
    write_container(data, buffer.data, path)


def _clip(buffer: _Buffer, clip: Clip, weights: np.ndarray) -> dict[str, Any]:
    times = np.ascontiguousarray(clip.animation.times, "<f4")
    at = buffer.add(times, "SCALAR", FLOAT, min=[float(times.min())], max=[float(times.max())])
    moved = buffer.add(np.ascontiguousarray(weights.ravel(), "<f4"), "SCALAR", FLOAT)
    return {
        "name": clip.name,
        "samplers": [{"input": at, "output": moved, "interpolation": "LINEAR"}],
        "channels": [{"sampler": 0, "target": {"node": 0, "path": "weights"}}],
    }
