"""The *Scene* box of the panel: who says which strip, all of it generated with one push, and what became of it."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import bpy
from bpy.props import StringProperty

from kmtalk_core.errors import InputError

from . import casting, compat, scenes
from .casting import Part
from .operators import Working, can_work, options_of
from .scenes import FAILED, LEFT_OUT, LineOutcome, SceneOutcome, count_of
from .session import current
from .strip import sound_strips, why_unheard
from .wrapping import sentence

ROWS = 6  # of the list
LISTED = 6  # faults that are shown below it
ICONS = {FAILED: "ERROR", LEFT_OUT: "BLANK1", scenes.DONE: "CHECKMARK", scenes.SAME: "CHECKMARK"}


class KMTALK_OT_generate_scene(Working, bpy.types.Operator):
    """Animate every head of the scene with the strips that it says; takes that you have edited stay"""

    bl_idname = "kmtalk.generate_scene"
    bl_label = "Generate All"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return can_work(cls, lambda: _check_strips(compat.sequencer_scene(context)))

    def steps(self, context):
        scene = compat.sequencer_scene(context)
        current.outcomes = {}
        return scenes.generate_scene(scene, casting.cast(scene), lambda strip: options_of(context, strip))

    def finish(self, outcome: SceneOutcome) -> set[str]:
        remember(compat.sequencer_scene(bpy.context), outcome)
        return super().finish(outcome)


class KMTALK_OT_enough(bpy.types.Operator):
    """Stop after the line that is being made; what was made so far is kept"""

    bl_idname = "kmtalk.enough"
    bl_label = "Stop and Keep"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        cls.poll_message_set("No scene is being generated, or it is stopping already")
        return current.job is not None and bool(current.share.of) and not current.enough

    def execute(self, context: bpy.types.Context) -> set[str]:
        current.enough = True
        return {"FINISHED"}


class KMTALK_OT_go_to_strip(bpy.types.Operator):
    """Choose this strip, and the head that says it"""

    bl_idname = "kmtalk.go_to_strip"
    bl_label = "Choose Strip"
    bl_options: ClassVar = {"UNDO"}

    strip: StringProperty(options={"HIDDEN"})

    def execute(self, context: bpy.types.Context) -> set[str]:
        scene = compat.sequencer_scene(context)
        strips = compat.all_strips(scene)
        place = next((place for place, strip in enumerate(strips) if strip.name == self.strip), None)
        if place is None:
            self.report({"ERROR"}, f"The strip {self.strip} is gone.")
            return {"CANCELLED"}
        with current.fill_in():
            context.scene.kmtalk.row = place
        casting.choose(scene, context.scene.kmtalk, strips[place])
        return {"FINISHED"}


class KMTALK_OT_read_cast(bpy.types.Operator):
    """Read who says what from a table (.csv or .json) with the columns strip (or channel) and head"""

    bl_idname = "kmtalk.read_cast"
    bl_label = "Read a Table"
    bl_options: ClassVar = {"UNDO"}

    filepath: StringProperty(subtype="FILE_PATH")
    filter_glob: StringProperty(default="*.csv;*.tsv;*.txt;*.json", options={"HIDDEN"})

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        scene = compat.sequencer_scene(context)
        try:
            table = casting.read_table(Path(self.filepath))
            count = write_down(scene, table)
        except Exception as error:
            self.report({"ERROR"}, current.explain(error))
            return {"CANCELLED"}
        for name in table.unknown(sound_strips(scene)):
            self.report({"WARNING"}, f"There is no sound strip {name} in the scene {scene.name}.")
        self.report({"INFO"}, f"{count} strips have got their heads")
        return {"FINISHED"}


def write_down(scene: bpy.types.Scene, table: casting.Table) -> int:
    """Choose on the strips of `scene` what `table` says; how many it names. Raises InputError, with nothing changed."""
    told = [part for part in casting.cast(scene, table) if part.how == "table"]
    if wrong := [part.why for part in told if part.head is None and not part.left_out]:
        raise InputError(wrong[0])
    for part in told:
        part.strip.kmtalk.speech, part.strip.kmtalk.speaker = not part.left_out, part.head
    return len(told)


def remember(scene: bpy.types.Scene, outcome: SceneOutcome) -> None:
    """Keep what became of each strip for the panel, as long as nothing of what it came from changes."""
    current.outcomes = {}
    for line in outcome.lines:
        strip = _strip_of(scene, line)
        if strip is not None and (strip.name not in current.outcomes or line.status == FAILED):
            current.outcomes[strip.name] = (scene.session_uid, line, _situation(scene, strip))


def outcome_of(scene: bpy.types.Scene, strip: compat.StripType) -> LineOutcome | None:
    """What became of a strip when the scene was generated; None if it is another one by now."""
    uid, line, then = current.outcomes.get(strip.name, (None, None, None))
    return line if line is not None and uid == scene.session_uid and then == _situation(scene, strip) else None


class KMTALK_UL_scene(bpy.types.UIList):
    """The sound strips of the scene: whether each is speech, its name, what became of it, and who says it."""

    def draw_item(self, context, layout, data, item, icon, active_data, active_property, index):
        scene, parts = compat.sequencer_scene(context), parts_shown(context)
        found = parts.get(item.name, ())
        outcome = outcome_of(scene, item)
        row = layout.row(align=True)
        row.use_property_split = False
        row.prop(item.kmtalk, "speech", text="")
        sides = row.split(factor=0.65, align=True)
        sides.active = item.kmtalk.speech and not why_unheard(scene, item)
        sides.label(text=item.name, icon=ICONS[outcome.status] if outcome is not None else "BLANK1")
        head = sides.row()
        who = ", ".join(name for name, _ in found if name)
        head.alert = item.kmtalk.speech and not who
        head.label(text=who or "Who?" * item.kmtalk.speech)

    def filter_items(self, context, data, property):
        strips, text = getattr(data, property), self.filter_name.casefold()
        shown = [strip.type == "SOUND" and text in strip.name.casefold() for strip in strips]
        return [self.bitflag_filter_item * here for here in shown], []


def parts_shown(context: bpy.types.Context) -> dict[str, tuple[tuple[str, str], ...]]:
    """For each strip of the scene, the heads that say it and how that was found out; looked up now and then."""
    scene = compat.sequencer_scene(context)
    return current.glances.at(("cast", scene.session_uid), lambda: _listed(casting.cast(scene)))


def _listed(parts: list[Part]) -> dict[str, tuple[tuple[str, str], ...]]:
    listed: dict[str, tuple[tuple[str, str], ...]] = {}
    for part in parts:
        head = part.head.name if part.head is not None else ""
        listed[part.strip.name] = (*listed.get(part.strip.name, ()), (head, part.how))
    return listed


def draw_scene(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    """The box, where a scene has several sound strips."""
    scene = compat.sequencer_scene(context)
    strips = sound_strips(scene)
    if len(strips) < 2:
        return
    header, body = layout.panel("kmtalk_scene", default_closed=True)
    parts = parts_shown(context)
    speech = [name for name, found in parts.items() if any(who for who, _ in found)]
    who = {head for found in parts.values() for head, _ in found if head}
    header.label(text=f"Scene: {len(speech)} of {len(strips)} strips, {count_of(len(who), 'head')}")
    if body is None:
        return
    editor, name = scene.sequence_editor, "strips_all" if compat.NEW_STRIP_NAMES else "sequences_all"
    row = body.row()
    row.template_list("KMTALK_UL_scene", "", editor, name, context.scene.kmtalk, "row", rows=ROWS)
    row.operator("kmtalk.read_cast", text="", icon="FILEBROWSER")
    place, strips_there = context.scene.kmtalk.row, compat.all_strips(scene)
    if 0 <= place < len(strips_there):
        _draw_how(body, context, strips_there[place], parts)
    if current.job is not None and current.share.of:
        body.operator("kmtalk.enough", icon="PAUSE")
    else:
        body.operator("kmtalk.generate_scene", icon="PLAY")
    _draw_outcomes(body, context, scene, strips)


def _draw_how(layout, context, strip: compat.StripType, parts: dict[str, tuple[tuple[str, str], ...]]) -> None:
    """Who says the chosen strip, to be changed, and how that was found out."""
    found = [(head, how) for head, how in parts.get(strip.name, ()) if head]
    row = layout.row()
    row.use_property_split, row.active = False, strip.kmtalk.speech
    row.prop(strip.kmtalk, "speaker", text="", placeholder=found[0][0] if found else "Who says it")
    if found:
        sentence(layout, context, f"{strip.name}: {' and '.join(head for head, _ in found)} ({found[0][1]})")


def _draw_outcomes(layout, context, scene: bpy.types.Scene, strips: list) -> None:
    """What became of the strips: how many were made, and a sentence for each that failed, with a click to it."""
    found = [(strip, line) for strip in strips if (line := outcome_of(scene, strip)) is not None]
    if not found:
        return
    sentence(layout, context, SceneOutcome(tuple(line for _, line in found)).summary)
    failed = [(strip, line) for strip, line in found if line.status == FAILED]
    for strip, line in failed[:LISTED]:
        column = layout.column(align=True)
        column.operator("kmtalk.go_to_strip", text=strip.name, icon="ERROR").strip = strip.name
        sentence(column, context, line.told)
    if len(failed) > LISTED:
        sentence(layout, context, f"{len(failed) - LISTED} more have a triangle in the list.")


def _strip_of(scene: bpy.types.Scene, line: LineOutcome) -> compat.StripType | None:
    by_id = [strip for strip in sound_strips(scene) if line.strip_id and strip.kmtalk.id == line.strip_id]
    return next(iter(by_id), None) or next((s for s in sound_strips(scene) if s.name == line.strip), None)


def _situation(scene: bpy.types.Scene, strip: compat.StripType) -> tuple:
    """What may be the cause of a fault, as far as the strip shows it."""
    said, head = strip.kmtalk, strip.kmtalk.speaker
    at = compat.handles(strip)
    return (
        why_unheard(scene, strip), said.speech, head.session_uid if head is not None else 0, said.transcript,
        said.alignment, said.use_name, said.text.session_uid if said.text else 0, strip.sound.filepath,
        at.right - at.left, at.offset,
    )  # fmt: skip


def _check_strips(scene: bpy.types.Scene) -> None:
    if not sound_strips(scene):
        raise InputError("There is no sound strip in the scene; add one in the sequencer.")


classes = (
    KMTALK_OT_generate_scene,
    KMTALK_OT_enough,
    KMTALK_OT_go_to_strip,
    KMTALK_OT_read_cast,
    KMTALK_UL_scene,
)
