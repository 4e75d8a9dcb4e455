"""The pictures that the networks look at: the whole face, the mouth, and either eye as if it were the left one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..rig.frame import PAIRS
from .views import Surface, View, look

PARTNER = np.arange(68)
for _right, _left in PAIRS:
    PARTNER[[_right, _left]] = _left, _right
MOUTH = np.arange(48, 68)
LEFT_EYE, RIGHT_EYE = np.arange(42, 48), PARTNER[42:48]


@dataclass(frozen=True)
class Crop:
    """A picture of `size` points a side around the `marks` (n,), as wide as `reach` times the `span` of two of them."""

    name: str
    marks: np.ndarray
    span: tuple[int, int]
    reach: float
    size: int

    def view(self, points: np.ndarray, axes: np.ndarray) -> View:
        """Where to look, given where the 68 landmarks are thought to be, `points` (68, 3)."""
        width = self.reach * float(np.linalg.norm(points[self.span[1]] - points[self.span[0]]))
        return View(points[self.marks].mean(0), axes, width)

    def mirrored(self) -> Crop:
        """The same on the person's other side."""
        return Crop(
            self.name, PARTNER[self.marks], (PARTNER[self.span[0]], PARTNER[self.span[1]]), self.reach, self.size
        )


ANYWHERE = Crop("anywhere", np.arange(68), (8, 27), 2.1, 64)
FACE = Crop("face", np.arange(68), (8, 27), 1.9, 80)
MOUTH_CROP = Crop("mouth", MOUTH, (48, 54), 1.65, 80)
EYE_CROP = Crop("eye", LEFT_EYE, (42, 45), 1.9, 64)
CROPS = (ANYWHERE, FACE, MOUTH_CROP, EYE_CROP)


def picture_of(surface: Surface, view: View, size: int, mirror: bool = False) -> np.ndarray:
    """(CHANNELS, size, size), with left and right exchanged where `mirror`."""
    picture = look(surface, view, size)
    return flipped(picture) if mirror else picture


def flipped(picture: np.ndarray) -> np.ndarray:
    """The mirror image of pictures (…, CHANNELS, size, size)."""
    out = picture[..., ::-1].copy()
    out[..., 0, :, :] *= -1
    return out
