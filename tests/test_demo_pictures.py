"""The demo's pictures: what the rasteriser sees, how light is carried over, and the film's order of frames."""

from dataclasses import replace

import numpy as np
import pytest

from demo.contact_sheet import choose_poses
from demo.film import STILL, Played, frames_needed, moments, soundtrack
from demo.lanes import subtitles
from demo.light import components, fit, telling_poses
from demo.picture import Camera, Studio, Surface, ToneCurve
from demo.pictures import Shoot, take_all
from kmtalk_core.delivery.raster import rasterise, resolve
from kmtalk_core.errors import KMTalkError
from kmtalk_core.phones import Word


def square(near, left=2.0, size=4.0):
    """Two triangles that cover a square of the screen, counter-clockwise with y upwards."""
    a, b, c, d = ([left + x * size, 2 + y * size, near] for x, y in ((0, 1), (1, 1), (1, 0), (0, 0)))
    return [[a, b, c], [a, c, d]]


def test_a_square_covers_its_samples_once():
    seen = rasterise(np.array(square(1.0), np.float32), (10, 8))
    rows, columns = np.divmod(seen.place, 10)
    assert len(np.unique(seen.place)) == len(seen.place) == 16
    assert {*rows} == {*columns} == {2, 3, 4, 5}
    np.testing.assert_allclose(seen.weights.sum(1), 1, rtol=1e-6)


def test_the_nearest_is_seen_and_backs_are_not():
    front, behind = square(2.0, left=4.0), square(1.0)
    back = [triangle[::-1] for triangle in square(9.0)]
    seen = rasterise(np.array([*behind, *front, *back], np.float32), (10, 8))
    owner = dict(zip(seen.place.tolist(), (seen.triangle // 2).tolist(), strict=True))
    assert owner[3 * 10 + 3] == 0 and owner[3 * 10 + 4] == 1 and set(owner.values()) == {0, 1}


def test_what_lies_outside_or_behind_the_camera_is_cut():
    outside = np.array([*square(1.0, left=-2.0), *square(1.0, left=8.0), *square(-1.0)], np.float32)
    columns = rasterise(outside, (10, 8)).place % 10
    assert {*columns} == {0, 1, 8, 9}


def test_edges_are_averaged():
    background = np.zeros((4, 4, 3), np.float32)
    picture = resolve(np.ones((2, 3), np.float32), np.array([0, 1]), background)
    np.testing.assert_array_equal(picture[:, :, 0], [[0.5, 0], [0, 0]])


def test_a_camera_looks_along_its_axis_and_shifts_as_blender_does():
    camera = Camera(np.zeros(3, np.float32), np.eye(3, dtype=np.float32), 2.0, (0.1, -0.2))
    ahead, right = camera.project(np.array([[0, 0, -4], [1, 0, -4]], np.float32), 100)
    np.testing.assert_allclose(ahead, [40, 30, 0.25], rtol=1e-6)
    np.testing.assert_allclose(right - ahead, [50, 0, 0], atol=1e-4)


def test_tones_are_read_between_the_table_s_steps():
    steps = np.linspace(0, 1, 9, dtype=np.float32)
    table = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1)
    curve = ToneCurve(table)
    np.testing.assert_allclose(curve(curve.light(np.array([[0.31, 0.5, 0.77]]))), [[0.31, 0.5, 0.77]], atol=1e-4)
    assert curve(np.zeros((1, 3))).max() == 0


def grid(count):
    """A strip of quads as a surface of one material."""
    vertex = np.arange(2 * count)
    low = np.arange(count - 1)
    triangles = np.concatenate(
        [np.stack([low, low + 1, low + count], 1), np.stack([low + 1, low + count + 1, low + count], 1)]
    )
    values = np.zeros(2 * count)
    return Surface(
        vertex, triangles, np.ones((2 * count, 3)), np.zeros((2 * count, 3)), values, values,
        values > 0, values.astype(int), np.zeros(len(triangles)),
    )  # fmt: skip


def test_light_follows_the_motion_and_the_noise_is_averaged_away():
    rng = np.random.default_rng(0)
    way = np.sin(np.arange(60) / 7)
    motion = np.zeros((60, 40, 3), np.float32)
    motion[:, :, 1] = way[:, None] * np.linspace(0, 1, 40)
    true = 1 + 0.5 * way[:, None, None] * np.ones((40, 3))
    weights = components(motion)
    assert weights.shape[1] == 1  # one thing moves
    poses = telling_poses(weights, 12)
    assert len({*poses}) == 12
    light = fit((true + 0.2 * rng.standard_normal(true.shape))[poses], poses, weights, grid(20))
    error = np.array([light.at(pose) - true[pose] for pose in range(60)])
    assert np.sqrt((error**2).mean()) < 0.09


def test_a_still_head_has_the_mean_light():
    motion = np.zeros((5, 40, 3), np.float32)
    weights = components(motion)
    light = fit(np.ones((1, 40, 3)), telling_poses(weights, 14)[:1], weights, grid(20))
    np.testing.assert_allclose(light.at(3), 1, atol=1e-6)


@pytest.fixture
def edited(animation):
    pytest.importorskip("bpy", reason="Blender as a module is not installed")
    from demo.edit import Edit

    controls = animation.controls.copy()
    controls[10:14] += 0.2
    return Edit(1, "jawOpen", (0.1, 0.5), animation, replace(animation, controls=controls))


def test_the_film_shows_all_and_then_the_edit(animation, edited):
    film = moments(animation, edited)
    count, fps = len(animation.times), animation.fps
    assert [m.sound for m in film[:count]] == list(range(count)) and not any(m.comparing for m in film[:count])
    still = film[count : count + round(STILL * fps)]
    assert all(m.note and m.sound is None and m.comparing for m in still)
    again = film[count + len(still) :]
    assert [m.sound for m in again if m.sound is not None] == list(range(count))[
        : len([m for m in again if not m.note])
    ]
    for moment in again:
        assert moment.left[0] == Played(moment.frame)
        assert moment.right[0].edited == moment.changed == (9 < moment.frame < 14)
    needed = {int(p.frame) for m in film for p, _ in (m.left, m.right) if not p.edited}
    assert needed <= {*frames_needed(animation, 1)}


def test_without_an_edit_the_film_is_the_speech(animation):
    assert len(moments(animation, None)) == len(animation.times)


def test_sound_is_that_of_the_frame_that_is_seen(animation, edited):
    film = moments(animation, edited)
    fps, rate = animation.fps, 48000
    frame_of = np.repeat(np.arange(len(animation.times)), round(rate / fps))[:, None].astype(np.int16)
    sound = soundtrack(film, fps, frame_of + 1, rate)
    assert len(sound) == round(len(film) / fps * rate)
    for number, moment in enumerate(film):
        heard = sound[round((number + 0.5) / fps * rate), 0]
        assert heard == (0 if moment.sound is None else moment.sound + 1)


def test_subtitles_break_at_pauses_and_before_they_grow_long():
    words = [Word("one", 0, 0.3), Word("two", 0.35, 0.6), Word("three", 1.2, 1.5)]
    words += [Word("w" * 20, 1.5 + k, 2.4 + k) for k in range(3)]
    assert [[w.label[:5] for w in line] for line in subtitles(words)] == [
        ["one", "two"], ["three", "wwwww"], ["wwwww", "wwwww"]
    ]  # fmt: skip


def test_all_poses_of_the_sheet_are_recorded(animation):
    needed = {*frames_needed(animation, None)}
    assert {pose.frame for pose in choose_poses(animation)} <= needed


def test_pictures_come_in_order_from_several_processes():
    shoot = a_shoot(3)
    wanted = [(pose, "front") for pose in (0, 1, 2, 1, 0)]
    pictures = list(take_all(shoot, wanted, processes=2))
    for (pose, view), picture in zip(wanted, pictures, strict=True):
        np.testing.assert_array_equal(picture, shoot.take(pose, view))
    assert (pictures[0] != pictures[1]).any()


def test_a_process_that_fails_is_told_and_nothing_hangs():
    with pytest.raises(KMTalkError, match="ended early"):
        list(take_all(a_shoot(1), [(0, "front"), (7, "front")], processes=2))


def a_shoot(poses):
    """A strip that moves to the right, and a camera in front of it."""
    surface = grid(20)
    x, y = np.tile(np.linspace(-1, 0, 20), 2), np.repeat([0.3, -0.3], 20)
    motion = np.stack([np.stack([x + 0.3 * p, -y, 0 * x], 1) for p in range(poses)]).astype(np.float32)
    table = np.stack(np.meshgrid(*[np.linspace(0, 1, 3, dtype=np.float32)] * 3, indexing="ij"), axis=-1)
    studio = Studio(surface, (), np.full(3, 0.1, np.float32), ToneCurve(table))
    light = fit(np.ones((1, 40, 3)), [0], np.zeros((poses, 0), np.float32), surface)
    camera = Camera(np.array([0, 0, 4], np.float32), np.eye(3, dtype=np.float32), 1.5, (0, 0))
    return Shoot(studio, motion, light, {"front": (camera, np.zeros((64, 64, 3), np.float32))})
