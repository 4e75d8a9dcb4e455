"""Blender as a Python module (the bpy wheels), with the built extension's files as a plain add-on."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import venv
import zipfile
from collections.abc import Callable
from pathlib import Path

from .blenders import CACHE, NoBlender
from .journey import LIMIT, TESTS, Failed, last_line

VERSIONS = {"bpy-4.2": "4.2.23", "bpy-4.5": "4.5.15", "bpy-5.0": "5.0.1"}
PYTHON = "3.11"  # of these wheels
START = """
import os, sys, bpy, addon_utils, pytest
assert addon_utils.enable("kmtalk_addon", default_set=True), "the add-on cannot be enabled"
status = pytest.main(["-p", "no:pytest-blender", *sys.argv[1:]])
sys.stdout.flush()
os._exit(status)  # 4.2 crashes when it ends as a module after any add-on whose properties have update functions
"""


def get(name: str) -> Path:
    """The Python of an environment with this bpy and pytest, made if it is not there yet."""
    if platform.python_version_tuple()[:2] != tuple(PYTHON.split(".")):
        raise NoBlender(f"{name} needs Python {PYTHON}; start this with it.")
    folder = CACHE / name
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    if not (folder / "complete").exists():
        shutil.rmtree(folder, ignore_errors=True)
        venv.create(folder, with_pip=True)
        command = [python, "-m", "pip", "install", "-q", f"bpy=={VERSIONS[name]}", "pytest"]
        if subprocess.run(command, check=False).returncode:
            raise NoBlender(f"bpy {VERSIONS[name]} could not be installed; see above.")
        (folder / "complete").touch()
    return python


def steps(name: str, folder: Path, extension: Path) -> list[tuple[str, Callable[[], str]]]:
    """Titles and functions, as those of `journey.Journey`."""
    python = get(name)
    scripts, packages = folder / "scripts", folder / "packages"

    def install() -> str:
        """As a user who has only the add-on's files would: the wheels by pip, the rest into the add-ons' folder."""
        addon = scripts / "addons" / "kmtalk_addon"
        with zipfile.ZipFile(extension) as archive:
            archive.extractall(addon)
        mine = f"cp{PYTHON.replace('.', '')}"
        wheels = [w for w in (addon / "wheels").glob("*.whl") if mine in w.name or "py3-none" in w.name]
        command = [python, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--target", packages, *wheels]
        return run(command) or f"{len(wheels)} wheels"

    def tests_inside() -> str:
        shutil.copytree(TESTS, folder / "tests" / "blender_tests", ignore=shutil.ignore_patterns("__pycache__"))
        ini = folder / "tests" / "blender_tests" / "pytest.ini"
        return last_line(run([python, "-c", START, "-c", ini, "--rootdir", folder / "tests", folder / "tests"]))

    def run(command: list[str | Path]) -> str:
        variables = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
        variables |= {"BLENDER_USER_RESOURCES": str(folder / "user"), "BLENDER_USER_SCRIPTS": str(scripts)}
        variables |= {"PYTHONPATH": str(packages), "PYTHONNOUSERSITE": "1"}
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=variables, timeout=LIMIT,
            cwd=folder, check=False,
        )  # fmt: skip
        if done.returncode:
            raise Failed(f"exit status {done.returncode}: {done.stdout.strip()[-900:]}")
        return done.stdout.strip()

    folder.mkdir(parents=True, exist_ok=True)
    return [("install as an add-on", install), ("tests inside", tests_inside)]


if __name__ == "__main__":
    for asked in sys.argv[1:] or VERSIONS:
        print(get(asked))
