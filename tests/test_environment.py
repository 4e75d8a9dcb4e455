"""Making an environment for graphics cards, with a Python and a pip that only play it."""

import json
import os
import re
import shutil
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest

import kmtalk_core
from kmtalk_core.errors import KMTalkError
from kmtalk_core.service import environment
from kmtalk_core.service.environment import LOG, NOTE, Plan, build, check, python_of, ready, remove, state_of

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the stand-ins are shell scripts")

# A Python that makes environments whose Python is itself, writes down what pip is asked for, and does what $PLAY says.
STAND_IN = """#!/bin/sh
case "$*" in
    *"-m venv "*) for last in "$@"; do :; done; mkdir -p "$last/bin" "$last/lib/python3.11/site-packages"
        cp "$0" "$last/bin/python" ;;
    *"-m pip install"*) echo "$@" >> "{log}"
        case "$*" in *torch*) echo "Collecting torch"; echo "Progress 50000000 of 200000000"; sleep 0.3
            case "$(cat "{play}")" in
                hang) sleep 60 & echo $! > "{log}.child"; wait ;;
                empty) echo "ERROR: No version satisfies torch (from versions: none)"; exit 1 ;;
                offline) echo "ERROR: Max retries exceeded with url"; exit 1 ;;
                full) echo "ERROR: Could not install: [Errno 28] No space left on device"; exit 1 ;;
                odd) echo "ERROR: Cannot uninstall torch"; exit 1 ;;
            esac ;;
        esac ;;
    *self_test*) echo "chatter"; echo '{{"device": "CPU", "times_real_time": 9, "difference": 0.0}}'; echo "more" ;;
esac
"""


def leave(monkeypatch, gigabytes):
    """Have the disk have so much room, whatever this machine's has."""
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**12, 0, gigabytes * 10**9))


@pytest.fixture
def plan(tmp_path, monkeypatch):
    """A plan whose Python is the stand-in; `tmp_path / "play"` says how it behaves, `tmp_path / "log"` what it did."""
    leave(monkeypatch, 500)
    (tmp_path / "play").write_text("well")
    (tmp_path / "log").touch()
    python = tmp_path / "python"
    python.write_text(STAND_IN.format(log=tmp_path / "log", play=tmp_path / "play"))
    python.chmod(0o755)
    core = str(Path(kmtalk_core.__file__).parents[1])
    return Plan(str(tmp_path / "Größe 1"), str(python), "cpu", True, core, index="https://mirror.example/simple")


def installs(tmp_path):
    return (tmp_path / "log").read_text().splitlines()


def test_it_is_made_with_progress_and_tested(plan, tmp_path):
    news = list(build(plan))
    fractions = [each.fraction for each in news]
    assert fractions[0] == 0 and fractions[-1] == 1 and any("50 of 200 MB" in each.message for each in news)
    assert ready(plan.folder) and state_of(plan.folder)["test"]["device"] == "CPU"
    packages = python_of(plan.folder).parents[1] / "lib" / "python3.11" / "site-packages"
    assert (packages / "kmtalk_core" / "networks" / "kmtalk.py").is_file()
    lines = installs(tmp_path)
    assert len(lines) == 4 and all("--index-url https://mirror.example/simple" in line for line in lines)
    parts = ((0, "pip", "pip"), (1, "core", "onnxruntime"), (2, "torch", "torch"), (3, "speech", "faster-whisper"))
    for place, part, name in parts:
        assert "--require-hashes --no-deps --only-binary=:all: -r" in lines[place]
        pins = (Path(plan.folder) / f"{part}.txt").read_text()
        assert f"{name}==" in pins and len(re.findall(r"^[\w-]+==", pins, re.MULTILINE)) <= pins.count("--hash=sha256:")


def test_torch_may_come_from_an_index_of_its_own(plan, tmp_path):
    list(build(replace(plan, index="", torch_index="https://torch.example/cpu", speech=False)))
    lines = installs(tmp_path)
    assert len(lines) == 3 and "--index-url" not in lines[1]
    assert "--index-url https://torch.example/cpu" in lines[2] and environment.TORCH in lines[2]


def test_torch_of_the_lock_is_the_one_that_other_indexes_are_asked_for():
    lock = environment.LOCK.read_text()
    assert f"\n{environment.TORCH} \\\n    --hash=sha256:" in lock
    cuda = [line for line in lock.splitlines() if line.startswith(("nvidia-", "triton=="))]
    assert len(cuda) > 5 and all('; sys_platform == "linux"' in line for line in cuda)


@pytest.mark.parametrize(
    ("device", "system", "had"), [("rocm", "Linux", 0), ("cuda", "Windows", 0), ("cuda", "Linux", 1)]
)
def test_where_pip_has_no_such_torch_it_says_where_to_find_it(plan, tmp_path, monkeypatch, device, system, had):
    monkeypatch.setattr(environment, "SYSTEM", system)
    monkeypatch.setattr(environment, "SPACE", dict.fromkeys(environment.SPACE, 0))
    wish = replace(plan, device=device, index="", speech=False)
    if not had:
        with pytest.raises(KMTalkError, match="Torch Index"):
            list(build(wish))
        assert not installs(tmp_path), "nothing is downloaded before"
        wish = replace(wish, torch_index="https://torch.example/builds")
    list(build(wish))
    assert len(installs(tmp_path)) == 3


def test_it_goes_on_where_it_stopped(plan, tmp_path):
    (tmp_path / "play").write_text("offline")
    with pytest.raises(KMTalkError, match="could not be downloaded; check the connection, proxy or mirror"):
        list(build(plan))
    assert state_of(plan.folder)["done"] == ["venv", "pip", "packages"] and not ready(plan.folder)
    (tmp_path / "play").write_text("well")
    list(build(plan))
    asked_for_torch = ["torch.txt" in line for line in installs(tmp_path)]
    assert ready(plan.folder) and asked_for_torch == [False, False, True, True, False]


def test_another_wish_makes_it_anew(plan, tmp_path):
    list(build(plan))
    list(build(replace(plan, speech=False)))
    assert len(installs(tmp_path)) == 4 + 3


def test_cancelling_ends_everything_at_once(plan, tmp_path):
    (tmp_path / "play").write_text("hang")
    building = build(plan)
    for news in building:
        if "50 of 200 MB" in news.message and (tmp_path / "log.child").exists():
            break
    begin = time.monotonic()
    building.close()
    assert time.monotonic() - begin < 10
    child = int((tmp_path / "log.child").read_text())
    for _ in range(100):
        if not alive(child):
            break
        time.sleep(0.05)
    assert not alive(child), "pip's own process lives on"
    assert not ready(plan.folder) and state_of(plan.folder)["done"] == ["venv", "pip", "packages"]


def alive(pid):
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return bool(state.strip()) and not state.startswith("Z")


@pytest.mark.parametrize(
    ("play", "sentence"),
    [
        ("empty", "check the connection, proxy or mirror"),
        ("full", r"^The disk is full; free some space and create it again"),
        ("odd", r"Cannot uninstall torch.*\.log"),
    ],
)
def test_what_goes_wrong_is_one_sentence(plan, tmp_path, play, sentence):
    (tmp_path / "play").write_text(play)
    with pytest.raises(KMTalkError, match=sentence) as error:
        list(build(plan))
    assert "\n" not in str(error.value) and "Collecting torch" in (Path(plan.folder) / LOG).read_text()


def test_no_room_is_noticed_before_anything_is_done(plan, monkeypatch):
    leave(monkeypatch, 1)
    with pytest.raises(KMTalkError, match=r"needs \d+ GB, but .* has 1\.0 GB free"):
        next(build(plan))
    assert not Path(plan.folder).exists()


def test_a_folder_with_other_files_is_left_alone(plan):
    Path(plan.folder).mkdir()
    mine = Path(plan.folder) / "mine.txt"
    mine.touch()
    with pytest.raises(KMTalkError, match="holds other files; choose an empty or new folder"):
        check(plan)
    with pytest.raises(KMTalkError, match="holds no environment"):
        remove(plan.folder)
    assert mine.exists()


def test_a_python_that_is_not_there(plan):
    with pytest.raises(KMTalkError, match="Cannot start /nowhere/python"):
        list(build(replace(plan, python="/nowhere/python")))
    with pytest.raises(KMTalkError, match="no torch for tpu"):
        check(replace(plan, device="tpu"))


def test_removing_takes_all_of_it(plan):
    list(build(plan))
    remove(plan.folder)
    assert not Path(plan.folder).exists()


def test_an_environment_of_another_version_is_not_used(plan):
    list(build(plan))
    note = Path(plan.folder) / NOTE
    note.write_text(json.dumps({**json.loads(note.read_text()), "kmtalk": "0.0.1"}))
    assert not ready(plan.folder)


def test_the_self_test_compares_torch_with_the_embedded_model(monkeypatch):
    pytest.importorskip("torch")
    from kmtalk_core.service import self_test

    monkeypatch.setattr(self_test, "REPEATS", 1)
    found = self_test.examine()
    assert found["times_real_time"] > 0 and found["embedded_times_real_time"] > 0
    assert 0 < found["difference"] < 1e-3, "the same weights, but another arithmetic"


def test_every_package_of_the_environment_is_pinned_with_checksums():
    text = environment.LOCK.read_text(encoding="utf-8")
    _, *wanted = re.split(r"^(?=[a-z])", text, flags=re.MULTILINE)
    assert len(wanted) > 30
    for pin in wanted:
        assert re.match(r"[a-z0-9-]+==[0-9][\w.]*( ; [^\\]+)? \\\n(    --hash=sha256:[0-9a-f]{64}( \\)?\n)+", pin), pin
    names = {pin.split("==")[0] for pin in wanted}
    assert {"numpy", "scipy", "av", "onnxruntime", "transformers", "faster-whisper", "pip"} <= names
