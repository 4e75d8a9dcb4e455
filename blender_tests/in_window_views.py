"""Key motions alone in the dope sheet and the graph editor, and heads of library overrides, by clicks and keys in a
window.

While completed keys are hidden, what plays is bit for bit the same; what is done to key motions is done to the line.
"""

import sys
from pathlib import Path

import bpy

sys.path.insert(0, str(Path(__file__).resolve().parent))
import in_window_lines as lines
import window
from in_window_lines import HOME, acting, all_content, clip, head, scene
from window import click, keys

FRAMES = range(40, 240)
CHECKBOX = 43  # pixels that it is below the button Add Key


def story():
    """The steps."""
    yield 1.0
    bpy.context.preferences.edit.undo_steps = 200
    lines.two_strips()
    yield from window.beside("SEQUENCE_EDITOR")
    yield from window.show_panel()
    yield 1.0
    for name in "AB":
        scene().kmtalk.strip = name
        yield from click("bpy.ops.kmtalk.generate(")
        assert not window.module("session").current.error, window.module("session").current.error
    own = acting()
    yield from hidden(own)
    yield from edited_in_graph(own)
    yield from moved_in_dope_sheet(own)
    yield from put_away(own)
    yield from saved(own)
    yield from overridden()


def plays() -> list[tuple[float, ...]]:
    """All that the face shows, on each frame."""
    now, seen = scene().frame_current, []
    for frame in FRAMES:
        scene().frame_set(frame)
        seen.append(tuple(block.value for block in head().data.shape_keys.key_blocks))
    scene().frame_set(now)
    return seen


def shown() -> bpy.types.FCurve:
    """The jaw's curve that the editors show."""
    data = head().data.shape_keys.animation_data
    path = data.id_data.key_blocks[clip("A").names["jawOpen"]].path_from_id("value")
    return next(curve for curve in window.module("compat").channels(data.action).fcurves if curve.data_path == path)


def frames_shown() -> list[float]:
    return [point.co[0] for point in shown().keyframe_points]


def until(so, otherwise):
    """Wait until it is `so`; a loaded machine takes its time for keys."""
    for _ in range(80):
        if so():
            return
        yield 0.1
    raise AssertionError(otherwise)


def toggled(to: bool):
    """A click on Show Completed Keys."""
    x, y = yield from window.seek("bpy.ops.kmtalk.add_key(", column=0.2)
    yield from window.press_at((x, y + CHECKBOX))
    yield 0.4
    assert lines.sound(scene().kmtalk.strip).kmtalk.show_completed is to


def hidden(own):
    """Switched off and on: nothing that plays changes."""
    yield from lines.shown_for_editing("A")
    before, made = plays(), all_content()
    yield from window.beside("FCURVES")
    yield from toggled(False)
    assert {point.type for point in shown().keyframe_points} == {"KEYFRAME"}
    assert plays() == before and all_content() == made and acting() == own
    area = yield from window.beside("FCURVES")
    yield from keys("Home", over=window.middle(area))
    window.picture("hidden_graph")
    area = yield from window.beside("DOPESHEET")
    yield from keys("Home", over=window.middle(area))
    window.picture("hidden_dope_sheet")
    yield from toggled(True)
    assert "GENERATED" in {point.type for point in shown().keyframe_points}
    assert plays() == before and all_content() == made
    yield from keys("ctrl+z")
    assert {point.type for point in shown().keyframe_points} == {"KEYFRAME"} and plays() == before
    yield from keys("ctrl+shift+z")
    assert "GENERATED" in {point.type for point in shown().keyframe_points} and plays() == before
    yield from toggled(False)
    print("completed keys hidden, shown, undone, redone: what plays is the same", flush=True)


def chosen(index):
    """Click on a key motion of the jaw in the graph editor; its frame and value."""
    area = yield from window.beside("FCURVES")
    curve = shown()
    for other in window.module("compat").channels(head().data.shape_keys.animation_data.action).fcurves:
        other.hide, other.select = other != curve, other == curve
    yield from keys("Home", over=window.middle(area))
    frame, value = shown().keyframe_points[index].co
    scale = clip("A").keys.animation_data.nla_tweak_strip_time_to_scene(frame)
    yield from window.press_at(window.place(area, scale, value))
    assert [p.co[0] for p in shown().keyframe_points if p.select_control_point] == [frame]
    return area, frame, value


def edited_in_graph(own):
    """A key motion pulled up: the line shows it at once; Esc takes it back exactly; completed, undone and redone."""
    before, made = plays(), all_content()
    area, frame, value = yield from chosen(2)
    yield from keys("g", "y", "0", "period", "3", over=window.middle(area))
    yield from until(
        lambda: abs(lines.jaw("A").evaluate(frame) - value - 0.3) < 1e-4, "the line does not show the edit"
    )
    window.picture("dragged")
    yield from keys("Escape", over=window.middle(area))
    yield from until(lambda: all_content() == made, "Esc has not taken it back exactly")
    assert plays() == before
    yield from window.typed("gy0.3", over=window.middle(area))
    yield from until(
        lambda: abs(lines.jaw("A").evaluate(frame) - value - 0.3) < 1e-4, "the line does not show the edit"
    )
    edited = all_content()
    yield from keys("ctrl+z")
    yield from until(lambda: all_content() == made, "it was not undone")
    assert plays() == before
    yield from keys("ctrl+shift+z")
    yield from until(lambda: all_content() == edited, "it was not redone")
    yield from click("bpy.ops.kmtalk.complete(")
    assert abs(lines.jaw("A").evaluate(frame) - value - 0.3) < 1e-4, "the edit was lost"
    assert abs(shown().evaluate(frame) - value - 0.3) < 1e-4
    assert {k: v for k, v in all_content().items() if k[0] == "B"} == {k: v for k, v in made.items() if k[0] == "B"}
    assert acting() == own
    print("a key motion edited alone, taken back by Esc, completed, undone, redone", flush=True)


def moved_in_dope_sheet(own):
    """All key motions are chosen and moved by two frames: their completed keys stay until the line is completed."""
    area = yield from window.beside("DOPESHEET")
    area.spaces.active.dopesheet.show_summary = True
    frames = frames_shown()
    yield from keys("Home", "alt+a", "a", over=window.middle(area))
    yield from window.typed("g1", over=window.middle(area))
    yield from until(lambda: frames_shown() == [frame + 1 for frame in frames], "they were not moved")
    yield from click("bpy.ops.kmtalk.complete(")
    keyed = {point.co[0] for point in lines.jaw("A").keyframe_points if point.type == "KEYFRAME"}
    assert keyed == {frame + 1 for frame in frames}, (keyed, frames)
    yield from keys("ctrl+z", "ctrl+z")
    yield from until(lambda: frames_shown() == frames, "it was not undone")
    yield from keys("ctrl+shift+z", "ctrl+shift+z")
    assert acting() == own
    window.picture("moved_dope_sheet")
    print("key motions moved in the dope sheet", flush=True)


def put_away(own):
    """Edit Keys puts the key motions away, and shows them again."""
    before, made = plays(), all_content()
    area = yield from window.beside("NLA_EDITOR")
    yield from keys("Home", over=window.middle(area))
    window.picture("nla_view")
    yield from click("bpy.ops.kmtalk.edit_keys(")
    data = head().data.shape_keys.animation_data
    assert not data.use_tweak_mode and data.action.name == "Acting" and acting() == own
    assert not any("Key Motions" in action.name for action in bpy.data.actions)
    assert not any("Key Motions" in track.name for track in data.nla_tracks)
    assert all_content() == made
    yield from lines.shown_for_editing("A")
    assert {point.type for point in shown().keyframe_points} == {"KEYFRAME"} and plays() == before
    print("put away and shown again", flush=True)


def saved(own):
    """The file holds what is hidden, too."""
    before, made = plays(), all_content()
    bpy.ops.wm.save_as_mainfile(filepath=str(HOME / "hidden.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(HOME / "hidden.blend"))
    yield 1.5
    assert plays() == before and all_content() == made and acting() == own
    assert {point.type for point in shown().keyframe_points} == {"KEYFRAME"}
    _, frame, value = yield from chosen(3)
    area = yield from window.beside("FCURVES")
    yield from window.typed("gy0.2", over=window.middle(area))
    yield from click("bpy.ops.kmtalk.complete(")
    assert abs(lines.jaw("A").evaluate(frame) - value - 0.2) < 1e-4
    bpy.ops.wm.save_as_mainfile(filepath=str(HOME / "library.blend"))
    print("saved and loaded", flush=True)


def overridden():
    """A linked head is overridden, its mesh by the button; a line is made on it, edited, saved and loaded."""
    before = plays()
    bpy.ops.wm.read_homefile(use_empty=False)
    yield 1.0
    for obj in list(bpy.data.objects):
        bpy.data.objects.remove(obj)
    with bpy.data.libraries.load(str(HOME / "library.blend"), link=True) as (_, wanted):
        wanted.objects = ["Head"]
    bpy.context.scene.collection.objects.link(wanted.objects[0])
    bpy.context.view_layer.objects.active = wanted.objects[0]
    wanted.objects[0].select_set(True)
    window.module("compat").show_in_sequencer(bpy.context, bpy.context.scene)
    yield from window.show_panel()
    yield 0.5
    with bpy.context.temp_override(window=bpy.context.window_manager.windows[0], area=window.view3d()):
        assert bpy.ops.object.make_override_library() == {"FINISHED"}
    yield 1.0
    own_head = next(obj for obj in bpy.data.objects if obj.override_library is not None)
    bpy.context.view_layer.objects.active = own_head
    scene().kmtalk.mesh = own_head
    window.module("compat").add_sound_strip(scene(), "C", str(HOME / "recorded.flac"), 1, 400).frame_final_end = 460
    scene().kmtalk.strip = "C"
    yield 0.7
    if own_head.data.library is not None:
        said = window.module("operators").what_is_missing(bpy.context)
        assert "is still linked; press Own Meshes" in said, said
        window.picture("override")
        yield from click("bpy.ops.kmtalk.own_meshes(")
    assert own_head.data.override_library is not None, "the mesh is still linked"
    yield from click("bpy.ops.kmtalk.generate(")
    assert not window.module("session").current.error, window.module("session").current.error
    theirs = plays_on(own_head, FRAMES)
    wart = own_head.data.shape_keys.key_blocks.find("Wart")  # which the user's Action moves, and that plays again
    assert close([no(wart, pose) for pose in theirs], [no(wart, pose) for pose in before])
    line = plays_on(own_head, range(400, 460))
    assert max(max(pose) for pose in line) > 0.2, "the override does not speak"
    window.picture("override_speaks")
    yield from click("bpy.ops.kmtalk.edit_keys(")
    yield from keys("ctrl+z")
    yield from keys("ctrl+shift+z")
    name = own_head.name
    bpy.ops.wm.save_as_mainfile(filepath=str(HOME / "shot.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(HOME / "shot.blend"))
    yield 1.5
    own_head = next(obj for obj in bpy.data.objects if obj.override_library is not None and obj.name == name)
    assert close(plays_on(own_head, FRAMES), theirs) and close(plays_on(own_head, range(400, 460)), line)
    yield from click("bpy.ops.kmtalk.complete(")
    own_head = next(obj for obj in bpy.data.objects if obj.override_library is not None and obj.name == name)
    assert close(plays_on(own_head, FRAMES), theirs) and close(plays_on(own_head, range(400, 460)), line)
    print("overridden, spoken, saved and loaded", flush=True)


def plays_on(obj, frames) -> list[tuple[float, ...]]:
    seen = []
    for frame in frames:
        scene().frame_set(frame)
        seen.append(tuple(block.value for block in obj.data.shape_keys.key_blocks))
    return seen


def no(index, pose) -> tuple[float, ...]:
    return pose[:index] + pose[index + 1 :]


def close(one, other) -> bool:
    return max(abs(a - b) for p, q in zip(one, other, strict=True) for a, b in zip(p, q, strict=True)) < 1e-5


if __name__ == "__main__":
    window.tell(story)
