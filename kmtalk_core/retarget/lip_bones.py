"""Bones of the lips: found by their names in any armature, and how far each moves with our controls.

What a bone does to the lips is measured on the head's own skin. Then the moves of all of them together are those whose
lips come nearest to the lips that a control makes (least squares over both lips along the mouth's width).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..rig.controls import CONTROLS
from .lips import find_lips, gap_of
from .reference import lip_motion

SHAPED = tuple(name for name in CONTROLS if name.startswith("mouth"))
FEWEST, MOST = 2, 40  # bones
HEIGHT = 2.0  # the weight of up and down, which viewers see first
RIDGE = 1e-3  # of the mean diagonal: of many solutions the smallest
REACHED = 0.3  # of the lips' way: a control that these bones show less of stays as it is
GAIN = (0.3, 3.0)  # how much more or less than the demo head's the jaw may open the lips
# Words of bones about the lips, that hold many lips together, or that only help (Auto-Rig Pro's, Daz', MetaHuman's).
_OTHERS = {
    "ref", "ik", "target", "line", "nose", "nasolabial", "crease", "skin", "ipv", "proxy", "offset", "roll", "retain",
    "mini", "master",
}  # fmt: skip
_INNER = ("DEF-", "MCH-", "ORG-", "VIS-")  # Rigify's, which its controls move


@dataclass(frozen=True)
class LipMoves:
    """`moves` (C, B, 3): how far each of `bones` goes along its own axes for each of `controls` at 1; `reach` (C, V, 3)
    what these, and the jaw, do to the mesh."""

    controls: tuple[str, ...]
    bones: tuple[str, ...]
    moves: np.ndarray
    reach: np.ndarray


def find_lip_bones(names: Sequence[str]) -> tuple[str, ...]:
    """The bones among `names` that an animator would move lips by; none if there are none that are known."""
    found = [name for name in names if not name.startswith(_INNER) and _is_of_lips(name)]
    controls = [name for name in found if name.startswith("c_")]  # Auto-Rig Pro's, beside those that they move
    found = controls or found
    return tuple(found) if FEWEST <= len(found) <= MOST else ()


def solve_lips(
    rest: np.ndarray, jaw: np.ndarray, bones: Sequence[str], moved: np.ndarray, axes: np.ndarray
) -> LipMoves | None:
    """How `bones` move the lips of a mesh `rest` (V, 3): `jaw` (V, 3), what jawOpen 1 does to it; `moved` (B, 3, V, 3),
    what a move by 1 along each axis of a bone does; `axes` (3, 3), the person's left, up and forward as rows. None
    where the jaw parts no lips."""
    lips = find_lips(rest, jaw, axes)
    if lips is None:
        return None
    opened = lips.motion(jaw[None])[0]
    usual = lip_motion()[CONTROLS.index("jawOpen")]
    gain = float(np.clip(gap_of(opened).mean() / max(float(gap_of(usual).mean()), 1e-9), *GAIN))
    by_bone = lips.motion(moved.reshape(-1, *rest.shape))
    weight = np.array([1.0, HEIGHT, 1.0])
    own = (by_bone * weight).reshape(len(by_bone), -1)
    gram = own @ own.T
    gram += RIDGE * max(float(np.diag(gram).mean()), 1e-12) * np.eye(len(gram))
    wanted = np.array([lip_motion()[CONTROLS.index(name)] for name in SHAPED])
    wanted[SHAPED.index("mouthClose")] *= gain  # it undoes what the jaw opens
    features = (wanted * weight).reshape(len(wanted), -1)
    moves = np.linalg.solve(gram, own @ features.T).T
    shown = moves @ own
    share = (shown * features).sum(1) / np.maximum((features**2).sum(1), 1e-12)
    kept = [index for index, name in enumerate(SHAPED) if share[index] >= REACHED]
    moves = moves[kept]
    reach = np.einsum("ck,kvx->cvx", moves, moved.reshape(-1, *rest.shape))
    names = tuple(SHAPED[index] for index in kept)
    return LipMoves(
        ("jawOpen", *names),
        tuple(bones),
        np.concatenate([np.zeros((1, len(bones), 3)), moves.reshape(len(kept), len(bones), 3)]),
        np.concatenate([jaw[None], reach]),
    )


def _is_of_lips(name: str) -> bool:
    low = name.lower()
    words = set(re.findall(r"[a-z]+", re.sub(r"([a-z])([A-Z])", r"\1 \2", name).lower()))
    if words & _OTHERS or any(part in low for part in ("eyelid", "slip", "clip", "flip")):
        return False
    if "oris" in words or re.match(r"oris\d", low):  # MPFB2 and MakeHuman
        return True
    if "mouthcorner" in low.replace("_", "").replace(".", ""):
        return True
    return bool(re.search(r"(^|[^a-z])(c_|[lr]_?)?lips?($|[^a-z])", low)) or bool(
        re.search(r"[lr]?lip(s|upper|lower|corner|top|bot|below)", low)
    )
