"""The shape of the head's skin as one implicit surface, in mm.

Proportions follow the usual canon of facial thirds and fifths (Farkas, Anthropometry of the Head and Face, 1994):
eyes at half the head's height, one eye's width between the eyes, nose a third of the face, the mouth line a third of
the way from the nose to the chin; eyes a little larger than life for appeal.
"""

from __future__ import annotations

import numpy as np

from .implicit import capsule, cut, ellipsoid, join, mirrored

EYE_CENTRE = np.array([32.0, 0.0, 65.0])  # rotation centre of the left eye
EYE_RADIUS = 15.5  # life: 12
LID_THICKNESS = 1.9


def skull(p: np.ndarray) -> np.ndarray:
    """Cranium, face block, jaw and neck, without features; also what hair and brows sit on."""
    q = p * (1, 1, 1)
    q[:, 0] = np.abs(q[:, 0])
    d = ellipsoid(q, (0, 36, -9), (74, 80, 97))
    d = join(d, ellipsoid(q, (0, -26, 28), (60, 78, 57)), 40)
    d = join(d, capsule(q, (46, -62, 12), (12, -99, 66), 14, 13), 26)  # lower border of the jaw
    d = join(d, capsule(q, (0, -100, 73), (6, -100, 72), 13.5, 13), 22)  # chin
    neck = capsule(q, (0, -40, -22), (0, -200, -34), 50, 47)
    neck = join(neck, capsule(q, (46, -60, -14), (10, -198, 6), 8, 8), 22)  # sternocleidomastoid
    shoulders = ellipsoid(q, (0, -245, -38), (170, 66, 68))
    return join(d, join(neck, shoulders, 60), 16)


def skin(p: np.ndarray) -> np.ndarray:
    """The whole outer skin: skull plus brow, cheeks, muzzle, nose, sockets and lids (lips are laid on by `lips`)."""
    q = p * (1, 1, 1)
    q[:, 0] = np.abs(q[:, 0])
    d = skull(q)
    d = join(d, capsule(q, (6, 17, 79), (38, 21, 66), 8, 8), 18)  # brow ridge
    d = join(d, ellipsoid(q, (49, -22, 46), (20, 17, 24)), 26)  # cheekbone
    d = join(d, ellipsoid(q, (35, -40, 58), (20, 19, 19)), 22)  # apple of the cheek
    d = join(d, ellipsoid(q, (0, -63, 57), (33, 28, 32)), 24)  # muzzle over the dental arches
    # Eye sockets, then the lids as a shell round the eyeball.
    d = cut(d, ellipsoid(q, (32, 1, 84), (19, 13, 14)), 12)
    lid = np.linalg.norm(q - EYE_CENTRE, axis=1) - (EYE_RADIUS + LID_THICKNESS)
    d = join(d, lid, 7)
    # Nose: bridge, ball of the tip, wings, columella; both sides so that the midline stays smooth.
    nose = capsule(q, (0, 8, 79), (0, -29, 98), 7, 7.5)
    nose = join(nose, ellipsoid(q, (0, -33, 101), (9.5, 8.5, 9.5)), 9)
    wing = join(_wing(p), _wing(mirrored(p)), 4)
    nose = join(nose, wing, 8)
    nose = join(nose, capsule(q, (0, -39, 97), (0, -44, 88), 3.5, 4), 5)
    d = join(d, nose, 11)
    nostril = np.minimum(_nostril(p), _nostril(mirrored(p)))
    d = cut(d, nostril, 3)
    # Philtrum and the fold under the lower lip.
    d = cut(d, capsule(q, (0, -46, 95.5), (0, -56, 96.5), 2.6, 3.2), 5)
    return d


def _wing(p: np.ndarray) -> np.ndarray:
    return ellipsoid(p, (11.0, -37.0, 89.5), (6.0, 6.5, 8.5))


def _nostril(p: np.ndarray) -> np.ndarray:
    return ellipsoid(p, (6.3, -43.5, 95.0), (3.2, 4.0, 4.6))
