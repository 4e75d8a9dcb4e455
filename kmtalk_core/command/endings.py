"""How a command ends: with one line and an exit status after an error, in both command lines, and then at once."""

from __future__ import annotations

import atexit
import os
import sys
import threading
from typing import NoReturn

from ..errors import InputError, KMTalkError, shortened
from .display import Display

NO_MEMORY = "Not enough memory; work on a shorter sound or leave out --vertices."
DETAILS = "KMTALK_DETAILS"  # variable of the environment: whether tracebacks are shown


def ending(error: Exception | KeyboardInterrupt, display: Display) -> int:
    """Tell of what ended a command; returns the exit status: 2 for wrong input, else 1."""
    if isinstance(error, KeyboardInterrupt):
        display.error("interrupted; nothing was written.")
        return 1
    if isinstance(error, KMTalkError):
        display.error(str(error))
        return 2 if isinstance(error, InputError) else 1
    return _unforeseen(error, display)


def _unforeseen(error: Exception, display: Display) -> int:
    """Tell of an error that is the program's own; returns the exit status."""
    if os.environ.get(DETAILS):
        import traceback

        traceback.print_exc()
    if isinstance(error, MemoryError) or "start new thread" in str(error):
        display.error(NO_MEMORY)
        return 1
    told = f"{type(error).__name__}: {shortened(error, 120)}" if str(error) else type(error).__name__
    display.error(f"KMTalk met an error of its own ({told}); set {DETAILS}=1 to see more, and report it.")
    return 1


def leave(status: int) -> NoReturn:
    """End the process with `status`, without taking apart first what the system frees anyway: that takes longer than
    reading a line of speech. What registered itself for the end is called, and what was written is written."""
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError, AttributeError):  # nobody reads any more; Python has its own way of telling so
        sys.exit(status)
    if threading.active_count() > 1:
        sys.exit(status)
    atexit._run_exitfuncs()
    os._exit(status)
