"""The report of a batch: a row for each line, as a table and as JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from ...files import save_text
from .line import TOLD, Line

STATUSES = ("done", "skipped", "carried", "kept", "failed", "waiting", "left")


@dataclass(frozen=True)
class Report:
    """What became of one line.

    `status`: done; skipped, as nothing that it is made from has changed; kept, as its result was edited by hand;
    carried, as it was edited and its line has changed since: it was made anew with these edits;
    failed; waiting, where the batch was stopped before; left, a result whose line is no longer in the manifest.
    `formats`: endings of what was exported beside it; `seconds`: the time its work took; `attempts`: how often it was
    begun, above 1 where its worker died;
    `contacts`: the p, b, m, f, v whose lips or teeth must meet; `missed_contacts`: those that do not (`kmtalk check`
    lists them); `confidence` 0…1: how well the sound fits the words;
    `change_mm`, `change_words`: how much the lips are open otherwise, at the most, and how many words are others than
    in the result that was there before; `own`: the manifest's own columns; `preview`:
    what `preview.preview_of` keeps.
    """

    audio: str
    out: str
    status: str
    line: str = ""
    character: str = ""
    scene: str = ""
    language: str = ""
    version: str = ""
    profile: str = ""
    formats: str = ""
    seconds: float = 0.0
    duration: float = 0.0
    times_real_time: float = 0.0
    keys: int = 0
    contacts: int = 0
    missed_contacts: int = 0
    confidence: float = 1.0
    change_mm: float = 0.0
    change_words: int = 0
    localizer: str = ""
    attempts: int = 1
    warnings: str = ""
    error: str = ""
    own: Mapping[str, str] = field(default_factory=dict)
    preview: str = ""

    @classmethod
    def of_line(cls, line: Line, status: str, **more: Any) -> Report:
        """A report that knows what the manifest says."""
        told = {name: getattr(line, name) for name in (*TOLD, "language", "out")}
        formats = " ".join(line.formats)
        return cls(line.sound, status=status, own=dict(line.own), formats=formats, **told, **more)

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Report:
        """The inverse of `as_dict`, for records of other versions too."""
        known = {f.name for f in fields(cls)}
        return cls(**{name: value for name, value in record.items() if name in known})

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    @property
    def doubt(self) -> float:
        """0…1: how much the line is worth a look, by the worst of what is known of it.

        1 for a failure; the share of missed contacts, at least .3 if there are any; what the confidence of the words
        lacks; .25 for a warning.
        """
        if self.status == "failed":
            return 1.0
        missed = self.missed_contacts / self.contacts if self.contacts else 0.0
        signs = [0.3 + 0.7 * missed if missed else 0.0, 1.0 - self.confidence, 0.25 if self.warnings else 0.0]
        return round(min(max(signs), 1.0), 3)


_FIRST = ("line", "character", "scene", "audio", "out", "status", "doubt")
_APART = ("own", "preview")  # no columns
COLUMNS = (*_FIRST, *(f.name for f in fields(Report) if f.name not in (*_FIRST, *_APART)))


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
        """How many lines came to what, worker deaths too where there were any."""
        counts = {status: sum(r.status == status for r in self.reports) for status in STATUSES}
        usual = ("done", "skipped", "failed")
        told = [f"{count} {status}" for status, count in counts.items() if count or status in usual]
        again = sum(r.attempts > 1 for r in self.reports)
        return ", ".join([*told, *([f"{again} begun again after their worker died"] if again else [])])


def write_table(reports: Sequence[Report], path: Path) -> None:
    """Write the reports as a .csv, the manifest's own columns behind KMTalk's."""
    own = {name: f"own_{name}" if name in COLUMNS else name for report in reports for name in report.own}
    text = io.StringIO()
    rows = csv.DictWriter(text, [*COLUMNS, *own.values()], restval="")
    rows.writeheader()
    for report in reports:
        row = {name: getattr(report, name) for name in COLUMNS}
        row = {name: f"{cell:.3f}" if isinstance(cell, float) else cell for name, cell in row.items()}
        rows.writerow(row | {own[name]: cell for name, cell in report.own.items()})
    save_text(text.getvalue(), path)


def write_json(reports: Iterable[Report], path: Path) -> None:
    """Write the reports as JSON, with the manifest's own columns under "own"."""
    lines = [{**{name: getattr(report, name) for name in COLUMNS}, "own": dict(report.own)} for report in reports]
    rows = ",\n".join(json.dumps(line, ensure_ascii=False) for line in lines)
    save_text(f'{{"lines": [\n{rows}\n]}}\n', path)
