"""Lines, takes and whole scenes as an animator works with them, by clicks and keys in a window.

After each step: no frame of another line has changed, and no key of the user's.
"""

import itertools
import shutil
import sys
from pathlib import Path

import bpy

sys.path.insert(0, str(Path(__file__).resolve().parent))
import window
from window import LOGS, click, keys

HOME = LOGS.parent


def head():
    return next(obj for obj in bpy.data.objects if obj.type == "MESH" and obj.name.startswith("Head"))


def scene():
    return window.module("compat").sequencer_scene(bpy.context)


def sound(name):
    return next(strip for strip in window.module("compat").all_strips(scene()) if strip.name == name)


def clip(name):
    return window.module("takes").find_clip(scene(), name, head())


def lie(name):
    clips = window.module("clips")
    return clips.lie_of(clip(name).take)


def content(action):
    """Types and values of all keyframes, on the frames after the first one."""
    snapshot = window.module("keyframes").snapshot(action)
    first = min(xy[0, 0] for xy, _ in snapshot.values())
    return {path: (xy - [first, 0.0]).round(4).tolist() + types.tolist() for path, (xy, types) in snapshot.items()}


def all_content():
    takes, api = window.module("takes"), window.module("clips")
    return {
        (api.take_of(action).name, api.take_of(action).title): content(action)
        for action in takes.own_actions(head().data.shape_keys)
    }


def acting():
    """The user's own keyframes."""
    curves = window.module("compat").all_fcurves(bpy.data.actions["Acting"])
    return [tuple(point.co) for curve in curves for point in curve.keyframe_points]


def titles(name):
    return [(take.title, take.plays) for take in window.module("api").takes(head(), name)]


def story():
    """The steps."""
    yield 1.0
    bpy.context.preferences.edit.undo_steps = 200
    two_strips()
    yield from window.beside("SEQUENCE_EDITOR")
    yield from window.show_panel()
    yield 1.0
    own = acting()
    bpy.ops.ed.undo_push(message="prepared")
    yield from generate_all()
    yield from moves(own)
    yield from keys_by_mouse(own)
    yield from takes_by_clicks(own)
    yield from recorded_again(own)
    yield from pushed_down(own)
    yield from saved_and_loaded(own)
    yield from appended_and_linked()


def two_strips():
    """The head with a key of the user's own, and two short strips."""
    obj = window.scene_with_head()
    compat = window.module("compat")
    obj.shape_key_add(name="Basis", from_mix=False)
    wart = obj.shape_key_add(name="Wart", from_mix=False)
    for frame, value in ((1, 0.0), (30, 1.0), (60, 0.25)):
        wart.value = value
        wart.keyframe_insert("value", frame=frame)
    obj.data.shape_keys.animation_data.action.name = "Acting"
    for number, strip in enumerate(compat.all_strips(scene())):
        strip.name = "A"
        copied = HOME / "recorded.flac"
        shutil.copy(bpy.path.abspath(strip.sound.filepath), copied)
        second = compat.add_sound_strip(scene(), "B", str(copied), 2 + number, 160)
        strip.frame_final_end, second.frame_final_end = 100, 230
    obj.select_set(True)
    compat.show_in_sequencer(bpy.context, scene())


def generate_all():
    """One push, one undo step."""
    down = yield from window.open_subpanel("bpy.ops.kmtalk.generate(", "bpy.ops.kmtalk.generate_scene(")
    yield from click("bpy.ops.kmtalk.generate_scene(")
    assert not window.module("session").current.error, window.module("session").current.error
    made = all_content()
    assert len(made) == 2, made.keys()
    window.picture("scene")
    yield from keys("ctrl+z")
    assert len(head().data.shape_keys.key_blocks) == 2 and len(bpy.data.actions) == 1
    yield from keys("ctrl+shift+z")
    assert all_content() == made
    yield from click("bpy.ops.kmtalk.generate_scene(")
    assert all_content() == made, "generating again changed something"
    x, y = yield from window.seek("bpy.ops.kmtalk.generate(")
    window.xdo("mousemove", x, y + down, "click", 1)  # close it, for there is more below
    yield 0.5
    print("whole scene: generated, undone, redone, generated again", flush=True)


def slide(names, by):
    """Move strips in the sequencer with the mouse and the keyboard: a click on one, or A for all, then G."""
    area = yield from window.beside("SEQUENCE_EDITOR")
    yield from keys("Home", over=window.middle(area))
    strips = [strip for strip in window.module("compat").all_strips(scene()) if strip.name in names]
    ends = [(strip.frame_final_start, strip.frame_final_end) for strip in strips]
    heights = [strip.channel for strip in strips]
    if len(strips) == 1:
        yield from window.press_at(window.place(area, sum(ends[0]) / 2, heights[0] + 0.8))
    else:
        yield from keys("a", over=window.middle(area))
    chosen = {strip.name for strip in window.module("compat").all_strips(scene()) if strip.select}
    assert chosen == set(names), f"{chosen} are selected instead of {names}"
    yield from window.typed(f"g{by}", over=window.middle(area))


def followed(at):
    """Wait until the lines lie where they should; they follow a moment later."""
    for _ in range(50):
        if {name: lie(name).at for name in at} == at:
            return
        yield 0.1
    raise AssertionError(f"{[(name, lie(name)) for name in at]} instead of {at}")


def moves(own):
    """Two lines moved by 48 and by 120 frames in every order, with Re-run of each, undone and redone."""
    made = all_content()
    at = {name: lie(name).at for name in "AB"}
    for order, by in itertools.product(("AB", "BA"), (48, 120, -168)):
        for name in order:
            yield from slide(name, by)
            at[name] += by
            yield from followed(at)
            assert all_content() == made and acting() == own
        yield from keys("ctrl+z")
        yield from followed({**at, order[1]: at[order[1]] - by})
        yield from keys("ctrl+shift+z")
        yield from followed(at)
        assert all_content() == made
        for name in order:
            scene().kmtalk.strip = name
            yield from click("bpy.ops.kmtalk.complete(")
            assert all_content() == made and acting() == own, (order, by, name)
    yield from slide("AB", 48)
    at = {name: frame + 48 for name, frame in at.items()}
    yield from followed(at)
    assert all_content() == made and acting() == own
    yield from keys("ctrl+z")
    yield from followed({name: frame - 48 for name, frame in at.items()})
    print("two lines moved by 48, 120 and -168 in every order, and together", flush=True)


def jaw(name):
    found, compat = clip(name), window.module("compat")
    path = found.keys.key_blocks[found.names["jawOpen"]].path_from_id("value")
    return next(curve for curve in compat.channels(found.action).fcurves if curve.data_path == path)


def shown_for_editing(name):
    """Click on Edit Keys, unless the line's keys are shown already."""
    scene().kmtalk.strip = name
    if not window.module("clips").is_edited(clip(name).keys, clip(name).action):
        yield from click("bpy.ops.kmtalk.edit_keys(")
    assert window.module("clips").is_edited(clip(name).keys, clip(name).action)


def raise_key(name, index, by):
    """Click on a key motion of the jaw in the graph editor and pull it up; the generator's value is where it is."""
    yield from shown_for_editing(name)
    area = yield from window.beside("FCURVES")
    curve = jaw(name)
    for other in window.module("compat").channels(clip(name).action).fcurves:
        other.hide, other.select = other != curve, other == curve
    yield from keys("Home", over=window.middle(area))
    point = [point for point in curve.keyframe_points if point.type == "KEYFRAME"][index]
    frame, value = point.co
    yield from window.press_at(window.place(area, frame, value))
    chosen = [p.co[0] for p in jaw(name).keyframe_points if p.select_control_point]
    assert chosen == [frame], f"{chosen} are selected instead of {frame}"
    yield from window.typed(f"gy{by}", over=window.middle(area))
    point = next(p for p in jaw(name).keyframe_points if abs(p.co[0] - frame) < 1e-3)
    assert abs(point.co[1] - value - by) < 1e-4, (point.co[1], value)
    for other in window.module("compat").channels(clip(name).action).fcurves:
        other.hide = False
    return frame, point.co[1]


def move_key(name, index, by):
    """Draw a box around a key motion in the dope sheet and move it, on all channels; where it is then."""
    yield from shown_for_editing(name)
    area = yield from window.beside("DOPESHEET")
    area.spaces.active.dopesheet.show_summary = True
    yield from keys("Home", over=window.middle(area))
    frame = [p.co[0] for p in jaw(name).keyframe_points if p.type == "KEYFRAME"][index]
    region = window.canvas(area)
    left, right = (window.place(area, frame + half, 0)[0] for half in (-0.5, 0.5))
    low, high = (window.screen(0, y)[1] for y in (region.y + region.height // 2, region.y + region.height - 34))
    yield from keys("alt+a", "b", over=(left, low))
    yield from window.drag((left, low), (right, high))  # around the rows of the summary, the head and its keys
    chosen = [p.co[0] for p in jaw(name).keyframe_points if p.select_control_point]
    if chosen != [frame]:
        window.picture("not_found")
    assert chosen == [frame], f"{chosen} are selected instead of {frame}"
    yield from window.typed(f"g{by}", over=window.middle(area))
    assert any(abs(p.co[0] - frame - by) < 1e-3 and p.type == "KEYFRAME" for p in jaw(name).keyframe_points)
    return frame + by


def steps_to(wanted, key):
    """Undo or redo until all keys are so; selecting is a step, too."""
    for _ in range(12):
        yield from keys(key)
        if all_content() == wanted:
            return
    raise AssertionError(f"{key} does not come back to what was there")


def keys_by_mouse(own):
    """Keys edited in the graph editor and the dope sheet, completed, undone and redone: the other line stays."""
    made = all_content()
    others = {key: value for key, value in made.items() if key[0] == "B"}
    frame, value = yield from raise_key("A", 2, 0.25)
    yield from click("bpy.ops.kmtalk.complete(")
    assert abs(jaw("A").evaluate(frame) - value) < 1e-5, "the edited key was changed"
    raised = all_content()
    to = yield from move_key("A", 4, 1)
    yield from click("bpy.ops.kmtalk.complete(")
    assert any(abs(p.co[0] - to) < 1e-3 and p.type == "KEYFRAME" for p in jaw("A").keyframe_points), "it moved back"
    moved = all_content()
    assert {key: value for key, value in moved.items() if key[0] == "B"} == others and acting() == own
    yield from steps_to(raised, "ctrl+z")
    yield from steps_to(made, "ctrl+z")
    yield from steps_to(moved, "ctrl+shift+z")
    assert acting() == own
    window.picture("dope_sheet")
    area = yield from window.beside("FCURVES")
    yield from keys("Home", over=window.middle(area))
    window.picture("graph")
    print("keys edited in the graph editor and moved in the dope sheet", flush=True)


def takes_by_clicks(own):
    """Three takes, switched in the list, each with an edit of its own."""
    scene().kmtalk.strip = "A"
    other = {key: value for key, value in all_content().items() if key[0] == "B"}
    for number in (2, 3):
        yield from click("bpy.ops.kmtalk.duplicate_take(")
        yield from raise_key("A", number, 0.1 * number)
        assert titles("A")[-1] == (f"Take {number}", True) and len(titles("A")) == number
    made = all_content()
    for title in ("Take 1", "Take 3", "Take 2"):
        action = window.module("takes").take_titled(clip("A"), title)
        yield from click(f'bpy.ops.kmtalk.use_take(take="{action.name}")', column=0.07)
        assert [t for t, plays in titles("A") if plays] == [title], (title, titles("A"))
        assert all_content() == made and acting() == own
    yield from keys("ctrl+z")
    assert [t for t, plays in titles("A") if plays] == ["Take 3"] and all_content() == made
    yield from keys("ctrl+shift+z")
    assert [t for t, plays in titles("A") if plays] == ["Take 2"] and all_content() == made
    yield from click("bpy.ops.kmtalk.complete(")
    after = all_content()
    assert {k: v for k, v in after.items() if k != ("A", "Take 2")} == {
        k: v for k, v in made.items() if k != ("A", "Take 2")
    }
    assert {key: value for key, value in after.items() if key[0] == "B"} == other
    window.picture("takes")
    print("three takes switched by clicks", flush=True)


def recorded_again(own):
    """Another recording of B's sound: the key that was edited is kept at its phone, in a new take."""
    others = {key: value for key, value in all_content().items() if key[0] == "A"}
    scene().kmtalk.strip = "B"
    _, value = yield from raise_key("B", 2, 0.35)
    louder(HOME / "recorded.flac", HOME / "again.flac")
    sound("B").sound.filepath = str(HOME / "again.flac")
    bpy.ops.ed.undo_push(message="recorded again")
    yield 0.5
    yield from click("bpy.ops.kmtalk.generate(")
    assert not window.module("session").current.error, window.module("session").current.error
    assert titles("B") == [("Take 1", False), ("Take 2", True)]
    assert any(abs(point.co[1] - value) < 1e-4 for point in jaw("B").keyframe_points), "the edit was lost"
    assert {key: value for key, value in all_content().items() if key[0] == "A"} == others and acting() == own
    yield from keys("ctrl+z")
    assert titles("B") == [("Take 1", True)]
    yield from keys("ctrl+shift+z")
    assert titles("B") == [("Take 1", False), ("Take 2", True)]
    print("recorded again", flush=True)


def louder(before, after):
    """The same words at another level, with a moment of silence before them."""
    import av
    import numpy as np

    with av.open(str(before)) as given, av.open(str(after), "w") as out:
        rate = given.streams.audio[0].rate
        voice = out.add_stream("flac", rate=rate, layout="mono")
        pieces = [frame.to_ndarray().astype(np.float64).ravel() for frame in given.decode(audio=0)]
        samples = np.concatenate([np.zeros(rate // 10), 0.7 * np.concatenate(pieces)])
        frame = av.AudioFrame.from_ndarray(samples.astype(np.int16)[None], format="s16", layout="mono")
        frame.rate = rate
        out.mux([*voice.encode(frame), *voice.encode(None)])


def pushed_down(own):
    """The user pushes their own Action down by the button of the shape key editor; the lines play on."""
    made, data = all_content(), head().data.shape_keys.animation_data
    scene().kmtalk.strip = "A"
    if data.use_tweak_mode:
        yield from shown_for_editing("A")
        yield from click("bpy.ops.kmtalk.edit_keys(")  # puts them away
    data = head().data.shape_keys.animation_data
    assert data.action is not None and data.action.name == "Acting", data.action
    area = yield from window.beside("SHAPEKEY")
    yield from push_down(area)
    data = head().data.shape_keys.animation_data
    assert data.action is None and all_content() == made and acting() == own
    assert any(strip.action == bpy.data.actions["Acting"] for track in data.nla_tracks for strip in track.strips)
    playing = window.module("clips").playing(head().data.shape_keys)
    assert len(playing) == 2
    yield from click("bpy.ops.kmtalk.complete(")
    assert len(window.module("clips").playing(head().data.shape_keys)) == 2 and acting() == own
    values = shown("Wart", (30, 60))
    assert abs(values[0] - 1.0) < 1e-4 and abs(values[1] - 0.25) < 1e-4, values
    yield from keys("ctrl+z", "ctrl+z")
    assert head().data.shape_keys.animation_data.action.name == "Acting"
    yield from keys("ctrl+shift+z", "ctrl+shift+z")
    assert head().data.shape_keys.animation_data.action is None and acting() == own
    yield from window.beside("NLA_EDITOR")
    window.picture("nla")
    print("pushed down", flush=True)


def push_down(area):
    """By the button of the header, or by the menu's entry where there is none."""
    try:
        yield from window.press_in_header(area, "bpy.ops.action.push_down(")
    except AssertionError:
        with bpy.context.temp_override(
            window=bpy.context.window_manager.windows[0], area=area, region=window.canvas(area)
        ):
            assert bpy.ops.action.push_down("INVOKE_DEFAULT", True) == {"FINISHED"}
    yield 0.5


def shown(block, frames):
    """What a shape key is on these frames."""
    values = []
    for frame in frames:
        bpy.context.scene.frame_set(frame)
        values.append(head().data.shape_keys.key_blocks[block].value)
    return values


def saved_and_loaded(own):
    """The file holds all of it."""
    made, frames = all_content(), range(1, 400, 7)
    values, before = shown("jawOpen", frames), titles("A") + titles("B")
    bpy.ops.wm.save_as_mainfile(filepath=str(HOME / "lines.blend"))
    scene()["saved"] = "by the keyboard"
    bpy.ops.ed.undo_push(message="something to save")
    yield from keys("ctrl+s")
    yield 1.0
    bpy.ops.wm.open_mainfile(filepath=str(HOME / "lines.blend"))
    yield 2.0
    assert scene().get("saved") == "by the keyboard", "ctrl+s has not saved"
    assert all_content() == made and acting() == own and titles("A") + titles("B") == before
    assert max(abs(a - b) for a, b in zip(shown("jawOpen", frames), values, strict=True)) < 1e-5
    scene().kmtalk.strip = "A"
    yield from click("bpy.ops.kmtalk.complete(")
    assert {k: v for k, v in all_content().items() if k[0] == "B"} == {k: v for k, v in made.items() if k[0] == "B"}
    print("saved and loaded", flush=True)


def appended_and_linked():
    """In another file: the appended head is one's own, the linked one says what to do."""
    frames = range(1, 400, 7)
    values = shown("jawOpen", frames)
    bpy.ops.wm.save_as_mainfile(filepath=str(HOME / "lines.blend"))
    for link in (False, True):
        bpy.ops.wm.read_homefile(use_empty=False)
        yield 1.0
        for obj in list(bpy.data.objects):
            bpy.data.objects.remove(obj)
        with bpy.data.libraries.load(str(HOME / "lines.blend"), link=link) as (_, wanted):
            wanted.objects = ["Head"]
        obj = wanted.objects[0]
        bpy.context.scene.collection.objects.link(obj)
        bpy.context.view_layer.objects.active = obj
        got = shown("jawOpen", frames)
        assert max(abs(a - b) for a, b in zip(got, values, strict=True)) < 1e-5, link
        if not link:
            assert len(titles("A")) == 3 and len(titles("B")) == 2
            continue
        yield from window.show_panel()
        yield 0.5
        said = window.module("operators").what_is_missing(bpy.context)
        assert "no sound strip" in said, said
        window.module("compat").add_sound_strip(scene(), "New", str(HOME / "recorded.flac"), 1, 1)
        said = window.module("operators").what_is_missing(bpy.context)
        assert "is linked from another file; override it" in said, said
        window.picture("linked")
    print("appended and linked", flush=True)


if __name__ == "__main__":
    window.tell(story)
