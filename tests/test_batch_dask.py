"""A farm of real Dask processes, some of which die."""

import os
import signal
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from test_batch import lines_of, rows, statuses

from kmtalk_core.command.batch import dask_pool, run
from kmtalk_core.command.batch.run import run_batch
from kmtalk_core.errors import Cancelled, KMTalkError

distributed = pytest.importorskip("distributed")


@pytest.fixture(scope="module")
def farm(tmp_path_factory):
    paths = os.pathsep.join([str(Path(__file__).parent.parent), str(Path(__file__).parent)])
    before, os.environ["PYTHONPATH"] = os.environ.get("PYTHONPATH"), paths
    cluster = distributed.LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        processes=True,
        dashboard_address=None,
        local_directory=str(tmp_path_factory.mktemp("dask")),
    )
    yield cluster
    cluster.close()
    os.environ.pop("PYTHONPATH")
    if before is not None:
        os.environ["PYTHONPATH"] = before


@pytest.fixture(autouse=True)
def stand_in(monkeypatch):
    monkeypatch.setattr(run, "WORK", "stand_ins.batch_work:make_worker")


def test_lines_are_done_by_the_farm(tmp_path, farm):
    lines = lines_of(tmp_path, 30, at3="crash", at4="crash once", at5="fault", at6="hang")
    outcome = run_batch(lines, tmp_path / "out", scheduler=farm.scheduler_address)
    expected = ["done"] * 30
    expected[3] = expected[5] = expected[6] = "failed"
    assert statuses(outcome) == expected
    assert outcome.reports[4].attempts == 2 and "took too long" in outcome.reports[6].error
    again = run_batch(lines[7:], tmp_path / "out", resume=True, scheduler=farm.scheduler_address)
    assert statuses(again)[:23] == ["skipped"] * 23


def test_workers_that_are_killed_lose_no_line(tmp_path, farm):
    lines = lines_of(tmp_path, 150)
    killed = []

    def kill(fraction, message):
        count = int(message.split()[0]) if message[0].isdigit() else 0
        if count and count % 40 == 0 and len(killed) < 3:
            with distributed.Client(farm.scheduler_address, set_as_default=False) as client:
                killed.append(next(iter(client.run(os.getpid).values())))
            os.kill(killed[-1], signal.SIGKILL)

    outcome = run_batch(lines, tmp_path / "out", scheduler=farm.scheduler_address, progress=kill)
    assert len(killed) == 3
    assert statuses(outcome) == ["done"] * 150
    assert len(rows(tmp_path / "out")) == 150


def test_a_batch_on_a_farm_can_be_stopped_and_gone_on_with(tmp_path, farm):
    lines = lines_of(tmp_path, 100)

    def ask(fraction, message):
        if message.startswith("20 of"):
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Cancelled, match="--resume to go on"):
        run_batch(lines, tmp_path / "out", scheduler=farm.scheduler_address, progress=ask)
    time.sleep(1.0)
    done = [row["status"] for row in rows(tmp_path / "out")].count("done")
    assert 20 <= done <= 40
    made = len((tmp_path / "log").read_text().split())
    outcome = run_batch(lines, tmp_path / "out", resume=True, scheduler=farm.scheduler_address)
    assert statuses(outcome).count("skipped") == done
    assert len((tmp_path / "log").read_text().split()) - made <= 100 - done


def test_farms_that_cannot_work_are_one_sentence(tmp_path, farm, monkeypatch):
    lines = lines_of(tmp_path, 1)
    monkeypatch.setattr(dask_pool, "PATIENCE", 1.0)
    with pytest.raises(KMTalkError, match="No Dask scheduler answers"):
        run_batch(lines, tmp_path / "out", scheduler="tcp://127.0.0.1:9")
    with pytest.raises(KMTalkError, match="No Dask scheduler answers"):
        run_batch(lines, tmp_path / "out", scheduler="no address")
    needy = [replace(line, formats=(".fbx",)) for line in lines]
    with pytest.raises(KMTalkError, match=r"The Dask worker .* cannot do it: There is no program /no/where"):
        run_batch(needy, tmp_path / "out", scheduler=farm.scheduler_address, blender="/no/where")
    monkeypatch.setattr(dask_pool, "__version__", "0.0")
    with pytest.raises(KMTalkError, match="install the same for all"):
        run_batch(lines, tmp_path / "out", scheduler=farm.scheduler_address)
    monkeypatch.undo()
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(KMTalkError, match="needs Dask"):
        run_batch(lines, tmp_path / "out", scheduler=farm.scheduler_address)
    assert threading.active_count() < 50
