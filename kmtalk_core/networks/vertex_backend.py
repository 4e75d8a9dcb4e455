"""Runs a checkpoint at paper scale with torch, on the best device; numpy at its border, no batch dimension."""

from __future__ import annotations

import numpy as np
import torch

from ..checkpoint import Checkpoint
from .method import Geometry, Keys, load_method
from .speech import SAMPLE_RATE, Speech
from .vertex_kmtalk import VertexKMTalk


class VertexBackend:
    """`completes`: whether the method has key motions and completes them (KMTalk); others only `infer`."""

    name = "torch"

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._method = load_method(checkpoint).to(self._device)
        self._kmtalk = self._method if isinstance(self._method, VertexKMTalk) else None

    @property
    def geometry(self) -> Geometry:
        return self._method.geometry

    @property
    def completes(self) -> bool:
        return self._kmtalk is not None

    @torch.inference_mode()
    def hear(self, samples: np.ndarray) -> np.ndarray:
        """(n,) normalised samples at 16 kHz → A of both modules (F, 2 d) at the geometry's frame rate."""
        return self._own().heard(self._speech(samples))[0][0].cpu().numpy()

    @torch.inference_mode()
    def key_motions(self, audio_at_keys: np.ndarray, key_times: np.ndarray) -> np.ndarray:
        """LKMA, eq. (1): (m, 2 d) at (m,) s → displacement (m, 3 V) in the data's unit."""
        return self._own().pose(self._tensor(audio_at_keys), self._tensor(key_times))[0].cpu().numpy()

    @torch.inference_mode()
    def complete(
        self, audio: np.ndarray, keys: np.ndarray, key_times: np.ndarray, times: np.ndarray, key_of: np.ndarray
    ) -> np.ndarray:
        """CMC, eq. (3): (N, 2 d) at (N,) s, K (m, 3 V) at (m,) s, `key_of` (N,) → (N, 3 V)."""
        real = torch.ones(1, len(key_times), dtype=torch.bool, device=self._device)
        given = Keys(self._tensor(key_times), real, self._tensor(keys))
        at_keys = torch.from_numpy(key_of)[None].to(self._device)
        return self._own().complete(self._tensor(audio), given, self._tensor(times), at_keys)[0].cpu().numpy()

    @torch.inference_mode()
    def infer(self, samples: np.ndarray, template: np.ndarray, style: np.ndarray, times: np.ndarray) -> np.ndarray:
        """Any method: (n,) normalised samples → displacement (N, 3 V) at (N,) s."""
        face, speaker = self._tensor(template.reshape(-1)), self._tensor(style)
        return self._method.infer(self._speech(samples), face, speaker, self._tensor(times))[0].cpu().numpy()

    def _own(self) -> VertexKMTalk:
        assert self._kmtalk is not None
        return self._kmtalk

    def _speech(self, samples: np.ndarray) -> Speech:
        padded = np.pad(samples, (0, max(SAMPLE_RATE // 10 - len(samples), 0)))
        return Speech(self._tensor(padded), torch.tensor([len(padded)], device=self._device))

    def _tensor(self, array: np.ndarray) -> torch.Tensor:
        """As a batch of one, float32."""
        return torch.from_numpy(np.ascontiguousarray(array, np.float32))[None].to(self._device)
