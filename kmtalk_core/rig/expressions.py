"""The shape of each control: where it takes the handles of the face, and what the rest of the skin does.

All lengths are mm on a head of human size. Lip positions run over `u`, -1 at the right corner of the mouth to 1 at the
left one. The skin between handles follows biharmonically.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from ..easing import smoothstep
from .anatomy import Anatomy, Eye, nearest_skin
from .controls import CONTROL_INDEX, EYE_LOOK_DEG
from .frame import FACE_HEIGHT_MM
from .surface import Biharmonic, face_normals, vertex_normals

JAW_DROP_MM = 30.0  # how far the jaw's lip descends at jawOpen 1
CONDYLE_BELOW_MM, CONDYLE_BEHIND_MM = 18.0, 88.0  # the jaw's hinge under the level of the eyes and behind the lips
CONDYLE_GLIDE = np.array([0.0, -4.0, 9.0])  # mm at jawOpen 1
JAW_TRAVEL = {"jawLeft": (9.0, 0.0, 0.0), "jawRight": (-9.0, 0.0, 0.0), "jawForward": (0.0, -1.0, 7.0)}  # mm
# How much of the jaw's motion the skin takes along its contour, from the ear (landmark 0 or 16) to the chin (8).
CONTOUR_JAW = (0.0, 0.0, 0.04, 0.12, 0.3, 0.62, 0.86, 0.97, 1.0)
CORNER_JAW = 0.38  # at the corners of the mouth
CLOSED_JAW = 0.22  # at sealed lips, when the jaw is open behind them
ROLL_TO_TEETH = 0.6  # the mouthRollLower of f and v
TUCK_MM = 2.6  # how far over the upper incisors' edge the lower lip then reaches
TONGUE_RISE_MM = 15.0  # the tip at tongueTipUp 1
TONGUE_THINS = 0.6  # share of the height of its front that tongueOut takes
BAG_SKIN_MM = 18.0  # how far behind the inner lips the mouth bag still moves with them
LIP_DEPTH_MM = 12.0  # how far behind the inner lips these may touch
CHEEK_MM = (8.0, 25.0)  # bag nearer to the outer skin than the first moves with it, beyond the second on its own
CHEEK_DEPTH_MM = (6.0, 16.0)  # and so near to the lips it does not, so deep it does
SOCKET_REACH = 1.2  # how far behind the lids their inside follows them, in radii of the eyeball
UNFOLD_STEPS, UNFOLD_RINGS = 60, 5  # smoothing steps against turned triangles, and how many edges around them
LID_CORNER_MM = 0.15  # what each lid leaves open in the corners
LID_CLEARANCE = 0.4  # mm between a closed lid and the eyeball


@dataclass(frozen=True)
class Lips:
    """All lip handles in one array: `at` (k,) skin vertices, `u` (k,), `upper` (k,) and `inner` (k,) bool."""

    at: np.ndarray
    u: np.ndarray
    upper: np.ndarray
    inner: np.ndarray
    half: float  # half the width of the mouth, mm
    centre: np.ndarray  # (3,)

    @property
    def mid(self) -> np.ndarray:
        """1 in the middle of the mouth, 0 at its corners."""
        return 1 - self.u**2


def find_lips(a: Anatomy) -> Lips:
    """The handles of both lips; both rings take their `u` from the inner corners, so that they shear nowhere."""
    right, left = a.p[60, 0], a.p[64, 0]
    at, u, upper, inner = [], [], [], []
    for rim, is_inner in ((a.lips_inner, True), (a.lips_outer, False)):
        for path, is_upper in ((rim.upper, True), (rim.lower, False)):
            x = np.maximum.accumulate(a.skin[path, 0])
            at.append(path)
            u.append(np.clip(2 * (x - right) / max(left - right, 1e-9) - 1, -1, 1))
            upper.append(np.full(len(path), is_upper))
            inner.append(np.full(len(path), is_inner))
    corners = a.p[[48, 54]]
    return Lips(
        np.concatenate(at), np.concatenate(u), np.concatenate(upper), np.concatenate(inner),
        float(np.linalg.norm(corners[1] - corners[0])) / 2, corners.mean(0),
    )  # fmt: skip


def jaw_motion(a: Anatomy, control: str, points: np.ndarray) -> np.ndarray:
    """Displacement (k, 3) of `points` that are rigid with the mandible, at control 1."""
    size = (a.p[27, 1] - a.p[8, 1]) / FACE_HEIGHT_MM
    if control != "jawOpen":
        return np.broadcast_to(np.array(JAW_TRAVEL[control]) * size, points.shape).copy()
    hinge = np.array([0.0, a.p[36:48, 1].mean() - CONDYLE_BELOW_MM * size, a.p[66, 2] - CONDYLE_BEHIND_MM * size])
    _, y, z = a.p[66] - hinge
    drop = JAW_DROP_MM * size + CONDYLE_GLIDE[1] * size
    angle = np.arctan2(y, z) + np.arcsin(min(1.0, (drop - y) / np.hypot(y, z)))
    turn = Rotation.from_euler("x", angle)
    return turn.apply(points - hinge) + hinge - points + CONDYLE_GLIDE * size


def eye_rotation(a: Anatomy, control: str, left: bool, points: np.ndarray) -> np.ndarray:
    """Displacement (k, 3) of an eyeball about its centre; zero where the control is the other eye's."""
    if control.endswith("Left") != left:
        return np.zeros_like(points)
    way = control.removeprefix("eyeLook").removesuffix("Left").removesuffix("Right")
    angle = EYE_LOOK_DEG[way]
    if way in ("Up", "Down"):
        turn = Rotation.from_euler("x", -angle if way == "Up" else angle, degrees=True)
    else:
        turn = Rotation.from_euler("y", angle if (way == "Out") == left else -angle, degrees=True)
    centre = a.eyes[int(left)].centre
    return turn.apply(points - centre) + centre - points


def tongue_shape(a: Anatomy, control: str, points: np.ndarray) -> np.ndarray:
    """Displacement (k, 3) of the tongue: its tip leads, its root stays."""
    back, front = points[:, 2].min(), points[:, 2].max()
    t = (points[:, 2] - back) / max(front - back, 1e-9)
    zero = np.zeros_like(t)
    if control == "tongueOut":
        # Over the lower teeth and the lip, which the jaw carries along, and thinner, to pass under the upper teeth.
        front = smoothstep((t - 0.35) / 0.65)
        thinner = TONGUE_THINS * (np.median(points[t > 0.6, 1]) - points[:, 1])
        return np.stack([zero, (8 + thinner) * front, 24 * smoothstep(t)], axis=1)
    if control == "tongueTipUp":
        # High enough for a tongue that an open jaw has lowered, and forward to the backs of the upper incisors, where
        # it is seen below their edge.
        tip = smoothstep((t - 0.55) / 0.45)
        return np.stack([zero, TONGUE_RISE_MM * tip, 10 * tip], axis=1)
    body = np.exp(-(((t - 0.42) / 0.26) ** 2))
    return np.stack([zero, 8 * body, -2 * body], axis=1)


def skin_shapes(a: Anatomy) -> dict[str, np.ndarray]:
    """Control name → displacement (n, 3) of the skin in mm at control 1."""
    lips = find_lips(a)
    contour = a.marks[:17]
    bag = a.bag_depth > BAG_SKIN_MM
    handles = a.still | bag
    handles[lips.at] = handles[a.marks[:36]] = True
    for eye in a.eyes:
        handles[eye.rim.loop] = handles[eye.socket] = True
    n = len(a.skin)

    # What the skin takes of the jaw's motion: one smooth weight.
    weight = np.zeros((n, 1))
    weight[contour, 0] = [*CONTOUR_JAW, *CONTOUR_JAW[-2::-1]]
    weight[lips.at, 0] = _jaw_at_lips(lips)
    weight[bag, 0] = a.bag_lower[bag]
    at_rest = a.skin[lips.at]
    opening = jaw_motion(a, "jawOpen", at_rest)

    moves: dict[str, np.ndarray] = {}
    for name, at_lips in _lip_moves(a, lips).items():
        moves[name] = np.zeros((n, 3))
        moves[name][lips.at] = at_lips
    # jawOpen and mouthClose together leave the lips as they are at rest, only lower.
    closed = np.where(
        lips.inner, CLOSED_JAW, np.where(lips.upper, CLOSED_JAW - 0.08 * lips.mid, CLOSED_JAW + 0.08 * lips.mid)
    )
    moves["mouthClose"] = np.zeros((n, 3))
    moves["mouthClose"][lips.at] = (closed[:, None] - weight[lips.at]) * opening - moves["jawOpen"][lips.at]
    for name, at_marks in FACE_MOVES.items():
        moves.setdefault(name, np.zeros((n, 3)))
        for mark, move in at_marks.items():
            moves[name][a.marks[mark]] += move
    for eye in a.eyes:
        for name, (upper, lower) in _lid_moves(a.skin, eye).items():
            moves.setdefault(name, np.zeros((n, 3)))
            moves[name][eye.rim.upper], moves[name][eye.rim.lower] = upper, lower
            moves[name][eye.socket] = _socket_follow(a.skin, eye) * moves[name][eye.source]
    bulges = {"cheekPuff": _cheek_load(a, 0.3, 0.5), "cheekSquint": _cheek_load(a, 0.65, 0.15)}

    solved = Biharmonic(a.skin, a.faces, handles).solve(
        np.hstack([weight, *moves.values(), np.zeros((n, 3 * len(bulges)))]),
        np.hstack([np.zeros((n, 1 + 3 * len(moves))), *bulges.values()]),
    )
    inside = a.bag_depth > CHEEK_DEPTH_MM[0]
    cheeks, follow = _behind_cheeks(a, inside)
    solved[inside] += follow * (cheeks @ solved - solved[inside])
    jaw, names = solved[:, :1], [*moves, *(f"{name} bulge" for name in bulges)]
    field = {name: solved[:, 1 + 3 * k : 4 + 3 * k] for k, name in enumerate(names)}
    puff, squint = (
        bulge / max(np.linalg.norm(bulge, axis=1).max(), 1e-12)
        for bulge in (field.pop(f"{name} bulge") for name in ("cheekPuff", "cheekSquint"))
    )
    field["cheekPuff"] = field["cheekPuff"] + 9 * puff
    field["cheekSquint"] = 5 * squint
    field["mouthSmile"] = field["mouthSmile"] + 2.5 * squint
    for name in ("jawOpen", "jawLeft", "jawRight", "jawForward"):
        field[name] = jaw * jaw_motion(a, name, a.skin) + field.get(name, 0)
    field["mouthPress"] = _flatten_contact(a, field["mouthPress"])
    shapes = _sided(a, lips, field)
    faces, near = a.faces, a.neighbours
    if a.mirror is not None:
        # Paths and diagonals may lean to one side: average, and look at both sides' triangles from here on.
        shapes = _symmetric(shapes, a.mirror)
        faces = np.concatenate([faces, a.mirror[faces][:, ::-1]])
        near = near + near[a.mirror][:, a.mirror]
    rest, lids = face_normals(a.skin, faces), _lid_skin(a)
    shapes = {
        name: _unfold(
            a, faces, rest, near, move, lids if name.startswith(("eyeBlink", "eyeSquint", "eyeLookDown")) else ()
        )
        for name, move in shapes.items()
    }
    both = _unfold(a, faces, rest, near, shapes["jawOpen"] + shapes["mouthClose"])
    return shapes | {"mouthClose": both - shapes["jawOpen"]}


def _behind_cheeks(a: Anatomy, bag: np.ndarray) -> tuple[sp.csr_matrix, np.ndarray]:
    """The outer skin near each vertex of `bag`, and how much (k, 1) the bag follows it: a cheek moves as a whole."""
    near, distance = nearest_skin(a, a.skin[bag])
    deep = smoothstep((a.bag_depth[bag] - CHEEK_DEPTH_MM[0]) / (CHEEK_DEPTH_MM[1] - CHEEK_DEPTH_MM[0]))
    return near, (deep * smoothstep((CHEEK_MM[1] - distance) / (CHEEK_MM[1] - CHEEK_MM[0])))[:, None]


def _jaw_at_lips(lips: Lips) -> np.ndarray:
    oval = _oval(lips.u)
    return np.where(lips.upper, CORNER_JAW * (1 - oval), CORNER_JAW + (0.98 - CORNER_JAW) * oval)


def _lip_moves(a: Anatomy, lips: Lips) -> dict[str, np.ndarray]:
    """Shape → displacement (k, 3) of the lip handles; shapes without a side move both halves of the mouth."""
    p, u, mid, upper, inner = a.skin[lips.at], lips.u, lips.mid, lips.upper, lips.inner
    k = lips.half / 26.5  # the mouth's size against an average one
    corner, way = np.abs(u) ** 1.7, np.sign(u)
    x = p[:, 0] - lips.centre[0]
    up = np.where(upper, 1.0, -1.0)
    zero = np.zeros_like(u)

    def move(dx, dy, dz) -> np.ndarray:
        return k * np.stack(np.broadcast_arrays(dx + zero, dy + zero, dz + zero), axis=1)

    upper_in, upper_out = upper & inner, upper & ~inner
    lower_in, lower_out = ~upper & inner, ~upper & ~inner

    def rings(ui: float, uo: float, li: float, lo: float) -> np.ndarray:
        return np.select([upper_in, upper_out, lower_in, lower_out], [ui, uo, li, lo])

    oval = _oval(u)
    hole = np.exp(-((np.abs(u) / 0.6) ** 3)) * mid  # rounder than the opening of the jaw
    bow = (a.p[[62, 66], 1].mean() - a.p[[60, 64], 1].mean()) / k  # a rounded mouth has its corners at one level
    side = np.exp(-(((np.abs(u) - 0.45) / 0.35) ** 2)) * np.minimum(1, mid * 2)  # peaks beside the middle

    def aside(way: int) -> np.ndarray:
        """Towards one side, whose corner gives way along the cheek."""
        ahead, behind = corner * (way * u > 0), corner * (way * u < 0)
        return move(way * (9.0 - 2.0 * ahead), 1.5 * ahead, behind - 3.0 * ahead)

    return {
        "jawOpen": move(-2.5 * way * corner, 0, -1.0 * corner),
        "mouthFunnel": move(
            np.where(inner, -0.40, -0.36) * x / k,
            rings(3.6, 2.6, -4.6, -3.0) * hole + 0.8 * bow * corner,
            (1 - corner) * rings(5.5, 4.2, 5.5, 3.6) + 5.0 * corner,
        ),
        "mouthPucker": move(
            np.where(inner, -0.50, -0.44) * x / k,
            rings(0, 1.0, 0, -0.4) * mid - 2.0 + bow * corner,
            (1 - corner) * rings(8.6, 6.4, 8.6, 6.4) + 8.4 * corner,
        ),
        "mouthLeft": aside(1),
        "mouthRight": aside(-1),
        "mouthSmile": move(7.5 * way * corner, 7.0 * u**2 + rings(0.8, 0.8, 0.4, 0.2) * mid, -4.5 * corner - 1.5 * mid),
        "mouthFrown": move(1.5 * way * corner, -7.0 * corner - 0.6 * mid, -1.5 * corner),
        "mouthDimple": move(5.0 * way * corner, 1.0 * corner, -5.0 * corner - 0.7 * mid),
        "mouthStretch": move(8.0 * way * corner, -3.0 * corner, -4.0 * corner - 1.0 * mid),
        "mouthPress": _seal(a, lips)
        + move(0.6 * way * corner, rings(0, -1.2, 0, 1.4) * mid, rings(-0.8, -0.4, -0.8, -0.4) * mid),
        "mouthRollLower": np.where(lower_in, oval, 0)[:, None] * _to_incisors(a)
        + move(0, rings(0.3, 0.3, 0, 5.5) * mid, rings(0, 0, 0, -3.6) * mid),
        "mouthRollUpper": move(0, rings(-0.6, -3.0, 0, 0) * mid, rings(-4.0, -2.0, 0, 0) * mid),
        "mouthShrugUpper": move(0, rings(3.5, 3.8, 0, 0) * mid, rings(2.5, 1.5, 0, 0) * mid),
        "mouthShrugLower": move(0, rings(0, 0, 3.5, 3.8) * mid, rings(0, 0, 2.5, 1.5) * mid),
        "mouthLowerDown": move(0, -rings(0, 0, 6.5, 6.0) * np.maximum(side, 0.8 * mid**2), rings(0, 0, 1.2, 0.2) * mid),
        "mouthUpperUp": move(0, rings(5.5, 5.5, 0, 0) * np.maximum(side, 0.75 * mid**2), rings(0.3, -0.6, 0, 0) * mid),
        "cheekPuff": move(0, 0.3 * up * mid, 1.5 * mid),
    }  # fmt: skip


def _oval(u: np.ndarray) -> np.ndarray:
    """The outline of an open mouth: 1 in the middle, falling late and steeply to 0 at the corners."""
    return (1 - np.abs(u) ** 2.2) ** 0.85


def _to_incisors(a: Anatomy) -> np.ndarray:
    """(3,) where mouthRollLower takes the lower lip's edge: at ROLL_TO_TEETH it lies on the upper incisors.

    TUCK_MM of them disappear behind it: less would leave the slit of s.
    """
    default = np.array([0.0, 1.5, -7.0])
    teeth = [a.points[part.vertices] for part in a.parts if part.role == "teeth_upper"]
    if not teeth:
        return default
    arch = np.concatenate(teeth)
    front = arch[:, 2].max()
    incisors = arch[(np.abs(arch[:, 0] - a.p[66, 0]) < 8) & (arch[:, 2] > front - 4)]
    if not len(incisors):  # coarse teeth, or only a part of them
        return default
    edge = incisors[incisors[:, 1] < incisors[:, 1].min() + 1.5]
    target = np.array([a.p[66, 0], edge[:, 1].min() + TUCK_MM, edge[:, 2].max() + 0.5])
    spread = np.array([0.0, 3.0, 3.0])
    return np.clip((target - a.p[66]) / ROLL_TO_TEETH, default - spread, default + spread)


def _seal(a: Anatomy, lips: Lips) -> np.ndarray:
    """(k, 3) what brings the inner lips together from rest: to one curve, between them and nearer to the upper lip."""
    curve = {}
    for is_upper in (True, False):
        own = lips.inner & (lips.upper == is_upper)
        curve[is_upper] = lips.u[own], a.skin[lips.at[own]]

    def at(is_upper: bool, u: np.ndarray) -> np.ndarray:
        knots, points = curve[is_upper]
        return np.stack([np.interp(u, knots, points[:, c]) for c in range(3)], axis=1)

    meeting = 0.6 * at(True, lips.u) + 0.4 * at(False, lips.u)
    own = np.where(lips.upper[:, None], at(True, lips.u), at(False, lips.u))
    return (meeting - own) * np.where(lips.inner, 1.0, 0.5)[:, None]


def _flatten_contact(a: Anatomy, press: np.ndarray) -> np.ndarray:
    """Let pressed lips end at each other: behind their contact curve neither gets past its height."""
    pressed = a.skin + press
    behind = (a.bag_depth > 0) & (a.bag_depth < LIP_DEPTH_MM)
    curve = pressed[a.lips_inner.upper]
    height = np.interp(pressed[:, 0], np.maximum.accumulate(curve[:, 0]), curve[:, 1])
    short = np.where(a.bag_lower < 0.5, np.maximum(height - pressed[:, 1], 0), np.minimum(height - pressed[:, 1], 0))
    press = press.copy()
    press[behind, 1] += short[behind]
    return press


FACE_MOVES: dict[str, dict[int, tuple[float, float, float]]] = {
    "mouthShrugLower": {6: (0, 1.4, 0.3), 7: (0, 2.8, 0.8), 8: (0, 3.5, 1), 9: (0, 2.8, 0.8), 10: (0, 1.4, 0.3)},
    "noseSneer": {
        31: (-0.8, 4, 0), 35: (0.8, 4, 0), 32: (-0.3, 2, 0), 34: (0.3, 2, 0), 33: (0, 0.8, 0), 30: (0, 0.6, 0),
        29: (0, 0.8, 0.3), 28: (0, 0.6, 0.2), 21: (0.6, -1.2, 0), 22: (-0.6, -1.2, 0),
    },
    "browDown": {
        17: (0, -2, 0), 18: (0.3, -3.5, 0), 19: (0.6, -4.5, 0.2), 20: (1, -5.5, 0.5), 21: (1.8, -6, 0.8),
        22: (-1.8, -6, 0.8), 23: (-1, -5.5, 0.5), 24: (-0.6, -4.5, 0.2), 25: (-0.3, -3.5, 0), 26: (0, -2, 0),
        27: (0, -1.5, 0.3),
    },
    "browInnerUp": {
        18: (0, 0.5, 0), 19: (0, 2, 0), 20: (0, 5.5, 0), 21: (0.4, 8.5, 0), 22: (-0.4, 8.5, 0), 23: (0, 5.5, 0),
        24: (0, 2, 0), 25: (0, 0.5, 0), 27: (0, 1.0, 0),
    },
    "browOuterUp": {
        17: (0, 6, 0), 18: (0, 8, 0), 19: (0, 6.5, 0), 20: (0, 3, 0), 21: (0, 0.6, 0),
        22: (0, 0.6, 0), 23: (0, 3, 0), 24: (0, 6.5, 0), 25: (0, 8, 0), 26: (0, 6, 0),
    },
}  # fmt: skip


def _lid_moves(skin: np.ndarray, eye: Eye) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Shape → displacements of the upper and of the lower lid's rim."""
    upper, lower = skin[eye.rim.upper], skin[eye.rim.lower]
    u, v = _share(upper), _share(lower)
    low_at_u = np.stack([np.interp(u, v, lower[:, c]) for c in range(3)], axis=1)
    up_at_v = np.stack([np.interp(v, u, upper[:, c]) for c in range(3)], axis=1)

    height = float(np.linalg.norm(upper - low_at_u, axis=1).max())

    def lift(path_share: np.ndarray, part: float) -> np.ndarray:
        return part * height * (4 * path_share * (1 - path_share))[:, None] * np.array([0.0, 1.0, 0.0])

    close_upper = _slide(upper, upper + _closing(u, low_at_u - upper, -1) * (low_at_u - upper), eye)
    close_lower = _slide(up_at_v, up_at_v + _closing(v, lower - up_at_v, 1) * (lower - up_at_v), eye) + up_at_v - lower
    return {
        "eyeBlink": (close_upper, close_lower),
        "eyeSquint": (0.15 * close_upper, 0.3 * (up_at_v - lower)),
        "eyeWide": (lift(u, 0.25), lift(v, -0.08)),
        "eyeLookUp": (lift(u, 0.22), lift(v, 0.08)),
        "eyeLookDown": (0.45 * close_upper, lift(v, -0.12)),
    }


def _closing(share: np.ndarray, opening: np.ndarray, side: int) -> np.ndarray:
    """(k, 1) how far towards the lower lid they meet: most in the middle, half-way at the corners.

    There the lid on `side` (-1 upper, 1 lower) stops a hair short, or the slivers of the corner would turn over.
    """
    middle = 4 * share * (1 - share)
    short = np.minimum(LID_CORNER_MM / np.maximum(np.linalg.norm(opening, axis=1), 1e-9), 0.3) * (1 - middle)
    return (0.5 + 0.35 * middle + side * short)[:, None]


def _slide(start: np.ndarray, end: np.ndarray, eye: Eye) -> np.ndarray:
    """The way (k, 3) from `start` to `end`, raised so that neither its end nor its middle lies in the eyeball."""
    a, b = start - eye.centre, end - eye.centre
    radius = np.linalg.norm(b, axis=1)
    way = b / radius[:, None]
    # |a + r way| / 2 = ball: the radius at which a straight way there just touches the ball half-way.
    along = (a * way).sum(1)
    touch = -along + np.sqrt(np.maximum(along**2 - (a * a).sum(1) + 4 * (eye.radius + LID_CLEARANCE / 2) ** 2, 0))
    return np.maximum(radius, np.maximum(eye.radius + LID_CLEARANCE, touch))[:, None] * way - a


def _socket_follow(skin: np.ndarray, eye: Eye) -> np.ndarray:
    """(k, 1) the share of the rim's motion that the skin behind it takes: less with depth, and nearer to the centre."""
    lever = np.linalg.norm(skin[eye.socket] - eye.centre, axis=1) / np.linalg.norm(
        skin[eye.source] - eye.centre, axis=1
    )
    return (np.minimum(lever, 1) * smoothstep(1 - eye.depth / (SOCKET_REACH * eye.radius)))[:, None]


def _share(path: np.ndarray) -> np.ndarray:
    """0…1 along the line between the path's ends."""
    chord = path[-1] - path[0]
    t = np.maximum.accumulate((path - path[0]) @ chord / max(chord @ chord, 1e-12))
    return np.clip(t + 1e-9 * np.arange(len(t)), 0, 1)


@dataclass(frozen=True)
class _LidSkin:
    """The skin `at` (k,) around an eyeball that may slide over it, and where it is from its centre, `rest` (k, 3)."""

    at: np.ndarray
    rest: np.ndarray
    radius: float  # of the ball, with what is kept clear of it


def _lid_skin(a: Anatomy) -> tuple[_LidSkin, ...]:
    """For each eye; without the rims, which slide exactly by construction."""
    movable = a.outer
    found = []
    for eye in a.eyes:
        movable[eye.rim.loop] = False
        from_centre = a.skin - eye.centre
        distance, clear = np.linalg.norm(from_centre, axis=1), eye.radius + LID_CLEARANCE
        at = np.flatnonzero(movable & (distance > clear) & (distance < 2 * eye.radius))
        found.append(_LidSkin(at, from_centre[at], clear))
    return tuple(found)


def _over_eyeballs(lids: Sequence[_LidSkin], move: np.ndarray) -> np.ndarray:
    """Push lid skin that `move` takes into an eyeball, there or on its straight way, out onto the ball."""
    move = move.copy()
    for lid in lids:
        some = np.linalg.norm(move[lid.at], axis=1) > 0.05
        near, rest = lid.at[some], lid.rest[some]
        for part in (1.0, 0.75, 0.5, 0.25):
            there = rest + part * move[near]
            distance = np.linalg.norm(there, axis=1, keepdims=True)
            move[near] += np.maximum(lid.radius - distance, 0) * there / np.maximum(distance, 1e-9) / part
    return move


def _cheek_load(a: Anatomy, eye: float, contour: float) -> np.ndarray:
    """(n, 3) a smooth push along the normals of both cheeks, placed between mouth corner, eye and face contour."""
    normal = vertex_normals(a.skin, a.faces)
    load = np.zeros_like(a.skin)
    outer = a.outer
    size = (a.p[27, 1] - a.p[8, 1]) / FACE_HEIGHT_MM
    for corner, lid, jaw in ((48, 41, 4), (54, 46, 12)):
        centre = (1 - eye - contour) * a.p[corner] + eye * a.p[lid] + contour * a.p[jaw]
        centre = a.skin[outer][cKDTree(a.skin[outer]).query(centre)[1]]
        distance = np.linalg.norm(a.skin - centre, axis=1)
        load += (np.exp(-((distance / (14 * size)) ** 2)) * outer)[:, None] * normal
    return load


def _sided(a: Anatomy, lips: Lips, field: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Give every shape that ARKit has twice to the left and to the right; both together are the whole shape."""
    left_lips = smoothstep((a.skin[:, 0] / lips.half + 1) / 2)[:, None]
    left_face = smoothstep((a.skin[:, 0] / (0.3 * lips.half) + 1) / 2)[:, None]
    shapes = {}
    for name, move in field.items():
        if f"{name}Left" in CONTROL_INDEX and not name.endswith(("jaw", "mouth")):
            left = left_lips if name.startswith("mouth") else left_face
            shapes[f"{name}Left"], shapes[f"{name}Right"] = left * move, (1 - left) * move
        else:
            shapes[name] = move
    return shapes


def _symmetric(shapes: dict[str, np.ndarray], mirror: np.ndarray) -> dict[str, np.ndarray]:
    """Average each shape with the mirrored one of the other side."""
    return {name: (move + shapes[other_side(name)][mirror] * [-1, 1, 1]) / 2 for name, move in shapes.items()}


def other_side(control: str) -> str:
    """The control that does the same on the other side: itself where it is not one-sided."""
    if control.endswith("Left"):
        return control.removesuffix("Left") + "Right"
    return control.removesuffix("Right") + "Left" if control.endswith("Right") else control


def _unfold(
    a: Anatomy,
    faces: np.ndarray,
    rest: np.ndarray,
    near: sp.csr_matrix,
    move: np.ndarray,
    lids: Sequence[_LidSkin] = (),
) -> np.ndarray:
    """Even out `move` around triangles that it turns over, and keep lids that close out of the eyeballs.

    `rest`: the normals of `faces` where nothing moves; `lids`: the skin of the lids, if the shape closes them.
    """
    move = _over_eyeballs(lids, move)
    corners = faces.T
    moved = move.any(1)
    moving = np.flatnonzero(moved[corners[0]] | moved[corners[1]] | moved[corners[2]])
    turned = moving[_turned(a.skin + move, faces[moving], rest[moving])]
    if not len(turned):
        return move
    held = a.still.copy()
    for eye in a.eyes if lids else ():
        held[eye.rim.loop] = True  # what seals stays sealed
    around = np.zeros(len(a.skin))
    around[faces[turned]] = 1.0
    around[held] = 0.0
    loose = around > 0
    for _ in range(UNFOLD_RINGS):
        around += near @ around
    close = around[faces].any(1)
    return _smoothed(a.skin, faces[close], rest[close], near, move, loose, held, lids)


def _smoothed(
    skin: np.ndarray,
    faces: np.ndarray,
    rest: np.ndarray,
    near: sp.csr_matrix,
    move: np.ndarray,
    loose: np.ndarray,
    held: np.ndarray,
    lids: Sequence[_LidSkin],
) -> np.ndarray:
    """`move` with the average of its neighbours at `loose` (n,) vertices, step by step until none of `faces` is turned.

    Only what is near takes part: the corners of `faces`, their neighbours, and the lids.
    """
    part = np.zeros(len(skin), bool)
    part[faces] = True
    part |= (near @ part.astype(np.float64)) > 0
    for lid in lids:
        part[lid.at] = True
    some = np.flatnonzero(part)
    index = np.full(len(skin), -1)
    index[some] = np.arange(len(some))
    skin, faces, near, loose, held = skin[some], index[faces], near[some][:, some], loose[some], held[some]
    lids = [replace(lid, at=index[lid.at]) for lid in lids]
    out, move = move.copy(), move[some]
    for _ in range(UNFOLD_STEPS):
        at = np.flatnonzero(loose)
        average = near[at]
        move[at] = 0.5 * move[at] + 0.5 * (average @ move) / average.sum(1)
        move = _over_eyeballs(lids, move)
        over = _turned(skin + move, faces, rest)
        if not over.any():
            break
        loose[faces[over]] = True
        loose &= ~held
    out[some] = move
    return out


def _turned(points: np.ndarray, faces: np.ndarray, rest: np.ndarray) -> np.ndarray:
    """(f,) bool: which of `faces` are turned over, given their normals at rest."""
    return np.einsum("ij,ij->i", rest, face_normals(points, faces)) < 0
