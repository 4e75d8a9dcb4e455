"""The report of a batch: a row for each line, as a table."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from ...files import written_whole

STATUSES = ("done", "skipped", "kept", "failed", "waiting", "left")


@dataclass(frozen=True)
class Report:
    """What became of one line.

    `status`: done; skipped, as nothing that it is made from has changed; kept, as its result was edited by hand;
    failed; waiting, where the batch was stopped before; left, a result whose line is no longer in the manifest.
    `seconds`: the time its work took; `attempts`: how often it was begun, above 1 where its worker died;
    `contacts`: the p, b, m, f, v whose lips or teeth must meet; `missed_contacts`: those that do not (`kmtalk check`
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
    attempts: int = 1
    warnings: str = ""
    error: str = ""

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Report:
        """The inverse of `asdict`, for records of older versions too."""
        known = {f.name for f in fields(cls)}
        return cls(**{name: value for name, value in record.items() if name in known})


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


def write_report(reports: Iterable[Report], path: Path) -> None:
    """Write the reports as a .csv table, whole or not at all."""
    with written_whole(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        rows = csv.DictWriter(file, [f.name for f in fields(Report)])
        rows.writeheader()
        for report in reports:
            rows.writerow({k: f"{v:.3f}" if isinstance(v, float) else v for k, v in asdict(report).items()})
