"""Zip files and wheels whose bytes depend on nothing but their contents."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from collections.abc import Mapping
from pathlib import Path

MOMENT = (1980, 1, 1, 0, 0, 0)  # of every file: the first that a zip can tell
MODE = 0o100644 << 16
LEVEL = 6  # of compression; 9 takes twice as long and saves less than a percent


def write_zip(path: Path, files: Mapping[str, bytes], stored: tuple[str, ...] = ()) -> None:
    """Write `files` (name → contents) in the order of their names; those that end in `stored` are not compressed."""
    partial = path.with_name(path.name + ".partial")
    with zipfile.ZipFile(partial, "w") as archive:
        for name in sorted(files):
            info = zipfile.ZipInfo(name, MOMENT)
            info.external_attr, info.create_system = MODE, 3  # as on Unix, wherever it is built
            packed = zipfile.ZIP_STORED if name.endswith(stored or ("\0",)) else zipfile.ZIP_DEFLATED
            archive.writestr(info, files[name], packed, LEVEL)
    partial.replace(path)


def read_zip(path: Path) -> dict[str, bytes]:
    """Name → contents of all files."""
    with zipfile.ZipFile(path) as archive:
        return {info.filename: archive.read(info) for info in archive.infolist() if not info.is_dir()}


def write_wheel(folder: Path, stem: str, tags: str, files: Mapping[str, bytes], metadata: bytes, pure: bool) -> Path:
    """Write a wheel of the distribution `stem` (name-version); returns its path.

    `files` are without WHEEL, METADATA and RECORD, which are made here; `tags` are python-abi-platform, compressed sets
    (cp311.cp313-…) too.
    """
    pythons, abis, platforms = (part.split(".") for part in tags.split("-"))
    expanded = [f"Tag: {p}-{a}-{s}" for p, a in _pairs(pythons, abis) for s in platforms]
    wheel = ["Wheel-Version: 1.0", "Generator: KMTalk", f"Root-Is-Purelib: {str(pure).lower()}", *expanded, ""]
    info = f"{stem}.dist-info"
    whole = {**files, f"{info}/WHEEL": "\n".join(wheel).encode(), f"{info}/METADATA": metadata}
    record = [f"{name},{_digest(whole[name])},{len(whole[name])}" for name in sorted(whole)]
    whole[f"{info}/RECORD"] = "\n".join([*record, f"{info}/RECORD,,", ""]).encode()
    path = folder / f"{stem}-{tags}.whl"
    write_zip(path, whole)
    return path


def _pairs(pythons: list[str], abis: list[str]) -> list[tuple[str, str]]:
    """Each Python with its own ABI, if there is one for each; else all combinations."""
    if len(pythons) == len(abis):
        return list(zip(pythons, abis, strict=True))
    return [(python, abi) for python in pythons for abi in abis]


def _digest(contents: bytes) -> str:
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(contents).digest()).rstrip(b"=").decode()
