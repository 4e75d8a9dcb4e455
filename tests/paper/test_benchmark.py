"""All systems in one command: report, film, sheet and costs in tiny sizes, killed and gone on with."""

import csv
import json
import re

import numpy as np
import pytest
import torch
from PIL import Image
from test_experiments import tiny  # noqa: F401

from benchmarks.paper_speed import sheet
from kmtalk_core.errors import InputError
from kmtalk_core.phones import Phone
from training.benchmark import __main__ as benchmark
from training.benchmark import suite
from training.benchmark.charts import Bar, bars, curves
from training.benchmark.costs import Costs, costs
from training.benchmark.page import Picture, html, write_page
from training.benchmark.shown import phone_frames
from training.captured.architectures import unfetched
from training.captured.speed import peak_memory
from training.captured.training import train
from training.experiments import runs


def run(brief, tmp_path, *more):
    told = ["--data", str(brief), "--run", str(tmp_path / "run"), "--epochs", "1", "--device", "cpu", "--threads", "1"]
    return benchmark.main([*told, *more])


@pytest.fixture
def cheap(monkeypatch):
    """Costs without a process of their own."""

    def told(checkpoint, recipe, data, device, out, threads):
        return Costs(device, 1.0, 0.5, 0.25 if checkpoint.stem == "kmtalk" else 0.0, {"motion": 0.1}, 1.0, 2.0, 3.0)

    monkeypatch.setattr(suite, "costs", told)


def test_one_command_makes_one_report_and_goes_on_where_it_was_killed(tiny, brief, tmp_path, monkeypatch, cheap):  # noqa: F811
    calls = []

    def killed(order):
        calls.append(order.run.name)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return train(order)

    systems = ["--systems", "voca", "kmtalk", "--seeds", "2"]
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(runs, "train", killed)
        run(brief, tmp_path, *systems)
    out = tmp_path / "run"
    assert "| voca |" in (out / "report.md").read_text(), "what is there is reported"
    calls.clear()
    monkeypatch.setattr(runs, "train", lambda order: calls.append(order.run.name) or train(order))
    assert run(brief, tmp_path, *systems) == 0
    assert calls == ["kmtalk", "voca-seed1", "kmtalk-seed1"]
    text, page = (out / "report.md").read_text(), (out / "report.html").read_text()
    for words in ("KMTalk against voca: LVE", "2 trainings each", "What it costs", "opening_sd"):
        assert words in text and words in page
    assert "<video controls" in page and page.count("data:image/png") == 2 and "<svg" in page
    assert not re.search(r"(src|href)=\"(?!data:)", page), "nothing lies outside of it"
    with (out / "figures.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {(r["row"], r["seed"]) for r in rows} == {(n, s) for n in ("voca", "kmtalk") for s in "01"}
    shown = out / "brief" / "shown"
    sheet = Image.open(next(p for p in shown.glob("*.png") if p.name != "error_maps.png"))
    assert sheet.height == 20 + 200 * 3, "the captured face and two systems"
    # Once more: nothing is trained, judged or painted again.
    calls.clear()
    monkeypatch.setattr(runs, "evaluate", never)
    monkeypatch.setattr(suite, "write_film", never)
    assert run(brief, tmp_path, *systems) == 0 and not calls


def never(*_):
    raise AssertionError("done again")


def test_costs_are_measured_in_a_process_of_their_own_and_kept(tiny, brief, tmp_path):  # noqa: F811
    assert run(brief, tmp_path, "--systems", "kmtalk", "--no-costs", "--films", "0") == 0
    trained = tmp_path / "run" / "brief" / "trained" / "kmtalk"
    told = (trained / "kmtalk.npz", trained / "recipe.toml", brief, "cpu")
    ballast = np.ones(2**26)  # 512 MiB that are not the other process's
    found = costs(*told, tmp_path / "costs.json", 1)
    assert found.base_memory < peak_memory(torch.device("cpu")) - ballast.nbytes / 2**21
    assert found.parameters > 0 and found.inference > 0 and found.localization > 0
    assert set(found.steps) == {"lkma", "cmc", "joint"}
    assert found.training_memory >= found.inference_memory >= found.base_memory > 0
    kept = json.loads((tmp_path / "costs.json").read_text())
    (tmp_path / "costs.json").write_text(json.dumps({**kept, "inference": 123.0}))
    assert costs(*told, tmp_path / "costs.json", 1).inference == 123.0


def test_a_rehearsal_keeps_nothing_and_fetches_nothing(brief, tmp_path, capsys, monkeypatch):
    """Of the published sizes, without any network; wav2vec 2.0's architecture is known."""
    from kmtalk_core.networks import speech

    for name in ("AutoModel", "AutoModelForCTC"):
        kind = getattr(speech._transformers(), name)
        monkeypatch.setattr(kind, "from_pretrained", never)
    assert run(brief, tmp_path, "--systems", "faceformer", "--scale", "vocaset", "--dry-run") == 0
    assert re.search(r"brief, faceformer, motion: \d+\.\d million parameters, 2 steps", capsys.readouterr().out)
    assert not (tmp_path / "run").exists()


def test_encoders_that_would_be_fetched_are_known_by_their_sizes(tmp_path):
    tables = {"speech": {"source": str(tmp_path), "trainable": "none"}, "lip_reading": {"layers": 1}}
    found = unfetched("selftalk", tables)
    assert found["speech"] == tables["speech"], "a folder needs no network"
    assert found["lip_reading"]["recogniser"] == "" and found["lip_reading"]["architecture"]["hidden_size"] == 1024
    assert unfetched("ottalk", {})["speech"]["architecture"] == {"model_type": "hubert"}
    assert unfetched("meshtalk", {"network": {}}) == {"network": {}}
    with pytest.raises(InputError, match="somebody/large is not known without a download"):
        unfetched("kmtalk", {"speech": {"source": "somebody/large"}})


def test_what_cannot_run_is_said(brief, tmp_path, capsys):
    assert run(brief, tmp_path, "--systems", "selftalc") == 2 and "no row 'selftalc'" in capsys.readouterr().err
    assert run(brief, tmp_path, "--split", "val", "--seeds", "0") == 2
    assert benchmark.main(["--data", str(brief), str(brief), "--run", str(tmp_path / "run")]) == 2
    assert "Two data sets" in capsys.readouterr().err


def test_phones_of_a_sheet_are_one_of_each_kind_in_order():
    phones = tuple(
        Phone(label, k * 0.24, (k + 1) * 0.24) for k, label in enumerate(("SIL", "S", "P", "AA", "B", "UW", "F", "SIL"))
    )
    assert phone_frames(phones, 25.0, 48) == [("s", 9), ("p", 15), ("aa", 21), ("uw", 33), ("f", 39)]
    assert phone_frames(phones, 25.0, 13) == [("s", 9)], "what the motion does not reach is left out"


def test_charts_hold_every_seed_and_the_published_figure():
    drawn = bars("LVE", [Bar("kmtalk", [1.0, 3.0], 2.0), Bar("<other>", [np.nan])])
    assert drawn.count("<circle") == 3 and "&lt;other&gt;" in drawn and ">2<" in drawn
    assert curves("loss", {"loss": [(1, 10.0), (2, 1.0)]}).count("<polyline") == 1
    assert curves("loss", {"loss": [(1, np.nan)]}) == ""


def test_a_page_holds_its_pictures(tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    write_page(
        tmp_path, "T & t", ["| a | b |\n|---|---|\n| 1 | <2> |", Picture(tmp_path / "a.png", "A"), "- one\n- two"]
    )
    page = (tmp_path / "report.html").read_text()
    assert "<th>a</th>" in page and "<td>&lt;2&gt;</td>" in page and "T &amp; t" in page and "<li>two</li>" in page
    assert "![A](a.png)" in (tmp_path / "report.md").read_text()
    assert html("## Two\nwords") == "<h2>Two</h2>\n<p>words</p>"


def test_the_sheet_that_stands_for_a_mesh_has_two_triangles_a_vertex():
    faces = sheet(5023)
    assert faces.min() == 0 and faces.max() < 5023 and 1.9 < len(faces) / 5023 < 2
    sides = np.sort(faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    assert np.unique(sides, axis=0, return_counts=True)[1].max() == 2, "no side belongs to more than two"
