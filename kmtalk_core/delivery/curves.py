"""A result as few Bézier keys, as JSON: what reads them needs no more than the keys of each control and their handles.

{"fps": 30, "duration": …, "unit": "frame", "curves": [{"control": "jawOpen", "keys": [[frame, value, left frame, left
value, right frame, right value], …]}, …], "key_motions": [frame, …], "contacts": [[phone, first, last], …]}
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..finish.contacts import contact_ramp, find_contacts
from ..finish.reduced import reduced_curves
from ..motion import Animation, VertexAnimation

TOLERANCE = 0.0095  # of a control; numbers are rounded then, and stay within 0.01
DIGITS = 5


def curves_data(animation: Animation) -> dict[str, Any]:
    """What the file holds; curves that never leave one value have one key."""
    curves = reduced_curves(animation, animation.control_names, TOLERANCE)
    offset, ramp = animation.sliders.offset, contact_ramp(animation.sliders)
    contacts = find_contacts(animation.alignment, animation.times, offset, ramp)
    phones = animation.alignment.phones
    return {
        "fps": animation.fps,
        "frames": len(animation.times),
        "duration": animation.alignment.duration,
        "audio_sha256": animation.audio_sha256,
        "curves": [
            {"control": name, "keys": _rounded(np.concatenate([curve.points, curve.left, curve.right], axis=1))}
            for name, curve in zip(animation.control_names, curves, strict=True)
        ],
        "key_motions": _rounded(animation.keys.times * animation.fps),
        "contacts": [[phones[c.phone].label, *_rounded(np.array([c.start, c.end]) * animation.fps)] for c in contacts],
    }


def write_curves(animation: Animation | VertexAnimation, path: Path) -> None:
    """Write the curves; raises InputError for a result that has no controls."""
    if not isinstance(animation, Animation):
        raise InputError("The result moves vertices and has no controls; export it as .mdd or .pc2.")
    text = json.dumps(curves_data(animation), ensure_ascii=False, separators=(",", ":"))
    path.write_bytes(f"{text}\n".encode())


def _rounded(values: np.ndarray) -> list[Any]:
    out: list[Any] = (np.round(values.astype(np.float64), DIGITS) + 0.0).tolist()
    return out
