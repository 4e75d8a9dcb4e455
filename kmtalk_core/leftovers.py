"""What killed runs leave behind: unfinished files and temporary folders, named so that their maker is recognised.

A name holds the machine and the process that made it. Whoever starts next removes what nobody works on any more.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

OWN = re.compile(r"(?:\..*\.)?kmtalk-(?P<machine>[0-9a-f]{8})-(?P<process>[0-9]+)-[0-9a-z_]+(?:\..*)?", re.DOTALL)
OLD = 7 * 86400.0  # s after which nobody works on something any more, on whatever machine
KEPT_OF_NAME = 20  # characters of the target's name in the unfinished file's, which must not become too long


def unfinished_name(target: Path) -> str:
    """A new hidden name for the file that will become `target`; it ends as that does."""
    suffix = target.suffix if len(target.suffix) <= KEPT_OF_NAME else ""
    return f".{target.stem[:KEPT_OF_NAME]}.{_mark()}{secrets.token_hex(4)}{suffix}"


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Yield a folder that goes when the block ends; those of killed runs go first."""
    remove_leftovers(Path(tempfile.gettempdir()))
    with tempfile.TemporaryDirectory(prefix=_mark(), ignore_cleanup_errors=True) as name:
        yield Path(name)


def remove_leftovers(folder: Path) -> int:
    """Remove the unfinished files and temporary folders in `folder` whose makers are gone; returns how many.

    Only what bears this program's naming and belongs to this user is touched: of this machine, what no living process
    made; of others, what is a week old. What cannot be removed stays without a word.
    """
    removed = 0
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            name = OWN.fullmatch(entry.name)
            if name is None or entry.is_symlink():
                continue
            with suppress(OSError):
                about = entry.stat(follow_symlinks=False)
                dead = name["machine"] == machine() and not process_lives(int(name["process"]))
                if about.st_uid != _user() or not (dead or time.time() - about.st_mtime > OLD):
                    continue
                shutil.rmtree(entry.path) if entry.is_dir() else os.unlink(entry.path)
                removed += 1
    return removed


def machine() -> str:
    """Eight hex digits for where process numbers mean the same: this machine, and the container on it."""
    spaces = ""
    with suppress(OSError):
        spaces = os.readlink("/proc/self/ns/pid")
    import platform

    return hashlib.sha256(f"{platform.node()}\n{spaces}".encode()).hexdigest()[:8]


def process_lives(process: int) -> bool:
    """Whether a process of this number is at work on this machine; one that ended, its parent looking away, is not."""
    if os.name == "nt":  # where os.kill would end it
        return _lives_on_windows(process)
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return not _has_ended(process)


def _has_ended(process: int) -> bool:
    """Whether the process is a zombie: in a container nobody may ever fetch the end of what lost its parent."""
    try:
        # The name before the state, in parentheses, may hold anything.
        return Path(f"/proc/{process}/stat").read_bytes().rpartition(b")")[2].split()[0] in (b"Z", b"X", b"x")
    except (OSError, IndexError):
        return False  # no such files on this system


def _lives_on_windows(process: int) -> bool:
    import ctypes

    query, still_active = 0x1000, 259
    kernel = ctypes.windll.kernel32  # type: ignore[attr-defined]
    handle = kernel.OpenProcess(query, False, process)
    if not handle:
        return False
    status = ctypes.c_ulong()
    kernel.GetExitCodeProcess(handle, ctypes.byref(status))
    kernel.CloseHandle(handle)
    return status.value == still_active


def _mark() -> str:
    return f"kmtalk-{machine()}-{os.getpid()}-"


def _user() -> int:
    return os.getuid() if hasattr(os, "getuid") else 0
