"""What lasts as long as Blender runs: the warm worker, the job on its way, and the last thing that was said."""

from __future__ import annotations

import traceback
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bpy
from bpy.app.handlers import persistent

import kmtalk_core
from kmtalk_core.errors import KMTalkError, storage_trouble

from .glances import Glances
from .job import Job, Steps, Worker, worker_command

if TYPE_CHECKING:
    from kmtalk_core.command.doctor import Finding
    from kmtalk_core.service.environment import News

    from .landmark_drawing import Editing


@dataclass(frozen=True)
class Share:
    """Which share of the job's progress is being done: from `start` to `end`, and of what, in a few words."""

    start: float = 0.0
    end: float = 1.0
    of: str = ""


@dataclass
class Session:
    """The only state that is not in the .blend file."""

    worker: Worker | None = None
    job: Job | None = None
    fraction: float = 0.0
    message: str = ""
    share: Share = Share()
    enough: bool = False  # the job is to end with what is done by now
    error: str = ""
    error_seen: tuple[str, Any] | None = None  # the error that the panel shows, and what the panel showed with it
    outcomes: dict[str, tuple] = field(default_factory=dict)  # of the last scene: strip's name → see scene_box.remember
    glances: Glances = field(default_factory=Glances)  # of the panel at files and faces
    quiet: bool = False  # properties are being filled in, which is no wish of the user's
    following: bool = False  # lines are being laid where their strips are
    followed: dict[int, tuple] = field(default_factory=dict)  # scene → its strips as lines have followed them
    undone: tuple | None = None  # the keyframes that undo has brought back, see rerun
    slide_seconds: float = 0.0  # how long the sliders' last move took to be worked out
    editing: Editing | None = None  # the landmarks that are being moved or picked
    drawing: Any = None  # Blender's handle of what draws landmarks
    watching: Any = None  # Blender's handle of what watches the sequencer
    clicked: tuple = ()  # the strip that the sequencer has shown as its active one, see clicked
    findings: tuple[Finding, ...] = ()  # of the last self-check
    environment: Generator[News, None, None] | None = None  # the GPU environment that is being made
    environment_fraction: float = 0.0
    environment_message: str = ""
    environment_error: str = ""

    @contextmanager
    def fill_in(self) -> Iterator[None]:
        """Set properties without anything following from it."""
        before, self.quiet = self.quiet, True
        try:
            yield
        finally:
            self.quiet = before

    def start(self, steps: Steps[Any], python: str, backend: str = "auto") -> Job:
        """Begin work in the warm worker, or in a new one if there is none yet, with the Python at this path.

        `backend` runs the networks there.
        """
        if self.job is not None:
            raise KMTalkError("KMTalk is at work; wait for it or cancel.")
        command = worker_command(python, str(Path(kmtalk_core.__file__).parents[1]), backend)
        if self.worker is not None and (not self.worker.alive or self.worker.command != command):
            self.end_worker()
        self.error, self.fraction, self.message = "", 0.0, "starting"
        self.share, self.enough = Share(), False
        self.worker = self.worker or Worker(command)
        self.job = Job(steps, self.worker, self._progress, self._another_worker)
        return self.job

    def finish(self, job: Job) -> None:
        """`job` is over, whatever came of it; another one that is on its way goes on."""
        if self.job is job:
            self.job = None

    def cancel(self) -> None:
        """Stop the job that is on its way."""
        if self.job is not None:
            self.job.cancel()
        self.job = None

    def stop(self) -> None:
        """Stop everything."""
        self.cancel()
        self.end_worker()
        if self.environment is not None:
            self.environment.close()
        self.environment = None

    def explain(self, error: Exception) -> str:
        """One sentence, which is kept for the panel too. A traceback goes to the console only."""
        self.error, self.error_seen = sentence(error), None
        return self.error

    def end_worker(self) -> None:
        """The next job starts another."""
        if self.worker is not None:
            self.worker.kill()
        self.worker = None

    def _another_worker(self) -> Worker:
        command = self.worker.command if self.worker is not None else []
        self.end_worker()
        self.worker = Worker(command)
        return self.worker

    def _progress(self, fraction: float, message: str) -> None:
        share = self.share
        self.fraction = share.start + (share.end - share.start) * fraction
        self.message = f"{share.of}: {message}" if share.of else message


def sentence(error: Exception) -> str:
    """What to say of an error; the traceback of one of KMTalk's own goes to the console."""
    if isinstance(error, KMTalkError):
        return str(error)
    if isinstance(error, OSError):
        return storage_trouble(error)
    traceback.print_exception(error)
    return f"KMTalk met an error of its own ({type(error).__name__}: {error}); please report it."


current = Session()


def register() -> None:
    """Notice when another file is opened."""
    bpy.app.handlers.load_pre.append(_leave_file)


def unregister() -> None:
    """The inverse of `register`."""
    if _leave_file in bpy.app.handlers.load_pre:
        bpy.app.handlers.load_pre.remove(_leave_file)


@persistent
def _leave_file(*_: object) -> None:
    """What is at work is of the file that is being closed, and so is what was said."""
    current.cancel()
    current.error, current.outcomes, current.editing = "", {}, None
    current.glances.forget()
