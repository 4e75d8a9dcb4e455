"""What can be known before the first line runs: missing files, languages that cannot be read out, full disks."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ...errors import InputError, KMTalkError, StorageError
from ...tongues import ANY_LANGUAGE, ENGLISH
from .line import Line

READERS = 8  # files opened side by side, since a share takes its time with each
BYTES_A_LINE = 150_000  # of a result of 5 s
BYTES_BESIDE = {
    ".glb": 2_750_000, ".anim": 1_900_000, ".mp4": 130_000, ".fbx": 2_300_000, ".usd": 11_000_000, ".usdc": 11_000_000,
    ".usda": 23_000_000, ".abc": 25_000_000, ".blend": 100_000, ".scene.blend": 2_400_000,
}  # … of what is exported with it, on the demo head  # fmt: skip
BYTES_ELSE = 80_000


def lines_that_cannot_work(lines: Sequence[Line]) -> dict[int, str]:
    """For each line that cannot work, by its place, a sentence that says why."""
    paths = list(dict.fromkeys(path for line in lines for path in line.local_files.values()))
    with ThreadPoolExecutor(READERS) as threads:
        faults = {path: why for path, why in zip(paths, threads.map(why_unreadable, paths), strict=True) if why}
    missing = why_no_languages() if any(_is_read_out_by_espeak(line) for line in lines) else ""
    found: dict[int, str] = {}
    for place, line in enumerate(lines):
        wrong = [faults[path] for path in line.local_files.values() if path in faults]
        if missing and _is_read_out_by_espeak(line):
            wrong.append(missing)
        if wrong:
            found[place] = " ".join(dict.fromkeys(wrong))
    return found


def why_unreadable(path: Path) -> str:
    """A sentence if `path` is no file that can be read, else ""."""
    try:
        if not path.exists():
            return f"There is no file {path}; check the path."
        if not path.is_file():
            return f"{path} is not a file; name a file."
        with path.open("rb") as file:
            return "" if file.read(1) else f"{path} is empty; export it again."
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no name that files can have"
        return f"{path} cannot be read ({reason}); check the path."


def why_no_languages() -> str:
    """A sentence if texts in other languages than English cannot be read out here, else ""."""
    from ...localization.espeak import where

    try:
        where()
    except KMTalkError as error:
        return f"Texts in other languages than English need espeak-ng; {error}, or choose the language any."
    return ""


def check_space(folder: Path, lines: Sequence[Line]) -> None:
    """Raise StorageError if the disk of `folder`, which need not exist yet, has no room for what lines of 5 s make and
    is not there."""
    place = folder
    while not place.exists() and place != place.parent:
        place = place.parent
    if not place.is_dir():
        raise InputError(f"{place} is a file; choose a folder for the results.")
    free, needed = shutil.disk_usage(place).free, 0
    for line in lines:
        sizes = (BYTES_A_LINE, *(BYTES_BESIDE.get(ending, BYTES_ELSE) for ending in line.formats))
        missing = [not (folder / name).exists() for name in line.outputs] if folder == place else [True] * len(sizes)
        needed += sum(size for size, is_new in zip(sizes, missing, strict=True) if is_new)
    if free < needed:
        raise StorageError(
            f"What the lines still make needs about {needed / 1e6:,.0f} MB, but the disk of {folder} has"
            f" {free / 1e6:,.0f} MB free; make some room, or choose another folder."
        )


def _is_read_out_by_espeak(line: Line) -> bool:
    has_text = line.transcript is not None or line.transcript_file is not None
    return has_text and line.alignment is None and line.language not in (ENGLISH, ANY_LANGUAGE)
