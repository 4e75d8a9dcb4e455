"""What users do while KMTalk works, in a window: undo, delete, rename, open files; never a crash, always a sentence."""

import sys
import time
from pathlib import Path

import bpy

sys.path.insert(0, str(Path(__file__).resolve().parent))
import window


def undo():
    with bpy.context.temp_override(window=bpy.context.window_manager.windows[0], area=window.view3d()):
        assert bpy.ops.ed.undo() == {"FINISHED"}


def undo_and_redo():
    undo()
    with bpy.context.temp_override(window=bpy.context.window_manager.windows[0], area=window.view3d()):
        assert bpy.ops.ed.redo() == {"FINISHED"}


def undo_everything():
    for _ in range(2):
        undo()


def delete_strip():
    compat = window.module("compat")
    for editor in [bpy.context.scene.sequence_editor]:
        strips = editor.strips if compat.NEW_STRIP_NAMES else editor.sequences
        strips.remove(strips[0])


def delete_scene():
    gone, manager = bpy.context.scene, bpy.context.window_manager
    manager.windows[0].scene = bpy.data.scenes.new("Other")
    if window.module("compat").SEQUENCER_SCENE:
        manager.windows[0].workspace.sequencer_scene = manager.windows[0].scene
    bpy.data.scenes.remove(gone)


def delete_head():
    bpy.data.objects.remove(bpy.data.objects["Head"])


def open_file():
    bpy.ops.wm.read_homefile(use_empty=False)


def rename():
    window.module("compat").all_strips(bpy.context.scene)[0].name = "Another"
    bpy.data.objects["Head"].name = "Somebody"


def other_workspace():
    manager = bpy.context.window_manager
    manager.windows[0].workspace = next(w for w in bpy.data.workspaces if w != manager.windows[0].workspace)


def other_rate():
    bpy.context.scene.render.fps = 30


def edit_mode():
    with bpy.context.temp_override(window=bpy.context.window_manager.windows[0], area=window.view3d()):
        bpy.ops.object.mode_set(mode="EDIT")


def other_buttons():
    for operator in (bpy.ops.kmtalk.self_check, bpy.ops.kmtalk.generate):
        try:
            with bpy.context.temp_override(window=bpy.context.window_manager.windows[0], area=window.view3d()):
                operator("INVOKE_DEFAULT")
        except RuntimeError as error:
            assert "at work" in str(error), error


def switch_off():
    import addon_utils

    addon_utils.disable(window.NAME)
    addon_utils.enable(window.NAME)


WORKS = ""  # as if nothing had happened
DONE = {
    undo_everything: "is gone", delete_strip: "The strip Line is gone", delete_scene: "The scene Scene is gone",
    delete_head: "The mesh Head is gone", other_rate: "was changed meanwhile", edit_mode: "is in Edit Mode",
    open_file: None, switch_off: None,
    undo: WORKS, undo_and_redo: WORKS, rename: WORKS, other_workspace: WORKS, other_buttons: WORKS,
}  # fmt: skip


def story():
    yield 1.0
    begin = time.monotonic()
    for number, (disturb, says) in enumerate(DONE.items()):
        # While the rig is built, or while the face is animated.
        yield from trouble(disturb, says, 1 + number % 2)
        print(f"{time.monotonic() - begin:.0f} s: survived {disturb.__name__}", flush=True)


def trouble(disturb, says, requests):
    """Generate, do something meanwhile, and see what has become of it."""
    bpy.ops.wm.read_homefile(use_empty=False)
    yield 0.3
    bpy.ops.ed.undo_push(message="empty")
    head = window.scene_with_head()
    window.module("compat").all_strips(bpy.context.scene)[0].frame_final_end = 90  # shorter is quicker
    bpy.ops.ed.undo_push(message="scene")
    head.location.x = 0.5
    bpy.ops.ed.undo_push(message="moved")
    yield from window.show_panel()
    current = window.module("session").current
    current.end_worker()  # a cold one is slow enough
    assert window.press(bpy.ops.kmtalk.generate) == {"RUNNING_MODAL"}
    while current.job is not None and current.worker._requests < requests:
        yield 0.02
    assert current.job is not None, "too fast to be disturbed"
    disturb()
    current = window.module("session").current  # another one if it was switched off and on
    yield from window.until_done()
    yield 0.3  # redrawn
    if says is None:
        assert current.error == "", current.error
        assert not bpy.data.actions
    elif says == WORKS:
        assert current.error == "", current.error
        head = next(obj for obj in bpy.data.objects if obj.type == "MESH")
        assert head.data.shape_keys is not None and bpy.data.actions
        undo()  # one step takes all of it back
        head = next(obj for obj in bpy.data.objects if obj.type == "MESH")
        assert head.data.shape_keys is None and not bpy.data.actions
    else:
        assert says in current.error and "of its own" not in current.error, current.error
        assert not bpy.data.actions and not bpy.data.shape_keys


window.tell(story)
