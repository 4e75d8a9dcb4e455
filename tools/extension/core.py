"""`kmtalk_core` as a wheel for the extension, and apart from it what only torch can run."""

from __future__ import annotations

import hashlib
from pathlib import Path

from .archive import write_wheel
from .wheels import ROOT

# The networks' definitions serve only where torch is: they go into the environments that the add-on makes.
FOR_TORCH = ("kmtalk_core/networks/", "kmtalk_core/runtime/torch_backend.py")


def core_files() -> dict[str, bytes]:
    """All of `kmtalk_core`: name → contents."""
    files = (p for p in sorted((ROOT / "kmtalk_core").rglob("*")) if p.is_file() and "__pycache__" not in p.parts)
    return {path.relative_to(ROOT).as_posix(): path.read_bytes() for path in files}


def write_core(folder: Path, version: str) -> tuple[Path, dict[str, bytes]]:
    """Write the wheel into `folder`; returns its path, and the files that are only for torch.

    The version carries a part of the contents' checksum: Blender unpacks a wheel only if none of its version is there.
    """
    files = core_files()
    digest = hashlib.sha256()
    for name, contents in files.items():
        digest.update(f"{name}:{len(contents)};".encode())
        digest.update(contents)
    stem = f"kmtalk-{version}+{digest.hexdigest()[:8]}"
    for_torch = {name: contents for name, contents in files.items() if name.startswith(FOR_TORCH)}
    kept = {name: contents for name, contents in files.items() if name not in for_torch}
    kept[f"{stem}.dist-info/licenses/LICENSE"] = (ROOT / "LICENSE").read_bytes()
    metadata = (
        f"Metadata-Version: 2.4\nName: kmtalk\nVersion: {stem.split('-')[1]}\nLicense-Expression: GPL-3.0-or-later\n"
    )
    return write_wheel(folder, stem, "py3-none-any", kept, metadata.encode(), pure=True), for_torch
