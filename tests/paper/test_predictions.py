"""What other programs predicted is judged only where that means something."""

import numpy as np
import pytest

from kmtalk_core.errors import InputError
from training import evaluate
from training.captured.dataset import DataSet
from training.captured.predictions import Prediction, check_prediction, read_predictions


@pytest.fixture
def data(prepared):
    return DataSet(prepared)


def test_the_captured_motion_itself_passes(data):
    for clip in data.clips.values():
        check_prediction(Prediction(clip, data.vertices(clip), 0.0), data)
        tail = np.concatenate([data.vertices(clip), data.vertices(clip)[-1:].repeat(8, 0)])
        check_prediction(Prediction(clip, tail, 0.0), data)  # a little longer, as the sound is


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda v: v.repeat(2, 0), "as 60 fps would have against 30; tell its rate with --prediction-fps"),
        (lambda v: v[: len(v) * 5 // 6], "as 25 fps would have"),
        (lambda v: v[: len(v) // 3], "choose predictions for this sentence"),
        (lambda v: v * 1000, "millimetres for metres"),
        (lambda v: v * 7, "times as large"),
        (lambda v: (v - v.mean(0)) * 0.5, "displacement without a face"),
        (lambda v: v[:, :-1], "vertices, the data 160"),
        (lambda v: np.where(np.arange(len(v))[:, None, None] == 2, np.nan, v), "not finite"),
    ],
)
def test_what_cannot_be_judged_is_told(data, change, told):
    clip = max(data.clips.values(), key=lambda c: c.frames)
    with pytest.raises(InputError, match=told):
        check_prediction(Prediction(clip, change(data.vertices(clip)), 0.0), data)


def test_another_subjects_face_is_noticed(data):
    first, second = sorted(data.templates)
    clip = next(c for c in data.clips.values() if c.subject == first)
    moved = data.vertices(clip) - data.templates[first] + data.templates[second]
    with pytest.raises(InputError, match=f"that of {second}, not of {first}"):
        check_prediction(Prediction(clip, moved, 0.0), data)


def test_names_and_rates_of_other_programs(data, prepared, tmp_path, capsys):
    """At twice the rate, as the raw capture of VOCASET is, with the rate told; in conditions for the unseen subject."""
    folder, out = tmp_path / "theirs", tmp_path / "report"
    folder.mkdir()
    clips = data.split("test")
    for clip in clips:
        fast = data.vertices(clip).repeat(2, 0).reshape(2 * clip.frames, -1)
        for condition in ("S01", "S09"):
            np.save(folder / f"{clip.name}_condition_{condition}.npy", fast)
    told = ["--predictions", str(folder), "--data", str(prepared), "--out", str(out)]
    assert evaluate.main(told) == 2 and "--prediction-fps" in capsys.readouterr().err
    assert evaluate.main([*told, "--prediction-fps", "60"]) == 0
    assert len((out / "sentences.csv").read_text().splitlines()) == 1 + 2 * len(clips)
    assert evaluate.main([*told, "--prediction-fps", "50"]) == 2
    seen = data.split("train")[0]
    for condition in (seen.subject, "S09"):
        np.save(folder / f"{seen.name}_condition_{condition}.npy", data.vertices(seen))
    assert [p.condition for p in read_predictions(folder, data, [seen])] == [seen.subject]
