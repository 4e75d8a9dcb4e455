"""What differs between Blender 4.2 and 5.2. The only module that asks for the version."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import bpy

OLDEST, NEWEST = (4, 2), (5, 2)  # what KMTalk was made for and tried in
TOO_OLD = bpy.app.version[:2] < OLDEST


def out_of_range(version: tuple[int, int, int], name: str) -> str:
    """What to say in a Blender that KMTalk was not made for: older ones lack what it needs, newer ones may differ."""
    if version[:2] < OLDEST:
        return f"KMTalk is for Blender 4.2 to 5.2, not {name}; please use one of these."
    if version[:2] > NEWEST:
        return f"This KMTalk was made for Blender 4.2 to 5.2; look for a newer one if it fails in {name}."
    return ""


OUT_OF_RANGE = out_of_range(bpy.app.version, bpy.app.version_string)
SLOTTED_ACTIONS = bpy.app.version >= (4, 4, 0)
NEW_STRIP_NAMES = bpy.app.version >= (4, 4, 0)
SEQUENCER_SCENE = bpy.app.version >= (5, 0, 0)
SLOT_PREFIX = {"OBJECT": "OB", "ARMATURE": "AR"}  # of the data-blocks whose properties a line may key
HAS_COMMAND_LINE = bool(bpy.app.binary_path)  # as a Python module it has none, and 4.2 would crash at its end

StripType = bpy.types.Strip if NEW_STRIP_NAMES else bpy.types.Sequence


def sequencer_scene(context: bpy.types.Context) -> bpy.types.Scene:
    """The scene whose strips the sequencer shows."""
    chosen = context.workspace.sequencer_scene if SEQUENCER_SCENE and context.workspace else None
    return chosen or context.scene


def show_in_sequencer(context: bpy.types.Context, scene: bpy.types.Scene) -> None:
    """Let the sequencer show the strips of `scene`."""
    if SEQUENCER_SCENE and context.workspace is not None:
        context.workspace.sequencer_scene = scene


def all_strips(scene: bpy.types.Scene) -> list[Any]:
    """The strips of `scene`, those in meta strips too."""
    editor = scene.sequence_editor
    if editor is None:
        return []
    return list(editor.strips_all if NEW_STRIP_NAMES else editor.sequences_all)


def add_sound_strip(scene: bpy.types.Scene, name: str, path: str, channel: int, frame: int) -> Any:
    """A new sound strip that starts at `frame`."""
    editor = scene.sequence_editor or scene.sequence_editor_create()
    strips = editor.strips if NEW_STRIP_NAMES else editor.sequences
    return strips.new_sound(name, path, channel, frame)


def keep_pointers(block: bpy.types.ID, name: str) -> None:
    """Let `block` hold pointers to other data-blocks in its properties.

    Blender 5.0 looks for such pointers only in data with a custom property, and else leaves those to what is freed.
    """
    if name not in block:
        block[name] = True


def online_access() -> bool:
    """Whether the user lets Blender go online."""
    return bool(bpy.app.online_access)


def is_of_library(track: bpy.types.NlaTrack) -> bool:
    """Whether an NLA track of shape keys comes from the library that their mesh overrides: it cannot be changed.

    Blender says so of appended ones too.
    """
    owner = track.id_data.user
    return bool(owner is not None and owner.override_library is not None and track.is_override_data)


def remove_scene(scene: bpy.types.Scene) -> None:
    """Remove a scene that no window shows; `scenes.remove` crashes 4.3 while it runs a command of an add-on."""
    bpy.data.batch_remove([scene])


def action_slot(animation_data: bpy.types.AnimData) -> Any:
    """The slot that `animation_data` plays; None where actions have no slots."""
    return animation_data.action_slot if SLOTTED_ACTIONS else None


def set_action(animation_data: bpy.types.AnimData, action: bpy.types.Action, slot: Any) -> None:
    """Make `animation_data` play `action` in `slot`."""
    animation_data.action = action
    if SLOTTED_ACTIONS and slot is not None:
        animation_data.action_slot = slot


def slot_for_keys(action: bpy.types.Action, name: str = "Shape Keys") -> Any:
    """The slot of `action` for shape keys, which is made if it is missing; None where actions have no slots."""
    if not SLOTTED_ACTIONS:
        return None
    of_keys = [slot for slot in action.slots if slot.target_id_type == "KEY"]
    return of_keys[0] if of_keys else action.slots.new(id_type="KEY", name=name)


def strip_slot(strip: bpy.types.NlaStrip) -> Any:
    """The slot that an NLA strip plays; None where actions have no slots."""
    return strip.action_slot if SLOTTED_ACTIONS else None


def set_strip_slot(strip: bpy.types.NlaStrip, slot: Any) -> None:
    """Make an NLA strip play `slot` of its action."""
    if SLOTTED_ACTIONS and slot is not None:
        strip.action_slot = slot


def channels(action: bpy.types.Action, slot: Any = None) -> Any:
    """What holds the `fcurves` and `groups` of `action`: its channel bag for `slot`, or the action itself.

    Its slot for shape keys is meant where `slot` is none of its own.
    """
    if not SLOTTED_ACTIONS:
        return action
    if slot is None or slot.handle not in {own.handle for own in action.slots} or slot.id_data != action:
        slot = slot_for_keys(action)
    layer = action.layers[0] if action.layers else action.layers.new("Layer")
    strip = layer.strips[0] if layer.strips else layer.strips.new(type="KEYFRAME")
    return strip.channelbag(slot, ensure=True)


def slot_for(action: bpy.types.Action, block: bpy.types.ID) -> Any:
    """The slot of `action` for an object or another data-block that a line moves beside shape keys; made if missing."""
    found = next((slot for slot in action.slots if is_for(slot, block)), None)
    return found or action.slots.new(id_type=block.id_type, name=block.name)


def is_for(slot: Any, block: bpy.types.ID) -> bool:
    """Whether a slot is the one of `block`: it plays it, or it is called so and nothing plays it."""
    users = slot.users()
    return block in users or (not users and slot.identifier == f"{SLOT_PREFIX[block.id_type]}{block.name}")


def slots_beside(action: bpy.types.Action) -> list[Any]:
    """The slots of `action` for other data-blocks than shape keys."""
    return [slot for slot in action.slots if slot.target_id_type != "KEY"] if SLOTTED_ACTIONS else []


def bag_of(action: bpy.types.Action, slot: Any) -> Any:
    """What holds the curves of a slot of `action`; None where there is none yet."""
    strips = action.layers[0].strips if action.layers else ()
    return strips[0].channelbag(slot) if len(strips) else None


def all_fcurves(action: bpy.types.Action) -> list[bpy.types.FCurve]:
    """The F-curves of `action`, of all its slots."""
    if not SLOTTED_ACTIONS:
        return list(action.fcurves)
    bags = [bag for layer in action.layers for strip in layer.strips for bag in strip.channelbags]
    return [curve for bag in bags for curve in bag.fcurves]


def played_paths(action: bpy.types.Action | None, slot: Any) -> set[str]:
    """The data paths of the F-curves that `action` plays in `slot`."""
    if action is None or (SLOTTED_ACTIONS and (slot is None or not action.layers or not action.layers[0].strips)):
        return set()
    bag = action.layers[0].strips[0].channelbag(slot) if SLOTTED_ACTIONS else action
    return {curve.data_path for curve in bag.fcurves} if bag is not None else set()


def is_animated(block: bpy.types.ID, path: str) -> bool:
    """Whether an F-curve of the active Action or a driver moves the property at `path` of `block`."""
    data = block.animation_data
    return data is not None and (
        path in played_paths(data.action, action_slot(data)) or data.drivers.find(path) is not None
    )


def has_modifiers(action: bpy.types.Action, slot: Any) -> bool:
    """Whether an F-curve that `action` plays in `slot` has modifiers, which may go on for ever."""
    return bool(played_paths(action, slot)) and any(len(c.modifiers) for c in channels(action, slot).fcurves)


@dataclass(frozen=True)
class Handles:
    """Where a strip lies, in frames: `left` and `right` handle (the frame after its last one), how far `left` is inside
    of the content (`offset`), what is cut off the content before that (`trim`), and the content's `length`."""

    left: int
    right: int
    offset: float
    trim: int
    length: int


def handles(strip: Any) -> Handles:
    """The place of `strip`; its properties were renamed in 5.2."""
    if "left_handle" in strip.bl_rna.properties:
        names = ("left_handle", "right_handle", "left_handle_offset", "content_trim_start", "content_duration")
    else:
        names = (
            "frame_final_start",
            "frame_final_end",
            "frame_offset_start",
            "animation_offset_start",
            "frame_duration",
        )
    return Handles(*(getattr(strip, name) for name in names))


def show_part(strip: Any, offset: int, length: int) -> None:
    """Have a strip, which lies with all its content, play `length` frames from `offset` on, where it begins now."""
    first = handles(strip).left
    if "left_handle" in strip.bl_rna.properties:
        left, right, start = "left_handle", "right_handle", "content_start"
    else:
        left, right, start = "frame_final_start", "frame_final_end", "frame_start"
    setattr(strip, start, first - offset)
    setattr(strip, left, first)
    setattr(strip, right, min(first + max(length, 1), handles(strip).right))


def sound_delay(strip: Any) -> float:
    """Seconds by which `strip` plays its sound later than it lies; the first versions have no such delay."""
    return getattr(strip, "sound_offset", 0.0)


def retiming(strip: Any, start: float) -> tuple[float, ...]:
    """The retiming keys of `strip` in frames after `start`; none where Blender hides them."""
    return tuple(key.timeline_frame - start for key in getattr(strip, "retiming_keys", ()))


def speed_changes(strip: Any) -> int | None:
    """How many stretches of `strip` have a speed of their own (0: it was never retimed); None if Blender hides it."""
    keys = getattr(strip, "retiming_keys", None)
    return None if keys is None else max(0, len(keys) - 1)


def layer_name(layer: Any) -> str:
    """The name of a Grease Pencil layer, which was called its info before 4.3."""
    return getattr(layer, "info", None) or layer.name


def grease_pencil_modifiers(obj: bpy.types.Object) -> Any:
    """The modifiers of a Grease Pencil object; before 4.3, they were apart from others."""
    return obj.grease_pencil_modifiers if obj.type == "GPENCIL" else obj.modifiers


def modifiers_path(obj: bpy.types.Object) -> str:
    """The data path of `grease_pencil_modifiers`."""
    return "grease_pencil_modifiers" if obj.type == "GPENCIL" else "modifiers"


def time_offset_type(obj: bpy.types.Object) -> str:
    """The type of a Grease Pencil object's Time Offset modifier."""
    return "GP_TIME" if obj.type == "GPENCIL" else "GREASE_PENCIL_TIME"


def filter_layer(modifier: Any, layer: str) -> None:
    """Let a Grease Pencil modifier change one layer alone; empty: all."""
    name = next(n for n in ("tree_node_filter", "layer_filter", "layer") if n in modifier.bl_rna.properties)
    setattr(modifier, name, layer)
