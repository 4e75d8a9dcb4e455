"""What kind of sound is heard when: words, laughs, breaths, … or nobody who is near.

A small convolutional network over the spectrum and the phone posteriors. `training.vocal` makes its weights.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from .assets import SOUND_KINDS
from .convolutions import Convolutions, load_convolutions
from .features import MELS
from .phones import PHONES

NOBODY, WORDS = "nobody", "words"
KINDS = (NOBODY, WORDS, "laughs", "breath", "coughs", "cries", "effort", "hums", "kiss")
RATE = 50.0  # Hz
WIDTH = 64  # channels
MEL_MEAN, MEL_DEVIATION = -7.0, 3.5
UNHEARD, POSTERIOR_SCALE = -10.0, 5.0  # log-posteriors below the first are cut off; by the second they are divided
INPUTS = 2 * MELS + len(PHONES)


@dataclass(frozen=True)
class KindsNetwork:
    """The network."""

    layers: Convolutions

    def __call__(self, mel: np.ndarray, log_posteriors: np.ndarray) -> np.ndarray:
        """(2 n or 2 n - 1, MELS) log-mel at 100 Hz, (n, phones) log-posteriors → (n, KINDS) float32, sums of 1."""
        logits = self.layers(network_input(mel, log_posteriors))
        odds = np.exp(logits - logits.max(1, keepdims=True))
        return (odds / odds.sum(1, keepdims=True)).astype(np.float32)


def network_input(mel: np.ndarray, log_posteriors: np.ndarray) -> np.ndarray:
    """(n, INPUTS) float32: both mel frames of every 20 ms and the posteriors, each around 0."""
    n = len(log_posteriors)
    padded = np.concatenate([mel[: 2 * n], np.repeat(mel[-1:], max(2 * n - len(mel), 0), axis=0)])
    seen = ((padded - MEL_MEAN) / MEL_DEVIATION).reshape(n, 2 * MELS)
    said = np.maximum(log_posteriors, UNHEARD) / POSTERIOR_SCALE + 1.0
    return np.concatenate([seen, said], axis=1).astype(np.float32)


@functools.cache
def shipped_kinds() -> KindsNetwork:
    """The network that ships. Raises InputError if its file is damaged."""
    remedy = "no network of sounds; make one with `python -m training.vocal`."
    return KindsNetwork(load_convolutions(SOUND_KINDS, remedy))
