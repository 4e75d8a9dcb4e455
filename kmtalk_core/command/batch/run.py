"""Many lines of dialogue in one run: they are made side by side, written down in a journal, and reported.

Whenever it ends, and however, what was done is known: results appear whole, the journal says which of them are right,
and the report is kept up to date while the lines are made.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from ...delivery.catalogs import FILE as CATALOGS
from ...delivery.catalogs import with_catalogs
from ...errors import Cancelled, KMTalkError, StorageError, storage_trouble
from ...files import save_text, synchronise
from ...leftovers import remove_leftovers
from ...progress import Progress, silent_progress
from ..stopping import Stop, stopped_by_signals
from .addresses import Store
from .blender import LIBRARY, catalog_of, wanted_of, why_unable
from .dask_pool import DaskPool
from .journal import ENDING, NAME, STEM, Entry, Journal, gather, known_of_others
from .line import Line
from .origin import Standing, judged
from .page import write_page
from .pool import Ended, Pool, cores
from .report import Outcome, Report, write_json, write_table
from .shard import Shard
from .stores import Mirror
from .together import align_together
from .work import Job, Made, failure_of

REPORT, REPORTS = "report", ("csv", "json", "html")
WORK = "kmtalk_core.command.batch.work:make_worker"
FLUSH = 0.5  # s after which what is known is written down, even if no line begins meanwhile
REPORT_EVERY = 2.0  # s between two writings of the report, more where that takes long
REPORT_SHARE = 0.05  # of the time, at the most, is spent on writing it


def run_batch(
    lines: Sequence[Line],
    folder: Path,
    *,
    resume: bool = False,
    workers: int | None = None,
    progress: Progress = silent_progress,
    unable: Mapping[int, str] | None = None,
    shard: Shard | None = None,
    scheduler: str | None = None,
    store: Store | None = None,
    blender: str = "",
) -> Outcome:
    """Animate every line into `folder`, which is made if needed, and write the reports there.

    With `resume`, lines are skipped whose result is right; results that were edited by hand are always kept. `workers`
    processes work side by side, by default as many as there are processors, or those of the Dask `scheduler` at that
    address; `blender` is the program that they run, if one is named. `unable`: why lines cannot work, by their place.
    A `shard`, whose lines these are, has a journal and reports of its own; without one, those of shards that were here
    are gathered. Where there is a `store`, results, reports and journals go there from `folder`, and what it has
    counts. Raises Cancelled, saying how to go on, if it is stopped; StorageError if the disk takes nothing more;
    KMTalkError if no batch can run there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise KMTalkError(f"Cannot make the folder {folder} ({error.strerror}); choose another one.") from None
    label = shard.label if shard else ""
    mirror = Mirror(store, folder, label) if store is not None else None
    with stopped_by_signals() as stop, mirror or nullcontext(), Journal(folder, shard) as journal:
        known = known_of_others(folder, shard) if shard else {}
        if shard is None:
            for gone in gather(folder, journal):
                if mirror is not None:
                    mirror.drop([f"{STEM}.{gone.label}{ENDING}", *(f"{REPORT}.{gone.label}.{e}" for e in REPORTS)])
                for old in folder.glob(f"{REPORT}.{gone.label}.*"):
                    old.unlink(missing_ok=True)
        places = {folder, *((folder / line.out).parent for line in lines)}
        clear(places)
        run = _Run(lines, folder, journal, stop, progress, resume, known, shard, mirror, store, blender)
        try:
            able = partial(why_unable, wanted_of(lines), blender)
            run.work(lambda: pool_of(stop, workers, scheduler, able), unable or {})
            run.write_down()
            run.write_report()
            clear(places)  # what a run that was killed just before was still dying with
        except BaseException as error:
            clear(places)  # what workers had in work when they were ended
            for write in (run.write_down, run.write_report):
                with suppress(KMTalkError):
                    write()
            if isinstance(error, StorageError):  # of a result, the journal or the report
                raise StorageError(f"{error} Then give the same command with --resume to go on.") from None
            if stop.by is None or not isinstance(error, (Cancelled, KeyboardInterrupt)):
                raise
        if stop.by is not None:
            raise Cancelled(
                f"Stopped by {stop.by} with {run.outcome.summary}; the results and {run.outcome.report} are kept. "
                "Give the same command with --resume to go on."
            )
        return run.outcome


def pool_of(stop: Stop, workers: int | None, scheduler: str | None, able: Callable[[], str]) -> Pool | DaskPool:
    """What does the lines: processes of this machine, or a farm, each of whose machines is asked what it is not `able`
    to do."""
    return Pool(WORK, workers or cores(), stop) if scheduler is None else DaskPool(WORK, scheduler, stop, able)


def clear(folders: Iterable[Path]) -> None:
    """Remove what killed workers left, of this run or of former ones."""
    for folder in folders:
        remove_leftovers(folder)


def note_catalogs(folder: Path, lines: Sequence[Line]) -> None:
    """Have the folder list the catalogs that the Actions of its lines lie in, if there are any; others' stay."""
    heads = {catalog_of(line) for line in lines if LIBRARY in line.formats}
    if heads:
        path = folder / CATALOGS
        known = path.read_text(encoding="utf-8") if path.is_file() else ""
        if (text := with_catalogs(known, heads)) != known:
            save_text(text, path)


def plan(lines: Sequence[Line], folder: Path, resume: bool, unable: Mapping[int, str]) -> list[str]:
    """What would be done for each line: make, skip, keep or fail. Nothing is written."""
    known: Mapping[str, Entry] = {}
    if (folder / NAME).is_file():
        with Journal(folder) as journal:
            known = journal.entries()
    model = model_name()
    return [
        "fail" if index in unable else judged(line, folder, known.get(line.out), resume, model).value
        for index, line in enumerate(lines)
    ]


def model_name() -> str:
    """The name of the model that lines are made with, as results have it."""
    from ...checkpoint import load_checkpoint

    return load_checkpoint(None).name


class _Run:
    """One run over the lines: what is known of each, and what is not yet on the disk of that."""

    def __init__(
        self,
        lines: Sequence[Line],
        folder: Path,
        journal: Journal,
        stop: Stop,
        progress: Progress,
        resume: bool,
        known: Mapping[str, Entry],
        shard: Shard | None,
        mirror: Mirror | None = None,
        store: Store | None = None,
        blender: str = "",
    ) -> None:
        self._lines, self._folder, self._journal, self._stop = lines, folder, journal, stop
        self._progress, self._resume = progress, resume
        self._mirror, self._store, self._blender = mirror, store, blender
        own = journal.entries()
        self._known = {**known, **own}
        self._listed = sorted(own.keys() - {line.out for line in lines})  # results of lines that left
        self._report = folder / (f"{REPORT}.{shard.label}.csv" if shard else f"{REPORT}.csv")
        self._reports: dict[int, Report] = {}
        self._unwritten: list[Entry] = []
        self._written_at = self._reported_at = time.monotonic()
        self._report_cost = 0.0

    def work(self, make_pool: Callable[[], Pool | DaskPool], unable: Mapping[int, str]) -> None:
        """Do every line but those that are `unable`."""
        aligned, failed = align_together(self._for_mfa(unable), self._heed_stop)
        for index, why in unable.items():
            failed[index] = Report.of_line(self._lines[index], "failed", error=why)
        for index, report in failed.items():
            self._take(index, Made(report, failure_of(self._job(index), report)))
        jobs = [
            (index, replace(self._job(index), aligned=aligned.get(index)))
            for index in range(len(self._lines))
            if index not in failed
        ]
        if not jobs:
            return
        note_catalogs(self._folder, self._lines)
        with make_pool() as pool:
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
            self._reports.get(index) or Report.of_line(line, "waiting") for index, line in enumerate(self._lines)
        ]
        left = [
            replace(Report.from_dict(known.report), status="left")
            for known in map(self._known.__getitem__, self._listed)
            if known.report is not None and (self._store is not None or (self._folder / known.out).is_file())
        ]
        return Outcome((*reports, *left), self._report)

    def write_down(self) -> None:
        """Have all results on the disk, and then in the journal."""
        self._begin(())

    def write_report(self) -> None:
        start = time.monotonic()
        outcome = self.outcome
        write_table(outcome.reports, self._report)
        write_json(outcome.reports, self._report.with_suffix(".json"))
        write_page(outcome, self._report.with_suffix(".html"), self._folder.resolve().name)
        if self._mirror is not None:
            reports = [*(self._report.with_suffix(f".{ending}") for ending in REPORTS), self._folder / CATALOGS]
            self._mirror.send(self._journal.path, self._journal.connection, reports)
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
            raise StorageError(made.storage)
        total = len(self._lines)
        done = len(self._reports)
        self._heed_stop(done / total, f"{done} of {total}: {report.out} {report.status}", pool=True)

    def _made(self, ended: Ended) -> Made:
        job = self._job(ended.number)
        if ended.trouble:
            report = Report.of_line(job.line, "failed", error=ended.trouble, attempts=ended.attempts)
            return Made(report, failure_of(job, report))
        made: Made = ended.result
        if ended.attempts == 1 or made.report.status not in ("done", "carried", "failed"):
            return made
        report = replace(made.report, attempts=ended.attempts)
        return replace(made, report=report, entry=made.entry and replace(made.entry, report=report.as_dict()))

    def _job(self, index: int) -> Job:
        line = self._lines[index]
        known = self._known.get(line.out)
        return Job(line, self._folder, known, self._resume, store=self._store, blender=self._blender)

    def _for_mfa(self, unable: Mapping[int, str]) -> list[tuple[int, Line]]:
        """The lines that Whisper and MFA must align, which wait for each other."""
        chosen = [
            (i, line) for i, line in enumerate(self._lines) if line.localizer == "whisper-mfa" and i not in unable
        ]
        model = model_name() if chosen else ""
        return [
            (i, line)
            for i, line in chosen
            if judged(line, self._folder, self._known.get(line.out), self._resume, model) is Standing.MAKE
        ]

    def _heed_stop(self, fraction: float, message: str, pool: bool = False) -> None:
        """Tell the progress; outside of the pool, which stops by itself, end the work when asked to."""
        self._progress(fraction, message)
        if self._stop.by is not None and not pool:
            raise Cancelled("stopped")
