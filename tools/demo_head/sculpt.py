"""The shape of the head's skin as one implicit surface, in mm.

Proportions follow the usual canon of facial thirds and fifths (Farkas, Anthropometry of the Head and Face, 1994):
eyes at half the head's height, one eye's width between the eyes, nose a third of the face, the mouth line a third of
the way from the nose to the chin; eyes larger than life and jaw and neck slimmer, for appeal.
"""

from __future__ import annotations

import numpy as np

from .implicit import capsule, cut, ellipsoid, join, mirrored

EYE_CENTRE = np.array([33.0, 0.0, 62.0])  # rotation centre of the left eye
EYE_RADIUS = 18.0  # life: 12
LID_THICKNESS = 1.9


def skull(p: np.ndarray) -> np.ndarray:
    """Cranium, face block, jaw, neck and shoulders, without features; also what hair and brows sit on."""
    q = np.abs(p) * (1, 0, 0) + p * (0, 1, 1)
    d = ellipsoid(q, (0, 36, -9), (73, 80, 97))
    d = join(d, ellipsoid(q, (0, -24, 28), (59, 80, 57)), 40)
    d = join(d, capsule(q, (44, -65, 10), (12, -99, 66), 11.5, 11.5), 30)  # lower border of the jaw
    d = join(d, ellipsoid(q, (0, -99, 73), (18, 14, 13.5)), 20)  # chin
    neck = capsule(q, (0, -40, -20), (0, -200, -36), 49, 45)
    neck = join(neck, capsule(q, (42, -60, -12), (9, -190, 4), 6, 7), 24)  # sternocleidomastoid
    shoulders = capsule(q, (0, -198, -42), (150, -226, -48), 34, 44)
    shoulders = join(shoulders, capsule(q, (14, -124, -56), (95, -192, -52), 14, 14), 40)  # trapezius
    shoulders = join(shoulders, ellipsoid(q, (0, -276, -30), (130, 84, 76)), 40)  # chest
    return join(d, join(neck, shoulders, 50), 14)


def skin(p: np.ndarray) -> np.ndarray:
    """The whole outer skin: skull plus brow, cheeks, muzzle, nose, sockets and lids (lips are laid on by `lips`)."""
    q = np.abs(p) * (1, 0, 0) + p * (0, 1, 1)
    d = skull(q)
    d = join(d, capsule(q, (6, 19, 79), (40, 23, 63), 8, 8), 20)  # brow ridge
    d = join(d, ellipsoid(q, (46, -22, 46), (17, 17, 26)), 30)  # cheekbone
    d = join(d, ellipsoid(q, (33, -38, 61), (19, 18, 19)), 24)  # apple of the cheek
    d = join(d, ellipsoid(q, (38, -56, 42), (17, 22, 22)), 26)  # fullness before the jaw's angle
    d = join(d, ellipsoid(q, (0, -63, 57), (32, 28, 32)), 24)  # muzzle over the dental arches
    # Eye sockets, then the lids as a shell round the eyeball: a crease above, a soft pad below.
    d = cut(d, ellipsoid(q, (33, 2, 84), (21, 15, 14)), 12)
    lid = np.linalg.norm(q - EYE_CENTRE, axis=1) - (EYE_RADIUS + LID_THICKNESS)
    d = join(d, lid, 7 - 3.5 * np.tanh((q[:, 1] - 2) / 4))
    d = join(d, nose(p), 7.5 + 3.0 * np.tanh((q[:, 1] + 26) / 6))  # the wings are set off by a crease
    return cut(d, capsule(q, (0, -46, 94.4), (0, -57, 93.2), 2.4, 3.2), 4)  # philtrum


def nose(p: np.ndarray) -> np.ndarray:
    """Bridge, ball of the tip, wings and columella; each side on its own, so that the midline stays smooth."""
    d = capsule(p, (0, 10, 78.5), (0, -28, 97.5), 5.5, 6.3)
    d = join(d, ellipsoid(p, (0, -32.5, 101), (9.2, 8.2, 9.2)), 9)
    d = join(d, join(_wing(p), _wing(mirrored(p)), 3), 5)
    return join(d, capsule(p, (0, -38, 97), (0, -43.5, 88), 3.2, 3.6), 5)


def _wing(p: np.ndarray) -> np.ndarray:
    return ellipsoid(p, (11.6, -37.0, 90.5), (5.6, 6.4, 8.0))
