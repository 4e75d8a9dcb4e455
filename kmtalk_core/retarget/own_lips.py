"""How the lips of a head with shapes of its own part, measured on a mesh that Blender has written."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..files import load_npz
from ..rig.lip_line import LipLine
from ..rig.mesh import load_mesh
from ..rig.mouth import lip_line, measure_mouth
from ..rig.profiles import find_landmarks
from .families import Shape
from .measure import measured
from .solver import Face


def lips_of(path: Path) -> LipLine | None:
    """Of an .npz with `vertices`, `faces`, and of the mouth's shapes `control_names` (C,) and `shapes` (C, V, 3).

    None where it has no shapes, or nothing tells where the lips are. Raises InputError for a file that is no mesh.
    """
    return _measured(path, path.stat().st_mtime_ns if path.is_file() else 0)


@lru_cache(maxsize=4)
def _measured(path: Path, changed: int) -> LipLine | None:
    arrays = load_npz(path) if path.suffix.lower() == ".npz" else {}
    if not {"control_names", "shapes"} <= arrays.keys():
        return None
    mesh = load_mesh(path)
    shapes = dict(zip((str(name) for name in arrays["control_names"]), arrays["shapes"], strict=True))
    try:
        return lip_line(measure_mouth(mesh.vertices, shapes, find_landmarks(mesh)))
    except InputError:
        face = Face.of([Shape(name, {name: 1.0}) for name in shapes])
        return measured(face, mesh.vertices, arrays["shapes"].astype(np.float64)).lip_line
