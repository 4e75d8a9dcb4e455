"""The wheels that the extension bundles: which, by what hash, and what is left out of them.

`extension.lock` names every file with its SHA-256, for all platforms and Pythons; nothing else is ever bundled.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from .archive import read_zip, write_wheel

ROOT = Path(__file__).resolve().parents[2]
LOCK = ROOT / "extension.lock"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kmtalk" / "wheels"

PYTHONS = ("3.11", "3.13")  # of the official builds: 4.2 to 5.0, and from 5.1 on
OTHER_PYTHONS = ("3.14",)  # of Linux distributions: in the lock, but only bundled if asked for

# What the worker imports beside numpy, which Blender has; versions come from requirements.lock.
PACKAGES = ("av", "espeakng_loader", "onnxruntime", "pocketsphinx", "scipy")
# Blender 4.2 brings numpy 1.24, for which newer versions of scipy don't load; one version shares most of its files.
SCIPY = "1.15.3"
NOT_MADE = {("pocketsphinx", "3.14")}
NEWER = {("scipy", "3.14"): "1.17.1"}

# Blender's names of platforms → pip's, the newest first.
PLATFORMS = {
    "linux-x64": ("manylinux_2_28_x86_64", "manylinux_2_27_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64"),
    "windows-x64": ("win_amd64",),
    "macos-arm64": tuple(f"macosx_{major}_0_arm64" for major in (14, 13, 12, 11)),
}

# Left out of every wheel: what only serves building or testing. More would save more, but add-ons share one
# site-packages in Blender, so what another one may import stays.
UNUSED = re.compile(
    r"/tests?/|\.(?:pyi|pxd|pyx|pxi|h|hpp|c|cpp|f|a|lib)$"
    # What the Python module holds once more, for programs in C.
    r"|^onnxruntime/capi/(?:libonnxruntime\.|onnxruntime\.dll$)"
    # 24 MB for guessing words, which our own recogniser hears better; aligning a text needs none of it.
    r"|^pocketsphinx/model/en-us/en-us\.lm\.bin$"
    # The same library under two more names, and Python that nothing here asks for.
    r"|^espeakng_loader/(?:libespeak-ng\.(?:so\.|1)|__init__\.py$)"
)
# Modules whose file name does not say for which Python they are, so that two would collide; their endings do, then.
BARE = re.compile(r"^(onnxruntime/capi/onnxruntime_pybind11_state)\.(so|pyd)$")
# The same few functions in plain C, linked twice.
LINKED_TWICE = {
    "scipy/special/libsf_error_state.dll",
    "onnxruntime/capi/onnxruntime_providers_shared.dll",
}
# Differ between builds of one version by the path of the compiler and the like.
BUILD_NOTES = re.compile(r"(?:__config__|build_and_package_info|_build_info)\.py$|\.dist-info/")


class BuildError(Exception):
    """The extension cannot be built; the message is one sentence with the remedy."""


@dataclass(frozen=True)
class Wheel:
    """One file of the lock, for these Pythons ("3.11") and platforms ("linux-x64")."""

    file: str
    sha256: str
    pythons: tuple[str, ...]
    platforms: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.file.split("-")[0]

    @property
    def stem(self) -> str:
        """name-version."""
        return "-".join(self.file.split("-")[:2])

    @property
    def tags(self) -> str:
        """python-abi-platform."""
        return "-".join(self.file.removesuffix(".whl").split("-")[-3:])


def read_lock(path: Path = LOCK) -> list[Wheel]:
    """The wheels of the lock file."""
    entries = tomllib.loads(path.read_text(encoding="utf-8"))["wheel"]
    return [Wheel(e["file"], e["sha256"], tuple(e["pythons"]), tuple(e["platforms"])) for e in entries]


def chosen(lock: Iterable[Wheel], target: str, pythons: Sequence[str]) -> list[Wheel]:
    """The wheels for a platform and Pythons; raises BuildError if one is missing."""
    found = [w for w in lock if target in w.platforms and set(pythons) & set(w.pythons)]
    for python in pythons:
        here = {w.name for w in found if python in w.pythons}
        missing = [p for p in PACKAGES if p not in here and (p, python) not in NOT_MADE]
        if missing:
            raise BuildError(f"extension.lock has no {missing[0]} for Python {python} on {target}; run --lock again.")
    return found


def download(wheels: Iterable[Wheel], target: str) -> dict[Wheel, Path]:
    """The files of `wheels`, from the cache or the package index, each with the hash that the lock names."""
    CACHE.mkdir(parents=True, exist_ok=True)
    found = {}
    for wheel in wheels:
        path = CACHE / wheel.file
        if not path.is_file() or sha256(path) != wheel.sha256:
            _fetch(wheel, target)
            if not path.is_file() or sha256(path) != wheel.sha256:
                raise BuildError(f"{wheel.file} is not what extension.lock names; look into it before you lock anew.")
        found[wheel] = path
    return found


def _fetch(wheel: Wheel, target: str) -> None:
    name, version = wheel.stem.split("-")
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        wanted = Path(folder) / "wanted.txt"
        wanted.write_text(f"{name}=={version} --hash=sha256:{wheel.sha256}\n")
        _pip(["--require-hashes", "-r", str(wanted)], wheel.pythons[0], target, Path(folder))
        for path in Path(folder).glob("*.whl"):
            path.replace(CACHE / path.name)


def _pip(wanted: Sequence[str], python: str, target: str, folder: Path) -> None:
    tags = [argument for tag in PLATFORMS[target] for argument in ("--platform", tag)]
    choice = ["--no-deps", "--only-binary=:all:", "--implementation", "cp", "--python-version", python, *tags]
    command = [sys.executable, "-m", "pip", "-qq", "download", *choice, "--dest", str(folder), *wanted]
    if subprocess.run(command, check=False).returncode:
        raise BuildError(f"pip could not get {' '.join(wanted)} for Python {python} on {target}; see above.")


def lock(path: Path = LOCK) -> None:
    """Write the lock file anew, with the versions that requirements.lock names."""
    pins = dict(re.findall(r"^([\w-]+)==([^\s;]+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE))
    pins["scipy"] = SCIPY
    found: dict[str, tuple[str, set[str], set[str]]] = {}
    CACHE.mkdir(parents=True, exist_ok=True)
    for target in PLATFORMS:
        for python in (*PYTHONS, *OTHER_PYTHONS) if target == "linux-x64" else PYTHONS:
            wanted = [f"{p}=={NEWER.get((p, python), pins[p])}" for p in PACKAGES if (p, python) not in NOT_MADE]
            with tempfile.TemporaryDirectory(dir=CACHE) as folder:
                _pip(wanted, python, target, Path(folder))
                for wheel in Path(folder).glob("*.whl"):
                    entry = found.setdefault(wheel.name, (sha256(wheel), set(), set()))
                    entry[1].add(python)
                    entry[2].add(target)
                    wheel.replace(CACHE / wheel.name)
    lines = ["# The wheels that the extension bundles, made by `python build_addon.py --lock`.\n"]
    for file, (digest, pythons, platforms) in sorted(found.items()):
        lines.append(f'[[wheel]]\nfile = "{file}"\nsha256 = "{digest}"')
        lines.append(f"pythons = {_listed(pythons)}\nplatforms = {_listed(platforms)}\n")
    path.write_text("\n".join(lines), encoding="utf-8")


def bundle(files: dict[Wheel, Path], folder: Path) -> list[Path]:
    """Write the wheels into `folder` without what nobody needs, and what several Pythons share only once."""
    by_stem: dict[str, list[Wheel]] = {}
    for wheel in sorted(files, key=lambda w: w.file):
        by_stem.setdefault(wheel.stem, []).append(wheel)
    made = []
    for stem, wheels in by_stem.items():
        contents = [_without_unused(read_zip(files[wheel]), wheel) for wheel in wheels]
        merged = _merged(contents)
        groups = [(wheels, merged)] if merged else [([w], c) for w, c in zip(wheels, contents, strict=True)]
        for group, kept in groups:
            info = f"{stem}.dist-info/"
            metadata = kept.pop(info + "METADATA")
            pure = b"Root-Is-Purelib: true" in kept.pop(info + "WHEEL")
            kept.pop(info + "RECORD")
            made.append(write_wheel(folder, stem, _tags(group), kept, metadata, pure))
    return made


def _without_unused(files: dict[str, bytes], wheel: Wheel) -> dict[str, bytes]:
    python = wheel.pythons[0].replace(".", "")
    endings = {"so": f".cpython-{python}-darwin.so", "pyd": f".cp{python}-win_amd64.pyd"}
    kept = {}
    for name, contents in files.items():
        if not UNUSED.search(name):
            bare = BARE.match(name)
            kept[bare[1] + endings[bare[2]] if bare else name] = contents
    return kept


def _merged(builds: list[dict[str, bytes]]) -> dict[str, bytes] | None:
    """The files of several builds of one version in one folder; None if two differ in a file of the same name."""
    merged = dict(builds[0])
    for build in builds[1:]:
        for name, contents in build.items():
            differs = merged.setdefault(name, contents) != contents
            if differs and name not in LINKED_TWICE and not BUILD_NOTES.search(name):
                return None
    return merged


def _tags(wheels: Sequence[Wheel]) -> str:
    parts = [wheel.tags.split("-") for wheel in wheels]
    return "-".join(".".join(dict.fromkeys(tag[place] for tag in parts)) for place in range(3))


def _listed(words: Iterable[str]) -> str:
    return "[" + ", ".join(f'"{word}"' for word in sorted(words)) + "]"


def sha256(path: Path) -> str:
    """The checksum of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
