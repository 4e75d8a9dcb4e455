"""The figures of the evaluation against hand-made cases and a transcription of the published formulas."""

import numpy as np
import pytest

from training.captured.metrics import closure_misses, delay, measure, summary, table

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


def test_closures_that_stay_open_are_missed():
    true = np.array([0.0, 0.05, 1.0, 0.5, 0.0])
    assert closure_misses(true, true) == 0.0
    assert closure_misses(np.array([0.0, 0.3, 1.0, 0.5, 0.3]), true) == pytest.approx(2 / 3)


def test_tables_show_what_there_is():
    text = table({"ours": {"sentences": 4, "lve": 0.00123456, "opening": float("nan")}})
    assert text.splitlines()[2] == "| ours | 4 | 0.001235 | – |"


def test_data_without_lip_pairs_has_no_opening():
    true, template = still()
    s = measure(true, true, template, LIPS, UPPER, None, 25.0)
    assert np.isnan(s.opening) and np.isnan(s.sync)
