"""Styles in Blender: the panel's menu, files, and lines that follow at once with edited key motions kept."""

from pathlib import Path
from types import SimpleNamespace

import bpy
import numpy as np
import pytest

from kmtalk_addon import command_line, command_tools, compat, keyframes, operators, panels, session, styles, takes
from kmtalk_addon.strip import choose_strip
from kmtalk_core import assets
from kmtalk_core.settings import STYLES
from kmtalk_core.styles import Style, save_style

SAMPLE = Path(assets.__file__).parent / "sample_speech.flac"


pytestmark = pytest.mark.usefixtures("warm_worker")


@pytest.fixture(scope="module")
def spoken(tmp_path_factory, warm_worker):
    """A file in which a head says two seconds of the sample speech, generated once."""
    path = tmp_path_factory.mktemp("spoken") / "spoken.blend"

    def made(head) -> Path:
        if not path.exists():
            strip = compat.add_sound_strip(bpy.context.scene, "Line", str(SAMPLE), 1, 1)
            strip.frame_final_end = 1 + 2 * 24
            bpy.context.view_layer.objects.active = head
            assert bpy.ops.kmtalk.generate() == {"FINISHED"}
            bpy.ops.wm.save_as_mainfile(filepath=str(path), check_existing=False)
        return path

    return made


@pytest.fixture
def shot(head, spoken):
    """(head, strip, take) of that file, freshly loaded."""
    bpy.ops.wm.open_mainfile(filepath=str(spoken(head)))
    head = next(obj for obj in bpy.context.scene.objects if obj.type == "MESH")
    bpy.context.view_layer.objects.active = head
    return head, choose_strip(bpy.context.scene), keyframes.own_action(head).kmtalk_takes["Line"]


@pytest.fixture
def file(tmp_path):
    save_style(Style("me", "a test", "", {"jaw": 1.6, "lips": 1.6}, 1.2), tmp_path / "me.style")
    return tmp_path / "me.style"


def jaw(curves, head):
    return curves(head)["jawOpen"].values.copy()


def test_a_shipped_style_is_worn_at_once_and_taken_off_again(shot, curves, monkeypatch):
    head, strip, take = shot
    monkeypatch.setattr(session.Worker, "send", lambda *_: pytest.fail("the worker was asked"))
    before = jaw(curves, head)
    assert bpy.ops.kmtalk.style(style="lively") == {"FINISHED"}
    assert strip.kmtalk.style == "lively" and takes.shown(take).style.name == "lively"
    assert jaw(curves, head).max() > 1.05 * before.max()
    assert bpy.ops.kmtalk.style(style="mumbling") == {"FINISHED"}
    assert jaw(curves, head).max() < 0.95 * before.max()
    assert bpy.ops.kmtalk.reset_sliders() == {"FINISHED"} and strip.kmtalk.style == "neutral"
    assert np.array_equal(jaw(curves, head), before)


def test_edited_keys_stay_in_another_style_and_when_completion_runs_again(shot, curves):
    head, strip, take = shot
    look = curves(head)["jawOpen"]
    keys = [k for k, kind in enumerate(look.types) if kind == "KEYFRAME"]
    frame = look.frames[keys[len(keys) // 2]]
    look.curve.keyframe_points[keys[len(keys) // 2]].co[1] = 0.77
    strip.kmtalk.style = "lively"

    def at_the_edit():
        now = curves(head)["jawOpen"]
        return now.values[np.flatnonzero(np.abs(now.frames - frame) < 1e-3)[0]]

    assert at_the_edit() == pytest.approx(0.77)
    worn = takes.shown(take).controls.copy()
    assert bpy.ops.kmtalk.complete() == {"FINISHED"}
    assert at_the_edit() == pytest.approx(0.77)
    again = takes.shown(take)
    assert again.style.name == "lively" and np.abs(again.controls - worn).max() > 1e-3
    far = np.abs(again.times * again.fps - (frame - 1)) > again.fps
    assert far.any() and np.abs(again.controls[far] - worn[far]).max() < 1e-5
    strip.kmtalk.style = "neutral"
    assert at_the_edit() == pytest.approx(0.77)


def test_a_file_is_opened_remembered_and_kept_relative(shot, file, curves):
    head, strip, take = shot
    before = jaw(curves, head)
    bpy.ops.wm.save_as_mainfile(filepath=str(file.with_name("shot.blend")), check_existing=False)
    assert bpy.ops.kmtalk.open_style(filepath=str(file)) == {"FINISHED"}
    assert strip.kmtalk.style == "//me.style"
    assert takes.settings_on(strip)[0].style == str(file)
    assert takes.shown(take).style.name == "me" and jaw(curves, head).max() > before.max()
    assert styles.label_of(strip.kmtalk.style) == "me"
    assert styles.offered(bpy.context.scene, "") == [str(file)]
    assert bpy.ops.kmtalk.generate() == {"FINISHED"}  # the worker reads it, too
    assert strip.kmtalk.style == "//me.style" and takes.shown(take).style.name == "me"


def test_what_is_no_style_is_told_and_changes_nothing(shot, tmp_path, curves):
    head, strip, _ = shot
    before = jaw(curves, head)
    (tmp_path / "bad.style").write_text("{}")
    for path in (tmp_path / "bad.style", tmp_path / "none.style"):
        with pytest.raises(RuntimeError, match=r"is no style|cannot be read"):
            bpy.ops.kmtalk.open_style(filepath=str(path))
    assert strip.kmtalk.style == "neutral"
    strip.kmtalk.style = str(tmp_path / "none.style")  # by a script, or a file that was moved away
    assert "cannot be read" in session.current.error
    assert np.array_equal(jaw(curves, head), before)
    assert panels.error_to_show(bpy.context)
    strip.kmtalk.style = "neutral"
    assert not panels.error_to_show(bpy.context)


def test_files_of_other_scenes_are_offered_while_they_are_there(blender, add_strip, file, tmp_path, monkeypatch):
    kept = SimpleNamespace(styles="")
    monkeypatch.setattr(styles.preferences, "own", lambda context: kept)
    strip = add_strip()
    styles.wear(bpy.context, str(file))
    other = tmp_path / "other.style"
    other.write_bytes(file.read_bytes())
    styles.wear(bpy.context, str(other))
    styles.wear(bpy.context, str(file))
    assert kept.styles.splitlines() == [str(file), str(other)]
    strip.kmtalk.style = "neutral"
    assert styles.offered(bpy.context.scene, kept.styles) == [str(file), str(other)]
    other.unlink()
    session.current.glances.forget()
    assert styles.offered(bpy.context.scene, kept.styles) == [str(file)]


def test_the_command_line_and_the_panel_say_the_style(blender, add_strip, file, monkeypatch):
    strip = add_strip()
    strip.kmtalk.style = "precise"
    assert operators.options_of(bpy.context, strip).style == "precise"
    monkeypatch.chdir(file.parent)
    options = command_line.build_parser().parse_args(["generate", "--style", "me.style", "--out", "a.blend"])
    assert command_tools.wishes(options, strip).style == str(file)
    options = command_line.build_parser().parse_args(["generate", "--style", "lively", "--out", "a.blend"])
    assert command_tools.wishes(options, strip).style == "lively"
    assert {styles.label_of(name) for name in STYLES} == {label for label, _ in STYLES.values()}
