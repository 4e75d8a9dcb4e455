"""Jobs done side by side in processes of which any may die, hang or fill the memory: that costs only its own job.

A job whose worker dies is tried once more, alone, when all others are done: out of memory, the kernel may have killed
the wrong one. Every worker has one job waiting, so that it need not wait for the next.
"""

from __future__ import annotations

import collections
import json
import os
import pickle
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from ...errors import KMTalkError
from ...threads import THREADS
from ..stopping import Stop

START = 300.0  # s that a worker may take until it is ready
BEGIN = 120.0  # s that a job may take to begin, and then to tell how long it will take
GRACE = 3.0  # s that jobs in work get to end when asked to stop
FAILED_STARTS = 3  # in a row, then the workers cannot start at all
AHEAD = 2  # jobs that a worker holds: one in work, one waiting
LINES_KEPT = 20  # of what a worker last said
CODE = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from kmtalk_core.process import settle
settle()
from kmtalk_core.command.batch.worker import main
main(int(sys.argv[2]), sys.argv[3])
"""


@dataclass(frozen=True)
class Ended:
    """How the job of this number ended: with what it returned, or with the sentence of a `trouble`.

    `attempts`: how often it was begun.
    """

    number: int
    result: Any = None
    trouble: str = ""
    attempts: int = 1


@dataclass(eq=False)
class _Worker:
    process: subprocess.Popen[bytes]
    said: collections.deque[str]
    deadline: float
    jobs: list[int] = field(default_factory=list)  # the first one is in work once `began`
    ready: bool = False
    began: bool = False
    late: bool = False  # it was ended for taking too long
    unwanted: bool = False  # it was ended for another reason

    @property
    def is_timed(self) -> bool:
        return bool(self.jobs) or not self.ready

    def end(self) -> None:
        self.unwanted = True
        self.process.kill()


class Pool:
    """Up to `count` processes that do what `work` ("module:factory") makes; use it as a context manager.

    `news` is called with the number of a job, the share of it that is done, and what is being done.
    """

    def __init__(
        self, work: str, count: int, stop: Stop, news: Callable[[int, float, str], None] = lambda *_: None
    ) -> None:
        self._work, self._news = work, news
        self._count = count
        self._stop = stop
        self._events: queue.SimpleQueue[tuple[_Worker | None, tuple[Any, ...]]] = queue.SimpleQueue()
        self._workers: list[_Worker] = []
        self._failed_starts = 0
        self._waiting: collections.deque[int] = collections.deque()
        self._suspects: collections.deque[int] = collections.deque()
        self._attempts: collections.Counter[int] = collections.Counter()
        stop.wake = lambda: self._events.put((None, ()))

    def __enter__(self) -> Pool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.wake = lambda: None
        for worker in self._workers:
            worker.end()
        for worker in self._workers:
            _bury(worker.process)
        self._workers = []

    def run(
        self, jobs: Sequence[tuple[int, Any]], handing_out: Callable[[Sequence[int]], None] = lambda numbers: None
    ) -> Iterator[list[Ended]]:
        """Yield how jobs ended, in any order, as many at a time as are known, none now and then; `handing_out` comes
        before their work.

        Asked to stop, it hands out no more, waits a little for what is in work, and returns. Raises KMTalkError if no
        worker can start.
        """
        content = dict(jobs)
        self._waiting = collections.deque(content)
        self._suspects.clear()
        self._attempts.clear()
        while self._stop.by is None and (self._waiting or self._suspects or any(w.jobs for w in self._workers)):
            if self._waiting or any(worker.jobs for worker in self._workers):
                self._hand_out(self._waiting, self._count, AHEAD, content, handing_out)
            else:
                for worker in self._workers[1:]:
                    worker.end()
                self._hand_out(self._suspects, 1, 1, content, handing_out)
            yield self._collect(1.0)
        yield from self._wind_up()

    def _wind_up(self) -> Iterator[list[Ended]]:
        """Let what is in work end, but for a little while only."""
        last = {worker: worker.jobs[0] for worker in self._workers if worker.began}
        until = time.monotonic() + GRACE
        while last and time.monotonic() < until:
            for worker in self._workers:
                if worker not in last:
                    worker.end()
            yield self._collect(until - time.monotonic())
            last = {w: job for w, job in last.items() if w in self._workers and w.jobs[:1] == [job]}

    def _hand_out(
        self,
        waiting: collections.deque[int],
        count: int,
        ahead: int,
        content: Mapping[int, Any],
        handing_out: Callable[[Sequence[int]], None],
    ) -> None:
        """Give each of `count` workers up to `ahead` jobs, and start workers while there are too few."""
        while len(self._workers) < min(count, len(waiting) + sum(bool(worker.jobs) for worker in self._workers)):
            self._workers.append(self._start())
        given: list[tuple[_Worker, int]] = []
        for depth in range(ahead):
            for worker in self._workers[:count]:
                if waiting and worker.ready and len(worker.jobs) == depth and not (worker.late or worker.unwanted):
                    if not worker.jobs:
                        worker.deadline = time.monotonic() + BEGIN
                    given.append((worker, waiting.popleft()))
                    worker.jobs.append(given[-1][1])
        if given:
            handing_out([number for _, number in given])
        for worker, number in given:
            assert worker.process.stdin is not None
            with suppress(OSError):  # it is gone, which its other pipe will tell
                worker.process.stdin.write(pickle.dumps((number, content[number])))
                worker.process.stdin.flush()

    def _collect(self, patience: float) -> list[Ended]:
        """Wait for news for up to `patience` s, and take all that there are; end what takes too long."""
        ended: list[Ended] = []
        deadlines = [worker.deadline - time.monotonic() for worker in self._workers if worker.is_timed]
        try:
            worker, message = self._events.get(timeout=max(min([patience, *deadlines]), 0.01))
            while True:
                if worker is not None and worker in self._workers:
                    ended += self._heed(worker, message)
                worker, message = self._events.get_nowait()
        except queue.Empty:
            pass
        for worker in [w for w in self._workers if w.is_timed and time.monotonic() > w.deadline]:
            if worker.late:  # killed, and still there: it hangs within the kernel
                ended += self._take_leave(worker)
            else:
                worker.late = True
                worker.deadline = time.monotonic() + 5.0
                worker.process.kill()
        return ended

    def _heed(self, worker: _Worker, message: tuple[Any, ...]) -> list[Ended]:
        kind, *rest = message
        if kind == "ready":
            worker.ready = True
        elif kind == "unable":
            raise KMTalkError(rest[0])
        elif kind == "began":
            worker.began, worker.deadline, self._failed_starts = True, time.monotonic() + BEGIN, 0
        elif kind == "takes":
            worker.deadline = time.monotonic() + rest[1]
        elif kind == "at":
            self._news(rest[0], rest[1], rest[2])
        elif kind == "done":
            number, result = rest
            worker.jobs.remove(number)
            worker.began, worker.deadline = False, time.monotonic() + BEGIN
            return [Ended(number, result, attempts=self._attempts[number] + 1)]
        elif kind == "gone":
            return self._take_leave(worker)
        return []

    def _take_leave(self, worker: _Worker) -> list[Ended]:
        """A worker is gone: what it had in work is suspected, what waited for it waits again."""
        self._workers.remove(worker)
        status = _bury(worker.process)
        if not worker.began and not worker.unwanted and (worker.late or not worker.ready):
            self._failed_starts += 1
            if self._failed_starts >= FAILED_STARTS:
                last = worker.said[-1] if worker.said else f"status {status}"
                raise KMTalkError(
                    f"The workers end before they can begin ({last}); see what `kmtalk doctor` says, and use fewer"
                    " workers if the memory is small."
                )
        self._waiting.extendleft(reversed(worker.jobs[worker.began :]))
        if not worker.began:
            return []
        number = worker.jobs[0]
        self._attempts[number] += 1
        attempts = self._attempts[number]
        if worker.late:
            return [Ended(number, trouble="It took too long and was ended; try a shorter sound.", attempts=attempts)]
        if attempts == 1:
            self._suspects.append(number)
            return []
        why = f" ({worker.said[-1]})" if worker.said else ""
        crash = f"The worker process died twice{why}; out of memory? Try a shorter sound or fewer workers."
        return [Ended(number, trouble=crash, attempts=attempts)]

    def _start(self) -> _Worker:
        # -I: neither the environment nor the current folder decides what is imported, only our own sys.path.
        path = json.dumps([os.path.abspath(folder) for folder in sys.path])
        single = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", THREADS), "1")
        try:
            process = subprocess.Popen(
                [sys.executable, "-I", "-c", CODE, path, str(os.getpid()), self._work],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=os.environ | single,
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )
        except OSError as error:
            raise KMTalkError(f"No worker can be started with {sys.executable} ({error}); check that Python.") from None
        worker = _Worker(process, collections.deque(maxlen=LINES_KEPT), time.monotonic() + START)
        threading.Thread(target=self._listen, args=(worker,), daemon=True).start()
        return worker

    def _listen(self, worker: _Worker) -> None:
        """Pass on what a worker sends until it is gone."""
        assert worker.process.stdout is not None
        listener = threading.Thread(target=_keep_last, args=(worker,), daemon=True)
        listener.start()
        while True:
            try:
                message = pickle.load(worker.process.stdout)
            except Exception:  # the end, or half a message of one that was killed
                listener.join(1.0)
                self._events.put((worker, ("gone",)))
                return
            self._events.put((worker, message))


def _keep_last(worker: _Worker) -> None:
    assert worker.process.stderr is not None
    try:
        for line in worker.process.stderr:
            if text := line[:300].decode(errors="replace").strip():
                worker.said.append(text)
    except (OSError, ValueError):
        return


def _bury(process: subprocess.Popen[bytes]) -> int | None:
    """Make sure that a process is gone, as far as the kernel lets it go, and close its pipes."""
    process.kill()
    try:
        status = process.wait(5.0)
    except subprocess.TimeoutExpired:
        return None  # it hangs within the kernel, and goes when that lets go
    for pipe in (process.stdin, process.stdout, process.stderr):
        with suppress(OSError):
            if pipe is not None:
                pipe.close()
    return status


def cores() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
