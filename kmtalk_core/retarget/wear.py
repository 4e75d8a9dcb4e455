"""A whole result as the shapes of another family move."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np

from ..errors import InputError
from ..motion import ON_FRAME, Animation, Targets
from .charts import mouths_of, stepped
from .families import Family, as_data, family_of
from .recognition import target_face
from .solver import Face, worn


def in_family(animation: Animation, family: Family) -> Animation:
    """The result with the curves of `family`; a mouth chart's are stepped."""
    face = target_face(family)
    if family.mouths:
        weights = stepped(mouths_of(animation, family), face.targets)
        near = np.clip(animation.key_frames, 0, len(weights) - 1)
        key_weights = weights[near]
    else:
        weights, key_weights = worn_motion(animation, face)
    text = json.dumps(as_data(family), ensure_ascii=False)
    return replace(animation, targets=Targets(text, face.targets, weights, key_weights))


def again(animation: Animation, before: Animation) -> Animation:
    """The result with the curves of the family that `before` has, if it has any. Raises InputError if damaged."""
    if before.targets is None:
        return animation
    return in_family(animation, family_in(before.targets))


def family_in(targets: Targets) -> Family:
    """The family that a result was made for; raises InputError if it cannot be read."""
    try:
        return family_of(json.loads(targets.family))
    except (ValueError, TypeError, AttributeError):
        raise InputError("The family of this result cannot be read; animate it again.") from None


def worn_motion(animation: Animation, face: Face) -> tuple[np.ndarray, np.ndarray]:
    """(T, n) weights of the motion and (m, n) of the key motions: those on a frame are what it shows there."""
    weights = worn(face, animation.controls, animation.control_names, animation.fps)
    keys = worn(face, animation.keys.controls, animation.control_names)
    frames = animation.key_frames
    inside = (frames >= 0) & (frames < len(weights))
    on = inside & (np.abs(animation.keys.times * animation.fps - frames) < ON_FRAME)
    same = on.copy()
    same[on] = np.abs(animation.controls[frames[on]] - animation.keys.controls[on]).max(1) < 1e-5
    keys[same] = weights[frames[same]]
    return weights, keys
