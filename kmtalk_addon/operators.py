"""The operators: poll with a reason, take a snapshot of the properties, call, report."""

from dataclasses import asdict
from pathlib import Path
from typing import ClassVar

import bpy
from bpy.props import BoolProperty, EnumProperty, IntProperty, StringProperty

from kmtalk_core.errors import KMTalkError
from kmtalk_core.settings import KeyDensitySettings, KeyRuleSettings, Layers, LocalizerSettings, Sliders

from . import casting, compat, corrections, lipsync, live, mouths, shape_keys, takes
from .job import Job, Steps
from .live import redraw
from .preferences import interpreter, tools
from .session import current
from .strip import add_speech, check_heard, choose_strip, make_active, sound_path

POLL_INTERVAL = 0.05  # s


def chosen_mesh(context: bpy.types.Context) -> bpy.types.Object | None:
    """The mesh of the panel, else the active object, or the head that it is the rig of."""
    active = context.scene.kmtalk.mesh or mouths.head_of(context.view_layer.objects.active)
    if active is None or active.type == "MESH":
        return active
    return context.scene.objects.get(current.glances.at(("rig", active.session_uid), lambda: _moved_by(active)), active)


def _moved_by(rig: bpy.types.Object) -> str:
    """The name of the head that this object moves; empty if there is none."""
    head = casting.head_of_rig(bpy.context.scene, rig)
    return head.name if head is not None else ""


def options_of(context: bpy.types.Context, strip: compat.StripType) -> lipsync.Options:
    """The panel's settings as they are now."""
    settings, said = context.scene.kmtalk, strip.kmtalk
    return lipsync.Options(
        alignment=bpy.path.abspath(said.alignment) or None,
        keep_keys=settings.keep_keys,
        tools=tools(context),
        **takes.values_on(settings, LocalizerSettings, KeyRuleSettings),
        **takes.values_on(said, Sliders, Layers, KeyDensitySettings),
    )


class Working:
    """An operator whose work is `job.Steps`: in the background if a user started it, else in one blocking call."""

    bl_options: ClassVar = {"UNDO"}
    _timer = None
    _job: Job | None = None
    _in_window = False  # a user waits and watches, so the work is done in the background

    def steps(self, context: bpy.types.Context) -> Steps[lipsync.Outcome]:
        raise NotImplementedError

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        self._in_window = not bpy.app.background and context.window is not None
        return self.execute(context)

    def execute(self, context: bpy.types.Context) -> set[str]:
        try:
            self._job = current.start(self.steps(context), *interpreter(context))
            if not self._in_window:
                return self.finish(self._job.wait())
        except Exception as error:
            return self.fail(error)
        self._timer = context.window_manager.event_timer_add(POLL_INTERVAL, window=context.window)
        context.window_manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        if current.job is not self._job or event.type == "ESC":
            self.cancel(context)
            self.report({"INFO"}, "Cancelled; nothing was changed")
            return {"CANCELLED"}
        if event.type != "TIMER":
            return {"PASS_THROUGH"}
        redraw()
        show_status(context, f"KMTalk: {current.message} ({current.fraction:.0%}), Esc cancels")
        try:
            if not self._job.poll():
                return {"PASS_THROUGH"}
            status = self.finish(self._job.result)
        except Exception as error:
            status = self.fail(error)
        self.put_away(context)
        return status

    def cancel(self, context: bpy.types.Context) -> None:
        if current.job is self._job:
            current.cancel()
        self.put_away(context)

    def put_away(self, context: bpy.types.Context) -> None:
        if self._timer is not None:
            context.window_manager.event_timer_remove(self._timer)
        self._timer = None
        show_status(context, None)
        redraw()

    def finish(self, outcome: lipsync.Outcome) -> set[str]:
        current.finish(self._job)
        live.bring_up_to_date(compat.sequencer_scene(bpy.context))  # with sliders that were moved meanwhile
        for sentence in outcome.warnings:
            self.report({"WARNING"}, sentence)
        self.report({"INFO"}, outcome.summary)
        return {"FINISHED"}

    def fail(self, error: Exception) -> set[str]:
        current.finish(self._job)
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


class KMTALK_OT_complete(Working, bpy.types.Operator):
    """Compute the motion between your key motions again; the keys stay exactly as you made them"""

    bl_idname = "kmtalk.complete"
    bl_label = "Re-run Completion"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        scene = compat.sequencer_scene(context)
        return can_work(cls, lambda: takes.find_clip(scene, context.scene.kmtalk.strip, chosen_mesh(context)))

    def steps(self, context: bpy.types.Context) -> Steps[lipsync.Outcome]:
        scene = compat.sequencer_scene(context)
        return lipsync.complete(scene, context.scene.kmtalk.strip, chosen_mesh(context))


class KMTALK_OT_correct(Working, bpy.types.Operator):
    """Align what you have changed in words and phones again; the motion changes near it and nowhere else"""

    bl_idname = "kmtalk.correct"
    bl_label = "Apply Corrections"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return can_work(cls, lambda: _corrected_take(context))

    def steps(self, context: bpy.types.Context) -> Steps[lipsync.Outcome]:
        scene = compat.sequencer_scene(context)
        strip, mesh = _strip_and_mesh(context)
        return lipsync.correct(scene, strip.name, mesh, options_of(context, strip))


class OnTake:
    """An operator on the line that was animated, which needs no worker: `work` does it."""

    bl_options: ClassVar = {"UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return can_work(cls, lambda: _clip(context))

    def execute(self, context: bpy.types.Context) -> set[str]:
        try:
            self.work(context, _clip(context))
        except Exception as error:
            self.report({"ERROR"}, current.explain(error))
            return {"CANCELLED"}
        redraw()
        return {"FINISHED"}

    def work(self, context: bpy.types.Context, clip: takes.Clip) -> None:
        raise NotImplementedError


class KMTALK_OT_check_contacts(OnTake, bpy.types.Operator):
    """Look again which lip contacts the face misses, with the keyframes as they are now"""

    bl_idname = "kmtalk.check_contacts"
    bl_label = "Check Contacts"

    def work(self, context, clip):
        takes.remember_missed(clip.take, takes.facts(live.on_curves(clip)))
        self.report({"INFO"}, clip.take.contacts)


class KMTALK_OT_add_word(OnTake, bpy.types.Operator):
    """Add a word that was not heard, at the current frame"""

    bl_idname = "kmtalk.add_word"
    bl_label = "Add Word"

    def work(self, context, clip):
        with current.fill_in():
            corrections.add_word(clip.take, max(0.0, live.second_at(clip.take, clip.scene.frame_current_final)))


class KMTALK_OT_remove_word(OnTake, bpy.types.Operator):
    """Remove the chosen word: nothing is said there"""

    bl_idname = "kmtalk.remove_word"
    bl_label = "Remove Word"

    def work(self, context, clip):
        take = clip.take
        if 0 <= take.word < len(take.words):
            if take.words[take.word].heard:
                take.words[take.word].name = ""
            else:
                take.words.remove(take.word)


class KMTALK_OT_use_heard(OnTake, bpy.types.Operator):
    """Make what was heard, as corrected in the list below, the text of the sound"""

    bl_idname = "kmtalk.use_heard"
    bl_label = "Use as Text"

    def work(self, context, clip):
        strip = choose_strip(compat.sequencer_scene(context), context.scene.kmtalk.strip)
        strip.kmtalk.transcript = corrections.said(clip.take)
        context.scene.kmtalk.language = clip.take.heard_language


class KMTALK_OT_revert(OnTake, bpy.types.Operator):
    """Take back what was changed in words and phones and is not applied yet"""

    bl_idname = "kmtalk.revert"
    bl_label = "Revert"

    def work(self, context, clip):
        corrections.revert(clip.take)


class KMTALK_OT_time_here(OnTake, bpy.types.Operator):
    """Set this time to the current frame"""

    bl_idname = "kmtalk.time_here"
    bl_label = "To Current Frame"

    tier: EnumProperty(items=(("words", "Word", ""), ("phones", "Phone", "")), options={"HIDDEN"})
    edge: EnumProperty(items=(("start", "Start", ""), ("end", "End", "")), options={"HIDDEN"})

    def work(self, context, clip):
        take = clip.take
        items, index = getattr(take, self.tier), take.word if self.tier == "words" else take.phone
        if 0 <= index < len(items):
            setattr(items[index], self.edge, live.second_at(take, clip.scene.frame_current_final))


class KMTALK_OT_forget(bpy.types.Operator):
    """Forget this correction; it has no effect when the line is generated again"""

    bl_idname = "kmtalk.forget"
    bl_label = "Forget Correction"
    bl_options: ClassVar = {"UNDO"}

    index: IntProperty(description="Which one; -1: all", default=-1, options={"HIDDEN"})

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return can_work(cls, lambda: choose_strip(compat.sequencer_scene(context), context.scene.kmtalk.strip))

    def execute(self, context: bpy.types.Context) -> set[str]:
        strip = choose_strip(compat.sequencer_scene(context), context.scene.kmtalk.strip)
        kept = corrections.stored(strip)
        left = () if self.index < 0 else (*kept.listed[: self.index], *kept.listed[self.index + 1 :])
        corrections.store(strip, corrections.Stored(kept.audio_sha256, left))
        return {"FINISHED"}


class KMTALK_OT_reset_sliders(bpy.types.Operator):
    """Set all sliders to what they were in the beginning"""

    bl_idname = "kmtalk.reset_sliders"
    bl_label = "Reset Sliders"
    bl_options: ClassVar = {"UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return can_work(cls, lambda: choose_strip(compat.sequencer_scene(context), context.scene.kmtalk.strip))

    def execute(self, context: bpy.types.Context) -> set[str]:
        scene = compat.sequencer_scene(context)
        strip = choose_strip(scene, context.scene.kmtalk.strip)
        with current.fill_in():
            for name, value in (asdict(Sliders()) | asdict(Layers())).items():
                setattr(strip.kmtalk, name, value)
        live.bring_up_to_date(scene)
        return {"FINISHED"}


class KMTALK_OT_export_alignment(OnTake, bpy.types.Operator):
    """Write words and phones with their times, from the beginning of the sound file"""

    bl_idname = "kmtalk.export_alignment"
    bl_label = "Export Words and Phones"
    bl_options: ClassVar = set()

    suffix: EnumProperty(
        name="Format",
        items=(
            (".TextGrid", "TextGrid", "For Praat and aligners: words and phones"),
            (".json", "JSON", "As the Montreal Forced Aligner writes it: words and phones"),
            (".srt", "Subtitles", "SubRip subtitles: words"),
        ),
        options={"HIDDEN"},
    )
    filepath: StringProperty(subtype="FILE_PATH")
    check_existing: BoolProperty(default=True, options={"HIDDEN"})
    filter_glob: StringProperty(default="*.TextGrid;*.json;*.srt", options={"HIDDEN"})

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        strip = choose_strip(compat.sequencer_scene(context), context.scene.kmtalk.strip)
        self.filepath = str(sound_path(strip).with_suffix(self.suffix))
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def work(self, context, clip):
        from kmtalk_core.localization.textgrid import save_alignment

        line, animation = takes.read_take(clip.take)
        path = Path(bpy.path.ensure_ext(self.filepath, self.suffix))
        save_alignment(animation.alignment.from_time(-line.start - line.delay), path)
        self.report({"INFO"}, f"{path.name} was written")


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


class KMTALK_OT_dismiss(bpy.types.Operator):
    """Take the message away"""

    bl_idname = "kmtalk.dismiss"
    bl_label = "Dismiss"

    def execute(self, context: bpy.types.Context) -> set[str]:
        current.error = ""
        return {"FINISHED"}


class KMTALK_OT_add_sound(bpy.types.Operator):
    """Add a sound strip with speech at the current frame"""

    bl_idname = "kmtalk.add_sound"
    bl_label = "Add Sound"
    bl_options: ClassVar = {"REGISTER", "UNDO"}

    filepath: StringProperty(subtype="FILE_PATH")
    filter_sound: BoolProperty(default=True, options={"HIDDEN"})
    filter_movie: BoolProperty(default=True, options={"HIDDEN"})
    filter_folder: BoolProperty(default=True, options={"HIDDEN"})

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        scene = compat.sequencer_scene(context)
        try:
            strip = add_speech(scene, Path(self.filepath), scene.frame_current)
        except KMTalkError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        compat.show_in_sequencer(context, scene)
        make_active(scene, context.scene.kmtalk, strip)
        return {"FINISHED"}


def show_status(context: bpy.types.Context, text: str | None) -> None:
    """Say something in the status bar, in all workspaces; None takes it away.

    Blender keeps a text with the workspace that is shown, whosever method is called; what draws the bar is for all.
    """
    if context.workspace is not None:
        context.workspace.status_text_set(None if text is None else lambda bar, _: bar.layout.label(text=text))


def can_work(operator: type[bpy.types.Operator], need) -> bool:
    """Whether nothing else is at work and `need` raises no KMTalkError; tells the user why not."""
    try:
        need()
    except KMTalkError as error:
        operator.poll_message_set(str(error))
        return False
    operator.poll_message_set("KMTalk is at work; wait for it or cancel")
    return current.job is None


def what_is_missing(context: bpy.types.Context) -> str:
    """Why nothing can be generated, in a sentence; empty if it can."""
    try:
        _strip_and_mesh(context)
    except KMTalkError as error:
        return str(error)
    return ""


def _strip_and_mesh(context: bpy.types.Context) -> tuple[compat.StripType, bpy.types.Object]:
    scene = compat.sequencer_scene(context)
    strip = choose_strip(scene, context.scene.kmtalk.strip)
    check_heard(scene, strip)
    return strip, shape_keys.check_speaks(shape_keys.check_mesh(chosen_mesh(context)))


def _clip(context: bpy.types.Context) -> takes.Clip:
    return takes.find_clip(compat.sequencer_scene(context), context.scene.kmtalk.strip, chosen_mesh(context))


def _corrected_take(context: bpy.types.Context) -> None:
    _strip_and_mesh(context)
    if not corrections.has_pending(_clip(context).take):
        raise KMTalkError("No word or phone has been changed; change a text or a time first")


classes = (
    KMTALK_OT_generate,
    KMTALK_OT_complete,
    KMTALK_OT_correct,
    KMTALK_OT_cancel,
    KMTALK_OT_dismiss,
    KMTALK_OT_add_sound,
    KMTALK_OT_check_contacts,
    KMTALK_OT_add_word,
    KMTALK_OT_remove_word,
    KMTALK_OT_use_heard,
    KMTALK_OT_revert,
    KMTALK_OT_time_here,
    KMTALK_OT_forget,
    KMTALK_OT_reset_sliders,
    KMTALK_OT_export_alignment,
)
