"""Jobs for child processes: run side by side, cancelled at any moment, gone when the parent is gone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

from ..errors import KMTalkError
from ..progress import Progress


class Children:
    """Up to `count` children that run `script`, each started when a job first needs it.

    Use it as a context manager; whatever leaves the block, cancelling too, ends the children.
    """

    def __init__(self, script: Path, count: int) -> None:
        self._script = script
        self._threads = ThreadPoolExecutor(count, thread_name_prefix=script.stem)
        self._own = threading.local()
        self._all: list[subprocess.Popen[bytes]] = []
        self._closing = threading.Event()
        self._lock = threading.Lock()

    def __enter__(self) -> Children:
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._closing.set()
            for child in self._all:
                child.kill()
        self._threads.shutdown(wait=True, cancel_futures=True)
        for child in self._all:
            for pipe in (child.stdin, child.stdout):
                if pipe is not None:
                    pipe.close()
            child.wait()

    def submit(self, job: str, data: Callable[[], bytes], **details: Any) -> Future[Any]:
        """Queue a job; its result, or KMTalkError, comes through the future.

        `data` is called when a child is free, so that waiting jobs hold no memory.
        """
        return self._threads.submit(self._run, {"job": job, **details}, data)

    def _run(self, job: dict[str, Any], data: Callable[[], bytes]) -> Any:
        child = self._child()
        assert child.stdin is not None and child.stdout is not None
        content = data()
        try:
            child.stdin.write(json.dumps({**job, "bytes": len(content)}).encode() + b"\n" + content)
            child.stdin.flush()
            line = child.stdout.readline()
        except OSError:
            line = b""
        if not line:
            status = child.wait()
            raise KMTalkError(f"The speech aligner ended unexpectedly (status {status}); please run it again.")
        answer = json.loads(line)
        if "error" in answer:
            raise KMTalkError(f"The speech aligner failed ({answer['error']}); check the sound and the transcript.")
        return answer["result"]

    def _child(self) -> subprocess.Popen[bytes]:
        child: subprocess.Popen[bytes] | None = getattr(self._own, "child", None)
        if child is None:
            with self._lock:
                if self._closing.is_set():
                    raise KMTalkError("The speech aligner was stopped; please run it again.")
                # -I: neither the environment nor the current folder decides what is imported, only our own sys.path.
                command = [sys.executable, "-I", str(self._script), json.dumps([os.path.abspath(p) for p in sys.path])]
                try:
                    child = subprocess.Popen(
                        command,
                        stdin=subprocess.PIPE,
                        stdout=subprocess.PIPE,
                        stderr=subprocess.DEVNULL,
                        creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
                    )
                except OSError as error:
                    raise KMTalkError(
                        f"The speech aligner cannot be started with {sys.executable} ({error}); check that Python."
                    ) from None
                self._all.append(child)
            self._own.child = child
        return child


def patiently(futures: list[Future[Any]], progress: Progress | None, done: float, doing: str) -> None:
    """Wait for all futures while `progress` (at the share `done`) gets its chance to cancel."""
    while wait(futures, timeout=0.1).not_done:
        if progress is not None:
            progress(done, doing)
