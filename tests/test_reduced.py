"""A result as few Bézier keys: near the motion on every frame, exact at key motions and contacts."""

from dataclasses import replace

import numpy as np
import pytest

from kmtalk_core.animator import Animator, Request
from kmtalk_core.assets import ASSETS
from kmtalk_core.audio import load_sound
from kmtalk_core.finish.contact_poses import LIPS, lips_apart
from kmtalk_core.finish.contacts import find_contacts
from kmtalk_core.finish.reduced import TOLERANCE, reduced_curves, sample_motion
from kmtalk_core.motion import KeyMotions
from kmtalk_core.rig.controls import SPEECH_CONTROLS

TEXT = (ASSETS / "sample_speech.txt").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def animator():
    return Animator()


@pytest.fixture(scope="module", params=[24.0, 30.0, 60.0])
def result(request, animator):
    return animator.animate(load_sound(ASSETS / "sample_speech.flac"), Request(transcript=TEXT, fps=request.param))


@pytest.fixture(scope="module")
def moved(result):
    return [n for n, most in zip(result.control_names, np.abs(result.controls).max(0), strict=True) if most > 1e-4]


@pytest.fixture(scope="module")
def curves(result, moved):
    return reduced_curves(result, moved)


def seen(curves, positions):
    return np.stack([curve.at(positions) for curve in curves], 1)


def test_every_control_is_near_on_every_frame_with_five_keys_a_second(result, moved, curves):
    frames = np.arange(len(result.times), dtype=float)
    motion = result.controls[:, [result.control_names.index(name) for name in moved]]
    assert np.abs(seen(curves, frames) - motion).max() <= TOLERANCE + 1e-6
    assert np.mean([len(curve.points) for curve in curves]) / result.times[-1] <= (5.0 if result.fps > 30 else 4.4)


def test_lines_of_two_seconds_have_few_keys_too(animator):
    """Their ends count most, which get keys only where the curves would not stay by themselves."""
    counts = []
    for start in (1.0, 3.0, 5.0):
        line = animator.animate(load_sound(ASSETS / "sample_speech.flac", start, 2.0), Request(fps=24.0))
        names = [n for n, most in zip(line.control_names, np.abs(line.controls).max(0), strict=True) if most > 1e-4]
        curves = reduced_curves(line, names)
        counts.append(np.mean([len(curve.points) for curve in curves]) / line.times[-1])
        jaw = curves[names.index("jawOpen")].points[[0, -1], 0]
        assert jaw.tolist() == [0.0, len(line.times) - 1.0]  # shows where the line begins and ends
    assert np.mean(counts) <= 5.0


def test_key_motions_are_exact_where_something_moves(result, moved, curves):
    shown = seen(curves, result.key_frames.astype(float))
    poses = result.keys.controls[:, [result.control_names.index(name) for name in moved]]
    keyed = sample_motion(result, moved).keyed[result.key_frames]
    np.testing.assert_allclose(shown[keyed], poses[keyed], atol=1e-7)
    jaw = moved.index("jawOpen")
    assert keyed[:, jaw].mean() > 0.8 and not keyed[1:-1, [n not in SPEECH_CONTROLS for n in moved]].any()


def test_lips_that_meet_do_so_exactly_and_between_frames_too(result, moved, curves):
    for contact in find_contacts(result.alignment, result.times):
        held = np.flatnonzero((result.times >= contact.start - 1e-6) & (result.times <= contact.end + 1e-6))
        if contact.kind == LIPS and len(held):
            motion = result.controls[held[[0, -1]]]
            reduced = motion.copy()
            reduced[:, [result.control_names.index(n) for n in moved]] = seen(curves, held[[0, -1]].astype(float))
            apart = lips_apart(reduced, result.control_names)
            np.testing.assert_allclose(apart, lips_apart(motion, result.control_names), atol=0.02)
            between = result.controls[held[0] : held[0] + 1].copy()
            between[:, [result.control_names.index(n) for n in moved]] = seen(curves, np.array([held.mean()]))
            assert lips_apart(between, result.control_names)[0] <= lips_apart(motion, result.control_names).max() + 0.02


def test_an_edited_pose_is_keyed_on_all_controls_between_frames_too(animator, result, moved):
    times, poses = result.keys.times.copy(), result.keys.controls.copy()
    times[5] += 0.4 / result.fps
    poses[5, result.control_names.index("headYaw")] = 0.8
    edited = animator.complete(result, KeyMotions(times, poses))
    sampled = sample_motion(edited, moved)
    row = int(np.flatnonzero(sampled.key == 5)[0])
    assert sampled.keyed[row].all() and sampled.positions[row] == pytest.approx(times[5] * result.fps)
    shown = seen(reduced_curves(edited, moved), sampled.positions[row : row + 1])[0]
    np.testing.assert_allclose(shown, poses[5, [result.control_names.index(n) for n in moved]], atol=1e-6)


def test_the_shortest_and_the_stillest_results(result):
    for count in (1, 2, 3):
        short = replace(
            result,
            times=result.times[:count],
            controls=result.controls[:count],
            keys=KeyMotions(result.times[:1], result.controls[:1]),
            unfinished=None,
        )
        assert len(reduced_curves(short, ("jawOpen", "headYaw"))) == 2
    still = replace(result, controls=0 * result.controls, keys=KeyMotions(result.keys.times, 0 * result.keys.controls))
    (curve,) = reduced_curves(replace(still, unfinished=None), ("jawOpen",))
    assert not curve.points[:, 1].any()
