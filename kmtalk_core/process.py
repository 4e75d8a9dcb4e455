"""What a process of ours asks of the system before it works: threads, and how memory is kept."""

from __future__ import annotations

import ctypes
import os
import sys

from .threads import one_thread

# Of glibc's `mallopt`: the kind of the setting, its variable in the environment, and bytes.
KEPT = (
    (-3, "MALLOC_MMAP_THRESHOLD_", 64 * 1024**2),  # smaller blocks come from memory that was freed before
    (-1, "MALLOC_TRIM_THRESHOLD_", 256 * 1024**2),  # of which so much stays with the process
)


def settle() -> None:
    """To be called first, before numpy is imported."""
    one_thread()
    keep_freed()


def keep_freed() -> None:
    """Have freed memory serve again, where the library is glibc: half of all page faults, a tenth of a minute's time.

    Else arrays of a second of sound come from the system, cleared, each time. `memory.give_back` gives all of it back.
    Whoever has set the variables keeps what was set.
    """
    if not sys.platform.startswith("linux"):
        return
    try:
        option = getattr(ctypes.CDLL(None), "mallopt", None)
    except OSError:
        return
    for kind, variable, size in KEPT:
        if option is not None and variable not in os.environ:
            option(kind, size)
