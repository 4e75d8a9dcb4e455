"""Whether a head shows drawings of a mouth chart one at a time, and the shape key that says which.

The shape key is empty; its value is the number of the drawing, 0 at rest. Drivers look up by it which picture, layer or
object is shown (see `mouths`), so that a line's takes and edits are on shape keys as those of any head.
"""

from __future__ import annotations

import bpy

from kmtalk_core.retarget.cues import drawings_of
from kmtalk_core.retarget.families import Family, families

CHANNEL = "mouthDrawing"
CHARTS = ("rhubarb", "preston_blair")
LONGEST_NAME = 60


def chart_of(keys: bpy.types.Key | None) -> Family | None:
    """The mouth chart whose drawings are shown; None of other heads."""
    if keys is None or keys.kmtalk.chart not in CHARTS:
        return None
    chart = families()[keys.kmtalk.chart]
    return chart if key_name(chart) in keys.key_blocks else None


def key_name(chart: Family) -> str:
    """The name of the shape key, which tells what its values mean."""
    numbered = " ".join(f"{number}{name}" for number, name in enumerate(drawings_of(chart)))
    return f"Mouth ({numbered})"[:LONGEST_NAME]


def block_of(keys: bpy.types.Key) -> bpy.types.ShapeKey | None:
    """The shape key whose value is the number of the drawing."""
    chart = chart_of(keys)
    return keys.key_blocks[key_name(chart)] if chart is not None else None
