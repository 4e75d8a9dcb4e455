"""Sliders, the contact report and corrections as an animator meets them, on the sample speech."""

import json
from dataclasses import replace
from pathlib import Path

import bpy
import numpy as np
import pytest

from kmtalk_addon import api, compat, corrections, keyframes, lipsync, live, session, takes
from kmtalk_addon.strip import Played, choose_strip
from kmtalk_core import assets
from kmtalk_core.assets import RECOGNISER
from kmtalk_core.errors import InputError
from kmtalk_core.localization.corrections import Correction
from kmtalk_core.localization.importers import load_alignment

SAMPLE = Path(assets.__file__).parent / "sample_speech.flac"
TRANSCRIPT = "Hello! My mouth moves by itself now."  # its first seconds
SECONDS = 3


pytestmark = pytest.mark.usefixtures("warm_worker")


@pytest.fixture(scope="module")
def spoken(tmp_path_factory, warm_worker):
    """A file in which a head says the sample speech from frame 50 on, generated once."""
    path = tmp_path_factory.mktemp("spoken") / "spoken.blend"

    def made(head) -> Path:
        if not path.exists():
            strip = compat.add_sound_strip(bpy.context.scene, "Line", str(SAMPLE), 1, 50)
            strip.kmtalk.transcript, strip.frame_final_end = TRANSCRIPT, 50 + SECONDS * 24
            bpy.context.view_layer.objects.active = head
            assert bpy.ops.kmtalk.generate() == {"FINISHED"}
            bpy.ops.wm.save_as_mainfile(filepath=str(path), check_existing=False)
        return path

    return made


@pytest.fixture
def shot(head, spoken):
    """(head, strip, take) of that file, freshly loaded."""
    bpy.ops.wm.open_mainfile(filepath=str(spoken(head)))
    scene = bpy.context.scene
    head = next(obj for obj in scene.objects if obj.type == "MESH")
    bpy.context.view_layer.objects.active = head
    return head, choose_strip(scene), keyframes.own_action(head).kmtalk_takes["Line"]


def values(curves, obj, action=None) -> dict[str, np.ndarray]:
    return {name: look.values.copy() for name, look in curves(obj, action).items()}


def edit(curves, obj, frame, value, name="jawOpen") -> None:
    points = curves(obj)[name].curve.keyframe_points
    point = next((p for p in points if abs(p.co[0] - frame) < 1e-3), None) or points.insert(frame, value)
    point.co[1] = value


def on_frames(look, first=50, last=50 + SECONDS * 24) -> np.ndarray:
    return np.array([look.curve.evaluate(frame) for frame in range(first, last)])


def key_frames_on(look) -> list[float]:
    return [frame for frame, kind in zip(look.frames, look.types, strict=True) if kind == "KEYFRAME"]


def frames_of(look, frame) -> np.ndarray:
    return np.flatnonzero(np.abs(look.frames - frame) < 1e-3)


def no_worker(monkeypatch) -> None:
    def send(*_):
        raise AssertionError("the worker was asked")

    monkeypatch.setattr(session.Worker, "send", send)


def test_sliders_act_at_once_and_without_inference(shot, curves, monkeypatch):
    head, strip, take = shot
    no_worker(monkeypatch)
    before, jaw = values(curves, head), on_frames(curves(head)["jawOpen"])
    strip.kmtalk.jaw = 0.5
    after, half = values(curves, head), on_frames(curves(head)["jawOpen"])
    is_open = jaw > 0.1  # on most frames, it is half as far: where it is fast, a jaw takes its time
    np.testing.assert_allclose(np.median(half[is_open] / jaw[is_open]), 0.5, atol=0.01)
    np.testing.assert_array_equal(after["browInnerUp"], before["browInnerUp"])
    assert take.contacts == "6 of 6 lip and teeth contacts are held."
    strip.kmtalk.jaw = 1.0
    for name, look in values(curves, head).items():
        np.testing.assert_array_equal(look, before[name])


@pytest.mark.parametrize(
    "slider, control", [("upper_face", "eyeBlinkLeft"), ("upper_face", "browInnerUp"), ("intensity", "jawOpen")]
)
def test_layers_are_off_at_0(shot, curves, slider, control):
    head, strip, _ = shot
    assert values(curves, head)[control].any()
    setattr(strip.kmtalk, slider, 0.0)
    after = values(curves, head)  # what does not move has no curve, so that one's own acting is seen
    assert control not in after or (control == "jawOpen" and not after[control].any())


def test_an_expression_comes_and_goes_and_contacts_hold(shot, curves):
    head, strip, take = shot
    before = values(curves, head)
    strip.kmtalk.expression = "happy"
    smile = values(curves, head)["mouthSmileLeft"]
    assert smile.mean() > before["mouthSmileLeft"].mean() + 0.1 and not len(take.missed)
    strip.kmtalk.expression_strength = 0.5
    assert smile.mean() > values(curves, head)["mouthSmileLeft"].mean() > before["mouthSmileLeft"].mean()
    strip.kmtalk.expression = "neutral"
    strip.kmtalk.expression_strength = 1.0
    np.testing.assert_array_equal(values(curves, head)["mouthSmileLeft"], before["mouthSmileLeft"])


def test_keys_that_the_animator_has_edited_stay_through_sliders_and_completion(shot, curves):
    head, strip, _ = shot
    keys = key_frames_on(curves(head)["jawOpen"])
    edited = keys[len(keys) // 2]
    edit(curves, head, edited, 0.77)
    strip.kmtalk.intensity = 0.4
    look = curves(head)["jawOpen"]
    assert look.values[frames_of(look, edited)] == pytest.approx(0.77, abs=1e-6)
    slid, far = on_frames(look), np.abs(np.arange(50, 50 + SECONDS * 24) - edited) > 24
    assert slid[far].max() < 0.3
    assert bpy.ops.kmtalk.complete() == {"FINISHED"}
    completed = curves(head)["jawOpen"]
    assert completed.values[frames_of(completed, edited)] == pytest.approx(0.77, abs=1e-6)
    np.testing.assert_allclose(on_frames(completed)[far], slid[far], atol=1e-6)
    strip.kmtalk.intensity = 1.0
    look = curves(head)["jawOpen"]
    assert look.values[frames_of(look, edited)] == pytest.approx(0.77, abs=1e-6) and on_frames(look)[far].max() > 0.3
    assert key_frames_on(look) == keys


def test_generating_again_keeps_edited_keys_by_words_in_a_new_take(shot, curves):
    head, strip, take = shot
    keys = key_frames_on(curves(head)["jawOpen"])
    said = [(50 + word.start * 24, 50 + word.end * 24) for word in take.words if word.name != "moves"]
    edited = next(k for k in keys if any(start + 1 < k < end - 1 for start, end in said))
    edit(curves, head, edited, 0.77)
    strip.kmtalk.transcript = TRANSCRIPT.replace("moves", "proves")
    strip.kmtalk.head = 0.5
    assert bpy.ops.kmtalk.generate() == {"FINISHED"}
    assert [t.title for t in api.takes(head)] == ["Take 1", "Take 2"] and api.takes(head)[1].edited
    look = curves(head)["jawOpen"]
    at = np.flatnonzero(np.isclose(look.values, 0.77, atol=1e-6))
    assert len(at) == 1 and abs(look.frames[at[0]] - edited) <= 2 and look.types[at[0]] == "KEYFRAME"
    bpy.context.scene.kmtalk.keep_keys = False
    assert bpy.ops.kmtalk.generate() == {"FINISHED"}
    assert not np.isclose(curves(head)["jawOpen"].values, 0.77, atol=1e-6).any() and not api.takes(head)[2].edited


def test_an_edit_taken_back_brings_the_motion_back(shot, curves):
    head, _, _ = shot
    before = values(curves, head)
    frame = key_frames_on(curves(head)["jawOpen"])[6]
    was = before["jawOpen"][frames_of(curves(head)["jawOpen"], frame)][0]
    edit(curves, head, frame, 0.9)
    assert bpy.ops.kmtalk.complete() == {"FINISHED"}
    assert not np.array_equal(values(curves, head)["jawOpen"], before["jawOpen"])
    edit(curves, head, frame, was)
    assert bpy.ops.kmtalk.complete() == {"FINISHED"}
    for name, look in values(curves, head).items():
        np.testing.assert_array_equal(look, before[name])


def test_keys_are_added_jumped_to_and_reset(shot, curves):
    head, _, _ = shot
    before, keys = values(curves, head), key_frames_on(curves(head)["jawOpen"])
    scene = bpy.context.scene
    scene.frame_set(int(keys[4]) - 1)
    assert bpy.ops.kmtalk.jump_key(next=True) == {"FINISHED"} and scene.frame_current == keys[4]
    edit(curves, head, keys[4], 0.9)
    edit(curves, head, keys[6], 0.8)
    added = next(f for f in range(int(keys[1]) + 1, int(keys[-1])) if f not in keys)
    scene.frame_set(added)
    assert bpy.ops.kmtalk.add_key() == {"FINISHED"} and added in key_frames_on(curves(head)["jawOpen"])
    assert bpy.ops.kmtalk.complete() == {"FINISHED"}
    assert bpy.ops.kmtalk.reset_key() == {"FINISHED"} and key_frames_on(curves(head)["jawOpen"]) == keys
    scene.frame_set(int(keys[4]))
    assert bpy.ops.kmtalk.reset_key() == {"FINISHED"}
    look = curves(head)["jawOpen"]
    assert look.values[frames_of(look, keys[4])] == before["jawOpen"][frames_of(look, keys[4])]
    assert look.values[frames_of(look, keys[6])] == pytest.approx(0.8, abs=1e-6)
    assert bpy.ops.kmtalk.reset_key(everything=True) == {"FINISHED"}
    for name, shown in values(curves, head).items():
        np.testing.assert_array_equal(shown, before[name])
    scene.frame_set(added)
    with pytest.raises(RuntimeError, match="no key motion on this frame"):
        bpy.ops.kmtalk.reset_key()


def test_the_offset_moves_key_motions_and_comes_back(shot, curves):
    head, strip, _ = shot
    before = curves(head)["jawOpen"]
    keys, was = key_frames_on(before), on_frames(before)
    strip.kmtalk.offset = 3 / 24
    moved = curves(head)["jawOpen"]
    assert set(key_frames_on(moved)) == {frame + 3 for frame in keys if frame + 3 <= before.frames[-1]}
    np.testing.assert_allclose(on_frames(moved, 53), was[:-3], atol=0.03)
    assert bpy.ops.kmtalk.complete() == {"FINISHED"}
    np.testing.assert_array_equal(curves(head)["jawOpen"].values, moved.values)
    strip.kmtalk.offset = 0.0
    after = curves(head)["jawOpen"]
    assert key_frames_on(after) == keys
    np.testing.assert_array_equal(after.frames, before.frames)
    np.testing.assert_allclose(after.values, before.values, atol=1e-5)


def test_sliders_follow_a_moved_strip(shot, curves):
    head, strip, _ = shot
    before = curves(head)["jawOpen"]
    strip.frame_start += 30
    strip.kmtalk.lips = 1.1  # lips that open further take longer to their contacts, and the jaw with them
    np.testing.assert_array_equal(curves(head)["jawOpen"].frames[[0, -1]], before.frames[[0, -1]] + 30)
    strip.kmtalk.lips = 1.0
    np.testing.assert_array_equal(curves(head)["jawOpen"].frames, before.frames + 30)
    np.testing.assert_array_equal(curves(head)["jawOpen"].values, before.values)


@pytest.mark.parametrize("work", ["generate", "complete"])
def test_a_slider_that_is_moved_while_work_is_on_its_way_counts(shot, curves, monkeypatch, work):
    head, strip, take = shot
    wide = values(curves, head)["jawOpen"].max()
    wait = session.Job.wait

    def wait_and_slide(job):
        strip.kmtalk.jaw = 0.5
        assert values(curves, head)["jawOpen"].max() == wide
        return wait(job)

    monkeypatch.setattr(session.Job, "wait", wait_and_slide)
    assert getattr(bpy.ops.kmtalk, work)() == {"FINISHED"}
    assert strip.kmtalk.jaw == 0.5 and json.loads(take.worn)["jaw"] == 0.5
    assert values(curves, head)["jawOpen"].max() < 0.7 * wide


def test_after_undo_the_curves_are_as_the_sliders_say(shot, curves):
    head, strip, _ = shot
    strip.kmtalk.jaw = 0.5
    slid = values(curves, head)
    with session.current.fill_in():
        strip.kmtalk.jaw = 1.0  # as undo restores a property, without a call
    live._after_undo()
    assert values(curves, head)["jawOpen"].max() > 1.5 * slid["jawOpen"].max()


def test_a_slider_moves_only_the_lines_of_its_strip(shot, curves):
    head, strip, take = shot
    compat.add_sound_strip(bpy.context.scene, "Other", str(SAMPLE), 2, 400).frame_final_end = 400 + SECONDS * 24
    bpy.context.scene.kmtalk.strip = "Other"
    assert bpy.ops.kmtalk.generate() == {"FINISHED"}
    other = keyframes.own_action(head)
    before, of_other = curves(head, take.id_data)["jawOpen"], values(curves, head, other)
    strip.kmtalk.jaw = 0.5
    for name, look in values(curves, head, other).items():
        np.testing.assert_array_equal(look, of_other[name])
    assert curves(head, take.id_data)["jawOpen"].values.max() < 0.7 * before.values.max()


def test_generating_again_keeps_the_sliders_and_a_script_sets_them(shot, curves):
    head, strip, take = shot
    strip.kmtalk.jaw = 0.5
    slid = takes.shown(take).controls
    assert bpy.ops.kmtalk.generate() == {"FINISHED"}
    np.testing.assert_allclose(takes.shown(take).controls, slid, atol=1e-5)
    jaw = takes.shown(take).control_names.index("jawOpen")
    np.testing.assert_allclose(on_frames(curves(head)["jawOpen"]), slid[: SECONDS * 24, jaw], atol=0.0151)
    api.generate(head, "Line", options=lipsync.Options(transcript=TRANSCRIPT, lips=1.5))
    assert (strip.kmtalk.jaw, strip.kmtalk.lips) == (1.0, 1.5)
    assert json.loads(take.worn)["lips"] == 1.5
    assert bpy.ops.kmtalk.reset_sliders() == {"FINISHED"} and strip.kmtalk.lips == 1.0
    assert json.loads(take.worn)["lips"] == 1.0


def test_what_sliders_cannot_do_is_one_sentence_in_the_panel(head, add_strip, made, curves):
    from kmtalk_addon.strip import read_line

    strip = add_strip(frame=50)
    line = read_line(bpy.context.scene, strip)
    lipsync.apply(bpy.context.scene, head, strip, line, *made(line))
    strip.kmtalk.jaw = 0.5
    assert "generate it again" in session.current.error and "Traceback" not in session.current.error


def test_missed_contacts_are_listed_by_time_and_a_click_goes_there(shot, curves):
    head, _, take = shot
    _, animation = takes.read_take(take)
    lips = [p for p in animation.alignment.phones if p.label in ("B", "M", "P")]
    for phone in (lips[2], lips[-1]):
        for frame in range(int(50 + phone.start * 24) - 1, int(50 + phone.end * 24) + 2):
            edit(curves, head, frame, 0.6)
            edit(curves, head, frame, 0.0, "mouthClose")
            for side in ("Left", "Right"):
                edit(curves, head, frame, 0.0, f"mouthPress{side}")
    assert not len(take.missed)
    assert bpy.ops.kmtalk.check_contacts() == {"FINISHED"}
    assert [item.name.split()[0] for item in take.missed] == [lips[2].label, lips[-1].label]
    assert "by the animator's key" in take.missed[0].reason and "2 missed" in take.contacts
    take.contact = 1
    assert abs(bpy.context.scene.frame_current - (50 + lips[-1].start * 24)) < 3
    # Completion tells the same of its own.
    bpy.ops.kmtalk.complete()
    assert len(take.missed) == 2 and take.contact == -1


def test_words_are_listed_with_their_confidence_and_a_click_goes_there(shot):
    _, _, take = shot
    words = [word.name for word in take.words]
    assert words[:3] == ["Hello", "My", "mouth"] and not any(word.doubtful for word in take.words)
    assert 0 < min(word.confidence for word in take.words) < 1
    take.word = 5
    assert bpy.context.scene.frame_current == round(50 + take.words[5].start * 24)
    shown = [phone.name for phone, chosen in zip(take.phones, corrections.phones_of(take), strict=True) if chosen]
    assert words[5] == "itself" and shown == ["IH", "T", "S", "EH", "L", "F"]


@pytest.mark.skipif(not RECOGNISER.is_file(), reason="this build has no recogniser")
def test_what_was_heard_is_listed_as_words_and_becomes_the_text(shot, monkeypatch):
    _, strip, take = shot
    assert take.heard_text == ""
    monkeypatch.setattr("kmtalk_addon.strip.text_beside", lambda path: None)
    strip.kmtalk.transcript = ""
    assert bpy.ops.kmtalk.generate() == {"FINISHED"}
    words = [word.name for word in take.words]
    assert "mouth" in words and "moves" in words and take.heard_language == "en"
    assert bpy.ops.kmtalk.use_heard() == {"FINISHED"}
    assert strip.kmtalk.transcript == take.heard_text
    next(word for word in take.words if word.name == "moves").name = "sings"
    assert bpy.ops.kmtalk.use_heard() == {"FINISHED"}
    assert " sings " in strip.kmtalk.transcript and " moves " not in strip.kmtalk.transcript
    assert bpy.ops.kmtalk.correct() == {"FINISHED"}
    assert take.heard_text, "a correction leaves it heard"


def test_a_text_that_does_not_fit_is_told_and_its_words_are_marked(shot):
    _, strip, take = shot
    strip.kmtalk.transcript = "Hello! My elephant moves by strength Привет."
    assert bpy.ops.kmtalk.generate() == {"FINISHED"}
    assert "elephant" in take.warnings and "“Привет” cannot be read out" in take.warnings
    words = {word.name: word for word in take.words}
    assert not words["Hello"].doubtful and ("strength" not in words or words["strength"].doubtful)
    assert bpy.ops.kmtalk.complete() == {"FINISHED"}
    assert "elephant" in take.warnings


def test_a_corrected_word_changes_the_motion_near_it_only(shot, curves):
    head, strip, take = shot
    before, shown = takes.shown(take), on_frames(curves(head)["jawOpen"])
    moves = next(word for word in take.words if word.name == "moves")
    start, end = moves.start, moves.end
    with pytest.raises(RuntimeError, match="No word or phone has been changed"):
        bpy.ops.kmtalk.correct()
    moves.name = "sings"
    assert bpy.ops.kmtalk.correct() == {"FINISHED"}
    assert [word.name for word in take.words][2:5] == ["mouth", "sings", "by"]
    after, now = takes.shown(take), on_frames(curves(head)["jawOpen"])
    far = (before.times < start - 1.2) | (before.times > end + 1.2)
    np.testing.assert_array_equal(after.controls[far], before.controls[far])
    np.testing.assert_allclose(now[far[: len(now)]], shown[far[: len(now)]], atol=0.03)
    assert np.abs(now - shown)[~far[: len(now)]].max() > 0.05
    assert not corrections.pending(take)
    kept = corrections.stored(strip)
    assert [c["label"] for c in kept.listed] == ["sings"]
    # A new run on the same sound keeps it, and so does the file.
    assert bpy.ops.kmtalk.generate() == {"FINISHED"}
    assert [word.name for word in take.words][3] == "sings" and corrections.stored(strip) == kept
    assert bpy.ops.kmtalk.forget(index=0) == {"FINISHED"} and not corrections.stored(strip).listed
    assert bpy.ops.kmtalk.generate() == {"FINISHED"}
    assert [word.name for word in take.words][3] == "moves"


def test_a_corrected_phone_is_seen_at_its_place_and_its_neighbours_give_way(shot, curves):
    head, strip, take = shot
    before, motion = on_frames(curves(head)["jawOpen"]), takes.shown(take)
    index = next(i for i, phone in enumerate(take.phones) if phone.name == "UW")
    phone, after = take.phones[index], take.phones[index + 1]
    start, end = phone.start, (phone.end + after.end) / 2
    phone.name, phone.end = "ɑː", end
    assert bpy.ops.kmtalk.correct() == {"FINISHED"}
    assert take.phones[index].name == take.phones[index].heard == "AA"
    assert take.phones[index].end == pytest.approx(end, abs=1e-3) == take.phones[index + 1].start
    times = np.arange(SECONDS * 24) / 24
    here = (times >= start) & (times <= end)
    assert on_frames(curves(head)["jawOpen"])[here].max() > before[here].max() + 0.05
    far = (motion.times < start - 0.6) | (motion.times > end + 0.8)
    np.testing.assert_array_equal(takes.shown(take).controls[far], motion.controls[far])
    assert [c["tier"] for c in corrections.stored(strip).listed] == ["phone"]
    phone = take.phones[index]
    phone.end = phone.start - 0.1
    with pytest.raises(RuntimeError, match="beyond its neighbours"):
        bpy.ops.kmtalk.correct()
    assert corrections.has_pending(take) and len(corrections.stored(strip).listed) == 1


def test_pending_corrections_are_not_lost_by_sliders_completion_or_generating(shot, curves):
    _, strip, take = shot
    take.words[3].name = "sings"
    strip.kmtalk.jaw = 0.8
    bpy.ops.kmtalk.complete()
    assert take.words[3].name == "sings" and len(corrections.pending(take)) == 1
    assert bpy.ops.kmtalk.generate() == {"FINISHED"}
    assert take.words[3].name == take.words[3].heard == "sings" and len(corrections.stored(strip).listed) == 1


def test_corrections_that_no_longer_fit_are_told_and_left_out(shot):
    _, strip, take = shot
    corrections.store(
        strip,
        corrections.Stored(
            None, ({"tier": "word", "at": 0.01, "label": ""}, {"tier": "word", "at": 1.6, "label": "sings"})
        ),
    )
    assert bpy.ops.kmtalk.generate() == {"FINISHED"}
    assert "no longer fits" in take.warnings and take.words[3].name == "sings"


def test_edits_of_words_and_phones_become_corrections_in_time_of_the_file(shot):
    _, _, take = shot
    take.line = takes.as_json(replace(takes.read_line(take), start=10.0))
    word, phone = take.words[2], take.phones[2]
    word.end += 0.1
    take.words[4].name = ""
    phone.name, phone.start = "ɛ", phone.start + 0.01
    middle = (word.heard_start + word.heard_end) / 2
    corrections.add_word(take, 30.0)
    assert take.words[take.word].heard == "" and len(corrections.pending(take)) == 3, "a word without text is none"
    take.words[take.word].name = "the end"
    found = corrections.pending(take)
    assert [set(c) for c in found] == [
        {"tier", "at", "end"}, {"tier", "at", "label"}, {"tier", "at", "label"}, {"tier", "at", "label", "start"},
    ]  # fmt: skip
    assert found[0]["at"] == pytest.approx(10 + middle, abs=1e-3)
    assert found[1]["label"] == "" and found[2]["at"] == 40.0 and found[3]["tier"] == "phone"
    assert all(Correction(**c) for c in found)
    corrections.revert(take)
    assert not corrections.pending(take) and take.words[4].name == take.words[4].heard


def test_times_are_taken_from_the_current_frame_and_words_removed(shot):
    _, _, take = shot
    take.word = 3
    bpy.context.scene.frame_set(50 + 36)
    assert bpy.ops.kmtalk.time_here(tier="words", edge="start") == {"FINISHED"}
    assert take.words[3].start == pytest.approx(1.5)
    assert bpy.ops.kmtalk.remove_word() == {"FINISHED"} and take.words[3].name == ""
    count = len(take.words)
    assert bpy.ops.kmtalk.add_word() == {"FINISHED"} and len(take.words) == count + 1
    assert bpy.ops.kmtalk.remove_word() == {"FINISHED"} and len(take.words) == count
    assert bpy.ops.kmtalk.revert() == {"FINISHED"} and not corrections.pending(take)


def test_correcting_completes_edits_first_and_keeps_them(shot, curves):
    head, _, take = shot
    keys = key_frames_on(curves(head)["jawOpen"])
    edit(curves, head, keys[-3], 0.66)
    take.words[3].name = "sings"
    assert api.correct(head).summary.startswith("1 corrected")
    look = curves(head)["jawOpen"]
    assert look.values[frames_of(look, keys[-3])] == pytest.approx(0.66, abs=1e-6)
    assert lipsync.edited_keys(bpy.context.scene, "Line", head)


@pytest.mark.parametrize("suffix", [".TextGrid", ".json", ".srt"])
def test_words_and_phones_are_exported_and_imported_again(shot, tmp_path, suffix):
    _, strip, take = shot
    path = tmp_path / f"said{suffix}"
    assert bpy.ops.kmtalk.export_alignment(filepath=str(path.with_suffix("")), suffix=suffix) == {"FINISHED"}
    if suffix == ".srt":
        assert "Hello" in path.read_text(encoding="utf-8")
        return
    read = load_alignment(path)
    assert [w.label for w in read.words] == [word.name for word in take.words]
    strip.kmtalk.alignment = str(path)
    assert bpy.ops.kmtalk.generate() == {"FINISHED"}
    assert [word.name for word in take.words] == [w.label for w in read.words]


def test_a_head_with_shapes_of_its_own_gets_contacts_that_fit_it(shot):
    """The grid passes for no head, so nothing is known of its lips; the landmarks tell where they are."""
    from kmtalk_addon import shape_keys
    from kmtalk_core.rig.articulation import build_rig
    from kmtalk_core.rig.mesh import load_mesh

    mesh = load_mesh(assets.DEMO_HEAD)
    rig = build_rig(mesh)
    data = bpy.data.meshes.new("Artist")
    data.from_pydata(mesh.vertices.tolist(), [], mesh.faces.tolist())
    obj = bpy.data.objects.new("Artist", data)
    bpy.context.collection.objects.link(obj)
    bpy.context.view_layer.objects.active = obj
    obj.shape_key_add(name="Basis", from_mix=False)
    for name, shape in zip(rig.control_names, rig.shapes, strict=True):
        if not shape.any():
            continue
        scale = 0.6 if name == "mouthClose" else 1.0
        block = obj.shape_key_add(name=name, from_mix=False)
        block.data.foreach_set("co", (mesh.vertices + scale * shape).astype(np.float32).ravel())
    assert shape_keys.own_shapes(obj)
    assert bpy.ops.kmtalk.generate() == {"FINISHED"}
    take = keyframes.own_action(obj).kmtalk_takes["Line"]
    lips = takes.read_take(take)[1].lip_line
    assert take.fitted and lips.opening["mouthClose"] == pytest.approx(-0.6 * lips.opening["jawOpen"], rel=0.1)
    assert not len(take.missed)


def test_finding_the_line_of_no_strip_is_a_sentence(shot):
    head, _, _ = shot
    with pytest.raises(InputError, match="no sound strip X"):
        choose_strip(bpy.context.scene, "X")
    assert live.frame_of(keyframes.own_action(head).kmtalk_takes[0], 1.0) == 74


def test_a_damaged_or_newer_take_is_one_sentence():
    """As a .blend may hold it: what is unknown is left out, what is damaged is said without Python's words."""
    line = Played("strip", "a.wav", 0.0, 1.0, 10, 10.0, 25.0, 1.0)
    text = takes.as_json(line)
    assert takes._line(text) == takes._line(json.dumps({**json.loads(text), "of_tomorrow": 1})) == line
    for text in ("", "[]", "{", '{"strip": 1}', "[" * 100_000):
        with pytest.raises(InputError, match="damaged; generate it again"):
            takes._line(text)
    for data in (b"", b"PK nonsense"):
        with pytest.raises(InputError, match="not a readable") as told:
            takes.loaded(data)
        assert "BytesIO" not in str(told.value)
