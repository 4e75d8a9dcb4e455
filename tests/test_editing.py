"""Editing in any order: what comes out depends on the generated motion and on the keys of now, and on nothing else."""

from dataclasses import replace

import numpy as np
import pytest

from kmtalk_core.animator import Animator, Request
from kmtalk_core.assets import ASSETS
from kmtalk_core.audio import load_sound
from kmtalk_core.command.cli import main
from kmtalk_core.files import save_npz
from kmtalk_core.finish.compose import finish
from kmtalk_core.motion import Animation, KeyMotions
from kmtalk_core.results import load_animation, save_animation
from kmtalk_core.settings import Sliders


@pytest.fixture(scope="module")
def animator():
    return Animator()


@pytest.fixture(scope="module")
def generated(animator):
    sound = load_sound(ASSETS / "sample_speech.flac")
    return animator.animate(sound, Request(localizer="posterior", offset=0.1))


class Edit:
    """Changes, moves, deletes or adds the key at one time; `undo` takes it back by hand."""

    def __init__(self, rng, animation, index):
        self.kind = rng.choice(["change", "move", "delete", "add"])
        self.time, self.pose = animation.keys.times[index], animation.keys.controls[index]
        self.new = rng.random(self.pose.shape, np.float32) * 0.8
        self.to = self.time + 1 / animation.fps

    def do(self, keys):
        if self.kind == "change":
            return without(keys, self.time, (self.time, self.new))
        if self.kind == "move":
            return without(keys, self.time, (self.to, self.pose))
        if self.kind == "delete":
            return without(keys, self.time)
        return without(keys, self.to, (self.to, self.new))

    def undo(self, keys):
        return without(keys, self.to) if self.kind == "add" else without(
            without(keys, self.to), self.time, (self.time, self.pose)
        )  # fmt: skip


def without(keys, time, *added):
    kept = np.abs(keys.times - time) > 1e-6
    times = np.concatenate([keys.times[kept], [t for t, _ in added]])
    poses = np.concatenate([keys.controls[kept], np.array([p for _, p in added]).reshape(-1, keys.controls.shape[1])])
    order = np.argsort(times)
    return KeyMotions(times[order], poses[order].astype(np.float32))


def edits(rng, animation, count):
    """Of keys that are not neighbours and whose next frame has no key."""
    gaps = np.diff(animation.key_frames)
    free = [i for i in range(2, len(gaps) - 2, 2) if gaps[i] > 1]
    return [Edit(rng, animation, i) for i in rng.choice(free, count, replace=False)]


def same(one: Animation, other: Animation):
    assert np.array_equal(one.controls, other.controls)
    assert np.array_equal(one.keys.times, other.keys.times) and np.array_equal(one.keys.controls, other.keys.controls)
    assert np.array_equal(one.unfinished.free, other.unfinished.free)
    assert np.array_equal(one.unfinished.edited, other.unfinished.edited)


@pytest.mark.parametrize("seed", range(4))
def test_the_order_of_edits_does_not_matter_and_undoing_brings_the_motion_back(animator, generated, seed, tmp_path):
    rng = np.random.default_rng(seed)
    todo = edits(rng, generated, 5)
    results = []
    for order in (todo, todo[::-1]):
        animation = generated
        for edit in order:
            animation = animator.complete(animation, edit.do(animation.keys))
        results.append(animation)
    same(*results)
    keys = generated.keys
    for edit in todo:
        keys = edit.do(keys)
    same(animator.complete(generated, keys), results[0])
    assert not np.array_equal(results[0].controls, generated.controls)
    # Back again, in another order, saved and loaded in between.
    animation = results[0]
    for number, edit in enumerate(rng.permutation(np.array(todo, object))):
        if number == 2:
            save_animation(animation, tmp_path / "a.npz")
            animation = load_animation(tmp_path / "a.npz")
        animation = animator.complete(animation, edit.undo(animation.keys))
    same(animation, generated)
    save_animation(animation, tmp_path / "a.npz")
    save_animation(generated, tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_completing_twice_is_completing_once(animator, generated):
    (edit,) = edits(np.random.default_rng(9), generated, 1)
    once = animator.complete(generated, edit.do(generated.keys))
    same(animator.complete(once, once.keys), once)


@pytest.mark.parametrize("seed", [0, 5])
def test_sliders_moved_in_between_change_what_was_generated(animator, generated, seed):
    """An edit, a slider there and back, and the edit taken back: as generated."""
    edit, other = edits(np.random.default_rng(seed), generated, 2)
    edit.kind = other.kind = "change"
    once = animator.complete(generated, edit.do(generated.keys))
    sliders = Sliders(jaw=0.6, offset=0.3)
    slid = finish(once, sliders)
    plain = finish(generated, sliders)
    shift = round(0.3 * generated.fps) - round(0.1 * generated.fps)
    moved = edit.time + shift / generated.fps
    at = int(np.abs(plain.keys.times - moved).argmin())
    back = animator.complete(slid, without(slid.keys, moved, (plain.keys.times[at], plain.keys.controls[at])))
    same(back, plain)
    returned = finish(slid, generated.sliders)
    same(animator.complete(returned, edit.undo(returned.keys)), generated)
    assert replace(back, unfinished=None, controls=None).sliders == sliders


def test_the_command_line_chains(generated, tmp_path):
    (edit,) = edits(np.random.default_rng(2), generated, 1)
    save_animation(generated, tmp_path / "a.npz")

    def completed(keys, source, target):
        arrays = {"key_times": keys.times, "key_controls": keys.controls}
        save_npz({**arrays, "control_names": np.array(generated.control_names)}, tmp_path / "keys.npz")
        words = ["complete", source, "--keys", tmp_path / "keys.npz", "--out", target]
        assert main([str(word) for word in words]) == 0
        return load_animation(target)

    edited = completed(edit.do(generated.keys), tmp_path / "a.npz", tmp_path / "b.npz")
    assert not np.array_equal(edited.controls, generated.controls)
    same(completed(edit.undo(edited.keys), tmp_path / "b.npz", tmp_path / "c.npz"), generated)


def test_ten_thousand_keys_take_no_table_of_keys_by_keys():
    import tracemalloc

    from kmtalk_core.completion import nearest

    times = np.arange(20_000) / 8
    tracemalloc.start()
    place = nearest(times, times[::-1] + 0.01)
    assert tracemalloc.get_traced_memory()[1] < 5e6 and (place == np.arange(20_000)[::-1]).all()
    tracemalloc.stop()
