"""What the worker does for checkpoints at paper scale: requests that name a `checkpoint`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from ..errors import InputError
from .protocol import Animate, Complete

Report = Callable[[float, str], None]


def animate_vertices(request: Animate, report: Report) -> dict[str, Any]:
    """Animate the mesh `request.mesh` in vertex space into `request.out`; → the result's details."""
    from ..audio import load_sound
    from ..localization.importers import load_alignment
    from ..localization.tools import Tools
    from ..request import Request
    from ..results import save_animation
    from ..rig.mesh import load_mesh

    report(0.0, "loading the checkpoint")
    animator = _animator(request.checkpoint)
    sound = load_sound(request.audio, request.start, request.duration, request.as_strip)
    alignment = None
    if request.alignment is not None:
        alignment = load_alignment(Path(request.alignment), request.fps).from_time(request.start + sound.delay)
    wish = Request(
        transcript=request.transcript,
        alignment=alignment,
        localizer=request.localizer,
        language=request.language,
        fps=request.fps,
        key_rule=request.key_rule,
        key_density=request.key_density,
        intensity=request.intensity,
        tools=replace(Tools.from_environment(), **request.tools),
    )
    mesh = None if request.mesh is None else load_mesh(request.mesh)
    animation = animator.animate(sound, wish, report, mesh)
    save_animation(animation, request.out, compressed=False)
    return {"warnings": [*dict.fromkeys((*sound.warnings, *animation.alignment.warnings))]}


def complete_vertices(request: Complete, report: Report) -> dict[str, Any]:
    """Complete a result in vertex space again from `request.keys` (key_times, key_vertices)."""
    from ..results import load_key_vertices, load_vertex_animation, save_animation

    animator = _animator(request.checkpoint)
    before = load_vertex_animation(request.animation)
    keys = load_key_vertices(request.keys, len(before.template))
    save_animation(animator.complete(before, keys, report), request.out, compressed=False)
    return {}


def _animator(checkpoint: str | None):
    path = Path(checkpoint or "")
    if not path.is_file():
        raise InputError(f"There is no checkpoint {path}; choose one of `python -m training.train`.")
    return _loaded(str(path), path.stat().st_mtime_ns)


@lru_cache(maxsize=1)
def _loaded(path: str, changed: int):
    from ..opening import open_animator
    from ..vertex_animator import VertexAnimator

    animator = open_animator(path)
    if not isinstance(animator, VertexAnimator):
        raise InputError("This checkpoint drives controls, not vertices; use Generate Lip Sync.")
    return animator
