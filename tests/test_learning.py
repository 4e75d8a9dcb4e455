"""Learning a style: from captured people and from corrected lines, and the command `kmtalk learn-style`."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

from kmtalk_core.animator import Animator, Request
from kmtalk_core.assets import SAMPLE_SPEECH
from kmtalk_core.audio import load_sound
from kmtalk_core.command import cli
from kmtalk_core.errors import InputError
from kmtalk_core.files import load_npz, save_npz
from kmtalk_core.finish.compose import finish
from kmtalk_core.finish.corrected_lines import corrected_line
from kmtalk_core.finish.learning import Example, as_seen, learn
from kmtalk_core.finish.manner import spoken_shares, styled
from kmtalk_core.motion import KeyMotions
from kmtalk_core.phones import PHONE_INDEX, Alignment, Phone
from kmtalk_core.results import load_animation, save_animation
from kmtalk_core.rig.controls import ALL_CONTROLS, CONTROL_INDEX, SPEECH_CONTROLS
from kmtalk_core.styles import load_style

JAW, PUCKER, TONGUE = (SPEECH_CONTROLS.index(n) for n in ("jawOpen", "mouthPucker", "tongueTipUp"))
SPEECH = [CONTROL_INDEX[name] for name in SPEECH_CONTROLS]
TEXT = SAMPLE_SPEECH.with_suffix(".txt").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def animator():
    return Animator()


@pytest.fixture(scope="module")
def animation(animator):
    return animator.animate(load_sound(SAMPLE_SPEECH), Request(transcript=TEXT, fps=25.0, head=0.0, upper_face=0.0))


def someone(animation):
    """How a person says it: the jaw half as far, the lips less round, and every IY wide open."""
    speech = animation.unfinished.speech.copy()
    shares = spoken_shares(animation.alignment, animation.times)
    speech[:, JAW] = 0.5 * speech[:, JAW] + 0.25 * shares[:, PHONE_INDEX["IY"]]
    speech[:, PUCKER] *= 0.6
    return speech.astype(np.float32)


def example(animation, goal):
    return Example(
        "take", animation.times, animation.alignment, animation.unfinished.speech, goal, np.ones(len(animation.times))
    )


# --- from a captured person -------------------------------------------------------------------------------------------


def test_a_person_is_learned(animation):
    goal = someone(animation)
    learned = learn([example(animation, goal)], "someone", "a test", "m-1")
    worn = styled(animation.unfinished.speech, animation.times, animation.alignment, learned.style)
    spoken = example(animation, goal).spoken
    before = np.abs(animation.unfinished.speech - goal)[spoken].mean(0)
    after = np.abs(worn - goal)[spoken].mean(0)
    assert after[JAW] < 0.4 * before[JAW] and after[PUCKER] < 0.4 * before[PUCKER]
    assert "tongueTipUp" not in learned.style.adaptation.outputs
    assert learned.after.opening > max(learned.before.opening, 0.9)
    assert abs(learned.after.amplitude - 1) < min(abs(learned.before.amplitude - 1), 0.1)
    assert (learned.style.name, learned.style.made_from, learned.style.model) == ("someone", "a test", "m-1")
    assert learn([example(animation, goal)], "someone", "a test", "m-1") == learned


def test_who_moves_as_the_model_does_has_no_style(animation):
    learned = learn([example(animation, animation.unfinished.speech)], "none", "")
    assert learned.style.is_neutral
    assert learned.before.opening == pytest.approx(1.0) and learned.after.speed == pytest.approx(1.0, abs=1e-3)


def test_frames_without_a_face_teach_nothing(animation):
    goal = someone(animation)
    hidden = np.zeros(len(goal), bool)
    hidden[40:60] = True
    wrong = goal.copy()
    wrong[hidden] = 1.0
    seen = replace(example(animation, wrong), weight=(~hidden).astype(float))
    right = replace(example(animation, goal), weight=(~hidden).astype(float))
    assert learn([seen], "a", "").style == learn([right], "a", "").style


def test_what_no_camera_sees_moves_as_the_model_moves_it(animation):
    unseen = someone(animation)
    unseen[:, TONGUE] = 0.0
    speech = animation.unfinished.speech
    goal = as_seen(unseen, speech)
    assert np.array_equal(goal[:, TONGUE], speech[:, TONGUE]) and np.array_equal(goal[:, JAW], unseen[:, JAW])
    assert speech[:, TONGUE].max() > 0.2


def test_the_pose_between_sentences_is_learned_where_it_shows(animation):
    goal = someone(animation)
    goal[~example(animation, goal).spoken] = 0.2 * (np.array(SPEECH_CONTROLS) == "mouthSmileLeft")
    extended = np.concatenate([goal, np.repeat(goal[-1:], 50, 0)])
    times = np.arange(len(extended)) / 25.0
    speech = np.concatenate([animation.unfinished.speech, np.repeat(animation.unfinished.speech[-1:], 50, 0)])
    lesson = Example("take", times, animation.alignment, speech, extended, np.ones(len(times)))
    assert learn([lesson], "a", "").style.rest == {"mouthSmileLeft": pytest.approx(0.2, abs=0.01)}


def test_how_a_person_gets_ready_for_speech_is_learned_where_it_is_seen_often_enough(animation):
    alignment = animation.alignment.later(2.0)
    first = next(p.start for p in alignment.phones if p.label != "SIL")
    still = np.zeros((50, len(SPEECH_CONTROLS)), np.float32)
    speech = np.concatenate([still, animation.unfinished.speech])
    times = np.arange(len(speech)) / 25.0
    goal = speech.copy()
    goal[(times > first - 0.45) & (times < first), JAW] = 0.3
    lesson = Example("take", times, alignment, speech, goal, np.ones(len(times)))
    course = learn([lesson] * 3, "a", "").style.approach["jawOpen"]
    assert course[:2] == (0.0, 0.0) and course[2:6] == (0.3,) * 4
    assert not learn([lesson] * 2, "a", "").style.approach


def test_consonants_in_which_lips_all_but_meet_are_learned_from_often_enough_and_not_from_their_neighbours():
    labels = ("SIL", *("AA", "R", "AA", "B", "L") * 11, "AA", "SIL")
    alignment = Alignment(tuple(Phone(p, i * 0.2, i * 0.2 + 0.2) for i, p in enumerate(labels)), (), 11.6, "test")
    times = np.arange(290) / 25.0
    speech = np.zeros((len(times), len(SPEECH_CONTROLS)), np.float32)
    speech[:, JAW] = 0.3
    shut = spoken_shares(alignment, times)[:, [PHONE_INDEX[label] for label in ("R", "L")]].max(1) > 0.5
    goal = speech.copy()
    goal[shut, JAW] = 0.0
    lesson = Example("take", times, alignment, speech, goal, np.ones(len(times)))
    learned = learn([lesson], "a", "").style
    assert learned.near == ("R",) and learned.speed == 1.0, "the l beside b does not count"
    assert not learn([replace(lesson, goal=speech)], "a", "").style.near
    few = replace(lesson, weight=np.where(times < 7.0, 1.0, 0.0))
    assert not learn([few], "a", "").style.near


def test_too_little_speech_is_refused(animation):
    short = replace(example(animation, someone(animation)), weight=np.zeros(len(animation.times)))
    with pytest.raises(InputError, match=r"Only 0.0 s of speech can be learned from, 3 are needed; give more"):
        learn([short], "a", "")


# --- from corrected lines ---------------------------------------------------------------------------------------------


def corrected(animator, animation, amount=0.3):
    """The line with the jaw lower at every key where it was open."""
    controls = animation.keys.controls.copy()
    wide = controls[:, CONTROL_INDEX["jawOpen"]] > 0.15
    controls[wide, CONTROL_INDEX["jawOpen"]] += amount
    return animator.complete(animation, KeyMotions(animation.key_times, controls)), wide


def test_corrections_are_what_is_learned(animator, animation):
    edited, wide = corrected(animator, animation)
    assert wide.sum() > 5
    lesson = corrected_line(edited, "line")
    # Near contacts the jaw of the keys is held back; beside them the lesson is the correction, to the hair.
    held = np.abs(animation.controls - animation.unfinished.free)[:, CONTROL_INDEX["jawOpen"]] > 0.005
    at = edited.key_frames[wide]
    assert (~held[at]).sum() > 5
    assert (lesson.goal - lesson.speech)[at[~held[at]], JAW] == pytest.approx(0.3, abs=0.02)
    style = learn([lesson], "a", "").style
    worn = finish(replace(animation, style=style, sliders=replace(animation.sliders, style="a.style")))
    assert worn.keys.controls[wide, CONTROL_INDEX["jawOpen"]].mean() > (
        animation.keys.controls[wide, CONTROL_INDEX["jawOpen"]].mean() + 0.1
    )


def test_a_line_without_edits_teaches_nothing(animation):
    assert corrected_line(animation, "line") is None


def test_sliders_and_offset_are_no_part_of_the_lesson(animator, animation):
    plain, wide = corrected(animator, animation)
    worn = finish(animation, replace(animation.sliders, intensity=0.5, offset=0.2))
    controls = worn.keys.controls.copy()
    controls[wide, CONTROL_INDEX["jawOpen"]] += 0.15
    slid = corrected_line(animator.complete(worn, KeyMotions(worn.key_times, controls)), "line")
    a, b = (
        (lesson.goal - lesson.speech)[plain.key_frames[wide], JAW] for lesson in (corrected_line(plain, "line"), slid)
    )
    assert np.abs(a - b).mean() < 0.05


def test_edits_that_were_not_completed_count(animation):
    controls = animation.keys.controls.copy()
    place = int(np.argmax(controls[:, CONTROL_INDEX["jawOpen"]]))
    controls[place, CONTROL_INDEX["jawOpen"]] += 0.2
    edited = np.arange(len(controls)) == place
    unfinished = replace(animation.unfinished, edited=edited, generated=animation.generated)
    lesson = corrected_line(
        replace(animation, keys=KeyMotions(animation.key_times, controls), unfinished=unfinished), "line"
    )
    assert (lesson.goal - lesson.speech)[animation.key_frames[place], JAW] == pytest.approx(0.2, abs=0.02)


def test_learning_goes_on_from_the_style_of_the_line(animator, animation):
    worn = finish(animation, replace(animation.sliders, style="mumbling"))
    edited, _ = corrected(animator, worn)
    lesson = corrected_line(edited, "line")
    untouched = np.abs(edited.unfinished.free - edited.generated.free).max(1) == 0
    expected = styled(worn.unfinished.speech, worn.times, worn.alignment, worn.style)
    assert np.array_equal(lesson.goal[untouched], expected[untouched])


# --- the command ------------------------------------------------------------------------------------------------------


def captured(folder, animation, name="actor"):
    """What training.capture writes of a person: a result without what finishing needs, its frames, and the sound."""
    controls = np.zeros((len(animation.times), len(ALL_CONTROLS)), np.float32)
    controls[:, SPEECH] = someone(animation)
    path = folder / f"{name}.npz"
    save_animation(replace(animation, controls=controls, unfinished=None, origin=None), path)
    usable = np.ones(len(controls), bool)
    usable[:3] = False
    save_npz({**load_npz(path), "usable": usable}, path)
    shutil.copyfile(SAMPLE_SPEECH, path.with_suffix(".flac"))
    save_npz({"points": np.zeros(3)}, folder / f"{name}.points.npz")
    return path


def run(*arguments):
    return cli.main(["learn-style", *map(str, arguments)])


def test_learn_from_what_was_captured_and_wear_it(tmp_path, animation, capsys):
    path = captured(tmp_path, animation)
    assert run(path, "--out", tmp_path / "me.style", "--progress", "json") == 0
    said = capsys.readouterr().err
    assert "unseen, the lips' opening follows the actor's with r" in said
    style = load_style(tmp_path / "me.style")
    assert style.name == "me" and style.model == animation.model and "speech in actor" in style.made_from
    out = tmp_path / "out.npz"
    command = ["animate", str(SAMPLE_SPEECH), "--transcript", TEXT, "--style", str(tmp_path / "me.style")]
    assert cli.main([*command, "--out", str(out)]) == 0
    assert load_animation(out).style == style
    assert run(tmp_path, "--name", "Ann Example", "--out", tmp_path / "folder.style") == 0
    assert load_style(tmp_path / "folder.style") == replace(style, name="Ann Example")


def test_learn_from_a_corrected_line(tmp_path, animator, animation):
    edited, _ = corrected(animator, animation)
    save_animation(edited, tmp_path / "line.npz")
    save_animation(animation, tmp_path / "plain.npz")
    assert run(tmp_path / "line.npz", tmp_path / "plain.npz", "--out", tmp_path / "me.style") == 0
    style = load_style(tmp_path / "me.style")
    assert not style.is_neutral and style.made_from.endswith("in line")


def test_what_cannot_be_learned_from_is_one_sentence(tmp_path, animation, capsys, monkeypatch):
    save_animation(animation, tmp_path / "plain.npz")
    (tmp_path / "empty").mkdir()
    lonely = captured(tmp_path, animation, "lonely")
    lonely.with_suffix(".flac").unlink()
    (tmp_path / "film.mp4").write_bytes(b"no film")
    monkeypatch.chdir(tmp_path)  # where there is no training.capture
    monkeypatch.delenv("PYTHONPATH", raising=False)
    for given, told in (
        (["plain.npz"], "None of these results has an edited key motion"),
        (["nobody.npz"], "There is no file"),
        (["empty"], "There are no results in"),
        (["lonely.npz"], "There is no sound beside"),
        (["film.mp4"], "Learning from a video needs the capture of faces"),
    ):
        assert run(*(tmp_path / name for name in given), "--out", tmp_path / "me.style") == 2
        said = capsys.readouterr().err.strip()
        assert told in said and "\n" not in said
    assert run(tmp_path / "plain.npz", "--out", tmp_path / "me.json") == 2
    assert ".style" in capsys.readouterr().err
    assert not (tmp_path / "me.style").exists()
