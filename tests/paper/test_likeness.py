"""Against the person: correlations, spreads, closures, on hand-made curves and on a prepared data set."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from kmtalk_core.phones import Phone
from training.captured.dataset import DataSet
from training.captured.evaluation import compare_with_person, evaluate
from training.captured.likeness import FIGURES, curves_of_head, likeness, summarized, voiced
from training.captured.predictions import Prediction

JUDGE = Path(__file__).parents[3] / "shared" / "faces" / "judge_faces.py"
SPOKEN = np.ones(50, bool)


def person():
    """Opening, width and jaw of two seconds at 25 fps with two closures."""
    times = np.arange(50) / 25
    opening = 0.08 + 0.04 * np.sin(9 * times)
    opening[10:13] = opening[30:32] = 0.01
    return np.stack([opening, 0.6 + 0.02 * np.cos(5 * times), 1.4 + opening], 1)


def test_the_person_is_like_the_person():
    found = likeness(person(), person(), SPOKEN, 25.0)
    assert (found.opening_r, found.width_r, found.jaw_r) == pytest.approx((1.0, 1.0, 1.0))
    assert (found.opening_sd, found.width_sd, found.speed) == pytest.approx((1.0, 1.0, 1.0))
    assert (found.closures, found.held, found.false, found.spoken) == (2, 2, 0, 50)


def test_a_mumbler_and_a_mouth_that_stands_still():
    real = person()
    mumbled = likeness(real, real.mean(0) + 0.3 * (real - real.mean(0)), SPOKEN, 25.0)
    assert mumbled.opening_r == pytest.approx(1.0) and mumbled.held == 0
    assert (mumbled.opening_sd, mumbled.speed) == pytest.approx((0.3, 0.3))
    shut = likeness(real, np.zeros_like(real), SPOKEN, 25.0)
    assert shut.opening_r == 0.0 and shut.held == 2 and shut.false == int((real[:, 0] > 0.05).sum())
    figures = summarized([mumbled, shut])
    assert (
        figures["closed"] == 0.5
        and figures["false_closed"] == shut.false / 100
        and figures["speed"] == pytest.approx(0.15)
    )
    nothing = summarized([likeness(real, real, np.zeros(50, bool), 25.0)])
    assert np.isnan(nothing["closed"]) and np.isnan(nothing["false_closed"])


def test_a_frame_of_delay_is_forgiven_and_two_are_not():
    real = person()
    late = [likeness(real, np.roll(real, frames, axis=0), SPOKEN, 25.0) for frames in (1, 3)]
    assert late[0].opening_r > 0.99 > 0.8 > late[1].opening_r and late[0].held == 2


def test_what_is_voiced():
    phones = [Phone("SIL", 0.0, 0.4), Phone("AA", 0.4, 0.8), Phone("SIL", 0.8, 2.0)]
    assert np.flatnonzero(voiced(phones, 50, 25.0))[[0, -1]].tolist() == [8, 22]
    assert not voiced(phones[:1], 50, 25.0).any()


def test_evaluation_compares_with_the_person_where_one_was_tracked(prepared, tmp_path):
    data = DataSet(prepared)
    clip = data.split("test")[0]
    true, template = data.vertices(clip), data.templates[clip.subject]
    curves = curves_of_head(true, template, data.landmarks)
    assert 0.4 < curves[:, 1].mean() < 1.0, "a mouth is narrower than the eyes are apart"
    same = compare_with_person(data, Prediction(clip, true, 0.0))
    assert same.opening_r == pytest.approx(1.0) and same.false == 0 and 0 < same.spoken <= clip.frames
    where = data.source / "person"
    where.mkdir()
    try:
        np.save(where / f"{clip.name}.npy", curves * [2.0, 1.0, 1.0])
        other = compare_with_person(data, Prediction(clip, true, 0.0))
        assert other.opening_sd == pytest.approx(0.5, rel=1e-3) and other.width_sd == pytest.approx(1.0, rel=1e-3)
    finally:
        (where / f"{clip.name}.npy").unlink()
        where.rmdir()
    still = (Prediction(c, np.broadcast_to(template, (c.frames, *template.shape)), 0.0) for c in data.split("test"))
    figures = evaluate(data, "test", still, "still", tmp_path / "still")
    assert figures["opening_r"] == 0.0 and figures["speed"] == 0.0 and set(FIGURES) <= set(figures)
    assert "opening_sd" in (tmp_path / "still" / "table.md").read_text()
    assert "held" in (tmp_path / "still" / "sentences.csv").read_text().splitlines()[0]
    errors = np.load(tmp_path / "still" / "vertex_errors.npz")["mean"]
    assert errors.shape == (len(template),) and errors.mean() == pytest.approx(figures["mve"], rel=0.05)


@pytest.mark.skipif(not JUDGE.exists(), reason="the judge of tracked faces is not beside the project")
def test_the_independent_judge_agrees():
    spec = importlib.util.spec_from_file_location("judge_faces", JUDGE)
    judge = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(judge)
    except OSError:
        pytest.skip("the judge lacks its landmarks")
    rng, real = np.random.default_rng(0), person()
    for _ in range(5):
        ours = np.abs(np.roll(real, int(rng.integers(-1, 2)), axis=0) + rng.normal(0, 0.02, real.shape))
        theirs = judge.compare(list(real.T), list(ours.T), 25.0, (-1.0, 9.0), 1)
        found = likeness(real, ours, SPOKEN, 25.0)
        for ours_name, name in (
            ("opening_r", "ap_r"), ("width_r", "wd_r"), ("jaw_r", "jaw_r"), ("opening_sd", "ap_sd"),
            ("width_sd", "wd_sd"), ("speed", "speed"), ("closures", "closures"), ("held", "held"), ("false", "false"),
        ):  # fmt: skip
            assert getattr(found, ours_name) == pytest.approx(theirs[name]), name
