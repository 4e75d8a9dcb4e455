"""What kind of sound is heard when: words, laughs, breaths, … or nobody who is near.

A small convolutional network over the spectrum and the phone posteriors, written out in NumPy: it hears 1.3 s around
every frame. `training.vocal` makes its weights.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from .assets import SOUND_KINDS
from .features import MELS
from .files import load_sealed
from .phones import PHONES

NOBODY, WORDS = "nobody", "words"
KINDS = (NOBODY, WORDS, "laughs", "breath", "coughs", "cries", "effort", "hums", "kiss")
RATE = 50.0  # Hz
WIDTH = 64  # channels
TAPS = 5  # frames that a convolution looks at, …
DILATIONS = (1, 2, 4, 8, 16)  # … so far apart, one layer after the other
MEL_MEAN, MEL_DEVIATION = -7.0, 3.5
UNHEARD, POSTERIOR_SCALE = -10.0, 5.0  # log-posteriors below the first are cut off; by the second they are divided
INPUTS = 2 * MELS + len(PHONES)


@dataclass(frozen=True)
class KindsNetwork:
    """`layers`: weights (TAPS · inputs, outputs) and biases (outputs,) of each convolution; `head` the same of the
    last, which looks at one frame."""

    layers: tuple[tuple[np.ndarray, np.ndarray], ...]
    head: tuple[np.ndarray, np.ndarray]

    def __call__(self, mel: np.ndarray, log_posteriors: np.ndarray) -> np.ndarray:
        """(2 n or 2 n - 1, MELS) log-mel at 100 Hz, (n, phones) log-posteriors → (n, KINDS) float32, sums of 1."""
        x = network_input(mel, log_posteriors)
        for number, ((weights, bias), dilation) in enumerate(zip(self.layers, DILATIONS, strict=True)):
            y = np.maximum(_around(x, dilation) @ weights + bias, 0.0)
            x = y if number == 0 else x + y
        logits = x @ self.head[0] + self.head[1]
        odds = np.exp(logits - logits.max(1, keepdims=True))
        return (odds / odds.sum(1, keepdims=True)).astype(np.float32)


def network_input(mel: np.ndarray, log_posteriors: np.ndarray) -> np.ndarray:
    """(n, INPUTS) float32: both mel frames of every 20 ms and the posteriors, each around 0."""
    n = len(log_posteriors)
    padded = np.concatenate([mel[: 2 * n], np.repeat(mel[-1:], max(2 * n - len(mel), 0), axis=0)])
    seen = ((padded - MEL_MEAN) / MEL_DEVIATION).reshape(n, 2 * MELS)
    said = np.maximum(log_posteriors, UNHEARD) / POSTERIOR_SCALE + 1.0
    return np.concatenate([seen, said], axis=1).astype(np.float32)


def _around(x: np.ndarray, dilation: int) -> np.ndarray:
    """(n, d) → (n, TAPS · d): each frame with those `dilation` frames apart around it, zeros beyond the ends."""
    reach = TAPS // 2 * dilation
    padded = np.pad(x, ((reach, reach), (0, 0)))
    return np.concatenate([padded[tap * dilation : tap * dilation + len(x)] for tap in range(TAPS)], axis=1)


@functools.cache
def shipped_kinds() -> KindsNetwork:
    """The network that ships. Raises InputError if its file is damaged."""
    arrays, _ = load_sealed(SOUND_KINDS, "no network of sounds; make one with `python -m training.vocal`.")

    def of(name: str) -> tuple[np.ndarray, np.ndarray]:
        return arrays[f"{name}.weights"].astype(np.float32), arrays[f"{name}.bias"].astype(np.float32)

    return KindsNetwork(tuple(of(f"layer{n}") for n in range(len(DILATIONS))), of("head"))
