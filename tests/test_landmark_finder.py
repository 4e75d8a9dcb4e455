"""Landmarks of heads about which nothing is known: found any way up and any size, and completed from a few picks."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial import ConvexHull
from scipy.spatial.transform import Rotation

from kmtalk_core.assets import DEMO_HEAD
from kmtalk_core.command.cli import main
from kmtalk_core.errors import InputError
from kmtalk_core.files import load_npz, save_npz
from kmtalk_core.landmarks.contours import SHARES, place_on_contours
from kmtalk_core.landmarks.crops import PARTNER
from kmtalk_core.landmarks.finder import find_landmarks, find_points, landmarks_of
from kmtalk_core.landmarks.picking import GUIDE, completed, demo_face, mirrored, other_side
from kmtalk_core.landmarks.sight import Networks, shipped
from kmtalk_core.landmarks.views import Surface, View, glance, look
from kmtalk_core.rig.articulation import build_rig
from kmtalk_core.rig.contacts import contact_figures
from kmtalk_core.rig.mesh import Mesh, load_mesh
from training.landmarks.heads import DemoHeads, bent

EYES_AND_LIPS = [*range(36, 68)]


@pytest.fixture(scope="module")
def makers():
    return DemoHeads()


@pytest.fixture(scope="module")
def strangers(makers):
    """Heads that no training has seen, with where their landmarks are: points, faces, marks."""
    return [makers(np.random.default_rng([77, number])) for number in range(3)]


def off(found, marks):
    """(68,) how far landmarks are off, in shares of the distance between the eyes' outer corners."""
    return np.linalg.norm(found - marks, axis=1) / np.linalg.norm(marks[36] - marks[45])


def unknown(mesh):
    """The same head without anything that is known of it: nothing is named, and every face is in four."""
    sides = np.sort(mesh.faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    ends, place = np.unique(sides, axis=0, return_inverse=True)
    ab, bc, ca = (place.reshape(-1, 3) + len(mesh.vertices)).T
    a, b, c = mesh.faces.T
    quarters = [(a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca)]
    faces = np.concatenate([np.stack(quarter, axis=1) for quarter in quarters])
    return Mesh(np.concatenate([mesh.vertices, mesh.vertices[ends].mean(1)]), faces)


def test_heads_are_found_any_way_up_and_at_any_size(strangers):
    for number, head in enumerate(strangers):
        turn = Rotation.random(random_state=number).as_matrix()
        scale = 10.0 ** (number - 2)
        moved = head.points @ turn.T * scale + 7 * scale
        points, sure = find_points(Mesh(moved, head.faces), shipped())
        error = off(points, head.marks @ turn.T * scale + 7 * scale)
        assert error[EYES_AND_LIPS].mean() < 0.02 and np.quantile(error[EYES_AND_LIPS], 0.9) < 0.035
        assert error.mean() < 0.05 and sure > 0.8


def test_a_mirrored_head_and_one_turned_inside_out_are_found(strangers):
    head = strangers[0]
    mirror = np.array([-1, 1, 1])
    points, _ = find_points(Mesh(head.points * mirror, head.faces), shipped())
    assert off(points, head.marks[PARTNER] * mirror)[EYES_AND_LIPS].mean() < 0.02
    inside_out, _ = find_points(Mesh(head.points, head.faces[:, ::-1]), shipped())
    assert off(inside_out, head.marks)[EYES_AND_LIPS].mean() < 0.02


def test_what_is_no_head_is_refused():
    rng = np.random.default_rng(0)
    ball = rng.normal(size=(2000, 3))
    ball /= np.linalg.norm(ball, axis=1, keepdims=True)
    with pytest.raises(InputError, match="No face was found"):
        find_landmarks(Mesh(ball, ConvexHull(ball).simplices.astype(np.int64)))


def test_a_found_head_gets_a_rig_whose_lips_meet():
    mesh = load_mesh(DEMO_HEAD)
    found = find_landmarks(mesh)
    assert len(np.unique(found.vertices)) == 68
    figures = {row.name: row for row in contact_figures(build_rig(mesh, found.vertices))}
    lips = [name for name in figures if name.startswith("bilabial")]
    assert len(lips) > 4 and all(figures[name].kept for name in lips)
    assert figures["f, v: lower lip to upper teeth"].value < 1.5
    assert figures["blink 1.0: largest gap between the lids"].value < 2.0


def test_known_heads_stay_as_they_are():
    mesh = load_mesh(DEMO_HEAD)
    marks, sure = landmarks_of(mesh)
    assert sure == 1 and (marks == mesh.landmarks).all()
    assert (landmarks_of(replace(mesh, landmarks=None))[0] == mesh.landmarks).all()


def test_the_command_writes_a_head_that_other_commands_take(tmp_path):
    mesh = unknown(load_mesh(DEMO_HEAD))  # by its edges nobody knows it
    save_npz({"vertices": mesh.vertices, "faces": mesh.faces}, tmp_path / "head.npz")
    assert main(["landmarks", str(tmp_path / "head.npz"), "--out", str(tmp_path / "known.npz")]) == 0
    assert load_npz(tmp_path / "known.npz")["landmarks"].shape == (68,)
    assert main(["landmarks", str(tmp_path / "known.npz"), "--out", str(tmp_path / "known.json")]) == 0
    told = json.loads((tmp_path / "known.json").read_text(encoding="utf-8"))
    assert told["sure"] == 1 and len(told["points"]) == 68


def test_some_twenty_picks_make_all_landmarks():
    _, marks = demo_face()
    head = bent(marks, np.random.default_rng(5), much=0.7)
    left = {mark: head[mark] for mark in GUIDE}
    assert len(left) <= 24
    found = completed(left)
    symmetric = [*GUIDE, 28, 29, 61, 63, 49, 52, 58]
    assert off(found, other_side(head))[symmetric].max() < 0.06
    turned = completed({mark: 3 * point[[2, 0, 1]] + 5 for mark, point in left.items()})
    assert np.allclose(turned, 3 * found[:, [2, 0, 1]] + 5, atol=0.5)


def test_picks_that_do_not_suffice_are_asked_for():
    _, marks = demo_face()
    with pytest.raises(InputError, match="tip of the nose"):
        completed({mark: marks[mark] for mark in GUIDE if mark != 30})
    with pytest.raises(InputError, match="corners"):
        completed({mark: marks[mark] for mark in (27, 30, 33, 51, 62, 66, 57, 8)})
    flat = {mark: np.array([0.0, -mark, 0.0]) for mark in (27, 30, 33, 51, 62, 66, 57, 8, 45)}
    with pytest.raises(InputError, match="one line"):
        mirrored(flat)


def test_mirroring_keeps_one_side():
    _, marks = demo_face()
    crooked = marks.copy()
    crooked[54] += [2.0, 3.0, 0.0]
    straight = other_side(crooked, left_to_right=True)
    assert np.allclose(straight[54], crooked[54]) and abs(straight[48][1] - crooked[54][1]) < 0.5
    back = other_side(crooked, left_to_right=False)
    assert np.allclose(back[48], crooked[48]) and np.abs(back[54] - marks[54]).max() < 0.5


def test_landmarks_lie_at_shares_of_their_contours():
    line = np.array([[0.0, 0, 0], [1, 1, 0], [3, 1, 0], [4, 0, 0]])
    marks = place_on_contours(np.zeros((68, 3)), dict.fromkeys(SHARES, line))
    assert np.allclose(marks[36], [0, 0, 0]) and np.allclose(marks[39], [4, 0, 0])
    assert np.allclose(marks[37], [1.2, 1, 0]) and np.allclose(marks[51], [2, 1, 0])


def test_a_view_shows_what_is_in_front(strangers):
    square = np.array([[-1.0, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]])
    behind = square * 2 - [0, 0, 1]
    faces = np.array([[0, 1, 2], [0, 2, 3], [4, 5, 6], [4, 6, 7]])
    surface = Surface.of(np.concatenate([square, behind]), faces[:, ::-1])
    view = View(np.zeros(3), np.eye(3), 6.0)
    picture = look(surface, view, 30)
    assert picture[4].mean() == pytest.approx((4 / 6) ** 2, abs=0.1)
    assert picture[2][picture[4] > 0].min() > 0.99, "seen from the front, whatever way round"
    assert picture[3, 15, 15] == pytest.approx(0, abs=0.01) and picture[3, 7, 7] == pytest.approx(-4 / 6, abs=0.05)
    head = strangers[0]
    surface = Surface.of(head.points, head.faces)
    view = View(head.marks.mean(0), np.eye(3), 240.0)
    rng = np.random.default_rng(0)
    chosen, weight = rng.integers(len(head.faces), size=200_000), rng.dirichlet([1, 1, 1], 200_000)[..., None]
    points = (surface.points[head.faces[chosen]] * weight).sum(1)
    normals = (surface.normals[head.faces[chosen]] * weight).sum(1)
    alike = np.abs(glance(points, normals, view, 48) - look(surface, view, 48))
    assert np.median(alike) < 0.03


def test_another_file_is_refused(tmp_path):
    save_npz({"vertices": np.zeros((3, 3))}, tmp_path / "a.npz")
    with pytest.raises(InputError, match="no landmark finder"):
        Networks(tmp_path / "a.npz")
