"""The pages that teach are done step by step, in a copy of the program: edits, commands, and what must then be true."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = sorted((ROOT / "docs" / "howto").glob("*.md"))
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def copy(tmp_path):
    """The core and the training, with a sound; what is large is linked."""
    for package in ("kmtalk_core", "training"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__", "assets"))
    os.symlink(ROOT / "kmtalk_core" / "assets", tmp_path / "kmtalk_core" / "assets")
    shutil.copy(ROOT / "kmtalk_core" / "assets" / "sample_speech.flac", tmp_path / "speech.flac")
    return tmp_path


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_does_what_it_says(page, copy):
    blocks = BLOCK.findall(page.read_text(encoding="utf-8"))
    assert {"diff", "python"} <= {kind for kind, _ in blocks}
    if page.stem == "add_a_method":
        pytest.importorskip("torch", reason="torch is not installed")
        pytest.importorskip("transformers", reason="transformers is not installed")
    for kind, text in blocks:
        if kind == "diff":
            edit(copy, text)
        elif kind == "toml":
            (copy / "recipe.toml").write_text(text, encoding="utf-8")
        elif kind == "python":
            done = run(copy, ["-c", text])
            assert done.returncode == 0, done.stderr
        elif kind == "console":
            for command, expected in re.findall(r"^\$ (.*)\n((?:(?!\$).*\n)*)", text, re.MULTILINE):
                converse(copy, command.split(), expected.splitlines())


def converse(folder, words, expected):
    """Run a command of the page; what the page shows of its answer must be in it."""
    module = ["-m", "kmtalk_core", *words[1:]] if words[0] == "kmtalk" else words[1:]
    done = run(folder, module)
    said = " ".join((done.stdout + done.stderr).split())
    assert all(line in said for line in expected), said
    assert done.returncode == (2 if any("out of range" in line for line in expected) else 0), said


def run(folder, words):
    environment = {**os.environ, "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1", "COLUMNS": "100"}
    return subprocess.run(
        [sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )


def edit(folder, text):
    """Apply edits: each begins with the name of its file, after `---`, or `+++` for a new one."""
    for head, name, body in re.findall(r"^(---|\+\+\+) (\S+)\n((?:(?!--- |\+\+\+ ).*\n)*)", text, re.MULTILINE):
        path = folder / name
        lines = [line if line else " " for line in body.splitlines()]
        before = "".join(f"{line[1:]}\n" for line in lines if line[0] in " -")
        after = "".join(f"{line[1:]}\n" for line in lines if line[0] in " +")
        if head == "+++":
            assert not path.exists() and not before
            path.write_text(after, encoding="utf-8")
            continue
        source = path.read_text(encoding="utf-8")
        assert source.count(before) == 1, f"{name} has not exactly once:\n{before}"
        path.write_text(source.replace(before, after), encoding="utf-8")


def test_the_pages_are_linked_and_short():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(PAGES) == 4
    for page in [*PAGES, ROOT / "docs" / "architecture.md"]:
        assert page.relative_to(ROOT).as_posix() in readme
    for page in PAGES:
        prose = BLOCK.sub("", page.read_text(encoding="utf-8"))
        assert len(prose.splitlines()) <= 45, page.name


def test_the_map_names_what_there_is():
    """Files and functions that docs/architecture.md names exist."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    for name in re.findall(r"`((?:kmtalk_core|kmtalk_addon|training|tests|docs|benchmarks)/[\w./]*)`", text):
        assert (ROOT / name).exists(), name
    for name in re.findall(r"`([a-z_]+(?:\.[a-z_]+)+)`", text):
        module, _, function = name.rpartition(".")
        path = ROOT / "kmtalk_core" / (module.replace(".", "/") + ".py")
        path = path if path.exists() else path.with_suffix("") / "__init__.py"
        assert path.exists() and re.search(rf"^(?:def|class) {function}\b", path.read_text("utf-8"), re.MULTILINE), name
