"""KMTalk with one head for each data format, so that several data sets train together: UniTalker's idea (Fan et al.,
ECCV 2024). Audio encoders, attention and time are shared; what depends on the mesh is each head's own: the layer by
which key motions come in, and those by which motion goes out.

UniTalker's other measures are left out: principal components as targets, a warm-up of new heads, and its embedding of
identities, since KMTalk knows no speakers.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor, nn

from ..checkpoint import Checkpoint, save_checkpoint
from ..errors import InputError
from ..heads import HEAD
from .method import Batch, Geometry, Method, Wanted, geometry_about, geometry_arrays
from .vertex_kmtalk import OF_MESH, VertexKMTalk


class SharedKMTalk(Method):
    """A `VertexKMTalk` for each of `geometries`, all but their mesh's layers being the same modules. `Batch.head` names
    the one that a batch is of. Its own geometry is the first one's."""

    stages = VertexKMTalk.stages
    training_only = VertexKMTalk.training_only

    def __init__(self, config: Mapping[str, Any], geometries: Mapping[str, Geometry]) -> None:
        super().__init__(config, next(iter(geometries.values())))
        if wrong := [name for name in geometries if not name or "." in name]:
            raise InputError(f"The head of a data set cannot be named {wrong[0]!r}; rename it to a word without dots.")
        self._heads = nn.ModuleDict({name: VertexKMTalk(config, geometry) for name, geometry in geometries.items()})
        first, *others = self.heads.values()
        for other in others:
            other.share(first)

    @property
    def heads(self) -> dict[str, VertexKMTalk]:
        """Each of them is a whole KMTalk."""
        return {name: head for name, head in self._heads.items() if isinstance(head, VertexKMTalk)}

    @property
    def config(self) -> dict[str, Any]:
        return next(iter(self.heads.values())).config

    def trained(self, stage: str) -> Sequence[nn.Module]:
        return [module for head in self.heads.values() for module in head.trained(stage)]

    def loss(self, stage: str, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        return self.heads[batch.head].loss(stage, batch)

    def predicted(self, wanted: Wanted) -> Tensor:
        raise InputError(f"Choose a head to animate with: {', '.join(self.heads)}.")


def save_heads(method: SharedKMTalk, facts: Mapping[str, Any], path: str | os.PathLike[str]) -> str:
    """Write a checkpoint of all heads (`kmtalk_core.heads`), whole or not at all; its checksum."""
    weights: dict[str, np.ndarray] = {}
    for name, head in method.heads.items():
        for key, tensor in head.state_dict().items():
            if not key.startswith(head.training_only):
                own = f"{HEAD}{name}." if key.startswith(OF_MESH) else ""
                weights[f"{own}network.{key}"] = tensor.detach().cpu().numpy()
        weights |= {f"{HEAD}{name}.{key}": array for key, array in geometry_arrays(head.geometry).items()}
    heads = {name: geometry_about(head.geometry) for name, head in method.heads.items()}
    config = {**facts, "method": "kmtalk", "options": method.config, "heads": heads}
    return save_checkpoint(Checkpoint(config, weights, {}), path)
