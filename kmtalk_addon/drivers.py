"""Drivers that add up shape keys' values, so simple that Blender computes them without Python."""

from __future__ import annotations

from collections.abc import Iterable

import bpy


def add_up(driver: bpy.types.Driver, keys: bpy.types.Key, factors: Iterable[tuple[str, float]], *first: str) -> None:
    """Let `driver` be the sum of the shape keys (name, factor) and of the terms that come `first`.

    Scripted, but of sums and products only, which work whatever scripts are allowed.
    """
    driver.type = "SCRIPTED"
    terms = list(first)
    for number, (name, factor) in enumerate(factors):
        variable = driver.variables.new()
        variable.name = f"v{number}"
        variable.targets[0].id_type = "KEY"
        variable.targets[0].id = keys
        variable.targets[0].data_path = keys.key_blocks[name].path_from_id("value")
        terms.append(f"{factor:.6g}*v{number}")
    driver.expression = " + ".join(terms)
