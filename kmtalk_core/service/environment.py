"""A Python environment of its own for graphics cards: torch for CUDA, ROCm, Apple's MPS or the CPU, and Whisper.

`build` is a generator of what it is doing, so that whoever drives it can show progress, and stop it at any moment by
closing it. What was done is kept: building again goes on where it stopped.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import queue
import re
import shutil
import signal
import subprocess
import threading
import time
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from .. import __version__
from ..errors import KMTalkError, storage_trouble
from ..files import save_text
from ..localization.guarded import NO_WINDOW

NAMES = {"cuda": "CUDA", "rocm": "ROCm", "mps": "MPS", "cpu": "the CPU"}
DEVICES = tuple(NAMES)
WINDOWS = os.name == "nt"
SYSTEM = platform.system()
# Made by tools/environment_lock.py. Its part "speech" has faster-whisper, for openai-whisper has no wheels, and some
# computers cannot build them.
LOCK = Path(__file__).resolve().parents[1] / "assets" / "environment.lock"
# As in LOCK. An index of torch's own has other builds of it, for whose checksums that index answers.
TORCH = "torch==2.13.0"
SPACE = {"cuda": 9, "rocm": 18, "mps": 2, "cpu": 2}  # GB, with what pip unpacks on the way
SPACE_FOR_SPEECH = 1  # GB
PAUSE = 0.05  # s that are spent between two pieces of news
NOTE = "kmtalk-environment.json"
LOG = "kmtalk-environment.log"
OFFLINE = re.compile(
    r"NewConnectionError|Failed to establish|NameResolutionError|Max retries|timed out|Connection broken|ProxyError|"
    r"ConnectionError|ConnectTimeout|from versions: none"
)


@dataclass(frozen=True)
class Plan:
    """What to build: in `folder`, by the Python `python`, torch for `device`, and Whisper and transformers if `speech`.

    `index` is a package index to use instead of pip's own (a mirror), `torch_index` one for torch alone; `core` is the
    folder that holds `kmtalk_core`, and `for_torch` the .zip with the parts of it that only torch runs, if they are not
    there.
    """

    folder: str
    python: str
    device: str
    speech: bool
    core: str
    index: str = ""
    torch_index: str = ""
    for_torch: str = ""


@dataclass(frozen=True)
class News:
    """How far the work is, 0…1, and what is being done."""

    fraction: float
    message: str


def suggested_device() -> str:
    """What torch should be for on this computer."""
    if platform.system() == "Darwin":
        return "mps" if platform.machine() == "arm64" else "cpu"
    if shutil.which("nvidia-smi") or Path("/proc/driver/nvidia").exists():
        return "cuda"
    return "rocm" if Path("/dev/kfd").exists() else "cpu"


def python_of(folder: str | os.PathLike[str]) -> Path:
    """The environment's Python."""
    return Path(folder) / "python" / ("Scripts/python.exe" if WINDOWS else "bin/python")


def state_of(folder: str | os.PathLike[str]) -> dict:
    """What is known of the environment in `folder`: `done` (names of steps), `plan`, and `test` once it is ready."""
    try:
        state = json.loads((Path(folder) / NOTE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return state if isinstance(state, dict) else {}


def ready(folder: str | os.PathLike[str]) -> bool:
    """Whether the environment was built to its end, by this version of KMTalk, and its Python is still there."""
    state = state_of(folder)
    return "test" in state and state.get("kmtalk") == __version__ and python_of(folder).exists()


def check(plan: Plan) -> None:
    """Raise KMTalkError if the environment cannot be built here."""
    if plan.device not in DEVICES:
        raise KMTalkError(f"There is no torch for {plan.device}; choose {', '.join(DEVICES)}.")
    folder = Path(plan.folder)
    if not folder.is_absolute():
        raise KMTalkError("Choose a folder for the environment first; it is to be a full path.")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / NOTE).is_file():
        raise KMTalkError(f"{folder} holds other files; choose an empty or new folder.")
    parent = next(p for p in (folder, *folder.parents) if p.is_dir())
    if not os.access(parent, os.W_OK):
        raise KMTalkError(f"{parent} cannot be written to; choose another folder.")
    if not own_build(plan) and not plan.torch_index and not plan.index:
        raise KMTalkError(
            f"Pip's own index has no torch for {NAMES[plan.device]} on this system; copy the address that stands after "
            "--index-url on PyTorch's page Get Started (pytorch.org) into Torch Index."
        )
    # Without an index of its own, Linux gets the build for CUDA, which works on the CPU too.
    build_of = "cuda" if plan.device == "cpu" and SYSTEM == "Linux" and not plan.torch_index else plan.device
    needed = SPACE[build_of] + SPACE_FOR_SPEECH * plan.speech
    free = shutil.disk_usage(parent).free / 1e9
    if free < needed and not ready(folder):
        raise KMTalkError(f"The environment needs {needed} GB, but {parent} has {free:.1f} GB free; make some room.")


def build(plan: Plan) -> Iterator[News]:
    """Build the environment, or go on with it. Raises KMTalkError, with the remedy, where that fails."""
    check(plan)
    folder = Path(plan.folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        state = state_of(folder)
        if state.get("plan") != asdict(plan) or state.get("kmtalk") != __version__:
            state = {"plan": asdict(plan), "kmtalk": __version__, "done": []}
        state.pop("test", None)
        _write_state(folder, state)
        steps = _steps(plan)
        for place, (name, message, begin, command) in enumerate(steps):
            end = steps[place + 1][2] if place + 1 < len(steps) else 0.95
            yield News(begin, message)
            if name in state["done"] and _works(folder):
                continue
            if name == "core":
                _copy_core(plan)
            else:
                yield from _run(command, folder, begin, end, message)
            state["done"].append(name)
            _write_state(folder, state)
        yield News(0.95, "testing it")
        lines: list[str] = []
        test = [str(python_of(folder)), "-I", "-m", "kmtalk_core.service.self_test"]
        yield from _run(test, folder, 0.95, 1.0, "testing it", lines)
        state["test"] = _found(lines, folder)
        _write_state(folder, state)
    except OSError as error:
        raise KMTalkError(storage_trouble(error)) from None
    yield News(1.0, "ready")


def _found(lines: Sequence[str], folder: Path) -> dict[str, object]:
    """What the self-test has printed, among whatever libraries print."""
    for line in lines:
        with contextlib.suppress(ValueError):
            if isinstance(found := json.loads(line), dict):
                return found
    raise KMTalkError(f"The environment's self-test said nothing; {folder / LOG} has what it did.")


def remove(folder: str | os.PathLike[str]) -> None:
    """Delete an environment that `build` has made; other folders are refused."""
    if not (Path(folder) / NOTE).is_file():
        raise KMTalkError(f"{folder} holds no environment of KMTalk's.")
    shutil.rmtree(folder, ignore_errors=True)


def own_build(plan: Plan) -> bool:
    """Whether pip's own index has torch for the device: CUDA on Linux only, MPS on macOS, never ROCm."""
    return plan.device in ("cpu", "mps") or (plan.device == "cuda" and SYSTEM == "Linux")


def _steps(plan: Plan) -> list[tuple[str, str, float, list[str]]]:
    """Name, what is said, where it begins on the way from 0 to 1, and the command."""
    python = str(python_of(plan.folder))
    index = ["--index-url", plan.index] if plan.index else []
    install = [
        python, "-I", "-m", "pip", "install", "--no-input", "--disable-pip-version-check",
        "--no-warn-script-location", "--cache-dir", str(Path(plan.folder) / "downloads"),
    ]  # fmt: skip
    builds = ["--index-url", plan.torch_index, TORCH] if plan.torch_index else [*index, *_locked(plan, "torch")]
    steps = [
        ("venv", "making the environment", 0.0, [plan.python, "-I", "-m", "venv", str(Path(plan.folder) / "python")]),
        ("pip", "bringing pip up to date", 0.03, [*install, *index, *_locked(plan, "pip")]),
        ("packages", "installing KMTalk's packages", 0.05, [*install, *index, *_locked(plan, "core")]),
        ("torch", f"installing torch for {plan.device}", 0.2, [*install, "--progress-bar", "raw", *builds]),
    ]
    if plan.speech:
        steps.append(("speech", "installing Whisper", 0.8, [*install, *index, *_locked(plan, "speech")]))
    return [*steps, ("core", "copying KMTalk", 0.93, [])]


def _locked(plan: Plan, part: str) -> list[str]:
    """Arguments for pip: the wheels of a part of LOCK that have its checksums, and nothing else."""
    text = re.split(r"^# (\w+)\n", LOCK.read_text(encoding="utf-8"), flags=re.MULTILINE)
    path = Path(plan.folder) / f"{part}.txt"
    path.write_text(dict(zip(text[1::2], text[2::2], strict=True))[part], encoding="utf-8")
    return ["--require-hashes", "--no-deps", "--only-binary=:all:", "-r", str(path)]


def _works(folder: Path) -> bool:
    """Whether the environment's Python still starts; it does not once Blender, whose it was, is gone."""
    command = [str(python_of(folder)), "-I", "-c", "import pip"]
    try:
        return subprocess.run(command, capture_output=True, check=False, creationflags=NO_WINDOW).returncode == 0
    except OSError:
        return False


def _copy_core(plan: Plan) -> None:
    """KMTalk itself, with the networks, into the environment."""
    root = Path(plan.folder) / "python"
    packages = root / "Lib" / "site-packages" if WINDOWS else next(root.glob("lib/python3*/site-packages"))
    target = packages / "kmtalk_core"
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(Path(plan.core) / "kmtalk_core", target, ignore=shutil.ignore_patterns("__pycache__"))
    if plan.for_torch:
        with zipfile.ZipFile(plan.for_torch) as archive:
            archive.extractall(packages)


def _run(
    command: Sequence[str], folder: Path, begin: float, end: float, message: str, said: list[str] | None = None
) -> Iterator[News]:
    """Run a command; its lines go to the log, and to `said`. It is ended with all its children if this is closed."""
    variables = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON") and k != "PIP_TARGET"}
    variables["NoDefaultCurrentDirectoryInExePath"] = "1"  # the working folder may be that of a .blend from anywhere
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    heard: list[str] = []
    with (folder / LOG).open("a", encoding="utf-8") as log:
        log.write(f"\n$ {' '.join(command)}\n")
        try:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                encoding="utf-8", errors="replace", env=variables, creationflags=NO_WINDOW,
                start_new_session=not WINDOWS, cwd=folder,
            )  # fmt: skip
        except OSError as error:
            raise KMTalkError(f"Cannot start {command[0]} ({error.strerror}); choose another Python.") from None
        assert process.stdout is not None
        threading.Thread(target=_listen, args=(process.stdout, lines), daemon=True).start()
        try:
            share, doing, told = 0.0, message, time.monotonic()
            while True:
                try:
                    line: str | None = lines.get(timeout=PAUSE)
                except queue.Empty:
                    line = ""
                if line is None:
                    break
                if not line or time.monotonic() - told > PAUSE:
                    yield News(begin + (end - begin) * share, doing)
                    told = time.monotonic()
                if found := re.match(r"Progress (\d+) of (\d+)", line):
                    done, whole = int(found[1]), max(int(found[2]), 1)
                    share, doing = done / whole, f"{message}: {done / 1e6:.0f} of {whole / 1e6:.0f} MB"
                    continue
                log.write(line)
                heard.append(line.rstrip())
                if found := re.match(r"\s*(?:Collecting|Downloading|Installing collected packages:) *(\S+)", line):
                    share, doing = min(share + 0.02, 0.9), f"{message}: {found[1].rsplit('/')[-1][:50]}"
            status = process.wait()
        finally:
            _end(process)
    if said is not None:
        said += heard
    if status:
        raise KMTalkError(_why(heard, folder))


def _listen(stream: IO[str], lines: queue.SimpleQueue[str | None]) -> None:
    with contextlib.suppress(ValueError, OSError):
        for line in stream:
            lines.put(line)
    lines.put(None)


def _end(process: subprocess.Popen[str]) -> None:
    if process.poll() is not None:
        return
    if WINDOWS:
        command = ["taskkill", "/T", "/F", "/PID", str(process.pid)]
        subprocess.run(command, capture_output=True, check=False, creationflags=NO_WINDOW)
    else:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _why(heard: Sequence[str], folder: Path) -> str:
    """One sentence of what a command printed before it failed."""
    text = "\n".join(heard)
    again = "create it again then, what was done is kept."
    if "No space left on device" in text or "Errno 28" in text:
        return f"The disk is full; free some space and {again}"
    if OFFLINE.search(text):
        return f"The packages could not be downloaded; check the connection, proxy or mirror, and {again}"
    if "ensurepip" in text:
        return "This Python cannot make environments; install its venv package, or choose another Python."
    errors = [line for line in heard if line.startswith(("ERROR", "error"))] or heard or ["no message"]
    return f"Creating the environment failed ({errors[-1][:160]}); {folder / LOG} has all of it."


def _write_state(folder: Path, state: dict) -> None:
    save_text(json.dumps(state, indent=1), folder / NOTE)
