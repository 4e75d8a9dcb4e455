"""Telling how far the work is, wherever it is done."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[float, str], None]
"""Hears the share of the work that is done, 0…1, and what is being done; may raise Cancelled."""


def silent_progress(share: float, doing: str) -> None:
    """Tell nobody."""


def section(progress: Progress, begin: float, end: float) -> Progress:
    """Tells `progress` of work that is the part `begin`…`end` of the whole."""
    return lambda share, doing: progress(begin + (end - begin) * share, doing)
