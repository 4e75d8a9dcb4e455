"""The child process that does the work, and a piece of work in it. Knows nothing of Blender.

The work is a generator, `Steps`: it yields requests, is resumed when each is done, and returns what came of it. It
changes the file only after its last request, so that cancelling at any moment leaves the file as it was. A request that
fails is raised where it was yielded; work that goes on all the same gets another worker if the first one is gone.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import site
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from kmtalk_core.errors import InputError, KMTalkError
from kmtalk_core.service.protocol import (
    Advance,
    Alive,
    Answer,
    Failure,
    Request,
    Result,
    decode_answer,
    encode_request,
)

T = TypeVar("T")
Steps = Generator[Request, dict[str, Any], T]  # yields a request, receives the details of its result

# -I keeps the user's environment out of the child, so the folders to import from are handed over explicitly: those that
# win over the packages that the Python has itself (but not over its standard library), and those that come last.
PREPARE = (
    "import json, sys; first, last = json.loads(sys.argv[1]); "
    "at = [i for i, p in enumerate(sys.path) if p.endswith('-packages')] or [len(sys.path)]; "
    "sys.path[at[0]:at[0]] = first; sys.path.extend(p for p in last if p not in sys.path); "
)
SERVE = (
    "from kmtalk_core.process import settle; settle(); from kmtalk_core.service.worker import main; main(sys.argv[2])"
)
SILENCE = 120.0  # s without a sign of life after which a worker hangs; it gives one every second, however busy it is

Folders = tuple[Sequence[str], Sequence[str]]


class WorkerGone(KMTalkError):
    """The worker has ended, or hung and was ended."""


def worker_command(python: str, core_folder: str, backend: str = "auto") -> list[str]:
    """How to start the worker with `python`; an empty string means Blender's own, with all that Blender can import.

    Another Python comes with its own packages; `core_folder` (which holds `kmtalk_core`) is only its last resort.
    """
    return [*start_code(python, _folders(python, core_folder), SERVE), backend]


def core_folders(python: str) -> Folders:
    """Where `python` is to import from, first and last, when `kmtalk_core` is the one that Blender has imported."""
    import kmtalk_core

    return _folders(python, str(Path(kmtalk_core.__file__).parents[1]))


def start_code(python: str, folders: Folders, code: str) -> list[str]:
    """How to run `code` in another process, apart from what the user has set up for Python."""
    return [python or sys.executable, "-I", "-c", PREPARE + code, json.dumps(folders)]


def clean_environment() -> dict[str, str]:
    """The environment without what would change a Python: children of the child would not be isolated by -I.

    On Windows, programs are not looked for in the working folder, which may be that of a .blend from anywhere.
    """
    kept = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON") and k != "__PYVENV_LAUNCHER__"}
    return kept | {"NoDefaultCurrentDirectoryInExePath": "1"}


def safe_folder() -> str:
    """A folder to work in that holds no stranger's programs and modules, as that of the opened .blend may."""
    return str(Path(sys.executable).parent)


def _folders(python: str, core_folder: str) -> Folders:
    if python and Path(python) != Path(sys.executable):
        return [], [core_folder]
    users = site.getusersitepackages()
    # The extension's own packages before those of a Linux distribution, which may be of other versions.
    return [core_folder], [p for p in sys.path if p and p != users]


class Worker:
    """A running worker process. It stays, with its model loaded, until `kill` or until Blender ends."""

    def __init__(self, command: Sequence[str]) -> None:
        self.command = list(command)
        self._answers: queue.SimpleQueue[Answer | None] = queue.SimpleQueue()  # None: the process has ended
        self._requests = 0
        self._log = _log_file()
        try:
            self._process = subprocess.Popen(
                self.command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log or subprocess.DEVNULL,
                env=clean_environment(),
                cwd=safe_folder(),
                encoding="utf-8",
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )
        except OSError as error:
            if self._log is not None:
                self._log.close()
            raise KMTalkError(
                f"Cannot start the Python {command[0]} ({error.strerror}); correct it in the add-on's preferences."
            ) from None
        self._to_say: queue.SimpleQueue[str | None] = queue.SimpleQueue()  # None: nothing more
        for part in (self._listen, self._speak):
            threading.Thread(target=part, daemon=True).start()

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return self._process.poll() is None

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def send(self, request: Request) -> int:
        """Hand over a request, without waiting until the process takes it; returns its id."""
        self._requests += 1
        self._to_say.put(encode_request(self._requests, request) + "\n")
        return self._requests

    def receive(self, timeout: float) -> Answer | None:
        """The next answer, or None if there is none within `timeout` seconds; WorkerGone if the process has ended."""
        try:
            answer = self._answers.get(timeout=timeout) if timeout else self._answers.get_nowait()
        except queue.Empty:
            return None
        if answer is None:
            self._answers.put(None)
            raise WorkerGone(f"The KMTalk worker stopped unexpectedly ({self._last_words()}); please try again.")
        return answer

    def kill(self) -> None:
        """End the process at once."""
        self._process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):  # it waits for a disk or network that does not answer
            self._process.wait(5)
        self._to_say.put(None)

    def log(self) -> str:
        """What the worker and its libraries have printed."""
        if self._log is None:
            return ""
        self._log.seek(0)
        return self._log.read().decode("utf-8", "replace")

    def _listen(self) -> None:
        with contextlib.suppress(KMTalkError):  # another version of the worker, which nobody here understands
            for line in self._process.stdout:
                self._answers.put(decode_answer(line))
        self._process.kill()
        self._process.stdout.close()
        self._answers.put(None)

    def _speak(self) -> None:
        """A pipe holds 64 kB; where the process takes nothing, only this thread waits."""
        if hasattr(signal, "pthread_sigmask"):  # Blender does not ignore SIGPIPE: a worker's end would be its own
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGPIPE})
        with contextlib.suppress(OSError, ValueError):  # the process is gone: `receive` says so
            while (line := self._to_say.get()) is not None:
                self._process.stdin.write(line)
                self._process.stdin.flush()
        with contextlib.suppress(OSError, ValueError):
            self._process.stdin.close()

    def _last_words(self) -> str:
        status = self._process.wait()
        lines = self.log().strip().splitlines()
        return lines[-1][:120] if lines and status > 0 else f"exit status {status}"


def _log_file() -> Any:
    """Where the worker's stderr goes; None if there is no room for one.

    Not a pipe: nobody would empty it, and not Blender's own stderr, which on Windows may not exist.
    """
    try:
        return tempfile.TemporaryFile(prefix="kmtalk-worker-")
    except OSError:
        return None


class Job:
    """Steps on their way. `poll` it from a timer, or `wait` for it; both finish in the same way.

    `another` gives a worker in place of one that is gone.
    """

    def __init__(
        self,
        steps: Steps[T],
        worker: Worker,
        on_progress: Callable[[float, str], None],
        another: Callable[[], Worker] | None = None,
    ) -> None:
        self._steps, self._worker, self._on_progress, self._another = steps, worker, on_progress, another
        self.result: Any = None
        self._silent, self._polled = 0.0, time.monotonic()
        self._waiting_for = worker.send(next(steps))

    def poll(self, timeout: float = 0.0) -> bool:
        """Take in what the worker has said; True once `result` is there. Raises KMTalkError if the work failed."""
        try:
            try:
                while (answer := self._worker.receive(timeout)) is not None:
                    self._silent = 0.0
                    if not isinstance(answer, Alive) and answer.id == self._waiting_for:
                        self._take(answer)
                self._wait_no_longer_than(SILENCE)
            except WorkerGone as gone:
                request = self._steps.throw(gone)
                if self._another is None:
                    raise
                self._worker, self._silent = self._another(), 0.0
                self._waiting_for = self._worker.send(request)
        except StopIteration as stop:
            self.result = stop.value
            return True
        except BaseException:
            self._steps.close()
            raise
        return False

    def _take(self, answer: Answer) -> None:
        match answer:
            case Advance():
                self._on_progress(answer.fraction, answer.message)
            case Failure():
                failed = (InputError if answer.wrong_input else KMTalkError)(answer.message)
                self._waiting_for = self._worker.send(self._steps.throw(failed))
            case Result():
                self._waiting_for = self._worker.send(self._steps.send(answer.details))

    def wait(self) -> Any:
        """Block until the result is there, and return it."""
        while not self.poll(timeout=0.1):
            pass
        return self.result

    def _wait_no_longer_than(self, seconds: float) -> None:
        """End a worker that hangs. Only time in which somebody polled counts: a computer may have been asleep."""
        now = time.monotonic()
        self._silent += min(now - self._polled, 1.0)
        self._polled = now
        if self._silent > seconds:
            self._worker.kill()
            raise WorkerGone(f"The KMTalk worker gave no sign of life for {seconds:.0f} s and was ended; try again.")

    def cancel(self) -> None:
        """Stop now. The worker is killed, for it cannot be interrupted otherwise; the next job starts another."""
        self._worker.kill()
        self._steps.close()
