"""The figures of the evaluation against hand-made cases and a transcription of the published formulas."""

import numpy as np
import pytest
from official import noise

from training.captured.metrics import (
    closure_error,
    delay,
    diversity,
    intensity_correlation,
    lip_intensity,
    measure,
    misalignment,
    summary,
    table,
    warped,
)

LIPS, UPPER, OPENING = np.array([0, 1]), np.array([2, 3]), np.array([[0, 1]])


def still(frames=10):
    return np.zeros((frames, 5, 3)), np.zeros((5, 3))


def measured(predicted, true, template, fps=25.0):
    return measure(predicted, true, template, LIPS, UPPER, OPENING, fps)


def test_a_perfect_prediction_has_no_error():
    rng = np.random.default_rng(0)
    true = rng.normal(size=(40, 5, 3))
    s = measured(true, true, np.zeros((5, 3)))
    assert (s.lve, s.lve_code, s.fdd, s.fdd_code, s.mve, s.eve, s.opening, s.closure) == (0,) * 8
    assert abs(s.sync) < 1e-9 and s.sync_r == pytest.approx(1.0)


def test_lip_error_takes_the_worst_lip_vertex_of_each_frame():
    true, template = still(2)
    predicted = true.copy()
    predicted[0, 1] = (3.0, 4.0, 0.0)  # 5 away
    predicted[1, 0] = (1.0, 0.0, 0.0)
    predicted[1, 4] = (9.0, 0.0, 0.0)  # not of the lips
    s = measured(predicted, true, template)
    assert s.lve == pytest.approx(3.0) and s.lve_code == pytest.approx(13.0)
    assert s.mve == pytest.approx((5 + 1 + 9) / 10) and s.eve == 0.0


def test_conventions_of_code_are_those_of_the_published_evaluation():
    """Loops as CodeTalker's cal_metric computes them: squares, standard deviations, all frames together."""
    rng = np.random.default_rng(1)
    template = rng.normal(size=(5, 3))
    clips = [(rng.normal(size=(n, 5, 3)), rng.normal(size=(n, 5, 3))) for n in (7, 20)]
    worst, differences = [], []
    for predicted, true in clips:
        worst += [max(((predicted[t, v] - true[t, v]) ** 2).sum() for v in LIPS) for t in range(len(true))]
        spread = [
            np.mean([np.std([((m[t, v] - template[v]) ** 2).sum() for t in range(len(m))]) for v in UPPER])
            for m in (true, predicted)
        ]
        differences.append(spread[0] - spread[1])
    figures = summary([measured(p, t, template) for p, t in clips])
    assert figures["lve_code"] == pytest.approx(np.mean(worst))
    assert figures["fdd_code"] == pytest.approx(np.mean(differences))
    assert figures["fdd_abs"] == pytest.approx(np.mean(np.abs(differences)))
    assert (figures["sentences"], figures["frames"]) == (2, 27)


@pytest.mark.parametrize("frames", [-3, 0, 2])
def test_delay_is_found_in_milliseconds(frames):
    t = np.arange(100) / 25.0
    true = np.sin(7 * t) + 0.5 * np.sin(17 * t + 1)
    behind, r = delay(np.sin(7 * (t - frames / 25)) + 0.5 * np.sin(17 * (t - frames / 25) + 1), true, 25.0)
    assert behind == pytest.approx(40.0 * frames, abs=2.0) and r > 0.99
    assert np.isnan(delay(np.zeros(100), true, 25.0)[0])


def test_a_shut_mouth_is_as_bad_as_one_that_never_closes():
    true = np.array([0.0, 0.05, 1.0, 0.5, 0.0])
    assert closure_error(true, true) == 0.0
    assert closure_error(np.array([0.0, 0.3, 1.0, 0.5, 0.3]), true) == pytest.approx(1 / 3)
    assert closure_error(np.zeros(5), true) == closure_error(np.ones(5), true) == 0.5
    assert np.isnan(closure_error(true, np.zeros(5)))


def test_misalignment_is_that_of_extrema():
    """Bumps 12 frames apart; two of them come 3 frames late."""
    t = np.arange(80.0)
    bumps = [np.exp(-((t - middle) ** 2) / 8) for middle in (14, 26, 38, 50, 62)]
    late = [np.exp(-((t - middle) ** 2) / 8) for middle in (14, 29, 38, 53, 62)]
    assert misalignment(sum(bumps), sum(bumps), 25.0) == (0.0, 1.0)
    assert 30 < misalignment(sum(late), sum(bumps), 25.0)[0] < 80
    mtm, met = misalignment(np.zeros(80), sum(bumps), 25.0)
    assert np.isnan(mtm) and met == 0.0
    mtm, met = misalignment(bumps[2], sum(bumps), 25.0)  # one of five openings, in time
    assert mtm < 20 and met < 0.5


@pytest.mark.parametrize(("name", "frames", "official"), [("a", 60, 1.2), ("b", 90, 11 / 9), ("c", 140, 8 / 7)])
def test_misalignment_is_what_the_published_code_gives(name, frames, official):
    """Recorded from evaluate_MTM.py (github kaist-ami/Perceptual-3D-Talking-Head), in frames."""
    t, phases = np.arange(frames), noise(name, 4)
    slow = np.sin(0.047 * t + phases[1])
    true = 0.02 * np.abs(np.sin(0.21 * t + phases[0]) * slow)
    made = 0.02 * np.abs(np.sin(0.21 * t - 0.3 + phases[0] + 0.2 * np.sin(0.1 * t)) * slow)
    made = np.abs(made + 0.001 * noise(name + "n", frames))
    assert misalignment(made, true, 30.0)[0] == pytest.approx(official * 1000 / 30)


def test_warping_finds_the_cheapest_path():
    first, second = np.array([0.0, 1.0, 0.0, 0.0]), np.array([0.0, 0.0, 1.0, 0.0])
    path = warped(first, second)
    assert path[0] == (0, 0) and path[-1] == (3, 3) and (1, 2) in path
    assert sum(abs(first[i] - second[j]) for i, j in path) == 0


def test_intensity_correlates_within_subjects():
    """Subject b moves ten times as much and speaks a tenth as loud: that must not count."""
    lips, loud = [1.0, 2.0, 3.0, 10.0, 20.0, 30.0], [1.0, 2.0, 3.0, 0.1, 0.2, 0.3]
    subjects = ["a"] * 3 + ["b"] * 3
    assert intensity_correlation(lips, loud, subjects) == pytest.approx(1.0)
    assert intensity_correlation(lips, loud[::-1], subjects) == pytest.approx(-1.0)
    assert np.isnan(intensity_correlation([1.0], [1.0], ["a"]))
    moving = np.zeros((3, 5, 3))
    moving[1:, 0, 0], moving[2:, 1, 1] = 2.0, 4.0
    assert lip_intensity(moving, LIPS) == pytest.approx(np.sqrt((1.0**2 + 2.0**2) / 2))
    # Recorded from extract_lip_intensity.py of the same code, for these three vertices.
    assert lip_intensity(noise("lips", 180).reshape(20, 3, 3), np.arange(3)) == pytest.approx(1.3202162306500065)


def test_diversity_is_the_distance_between_predictions():
    first = np.zeros((4, 5, 3))
    assert diversity([first, first + np.array([3.0, 4.0, 0.0])]) == pytest.approx(5.0)
    assert diversity([first, first, first[:3] + np.array([0.0, 0.0, 3.0])]) == pytest.approx(2.0)
    assert np.isnan(diversity([first]))


def test_tables_show_what_there_is():
    text = table({"ours": {"sentences": 4, "lve": 0.00123456, "opening": float("nan")}})
    assert text.splitlines()[2] == "| ours | 4 | 0.001235 | – |"


def test_data_without_lip_pairs_has_no_opening():
    true, template = still()
    s = measure(true, true, template, LIPS, UPPER, None, 25.0)
    assert np.isnan(s.opening) and np.isnan(s.sync)
