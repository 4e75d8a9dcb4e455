"""The worker's side of a pool: one process that does one job after the other until its parent is gone.

Jobs come through standard input and results leave through standard output, both pickled: parent and child are the same
program, and nobody else holds the pipes.
"""

from __future__ import annotations

import importlib
import os
import pickle
import queue
import signal
import threading
import time
from collections.abc import Callable
from typing import Any, BinaryIO

from ...errors import KMTalkError
from ..stopping import end_with_parent

NEWS_EVERY = 0.2  # s between two messages of how far a job is, at the least


class Tell:
    """What a job tells its pool while it is done; this one is for jobs without a pool, and tells nobody."""

    def __call__(self, seconds: float) -> None:
        """It may still take so many seconds."""

    def progress(self, share: float, doing: str) -> None:
        """It is done to this share, 0 to 1, and what is being done now."""


class _ToParent(Tell):
    def __init__(self, number: int, send: Callable[..., None]) -> None:
        self._number, self._send = number, send
        self._told_at = time.monotonic()

    def __call__(self, seconds: float) -> None:
        self._send("takes", self._number, seconds)

    def progress(self, share: float, doing: str) -> None:
        if (now := time.monotonic()) - self._told_at >= NEWS_EVERY:
            self._told_at = now
            self._send("at", self._number, share, doing)


def main(parent: int, work: str) -> None:
    """Make the worker that `work` ("module:factory") names, and do what comes; returns when standard input ends."""
    end_with_parent(parent, "SIGKILL")  # in the midst of whatever it does; elsewhere than on Linux the pipe tells
    for name in ("SIGINT", "SIGHUP"):  # meant for the parent, which decides what becomes of its workers
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    source, out = _private_pipes()
    jobs: queue.SimpleQueue[tuple[int, Any]] = queue.SimpleQueue()
    threading.Thread(target=_read_jobs, args=(source, jobs), daemon=True).start()

    def send(*message: Any) -> None:
        out.write(pickle.dumps(message))
        out.flush()

    module, _, factory = work.partition(":")
    try:
        do = getattr(importlib.import_module(module), factory)()
    except KMTalkError as error:
        send("unable", str(error))
        return
    send("ready")
    while True:
        number, job = jobs.get()
        send("began", number)
        result = do(job, _ToParent(number, send))
        send("done", number, result)


def _read_jobs(source: BinaryIO, jobs: queue.SimpleQueue[tuple[int, Any]]) -> None:
    """Hand on what the parent sends; the end of the pipe is the end of the parent, and so of this process."""
    while True:
        try:
            jobs.put(pickle.load(source))
        except Exception:
            os._exit(0)


def _private_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Standard input and output for the protocol alone: what else reads gets nothing, what prints goes to stderr."""
    source, out = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.dup2(2, 1)
    return source, out
