"""One thread unless somebody asks for more, and the same bytes with any number of them."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from kmtalk_core.assets import ASSETS
from kmtalk_core.threads import THREADS, begun, in_order, threads

ROOT = Path(__file__).parent.parent
LIBRARIES = ("OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "BLIS_NUM_THREADS")


def python(*arguments: str, **variables: str) -> str:
    inherited = {k: v for k, v in os.environ.items() if k not in LIBRARIES}
    return subprocess.check_output([sys.executable, *arguments], cwd=ROOT, env=inherited | variables, text=True)


@pytest.mark.parametrize(("variables", "threads"), [({}, "1"), ({"OPENBLAS_NUM_THREADS": "3"}, "3")])
def test_linear_algebra_gets_one_thread_unless_more_are_asked_for(variables, threads):
    code = f"import os; from kmtalk_core.threads import one_thread; one_thread(); print(os.environ[{LIBRARIES[0]!r}])"
    assert python("-c", code, **variables).strip() == threads


def test_nobody_imports_numpy_before(tmp_path):
    assert python("-c", "import sys, kmtalk_core.threads; print('numpy' in sys.modules)").strip() == "False"


def test_any_number_of_threads_gives_the_same_bytes(tmp_path):
    written = []
    for count in ("1", "4"):
        out = tmp_path / f"{count}.npz"
        arguments = ("animate", str(ASSETS / "sample_speech.flac"), "--out", str(out))
        python("-m", "kmtalk_core", *arguments, OPENBLAS_NUM_THREADS=count, OMP_NUM_THREADS=count, KMTALK_THREADS=count)
        written.append(out.read_bytes())
    assert written[0] == written[1]


def test_parts_are_worked_on_side_by_side_and_come_in_order(monkeypatch):
    monkeypatch.setenv(THREADS, "2")
    second = threading.Event()

    def work(part: int) -> int:
        if part == 0:
            assert second.wait(20)  # the next one has begun already
        second.set()
        return 10 * part

    assert list(in_order(work, range(5))) == [0, 10, 20, 30, 40]
    monkeypatch.setenv(THREADS, "1")
    assert list(in_order(lambda part: threading.current_thread().name, range(2))) == ["MainThread"] * 2


def test_a_single_part_needs_no_thread(monkeypatch):
    monkeypatch.setenv(THREADS, "2")
    assert list(in_order(lambda part: threading.current_thread().name, range(1))) == ["MainThread"]


def test_a_fault_in_a_part_ends_the_work(monkeypatch):
    monkeypatch.setenv(THREADS, "2")
    done = []

    def work(part: int) -> None:
        if part == 2:
            raise ValueError("broken")
        done.append(part)

    with pytest.raises(ValueError, match="broken"):
        list(in_order(work, range(100)))
    assert set(done) <= {0, 1, 3, 4}


@pytest.mark.parametrize("count", ["1", "2"])
def test_what_is_begun_early_gives_its_result_or_its_error(monkeypatch, count):
    monkeypatch.setenv(THREADS, count)
    assert begun(lambda: 7)() == 7
    with pytest.raises(ZeroDivisionError):
        begun(lambda: 1 // 0)()


@pytest.mark.parametrize(("wanted", "count"), [("3", 3), ("0", 1), ("many", None)])
def test_the_environment_says_how_many(monkeypatch, wanted, count):
    monkeypatch.setenv(THREADS, wanted)
    assert threads() == count if count else 1 <= threads() <= 2
