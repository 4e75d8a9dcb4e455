"""Shape keys that a mesh already has, matched to the controls by the usual spellings of ARKit's names."""

from __future__ import annotations

import re
from collections.abc import Iterable

from .controls import ALL_CONTROLS


def match_controls(shape_names: Iterable[str]) -> dict[str, str]:
    """Control → the name of the shape key that is this control, for every control that is found.

    Understood: any case; words joined or split by `_`, `-`, `.` or blanks; `L`/`R` for `Left`/`Right`; a prefix
    (`Face.jawOpen`, `head_jawOpen`, `blendShape1.jawOpen`). Where several fit, the plainest spelling wins.
    """
    found: dict[str, tuple[int, str]] = {}
    for name in shape_names:
        words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name)
        words = [{"l": "left", "r": "right"}.get(word.lower(), word.lower()) for word in words]
        for start in range(len(words)):
            control = _BY_SPELLING.get("".join(words[start:]))
            if control is not None:
                if control not in found or (start, name) < found[control]:
                    found[control] = start, name
                break
    return {control: found[control][1] for control in ALL_CONTROLS if control in found}


_BY_SPELLING = {control.lower(): control for control in ALL_CONTROLS}
