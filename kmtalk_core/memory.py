"""Memory for long sounds: what is freed goes back to the system, and what waits lies on the disk."""

from __future__ import annotations

import math
import mmap
import os
import tempfile

import numpy as np

from .process import keep_freed, of_glibc

LONG = 300.0  # s of sound beyond which room is scarce
IN_MEMORY = 32 * 1024**2  # bytes of an array; larger ones lie on the disk
LARGE, KEPT = 4 * 1024**2, 32 * 1024**2  # bytes of an array that is large, and of freed memory that stays


def give_back(*waiting: np.ndarray) -> None:
    """Give freed memory back to the system, and that of arrays that lie in files until they are read again.

    C libraries keep freed memory for a next time that may not come; where the library is glibc, this takes some ms.
    """
    let_wait(*waiting)
    trim = of_glibc("malloc_trim")
    if trim is not None:
        trim(0)


def let_wait(*waiting: np.ndarray) -> None:
    """Keep arrays that lie in files out of memory until they are read or written again."""
    for array in waiting:
        base: object = array
        while isinstance(base, np.ndarray | memoryview):
            base = base.base if isinstance(base, np.ndarray) else base.obj
        if isinstance(base, mmap.mmap) and hasattr(base, "madvise"):
            base.madvise(mmap.MADV_DONTNEED)  # the file has what was written


def waiting_zeros(shape: tuple[int, ...], dtype: type[np.generic]) -> np.ndarray:
    """Zeros that can wait on the disk; in memory if they are few, or if there is no room on the disk."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if size > IN_MEMORY and hasattr(os, "posix_fallocate"):
        try:
            with tempfile.TemporaryFile(prefix="kmtalk-features-") as file:
                os.posix_fallocate(file.fileno(), 0, size)  # or a full disk would kill the process later
                return np.ndarray(shape, dtype, buffer=mmap.mmap(file.fileno(), size))
        except OSError:
            pass
    return np.zeros(shape, dtype)


def give_back_at_once(large: int = LARGE) -> None:
    """From now on, arrays of `large` bytes and more go back to the system as soon as nobody needs them.

    Else glibc keeps ever larger ones the more it is given back, with gaps that the next ones do not fit in. The more go
    back, the less memory it takes, and the more time: the system clears what it gives.
    """
    keep_freed(large, KEPT, anyway=True)
