"""Training: from data to a table, killed and resumed, in two processes, in stages, with bad configurations."""

import json
import multiprocessing
import os
import socket
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_recipes import RECIPE, TABLES, write_recipe

from kmtalk_core.checkpoint import load_checkpoint
from kmtalk_core.networks.method import METHODS, Method, Stage, make_method
from training import evaluate
from training.captured.config import Training, read_recipe
from training.captured.dataset import DataSet, Mixture
from training.captured.loop import train_stage
from training.captured.processes import Processes
from training.train import main as train_main

ROOT = Path(__file__).parent.parent.parent
ALONE = Processes(0, 1, torch.device("cpu"))


def train(prepared, run, recipe, *more):
    return train_main(["--config", str(recipe), "--data", str(prepared), "--run", str(run), "--device", "cpu", *more])


def records(run, stage):
    lines = (run / f"{stage}.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "seconds_per_step"} for line in lines]


def weights(run, stage):
    return torch.load(run / f"{stage}.pt", weights_only=True)["weights"]


def fork(*told, **environment):
    """`train` in a process of its own, which does not have to import torch first."""
    context = multiprocessing.get_context("fork")

    def body():
        os.environ.update(environment)
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115
        os._exit(train(*told))

    child = context.Process(target=body)
    child.start()
    return child


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")


def test_the_recipe_runs_from_data_to_a_table(prepared, tmp_path, capsys):
    recipe, run = write_recipe(tmp_path / "tiny.toml"), tmp_path / "run"
    assert train(prepared, run, recipe, "--dry-run") == 0
    assert "million parameters" in capsys.readouterr().out and not run.exists()
    assert train(prepared, run, recipe) == 0
    assert train(prepared, run, recipe) == 0  # a finished run trains no more and writes the same
    for stage, parts in (("lkma", {"rec", "vel", "lat", "ctc"}), ("cmc", {"rec", "vel"})):
        log = records(run, stage)
        assert [r["step"] for r in log] == sorted({r["step"] for r in log}) and log[-1]["epoch"] == 3
        assert parts <= log[-1].keys() and "validation" in log[-1]
    told = ["--checkpoint", str(run / "tiny.npz"), "--data", str(prepared), "--out", str(tmp_path / "report")]
    assert evaluate.main([*told, "--save-predictions"]) == 0
    rows = (tmp_path / "report" / "sentences.csv").read_text().splitlines()
    assert len(rows) == 4 and rows[0].startswith("clip,subject,condition,frames,lve")
    summary = json.loads((tmp_path / "report" / "summary.json").read_text())
    assert summary["masks"]["lips"]["count"] == len(DataSet(prepared).lips)
    assert np.isfinite([summary["figures"][k] for k in ("lve", "fdd_code", "mve", "closure")]).all()
    assert f"| {summary['method']} |" in (tmp_path / "report" / "table.md").read_text()
    # The saved predictions, as another program would hand them in, get the same figures.
    again = ["--predictions", str(tmp_path / "report" / "predictions"), "--data", str(prepared)]
    assert evaluate.main([*again, "--out", str(tmp_path / "again")]) == 0
    figures = json.loads((tmp_path / "again" / "summary.json").read_text())["figures"]
    assert figures["lve_code"] == pytest.approx(summary["figures"]["lve_code"])


@needs_fork
def test_a_killed_training_ends_as_an_uninterrupted_one(brief, tmp_path):
    """kill -9 at some moment, in the middle of a line of the log too."""
    dropout = {"network": {**TABLES["network"], "dropout": 0.2}}  # random numbers have to come back too
    recipe = write_recipe(tmp_path / "tiny.toml", RECIPE.replace("epochs = 3", "epochs = 12"), **dropout)
    assert train(brief, tmp_path / "whole", recipe, "--stages", "cmc") == 0
    run = tmp_path / "killed"
    child = fork(brief, run, recipe, "--stages", "cmc")
    while not (run / "cmc.pt").exists():
        assert child.is_alive()
        time.sleep(0.005)
    child.kill()
    child.join()
    with (run / "cmc.jsonl").open("a") as log:  # killed while it wrote a line
        log.write('{"stage": "cmc", "st')
    assert train(brief, run, recipe, "--stages", "cmc") == 0
    whole, killed = weights(tmp_path / "whole", "cmc"), weights(run, "cmc")
    assert all(torch.equal(whole[k], killed[k]) for k in whole)
    assert records(run, "cmc") == records(tmp_path / "whole", "cmc")


@needs_fork
def test_two_processes_do_what_one_does(brief, tmp_path):
    recipe = write_recipe(tmp_path / "tiny.toml")
    assert train(brief, tmp_path / "one", recipe, "--stages", "lkma") == 0
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # What torchrun tells its processes.
    group = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    told = (brief, tmp_path / "two", recipe, "--stages", "lkma")
    children = [fork(*told, **group, RANK=rank, LOCAL_RANK=rank) for rank in "01"]
    for child in children:
        child.join(120)
        assert child.exitcode == 0
    one, two = weights(tmp_path / "one", "lkma"), weights(tmp_path / "two", "lkma")
    assert all(torch.allclose(one[k], two[k], atol=2e-5) for k in one)
    assert records(tmp_path / "two", "lkma")[-1]["loss"] == pytest.approx(
        records(tmp_path / "one", "lkma")[-1]["loss"], rel=1e-3
    )


def test_modules_are_independent_and_joint_training_follows(brief, tmp_path, capsys):
    recipe = write_recipe(tmp_path / "tiny.toml", RECIPE.replace('"cmc"]', '"cmc", "joint"]'), lip_reading=None)
    run = tmp_path / "run"
    assert train(brief, run, recipe, "--stages", "joint") == 2
    assert "train the stage lkma first" in capsys.readouterr().err
    assert train(brief, run, recipe, "--stages", "cmc") == 0
    assert "still to train: lkma, joint" in capsys.readouterr().err and not (run / "tiny.npz").exists()
    assert train(brief, run, recipe, "--stages", "lkma") == 0
    apart = weights(run, "cmc")
    assert train(brief, run, recipe) == 0
    together = weights(run, "joint")
    assert all(torch.equal(apart[k], weights(run, "cmc")[k]) for k in apart)  # the other stage left it alone
    assert any(not torch.equal(apart[k], together[k]) for k in apart)
    assert {"lkma_rec", "cmc_rec"} <= records(run, "joint")[-1].keys()
    written = load_checkpoint(run / "tiny.npz").weights["network.cmc.out.bias"]
    assert np.array_equal(written, together["cmc.out.bias"].numpy())


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_mixed_precision_learns_alike(prepared, tmp_path, precision):
    data = DataSet(prepared)
    losses = {}
    for kind in ("float32", precision):
        torch.manual_seed(0)
        method = make_method("kmtalk", TABLES, data.geometry())
        options = Training(epochs=4, batch=2, learning_rate=1e-3, precision=kind)
        (tmp_path / kind).mkdir()
        train_stage(method, "cmc", Mixture({"": data}), options, read_recipe(write_recipe(tmp_path / "r.toml")).keys,
                    tmp_path / kind, 0, ALONE)  # fmt: skip
        assert method.cmc.out.weight.dtype == torch.float32
        losses[kind] = records(tmp_path / kind, "cmc")[-1]["loss"]
    assert losses[precision] == pytest.approx(losses["float32"], rel=0.05)


class Uneven(Method):
    """A loss with a part that every other batch has, as MeshTalk's crossing of modalities needs two clips."""

    stages = (Stage("motion"),)

    def __init__(self, geometry):
        super().__init__({}, geometry)
        self.layer, self.batches = torch.nn.Linear(1, 1), 0

    @property
    def config(self):
        return {}

    def trained(self, stage):
        return [self.layer]

    def loss(self, stage, batch):
        loss, self.batches = self.layer(torch.ones(1)).square().sum(), self.batches + 1
        return loss, {"rec": loss, **({"crossing": torch.full((), 7.0)} if self.batches % 2 == 0 else {})}

    def predicted(self, wanted):
        raise NotImplementedError


def test_parts_of_a_loss_count_in_the_steps_that_have_them(brief, tmp_path):
    data, keys = DataSet(brief), read_recipe(write_recipe(tmp_path / "r.toml")).keys
    options = Training(epochs=2, batch=1, learning_rate=1e-3)
    train_stage(Uneven(data.geometry()), "motion", Mixture({"": data}), options, keys, tmp_path, 0, ALONE)
    last = records(tmp_path, "motion")[-1]
    assert last["step"] == 4 and last["crossing"] == 7.0 and np.isfinite(last["rec"])


class TwoStages(Method):
    """A stand-in for systems to come: a codebook first, then a query that walks through time; its keys can be given."""

    stages = (Stage("codebook"), Stage("query", after=("codebook",)))

    def __init__(self, config, geometry):
        super().__init__(config, geometry)
        self.size = config["codes"]["count"]
        self.codes = torch.nn.Parameter(0.1 * torch.randn(self.size, 3 * geometry.vertices))
        self.query = torch.nn.Linear(2, self.size)
        self.book = torch.nn.ParameterList([self.codes])

    @property
    def config(self):
        return {"codes": {"count": self.size}}

    def trained(self, stage):
        return {"codebook": [self.book], "query": [self.query]}[stage]

    def loss(self, stage, batch):
        if stage == "codebook":
            loss = (batch.motion[:, :, None] / self.geometry.unit - self.codes).square().mean(-1).amin(-1).mean()
            return loss, {"distance": loss}
        loss = (self._walk(batch.times) - batch.motion).square().mean() / self.geometry.unit**2
        return loss, {"rec": loss}

    def predicted(self, wanted):
        return self._walk(wanted.times)

    def _walk(self, times):
        state, out = torch.zeros_like(times[:, 0]), []
        for t in times.unbind(1):
            chosen = self.query(torch.stack([t, state], -1)).softmax(-1)
            out.append(chosen @ self.codes * self.geometry.unit)
            state = out[-1].mean(-1) / self.geometry.unit
        return torch.stack(out, 1)


def test_other_systems_fit_the_same_interface(brief, tmp_path, monkeypatch):
    """Two stages, autoregressive; its motion at the key instants completed by KMTalk (the paper's Table 5)."""
    monkeypatch.setitem(METHODS, "two", f"{__name__}:TwoStages")
    recipe = tmp_path / "two.toml"
    recipe.write_text('name = "two"\nmethod = "two"\n[training]\nepochs = 2\nbatch = 2\n[codes]\ncount = 4\n')
    assert train(brief, tmp_path / "run", recipe) == 0
    assert records(tmp_path / "run", "query")[-1]["epoch"] == 2
    told = ["--checkpoint", str(tmp_path / "run" / "two.npz"), "--data", str(brief)]
    assert evaluate.main([*told, "--out", str(tmp_path / "report")]) == 0


def test_configurations_are_checked(prepared, tmp_path, capsys):
    def refused(text):
        recipe = tmp_path / "bad.toml"
        recipe.write_text(text)
        assert train(prepared, tmp_path / "run", recipe) == 2
        return capsys.readouterr().err

    assert "lacks method" in refused('name = "x"')
    assert "cannot be read" in refused("name = ")
    head = 'name = "x"\nmethod = "kmtalk"\n'
    assert "unknown option 'epoch'" in refused(head + "[training]\nepoch = 3")
    assert "batch is 0" in refused(head + "[training]\nbatch = 0")
    assert "precision is 'half'" in refused(head + '[training]\nprecision = "half"')
    assert "no key rule" in refused(head + '[keys]\nrule = "every"')
    assert "no split train" not in refused(head + '[speech]\ntrainable = "some"')
    assert train(tmp_path, tmp_path / "run", write_recipe(tmp_path / "tiny.toml")) == 2
    assert "not a prepared data set" in capsys.readouterr().err
    assert train(prepared, tmp_path / "run", tmp_path / "tiny.toml", "--stages", "all") == 2
    assert "no stage 'all'" in capsys.readouterr().err


def test_a_run_belongs_to_its_configuration(brief, tmp_path, capsys):
    recipe, run = write_recipe(tmp_path / "tiny.toml", lip_reading=None), tmp_path / "run"
    assert train(brief, run, recipe, "--stages", "cmc") == 0
    wider = write_recipe(tmp_path / "wide.toml", network={**TABLES["network"], "d_model": 32}, lip_reading=None)
    assert train(brief, run, wider, "--stages", "cmc") == 2
    assert "another configuration" in capsys.readouterr().err
    (run / "cmc.pt").write_bytes(b"cut off")
    assert train(brief, run, recipe, "--stages", "cmc") == 2
    assert "damaged" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["kmtalk_vocaset", "kmtalk_biwi", "kmtalk_synthetic"])
def test_presets_are_valid(name):
    recipe = read_recipe(ROOT / "training" / "configs" / f"{name}.toml")
    from kmtalk_core.networks.vertex_kmtalk import Config

    config = Config.of(recipe.tables, 15069)
    assert config.lip_reading is not None and recipe.keys.rule == "boundaries"
    if name != "kmtalk_synthetic":  # what the paper says
        stage = recipe.stage("cmc")
        assert (stage.epochs, stage.batch, stage.learning_rate) == (200, 1, 1e-4)
        assert vars(config.losses) == {"rec": 1000.0, "vel": 1000.0, "lat": 0.001, "ctc": 0.0001, "key_noise": 0.0}


STILL = 'batch = 2\noptimizer = "adamw"\nstep_epochs = 1\nstep_factor = 0.0'


def test_the_learning_rate_falls_in_steps(brief, tmp_path):
    assert [Training(learning_rate=1.0, step_epochs=2).rate(e) for e in range(5)] == [1.0, 1.0, 0.5, 0.5, 0.25]
    assert Training(learning_rate=1.0).rate(99) == 1.0
    still = write_recipe(
        tmp_path / "still.toml",
        RECIPE.replace("batch = 2", STILL),
    )
    assert train(brief, tmp_path / "run", still, "--stages", "cmc") == 0
    again = write_recipe(
        tmp_path / "once.toml", RECIPE.replace("epochs = 3\nbatch = 2", 'epochs = 1\nbatch = 2\noptimizer = "adamw"')
    )
    assert train(brief, tmp_path / "once", again, "--stages", "cmc") == 0
    first, second = weights(tmp_path / "run", "cmc"), weights(tmp_path / "once", "cmc")
    assert all(torch.equal(first[name], second[name]) for name in first)  # after the first epoch nothing moved
