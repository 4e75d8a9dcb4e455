"""From a few landmarks that somebody has picked to all 68: the other side mirrored, the rest carried over."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import numpy as np

from ..assets import DEMO_HEAD
from ..errors import InputError
from ..rig.frame import PAIRS, head_frame
from ..rig.mesh import Mesh, load_mesh
from .contours import place_on_contours
from .crops import PARTNER

# What to click, in this order, and what it is called: the middle, then the person's left side.
GUIDE: Mapping[int, str] = {
    27: "the bridge of the nose, between the eyes",
    30: "the tip of the nose",
    33: "where the nose meets the upper lip, in the middle",
    35: "the base of the left wing of the nose",
    51: "the middle of the upper lip's upper edge",
    62: "the middle of the upper lip's lower edge, where it meets the lower lip",
    66: "the middle of the lower lip's upper edge, where it meets the upper lip",
    57: "the middle of the lower lip's lower edge",
    8: "the chin, at its lowest",
    54: "the left corner of the mouth",
    53: "the upper lip's upper edge, halfway to the left corner",
    55: "the lower lip's lower edge, halfway to the left corner",
    42: "the left eye's inner corner",
    43: "the left upper lid's edge, nearer to the nose",
    44: "the left upper lid's edge, farther from the nose",
    45: "the left eye's outer corner",
    46: "the left lower lid's edge, farther from the nose",
    47: "the left lower lid's edge, nearer to the nose",
    22: "the left brow's inner end",
    24: "the left brow's middle",
    26: "the left brow's outer end",
    16: "the cheek before the left ear, level with the eye",
    12: "the left corner of the jaw",
}
MIDDLE = (27, 30, 33, 51, 62, 66, 57, 8)
FLAT = 0.02  # of their extent: middle points whose plane is told no better than this form none


def completed(picked: Mapping[int, np.ndarray]) -> np.ndarray:
    """(68, 3): all landmarks, from those that are `picked`, landmark → (3,), in any units and axes.

    What is missing on one side is mirrored from the other, across the plane of the picked middle points; the rest lies
    as on the demo head, bent until the picked ones fit. Raises InputError where too few are picked for that.
    """
    missing = [mark for mark in MIDDLE if mark not in picked]
    if missing:
        raise InputError(f"Pick {GUIDE[missing[0]]}, too: the landmarks of the middle tell where the face's sides are.")
    known = {mark: np.asarray(point, float) for mark, point in picked.items()}
    sided = mirrored(known)
    if not {42, 45, 54} <= set(sided):
        raise InputError("Pick the corners of an eye and of the mouth, too; everything else follows from them.")
    marks, template = np.array(sorted(sided)), _template()
    wanted = np.stack([sided[int(mark)] for mark in marks])
    out = _carried(template[marks], wanted, template)
    out[marks] = wanted
    return out


def mirrored(picked: Mapping[int, np.ndarray]) -> dict[int, np.ndarray]:
    """`picked` with the partner of every landmark whose other side is missing."""
    middle = np.stack([picked[mark] for mark in MIDDLE if mark in picked])
    centre = middle.mean(0)
    _, extents, ways = np.linalg.svd(middle - centre)
    if len(middle) < 3 or extents[1] < FLAT * extents[0]:
        raise InputError("The landmarks of the face's middle lie on one line; pick the tip of the nose again.")
    out = dict(picked)
    for mark, point in picked.items():
        partner = int(PARTNER[mark])
        if partner != mark and partner not in picked:
            out[partner] = point - 2 * ((point - centre) @ ways[2]) * ways[2]
    return out


def other_side(points: np.ndarray, left_to_right: bool = True) -> np.ndarray:
    """(68, 3): `points` with one side as the mirror image of the other."""
    frame, out = head_frame(points), points.copy()
    across = frame.axes[0]
    for right, left in PAIRS:
        source, other = (left, right) if left_to_right else (right, left)
        out[other] = points[source] - 2 * ((points[source] - frame.origin) @ across) * across
    return out


def _carried(known: np.ndarray, wanted: np.ndarray, points: np.ndarray) -> np.ndarray:
    """`points` (n, 3) bent smoothly so that `known` (k, 3) come to `wanted` (k, 3): an affine map and what it leaves,
    by radial functions."""
    from scipy.interpolate import RBFInterpolator

    return RBFInterpolator(known, wanted, kernel="linear", degree=1)(points)


@lru_cache(maxsize=1)
def demo_face() -> tuple[Mesh, np.ndarray]:
    """The demo head in millimetres in its own frame, and its landmarks (68, 3): the picture of the guide."""
    from ..rig.anatomy import study

    mesh = load_mesh(DEMO_HEAD)
    assert mesh.landmarks is not None
    a = study(mesh, mesh.landmarks)
    rims = {"lips_outer": a.lips_outer, "lips_inner": a.lips_inner, "right": a.eyes[0].rim, "left": a.eyes[1].rim}
    contours = {f"{name}_upper": a.skin[rim.upper] for name, rim in rims.items()}
    contours |= {f"{name}_lower": a.skin[rim.lower] for name, rim in rims.items()}
    return Mesh(a.points, mesh.faces), place_on_contours(a.p, contours)


def _template() -> np.ndarray:
    _, marks = demo_face()
    return head_frame(marks).to_frame(marks)
