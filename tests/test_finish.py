"""The finishing stage: sliders, contacts held last, edited keys left alone; all without the networks."""

from dataclasses import replace

import numpy as np
import pytest

from kmtalk_core.errors import InputError
from kmtalk_core.finish.compose import BREATH_JAW, finish, free_keys, freely_moving, slide, with_contacts
from kmtalk_core.finish.contact_poses import (
    HARD_PRESS,
    IN_CLOSURE,
    LIPS,
    TUCK,
    contact_pose,
    lip_from_teeth,
    lips_apart,
)
from kmtalk_core.finish.contacts import find_contacts
from kmtalk_core.finish.report import contact_report
from kmtalk_core.motion import Animation, KeyMotions, Unfinished
from kmtalk_core.phones import BILABIALS, LABIODENTALS, Alignment, Phone, Word
from kmtalk_core.results import load_animation, save_animation
from kmtalk_core.rig.controls import ALL_CONTROLS, CONTROL_INDEX, SPEECH_CONTROLS
from kmtalk_core.rig.lip_line import RIG_OPENING, LipLine
from kmtalk_core.settings import Layers, Sliders

STILL = Layers(upper_face=0.0, head=0.0)
JAW, CLOSE, ROLL = (SPEECH_CONTROLS.index(name) for name in ("jawOpen", "mouthClose", "mouthRollLower"))
SMILE = [CONTROL_INDEX[name] for name in ("mouthSmileLeft", "mouthSmileRight")]


def spoken(labels: str, length: float = 0.12) -> Alignment:
    """Phones of equal length, one word."""
    phones = [Phone(p, i * length, (i + 1) * length) for i, p in enumerate(labels.split())]
    return Alignment(tuple(phones), (Word("word", 0.0, phones[-1].end),), phones[-1].end, "test")


def result(alignment: Alignment, fps: float = 30.0, sliders: Sliders | None = None, wild: bool = False) -> Animation:
    """A whole result whose mouth stands open throughout; with `wild`, all that speech moves is half-way."""
    times = np.arange(int(alignment.duration * fps + 1e-6) + 1) / fps
    speech = np.full((len(times), len(SPEECH_CONTROLS)), 0.5 if wild else 0.0, np.float32)
    speech[:, JAW] = 0.35
    at = np.unique(np.rint([(p.start + p.end) / 2 * fps for p in alignment.phones]).astype(int).clip(0, len(times) - 1))
    keys = KeyMotions(at / fps, np.zeros((len(at), len(ALL_CONTROLS)), np.float32))
    bare = Animation(
        fps, times, ALL_CONTROLS, np.zeros((len(times), len(ALL_CONTROLS)), np.float32), keys, alignment, "0" * 64,
        "test", np.zeros((200, 4), np.float16), 25.0,
        Unfinished(speech, np.zeros((len(times), len(ALL_CONTROLS)), np.float32), np.zeros(len(at), bool),
                   np.zeros((200, 3), np.float16)),
        sliders=sliders or Sliders(), layers=STILL,
    )  # fmt: skip
    return with_contacts(bare, freely_moving(bare, bare.sliders, STILL), keys, np.zeros(len(at), bool))


@pytest.mark.parametrize("fps", [1.0, 24000 / 1001, 30.0, 240.0])
@pytest.mark.parametrize(
    "labels",
    ["M AA SIL", "SIL AA P M AA SIL", "AA M F AA", "B", "SIL F SIL", "AA V B V AA P", "SIL SIL", "AA IY"],
)
@pytest.mark.parametrize("wild", [False, True])
def test_every_contact_is_held_at_any_frame_rate(labels, fps, wild):
    animation = result(spoken(labels), fps, wild=wild)
    missed = contact_report(animation).violations
    if fps > 1:
        assert not missed
    assert all("only frame" in v.reason and v.kind == "teeth" for v in missed), "lips win where there is one frame"
    assert contact_report(animation).contacts == sum(p in BILABIALS | LABIODENTALS for p in labels.split())


def test_phones_shorter_than_a_frame_are_held_too():
    phones = (Phone("AA", 0.0, 0.5), Phone("M", 0.5, 0.503), Phone("AA", 0.503, 0.508), Phone("F", 0.508, 0.51))
    alignment = Alignment((*phones, Phone("AA", 0.51, 1.0)), (), 1.0, "test")
    assert not contact_report(result(alignment, 240.0)).violations
    assert [v.phone for v in contact_report(result(alignment, 24.0)).violations] in ([], ["F"])


@pytest.mark.parametrize("intensity", [0.3, 1.0, 2.0])
@pytest.mark.parametrize("smoothing", [0.0, 1.0])
def test_no_slider_breaks_a_contact_and_no_vowel_is_lost(intensity, smoothing):
    sliders = Sliders(intensity=intensity, smoothing=smoothing, jaw=2.0, lips=0.3)
    animation = finish(result(spoken("SIL AA AA P AA AA F AA AA M AA", 0.15)), sliders)
    assert not contact_report(animation).violations
    apart = lips_apart(animation.controls, ALL_CONTROLS)
    assert apart[round(0.3 * 30)] > 0.9 * 28 * min(0.35 * intensity * 2, 1.0)
    assert (animation.controls >= 0).all() and (animation.controls <= 1).all()


def test_a_still_mouth_tucks_no_lip():
    animation = finish(result(spoken("AA F AA P AA")), Sliders(intensity=0.0))
    assert not animation.controls.any()


def test_expressions_give_way_in_contacts_only():
    animation = result(spoken("AA AA AA P AA AA AA F AA AA AA"))
    free = animation.unfinished.free.copy()
    free[:, SMILE] = 0.8
    free[:, CONTROL_INDEX["mouthUpperUpLeft"]] = free[:, CONTROL_INDEX["mouthLowerDownRight"]] = 0.4
    smiling = with_contacts(animation, free, animation.keys, animation.unfinished.edited)
    assert not contact_report(smiling).violations
    assert (smiling.controls[:, SMILE] == np.float32(0.8)).all(), "the smile itself parts nothing"
    assert np.array_equal(smiling.controls[:6], free[:6])


def test_motion_that_makes_its_contacts_is_hardly_changed():
    animation = result(spoken("AA AA P AA AA"))
    free = contact_pose(animation.unfinished.free, ALL_CONTROLS, LIPS)
    assert (
        np.abs(with_contacts(animation, free, animation.keys, animation.unfinished.edited).controls - free).max() < 1e-6
    )


def test_the_closed_pose_leaves_no_opening_and_no_overlap():
    rng = np.random.default_rng(0)
    motion = np.zeros((500, len(ALL_CONTROLS)), np.float32)
    motion[:, [CONTROL_INDEX[name] for name in SPEECH_CONTROLS]] = rng.uniform(0, 1, (500, len(SPEECH_CONTROLS)))
    closed = contact_pose(motion, ALL_CONTROLS, LIPS)
    assert lips_apart(closed, ALL_CONTROLS).max() < 0.01
    assert closed[:, CONTROL_INDEX["jawOpen"]].max() <= np.float32(IN_CLOSURE["jawOpen"])
    touching = contact_pose(motion, ALL_CONTROLS, "teeth")
    assert lip_from_teeth(touching, ALL_CONTROLS).max() < 0.01
    assert touching[:, CONTROL_INDEX["mouthRollLower"]].min() >= TUCK


def test_lips_that_are_apart_at_rest_come_together_in_pauses_but_not_where_the_animator_has_a_key():
    parted = LipLine(1.9, {**RIG_OPENING, "mouthPressLeft": -1.0, "mouthPressRight": -1.0})
    silent = "SIL " * 10
    bare = result(spoken(f"{silent}AA IY AA {silent}AA {silent}", 0.15))
    speech = np.where(np.arange(35) == JAW, 0.3 * (bare.unfinished.speech > 0), 0.0).astype(np.float32)
    bare = replace(bare, unfinished=replace(bare.unfinished, speech=speech))
    quiet = finish(replace(bare, unfinished=replace(bare.unfinished, speech=speech * 0)), lip_line=parted)
    pressed = quiet.controls[:, CONTROL_INDEX["mouthPressLeft"]]
    middle = round(2.7 * 30)
    assert pressed[0] == pressed[-1] == pressed[middle] == np.float32(HARD_PRESS), "no more than a hint"
    assert lips_apart(quiet.controls, ALL_CONTROLS, parted)[[0, -1, middle]].max() < 0.01
    spoke = finish(bare, lip_line=parted).controls[:, CONTROL_INDEX["mouthPressLeft"]]
    assert spoke[round(1.72 * 30)] < 0.01, "while a vowel sounds they are left alone"
    assert np.abs(np.diff(pressed)).max() < 0.3
    assert not finish(bare).controls[0, CONTROL_INDEX["mouthPressLeft"]], "lips that rest together are not pressed"
    after = lips_apart(finish(bare, lip_line=parted).controls, ALL_CONTROLS, parted)
    assert after[round(1.95 * 30) : round(2.1 * 30)].min() < 0.01, "they meet as the last sound settles"
    assert 0.5 < after[round(2.35 * 30)] < 1.9, "then they relax"
    pause = int(np.abs(bare.keys.times - 2.7).argmin())
    breath = pressed[round(3.22 * 30) : round(3.35 * 30)]
    assert not breath.any(), "they part as breath is drawn, well before the next word"
    again = finish(edited(bare, pause, "mouthSmileLeft", 0.5), lip_line=parted)
    assert np.array_equal(again.controls[again.key_frames[pause]], again.keys.controls[pause])


def test_no_noise_moves_the_mouth_within_a_pause_but_it_gets_ready_for_speech():
    animation = finish(result(spoken("AA SIL SIL SIL SIL SIL SIL SIL SIL AA", 0.15)))
    jaw = animation.controls[:, CONTROL_INDEX["jawOpen"]]
    middle = slice(round(0.5 * 30), round(0.73 * 30))
    assert not jaw[middle].any() and (jaw[:4] == np.float32(0.35)).all() and jaw[round(1.3 * 30)] > 0.2
    assert np.diff(jaw).min() > -0.1 and np.diff(jaw).max() < 0.13  # comes to rest slowly, and opens where it is heard
    breath = jaw[middle.start : round(1.2 * 30)]
    assert 0.5 * BREATH_JAW < breath.max() < BREATH_JAW + 1e-6, "but little long before, as breath is drawn"
    assert BREATH_JAW < 0.05, "a twentieth counts as an open mouth, which must not be earlier than the sound"
    unknown = replace(animation, alignment=replace(animation.alignment, source="uniform"))
    assert (finish(unknown).controls[:, CONTROL_INDEX["jawOpen"]] == np.float32(0.35)).all()


@pytest.mark.parametrize("fps", [24.0, 25.0, 30.0])
@pytest.mark.parametrize("vowel", [0.2, 0.5, 0.8])
def test_lips_open_from_a_closure_into_a_wide_vowel_no_faster_than_people_do(fps, vowel):
    """Captured people's lips part by less than 9 mm from one frame to the next."""
    animation = result(spoken("AA AA M AA AA SIL SIL SIL P AA AA", 0.15), fps)
    speech = np.where(np.arange(35) == JAW, vowel * (animation.unfinished.speech > 0), 0.0).astype(np.float32)
    wide = finish(replace(animation, unfinished=replace(animation.unfinished, speech=speech)))
    apart = lips_apart(wide.controls, ALL_CONTROLS)
    assert apart.max() > 0.8 * 28 * vowel, "the vowel is as wide as it was"
    assert np.diff(apart).max() * fps / 24 < 9.0
    assert not contact_report(wide).violations


def test_lips_are_shut_for_two_frames_of_film_and_no_control_of_a_closure_flashes():
    animation = result(spoken("SIL AA M IY B AA P S AA M UW P AA AA F IY SIL", 0.085), 24.0)
    shut = lips_apart(animation.controls, ALL_CONTROLS) < 0.3
    for phone in (p for p in animation.alignment.phones if p.label in BILABIALS):
        inside = shut[np.abs(animation.times - (phone.start + phone.end) / 2) < 0.08]
        assert (inside[1:] & inside[:-1]).any(), phone
    pressing = [CONTROL_INDEX[name] for name in ("mouthPressLeft", "mouthPressRight", "mouthRollLower")]
    assert np.abs(np.diff(animation.controls[:, pressing], axis=0)).max() < 0.3


@pytest.mark.parametrize("fps", [24.0, 30.0, 60.0])
def test_nothing_flashes_from_one_contact_to_the_next(fps):
    """A lip on its way from the teeth into a closure rolls on into it, rather than at once."""
    animation = result(spoken("SIL AA V P AA M UW V B AA F R AA B F AE M SIL", 0.07), fps, wild=True)
    assert not contact_report(animation).violations
    speech = [CONTROL_INDEX[name] for name in SPEECH_CONTROLS]
    assert np.abs(np.diff(animation.controls[:, speech], axis=0)).max() < 0.3
    jump = np.zeros((len(animation.times), len(ALL_CONTROLS)), np.float32)
    jump[len(jump) // 2 :, CONTROL_INDEX["eyeBlinkLeft"]] = 1.0
    again = with_contacts(animation, animation.unfinished.free + jump, animation.keys, animation.unfinished.edited)
    assert np.diff(again.controls[:, CONTROL_INDEX["eyeBlinkLeft"]]).max() == 1.0, "lids are as quick as they are"


def test_contacts_ease_in_and_out():
    animation = result(spoken("AA AA AA P AA AA AA"), 240.0)
    apart = lips_apart(animation.controls, ALL_CONTROLS)
    speed = np.abs(np.diff(apart)) * 240
    assert speed.max() < 400, "mm/s"
    assert np.abs(np.diff(speed)).max() < 70, "no kinks"


def test_keys_are_the_motion_and_move_with_the_offset():
    plain = result(spoken("SIL AA P AA F AA SIL"))
    for animation, frames in (
        (plain, 0),
        (finish(plain, Sliders(offset=0.1)), 3),
        (finish(plain, Sliders(offset=-0.1)), -3),
    ):
        inside = (animation.key_frames >= 0) & (animation.key_frames < len(animation.times))
        assert np.array_equal(animation.controls[animation.key_frames[inside]], animation.keys.controls[inside])
        assert np.array_equal(animation.key_frames, plain.key_frames + frames)
        assert not contact_report(animation).violations
    back = finish(finish(plain, Sliders(offset=0.1, intensity=0.5)), Sliders())
    assert np.array_equal(back.controls, plain.controls) and np.allclose(back.keys.times, plain.keys.times)


def test_sliders_do_what_they_say():
    rng = np.random.default_rng(1)
    speech = rng.uniform(0, 0.4, (90, len(SPEECH_CONTROLS))).astype(np.float32)
    assert np.array_equal(slide(speech, 30.0, Sliders()), speech)
    assert np.allclose(slide(speech, 30.0, Sliders(intensity=0.5)), speech / 2)
    jaw = slide(speech, 30.0, Sliders(jaw=2.0))
    changed = (jaw != speech).any(0)
    assert {name for name, c in zip(SPEECH_CONTROLS, changed, strict=True) if c} == {
        "jawForward", "jawLeft", "jawRight", "jawOpen", "mouthClose",
    }  # fmt: skip
    lips = slide(speech, 30.0, Sliders(lips=0.0))
    assert not lips[:, ROLL].any() and np.array_equal(lips[:, [JAW, CLOSE]], speech[:, [JAW, CLOSE]])
    calm = slide(speech, 30.0, Sliders(smoothing=1.0))
    assert np.abs(np.diff(calm[:, JAW])).mean() < 0.2 * np.abs(np.diff(speech[:, JAW])).mean()
    assert abs(calm[:, JAW].mean() - speech[:, JAW].mean()) < 0.02
    late = slide(speech, 30.0, Sliders(offset=0.1))
    assert np.allclose(late[3:], speech[:-3], atol=1e-5)
    with pytest.raises(InputError, match="Smoothing"):
        Sliders(smoothing=2.0)


def edited(animation: Animation, key: int, control: str, value: float) -> Animation:
    """As completion leaves it: the motion goes through the key that the animator changed."""
    controls = animation.keys.controls.copy()
    controls[key, CONTROL_INDEX[control]] = value
    _, after, theirs = free_keys(animation, KeyMotions(animation.keys.times, controls))
    free = animation.unfinished.free.copy()
    free[animation.key_frames[theirs]] = after.controls[theirs]
    return with_contacts(animation, free, KeyMotions(animation.keys.times, controls), theirs)


def test_an_edited_contact_is_the_animators_and_reported():
    plain = result(spoken("AA AA P AA AA M AA", 0.14))
    again = edited(plain, 2, "mouthClose", 0.0)
    frame = again.key_frames[2]
    assert list(again.unfinished.edited) == [False, False, True, False, False, False, False]
    assert np.array_equal(again.controls[frame], again.keys.controls[2])
    assert again.keys.controls[2, CONTROL_INDEX["mouthClose"]] == 0.0
    (missed,) = contact_report(again).violations
    assert (missed.phone, missed.word) == ("P", "word") and missed.apart > 4 and "animator's key" in missed.reason
    outside = (again.times <= again.keys.times[1]) | (again.times >= again.keys.times[3])
    assert np.array_equal(again.controls[outside], plain.controls[outside]), "beyond the next keys nothing changes"
    for sliders in (Sliders(intensity=0.4), Sliders(smoothing=1.0, jaw=1.5)):
        slid = finish(again, sliders)
        assert np.array_equal(slid.controls[frame], again.keys.controls[2]), "sliders leave the animator's keys alone"
        assert [v.phone for v in contact_report(slid).violations] == ["P"]


def test_an_edit_beside_a_contact_leaves_the_contact_whole():
    plain = result(spoken("AA AA P AA AA", 0.1))
    again = edited(plain, 3, "jawOpen", 0.9)
    assert np.array_equal(again.controls[again.key_frames[3]], again.keys.controls[3])
    assert not contact_report(again).violations
    held = [c for c in find_contacts(plain.alignment, plain.times) if c.kind == LIPS]
    frames = [f for f, t in enumerate(plain.times) if held[0].start <= t <= held[0].end]
    assert frames and np.array_equal(again.controls[frames], plain.controls[frames])


def test_what_finishing_needs_survives_saving(tmp_path):
    animation = edited(result(spoken("AA P AA F AA"), sliders=Sliders(smoothing=0.3)), 1, "jawOpen", 0.2)
    save_animation(animation, tmp_path / "a.npz")
    loaded = load_animation(tmp_path / "a.npz")
    assert (loaded.sliders, loaded.layers) == (animation.sliders, animation.layers)
    assert np.array_equal(loaded.controls, animation.controls)
    for name, array in vars(animation.unfinished).items():
        assert np.array_equal(getattr(loaded.unfinished, name), array), name
    assert np.array_equal(finish(loaded, Sliders(jaw=0.5)).controls, finish(animation, Sliders(jaw=0.5)).controls)
    with pytest.raises(InputError, match="generate it again"):
        finish(replace(animation, unfinished=None))


def test_a_run_of_edited_keys_that_is_longer_than_a_contact_stays():
    animation = result(spoken("SIL AA AA P AA AA F AA", 0.15))
    jaw, close = CONTROL_INDEX["jawOpen"], CONTROL_INDEX["mouthClose"]
    frames = np.arange(11, 21)  # P is on 13.5 to 18
    free = animation.unfinished.free.copy()
    free[frames, jaw], free[frames, close] = 0.6, 0.0
    theirs = KeyMotions(frames / 30, free[frames])
    kept = [i for i, t in enumerate(animation.keys.times) if not 10.5 < t * 30 < 20.5]
    times = np.concatenate([animation.keys.times[kept], theirs.times])
    order = np.argsort(times)
    keys = KeyMotions(times[order], np.concatenate([animation.keys.controls[kept], theirs.controls])[order])
    after = with_contacts(animation, free, keys, (np.arange(len(times)) >= len(kept))[order])
    np.testing.assert_array_equal(after.controls[frames][:, [jaw, close]], free[frames][:, [jaw, close]])
    assert [v.phone for v in contact_report(after).violations] == ["P"]
