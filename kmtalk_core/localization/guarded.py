"""Foreign programs (Whisper, MFA) under guard: cancelled at any moment with all their children, gone with the parent.

`run` starts this file as a small process between the two. Its standard input is the lifeline: when that closes, because
the work was cancelled or because the parent died, it kills the program's whole process group and removes its folder.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

WINDOWS = os.name == "nt"
NO_WINDOW = getattr(subprocess, "CREATE_NO_WINDOW", 0)
POLL = 0.1  # s between two looks at the program


def run(
    command: Sequence[str], folder: Path, environment: Mapping[str, str], watch: Callable[[], None] | None = None
) -> tuple[int, str]:
    """Run `command` in `folder`, a temporary folder of its own, and return its exit status and what it said on stderr.

    Its standard output goes to `folder`/said.txt. `watch` is called about ten times a second; what it raises ends the
    program and all its children. Raises OSError where the program cannot be started.
    """
    if shutil.which(command[0], path=environment.get("PATH")) is None:
        raise FileNotFoundError(command[0])
    said, errors = folder / "said.txt", folder / "errors.txt"
    # -I: neither the environment nor the current folder decides what is imported.
    guard = [sys.executable, "-I", __file__, str(folder), *command]
    with said.open("wb") as out, errors.open("wb") as err:
        child = subprocess.Popen(
            guard,
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=err,
            env=dict(environment),
            start_new_session=not WINDOWS,  # Ctrl-C and kill reach this process, and the guard by its lifeline
            creationflags=NO_WINDOW,
        )
        assert child.stdin is not None
        try:
            while True:
                try:
                    status = child.wait(POLL)
                    break
                except subprocess.TimeoutExpired:
                    if watch is not None:
                        watch()
            if watch is not None:
                watch()
        finally:
            child.stdin.close()
            child.wait()
    return status, errors.read_text(encoding="utf-8", errors="replace")


def foreign_environment(program: Path) -> dict[str, str]:
    """The environment for a program of another Python: its own tools first, nothing of this Python's, plain output."""
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP")}
    prefix = program.parent if WINDOWS and program.parent.name.lower() != "scripts" else program.parent.parent
    tools = [program.parent]
    if (prefix / "conda-meta").is_dir():
        # What `conda activate` does for what MFA needs; `conda run` would hide the processes that a cancel must end.
        environment["CONDA_PREFIX"] = str(prefix)
        if WINDOWS:
            tools += [prefix, prefix / "Library" / "bin", prefix / "Library" / "usr" / "bin", prefix / "Scripts"]
    path = [str(folder) for folder in tools] + [environment.get("PATH", os.defpath)]
    return environment | {
        "PATH": os.pathsep.join(path),
        "PYTHONUTF8": "1",
        "PYTHONIOENCODING": "utf-8",
        "PYTHONUNBUFFERED": "1",
        "NO_COLOR": "1",
        "TERM": "dumb",
        "COLUMNS": "400",  # rich draws its boxes this wide, so that sentences stay whole
    }


def _guard(folder: str, command: list[str]) -> int:
    program = subprocess.Popen(
        command, cwd=folder, stdin=subprocess.DEVNULL, start_new_session=not WINDOWS, creationflags=NO_WINDOW
    )

    cut = threading.Event()

    def watch_lifeline() -> None:
        # Unbuffered: a thread inside a buffered read would keep the interpreter from ending.
        os.read(0, 1)
        cut.set()
        _kill_group(program)
        shutil.rmtree(folder, ignore_errors=True)
        os._exit(1)

    watcher = threading.Thread(target=watch_lifeline, daemon=True)
    watcher.start()
    status = program.wait()
    if cut.is_set():
        watcher.join()  # it has the folder to remove
    _kill_group(program)  # whatever it left running
    return status if 0 <= status < 256 else 128 + abs(status) % 128


def _kill_group(program: subprocess.Popen[bytes]) -> None:
    if WINDOWS:
        subprocess.run(["taskkill", "/T", "/F", "/PID", str(program.pid)], capture_output=True, creationflags=NO_WINDOW)
        return
    try:
        os.killpg(program.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):  # the latter is macOS's answer for a group of zombies
        return


if __name__ == "__main__":
    # Flushing standard output while the watcher still reads would be of no use: nothing was printed here.
    os._exit(_guard(sys.argv[1], sys.argv[2:]))
