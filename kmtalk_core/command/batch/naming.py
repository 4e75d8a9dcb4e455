"""Names of results: from the manifest, from the sound, or from a template, and all of them apart from each other."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from ...errors import InputError

_FIELD = re.compile(r"\{([^{}]*)\}")
_DEVICE = re.compile(r"(con|prn|aux|nul|com[1-9]|lpt[1-9])(\..*)?", re.IGNORECASE)  # on Windows, with any ending
_OF_BATCH = re.compile(r"report(\.\d+-of-\d+)?\.(csv|json|html)|blender_assets\.cats\.txt", re.IGNORECASE)
LONGEST = 255  # bytes of a file's name, on most file systems
_NO_NAME = re.compile(r'[\x00-\x1f<>:"/\\|?*]+')  # what file names cannot have somewhere


def from_template(template: str, values: Mapping[str, str]) -> str:
    """Fill in a template, as "{scene}/{character}_{line}"; raises InputError for a value that is unknown or empty."""

    def fill(match: re.Match[str]) -> str:
        name = match[1].strip()
        if name not in values:
            raise InputError(f"the name template has {{{name}}}, but there is no such column")
        value = _NO_NAME.sub("_", values[name]).strip(" .")
        if not value:
            raise InputError(f"the name template needs {name}, which is empty")
        return value

    filled = _FIELD.sub(fill, template)
    if "{" in filled or "}" in filled:
        raise InputError("the name template has a brace without its partner")
    return filled


def result_name(name: str) -> str:
    """`name` with the ending .npz; raises InputError if it leads out of the output folder."""
    name = name.replace("\\", "/")
    name = name if name.lower().endswith(".npz") else f"{name}.npz"
    path = PurePosixPath(name)
    if path.is_absolute() or Path(name).anchor or ".." in path.parts or path.name.startswith(".kmtalk"):
        raise InputError(f"out {name!r} leads out of the output folder; give a plain name")
    return str(path)


def why_no_name(name: str, own: str) -> str:
    """Why a file may not be called so in an output folder, "" if it may; its parts may be as the sound's `own` name.

    Names are for every system, since folders are shared by several.
    """
    path = PurePosixPath(name)
    for part in path.parts:
        if len(part.encode("utf-8", "surrogateescape")) > LONGEST:
            return f"{part[:40]}… is too long for a file's name"
        if part == path.name and part.startswith(f"{own}."):
            continue
        if _DEVICE.fullmatch(part) or _NO_NAME.search(part) or part != part.rstrip(" ."):
            return f"{part!r} is no name that files can have on Windows"
    return f"{name} is what the batch itself writes" if _OF_BATCH.fullmatch(name) else ""


def collisions(names: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Pairs of places in `names` that some file system takes for the same file, or one for a folder of the other."""
    files: dict[str, int] = {}
    folders: dict[str, int] = {}
    for place, name in enumerate(names):
        own = same(name)
        above = [str(parent) for parent in PurePosixPath(own).parents][:-1]
        clash = files.get(own, folders.get(own))
        clash = clash if clash is not None else next((files[p] for p in above if p in files), None)
        if clash is not None:
            yield clash, place
            continue
        files[own] = place
        for parent in above:
            folders.setdefault(parent, place)


def same(name: str) -> str:
    """What names have in common that are one file where case and composed accents do not count."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
