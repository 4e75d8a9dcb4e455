"""Shape keys that a mesh already has, matched to the controls by the usual spellings of ARKit's names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from .controls import ALL_CONTROLS
from .spelling import spelled, spellings


def match_controls(shape_names: Iterable[str]) -> dict[str, str]:
    """Control → the name of the shape key that is this control, for every control that is found.

    Understood: any case; words joined or split by `_`, `-`, `.` or blanks; `L`/`R` for `Left`/`Right`, behind or in
    front; a prefix (`Face.jawOpen`, `head_jawOpen`, `A25_Jaw_Open`). Where several fit, the plainest spelling wins.
    """
    found = match_names(shape_names, _BY_SPELLING)
    return {control: found[control] for control in ALL_CONTROLS if control in found}


def match_names(shape_names: Iterable[str], known: Mapping[str, str]) -> dict[str, str]:
    """What is known → the shape key that it is; `known`: spelling (`spelling.spelled`) → what it stands for."""
    found: dict[str, tuple[int, str]] = {}
    for name in shape_names:
        for plainness, spelling in enumerate(spellings(name)):
            if (it := known.get(spelling)) is not None:
                if it not in found or (plainness, name) < found[it]:
                    found[it] = plainness, name
                break
    return {it: name for it, (_, name) in found.items()}


_BY_SPELLING = {spelled(control): control for control in ALL_CONTROLS}
