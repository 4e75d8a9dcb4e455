"""Whatever a user does while work is on its way: a sentence or the right result, never a half-changed file."""

import bpy
import numpy as np
import pytest

from kmtalk_addon import compat, keyframes, lipsync, session, strip
from kmtalk_addon.subject import Subject
from kmtalk_core.errors import InputError
from kmtalk_core.files import save_npz
from kmtalk_core.rig.controls import ARKIT_CONTROLS
from kmtalk_core.service.protocol import Animate, BuildRig

NOTHING_SAID = {"warnings": [], "delay": 0.0}


@pytest.fixture
def bare_head(blender):
    """A grid without shape keys, so that a rig is asked for first."""
    bpy.ops.mesh.primitive_grid_add(x_subdivisions=6, y_subdivisions=6)
    bpy.context.object.name = "Bare"
    bpy.context.object.data["kmtalk_landmarks"] = [n % 36 for n in range(68)]  # else nothing could be built on it
    return bpy.context.object


@pytest.fixture
def go_through(made):
    """Do a generation without a worker, and `disturb` after the request of this number; returns the outcome."""

    def go(steps, line, disturb, at: int):
        requests, request = 0, next(steps)
        while True:
            if requests == at:
                disturb()
            requests += 1
            if isinstance(request, BuildRig):
                count = len(np.load(request.mesh)["vertices"])
                shapes = np.ones((len(ARKIT_CONTROLS), count, 3), np.float32)
                save_npz({"control_names": np.array(ARKIT_CONTROLS, dtype=str), "shapes": shapes}, request.out)
            elif isinstance(request, Animate):
                with open(request.out, "wb") as file:
                    file.write(made(line)[1])
            try:
                request = steps.send(NOTHING_SAID)
            except StopIteration as stop:
                return stop.value

    return go


def deleted_strip():
    editor = bpy.context.scene.sequence_editor
    editor.strips.remove(editor.strips[0])


def deleted_sequencer():
    bpy.context.scene.sequence_editor_clear()


def deleted_scene():
    gone = bpy.context.scene
    bpy.context.window.scene = bpy.data.scenes.new("Other")
    bpy.data.scenes.remove(gone)


def deleted_head():
    bpy.data.objects.remove(bpy.data.objects[0])


def another_file():
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)


def trimmed():
    compat.all_strips(bpy.context.scene)[0].frame_offset_start = 12


def another_rate():
    bpy.context.scene.render.fps = 30


def another_sound():
    compat.all_strips(bpy.context.scene)[0].sound.filepath = "//other.wav"


def into_a_meta():
    child = compat.all_strips(bpy.context.scene)[0]
    meta = bpy.context.scene.sequence_editor.strips.new_meta("Meta", 5, 1)
    child.move_to_meta(meta)
    meta.frame_final_start, meta.frame_final_end = child.frame_final_start + 10, child.frame_final_end


REFUSED = {
    deleted_strip: "The strip Line is gone",
    deleted_sequencer: "The strip Line is gone",
    deleted_scene: "The scene Scene is gone",
    deleted_head: "is gone",
    another_file: "is gone",
    trimmed: "was changed meanwhile",
    another_rate: "was changed meanwhile",
    another_sound: "was changed meanwhile",
    into_a_meta: "was changed meanwhile",
}


@pytest.mark.parametrize("at", [0, 1])
@pytest.mark.parametrize("disturb", REFUSED, ids=lambda disturb: disturb.__name__)
def test_what_was_taken_away_meanwhile_is_a_sentence_and_nothing_changes(bare_head, add_strip, go_through, disturb, at):
    sound_strip = add_strip(frame=50)
    line = strip.read_line(bpy.context.scene, sound_strip)
    steps = lipsync.generate(bpy.context.scene, sound_strip, bare_head, lipsync.Options())
    with pytest.raises(InputError, match=REFUSED[disturb]) as error:
        go_through(steps, line, disturb, at)
    assert str(error.value).endswith(".") and "of its own" not in str(error.value)
    assert not bpy.data.actions and not bpy.data.shape_keys


def renamed():
    compat.all_strips(bpy.context.scene)[0].name = "Another"
    bpy.data.objects[0].name = "Somebody"


def moved():
    compat.all_strips(bpy.context.scene)[0].frame_start += 20


def another_scene_shown():
    bpy.context.window.scene = bpy.data.scenes.new("Other")


@pytest.mark.parametrize("at", [0, 1])
@pytest.mark.parametrize("disturb", [renamed, moved, another_scene_shown], ids=lambda disturb: disturb.__name__)
def test_renaming_and_moving_lose_nothing(bare_head, add_strip, go_through, curves, disturb, at):
    sound_strip, head = add_strip(frame=50), bare_head
    line = strip.read_line(bpy.context.scene, sound_strip)
    steps = lipsync.generate(bpy.context.scene, sound_strip, head, lipsync.Options())
    outcome = go_through(steps, line, disturb, at)
    first = 70 if disturb is moved else 50
    assert f"on frames {first} to" in outcome.summary
    assert keyframes.own_action(head) is not None


def test_the_strip_is_the_one_of_that_name_else_the_only_one_alike(head, add_strip):
    scene = bpy.context.scene
    first, second = add_strip(name="A"), add_strip(name="B", channel=2)
    about = Subject.of(scene, first, head, strip.read_line(scene, first))
    assert about.strip() == first
    first.name = "C"
    with pytest.raises(InputError, match="The strip A is gone"):
        about.strip()  # B lies and plays just so
    second.frame_start += 1
    assert about.strip() == first


def test_opening_a_file_ends_what_is_at_work_and_forgets_what_was_said(head, add_strip):
    sound_strip = add_strip()
    session.current.start(lipsync.generate(bpy.context.scene, sound_strip, head, lipsync.Options()), "")
    session.current.error = "Something was wrong."
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    assert session.current.job is None and not session.current.error


def test_corrections_are_of_the_sound_as_the_strip_plays_it(head, add_strip, go_through):
    scene, sound_strip = bpy.context.scene, add_strip()
    line = strip.read_line(scene, sound_strip)
    go_through(lipsync.generate(scene, sound_strip, head, lipsync.Options()), line, lambda: None, at=0)
    take = keyframes.own_action(head).kmtalk_takes[0]
    take.phones[0].name = "P"
    steps = lipsync.correct(scene, "", head, lipsync.Options())
    completion = next(steps)
    with open(completion.out, "wb") as file:
        file.write(take.result)
    assert steps.send({}).as_strip
    steps.close()
