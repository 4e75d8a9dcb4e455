"""Drivers that add up shape keys' values, so simple that Blender computes them without Python."""

from __future__ import annotations

from collections.abc import Iterable
from string import ascii_lowercase

import bpy

LONGEST = 250  # characters of an expression that Blender keeps
DIGITS = range(6, 1, -1)


def add_up(driver: bpy.types.Driver, keys: bpy.types.Key, factors: Iterable[tuple[str, float]], *first: str) -> None:
    """Let `driver` be the sum of the shape keys (name, factor) and of the terms that come `first`.

    Scripted, but of sums and products only, which work whatever scripts are allowed. Of too many terms for Blender the
    smallest are left out.
    """
    driver.type = "SCRIPTED"
    terms, start = sorted(factors, key=lambda term: -abs(term[1])), "+".join(first)
    expression = _sum(terms, start)
    while len(expression) > LONGEST and terms:
        terms = terms[:-1]
        expression = _sum(terms, start)
    for number, (name, _) in enumerate(terms):
        variable = driver.variables.new()
        variable.name = _variable(number)
        variable.targets[0].id_type = "KEY"
        variable.targets[0].id = keys
        variable.targets[0].data_path = keys.key_blocks[name].path_from_id("value")
    driver.expression = expression


def _sum(terms: list[tuple[str, float]], start: str) -> str:
    """As many digits of each factor as there is room for."""
    for digits in DIGITS:
        parts = [start] if start else []
        parts += [f"{factor:.{digits}g}*{_variable(number)}" for number, (_, factor) in enumerate(terms)]
        expression = "+".join(parts).replace("+-", "-").replace("-0.", "-.").replace("+0.", "+.")
        if len(expression) <= LONGEST:
            break
    return expression


def _variable(number: int) -> str:
    round_, letter = divmod(number, len(ascii_lowercase))
    return ascii_lowercase[letter] + (str(round_) if round_ else "")
