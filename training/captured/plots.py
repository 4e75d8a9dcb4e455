"""Curves of one sentence as a picture: the mouth's opening, predicted and captured, and the error of the lips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from kmtalk_core.files import written_whole
from kmtalk_core.phones import SILENCE, Phone

WIDTH, PANEL, LEFT, GAP, TITLE = 1100, 170, 64, 26, 20  # pixels
COLOURS = ((40, 40, 40), (214, 69, 40), (34, 110, 180))
SCALE = 2  # drawn larger, for smooth lines


@dataclass(frozen=True)
class Panel:
    """Curves over the same frames: name → (T,); `title` says what and in which unit."""

    title: str
    curves: Mapping[str, np.ndarray]


def write_curves(path: Path, title: str, panels: Sequence[Panel], fps: float, phones: Sequence[Phone]) -> None:
    """Panels below each other over time in seconds, with the phones at the bottom; a .png, whole or not at all."""
    height = TITLE + len(panels) * (PANEL + GAP) + GAP
    image = Image.new("RGB", (WIDTH * SCALE, height * SCALE), (255, 255, 255))
    pen, font, small = ImageDraw.Draw(image), ImageFont.load_default(13 * SCALE), ImageFont.load_default(10 * SCALE)
    frames = max(len(c) for panel in panels for c in panel.curves.values())
    x = (LEFT + np.arange(frames) / max(frames - 1, 1) * (WIDTH - LEFT - 12)) * SCALE
    per_second = (x[-1] - x[0]) / max((frames - 1) / fps, 1e-9)
    pen.text((6 * SCALE, 2 * SCALE), title, (0, 0, 0), font)
    for row, panel in enumerate(panels):
        top = (TITLE + GAP + row * (PANEL + GAP)) * SCALE
        bottom = top + PANEL * SCALE
        low = min(0.0, *(float(c.min()) for c in panel.curves.values()))
        high = max(float(c.max()) for c in panel.curves.values())
        unit = (bottom - top) / max(high - low, 1e-30)
        for phone in phones:
            at = x[0] + phone.start * per_second
            if at <= x[-1]:
                pen.line((at, top, at, bottom), (228, 228, 228), SCALE)
                if row == len(panels) - 1 and phone.label != SILENCE:
                    pen.text((at + 2 * SCALE, bottom + 2 * SCALE), phone.label.lower(), (110, 110, 110), small)
        pen.line((x[0], bottom + low * unit, x[-1], bottom + low * unit), (150, 150, 150), SCALE)
        pen.text((6 * SCALE, top), f"{high:.3g}", (90, 90, 90), small)
        pen.text((6 * SCALE, bottom - 12 * SCALE), f"{low:.3g}", (90, 90, 90), small)
        for number, (name, curve) in enumerate(panel.curves.items()):
            colour = COLOURS[number % len(COLOURS)]
            y = bottom - (curve - low) * unit
            pen.line(list(zip(x[: len(y)].tolist(), y.tolist(), strict=True)), colour, 2 * SCALE, "curve")
            pen.text(((WIDTH - 330 + 110 * number) * SCALE, top - 16 * SCALE), name, colour, small)
        pen.text((LEFT * SCALE, top - 16 * SCALE), panel.title, (0, 0, 0), small)
    with written_whole(path) as partial:
        image.resize((WIDTH, height), Image.Resampling.BOX).save(partial)
