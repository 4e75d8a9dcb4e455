"""The bones of a head in the skeletons that characters have: found by name, and how they turn with our controls."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from ..assets import BONES
from ..rig.controls import EYE_LOOK_DEG, HEAD_CONTROLS, HEAD_DEG
from ..rig.spelling import spelled, words_of

ROLES = ("jaw", "head", "neck", "eye_left", "eye_right", "tongue")
JAW_DEG = 19.0  # that the jaw turns at jawOpen 1: 30 mm at the lips, 90 mm from the hinge
JAW_SIDE_DEG = 5.0  # at jawLeft 1
TONGUE_DEG = 25.0  # that the tongue's root turns up at tongueTipUp 1
SHARED = 0.25  # of the bones' names: what these begin with is no part of a name
BODY = 2.0  # lengths of the head's bone: what is farther away is not of the face
OF_NECK = 0.35  # the neck's share of the head's turning, where there is a neck

Turns = Mapping[str, tuple[float, float, float]]  # control → turn in rad about the person's left, up and forward


@dataclass(frozen=True)
class Skeleton:
    """The kind of a rig, and role (of ROLES) → bone, for those that it has."""

    title: str
    bones: Mapping[str, str]


@cache
def _presets() -> Mapping[str, Mapping[str, Sequence[str]]]:
    return json.loads(BONES.read_text(encoding="utf-8"))


def find_bones(names: Sequence[str]) -> Skeleton | None:
    """The bones of a head among all bones of an armature; None if there are none that are known."""
    by_spelling = {spelled(name): name for name in reversed(names)}
    by_spelling |= {spelled(name.rpartition(":")[2]): name for name in reversed(names) if ":" in name}
    own = set(names)
    best: tuple[tuple[int, int], Skeleton] | None = None
    for title, preset in _presets().items():
        tells = sum(name in own for name in preset["tells"])
        if preset["tells"] and not tells:
            continue
        bones = {}
        for role in ROLES:
            found = next((n for n in preset[role] if n in own), None)
            found = found or next((by_spelling[spelled(n)] for n in preset[role] if spelled(n) in by_spelling), None)
            if found is not None:
                bones[role] = found
        if bones and (best is None or (len(bones), tells) > best[0]):
            best = (len(bones), tells), Skeleton(title, bones)
    if best:
        return best[1]
    for shared in _without_shared_words(names):
        if (found_again := find_bones(tuple(shared))) is not None:
            return Skeleton(found_again.title, {role: shared[bone] for role, bone in found_again.bones.items()})
    return None


def _without_shared_words(names: Sequence[str]) -> Iterator[dict[str, str]]:
    """For each word that many names begin with: name without it → name, as of Character1_Head and Bip01 Head."""
    begun = [(re.split(r"[_ .:-]", name, maxsplit=1), name) for name in names]
    counted = Counter(parts[0] for parts, _ in begun if len(parts) == 2)
    for word, count in counted.most_common():
        if count < SHARED * len(names):
            return
        yield {parts[1]: name for parts, name in begun if len(parts) == 2 and parts[0] == word and parts[1]}


def turns_of(role: str, with_neck: bool) -> Turns:
    """How a bone turns with our controls; `with_neck`: head and neck share the head's turning."""
    nod, turn, tilt = HEAD_CONTROLS
    if role in ("head", "neck"):
        share = np.radians(HEAD_DEG) * ((OF_NECK if role == "neck" else 1 - OF_NECK) if with_neck else 1.0)
        return {nod: (share, 0.0, 0.0), turn: (0.0, share, 0.0), tilt: (0.0, 0.0, -share)}
    if role == "jaw":
        side = np.radians(JAW_SIDE_DEG)
        return {
            "jawOpen": (np.radians(JAW_DEG), 0.0, 0.0),
            "mouthClose": (-np.radians(JAW_DEG), 0.0, 0.0),
            "jawLeft": (0.0, side, 0.0),
            "jawRight": (0.0, -side, 0.0),
        }
    if role == "tongue":
        return {"tongueTipUp": (-np.radians(TONGUE_DEG), 0.0, 0.0)}
    side, out = ("Left", 1.0) if role == "eye_left" else ("Right", -1.0)
    up, down, inward, outward = (np.radians(EYE_LOOK_DEG[way]) for way in ("Up", "Down", "In", "Out"))
    return {
        f"eyeLookUp{side}": (-up, 0.0, 0.0),
        f"eyeLookDown{side}": (down, 0.0, 0.0),
        f"eyeLookOut{side}": (0.0, out * outward, 0.0),
        f"eyeLookIn{side}": (0.0, -out * inward, 0.0),
    }


def person_axes(names: Sequence[str], heads: np.ndarray, tops: np.ndarray, above: str) -> np.ndarray:
    """(3, 3): the person's left, up and forward as rows, in the armature's space.

    `heads` and `tops` (B, 3) are where the bones `names` begin and end; `above` is the bone of the head, or one in it.
    A body is farthest from its head at the feet; a face alone stands upright. Sides are told by the names of bones;
    without any, a rig looks along -y as Blender's own do, with z up.
    """
    sides = {side: [i for i, name in enumerate(names) if side in words_of(name)] for side in ("left", "right")}
    place = list(names).index(above)
    away = np.linalg.norm(heads - heads[place], axis=1)
    of_face = BODY * float(np.linalg.norm(tops[place] - heads[place]))
    up = np.array([0.0, 0.0, 1.0])
    if away.max() > of_face:
        up = _nearest_axis(heads[place] - heads[int(away.argmax())])
    if sides["left"] and sides["right"]:
        left = heads[sides["left"]].mean(0) - heads[sides["right"]].mean(0)
        left = left - (left @ up) * up
        if np.linalg.norm(left) > 1e-6 * max(float(np.ptp(heads, axis=0).max()), 1e-9):
            left = _nearest_axis(left)
            return np.stack([left, up, np.cross(left, up)])
    return np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])


def _nearest_axis(direction: np.ndarray) -> np.ndarray:
    if not np.abs(direction).max() > 0:
        return np.array([0.0, 0.0, 1.0])
    axis = int(np.abs(direction).argmax())
    return np.sign(direction[axis]) * np.eye(3)[axis]
