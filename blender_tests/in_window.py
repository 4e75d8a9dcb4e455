"""What a user does with KMTalk in a window; Blender runs it (see in_window.sh), and it ends Blender when it is done.

A generator says how many seconds to wait before its next step, for in a window the work is done in the background.
"""

import importlib
import math
import os
import subprocess
import sys
import traceback
from pathlib import Path

import bpy

NAME = "bl_ext.user_default.kmtalk"
LOGS = Path(os.environ["HOME"]) / "logs"
PATIENCE = 120  # s for one run on a slow machine


def story():
    """The steps."""
    yield 1.0
    modules = {name: importlib.import_module(f"{NAME}.{name}") for name in ("session", "compat", "keyframes")}
    current, compat, keyframes = modules["session"].current, modules["compat"], modules["keyframes"]
    head = scene_with_head(compat)
    window = bpy.context.window_manager.windows[0]
    area = next(area for area in window.screen.areas if area.type == "VIEW_3D")
    area.spaces.active.show_region_ui = True
    yield 1.0
    region = next(region for region in area.regions if region.type == "UI")
    region.active_panel_category = "KMTalk"
    head.rotation_euler.x = math.pi / 2
    head.select_set(True)
    with bpy.context.temp_override(window=window, area=area, region=area.regions[-1]):
        bpy.ops.view3d.view_axis(type="FRONT")
        bpy.ops.view3d.view_selected()
    yield 1.0
    picture("panel")

    def press(operator):
        with bpy.context.temp_override(window=window, area=area):
            return operator("INVOKE_DEFAULT")

    assert press(bpy.ops.kmtalk.generate) == {"RUNNING_MODAL"}
    waited = 0.0
    while current.job is not None:
        yield 0.2
        waited += 0.2
        assert waited < PATIENCE, f"still at work: {current.message}"
    assert not current.error, current.error
    action = keyframes.own_action(head)
    curves = compat.channels(action, compat.action_slot(head.data.shape_keys.animation_data)).fcurves
    jaw = next(curve for curve in curves if "jawOpen" in curve.data_path)
    values = [point.co[1] for point in jaw.keyframe_points]
    assert max(values) > 0.2 and len(values) > 100
    bpy.context.scene.frame_set(int(jaw.keyframe_points[max(range(len(values)), key=values.__getitem__)].co[0]))
    yield 1.0
    picture("generated")

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

    keys = [index for index, point in enumerate(jaw.keyframe_points) if point.type == "KEYFRAME"]
    jaw.keyframe_points[keys[len(keys) // 2]].co[1] = 0.625
    assert press(bpy.ops.kmtalk.complete) == {"RUNNING_MODAL"}
    while current.job is not None:
        yield 0.2
    curves = compat.channels(action, compat.action_slot(head.data.shape_keys.animation_data)).fcurves
    jaw = next(curve for curve in curves if "jawOpen" in curve.data_path)
    assert jaw.keyframe_points[keys[len(keys) // 2]].co[1] == 0.625

    bpy.ops.screen.userpref_show()
    bpy.context.preferences.active_section = "ADDONS"
    bpy.context.window_manager.addon_search = "KMTalk"
    bpy.ops.preferences.addon_expand(module=NAME)
    assert press(bpy.ops.kmtalk.self_check) == {"RUNNING_MODAL"}
    while current.job is not None:
        yield 0.2
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


def scene_with_head(compat):
    """The demo head, chosen, with the sample speech on frame 50."""
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
    scene = compat.sequencer_scene(bpy.context)
    scene.kmtalk.mesh = head
    compat.add_sound_strip(scene, "Line", str(assets / "sample_speech.flac"), 1, 50)
    return head


def picture(name):
    subprocess.run(["import", "-window", "root", str(LOGS / f"{name}.png")], check=True)


def go_on():
    """Take the next step, from a timer."""
    try:
        return next(steps)
    except StopIteration:
        print("The window works.", flush=True)
        status = 0
    except BaseException:
        traceback.print_exc()
        picture("failed")
        status = 1
    importlib.import_module(f"{NAME}.session").current.stop()
    sys.stdout.flush()
    os._exit(status)  # without asking whether to save


bpy.context.preferences.view.show_splash = False
steps = story()
bpy.app.timers.register(go_on, first_interval=2.0)
