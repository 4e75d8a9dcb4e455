"""A small synthetic data set and a tiny recipe, made once for all tests of the paper-scale code."""

import json
import shutil

import pytest

pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")

from training.prepare.__main__ import main as prepare_main


@pytest.fixture(autouse=True)
def one_thread():
    """Tiny networks gain nothing from more, and threads that wait for each other cost a lot."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def prepared(tmp_path_factory):
    """Two subjects, three sentences, 160 vertices, spoken by the project's own recording."""
    folder = tmp_path_factory.mktemp("synthetic")
    made = ["--subjects", "2", "--sentences", "3", "--vertices", "160", "--voice", "sample"]
    assert prepare_main(["synthetic", "--out", str(folder), *made]) == 0
    return folder


@pytest.fixture
def brief(prepared, tmp_path):
    """The same, of each clip the first 20 frames only, in a folder of the test's own."""
    folder = tmp_path / "brief"
    shutil.copytree(prepared, folder, ignore=shutil.ignore_patterns("source"))
    about = json.loads((prepared / "dataset.json").read_text())
    about["source"] = str(prepared / about["source"])
    for clip in about["clips"]:
        clip["frames"] = 20
    (folder / "dataset.json").write_text(json.dumps(about))
    return folder
