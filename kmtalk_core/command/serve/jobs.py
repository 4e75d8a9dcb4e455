"""What the service does: jobs in a queue, each in a folder of its own, done by workers of which any may die.

Nothing of a job names a path of this machine: what belongs to it is what was sent with it, and what was made of that.
"""

from __future__ import annotations

import secrets
import shutil
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from ...errors import InputError, KMTalkError
from ..batch.line import OF_FILES, Line
from ..batch.manifest import read_line
from ..batch.pool import Ended, Pool
from ..batch.run import WORK
from ..batch.sources import written
from ..batch.work import Job as Work
from ..batch.work import Made
from ..stopping import Stop
from .sounds import check_sound, ending_of

WAITING, RUNNING, DONE, FAILED, CANCELLED = STATES = ("waiting", "running", "done", "failed", "cancelled")
OVER = (DONE, FAILED, CANCELLED)
RESULT = "line"  # what the files of a job are called
REFUSED = frozenset({
    "audio", "out", "transcript_file", "corrections", "alignment", "mesh", "template", "line", "character", "scene",
    "version", "profile",
})  # columns of a manifest that would name files, or that say nothing to a service  # fmt: skip


class Full(Exception):
    """The queue is full."""


@dataclass(eq=False)
class Job:
    """One line that somebody sent. `progress` 0…1 is how far it is, `doing` what is being done; `told` are warnings,
    `error` is a sentence, `files` the names of what was made."""

    id: str
    folder: Path
    line: Line
    name: str
    state: str = WAITING
    progress: float = 0.0
    doing: str = ""
    sent: float = field(default_factory=time.time)
    began: float = 0.0
    ended: float = 0.0
    error: str = ""
    told: str = ""
    figures: Mapping[str, Any] = field(default_factory=dict)
    files: tuple[str, ...] = ()
    stop: Stop = field(default_factory=Stop)


@dataclass
class _Now:
    """What one worker does at the moment."""

    job: Job | None = None


class Jobs:
    """The queue and its workers. `folder` is theirs alone; `keep` s after its end, a job is forgotten."""

    def __init__(self, folder: Path, workers: int, longest: int, keep: float) -> None:
        self._folder, self._longest, self._keep = folder, longest, keep
        self._jobs: dict[str, Job] = {}
        self._waiting: deque[Job] = deque()
        self._changed = threading.Condition()
        self._closed = False
        for left in folder.glob("job-*"):  # of a service that was killed
            shutil.rmtree(left, ignore_errors=True)
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(workers)]
        for thread in self._threads:
            thread.start()

    def new_folder(self) -> tuple[str, Path]:
        """A name that nobody guesses, and an empty folder for a job's files."""
        name = secrets.token_hex(16)
        folder = self._folder / f"job-{name}"
        folder.mkdir(mode=0o700)
        return name, folder

    def check_room(self) -> None:
        """Raise Full if nothing more can wait."""
        with self._changed:
            self._forget()
            if len(self._waiting) >= self._longest:
                raise Full

    def add(self, id: str, folder: Path, name: str, cells: Mapping[str, object]) -> Job:
        """Queue what lies in `folder`; raises InputError for wrong settings or sounds, and Full."""
        line = line_of(folder, cells)
        check_sound(line.audio)
        job = Job(id, folder, line, name)
        with self._changed:
            if len(self._waiting) >= self._longest:
                raise Full
            self._jobs[id] = job
            self._waiting.append(job)
            self._changed.notify_all()
        return job

    def get(self, id: str) -> Job | None:
        """The job of that name; None if there is none, or none any more."""
        with self._changed:
            self._forget()
            return self._jobs.get(id)

    def all(self) -> list[Job]:
        """All jobs that are known, the first sent first."""
        with self._changed:
            self._forget()
            return list(self._jobs.values())

    def place(self, job: Job) -> int:
        """How many jobs come before it; 0 if it does not wait."""
        with self._changed:
            return self._waiting.index(job) if job in self._waiting else 0

    def wait(self, job: Job, state: str, seconds: float, beyond: float = 1.0) -> None:
        """Return when the job is no longer in that state, is done to more than `beyond`, or after so many seconds."""
        with self._changed:
            self._changed.wait_for(lambda: job.state != state or job.progress > beyond or self._closed, seconds)

    def remove(self, job: Job) -> None:
        """Cancel a job, or forget one that has ended, and delete its files."""
        with self._changed:
            if job in self._waiting:
                self._waiting.remove(job)
            if job.state in OVER:
                self._jobs.pop(job.id, None)
                shutil.rmtree(job.folder, ignore_errors=True)
            elif job.state == WAITING:
                self._end(job, CANCELLED)
                shutil.rmtree(job.folder, ignore_errors=True)
            else:
                job.stop.ask("its owner")
            self._changed.notify_all()

    def close(self) -> None:
        """End all work; what is left of it is deleted with the next start."""
        with self._changed:
            self._closed = True
            self._waiting.clear()
            for job in self._jobs.values():
                job.stop.ask("the end of the service")
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(10.0)

    def _forget(self) -> None:
        for job in [j for j in self._jobs.values() if j.state in OVER and time.time() - j.ended > self._keep]:
            del self._jobs[job.id]
            shutil.rmtree(job.folder, ignore_errors=True)

    def _work(self) -> None:
        """One worker: a process that is kept from job to job, and made anew where a job was cancelled."""
        stop, pool, now = Stop(), None, _Now()
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._waiting) or self._closed)
                if self._closed:
                    break
                job = self._waiting.popleft()
                job.state, job.began = RUNNING, time.time()
                self._changed.notify_all()
            if pool is None:
                stop = Stop()
                pool = Pool(WORK, 1, stop, partial(self._note, now))
            now.job = job
            job.stop.wake = lambda stop=stop: stop.ask("its owner")  # type: ignore[misc]
            if job.stop.by is not None:
                stop.ask("its owner")
            ended = self._do(job, pool)
            if job.stop.by is not None or ended is None:
                pool.__exit__(None, None, None)
                pool = None
            self._take(job, ended)
        if pool is not None:
            pool.__exit__(None, None, None)

    def _note(self, now: _Now, number: int, share: float, doing: str) -> None:
        """How far the job is that a worker does now."""
        with self._changed:
            if now.job is not None:
                now.job.progress, now.job.doing = max(now.job.progress, min(share, 0.99)), doing
            self._changed.notify_all()

    def _do(self, job: Job, pool: Pool) -> Ended | None:
        try:
            return next((ended for some in pool.run([(0, Work(job.line, job.folder))]) for ended in some), None)
        except KMTalkError as error:
            return Ended(0, trouble=str(error))

    def _take(self, job: Job, ended: Ended | None) -> None:
        with self._changed:
            if job.stop.by is not None or ended is None:
                self._end(job, CANCELLED)
                shutil.rmtree(job.folder, ignore_errors=True)
            elif ended.trouble:
                self._end(job, FAILED, ended.trouble)
            else:
                made: Made = ended.result
                report = made.report
                job.told = without_paths(report.warnings, job.folder)
                job.figures = {
                    name: getattr(report, name)
                    for name in ("duration", "keys", "contacts", "missed_contacts", "confidence", "localizer", "doubt")
                }
                if report.status == "failed":
                    self._end(job, FAILED, report.error)
                else:
                    job.files = tuple(name for name in job.line.outputs if (job.folder / name).is_file())
                    self._end(job, DONE)
            self._changed.notify_all()

    def _end(self, job: Job, state: str, error: str = "") -> None:
        job.progress, job.doing = 1.0 if state == DONE else job.progress, ""
        job.state, job.ended, job.error = state, time.time(), without_paths(error, job.folder)


def line_of(folder: Path, cells: Mapping[str, object]) -> Line:
    """The line of what lies in a job's folder, with settings as a manifest's columns. Raises InputError."""
    for name, value in cells.items():
        if name in REFUSED:
            raise InputError(f"{name} cannot be set here; send files as parts of the form.")
        if not isinstance(value, (str, int, float, bool, list)):
            raise InputError(f"{name} is neither a text nor a number; correct it.")
        if name == "target" and str(value).lower().endswith(".json"):
            raise InputError("A mapping cannot be named here; name a family of shapes.")
        if any(setting.name == name and setting.names_file(str(value)) for setting in OF_FILES):
            raise InputError(f"A file cannot be named as {name} here; name one that ships.")
    sent = {
        part: path.name for path in folder.iterdir() for part in ("sound", "alignment", "mesh") if path.stem == part
    }
    if "sound" not in sent:
        raise InputError("There is no sound; send it as the part sound of the form.")
    record: dict[str, object] = {name: written(value) for name, value in cells.items()}
    record |= {name: sent[name] for name in ("alignment", "mesh") if name in sent}
    return read_line({**record, "audio": sent["sound"], "out": RESULT}, "The job", folder)


def without_paths(sentence: str, folder: Path) -> str:
    """A sentence without the folders of this machine."""
    for path in (folder, folder.parent):
        sentence = sentence.replace(f"{path.resolve()}/", "").replace(f"{path}/", "").replace(str(path), "the job")
    return sentence


def part_name(part: str, filename: str) -> str:
    """What a part of a form is called in its job's folder; of the name that it was sent with, the ending counts."""
    return f"{part}{ending_of(filename)}"
