"""What the panel says: whole sentences, looked up now and then, gone when their cause is gone."""

import time

import bpy
import pytest

from kmtalk_addon import operators, panels, session, strip
from kmtalk_addon.glances import Glances
from kmtalk_addon.wrapping import wrapped
from kmtalk_core.errors import KMTalkError


def fits(part: str) -> bool:
    return len(part) <= 10


@pytest.mark.parametrize(
    "text", ["", "short", "There is no sound strip; add one.", "/a/path/that/is/far/too/long.wav is missing", "a " * 30]
)
def test_wrapping_loses_nothing(text):
    lines = wrapped(text, fits)
    assert all(fits(line) for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")


def test_wrapping_ends_where_nothing_fits():
    assert wrapped("ab", lambda part: False) == ["a", "b"]


def test_a_glance_lasts_a_moment():
    looks = []
    glances = Glances()
    for _ in range(3):
        assert glances.at("x", lambda: looks.append(1) or len(looks), lasts=0.05) == 1
    time.sleep(0.06)
    assert glances.at("x", lambda: looks.append(1) or len(looks), lasts=0.05) == 2


def test_redrawing_does_not_read_the_text_beside_the_sound(add_strip, sound, monkeypatch):
    sound_strip = add_strip()
    sound.with_suffix(".txt").write_text("Hello. " * 200_000)
    session.current.glances.forget()
    assert panels.source_of_text(sound_strip) == f"The file {sound.stem}.txt beside the sound"
    monkeypatch.setattr(strip, "text_beside", lambda path: pytest.fail("read whole"))
    monkeypatch.setattr(panels, "source_beside", lambda path: pytest.fail("looked up again"))
    for _ in range(20):
        assert panels.source_of_text(sound_strip).startswith("The file")
        assert not panels.is_missing(sound_strip)


@pytest.mark.parametrize("data", [b"", b" \n", b"\xef\xbb\xbf", b"\x81\x8d"])
def test_an_empty_text_beside_the_sound_says_nothing(add_strip, sound, data):
    sound_strip = add_strip()
    sound.with_suffix(".txt").write_bytes(data)
    assert strip.source_beside(sound) == strip.NO_TEXT
    assert strip.what_is_said(sound_strip).text is None


def test_an_error_goes_when_its_cause_goes(head, add_strip):
    sound_strip = add_strip()
    bpy.context.view_layer.objects.active = head
    head.select_set(True)
    bpy.ops.object.mode_set(mode="EDIT")
    session.current.error = operators.what_is_missing(bpy.context)
    assert "Edit Mode" in session.current.error
    assert panels.error_to_show(bpy.context) and panels.error_to_show(bpy.context)
    bpy.ops.object.mode_set(mode="OBJECT")
    assert not panels.error_to_show(bpy.context) and not session.current.error
    session.current.error = "The sound is too short."
    assert panels.error_to_show(bpy.context)
    sound_strip.frame_offset_end = -5
    assert not panels.error_to_show(bpy.context)
    session.current.explain(KMTalkError("The sound is too short."))  # again, of what the strip plays now
    assert panels.error_to_show(bpy.context) and panels.error_to_show(bpy.context)
    session.current.error = "Something else is wrong."
    assert panels.error_to_show(bpy.context)
    assert bpy.ops.kmtalk.dismiss() == {"FINISHED"} and not panels.error_to_show(bpy.context)
