"""Where the lines of a batch come from: a table as spreadsheets write it, JSON, or a folder of sounds."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ...archives import parsed
from ...errors import InputError
from ...localization.transcript import decoded, transcript_beside

SOUNDS = frozenset({
    ".wav", ".flac", ".ogg", ".opus", ".mp3", ".m4a", ".aac", ".aif", ".aiff", ".wma", ".w64", ".caf", ".mp4", ".mov",
    ".mkv", ".webm", ".mka",
})  # what is taken for a sound in a folder; a manifest may name anything  # fmt: skip
SEPARATORS = ",;\t|"
LARGEST = 256 * 1024**2  # bytes of a manifest


@dataclass(frozen=True)
class Record:
    """What one row says, column by column, empty cells left out; `where` tells a user which row it is."""

    where: str
    cells: Mapping[str, str]


def read_records(path: Path) -> list[Record]:
    """The rows of a .csv (any other ending too), a .json list of objects, or the sounds of a folder.

    Raises InputError for what cannot be read, or holds no lines.
    """
    if path.is_dir():
        return _of_folder(path)
    try:
        if path.stat().st_size > LARGEST:
            raise InputError(f"{path} is too large to be a manifest; split it.")
        text = decoded(path.read_bytes())
    except OSError as error:
        raise InputError(f"Cannot read {path} ({error.strerror}); check the path.") from None
    except UnicodeDecodeError:
        raise InputError(f"{path} is no text; save the manifest as .csv or .json.") from None
    records = _of_json(path, text) if path.suffix.lower() == ".json" else _of_table(path, text)
    if not records:
        raise InputError(f"{path} holds no lines; a manifest is a .csv with a header or a .json list of objects.")
    return records


def _of_table(path: Path, text: str) -> list[Record]:
    """Rows under a header; Excel's "sep=;" is heeded, else the header's most frequent separator. Rows are counted as a

    spreadsheet counts them, so that users find them again.
    """
    first, _, rest = text.lstrip("\ufeff").partition("\n")
    told = first.strip().strip('"').lower()
    skipped = 0
    if told.startswith("sep=") and len(told) <= 5:
        separator, text, skipped = told[4:] or "\t", rest, 1
    else:
        separator = max(SEPARATORS, key=first.count)
    try:
        rows = list(csv.reader(io.StringIO(text.lstrip("\ufeff"), newline=""), delimiter=separator, strict=False))
    except csv.Error as error:
        raise InputError(f"{path} is not a readable table ({error}); save it as .csv again.") from None
    if not rows:
        return []
    header = [named(cell) for cell in rows[0]]
    for name in header:
        if name and header.count(name) > 1:
            raise InputError(f"{path}: the column {name} is there twice; keep one of them.")
    records = []
    for number, row in enumerate(rows[1:], 2 + skipped):
        where = f"{path}, row {number}"
        if not any(cell.strip() for cell in row):
            continue
        if any(cell.strip() for cell in row[len(header) :]):
            raise InputError(f"{where} has more cells than the header; put text that holds a separator in quotes.")
        cells = {name: cell.strip() for name, cell in zip(header, row, strict=False) if cell.strip()}
        if "" in cells:
            raise InputError(f"{where}: there is a cell in a column without a name; name the column.")
        records.append(Record(where, cells))
    return records


def _of_json(path: Path, text: str) -> list[Record]:
    try:
        found = parsed(text)
    except ValueError as error:
        raise InputError(f"{path} is not readable JSON ({error}); correct it there.") from None
    if isinstance(found, dict):  # our own report, or a list under a name
        found = found.get("lines")
    if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
        raise InputError(f"{path} holds no lines; a manifest is a .csv with a header or a .json list of objects.")
    records = []
    for number, entry in enumerate(found, 1):
        cells = {named(name): written(value) for name, value in entry.items()}
        records.append(Record(f"{path}, entry {number}", {name: cell for name, cell in cells.items() if cell}))
    return records


def _of_folder(folder: Path) -> list[Record]:
    """A line for each sound in `folder` and its subfolders, with the text or subtitles beside it."""
    records = []
    try:
        found = sorted(
            Path(place, name) for place, _, names in os.walk(folder) for name in names if not name.startswith(".")
        )
    except OSError as error:
        raise InputError(f"Cannot read {folder} ({error.strerror}); check the path.") from None
    for sound in found:
        if sound.suffix.lower() not in SOUNDS:
            continue
        inside = sound.relative_to(folder)
        cells = {"audio": str(inside), "out": str(inside.with_suffix("").as_posix())}
        try:
            beside = transcript_beside(sound)
        except InputError as error:
            raise InputError(f"{sound}: {error}") from None
        if beside is not None:
            cells["transcript_file"] = str(beside.relative_to(folder))
        records.append(Record(str(sound), cells))
    if not records:
        raise InputError(f"In {folder} are no sounds; name a folder with .wav, .flac or other sound files.")
    return records


def named(header: str) -> str:
    """A column's name however it is written: "Transcript File" is transcript_file."""
    return "_".join(header.strip().lower().replace("-", " ").replace("_", " ").split())


def written(value: object) -> str:
    """What JSON holds as a cell of a table would have it."""
    if value is None:
        return ""
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return ", ".join(value)
    if isinstance(value, (dict, list, bool)):
        return json.dumps(value, ensure_ascii=False)
    return str(value).strip()
