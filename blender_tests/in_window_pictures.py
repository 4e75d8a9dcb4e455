"""The pictures of the panel in the docs, blender.png and panel.png; no test. They are made by

    sh in_window.sh in_window_pictures.py 300

with the extension in the profile of $HOME, and lie in $HOME/logs.
"""

import subprocess
import sys
from pathlib import Path

import bpy

sys.path.insert(0, str(Path(__file__).resolve().parent))
import window
from window import LOGS, press


def story():
    """Try It, with the dope sheet below; then the sliders."""
    yield 1.0
    alone()
    yield 0.5
    press(bpy.ops.kmtalk.try_it)
    yield from window.until_done()
    yield 1.0
    bpy.ops.screen.animation_cancel()
    yield from window.show_panel()
    sheet = yield from below()
    bpy.context.scene.frame_set(widest())
    view = window.view3d()
    view.spaces.active.overlay.show_overlays = view.spaces.active.show_gizmo = False
    with bpy.context.temp_override(
        window=bpy.context.window_manager.windows[0], area=sheet, region=window.canvas(sheet)
    ):
        bpy.ops.action.view_all()
    yield from framed(-2)
    yield 2.0
    window.picture("blender")

    with bpy.context.temp_override(window=bpy.context.window_manager.windows[0], area=sheet):
        bpy.ops.screen.area_close()
    yield 1.0
    yield from framed(4)
    strip = window.module("strip").choose_strip(bpy.context.scene)
    strip.kmtalk.expression, strip.kmtalk.lips = "happy", 1.15
    yield from opened("bpy.ops.kmtalk.duplicate_take(")
    yield 1.0
    subprocess.run(
        ["import", "-window", "root", "-crop", "980x1000+420+0", "+repage", str(LOGS / "panel.png")], check=True
    )


def alone():
    """Close all editors but the 3-D view."""
    for kind in ("PROPERTIES", "OUTLINER", "DOPESHEET_EDITOR"):
        shown = bpy.context.window_manager.windows[0]
        area = next(area for area in shown.screen.areas if area.type == kind)
        with bpy.context.temp_override(window=shown, area=area):
            bpy.ops.screen.area_close()


def below():
    """The dope sheet under the 3-D view; the generator's value is its area."""
    shown = bpy.context.window_manager.windows[0]
    with bpy.context.temp_override(window=shown, area=window.view3d()):
        bpy.ops.screen.area_split(direction="HORIZONTAL", factor=0.3)
    yield 0.5
    sheet = min((area for area in shown.screen.areas if area.type == "VIEW_3D"), key=lambda area: area.y)
    sheet.ui_type = "DOPESHEET"
    sheet.spaces.active.show_region_ui = False
    yield 0.7
    return sheet


def framed(zoom: float):
    """Let the camera's picture fill the view."""
    view = window.view3d()
    with bpy.context.temp_override(window=bpy.context.window_manager.windows[0], area=view, region=window.canvas(view)):
        bpy.ops.view3d.view_center_camera()
    yield 0.3
    view.spaces.active.region_3d.view_camera_zoom += zoom


def opened(above: str):
    """Open the subpanel below a button by its heading."""
    x, y = yield from window.seek(above)
    window.xdo("mousemove", x, y + 27, "click", 1)
    yield 0.6
    window.xdo("mousemove", 300, 300)
    yield 0.5


def widest() -> int:
    """The frame on which the mouth is widest, with open eyes."""
    head = bpy.context.scene.kmtalk.mesh
    curves = window.module("compat").channels(window.module("keyframes").own_action(head)).fcurves
    jaw, lid = (next(c for c in curves if name in c.data_path) for name in ("jawOpen", "eyeBlinkLeft"))
    awake = [frame for frame in range(1, bpy.context.scene.frame_end) if lid.evaluate(frame) < 0.05]
    return max(awake, key=jaw.evaluate)


if __name__ == "__main__":
    window.tell(story)
