"""The ear: concentric loops from its root on the skull over the rim (helix) into the hollow (concha); mm."""

from __future__ import annotations

import numpy as np
from scipy.interpolate import CubicSpline

from .implicit import project
from .sculpt import skin

ROOT = np.array([67.0, -2.0, -4.0])  # front middle of the ear; stands off the skull by FLARE
FLARE = np.radians(34)
LEAN = np.radians(10)  # backwards, about parallel to the nose's bridge
CENTRE = np.array([12.0, 0.0])
# Outline in the ear's own plane: angle (0 backwards, 90 up), distance from CENTRE. 60 mm high, as long as the nose.
OUTLINE = (
    *((0, 18.5), (30, 21), (60, 26), (90, 28), (120, 23), (150, 14.5), (180, 10.5), (210, 11.5), (240, 22)),
    *((262, 28), (285, 25), (315, 17.5), (340, 16.5)),
)
# Loops from the rim inwards: scale of the outline, height over the plane.
LOOPS = ((1.0, 0.0), (0.95, 2.4), (0.85, 2.2), (0.76, 0.2), (0.64, 1.9), (0.52, 1.4), (0.42, -1.2), (0.24, -2.4))
HOLLOW = np.array([6.5, -3.0])  # where the loops shrink to


def loops(count: int, start: float) -> list[np.ndarray]:
    """Rings (count, 3) of the left ear from the root inwards, clockwise seen from the left; then its bottom (1, 3).

    `start` is how many steps before the middle of the front edge the ring begins.
    """
    angle, radius = np.array((*OUTLINE, (360, OUTLINE[0][1])), float).T
    spline = CubicSpline(np.radians(angle), radius, bc_type="periodic")
    fine = np.linspace(np.pi, -np.pi, 2000)  # clockwise from the front's middle
    outline = CENTRE + spline(fine)[:, None] * np.column_stack([np.cos(fine), np.sin(fine)])
    run = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(outline, axis=0), axis=1))])
    at = (np.arange(count) - start) / count * run[-1] % run[-1]
    rim = np.column_stack([np.interp(at, run, outline[:, 0]), np.interp(at, run, outline[:, 1])])
    psi = np.interp(at, run, fine)
    lobe = np.exp(-(((np.degrees(psi) + 95) / 32) ** 2))  # flat and thick, without groove
    front = np.clip(-(rim[:, 0] - 4) / 4, 0, 1)

    root = np.column_stack([-2.5 + (rim[:, 0] - 1) * 0.34, rim[:, 1] * 0.86])
    foot = project(skin, _place(root, np.zeros(count), flare=0.0), 8)
    rings = [foot]
    edge = _place(rim, np.zeros(count))
    behind = _place(CENTRE + (rim - CENTRE) * 0.9, np.full(count, -2.6))
    rings.append(foot + (behind - foot) * (0.45 - 0.1 * front)[:, None])
    rings.append(behind * (1 - 0.5 * front[:, None]) + foot * 0.5 * front[:, None])
    for scale, height in LOOPS:
        flat = 1 - 0.75 * lobe
        shrunk = HOLLOW + (rim - HOLLOW) * scale
        rings.append(_place(shrunk, height * flat + 1.2 * lobe * (scale < 1)) if scale < 1 else edge)
    rings.append(rings[-1].mean(axis=0, keepdims=True) - (0.4, 0, 0))
    return rings


def _place(uv: np.ndarray, height: np.ndarray, flare: float = FLARE) -> np.ndarray:
    """Points (N, 3) from the ear's plane: `uv` backwards and up, `height` outwards."""
    back, up = np.array([np.sin(flare), 0, -np.cos(flare)]), np.array([0.0, np.cos(LEAN), -np.sin(LEAN)])
    out = np.array([np.cos(flare), 0, np.sin(flare)])
    return ROOT + uv[:, :1] * back + uv[:, 1:] * up + np.asarray(height)[:, None] * out
