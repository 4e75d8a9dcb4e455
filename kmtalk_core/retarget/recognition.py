"""What a head is: its family of shape keys, which of our controls they drive, and what is missing costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ..rig.controls import ALL_CONTROLS, HEAD_CONTROLS, SPEECH_CONTROLS, UPPER_FACE_CONTROLS
from ..rig.naming import match_names
from ..rig.spelling import spelled
from .families import Family, Shape, families
from .reference import LIPS_SHAPE, motion_of
from .solver import SHOWN, Face, lip_gap, lips_of, worn

SEALED_MM = 0.8
REACHED = 0.45  # the share of the lips' way that a pose must go along what tells it
ENOUGH = 0.5  # the share of a direct family's speech controls that a head must have to be driven as it is

# What speech needs to be seen: a pose of our controls, those of them that tell it, and what it costs to lack it.
CLOSURE = {"jawOpen": 0.15, "mouthClose": 0.15, "mouthPressLeft": 0.2, "mouthPressRight": 0.2}
_SPREAD = dict.fromkeys(("mouthStretchLeft", "mouthStretchRight", "mouthSmileLeft", "mouthSmileRight"), 0.4)
POSES: tuple[tuple[Mapping[str, float], Mapping[str, float], str], ...] = (
    ({}, {"jawOpen": 0.4}, "Vowels do not open the mouth."),
    ({"jawOpen": 0.15}, {"mouthPucker": 0.7, "mouthFunnel": 0.1}, "o, u and w are not rounded."),
    ({"jawOpen": 0.12, "mouthLowerDownLeft": 0.2, "mouthLowerDownRight": 0.2}, _SPREAD, "ee and s are not spread."),
    (
        {"jawOpen": 0.04, "mouthUpperUpLeft": 0.2, "mouthUpperUpRight": 0.2},
        {"mouthRollLower": 0.75},
        "f and v do not touch the teeth.",
    ),
)
NO_CLOSURE = "p, b and m do not close the lips."
BY_JAW = "p, b and m close by the jaw alone."
NO_TONGUE, NO_GAZE = "The tongue is not seen to move.", "Gaze goes nowhere."
NO_NODS = "Nods and turns of the head go nowhere."
PARTS: tuple[tuple[tuple[str, ...], str], ...] = (
    (("tongueTipUp", "tongueBodyUp", "tongueOut"), NO_TONGUE),
    (("eyeBlinkLeft", "eyeBlinkRight"), "There are no blinks."),
    (tuple(n for n in UPPER_FACE_CONTROLS if n.startswith("eyeLook")), NO_GAZE),
    (tuple(n for n in UPPER_FACE_CONTROLS if n.startswith("brow")), "Brows do not move."),
    (HEAD_CONTROLS, NO_NODS),
)


@dataclass(frozen=True)
class Recognition:
    """A head by the names of its shape keys.

    `keys`: target of the family → shape key; `driven` and `missing` split SPEECH_CONTROLS; `costs` are sentences about
    what will not be seen. `usable`: whether lip sync can be made with these shapes.
    """

    family: Family
    keys: Mapping[str, str]
    driven: tuple[str, ...]
    missing: tuple[str, ...]
    costs: tuple[str, ...]
    usable: bool

    @property
    def face(self) -> Face:
        """What its shapes are meant to do."""
        return Face.of([self.family.by_name[target] for target in self.keys])

    @property
    def summary(self) -> str:
        """One line: what it is and how much of speech it shows."""
        return f"{self.family.title}: {len(self.driven)} of {len(SPEECH_CONTROLS)} speech controls"


@lru_cache(maxsize=32)
def recognise(shape_names: tuple[str, ...], own: tuple[Family, ...] = ()) -> Recognition | None:
    """The family that these shape keys (without the basis) are; None if they are none's.

    `own` are mappings of the user's: the first of them that has a shape here wins over all families.
    """
    for family in own:
        if matched := match_family(family, shape_names):
            return _recognition(family, matched)
    lowered = "\n".join(shape_names).lower()
    best: tuple[tuple[bool, bool, int, int], Recognition] | None = None
    for family in families().values():
        if not all(part.lower() in lowered for part in family.signature):
            continue
        matched = match_family(family, shape_names)
        if not all(need in matched for need in family.needs):
            continue
        found = _recognition(family, matched)
        rank = (found.usable, bool(family.signature), len(matched), len(found.driven))
        if best is None or rank > best[0]:
            best = rank, found
    return best[1] if best else None


def match_family(family: Family, shape_names: Sequence[str]) -> dict[str, str]:
    """Target → shape key, for the shapes of `family` that are found; those that stand in only where they have to."""
    known: dict[str, str] = {}
    for shape in family.shapes:
        for name in (shape.name, *shape.names):
            known.setdefault(spelled(name), shape.name)
    found = match_names(shape_names, known)
    plain = {control for name in found for control in _of(family, name) if not family.by_name[name].stands_in}
    kept = [
        shape.name
        for shape in family.shapes
        if shape.name in found and not (shape.stands_in and shape.looks.keys() <= plain)
    ]
    return {name: found[name] for name in kept}


def target_face(family: Family) -> Face:
    """The face of a family without a head: all of its shapes but those that stand in."""
    return Face.of(family.plain().shapes)


def _of(family: Family, name: str) -> Mapping[str, float]:
    return family.by_name[name].looks


def _recognition(family: Family, keys: Mapping[str, str]) -> Recognition:
    shapes = [family.by_name[target] for target in keys]
    driven = driven_controls(shapes)
    speech = tuple(name for name in SPEECH_CONTROLS if name in driven)
    missing = tuple(name for name in SPEECH_CONTROLS if name not in driven)
    costs, opens = _costs(Face.of(shapes), driven)
    share = ENOUGH if family.name in ("arkit", "readyplayerme") else 0.0
    usable = opens and len(speech) >= share * len(SPEECH_CONTROLS)
    return Recognition(family, keys, speech, missing, costs, usable)


def driven_controls(shapes: Sequence[Shape]) -> frozenset[str]:
    """Those of our controls that these shapes show: by themselves, or together as far as lips show it."""
    face = Face.of(shapes)
    if not shapes:
        return frozenset()
    found = {name for name, column in zip(ALL_CONTROLS, face.looks[face.pure].T, strict=True) if column.any()}
    if face.direct:
        return frozenset(found)
    asked = [name for name in ALL_CONTROLS if name not in found and name != "mouthClose"]
    poses = [({} if name == "jawOpen" else {"jawOpen": 0.15}, _with_other_side(name)) for name in asked]
    reached = _reached(face, poses)
    found |= {name for name, share in zip(asked, reached, strict=True) if share >= REACHED}
    if "jawOpen" in found:  # what opens solved shapes closes them
        found.add("mouthClose")
    return frozenset(found)


def _with_other_side(name: str) -> Mapping[str, float]:
    other = name[:-4] + "Right" if name.endswith("Left") else name[:-5] + "Left" if name.endswith("Right") else ""
    return {one: 0.5 for one in (name, other) if one in ALL_CONTROLS and not one.startswith("jaw")} or {name: 0.5}


def _reached(face: Face, asked: Sequence[tuple[Mapping[str, float], Mapping[str, float]]]) -> list[float]:
    """For each pose and what is telling in addition to it, 0…1: how far these shapes go along that.

    In what lips show of it, else in the controls themselves.
    """
    poses = np.zeros((2 * len(asked), len(ALL_CONTROLS)))
    for number, (pose, telling) in enumerate(asked):
        without, together = poses[2 * number : 2 * number + 2]
        for name, value in pose.items():
            without[ALL_CONTROLS.index(name)] = value
        together[:] = without
        for name, value in telling.items():
            together[ALL_CONTROLS.index(name)] += value
    weights = worn(face, poses, ALL_CONTROLS).astype(np.float64)
    out = []
    for number, (_, telling) in enumerate(asked):
        added = weights[2 * number + 1] - weights[2 * number]
        wanted = sum((value * motion_of(name) for name, value in telling.items()), np.zeros(LIPS_SHAPE))
        if (size := float((wanted**2).sum())) > SHOWN**2:
            out.append(float((np.tensordot(added, lips_of(face), axes=1) * wanted).sum() / size))
        else:
            columns = [ALL_CONTROLS.index(name) for name in telling]
            out.append(float((added @ face.looks[:, columns]).sum() / sum(telling.values())))
    return out


def _costs(face: Face, driven: frozenset[str]) -> tuple[tuple[str, ...], bool]:
    """What will not be seen, in sentences, and whether the mouth opens at all."""
    told, opens = [], False
    if face.targets:
        reached = _reached(face, [(pose, telling) for pose, telling, _ in POSES])
        opens = reached[0] >= REACHED
        told = [cost for (_, _, cost), share in zip(POSES, reached, strict=True) if share < REACHED]
        weights = worn(face, np.array([list(CLOSURE.values())]), list(CLOSURE))
        if lip_gap(face, weights)[0] > SEALED_MM:
            told.insert(0, NO_CLOSURE)
        elif face.direct and "mouthClose" not in driven:
            told.insert(0, BY_JAW)
    told += [cost for controls, cost in PARTS if not driven & set(controls)]
    return tuple(told), opens
