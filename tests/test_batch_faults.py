"""Faults that a night on a farm brings: full and read-only disks, no memory, files that change, clocks that jump."""

import csv
import json
import os
import resource
import signal
import subprocess
import sys
import time
import wave
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from test_batch import MARKER, ROOT, heed_signals, lines_of, processes, rows, start, statuses

from kmtalk_core.command.batch import run
from kmtalk_core.command.batch.line import Line
from kmtalk_core.command.batch.run import run_batch
from kmtalk_core.command.batch.work import Job, do
from kmtalk_core.command.batch.worker import Tell
from kmtalk_core.errors import StorageError
from kmtalk_core.leftovers import OWN

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux")


@pytest.fixture(autouse=True)
def stand_in(monkeypatch):
    monkeypatch.setattr(run, "WORK", "stand_ins.batch_work:make_worker")


@contextmanager
def disk(place, size):
    """A small disk at `place`, where this user may mount one."""
    place.mkdir()
    if not hasattr(os, "getuid") or os.getuid() != 0 or mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", place):
        pytest.skip("needs to mount a disk")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)


def mount(*arguments):
    return subprocess.run(["mount", *map(str, arguments)], capture_output=True, check=False).returncode


@linux
def test_a_disk_that_fills_up_stops_the_batch_and_room_lets_it_go_on(tmp_path, monkeypatch):
    lines = lines_of(tmp_path, 20)  # 131 kB each
    with disk(tmp_path / "out", "1500k") as out:
        with pytest.raises(StorageError, match=r"disk is full.*--resume to go on"):
            run_batch(lines, out, workers=2)
        done = sorted(path.name for path in out.glob("line*.npz"))
        assert 4 <= len(done) < 12
        sizes = {name: (out / name).stat().st_size for name in done}
        assert set(sizes.values()) == {131072}, sizes
        assert not [path for path in out.iterdir() if OWN.fullmatch(path.name)]
        assert mount("-o", "remount,size=20m", out) == 0
        outcome = run_batch(lines, out, workers=2, resume=True)
        assert set(statuses(outcome)) == {"done", "skipped"} and len(rows(out)) == 20
        made = (tmp_path / "log").read_text().split()
        assert len(set(made)) == 20 and len(made) < 26


@linux
def test_a_disk_that_becomes_read_only_is_told_at_once(tmp_path):
    lines = lines_of(tmp_path, 30)
    with disk(tmp_path / "out", "20m") as out:
        run_batch(lines[:3], out, workers=1)
        assert mount("-o", "remount,ro", out) == 0
        before = time.monotonic()
        with pytest.raises(StorageError, match="choose another folder"):
            run_batch(lines, out, workers=1)
        assert time.monotonic() - before < 20
        assert not (tmp_path / "log").read_text().count("line4")


def test_what_goes_wrong_within_a_line_is_its_own(tmp_path):
    lines = lines_of(tmp_path, 5, at0="fault", at1="deep", at2="memory")
    outcome = run_batch(lines, tmp_path / "out", workers=1)
    assert statuses(outcome) == ["failed"] * 3 + ["done"] * 2
    told = [report.error for report in outcome.reports[:3]]
    assert "ZeroDivisionError" in told[0] and "recursion" in told[1] and "Not enough memory" in told[2]


@linux
def test_workers_with_too_little_memory_end_the_batch_with_a_sentence(tmp_path):
    """An address space in which no model can be loaded; the real work, since the stand-in needs none."""
    (sound,) = (line.audio for line in lines_of(tmp_path, 1))
    (tmp_path / "m.json").write_text(json.dumps([{"audio": sound.name}]))
    command = [sys.executable, "-m", "kmtalk_core", "batch", tmp_path / "m.json", "--out", tmp_path / "out"]
    done = subprocess.run(
        [*command, "--workers", "2"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=100,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (260_000_000, 260_000_000)),
        env=os.environ | {MARKER: tmp_path.name, "OPENBLAS_NUM_THREADS": "1"},
        check=False,
    )
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    assert not processes(tmp_path.name)


@contextmanager
def memory_for(megabytes):
    """A control group with so much memory, as farms give to a job; yields what puts a process into it."""
    old, new = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")
    group = (old if old.is_dir() else new) / f"kmtalk-test-{os.getpid()}"
    try:
        group.mkdir()
        limit = "memory.limit_in_bytes" if old.is_dir() else "memory.max"
        (group / limit).write_text(str(megabytes * 10**6))
        if (swap := group / "memory.swap.max").exists():
            swap.write_text("0")
    except OSError:
        pytest.skip("needs to make control groups")
    try:
        yield lambda: (group / "cgroup.procs").write_text(str(os.getpid()))
    finally:
        group.rmdir()


@linux
def test_a_line_for_which_the_memory_does_not_suffice_costs_itself_alone(tmp_path):
    """The kernel kills what has the most; the batch and the other lines go on."""
    lines = lines_of(tmp_path, 12)
    told = [{"audio": line.audio.name, "transcript": "eat" if n == 3 else ""} for n, line in enumerate(lines)]
    (tmp_path / "m.json").write_text(json.dumps(told))
    with memory_for(500) as enter:

        def inside():
            enter()
            heed_signals()

        with start(tmp_path, pieces={"preexec_fn": inside}) as batch:
            batch.stderr.read()
        assert batch.returncode == 1
    found = rows(tmp_path / "out")
    assert [row["status"] for row in found] == ["done"] * 3 + ["failed"] + ["done"] * 8
    assert "died twice" in found[3]["error"] and "out of memory?" in found[3]["error"]


@linux
def test_a_manifest_that_changes_meanwhile_is_told(tmp_path):
    lines = lines_of(tmp_path, 60)
    (tmp_path / "m.json").write_text(json.dumps([{"audio": line.audio.name} for line in lines]))
    with start(tmp_path) as batch:
        while not (tmp_path / "log").exists():
            time.sleep(0.02)
        (tmp_path / "m.json").write_text(json.dumps([{"audio": line.audio.name} for line in lines[:3]]))
        told = batch.stderr.read()
    assert batch.returncode == 0 and "was changed meanwhile" in told
    assert len(list((tmp_path / "out").glob("*.npz"))) == 60


def test_a_sound_that_changes_while_it_is_read_is_told(tmp_path, monkeypatch):
    sound = tmp_path / "a.wav"
    with wave.open(str(sound), "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", "NONE"))
        file.writeframes((1000 * np.sin(np.arange(16000))).astype("<i2").tobytes())

    class Writer:
        model = "m"

        def animate(self, *_):
            os.utime(sound, ns=(1, 1))

    made = do(Job(Line(audio=sound, out="a.npz"), tmp_path), Writer(), Tell())
    assert "changed while they were read" in made.report.error and not (tmp_path / "a.npz").exists()


@linux
def test_a_stopped_worker_is_ended_and_the_batch_goes_on(tmp_path):
    """A process that is halted from outside (SIGSTOP) is one that hangs."""
    lines = lines_of(tmp_path, 200)
    (tmp_path / "m.json").write_text(json.dumps([{"audio": line.audio.name} for line in lines]))
    marker = f"{tmp_path.name}-halt"
    with start(tmp_path, marker=marker) as batch:
        while not (tmp_path / "log").exists():
            time.sleep(0.02)
        worker = next(number for number in processes(marker) if number != batch.pid)
        os.kill(worker, signal.SIGSTOP)
        batch.stderr.read()
    statuses_now = [row["status"] for row in rows(tmp_path / "out")]
    assert statuses_now.count("done") >= 199 and set(statuses_now) <= {"done", "failed"}
    assert not processes(marker)


def test_clocks_may_jump(tmp_path, monkeypatch):
    """Neither limits nor what is judged right depend on dates."""
    lines = lines_of(tmp_path, 3)
    run_batch(lines, tmp_path / "out", workers=1)
    monkeypatch.setattr(time, "time", lambda: 0.0)
    for line in lines:
        os.utime(line.audio, (10**10, 10**10))
        os.utime(tmp_path / "out" / line.out, (0, 0))
    assert statuses(run_batch(lines, tmp_path / "out", resume=True, workers=1)) == ["skipped"] * 3


def test_a_store_that_is_gone_costs_no_time(tmp_path):
    """Every line is told, and no worker is started for it."""
    (tmp_path / "m.csv").write_text("audio\n" + "".join(f"gone/{n}.wav\n" for n in range(500)))
    from kmtalk_core.command.cli import main

    before = time.monotonic()
    assert main(["batch", str(tmp_path / "m.csv"), "--out", str(tmp_path / "out")]) == 1
    assert time.monotonic() - before < 15
    with (tmp_path / "out" / "report.csv").open(newline="") as file:
        told = list(csv.DictReader(file))
    assert len(told) == 500 and all("There is no file" in row["error"] for row in told)
    assert Path(told[7]["audio"]).name == "7.wav"
