"""A folder that is watched: each sound that is put into it is animated, with the text beside it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

from ...errors import InputError
from ..batch.line import Line
from ..batch.report import Outcome

EVERY = 2.0  # s between two looks
Seen = tuple[tuple[str, int, int], ...]


def seen_in(folder: Path) -> Seen:
    """Names, sizes and times of all files; what somebody still writes changes from look to look."""
    found = []
    try:
        for path in sorted(folder.rglob("*")):
            if not path.name.startswith(".") and path.is_file():
                about = path.stat()
                found.append((str(path), about.st_size, about.st_mtime_ns))
    except OSError:
        pass  # it goes or comes right now: the next look tells
    return tuple(found)


def watch(
    folder: Path,
    lines: Callable[[], list[Line]],
    animate: Callable[[list[Line]], Outcome],
    wait: Callable[[float], bool],
) -> Iterator[Outcome | InputError]:
    """Animate what comes into `folder`, again and again, once it no longer changes; yields how that went.

    `lines` reads the folder, `animate` makes what is not right already, `wait` sleeps and tells whether to go on.
    """
    done: Seen | None = None
    before = seen_in(folder)
    while wait(EVERY):
        now = seen_in(folder)
        if now == before and now != done and now:
            done = now
            try:
                found = lines()
            except InputError as error:
                yield error
            else:
                yield animate(found)
        before = now


def sleeping(stopped: Callable[[], bool]) -> Callable[[float], bool]:
    """What `watch` waits with: in short steps, so that a stop is heeded soon."""

    def wait(seconds: float) -> bool:
        until = time.monotonic() + seconds
        while not stopped() and time.monotonic() < until:
            time.sleep(0.1)
        return not stopped()

    return wait
