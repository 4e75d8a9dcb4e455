"""How a command ends that met what nobody has foreseen: one line, and a hint how to see more."""

from __future__ import annotations

import os
import traceback

from ..errors import shortened
from .display import Display

NO_MEMORY = "Not enough memory; work on a shorter sound or leave out --vertices."
DETAILS = "KMTALK_DETAILS"  # variable of the environment: whether tracebacks are shown


def unforeseen(error: Exception, display: Display) -> int:
    """Tell of an error that is the program's own; returns the exit status."""
    if os.environ.get(DETAILS):
        traceback.print_exc()
    if isinstance(error, MemoryError) or "start new thread" in str(error):
        display.error(NO_MEMORY)
        return 1
    told = f"{type(error).__name__}: {shortened(error, 120)}" if str(error) else type(error).__name__
    display.error(f"KMTalk met an error of its own ({told}); set {DETAILS}=1 to see more, and report it.")
    return 1
