"""What a process of ours asks of the system before it works: threads, and how memory is kept."""

from __future__ import annotations

import ctypes
import functools
import os
import sys
from collections.abc import Callable

from .threads import one_thread

# Of glibc's `mallopt`: the number of the setting, and its variable in the environment.
MMAP_THRESHOLD = (-3, "MALLOC_MMAP_THRESHOLD_")
TRIM_THRESHOLD = (-1, "MALLOC_TRIM_THRESHOLD_")
SMALL, KEPT = 64 * 1024**2, 256 * 1024**2  # bytes


def settle() -> None:
    """To be called first, before numpy is imported."""
    one_thread()
    keep_freed()


def keep_freed(small: int = SMALL, kept: int = KEPT, anyway: bool = False) -> None:
    """Have freed memory serve again, where the library is glibc: half of all page faults, a tenth of a minute's time.

    Else arrays of a second of sound come from the system, cleared, each time. Blocks below `small` bytes are taken from
    what was freed before, of which up to `kept` bytes stay with the process; `memory.give_back` gives all of it back.
    What somebody has set by variables stays, unless the caller wants this `anyway`.
    """
    option = of_glibc("mallopt")
    if option is None:
        return
    for (number, variable), size in ((MMAP_THRESHOLD, small), (TRIM_THRESHOLD, kept)):
        if anyway or variable not in os.environ:
            option(number, size)


@functools.cache
def of_glibc(name: str) -> Callable[..., int] | None:
    """A function of the C library, None if it has none of this name."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        function: Callable[..., int] | None = getattr(ctypes.CDLL(None), name, None)
    except OSError:
        return None
    return function
