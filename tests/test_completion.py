"""Editing: keys come back exactly, unedited results reproduce, an edit reaches only the spans beside it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kmtalk_core.completion import complete_through, edited_spans, recomplete
from kmtalk_core.motion import KeyMotions
from kmtalk_core.runtime.remembering import Remembering

FPS = 30.0
TIMES = np.arange(91) / FPS
CONTROLS = 4


def wavy(keys: KeyMotions, times: np.ndarray) -> np.ndarray:
    """A stand-in for CMC: follows the keys loosely, with global influence of every key, and does not meet them."""
    weights = np.exp(-np.abs(times[:, None] - keys.times[None]) * 4)
    smooth = weights @ keys.controls / weights.sum(1, keepdims=True)
    return (smooth + 0.1 * np.sin(times * 5)[:, None]).astype(np.float32)


def some_keys(seed: int = 0) -> KeyMotions:
    rng = np.random.default_rng(seed)
    frames = np.unique(np.concatenate([[0, 90], rng.choice(90, 20, replace=False)]))
    return KeyMotions(frames / FPS, rng.uniform(0, 1, (len(frames), CONTROLS)).astype(np.float32))


def changed_key(keys: KeyMotions, index: int, amount: float = 0.4) -> KeyMotions:
    controls = keys.controls.copy()
    controls[index, 1] = np.clip(controls[index, 1] + amount, 0, 1)
    return KeyMotions(keys.times, controls)


def test_completion_passes_exactly_through_its_keys():
    keys = some_keys()
    motion = complete_through(keys, TIMES, wavy)
    assert np.array_equal(motion[np.rint(keys.times * FPS).astype(int)], keys.controls)


def test_unedited_keys_reproduce_the_result_bit_for_bit():
    keys = some_keys()
    motion = complete_through(keys, TIMES, wavy).astype(np.float32)
    assert np.array_equal(recomplete(TIMES, motion, keys, keys, wavy, 3.0), motion)


def test_an_edit_changes_only_the_spans_beside_it_and_is_met_exactly():
    keys = some_keys()
    motion = np.clip(complete_through(keys, TIMES, wavy), 0, 1).astype(np.float32)
    edited = changed_key(keys, 8, -0.4 if keys.controls[8, 1] > 0.5 else 0.4)
    again = recomplete(TIMES, motion, keys, edited, wavy, 3.0)
    frames = np.rint(keys.times * FPS).astype(int)
    assert np.abs(again[frames] - edited.controls).max() <= 1e-6
    touched = np.flatnonzero((again != motion).any(1))
    assert frames[7] < touched.min() and touched.max() < frames[9]
    beside = [f for f in range(frames[7] + 1, frames[9]) if f != frames[8]]
    assert not beside or (again[beside, 1] != motion[beside, 1]).any(), "the approach follows the edit"


@pytest.mark.parametrize("edit", ["move", "add", "delete", "first", "last", "delete first"])
def test_moved_added_and_deleted_keys(edit):
    keys = some_keys(3)
    motion = np.clip(complete_through(keys, TIMES, wavy), 0, 1).astype(np.float32)
    times, controls = keys.times.copy(), keys.controls.copy()
    if edit == "move":
        times[5] += 0.3 / FPS  # between two frames
        low, high = 4, 6
    elif edit == "add":
        gap = int(np.argmax(np.diff(times)))
        times = np.insert(times, gap + 1, times[gap] + 1 / FPS)
        controls = np.insert(controls, gap + 1, 0.9, axis=0)
        low, high = gap, gap + 1
    elif edit == "delete":
        times, controls = np.delete(times, 5), np.delete(controls, 5, axis=0)
        low, high = 4, 6
    elif edit == "first":
        controls[0] = 1 - controls[0]
        low, high = 0, 1
    elif edit == "last":
        controls[-1] = 1 - controls[-1]
        low, high = len(times) - 2, len(times) - 1
    else:
        times, controls = times[1:], controls[1:]
        low, high = 0, 1
    edited = KeyMotions(times, controls)
    again = recomplete(TIMES, motion, keys, edited, wavy, 3.0)
    on_frame = np.abs(times * FPS - np.rint(times * FPS)) < 1e-6
    frames = np.rint(times[on_frame] * FPS).astype(int)
    assert np.abs(again[frames] - controls[on_frame]).max() <= 1e-6
    touched = TIMES[(again != motion).any(1)]
    assert len(touched)
    assert touched.min() >= keys.times[low] - 1e-9 and touched.max() <= keys.times[high] + 1e-9


def test_deleting_a_lonely_key_takes_its_pose_away():
    fine = np.arange(0, 901) / FPS
    times = np.array([0.0, 15.0, 30.0])
    keys = KeyMotions(times, np.array([[0.0], [1.0], [0.0]], np.float32))

    def loose(some, at):
        return np.zeros((len(at), 1), np.float32)

    motion = complete_through(keys, fine, loose).astype(np.float32)
    without = KeyMotions(times[[0, 2]], keys.controls[[0, 2]])
    again = recomplete(fine, motion, keys, without, loose, 3.0)
    assert motion[450, 0] == 1.0 and np.abs(again[100:800]).max() < 0.05


def test_an_edit_blends_in_without_a_jump_or_a_kink():
    fine = np.arange(3001) / 1000.0
    keys = some_keys(5)
    motion = complete_through(keys, fine, wavy)
    edited = changed_key(keys, 10, -0.5 if keys.controls[10, 1] > 0.5 else 0.5)
    change = (recomplete(fine, motion, keys, edited, wavy, 3.0) - motion)[:, 1]
    speed = np.gradient(change, fine)
    span = keys.times[11] - keys.times[9]
    assert np.abs(np.diff(change)).max() < 0.5 * 6e-3 / span
    at_ends = np.abs(fine[:, None] - keys.times[[9, 11]]).min(1) < 2e-3
    assert np.abs(change[at_ends]).max() < 1e-3
    assert np.abs(speed[at_ends]).max() < 0.05 * np.abs(speed).max()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.lists(st.integers(0, 15), min_size=1, max_size=4, unique=True))
def test_spans_cover_all_edits_and_stop_at_untouched_keys(seed, edited_indices):
    keys = some_keys(seed)
    controls = keys.controls.copy()
    for index in edited_indices:
        controls[index, 0] += 0.3
    spans = edited_spans(keys, KeyMotions(keys.times, controls))
    untouched = set(range(len(keys.times))) - set(edited_indices)
    for index in edited_indices:
        assert any(s.start < keys.times[index] < s.end for s in spans)
    for index in untouched:
        assert not any(s.start < keys.times[index] < s.end for s in spans)


def test_motion_above_all_keys_is_not_cut_off_by_an_edit():
    keys = KeyMotions(np.array([0.0, 1.0, 2.0, 3.0]), np.full((4, CONTROLS), 0.5, np.float32))
    motion = np.full((len(TIMES), CONTROLS), 1.7, np.float32)  # intensity 2
    again = recomplete(TIMES, motion, keys, changed_key(keys, 1), lambda some, at: np.zeros((len(at), CONTROLS)), 3.0)
    not_keys = np.abs(TIMES[:, None] - keys.times).min(1) > 1e-6
    assert np.array_equal(again[not_keys][:, [0, 2, 3]], motion[not_keys][:, [0, 2, 3]])


def test_the_networks_are_asked_once_for_the_same(monkeypatch):
    asked = []

    class Counting:
        def complete(self, audio, keys, key_times, times, key_of):
            asked.append(len(times))
            return np.repeat(keys[:1], len(times), axis=0)

    remembering = Remembering(Counting())
    rng = np.random.default_rng(0)
    audio, times, key_of = rng.random((20, 4)), np.arange(20.0), np.full(20, -1)
    first = remembering.complete(audio, np.ones((2, 3)), np.arange(2.0), times, key_of)
    first[:] = 7  # what is done to an answer is nobody else's
    again = remembering.complete(audio.copy(), np.ones((2, 3)), np.arange(2.0), times, key_of)
    np.testing.assert_array_equal(again, 1.0)
    assert asked == [20]
    remembering.complete(audio, np.zeros((2, 3)), np.arange(2.0), times, key_of)
    monkeypatch.setattr("kmtalk_core.runtime.remembering.MOST", 2)
    for value in (2.0, 3.0):
        remembering.complete(audio, np.full((2, 3), value), np.arange(2.0), times, key_of)
    remembering.complete(audio, np.ones((2, 3)), np.arange(2.0), times, key_of)
    assert len(asked) == 5, "the oldest answers are forgotten"
    monkeypatch.setattr("kmtalk_core.runtime.remembering.LONG", 20)
    remembering.complete(audio, np.ones((2, 3)), np.arange(2.0), times, key_of)
    assert len(asked) == 6, "those for long motions are not kept"
