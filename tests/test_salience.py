"""Few key motions, at contacts and visible extremes, of a motion that stays the same."""

import numpy as np
import pytest

from kmtalk_core.animator import Animator, Request
from kmtalk_core.assets import ASSETS
from kmtalk_core.audio import load_sound
from kmtalk_core.finish.salience import telling_frames
from kmtalk_core.motion import KeyMotions
from kmtalk_core.phones import BILABIALS, LABIODENTALS
from kmtalk_core.settings import KeySettings

TEXT = (ASSETS / "sample_speech.txt").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def animator():
    return Animator()


@pytest.fixture(scope="module")
def sound():
    return load_sound(ASSETS / "sample_speech.flac")


@pytest.fixture(scope="module", params=[TEXT, None], ids=["with text", "without"])
def usual(request, animator, sound):
    return request.param, animator.animate(sound, Request(transcript=request.param))


def test_the_motion_is_the_same_at_any_density(animator, sound, usual):
    text, few = usual
    for density in (0.0, 1.0):
        other = animator.animate(sound, Request(transcript=text, key_density=density))
        np.testing.assert_array_equal(other.controls, few.controls)
    assert len(other.keys.times) > 2 * len(few.keys.times)


def test_there_are_three_to_four_a_second_at_every_contact(usual, sound):
    _, few = usual
    assert 3.0 <= len(few.keys.times) / sound.duration <= 4.2
    for phone in few.alignment.phones:
        if phone.label in BILABIALS | LABIODENTALS and phone.end - phone.start > 0.05:
            inside = (few.keys.times > phone.start - 0.04) & (few.keys.times < phone.end + 0.04)
            assert inside.any(), phone


def test_the_jaws_extremes_have_keys(usual):
    _, few = usual
    jaw = few.controls[:, few.control_names.index("jawOpen")]
    tops = [t for t in range(4, len(jaw) - 4) if jaw[t] == jaw[t - 4 : t + 5].max() and jaw[t] > 0.5 * jaw.max()]
    near = [np.abs(few.key_frames - top).min() <= 3 for top in tops]
    assert len(tops) > 5 and np.mean(near) > 2 / 3


def test_an_edit_swells_over_its_neighbourhood(usual, animator):
    _, few = usual
    jaw, rng = few.control_names.index("jawOpen"), np.random.default_rng(0)
    for index in rng.choice(np.arange(1, len(few.keys.times) - 1), 12, replace=False):
        poses = few.keys.controls.copy()
        by = 0.4 if poses[index, jaw] < 0.5 else -0.4
        poses[index, jaw] += by
        change = animator.complete(few, KeyMotions(few.keys.times, poses)).controls[:, jaw] - few.controls[:, jaw]
        frame, gap = few.key_frames[index], np.diff(few.key_frames[index - 1 : index + 2]).min()
        assert change[frame] == pytest.approx(by, abs=1e-6)
        if gap >= 4:  # a shorter way cannot be smooth; a pop of one frame would be 2
            assert np.abs(np.diff(change, 2)).max() < 0.75 * abs(by)


def test_the_ends_come_first_then_contacts_then_what_is_seen():
    motion = np.zeros((100, 2), np.float32)
    motion[41:50, 0] = 0.8 * np.hanning(9)  # a jaw that opens
    motion[60:80, 1] = 1.0  # which is none of the mouth's
    names, contacts = ("jawOpen", "browInnerUp"), np.array([20, 75])
    assert telling_frames(motion, names, 25.0, contacts, 0).tolist() == [0, 99]
    assert telling_frames(motion, names, 25.0, contacts, 4).tolist() == [0, 20, 75, 99]
    assert telling_frames(motion, names, 25.0, contacts, 5).tolist() == [0, 20, 45, 75, 99]
    assert KeySettings().key_density == 0.375
