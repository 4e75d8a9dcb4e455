"""One line of a batch: from its files to its result. This is what the workers do."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import InputError, KMTalkError, StorageError
from ...files import written_whole
from ...progress import section
from ...settings import Settings, settings_of
from .addresses import Store
from .blender import Blender, endings_of, find_program, request_of
from .journal import Entry
from .line import Line
from .origin import Standing, origin_of, sha256_of, stamps_of, standing_of
from .preview import change_between, preview_of
from .report import Report
from .stores import STALE, bring, publish, take_former
from .worker import Tell

if TYPE_CHECKING:
    from ...animator import Animator
    from ...phones import Alignment

LEAST, PER_SECOND = 60.0, 20.0  # s that a line may take, and per second of its sound
BLENDER_LEAST, BLENDER_PER_SECOND = 600.0, 60.0  # the same for what Blender writes of it
WHISPER_LEAST, WHISPER_PER_SECOND = 900.0, 120.0  # the same for lines that Whisper hears
FIGURES = (
    "seconds", "duration", "times_real_time", "keys", "contacts", "missed_contacts", "confidence", "localizer",
    "warnings", "preview",
)  # of a report, which stay right while its result stands  # fmt: skip


@dataclass(frozen=True)
class Job:
    """A line to animate into `folder`; `known`: what the journal has of it; `aligned`: its phones, where found already.

    Without `resume`, what is right is made again. `store`: where results go to from the folder; `blender`: its
    program, if one is named.
    """

    line: Line
    folder: Path
    known: Entry | None = None
    resume: bool = False
    aligned: Alignment | None = None
    store: Store | None = None
    blender: str = ""


@dataclass(frozen=True)
class Made:
    """What became of a job: its `report`, and its `entry` for the journal, None where nothing was changed.

    `storage`: the sentence of a disk that takes nothing, which makes it useless to go on.
    """

    report: Report
    entry: Entry | None = None
    storage: str = ""


def make_worker() -> Callable[[Job, Tell], Made]:
    """Load the model once; returns what does a job with it."""
    from ...animator import Animator

    animator, kept = Animator(), Kept()
    return lambda job, tell: do(job, animator, tell, kept)


@dataclass
class Kept:
    """What a worker keeps from line to line beside the model: a Blender, once a line has needed one."""

    blender: Blender | None = None

    def have_written(self, job: Job) -> tuple[str, ...]:
        """Have Blender write what it alone can of a line; returns what the line's user should know."""
        endings = endings_of(job.line)
        if not endings:
            return ()
        if self.blender is None:
            self.blender = Blender(find_program(job.blender))
        return self.blender.write(request_of(job.line, job.folder), endings)


def do(job: Job, animator: Animator, tell: Tell, kept: Kept | None = None) -> Made:
    """Animate one line unless its result stands already; what goes wrong becomes a report."""
    start = time.perf_counter()
    line = job.line
    blank = Report.of_line(line, "failed")
    try:
        bring(line, tell)
        if job.store is not None:
            tell(STALE)
            for name in line.outputs:
                take_former(job.store, name, job.folder)
        origin = origin_of(line, animator.model)
        exports = [job.folder / name for name in line.outputs[1:]]
        standing = standing_of(job.folder / line.out, origin, job.known, job.resume, exports)
        if standing in (Standing.SKIP, Standing.KEEP):
            return standing_report(job, origin, standing)
        report = animate(job, animator, tell, kept or Kept(), standing is Standing.CARRY)
        report = replace(report, seconds=time.perf_counter() - start)
        report = replace(report, times_real_time=report.duration / report.seconds)
        if job.known is not None and job.known.report and (before := job.known.report.get("preview")):
            millimetres, words = change_between(before, report.preview)
            report = replace(report, change_mm=millimetres, change_words=words)
        sha256 = sha256_of(job.folder / line.out)
        if job.store is not None:
            tell(STALE)
            former = [path.name for path in (job.folder / line.out).parent.glob(f"{Path(line.out).stem}.before*.npz")]
            beside = [str(Path(line.out).with_name(name)) for name in former]
            publish(job.store, [*beside, *line.outputs[1:], line.out], job.folder)
        return Made(report, Entry(line.out, "done", origin, sha256, report.as_dict()))
    except StorageError as error:
        return Made(replace(blank, error=str(error)), storage=str(error))
    except KMTalkError as error:
        why = str(error)
    except MemoryError:
        why = "Not enough memory; try a shorter sound, or leave out vertices."
    except Exception as error:
        why = f"{type(error).__name__}: {error}"
    report = replace(blank, seconds=time.perf_counter() - start, error=why)
    return Made(report, failure_of(job, report))


def failure_of(job: Job, report: Report) -> Entry:
    """For the journal: the line failed, and whatever result it had before is as it was."""
    known = job.known or Entry(job.line.out, "failed")
    return replace(known, state="failed", report=report.as_dict())


def standing_report(job: Job, origin: str, standing: Standing) -> Made:
    """The report of a result that is left as it is, with the figures of when it was made."""
    known = job.known
    report = Report.of_line(job.line, "skipped")
    if known is not None and known.report is not None:
        figures = {name: known.report[name] for name in FIGURES if name in known.report}
        report = replace(report, **figures)
    if standing is Standing.KEEP:
        changed = known is not None and bool(known.origin) and known.origin != origin
        why = "Its result was edited by hand" + ", and its line has changed since" * changed
        report = replace(report, status="kept", warnings=f"{why}; move it away to have it made anew.")
    return Made(report)


def animate(job: Job, animator: Animator, tell: Tell, kept: Kept, edited: bool = False) -> Report:
    """Make the result of a line and write it; raises KMTalkError.

    Where the one that is there was `edited`, its edits are carried over, and it is kept under another name.
    """
    from ...export import OF_BLENDER, Stage, export_animation
    from ...finish.carry import carry
    from ...finish.report import contact_report
    from ...request import Request
    from ...results import load_animation, save_animation
    from ...retarget.families import find_family
    from ...retarget.wear import in_family
    from ..heads import load_head, with_vertices
    from .hearing import alignment_of, corrections_of, fitted, sound_of, text_of, with_part_noted

    line, out = job.line, job.folder / job.line.out
    before = stamps_of(line)
    sound = sound_of(line)
    heard = line.localizer.startswith("whisper") and job.aligned is None
    least, share = (WHISPER_LEAST, WHISPER_PER_SECOND) if heard else (LEAST, PER_SECOND)
    tell(least + share * sound.duration)
    request = Request(
        transcript=text_of(line, sound),
        alignment=alignment_of(line, sound) or job.aligned,
        alignment_name=line.alignment.name if line.alignment else "",
        corrections=corrections_of(line, sound),
        **{setting.name: getattr(line, setting.name) for setting in settings_of(Settings)},
    )
    of_head: list[str] = []
    head = load_head(line.mesh, of_head.append) if line.vertices and line.mesh is not None else None
    told_of = section(tell.progress, 0.0, 0.9 / (1 + len(line.formats)))
    animation = fitted(with_part_noted(animator.animate(sound, request, told_of), line, sound), line)
    carried = carry(load_animation(out), animation) if edited else None
    if carried is not None:
        animation = animator.complete(animation, carried.keys)
    if head:
        animation = with_vertices(animation, head, lambda fraction, message: None)
    if line.target:
        animation = in_family(animation, find_family(line.target))
    if stamps_of(line) != before:
        raise InputError("Its files were changed while they were read; run the batch again with --resume.")
    out.parent.mkdir(parents=True, exist_ok=True)
    former = keep_former(out) if edited else None
    save_animation(animation, out)
    stage = Stage(line.mesh, sound, out.stem)
    for number, name in enumerate(line.outputs[1:], 1):
        if not name.endswith(OF_BLENDER):
            tell.progress(0.9 * number / (1 + len(line.formats)), f"writing {line.formats[number - 1]}")
            export_animation(animation, job.folder / name, stage)
    if endings_of(line):
        tell(BLENDER_LEAST + BLENDER_PER_SECOND * sound.duration)
        tell.progress(0.9 * (1 - len(endings_of(line)) / (1 + len(line.formats))), "Blender writes")
    of_blender = kept.have_written(job)
    contacts = contact_report(animation)
    words = animation.alignment.words
    told = [*sound.warnings, *animation.alignment.warnings, *of_head, *of_blender]
    if carried is not None and former is not None:
        told.append(f"Edits carried over: {carried.count}; the former result is {former.name}.")
        told += [f"Not carried: {lost}; what it belongs to is said no more." for lost in carried.lost]
    return Report.of_line(
        line,
        "carried" if edited else "done",
        duration=animation.alignment.duration,
        keys=len(animation.keys.times),
        contacts=contacts.contacts,
        missed_contacts=len(contacts.violations),
        confidence=sum(word.confidence for word in words) / len(words) if words else 1.0,
        localizer=animation.alignment.source,
        warnings=" ".join(dict.fromkeys(told)),
        preview=preview_of(animation, sound, contacts),
    )


def keep_former(out: Path) -> Path:
    """Copy a result that was edited to a name of its own beside it, "NAME.before1.npz", and return that."""
    number = 1
    while (former := out.with_name(f"{out.stem}.before{number}.npz")).exists():
        if sha256_of(former) == sha256_of(out):  # a run that was killed came as far as this
            return former
        number += 1
    with written_whole(former, durable=True) as partial:
        shutil.copyfile(out, partial)
    return former
