"""Heads that the commands animate: a mesh with its rig, and its vertices in a result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..motion import Animation
    from ..rig.articulation import Rig
    from ..rig.mesh import Mesh


def load_head(path: Path) -> tuple[Mesh, Rig]:
    """Read a mesh and rig it."""
    from ..rig.articulation import build_rig
    from ..rig.mesh import load_mesh

    mesh = load_mesh(path)
    return mesh, build_rig(mesh)


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
