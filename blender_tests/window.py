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


def xdo(*words: object) -> None:
    """Let xdotool do something with the mouse or the keyboard, as a user's hand."""
    subprocess.run(["xdotool", *map(str, words)], check=True)


def panel_region() -> bpy.types.Region:
    """The sidebar of the 3-D view, with the panel."""
    return next(region for region in view3d().regions if region.type == "UI")


def hovered() -> str:
    """What the button under the mouse in the sidebar would call, as Blender's own menu copies it; "" for none."""
    manager = bpy.context.window_manager
    manager.clipboard = ""
    with bpy.context.temp_override(window=manager.windows[0], area=view3d(), region=panel_region()):
        if bpy.ops.ui.copy_python_command_button.poll():
            bpy.ops.ui.copy_python_command_button()
        elif bpy.ops.ui.copy_data_path_button.poll():
            bpy.ops.ui.copy_data_path_button(full_path=True)
    return manager.clipboard


def seek(call: str, column: float = 0.5, step: int = 9, between: tuple[int, int] | None = None) -> Iterator[float]:
    """Move the mouse down the panel to a button whose call begins so; the generator's value is its place on the screen.

    `column`: where the mouse goes down, as a share of the panel's width; `between`: from and to where on the screen.
    """
    region, height = panel_region(), bpy.context.window_manager.windows[0].height
    x = round(region.x + column * region.width)
    if call in _PLACES:
        x, y = _PLACES[call]
        xdo("mousemove", x, y - 1, "mousemove", x, y)
        yield 0.1
        if hovered().startswith(call):
            return x, y
    first, last = between or (height - region.y - region.height + 12, height - region.y - 8)
    for y in range(first, min(last, height - region.y - 8), step):
        xdo("mousemove", x, y)
        yield 0.02
        if hovered().startswith(call):
            yield 0.1  # the button may have been the one before
            if hovered().startswith(call):
                _PLACES[call] = x, y
                return x, y
    picture("not_found")
    raise AssertionError(f"there is no button {call} in the panel")


def click(call: str, column: float = 0.5) -> Iterator[float]:
    """Press the button with the left mouse button, and wait until nothing is at work."""
    yield from seek(call, column)
    xdo("click", 1)
    yield 0.4
    yield from until_done()
    yield 0.3


def open_subpanel(above: str, inside: str) -> Iterator[float]:
    """Open the subpanel whose heading is somewhere below the button `above`, with the button `inside`; the generator's
    value is how far below."""
    x, y = yield from seek(above)
    for down in range(26, 120, 10):
        xdo("mousemove", x, y + down, "click", 1)
        yield 0.3
        xdo("mousemove", x, y + down + 1)
        yield 0.2
        try:
            yield from seek(inside, step=12, between=(y + down + 12, y + down + 280))
            return down
        except AssertionError:
            continue
    raise AssertionError(f"no subpanel below {above} has {inside}")


def keys(*names: str) -> Iterator[float]:
    """Press keys with the mouse over the 3-D view, which has the focus."""
    area, height = view3d(), bpy.context.window_manager.windows[0].height
    # Without a window manager nobody gives the window the focus.
    xdo("search", "--onlyvisible", "--class", "blender", "windowfocus", "--sync")
    xdo("mousemove", area.x + 200, height - area.y - 200, "mousemove", area.x + 203, height - area.y - 203)
    yield 0.1
    for name in names:
        xdo("key", name)
        yield 0.4


_PLACES: dict[str, tuple[int, int]] = {}  # where buttons were last


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
