"""What an evaluation looks like: predicted and captured face side by side, and the error as heat on the mesh.

Painted in numpy (training.captured.raster) and encoded by PyAV, so neither Blender nor a display is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from kmtalk_core.audio import SAMPLE_RATE
from kmtalk_core.errors import InputError
from kmtalk_core.files import written_whole
from kmtalk_core.phones import Phone
from kmtalk_core.rig.mesh import Mesh
from training.captured.raster import Painter, View

from .dataset import DataSet
from .mp4 import encode

PANEL, CAPTION = 320, 40  # pixels
HOTTEST = 0.05  # of the distance from lips to upper face: an error of this size is painted in the last colour
LIPS, SKIN = np.array((0.72, 0.45, 0.42)), np.array((0.80, 0.68, 0.60))
HEAT = np.array(((0.90, 0.90, 0.88), (0.98, 0.86, 0.45), (0.93, 0.45, 0.20), (0.65, 0.05, 0.10)))


@dataclass(frozen=True)
class Stage:
    """Paints the faces of one data set. `turn` (3, 3) stands its meshes upright, facing +z; `hottest` in its unit."""

    painter: Painter
    colours: np.ndarray
    turn: np.ndarray
    centre: np.ndarray
    height: float
    hottest: float
    unit: str
    template: np.ndarray

    @classmethod
    def of(cls, data: DataSet) -> Stage:
        """Raises InputError where the data set has no faces."""
        if data.faces is None:
            raise InputError(
                f"{data.name} has no mesh faces to paint; put a .ply of the mesh beside the templates and prepare the"
                " data again, or leave out films."
            )
        template = next(iter(data.templates.values())).astype(np.float64)
        turn = upright(template, data.faces, data.lips, data.upper_face)
        stood = template @ turn.T
        lips, upper = stood[data.lips].mean(0), stood[data.upper_face].mean(0)
        reach = float(np.linalg.norm(upper - lips))
        face = stood[stood[:, 2] > lips[2] - 1.2 * reach]  # not the back of a whole head
        low, high = face[:, :2].min(0), face[:, :2].max(0)
        height = min(float((high - low).max()) * 1.05, 3.6 * reach)
        colours = np.tile(SKIN, (len(template), 1))
        colours[data.lips] = LIPS
        middle = 0.4 * lips + 0.6 * upper if height > 3.5 * reach else np.append((low + high) / 2, lips[2])
        return cls(
            Painter(Mesh(stood, data.faces), None, colours),
            colours,
            turn,
            middle,
            height,
            HOTTEST * reach,
            data.unit,
            template,
        )

    def panels(self, predicted: np.ndarray, true: np.ndarray) -> np.ndarray:
        """One frame, (V, 3) each → (PANEL, 3 · PANEL, 3) uint8: predicted, captured, and the error on the captured."""
        heat = self.heat(np.linalg.norm(predicted - true, axis=1))
        pictures = [self.picture(predicted), self.picture(true), self.picture(true, heat)]
        return np.concatenate(pictures, axis=1)

    def error_map(self, errors: np.ndarray, size: int = PANEL) -> np.ndarray:
        """Mean errors (V,) as heat on the first template → (size, size, 3) uint8."""
        return self.picture(self.template, self.heat(errors), size)

    def heat(self, errors: np.ndarray) -> np.ndarray:
        """Errors (V,) in the data's unit → colours (V, 3)."""
        return heat_colours(errors / self.hottest)

    def picture(self, vertices: np.ndarray, colours: np.ndarray | None = None, size: int = PANEL) -> np.ndarray:
        """(V, 3) → (size, size, 3) uint8, seen from the front."""
        return self.painter.paint(vertices @ self.turn.T, View(0.0, self.centre, self.height), size, colours)


def upright(template: np.ndarray, faces: np.ndarray, lips: np.ndarray, upper_face: np.ndarray) -> np.ndarray:
    """(3, 3) rotation after which the upper face is above the lips (+y) and both look along +z, whatever the axes."""
    a, b, c = (template[faces[:, k]] for k in range(3))
    normals = np.zeros_like(template)
    for corner in faces.T:
        np.add.at(normals, corner, np.cross(b - a, c - a))
    forward = normals[np.concatenate([lips, upper_face])].sum(0)
    up = template[upper_face].mean(0) - template[lips].mean(0)
    up /= np.linalg.norm(up)
    forward -= (forward @ up) * up
    forward /= max(float(np.linalg.norm(forward)), 1e-30)
    return np.stack([np.cross(up, forward), up, forward])


def heat_colours(share: np.ndarray) -> np.ndarray:
    """(V,) errors as shares of the hottest → (V, 3)."""
    at = np.clip(share, 0.0, 1.0) * (len(HEAT) - 1)
    return np.stack([np.interp(at, np.arange(len(HEAT)), HEAT[:, k]) for k in range(3)], 1)


def write_film(
    path: Path,
    stage: Stage,
    predicted: np.ndarray,
    true: np.ndarray,
    fps: float,
    samples: np.ndarray,
    phones: Sequence[Phone],
    name: str,
) -> None:
    """Predicted (T, V, 3), captured, heat, with the sound (n,) at 16 kHz, as .mp4; whole or not at all."""
    count = min(len(predicted), len(true))
    frames = (
        captioned(stage.panels(predicted[k], true[k]), name, stage, k / fps, phones, predicted[k] - true[k])
        for k in range(count)
    )
    with written_whole(path) as partial:
        encode(partial, frames, fps, samples[: round(count / fps * SAMPLE_RATE)])


def captioned(
    panels: np.ndarray, name: str, stage: Stage, time: float, phones: Sequence[Phone], error: np.ndarray
) -> np.ndarray:
    """The panels with what they are, the phone that is said and the scale of the heat below."""
    image = Image.new("RGB", (panels.shape[1], panels.shape[0] + CAPTION), (255, 255, 255))
    image.paste(Image.fromarray(panels))
    pen, font, top = ImageDraw.Draw(image), ImageFont.load_default(13), panels.shape[0]
    said = next((p.label for p in phones if p.start <= time < p.end), "")
    worst = float(np.linalg.norm(error, axis=1).max())
    for column, text in enumerate(
        (name, f"captured   {time:.2f} s  {said}", f"largest error {worst:.3g} {stage.unit}")
    ):
        pen.text((column * PANEL + 6, top + 4), text, (0, 0, 0), font)
    ramp = np.rint(heat_colours(np.linspace(0, 1, 120)) * 255).astype(np.uint8)
    image.paste(Image.fromarray(np.tile(ramp, (8, 1, 1))), (2 * PANEL + 22, top + 25))
    pen.text((2 * PANEL + 8, top + 21), "0", (0, 0, 0), font)
    pen.text((2 * PANEL + 148, top + 21), f"{stage.hottest:.2g} {stage.unit}", (0, 0, 0), font)
    return np.asarray(image)
