"""Expressive styles: a layer over the whole face that speech talks through.

The prototypes are those of the Facial Action Coding System (Ekman, Friesen and Hager 2002; the action units of each
emotion as in Lucey et al. 2010, Table 1): happy 6+12, sad 1+4+15, angry 4+5+7+23, surprised 1+2+5+26, each at the
strength of somebody who speaks, not of somebody who poses. Speech has precedence at the mouth: where it rounds, closes
or opens the lips, the layer gives way (JALI keeps the two apart in the same way, Edwards et al. 2016).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..easing import smoothstep
from ..errors import InputError
from ..phones import BILABIALS, LABIODENTALS, Alignment
from ..rig.controls import ALL_CONTROLS, CONTROL_INDEX
from .rhythm import Rhythm

EXPRESSIONS: Mapping[str, Mapping[str, float]] = {
    "neutral": {},
    "happy": {  # 6 cheeks raised, 12 lip corners pulled
        "mouthSmile*": 0.6, "cheekSquint*": 0.6, "eyeSquint*": 0.4, "mouthDimple*": 0.12, "browOuterUp*": 0.08,
    },
    "sad": {  # 1 inner brows raised, 4 brows drawn together, 15 lip corners down, with 17 chin raised; lids droop
        "browInnerUp": 0.6, "browDown*": 0.22, "mouthFrown*": 0.6, "mouthShrugLower": 0.18, "eyeBlink*": 0.14,
        "eyeSquint*": 0.12, "eyeLookDown*": 0.08,
    },
    "angry": {  # 4 brows lowered, 5 upper lids raised, 7 lids tightened, 23 lips tightened, with 9 and 10 in part
        "browDown*": 0.9, "eyeWide*": 0.2, "eyeSquint*": 0.5, "noseSneer*": 0.28, "mouthPress*": 0.3,
        "mouthFrown*": 0.3, "mouthUpperUp*": 0.08, "jawForward": 0.12,
    },
    "surprised": {  # 1 and 2 brows raised, 5 upper lids raised, 26 jaw dropped
        "browInnerUp": 0.65, "browOuterUp*": 0.7, "eyeWide*": 0.65, "jawOpen": 0.12,
    },
}  # fmt: skip
POSTURES = {  # degrees of pitch, yaw and roll that the head is held at, while the head layer is on
    "happy": (-0.8, 0.0, 1.2), "sad": (2.5, 0.0, -1.0), "angry": (1.5, 0.0, 0.0), "surprised": (-1.5, 0.0, 0.0),
}  # fmt: skip

# How much of it is left, by part of the mouth, while p, b, m, f, v need the lips …
AT_CONTACTS = {"corners": 0.55, "lips": 0.0, "jaw": 0.0}
# … and at full rounding and at full opening of the mouth.
AT_ROUNDING = {"corners": 0.35, "lips": 0.3, "jaw": 0.3}
AT_OPENING = {"corners": 0.7, "lips": 0.0, "jaw": 0.2}
WIDE_OPEN = 0.25  # jawOpen less mouthClose from which a mouth counts as open
AROUND_CONTACTS = 0.09  # s in which the layer gives way ahead of a contact, and comes back after it
LIVELINESS = 0.18  # share by which the strength differs from phrase to phrase
EASE = 0.5  # s from one phrase's strength to the next one's
EVENNESS = 0.92  # of the weaker side of the face, at least

_CORNERS = ("mouthSmile", "mouthFrown", "mouthDimple", "mouthStretch", "cheek", "noseSneer")


def expression_layer(times: np.ndarray, rhythm: Rhythm, name: str, strength: float, seed: int) -> np.ndarray:
    """(T, C) float32 over ALL_CONTROLS, 0…1, at `times` (T,) s, as it is where speech leaves the face alone.

    `strength` 0…1. Its own strength lives a little from phrase to phrase and its sides are not quite even; the same
    seed gives the same face at any frame rate. Raises InputError for a name that is not in EXPRESSIONS.
    """
    out = np.zeros((len(times), len(ALL_CONTROLS)), np.float32)
    prototype = prototype_of(name)
    if strength <= 0.0 or not prototype:
        return out
    rng = np.random.default_rng([seed, 7])
    weak = rng.choice(("Left", "Right"))
    evenness = {part: rng.uniform(EVENNESS, 1.0) for part in ("brow", "eye", "mouth", "cheek", "nose", "jaw")}
    life = _life(times, rhythm, rng) * strength
    for control, value in prototype.items():
        part = next(part for part in evenness if control.startswith(part))
        out[:, CONTROL_INDEX[control]] = value * life * (evenness[part] if control.endswith(weak) else 1.0)
    return np.clip(out, 0.0, 1.0)


def speak_through(layer: np.ndarray, motion: np.ndarray, alignment: Alignment, times: np.ndarray) -> np.ndarray:
    """`motion` (T, C) of speech, blinks and brows with the `layer` (T, C) of an expression: (T, C) over ALL_CONTROLS.

    `times` (T,) are those of `alignment`. Where both move a control, the layer takes part of what is left of its range,
    so the sum never exceeds it.
    """
    if not layer.any():
        return motion
    free = _freedom(motion, alignment, times)
    blink = np.maximum(motion[:, CONTROL_INDEX["eyeBlinkLeft"]], motion[:, CONTROL_INDEX["eyeBlinkRight"]])
    out = motion.copy()
    for column in np.flatnonzero(layer.any(0)):
        name = ALL_CONTROLS[column]
        part = _part(name)
        share = layer[:, column] * (free[part] if part else 1.0)
        if name.startswith(("eyeWide", "eyeSquint", "eyeLook")):
            share = share * (1 - blink)  # lids that blink close
        out[:, column] += share * np.clip(1 - motion[:, column], 0.0, 1.0)
    return out


def prototype_of(name: str) -> dict[str, float]:
    """Control → value of an expression at strength 1; raises InputError if there is none of that name."""
    if name not in EXPRESSIONS:
        raise InputError(f"There is no expression {name!r}; choose {', '.join(EXPRESSIONS)}.")
    out = {}
    for control, value in EXPRESSIONS[name].items():
        for side in ("Left", "Right") if control.endswith("*") else ("",):
            out[control.removesuffix("*") + side] = value
    return out


def posture_of(name: str, strength: float) -> tuple[float, float, float]:
    """Pitch, yaw and roll in degrees at which an expression holds the head."""
    pitch, yaw, roll = POSTURES.get(name, (0.0, 0.0, 0.0))
    return pitch * strength, yaw * strength, roll * strength


def _part(name: str) -> str | None:
    if name.startswith("jaw"):
        return "jaw"
    if name.startswith(_CORNERS):
        return "corners"
    return "lips" if name.startswith("mouth") else None


def _freedom(motion: np.ndarray, alignment: Alignment, times: np.ndarray) -> dict[str, np.ndarray]:
    """Part of the mouth → (T,) share of an expression that speech leaves it."""
    contact = np.zeros(len(times))
    for phone in alignment.phones:
        if phone.label in BILABIALS or phone.label in LABIODENTALS:
            low, high = np.searchsorted(times, [phone.start - AROUND_CONTACTS, phone.end + AROUND_CONTACTS])
            t = times[low:high]
            up = smoothstep((t - phone.start + AROUND_CONTACTS) / AROUND_CONTACTS)
            down = smoothstep((phone.end + AROUND_CONTACTS - t) / AROUND_CONTACTS)
            contact[low:high] = np.maximum(contact[low:high], up * down)

    def column(name: str) -> np.ndarray:
        return motion[:, CONTROL_INDEX[name]]

    rounding = np.clip(np.maximum(column("mouthPucker"), column("mouthFunnel")), 0, 1)
    opening = smoothstep((column("jawOpen") - column("mouthClose")) / WIDE_OPEN)
    return {
        part: (1 - (1 - AT_CONTACTS[part]) * contact)
        * (1 - (1 - AT_ROUNDING[part]) * rounding)
        * (1 - (1 - AT_OPENING[part]) * opening)
        for part in ("corners", "lips", "jaw")
    }


def _life(times: np.ndarray, rhythm: Rhythm, rng: np.random.Generator) -> np.ndarray:
    """(T,) around 1: somewhat stronger or weaker in each phrase, eased in between."""
    starts = np.array([0.0, *(phrase.start for phrase in rhythm.phrases)])
    sizes = 1 + LIVELINESS * rng.uniform(-1.0, 0.6, len(starts))
    out = np.full(len(times), sizes[0])
    for start, before, after in zip(starts[1:], sizes, sizes[1:], strict=False):
        low, high = np.searchsorted(times, [start - EASE, start])
        out[low:high] += (after - before) * smoothstep((times[low:high] - start + EASE) / EASE)
        out[high:] += after - before
    return out
