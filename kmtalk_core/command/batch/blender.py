"""What only Blender can write of a line: FBX, USD, Alembic, Actions and scenes. One Blender is kept for many lines.

It runs `blender -b --command kmtalk deliver`, which answers each request, one line of JSON, with another, and ends with
its standard input. Every line begins with an empty file or its template, so that none depends on those before it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ... import __version__
from ...errors import InputError, KMTalkError, StorageError, shortened
from ...export import OF_BLENDER
from ..stopping import ends_with_this
from .line import Line

VARIABLE = "KMTALK_BLENDER"  # of the environment: the program, where it is not on the path
MARK = "kmtalk-deliver: "  # before each answer, since a Blender says other things first
LIBRARY = ".blend"
NOBODY = "KMTalk head"  # what a head without a name is called
CHUNK = 100  # lines, after which another Blender begins, whatever the one before has kept in memory
PATIENCE = 300.0  # s for a Blender that is asked before the first line


def find_program(named: str = "") -> str:
    """The Blender to use: the one that is `named`, that of the environment, or that on the path. Raises InputError."""
    asked = named or os.environ.get(VARIABLE, "") or "blender"
    found = shutil.which(asked)
    if found is None and asked != "blender":
        raise InputError(f"There is no program {asked}; name Blender's with --blender or in {VARIABLE}.")
    if found is None:
        raise InputError(
            "This needs Blender with KMTalk's extension, and there is none on the path: name its program with --blender"
            f" or in {VARIABLE}."
        )
    return str(Path(found).absolute())


def catalog_of(line: Line) -> str:
    """The catalog that a line's Action lies in: its character, or else its head."""
    return line.character or (line.mesh.stem if line.mesh else "") or NOBODY


def endings_of(line: Line) -> tuple[str, ...]:
    """What Blender is to write of a line."""
    return tuple(ending for ending in line.formats if ending in OF_BLENDER)


def wanted_of(lines: Iterable[Line]) -> frozenset[str]:
    """What Blender is to write of any of these lines."""
    return frozenset(ending for line in lines for ending in endings_of(line))


def why_unable(endings: frozenset[str], named: str = "") -> str:
    """A sentence if this machine has no Blender that can write files with these endings, else ""."""
    if not endings:
        return ""
    try:
        with Blender(find_program(named)) as blender:
            blender.check(endings)
    except KMTalkError as error:
        return str(error)
    return ""


def refused_lines(lines: Sequence[Line], named: str = "") -> dict[int, str]:
    """Why Blender cannot write lines, by their place, found out before the first one.

    Raises InputError where there is no Blender that can write what they ask for, KMTalkError where it does not work.
    """
    wanted = {place: line for place, line in enumerate(lines) if endings_of(line)}
    if not wanted:
        return {}
    templates: dict[Path | None, Mapping[str, Any]] = {}
    with Blender(find_program(named)) as blender:
        late = threading.Timer(PATIENCE, blender.close)
        late.start()
        try:
            blender.check(wanted_of(wanted.values()))
            for template in dict.fromkeys(line.template for line in wanted.values()):
                if template is not None and template.is_file():
                    templates[template] = blender.ask({"look": str(template.absolute())})
        finally:
            late.cancel()
    found: dict[int, str] = {}
    for place, line in wanted.items():
        if (about := templates.get(line.template)) and (why := why_not_in(about, line)):
            found[place] = why
    return found


def why_not_in(about: Mapping[str, Any], line: Line) -> str:
    """Why a template, of which Blender has told `about`, does not take a line; "" if it does."""
    if "error" in about:
        return str(about["error"])
    name = line.template.name if line.template else ""
    if abs(about["fps"] - line.fps) > 0.01:
        return f"{name} has {about['fps']:g} frames a second and the line {line.fps:g}; give it --fps {about['fps']:g}."
    if line.character not in about["objects"] and not head_for(line.character, about["heads"]):
        known = ", ".join(about["heads"][:8]) or "none"
        return f"{name} has no head for {line.character or 'a line without character'}; its heads are: {known}."
    return ""


def head_for(character: str, heads: Sequence[str]) -> str:
    """The one of these `heads` that says what a character says: of its name, or alone in having it in its own.

    "" if none or several might.
    """
    if character in heads:
        return character
    alike = [head for head in heads if character.casefold() in head.casefold()]
    return alike[0] if len(alike) == 1 else ""


class Blender:
    """A Blender at work; use it as a context manager. It ends with this process, however that ends.

    `ask` raises KMTalkError with what Blender says, and if it is gone; another one is started with the next question.
    """

    def __init__(self, program: str) -> None:
        self._program = program
        self._process: subprocess.Popen[str] | None = None
        self._said: deque[str] = deque(maxlen=20)
        self._listener: threading.Thread | None = None
        self._done = 0
        self.about: Mapping[str, Any] = {}

    def __enter__(self) -> Blender:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def check(self, endings: Iterable[str]) -> None:
        """Raise InputError if this Blender cannot write files with these endings."""
        self._begin()
        lacking = sorted(set(endings) & set(self.about["lacks"]))
        if lacking:
            raise InputError(
                f"Blender {self.about['blender']} ({self._program}) was built without {', '.join(lacking)}; name one of"
                " blender.org with --blender."
            )

    def write(self, request: Mapping[str, Any], endings: Sequence[str]) -> tuple[str, ...]:
        """Have a line written; returns what its user should know. A Blender that dies is tried again, fresh."""
        self.check(endings)
        used = self._done
        try:
            answer = self.ask(request)
        except _Gone:
            if not used:
                raise
            answer = self.ask(request)
        if answer.get("storage"):
            raise StorageError(str(answer["error"]))
        if "error" in answer:
            raise KMTalkError(str(answer["error"]))
        self._done += 1
        if self._done >= CHUNK:
            self.close()
        return tuple(answer["told"])

    def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to a request."""
        process = self._begin()
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
        except OSError:
            pass  # it is gone, and the answer tells
        return self._answer(process)

    def close(self) -> None:
        """End it."""
        process, self._process, self._done = self._process, None, 0
        if process is None:
            return
        process.kill()
        with suppress(subprocess.TimeoutExpired):
            process.wait(5.0)
        for pipe in (process.stdin, process.stdout):
            with suppress(OSError):
                if pipe is not None:
                    pipe.close()

    def _begin(self) -> subprocess.Popen[str]:
        if self._process is not None:
            return self._process
        command = [self._program, "-b", "--command", "kmtalk", "deliver"]
        self._said.clear()
        try:
            process = self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8",
                errors="replace", preexec_fn=ends_with_this(),
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )  # fmt: skip
        except OSError as error:
            raise InputError(
                f"Blender cannot be started ({self._program}: {error.strerror}); name another one with --blender."
            ) from None
        self._listener = threading.Thread(target=self._listen, args=(process,), daemon=True)
        self._listener.start()
        self.about = {}
        self.about = self._answer(process)
        if self.about.get("kmtalk") != __version__:
            self.close()
            raise InputError(
                f"KMTalk's extension in {self._program} is version {self.about.get('kmtalk')}, and this is"
                f" {__version__}; install the same in Blender."
            )
        return process

    def _answer(self, process: subprocess.Popen[str]) -> dict[str, Any]:
        assert process.stdout is not None
        with suppress(ValueError):  # closed meanwhile, by somebody who waits no longer
            for line in process.stdout:
                if line.startswith(MARK):
                    answer: dict[str, Any] = json.loads(line.removeprefix(MARK))
                    return answer
                self._said.append(line.strip())
        ready = bool(self.about)
        self.close()
        if self._listener is not None:
            self._listener.join(1.0)
        said = next((line for line in reversed(self._said) if line), "it said nothing")
        if ready:
            raise _Gone(f"Blender ended while it worked ({shortened(said, 120)}); out of memory? Try fewer workers.")
        raise InputError(
            f"Blender does not write lines ({shortened(said, 120)}); see whether “{self._program} -b --command kmtalk"
            " --help” works, which needs KMTalk's extension to be enabled."
        )

    def _listen(self, process: subprocess.Popen[str]) -> None:
        """Keep what it says last, for messages."""
        assert process.stderr is not None
        with suppress(OSError, ValueError), process.stderr:
            for line in process.stderr:
                self._said.append(line.strip())


class _Gone(KMTalkError):
    """The Blender has ended."""


def request_of(line: Line, folder: Path) -> dict[str, Any]:
    """What Blender is asked of a line whose result lies in the `folder`."""
    absolute = line.absolute()
    return {
        "result": str((folder / line.out).absolute()),
        "sound": str(absolute.audio),
        "transcript": line.transcript or "",
        "mesh": None if absolute.mesh is None else str(absolute.mesh),
        "template": None if absolute.template is None else str(absolute.template),
        "character": line.character,
        "catalog": catalog_of(line),
        "outputs": {
            ending: str((folder / f"{line.out.removesuffix('.npz')}{ending}").absolute()) for ending in endings_of(line)
        },
    }
