"""The extension to be tested, and an older one that it is put over."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

import build_addon
from tools.extension import archive
from tools.extension.wheels import OTHER_PYTHONS, PYTHONS, BuildError

__all__ = ["OLDER", "PYTHONS", "BuildError", "as_shipped", "build", "older"]

OLDER = "0.0.1"


def build(folder: Path, for_others: bool = True) -> Path:
    """The extension for Linux; `for_others` with the wheels for the Python of Debian's newest Blender too."""
    return build_addon.build("linux-x64", (*PYTHONS, *OTHER_PYTHONS) if for_others else PYTHONS, folder)


def as_shipped(folder: Path) -> Path:
    """The extension for Linux as users get it, with the wheels for the Pythons of official Blenders only."""
    folder.mkdir(exist_ok=True)
    return build_addon.build("linux-x64", PYTHONS, folder)


def older(new: Path, folder: Path) -> Path:
    """The extension `new` as an older version might have been, with a core of its own version."""
    files = archive.read_zip(new)
    name = next(name for name in files if name.startswith("wheels/kmtalk-"))
    with tempfile.TemporaryDirectory() as temporary:
        wheel = Path(temporary) / "wheel"
        wheel.write_bytes(files.pop(name))
        core = {path: data for path, data in archive.read_zip(wheel).items() if path.startswith("kmtalk_core/")}
        core["kmtalk_core/__init__.py"] = re.sub(
            rb'__version__ = "[^"]+"', f'__version__ = "{OLDER}"'.encode(), core["kmtalk_core/__init__.py"]
        )
        core["kmtalk_core/only_in_the_older_one.py"] = b""
        stem = f"kmtalk-{OLDER}"
        made = archive.write_wheel(Path(temporary), stem, "py3-none-any", core, b"Name: kmtalk\n", pure=True)
        files[f"wheels/{made.name}"] = made.read_bytes()
    manifest = files["blender_manifest.toml"].decode()
    manifest = re.sub(r'^version = "[^"]+"', f'version = "{OLDER}"', manifest, flags=re.MULTILINE)
    files["blender_manifest.toml"] = manifest.replace(Path(name).name, made.name).encode()
    path = folder / f"kmtalk-{OLDER}-linux-x64.zip"
    archive.write_zip(path, files, stored=(".whl", ".zip"))
    return path
