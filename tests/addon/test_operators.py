"""The way of an animator through the panel: generate, edit, re-run, save, load, go wrong."""

import os
import re
import signal
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import bpy
import numpy as np
import pytest

import kmtalk_addon
from kmtalk_addon import (
    api,
    clips,
    compat,
    follow,
    keyframes,
    lipsync,
    live,
    operators,
    preferences,
    properties,
    session,
)
from kmtalk_addon.strip import choose_strip, read_line
from kmtalk_core.errors import KMTalkError
from kmtalk_core.localization.tools import Tools
from kmtalk_core.settings import (
    WHISPER_DEVICES,
    CurveSettings,
    KeyDensitySettings,
    KeyRuleSettings,
    Layers,
    LineSettings,
    LocalizerSettings,
    Sliders,
    settings_of,
)

ROOT = Path(kmtalk_addon.__file__).parents[1]
TRANSCRIPT = "pop a bob"


pytestmark = pytest.mark.usefixtures("warm_worker")


@pytest.fixture
def shot(head, add_strip):
    """A head and a strip at frame 50, with its alignment fixed so that every run has the same phones."""
    sound_strip = add_strip(frame=50)
    bpy.context.view_layer.objects.active = head
    sound_strip.kmtalk.key_density = 1.0
    return head, sound_strip


@pytest.fixture
def alignment(tmp_path) -> Path:
    """A TextGrid of six phones in 3 s."""
    phones = [("SIL", 0, 0.3), ("P", 0.3, 0.5), ("AA", 0.5, 1.0), ("M", 1.0, 1.3), ("UW", 1.3, 2.2), ("SIL", 2.2, 3.0)]
    rows = "".join(
        f'        intervals [{n}]:\n            xmin = {a}\n            xmax = {b}\n            text = "{label}"\n'
        for n, (label, a, b) in enumerate(phones, 1)
    )
    path = tmp_path / "line.TextGrid"
    path.write_text(
        'File type = "ooTextFile"\nObject class = "TextGrid"\n\nxmin = 0\nxmax = 3\ntiers? <exists>\nsize = 1\n'
        "item []:\n"
        '    item [1]:\n        class = "IntervalTier"\n        name = "phones"\n        xmin = 0\n        xmax = 3\n'
        f"        intervals: size = {len(phones)}\n{rows}",
        encoding="utf-8",
    )
    return path


def jaw_of(curves, obj):
    return curves(obj)["jawOpen"]


def key_frames_on(look) -> list[float]:
    return [frame for frame, kind in zip(look.frames, look.types, strict=True) if kind == "KEYFRAME"]


def point_at(curve, frame):
    return next(point for point in curve.keyframe_points if abs(point.co[0] - frame) < 1e-3)


@pytest.mark.parametrize("fps, base", [(24, 1.0), (30, 1.001)])
def test_generate_fills_the_strip_at_the_rate_of_the_scene(shot, curves, fps, base):
    head, sound_strip = shot
    scene = bpy.context.scene
    scene.render.fps, scene.render.fps_base = fps, base
    assert bpy.ops.kmtalk.generate() == {"FINISHED"}
    jaw = jaw_of(curves, head)
    at = compat.handles(sound_strip)
    assert (jaw.frames[0], jaw.frames[-1]) == (50, at.right - 1)
    assert set(np.diff(jaw.frames)) == {1.0}
    keys = key_frames_on(jaw)
    assert keys and set(jaw.types) == {"KEYFRAME", "GENERATED"}
    assert all(key_frames_on(look) == keys for look in curves(head).values())
    take = keyframes.own_action(head).kmtalk_takes["Line"]
    assert take.key_count == len(keys)
    assert lipsync.read_take(take)[1].fps == pytest.approx(fps / base)


def test_a_trimmed_strip_is_animated_where_it_is_heard(shot, curves):
    head, sound_strip = shot
    sound_strip.frame_offset_start, sound_strip.frame_offset_end = 12, 24
    bpy.ops.kmtalk.generate()
    jaw = jaw_of(curves, head)
    assert (jaw.frames[0], jaw.frames[-1]) == (62, 97)


def test_imported_phones_set_the_keys(shot, curves, alignment):
    head, sound_strip = shot
    sound_strip.kmtalk.alignment = str(alignment)
    bpy.ops.kmtalk.generate()
    frames = key_frames_on(jaw_of(curves, head))
    phones = lipsync.read_take(keyframes.own_action(head).kmtalk_takes[0])[1].alignment.phones
    assert [phone.label for phone in phones] == ["SIL", "P", "AA", "M", "UW", "SIL"]
    for phone in phones[1:-1]:
        assert any(50 + phone.start * 24 - 1 <= frame <= 50 + phone.end * 24 + 1 for frame in frames)


def test_rerun_keeps_an_edit_exactly_and_leaves_far_spans_alone(shot, curves, alignment):
    head, sound_strip = shot
    sound_strip.kmtalk.alignment = str(alignment)
    bpy.ops.kmtalk.generate()
    before = {name: (look.values.copy(), list(look.types)) for name, look in curves(head).items()}
    frames = jaw_of(curves, head).frames
    keys = key_frames_on(jaw_of(curves, head))
    edited = keys[len(keys) // 2]
    point_at(jaw_of(curves, head).curve, edited).co[1] = 0.654321
    assert bpy.ops.kmtalk.complete() == {"FINISHED"}
    near = (frames > keys[len(keys) // 2 - 1]) & (frames < keys[len(keys) // 2 + 1])
    for name, look in curves(head).items():
        values, types = before[name]
        np.testing.assert_array_equal(look.values[~near], values[~near])
        assert list(look.types) == types
    after = jaw_of(curves, head)
    assert after.values[frames == edited] == pytest.approx(0.654321, abs=1e-6)
    assert not np.array_equal(after.values[near & (frames != edited)], before["jawOpen"][0][near & (frames != edited)])


def test_an_edit_taken_back_by_hand_brings_the_motion_back(shot, curves, alignment):
    head, sound_strip = shot
    sound_strip.kmtalk.alignment = str(alignment)
    bpy.ops.kmtalk.generate()
    before = {name: look.values.copy() for name, look in curves(head).items()}
    keys = key_frames_on(jaw_of(curves, head))
    for number in (len(keys) // 2, 2):
        point_at(jaw_of(curves, head).curve, keys[number]).co[1] = 0.654321
        bpy.ops.kmtalk.complete()
    assert not np.array_equal(jaw_of(curves, head).values, before["jawOpen"])
    frames = jaw_of(curves, head).frames
    for number in (len(keys) // 2, 2):
        value = before["jawOpen"][frames == keys[number]][0]
        point_at(jaw_of(curves, head).curve, keys[number]).co[1] = value
        bpy.ops.kmtalk.complete()
    for name, look in curves(head).items():
        np.testing.assert_array_equal(look.values, before[name])


def test_rerun_without_an_edit_changes_nothing(shot, curves):
    head, _ = shot
    bpy.ops.kmtalk.generate()
    before = {name: (look.values, look.types) for name, look in curves(head).items()}
    bpy.ops.kmtalk.complete()
    for name, look in curves(head).items():
        np.testing.assert_array_equal(look.values, before[name][0])
        assert look.types == before[name][1]


def test_moved_added_and_deleted_keys_survive_rerun(shot, curves, alignment):
    head, sound_strip = shot
    sound_strip.kmtalk.alignment = str(alignment)
    bpy.ops.kmtalk.generate()
    keys = key_frames_on(jaw_of(curves, head))
    deleted, moved = keys[1], keys[-2]
    target = next(frame for frame in (moved + 1, moved + 2, moved - 1, moved - 2) if frame not in keys)
    added = next(frame for frame in range(int(keys[0]) + 1, 120) if not {frame, frame - 1, frame + 1} & {*keys, target})
    for look in curves(head).values():
        points = look.curve.keyframe_points
        points.remove(point_at(look.curve, target))
        points.remove(point_at(look.curve, deleted))
        point_at(look.curve, moved).co[0] = target
        look.curve.update()
    block = head.data.shape_keys.key_blocks["jawOpen"]
    block.value = 0.25
    block.keyframe_insert("value", frame=added)
    bpy.ops.kmtalk.complete()
    expected = sorted({*keys, added, target} - {deleted, moved})
    jaw = jaw_of(curves, head)
    assert key_frames_on(jaw) == expected
    assert jaw.values[jaw.frames == added] == pytest.approx(0.25, abs=1e-6)
    assert set(np.diff(jaw.frames)) == {1.0}


def test_rerun_follows_a_moved_strip(shot, curves):
    head, sound_strip = shot
    bpy.ops.kmtalk.generate()
    before = jaw_of(curves, head)
    sound_strip.frame_start += 30
    bpy.ops.kmtalk.complete()
    after = jaw_of(curves, head)
    np.testing.assert_array_equal(after.frames, before.frames + 30)
    np.testing.assert_array_equal(after.values, before.values)


def test_a_strip_moved_by_hand_in_the_nla_stays_there_until_the_sound_moves(shot):
    head, sound_strip = shot
    bpy.ops.kmtalk.generate()
    keys = head.data.shape_keys
    clips.leave_tweak(keys)
    nla = next(strip for _, strip in clips.own_strips(keys))
    nla.frame_start_ui += 7
    start = nla.frame_start
    follow.follow(bpy.context.scene)
    assert next(strip for _, strip in clips.own_strips(keys)).frame_start == start
    sound_strip.frame_start += 30
    follow.follow(bpy.context.scene)
    assert next(strip for _, strip in clips.own_strips(keys)).frame_start == start - 7 + 30


def test_rerun_after_save_and_load(shot, curves, tmp_path):
    head, _ = shot
    bpy.ops.kmtalk.generate()
    before = jaw_of(curves, head)
    name = head.name
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shot.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "shot.blend"))
    head = bpy.data.objects[name]
    keys = key_frames_on(jaw_of(curves, head))
    point_at(jaw_of(curves, head).curve, keys[1]).co[1] = 0.9
    assert bpy.ops.kmtalk.complete() == {"FINISHED"}
    after = jaw_of(curves, head)
    assert after.values[after.frames == keys[1]] == pytest.approx(0.9, abs=1e-6)
    np.testing.assert_array_equal(after.values[after.frames > keys[2]], before.values[before.frames > keys[2]])


def test_the_users_own_things_survive(shot, curves):
    head, _ = shot
    wart = head.data.shape_keys.key_blocks["Wart"]
    wart.value = 0.3
    wart.keyframe_insert("value", frame=1)
    theirs = head.data.shape_keys.animation_data.action
    head.vertex_groups.new(name="Neck")
    names = [block.name for block in head.data.shape_keys.key_blocks]
    bpy.ops.kmtalk.generate()
    assert [block.name for block in head.data.shape_keys.key_blocks] == names
    assert theirs.name in bpy.data.actions and theirs != keyframes.own_action(head)
    assert wart.value == pytest.approx(0.3)
    assert [group.name for group in head.vertex_groups] == ["Neck"]


def test_the_panels_settings_reach_the_worker(shot, monkeypatch):
    _, sound_strip = shot
    settings = bpy.context.scene.kmtalk
    settings.key_rule, settings.language, settings.localizer = "both", "de", "whisper"
    sound_strip.kmtalk.key_density = 0.5
    sound_strip.kmtalk.expression, sound_strip.kmtalk.smoothing, sound_strip.kmtalk.use_name = "sad", 0.25, True
    monkeypatch.setattr(operators, "tools", lambda context: {"whisper_model": "small"})
    asked = []

    def send(self, request):
        asked.append(request)
        raise KMTalkError("enough")

    monkeypatch.setattr(session.Worker, "send", send)
    with pytest.raises(RuntimeError, match="enough"):
        bpy.ops.kmtalk.generate()
    request = asked[0]
    assert (request.key_rule, request.key_density, request.language, request.localizer) == (
        "both",
        0.5,
        "de",
        "whisper",
    )
    assert (request.expression, request.smoothing, request.transcript) == ("sad", 0.25, "Line")
    assert request.tools == {"whisper_model": "small"} and request.mesh is not None
    assert request.as_strip  # the sound counts from its first sample, as Blender plays it


def test_tools_of_the_preferences_are_what_the_core_knows(blender):
    assert set(preferences._TOOLS) == {f.name for f in fields(Tools)}
    assert [code for code, _, _ in preferences.DEVICES] == list(WHISPER_DEVICES)


def test_properties_are_the_settings_of_the_core(shot):
    """Name, default, range and choices, of every one."""
    _, sound_strip = shot
    of_strip = (Sliders, Layers, KeyDensitySettings, CurveSettings)
    for name in ("key_density", "curves"):
        sound_strip.kmtalk.property_unset(name)
    for group, kinds in (
        (bpy.context.scene.kmtalk, (LocalizerSettings, KeyRuleSettings)), (sound_strip.kmtalk, of_strip)
    ):  # fmt: skip
        for setting in settings_of(*kinds):
            about = group.bl_rna.properties[setting.name]
            assert about.description == setting.sentence and about.default == setting.default
            if setting.ending:
                assert about.type == "STRING"  # styles.py has the menu
            elif setting.choices is not None:
                assert [item.identifier for item in about.enum_items] == list(setting.choices)
            else:
                assert (about.hard_min, about.hard_max) == (setting.low, setting.high)
    options = operators.options_of(bpy.context, sound_strip)
    assert {s.name for s in settings_of(lipsync.Options)} == {s.name for s in settings_of(LineSettings)}
    assert all(getattr(options, s.name) == s.default for s in settings_of(LineSettings))


def test_packed_sound_and_text_block(shot, sound):
    head, sound_strip = shot
    text = bpy.data.texts.new("said")
    text.write(TRANSCRIPT)
    sound_strip.kmtalk.text = text
    sound_strip.sound.pack()
    sound.unlink()
    assert bpy.ops.kmtalk.generate() == {"FINISHED"}
    assert keyframes.own_action(head).kmtalk_takes[0].key_count > 0


def test_script_calls_and_operators_agree(shot, curves):
    head, _ = shot
    bpy.ops.kmtalk.generate()
    by_operator = {name: look.values for name, look in curves(head).items()}
    outcome = api.generate(head, "Line")
    assert "key motions on frames 50 to" in outcome.summary
    for name, look in curves(head).items():
        np.testing.assert_array_equal(look.values, by_operator[name])


def test_errors_are_one_sentence_and_change_nothing(shot, sound):
    head, _sound_strip = shot
    sound.unlink()
    with pytest.raises(RuntimeError, match=r"Größe 1\.wav is missing"):
        bpy.ops.kmtalk.generate()
    assert "missing" in session.current.error
    assert head.data.shape_keys.animation_data is None
    assert bpy.ops.kmtalk.generate.poll()


def test_a_killed_worker_is_one_sentence_and_the_next_run_works(shot, monkeypatch):
    head, _ = shot
    bpy.ops.kmtalk.generate()
    before = keyframes.own_action(head).kmtalk_takes[0].result
    send = session.Worker.send

    def killed(self, request):
        os.kill(self.pid, signal.SIGTERM)
        return send(self, request)

    with monkeypatch.context() as patch:
        patch.setattr(session.Worker, "send", killed)
        with pytest.raises(RuntimeError) as error:
            bpy.ops.kmtalk.generate()
    assert "stopped unexpectedly" in str(error.value) and "Traceback" not in str(error.value)
    assert keyframes.own_action(head).kmtalk_takes[0].result == before
    assert bpy.ops.kmtalk.generate() == {"FINISHED"}


def test_a_cancelled_job_leaves_the_file_as_it_was(shot):
    head, sound_strip = shot
    job = session.current.start(lipsync.generate(bpy.context.scene, sound_strip, head, lipsync.Options()), "")
    job.poll()
    assert bpy.ops.kmtalk.cancel() == {"FINISHED"}
    assert session.current.job is None and head.data.shape_keys.animation_data is None
    assert bpy.ops.kmtalk.generate() == {"FINISHED"}


def test_a_script_does_not_disturb_a_job_on_its_way(shot):
    head, sound_strip = shot
    job = session.current.start(lipsync.generate(bpy.context.scene, sound_strip, head, lipsync.Options()), "")
    with pytest.raises(KMTalkError, match="at work"):
        api.generate(head)
    assert session.current.job is job
    session.current.cancel()


def test_nothing_that_is_pressed_meanwhile_ends_a_job_on_its_way(shot):
    head, sound_strip = shot
    job = session.current.start(lipsync.generate(bpy.context.scene, sound_strip, head, lipsync.Options()), "")
    for operator in (bpy.ops.kmtalk.self_check, bpy.ops.kmtalk.generate):
        with pytest.raises(RuntimeError, match="at work"):
            operator()
    assert session.current.job is job
    assert "key motions" in job.wait().summary
    session.current.finish(job)


def test_the_phones_of_a_trimmed_strip_are_those_of_its_part(shot, alignment):
    head, sound_strip = shot
    sound_strip.kmtalk.alignment = str(alignment)
    sound_strip.frame_offset_start = 12  # half a second
    bpy.ops.kmtalk.generate()
    phones = lipsync.read_take(keyframes.own_action(head).kmtalk_takes[0])[1].alignment.phones
    assert [phone.label for phone in phones] == ["AA", "M", "UW", "SIL"]
    assert [phone.start for phone in phones] == pytest.approx([0.0, 0.5, 0.8, 1.7], abs=1e-6)


def test_disabled_buttons_say_why(blender, head, add_strip):
    bpy.context.view_layer.objects.active = head
    with pytest.raises(RuntimeError, match="There is no sound strip"):
        bpy.ops.kmtalk.generate()
    add_strip()
    with pytest.raises(RuntimeError, match="generate it first"):
        bpy.ops.kmtalk.complete()
    with pytest.raises(RuntimeError, match="Nothing is at work"):
        bpy.ops.kmtalk.cancel()


def test_another_frame_rate_is_followed_and_edits_stay(shot, curves):
    head, _ = shot
    bpy.ops.kmtalk.generate()
    jaw = jaw_of(curves, head)
    frame = key_frames_on(jaw)[1]
    point_at(jaw.curve, frame).co[1] = 0.8
    before = jaw_of(curves, head)
    scene, block = bpy.context.scene, head.data.shape_keys.key_blocks["jawOpen"]
    scene.render.fps = 30
    assert bpy.ops.kmtalk.complete() == {"FINISHED"}
    np.testing.assert_array_equal(jaw_of(curves, head).frames, before.frames)
    at = 50 + (frame - 50) * 30 / 24
    scene.frame_set(int(at), subframe=at % 1)
    assert block.value == pytest.approx(0.8, abs=1e-3)
    assert live.frame_of(keyframes.own_action(head).kmtalk_takes[0], 1.0) == 80


def test_edits_are_noticed_before_they_would_be_replaced(shot, curves):
    head, _ = shot
    bpy.ops.kmtalk.generate()
    assert not lipsync.edited_keys(bpy.context.scene, "", head)
    point_at(jaw_of(curves, head).curve, key_frames_on(jaw_of(curves, head))[0]).co[1] = 0.7
    assert lipsync.edited_keys(bpy.context.scene, "", head)


def test_add_sound(blender, sound):
    bpy.context.scene.frame_set(33)
    assert bpy.ops.kmtalk.add_sound(filepath=str(sound)) == {"FINISHED"}
    strip = compat.all_strips(bpy.context.scene)[0]
    assert read_line(bpy.context.scene, strip).first_frame == 33
    assert choose_strip(bpy.context.scene, bpy.context.scene.kmtalk.strip) == strip and len(bpy.data.sounds) == 1
    assert bpy.context.scene.frame_end == 250 and bpy.context.scene.sync_mode == "AUDIO_SYNC"
    bpy.context.scene.frame_set(300)
    assert bpy.ops.kmtalk.add_sound(filepath=str(sound)) == {"FINISHED"} and bpy.context.scene.frame_end == 371
    (new,) = (strip for strip in compat.all_strips(bpy.context.scene) if strip.select)  # or both would be moved next
    assert choose_strip(bpy.context.scene, bpy.context.scene.kmtalk.strip) == new != strip
    bpy.context.scene.sequence_editor.active_strip = strip  # as a click in the sequencer does
    assert choose_strip(bpy.context.scene, bpy.context.scene.kmtalk.strip) == strip
    with pytest.raises(RuntimeError, match="cannot read the sound"):
        bpy.ops.kmtalk.add_sound(filepath=str(ROOT / "README.md"))


def test_a_click_switches_one_part_and_leaves_the_others(blender, add_strip):
    with pytest.raises(RuntimeError, match="There is no sound strip"):
        bpy.ops.kmtalk.toggle_part(part="GAZE")
    settings = add_strip().kmtalk
    assert bpy.ops.kmtalk.toggle_part(part="GAZE") == {"FINISHED"}
    assert settings.parts == keyframes.ALL_PARTS - {"GAZE"}
    assert bpy.ops.kmtalk.toggle_part(part="GAZE") == {"FINISHED"} and settings.parts == keyframes.ALL_PARTS


def test_registering_twice_leaves_nothing_behind(blender):
    for _ in range(2):
        kmtalk_addon.unregister()
        assert not hasattr(bpy.types.Scene, "kmtalk") and not hasattr(bpy.types, "KMTALK_OT_generate")
        kmtalk_addon.register()
    assert bpy.types.KMTALK_PT_view3d and bpy.context.scene.kmtalk.localizer == "auto"


def test_registration_imports_nothing_heavy():
    script = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); import bpy, kmtalk_addon; kmtalk_addon.register(); "
        "print([m for m in ('torch', 'onnxruntime', 'scipy', 'av', 'pocketsphinx') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("[]")


def test_the_panel_names_only_operators_lists_and_properties_that_exist(blender):
    boxes = ("panels", "line_operators", "scene_box", "mapping", "head_box")
    parts = [ROOT / "kmtalk_addon" / f"{name}.py" for name in boxes]
    source = "\n".join(part.read_text(encoding="utf-8") for part in parts)
    named = set(re.findall(r'"kmtalk\.(\w+)"', source))
    assert len(named) > 8 and all(hasattr(bpy.types, f"KMTALK_OT_{name}") for name in named)
    assert all(hasattr(bpy.types, name) for name in re.findall(r'"(KMTALK_UL_\w+)"', source))
    lines, takes = properties.KMTalkLine.bl_rna.properties, properties.KMTalkTake.bl_rna.properties
    assert {"intensity", "jaw", "lips", "smoothing", "offset", "upper_face", "head", "seed"} <= set(lines.keys())
    assert {"words", "word", "phones", "phone", "missed", "contact"} <= set(takes.keys())
