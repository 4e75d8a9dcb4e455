"""What the scripts that run in a window share; they are told to Blender as files, and import this from beside them.

A script is a generator of seconds to wait before its next step, for in a window the work is done in the background.
"""

import importlib
import os
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import bpy

NAME = "bl_ext.user_default.kmtalk"
LOGS = Path(os.environ["HOME"]) / "logs"
PATIENCE = 120  # s for one run on a slow machine


def module(name: str):
    """A module of the installed extension."""
    return importlib.import_module(f"{NAME}.{name}")


def scene_with_head():
    """The demo head, chosen, with the sample speech on frame 50, and nothing else."""
    import kmtalk_core
    from kmtalk_core.rig.mesh import load_mesh

    assets = Path(kmtalk_core.__file__).parent / "assets"
    shape = load_mesh(assets / "demo_head.npz")
    for obj in list(bpy.data.objects):
        bpy.data.objects.remove(obj)
    mesh = bpy.data.meshes.new("Head")
    mesh.from_pydata(shape.vertices.tolist(), [], shape.faces.tolist())
    mesh.shade_smooth()
    head = bpy.data.objects.new("Head", mesh)
    bpy.context.scene.collection.objects.link(head)
    bpy.context.view_layer.objects.active = head
    scene = module("compat").sequencer_scene(bpy.context)
    scene.kmtalk.mesh = head
    module("compat").add_sound_strip(scene, "Line", str(assets / "sample_speech.flac"), 1, 50)
    return head


def show_panel() -> Iterator[float]:
    """Open the sidebar of the 3-D view, with KMTalk's panel."""
    area = view3d()
    area.spaces.active.show_region_ui = True
    yield 0.7
    region = next(region for region in view3d().regions if region.type == "UI")
    region.active_panel_category = "KMTalk"


def view3d() -> bpy.types.Area:
    return next(area for area in bpy.context.window_manager.windows[0].screen.areas if area.type == "VIEW_3D")


def press(operator, **arguments):
    """Start an operator as a button of the 3-D view does."""
    with bpy.context.temp_override(window=bpy.context.window_manager.windows[0], area=view3d()):
        return operator("INVOKE_DEFAULT", **arguments)


def until_done() -> Iterator[float]:
    """Wait until nothing is at work."""
    current, waited = module("session").current, 0.0
    while current.job is not None:
        yield 0.1
        waited += 0.1
        assert waited < PATIENCE, f"still at work: {current.message}"


def picture(name: str) -> None:
    subprocess.run(["import", "-window", "root", str(LOGS / f"{name}.png")], check=True)


def tell(story: Callable[[], Iterator[float]]) -> None:
    """Take the steps of a story from a timer, and end Blender when it is over."""
    steps = story()

    def go_on():
        try:
            return next(steps)
        except StopIteration:
            print("The window works.", flush=True)
            status = 0
        except BaseException:
            traceback.print_exc()
            picture("failed")
            status = 1
        module("session").current.stop()
        sys.stdout.flush()
        os._exit(status)  # without asking whether to save

    bpy.context.preferences.view.show_splash = False
    bpy.app.timers.register(go_on, first_interval=2.0, persistent=True)
