"""Pinned key motions stay exactly on their instants and poses."""

from dataclasses import replace

import numpy as np
import pytest

from kmtalk_core.animator import Animator, Request
from kmtalk_core.assets import ASSETS
from kmtalk_core.audio import load_sound
from kmtalk_core.finish.compose import finish
from kmtalk_core.finish.pins import hold_pins, with_pins
from kmtalk_core.motion import KeyMotions


@pytest.fixture(scope="module")
def result():
    text = (ASSETS / "sample_speech.txt").read_text(encoding="utf-8")
    return Animator().animate(load_sound(ASSETS / "sample_speech.flac"), Request(transcript=text, fps=24.0))


def test_a_pin_that_is_exact_changes_nothing(result):
    pins = KeyMotions(result.keys.times[[3, 8]], result.keys.controls[[3, 8]])
    assert hold_pins(result, pins) is result


@pytest.mark.parametrize("late", [0.0, 0.4], ids=["on a frame", "between frames"])
def test_a_pin_is_held_and_the_motion_swells_up_to_the_keys_beside(result, late):
    jaw = result.control_names.index("jawOpen")
    time = (result.keys.times[10] * 24 + late) / 24
    pose = result.keys.controls[[10]].copy()
    pose[0, jaw] += 0.25
    held = hold_pins(result, KeyMotions(np.array([time]), pose))
    index = int(np.abs(held.keys.times - time).argmin())
    assert held.keys.times[index] == time and len(held.keys.times) == len(result.keys.times)
    np.testing.assert_array_equal(held.keys.controls[index], pose[0])
    change = held.controls - result.controls
    near = (result.times > result.keys.times[9]) & (result.times < result.keys.times[11])
    assert not change[~near].any()
    if not late:
        assert change[round(time * 24), jaw] == pytest.approx(0.25, abs=1e-6)
    assert np.abs(np.diff(change[:, jaw], 2)).max() < 0.75 * 0.25
    assert held.to_finish.edited.sum() == 1 and held.to_finish.generated is not None
    # A slider leaves it alone, and without the edit everything is as it was.
    slid = finish(held, replace(held.sliders, intensity=0.5))
    np.testing.assert_array_equal(slid.keys.controls[index], pose[0])


def test_a_pin_takes_the_place_of_a_key_that_is_as_good_as_there(result):
    pins = KeyMotions(result.keys.times[[4]] + 0.3 / 24, result.keys.controls[[4]])
    keys = with_pins(result.keys, pins, 24.0)
    assert len(keys.times) == len(result.keys.times) and pins.times[0] in keys.times
    far = KeyMotions((result.keys.times[[4]] + result.keys.times[[5]]) / 2, result.keys.controls[[4]])
    assert len(with_pins(result.keys, far, 24.0).times) == len(result.keys.times) + 1
