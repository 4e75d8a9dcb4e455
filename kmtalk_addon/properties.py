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

from kmtalk_core.settings import KeySettings, Layers, LocalizerSettings, Setting, Sliders, settings_of

from . import compat, live
from .strip import sound_strips


def _strip_names(settings: bpy.types.PropertyGroup, context: bpy.types.Context, typed: str) -> Iterator[str]:
    yield from (strip.name for strip in sound_strips(compat.sequencer_scene(context)))


def _property(setting: Setting, **more: Any) -> Any:
    """Blender's property for a setting of the core."""
    about: dict[str, Any] = {"name": setting.label.title(), "description": setting.sentence, "default": setting.default}
    if setting.choices is not None:
        items = [(value, label, sentence) for value, (label, sentence) in setting.choices.items()]
        return EnumProperty(items=items, **about, **more)
    if setting.whole:
        return IntProperty(min=int(setting.low), max=int(setting.high), **about, **more)
    if setting.unit == "s":
        about |= {"step": 1, "precision": 3, "subtype": "TIME_ABSOLUTE"}
    else:
        about |= {"subtype": "FACTOR"}
    if setting.usual is not None:
        about |= {"soft_min": setting.usual[0], "soft_max": setting.usual[1]}
    return FloatProperty(min=setting.low, max=setting.high, **about, **more)


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


# The settings of the core. Sliders and layers act at once; none is animated, for they say how a whole line is worn.
KMTalkSettings.__annotations__.update({s.name: _property(s) for s in settings_of(LocalizerSettings, KeySettings)})
KMTalkLine.__annotations__.update(
    {s.name: _property(s, options=set(), update=live.changed) for s in settings_of(Sliders, Layers)}
)

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
