"""The recogniser's matrices as they are worked with, kept in the user's cache: to decode them takes half a second.

They are mapped into memory, so that processes side by side share them. A file that is not whole, or of another
recogniser, is made anew; where none can be written, each process decodes for itself.
"""

from __future__ import annotations

import mmap
import os
import time
import zlib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np

from ..cache import cache_folder
from ..errors import InputError
from ..files import load_npz
from ..leftovers import remove_leftovers, unfinished_name
from .archive import RecogniserFile, load_recogniser, recogniser_around

CHECKED = 4  # bytes of the checksum that ends the file
START, ENDING = "recogniser-", ".int8"
LEAST = 1 << 20  # bytes of matrices that are worth keeping
UNUSED = 30 * 86400.0  # s after which another recogniser's are taken to be of a version that is gone


def open_recogniser(path: str | os.PathLike[str]) -> RecogniserFile:
    """As `archive.load_recogniser`, from what an earlier process decoded where that is there."""
    seal = load_npz(path, ("sha256",)).get("sha256")
    if seal is None:
        return load_recogniser(path)  # which tells what it is instead
    try:
        place = _place(str(seal))
    except RuntimeError:  # nobody's home
        return load_recogniser(path)
    with suppress(OSError, ValueError, InputError):
        return recogniser_around(_mapped(place), path)
    file = load_recogniser(path)
    if sum(matrix.nbytes for matrix in file.matrices.values()) >= LEAST:
        with suppress(OSError):
            _keep(file.matrices, place)
    return file


def _place(seal: str) -> Path:
    return cache_folder() / f"{START}{seal[:16]}{ENDING}"


def _mapped(place: Path) -> memoryview:
    """The bytes of all matrices. Raises OSError, and ValueError if they are not what was written."""
    with place.open("rb") as file:
        whole = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    steps = whole[:-CHECKED]
    if zlib.crc32(steps) != int.from_bytes(whole[-CHECKED:], "little"):
        raise ValueError("The file is damaged.")
    return steps


def _keep(matrices: Mapping[str, np.ndarray], place: Path) -> None:
    """Write them for the next process, and remove old ones. Nothing waits for the disk: what is read is checked."""
    place.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(place.parent)
    partial = place.with_name(unfinished_name(place))
    try:
        check = 0
        with partial.open("xb") as file:
            for matrix in matrices.values():
                check = zlib.crc32(matrix.data, check)
                file.write(matrix.data)
            file.write(check.to_bytes(CHECKED, "little"))
        partial.replace(place)
    finally:
        partial.unlink(missing_ok=True)
    for other in place.parent.glob(f"{START}*{ENDING}"):
        with suppress(OSError):
            if time.time() - other.stat().st_mtime > UNUSED:
                other.unlink()
