"""Which family of shape keys a head has, and the channels by which a line moves them.

A *channel* is what has a curve. On a head whose shape keys are our controls one by one, channels are these controls.
On all others there is one for each of the head's shapes: the name of the shape behind that of the control that it
resembles most, so that the part of the face that it belongs to is told as that of a control is.
"""

from __future__ import annotations

import json
from dataclasses import replace
from functools import lru_cache

from kmtalk_core.errors import InputError
from kmtalk_core.retarget.families import Family, Shape, family_of
from kmtalk_core.retarget.recognition import Recognition, recognise
from kmtalk_core.rig.naming import match_controls

OF = "·"  # between the control and the shape in a channel's name
ONE_BY_ONE = ("arkit", "readyplayerme")
BESIDE = ("head", "eyeLook", "tongue")


@lru_cache(maxsize=32)
def recognised(names: tuple[str, ...], mapping: str = "") -> Recognition | None:
    """What shape keys are by their names, the basis first, and by the user's mapping (JSON).

    None if they are of no family that KMTalk knows, nor mapped.
    """
    own = own_family(mapping)
    found = recognise(names[1:], () if own is None else (own,))
    if found is None or one_by_one(found):
        return found
    # Gaze and turns of the head that bones show, see `bones`.
    more = {control: name for control, name in match_controls(names[1:]).items() if control.startswith(BESIDE)}
    more = {c: n for c, n in more.items() if n not in found.keys.values() and c not in found.family.by_name}
    shapes = tuple(Shape(control, {control: 1.0}) for control in more)
    return replace(
        found, family=replace(found.family, shapes=(*found.family.shapes, *shapes)), keys={**found.keys, **more}
    )


def that_open(found: Recognition) -> frozenset[str]:
    """The shape keys that open the mouth, by what they are meant to look like."""
    return frozenset(key for target, key in found.keys.items() if found.family.by_name[target].looks.get("jawOpen", 0))


@lru_cache(maxsize=8)
def own_family(mapping: str) -> Family | None:
    """The family that the user has mapped; None if nothing is."""
    if not mapping:
        return None
    try:
        return family_of(json.loads(mapping), "own")
    except (ValueError, TypeError, AttributeError, InputError):
        return None


@lru_cache(maxsize=32)
def channels(names: tuple[str, ...], mapping: str = "") -> dict[str, str]:
    """Channel → shape key of a head that is not driven control by control; none of others."""
    found = recognised(names, mapping)
    if found is None or not found.usable or one_by_one(found):
        return {}
    return {channel(found.family, target): key for target, key in found.keys.items()}


def one_by_one(found: Recognition) -> bool:
    """Whether each of the shapes is one of our controls, by its usual name."""
    shapes = [found.family.by_name[target] for target in found.keys]
    return found.family.name in ONE_BY_ONE and not any(shape.stands_in for shape in shapes)


def channel(family: Family, target: str) -> str:
    """The name of the channel of a shape."""
    looks = family.by_name[target].looks
    like = max(looks, key=lambda name: looks[name], default="mouth")
    if any(name.startswith(("jaw", "mouth")) for name in looks):
        like = "mouth"
    return f"{like}{OF}{target}"
