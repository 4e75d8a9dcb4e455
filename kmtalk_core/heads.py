"""Checkpoints with several heads: one network for several meshes, with an entry and an exit of its own for each.

The idea is UniTalker's (Fan et al., ECCV 2024). What is of a head lies under `head.NAME.` in the weights, what it is
for under `heads` in the configuration; with one head chosen, a checkpoint is like any other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from .checkpoint import Checkpoint
from .errors import InputError

HEAD = "head."


def heads_of(checkpoint: Checkpoint) -> dict[str, int]:
    """How many vertices each head moves, by name; empty where there is but one."""
    return {str(name): int(about["vertices"]) for name, about in dict(checkpoint.config.get("heads", {})).items()}


def with_head(checkpoint: Checkpoint, name: str) -> Checkpoint:
    """The checkpoint of one head. Raises InputError where it has no head of this name."""
    heads = heads_of(checkpoint)
    if name not in heads:
        known = f"it has {_listed(heads)}" if heads else "it has a single one, without a name"
        raise InputError(f"The checkpoint has no head {name!r}; {known}.")
    config = {key: value for key, value in checkpoint.config.items() if key != "heads"}
    config |= {"geometry": checkpoint.config["heads"][name], "name": f"{config['name']}-{name}"}
    own = HEAD + name + "."
    weights: dict[str, np.ndarray] = {k: v for k, v in checkpoint.weights.items() if not k.startswith(HEAD)}
    weights |= {k.removeprefix(own): v for k, v in checkpoint.weights.items() if k.startswith(own)}
    return replace(checkpoint, config=config, weights=weights)


def fitting(checkpoint: Checkpoint, vertices: int | None, name: str = "") -> Checkpoint:
    """The checkpoint with its head `name`, or where none is named, with the one for a mesh of so many `vertices` (None:
    no mesh); a checkpoint without heads as it is. Raises InputError where none or more than one fits."""
    heads = heads_of(checkpoint)
    if name or not heads:
        return with_head(checkpoint, name) if name else checkpoint
    found = [head for head, count in heads.items() if count == vertices]
    if len(found) != 1:
        why = "no mesh tells which" if vertices is None else f"{len(found) or 'none'} of them for {vertices} vertices"
        raise InputError(f"The checkpoint has the heads {_listed(heads)}, {why}; name one with --checkpoint-head.")
    return with_head(checkpoint, found[0])


def _listed(heads: Mapping[str, int]) -> str:
    return ", ".join(f"{name} ({count} vertices)" for name, count in heads.items())
