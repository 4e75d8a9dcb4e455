"""Stand-ins for the work of a batch: quick lines whose results can be told right from wrong, and lines that go wrong.

What a line's transcript says happens to it: "crash", "crash once", "hang", "memory", "disk", "print", a number of
seconds to take. Each line that is made is written to a log beside the output folder.
"""

import hashlib
import os
import signal
import time
from pathlib import Path

from kmtalk_core.command.batch.journal import Entry
from kmtalk_core.command.batch.origin import Standing, origin_of, sha256_of, standing_of
from kmtalk_core.command.batch.report import Report
from kmtalk_core.command.batch.work import Made, failure_of, standing_report
from kmtalk_core.errors import KMTalkError
from kmtalk_core.files import written_whole


def content(line):
    """What the result of a line must be: large enough to be caught half written."""
    return hashlib.sha256(line.audio.read_bytes() + str(line.seed).encode()).digest() * 4096


def make_worker():
    return do


def cannot_start():
    raise KMTalkError("The model is gone; bring it back.")


def dies_at_start():
    print("Segmentation fault", file=__import__("sys").stderr, flush=True)
    os._exit(11)


def do(job, tell):
    line, out = job.line, job.folder / job.line.out
    origin = origin_of(line, "stand-in")
    standing = standing_of(out, origin, job.known, job.resume)
    if standing is not Standing.MAKE:
        return standing_report(job, origin, standing)
    tell(1.5)
    if trouble := go_wrong(job, line.transcript or ""):
        return trouble
    with (job.folder.parent / "log").open("a") as log:
        log.write(f"{line.out}\n")
    with written_whole(out) as partial, partial.open("wb") as file:
        data = content(line)
        for start in range(0, len(data), len(data) // 4):
            file.write(data[start : start + len(data) // 4])
            file.flush()
            time.sleep(0.002)
    report = Report.of_line(line, "done", duration=1.0)
    return Made(report, Entry(line.out, "done", origin, sha256_of(out), report.as_dict()))


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
    if how.replace(".", "").isdigit():
        tell_time = float(how)
        time.sleep(tell_time)
    if how == "disk":
        report = Report.of_line(job.line, "failed", error="The disk is full.")
        return Made(report, storage="The disk is full.")
    if how == "memory":
        report = Report.of_line(job.line, "failed", error="Not enough memory.")
        return Made(report, failure_of(job, report))
    return None


if __name__ == "__main__":
    import sys

    from kmtalk_core.command import cli
    from kmtalk_core.command.batch import run

    run.WORK = "stand_ins.batch_work:make_worker"
    sys.exit(cli.main())
