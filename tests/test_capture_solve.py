"""Points of the demo head, whose controls are known, are solved back into controls."""

import numpy as np
import pytest

from kmtalk_core.assets import DEMO_HEAD
from kmtalk_core.errors import InputError
from kmtalk_core.rig.articulation import build_rig
from kmtalk_core.rig.controls import SPEECH_CONTROLS
from kmtalk_core.rig.mesh import load_mesh
from training.capture import solve
from training.capture.points import LIPS

FPS = 25.0
# MediaPipe's vertex → iBUG landmark, beside the lips.
OTHERS = {33: 36, 133: 39, 263: 45, 362: 42, 6: 28, 168: 27, 234: 0, 454: 16, 1: 33, 4: 30, 98: 31, 327: 35, 152: 8}


@pytest.fixture(scope="module")
def rig():
    return build_rig(load_mesh(DEMO_HEAD))


def spoken(seconds: float) -> np.ndarray:
    """(T, C): syllables with a closure each second, round and wide in turn."""
    t = np.arange(round(seconds * FPS)) / FPS
    controls = np.zeros((len(t), len(SPEECH_CONTROLS)), np.float32)
    speaking = (t > 0.6) & (t < seconds - 0.6)
    jaw = 0.2 * (1 - np.cos(2 * np.pi * 2 * t)) / 2 * speaking
    jaw[(np.mod(t, 1.0) < 0.12)] = 0.0
    controls[:, SPEECH_CONTROLS.index("jawOpen")] = jaw
    controls[:, SPEECH_CONTROLS.index("mouthPucker")] = 0.4 * np.maximum(np.sin(2 * np.pi * 0.7 * t), 0) * speaking
    for side in ("Left", "Right"):
        controls[:, SPEECH_CONTROLS.index(f"mouthStretch{side}")] = (
            0.3 * np.maximum(-np.sin(2 * np.pi * 0.7 * t), 0) * speaking
        )
    return controls


def filmed(rig, controls: np.ndarray, yaw: np.ndarray, missing: slice = slice(0, 0)) -> tuple[np.ndarray, np.ndarray]:
    """(T, P, 3) pixels and the ids, of the head turned by `yaw` (T,) degrees and drifting over the picture."""
    vertices = rig.vertices(controls, SPEECH_CONTROLS)
    marks = rig.anatomy.vertex_of[rig.anatomy.marks]
    where = {**{mediapipe: ibug for ibug, mediapipe in LIPS.items()}, **OTHERS}
    points = rig.anatomy.frame.to_frame(vertices[:, marks[list(where.values())]])
    forehead = points[:, [list(where).index(168)]] + (0.0, 45.0, -10.0)
    points = np.concatenate([points, forehead], axis=1)
    a = np.radians(yaw)
    turn = np.stack(
        [
            np.stack([np.cos(a), 0 * a, -np.sin(a)], 1),
            np.tile([0.0, 1, 0], (len(a), 1)),
            np.stack([np.sin(a), 0 * a, np.cos(a)], 1),
        ],
        axis=1,
    )
    pixels = np.einsum("tpi,tij->tpj", points, turn) * (0.8, -0.8, -0.8) + (180.0, 140.0, 0.0)
    pixels += np.linspace(0, 12, len(pixels))[:, None, None] * (1, 0.5, 0)
    pixels[missing] = np.nan
    return pixels, np.array([*where, 10])


@pytest.mark.parametrize("yaw", [0.0, 20.0])
def test_known_controls_come_back(rig, yaw):
    true = spoken(5.0)
    points, ids = filmed(rig, true, yaw + 5 * np.sin(np.arange(len(true)) / 20))
    found = solve(points + np.random.default_rng(0).normal(0, 0.1, points.shape), ids, (360, 288), FPS)

    def seen(controls):
        v = rig.anatomy.frame.to_frame(rig.vertices(controls, SPEECH_CONTROLS))[
            :, rig.anatomy.vertex_of[rig.anatomy.marks]
        ]
        return v[:, 62, 1] - v[:, 66, 1], v[:, 54, 0] - v[:, 48, 0], v[:, 8, 1]

    for theirs, ours in zip(seen(true), seen(found.controls), strict=True):
        assert np.corrcoef(theirs, ours)[0, 1] > 0.95
    jaw = SPEECH_CONTROLS.index("jawOpen")
    assert np.corrcoef(true[:, jaw], found.controls[:, jaw])[0, 1] > 0.95
    shut = seen(true)[0] <= seen(true)[0].min() + 0.05
    assert (seen(found.controls)[0][shut] < 1.0).all()
    assert found.usable.all() and found.controls.min() >= 0


def test_frames_without_a_face_are_bridged_and_told(rig):
    true = spoken(4.0)
    points, ids = filmed(rig, true, np.zeros(len(true)), missing=slice(40, 46))
    found = solve(points, ids, (360, 288), FPS)
    assert not found.usable[40:46].any() and found.usable.sum() == len(true) - 6
    assert np.isfinite(found.controls).all()


def test_what_cannot_be_solved_is_said(rig):
    points, ids = filmed(rig, spoken(2.0), np.zeros(50))
    with pytest.raises(InputError, match="MediaPipe's number 61"):
        solve(points[:, ids != 61], ids[ids != 61], (360, 288), FPS)
    with pytest.raises(InputError, match="fewer than two frames"):
        solve(points[:1], ids, (360, 288), FPS)
    with pytest.raises(InputError, match="No frame"):
        solve(np.full_like(points, np.nan), ids, (360, 288), FPS)
