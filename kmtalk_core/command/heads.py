"""Heads that the commands animate: a mesh with its rig, and its vertices in a result."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ..motion import Animation
    from ..rig.articulation import Rig
    from ..rig.mesh import Mesh


def load_head(path: Path, tell: Callable[[str], None] = lambda sentence: None) -> tuple[Mesh, Rig]:
    """Read a mesh and rig it; `tell` hears where its landmarks had to be found."""
    from ..landmarks.finder import landmarks_of
    from ..rig.articulation import build_rig
    from ..rig.mesh import load_mesh

    mesh = load_mesh(path)
    marks, sure = landmarks_of(mesh)
    if sure < 1:
        tell(f"The face of {path} was found by KMTalk ({sure:.0%} sure); keep it with `kmtalk landmarks`.")
    return mesh, build_rig(mesh, marks)


def save_landmarks(mesh: Mesh, marks: np.ndarray, sure: float, path: Path) -> None:
    """Write a mesh with its landmarks (68,) as an .npz, which is a head again, or these alone as .json."""
    from ..files import save_npz, save_text

    if path.suffix.lower() == ".json":
        points = mesh.vertices[marks].round(6).tolist()
        told = {"landmarks": marks.tolist(), "points": points, "sure": round(sure, 3)}
        save_text(json.dumps(told) + "\n", path)
        return
    arrays = {"vertices": mesh.vertices, "faces": mesh.faces, "landmarks": marks}
    if mesh.components is not None and mesh.component_names is not None:
        arrays |= {"components": mesh.components, "component_names": np.array(mesh.component_names, dtype=str)}
    save_npz(arrays, path)


def with_vertices(animation: Animation, head: tuple[Mesh, Rig], progress: Callable[[float, str], None]) -> Animation:
    """Add the head's vertices of every frame, in its own units and vertex order; its lips make the contacts."""
    from ..files import scratch
    from ..finish.compose import finish
    from ..rig.mouth import lip_line, mouth_of

    mesh, rig = head
    progress(0.0, "moving the vertices")
    lips = lip_line(mouth_of(rig, mesh.faces))
    if animation.unfinished is not None and animation.lip_line != lips:
        animation = finish(animation, lip_line=lips)
    out = scratch((len(animation.times), *mesh.vertices.shape))
    vertices = rig.vertices(animation.controls, animation.control_names, out)
    return replace(animation, vertices=vertices, faces=mesh.faces)
