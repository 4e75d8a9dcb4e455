"""The pool of a farm: lines done by the workers of a Dask scheduler, which share the files with this machine.

Each Dask worker keeps a `Pool` of one process beside it, so that a line that dies or hangs there costs what it costs
here; what is lost with a whole machine, Dask gives to another.
"""

from __future__ import annotations

import collections
import queue
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Any

from ... import __version__
from ...errors import KMTalkError
from ..stopping import Stop
from .pool import GRACE, Ended, Pool

PATIENCE = 10.0  # s for a scheduler to answer
AHEAD = 2  # jobs for each thread of the farm: one in work, one waiting


class DaskPool:
    """What `Pool` is, on the workers of the scheduler at `address` ("tcp://host:8786"); use it as a context manager.

    Raises KMTalkError if Dask is missing here, if nobody answers, or if the workers have no or another KMTalk; and if
    `able`, which each worker is asked, returns a sentence.
    """

    def __init__(self, work: str, address: str, stop: Stop, able: Callable[[], str] = str) -> None:
        try:
            import distributed
        except ImportError:
            raise KMTalkError("--scheduler needs Dask; install it with pip install 'kmtalk[farm]'.") from None
        self._work, self._stop, self._able = work, stop, able
        self._events: queue.SimpleQueue[Any] = queue.SimpleQueue()
        try:
            self._client = distributed.Client(address, timeout=PATIENCE, set_as_default=False)
        except (OSError, ValueError, TimeoutError) as error:
            raise KMTalkError(f"No Dask scheduler answers at {address} ({error}); check address and network.") from None
        stop.wake = lambda: self._events.put(None)

    def __enter__(self) -> DaskPool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.wake = lambda: None
        self._client.close()  # which takes back what waits

    def run(
        self, jobs: Sequence[tuple[int, Any]], handing_out: Callable[[Sequence[int]], None] = lambda numbers: None
    ) -> Iterator[list[Ended]]:
        """As `Pool.run`."""
        self._check()
        waiting = collections.deque(jobs)
        out: dict[Any, int] = {}
        season = uuid.uuid4().hex
        while (waiting or out) and self._stop.by is None:
            room = max(AHEAD * sum(self._client.nthreads().values()), 1) - len(out)
            given = [waiting.popleft() for _ in range(min(room, len(waiting)))]
            if given:
                handing_out([number for number, _ in given])
            for number, job in given:
                key = f"kmtalk-{season}-{number}"
                future = self._client.submit(work_here, self._work, number, job, key=key, pure=False)
                out[future] = number
                future.add_done_callback(self._events.put)
            yield self._collect(out, 1.0)
        for future in [future for future in out if future.status == "pending"]:
            future.cancel()  # not what is in work, which nobody can take back; its result is whole or not there
        until = time.monotonic() + GRACE
        while any(not future.done() for future in out) and time.monotonic() < until:
            yield self._collect(out, until - time.monotonic())

    def _collect(self, out: dict[Any, int], patience: float) -> list[Ended]:
        ended: list[Ended] = []
        try:
            future = self._events.get(timeout=max(patience, 0.01))
            while True:
                if future in out:
                    number = out.pop(future)
                    ended += [] if future.status == "cancelled" else [_ended(future, number)]
                future = self._events.get_nowait()
        except queue.Empty:
            return ended

    def _check(self) -> None:
        """Raise KMTalkError unless there are workers, and all have this KMTalk."""
        try:
            self._client.wait_for_workers(1, timeout=PATIENCE)
            found = set(self._client.run(version_here).values())
        except (OSError, TimeoutError):
            raise KMTalkError("The Dask scheduler has no workers; start some with dask worker.") from None
        except ImportError as error:
            raise KMTalkError(f"The Dask workers lack KMTalk ({error}); install it for them.") from None
        if found != {__version__}:
            raise KMTalkError(
                f"The Dask workers have KMTalk {', '.join(sorted(map(str, found)))}, this is {__version__}; install the"
                " same for all."
            )
        for machine, why in self._client.run(self._able).items():
            if why:
                raise KMTalkError(f"The Dask worker {machine} cannot do it: {why}")


def _ended(future: Any, number: int) -> Ended:
    error = future.exception()
    if error is None:
        ended: Ended = future.result()
        return ended
    if type(error).__name__ == "KilledWorker":
        return Ended(number, trouble="The machines that worked on it died, one after the other; out of memory?")
    return Ended(number, trouble=f"It failed on the farm ({type(error).__name__}: {error}).")


def version_here() -> str:
    """The version of KMTalk in this process."""
    return __version__


def work_here(work: str, number: int, job: Any) -> Ended:
    """Do one job in a process beside this Dask worker, which stays for the next one."""
    from distributed import get_worker

    own = get_worker().__dict__.setdefault("kmtalk", threading.local())
    if getattr(own, "pool", None) is None:
        own.pool = Pool(work, 1, Stop())
    return next(ended for some in own.pool.run([(number, job)]) for ended in some)
