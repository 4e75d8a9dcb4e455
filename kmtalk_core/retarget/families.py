"""Families of shape keys: how characters name their mouths and what each shape does, as data files.

A file of assets/families, or a user's own mapping, is JSON: `family`, `title`, `shapes` and optionally `about`,
`aliases`, `needs` (shapes without which it is not this family), `signature` (what some names must contain) and, of a
mouth chart, `mouths` (drawing → the phones that it shows) and `instead` (drawing → the one that is shown where it is
missing). Each of `shapes` says what it looks like at 1 in terms of our controls: a control's name, or names with
weights, or `looks` (such weights) with `names` (other spellings) and `stands_in` (used only where the shapes that say
the same are missing). A control without its side (`mouthSmile`) means both sides.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from ..assets import FAMILIES
from ..errors import InputError
from ..rig.controls import ALL_CONTROLS

LARGEST_MAPPING = 1 << 20  # bytes
STRONGEST = 10.0  # of a weight


@dataclass(frozen=True)
class Shape:
    """One shape of a family: `looks` control → weight (0…10) at 1; `names`: its other spellings."""

    name: str
    looks: Mapping[str, float] = field(hash=False)
    names: tuple[str, ...] = ()
    stands_in: bool = False


@dataclass(frozen=True)
class Family:
    """How one kind of character names its shapes, see the module's text."""

    name: str
    title: str
    shapes: tuple[Shape, ...]
    about: str = ""
    aliases: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    signature: tuple[str, ...] = ()
    mouths: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)
    instead: Mapping[str, str] = field(default_factory=dict, hash=False)
    by_name: Mapping[str, Shape] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_name", {shape.name: shape for shape in self.shapes})

    def plain(self) -> Family:
        """The family as a target without a head: no stand-ins."""
        return replace(self, shapes=tuple(s for s in self.shapes if not s.stands_in))


@cache
def families() -> dict[str, Family]:
    """All that ship, by name."""
    found = (read_family(path) for path in sorted(FAMILIES.glob("*.json")))
    return {family.name: family for family in found}


def find_family(wanted: str) -> Family:
    """The family of this name or alias, or of the mapping file `wanted`. Raises InputError."""
    simple = wanted.lower().replace("-", "_")
    for family in families().values():
        if simple in (family.name, *family.aliases):
            return family
    if wanted.lower().endswith(".json"):
        return read_family(Path(wanted))
    raise InputError(f"There is no family {wanted!r}; choose {', '.join(families())}, or give a mapping (.json).")


def read_family(path: Path) -> Family:
    """Read a family or a user's mapping; raises InputError that names what is wrong."""
    if not path.is_file():
        raise InputError(f"There is no mapping {path}; check the path.")
    if path.stat().st_size > LARGEST_MAPPING:
        raise InputError(f"{path} is too large for a mapping; choose the file that the mapping table has saved.")
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        return family_of(data, path.stem)
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{path} is no mapping ({str(error)[:80]}); it needs shapes and their looks.") from None
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def family_of(data: Mapping[str, Any], name: str = "own") -> Family:
    """A family from what its file says; raises InputError."""
    shapes = data.get("shapes")
    if not isinstance(shapes, dict) or not shapes:
        raise InputError("A mapping needs `shapes`: the name of each shape and what it looks like.")

    def listed(key: str) -> tuple[str, ...]:
        return tuple(str(item) for item in data.get(key, ()))

    family = Family(
        name=str(data.get("family", name)),
        title=str(data.get("title", data.get("family", name))),
        shapes=tuple(_shape(str(key), value) for key, value in shapes.items()),
        about=str(data.get("about", "")),
        aliases=listed("aliases"),
        needs=listed("needs"),
        signature=listed("signature"),
        mouths={str(name): tuple(map(str, phones)) for name, phones in dict(data.get("mouths", {})).items()},
        instead={str(name): str(other) for name, other in dict(data.get("instead", {})).items()},
    )
    if strange := [need for need in family.needs if need not in family.by_name]:
        raise InputError(f"`needs` names {strange[0]}, which is none of its shapes; correct it.")
    return family


def as_data(family: Family) -> dict[str, Any]:
    """The inverse of `family_of`."""
    shapes = {}
    for shape in family.shapes:
        about: dict[str, Any] = {"looks": dict(shape.looks)}
        if shape.names:
            about["names"] = list(shape.names)
        if shape.stands_in:
            about["stands_in"] = True
        shapes[shape.name] = about
    lists: dict[str, Any] = {
        key: list(getattr(family, key)) for key in ("aliases", "needs", "signature") if getattr(family, key)
    }
    if family.mouths:
        lists["mouths"] = {name: list(phones) for name, phones in family.mouths.items()}
    if family.instead:
        lists["instead"] = dict(family.instead)
    return {"family": family.name, "title": family.title, "about": family.about, **lists, "shapes": shapes}


def _shape(name: str, about: Any) -> Shape:
    if isinstance(about, str):
        about = {"looks": {about: 1.0}}
    elif "looks" not in about:
        about = {"looks": about}
    looks: dict[str, float] = {}
    for control, weight in about["looks"].items():
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight <= STRONGEST:
            raise InputError(
                f"The weight of {control} in {name} must be between 0 and {STRONGEST:g}, not {weight!r:.40}."
            )
        for one in _sides(control):
            looks[one] = float(weight)
    return Shape(name, looks, tuple(str(n) for n in about.get("names", ())), bool(about.get("stands_in", False)))


def _sides(control: str) -> tuple[str, ...]:
    if control in ALL_CONTROLS:
        return (control,)
    both = (f"{control}Left", f"{control}Right")
    if both[0] in ALL_CONTROLS and control not in ("jaw", "mouth"):  # which go to a side
        return both
    raise InputError(f"There is no control {control!r:.40}; docs/rigs.md has their names.")
