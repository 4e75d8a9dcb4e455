"""Outputs of commands, looked at before any work is done."""

from __future__ import annotations

from pathlib import Path

from ..errors import InputError


def check_output(path: Path, *suffixes: str) -> None:
    """Notice an output that cannot be written before any work is done, and remove what killed runs left beside it."""
    from ..files import is_stream
    from ..leftovers import remove_leftovers

    if path.suffix.lower() not in suffixes and not (len(suffixes) == 1 and is_stream(path)):
        raise InputError(f"The output {path} must end in {' or '.join(suffixes)}.")
    if path.is_dir():
        raise InputError(f"The output {path} is a folder; name a file.")
    if not path.parent.is_dir():
        raise InputError(f"The folder {path.parent} does not exist; create it or choose another output.")
    remove_leftovers(path.parent)
