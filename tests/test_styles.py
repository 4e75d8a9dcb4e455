"""Styles: the file, how one is worn, what finishing, results and edits make of it. Learning: test_learning.py."""

import json
from dataclasses import replace

import numpy as np
import pytest

from kmtalk_core.animator import Animator, Request
from kmtalk_core.assets import ASSETS, SAMPLE_SPEECH
from kmtalk_core.audio import load_sound
from kmtalk_core.command.batch.manifest import read_line
from kmtalk_core.command.batch.origin import origin_of
from kmtalk_core.errors import InputError
from kmtalk_core.finish.compose import finish
from kmtalk_core.finish.contact_poses import lips_apart
from kmtalk_core.finish.manner import BESIDE, approaching, from_speech, in_pauses, styled
from kmtalk_core.finish.report import contact_report
from kmtalk_core.localization.corrections import Correction
from kmtalk_core.motion import KeyMotions
from kmtalk_core.phones import Alignment, Phone
from kmtalk_core.results import load_animation, pack_finished, save_animation, unpack_finished
from kmtalk_core.rig.controls import CONTROL_INDEX, SPEECH_CONTROLS
from kmtalk_core.rig.lip_line import RIG_OPENING, LipLine
from kmtalk_core.settings import STYLES, Sliders
from kmtalk_core.styles import Adaptation, Style, load_style, save_style, shipped, style_named, style_of

JAW = SPEECH_CONTROLS.index("jawOpen")
OWN = [name for name in STYLES if name != "neutral"]
WIDE = Style("wide", "a test", "", {"jaw": 1.5, "lips": 1.5}, 1.2, {"jawOpen": 0.05}, {"mouthSmileLeft": 0.1})
TAUGHT = replace(
    WIDE,
    name="taught",
    approach={"jawOpen": (0.0, 0.05, 0.1, 0.2, 0.3, 0.2, 0.1)},
    near=("R", "TH"),
    adaptation=Adaptation(
        ("jawOpen", "mouthPucker"),
        ("jawOpen", "mouthStretchLeft"),
        (-0.06, 0.0, 0.06),
        ("AA", "IY"),
        tuple((0.02 * k, -0.01 * k) for k in range(9)),
    ),
)


@pytest.fixture(scope="module")
def animator():
    return Animator()


@pytest.fixture(scope="module")
def sound():
    return load_sound(SAMPLE_SPEECH, duration=3.0)


@pytest.fixture(scope="module")
def animation(animator, sound):
    return animator.animate(sound, Request(head=0.0, upper_face=0.0))


@pytest.fixture
def file(tmp_path):
    save_style(TAUGHT, tmp_path / "me.style")
    return tmp_path / "me.style"


def spoken(fps):
    """Two syllables, and a jaw that goes along."""
    alignment = Alignment((Phone("M", 0.0, 0.2), Phone("AA", 0.2, 0.6), Phone("IY", 0.6, 1.0)), (), 1.0, "test")
    times = np.arange(round(fps) + 1) / fps
    speech = np.zeros((len(times), len(SPEECH_CONTROLS)), np.float32)
    speech[:, JAW] = 0.25 + 0.2 * np.sin(2 * np.pi * 3 * times)
    return speech, times, alignment


# --- the file ---------------------------------------------------------------------------------------------------------


def test_a_file_gives_the_style_back_and_the_same_bytes(tmp_path, file):
    assert load_style(file) == TAUGHT
    save_style(load_style(file), tmp_path / "again.style")
    assert (tmp_path / "again.style").read_bytes() == file.read_bytes()
    assert style_of(json.loads(json.dumps(WIDE.as_dict))) == WIDE


def test_what_ships_is_what_settings_offer_and_says_what_it_is_made_from():
    assert {path.stem for path in ASSETS.glob("*.style")} == set(OWN)
    for name in OWN:
        style = style_named(name)
        assert style.name == name and len(style.made_from) > 30 and not style.is_neutral
        assert not style.warnings("another model")
        assert shipped(name).stat().st_size < 50_000
    assert style_named("neutral") == Style() and Style().is_neutral


@pytest.mark.parametrize(
    "damage",
    [
        {"kmtalk_style": 2},
        {"gains": {"ears": 1.0}},
        {"gains": {"jaw": 1e9}},
        {"gains": [1, 2]},
        {"gains": {"jaw": 10**400}},
        {"speed": "fast"},
        {"speed": True},
        {"rest": {"jawOpen": float("nan")}},
        {"rest": {"browInnerUp": 0.5}},
        {"name": "a\nb"},
        {"name": 7},
        {"made_from": "x" * 5000},
        {"adaptation": {}},
        {"adaptation": 3},
        {"adaptation": {**json.loads(json.dumps(TAUGHT.as_dict))["adaptation"], "weights": [[0.0, 0.0]]}},
        {"adaptation": {**json.loads(json.dumps(TAUGHT.as_dict))["adaptation"], "weights": ["ab"] * 9}},
        {"adaptation": {**json.loads(json.dumps(TAUGHT.as_dict))["adaptation"], "phones": ["AA", "AA"]}},
        {"adaptation": {**json.loads(json.dumps(TAUGHT.as_dict))["adaptation"], "delays": [0.0, 99.0, 0.0]}},
    ],
    ids=str,
)
def test_a_damaged_file_is_one_sentence_with_a_remedy(file, damage):
    file.write_text(json.dumps(TAUGHT.as_dict | damage), encoding="utf-8")
    with pytest.raises(InputError, match=r"me.style is no style .*; learn it again with `kmtalk learn-style`") as told:
        load_style(file)
    assert str(told.value).count("\n") == 0 and len(str(told.value)) < 400


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b"null", b"[1]", b" " * (2**20 + 1)])
def test_what_is_no_style_at_all_is_refused(file, content):
    file.write_bytes(content)
    with pytest.raises(InputError, match="is no style"):
        load_style(file)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"nobody.style cannot be read \(No such file or directory\); check the path"):
        style_named(str(tmp_path / "nobody.style"))
    with pytest.raises(InputError, match="cannot be read"):
        style_named("a\0b.style")


def test_any_byte_may_be_damaged(file):
    content, rng = file.read_bytes(), np.random.default_rng(0)
    for _ in range(300):
        damaged = bytearray(content)
        for at in rng.integers(0, len(content), 3):
            damaged[at] = rng.integers(0, 256)
        file.write_bytes(damaged)
        try:
            style = load_style(file)
        except InputError:
            continue
        assert np.isfinite(styled(*spoken(25.0), style)).all()


# --- how it is worn ---------------------------------------------------------------------------------------------------


def test_neutral_is_the_very_motion():
    speech, times, alignment = spoken(25.0)
    assert styled(speech, times, alignment, Style()) is speech
    assert styled(speech, times, alignment, Style(gains={"jaw": 1.0})) is speech


def test_gains_scale_and_speed_sharpens_what_is_fast():
    speech, times, alignment = spoken(50.0)
    wide = styled(speech, times, alignment, Style(gains={"jaw": 1.5}))
    assert np.allclose(wide, 1.5 * speech)
    fast, slow = (styled(speech, times, alignment, Style(speed=s))[:, JAW].std() for s in (1.5, 0.5))
    assert slow < 0.9 * speech[:, JAW].std() < speech[:, JAW].std() < 0.95 * fast
    assert np.abs(styled(np.full_like(speech, 0.3), times, alignment, Style(speed=2.0)) - 0.3).max() < 1e-5


def test_a_style_does_not_depend_on_the_frame_rate():
    coarse, fine = (styled(*spoken(fps), TAUGHT) for fps in (50.0, 200.0))
    assert np.abs(coarse - fine[::4]).max() < 0.01


def test_an_adaptation_adds_what_its_rows_say():
    speech, times, alignment = spoken(25.0)
    rows = np.zeros((9, 2))
    rows[6] = 0.3, 0.0  # while AA is spoken
    rows[8] = 0.0, 0.1  # always
    style = Style(adaptation=replace(TAUGHT.adaptation, weights=tuple(map(tuple, rows.tolist()))))
    added = styled(speech, times, alignment, style) - speech
    assert np.allclose(added[:, SPEECH_CONTROLS.index("mouthStretchLeft")], 0.1)
    assert added[10, JAW] == pytest.approx(0.3, abs=0.01) and abs(added[22, JAW]) < 0.01
    unheard = replace(alignment, source="uniform")
    assert not (styled(speech, times, unheard, style) - speech)[:, JAW].any()


@pytest.mark.parametrize("name", OWN)
def test_lips_that_must_meet_do_in_every_style(animator, sound, animation, name):
    worn = animator.animate(sound, Request(head=0.0, upper_face=0.0, style=name))
    before, after = contact_report(animation), contact_report(worn)
    assert after.contacts == before.contacts and not after.violations
    assert np.abs(worn.controls - animation.controls).max() > 0.05
    assert np.isfinite(worn.controls).all() and worn.controls.max() <= 1.0


def test_lively_opens_more_than_mumbling(animator, sound):
    def opening(name):
        controls = animator.animate(sound, Request(style=name)).controls
        return np.percentile(controls[:, CONTROL_INDEX["jawOpen"]] - controls[:, CONTROL_INDEX["mouthClose"]], 90)

    lively, neutral, mumbling = (opening(name) for name in ("lively", "neutral", "mumbling"))
    assert lively > 1.1 * neutral and mumbling < 0.9 * neutral


def test_lips_stay_apart_in_pauses_for_who_keeps_them_so(animator, sound):
    """On a head whose neutral pose leaves the lips apart, which are shut in pauses otherwise."""
    ajar = LipLine(rest=2.0, opening={**RIG_OPENING, "mouthPressLeft": -2.0, "mouthPressRight": -2.0})
    habit = Style("open", "a test", "", ready={"mouthLowerDownLeft": 0.4, "mouthLowerDownRight": 0.4, "jawOpen": 0.1})
    shut = animator.animate(sound, Request(head=0.0, upper_face=0.0, lip_line=ajar))
    parted = finish(replace(shut, style=habit, sliders=replace(shut.sliders, style="a.style")))
    away = from_speech(shut.times, shut.alignment)
    pause = (away > 0.2) & (away < BESIDE)
    assert pause.any()
    gaps = [lips_apart(a.controls, a.control_names, ajar)[pause] for a in (shut, parted)]
    assert gaps[1].min() > 2.5 > gaps[0].mean()
    assert contact_report(parted).violations == contact_report(shut).violations
    long = in_pauses(habit, np.array([0.0, 100.0]), shut.alignment)
    assert not long[1].any()


def test_the_face_gets_ready_for_speech_as_a_style_says(animator, sound, animation):
    course = (0.0, 0.05, 0.1, 0.3, 0.3, 0.2, 0.1)
    habit = Style("breath", "a test", "", approach={"jawOpen": course})
    worn = finish(replace(animation, style=habit, sliders=replace(animation.sliders, style="a.style")))
    jaw = worn.controls[:, CONTROL_INDEX["jawOpen"]]
    first = next(p.start for p in animation.alignment.phones if p.label != "SIL")
    alignment = animation.alignment.later(2.0)  # so that the whole approach shows
    poses, share = approaching(habit, first + np.array([1.0, 1.7, 2.1]), alignment)
    assert share[:, 0].tolist() == [0.0, 1.0, 0.0] and poses[1, JAW] == pytest.approx(0.3)
    ahead = worn.times < first - 0.25
    assert jaw[ahead].max(initial=0.3) > 0.25 and jaw[worn.times > first + 0.5].any()
    inside = (worn.times > first + 0.2) & (worn.times < first + 0.6)
    assert np.array_equal(worn.controls[inside], animation.controls[inside]), "speech itself stays the model's"


def test_an_approach_takes_no_more_than_half_of_its_pause():
    phones = (Phone("AA", 0.0, 1.0), Phone("SIL", 1.0, 1.4), Phone("AA", 1.4, 2.0))
    habit = Style("breath", "a test", "", approach={"jawOpen": (0.3,) * 7})
    times = np.linspace(0.0, 2.0, 201)
    _, share = approaching(habit, times, Alignment(phones, (), 2.0, "test"))
    moved = times[share[:, 0] > 0]
    assert moved.min() >= 1.2 and moved.max() < 1.4
    _, unknown = approaching(habit, times, Alignment(phones, (), 2.0, "uniform"))
    assert not unknown.any()


# --- results, edits, sliders ------------------------------------------------------------------------------------------


def test_generating_in_a_style_is_finishing_in_it(animator, sound, animation, file):
    generated = animator.animate(sound, Request(head=0.0, upper_face=0.0, style=str(file)))
    finished = finish(animation, replace(animation.sliders, style=str(file)))
    assert np.array_equal(generated.controls, finished.controls) and finished.style == TAUGHT
    assert np.array_equal(finish(finished, Sliders()).controls, animation.controls)


def test_a_result_holds_its_style_when_the_file_is_gone(animator, sound, animation, file, tmp_path):
    made = animator.animate(sound, Request(head=0.0, upper_face=0.0, style=str(file)))
    assert made.origin.settings["style"] == str(file)
    save_animation(made, tmp_path / "out.npz")
    file.unlink()
    again = load_animation(tmp_path / "out.npz")
    assert again.style == TAUGHT and again.sliders.style == str(file)
    wide = finish(again, replace(again.sliders, intensity=1.2))
    assert wide.style == TAUGHT and not np.array_equal(wide.controls, again.controls)
    assert np.array_equal(finish(wide, replace(wide.sliders, intensity=1.0)).controls, again.controls)
    assert unpack_finished(animation, pack_finished(again)).style == TAUGHT
    word = again.alignment.words[0] if again.alignment.words else again.alignment.phones[1]
    request = Request(corrections=(Correction("word", word.start + 0.01, "alpha"),))
    assert animator.correct(again, sound, request).style == TAUGHT


def test_edited_keys_stay_in_every_style(animator, animation):
    controls = animation.keys.controls.copy()
    place = len(controls) // 2
    controls[place, CONTROL_INDEX["mouthSmileLeft"]] = 0.7
    edited = animator.complete(animation, KeyMotions(animation.key_times, controls))
    worn = finish(edited, replace(edited.sliders, style="lively"))
    assert np.array_equal(worn.keys.controls[place], controls[place])
    assert np.array_equal(worn.controls[worn.key_frames[place]], controls[place])
    assert not np.array_equal(worn.controls, edited.controls)
    assert (
        np.abs(finish(worn, edited.sliders).controls - edited.controls).max() < 0.01
    )  # poses at their bounds lose a little


def test_recompletion_keeps_the_style(animator, sound):
    made = animator.animate(sound, Request(style="lively"))
    assert np.array_equal(animator.complete(made, made.keys).controls, made.controls)
    controls = made.keys.controls.copy()
    controls[0, CONTROL_INDEX["jawOpen"]] += 0.2
    again = animator.complete(made, KeyMotions(made.key_times, controls))
    assert again.style == made.style
    far = again.times > made.key_times[2]
    assert np.array_equal(again.controls[far], made.controls[far])


def test_a_style_of_another_model_is_told(animator, sound, file):
    save_style(replace(TAUGHT, model="kmtalk-other"), file)
    (told,) = (w for w in animator.animate(sound, Request(style=str(file))).alignment.warnings if "style" in w)
    assert "learned with another model (kmtalk-other)" in told


# --- batches ----------------------------------------------------------------------------------------------------------


def test_a_manifest_names_styles_and_files_beside_it(tmp_path, file):
    (tmp_path / "a.wav").write_bytes(b"sound")
    shipped_one = read_line({"audio": "a.wav", "style": "lively"}, "line 1", tmp_path)
    assert shipped_one.style == "lively" and "style" not in shipped_one.files
    line = read_line({"audio": "a.wav", "style": "me.style"}, "line 1", tmp_path)
    assert line.files["style"] == file and line.absolute().style == str(file)
    with pytest.raises(InputError, match=r"line 1: style 'bored' is unknown; choose from neutral, .* or a .style file"):
        read_line({"audio": "a.wav", "style": "bored"}, "line 1", tmp_path)


def test_a_style_that_changed_makes_another_result(tmp_path, file):
    (tmp_path / "a.wav").write_bytes(b"sound")
    line = read_line({"audio": "a.wav", "style": "me.style"}, "line 1", tmp_path)
    before = origin_of(line, "model")
    moved = tmp_path / "elsewhere.style"
    moved.write_bytes(file.read_bytes())
    assert origin_of(replace(line, style=str(moved)), "model") == before
    save_style(WIDE, file)
    assert origin_of(line, "model") != before
