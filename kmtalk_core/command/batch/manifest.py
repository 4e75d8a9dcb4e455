"""Manifests: the lines of a batch, and what is wanted of each."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path

from ...errors import InputError
from ...files import read_text
from ...settings import Settings, settings_of

TRUE, FALSE = {"1", "true", "yes"}, {"", "0", "false", "no"}


@dataclass(frozen=True)
class Line(Settings):
    """One line of a manifest: files, and all settings of its result.

    Relative paths are relative to the manifest; `out` is a name in the output folder.
    """

    audio: Path
    out: str = ""
    transcript: str | None = None
    transcript_file: Path | None = None
    alignment: Path | None = None
    alignment_fps: float | None = None
    corrections: Path | None = None
    mesh: Path | None = None
    vertices: bool = False


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
    settings = {setting.name: setting.parse for setting in settings_of(Settings)}
    path = folder.joinpath
    converters: dict[str, Callable[[str], object]] = {
        "audio": path, "out": str, "transcript": str, "transcript_file": path, "alignment": path,
        "alignment_fps": settings["fps"], "corrections": path, "mesh": path, "vertices": truth, **settings,
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


def truth(text: str) -> bool:
    if text.lower() not in TRUE | FALSE:
        raise ValueError(f"{text!r} is neither true nor false")
    return text.lower() in TRUE
