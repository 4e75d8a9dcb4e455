"""The add-on's preferences: which Python does the work, Whisper and MFA, and the self-check."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy
from bpy.props import BoolProperty, EnumProperty, StringProperty

from kmtalk_core.errors import InputError
from kmtalk_core.service import environment as environments

from . import compat
from .session import current
from .wrapping import UNIT, sentence

INTERPRETERS = (
    ("EMBEDDED", "Blender's Own", "Blender's Python, with the packages that the extension brings"),
    ("PYTHON", "Another Python", "A Python of yours that has KMTalk's packages"),
    ("ENVIRONMENT", "GPU Environment", "A Python with torch and Whisper, which KMTalk creates in a folder"),
)
TORCH = (
    ("auto", "Automatic", "As this computer's graphics card allows"),
    ("cuda", "CUDA", "An NVIDIA card"),
    ("rocm", "ROCm", "An AMD card, on Linux"),
    ("mps", "MPS", "The graphics of a Mac with Apple silicon"),
    ("cpu", "CPU", "The processor"),
)
DEVICES = (
    ("auto", "Automatic", "The graphics card if Whisper can use it"),
    ("cpu", "CPU", "The processor"),
    ("cuda", "CUDA", "An NVIDIA card"),
    ("mps", "MPS", "The graphics of a Mac"),
)
_TOOLS = (
    "whisper_python", "whisper_model", "whisper_device", "allow_download", "mfa", "mfa_dictionary", "mfa_acoustic",
    "mfa_g2p",
)  # fmt: skip
MARGIN = 8  # units of the window's width that the preferences keep free of text


def _kept_full(name: str) -> Callable[[bpy.types.AddonPreferences, bpy.types.Context], None]:
    """Of a path that was chosen relative to the opened .blend file (//), keep the full one."""

    def update(preferences: bpy.types.AddonPreferences, context: bpy.types.Context) -> None:
        if (given := getattr(preferences, name)).startswith("//") and bpy.data.filepath:
            setattr(preferences, name, bpy.path.abspath(given))

    return update


class KMTalkPreferences(bpy.types.AddonPreferences):
    """Edit > Preferences > Add-ons > KMTalk."""

    bl_idname = __package__

    interpreter: EnumProperty(name="Work Is Done by", description="Which Python runs the networks", items=INTERPRETERS)
    python: StringProperty(
        name="Python",
        description="A Python that has KMTalk's packages: numpy, scipy, av, onnxruntime",
        subtype="FILE_PATH",
        update=_kept_full("python"),
    )
    environment_folder: StringProperty(
        name="Folder",
        description="Where the environment is or shall be; empty for a folder of the extension's own",
        subtype="DIR_PATH",
        update=_kept_full("environment_folder"),
    )
    environment_python: StringProperty(
        name="Made by",
        description="The Python that makes the environment, 3.11 or newer; empty for Blender's own",
        subtype="FILE_PATH",
        update=_kept_full("environment_python"),
    )
    torch_device: EnumProperty(name="Torch For", description="Which build of torch is installed", items=TORCH)
    with_whisper: BoolProperty(
        name="Whisper", description="Install Whisper and transformers as well, to listen without a text", default=True
    )
    mirror: StringProperty(
        name="Package Index",
        description="Address of a package index (a mirror) to download from; empty for pip's own",
    )
    torch_index: StringProperty(
        name="Torch Index",
        description=(
            "Where torch alone comes from: the address after --index-url on PyTorch's page Get Started. "
            "Needed for ROCm, and for CUDA on Windows; for the CPU on Linux it saves gigabytes"
        ),
    )
    whisper_python: StringProperty(
        name="Whisper's Python",
        description="The Python that has Whisper; empty: it is looked for",
        subtype="FILE_PATH",
        update=_kept_full("whisper_python"),
    )
    whisper_model: StringProperty(
        name="Model", description="A name (small.en) or a file; empty for the best that is installed"
    )
    whisper_device: EnumProperty(name="Device", description="What runs Whisper", items=DEVICES)
    allow_download: BoolProperty(name="Download", description="Let Whisper download a model that is missing")
    mfa: StringProperty(
        name="MFA", description="Its program, or its conda environment's folder or name; empty: it is looked for"
    )
    mfa_dictionary: StringProperty(name="Dictionary", description="A name or a file; empty for english_us_arpa")
    mfa_acoustic: StringProperty(name="Acoustic Model", description="A name or a file; empty for english_us_arpa")
    mfa_g2p: StringProperty(
        name="G2P Model", description="A name or a file, for words that the dictionary lacks; empty for KMTalk's own"
    )
    styles: StringProperty(description="Files of styles that were opened, one a line", options={"HIDDEN"})

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        layout.use_property_split = True
        if compat.OUT_OF_RANGE:
            layout.label(text=compat.OUT_OF_RANGE, icon="ERROR")
        layout.prop(self, "interpreter")
        if self.interpreter == "PYTHON":
            layout.prop(self, "python")
        elif self.interpreter == "ENVIRONMENT":
            self.draw_environment(layout, context)
        header, body = layout.panel("kmtalk_tools", default_closed=True)
        header.label(text="Whisper and Montreal Forced Aligner")
        if body is not None:
            for name in _TOOLS:
                body.prop(self, name)
        header, body = layout.panel("kmtalk_self_check", default_closed=False)
        header.label(text="Self-Check")
        if body is not None:
            draw_self_check(body, context)

    def draw_environment(self, layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
        """The environment's settings, what it is, and how far its making is."""
        making = current.environment is not None
        settings = layout.column()
        settings.enabled = not making
        for name in (
            "environment_folder",
            "environment_python",
            "torch_device",
            "torch_index",
            "with_whisper",
            "mirror",
        ):
            settings.prop(self, name)
        if making:
            row = layout.row(align=True)
            row.progress(factor=current.environment_fraction, text=current.environment_message)
            row.operator("kmtalk.cancel_environment", text="", icon="X")
            return
        folder = environment_folder(self)
        ready, state = current.glances.at(
            ("environment", folder), lambda: (environments.ready(folder), environments.state_of(folder))
        )
        started = bool(state)
        if ready:
            sentence(layout, context, described(state["test"]), "CHECKMARK", MARGIN)
        elif started:
            left = "The environment is not finished; creating it goes on where it stopped."
            sentence(layout, context, left, "INFO", MARGIN)
        row = layout.row()
        row.operator("kmtalk.create_environment", text="Create Again" if ready else "Create GPU Environment")
        if started:
            row.operator("kmtalk.remove_environment")
        if current.environment_error:
            sentence(layout, context, current.environment_error, "ERROR", MARGIN)


def draw_self_check(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    """What works and what is missing, once it was asked for."""
    row = layout.row()
    row.operator("kmtalk.self_check")
    if not current.findings:
        return
    row.operator("kmtalk.copy_self_check", icon="COPYDOWN")
    rows = layout.column(align=True)
    beside = MARGIN + 0.25 * context.region.width / (UNIT * context.preferences.system.ui_scale)
    for finding in current.findings:
        icon = "CHECKMARK" if finding.works else "BLANK1" if finding.optional else "ERROR"
        line = rows.split(factor=0.25)
        line.label(text=finding.part, icon=icon)
        column = line.column(align=True)
        for text, is_remark in ((finding.state, False), (finding.where, True), (finding.remedy, False)):
            if text and (text != finding.remedy or not finding.works):
                sentence(column, context, text, "NONE" if is_remark else "DOT", beside)


def described(test: dict[str, Any]) -> str:
    """What the environment's self-test has found, in a sentence."""
    return (
        f"Works on {test['device']} with torch {test['torch']}: {test['times_real_time']:.0f} times real time"
        f" (embedded: {test['embedded_times_real_time']:.0f}); differs from that by {test['difference']:.0e}"
    )


def own(context: bpy.types.Context) -> KMTalkPreferences | None:
    """The preferences; None where the package is not installed as an add-on."""
    addon = context.preferences.addons.get(__package__)
    return addon.preferences if addon else None


def environment_folder(preferences: KMTalkPreferences) -> str:
    """Where the environment is or shall be."""
    if preferences.environment_folder:
        return preferences.environment_folder
    try:
        return str(Path(bpy.utils.extension_path_user(__package__, path="environment")))
    except ValueError:  # installed as an add-on: there is no such folder
        return str(Path(bpy.utils.user_resource("DATAFILES")) / "kmtalk" / "environment")


def maker(preferences: KMTalkPreferences) -> str:
    """The Python that makes the environment. Raises InputError where its path is not a full one."""
    return full_path(preferences.environment_python, "Made by") or sys.executable


def full_path(given: str, what: str) -> str:
    """`given`, if it means the same whatever file is opened; `what` names the setting. Raises InputError."""
    if given and (given.startswith("//") or not os.path.isabs(given)):
        raise InputError(f"{what} in KMTalk's preferences ({given}) is no full path; choose it there again.")
    return given


def interpreter(context: bpy.types.Context) -> tuple[str, str]:
    """The Python that the user prefers (empty: Blender's own), and what runs the networks in it: arguments of
    `Session.start`.

    A GPU environment counts once it is ready, and its torch where it has found a graphics card. Raises InputError where
    a path is not a full one: it would lead into the folder of whatever .blend is opened.
    """
    preferences = own(context)
    if preferences is None or preferences.interpreter == "EMBEDDED":
        return "", "auto"
    if preferences.interpreter == "PYTHON":
        return full_path(preferences.python, "Python"), "auto"
    folder = full_path(environment_folder(preferences), "Folder")
    if not environments.ready(folder):
        return "", "auto"
    test = environments.state_of(folder)["test"]
    return str(environments.python_of(folder)), "auto" if test["device"] == "CPU" else "torch"


def tools(context: bpy.types.Context) -> dict[str, Any]:
    """What the user has filled in about Whisper and MFA: arguments of localization.tools.Tools."""
    preferences = own(context)
    if preferences is None:
        return {}
    given = {name: getattr(preferences, name) for name in _TOOLS}
    given["whisper_python"] = full_path(given["whisper_python"], "Whisper's Python")
    for name, value in given.items():
        if isinstance(value, str) and value.startswith("//"):
            full_path(value, name)
    given["allow_download"] = given["allow_download"] and compat.online_access()
    return {name: value for name, value in given.items() if value and value != "auto"}


classes = (KMTalkPreferences,)
