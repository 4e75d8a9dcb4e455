"""Plots and films of an evaluation: what they show is in the pixels."""

from dataclasses import replace

import av
import numpy as np
import pytest

from kmtalk_core.errors import InputError
from kmtalk_core.phones import Phone
from training.captured import evaluation as evaluate
from training.captured.dataset import DataSet
from training.captured.film import PANEL, Stage, heat_colours, upright, write_film
from training.captured.plots import Panel, write_curves


@pytest.fixture(scope="module")
def data(prepared):
    return DataSet(prepared)


def test_faces_stand_upright_whatever_their_axes(data):
    template = next(iter(data.templates.values())).astype(np.float64)
    turn = upright(template, data.faces, data.lips, data.upper_face)
    assert np.allclose(turn @ turn.T, np.eye(3)) and np.linalg.det(turn) == pytest.approx(1.0)
    assert turn[1, 1] > 0.9 and turn[2, 2] > 0.9  # the demo head stands already
    lying = template[:, [0, 2, 1]] * [1, -1, 1] * 1000  # z up, facing -y, in millimetres
    again = upright(lying, data.faces, data.lips, data.upper_face)
    assert np.allclose(lying @ again.T, 1000 * template @ turn.T, atol=1e-6)


def test_films_show_prediction_truth_and_heat_where_the_error_is(data, tmp_path):
    clip = data.split("test")[0]
    true = data.vertices(clip)[:4]
    predicted = true.copy()
    predicted[:, data.lips] += np.float32([0, 0, 0.004])
    stage = Stage.of(data)
    write_film(tmp_path / "film.mp4", stage, predicted, true, data.fps, data.samples(clip), (), "ours")
    with av.open(str(tmp_path / "film.mp4")) as film:
        assert film.streams.audio[0].rate == 16000
        frames = [f.to_ndarray(format="rgb24").astype(int) for f in film.decode(video=0)]
    assert len(frames) == 4 and frames[0].shape[1] == 3 * PANEL
    heat = frames[1][:PANEL, 2 * PANEL :]
    redness = heat[..., 0] - heat[..., 2]
    hot = np.argwhere(redness > 90)
    lips = true[1][data.lips].astype(np.float64) @ stage.turn.T
    expected = PANEL / 2 - (lips[:, 1].mean() - stage.centre[1]) / stage.height * PANEL
    assert len(hot) > 20 and abs(hot[:, 0].mean() - expected) < 0.06 * PANEL
    still = stage.panels(true[0], true[0])[:, 2 * PANEL :].astype(int)
    assert (still[..., 0] - still[..., 2]).max() < 60  # no error, no heat
    assert np.allclose(heat_colours(np.array([0.0, 9.0])), [[0.90, 0.90, 0.88], [0.65, 0.05, 0.10]])


def test_data_without_faces_says_what_films_need(data):
    bare = DataSet(data.folder)
    bare.faces = None
    with pytest.raises(InputError, match="no mesh faces"):
        Stage.of(bare)


def test_curves_are_drawn_where_their_values_are(tmp_path):
    from PIL import Image

    high = Panel("opening", {"captured": np.zeros(20), "predicted": np.full(20, 1.0)})
    write_curves(tmp_path / "p.png", "clip", [high], 25.0, (Phone("AA", 0.1, 0.3),))
    picture = np.asarray(Image.open(tmp_path / "p.png")).astype(int)
    red = np.argwhere((picture[..., 0] > 180) & (picture[..., 1] < 110))
    dark = np.argwhere(picture[:, 300:700].max(2) < 70)
    assert red[red[:, 1] < 700][:, 0].max() < dark[:, 0].max() - 150  # 1 is above 0, a panel apart


def test_reports_have_plots_films_and_an_error_map(data, tmp_path):
    clips = [replace(clip, frames=3) for clip in data.split("test")]
    data.clips |= {clip.name: clip for clip in clips}
    made = (evaluate.Prediction(c, data.vertices(c) + np.float32(0.001), 0.1) for c in clips)
    evaluate.evaluate(data, "test", made, "ours", tmp_path / "report", evaluate.Extras(plots=True, films=1))
    names = {str(p.relative_to(tmp_path / "report")) for p in (tmp_path / "report").rglob("*") if p.is_file()}
    first = clips[0].name
    assert {f"films/{first}.mp4", "error_map.png", "table.md", "sentences.csv"} <= names
    assert {f"plots/{c.name}.png" for c in clips} <= names and f"films/{clips[1].name}.mp4" not in names
