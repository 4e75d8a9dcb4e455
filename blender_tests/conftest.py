"""Fixtures inside of Blender, where the extension is installed and enabled; see `python -m blender_tests`."""

import importlib
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

# Before anything else is imported: what Blender's start with the extension has loaded.
AT_START = frozenset(name.split(".")[0] for name in sys.modules)

NAMES = ("bl_ext.user_default.kmtalk", "kmtalk_addon")  # as an extension, and as an add-on
try:
    import bpy
except ImportError:  # in the pytest outside, which only starts the one in Blender
    NAME = ""
else:
    NAME = next((name for name in NAMES if name in bpy.context.preferences.addons), "")


@pytest.fixture
def kmtalk():
    """The modules of the add-on by their names, in an empty file; the worker is ended afterwards."""
    assert NAME, "KMTalk is not enabled in this Blender"
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=False)
    names = ("compat", "keyframes", "api", "session", "job", "preferences", "lipsync", "strip")
    modules = {name: importlib.import_module(f"{NAME}.{name}") for name in names}
    yield SimpleNamespace(name=NAME, **modules)
    modules["session"].current.stop()


@pytest.fixture
def core() -> Path:
    """The folder of kmtalk_core."""
    return Path(importlib.import_module("kmtalk_core").__file__).parent


@pytest.fixture
def head(kmtalk, core):
    """The demo head as an importer would leave it, active."""
    from kmtalk_core.rig.mesh import load_mesh

    shape = load_mesh(core / "assets" / "demo_head.npz")
    mesh = bpy.data.meshes.new("Head")
    mesh.from_pydata(shape.vertices.tolist(), [], shape.faces.tolist())
    obj = bpy.data.objects.new("Head", mesh)
    bpy.context.scene.collection.objects.link(obj)
    bpy.context.view_layer.objects.active = obj
    return obj


@pytest.fixture
def strip(kmtalk, core):
    """The sample speech on frame 50."""
    if not bpy.app.build_options.audaspace:
        pytest.skip("this Blender was built without sound")
    path = str(core / "assets" / "sample_speech.flac")
    return kmtalk.compat.add_sound_strip(bpy.context.scene, "Line", path, 1, 50)


@pytest.fixture
def jaw(kmtalk):
    """`jaw(head)`: the keyframes of jawOpen as lists: frames, values, types, and the F-curve."""

    def look(obj):
        curves = kmtalk.compat.channels(
            kmtalk.keyframes.own_action(obj), kmtalk.compat.action_slot(obj.data.shape_keys.animation_data)
        ).fcurves
        curve = next(curve for curve in curves if "jawOpen" in curve.data_path)
        points = curve.keyframe_points
        return SimpleNamespace(
            curve=curve,
            frames=[point.co[0] for point in points],
            values=[point.co[1] for point in points],
            types=[point.type for point in points],
        )

    return look
