"""Heads of other files: appended ones are one's own, overrides of them are worked on, linked ones say what to do."""

import bpy
import pytest
from test_lines import clip_of, content, edit_jaw, heard_at, move

from kmtalk_addon import api, clips, edit_keys, follow, keyframes, lipsync, removal, strip, takes
from kmtalk_core.errors import InputError, KMTalkError
from kmtalk_core.rig.controls import ARKIT_CONTROLS

FRAMES = range(40, 130, 3)


@pytest.fixture
def library(blender, add_strip, made, tmp_path):
    """A file with a finished head: its path, and what jawOpen is on FRAMES."""
    bpy.ops.mesh.primitive_grid_add(x_subdivisions=4, y_subdivisions=4)
    head = bpy.context.object
    head.name = "Anna"
    for name in ("Basis", *ARKIT_CONTROLS):
        head.shape_key_add(name=name, from_mix=False).value = 0.0
    sound = add_strip(50, "A")
    line = strip.read_line(bpy.context.scene, sound)
    lipsync.apply(bpy.context.scene, head, sound, line, *made(line))
    values = heard_at(head, "jawOpen", FRAMES)
    path = tmp_path / "library.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(path))
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    return path, values


def bring(path, link):
    with bpy.data.libraries.load(str(path), link=link) as (_, wanted):
        wanted.objects = ["Anna"]
    head = wanted.objects[0]
    bpy.context.scene.collection.objects.link(head)
    bpy.context.view_layer.update()
    return head


def overridden(path):
    """The head as Library Override > Make leaves it, and its mesh as the Outliner does."""
    linked = bring(path, link=True)
    head = linked.override_create(remap_local_usages=True)
    return head


def speak(head, sound, made, seed=0):
    line = strip.read_line(bpy.context.scene, sound)
    lipsync.apply(bpy.context.scene, head, sound, line, *made(line, seed))
    return clip_of(head, sound)


def test_an_appended_head_is_ones_own(library, add_strip, made):
    path, values = library
    head = bring(path, link=False)
    assert heard_at(head, "jawOpen", FRAMES) == pytest.approx(values, abs=1e-6)
    first = content(keyframes.own_action(head))
    sound = add_strip(300, "B")
    clip = speak(head, sound, made, 1)
    edit_jaw(clip)
    move(sound, 48)
    follow.follow(bpy.context.scene)
    speak(head, sound, made, 2)
    assert [take.title for take in api.takes(head, "B")] == ["Take 1", "Take 2"]
    assert heard_at(head, "jawOpen", FRAMES) == pytest.approx(values, abs=1e-6)
    api.remove(head, "B")
    (action,) = clips.playing(head.data.shape_keys)
    assert all((content(action)[name] == first[name]).all() for name in first)
    api.remove(head)
    assert not bpy.data.actions and len(head.data.shape_keys.key_blocks) == 1 + len(ARKIT_CONTROLS)


def test_a_linked_head_plays_and_everything_else_says_what_to_do(library, add_strip, made):
    path, values = library
    head = bring(path, link=True)
    assert heard_at(head, "jawOpen", FRAMES) == pytest.approx(values, abs=1e-6)
    sound, scene = add_strip(300, "B"), bpy.context.scene
    works = (
        lambda: next(lipsync.generate(scene, sound, head, lipsync.Options())),
        lambda: takes.find_clip(scene, "A", head),
        lambda: api.takes(head, "A"),
        lambda: api.remove(head),
        lambda: api.bake(head),
        lambda: next(lipsync.complete(scene, "A", head)),
    )
    for work in works:
        with pytest.raises(InputError, match="is linked from another file; override it"):
            work()
    assert follow.follow(scene) == ()
    assert heard_at(head, "jawOpen", FRAMES) == pytest.approx(values, abs=1e-6)


def test_an_override_of_the_object_alone_says_that_its_mesh_is_linked(library, add_strip):
    path, values = library
    head = overridden(path)
    assert head.override_library is not None and head.data.library is not None
    with pytest.raises(
        InputError,
        match=r"Anna is a library override, but its mesh .* is still linked; press Own Meshes, or in the Out",
    ):
        next(lipsync.generate(bpy.context.scene, add_strip(300, "B"), head, lipsync.Options()))
    assert follow.follow(bpy.context.scene) == ()
    assert heard_at(head, "jawOpen", FRAMES) == pytest.approx(values, abs=1e-6)
    with pytest.raises(KMTalkError, match="is still linked"):
        api.remove(head)


@pytest.fixture
def override(library):
    """The override of object and mesh, its shape keys too, in a file of its own."""
    path, values = library
    head = overridden(path)
    assert api.own_meshes(head) == ["Anna"] and head.data.override_library is not None
    return head, values


def test_an_override_of_object_and_mesh_is_worked_on(override, add_strip, made):
    head, values = override
    keys = head.data.shape_keys
    assert head.data.library is None and keys.library is None
    assert heard_at(head, "jawOpen", FRAMES) == pytest.approx(values, abs=1e-6)
    sound = add_strip(300, "B")
    clip = speak(head, sound, made, 1)
    shown = heard_at(head, "jawOpen", range(300, 370, 3))
    assert max(shown) > 0.5 and heard_at(head, "jawOpen", FRAMES) == pytest.approx(values, abs=1e-6)
    move(sound, 48)
    follow.follow(bpy.context.scene)
    assert heard_at(head, "jawOpen", range(348, 418, 3)) == pytest.approx(shown, abs=1e-6)
    edit_jaw(clip)
    speak(head, sound, made, 2)
    assert [take.title for take in api.takes(head, "B")] == ["Take 1", "Take 2"]
    removal.use_take(clip_of(head, sound), clip.action)
    assert clip.action in clips.playing(keys)
    with pytest.raises(InputError, match="is linked from another file; generate it here"):
        takes.find_clip(bpy.context.scene, "A", head)
    api.remove(head, "B")
    assert heard_at(head, "jawOpen", FRAMES) == pytest.approx(values, abs=1e-6)


def test_key_motions_of_an_override_are_shown_alone(override, add_strip, made, tmp_path):
    head, values = override
    sound = add_strip(300, "B")
    clip = speak(head, sound, made, 1)
    shown = heard_at(head, "jawOpen", range(300, 370, 3))
    sound.kmtalk.show_completed = False
    edit_keys.edit(clip)
    view = clip.keys.animation_data.action
    assert clips.viewed(view) is not None and clips.is_edited(clip.keys, clip.action)
    assert list(heard_at(head, "jawOpen", range(300, 370, 3))) == list(shown)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shot.blend"))
    assert clips.view_on(clip.keys) is None
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "shot.blend"))
    head = next(obj for obj in bpy.data.objects if obj.override_library is not None)
    assert heard_at(head, "jawOpen", range(300, 370, 3)) == pytest.approx(shown, abs=1e-6)
    assert heard_at(head, "jawOpen", FRAMES) == pytest.approx(values, abs=1e-6)


def test_an_override_survives_saving(override, add_strip, made, tmp_path):
    head, values = override
    sound = add_strip(300, "B")
    clip = speak(head, sound, made, 1)
    shown = heard_at(head, "jawOpen", range(300, 370, 3))
    clips.tweak(clip.keys, clip.action)  # as Edit Keys does
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shot.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "shot.blend"))
    head = next(obj for obj in bpy.data.objects if obj.override_library is not None)
    assert heard_at(head, "jawOpen", range(300, 370, 3)) == pytest.approx(shown, abs=1e-6)
    assert heard_at(head, "jawOpen", FRAMES) == pytest.approx(values, abs=1e-6)
    assert [take.title for take in api.takes(head, "B")] == ["Take 1"]
    with pytest.raises(InputError, match="comes from its library"):
        api.remove(head, "B")
        api.remove(head)
    assert heard_at(head, "jawOpen", FRAMES) == pytest.approx(values, abs=1e-6)
