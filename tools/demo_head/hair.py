"""Hair: short locks that fall from a whorl and are swept aside over the forehead, as one sculpted mass; mm."""

from __future__ import annotations

import numpy as np

from .implicit import cast_out, gradient
from .mesh import Builder, Piece
from .sculpt import skull

AROUND, DOWN = 216, 15
LOCKS = 27
VOLUME = 15.0  # how far the hair stands off the skull
RIDGE = 4.5  # depth of the furrows between locks at their tips
CENTRE = np.array([0.0, 36.0, -9.0])  # of the cranium, from which the hair is laid out
WHORL = np.array([0.30, 0.86, -0.40])  # direction from CENTRE where the locks begin
SWEEP = np.radians(-34)  # how far the fringe turns towards the head's right
# The hair's edge seen from CENTRE: azimuth (0 front, towards the head's left), elevation, degrees.
EDGE = (
    *((-180, -50), (-140, -45), (-118, -26), (-108, -12), (-97, 3), (-84, -2), (-78, -30), (-66, -22), (-55, -6)),
    *((-35, 3), (-12, 7), (10, 14), (28, 19), (42, 15), (55, -2), (66, -20), (78, -30), (84, -2), (97, 3)),
    *((108, -12), (118, -26), (140, -45), (180, -50)),
)


def _paths() -> tuple[np.ndarray, np.ndarray]:
    """Unit directions (AROUND, DOWN + 1, 3) along each strand from whorl to edge, and each strand's lock phase."""
    w = WHORL / np.linalg.norm(WHORL)
    ahead = np.array([0.0, 0.0, 1.0]) - w[2] * w
    ahead /= np.linalg.norm(ahead)
    aside = np.cross(w, ahead)
    start = np.linspace(-np.pi, np.pi, AROUND, endpoint=False)
    phase = start / (2 * np.pi) * LOCKS + 0.35 * np.sin(3 * start + 0.6) + 0.25 * np.sin(7 * start)
    theta = np.radians(np.linspace(2, 175, 700))
    frontal = np.exp(-((start / 1.0) ** 2))
    azimuth, elevation = np.array(EDGE, float).T
    directions = np.empty((AROUND, DOWN + 1, 3))
    tip = np.abs(np.sin(np.pi * phase))  # 1 in the middle of a lock, 0 between two
    for s in range(AROUND):
        a = start[s] + SWEEP * frontal[s] * (theta / 1.6) ** 1.4
        ray = np.cos(theta)[:, None] * w + np.sin(theta)[:, None] * (
            np.cos(a)[:, None] * ahead + np.sin(a)[:, None] * aside
        )
        edge = np.interp(np.degrees(np.arctan2(ray[:, 0], ray[:, 2])), azimuth, elevation)
        beyond = np.degrees(np.arcsin(ray[:, 1])) < edge - 5.0 * tip[s] + 2.0
        end = theta[np.argmax(beyond)] if beyond.any() else theta[-1]
        at = np.interp(np.linspace(0.03, 1, DOWN + 1) * end, theta, np.arange(len(theta)))
        directions[s] = np.stack([np.interp(at, np.arange(len(theta)), ray[:, c]) for c in range(3)], axis=1)
    return directions, phase


def hair() -> Piece:
    directions, phase = _paths()
    v = np.linspace(0, 1, DOWN + 1)
    lock = np.floor(phase)
    lift = 2.2 * np.sin(lock * 2.4) + 1.2 * np.sin(lock * 5.1)
    ridge = np.abs(np.sin(np.pi * phase)) ** 0.7
    body = VOLUME * (0.75 + 0.25 * np.sin(np.pi * np.clip(v * 1.15, 0, 1))) * (1 - 0.42 * v**3)
    rise = body[None] + (lift[:, None] * v**1.5 + RIDGE * (ridge[:, None] - 1) * np.minimum(1, 2.2 * v)) * (v < 2)
    surface = cast_out(skull, CENTRE, directions.reshape(-1, 3))
    normal = gradient(skull, surface).reshape(directions.shape)
    surface = surface.reshape(directions.shape)
    b = Builder()
    rows = [[(k, s) for s in range(AROUND)] for k in range(DOWN + 2)]
    for s in range(AROUND):
        for k in range(DOWN + 1):
            b.vertex((k, s), surface[s, k] + normal[s, k] * max(rise[s, k], 1.0))
        inside = surface[s, DOWN - 1] - normal[s, DOWN - 1] * 3.0
        b.vertex((DOWN + 1, s), inside)
    b.vertex("top", np.mean([b.at(key) for key in rows[0]], axis=0))
    for k in range(DOWN + 1):
        b.strip("hair", rows[k + 1], rows[k], closed=True)
    for s in range(AROUND):
        b.face("hair", "top", rows[0][s], rows[0][(s + 1) % AROUND])
    return b.piece("hair")
