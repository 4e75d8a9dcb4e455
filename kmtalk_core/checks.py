"""What the arrays of OUT.npz are: kind, shape and range of each, so that a file is checked whole at the door."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

FAR = 1e6  # s from the beginning; nobody speaks for eleven days
NEAR = 1.0  # s by which phones and frames may reach beyond the sound …
OUTSIDE = 62.0  # … and keys, which may lie before and after it, and move with the offset
STRONG = 1e3  # a control is 0…1 as generated, and what a user makes of it as edited
ROWS = 64  # of a large array that are looked at at once


class Misfit(ValueError):
    """An array is not what it must be; the message is a part of a sentence that names it."""


@dataclass(frozen=True)
class Kind:
    """An array: `kinds` of numpy's dtypes ("f", "iu", "b", "U"), `shape` in letters, one a dimension; a letter stands
    for the same number everywhere, and a digit for itself. Its numbers are finite and from `low` to `high`.
    """

    kinds: str
    shape: str
    low: float = -np.inf
    high: float = np.inf


TIME = (-FAR, FAR)
ARRAYS: Mapping[str, Kind] = {
    "fps": Kind("fiu", "", 1e-3, 1e4),
    "times": Kind("f", "T", *TIME),
    "key_times": Kind("f", "m", *TIME),
    "phone_labels": Kind("U", "P"),
    "phone_starts": Kind("f", "P", *TIME),
    "phone_ends": Kind("f", "P", *TIME),
    "word_labels": Kind("U", "W"),
    "word_starts": Kind("f", "W", *TIME),
    "word_ends": Kind("f", "W", *TIME),
    "duration": Kind("fiu", "", 0.0, FAR),
    "localizer": Kind("U", ""),
    "warnings": Kind("U", "w"),
    "audio_sha256": Kind("U", ""),
    "model": Kind("U", ""),
    "features": Kind("f", "Nd"),
    "feature_rate": Kind("fiu", "", 1e-3, 1e4),
    "control_names": Kind("U", "C"),
    "controls": Kind("f", "TC", -STRONG, STRONG),
    "key_controls": Kind("f", "mC", -STRONG, STRONG),
}
SOMETIMES: Mapping[str, Kind] = {
    "word_confidences": Kind("f", "W", 0.0, 1.0),
    "phone_sounds": Kind("U", "P"),
    "origin": Kind("U", ""),
    "emotion": Kind("U", ""),
    "emotion_confidence": Kind("f", "", 0.0, 1.0),
    "heard_text": Kind("U", ""),
    "heard_language": Kind("U", ""),
    "heard_by": Kind("U", ""),
    "feature_lead": Kind("fiu", "", 0.0, 1.0),
    "speech": Kind("f", "TS", -STRONG, STRONG),
    "contact_frames": Kind("iu", "h", 0),
    "contact_free": Kind("f", "hC", -STRONG, STRONG),
    "key_edited": Kind("b", "m"),
    "prosody": Kind("f", "Np"),
    "settings": Kind("U", ""),
    "generated_frames": Kind("iu", "g", 0),
    "generated_free": Kind("f", "gC", -STRONG, STRONG),
    "generated_key_times": Kind("f", "k", *TIME),
    "generated_key_controls": Kind("f", "kC", -STRONG, STRONG),
    "target_family": Kind("U", ""),
    "target_names": Kind("U", "n"),
    "targets": Kind("f", "Tn", -STRONG, STRONG),
    "key_targets": Kind("f", "mn", -STRONG, STRONG),
    "vertices": Kind("f", "TV3"),
    "faces": Kind("iu", "F3", 0),
    "template": Kind("f", "V3"),
    "key_vertices": Kind("f", "mV3"),
    "transform": Kind("f", "33"),
    "generated_vertices": Kind("f", "gV3"),
}
# Where one is, the others are; of results in vertex space, the second row instead of the one before.
TOGETHER = (
    ("speech", "contact_frames", "contact_free", "key_edited", "prosody", "settings"),
    ("target_family", "target_names", "targets", "key_targets"),
    ("vertices", "faces"),
    ("template", "key_vertices", "transform"),
)
# What finishing changes in a result.
FINISHED: Mapping[str, Kind] = {
    "controls": ARRAYS["controls"],
    "free": ARRAYS["controls"],
    "key_times": ARRAYS["key_times"],
    "key_controls": ARRAYS["key_controls"],
    "edited": SOMETIMES["key_edited"],
    "settings": SOMETIMES["settings"],
}
FINISHED_AND_EDITED: Mapping[str, Kind] = {
    "generated_free": ARRAYS["controls"],
    "generated_key_times": SOMETIMES["generated_key_times"],
    "generated_key_controls": SOMETIMES["generated_key_controls"],
}
NAMES = frozenset({*ARRAYS, *SOMETIMES, "key_frames"})


def check_arrays(z: Mapping[str, np.ndarray]) -> None:
    """Raise KeyError for an array that is missing, Misfit for one that is not as it must be."""
    for name in ARRAYS:
        if name not in z:
            raise KeyError(name)
    for group in TOGETHER:
        if (missing := [name for name in group if name not in z]) and len(missing) < len(group):
            raise KeyError(missing[0])
    sizes: dict[str, tuple[int, str]] = {}
    for name, array in z.items():
        kind = ARRAYS.get(name) or SOMETIMES.get(name)
        if kind is not None:
            _check(name, array, kind, sizes)
    frames = sizes["T"][0]
    if not frames or not sizes["N"][0]:
        raise Misfit("it has no frames or no features")
    _ascends("times", z["times"])
    _ascends("key_times", z["key_times"])
    _check_times(z)
    for name in ("contact_frames", "generated_frames"):
        if name in z and len(z[name]) and int(z[name].max()) >= frames:
            raise Misfit(f"{name} names frames that it does not have")
    if "faces" in z and len(z["faces"]) and int(z["faces"].max()) >= sizes["V"][0]:
        raise Misfit("faces names vertices that it does not have")
    if "prosody" in z and z["prosody"].shape[1] < 2:
        raise Misfit("prosody lacks columns")
    if len(set(z["control_names"].tolist())) < sizes["C"][0]:
        raise Misfit("control_names has a name twice")
    if (z["phone_ends"] < z["phone_starts"]).any() or (z["word_ends"] < z["word_starts"]).any():
        raise Misfit("a phone or word ends before it starts")


def _check_times(z: Mapping[str, np.ndarray]) -> None:
    """All times lie in or near the sound, so that nothing takes as long as they say."""
    duration, fps = float(z["duration"]), float(z["fps"])
    if abs(float(z["times"][-1]) - duration) > NEAR + 2 / fps:
        raise Misfit("times and duration do not fit")
    for name, beyond in (("phone_starts", NEAR), ("phone_ends", NEAR), ("word_starts", NEAR), ("word_ends", NEAR),
                         ("key_times", OUTSIDE), ("generated_key_times", OUTSIDE)):  # fmt: skip
        if name in z and len(z[name]) and (z[name].min() < -beyond or z[name].max() > duration + beyond):
            raise Misfit(f"{name} lies outside of the sound")


def check_some(z: Mapping[str, np.ndarray], kinds: Mapping[str, Kind], **sizes: int) -> None:
    """Raise KeyError for an array of `kinds` that is missing, Misfit for one that is not as it must be.

    `sizes`: what letters of the shapes stand for.
    """
    known = {letter: (size, "the result") for letter, size in sizes.items()}
    for name, kind in kinds.items():
        _check(name, z[name], kind, known)


def is_finite(array: np.ndarray) -> bool:
    """Whether all numbers are finite, looked at some rows at a time: poses of a mesh may lie on disk."""
    if array.ndim == 0:
        return bool(np.isfinite(array))
    return all(np.isfinite(array[low : low + ROWS]).all() for low in range(0, len(array), ROWS))


def _check(name: str, array: np.ndarray, kind: Kind, sizes: dict[str, tuple[int, str]]) -> None:
    if array.dtype.kind not in kind.kinds:
        raise Misfit(f"{name} is of the type {array.dtype}")
    if array.ndim != len(kind.shape):
        raise Misfit(f"{name} has the shape {array.shape}")
    for letter, size in zip(kind.shape, array.shape, strict=True):
        expected, other = (int(letter), "") if letter.isdigit() else sizes.setdefault(letter, (size, name))
        if size != expected:
            raise Misfit(f"{name} has the shape {array.shape}" + (f", which does not fit {other}" if other else ""))
    if "f" in kind.kinds and not is_finite(array):
        raise Misfit(f"{name} holds values that are not finite")
    if array.size and kind.kinds != "U" and (kind.low > -np.inf or kind.high < np.inf):
        low, high = array.min(), array.max()
        if low < kind.low or high > kind.high:
            raise Misfit(f"{name} holds {low if low < kind.low else high:g}")


def _ascends(name: str, times: np.ndarray) -> None:
    if (np.diff(times) <= 0).any():
        raise Misfit(f"{name} does not ascend")
