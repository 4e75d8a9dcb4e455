"""The report as one page for a browser, with nothing outside of it but the sounds that it plays on demand."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from ...assets import ASSETS, REPORT_HEAD
from ...files import save_text
from .addresses import is_address
from .preview import DIGITS
from .report import COLUMNS, Outcome, Report

TEMPLATE, PLACE, HEAD_PLACE = ASSETS / "report.html", "/*DATA*/", "/*HEAD*/"
CELLS = (*COLUMNS, "own", "preview", "sound", "film")
FILM = ".mp4"
_encode = json.JSONEncoder(ensure_ascii=False).encode


def write_page(outcome: Outcome, path: Path, title: str) -> None:
    """Write `path`, whole: all reports, sorted and filtered by the browser; the worst come first."""
    content = page_data(outcome.reports, outcome.summary, title, path.parent)
    template = TEMPLATE.read_text(encoding="utf-8").replace(HEAD_PLACE, REPORT_HEAD.read_text(encoding="utf-8"))
    before, after = template.split(PLACE)
    save_text(f"{before}{content}{after}", path)


def page_data(reports: Sequence[Report], summary: str, title: str, folder: Path) -> str:
    """What the page shows, as JSON that may stand in HTML."""
    about = {"title": title, "summary": f"{summary}.", "digits": DIGITS, "columns": CELLS}
    rows = ",\n".join(_row(report, folder) for report in reports)
    text = f'{_encode(about)[:-1]}, "rows": [\n{rows}\n]}}'
    # Only these characters could end the script, or begin something else in it.
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _row(report: Report, folder: Path) -> str:
    cells = _encode([*(_short(getattr(report, name)) for name in COLUMNS), dict(report.own)])
    film = quote(f"{report.out.removesuffix('.npz')}{FILM}") if FILM in report.formats.split() else ""
    return f"{cells[:-1]},{report.preview or 'null'},{_encode(_address(report.audio, folder))},{_encode(film)}]"


def _short(cell: object) -> object:
    return round(cell, 3) if isinstance(cell, float) else cell


def _address(sound: str, folder: Path) -> str:
    """The address of a sound seen from the page: relative, so that both may be moved together; none of a store's."""
    if is_address(sound):
        return ""
    try:
        return quote(Path(os.path.relpath(sound, folder)).as_posix())
    except ValueError:  # on another drive of Windows
        return Path(sound).absolute().as_uri()
