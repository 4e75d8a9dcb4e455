"""Head motion: small, smooth, on accents, seeded, off at 0; and the shapes that wear it."""

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from test_upper_face import talking

from kmtalk_core.finish.head import head_motion
from kmtalk_core.finish.rhythm import find_rhythm
from kmtalk_core.phones import SILENCE, Alignment, Phone
from kmtalk_core.rig.articulation import build_rig
from kmtalk_core.rig.controls import HEAD_CONTROLS, HEAD_DEG
from kmtalk_core.rig.mesh import load_mesh
from kmtalk_core.rig.neck import head_weight, pivot

DEMO_HEAD = Path(__file__).parent.parent / "kmtalk_core" / "assets" / "demo_head.npz"


def degrees(seconds=60.0, fps=30.0, seed=0, strength=1.0, rhythm=None, **options):
    times = np.arange(int(seconds * fps) + 1) / fps
    return head_motion(times, rhythm or talking(seconds), seed, strength, **options) * HEAD_DEG


def test_motion_is_small_smooth_and_centred():
    for seed in range(5):
        angles = degrees(fps=120.0, seed=seed)
        assert (angles.std(0) > 0.4).all() and (angles.std(0) < 3).all() and np.abs(angles).max() < 7.5
        speed = np.diff(angles, axis=0) * 120
        assert np.abs(speed).max() < 40  # degrees a second
        power = np.abs(np.fft.rfft(speed - speed.mean(0), axis=0)) ** 2
        fast = np.fft.rfftfreq(len(speed), 1 / 120) > 5
        assert power[fast].sum() < 0.02 * power.sum()


def test_the_head_is_low_at_accents():
    rhythm = talking(60.0)
    pitch = np.mean([degrees(fps=50.0, seed=s, rhythm=rhythm)[:, 0] for s in range(10)], axis=0)
    at = np.rint(rhythm.accents * 50).astype(int)
    at = at[(at > 25) & (at < len(pitch) - 25)]
    assert pitch[at].mean() > pitch[at - 14].mean() + 0.4


def test_speaking_heads_beat_quickly_and_little():
    """Between 1 and 4 Hz, as captured people's; heads that only sway look held."""
    angles = np.concatenate([degrees(fps=50.0, seed=s)[:3000] for s in range(4)])
    hertz = np.fft.rfftfreq(len(angles), 1 / 50)
    part = np.fft.rfft(angles - angles.mean(0), axis=0)
    part[(hertz < 1.0) | (hertz > 4.0)] = 0
    quick = np.fft.irfft(part, len(angles), axis=0).std(0)
    assert (quick > (0.2, 0.06, 0.03)).all() and (quick < (0.7, 0.3, 0.2)).all()


def test_a_phrase_ends_lower_than_it_begins():
    phones = [Phone(SILENCE, 0, 2), Phone("AA", 2, 5), Phone(SILENCE, 5, 8)]
    rhythm = find_rhythm(Alignment.from_segments(phones, (), 8.0, "test"), np.zeros((401, 3)), 50.0)
    pitch = np.mean([degrees(8.0, 50.0, seed=s, rhythm=rhythm)[:, 0] for s in range(40)], axis=0)
    assert pitch[245:255].mean() > pitch[105:115].mean() + 0.5


def test_silence_moves_slowly_and_zero_not_at_all():
    rhythm = find_rhythm(Alignment.from_segments((), (), 20.0, "test"), np.zeros((1001, 3)), 50.0)
    still = degrees(20.0, rhythm=rhythm)
    assert 0.1 < still.std() < 2 and np.abs(np.diff(still, axis=0) * 30).max() < 8
    assert not degrees(strength=0.0, posture=(3.0, 0.0, 0.0)).any()


def test_seeds_frame_rates_strength_and_posture():
    assert np.allclose(degrees(fps=60.0)[::2], degrees(fps=30.0), atol=1e-5)
    assert not np.allclose(degrees(seed=1), degrees(seed=2), atol=0.1)
    assert np.allclose(degrees(strength=0.5), 0.5 * degrees(), atol=1e-5)
    assert np.allclose(degrees(posture=(2.0, 0.0, -1.0)) - degrees(), [2.0, 0.0, -1.0], atol=1e-5)


@pytest.fixture(scope="module")
def rig():
    return build_rig(load_mesh(DEMO_HEAD))


def moves(rig):
    a = rig.anatomy
    rows = [rig.control_names.index(name) for name in HEAD_CONTROLS]
    return dict(zip(HEAD_CONTROLS, a.frame.vectors_to_frame(rig.shapes[rows]), strict=True))


def test_directions(rig):
    a, move = rig.anatomy, moves(rig)
    nose, left_ear = a.vertex_of[a.marks[30]], a.vertex_of[a.marks[16]]
    assert move["headPitch"][nose, 1] < -10  # chin down
    assert move["headYaw"][nose, 0] > 10  # to the person's left
    assert move["headRoll"][left_ear, 1] < -8  # left ear towards the left shoulder


def test_the_head_turns_rigidly_within_the_error_of_a_linear_shape(rig):
    a = rig.anatomy
    eyes = np.concatenate([p.vertices for p in a.parts if p.role.startswith("eye")])
    on_head = np.setdiff1d(np.flatnonzero(head_weight(a, a.points) == 1), eyes)
    axis = {"headPitch": (1, 0, 0), "headYaw": (0, 1, 0), "headRoll": (0, 0, -1)}
    for name, move in moves(rig).items():
        for share, limit in ((1.0, 2.6), (0.3, 0.25)):
            turn = Rotation.from_rotvec(np.radians(HEAD_DEG * share) * np.array(axis[name]))
            exact = turn.apply(a.points[on_head] - pivot(a)) + pivot(a)
            error = np.linalg.norm(a.points[on_head] + share * move[on_head] - exact, axis=1)
            assert error.max() < limit, name


def test_shoulders_stay_and_eyes_are_carried_without_turning(rig):
    a = rig.anatomy
    shoulders = a.points[:, 1] < a.p[8, 1] - 75
    assert shoulders.sum() > 200
    for name, move in moves(rig).items():
        assert np.linalg.norm(move[shoulders], axis=1).max() < 1.0, name
        for part in a.parts:
            if part.role.startswith("eye"):
                assert np.ptp(move[part.vertices], axis=0).max() < 1e-9, name


def test_the_neck_bends_without_tearing(rig):
    a = rig.anatomy
    edges = np.unique(np.sort(a.faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1), axis=0)
    socket = np.isin(edges, np.concatenate([eye.socket for eye in a.eyes])).any(1)
    edges = edges[~socket]
    before = np.linalg.norm(np.diff(a.skin[edges], axis=1)[:, 0], axis=1)
    for name, move in moves(rig).items():
        for way in (-1, 1):
            skin = a.skin + way * move[a.vertex_of]
            stretch = np.linalg.norm(np.diff(skin[edges], axis=1)[:, 0], axis=1) / before
            assert stretch.min() > 0.6 and stretch.max() < 1.5, (name, way)
