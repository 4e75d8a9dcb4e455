"""Motion in vertex space: a result whose mesh was moved directly, and its key motions as poses of that mesh."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from .errors import InputError
from .files import load_npz
from .motion import Animation, KeyMotions, finite

LARGE = 256 * 1024**2  # bytes: more are kept on disk rather than in memory
ROWS = 64  # poses that are handled at once


@dataclass(frozen=True)
class VertexAnimation(Animation):
    """A result of a checkpoint at paper scale, for sound of any length: large arrays lie on disk.

    `vertices` (T, V, 3) float32 are the motion, in the mesh's units; there are no controls, so `controls` is (T, 0) and
    `keys` has times only. `key_vertices` (m, V, 3) float32 are the key motions, the very poses of their frames;
    `template` (V, 3) float32 is the neutral mesh. `transform` (3, 3): displacement in the training data's space, as a
    column, → displacement of this mesh (its scale and rotation, and the intensity).
    """

    template: np.ndarray = field(default_factory=lambda: np.zeros((0, 3), np.float32))
    key_vertices: np.ndarray = field(default_factory=lambda: np.zeros((0, 0, 3), np.float32))
    transform: np.ndarray = field(default_factory=lambda: np.eye(3))

    @property
    def motion(self) -> np.ndarray:
        """`vertices`, which a result in vertex space always has."""
        assert self.vertices is not None
        return self.vertices

    @property
    def key_poses(self) -> KeyMotions:
        """The key motions as `Animator.complete` takes them: (m, 3 V) positions. To be edited in a copy."""
        return KeyMotions(self.keys.times, self.key_vertices.reshape(len(self.key_vertices), -1))

    def more_arrays(self) -> dict[str, np.ndarray]:
        return {"template": self.template, "key_vertices": self.key_vertices, "transform": self.transform}

    @classmethod
    def of(cls, animation: Animation, z: Mapping[str, np.ndarray]) -> VertexAnimation:
        """From a loaded OUT.npz. Raises ValueError or KeyError where its arrays do not fit together."""
        template, keys, transform = z["template"], z["key_vertices"], z["transform"]
        count = len(template)
        if (
            animation.vertices is None
            or template.shape != (count, 3)
            or animation.vertices.shape[1] != count
            or keys.shape != (len(animation.keys.times), count, 3)
            or transform.shape != (3, 3)
            or not all(a.dtype.kind == "f" and finite(a) for a in (template, keys, transform, animation.vertices))
        ):
            raise ValueError
        return cls(**vars(animation), template=template, key_vertices=keys, transform=transform)


def load_key_vertices(path: str | os.PathLike[str], vertices: int) -> KeyMotions:
    """Edited key motions in vertex space: any .npz with `key_times` (m,) and `key_vertices` (m, V, 3), a whole OUT.npz
    included → poses (m, 3 V)."""
    z = load_npz(path)
    if "key_times" not in z or "key_vertices" not in z:
        raise InputError(f"{path} holds no key motions; it needs key_times (m,) and key_vertices (m, V, 3).")
    times, poses = z["key_times"], z["key_vertices"]
    if times.dtype.kind not in "fiu" or poses.dtype.kind not in "fiu":
        raise InputError(f"{path}: key_times and key_vertices must be numbers; save them as float arrays.")
    if times.ndim != 1 or poses.shape != (len(times), vertices, 3):
        raise InputError(
            f"{path}: key_vertices has the shape {poses.shape}; expected are {len(times)} poses of {vertices} vertices."
        )
    return KeyMotions(times.astype(np.float64), poses.reshape(len(times), -1).astype(np.float32))


def blocks(count: int, size: int = ROWS) -> Iterator[slice]:
    """0…count in slices of at most `size`."""
    for low in range(0, count, size):
        yield slice(low, min(low + size, count))


def scratch(shape: tuple[int, ...]) -> np.ndarray:
    """Zeros (float32); where they are many in a file that goes with the array. Raises OSError on a full disk."""
    size = 4 * math.prod(shape)
    if size <= LARGE:
        return np.zeros(shape, np.float32)
    with tempfile.TemporaryFile() as file:
        if hasattr(os, "posix_fallocate"):  # a full disk is an error here, but would end the process later
            os.posix_fallocate(file.fileno(), 0, size)
        return np.memmap(file, np.float32, shape=shape)
