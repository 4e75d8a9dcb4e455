"""The networks through torch, on the best device there is: CUDA (or ROCm), Apple's MPS, else the CPU."""

from __future__ import annotations

import numpy as np
import torch

from ..checkpoint import Checkpoint
from ..networks.kmtalk import KMTalk


def best_device() -> torch.device:
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def device_name() -> str:
    """What people call it."""
    device = best_device()
    return torch.cuda.get_device_name() if device.type == "cuda" else device.type.upper()


class TorchBackend:
    """The same interface as OnnxBackend."""

    name = "torch"

    def __init__(self, checkpoint: Checkpoint, device: torch.device | None = None) -> None:
        self.device = device or best_device()
        self._model = KMTalk.from_checkpoint(checkpoint).to(self.device)
        self._neutral = checkpoint.style()

    def _put(self, array: np.ndarray, dtype: torch.dtype = torch.float32) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device, dtype)[None]

    def _style(self, style: np.ndarray | None) -> torch.Tensor | None:
        code = self._neutral if style is None else style
        return None if self._neutral is None or code is None else self._put(code)

    @torch.inference_mode()
    def encode(self, mel: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        audio, logits, prosody = self._model.encoder(self._put(mel))
        return audio[0].cpu().numpy(), logits[0].cpu().numpy(), prosody[0].cpu().numpy()

    @torch.inference_mode()
    def key_motions(
        self,
        audio_at_keys: np.ndarray,
        phones: np.ndarray,
        timing: np.ndarray,
        key_times: np.ndarray,
        style: np.ndarray | None = None,
    ) -> np.ndarray:
        keys = self._model.lkma(
            self._put(audio_at_keys),
            self._put(phones, torch.long),
            self._put(timing),
            self._put(key_times),
            style=self._style(style),
        )
        return keys[0].cpu().numpy()

    @torch.inference_mode()
    def complete(
        self,
        audio: np.ndarray,
        keys: np.ndarray,
        key_times: np.ndarray,
        times: np.ndarray,
        key_of: np.ndarray,
        style: np.ndarray | None = None,
    ) -> np.ndarray:
        motion = self._model.cmc(
            self._put(audio),
            self._put(keys),
            self._put(key_times),
            self._put(times),
            self._put(key_of, torch.long),
            style=self._style(style),
        )
        return motion[0].cpu().numpy()
