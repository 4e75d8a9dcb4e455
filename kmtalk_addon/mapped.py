"""The rows of the table of `mapping`, and the mapping that they make."""

import json

import bpy
from bpy.props import EnumProperty, FloatProperty, StringProperty

from kmtalk_core.retarget.families import STRONGEST, Family, Shape, as_data
from kmtalk_core.rig.controls import ALL_CONTROLS

from .session import current

CONTROLS = tuple((name, name, f"What {name} does") for name in ALL_CONTROLS)
TITLE = "Own mapping"


def changed(row: bpy.types.PropertyGroup, context: bpy.types.Context) -> None:
    """A row of the table was changed."""
    if not current.quiet and isinstance(row.id_data, bpy.types.Key):
        keep(row.id_data)


class KMTalkMapped(bpy.types.PropertyGroup):
    """Of shape keys: what one of them, `name`, has of a control at its full value."""

    name: StringProperty(name="Shape Key", description="The shape key", update=changed)
    control: EnumProperty(
        name="Looks Like", description="The control that it looks like", items=CONTROLS, update=changed
    )
    weight: FloatProperty(
        name="Weight", description="How much of it", default=1.0, min=0.0, max=STRONGEST, soft_max=1.0, update=changed
    )


def keep(keys: bpy.types.Key) -> None:
    """Let the rows of the table count as the mapping of these shape keys; none: KMTalk finds the family itself."""
    looks: dict[str, dict[str, float]] = {}
    for row in keys.kmtalk.mapped:
        if row.name and row.weight > 0:
            looks.setdefault(row.name, {})[row.control] = round(row.weight, 6)
    shapes = tuple(Shape(name, weights) for name, weights in looks.items())
    keys.kmtalk.mapping = json.dumps(as_data(Family("own", TITLE, shapes)), ensure_ascii=False) if shapes else ""
