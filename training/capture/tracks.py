"""A tracked video as a file: all that solving needs, so that neither the film nor the tracker is needed again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kmtalk_core.errors import InputError
from kmtalk_core.files import load_npz, save_npz

ENDING = ".points.npz"
SUBPIXELS = 64  # what is less is noise, and only makes files large
ARRAYS = ("points", "point_ids", "fps", "size", "skin", "frozen", "samples", "sha256", "notes")


@dataclass(frozen=True)
class Track:
    """The face of a video, frame by frame at `fps` Hz, and its sound.

    `points` (T, P, 3) float32: pixels, x right, y down, z negative to the viewer, NaN where no face was found; `ids`
    (P,) MediaPipe's numbers; `size` (width, height) of the picture; `skin` (T, K) uint8, how bright the skin around the
    mouth is; `frozen` (T,) bool: the picture is missing, or the one before it again. `samples` (n,) float32 at 16 kHz,
    -1…1, start with the first frame; `sha256` of the video; `notes` are sentences for the user.
    """

    points: np.ndarray
    ids: np.ndarray
    fps: float
    size: tuple[int, int]
    skin: np.ndarray
    frozen: np.ndarray
    samples: np.ndarray
    sha256: str
    notes: tuple[str, ...] = ()

    def save(self, path: Path) -> None:
        """Write `path` whole or not at all."""
        arrays = {
            "points": np.rint(self.points * SUBPIXELS).astype(np.float32) / SUBPIXELS,
            "point_ids": self.ids.astype(np.int64),
            "fps": np.array(self.fps),
            "size": np.array(self.size),
            "skin": self.skin,
            "frozen": self.frozen,
            "samples": np.rint(np.clip(self.samples, -1, 1) * 32767).astype(np.int16),
            "sha256": np.array(self.sha256),
            "notes": np.array(self.notes, dtype=str if self.notes else "U1"),
        }
        save_npz(arrays, path)


def load_track(path: Path) -> Track:
    """Read what `Track.save` wrote; raises InputError for anything else."""
    z = load_npz(path, ARRAYS)
    lacking = [name for name in ARRAYS if name not in z]
    if lacking:
        raise InputError(f"{path} holds no tracked face ({lacking[0]} is missing); track the video again.")
    frames = len(z["points"])
    whole = z["points"].ndim == 3 and z["points"].shape[1:] == (len(z["point_ids"]), 3) and z["size"].shape == (2,)
    if not whole or len(z["skin"]) != frames or len(z["frozen"]) != frames or not float(z["fps"]) > 0:
        raise InputError(f"{path} is damaged; track the video again.")
    return Track(
        z["points"],
        z["point_ids"],
        float(z["fps"]),
        (int(z["size"][0]), int(z["size"][1])),
        z["skin"],
        z["frozen"].astype(bool),
        z["samples"].astype(np.float32) / 32767,
        str(z["sha256"]),
        tuple(str(note) for note in z["notes"]),
    )
