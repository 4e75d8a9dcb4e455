"""run.py on a machine where nothing is prepared: a copy of it in an empty folder with a tiny lock file."""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
NO_NETWORK = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_CONFIG_FILE": os.devnull, "PIP_RETRIES": "1"}


@pytest.fixture
def run_module():
    spec = importlib.util.spec_from_file_location("run_under_test", ROOT / "run.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A clone whose demo says what it was given; its lock file needs no package."""
    folder = tmp_path_factory.mktemp("home") / "clone ö"
    (folder / "demo").mkdir(parents=True)
    shutil.copy(ROOT / "run.py", folder)
    (folder / "requirements.lock").write_text("# nothing\n")
    (folder / "demo" / "__main__.py").write_text("import os, sys; print(os.getcwd(), sys.argv[1:]); sys.exit(7)")
    return folder


def start(clone, *arguments, **options):
    """Run the copy as a user would, with an empty home."""
    variables = {k: v for k, v in os.environ.items() if k in ("PATH", "SYSTEMROOT", "TEMP", "TMP")}
    variables |= {"HOME": str(clone.parent), "USERPROFILE": str(clone.parent), **NO_NETWORK}
    python = getattr(sys, "_base_executable", sys.executable)
    return subprocess.run(
        [python, clone / "run.py", *arguments], env=variables, capture_output=True, text=True, **options
    )


def test_makes_reuses_and_recreates_the_environment(clone):
    first = start(clone, "setup")
    assert first.returncode == 0, first.stderr
    assert "Preparing" in first.stdout
    assert start(clone, "setup").stdout.startswith("Ready")

    left_over = clone / ".venv" / "left-over"
    left_over.touch()
    (clone / "requirements.lock").write_text("# changed\n")
    assert "Preparing" in start(clone, "setup").stdout
    assert not left_over.exists()

    shutil.rmtree(clone / ".venv" / ("Scripts" if os.name == "nt" else "bin"))
    assert start(clone, "setup").returncode == 0
    assert start(clone, "setup").stdout.startswith("Ready")


def test_passes_arguments_folder_and_status_on(clone, tmp_path):
    done = start(clone, "demo", "--audio", "a b.wav", "--transcript", "Höre!", cwd=tmp_path)
    assert done.returncode == 7
    assert done.stdout.splitlines()[-1] == f"{tmp_path} ['--audio', 'a b.wav', '--transcript', 'Höre!']"


def test_no_connection_is_one_sentence_and_the_next_run_goes_on(clone):
    lock = (clone / "requirements.lock").read_text()
    (clone / "requirements.lock").write_text("kmtalk-needs-this==1\n")
    done = start(clone, "setup")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "could not be downloaded" in done.stderr
    left_over = clone / ".venv" / "left-over"
    left_over.touch()
    assert "could not be downloaded" in start(clone, "setup").stderr
    assert left_over.exists()  # what is there already is kept
    (clone / "requirements.lock").write_text(lock)


def test_environment_made_by_hand_is_completed_not_deleted(clone):
    assert start(clone, "setup").returncode == 0
    (clone / ".venv" / "requirements.sha256").unlink()
    left_over = clone / ".venv" / "left-over"
    left_over.touch()
    assert start(clone, "setup").returncode == 0
    assert left_over.exists()


@pytest.mark.parametrize("version", [(3, 6, 15), (3, 10, 1), (3, 12, 0), (3, 14, 0)])
def test_other_python_is_one_sentence(run_module, monkeypatch, capsys, version):
    monkeypatch.setattr(sys, "version_info", version)
    monkeypatch.setattr(sys, "argv", ["run.py", "demo"])
    assert run_module.main() == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "needs Python 3.11" in error


@pytest.mark.parametrize("machine", [("Linux", "aarch64"), ("Darwin", "x86_64"), ("FreeBSD", "amd64")])
def test_other_machine_is_one_sentence(run_module, monkeypatch, capsys, machine):
    monkeypatch.setattr(run_module.platform, "system", lambda: machine[0])
    monkeypatch.setattr(run_module.platform, "machine", lambda: machine[1])
    monkeypatch.setattr(sys, "argv", ["run.py", "test"])
    assert run_module.main() == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert " on ".join(machine) in error


@pytest.mark.parametrize(
    ("log", "named"),
    [
        ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", "disk is full"),
        ("WARNING: Retrying ... NameResolutionError(...)\nERROR: No matching distribution found for x", "connection"),
        ("lots of text\nERROR: No matching distribution found for x==1\n", "No matching distribution found for x==1"),
    ],
)
def test_failures_of_pip_are_explained(run_module, log, named):
    assert named in run_module.why_pip_failed(log)


def test_lock_file_pins_everything_and_names_no_registry():
    lines = [line for line in (ROOT / "requirements.lock").read_text().splitlines() if line and line[0] != "#"]
    assert all("==" in line.split(";")[0] for line in lines)
    assert not any("://" in line or line.startswith("-") for line in lines)
    for pin in ("torch==2.13.0", "bpy==5.0.1", "pocketsphinx==5.1.1"):
        assert pin in lines
