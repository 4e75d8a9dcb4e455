"""MediaPipe's face mesh and iBUG's landmarks: which tracked point is which, and faces freed from the head's motion."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.spatial.transform import Rotation

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

# Upper and lower lid, one above the other, and the corners of each eye; the brows from the nose outwards.
LIDS = {"Right": ((159, 145), (158, 153)), "Left": ((386, 374), (385, 380))}
EYE_CORNERS = {"Right": (33, 133), "Left": (263, 362)}
INNER_BROW = {"Right": (107, 66), "Left": (336, 296)}
OUTER_BROW = {"Right": (105, 70), "Left": (334, 300)}
# Skin around the mouth, which speech hardly moves and a hand before the mouth covers.
AROUND_MOUTH = (164, 2, 200, 199, 175, 204, 424, 202, 422, 210, 430, 206, 426, 212, 432, 214, 434, 216, 436, 205, 425)

# The points that are kept: those in the middle, and those of the right side with their partners of the left.
MIDDLE = (0, 1, 2, 4, 5, 6, 8, 9, 10, 13, 14, 17, 18, 151, 152, 164, 168, 175, 195, 197, 199, 200)
PAIRS = (
    (7, 249), (33, 263), (37, 267), (39, 269), (40, 270), (43, 273), (46, 276), (52, 282), (53, 283), (55, 285),
    (57, 287), (61, 291), (63, 293), (65, 295), (66, 296), (70, 300), (78, 308), (80, 310), (81, 311), (82, 312),
    (83, 313), (84, 314), (87, 317), (88, 318), (91, 321), (92, 322), (95, 324), (98, 327), (105, 334), (106, 335),
    (107, 336), (127, 356), (133, 362), (136, 365), (144, 373), (145, 374), (146, 375), (148, 377), (150, 379),
    (153, 380), (154, 381), (155, 382), (157, 384), (158, 385), (159, 386), (160, 387), (161, 388), (163, 390),
    (165, 391), (172, 397), (173, 398), (176, 400), (178, 402), (181, 405), (182, 406), (185, 409), (186, 410),
    (191, 415), (202, 422), (204, 424), (205, 425), (206, 426), (210, 430), (212, 432), (214, 434), (216, 436),
    (234, 454), (246, 466), (468, 473),
)  # fmt: skip
KEPT = (*MIDDLE, *(number for pair in PAIRS for number in pair))
PARTNER = {number: number for number in MIDDLE} | dict(PAIRS) | {left: right for right, left in PAIRS}

TURNS = 4  # of the search for the mean skull
# s, standard deviations of the Gaussians that smooth the head's pose: what is faster is the tracker's noise, which
# would move the chin. Heads nod below some 5 Hz; the way to the camera changes slowly.
TURN_SMOOTH, SCALE_SMOOTH, PLACE_SMOOTH = 0.06, 0.30, 0.04


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
        """(T, k, 3) of the points with these numbers; raises InputError for one that was not kept."""
        try:
            return self.points[:, [self._at[number] for number in numbers]]
        except KeyError as missing:
            raise InputError(f"The tracked points lack MediaPipe's number {missing}; track the face again.") from None

    def moved(self, points: np.ndarray) -> Points:
        """The same points at other places, (T, P, 3)."""
        return Points(points, np.array(list(self._at)))  # ids keep their columns

    def opening(self) -> np.ndarray:
        """(T,) pixels between the inner lips, mean of three places."""
        return np.linalg.norm(self.of(*UPPER_LIP) - self.of(*LOWER_LIP), axis=2).mean(1)

    def eye_distance(self) -> float:
        """Pixels between the outer corners of the eyes, median over frames."""
        return float(np.nanmedian(np.linalg.norm(self.of(RIGHT_EYE)[:, 0] - self.of(LEFT_EYE)[:, 0], axis=1)))


@dataclass(frozen=True)
class Still:
    """A face without the head's motion, and that motion.

    `points` in mm: x to the person's left, y up, z forward. The picture's point p, with y and z negated, is
    `(p - origin) @ rotation * scale` in the mean frame, and that times `upright.T` here: `rotation` (T, 3, 3),
    `scale` (T,) mm a pixel, `origin` (T, 3), NaN where no face was seen. `upright` (3, 3) has the head's axes as rows.
    """

    points: Points
    rotation: np.ndarray
    scale: np.ndarray
    origin: np.ndarray
    upright: np.ndarray

    @property
    def view(self) -> np.ndarray:
        """(3, 3): a displacement in the head's axes times this is one in the camera's (right, up, towards it), as the
        head stands in the middle of the video."""
        return self.upright @ _middle_turn(np.swapaxes(self.rotation, 1, 2)[np.isfinite(self.scale)])

    @property
    def side_deg(self) -> np.ndarray:
        """(T,) degrees between the face's direction and the camera."""
        forward = np.einsum("j,tij->ti", self.upright[2], self.rotation)
        return np.degrees(np.arccos(np.clip(forward[:, 2], -1.0, 1.0)))

    @property
    def head_deg(self) -> np.ndarray:
        """(T, 3) degrees of pitch (chin down), yaw (to the person's left) and roll (to the left shoulder), against the
        middle of the video."""
        out = np.full((len(self.scale), 3), np.nan)
        seen = np.isfinite(self.scale)
        # A displacement of the still head, turned as the head is turned in each frame, in the head's mean axes.
        turned = self.upright @ np.swapaxes(self.rotation[seen], 1, 2)
        against = np.swapaxes(self.view[None], 1, 2)
        relative = np.swapaxes(turned @ against, 1, 2)  # column vectors
        out[seen] = Rotation.from_matrix(relative).as_euler("YXZ", degrees=True)[:, [1, 0, 2]] * (1.0, 1.0, -1.0)
        return out

    def in_picture(self, points: np.ndarray) -> np.ndarray:
        """(T, k, 3) points in mm of the still head → pixels of the video (x right, y down, z towards it negative)."""
        mean = points @ self.upright
        flipped = np.einsum("tki,tji->tkj", mean, self.rotation) / self.scale[:, None, None] + self.origin[:, None]
        return flipped * (1.0, -1.0, -1.0)


def stilled(points: Points, fps: float) -> Still:
    """The face without the head's motion.

    Every frame is turned, moved and scaled so that the points of its skull fall on those of the mean face, which is
    scaled to eyes of human distance. Scaling frame by frame takes out the way to the camera as well (weak perspective).
    """
    flipped = points.moved(points.points * (1.0, -1.0, -1.0))
    skull = flipped.of(*SKULL)
    seen = np.isfinite(skull).all((1, 2))
    if not seen.any():
        raise InputError("No frame of the video shows a face; film it from the front, large and well lit.")
    mean = skull[np.flatnonzero(seen)[0]]
    for _ in range(TURNS):
        rotation, scale, origin = _similarity(skull[seen], mean)
        mean = _placed(skull[seen], rotation, scale, origin).mean(0)
    rotation, scale, origin = _calmed(*_similarity(skull[seen], mean), np.flatnonzero(seen) / fps)
    upright = _upright(mean)
    millimetres = EYE_CORNERS_MM / float(np.linalg.norm(mean[SKULL.index(RIGHT_EYE)] - mean[SKULL.index(LEFT_EYE)]))
    rotation, scale, origin = (_where(seen, part) for part in (rotation, scale * millimetres, origin))
    face = _placed(flipped.points, rotation, scale, origin) @ upright.T
    return Still(points.moved(face), rotation, scale, origin, upright)


def _where(seen: np.ndarray, values: np.ndarray) -> np.ndarray:
    """(T, …) with the `values` where `seen` (T,), NaN elsewhere."""
    out = np.full((len(seen), *values.shape[1:]), np.nan)
    out[seen] = values
    return out


def _similarity(points: np.ndarray, goal: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The rotation (T, 3, 3), scale (T,) and origin (T, 3) that fit each frame of `points` (T, k, 3) to `goal`."""
    origin = points.mean(1)
    centred, wanted = points - origin[:, None], goal - goal.mean(0)
    u, s, vt = np.linalg.svd(np.einsum("tki,kj->tij", centred, wanted))
    sign = np.sign(np.linalg.det(u @ vt))
    s[:, 2] *= sign
    u[:, :, 2] *= sign[:, None]
    return u @ vt, s.sum(1) / np.square(centred).sum((1, 2)), origin


def _placed(points: np.ndarray, rotation: np.ndarray, scale: np.ndarray, origin: np.ndarray) -> np.ndarray:
    return np.einsum("tki,tij->tkj", points - origin[:, None], rotation) * scale[:, None, None]


def _calmed(
    rotation: np.ndarray, scale: np.ndarray, origin: np.ndarray, times: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The head's motion at `times` (T,) s without the tracker's noise; gaps between frames part the smoothing."""
    turns = Rotation.from_matrix(rotation).as_rotvec()
    calm = turns.copy(), np.log(scale), origin.copy()
    step = float(np.median(np.diff(times))) if len(times) > 1 else 1.0
    edges = np.flatnonzero(np.diff(times) > 4 * step) + 1
    for low, high in zip([0, *edges], [*edges, len(times)], strict=True):
        for values, width in zip(calm, (TURN_SMOOTH, SCALE_SMOOTH, PLACE_SMOOTH), strict=True):
            values[low:high] = gaussian_filter1d(values[low:high], width / step, axis=0, mode="nearest")
    return Rotation.from_rotvec(calm[0]).as_matrix(), np.exp(calm[1]), calm[2]


def _middle_turn(rotations: np.ndarray) -> np.ndarray:
    """The rotation (3, 3) closest to all of (T, 3, 3)."""
    u, _, vt = np.linalg.svd(rotations.mean(0))
    return u @ np.diag([1.0, 1.0, np.sign(np.linalg.det(u @ vt))]) @ vt


def _upright(skull: np.ndarray) -> np.ndarray:
    """(3, 3): the axes of the mean face, from its eyes and its bridge and forehead, as rows."""
    at = {number: skull[index] for index, number in enumerate(SKULL)}
    x = _unit(at[LEFT_EYE] + at[362] - at[RIGHT_EYE] - at[133])
    y = at[10] - (at[98] + at[327]) / 2
    y = _unit(y - (y @ x) * x)
    return np.stack([x, y, np.cross(x, y)])


def _unit(v: np.ndarray) -> np.ndarray:
    return v / np.linalg.norm(v)
