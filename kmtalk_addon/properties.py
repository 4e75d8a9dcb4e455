"""What the user chooses, and what a file remembers of the lines that were animated."""

from collections.abc import Iterator

import bpy
from bpy.props import (
    CollectionProperty,
    EnumProperty,
    FloatProperty,
    IntProperty,
    PointerProperty,
    StringProperty,
)

from kmtalk_core.expression import EXPRESSIONS as PROTOTYPES

from . import compat
from .strip import sound_strips

LOCALIZERS = (
    ("auto", "Automatic", "With text: align it to the sound. Without: recognise the phones"),
    ("pocketsphinx", "PocketSphinx", "Align the text, or recognise the words first; English"),
    ("posterior", "Model", "The phones that KMTalk's own model hears; any language"),
    ("whisper-mfa", "Whisper + MFA", "As in the paper: Whisper and the Montreal Forced Aligner, installed by you"),
    ("uniform", "Uniform", "Key motions at even distances, whatever is said"),
)
KEY_RULES = (
    ("apexes", "Apexes", "One key motion for each phone, where it is reached: the fewest keys, the easiest to edit"),
    ("boundaries", "Boundaries", "Key motions where phones begin and end, as in the paper"),
    ("both", "Both", "Key motions at apexes and boundaries"),
)
EXPRESSIONS = tuple((name, name.capitalize(), f"A {name} face that speaks") for name in PROTOTYPES)


def _strip_names(settings: bpy.types.PropertyGroup, context: bpy.types.Context, typed: str) -> Iterator[str]:
    yield from (strip.name for strip in sound_strips(compat.sequencer_scene(context)))


class KMTalkSettings(bpy.types.PropertyGroup):
    """Of a scene: what to animate, and how."""

    strip: StringProperty(
        name="Sound",
        description="The sound strip with the speech; empty for the active or only one",
        search=_strip_names,
    )
    mesh: PointerProperty(
        name="Mesh",
        description="The head; empty for the active object",
        type=bpy.types.Object,
        poll=lambda _, obj: obj.type == "MESH",
    )
    localizer: EnumProperty(name="Localizer", description="How the phones are found", items=LOCALIZERS)
    key_rule: EnumProperty(name="Key Motions", description="Which instants become key motions", items=KEY_RULES)
    intensity: FloatProperty(
        name="Intensity", description="Strength of the speech movement", default=1.0, min=0.0, max=2.0, subtype="FACTOR"
    )
    upper_face: FloatProperty(
        name="Upper Face", description="Strength of brows and blinks", default=1.0, min=0.0, max=2.0, subtype="FACTOR"
    )
    head: FloatProperty(
        name="Head", description="Strength of the head's motion", default=1.0, min=0.0, max=2.0, subtype="FACTOR"
    )
    expression: EnumProperty(name="Expression", description="Style of the whole face", items=EXPRESSIONS)
    expression_strength: FloatProperty(
        name="Expression Strength", description="How much of it", default=1.0, min=0.0, max=1.0, subtype="FACTOR"
    )
    seed: IntProperty(name="Seed", description="Another seed gives other blinks, brow and head movements", min=0)


class KMTalkText(bpy.types.PropertyGroup):
    """Of a sound strip: what is said in it."""

    transcript: StringProperty(
        name="Transcript", description="What is said; empty for the .txt file beside the sound, if there is one"
    )
    text: PointerProperty(name="Text", description="A text of this file with what is said", type=bpy.types.Text)
    alignment: StringProperty(
        name="Alignment", description="A TextGrid with the phones and their times, instead of text", subtype="FILE_PATH"
    )


class KMTalkTake(bpy.types.PropertyGroup):
    """Of KMTalk's Action: one line that was animated. Its `name` is that of the sound strip."""

    line: StringProperty(description="What the strip played (strip.Line as JSON)")
    result: StringProperty(description="The result as computed (the bytes of OUT.npz)", subtype="BYTE_STRING")
    warnings: StringProperty(description="What was noticed on the way, a sentence a line")
    key_count: IntProperty(description="Number of key motions")


classes = (KMTalkSettings, KMTalkText, KMTalkTake)


def add() -> None:
    """Hang the properties on Blender's types; the classes are registered."""
    bpy.types.Scene.kmtalk = PointerProperty(type=KMTalkSettings)
    compat.StripType.kmtalk = PointerProperty(type=KMTalkText)
    bpy.types.Action.kmtalk_takes = CollectionProperty(type=KMTalkTake)


def remove() -> None:
    """The inverse of `add`."""
    del bpy.types.Action.kmtalk_takes
    del compat.StripType.kmtalk
    del bpy.types.Scene.kmtalk
