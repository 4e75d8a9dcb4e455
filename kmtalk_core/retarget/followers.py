"""How parts beside the skin (teeth, tongue, eyes, hair) follow a head's shapes, from the motion of its skin alone."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from ..rig.controls import EYE_LOOK_DEG, HEAD_CONTROLS

ATTACHED, JAW, TONGUE, EYE_LEFT, EYE_RIGHT, SKULL = "attached", "jaw", "tongue", "eye_left", "eye_right", "skull"
ROLES = (ATTACHED, JAW, TONGUE, EYE_LEFT, EYE_RIGHT, SKULL)
STIFF = 0.5  # of the largest motion: skin that moves so much goes with the bone below it
FEWEST = 12  # vertices


def role_of(name: str) -> str | None:
    """What an object is by its name; None if that does not tell."""
    words = set(re.findall(r"[a-z]+", re.sub(r"([a-z])([A-Z])", r"\1 \2", name).lower()))
    joined = name.lower()
    left, right = bool(words & {"l", "left"}), bool(words & {"r", "right"})

    def has(*parts: str) -> bool:
        return any(part in joined for part in parts)

    if has("brow", "lash", "beard", "moustache", "mustache", "caruncle", "tearline", "occlusion", "stubble"):
        return ATTACHED
    if has("tongue"):
        return TONGUE
    if has("teeth", "tooth", "gum", "denture"):
        return JAW if has("lower", "bottom", "mandib", "_low") or words & {"low", "down"} else SKULL
    if has("jaw", "mandib"):
        return JAW
    if words & {"eye", "eyes", "eyeball", "iris", "pupil", "cornea", "sclera", "eyeballs"} or has("eyeball"):
        return EYE_LEFT if left and not right else EYE_RIGHT if right and not left else SKULL
    if has("hair", "glasses", "hat", "helmet", "earring", "horn") or words & {"cap", "bun"}:
        return SKULL
    return None


def rigid(points: np.ndarray, moved: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The rotation R (3, 3) and shift t (3,) for which R p + t comes nearest to `moved` (k, 3) for `points` (k, 3)."""
    a, b = points.mean(0), moved.mean(0)
    u, _, vt = np.linalg.svd((points - a).T @ (moved - b))
    flip = np.diag([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    turn = (u @ flip @ vt).T
    return turn, b - turn @ a


def with_bone(skin: np.ndarray, move: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(k, 3) displacement of `points` (k, 3) that go rigidly with what moves `skin` (V, 3) by `move` (V, 3)."""
    size = np.linalg.norm(move, axis=1)
    stiff = size > STIFF * size.max()
    if stiff.sum() < FEWEST:
        return np.zeros_like(points)
    turn, shift = rigid(skin[stiff], skin[stiff] + move[stiff])
    return points @ turn.T + shift - points


def follows(role: str, looks: Mapping[str, float]) -> str:
    """How a part of this role follows a shape that looks so: "skin", "bone", "gaze", or "" for not at all."""
    if any(name in HEAD_CONTROLS for name in looks):
        return "bone"
    if role == ATTACHED:
        return "skin"
    if role in (JAW, TONGUE):
        return "bone" if any(name.startswith("jaw") for name in looks) else ""
    side = {EYE_LEFT: "Left", EYE_RIGHT: "Right"}.get(role)
    if side and any(name.startswith("eyeLook") and name.endswith(side) for name in looks):
        return "gaze"
    return ""


def gaze(points: np.ndarray, looks: Mapping[str, float], role: str, axes: np.ndarray) -> np.ndarray:
    """(k, 3) displacement of an eyeball at `points` (k, 3); `axes` (3, 3): the person's left, up, forward as rows."""
    side, out = ("Left", 1.0) if role == EYE_LEFT else ("Right", -1.0)
    centre = (points.max(0) + points.min(0)) / 2
    local = (points - centre) @ axes.T
    moved = local.copy()
    for name, weight in looks.items():
        if not name.startswith("eyeLook") or not name.endswith(side):
            continue
        way = name[len("eyeLook") : -len(side)]
        angle = np.radians(EYE_LOOK_DEG[way]) * weight
        if way in ("Up", "Down"):
            about, sign = 0, (1.0 if way == "Down" else -1.0)
        else:
            about, sign = 1, (out if way == "Out" else -out)
        moved += _turned(local, about, sign * angle) - local
    return (moved - local) @ axes


def _turned(points: np.ndarray, about: int, angle: float) -> np.ndarray:
    """`points` (k, 3) turned about an axis, counterclockwise as seen from its end."""
    c, s = np.cos(angle), np.sin(angle)
    one, two = [(1, 2), (2, 0), (0, 1)][about]
    out = points.copy()
    out[:, one] = c * points[:, one] - s * points[:, two]
    out[:, two] = s * points[:, one] + c * points[:, two]
    return out
