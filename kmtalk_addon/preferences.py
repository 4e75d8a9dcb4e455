"""The add-on's preferences."""

from __future__ import annotations

from typing import Any

import bpy
from bpy.props import BoolProperty, EnumProperty, StringProperty

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


class KMTalkPreferences(bpy.types.AddonPreferences):
    """Edit > Preferences > Add-ons > KMTalk."""

    bl_idname = __package__

    python: StringProperty(
        name="Python",
        description="Another Python that has KMTalk's packages (with torch for a GPU, say); empty for Blender's own",
        subtype="FILE_PATH",
    )
    whisper_python: StringProperty(
        name="Whisper's Python", description="The Python that has Whisper; empty: it is looked for", subtype="FILE_PATH"
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

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        layout.use_property_split = True
        layout.prop(self, "python")
        header, body = layout.panel("kmtalk_tools", default_closed=True)
        header.label(text="Whisper and Montreal Forced Aligner")
        if body is not None:
            for name in _TOOLS:
                body.prop(self, name)


def python_path(context: bpy.types.Context) -> str:
    """The Python that the user prefers; empty for Blender's own."""
    addon = context.preferences.addons.get(__package__)
    return addon.preferences.python if addon else ""


def tools(context: bpy.types.Context) -> dict[str, Any]:
    """What the user has filled in about Whisper and MFA: arguments of localization.tools.Tools."""
    addon = context.preferences.addons.get(__package__)
    if addon is None:
        return {}
    given = {name: getattr(addon.preferences, name) for name in _TOOLS}
    for name in ("whisper_python", "mfa"):
        given[name] = bpy.path.abspath(given[name]) if given[name].startswith("//") else given[name]
    return {name: value for name, value in given.items() if value and value != "auto"}


classes = (KMTalkPreferences,)
