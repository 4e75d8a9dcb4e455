"""The lines of a .blend as a manifest, which Blender writes: sound strips with what they play, and who says it."""

from __future__ import annotations

import subprocess
from pathlib import Path

from ...errors import InputError, KMTalkError, shortened
from .blender import find_program

SUFFIX = ".blend"


def is_blend(path: Path) -> bool:
    """Whether a manifest is a file of Blender's."""
    return path.suffix.lower() == SUFFIX and not path.is_dir()


def manifest_of(blend: Path, folder: Path, program: str = "") -> tuple[Path, tuple[str, ...]]:
    """Let Blender write the manifest of `blend` into `folder`; returns its path, and what is to be told of strips.

    `program`: see `blender.find_program`.

    Raises InputError if the file has no lines, or there is no Blender with KMTalk.
    """
    if not blend.is_file():
        raise InputError(f"There is no file {blend}; check the path.")
    out = folder.absolute() / f"{blend.stem}.csv"
    command = [find_program(program), "-b", str(blend.absolute()), "--command", "kmtalk", "manifest", "--out", str(out)]
    out.parent.mkdir(parents=True, exist_ok=True)
    try:
        done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", check=False)
    except OSError as error:
        raise InputError(
            f"Blender cannot be started ({command[0]}: {error.strerror}); name another one with --blender."
        ) from None
    told = [line.removeprefix("kmtalk: ") for line in done.stderr.splitlines() if line.startswith("kmtalk: ")]
    if done.returncode == 2 and told:
        raise InputError(f"{blend.name}: {told[-1]}")
    if done.returncode or not out.is_file():
        said = (done.stderr.strip() or done.stdout.strip()).splitlines() or [f"exit status {done.returncode}"]
        raise KMTalkError(
            f"Blender did not write the lines of {blend.name} ({shortened(said[-1], 120)}); see whether"
            f" “{command[0]} --command kmtalk --help” works, which needs KMTalk's extension to be enabled."
        )
    return out, tuple(line.removeprefix("warning: ") for line in told)
