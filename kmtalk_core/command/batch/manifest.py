"""Manifests: from the rows of a table, of JSON or of a folder to lines, every fault told with its row."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path

from ...errors import InputError
from ...settings import Setting, Settings, settings_of
from .addresses import is_address
from .line import FILES, Line
from .naming import collisions, from_template, result_name, why_no_name
from .profiles import Cells, Profiles
from .sources import Record, read_records

TRUE, FALSE = {"1", "true", "yes", "x"}, {"", "0", "false", "no"}
LISTED = 50  # faults that a message lists
LIKENESS = 0.8  # from which a column's name is taken for a misspelt one
COLUMNS = tuple(f.name for f in fields(Line) if f.name not in ("own", "where", "remote"))
_DECIMAL_COMMA = re.compile(r"\s*([+-]?\d*),(\d+)\s*")  # as German or French spreadsheets write numbers


class ManifestError(InputError):
    """A manifest with faults; its message has one in each line of text."""

    def __init__(self, faults: Sequence[str]) -> None:
        more = [f"There are {len(faults) - LISTED} faults more."] if len(faults) > LISTED else []
        super().__init__("\n".join([*faults[:LISTED], *more]))


def read_manifest(
    path: Path,
    defaults: Cells | None = None,
    profiles: Profiles | None = None,
    template: str | None = None,
    base: str = "",
) -> list[Line]:
    """Read a manifest: a .csv with a header, a .json list of objects, or a folder of sounds with texts beside them.

    What a cell says wins over the line's profile, that over its character's, that over `defaults`. `template` names
    results that have no name in the column out. Files may be addresses of a store; `base` is that of the manifest's own
    folder, if it lies in one. Raises ManifestError with all faults.
    """
    profiles = profiles or Profiles()
    folder = path if path.is_dir() else path.parent
    lines: list[Line] = []
    faults: list[str] = []
    for name, cells in [*profiles.characters.items(), *profiles.profiles.items()]:
        faults += [f"The profile {name}: {wrong}" for column in cells if (wrong := _misspelt(column, own=False))]
    for number, record in enumerate(read_records(path), 1):
        try:
            line = _line(record, folder, defaults or {}, profiles, base)
            lines.append(_with_name(line, number, template))
        except InputError as error:
            faults.append(str(error))
    written = [(line, name) for line in lines for name in line.outputs]
    for first, second in collisions([name for _, name in written]):
        (one, _), (other, name) = written[first], written[second]
        faults.append(
            f"{other.where}: {name} is what {one.where.rpartition(', ')[2]} writes too; name them apart in the "
            "column out, or by --name."
        )
    for line, name in written:
        if why := why_no_name(name, line.audio.stem):
            faults.append(f"{line.where}: {why}; give another one in the column out, or by --name.")
    if faults:
        raise ManifestError(faults)
    return lines


def read_line(record: Mapping[str, object], where: str, folder: Path) -> Line:
    """Turn one record of a manifest into a `Line`; relative paths are relative to `folder`."""
    cells = {name: str(value).strip() for name, value in record.items() if value is not None and str(value).strip()}
    return _with_name(_line(Record(where, cells), folder, {}, Profiles()), 1, None)


def own_columns(lines: Sequence[Line]) -> list[str]:
    """The names of columns that are none of KMTalk's."""
    return list(dict.fromkeys(name for line in lines for name, _ in line.own))


def _line(record: Record, folder: Path, defaults: Cells, profiles: Profiles, base: str = "") -> Line:
    """Put together what is said of a line, and check it; raises InputError that names the row."""
    cells = record.cells
    named = cells.get("profile", "")
    if named and named not in profiles.profiles:
        raise InputError(f"{record.where}: there is no profile {named!r}; give a file that has it with --profiles.")
    layers = [
        (defaults, Path()),
        (profiles.characters.get(cells.get("character", ""), {}), profiles.folder),
        (profiles.profiles.get(named, {}), profiles.folder),
        (cells, folder),
    ]
    values: dict[str, object] = {}
    own: dict[str, str] = {}
    remote: dict[str, str] = {}
    for layer, place in layers:
        if "transcript" in layer or "transcript_file" in layer:
            values.pop("transcript", None)
            values.pop("transcript_file", None)
            remote.pop("transcript_file", None)
        for name, cell in layer.items():
            if name in FILES:
                remote.pop(name, None)
            if name in FILES and (address := _address(cell, base if layer is cells else "")):
                values[name], remote[name] = Path(cell), address
            elif name in COLUMNS:
                values[name] = _value(name, cell, place, record.where)
            elif wrong := _misspelt(name):
                raise InputError(f"{record.where}: {wrong}")
            else:
                own[name] = cell
    if "audio" not in values:
        raise InputError(f"{record.where}: the column audio is empty; name a sound file.")
    line = Line(**values, own=tuple(own.items()), where=record.where, remote=tuple(remote.items()))  # type: ignore[arg-type]
    if line.transcript is not None and line.transcript_file is not None:
        raise InputError(f"{record.where}: both transcript and transcript_file are given; keep one of them.")
    if line.vertices and line.mesh is None:
        raise InputError(f"{record.where}: vertices needs a mesh; name one in the column mesh.")
    if not line.vertices and (caches := {".mdd", ".pc2"} & set(line.formats)):
        raise InputError(f"{record.where}: {' and '.join(sorted(caches))} need vertices; set the column vertices.")
    return line


def _with_name(line: Line, number: int, template: str | None) -> Line:
    """Give a line the name of its result."""
    try:
        if line.out or template is None:
            return replace(line, out=result_name(line.out or line.audio.stem))
        values = {name: str(value or "") for name in COLUMNS if (value := getattr(line, name)) is not None}
        values |= {**dict(line.own), "audio": line.audio.stem, "number": str(number)}
        return replace(line, out=result_name(from_template(template, values)))
    except InputError as error:
        raise InputError(f"{line.where}: {error}.") from None


def _value(name: str, cell: str, folder: Path, where: str) -> object:
    try:
        return CONVERTERS[name](cell, folder)
    except ValueError as error:
        raise InputError(f"{where}: {name} {error}; correct the manifest.") from None
    except InputError as error:
        raise InputError(f"{where}: {error}") from None


def _address(cell: str, base: str) -> str:
    """The address of a file that lies in a store, where the manifest does so too or the cell is one; else ""."""
    if is_address(cell):
        return cell
    return f"{base.rstrip('/')}/{cell}" if base and not Path(cell).is_absolute() else ""


def _misspelt(name: str, own: bool = True) -> str:
    """A sentence if a column is none of KMTalk's but looks like one (or, without `own`, in any case), else ""."""
    near = difflib.get_close_matches(name, COLUMNS, 1, LIKENESS)
    if name in COLUMNS or (own and not near):
        return ""
    if near:
        return f"the column {name[:40]!r} is unknown; is {near[0]} meant? Columns of one's own need other names."
    return f"the column {name[:40]!r} is unknown; the columns are {', '.join(COLUMNS)}."


def _truth(cell: str, _: Path) -> bool:
    if cell.lower() not in TRUE | FALSE:
        raise ValueError(f"{cell[:40]!r} is neither true nor false")
    return cell.lower() in TRUE


def _seconds(cell: str, _: Path) -> float:
    try:
        value = float(_DECIMAL_COMMA.sub(r"\1.\2", cell))
    except ValueError:
        value = -1.0
    if not 0.0 <= value < float("inf"):
        raise ValueError(f"{cell[:40]!r} is no time in seconds")
    return value


def _formats(cell: str, _: Path) -> tuple[str, ...]:
    from ...export import EXPORTERS, OF_BLENDER

    known = {ending.lower().lstrip("."): ending for ending in (*EXPORTERS, *OF_BLENDER)}
    found = []
    for name in filter(None, re.split(r"[\s,;]+", cell.lower())):
        if name.lstrip(".") not in {*known, "npz"}:
            raise ValueError(f"has the unknown format {name[:40]!r}; choose from {', '.join(known)}")
        found.append(known.get(name.lstrip("."), ""))
    return tuple(dict.fromkeys(filter(None, found)))


def _setting(setting: Setting) -> Callable[[str, Path], object]:
    def convert(cell: str, folder: Path) -> object:
        value = setting.parse(_DECIMAL_COMMA.sub(r"\1.\2", cell) if _DECIMAL_COMMA.fullmatch(cell) else cell)
        return str(folder.joinpath(cell)) if setting.names_file(cell) else value

    return convert


def _target(cell: str, folder: Path) -> str:
    from ...retarget.families import find_family

    if cell.lower().endswith(".json"):
        return str(folder.joinpath(cell))
    return find_family(cell).name


def _text(cell: str, _: Path) -> str:
    return cell


def _path(cell: str, folder: Path) -> Path:
    return folder.joinpath(cell)


_SETTINGS = {setting.name: _setting(setting) for setting in settings_of(Settings)}
CONVERTERS: Mapping[str, Callable[[str, Path], object]] = {
    **dict.fromkeys(COLUMNS, _text),
    **dict.fromkeys(FILES, _path),
    **_SETTINGS,
    "alignment_fps": _SETTINGS["fps"],
    "start": _seconds,
    "duration": _seconds,
    "as_strip": _truth,
    "vertices": _truth,
    "formats": _formats,
    "target": _target,
}
