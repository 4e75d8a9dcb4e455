"""The finder's networks, through ONNX Runtime: one file with a graph for each kind of picture."""

from __future__ import annotations

import os
from functools import lru_cache

import numpy as np
import onnxruntime

from ..archives import parsed
from ..assets import LANDMARK_FINDER
from ..errors import InputError
from ..files import load_sealed
from .crops import CROPS, Crop

FORMAT = 1
BATCH = 32


class Networks:
    """Runs on numpy arrays, in one thread."""

    def __init__(self, path: str | os.PathLike[str] = LANDMARK_FINDER) -> None:
        """Raises InputError if the file is missing, damaged or something else."""
        arrays, self.sha256 = load_sealed(path, "no landmark finder; make one with `python -m training.landmarks`.")
        if parsed(str(arrays["config"]))["format"] != FORMAT:
            raise InputError(f"{path} was written by another version of KMTalk; make it again with this version.")
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._sessions = {
            crop.name: onnxruntime.InferenceSession(
                arrays[f"graphs/{crop.name}"].tobytes(), options, providers=["CPUExecutionProvider"]
            )
            for crop in CROPS
        }

    def see(self, crop: Crop, pictures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Pictures (n, CHANNELS, s, s) → landmarks (n, marks, 3) in the picture; how surely a face is there (n,), a
        logit (of ANYWHERE only)."""
        placed, sure = [], []
        for first in range(0, len(pictures), BATCH):
            some = self._sessions[crop.name].run(None, {"pictures": pictures[first : first + BATCH]})
            placed.append(some[0])
            sure.append(some[1].reshape(len(some[0]), -1)[:, 0])
        return np.concatenate(placed).astype(np.float64), np.concatenate(sure).astype(np.float64)


@lru_cache(maxsize=1)
def shipped() -> Networks:
    """The networks that come along, read once."""
    return Networks()
