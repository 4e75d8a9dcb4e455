"""The operators of lines that were animated: their takes, their keyframes, following, removing, baking."""

from typing import ClassVar

import bpy
from bpy.props import BoolProperty, IntProperty, StringProperty

from kmtalk_core.errors import InputError, KMTalkError

from . import (
    clips,
    comparison,
    compat,
    drawings,
    edit_keys,
    follow,
    idle,
    key_view,
    keyframes,
    lipsync,
    live,
    removal,
    shape_keys,
    takes,
)
from .job import Steps
from .operators import OnTake, Working, can_work, chosen_mesh
from .session import current
from .strip import choose_strip


class KMTALK_OT_edit_keys(OnTake, bpy.types.Operator):
    """Show the keyframes of the line in the dope sheet and the graph editor, or put them away again"""

    bl_idname = "kmtalk.edit_keys"
    bl_label = "Edit Keys"

    def work(self, context, clip):
        if clips.is_edited(clip.keys, clip.action):
            key_view.put_away(clip.keys)
        else:
            clips.check_free(clip.keys)
            edit_keys.edit(clip, on_rig=True)
        clip.keys.kmtalk.line = clip.take.line_id
        live.show(clip.scene)


class KMTALK_OT_jump_key(OnTake, bpy.types.Operator):
    """Go to the next or previous key motion of the line, or to its next or previous drawing"""

    bl_idname = "kmtalk.jump_key"
    bl_label = "Jump to Key Motion"

    next: BoolProperty(default=True, options={"HIDDEN"})

    def work(self, context, clip):
        here = clip.scene.frame_current_final
        times = drawings.times_on(clip.keys, clip.action, clip.line)
        if times is None:
            times = live.on_curves(clip).keys.times
        frames = [live.frame_of(clip.take, float(time)) for time in times]
        beyond = [f for f in frames if (f > here + clips.SAME if self.next else f < here - clips.SAME)]
        if beyond:
            frame = min(beyond) if self.next else max(beyond)
            whole = round(frame) if abs(frame - round(frame)) < clips.SAME else int(frame // 1)
            clip.scene.frame_set(whole, subframe=max(0.0, frame - whole))


class KMTALK_OT_add_key(OnTake, bpy.types.Operator):
    """Make a key motion of the pose on the current frame"""

    bl_idname = "kmtalk.add_key"
    bl_label = "Add Key Here"

    def work(self, context, clip):
        live.add_key(clip, clip.scene.frame_current_final)


class KMTALK_OT_pin(OnTake, bpy.types.Operator):
    """Keep the pose on the current frame exactly so on this frame, whatever is generated anew; or let it go again"""

    bl_idname = "kmtalk.pin"
    bl_label = "Pin"

    def work(self, context, clip):
        live.toggle_pin(clip, clip.scene.frame_current_final)


class KMTALK_OT_reset_key(Working, bpy.types.Operator):
    """Take back what you have edited at the key motion on the current frame, or in the whole line"""

    bl_idname = "kmtalk.reset_key"
    bl_label = "Reset This Key"

    everything: BoolProperty(default=False, options={"HIDDEN", "SKIP_SAVE"})

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        scene = compat.sequencer_scene(context)
        return can_work(cls, lambda: takes.find_clip(scene, context.scene.kmtalk.strip, chosen_mesh(context)))

    def steps(self, context: bpy.types.Context) -> Steps[lipsync.Outcome]:
        scene = compat.sequencer_scene(context)
        frame = None if self.everything else scene.frame_current_final
        return lipsync.reset(scene, context.scene.kmtalk.strip, chosen_mesh(context), frame)


class KMTALK_OT_follow(bpy.types.Operator):
    """Let all lines lie where their sound strips are now"""

    bl_idname = "kmtalk.follow"
    bl_label = "Follow"
    bl_options: ClassVar = {"UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return can_work(cls, lambda: None)

    def execute(self, context: bpy.types.Context) -> set[str]:
        for sentence in follow.follow(compat.sequencer_scene(context)):
            self.report({"WARNING"}, sentence)
        return {"FINISHED"}


class OnOneTake(OnTake):
    """An operator on one take of the line, by the name of its Action; the one that plays by default."""

    take: StringProperty(options={"HIDDEN"})

    def chosen(self, clip: takes.Clip) -> bpy.types.Action:
        return self.named(clip, self.take)

    @staticmethod
    def named(clip: takes.Clip, name: str) -> bpy.types.Action:
        of_line = takes.takes_of(clip.keys, clip.take.line_id)
        return next((action for action in of_line if action.name == name), clip.action)


class KMTALK_OT_use_take(OnOneTake, bpy.types.Operator):
    """Let this take of the line play; the others are kept"""

    bl_idname = "kmtalk.use_take"
    bl_label = "Use Take"

    @classmethod
    def description(cls, context, properties):
        """How the take differs from the one that plays."""
        try:
            strip_name = context.scene.kmtalk.strip
            clip = takes.find_clip(compat.sequencer_scene(context), strip_name, chosen_mesh(context))
            return "\n".join((cls.__doc__, *comparison.sentences(clip, OnOneTake.named(clip, properties.take))))
        except Exception:  # a tooltip may not fail
            return cls.__doc__

    def work(self, context, clip):
        removal.use_take(clip, self.chosen(clip))


class KMTALK_OT_duplicate_take(OnTake, bpy.types.Operator):
    """Make a copy of the take that plays, and go on with the copy"""

    bl_idname = "kmtalk.duplicate_take"
    bl_label = "Duplicate Take"

    def work(self, context, clip):
        removal.duplicate_take(clip)


class KMTALK_OT_delete_take(OnOneTake, bpy.types.Operator):
    """Delete this take of the line"""

    bl_idname = "kmtalk.delete_take"
    bl_label = "Delete Take"

    def work(self, context, clip):
        removal.delete_take(clip, self.chosen(clip))


class KMTALK_OT_remove_line(OnTake, bpy.types.Operator):
    """Take this line off the face, with all its takes"""

    bl_idname = "kmtalk.remove_line"
    bl_label = "Remove This Line"

    def work(self, context, clip):
        removal.remove_line(clip)


class OnHead:
    """An operator on the head with all its lines: `work` does it."""

    bl_options: ClassVar = {"UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return can_work(cls, lambda: _touched_head(context))

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        said = {"title": self.bl_label, "message": f"{type(self).__doc__}.", "confirm_text": self.bl_label}
        return context.window_manager.invoke_confirm(self, event, **said)

    def execute(self, context: bpy.types.Context) -> set[str]:
        try:
            self.work(compat.sequencer_scene(context), _touched_head(context))
        except KMTalkError as error:
            self.report({"ERROR"}, current.explain(error))
            return {"CANCELLED"}
        live.redraw()
        return {"FINISHED"}

    def work(self, scene: bpy.types.Scene, obj: bpy.types.Object) -> None:
        raise NotImplementedError


class KMTALK_OT_remove_all(OnHead, bpy.types.Operator):
    """Take everything that KMTalk has made off this head: the face is as it was before"""

    bl_idname = "kmtalk.remove_all"
    bl_label = "Remove Everything KMTalk Made"

    def work(self, scene, obj):
        removal.remove_all(scene, obj)


class KMTALK_OT_toggle_part(bpy.types.Operator):
    """Let the line move this part of the face, or leave it to your own acting"""

    bl_idname = "kmtalk.toggle_part"
    bl_label = "Move Part"
    bl_options: ClassVar = {"UNDO"}

    part: StringProperty(options={"HIDDEN"})

    @classmethod
    def description(cls, context: bpy.types.Context, properties: bpy.types.OperatorProperties) -> str:
        told = [part.description for part in keyframes.PARTS if part.key == properties.part]
        return "; ".join([*told, "click to let the line move it, or to leave it to your own acting"])

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return can_work(cls, lambda: _strip(context))

    def execute(self, context: bpy.types.Context) -> set[str]:
        settings = _strip(context).kmtalk
        settings.parts = set(settings.parts) ^ {self.part}
        return {"FINISHED"}


class KMTALK_OT_idle(bpy.types.Operator):
    """Let the face live where no line plays: blinks, small motion of gaze, brows and head, as clips of their own"""

    bl_idname = "kmtalk.idle"
    bl_label = "Idle Motion"
    bl_options: ClassVar = {"REGISTER", "UNDO"}

    first: IntProperty(name="First Frame", default=1)
    last: IntProperty(name="Last Frame", default=250)

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return can_work(cls, lambda: shape_keys.check_mesh(chosen_mesh(context)))

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        scene = compat.sequencer_scene(context)
        preview = scene.use_preview_range
        self.first = scene.frame_preview_start if preview else scene.frame_start
        self.last = scene.frame_preview_end if preview else scene.frame_end
        return self.execute(context)

    def execute(self, context: bpy.types.Context) -> set[str]:
        try:
            count = idle.make(compat.sequencer_scene(context), chosen_mesh(context), self.first, self.last)
        except KMTalkError as error:
            self.report({"ERROR"}, current.explain(error))
            return {"CANCELLED"}
        self.report({"INFO"}, f"The face lives in {count} clip{'s' * (count > 1)} between lines")
        live.redraw()
        return {"FINISHED"}


class KMTALK_OT_remove_idle(OnHead, bpy.types.Operator):
    """Take all idle motion off this head"""

    bl_idname = "kmtalk.remove_idle"
    bl_label = "Remove Idle Motion"

    def work(self, scene, obj):
        idle.remove(scene, obj)


class KMTALK_OT_bake(OnHead, bpy.types.Operator):
    """Leave all lines of this head behind as plain Actions in the NLA; KMTalk can no longer work on them"""

    bl_idname = "kmtalk.bake"
    bl_label = "Bake"

    def work(self, scene, obj):
        removal.bake(scene, obj)


def _touched_head(context: bpy.types.Context) -> bpy.types.Object:
    obj = shape_keys.check_mesh(chosen_mesh(context))
    if obj.data.shape_keys is None or not len(obj.data.shape_keys.kmtalk.actions):
        raise InputError(f"{obj.name} has no animation of KMTalk's; generate it first.")
    return obj


def draw_line(layout: bpy.types.UILayout, context: bpy.types.Context, clip: takes.Clip) -> None:
    """The takes of a line and what can be done with it."""
    row = layout.row(align=True)
    row.operator("kmtalk.edit_keys", icon="GREASEPENCIL", depress=clips.is_edited(clip.keys, clip.action))
    row.operator("kmtalk.jump_key", text="", icon="PREV_KEYFRAME").next = False
    row.operator("kmtalk.jump_key", text="", icon="NEXT_KEYFRAME").next = True
    row = layout.row(align=True)
    row.operator("kmtalk.add_key", text="Add Key", icon="KEY_HLT")
    row.operator("kmtalk.pin", icon="PINNED")
    row.operator("kmtalk.reset_key", text="Reset", icon="KEY_DEHLT")
    row.operator("kmtalk.reset_key", text="", icon="LOOP_BACK").everything = True
    if (strip := clip.strip) is not None:
        column = layout.column(align=True)
        column.use_property_split = False
        column.prop(strip.kmtalk, "key_density", slider=True)
        column.prop(strip.kmtalk, "show_completed")
    if not context.scene.kmtalk.follow:
        layout.operator("kmtalk.follow", icon="CON_FOLLOWPATH")
    column = layout.column(align=True)
    playing = clips.playing(clip.keys)
    for action in takes.takes_of(clip.keys, clip.take.line_id):
        row = column.row(align=True)
        icon = "RADIOBUT_ON" if action in playing else "RADIOBUT_OFF"
        row.operator("kmtalk.use_take", text="", icon=icon, emboss=False).take = action.name
        row.prop(clips.take_of(action), "title", text="")
        row.operator("kmtalk.delete_take", text="", icon="X", emboss=False).take = action.name
    column.operator("kmtalk.duplicate_take", icon="DUPLICATE")


def draw_more(layout: bpy.types.UILayout, context: bpy.types.Context, strip: compat.StripType | None) -> None:
    """How a line meets what else plays on the face, and how to be rid of it."""
    header, body = layout.panel("kmtalk_lines", default_closed=True)
    header.label(text="Face and Lines")
    if body is None:
        return
    if strip is not None:
        _draw_parts(body, strip)
        body.prop(strip.kmtalk, "curves")
        body.prop(strip.kmtalk, "blend")
        body.prop(strip.kmtalk, "ease")
    body.prop(context.scene.kmtalk, "follow")
    row = body.row(align=True)
    row.operator("kmtalk.idle", icon="HIDE_OFF")
    row.operator("kmtalk.remove_idle", text="", icon="X")
    column = body.column(align=True)
    column.operator("kmtalk.remove_line", icon="X")
    column.operator("kmtalk.bake", icon="ACTION")
    column.operator("kmtalk.remove_all", icon="TRASH")


def _draw_parts(layout: bpy.types.UILayout, strip: compat.StripType) -> None:
    """Which parts of the face the line moves: a click switches one, and leaves the others as they are."""
    column = layout.column(align=True)
    column.label(text="The line moves")
    grid = column.grid_flow(row_major=True, columns=2, even_columns=True, align=True)
    for part in keyframes.PARTS:
        moves = part.key in strip.kmtalk.parts
        icon = "CHECKBOX_HLT" if moves else "CHECKBOX_DEHLT"
        grid.operator("kmtalk.toggle_part", text=part.title, icon=icon, depress=moves).part = part.key


def _strip(context: bpy.types.Context) -> compat.StripType:
    return choose_strip(compat.sequencer_scene(context), context.scene.kmtalk.strip)


classes = (
    KMTALK_OT_edit_keys,
    KMTALK_OT_jump_key,
    KMTALK_OT_add_key,
    KMTALK_OT_pin,
    KMTALK_OT_reset_key,
    KMTALK_OT_follow,
    KMTALK_OT_use_take,
    KMTALK_OT_duplicate_take,
    KMTALK_OT_delete_take,
    KMTALK_OT_remove_line,
    KMTALK_OT_remove_all,
    KMTALK_OT_bake,
    KMTALK_OT_toggle_part,
    KMTALK_OT_idle,
    KMTALK_OT_remove_idle,
)
