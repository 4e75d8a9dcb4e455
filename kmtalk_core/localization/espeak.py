"""espeak-ng says how words are pronounced: the library in KMTalk's packages, else the installed program."""

from __future__ import annotations

import functools
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import KMTalkError

PACKAGE = "espeakng_loader"  # only its library and data are used
PROGRAM = "espeak-ng"
_LIBRARIES = ("libespeak-ng.so", "libespeak-ng.dylib", "espeak-ng.dll")
_VOICES = {"fr": ("fr", "fr-fr")}  # where versions of espeak-ng name a voice differently
_CHILD = Path(__file__).with_name("espeak_child.py")
_TOGETHER = 500  # words handed to the program at once
_PATIENCE = 120  # s


@dataclass(frozen=True)
class Bundled:
    """The library and data of the package."""

    library: Path
    data: Path


def words_in_ipa(words: Sequence[str], voice: str) -> list[str]:
    """Each word in IPA, with "_" between its sounds; "(en)" and the like mark where another language is read.

    Raises KMTalkError where espeak-ng is missing or fails.
    """
    if not words:
        return []
    bundled = _bundled()
    if bundled is not None:
        return _by_library(bundled, words, voice)
    program = _program()
    if program is None:
        raise KMTalkError(
            "Transcripts in this language need espeak-ng; install it (pip install espeakng-loader, or"
            " https://github.com/espeak-ng/espeak-ng), import an alignment, or choose the language any."
        )
    return _by_program(program, words, voice)


def where() -> str:
    """What speaks here; raises KMTalkError if nothing does."""
    bundled, program = _bundled(), _program()
    if bundled is None and program is None:
        raise KMTalkError("install espeak-ng (pip install espeakng-loader, or https://github.com/espeak-ng/espeak-ng)")
    return str(bundled.library if bundled is not None else program)


@functools.cache
def _bundled() -> Bundled | None:
    spec = importlib.util.find_spec(PACKAGE)
    for folder in map(Path, (spec.submodule_search_locations or ()) if spec is not None else ()):
        data = folder / "espeak-ng-data"
        for library in (folder / name for name in _LIBRARIES):
            if library.is_file() and data.is_dir():
                return Bundled(library, data)
    return None


@functools.cache
def _program() -> str | None:
    return shutil.which(PROGRAM)


def _by_library(bundled: Bundled, words: Sequence[str], voice: str) -> list[str]:
    """In a child process, so that no word can end this one."""
    voices = _VOICES.get(voice, (voice,))
    # -I: neither the environment nor the current folder decides what is imported.
    command = [sys.executable, "-I", str(_CHILD), str(bundled.library), str(bundled.data), *voices]
    said = _run(command, json.dumps(list(words)), voice)
    lines = json.loads(said)
    if len(lines) != len(words):
        raise KMTalkError("espeak-ng does not work (it left out words); choose the language any.")
    return [str(line) for line in lines]


def _by_program(program: str, words: Sequence[str], voice: str) -> list[str]:
    """Word for word a paragraph; where one is read in several lines (numbers, say), word by word."""
    name = _VOICES.get(voice, (voice,))[-1]

    def lines_of(text: str) -> list[str]:
        said = _run([program, "-q", "--ipa=1", "-b", "1", "-v", name, "--stdin"], text, name)
        return [line.strip() for line in said.split("\n") if line.strip()]

    found: list[str] = []
    for first in range(0, len(words), _TOGETHER):
        some = words[first : first + _TOGETHER]
        lines = lines_of("\n\n".join(some))
        found += lines if len(lines) == len(some) else [" ".join(lines_of(word)) for word in some]
    return found


def _run(command: list[str], text: str, voice: str) -> str:
    try:
        done = subprocess.run(
            command,
            input=text.encode(),
            capture_output=True,
            check=False,
            timeout=_PATIENCE,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise KMTalkError(f"espeak-ng does not work ({error}); install it again, or choose the language any.") from None
    if done.returncode < 0 or done.returncode > 3:
        raise KMTalkError(f"espeak-ng ended with status {done.returncode}; check the text, or choose the language any.")
    if done.returncode:
        raise KMTalkError(f"espeak-ng has no voice {voice}; install its complete data, or choose the language any.")
    return done.stdout.decode("utf-8", "replace")
