"""Arrays out of an .npz of unknown origin: nothing is unpickled, and none unpacks to more than its file is good for."""

from __future__ import annotations

import io
import json
import lzma
import math
import os
import struct
import zipfile
import zlib
from collections.abc import Collection, Iterator
from typing import IO, Any

import numpy as np

ALWAYS = 512 * 1024**2  # bytes that any file may unpack to …
RATIO = 50  # … or so many times its own size: motion shrinks to a tenth at best, a zip bomb to a thousandth
PIECE = 256 * 1024  # bytes that are unpacked at once: they stay in the processor's cache
BROKEN = (
    OSError, ValueError, TypeError, EOFError, KeyError, AttributeError, RuntimeError, SyntaxError, MemoryError,
    OverflowError, struct.error, zipfile.BadZipFile, zlib.error, lzma.LZMAError,
)  # fmt: skip


class Unreadable(Exception):
    """The file is no .npz that can be read; the message says why, in a few words."""


def read_arrays(
    file: str | os.PathLike[str] | IO[bytes], names: Collection[str] | None = None, sealed: bool = False
) -> Iterator[tuple[str, np.ndarray]]:
    """Each array of an .npz, or each of `names` that it has. Raises Unreadable, and FileNotFoundError.

    `sealed`: whoever asks has another checksum of the arrays, so those of the .npz need not be looked at.
    """
    try:
        size = os.stat(file).st_size if isinstance(file, str | os.PathLike) else file.seek(0, io.SEEK_END)
        with zipfile.ZipFile(file) as archive:
            left = max(ALWAYS, RATIO * size)
            for member in archive.infolist():
                name = member.filename.removesuffix(".npy")
                if names is None or name in names:
                    if sealed:
                        del member.CRC
                    with archive.open(member) as stream:
                        array = _array(stream, left)
                    left -= array.nbytes
                    yield name, array
    except FileNotFoundError:
        raise
    except BROKEN:
        raise Unreadable("it may be damaged or of another format") from None


def _array(stream: IO[bytes], most: int) -> np.ndarray:
    """One .npy of at most `most` bytes; its header is believed only so far."""
    version = np.lib.format.read_magic(stream)
    headers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    shape, by_columns, kind = headers[version](stream)
    count = math.prod(shape)
    size = count * kind.itemsize
    if kind.hasobject or min(shape, default=0) < 0:
        raise ValueError
    if max(size, count) > most:
        raise Unreadable(f"it would unpack to {size / 1e9:.1f} GB, far more than such a file can hold")
    data = np.empty(size, np.uint8)
    at = 0
    while at < size:
        piece = stream.read(min(PIECE, size - at))
        if not piece:
            raise EOFError
        data[at : at + len(piece)] = np.frombuffer(piece, np.uint8)
        at += len(piece)
    if not size:
        return np.zeros(shape, kind)
    return np.ndarray(shape, kind, data, order="F" if by_columns else "C")


def parsed(text: str) -> Any:
    """JSON of unknown origin; raises ValueError for anything else, however deep it is or however long its numbers."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
