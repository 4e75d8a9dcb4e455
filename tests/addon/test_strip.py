"""Which part of which file a strip plays, and when."""

import shutil
import wave
from dataclasses import replace
from pathlib import Path

import bpy
import numpy as np
import pytest

from kmtalk_addon import compat, strip
from kmtalk_core.errors import InputError


def place(sound_strip) -> strip.Played:
    return strip.read_line(bpy.context.scene, sound_strip)


def heard_at(line: strip.Played, seconds: float) -> float:
    """The frame on which this second of the sound file is heard."""
    return line.first_frame + (seconds - line.start) * line.frames_per_second_of_sound


def test_a_whole_strip_plays_the_file_from_its_first_frame(add_strip, sound):
    line = place(add_strip(frame=50))
    assert (line.first_frame, line.start, line.speed, line.audio) == (50, 0.0, 1.0, str(sound))
    assert line.duration == pytest.approx(3.0, abs=1e-3)
    assert line.last_frame == 50 + 71  # the next strip begins on the frame after it


@pytest.mark.parametrize("fps, base", [(24, 1.0), (30, 1.001), (24, 1.001), (60, 1.0)])
def test_seconds_follow_the_scene_rate_with_its_base(add_strip, fps, base):
    bpy.context.scene.render.fps, bpy.context.scene.render.fps_base = fps, base
    line = place(add_strip(frame=10))
    assert line.fps == pytest.approx(fps / base)
    assert line.duration == pytest.approx(3.0, abs=1 / fps)


def test_trimming_moves_the_start_and_nothing_else(add_strip):
    sound_strip = add_strip(frame=50)
    before = place(sound_strip)
    sound_strip.frame_offset_start, sound_strip.frame_offset_end = 12, 24
    line = place(sound_strip)
    assert (line.first_frame, line.start) == (62, 0.5)
    assert line.duration == pytest.approx(1.5, abs=1e-3)
    assert line.origin == before.origin
    assert heard_at(line, 1.0) == heard_at(before, 1.0) == 74


@pytest.mark.parametrize("change", ["sound_offset", "animation_offset_start", "frame_offset_start", "moved"])
def test_the_line_is_where_blender_plays_it(blender, tmp_path, change):
    rate = 16_000
    click = np.zeros(4 * rate, "<i2")
    click[2 * rate : 2 * rate + 200] = 20_000
    with wave.open(str(tmp_path / "click.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(click.tobytes())
    scene = bpy.context.scene
    scene.frame_start, scene.frame_end = 1, 240
    sound_strip = compat.add_sound_strip(scene, "click", str(tmp_path / "click.wav"), 1, 50)
    if change == "moved":
        sound_strip.frame_start = 61
    else:
        setattr(
            sound_strip, change, {"sound_offset": 0.3, "animation_offset_start": 9, "frame_offset_start": 14}[change]
        )
    bpy.ops.sound.mixdown(filepath=str(tmp_path / "mix.wav"), container="WAV", codec="PCM")
    with wave.open(str(tmp_path / "mix.wav")) as file:
        mix = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, file.getnchannels())[:, 0]
        frame = 1 + np.flatnonzero(np.abs(mix.astype(int)) > 3000)[0] / file.getframerate() * 24
    assert heard_at(place(sound_strip), 2.0) == pytest.approx(frame, abs=0.1)


def test_a_strip_that_begins_before_its_sound_is_silent_until_then(add_strip):
    sound_strip = add_strip(frame=50)
    sound_strip.frame_offset_start = -10
    line = place(sound_strip)
    assert (line.first_frame, line.start) == (50, 0.0)


def test_a_meta_strip_cuts_off_what_lies_outside_of_it(add_strip):
    sound_strip = add_strip(frame=50)
    inner = in_meta(sound_strip, 60, 100)
    outer = in_meta(inner, 70, 110)
    line = place(sound_strip)
    assert (line.first_frame, line.last_frame) == (70, 99)
    assert line.start == pytest.approx(20 / 24) and line.origin == 50
    outer.frame_start += 5
    assert (place(sound_strip).first_frame, place(sound_strip).origin) == (75, 55)
    inner.frame_final_end = 72
    with pytest.raises(InputError, match="its handles or those of the meta strip around it"):
        place(sound_strip)


@pytest.mark.parametrize("muted", ["strip", "inner", "outer", "channel", "channel in meta"])
def test_what_is_muted_is_refused(add_strip, muted):
    sound_strip = add_strip(frame=50)
    inner = in_meta(sound_strip)
    outer = in_meta(inner)
    of_scene = bpy.context.scene.sequence_editor.channels
    of_scene[sound_strip.channel].mute = True  # it lies on that of the meta strip instead
    assert outer.channel != sound_strip.channel and place(sound_strip)
    channels = {"channel": of_scene[outer.channel], "channel in meta": inner.channels[sound_strip.channel]}
    {"strip": sound_strip, "inner": inner, "outer": outer, **channels}[muted].mute = True
    with pytest.raises(InputError, match=r"muted.* unmute"):
        place(sound_strip)


def test_a_strip_of_volume_0_is_refused_unless_it_fades(add_strip):
    sound_strip = add_strip(frame=50)
    sound_strip.volume = 0.0
    with pytest.raises(InputError, match=r"The strip Line has volume 0.* raise its volume"):
        place(sound_strip)
    sound_strip.keyframe_insert("volume", frame=1)
    assert place(sound_strip).first_frame == 50


def test_what_is_no_sound_strip_says_what_to_do(add_strip):
    scene, other = bpy.context.scene, bpy.data.scenes.new("Shot 2")
    editor = scene.sequence_editor_create()
    scene_strip = editor.strips.new_scene("Shot", other, 3, 1)
    with pytest.raises(InputError, match="Shot is a scene strip; choose the scene Shot 2 in the sequencer"):
        strip.choose_strip(scene, "Shot")
    editor.active_strip = scene_strip
    with pytest.raises(InputError, match="scene strip"):
        strip.choose_strip(scene)
    add_strip(name="A"), add_strip(name="B", channel=2)
    meta = in_meta(scene.sequence_editor.strips["B"])
    editor.active_strip = meta
    assert strip.choose_strip(scene).name == "B"


def in_meta(inner, start=None, end=None):
    """A meta strip around a strip, which plays from frame `start` to `end`."""
    holder = inner.parent_meta() or bpy.context.scene.sequence_editor
    meta = holder.strips.new_meta(f"Meta of {inner.name}", inner.channel + 3, 1)
    inner.move_to_meta(meta)
    meta.frame_final_start, meta.frame_final_end = inner.frame_final_start, inner.frame_final_end
    if start is not None:
        meta.frame_final_start, meta.frame_final_end = start, end
    return meta


def test_a_retimed_strip_plays_faster(add_strip):
    sound_strip = add_strip(frame=50)
    with sequencer(sound_strip):
        bpy.ops.sequencer.retiming_key_add(timeline_frame=50)
        bpy.ops.sequencer.retiming_segment_speed_set(speed=200.0)
    line = place(sound_strip)
    assert line.speed == pytest.approx(2.0)
    assert line.duration == pytest.approx(3.0, abs=1e-3)
    assert line.last_frame == 50 + 35
    assert len(bpy.data.scenes) == len(bpy.data.sounds) == 1


def test_a_strip_of_several_speeds_is_refused_in_a_sentence(add_strip):
    sound_strip = add_strip(frame=50)
    with sequencer(sound_strip):
        bpy.ops.sequencer.retiming_key_add(timeline_frame=50)
        bpy.ops.sequencer.retiming_key_add(timeline_frame=80)
    with pytest.raises(InputError, match="changes its speed"):
        place(sound_strip)


def test_where_blender_hides_changes_of_speed_it_is_told(add_strip, monkeypatch):
    sound_strip = add_strip()
    monkeypatch.setattr(compat, "speed_changes", lambda strip: None)  # as in Blender 4.2 to 4.4
    assert strip.remarks(sound_strip, place(sound_strip)) == ()
    line = replace(place(sound_strip), speed=1.5)
    assert "one speed of 1.50 was taken" in strip.remarks(sound_strip, line)[0]


def test_packed_sounds_are_unpacked_for_the_while(add_strip, sound):
    sound_strip = add_strip()
    sound_strip.sound.pack()
    data = sound.read_bytes()
    sound.unlink()
    with strip.sound_file(sound_strip) as path:
        assert Path(path).read_bytes() == data
    assert not Path(path).exists()


def test_relative_and_moved_files(add_strip, sound, tmp_path):
    sound_strip = add_strip()
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shot.blend"))
    sound_strip.sound.filepath = bpy.path.relpath(str(sound))
    assert sound_strip.sound.filepath.startswith("//")
    with strip.sound_file(sound_strip) as path:
        assert path == str(sound)
    (tmp_path / "away").mkdir()
    shutil.move(sound, tmp_path / "away")
    with pytest.raises(InputError, match=r"Größe 1\.wav is missing"), strip.sound_file(sound_strip):
        pass


def test_a_sound_is_known_in_a_folder_beside_and_after_the_project_was_moved(add_strip, sound, tmp_path):
    played = strip.sound_path(found := add_strip())
    for folder in ("scenes", "moved/scenes", "moved/sounds"):
        (tmp_path / folder).mkdir(parents=True)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "scenes" / "shot.blend"))
    found.sound.filepath = f"//../{sound.name}"
    assert strip.sound_path(found) == played and strip.is_same_sound(str(played), str(played))
    there = shutil.copy(sound, tmp_path / "moved" / "sounds")
    assert not strip.is_same_sound(there, str(played)), "both are there"
    assert strip.is_same_sound(there, f"C:\\project\\sounds\\{sound.name}")
    assert strip.is_same_sound(there, f"/home/ann/project/scenes/../sounds/{sound.name}")
    assert not strip.is_same_sound(there, "/home/ann/project/sounds/another.wav")


def test_choosing_a_strip(add_strip):
    scene = bpy.context.scene
    with pytest.raises(InputError, match="no sound strip"):
        strip.choose_strip(scene)
    first = add_strip(name="A")
    assert strip.choose_strip(scene) == first
    second = add_strip(name="B", channel=2)
    scene.sequence_editor.active_strip = None
    with pytest.raises(InputError, match="2 sound strips"):
        strip.choose_strip(scene)
    scene.sequence_editor.active_strip = second
    assert strip.choose_strip(scene) == second
    assert strip.choose_strip(scene, "A") == first
    with pytest.raises(InputError, match="no sound strip C"):
        strip.choose_strip(scene, "C")


def test_text_beside_the_sound(sound):
    assert strip.text_beside(sound) is None
    sound.with_suffix(".txt").write_text("\ufeffGrüß Gott\n", encoding="utf-8")
    assert strip.text_beside(sound) == "Grüß Gott"
    subtitles = "1\n00:00:00,000 --> 00:00:01,000\nGrüß Gott"
    sound.with_suffix(".srt").write_text(subtitles, encoding="utf-8")
    assert strip.text_beside(sound) is None  # which of the two is meant?
    sound.with_suffix(".txt").unlink()
    assert strip.text_beside(sound) == subtitles


def test_what_is_said_comes_from_text_name_typing_or_the_file_beside(add_strip, sound):
    sound_strip = add_strip(name="Good_morning.wav.001")
    said = sound_strip.kmtalk
    assert strip.what_is_said(sound_strip).text is None
    sound.with_suffix(".vtt").write_text("WEBVTT\n\n00:00.000 --> 00:01.000\nGrüß Gott", encoding="utf-8")
    assert "Grüß Gott" in strip.what_is_said(sound_strip).text and ".vtt" in strip.what_is_said(sound_strip).source
    said.transcript = " Hello. "
    assert strip.what_is_said(sound_strip).text == "Hello."
    said.use_name = True
    assert strip.what_is_said(sound_strip).text == "Good morning"
    said.text = bpy.data.texts.new("script")
    said.text.write("From the text")
    assert strip.what_is_said(sound_strip) == strip.Said("From the text", "The text script")


def test_several_texts_beside_the_sound_are_not_guessed_between(add_strip, sound):
    sound_strip = add_strip()
    for suffix in (".txt", ".srt"):
        sound.with_suffix(suffix).write_text("Hello", encoding="utf-8")
    found = strip.what_is_said(sound_strip)
    assert found.text is None and "Several texts" in found.source


def sequencer(sound_strip):
    """A context in which the sequencer's operators work on this strip."""
    window = bpy.context.window_manager.windows[0]
    area = window.screen.areas[0]
    area.type = "SEQUENCE_EDITOR"
    window.workspace.sequencer_scene = bpy.context.scene
    bpy.context.scene.sequence_editor.active_strip = sound_strip
    sound_strip.select = True
    region = next(region for region in area.regions if region.type == "WINDOW")
    return bpy.context.temp_override(window=window, area=area, region=region)
