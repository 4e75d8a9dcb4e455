"""The settings of a head whose mouth is drawings or poses: what shows them, and which is which."""

import bpy
from bpy.props import (
    BoolProperty,
    CollectionProperty,
    EnumProperty,
    FloatProperty,
    IntProperty,
    PointerProperty,
    StringProperty,
)

from . import mouths
from .session import current

KINDS = (
    ("PICTURES", "Picture Sequence", "The frame offset of an image sequence: in a material, or an image as an empty"),
    ("SHEET", "Sprite Sheet", "One picture with all mouths, moved by the Mapping node of a material"),
    ("MATERIALS", "Material Slots", "Which of its material slots a mesh shows"),
    ("OBJECTS", "Objects", "One object for each mouth; only one is shown"),
    ("LAYERS", "Grease Pencil Layers", "One layer for each mouth; only one is shown"),
    ("TIME", "Grease Pencil Frames", "One frame for each mouth, chosen by the Time Offset modifier"),
    ("KEYS", "Shape Keys", "One shape key for each mouth, fully on or off"),
    ("PROPERTY", "Property", "A number: a custom property, an input of nodes, …"),
    ("POSES", "Poses", "Poses of an armature, blended: one Action for each mouth, or one with pose markers"),
)
CHARTS = (
    ("rhubarb", "Rhubarb", "A to H and X, as Rhubarb Lip Sync has them"),
    ("preston_blair", "Preston Blair", "The ten mouths of Preston Blair: AI, E, O, U, etc, L, WQ, MBP, FV, rest"),
)


def changed(row: bpy.types.PropertyGroup, context: bpy.types.Context) -> None:
    """A row was changed: show it so at once, if the mouth is in use."""
    if not current.quiet:
        mouths.refresh(row.id_data)


def of_kind(settings: bpy.types.PropertyGroup, context: bpy.types.Context) -> None:
    """Another kind or target was chosen: look for its mouths."""
    if not current.quiet:
        mouths.look_again(settings.id_data)


class KMTalkMouth(bpy.types.PropertyGroup):
    """A mouth of a chart, its `name` that of the drawing or pose; which of the others counts, the kind says."""

    number: IntProperty(
        name="Number", description="Picture, cell from the top left, slot, frame or value", update=changed
    )
    layer: StringProperty(name="Name", description="The layer or shape key; empty: another mouth", update=changed)
    shown: PointerProperty(
        name="Object", description="The object; empty: another mouth", type=bpy.types.Object, update=changed
    )
    action: PointerProperty(
        name="Action", description="The Action with the pose; empty: none", type=bpy.types.Action, update=changed
    )
    frame: FloatProperty(name="Frame", description="The frame of the Action that has the pose", update=changed)


class KMTalkDriven(bpy.types.PropertyGroup):
    """A property that is driven by the mouth, and its value before."""

    block: PointerProperty(type=bpy.types.ID)
    path: StringProperty()
    index: IntProperty()
    before: FloatProperty()


class KMTalkMouths(bpy.types.PropertyGroup):
    """Of an object with the shape keys: what shows the mouths."""

    kind: EnumProperty(name="Mouths", description="What shows the mouths", items=KINDS, update=of_kind)
    chart: EnumProperty(name="Chart", description="Which mouths there are", items=CHARTS, update=of_kind)
    target: PointerProperty(
        name="On", description="The object that shows the mouths", type=bpy.types.Object, update=of_kind
    )
    node: StringProperty(name="Node", description="The node with the pictures; empty: the first", update=of_kind)
    columns: IntProperty(name="Columns", description="Mouths side by side", default=3, min=1, update=changed)
    rows: IntProperty(name="Rows", description="Mouths one below the other", default=3, min=1, update=changed)
    path: StringProperty(
        name="Property", description='Its data path, as ["mouth"] or modifiers["Mouth"]["Socket_2"]', update=changed
    )
    made: BoolProperty(description="Whether the custom property was made for it")
    mouths: CollectionProperty(type=KMTalkMouth)
    driven: CollectionProperty(type=KMTalkDriven)
    mapping_before: StringProperty(description="The mapping of the shape keys before poses became the mouths")


classes = (KMTalkMouth, KMTalkDriven, KMTalkMouths)
