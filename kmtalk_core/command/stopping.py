"""Being told to stop: Ctrl-C, SIGTERM, SIGHUP and a closed terminal; asked once it is gentle, twice at once."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

PR_SET_PDEATHSIG = 1  # of prctl, on Linux
SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name))


class Stop:
    """Whether somebody has asked to stop; `by` names how. Whoever waits for something else sets `wake`."""

    def __init__(self) -> None:
        self.by: str | None = None
        self.wake: Callable[[], None] = lambda: None

    def ask(self, by: str) -> None:
        self.by = by
        self.wake()


@contextmanager
def stopped_by_signals() -> Iterator[Stop]:
    """Yield a `Stop` that signals ask while the block runs; the second signal raises KeyboardInterrupt.

    Signals that are ignored stay so (`nohup`, jobs in the background). Outside of the main thread, where Python handles
    no signals, nothing asks.
    """
    stop = Stop()
    former: dict[signal.Signals, Any] = {}

    def handle(number: int, _: object) -> None:
        if stop.by is not None:
            raise KeyboardInterrupt
        stop.ask("Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name)

    if threading.current_thread() is threading.main_thread():
        for kind in SIGNALS:
            if signal.getsignal(kind) not in (signal.SIG_IGN, None):
                former[kind] = signal.signal(kind, handle)
    try:
        yield stop
    finally:
        for kind, handler in former.items():
            signal.signal(kind, handler)


def ends_with_this() -> Callable[[], None] | None:
    """What a new process is to do first, so that the kernel ends it with this thread (`preexec_fn`); on Linux only.

    All that it needs is there before, for a process with threads must do little between its birth and its program.
    """
    if not sys.platform.startswith("linux"):
        return None
    import ctypes

    prctl, kind = ctypes.CDLL(None).prctl, int(signal.SIGKILL)
    return lambda: prctl(PR_SET_PDEATHSIG, kind, 0, 0, 0)


def end_with_parent(parent: int, kind: str) -> None:
    """Have the kernel send this process the signal `kind` ("SIGTERM") when its `parent` is gone; on Linux only."""
    if not sys.platform.startswith("linux"):
        return
    import ctypes

    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.Signals[kind]), 0, 0, 0)
    if os.getppid() != parent:  # it went before that
        os._exit(1)
