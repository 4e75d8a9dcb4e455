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

from kmtalk_core.retarget.skeletons import ROLES
from kmtalk_core.settings import (
    CurveSettings,
    KeyDensitySettings,
    KeyRuleSettings,
    Layers,
    LocalizerSettings,
    Setting,
    Sliders,
    settings_of,
)

from . import casting, compat, edit_keys, keyframes, live, parts
from .mapped import KMTalkMapped
from .mouth_rows import KMTalkDriven, KMTalkMouth, KMTalkMouths
from .strip import sound_strips

PARTS = tuple((part.key, part.title, part.description, 2**n) for n, part in enumerate(keyframes.PARTS))
OVERRIDE = {"LIBRARY_OVERRIDABLE"}  # of a linked character's override: kept with the file that has it
BLENDS = (
    ("REPLACE", "Replace", "The line instead of what plays below"),
    ("COMBINE", "Combine", "The line on top of what plays below"),
    ("ADD", "Add", "The line added to what plays below"),
)


def _strip_names(settings: bpy.types.PropertyGroup, context: bpy.types.Context, typed: str) -> Iterator[str]:
    yield from (strip.name for strip in sound_strips(compat.sequencer_scene(context)))


def _property(setting: Setting, **more: Any) -> Any:
    """Blender's property for a setting of the core."""
    about: dict[str, Any] = {"name": setting.label.title(), "description": setting.sentence, "default": setting.default}
    if setting.ending:
        return StringProperty(**about, **more)  # styles.py has the menu
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
    keep_keys: BoolProperty(
        name="Keep My Keys",
        description="Generating again carries edited key motions over, by words and phones; off: the new take has none",
        default=True,
    )
    row: IntProperty(name="Strip", description="A click chooses the strip", update=casting.to_strip)
    rerun: BoolProperty(
        name="Re-run by Itself",
        description="Completion runs again as soon as you have let go of keyframes that you edit",
    )
    show_landmarks: BoolProperty(
        name="Show Landmarks", description="Show the landmarks that are noted on the head, in the 3-D view"
    )
    follow: BoolProperty(
        name="Follow Strips",
        description="Lines follow by themselves when their sound strips are moved, cut, retimed or duplicated",
        default=True,
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
    speech: BoolProperty(
        name="Speech",
        description="Generate All animates a head with this strip; off for music and noises",
        default=True,
        update=casting.changed,
    )
    speaker: PointerProperty(
        name="Head",
        description="Who says this strip when all of the scene is generated; empty to find it out by names",
        type=bpy.types.Object,
        poll=lambda _, obj: obj.type == "MESH",
        update=casting.changed,
    )
    corrections: StringProperty(description="What was corrected in words and phones (JSON, see corrections.Stored)")

    id: StringProperty(description="What the strip is known by, whatever its name; two strips never share it")
    parts: EnumProperty(
        name="Parts",
        description="Which parts of the face the line moves; all others are left to your own acting",
        items=PARTS,
        options={"ENUM_FLAG"},
        default={part for part, *_ in PARTS},
        update=live.changed,
    )
    show_completed: BoolProperty(
        name="Show Completed Keys",
        description="Off: the dope sheet and the graph editor show key motions only; what plays is the same",
        default=True,
        options=set(),
        update=edit_keys.changed,
    )
    blend: EnumProperty(
        name="Blend",
        description="How the line meets what plays on the face below it",
        items=BLENDS,
        options=set(),
        update=live.changed,
    )
    ease: IntProperty(
        name="Ease",
        description="Frames before and after the line in which the face goes into it and out of it",
        default=3,
        min=0,
        soft_max=24,
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
    """Of an Action of KMTalk's: the one take of a line that it holds. Its `name` is that of the sound strip."""

    line_id: StringProperty(description="The id of the sound strip")
    title: StringProperty(name="Take", description="What you call this take of the line")
    idle: BoolProperty(description="Whether it is no line, but a face that lives between them (see idle)")
    active: BoolProperty(description="Whether this take of the line is the one that plays")
    line: StringProperty(description="What the strip played (strip.Played as JSON), on the frames of the Action")
    lie: StringProperty(description="Where the line lies in the scene (clips.Lie as JSON)")
    blocks: StringProperty(description="The names of the shape keys when the take last played, which may be others now")
    laid: StringProperty(description="Its NLA strip as KMTalk has laid it (JSON)")
    standing: StringProperty(description="What is to be known of where it lies, a sentence a line")
    blend: StringProperty(description="How it meets what plays below", default="REPLACE")
    ease: IntProperty(description="Frames to ease in and out", default=3)
    result: StringProperty(description="The result as computed last (the bytes of OUT.npz)", subtype="BYTE_STRING")
    curves: StringProperty(
        description="The shapes' curves as written last (faces); empty where controls are written one by one",
        subtype="BYTE_STRING",
    )
    cues: StringProperty(description="The drawings as written last, and what was edited in them (drawings.Written)")
    curves_offset: FloatProperty(description="The slider Offset that these were written with (s)")
    finished: StringProperty(
        description="What sliders have made of the result since (results.pack_finished); empty: nothing",
        subtype="BYTE_STRING",
    )
    worn: StringProperty(description="Sliders, layers and look of what lies on the curves (takes.worn)")
    drawn: StringProperty(description="The curves as they were drawn (drawing.pack)", subtype="BYTE_STRING")
    warnings: StringProperty(description="What was noticed on the way, a sentence a line")
    key_count: IntProperty(description="Number of key motions")
    heard_text: StringProperty(description="What was heard; empty where the text was given")
    heard_language: StringProperty(description="The language that it was heard in, a code")
    emotion: StringProperty(description="How it seems to be spoken, and how sure that is; empty where none is guessed")
    words: CollectionProperty(type=KMTalkSegment)
    phones: CollectionProperty(type=KMTalkSegment)
    contacts: StringProperty(description="How many lip contacts are held, in a sentence")
    missed: CollectionProperty(type=KMTalkContact)
    fitted: BoolProperty(description="Whether contacts were fitted to the lips of this very head")
    word: IntProperty(name="Word", description="Double-click to correct the text", update=live.to_word)
    phone: IntProperty(name="Phone", description="Double-click to correct the phone", update=live.to_phone)
    contact: IntProperty(name="Contact", description="A contact that is missed", default=-1, update=live.to_contact)


class KMTalkView(bpy.types.PropertyGroup):
    """Of an Action that shows the key motions of a line alone, see `key_view`."""

    line_id: StringProperty(description="The id of the line's sound strip")
    of: PointerProperty(type=bpy.types.Action, description="The Action of the take that is shown")
    seen: StringProperty(description="What the line was when it was last written from here (a checksum)")
    taken: StringProperty(description="What the view was when it was last taken over (a checksum)")
    before: StringProperty(description="Both as they were when it was drawn (key_view)", subtype="BYTE_STRING")


class KMTalkOwnAction(bpy.types.PropertyGroup):
    """Of shape keys: an Action of KMTalk's, whether it plays or not."""

    action: PointerProperty(type=bpy.types.Action, override=OVERRIDE)


class KMTalkRig(bpy.types.PropertyGroup):
    """Of shape keys: an object, or other data-block, with properties that lines key too (see rig_keys)."""

    block: PointerProperty(type=bpy.types.ID, override=OVERRIDE)
    rest: PointerProperty(type=bpy.types.Action, description="Holds what lines move, beside them", override=OVERRIDE)
    channels: StringProperty(description="What moves with controls, and how far (JSON)", override=OVERRIDE)


class KMTalkPart(bpy.types.PropertyGroup):
    """Of a head: an object that the user has said is a part of it, or is none."""

    part: PointerProperty(type=bpy.types.Object)
    role: EnumProperty(name="Follows", description="What the part moves with", items=parts.ROLES)


class KMTalkBones(bpy.types.PropertyGroup):
    """Of a head: the bones of its armature that the user has chosen; empty: found by their names, "-": none."""

    lips: StringProperty(
        name="Lips", description="Bones of the lips, with commas between. Empty: found by their names; -: none"
    )
    keyed: BoolProperty(
        name="Keyframes on the Rig",
        description="Bones and properties of the rig get keyframes of their own; off: they are added to your acting by"
        " constraints and drivers, and what is edited are the head's shape keys. What the rig's own Action moves is"
        " added always",
        default=True,
        options=set(),
    )


class KMTalkFace(bpy.types.PropertyGroup):
    """Of shape keys: what KMTalk has done with them, and how they were before."""

    actions: CollectionProperty(type=KMTalkOwnAction, override=OVERRIDE | {"USE_INSERTION"})
    line: StringProperty(description="The id of the line that was worked on last", override=OVERRIDE)
    rest: PointerProperty(
        type=bpy.types.Action, description="Holds what only KMTalk moves, beside its lines", override=OVERRIDE
    )
    rigs: CollectionProperty(type=KMTalkRig, override=OVERRIDE | {"USE_INSERTION"})
    stills: StringProperty(
        description="Values of shape keys before KMTalk moved them (JSON, by control)", override=OVERRIDE
    )
    pushed: PointerProperty(
        type=bpy.types.Action, description="The user's Action that was active before", override=OVERRIDE
    )
    pushed_as: StringProperty(description="How that Action played (JSON)", override=OVERRIDE)
    mapping: StringProperty(
        description="What the shape keys look like, as the user has said (JSON, see families)", override=OVERRIDE
    )
    inputs: StringProperty(
        description="Shape keys that a rig drives, and what moves in their stead (JSON, see inputs)", override=OVERRIDE
    )
    follows: StringProperty(
        description="Of a part of a head: its shape keys that follow the head's (JSON, see parts)", override=OVERRIDE
    )
    chart: StringProperty(
        description="The mouth chart whose drawings are shown; empty: none (see charted)", override=OVERRIDE
    )
    mapped: CollectionProperty(type=KMTalkMapped)
    mapped_row: IntProperty(name="Shape", description="A row of the table")
    face: StringProperty(
        description="What the shape keys do to the lips, as measured", subtype="BYTE_STRING", override=OVERRIDE
    )
    known: StringProperty(description="Which shape key is which control (JSON, see shape_keys)", override=OVERRIDE)


KMTalkBones.__annotations__.update(
    {
        role: StringProperty(
            name=role.replace("_", " ").title(),
            description="The bone that moves with it; empty: found by its name, - for none",
        )
        for role in ROLES
    }
)

# The settings of the core. Sliders and layers act at once; none is animated, for they say how a whole line is worn.
KMTalkSettings.__annotations__.update({s.name: _property(s) for s in settings_of(LocalizerSettings, KeyRuleSettings)})
KMTalkLine.__annotations__.update(
    {
        s.name: _property(s, options=set(), update=live.changed)
        for s in settings_of(Sliders, Layers, KeyDensitySettings, CurveSettings)
    }
)

classes = (
    KMTalkSettings,
    KMTalkLine,
    KMTalkSegment,
    KMTalkContact,
    KMTalkTake,
    KMTalkView,
    KMTalkOwnAction,
    KMTalkRig,
    KMTalkMapped,
    KMTalkPart,
    KMTalkBones,
    KMTalkMouth,
    KMTalkDriven,
    KMTalkMouths,
    KMTalkFace,
)


def add() -> None:
    """Hang the properties on Blender's types; the classes are registered."""
    bpy.types.Scene.kmtalk = PointerProperty(type=KMTalkSettings)
    compat.StripType.kmtalk = PointerProperty(type=KMTalkLine)
    bpy.types.Action.kmtalk_takes = CollectionProperty(type=KMTalkTake)
    bpy.types.Action.kmtalk_views = CollectionProperty(type=KMTalkView)
    bpy.types.Key.kmtalk = PointerProperty(type=KMTalkFace, override=OVERRIDE)
    bpy.types.Object.kmtalk_parts = CollectionProperty(type=KMTalkPart)
    bpy.types.Object.kmtalk_bones = PointerProperty(type=KMTalkBones)
    bpy.types.Object.kmtalk_mouths = PointerProperty(type=KMTalkMouths)


def remove() -> None:
    """The inverse of `add`."""
    del bpy.types.Object.kmtalk_mouths
    del bpy.types.Object.kmtalk_bones
    del bpy.types.Object.kmtalk_parts
    del bpy.types.Key.kmtalk
    del bpy.types.Action.kmtalk_views
    del bpy.types.Action.kmtalk_takes
    del compat.StripType.kmtalk
    del bpy.types.Scene.kmtalk
