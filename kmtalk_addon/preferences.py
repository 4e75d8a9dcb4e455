"""The add-on's preferences."""

import bpy
from bpy.props import StringProperty


class KMTalkPreferences(bpy.types.AddonPreferences):
    """Edit > Preferences > Add-ons > KMTalk."""

    bl_idname = __package__

    python: StringProperty(
        name="Python",
        description="Another Python that has KMTalk's packages (with torch for a GPU, say); empty for Blender's own",
        subtype="FILE_PATH",
    )

    def draw(self, context: bpy.types.Context) -> None:
        self.layout.prop(self, "python")


def python_path(context: bpy.types.Context) -> str:
    """The Python that the user prefers; empty for Blender's own."""
    addon = context.preferences.addons.get(__package__)
    return addon.preferences.python if addon else ""


classes = (KMTalkPreferences,)
