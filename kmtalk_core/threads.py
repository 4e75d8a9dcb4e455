"""One thread for linear algebra, whose threads spin on speech more than they work; two for parts of a sound."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from typing import TypeVar

_T = TypeVar("_T")
_R = TypeVar("_R")

THREADS = "KMTALK_THREADS"  # variable of the environment: how many parts of a sound are worked on side by side
MOST = 2  # unless it says otherwise: the person at the machine has other work for the rest


def one_thread() -> None:
    """Have numpy, and what this process starts, use one thread; to be called before numpy is imported.

    Whoever has set the variables keeps what was set. PyTorch, which large networks need many threads for, heeds none.
    """
    for library in ("OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "BLIS_NUM_THREADS"):
        os.environ.setdefault(library, "1")


def threads() -> int:
    """How many parts of a sound are worked on side by side; the result is the same with any number."""
    wanted = os.environ.get(THREADS, "")
    return max(int(wanted), 1) if wanted.isdecimal() else min(os.cpu_count() or 1, MOST)


def in_order(work: Callable[[_T], _R], parts: Iterable[_T], ahead: int | None = None) -> Iterator[_R]:
    """`work` of each of `parts`, in their order, while threads are at the next `ahead` ones (by default threads() - 1).

    What `work` raises is raised here, and ends it; so does closing the iterator, after what was begun is done.
    """
    ahead = threads() - 1 if ahead is None else ahead
    if not ahead:
        yield from map(work, parts)
        return
    parts = iter(parts)
    first = list(islice(parts, 2))
    if len(first) < 2:  # no threads for a short line: they take time to start
        yield from map(work, first)
        return
    from concurrent.futures import Future, ThreadPoolExecutor

    pool = ThreadPoolExecutor(min(ahead + 1, max(threads(), 2)), thread_name_prefix="kmtalk")
    begun: deque[Future[_R]] = deque()
    try:
        for part in chain(first, parts):
            begun.append(pool.submit(work, part))
            if len(begun) > ahead:
                yield begun.popleft().result()
        while begun:
            yield begun.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def begun(work: Callable[[], _R]) -> Callable[[], _R]:
    """What gives the result of `work`, which a thread has begun with unless there is to be one only."""
    if threads() == 1:
        return work
    from concurrent.futures import ThreadPoolExecutor

    pool = ThreadPoolExecutor(1, thread_name_prefix="kmtalk")
    result = pool.submit(work)
    pool.shutdown(wait=False)
    return result.result
