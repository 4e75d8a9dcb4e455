"""Captured motion as a function of time, for training at any frame rate and in any manner."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.interpolate import PchipInterpolator

from kmtalk_core.rig.controls import SPEECH_CONTROLS

from .solve import SOLVED

_SEEN = np.array([SPEECH_CONTROLS.index(name) for name in SOLVED])
_JAW = np.array([SPEECH_CONTROLS.index(name) for name in ("jawOpen", "mouthClose")])


def _columns(*bases: str) -> np.ndarray:
    return np.array(
        [k for k, name in enumerate(SPEECH_CONTROLS) if name.removesuffix("Left").removesuffix("Right") in bases]
    )


_LIPS = _columns("mouthLowerDown", "mouthUpperUp")
_ROUND = _columns("mouthFunnel", "mouthPucker")
_SPREAD = _columns("mouthStretch", "mouthSmile")


@dataclass(frozen=True)
class CapturedMotion:
    """The `controls` (T, C) over SPEECH_CONTROLS of a person at `fps` Hz, `usable` (T,) where the face was seen."""

    controls: np.ndarray
    usable: np.ndarray
    fps: float

    @classmethod
    def of(cls, arrays: Mapping[str, np.ndarray]) -> CapturedMotion:
        """What `training.corpus.captured` wrote, or a whole result: that of `training.capture`, or a corrected line."""
        controls = arrays["controls"].astype(np.float32)
        if "control_names" in arrays:
            names = [str(name) for name in arrays["control_names"]]
            controls = controls[:, [names.index(name) for name in SPEECH_CONTROLS]]
        usable = arrays["usable"].astype(bool) if "usable" in arrays else np.ones(len(controls), bool)
        return cls(controls, usable, float(arrays["control_fps" if "control_fps" in arrays else "fps"]))

    def at(self, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Controls (N, C) float32 and weights (N,) float32, 0 where no face was seen, at `times` (N,) s.

        The way between frames never goes beyond them, so that closures stay closures.
        """
        own = np.arange(len(self.controls)) / self.fps
        inside = np.clip(times, own[0], own[-1])
        moved = np.asarray(PchipInterpolator(own, self.controls, axis=0)(inside), np.float32)
        seen = np.interp(inside, own, self.usable.astype(np.float64)) > 0.99
        return moved, seen.astype(np.float32)


def with_seen(rules: np.ndarray, captured: np.ndarray, share: float = 1.0) -> np.ndarray:
    """The rules' motion (N, C) in which what a camera sees is, by `share`, the captured motion (N, C)."""
    out = rules.copy()
    out[:, _SEEN] += share * (captured[:, _SEEN] - rules[:, _SEEN])
    return out


def in_manner(motion: np.ndarray, amplitude: float, jaw: float, rounding: float, spreading: float) -> np.ndarray:
    """Captured motion (N, C) as the same person would move in another manner: gains as those of `Style`."""
    out = motion.copy()
    out[:, _JAW] *= amplitude * jaw
    out[:, _LIPS] *= amplitude / jaw
    out[:, _ROUND] *= rounding
    out[:, _SPREAD] *= spreading
    return np.clip(out, 0.0, 1.2)
