"""The KMTalk tab of the 3-D view's and the sequencer's sidebar, in the order of the work."""

from __future__ import annotations

from pathlib import Path

import bpy

from kmtalk_core.errors import KMTalkError
from kmtalk_core.settings import Layers, Sliders, settings_of
from kmtalk_core.tongues import LANGUAGES

from . import compat, corrections, drawings, live, shape_keys, styles, takes
from .head_box import draw_head
from .hindrances import hindrances
from .line_operators import draw_line, draw_more
from .mouth_box import draw_mouths
from .operators import chosen_mesh, what_is_missing
from .scene_box import draw_scene
from .session import current
from .strip import NO_TEXT, choose_strip, sound_path, sound_strips, source_beside, source_within, what_plays
from .wrapping import sentence

ROWS = 5  # of a list
SETTINGS = ("localizer", "language", "key_rule")  # of the scene; an error may have come from one


class KMTalkPanel:
    """The whole panel; the two classes below put it into two editors."""

    bl_label = "KMTalk"
    bl_region_type = "UI"
    bl_category = "KMTalk"

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        layout.use_property_split = True
        layout.use_property_decorate = False
        strip, clip = _chosen_strip(context), _chosen_clip(context)
        if clip is None and not sound_strips(compat.sequencer_scene(context)):
            layout.operator("kmtalk.try_it", icon="PLAY")
        draw_sound(section(layout, "Sound", "PLAY_SOUND"), context, strip)
        draw_text(section(layout, "Text", "TEXT"), context, strip)
        draw_mesh(section(layout, "Mesh", "MESH_DATA"), context)
        draw_options(layout, context, strip)
        draw_generate(layout, context)
        draw_scene(layout, context)
        draw_edit(layout, context, clip)
        draw_sliders(layout, strip)
        if clip is not None:
            draw_words(layout, context, strip, clip.take)
            draw_contacts(layout, context, clip.take)
        draw_more(layout, context, strip)


class KMTALK_PT_view3d(KMTalkPanel, bpy.types.Panel):
    bl_space_type = "VIEW_3D"


class KMTALK_PT_sequencer(KMTalkPanel, bpy.types.Panel):
    bl_space_type = "SEQUENCE_EDITOR"


class KMTALK_UL_words(bpy.types.UIList):
    """Words: frame, text, and how well the sound fits them."""

    def draw_item(self, context, layout, data, item, icon, active_data, active_property, index):
        row = _segment(layout, context, data, item, "ERROR" if item.doubtful else "BLANK1")
        share = row.row()
        share.alignment, share.active, share.ui_units_x = "RIGHT", item.doubtful, 2.2
        share.label(text=f"{item.confidence:.0%}" if item.confidence < 1 else "")


class KMTALK_UL_phones(bpy.types.UIList):
    """The phones of the chosen word."""

    def draw_item(self, context, layout, data, item, icon, active_data, active_property, index):
        _segment(layout, context, data, item, "BLANK1")

    def filter_items(self, context, data, property):
        return (corrections.phones_of(data) * self.bitflag_filter_item).tolist(), []


class KMTALK_UL_contacts(bpy.types.UIList):
    """Lip contacts that are missed: frame, phone and word."""

    def draw_item(self, context, layout, data, item, icon, active_data, active_property, index):
        row = layout.row()
        _frame(row, context, data, (item.start + item.end) / 2)
        row.label(text=item.name)


def section(layout: bpy.types.UILayout, title: str, icon: str) -> bpy.types.UILayout:
    """A column under a heading, with a little air above it."""
    column = layout.column(align=True)
    column.separator(factor=0.5)
    column.label(text=title, icon=icon)
    return column


def draw_sound(layout: bpy.types.UILayout, context: bpy.types.Context, strip: bpy.types.Strip | None) -> None:
    row = layout.row(align=True)
    row.use_property_split = False
    row.prop(
        context.scene.kmtalk,
        "strip",
        text="",
        icon="SEQ_STRIP_DUPLICATE",
        placeholder=strip.name if strip else "Sound strip",
    )
    row.operator("kmtalk.add_sound", text="", icon="ADD")
    if strip is not None and is_missing(strip):
        sentence(layout, context, f"{sound_path(strip).name} is missing.", "ERROR")


def draw_text(layout: bpy.types.UILayout, context: bpy.types.Context, strip: bpy.types.Strip | None) -> None:
    if strip is None:
        layout.label(text="Choose a sound first")
        return
    said, source = strip.kmtalk, source_of_text(strip)
    settings = context.scene.kmtalk
    alone = settings.language == "any"
    what = "sounds" if alone else "words"
    heard = "Whisper listens" if settings.localizer.startswith("whisper") else f"the {what} are heard"
    column = layout.column(align=True)
    column.use_property_split = False
    column.active = not (said.alignment or alone)
    row = column.row(align=True)
    typed = row.row(align=True)
    typed.active = said.text is None and not said.use_name
    typed.prop(said, "transcript", text="", placeholder="What is said")
    row.prop(said, "use_name", text="", icon="SORTALPHA")
    column.prop(said, "text", text="")
    if said.alignment:
        sentence(layout, context, f"{Path(said.alignment).name} in the options says it")
    elif alone:
        sentence(layout, context, f"No text is used: {heard}")
    elif source != "Typed":
        sentence(layout, context, f"{NO_TEXT}: {heard}" if source == NO_TEXT else source)
    layout.prop(settings, "language")


def draw_mesh(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    mesh = chosen_mesh(context)
    row = layout.row()
    row.use_property_split = False
    row.prop(context.scene.kmtalk, "mesh", text="", placeholder=mesh.name if mesh and mesh.type == "MESH" else "Head")
    if mesh is not None and mesh.type == "MESH":
        draw_head(layout, context, mesh)
        for hidden in hidden_on(mesh):
            sentence(layout, context, hidden, "ERROR")
    elif mesh is not None:
        draw_mouths(layout, context, mesh)


def draw_options(layout: bpy.types.UILayout, context: bpy.types.Context, strip: bpy.types.Strip | None) -> None:
    header, body = layout.panel("kmtalk_options", default_closed=True)
    header.label(text="Options")
    if body is not None:
        settings = context.scene.kmtalk
        for name in ("key_rule", "localizer", "emotion_guess"):
            body.prop(settings, name)
        if settings.localizer.startswith("whisper"):
            sentence(body, context, "Which model: in the add-on's preferences")
        body.prop(settings, "keep_keys")
        if strip is not None:
            body.prop(strip.kmtalk, "alignment")


def draw_generate(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    column = layout.column()
    if current.job is not None:
        row = column.row(align=True)
        row.progress(factor=current.fraction, text=current.message.capitalize())
        row.operator("kmtalk.cancel", text="", icon="X")
    else:
        row = column.row()
        row.scale_y = 1.5
        row.operator("kmtalk.generate", icon="PLAY")
        if (missing := what_is_missing(context)) and missing != current.error:
            sentence(column, context, missing)
    if error_to_show(context):
        box = column.box().row(align=True)
        sentence(box, context, current.error, "ERROR", margin=5.8)
        box.operator("kmtalk.dismiss", text="", icon="X", emboss=False)


def draw_edit(layout: bpy.types.UILayout, context: bpy.types.Context, clip: takes.Clip | None) -> None:
    column = section(layout, "Edit", "KEYFRAME_HLT")
    row = column.row(align=True)
    row.operator("kmtalk.complete", icon="FILE_REFRESH")
    row.prop(context.scene.kmtalk, "rerun", text="", icon="TIME")
    if clip is not None:
        column.label(text=f"{drawings.counted(clip.keys, clip.action, clip.line)}: {clip.take.name}")
        for warning in dict.fromkeys((*clip.take.warnings.splitlines(), *clip.take.standing.splitlines())):
            sentence(column, context, warning, "ERROR")
        for rig in unseen_rigs(clip):
            sentence(column, context, f"{rig} has keyframes of it; select its bones to see them.")
        draw_line(column, context, clip)


def draw_sliders(layout: bpy.types.UILayout, strip: bpy.types.Strip | None) -> None:
    header, body = layout.panel("kmtalk_sliders", default_closed=True)
    header.label(text="Sliders")
    if body is None:
        return
    if strip is None:
        body.label(text="Choose a sound first")
        return
    header.operator("kmtalk.reset_sliders", text="", icon="LOOP_BACK", emboss=False)
    speech = body.column(align=True)
    styles.draw(speech, strip)
    for setting in settings_of(Sliders):
        if not setting.ending:
            speech.prop(strip.kmtalk, setting.name)
    face = body.column(align=True)
    face.prop(strip.kmtalk, "expression")
    strength = face.row()
    strength.active = strip.kmtalk.expression != "neutral"
    strength.prop(strip.kmtalk, "expression_strength")
    for setting in settings_of(Layers):
        if not setting.name.startswith("expression"):
            face.prop(strip.kmtalk, setting.name)


def draw_words(
    layout: bpy.types.UILayout,
    context: bpy.types.Context,
    strip: bpy.types.Strip | None,
    take: bpy.types.PropertyGroup,
) -> None:
    header, body = layout.panel("kmtalk_words", default_closed=True)
    doubtful = sum(word.doubtful for word in take.words)
    header.label(text=f"Words and Phones: {doubtful} in doubt" if doubtful else "Words and Phones")
    if body is None:
        return
    if take.heard_text:
        row = body.row()
        row.label(text=f"Heard, in {LANGUAGES.get(take.heard_language, take.heard_language)}", icon="SOUND")
        row.operator("kmtalk.use_heard")
    if take.emotion:
        body.label(text=f"Sounds {take.emotion}", icon="USER")
    if len(take.words):
        row = body.row()
        row.template_list("KMTALK_UL_words", "", take, "words", take, "word", rows=ROWS)
        buttons = row.column(align=True)
        buttons.operator("kmtalk.add_word", text="", icon="ADD")
        buttons.operator("kmtalk.remove_word", text="", icon="REMOVE")
        _times(body, take.words, take.word, "words")
    else:
        row = body.row()
        row.label(text="No words are known")
        row.operator("kmtalk.add_word", text="", icon="ADD")
    body.template_list("KMTALK_UL_phones", "", take, "phones", take, "phone", rows=3)
    if 0 <= take.phone < len(take.phones) and corrections.phones_of(take)[take.phone]:
        _times(body, take.phones, take.phone, "phones")
    row = body.row(align=True)
    row.operator("kmtalk.correct", icon="CHECKMARK")
    row.operator("kmtalk.revert", text="", icon="LOOP_BACK")
    if strip is not None:
        _draw_stored(body, strip)
    row = body.row(align=True)
    row.label(text="Export")
    for suffix, text in ((".TextGrid", "TextGrid"), (".json", "JSON"), (".srt", "Subtitles")):
        row.operator("kmtalk.export_alignment", text=text).suffix = suffix


def draw_contacts(layout: bpy.types.UILayout, context: bpy.types.Context, take: bpy.types.PropertyGroup) -> None:
    header, body = layout.panel("kmtalk_contacts", default_closed=True)
    missed = len(take.missed)
    header.label(text=f"Lip Contacts: {missed} missed" if missed else "Lip Contacts")
    header.operator("kmtalk.check_contacts", text="", icon="FILE_REFRESH", emboss=False)
    if body is None:
        return
    sentence(body, context, take.contacts)
    if missed:
        body.template_list("KMTALK_UL_contacts", "", take, "missed", take, "contact", rows=3)
        if 0 <= take.contact < missed:
            sentence(body, context, take.missed[take.contact].reason)
    mesh = chosen_mesh(context)
    if not take.fitted and mesh is not None and mesh.type == "MESH" and shape_keys.own_shapes(mesh):
        sentence(body, context, "Estimated: this head's landmarks are not known")


def is_missing(strip: bpy.types.Strip) -> bool:
    """Whether the strip's sound file is not there."""
    if strip.sound.packed_file:
        return False
    path = sound_path(strip)
    return current.glances.at(("missing", path), lambda: not path.is_file())


def source_of_text(strip: bpy.types.Strip) -> str:
    """In a few words, where what is said comes from."""
    if (source := source_within(strip)) is not None:
        return source
    path = sound_path(strip)
    return current.glances.at(("text", path), lambda: source_beside(path))


def hidden_on(mesh: bpy.types.Object) -> tuple[str, ...]:
    """Sentences about what keeps the face from showing the lip sync that it has."""
    keys = mesh.data.shape_keys
    if keys is None or keys.animation_data is None:
        return ()
    return current.glances.at(
        ("hidden", mesh.session_uid), lambda: hindrances(mesh, shape_keys.drivable(mesh)[0].values())
    )


def unseen_rigs(clip: takes.Clip) -> list[str]:
    """The names of the rigs that a line keys and whose keyframes the dope sheet hides, for they are not selected."""
    shown = bpy.context.view_layer.objects
    rigs = {item.block for item in clip.keys.kmtalk.rigs if isinstance(item.block, bpy.types.Object)}
    return sorted(rig.name for rig in rigs if rig.name in shown and not rig.select_get())


def error_to_show(context: bpy.types.Context) -> bool:
    """Whether something has gone wrong, and nothing of what it may have come from was changed since."""
    if not current.error:
        return False
    now = _situation(context)
    if current.error_seen is None or current.error_seen[0] != current.error:
        current.error_seen = (current.error, now)
    if current.error_seen[1] != now:
        current.error = ""
    return bool(current.error)


def _situation(context: bpy.types.Context) -> tuple:
    """What a generation depends on, as far as the panel shows it."""
    scene, strip, mesh = compat.sequencer_scene(context), _chosen_strip(context), chosen_mesh(context)
    found: list = [scene.session_uid, what_is_missing(context), *(getattr(context.scene.kmtalk, n) for n in SETTINGS)]
    if strip is not None:
        said = strip.kmtalk
        found += [strip.name, *what_plays(scene, strip), is_missing(strip), source_of_text(strip)]
        found += [said.style, said.transcript, said.alignment, said.text.session_uid if said.text else 0]
    if mesh is not None and mesh.type == "MESH":
        keys = mesh.data.shape_keys
        found += [mesh.session_uid, mesh.mode, len(mesh.data.vertices), len(keys.key_blocks) if keys else 0]
    return tuple(found)


def _segment(layout, context, take, item, icon: str) -> bpy.types.UILayout:
    """A row of a list for a word or phone, whose text can be edited in place."""
    row = layout.row(align=True)
    _frame(row, context, take, item.start)
    hint = f"{item.heard} (removed)" if item.heard else "What is said"
    row.prop(
        item, "name", text="", emboss=False, icon="GREASEPENCIL" if corrections.is_edited(item) else icon,
        placeholder=hint,
    )  # fmt: skip
    return row


def _frame(layout, context, take, seconds: float) -> None:
    column = layout.row()
    column.ui_units_x = 2.2
    column.active = False
    column.label(text=f"{live.frame_of(take, seconds):.0f}")


def _times(layout, items, index: int, tier: str) -> None:
    """The times of the chosen word or phone, each with a button that takes them from the current frame."""
    if not 0 <= index < len(items):
        return
    row = layout.row(align=True)
    row.use_property_split = False
    for edge in ("start", "end"):
        row.prop(items[index], edge, text="")
        operator = row.operator("kmtalk.time_here", text="", icon="TRIA_DOWN_BAR")
        operator.tier, operator.edge = tier, edge


def _draw_stored(layout, strip: bpy.types.Strip) -> None:
    listed = corrections.stored(strip).listed
    if not listed:
        return
    header, body = layout.panel("kmtalk_stored", default_closed=True)
    header.label(text=f"Corrections of this Strip: {len(listed)}")
    if body is not None:
        column = body.column(align=True)
        for index, correction in enumerate(listed):
            row = column.row()
            row.label(text=corrections.sentence(correction))
            row.operator("kmtalk.forget", text="", icon="X", emboss=False).index = index


def _chosen_strip(context: bpy.types.Context) -> bpy.types.Strip | None:
    try:
        return choose_strip(compat.sequencer_scene(context), context.scene.kmtalk.strip)
    except KMTalkError:
        return None


def _chosen_clip(context: bpy.types.Context) -> takes.Clip | None:
    try:
        return takes.find_clip(compat.sequencer_scene(context), context.scene.kmtalk.strip, chosen_mesh(context))
    except KMTalkError:
        return None


classes = (KMTALK_UL_words, KMTALK_UL_phones, KMTALK_UL_contacts, KMTALK_PT_view3d, KMTALK_PT_sequencer)
