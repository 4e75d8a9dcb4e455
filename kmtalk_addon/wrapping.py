"""Whole sentences in Blender's layouts, whose labels end where their room ends."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import blf
import bpy

UNIT = 20  # pixels of a button's height at a scale of 1
MARGIN = 3.4  # units of a sidebar's width that are not for text: its tabs, and the air around


def sentence(
    layout: bpy.types.UILayout, context: bpy.types.Context, text: str, icon: str = "NONE", margin: float = MARGIN
) -> None:
    """Show a sentence on as many lines as it needs; without an icon it is a remark, in grey.

    `margin`: units of the region's width that are not for the text.
    """
    scale = context.preferences.system.ui_scale
    points = context.preferences.ui_styles[0].widget.points
    room = _width(context.region) - (margin + 1.2 * (icon != "NONE")) * UNIT * scale
    column = layout.column(align=True)
    column.scale_y = 0.8
    column.active = icon != "NONE"
    for number, part in enumerate(_fitted(text, int(max(room, 4 * UNIT * scale)), round(points * scale, 2))):
        column.label(text=part, icon="BLANK1" if number and icon != "NONE" else icon)


def wrapped(text: str, fits: Callable[[str], bool]) -> list[str]:
    """Lines that fit, with all that `text` says; a word that is too long for a line goes on on the next one."""
    lines, line = [], ""
    for word in text.split():
        longer = f"{line} {word}" if line else word
        if fits(longer):
            line = longer
            continue
        if line:
            lines.append(line)
        while len(word) > 1 and not fits(word):
            end = next((end for end in range(len(word) - 1, 1, -1) if fits(word[:end])), 1)
            lines.append(word[:end])
            word = word[end:]
        line = word
    return [*lines, line] if line or not lines else lines


@lru_cache(maxsize=256)
def _fitted(text: str, room: int, points: float) -> tuple[str, ...]:
    def fits(part: str) -> bool:
        blf.size(0, points)
        return blf.dimensions(0, part)[0] <= room

    return tuple(wrapped(text, fits))


def _width(region: bpy.types.Region) -> float:
    """Of what the region shows; a sidebar can be zoomed."""
    view = region.view2d
    return view.region_to_view(region.width, 0)[0] - view.region_to_view(0, 0)[0]
