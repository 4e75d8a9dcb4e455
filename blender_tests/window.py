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


def hovered(area: bpy.types.Area | None = None, region: bpy.types.Region | None = None) -> str:
    """What the button under the mouse in a region, the sidebar by default, would call, as Blender's own menu copies it;
    "" for none."""
    manager = bpy.context.window_manager
    manager.clipboard = ""
    with bpy.context.temp_override(window=manager.windows[0], area=area or view3d(), region=region or panel_region()):
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


def keys(*names: str, over: tuple[int, int] | None = None) -> Iterator[float]:
    """Press keys with the mouse `over` a place of the screen, by default the 3-D view."""
    area = view3d()
    x, y = over or screen(area.x + max((panel_region().x - area.x) // 2, 100), area.y + area.height // 2)
    focus()
    xdo("mousemove", x - 2, y - 2, "mousemove", x, y)
    yield 0.2
    for name in names:
        xdo("key", name)
        yield 0.4


def typed(text: str, over: tuple[int, int]) -> Iterator[float]:
    """Press the keys of a text one after the other, and Return at the end."""
    letters = {"-": "minus", ".": "period"}
    yield from keys(*(letters.get(letter, letter) for letter in text), "Return", over=over)


def focus() -> None:
    """Give the window the focus: without a window manager nobody does."""
    xdo("search", "--onlyvisible", "--class", "blender", "windowfocus", "--sync")


def screen(x: float, y: float) -> tuple[int, int]:
    """Where a place of Blender's window, counted from below, is on the screen."""
    return round(x), round(bpy.context.window_manager.windows[0].height - y)


def beside(kind: str) -> Iterator[float]:
    """Show an editor (`ui_type`, or the shape key editor) left of the 3-D view; the generator's value is its area."""
    window = bpy.context.window_manager.windows[0]
    areas = [area for area in window.screen.areas if area.height > 500 and area.x < 100]
    if len(areas) == 1 and areas[0].type == "VIEW_3D":
        with bpy.context.temp_override(window=window, area=areas[0]):
            bpy.ops.screen.area_split(direction="VERTICAL", factor=0.55)
        yield 0.5
        areas = [area for area in window.screen.areas if area.height > 500 and area.x < 100]
    areas[0].ui_type = "DOPESHEET" if kind == "SHAPEKEY" else kind
    if kind == "SHAPEKEY":
        areas[0].spaces.active.ui_mode = kind
    areas[0].spaces.active.show_region_ui = False
    _PLACES.clear()
    yield 0.7
    return areas[0]


def canvas(area: bpy.types.Area) -> bpy.types.Region:
    return next(region for region in area.regions if region.type == "WINDOW")


def place(area: bpy.types.Area, x: float, y: float) -> tuple[int, int]:
    """Where frame `x` and height `y` of an editor are on the screen."""
    region = canvas(area)
    at = region.view2d.view_to_region(x, y, clip=False)
    return screen(region.x + at[0], region.y + at[1])


def middle(area: bpy.types.Area) -> tuple[int, int]:
    region = canvas(area)
    return screen(region.x + region.width // 2, region.y + region.height // 2)


def drag(start: tuple[int, int], end: tuple[int, int]) -> Iterator[float]:
    """Pull the mouse from one place of the screen to another, with the left button down."""
    focus()
    xdo("mousemove", *start)
    yield 0.2
    xdo("mousedown", 1)
    for share in (0.1, 0.4, 0.7, 1.0):
        yield 0.1
        xdo("mousemove", *(round(a + share * (b - a)) for a, b in zip(start, end, strict=True)))
    yield 0.2
    xdo("mouseup", 1)
    yield 0.4


def press_at(at: tuple[int, int]) -> Iterator[float]:
    """A click of the left mouse button."""
    focus()
    xdo("mousemove", at[0] - 3, at[1] - 3, "mousemove", *at)
    yield 0.2
    xdo("click", 1)
    yield 0.4


def press_in_header(area: bpy.types.Area, call: str) -> Iterator[float]:
    """Press a button of an editor's header."""
    region = next(region for region in area.regions if region.type == "HEADER")
    for across in range(10, region.width - 4, 12):
        at = screen(region.x + across, region.y + region.height // 2)
        xdo("mousemove", *at)
        yield 0.03
        if hovered(area, region).startswith(call):
            yield from press_at(at)
            return
    picture("not_found")
    raise AssertionError(f"there is no button {call} in the header")


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
    bpy.context.preferences.view.smooth_view = 0  # ms: views are where they will be
    bpy.app.timers.register(go_on, first_interval=2.0, persistent=True)
