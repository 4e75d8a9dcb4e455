"""Small convolutional networks over frames at 50 Hz, written out in NumPy: each frame sees 1.3 s around it."""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np

from .files import load_sealed

TAPS = 5  # frames that a convolution looks at, …
DILATIONS = (1, 2, 4, 8, 16)  # … so far apart, one layer after the other
REACH = TAPS // 2 * sum(DILATIONS)  # frames on both sides that count

Weights = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Convolutions:
    """`layers`: weights (TAPS · inputs, outputs) and biases (outputs,) of each convolution; `head` the same of the
    last, which looks at one frame."""

    layers: tuple[Weights, ...]
    head: Weights

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """(n, inputs) → (n, outputs) float32 logits."""
        for number, ((weights, bias), dilation) in enumerate(zip(self.layers, DILATIONS, strict=True)):
            y = np.maximum(_around(x, dilation) @ weights + bias, 0.0)
            x = y if number == 0 else x + y
        return (x @ self.head[0] + self.head[1]).astype(np.float32)


def load_convolutions(path: str | os.PathLike[str], otherwise: str) -> Convolutions:
    """Read what `training.vocal` writes; raises InputError, which ends in `otherwise` for a file of another kind."""
    arrays, _ = load_sealed(path, otherwise)

    def of(name: str) -> Weights:
        return arrays[f"{name}.weights"].astype(np.float32), arrays[f"{name}.bias"].astype(np.float32)

    return Convolutions(tuple(of(f"layer{n}") for n in range(len(DILATIONS))), of("head"))


def _around(x: np.ndarray, dilation: int) -> np.ndarray:
    """(n, d) → (n, TAPS · d): each frame with those `dilation` frames apart around it, zeros beyond the ends."""
    reach = TAPS // 2 * dilation
    padded = np.pad(x, ((reach, reach), (0, 0)))
    return np.concatenate([padded[tap * dilation : tap * dilation + len(x)] for tap in range(TAPS)], axis=1)
