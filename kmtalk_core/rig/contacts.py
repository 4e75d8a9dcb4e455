"""How well a rig keeps its contacts: lips, teeth, lids, rigid parts, and what must not move. All lengths in mm."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import LinearNDInterpolator
from scipy.spatial import cKDTree

from .anatomy import Rim
from .articulation import Rig
from .controls import CONTROLS
from .expressions import LIP_DEPTH_MM, ROLL_TO_TEETH, other_side
from .surface import distance_from, face_normals

JAW_OPENINGS = (0.0, 0.1, 0.2, 0.3, 0.4)
EYE_CORNER_MM = 3.0
_WITH = {"mouthClose": {"jawOpen": 1.0}}  # by definition it only ever acts on an open jaw


@dataclass(frozen=True)
class Figure:
    """One measured figure, and what it may be at most (None: for information)."""

    name: str
    value: float
    unit: str
    limit: float | None = None

    @property
    def kept(self) -> bool:
        return self.limit is None or self.value <= self.limit


def bilabial(jaw: float) -> dict[str, float]:
    """The controls of a bilabial closure (p, b, m) at a jaw opening of 0…0.4."""
    return {"jawOpen": jaw, "mouthClose": jaw, "mouthPressLeft": 1.0, "mouthPressRight": 1.0}


def labiodental() -> dict[str, float]:
    """The controls of a labiodental contact (f, v)."""
    return {"jawOpen": 0.04, "mouthRollLower": ROLL_TO_TEETH, "mouthUpperUpLeft": 0.3, "mouthUpperUpRight": 0.3}


def posed(rig: Rig, controls: dict[str, float]) -> np.ndarray:
    """(V, 3) vertices in mm of the head's frame."""
    moved = rig.neutral.copy()
    for name, value in controls.items():
        moved += value * rig.shapes[rig.control_names.index(name)]
    return rig.anatomy.frame.to_frame(moved)


def lip_gap(rig: Rig, points: np.ndarray) -> tuple[float, float]:
    """Largest gap between the inner lip contours over the width of the mouth, and how far the lips get into each other.

    The second is the larger of two: of the contours, and of the surfaces right behind them (heights over x and z).
    """
    a = rig.anatomy
    height = _height(rig, points, a.lips_inner)
    strip = (a.bag_depth > 0) & (a.bag_depth < LIP_DEPTH_MM)
    strip[a.lips_inner.loop] = True
    skin = points[a.vertex_of]
    lower, upper = skin[strip & (a.bag_lower >= 0.5)], skin[strip & (a.bag_lower < 0.5)]
    over = LinearNDInterpolator(lower[:, [0, 2]], lower[:, 1])(upper[:, [0, 2]]) - upper[:, 1]
    return float(max(height.max(), 0)), float(max(-height.min(), np.nanmax(over, initial=0), 0))


def lip_aperture(rig: Rig, points: np.ndarray) -> float:
    """The opening in the middle of the mouth."""
    return float(_on(rig, points, rig.anatomy.marks[62])[1] - _on(rig, points, rig.anatomy.marks[66])[1])


def lid_gap(rig: Rig, points: np.ndarray) -> float:
    """The larger of the two eyes' openings between the lids' rims."""
    return float(max(np.abs(_height(rig, points, eye.rim)).max() for eye in rig.anatomy.eyes))


def lids_in_eyeballs(rig: Rig, points: np.ndarray) -> float:
    """How much deeper than at rest the lids get into the eyeballs (0 where the mesh has none)."""
    a = rig.anatomy
    skin = points[a.vertex_of]
    deepest = 0.0
    for eye in a.eyes:
        ball = [p.vertices for p in a.parts if p.role == ("eye_left" if eye.left else "eye_right")]
        if not ball:
            continue
        surface = a.points[np.concatenate(ball)] - eye.centre
        reach = np.linalg.norm(surface, axis=1)
        directions = cKDTree(surface / reach[:, None])

        def depth(at: np.ndarray, eye=eye, reach=reach, directions=directions) -> np.ndarray:
            distance = np.linalg.norm(at - eye.centre, axis=1)
            return np.maximum(reach[directions.query((at - eye.centre) / distance[:, None])[1]] - distance, 0)

        lid = a.outer | np.isin(np.arange(len(skin)), eye.rim.loop)
        lid &= np.linalg.norm(a.skin - eye.centre, axis=1) < 1.6 * eye.radius
        deepest = max(deepest, float((depth(skin[lid]) - depth(a.skin[lid])).max()))
    return deepest


def turned_triangles(rig: Rig, points: np.ndarray) -> int:
    """How many triangles of the skin that is seen face away from where they faced at rest.

    The slivers in the corners of the eyes do not count: closed lids leave them no area.
    """
    a = rig.anatomy
    seen = a.faces[a.outer[a.faces].all(1)]
    corners = cKDTree(a.p[[36, 39, 42, 45]])
    seen = seen[corners.query(a.skin[seen].mean(1))[0] > EYE_CORNER_MM]
    skin = points[a.vertex_of]
    return int(((face_normals(a.skin, seen) * face_normals(skin, seen)).sum(1) < 0).sum())


def lip_to_upper_teeth(rig: Rig, points: np.ndarray) -> float | None:
    """The distance from the middle of the lower lip's inner edge to the upper teeth; None without teeth."""
    teeth = [part.vertices for part in rig.anatomy.parts if part.role == "teeth_upper"]
    if not teeth:
        return None
    a = rig.anatomy
    middle = np.flatnonzero(
        (np.abs(a.skin[:, 0] - a.p[66, 0]) < 0.25 * abs(a.p[64, 0] - a.p[60, 0]))
        & (distance_from(a.neighbours, a.lips_inner.lower) <= 1)
        & (a.bag_lower >= 0.5)
    )
    distance, _ = cKDTree(points[np.concatenate(teeth)]).query(points[a.vertex_of[middle]])
    return float(distance.min())


def contact_figures(rig: Rig) -> list[Figure]:
    """All figures of a rig, in the order in which they are printed."""
    rows = []
    for jaw in JAW_OPENINGS:
        gap, overlap = lip_gap(rig, posed(rig, bilabial(jaw)))
        rows += [
            Figure(f"bilabial closure, jaw {jaw:.1f}: largest gap", gap, "mm", 0.5),
            Figure(f"bilabial closure, jaw {jaw:.1f}: largest overlap", overlap, "mm", 0.5),
        ]
    rest = lip_aperture(rig, rig.anatomy.points)
    rows += [
        Figure(f"aperture above rest, jawOpen {jaw:.1f}", lip_aperture(rig, posed(rig, {"jawOpen": jaw})) - rest, "mm")
        for jaw in (0.1, 0.2, 0.4, 1.0)
    ]
    teeth = lip_to_upper_teeth(rig, posed(rig, labiodental()))
    if teeth is not None:
        rows.append(Figure("f, v: lower lip to upper teeth", teeth, "mm", 1.0))
    for value, limit in ((0.5, None), (1.0, 0.5)):
        points = posed(rig, {"eyeBlinkLeft": value, "eyeBlinkRight": value})
        rows += [
            Figure(f"blink {value}: largest gap between the lids", lid_gap(rig, points), "mm", limit),
            Figure(
                f"blink {value}: lids into the eyeballs, more than at rest", lids_in_eyeballs(rig, points), "mm", 0.5
            ),
        ]
    turned = {name: turned_triangles(rig, posed(rig, {name: 1.0} | _WITH.get(name, {}))) for name in CONTROLS}
    worst = max(turned, key=lambda name: turned[name])
    rows.append(Figure(f"triangles turned over at control 1.0, worst ({worst})", turned[worst], "", 0))
    still = rig.anatomy.vertex_of[rig.anatomy.still]
    moved = np.linalg.norm(rig.shapes[: len(CONTROLS), still], axis=2).max() if len(still) else 0.0  # by the face
    rows.append(Figure("motion of neck and scalp", moved * rig.anatomy.frame.scale, "mm", 0.0))
    asymmetry = symmetry_error(rig)
    if asymmetry is not None:
        rows.append(Figure("left against right", asymmetry, "mm", 0.1))
    return rows


def symmetry_error(rig: Rig) -> float | None:
    """Largest difference between a shape and the mirrored one of the other side; None where the skin is asymmetric."""
    a = rig.anatomy
    if a.mirror is None:
        return None
    on_skin = dict(zip(rig.control_names, a.frame.vectors_to_frame(rig.shapes[:, a.vertex_of]), strict=True))
    back = dict.fromkeys(("headYaw", "headRoll"), -1.0)  # the other side of these is their other direction
    return max(
        float(np.abs(move - back.get(name, 1.0) * on_skin[other_side(name)][a.mirror] * [-1, 1, 1]).max())
        for name, move in on_skin.items()
    )


def _on(rig: Rig, points: np.ndarray, skin: np.ndarray) -> np.ndarray:
    return points[rig.anatomy.vertex_of[skin]]


def _height(rig: Rig, points: np.ndarray, rim: Rim) -> np.ndarray:
    """Upper contour's height above the lower one, at steps between the two corners."""
    upper, lower = _on(rig, points, rim.upper), _on(rig, points, rim.lower)
    if upper[0, 0] > upper[-1, 0]:
        upper, lower = upper[::-1], lower[::-1]
    steps = np.linspace(upper[0, 0], upper[-1, 0], 201)[1:-1]
    return np.interp(steps, np.maximum.accumulate(upper[:, 0]), upper[:, 1]) - np.interp(
        steps, np.maximum.accumulate(lower[:, 0]), lower[:, 1]
    )
