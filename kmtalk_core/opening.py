"""From a checkpoint to what animates with it: the one place that chooses between the two motion spaces."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from .animator import Animator
from .checkpoint import load_checkpoint, moves_vertices
from .errors import InputError

if TYPE_CHECKING:
    from .vertex_animator import VertexAnimator


def open_animator(
    checkpoint: str | os.PathLike[str] | None = None, backend: str = "auto", head: str = ""
) -> Animator | VertexAnimator:
    """The animator of `checkpoint`, by default the shipped one; `backend` auto, onnx or torch runs its networks.
    `head`: of a checkpoint that moves several meshes (`heads`); without it the mesh tells.

    Raises InputError if there is no such checkpoint or it is unusable, KMTalkError if a package that it needs is
    missing.
    """
    if head and (checkpoint is None or not moves_vertices(checkpoint)):
        raise InputError("Only a checkpoint that moves vertices has heads; leave out --checkpoint-head.")
    if checkpoint is None:
        return Animator(backend=backend)
    if not Path(checkpoint).is_file():
        raise InputError(f"There is no checkpoint {checkpoint}; choose one of `python -m training.train`.")
    if not moves_vertices(checkpoint):
        return Animator(checkpoint, backend)
    from .headed_animator import open_head

    return open_head(load_checkpoint(checkpoint), backend, head)
