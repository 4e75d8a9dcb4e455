"""Files: arrays in .npz, read with care and written whole or not at all."""

from __future__ import annotations

import os
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from .errors import InputError, KMTalkError


def load_npz(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Read every array of an .npz; never unpickles."""
    try:
        with np.load(path, allow_pickle=False) as z:
            return {name: z[name] for name in z.files}
    except FileNotFoundError:
        raise InputError(f"There is no file {path}; check the path.") from None
    except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile, zlib.error, AttributeError):
        raise InputError(f"{path} is not a readable .npz file; it may be damaged or of another format.") from None


def save_npz(arrays: Mapping[str, np.ndarray], path: str | os.PathLike[str], compressed: bool = True) -> None:
    """Write an .npz whole or not at all, the same bytes for the same arrays (no time stamps)."""
    with (
        written_whole(path) as partial,
        zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
    ):
        for name, array in arrays.items():
            info = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            info.compress_type = zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED
            with archive.open(info, "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asanyarray(array), allow_pickle=False)


@contextmanager
def written_whole(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a path beside `path` to write to; it takes `path`'s place only if the block succeeds.

    Raises KMTalkError with a remedy if the folder is missing, unwritable or the disk is full.
    """
    target = Path(path)
    if not target.parent.is_dir():
        raise InputError(f"The folder {target.parent} does not exist; create it or choose another output.")
    if target.is_dir():
        raise InputError(f"The output {target} is a folder; name a file.")
    try:
        handle, name = tempfile.mkstemp(prefix=f".{target.stem}.", suffix=target.suffix, dir=target.parent)
        os.close(handle)
    except OSError as error:
        raise KMTalkError(f"Cannot write to {target.parent} ({error.strerror}); choose another folder.") from None
    partial = Path(name)
    try:
        yield partial
        umask = os.umask(0)
        os.umask(umask)
        partial.chmod(0o666 & ~umask)
        partial.replace(target)
    except OSError as error:
        raise KMTalkError(
            f"Cannot write {target} ({error.strerror}); free some space or choose another folder."
        ) from None
    finally:
        partial.unlink(missing_ok=True)
