"""The whole head as the arrays of demo_head.npz."""

from __future__ import annotations

import numpy as np

from . import brows, clothes, eyes, hair, teeth, tongue
from .landmarks import landmarks
from .layout import half_face
from .mesh import Piece, mirror_and_weld

METRE = 1e-3  # of a millimetre


def pieces() -> tuple[list[Piece], np.ndarray]:
    """Every part in mm, the face first, and the landmarks (68,) on the face."""
    half = half_face()
    face, partner = mirror_and_weld(half.piece("face"))
    left = [eyes.eye(), brows.brow(), brows.lashes()]
    right = [p.mirrored(p.name.replace("left", "right")) for p in left]
    middle = [teeth.arch(teeth.UPPER), teeth.arch(teeth.LOWER), tongue.tongue(), hair.hair(), clothes.shirt()]
    return [face, *left, *right, *middle], landmarks(half, partner)


def demo_head() -> dict[str, np.ndarray]:
    """`vertices` (V, 3) m, `faces` (F, 4), `material_index` (F,), `material_names`, `components` (V,),
    `component_names`, `landmarks` (68,)."""
    parts, points = pieces()
    names = sorted({m for p in parts for m in p.materials})
    offsets = np.cumsum([0] + [len(p.vertices) for p in parts])
    faces = [np.where(p.faces >= 0, p.faces + o, -1) for p, o in zip(parts, offsets, strict=False)]
    return {
        "vertices": (np.vstack([p.vertices for p in parts]) * METRE).astype(np.float32),
        "faces": np.vstack(faces).astype(np.int32),
        "material_index": np.array([names.index(m) for p in parts for m in p.materials], dtype=np.int32),
        "material_names": np.array(names),
        "components": np.repeat(np.arange(len(parts)), [len(p.vertices) for p in parts]).astype(np.int32),
        "component_names": np.array([p.name for p in parts]),
        "landmarks": points,
    }
