"""A backend whose networks fail with a sentence, and never give a motion that is none."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np

from ..errors import KMTalkError
from .inference import Backend

T = TypeVar("T")
NOT_FINITE = "The networks gave values that are not finite; the sound, the key motions or the checkpoint is damaged."


class Guarded:
    """Runs another backend. Raises KMTalkError where its networks cannot work, or give NaN or infinite values."""

    def __init__(self, backend: Backend) -> None:
        self._backend, self.name = backend, backend.name

    def encode(self, mel: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """As `Backend.encode`."""
        return _safely(lambda: self._backend.encode(mel))

    def key_motions(
        self, audio_at_keys: np.ndarray, phones: np.ndarray, timing: np.ndarray, key_times: np.ndarray
    ) -> np.ndarray:
        """As `Backend.key_motions`."""
        return _safely(lambda: self._backend.key_motions(audio_at_keys, phones, timing, key_times))

    def complete(
        self, audio: np.ndarray, keys: np.ndarray, key_times: np.ndarray, times: np.ndarray, key_of: np.ndarray
    ) -> np.ndarray:
        """As `Backend.complete`."""
        return _safely(lambda: self._backend.complete(audio, keys, key_times, times, key_of))


def _safely(run: Callable[[], T]) -> T:
    try:
        found = run()
    except (KMTalkError, MemoryError, OSError):
        raise
    except Exception as error:  # runtimes have exceptions of their own
        said = str(error).strip().partition("\n")[0][:120]
        raise KMTalkError(f"The networks cannot work with this ({said}); result or checkpoint are damaged.") from None
    arrays: tuple = found if isinstance(found, tuple) else (found,)
    if not all(np.isfinite(array).all() for array in arrays):
        raise KMTalkError(NOT_FINITE)
    return found
