"""One thread unless somebody asks for more, and the same bytes with any number of them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kmtalk_core.assets import ASSETS

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
        python("-m", "kmtalk_core", *arguments, OPENBLAS_NUM_THREADS=count, OMP_NUM_THREADS=count)
        written.append(out.read_bytes())
    assert written[0] == written[1]
