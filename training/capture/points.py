"""MediaPipe's face mesh and iBUG's landmarks: which tracked point is which, and faces freed from the head's motion."""

from __future__ import annotations

import numpy as np

from kmtalk_core.errors import InputError
from kmtalk_core.rig.frame import EYE_CORNERS_MM

# iBUG-68 landmark → MediaPipe's vertex. The person's right is on the picture's left.
LIPS = {
    48: 61, 49: 39, 50: 37, 51: 0, 52: 267, 53: 269, 54: 291, 55: 405, 56: 314, 57: 17, 58: 84, 59: 181,
    60: 78, 61: 82, 62: 13, 63: 312, 64: 308, 65: 317, 66: 14, 67: 87,
}  # fmt: skip
CHIN, BRIDGE = 152, 168
RIGHT_EYE, LEFT_EYE = 33, 263  # the outer corners
UPPER_LIP, LOWER_LIP = (82, 13, 312), (87, 14, 317)  # inner edges, one above the other
CORNERS = (61, 291)
# What moves with the skull: corners of the eyes, nose, forehead, and where jaw and ear meet.
SKULL = (33, 133, 263, 362, 6, 168, 10, 234, 454, 1, 4, 98, 327)
NEEDED = tuple(dict.fromkeys((*LIPS.values(), CHIN, *SKULL)))
TURNS = 4  # of the search for the mean skull


class Points:
    """Tracked `points` (T, P, 3) by MediaPipe's numbers `ids` (P,): pixels, x right, y down, z negative to the viewer.

    Raises InputError where points that are needed are missing.
    """

    def __init__(self, points: np.ndarray, ids: np.ndarray) -> None:
        self._at = {int(number): index for index, number in enumerate(ids)}
        missing = [number for number in NEEDED if number not in self._at]
        if missing:
            raise InputError(f"The tracked points lack MediaPipe's number {missing[0]}; track the face again.")
        self.points = np.asarray(points, np.float64)

    def of(self, *numbers: int) -> np.ndarray:
        """(T, k, 3) of the points with these numbers."""
        return self.points[:, [self._at[number] for number in numbers]]

    def opening(self) -> np.ndarray:
        """(T,) pixels between the inner lips, mean of three places."""
        return np.linalg.norm(self.of(*UPPER_LIP) - self.of(*LOWER_LIP), axis=2).mean(1)

    def eye_distance(self) -> float:
        """Pixels between the outer corners of the eyes, median over frames."""
        return float(np.nanmedian(np.linalg.norm(self.of(RIGHT_EYE)[:, 0] - self.of(LEFT_EYE)[:, 0], axis=1)))


def stilled(points: Points) -> np.ndarray:
    """The face without the head's motion: (T, P, 3) mm, x to the person's left, y up, z forward.

    Every frame is turned, moved and scaled so that the points of its skull fall on those of the mean face, which is
    scaled to eyes of human distance. Scaling frame by frame takes out the way to the camera as well (weak perspective).
    """
    flipped = Points(points.points * (1.0, -1.0, -1.0), np.array(list(points._at)))  # ids keep their columns
    skull = flipped.of(*SKULL)
    seen = np.isfinite(skull).all((1, 2))
    if not seen.any():
        raise InputError("No frame of the video shows the face; film it from the front.")
    mean = skull[np.flatnonzero(seen)[0]]
    for _ in range(TURNS):
        rotation, scale, origin = _similarity(skull[seen], mean)
        mean = _placed(skull[seen], rotation, scale, origin, mean).mean(0)
    rotation, scale, origin = (np.full((len(skull), *a.shape[1:]), np.nan) for a in _similarity(skull[seen], mean))
    rotation[seen], scale[seen], origin[seen] = _similarity(skull[seen], mean)
    face = _placed(flipped.points, rotation, scale, origin, mean)
    upright = _upright(mean)
    centre = mean.mean(0)
    face = (face - centre) @ upright.T
    eyes = np.linalg.norm(mean[SKULL.index(RIGHT_EYE)] - mean[SKULL.index(LEFT_EYE)])
    return face * (EYE_CORNERS_MM / eyes)


def _similarity(points: np.ndarray, goal: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The rotation (T, 3, 3), scale (T,) and origin (T, 3) that fit each frame of `points` (T, k, 3) to `goal`."""
    origin = points.mean(1)
    centred, wanted = points - origin[:, None], goal - goal.mean(0)
    u, s, vt = np.linalg.svd(np.einsum("tki,kj->tij", centred, wanted))
    sign = np.sign(np.linalg.det(u @ vt))
    s[:, 2] *= sign
    u[:, :, 2] *= sign[:, None]
    return u @ vt, s.sum(1) / np.square(centred).sum((1, 2)), origin


def _placed(
    points: np.ndarray, rotation: np.ndarray, scale: np.ndarray, origin: np.ndarray, goal: np.ndarray
) -> np.ndarray:
    return np.einsum("tki,tij->tkj", points - origin[:, None], rotation) * scale[:, None, None] + goal.mean(0)


def _upright(skull: np.ndarray) -> np.ndarray:
    """(3, 3): the axes of the mean face, from its eyes and its bridge and forehead, as rows."""
    at = {number: skull[index] for index, number in enumerate(SKULL)}
    x = _unit(at[LEFT_EYE] + at[362] - at[RIGHT_EYE] - at[133])
    y = at[10] - (at[98] + at[327]) / 2
    y = _unit(y - (y @ x) * x)
    return np.stack([x, y, np.cross(x, y)])


def _unit(v: np.ndarray) -> np.ndarray:
    return v / np.linalg.norm(v)
