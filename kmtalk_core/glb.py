"""The container of glTF 2.0 in one file: a description in JSON, and the binary part that it describes."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def write_glb(data: Mapping[str, Any], binary: bytes | bytearray, path: Path) -> None:
    """Write `data`, whose first buffer is `binary`."""
    blob = bytes(binary) + b"\0" * (-len(binary) % 4)
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 4)
    with path.open("wb") as file:
        file.write(struct.pack("<4sII", b"glTF", 2, 12 + 8 + len(text) + 8 + len(blob)))
        file.write(struct.pack("<I4s", len(text), b"JSON") + text)
        file.write(struct.pack("<I4s", len(blob), b"BIN\0") + blob)
