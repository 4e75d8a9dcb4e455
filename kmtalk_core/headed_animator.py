"""The façade for checkpoints with several heads: the mesh tells which of them animates it."""

from __future__ import annotations

from .audio import Sound
from .checkpoint import Checkpoint
from .heads import fitting, heads_of, with_head
from .motion import KeyMotions, VertexAnimation
from .progress import Progress, silent_progress
from .request import Request
from .rig.mesh import Mesh
from .vertex_animator import VertexAnimator


class HeadedAnimator(VertexAnimator):
    """A `VertexAnimator` for each head, opened when it is needed. Raises InputError where no head, or more than one, is
    for the mesh."""

    def __init__(self, checkpoint: Checkpoint, backend: str = "auto") -> None:
        self._whole, self._backend = checkpoint, backend
        self._opened: dict[str, VertexAnimator] = {}
        super().__init__(with_head(checkpoint, next(iter(heads_of(checkpoint)))), backend)

    def animate(
        self,
        sound: Sound,
        request: Request | None = None,
        progress: Progress = silent_progress,
        mesh: Mesh | None = None,
        subject: str | None = None,
    ) -> VertexAnimation:
        """As `VertexAnimator.animate`, by the head that moves as many vertices as `mesh` has."""
        head = self._head(None if mesh is None else len(mesh.vertices))
        return head.animate(sound, request, progress, mesh, subject)

    def complete(
        self, animation: VertexAnimation, keys: KeyMotions, progress: Progress = silent_progress
    ) -> VertexAnimation:
        """As `VertexAnimator.complete`, by the head that made the result."""
        return self._head(len(animation.template)).complete(animation, keys, progress)

    def _head(self, vertices: int | None) -> VertexAnimator:
        checkpoint = fitting(self._whole, vertices)
        if checkpoint.name not in self._opened:
            self._opened[checkpoint.name] = VertexAnimator(checkpoint, self._backend)
        return self._opened[checkpoint.name]


def open_head(checkpoint: Checkpoint, backend: str = "auto", head: str = "") -> VertexAnimator:
    """The animator of the head that is named, or else of all that there are. Raises InputError for an unknown one."""
    if head:
        return VertexAnimator(with_head(checkpoint, head), backend)
    return HeadedAnimator(checkpoint, backend) if heads_of(checkpoint) else VertexAnimator(checkpoint, backend)
