"""A stand-in for the model in a batch: quick lines whose results can be told right from wrong, and lines that go wrong.

What a line's transcript says happens to it; all but the model is the real thing. Each line that is made is written to a
log beside the output folder.
"""

import hashlib
import os
import signal
import sys
import time
from pathlib import Path

from kmtalk_core.command.batch import work
from kmtalk_core.command.batch.report import Report
from kmtalk_core.errors import KMTalkError, StorageError
from kmtalk_core.files import written_whole


class Model:
    model = "stand-in"


def make_worker():
    work.animate = animate
    return lambda job, tell: work.do(job, Model(), tell)


def cannot_start():
    raise KMTalkError("The model is gone; bring it back.")


def dies_at_start():
    print("Segmentation fault", file=sys.stderr, flush=True)
    os._exit(11)


def content(line):
    """What the result of a line must be: large enough to be caught half written."""
    return hashlib.sha256(line.audio.read_bytes() + str(line.seed).encode()).digest() * 4096


def animate(job, animator, tell, kept, edited=False):
    line = job.line
    tell(60.0 if line.transcript in ("eat", "half") else 1.5)
    go_wrong(job, line.transcript or "")
    if line.transcript == "half":
        time.sleep(0.3)  # else it is not worth telling
        tell.progress(0.4, "listening")
        while not Path(job.folder.parent, "go on").exists():
            time.sleep(0.02)
    with (job.folder.parent / "log").open("a") as log:
        log.write(f"{line.out}\n")
    with written_whole(job.folder / line.out) as partial, partial.open("wb") as file:
        data = content(line)
        for start in range(0, len(data), len(data) // 4):
            file.write(data[start : start + len(data) // 4])
            file.flush()
            time.sleep(0.002)
    return Report.of_line(line, "done", duration=1.0)


def go_wrong(job, how):
    marker = Path(job.folder.parent, f"{job.line.out}.once")
    if how == "crash" or (how == "crash once" and not marker.exists()):
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "hang":
        time.sleep(60)
    if how == "print":
        print("what libraries print")
        os.write(1, b"what C prints\n")
    if how == "disk":
        raise StorageError("The disk is full.")
    if how == "memory":
        bytearray(2**40)
    if how == "eat":
        eaten = [bytearray(10**7) for _ in range(100)]
        raise KMTalkError(f"{len(eaten)} pieces of memory were there.")
    if how == "fault":
        raise ZeroDivisionError("division by zero")
    if how == "deep":
        go_wrong(job, how)


if __name__ == "__main__":
    from kmtalk_core.command import cli
    from kmtalk_core.command.batch import pool, run

    pool.BEGIN = 3.0
    run.WORK = "stand_ins.batch_work:make_worker"
    sys.exit(cli.main())
