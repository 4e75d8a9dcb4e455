"""What the user chooses, and what a file remembers of the lines that were animated."""

from collections.abc import Iterator
from typing import Any

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

from kmtalk_core.finish.expression import EXPRESSIONS as PROTOTYPES
from kmtalk_core.localization.tongues import LANGUAGES as NAMES_OF_LANGUAGES

from . import compat, live
from .strip import sound_strips

LOCALIZERS = (
    ("auto", "Automatic", "With text: align it to the sound. Without: the phones that the model hears"),
    ("whisper", "Whisper", "Without a text, take the words that Whisper hears; you install it"),
    ("whisper-mfa", "Whisper + MFA", "As in the paper: Whisper and the Montreal Forced Aligner; you install both"),
    ("pocketsphinx", "PocketSphinx", "Align the text, or recognise the words first; English"),
    ("posterior", "Model", "The phones that KMTalk's own model hears; any language"),
    ("uniform", "Uniform", "Key motions at even distances, whatever is said"),
)
KEY_RULES = (
    ("apexes", "Apexes", "One key motion for each phone, where it is reached: the fewest keys, the easiest to edit"),
    ("boundaries", "Boundaries", "Key motions where phones begin and end, as in the paper"),
    ("both", "Both", "Key motions at apexes and boundaries"),
)
LANGUAGES = tuple(
    (code, name.capitalize() if code == "any" else name, f"The text is {name}" if code != "any" else "Use no text")
    for code, name in NAMES_OF_LANGUAGES.items()
)
EXPRESSIONS = tuple((name, name.capitalize(), f"A {name} face that speaks") for name in PROTOTYPES)


def _strip_names(settings: bpy.types.PropertyGroup, context: bpy.types.Context, typed: str) -> Iterator[str]:
    yield from (strip.name for strip in sound_strips(compat.sequencer_scene(context)))


def _strength(name: str, description: str, default: float, most: float) -> Any:
    """A slider from 0 to `most` that acts at once; not to be animated, for it says how the whole line is worn."""
    return FloatProperty(
        name=name,
        description=description,
        default=default,
        min=0.0,
        max=most,
        subtype="FACTOR",
        options=set(),
        update=live.changed,
    )


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
    localizer: EnumProperty(name="Phones By", description="How the phones are found", items=LOCALIZERS)
    language: EnumProperty(
        name="Language",
        description="Language of the text; all but English need espeak-ng on this computer",
        items=LANGUAGES,
        default="en",
    )
    key_rule: EnumProperty(name="Key Motions", description="Which instants become key motions", items=KEY_RULES)
    key_density: FloatProperty(
        name="Key Density",
        description="Share of these key motions to keep: less is easier to edit, more is truer to the speech",
        default=1.0,
        min=0.0,
        max=1.0,
        subtype="FACTOR",
    )


class KMTalkLine(bpy.types.PropertyGroup):
    """Of a sound strip: what is said in it, and how the face wears it."""

    transcript: StringProperty(
        name="Transcript", description="What is said; empty for the .txt, .srt or .vtt file beside the sound"
    )
    text: PointerProperty(
        name="Text", description="A text of this file with what is said; subtitles too", type=bpy.types.Text
    )
    use_name: BoolProperty(name="Strip's Name", description="The strip's name is what is said")
    alignment: StringProperty(
        name="Alignment",
        description="Phones, words or mouth shapes with their times, instead of text: TextGrid, MFA, Whisper, Gentle, "
        "Rhubarb, Papagayo, karaoke subtitles, …",
        subtype="FILE_PATH",
    )
    corrections: StringProperty(description="What was corrected in words and phones (JSON, see corrections.Stored)")
    intensity: _strength("Intensity", "Strength of the speech movement; lips go on closing at p, b and m", 1.0, 2.0)
    jaw: _strength("Jaw", "Strength of the jaw by itself", 1.0, 2.0)
    lips: _strength("Lips", "Strength of the lips by themselves", 1.0, 2.0)
    smoothing: _strength("Smoothing", "Calms the movement", 0.0, 1.0)
    offset: FloatProperty(
        name="Offset",
        description="Seconds by which the face is later than the sound, earlier where negative; key motions go along",
        default=0.0,
        min=-1.0,
        max=1.0,
        soft_min=-0.25,
        soft_max=0.25,
        step=1,
        precision=3,
        subtype="TIME_ABSOLUTE",
        options=set(),
        update=live.changed,
    )
    upper_face: _strength("Upper Face", "Strength of brows and gaze; at 0 there are no blinks either", 1.0, 2.0)
    head: _strength("Head", "Strength of the head's motion", 1.0, 2.0)
    expression: EnumProperty(
        name="Expression", description="Style of the whole face", items=EXPRESSIONS, options=set(), update=live.changed
    )
    expression_strength: _strength("Strength", "How much of the expression", 1.0, 1.0)
    seed: IntProperty(
        name="Seed",
        description="Another seed gives other blinks, brow and head movements",
        min=0,
        options=set(),
        update=live.changed,
    )


class KMTalkSegment(bpy.types.PropertyGroup):
    """A word or phone of a line, its `name` what is said; both as heard, and as the user has corrected it."""

    name: StringProperty(name="Text", description="What is said: one or more words, or a phone; empty removes it")
    start: FloatProperty(
        name="Start",
        description="When it begins, in seconds after the line's first frame",
        min=0.0,
        step=1,
        precision=3,
        subtype="TIME_ABSOLUTE",
    )
    end: FloatProperty(
        name="End",
        description="When it ends, in seconds after the line's first frame",
        min=0.0,
        step=1,
        precision=3,
        subtype="TIME_ABSOLUTE",
    )
    heard: StringProperty(description="What was heard; empty for what the user has added")
    heard_start: FloatProperty()
    heard_end: FloatProperty()
    confidence: FloatProperty(description="How well the sound fits the word, 0 to 1", default=1.0)
    doubtful: BoolProperty(description="Whether the sound seems to say something else")


class KMTalkContact(bpy.types.PropertyGroup):
    """A lip contact that is missed, its `name` the phone and its word."""

    start: FloatProperty(description="Seconds after the line's first frame")
    end: FloatProperty(description="Seconds after the line's first frame")
    reason: StringProperty(description="Why the contact is missed")


class KMTalkTake(bpy.types.PropertyGroup):
    """Of KMTalk's Action: one line that was animated. Its `name` is that of the sound strip."""

    line: StringProperty(description="What the strip played (strip.Line as JSON)")
    result: StringProperty(description="The result as computed last (the bytes of OUT.npz)", subtype="BYTE_STRING")
    finished: StringProperty(
        description="What sliders have made of the result since (takes.pack); empty: nothing", subtype="BYTE_STRING"
    )
    worn: StringProperty(description="Sliders and layers of what lies on the curves (takes.worn)")
    warnings: StringProperty(description="What was noticed on the way, a sentence a line")
    key_count: IntProperty(description="Number of key motions")
    words: CollectionProperty(type=KMTalkSegment)
    phones: CollectionProperty(type=KMTalkSegment)
    contacts: StringProperty(description="How many lip contacts are held, in a sentence")
    missed: CollectionProperty(type=KMTalkContact)
    fitted: BoolProperty(description="Whether contacts were fitted to the lips of this very head")
    word: IntProperty(name="Word", description="Double-click to correct the text", update=live.to_word)
    phone: IntProperty(name="Phone", description="Double-click to correct the phone", update=live.to_phone)
    contact: IntProperty(name="Contact", description="A contact that is missed", default=-1, update=live.to_contact)


classes = (KMTalkSettings, KMTalkLine, KMTalkSegment, KMTalkContact, KMTalkTake)


def add() -> None:
    """Hang the properties on Blender's types; the classes are registered."""
    bpy.types.Scene.kmtalk = PointerProperty(type=KMTalkSettings)
    compat.StripType.kmtalk = PointerProperty(type=KMTalkLine)
    bpy.types.Action.kmtalk_takes = CollectionProperty(type=KMTalkTake)


def remove() -> None:
    """The inverse of `add`."""
    del bpy.types.Action.kmtalk_takes
    del compat.StripType.kmtalk
    del bpy.types.Scene.kmtalk
