"""The operators: poll with a reason, take a snapshot of the properties, call, report."""

from pathlib import Path
from typing import ClassVar

import bpy
from bpy.props import StringProperty

from kmtalk_core.errors import KMTalkError

from . import compat, lipsync, shape_keys
from .job import Steps
from .preferences import python_path
from .session import current
from .strip import choose_strip

POLL_INTERVAL = 0.05  # s


def chosen_mesh(context: bpy.types.Context) -> bpy.types.Object | None:
    """The mesh of the panel, else the active object."""
    return context.scene.kmtalk.mesh or context.view_layer.objects.active


def options_of(context: bpy.types.Context, strip: compat.StripType) -> lipsync.Options:
    """The panel's settings as they are now. Texts win over typed transcripts."""
    settings, said = context.scene.kmtalk, strip.kmtalk
    return lipsync.Options(
        transcript=(said.text.as_string() if said.text else said.transcript).strip() or None,
        alignment=bpy.path.abspath(said.alignment) or None,
        localizer=settings.localizer,
        key_rule=settings.key_rule,
        intensity=settings.intensity,
        upper_face=settings.upper_face,
        head=settings.head,
        expression=settings.expression,
        expression_strength=settings.expression_strength,
        seed=settings.seed,
    )


class Working:
    """An operator whose work is `job.Steps`: in the background if a user started it, else in one blocking call."""

    bl_options: ClassVar = {"UNDO"}
    _timer = None
    _in_window = False  # a user waits and watches, so the work is done in the background

    def steps(self, context: bpy.types.Context) -> Steps[lipsync.Outcome]:
        raise NotImplementedError

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        self._in_window = not bpy.app.background and context.window is not None
        return self.execute(context)

    def execute(self, context: bpy.types.Context) -> set[str]:
        try:
            job = current.start(self.steps(context), python_path(context))
            if not self._in_window:
                return self.finish(job.wait())
        except Exception as error:
            return self.fail(error)
        self._timer = context.window_manager.event_timer_add(POLL_INTERVAL, window=context.window)
        context.window_manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        if current.job is None or event.type == "ESC":
            self.cancel(context)
            self.report({"INFO"}, "Cancelled; nothing was changed")
            return {"CANCELLED"}
        if event.type != "TIMER":
            return {"PASS_THROUGH"}
        redraw(context)
        context.workspace.status_text_set(f"KMTalk: {current.message} ({current.fraction:.0%}), Esc cancels")
        try:
            if not current.job.poll():
                return {"PASS_THROUGH"}
            status = self.finish(current.job.result)
        except Exception as error:
            status = self.fail(error)
        self.put_away(context)
        return status

    def cancel(self, context: bpy.types.Context) -> None:
        current.cancel()
        self.put_away(context)

    def put_away(self, context: bpy.types.Context) -> None:
        context.window_manager.event_timer_remove(self._timer)
        context.workspace.status_text_set(None)
        redraw(context)

    def finish(self, outcome: lipsync.Outcome) -> set[str]:
        current.job = None
        for sentence in outcome.warnings:
            self.report({"WARNING"}, sentence)
        self.report({"INFO"}, outcome.summary)
        return {"FINISHED"}

    def fail(self, error: Exception) -> set[str]:
        self.report({"ERROR"}, current.explain(error))
        return {"CANCELLED"}


class KMTALK_OT_generate(Working, bpy.types.Operator):
    """Animate the mesh with the speech of the sound strip"""

    bl_idname = "kmtalk.generate"
    bl_label = "Generate Lip Sync"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return can_work(cls, lambda: _strip_and_mesh(context))

    def steps(self, context: bpy.types.Context) -> Steps[lipsync.Outcome]:
        strip, mesh = _strip_and_mesh(context)
        return lipsync.generate(compat.sequencer_scene(context), strip, mesh, options_of(context, strip))

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        strip, mesh = _strip_and_mesh(context)
        if bpy.app.background or not lipsync.edited_keys(compat.sequencer_scene(context), strip.name, mesh):
            return super().invoke(context, event)
        self._in_window = True
        return context.window_manager.invoke_props_dialog(self, title="Generate Again?", confirm_text="Replace")

    def draw(self, context: bpy.types.Context) -> None:
        self.layout.label(text="You have edited key motions of this line.")
        self.layout.label(text="Generating again replaces them.")


class KMTALK_OT_complete(Working, bpy.types.Operator):
    """Compute the motion between your key motions again; the keys stay exactly as you made them"""

    bl_idname = "kmtalk.complete"
    bl_label = "Re-run Completion"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        scene = compat.sequencer_scene(context)
        return can_work(cls, lambda: lipsync.find_take(scene, context.scene.kmtalk.strip, chosen_mesh(context)))

    def steps(self, context: bpy.types.Context) -> Steps[lipsync.Outcome]:
        scene = compat.sequencer_scene(context)
        return lipsync.complete(scene, context.scene.kmtalk.strip, chosen_mesh(context))


class KMTALK_OT_cancel(bpy.types.Operator):
    """Stop; the file stays as it was"""

    bl_idname = "kmtalk.cancel"
    bl_label = "Cancel"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        cls.poll_message_set("Nothing is at work")
        return current.job is not None

    def execute(self, context: bpy.types.Context) -> set[str]:
        current.cancel()
        return {"FINISHED"}


class KMTALK_OT_add_sound(bpy.types.Operator):
    """Add a sound strip with speech at the current frame"""

    bl_idname = "kmtalk.add_sound"
    bl_label = "Add Sound"
    bl_options: ClassVar = {"REGISTER", "UNDO"}

    filepath: StringProperty(subtype="FILE_PATH")
    filter_sound: bpy.props.BoolProperty(default=True, options={"HIDDEN"})
    filter_movie: bpy.props.BoolProperty(default=True, options={"HIDDEN"})
    filter_folder: bpy.props.BoolProperty(default=True, options={"HIDDEN"})

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        scene, path = compat.sequencer_scene(context), Path(self.filepath)
        channel = 1 + max((strip.channel for strip in compat.all_strips(scene)), default=0)
        if not path.is_file() or not _is_sound(path):
            self.report({"ERROR"}, f"Blender cannot read the sound {path.name}; choose another file.")
            return {"CANCELLED"}
        strip = compat.add_sound_strip(scene, path.stem, str(path), channel, scene.frame_current)
        context.scene.kmtalk.strip = strip.name
        return {"FINISHED"}


def can_work(operator: type[bpy.types.Operator], need) -> bool:
    """Whether nothing else is at work and `need` raises no KMTalkError; tells the user why not."""
    try:
        need()
    except KMTalkError as error:
        operator.poll_message_set(str(error))
        return False
    operator.poll_message_set("KMTalk is at work; wait for it or cancel")
    return current.job is None


def redraw(context: bpy.types.Context) -> None:
    """Show progress in all panels."""
    for window in context.window_manager.windows:
        for area in window.screen.areas:
            if area.type in {"VIEW_3D", "SEQUENCE_EDITOR"}:
                area.tag_redraw()


def _is_sound(path: Path) -> bool:
    sound = bpy.data.sounds.load(str(path))
    try:
        return sound.channels != "INVALID"
    finally:
        bpy.data.sounds.remove(sound)


def _strip_and_mesh(context: bpy.types.Context) -> tuple[compat.StripType, bpy.types.Object]:
    strip = choose_strip(compat.sequencer_scene(context), context.scene.kmtalk.strip)
    return strip, shape_keys.check_mesh(chosen_mesh(context))


classes = (KMTALK_OT_generate, KMTALK_OT_complete, KMTALK_OT_cancel, KMTALK_OT_add_sound)
