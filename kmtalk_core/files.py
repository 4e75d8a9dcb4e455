"""Files: arrays in .npz, read with care and written whole or not at all; text; and large arrays that lie on disk."""

from __future__ import annotations

import errno
import hashlib
import io
import math
import os
import shutil
import stat
import tempfile
import zipfile
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from .archives import Unreadable, read_arrays
from .errors import InputError, KMTalkError, StorageError
from .leftovers import unfinished_name

LARGE = 256 * 1024**2  # bytes: larger arrays are kept on disk rather than in memory
ROWS = 64  # rows of such an array that are handled at once


def load_npz(
    path: str | os.PathLike[str] | IO[bytes], names: Collection[str] | None = None, sealed: bool = False
) -> dict[str, np.ndarray]:
    """Read the arrays of an .npz, or those of `names` that it has; never unpickles. Raises InputError.

    A file that would unpack to far more than arrays of its size can hold is refused. `path` may be an open file too.
    `sealed`: the caller compares a checksum of its own.
    """
    where = "The data" if isinstance(path, io.IOBase) else path
    try:
        return dict(read_arrays(path, names, sealed))
    except FileNotFoundError:
        raise InputError(f"There is no file {path}; check the path.") from None
    except Unreadable as reason:
        raise InputError(f"{where} is not a readable .npz file; {reason}.") from None


def save_npz(arrays: Mapping[str, np.ndarray], path: str | os.PathLike[str], compressed: bool = True) -> None:
    """Write an .npz whole or not at all, the same bytes for the same arrays (no time stamps)."""
    with (
        written_whole(path) as partial,
        zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
    ):
        for name, given in arrays.items():
            array = np.asanyarray(given)
            info = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            shrinks = compressed and array.dtype != np.float16  # features, a twelfth of which would be saved
            info.compress_type = zipfile.ZIP_DEFLATED if shrinks else zipfile.ZIP_STORED
            with archive.open(info, "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def save_sealed(arrays: Mapping[str, np.ndarray], path: str | os.PathLike[str]) -> str:
    """Write an .npz with the checksum of its arrays, uncompressed; returns the checksum (sha256, hex)."""
    digest = digest_of(arrays)
    save_npz({**arrays, "sha256": np.array(digest)}, path, compressed=False)
    return digest


def load_sealed(path: str | os.PathLike[str], otherwise: str) -> tuple[dict[str, np.ndarray], str]:
    """The arrays of what `save_sealed` wrote, one of which has to be `config`, and their checksum.

    Raises InputError: for a file of another kind, that it is `otherwise`.
    """
    arrays = load_npz(path, sealed=True)
    if "config" not in arrays or "sha256" not in arrays:
        raise InputError(f"{path} is {otherwise}")
    expected = str(arrays.pop("sha256"))
    if digest_of(arrays) != expected:
        raise InputError(f"{path} is damaged (its checksum differs); copy or install it again.")
    return arrays, expected


def digest_of(arrays: Mapping[str, np.ndarray]) -> str:
    """sha256 (hex) of the names, types, shapes and values of arrays, in whatever order they are."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name}:{array.dtype.str}:{array.shape};".encode())
        digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def save_text(text: str, path: str | os.PathLike[str], durable: bool = False) -> None:
    """Write a UTF-8 text file whole or not at all; lines end as they do in `text`."""
    with written_whole(path, durable) as partial:
        partial.write_bytes(text.encode("utf-8"))


def synchronise(paths: Iterable[Path]) -> None:
    """Have these files, which were written before, on the disk, and their names too. Raises OSError."""
    folders = set()
    for path in paths:
        with suppress(FileNotFoundError), path.open("r+b") as file:
            os.fsync(file.fileno())
        folders.add(path.parent)
    for folder in folders:
        _sync_folder(folder)


@contextmanager
def written_whole(path: str | os.PathLike[str], durable: bool = False) -> Iterator[Path]:
    """Yield a path beside `path` to write to; it takes `path`'s place only if the block succeeds.

    A link stays, and what it leads to is replaced; so do the permissions of a file that is replaced. A pipe, /dev/null
    and other streams are no files to replace: they get the bytes when all is written. What replaces a file is on the
    disk before it does; with `durable`, everything is, before the block ends. Raises InputError for a path that cannot
    be a file, StorageError for a disk that is full or read-only, and KMTalkError otherwise, with a remedy.
    """
    target = Path(path)
    try:
        place = _place_of(target)
        partial = place.new_unfinished()
    except (OSError, ValueError) as error:
        raise _cannot_write(target, error) from None
    try:
        yield partial
        place.take(partial, durable)
    except OSError as error:
        if error.filename is not None and str(error.filename) not in (str(partial), str(place.path)):
            raise  # of another file, which the block read
        raise _cannot_write(target, error) from None
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


@dataclass(frozen=True)
class _Place:
    """Where an output goes: `path` without links; `mode`: permissions of the file that is there, None for none.

    `descriptor`: of the stream, where this process has it open already.
    """

    path: Path
    stream: bool = False
    mode: int | None = None
    descriptor: int | None = None

    def new_unfinished(self) -> Path:
        folder = Path(tempfile.gettempdir()) if self.stream else self.path.parent
        partial = folder / unfinished_name(self.path)
        os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        return partial

    def take(self, partial: Path, durable: bool) -> None:
        if self.stream:
            # What is open already goes on where it stands: after `>>`, or behind what others wrote to it.
            out = os.open(self.path, os.O_WRONLY) if self.descriptor is None else os.dup(self.descriptor)
            with partial.open("rb") as source, open(out, "wb") as stream:
                shutil.copyfileobj(source, stream)
            return
        if self.mode is not None:
            partial.chmod(self.mode)
        if durable or self.mode is not None:
            with partial.open("r+b") as file:
                os.fsync(file.fileno())
        partial.replace(self.path)
        if durable:
            _sync_folder(self.path.parent)


def _place_of(target: Path) -> _Place:
    """Find out where `target` leads; raises InputError where no file can be, OSError where that cannot be found out."""
    if not target.parent.is_dir():
        raise InputError(f"The folder {target.parent} does not exist; create it or choose another output.")
    try:
        about = target.stat()
    except FileNotFoundError:
        about = None
    if about is not None and stat.S_ISDIR(about.st_mode):
        raise InputError(f"The output {target} is a folder; name a file.")
    descriptor = _descriptor(target)
    if about is not None and (not stat.S_ISREG(about.st_mode) or descriptor is not None):
        if stat.S_ISBLK(about.st_mode) or stat.S_ISSOCK(about.st_mode) or _is_terminal(target, about.st_mode):
            raise InputError(f"The output {target} is a device, not a file; name a file.")
        return _Place(target, stream=True, descriptor=descriptor)
    path = Path(os.path.realpath(target))
    if not path.parent.is_dir() or path.is_symlink():
        raise InputError(f"The output {target} is a link that leads nowhere; mend it or choose another output.")
    if about is None:
        return _Place(path)
    if not os.access(path, os.W_OK):
        raise KMTalkError(f"{target} is write-protected; unlock it or choose another output.")
    return _Place(path, mode=stat.S_IMODE(about.st_mode))


def is_stream(path: Path) -> bool:
    """Whether `path` is /dev/stdout, /dev/null, a named pipe or the like: nothing with an ending that says a format."""
    try:
        return _place_of(path).stream
    except (KMTalkError, OSError, ValueError):
        return False


def _descriptor(path: Path) -> int | None:
    """The number of the open file of this process that `path` names, as /dev/stdout does, or None."""
    for _ in range(40):  # as many links as a kernel follows
        folder = os.path.realpath(path.parent)
        if folder in ("/dev/fd", f"/proc/{os.getpid()}/fd") and path.name.isdigit():
            return int(path.name)
        if not path.is_symlink():
            return None
        path = Path(folder, os.readlink(path))
    return None


def _is_terminal(path: Path, mode: int) -> bool:
    if not stat.S_ISCHR(mode):
        return False
    with path.open("wb", buffering=0) as stream:
        return stream.isatty()


def _sync_folder(folder: Path) -> None:
    """Have the new name on the disk too, where folders can be synchronised (not on Windows, nor on some shares)."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _cannot_write(target: Path, error: OSError | ValueError) -> KMTalkError:
    """One sentence with a remedy for what kept `target` from being written."""
    code = error.errno if isinstance(error, OSError) else None
    if code == errno.ENOSPC:
        return StorageError(f"Cannot write {target}: the disk is full; free some space or choose another folder.")
    if code is not None and code == getattr(errno, "EDQUOT", None):
        return StorageError(f"Cannot write {target}: your quota is used up; free some space or choose another folder.")
    if code == errno.EROFS:
        return StorageError(f"Cannot write {target}: the disk is read-only; choose another folder.")
    if code == errno.EFBIG:
        return KMTalkError(f"Cannot write {target}: it is larger than files may be here; choose another disk.")
    if code == errno.ENAMETOOLONG:
        return InputError(f"The output's name {target.name[:40]}… is too long; choose a shorter one.")
    if isinstance(error, ValueError):
        return InputError(f"The output {str(target)[:80]!r} is no name that files can have; choose another one.")
    return KMTalkError(f"Cannot write {target} ({error.strerror or error}); choose another folder.")


def read_text(path: Path) -> str:
    """Read a UTF-8 text file; raises InputError if that fails."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"Cannot read {path} ({error.strerror}); check the path.") from None
    except UnicodeDecodeError:
        raise InputError(f"{path} is not UTF-8 text; save it as UTF-8.") from None


def scratch(shape: tuple[int, ...]) -> np.ndarray:
    """Zeros (float32); where they are many in a file that goes with the array. Raises OSError on a full disk."""
    size = 4 * math.prod(shape)
    if size <= LARGE:
        return np.zeros(shape, np.float32)
    with tempfile.TemporaryFile() as file:
        if hasattr(os, "posix_fallocate"):  # a full disk is an error here, but would end the process later
            os.posix_fallocate(file.fileno(), 0, size)
        return np.memmap(file, np.float32, shape=shape)


def blocks(count: int, size: int = ROWS) -> Iterator[slice]:
    """0…count in slices of at most `size`."""
    for low in range(0, count, size):
        yield slice(low, min(low + size, count))
