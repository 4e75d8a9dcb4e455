"""Many lines of dialogue in one run: they are made side by side, written down in a journal, and reported.

Whenever it ends, and however, what was done is known: results appear whole, the journal says which of them are right,
and the report is kept up to date while the lines are made.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path

from ...errors import Cancelled, KMTalkError, StorageError, storage_trouble
from ...files import synchronise
from ...leftovers import remove_leftovers
from ..stopping import Stop, stopped_by_signals
from .journal import Entry, Journal
from .manifest import Line
from .origin import Standing, origin_of, standing_of
from .pool import Ended, Pool, cores
from .report import Outcome, Report, write_report
from .together import align_together
from .work import Job, Made, failure_of

REPORT = "report.csv"
WORK = "kmtalk_core.command.batch.work:make_worker"
FLUSH = 0.5  # s after which what is known is written down, even if no line begins meanwhile
REPORT_EVERY = 2.0  # s between two writings of the report, more where that takes long
REPORT_SHARE = 0.05  # of the time, at the most, is spent on writing it

Progress = Callable[[float, str], None]


def run_batch(
    lines: Sequence[Line],
    folder: Path,
    *,
    resume: bool = False,
    workers: int | None = None,
    progress: Progress = lambda fraction, message: None,
) -> Outcome:
    """Animate every line into `folder`, which is made if needed, and write report.csv there.

    With `resume`, lines are skipped whose result is right; results that were edited by hand are always kept. `workers`
    processes work side by side, by default as many as there are processors. Raises Cancelled, saying how to go on, if
    it is stopped; StorageError if the disk takes nothing more; KMTalkError if no batch can run there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise KMTalkError(f"Cannot make the folder {folder} ({error.strerror}); choose another one.") from None
    with stopped_by_signals() as stop, Journal(folder) as journal:
        for place in {folder, *((folder / line.out).parent for line in lines)}:
            remove_leftovers(place)
        run = _Run(lines, folder, journal, stop, progress, resume)
        try:
            run.work(workers or cores())
            run.write_down()
            run.write_report()
        except BaseException as error:
            for write in (run.write_down, run.write_report):
                with suppress(KMTalkError):
                    write()
            if stop.by is None or not isinstance(error, (Cancelled, KeyboardInterrupt)):
                raise
        if stop.by is not None:
            raise Cancelled(
                f"Stopped by {stop.by} with {run.outcome.summary}; the results and {run.outcome.report} are kept. "
                "Give the same command with --resume to go on."
            )
        return run.outcome


class _Run:
    """One run over the lines: what is known of each, and what is not yet on the disk of that."""

    def __init__(
        self, lines: Sequence[Line], folder: Path, journal: Journal, stop: Stop, progress: Progress, resume: bool
    ) -> None:
        self._lines, self._folder, self._journal, self._stop = lines, folder, journal, stop
        self._progress, self._resume = progress, resume
        self._known = journal.entries()
        self._reports: dict[int, Report] = {}
        self._unwritten: list[Entry] = []
        self._written_at = self._reported_at = time.monotonic()
        self._report_cost = 0.0

    def work(self, workers: int) -> None:
        """Do every line."""
        aligned, failed = align_together(self._for_mfa(), self._heed_stop)
        for index, report in failed.items():
            self._take(index, Made(report, failure_of(self._job(index), report)))
        jobs = [
            (index, replace(self._job(index), aligned=aligned.get(index)))
            for index in range(len(self._lines))
            if index not in failed
        ]
        with Pool(WORK, workers, self._stop) as pool:
            for ended in pool.run(jobs, self._begin):
                for each in ended:
                    self._take(each.number, self._made(each))
                now = time.monotonic()
                if now - self._written_at > FLUSH:
                    self.write_down()
                if now - self._reported_at > max(REPORT_EVERY, self._report_cost / REPORT_SHARE):
                    self.write_report()

    @property
    def outcome(self) -> Outcome:
        """What is known by now of every line, and of results whose line is gone."""
        reports = [
            self._reports.get(index) or Report(str(line.audio), line.out, "waiting")
            for index, line in enumerate(self._lines)
        ]
        gone = set(self._known) - {line.out for line in self._lines}
        left = [
            replace(Report.from_dict(known.report), status="left")
            for known in map(self._known.__getitem__, sorted(gone))
            if known.report is not None and (self._folder / known.out).is_file()
        ]
        return Outcome((*reports, *left), self._folder / REPORT)

    def write_down(self) -> None:
        """Have all results on the disk, and then in the journal."""
        self._begin(())

    def write_report(self) -> None:
        start = time.monotonic()
        write_report(self.outcome.reports, self._folder / REPORT)
        self._reported_at = time.monotonic()
        self._report_cost = self._reported_at - start

    def _begin(self, indices: Sequence[int]) -> None:
        """Write down what has ended and what begins now, in one go."""
        ended, self._unwritten = self._unwritten, []
        try:
            synchronise(self._folder / entry.out for entry in ended if entry.state == "done")
        except OSError as error:
            raise StorageError(storage_trouble(error)) from None
        self._journal.write(ended, [self._lines[index].out for index in indices])
        self._written_at = time.monotonic()

    def _take(self, index: int, made: Made) -> None:
        report = made.report
        self._reports[index] = report
        if made.entry is not None:
            self._unwritten.append(made.entry)
        elif (known := self._known.get(report.out)) is not None:
            self._unwritten.append(known)  # as it was: nobody works on it any more
        if made.storage:
            raise StorageError(f"{made.storage} Then give the same command with --resume to go on.")
        total = len(self._lines)
        done = len(self._reports)
        self._heed_stop(done / total, f"{done} of {total}: {report.out} {report.status}", pool=True)

    def _made(self, ended: Ended) -> Made:
        job = self._job(ended.number)
        if ended.trouble:
            report = Report(str(job.line.audio), job.line.out, "failed", error=ended.trouble, attempts=ended.attempts)
            return Made(report, failure_of(job, report))
        made: Made = ended.result
        if ended.attempts == 1 or made.report.status not in ("done", "failed"):
            return made
        report = replace(made.report, attempts=ended.attempts)
        return replace(made, report=report, entry=made.entry and replace(made.entry, report=asdict(report)))

    def _job(self, index: int) -> Job:
        line = self._lines[index]
        return Job(line, self._folder, self._known.get(line.out), self._resume)

    def _for_mfa(self) -> list[tuple[int, Line]]:
        """The lines that Whisper and MFA must align, which wait for each other."""
        chosen = [(i, line) for i, line in enumerate(self._lines) if line.localizer == "whisper-mfa"]
        if not chosen:
            return []
        from ...checkpoint import load_checkpoint

        model = load_checkpoint(None).name

        def stands(line: Line) -> bool:
            try:
                origin = origin_of(line, model)
                known = self._known.get(line.out)
                return standing_of(self._folder / line.out, origin, known, self._resume) is not Standing.MAKE
            except KMTalkError:
                return False

        return [(index, line) for index, line in chosen if not stands(line)]

    def _heed_stop(self, fraction: float, message: str, pool: bool = False) -> None:
        """Tell the progress; outside of the pool, which stops by itself, end the work when asked to."""
        self._progress(fraction, message)
        if self._stop.by is not None and not pool:
            raise Cancelled("stopped")
