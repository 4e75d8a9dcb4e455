"""The density of key motions, changed after a result was made: the motion stays, and so does what the user has made."""

from dataclasses import replace

import numpy as np
import pytest

from kmtalk_core.animator import Animator, Request
from kmtalk_core.assets import ASSETS
from kmtalk_core.audio import load_sound
from kmtalk_core.finish.compose import finish
from kmtalk_core.finish.density import choose_keys, rekeyed, with_density
from kmtalk_core.motion import KeyMotions

TEXT = (ASSETS / "sample_speech.txt").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def animator():
    return Animator()


@pytest.fixture(scope="module")
def results(animator):
    sound = load_sound(ASSETS / "sample_speech.flac")
    return {d: animator.animate(sound, Request(transcript=TEXT, key_density=d, offset=0.1)) for d in (0.0, 0.375, 1.0)}


@pytest.fixture(scope="module")
def edited(animator, results):
    """A key changed, one moved, one deleted, one added between frames."""
    few = results[0.375]
    times, poses = few.keys.times.copy(), few.keys.controls.copy()
    jaw = few.control_names.index("jawOpen")
    poses[5, jaw] = 0.9
    times[14] += 0.02
    added = (times[24] + times[25]) / 2 + 0.3 / few.fps
    times, poses = np.insert(times, 25, added), np.insert(poses, 25, poses[24], axis=0)
    times, poses = np.delete(times, 20), np.delete(poses, 20, axis=0)
    return animator.complete(few, KeyMotions(times, poses))


def test_it_is_as_if_it_had_been_made_so(results):
    for source in results.values():
        for density, wanted in results.items():
            found = with_density(source, density)
            np.testing.assert_array_equal(found.keys.times, wanted.keys.times)
            np.testing.assert_array_equal(found.keys.controls, wanted.keys.controls)
            np.testing.assert_array_equal(found.controls, source.controls)
            assert not found.to_finish.edited.any() and found.to_finish.generated is None


@pytest.mark.parametrize("density", [0.0, 0.2, 0.6, 1.0])
def test_edits_and_what_they_reach_stay(edited, animator, density):
    other = with_density(edited, density)
    theirs = edited.to_finish.edited
    assert theirs.sum() >= 3
    mine = np.isin(other.keys.times, edited.keys.times[theirs])
    np.testing.assert_array_equal(other.keys.controls[mine], edited.keys.controls[theirs])
    np.testing.assert_array_equal(other.to_finish.edited, mine)
    np.testing.assert_array_equal(other.controls, edited.controls)
    # Completing it again gives nearly the same motion where it was edited, and the same elsewhere.
    again = animator.complete(other, other.keys)
    off = np.abs(again.controls - edited.controls)
    assert off.max() < 0.25 and off.mean() < 1e-3
    reached = np.zeros(len(edited.times), bool)
    for low, high in choose_keys(edited, density).closed:
        reached |= (edited.times >= low) & (edited.times <= high)
    np.testing.assert_allclose(again.controls[~reached], edited.controls[~reached], atol=0.03)
    assert 0.05 < reached.mean() < 0.6
    np.testing.assert_array_equal(again.keys.times, other.keys.times)
    calmer = finish(other, replace(other.sliders, jaw=0.7)).controls
    np.testing.assert_allclose(calmer, finish(edited, replace(edited.sliders, jaw=0.7)).controls, atol=0.05)


def test_a_deleted_key_stays_deleted_and_taking_all_back_is_exact(edited, results, animator):
    dense = with_density(edited, 1.0)
    gone = results[0.375].keys.times[20]
    assert np.abs(dense.keys.times - gone).min() * dense.fps > 0.5
    assert np.abs(dense.generated.keys.times - gone).min() * dense.fps < 0.5
    back = animator.complete(dense, dense.generated.keys)
    np.testing.assert_array_equal(back.controls, results[0.375].controls)


def test_edits_that_are_not_completed_yet_can_be_kept_too(results):
    """As in Blender, where keys are edited on curves: one choice for the result and for what was made of it."""
    few = results[0.375]
    poses = few.keys.controls.copy()
    poses[9] += 0.1
    marks = np.zeros(len(poses), bool)
    marks[9] = True
    left = replace(
        few,
        keys=KeyMotions(few.keys.times, poses),
        unfinished=replace(few.to_finish, edited=marks, generated=few.generated),
    )
    choice = choose_keys(left, 1.0)
    base, now = rekeyed(few, choice), rekeyed(left, choice)
    np.testing.assert_array_equal(base.keys.times, now.keys.times)
    assert now.to_finish.edited.sum() == 1 and len(now.keys.times) > 1.5 * len(few.keys.times)
    np.testing.assert_array_equal(now.keys.controls[now.to_finish.edited], poses[[9]])
    between = (base.keys.times > few.keys.times[8] + 1e-6) & (base.keys.times < few.keys.times[10] - 1e-6)
    np.testing.assert_allclose(base.keys.times[between], few.keys.times[[9]])


def test_an_edit_swells_over_its_neighbourhood_at_any_density(animator, results):
    """It never pops: what it adds bends no more from frame to frame than a smooth way to the next keys has to."""
    few = results[0.375]
    jaw, rng = few.control_names.index("jawOpen"), np.random.default_rng(1)
    for density in (0.2, 0.375, 0.7):
        some = with_density(few, density)
        for index in rng.choice(np.arange(1, len(some.keys.times) - 1), 6, replace=False):
            poses = some.keys.controls.copy()
            by = 0.3 if poses[index, jaw] < 0.5 else -0.3
            poses[index, jaw] += by
            change = (
                animator.complete(some, KeyMotions(some.keys.times, poses)).controls[:, jaw] - some.controls[:, jaw]
            )
            gap = np.diff(some.key_frames[index - 1 : index + 2]).min()
            assert change[some.key_frames[index]] == pytest.approx(by, abs=1e-6)
            if gap >= 4:
                assert np.abs(np.diff(change, 2)).max() < 0.75 * abs(by)
                assert (np.abs(change) > 0.1 * abs(by)).sum() >= gap
