"""Edits on another result of the same words: another text, another setting, another recording."""

import wave
from dataclasses import replace

import numpy as np
import pytest

from kmtalk_core.animator import Animator, Request
from kmtalk_core.assets import ASSETS
from kmtalk_core.audio import load_sound
from kmtalk_core.command.cli import main
from kmtalk_core.errors import InputError
from kmtalk_core.finish.carry import carry
from kmtalk_core.motion import KeyMotions
from kmtalk_core.results import load_animation, load_keys, save_animation

TEXT = "Hello! My mouth moves by itself now."
RATE = 16_000
SLOWER, LATER = 1.25, 0.5  # the second recording


@pytest.fixture(scope="module")
def animator():
    return Animator()


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    """The same words twice: the second time slower, and after a pause."""
    folder = tmp_path_factory.mktemp("said")
    samples = load_sound(ASSETS / "sample_speech.flac").samples[: 3 * RATE]
    slower = np.interp(np.arange(int(len(samples) * SLOWER)) / SLOWER, np.arange(len(samples)), samples)
    for name, sound in (("one", samples), ("two", np.concatenate([np.zeros(int(LATER * RATE)), slower]))):
        with wave.open(str(folder / f"{name}.wav"), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(RATE)
            file.writeframes((sound * 32767).astype("<i2").tobytes())
    return load_sound(folder / "one.wav"), load_sound(folder / "two.wav")


@pytest.fixture(scope="module")
def one(animator, recordings):
    return animator.animate(recordings[0], Request(transcript=TEXT, key_density=1.0))


@pytest.fixture(scope="module")
def two(animator, recordings):
    return animator.animate(recordings[1], Request(transcript=TEXT, key_density=1.0))


@pytest.fixture(scope="module")
def edited(animator, one):
    """One with a jaw changed in “mouth”, a key of “itself” deleted, and one added in “moves”."""
    keys = one.keys
    changed, deleted = key_in(one, "mouth"), key_in(one, "itself")
    controls = keys.controls.copy()
    controls[changed, one.control_names.index("jawOpen")] = 0.77
    frames = set(one.key_frames.tolist())
    word = next(w for w in one.alignment.words if w.label.startswith("moves"))
    added = next(f for f in range(int(word.start * 30) + 2, int(word.end * 30)) if f not in frames)
    pose = one.controls[added].copy()
    pose[one.control_names.index("mouthPucker")] = 0.9
    times = np.append(np.delete(keys.times, deleted), added / 30)
    poses = np.concatenate([np.delete(controls, deleted, 0), pose[None]])
    order = np.argsort(times)
    return animator.complete(one, KeyMotions(times[order], poses[order]))


def key_in(animation, label) -> int:
    word = next(w for w in animation.alignment.words if w.label.startswith(label))
    inside = np.flatnonzero((animation.keys.times > word.start + 0.05) & (animation.keys.times < word.end - 0.05))
    return int(inside[len(inside) // 2])


def test_the_same_sound_gets_the_very_edits(edited, one):
    carried = carry(edited, one)
    assert carried.count == 3 and carried.lost == ()
    np.testing.assert_array_equal(carried.keys.times, edited.keys.times)
    jaw = one.control_names.index("jawOpen")
    np.testing.assert_allclose(carried.keys.controls[:, jaw], edited.keys.controls[:, jaw], atol=2e-3)


def test_another_recording_gets_them_at_the_same_words(edited, one, two, animator):
    carried = carry(edited, two)
    assert carried.count == 3 and carried.lost == ()
    again = animator.complete(two, carried.keys)
    jaw, pucker = (two.control_names.index(name) for name in ("jawOpen", "mouthPucker"))
    word = next(w for w in two.alignment.words if w.label.startswith("mouth"))
    at = np.flatnonzero(np.isclose(again.keys.controls[:, jaw], 0.77))
    assert len(at) == 1 and word.start < again.keys.times[at[0]] < word.end and again.to_finish.edited[at[0]]
    word = next(w for w in two.alignment.words if w.label.startswith("moves"))
    at = np.flatnonzero(np.isclose(again.keys.controls[:, pucker], 0.9))
    assert len(at) == 1 and word.start < again.keys.times[at[0]] < word.end
    assert len(again.keys.times) == len(two.keys.times)  # one less, one more


def test_what_is_said_no_more_is_named(edited, recordings, animator):
    other = animator.animate(
        recordings[0], Request(transcript="Hello! My elephant moves by itself now.", key_density=1.0)
    )
    carried = carry(edited, other)
    assert len(carried.lost) == 1 and "“mouth" in carried.lost[0] and carried.count == 2


def test_other_settings_keep_their_own_motion(edited, recordings, animator):
    other = animator.animate(recordings[0], Request(transcript=TEXT, intensity=0.5, offset=0.1, key_density=0.6))
    carried = carry(edited, other)
    jaw = other.control_names.index("jawOpen")
    assert carried.count >= 2 and np.isclose(carried.keys.controls[:, jaw], 0.77).sum() == 1
    assert carried.keys.controls[:, jaw].mean() < edited.keys.controls[:, jaw].mean()


def test_unedited_results_carry_nothing(one, two):
    carried = carry(one, two)
    assert carried.count == 0
    np.testing.assert_array_equal(carried.keys.times, two.keys.times)
    with pytest.raises(InputError, match="generate it again"):
        carry(replace(one, unfinished=None), two)


def test_on_the_command_line(edited, two, tmp_path, capsys):
    save_animation(edited, tmp_path / "old.npz")
    save_animation(two, tmp_path / "new.npz")
    carrying = ["carry", str(tmp_path / "old.npz"), str(tmp_path / "new.npz"), "--out", str(tmp_path / "out.npz")]
    assert main(carrying) == 0
    assert "Not carried" not in capsys.readouterr().err
    jaw = two.control_names.index("jawOpen")
    assert np.isclose(load_animation(tmp_path / "out.npz").keys.controls[:, jaw], 0.77).any()
    completing = ["complete", str(tmp_path / "new.npz"), "--keys", str(tmp_path / "old.npz"), "--out", "x.npz"]
    assert main(completing) == 2 and "kmtalk carry" in capsys.readouterr().err
    assert len(load_keys(tmp_path / "old.npz", two.control_names).times)
