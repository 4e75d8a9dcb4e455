"""Completion that is asked for again: what the networks gave for the same keys near the same frames is known."""

from __future__ import annotations

import hashlib
from threading import Lock

import numpy as np

from .inference import Completer

MOST = 256  # answers that are kept, of some 20 kB each
LONG = 1000  # frames from which on an answer is not kept


class Remembering:
    """Asks another backend for completions, each only once: of many edits of a line, one is new at a time."""

    def __init__(self, backend: Completer) -> None:
        self._backend = backend
        self._known: dict[bytes, np.ndarray] = {}
        self._lock = Lock()

    def complete(
        self, audio: np.ndarray, keys: np.ndarray, key_times: np.ndarray, times: np.ndarray, key_of: np.ndarray
    ) -> np.ndarray:
        """As `Backend.complete`."""
        asked = (audio, keys, key_times, times, key_of)
        if len(times) >= LONG:
            return self._backend.complete(*asked)
        digest = hashlib.blake2b(digest_size=16)
        for some in asked:
            digest.update(f"{some.dtype.str}{some.shape}".encode())
            digest.update(some.tobytes())
        asked_for = digest.digest()
        with self._lock:
            found = self._known.get(asked_for)
        if found is None:
            found = self._backend.complete(*asked)
            with self._lock:
                while len(self._known) >= MOST:
                    del self._known[next(iter(self._known))]
                self._known[asked_for] = found
        return found.copy()
