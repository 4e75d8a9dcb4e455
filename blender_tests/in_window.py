"""What a user does with KMTalk in a window; Blender runs it (see in_window.sh), and it ends Blender when it is done."""

import importlib
import math
import subprocess
import sys
from pathlib import Path

import bpy

sys.path.insert(0, str(Path(__file__).resolve().parent))
import window as helpers
from window import LOGS, NAME, picture, press


def story():
    """The steps."""
    yield 1.0
    modules = {name: helpers.module(name) for name in ("session", "compat", "keyframes")}
    current, compat, keyframes = modules["session"].current, modules["compat"], modules["keyframes"]
    head = helpers.scene_with_head()
    window, area = bpy.context.window_manager.windows[0], helpers.view3d()
    yield from helpers.show_panel()
    head.rotation_euler.x = math.pi / 2
    head.select_set(True)
    with bpy.context.temp_override(window=window, area=area, region=area.regions[-1]):
        bpy.ops.view3d.view_axis(type="FRONT")
        bpy.ops.view3d.view_selected()
    yield 1.0
    picture("panel")

    assert press(bpy.ops.kmtalk.generate) == {"RUNNING_MODAL"}
    yield from helpers.until_done()
    assert not current.error, current.error
    action = keyframes.own_action(head)
    curves = compat.channels(action).fcurves
    jaw = next(curve for curve in curves if "jawOpen" in curve.data_path)
    values = [point.co[1] for point in jaw.keyframe_points]
    assert max(values) > 0.2 and len(values) > 50
    bpy.context.scene.frame_set(int(jaw.keyframe_points[max(range(len(values)), key=values.__getitem__)].co[0]))
    yield 1.0
    picture("generated")
    yield from curves_shown(window)

    current.stop()  # a cold worker is slow enough to be cancelled
    assert press(bpy.ops.kmtalk.generate) == {"RUNNING_MODAL"}
    worker = current.worker
    yield 0.1
    # Without a window manager nobody gives the window the focus.
    focus = ["search", "--onlyvisible", "--class", "blender", "windowfocus", "--sync"]
    subprocess.run(["xdotool", "mousemove", "500", "400", *focus, "key", "Escape"], check=True)
    for _ in range(50):
        if current.job is None:
            break
        yield 0.1
    assert current.job is None and not worker.alive, "Esc did not cancel"
    assert [point.co[1] for point in jaw.keyframe_points] == values, "cancelling changed the file"

    keys = [point for point in jaw.keyframe_points if point.type == "KEYFRAME"]
    frame = keys[len(keys) // 2].co[0]
    keys[len(keys) // 2].co[1] = 0.625
    assert press(bpy.ops.kmtalk.complete) == {"RUNNING_MODAL"}
    yield from helpers.until_done()
    jaw = jaw_of(compat, action)
    assert jaw.evaluate(frame) == 0.625

    # By itself, where that is wanted.
    compat.sequencer_scene(bpy.context).kmtalk.rerun = True
    key = next(point for point in jaw.keyframe_points if point.co[0] == frame)
    key.co[1] = 0.5
    jaw.update()
    action.update_tag()
    count = helpers.module("takes").loaded(action.kmtalk_takes[0].result)
    for _ in range(100):
        yield 0.1
        if helpers.module("takes").loaded(action.kmtalk_takes[0].result) is not count:
            break
    assert current.job is None and not current.error, current.error
    assert abs(jaw_of(compat, action).evaluate(frame) - 0.5) < 1e-6, "it did not run by itself"
    compat.sequencer_scene(bpy.context).kmtalk.rerun = False

    bpy.ops.screen.userpref_show()
    bpy.context.preferences.active_section = "ADDONS"
    bpy.context.window_manager.addon_search = "KMTalk"
    bpy.ops.preferences.addon_expand(module=NAME)
    assert press(bpy.ops.kmtalk.self_check) == {"RUNNING_MODAL"}
    yield from helpers.until_done()
    missing = [finding for finding in current.findings if not finding.works and not finding.optional]
    assert current.findings and not missing, missing
    yield 1.0
    picture("self_check")
    bpy.context.preferences.addons[NAME].preferences.interpreter = "ENVIRONMENT"
    importlib.import_module(f"{NAME}.environment").redraw_preferences(bpy.context)
    yield 1.0
    picture("preferences")
    assert not bpy.ops.kmtalk.create_environment.poll(), "it would go online, which nobody has allowed"

    bpy.context.preferences.system.use_online_access = True
    chosen = bpy.context.preferences.addons[NAME].preferences
    chosen.environment_folder, chosen.torch_device = str(LOGS.parent / "environment"), "cpu"
    assert press(bpy.ops.kmtalk.create_environment) == {"RUNNING_MODAL"}
    yield 1.0
    picture("environment")
    assert current.environment_message == "making the environment"
    assert bpy.ops.kmtalk.cancel_environment() == {"FINISHED"} and current.environment is None
    yield 1.0
    assert press(bpy.ops.kmtalk.create_environment) == {"RUNNING_MODAL"}
    while current.environment is not None:
        yield 0.2
    # There is no network here: that is one sentence, and what was done stays.
    assert "The packages could not be downloaded; check the connection" in current.environment_error
    yield 1.0
    picture("offline")


def jaw_of(compat, action):
    return next(curve for curve in compat.channels(action).fcurves if "jawOpen" in curve.data_path)


def curves_shown(window):
    """The dope sheet and the graph editor with the line, as it is opened for editing; then all as it was."""
    area = max((a for a in window.screen.areas if a.type != "VIEW_3D"), key=lambda a: a.width * a.height)
    kind = area.type
    view = helpers.view3d()
    for where, shown in ((area, "DOPESHEET_EDITOR"), (view, "GRAPH_EDITOR")):
        where.type = shown
    yield 1.0
    for where in (area, view):
        region = next(region for region in where.regions if region.type == "WINDOW")
        with bpy.context.temp_override(window=window, area=where, region=region):
            (bpy.ops.action if where == area else bpy.ops.graph).view_all()
    yield 1.5
    picture("curves")
    area.type, view.type = kind, "VIEW_3D"
    yield 1.0


helpers.tell(story)
