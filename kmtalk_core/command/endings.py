"""How a command ends that met an error: one line and an exit status, in both command lines."""

from __future__ import annotations

import os
import traceback

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
        traceback.print_exc()
    if isinstance(error, MemoryError) or "start new thread" in str(error):
        display.error(NO_MEMORY)
        return 1
    told = f"{type(error).__name__}: {shortened(error, 120)}" if str(error) else type(error).__name__
    display.error(f"KMTalk met an error of its own ({told}); set {DETAILS}=1 to see more, and report it.")
    return 1
