"""A head about which nothing is known, in a window: found, a point dragged, all picked anew, saved, and speaking."""

import math
import sys
from pathlib import Path

import bpy

sys.path.insert(0, str(Path(__file__).resolve().parent))
import window
from window import LOGS, keys, picture, press, xdo


def story():
    """The steps."""
    yield 1.0
    head, true = stranger()
    yield from window.show_panel()
    with bpy.context.temp_override(window=bpy.context.window_manager.windows[0], area=window.view3d(), region=canvas()):
        bpy.ops.view3d.view_axis(type="FRONT")
        bpy.ops.view3d.view_selected()
    yield 1.5
    picture("landmarks_unknown")
    assert not bpy.ops.kmtalk.generate.poll()
    bpy.ops.ed.undo_push(message="prepared")

    yield from window.click("bpy.ops.kmtalk.find_landmarks", 0.25)
    found = marks(head)
    assert len(set(found)) == 68, window.module("session").current.error
    yield 0.5
    picture("landmarks_found")
    yield from dragged(head, found)
    yield from picked(head, true)

    path = str(LOGS / "landmarks.blend")
    noted = marks(head)
    bpy.ops.wm.save_as_mainfile(filepath=path)
    bpy.ops.wm.open_mainfile(filepath=path)
    yield 2.0
    head = bpy.data.objects["Stranger"]
    assert marks(head) == noted, "what was picked is not saved"
    assert press(bpy.ops.kmtalk.generate) == {"RUNNING_MODAL"}
    yield from window.until_done()
    assert not window.module("session").current.error, window.module("session").current.error
    blocks = head.data.shape_keys.key_blocks
    assert "jawOpen" in blocks and "mouthPucker" in blocks
    action = window.module("keyframes").own_action(head)
    curves = window.module("compat").channels(action).fcurves
    jaw = next(curve for curve in curves if "jawOpen" in curve.data_path)
    widest = max(jaw.keyframe_points, key=lambda point: point.co[1])
    bpy.context.scene.frame_set(int(widest.co[0]))
    yield 1.0
    picture("landmarks_speaking")


def dragged(head, found):
    """A point follows the mouse, alone; undo takes it back."""
    assert press(bpy.ops.kmtalk.move_landmarks) == {"RUNNING_MODAL"}
    yield 0.5
    x, y = on_screen(head, found[30])
    xdo("mousemove", x, y, "mousedown", 1)
    yield 0.3
    for step in range(1, 7):
        xdo("mousemove", x + 3 * step, y + 2 * step)
        yield 0.1
    picture("landmarks_dragged")
    xdo("mouseup", 1)
    yield 0.3
    yield from keys("Return")
    now = marks(head)
    assert [k for k in range(68) if now[k] != found[k]] == [30], "not just the one that was dragged has moved"
    yield from keys("ctrl+z")
    yield 0.5
    head = bpy.data.objects["Stranger"]
    assert marks(head) == found, "undo did not take it back"


def picked(head, true):
    """All points are clicked as the picture asks for them; Backspace takes one back."""
    from kmtalk_core.landmarks.picking import GUIDE

    head = bpy.data.objects["Stranger"]
    assert press(bpy.ops.kmtalk.pick_landmarks) == {"RUNNING_MODAL"}
    yield 0.5
    editing = window.module("session").current
    for number, mark in enumerate(GUIDE):
        assert editing.editing.wanted == mark, f"the click before {mark} was not taken"
        x, y = on_screen(head, true[mark])
        xdo("mousemove", x, y, "click", 1)
        yield 0.25
        if number == 11:
            picture("landmarks_picking")
            before = dict(editing.editing.marks)
            yield from keys("BackSpace")
            assert len(editing.editing.marks) == len(before) - 1, "Backspace took nothing back"
            xdo("mousemove", x, y, "click", 1)
            yield 0.25
    yield 0.5
    if editing.editing is not None:  # the corner of the jaw is hardly seen from the front
        yield from keys("Return")
    assert editing.editing is None, "it does not end"
    now = marks(head)
    size = max(head.dimensions)
    off = [distance(head, now[mark], true[mark]) / size for mark in range(68)]
    # Seen from the front, chin and jaw lie on the outline, where a click may meet the neck behind.
    assert max(off[17:]) < 0.02, [round(value, 3) for value in off]
    picture("landmarks_picked")


def stranger():
    """The face of the demo head without its other parts, each of its faces in four: nobody knows its topology."""
    import kmtalk_core
    from kmtalk_core.rig.mesh import load_mesh

    head = window.scene_with_head()
    known = load_mesh(Path(kmtalk_core.__file__).parent / "assets" / "demo_head.npz")
    mesh = bpy.data.meshes.new("Stranger")
    skin = known.components == 0
    mesh.from_pydata(known.vertices.tolist(), [], known.faces[skin[known.faces].all(1)].tolist())
    mesh.shade_smooth()
    head.data, head.name = mesh, "Stranger"
    head.rotation_euler.x = math.pi / 2
    with bpy.context.temp_override(object=head, active_object=head):
        head.select_set(True)
        modifier = head.modifiers.new("Subdivision", "SUBSURF")
        modifier.subdivision_type, modifier.levels = "SIMPLE", 1
        bpy.ops.object.modifier_apply(modifier="Subdivision")
    return head, known.landmarks.tolist()


def marks(head):
    noted = window.module("landmarks").of(head.data)
    return [] if noted is None else noted.tolist()


def distance(head, a, b):
    return (head.data.vertices[a].co - head.data.vertices[b].co).length


def canvas():
    return next(region for region in window.view3d().regions if region.type == "WINDOW")


def on_screen(head, vertex):
    """Where a vertex is on the screen, in xdotool's pixels."""
    places = window.module("landmark_drawing").screen_points
    with bpy.context.temp_override(window=bpy.context.window_manager.windows[0], area=window.view3d(), region=canvas()):
        (place,) = places(bpy.context, canvas(), head, [vertex])
    height = bpy.context.window_manager.windows[0].height
    return round(canvas().x + place.x), round(height - canvas().y - place.y)


if __name__ == "__main__":
    window.tell(story)
