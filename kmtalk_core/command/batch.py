"""Many lines of dialogue in one run: a manifest in, results and a quality report out.

Each worker process keeps one animator, so that the model is loaded once a process. A line that fails is reported and
the others go on.
"""

from __future__ import annotations

import csv
import io
import json
import multiprocessing
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import Cancelled, InputError, KMTalkError
from ..files import read_text, written_whole

if TYPE_CHECKING:
    from ..audio import Sound
    from ..phones import Alignment

# What a line may say as the options of `animate` do: the same names in Line and in animator.Request.
SETTINGS = (
    "localizer", "language", "fps", "key_rule", "key_density", "intensity", "jaw", "lips", "smoothing", "offset",
    "upper_face", "head", "expression", "expression_strength", "seed",
)  # fmt: skip
TRUE, FALSE = {"1", "true", "yes"}, {"", "0", "false", "no"}


@dataclass(frozen=True)
class Line:
    """One line of a manifest; relative paths are relative to the manifest. `out` is a name in the output folder."""

    audio: Path
    out: str = ""
    transcript: str | None = None
    transcript_file: Path | None = None
    alignment: Path | None = None
    alignment_fps: float | None = None
    corrections: Path | None = None
    mesh: Path | None = None
    vertices: bool = False
    localizer: str = "auto"
    language: str = "en"
    fps: float = 30.0
    key_rule: str = "apexes"
    key_density: float = 1.0
    intensity: float = 1.0
    jaw: float = 1.0
    lips: float = 1.0
    smoothing: float = 0.0
    offset: float = 0.0
    upper_face: float = 1.0
    head: float = 1.0
    expression: str = "neutral"
    expression_strength: float = 1.0
    seed: int = 0


@dataclass(frozen=True)
class Report:
    """What became of one line; `status` is done, skipped or failed, `seconds` the time its work took.

    `contacts` are the p, b, m, f, v whose lips or teeth must meet, `missed_contacts` those that do not (`kmtalk check`
    lists them).
    """

    audio: str
    out: str
    status: str
    seconds: float = 0.0
    duration: float = 0.0
    times_real_time: float = 0.0
    keys: int = 0
    contacts: int = 0
    missed_contacts: int = 0
    localizer: str = ""
    warnings: str = ""
    error: str = ""


@dataclass(frozen=True)
class Outcome:
    """The reports of a whole run in the manifest's order, and the file that holds them."""

    reports: tuple[Report, ...]
    report: Path
    failed: tuple[Report, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "failed", tuple(r for r in self.reports if r.status == "failed"))

    @property
    def summary(self) -> str:
        counts = {status: sum(r.status == status for r in self.reports) for status in ("done", "skipped", "failed")}
        return ", ".join(f"{count} {status}" for status, count in counts.items())


def read_manifest(path: Path) -> list[Line]:
    """Read a manifest: a .csv with a header or a .json list of objects, whose columns are the fields of `Line`.

    A .csv may be separated by commas, semicolons or tabs. Raises InputError, naming the line, for an unknown column, a
    bad value or a doubled output.
    """
    text = read_text(path)
    try:
        records = json.loads(text) if path.suffix.lower() == ".json" else read_table(text)
    except (json.JSONDecodeError, csv.Error) as error:
        raise InputError(f"{path} is not a readable manifest ({error}); correct it there.") from None
    if not isinstance(records, list) or not records or not all(isinstance(r, dict) for r in records):
        raise InputError(f"{path} holds no lines; a manifest is a .csv with a header or a .json list of objects.")
    lines = [read_line(record, f"{path}, line {number}", path.parent) for number, record in enumerate(records, 1)]
    names: dict[str, int] = {}
    for number, line in enumerate(lines, 1):
        if line.out in names:
            raise InputError(
                f"{path}: lines {names[line.out]} and {number} both write {line.out}; name them in the column out."
            )
        names[line.out] = number
    return lines


def read_table(text: str) -> list[dict[str, object]]:
    """The rows of a .csv under its header, whose most frequent separator is taken."""
    header = text.partition("\n")[0]
    separator = max(",;\t", key=header.count)
    return list(csv.DictReader(io.StringIO(text), delimiter=separator))


def read_line(record: dict[str, object], where: str, folder: Path) -> Line:
    """Turn one record of a manifest into a `Line`."""
    from ..localization.tongues import LANGUAGES
    from .arguments import EXPRESSIONS, FPS, KEY_RULES, LOCALIZERS, STRENGTH, integer, number

    share = number(0, 1)
    converters: dict[str, Callable[[str], object]] = {
        "audio": folder.joinpath, "out": str, "transcript": str, "transcript_file": folder.joinpath,
        "alignment": folder.joinpath, "alignment_fps": FPS, "corrections": folder.joinpath, "mesh": folder.joinpath,
        "vertices": truth, "localizer": one_of(LOCALIZERS), "language": one_of(LANGUAGES), "fps": FPS,
        "key_rule": one_of(KEY_RULES), "key_density": share, "intensity": STRENGTH, "jaw": STRENGTH, "lips": STRENGTH,
        "smoothing": share, "offset": number(-1, 1), "upper_face": STRENGTH, "head": STRENGTH,
        "expression": one_of(EXPRESSIONS), "expression_strength": share, "seed": integer(0),
    }  # fmt: skip
    values: dict[str, object] = {}
    for name, value in record.items():
        if name is None:
            raise InputError(f"{where} has more cells than the header; put text that holds a separator in quotes.")
        if name not in converters:
            known = ", ".join(f.name for f in fields(Line))
            raise InputError(f"{where}: the column {name!r} is unknown; the columns are {known}.")
        if value is None or not str(value).strip():
            continue
        try:
            values[name] = converters[name](str(value).strip())
        except Exception as error:
            raise InputError(f"{where}: {name} {error}; correct the manifest.") from None
    if "audio" not in values:
        raise InputError(f"{where}: the column audio is empty; name a sound file.")
    line = Line(**values)  # type: ignore[arg-type]
    if line.transcript is not None and line.transcript_file is not None:
        raise InputError(f"{where}: both transcript and transcript_file are given; keep one of them.")
    if line.vertices and line.mesh is None:
        raise InputError(f"{where}: vertices needs a mesh; name one in the column mesh.")
    name = line.out or line.audio.stem
    name = name if name.lower().endswith(".npz") else f"{name}.npz"
    if Path(name).anchor or ".." in Path(name).parts:
        raise InputError(f"{where}: out {name!r} leads out of the output folder; give a plain name.")
    return replace(line, out=name)


def one_of(choices: Iterable[str]) -> Callable[[str], str]:
    """Return a converter for a word of `choices`."""

    def convert(text: str) -> str:
        if text not in choices:
            raise ValueError(f"{text!r} is unknown; choose from {', '.join(choices)}")
        return text

    return convert


def truth(text: str) -> bool:
    if text.lower() not in TRUE | FALSE:
        raise ValueError(f"{text!r} is neither true nor false")
    return text.lower() in TRUE


def run_batch(
    lines: Sequence[Line],
    folder: Path,
    *,
    resume: bool = False,
    workers: int = 1,
    progress: Callable[[float, str], None] = lambda fraction, message: None,
) -> Outcome:
    """Animate every line into `folder`, which is made if needed, and write report.csv there.

    With `resume`, lines whose result exists are skipped: results appear whole, so what exists is finished. The report
    is written as well when the run is interrupted.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise KMTalkError(f"Cannot make the folder {folder} ({error.strerror}); choose another one.") from None
    reports: dict[int, Report] = {}
    for index, line in enumerate(lines):
        if resume and (folder / line.out).is_file():
            reports[index] = Report(str(line.audio), line.out, "skipped")
    waiting = [(index, line) for index, line in enumerate(lines) if index not in reports]
    path = folder / "report.csv"
    try:
        aligned, failed = align_together(waiting, progress)
        reports |= failed
        waiting = [(index, line) for index, line in waiting if index not in failed]
        for index, report in animate_all(waiting, folder, workers, aligned):
            reports[index] = report
            progress(len(reports) / len(lines), f"{len(reports)} of {len(lines)}: {report.out} {report.status}")
    finally:
        write_report([reports[index] for index in sorted(reports)], path)
    return Outcome(tuple(reports[index] for index in sorted(reports)), path)


def align_together(
    waiting: Sequence[tuple[int, Line]], progress: Callable[[float, str], None]
) -> tuple[dict[int, Alignment], dict[int, Report]]:
    """Lines for whisper-mfa by one run of each tool, which take long to start: alignments, and what failed."""
    from ..audio import load_sound
    from ..localization.transcript import read_transcript
    from ..localization.whisper_mfa import localize_many

    chosen = [(index, line) for index, line in waiting if line.localizer == "whisper-mfa" and not line.alignment]
    failed: dict[int, Report] = {}
    ready: dict[int, tuple[Callable[[], Sound], str | None]] = {}
    for index, line in chosen:
        try:
            text = read_transcript(line.transcript_file) if line.transcript_file else line.transcript
            if not load_sound(line.audio).is_silent:  # silence needs no aligner
                ready[index] = (partial(load_sound, line.audio), text)
        except KMTalkError as error:
            failed[index] = Report(str(line.audio), line.out, "failed", error=str(error))
    if not ready:
        return {}, failed
    lines = dict(chosen)
    found: dict[int, Alignment | KMTalkError] = {}
    for language in dict.fromkeys(lines[index].language for index in ready):
        group = [index for index in ready if lines[index].language == language]
        try:
            together = localize_many(
                [ready[index] for index in group], lambda share, doing: progress(0.0, doing), language
            )
        except Cancelled:
            raise
        except KMTalkError as error:
            together = [error] * len(group)
        found |= dict(zip(group, together, strict=True))
    aligned: dict[int, Alignment] = {}
    for index, alignment in found.items():
        if isinstance(alignment, KMTalkError):
            line = lines[index]
            failed[index] = Report(str(line.audio), line.out, "failed", error=str(alignment))
        else:
            aligned[index] = alignment
    return aligned, failed


def animate_all(
    waiting: Sequence[tuple[int, Line]], folder: Path, workers: int, aligned: Mapping[int, Alignment]
) -> Iterator[tuple[int, Report]]:
    """Yield (index, report) as the lines finish, in any order."""
    done: set[int] = set()
    try:
        for index, report in in_pool(waiting, folder, workers, aligned):
            done.add(index)
            yield index, report
    except BrokenProcessPool:
        # A worker died and took the pool with it. Alone, each remaining line can only bring down itself.
        for index, line in waiting:
            if index not in done:
                try:
                    yield from in_pool([(index, line)], folder, 1, aligned)
                except BrokenProcessPool:
                    crash = "The worker process died (out of memory?); try a shorter sound or fewer workers."
                    yield index, Report(str(line.audio), line.out, "failed", error=crash)


def in_pool(
    waiting: Sequence[tuple[int, Line]], folder: Path, workers: int, aligned: Mapping[int, Alignment]
) -> Iterator[tuple[int, Report]]:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(waiting)) or 1, mp_context=context) as pool:
        try:
            futures = {pool.submit(animate_line, line, folder, aligned.get(index)): index for index, line in waiting}
            for future in as_completed(futures):
                yield futures[future], future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


_animator = None  # one a process, in workers only


def animate_line(line: Line, folder: Path, aligned: Alignment | None = None) -> Report:
    """Animate one line, which may be `aligned` already; what goes wrong becomes a report. Runs in a worker process."""
    global _animator
    from ..animator import Animator
    from ..audio import load_sound
    from ..finish.report import contact_report
    from ..localization.corrections import load_corrections
    from ..localization.importers import load_alignment
    from ..localization.transcript import read_transcript
    from ..request import Request
    from ..results import save_animation
    from .heads import load_head, with_vertices

    start = time.perf_counter()
    report = Report(str(line.audio), line.out, "failed")
    try:
        _animator = _animator or Animator()
        out = folder / line.out
        out.parent.mkdir(parents=True, exist_ok=True)
        sound = load_sound(line.audio)
        request = Request(
            transcript=read_transcript(line.transcript_file) if line.transcript_file else line.transcript,
            alignment=load_alignment(line.alignment, line.alignment_fps) if line.alignment else aligned,
            corrections=load_corrections(line.corrections, sound.sha256) if line.corrections else (),
            **{name: getattr(line, name) for name in SETTINGS},
        )
        head = load_head(line.mesh) if line.vertices and line.mesh is not None else None
        animation = _animator.animate(sound, request)
        if head:
            animation = with_vertices(animation, head, lambda fraction, message: None)
        save_animation(animation, out)
    except KMTalkError as error:
        return replace(report, seconds=time.perf_counter() - start, error=str(error))
    except Exception as error:
        return replace(report, seconds=time.perf_counter() - start, error=f"{type(error).__name__}: {error}")
    seconds = time.perf_counter() - start
    contacts = contact_report(animation)
    return Report(
        str(line.audio),
        line.out,
        "done",
        seconds=seconds,
        duration=animation.alignment.duration,
        times_real_time=animation.alignment.duration / seconds,
        keys=len(animation.keys.times),
        contacts=contacts.contacts,
        missed_contacts=len(contacts.violations),
        localizer=animation.alignment.source,
        warnings=" ".join(dict.fromkeys((*sound.warnings, *animation.alignment.warnings))),
    )


def write_report(reports: Iterable[Report], path: Path) -> None:
    """Write the reports as a .csv table, whole or not at all."""
    with written_whole(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        rows = csv.DictWriter(file, [f.name for f in fields(Report)])
        rows.writeheader()
        for report in reports:
            rows.writerow({k: f"{v:.3f}" if isinstance(v, float) else v for k, v in asdict(report).items()})
