"""Mouth charts of 2-D animation: one drawing a frame, held for two frames at least, and every closure shown."""

from __future__ import annotations

from itertools import groupby

import numpy as np

from ..motion import Animation
from ..phones import BILABIALS, LABIODENTALS, SILENCE
from .families import Family

HOLD = 2  # frames


def mouths_of(animation: Animation, chart: Family) -> list[str]:
    """(T,) the drawing of each frame. No drawing is shorter than HOLD frames; each p, b, m, f, v is shown."""
    drawing = {phone: name for name, phones in chart.mouths.items() for phone in phones}
    rest = drawing[SILENCE]
    times, fps = animation.times - animation.sliders.offset, animation.fps
    shown, fixed = [rest] * len(times), np.zeros(len(times), bool)
    phones = animation.alignment.phones
    for phone in phones:
        first, last = np.searchsorted(times, [phone.start - 0.5 / fps, phone.end - 0.5 / fps])
        for frame in range(int(first), int(last)):
            shown[frame] = drawing.get(phone.label, rest)
    reached = 0  # a contact begins after the one before it
    for phone in phones:
        if phone.label in BILABIALS | LABIODENTALS and len(times) >= HOLD:
            middle = round((phone.start + phone.end) / 2 * fps + animation.sliders.offset * fps)
            first = min(max(middle - HOLD // 2, reached, 0), len(times) - HOLD)
            here = slice(first, first + HOLD)
            shown[here], fixed[here], reached = [drawing[phone.label]] * HOLD, True, first + HOLD
    return _held(shown, fixed)


def cues_of(shown: list[str]) -> list[tuple[int, str]]:
    """The frame on which each drawing begins."""
    cues, frame = [], 0
    for name, run in groupby(shown):
        cues.append((frame, name))
        frame += len(list(run))
    return cues


def stepped(shown: list[str], names: tuple[str, ...]) -> np.ndarray:
    """(T, n) float32: 1 for the drawing that is shown, among `names`."""
    return np.array([[float(name == drawing) for name in names] for drawing in shown], np.float32)


def _held(shown: list[str], fixed: np.ndarray) -> list[str]:
    """With drawings that are too short given to the one beside them."""
    shown = list(shown)
    frame = 0
    while frame < len(shown):
        end = frame
        while end < len(shown) and shown[end] == shown[frame]:
            end += 1
        if end - frame < HOLD and not fixed[frame:end].any() and len(shown) > HOLD:
            name = shown[frame - 1] if frame else shown[end]
            shown[frame:end] = [name] * (end - frame)
            frame = max(frame - 1, 0)
            while frame and shown[frame - 1] == shown[frame]:
                frame -= 1
            continue
        frame = end
    return shown
