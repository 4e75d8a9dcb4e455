"""The child process that does the work, and a piece of work in it. Knows nothing of Blender.

The work is a generator, `Steps`: it yields requests, is resumed when each is done, and returns what came of it. It
changes the file only after its last request, so that cancelling at any moment leaves the file as it was.
"""

from __future__ import annotations

import contextlib
import json
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from kmtalk_core.errors import KMTalkError
from kmtalk_core.runtime.protocol import Answer, Failure, Progress, Request, Result, decode_answer, encode_request

T = TypeVar("T")
Steps = Generator[Request, dict[str, Any], T]  # yields a request, receives the details of its result

# -I keeps the user's environment out of the child, so the folders to import from are handed over explicitly.
BOOTSTRAP = (
    "import json, sys; sys.path.extend(p for p in json.loads(sys.argv[1]) if p not in sys.path); "
    "from kmtalk_core.runtime.worker import main; main()"
)


def worker_command(python: str, core_folder: str) -> list[str]:
    """How to start the worker with `python`; an empty string means Blender's own, with all that Blender can import.

    Another Python comes with its own packages; `core_folder` (which holds `kmtalk_core`) is only its last resort.
    """
    own = not python or Path(python) == Path(sys.executable)
    folders = [core_folder, *(p for p in sys.path if p)] if own else [core_folder]
    return [python or sys.executable, "-I", "-c", BOOTSTRAP, json.dumps(folders)]


class Worker:
    """A running worker process. It stays, with its model loaded, until `kill` or until Blender ends."""

    def __init__(self, command: Sequence[str]) -> None:
        self.command = list(command)
        self._answers: queue.SimpleQueue[Answer | None] = queue.SimpleQueue()  # None: the process has ended
        self._requests = 0
        # Not a pipe: nobody would empty it, and not Blender's own stderr, which on Windows may not exist.
        self._log = tempfile.TemporaryFile(prefix="kmtalk-worker-")  # noqa: SIM115
        try:
            self._process = subprocess.Popen(
                self.command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                encoding="utf-8",
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )
        except OSError as error:
            self._log.close()
            raise KMTalkError(
                f"Cannot start the Python {command[0]} ({error.strerror}); correct it in the add-on's preferences."
            ) from None
        threading.Thread(target=self._listen, daemon=True).start()

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return self._process.poll() is None

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def send(self, request: Request) -> int:
        """Hand over a request; returns its id."""
        self._requests += 1
        with contextlib.suppress(OSError):  # the process is gone: `receive` says so
            self._process.stdin.write(encode_request(self._requests, request) + "\n")
            self._process.stdin.flush()
        return self._requests

    def receive(self, timeout: float) -> Answer | None:
        """The next answer, or None if there is none within `timeout` seconds; KMTalkError if the process has ended."""
        try:
            answer = self._answers.get(timeout=timeout) if timeout else self._answers.get_nowait()
        except queue.Empty:
            return None
        if answer is None:
            self._answers.put(None)
            raise KMTalkError(f"The KMTalk worker stopped unexpectedly ({self._last_words()}); please try again.")
        return answer

    def kill(self) -> None:
        """End the process at once."""
        self._process.kill()
        self._process.wait()
        with contextlib.suppress(OSError):
            self._process.stdin.close()

    def log(self) -> str:
        """What the worker and its libraries have printed."""
        self._log.seek(0)
        return self._log.read().decode("utf-8", "replace")

    def _listen(self) -> None:
        with contextlib.suppress(KMTalkError):  # another version of the worker, which nobody here understands
            for line in self._process.stdout:
                self._answers.put(decode_answer(line))
        self._process.kill()
        self._process.stdout.close()
        self._answers.put(None)

    def _last_words(self) -> str:
        status = self._process.wait()
        lines = self.log().strip().splitlines()
        return lines[-1][:120] if lines and status > 0 else f"exit status {status}"


class Job:
    """Steps on their way. `poll` it from a timer, or `wait` for it; both finish in the same way."""

    def __init__(self, steps: Steps[T], worker: Worker, on_progress: Callable[[float, str], None]) -> None:
        self._steps, self._worker, self._on_progress = steps, worker, on_progress
        self.result: Any = None
        self._waiting_for = worker.send(next(steps))

    def poll(self, timeout: float = 0.0) -> bool:
        """Take in what the worker has said; True once `result` is there. Raises KMTalkError if the work failed."""
        try:
            while (answer := self._worker.receive(timeout)) is not None:
                if answer.id != self._waiting_for:
                    continue
                match answer:
                    case Progress():
                        self._on_progress(answer.fraction, answer.message)
                    case Failure():
                        raise KMTalkError(answer.message)
                    case Result():
                        self._waiting_for = self._worker.send(self._steps.send(answer.details))
        except StopIteration as stop:
            self.result = stop.value
            return True
        except BaseException:
            self._steps.close()
            raise
        return False

    def wait(self) -> Any:
        """Block until the result is there, and return it."""
        while not self.poll(timeout=0.1):
            pass
        return self.result

    def cancel(self) -> None:
        """Stop now. The worker is killed, for it cannot be interrupted otherwise; the next job starts another."""
        self._worker.kill()
        self._steps.close()
