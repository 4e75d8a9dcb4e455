"""Profiles: what is wanted of every line of a character, or of every line that names a profile, as TOML.

[characters.Anna]        # for each line whose column `character` says Anna
mesh = "heads/anna.obj"
jaw = 0.8

[profiles.shouting]      # for each line whose column `profile` says shouting
intensity = 1.4
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...errors import InputError
from ...localization.transcript import decoded
from .sources import named, written

Cells = Mapping[str, str]
PARTS = ("characters", "profiles")


@dataclass(frozen=True)
class Profiles:
    """Cells by the name of a character and of a profile; relative paths in them are relative to `folder`."""

    folder: Path = Path()
    characters: Mapping[str, Cells] = field(default_factory=dict)
    profiles: Mapping[str, Cells] = field(default_factory=dict)


def read_profiles(path: Path) -> Profiles:
    """Read profiles from a .toml; raises InputError. What the cells say is checked with the lines that they are for."""
    try:
        found = tomllib.loads(decoded(path.read_bytes()))
    except OSError as error:
        raise InputError(f"Cannot read {path} ({error.strerror}); check the path.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not readable TOML ({error}); correct it there.") from None
    for name in found:
        if name not in PARTS:
            raise InputError(f"{path}: there is no part {name!r}; profiles have [characters.NAME] and [profiles.NAME].")
    return Profiles(path.parent, *(_tables(path, part, found.get(part, {})) for part in PARTS))


def _tables(path: Path, part: str, tables: Any) -> dict[str, Cells]:
    if not isinstance(tables, dict) or not all(isinstance(table, dict) for table in tables.values()):
        raise InputError(f"{path}: {part} must have a table for each name, as [{part}.NAME].")
    return {name: {named(column): written(value) for column, value in table.items()} for name, table in tables.items()}
