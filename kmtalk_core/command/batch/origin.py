"""Whether a result still is what its line says: judged by content, never by dates or by its being there."""

from __future__ import annotations

import hashlib
import json
import stat
from collections.abc import Iterable
from dataclasses import asdict
from enum import Enum
from functools import lru_cache
from pathlib import Path

from ... import __version__
from ...archives import Unreadable, read_arrays
from ...errors import InputError
from ...settings import Settings, settings_of
from .blender import endings_of
from .journal import Entry
from .line import Line

SHARED = ("mesh", "template", "target", "style")  # fields whose files many lines name, and which may be large


class Standing(Enum):
    """What is to be done for a line: make its result, skip it as it is right, keep what was edited by hand, or make it
    anew and carry the edits over, since the line has changed.
    """

    MAKE = "make"
    SKIP = "skip"
    KEEP = "keep"
    CARRY = "carry"


def origin_of(line: Line, model: str) -> str:
    """Hex digest of all that the result of `line` is made from: files by content, settings, model and program.

    Raises InputError for a file that cannot be read.
    """
    made_from: dict[str, object] = {setting.name: getattr(line, setting.name) for setting in settings_of(Settings)}
    made_from |= {name: getattr(line, name) for name in ("transcript", "alignment_fps", "vertices", "formats")}
    if line.is_part:
        made_from |= {name: getattr(line, name) for name in ("start", "duration", "as_strip")}
    if line.target:
        made_from["target"] = line.target
    used = {name: path for name, path in line.files.items() if name != "template" or endings_of(line)}
    made_from |= {name: shared_sha256_of(path) if name in SHARED else sha256_of(path) for name, path in used.items()}
    made_from |= {"model": model, "program": __version__}
    if line.localizer.startswith("whisper"):
        from ...localization.tools import Tools

        made_from["tools"] = asdict(Tools.from_environment())
    return hashlib.sha256(json.dumps(made_from, sort_keys=True, default=str).encode()).hexdigest()


def standing_of(out: Path, origin: str, known: Entry | None, resume: bool, exports: Iterable[Path] = ()) -> Standing:
    """Judge the result at `out`, of which the journal knows `known`; without `resume`, what is right is made again.

    So is a result of which one of the `exports` is missing.
    """
    if not out.is_file():
        return Standing.MAKE
    own = known is not None and known.sha256 == sha256_of(out)  # as this program left it
    same = known is not None and known.origin == origin
    if own and same and resume and known is not None and known.state != "failed" and all(p.is_file() for p in exports):
        return Standing.SKIP
    by_hand = has_edited_keys(out)
    # Where nobody wrote down what a result is, it says itself whether an animator edited it.
    if not by_hand and (own or known is None or not known.sha256 or known.state == "working"):
        return Standing.MAKE
    return Standing.CARRY if by_hand and known is not None and known.origin and not same else Standing.KEEP


def judged(line: Line, folder: Path, known: Entry | None, resume: bool, model: str) -> Standing:
    """What is to be done for a line by the model of that name; a line that cannot be read is made, which tells why."""
    try:
        origin = origin_of(line, model)
        out, *exports = (folder / name for name in line.outputs)
        return standing_of(out, origin, known, resume, exports)
    except InputError:
        return Standing.MAKE


def has_edited_keys(out: Path) -> bool:
    """Whether a result says that a user edited its keys."""
    try:
        return any(bool(edited.any()) for _, edited in read_arrays(out, {"key_edited"}))
    except (Unreadable, OSError):
        return False


def stamps_of(line: Line) -> dict[str, tuple[int, int]]:
    """Size and date of each file, which change while somebody writes to it."""
    found = {}
    for name, path in line.files.items():
        try:
            about = path.stat()
        except OSError:
            continue  # reading it tells why
        found[name] = (about.st_size, about.st_mtime_ns)
    return found


def shared_sha256_of(path: Path) -> str:
    """As `sha256_of`, of a file that many lines name: it is read again once anything is known to have changed in it."""
    try:
        about = path.stat()
    except (OSError, ValueError):
        return sha256_of(path)  # which tells why
    return _known_sha256(path, (about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns))


@lru_cache(maxsize=256)
def _known_sha256(path: Path, _: tuple[int, ...]) -> str:
    return sha256_of(path)


def sha256_of(path: Path) -> str:
    """Hex digest of a file's content; raises InputError if it cannot be read, or is a pipe or a device."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise InputError(f"{path} is not a file; name a file.")
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no name that files can have"
        raise InputError(f"{path} cannot be read ({reason}); check the path.") from None
