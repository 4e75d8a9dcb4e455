"""Pictures of the head by all processors at once. Knows numpy only, so that the processes start quickly."""

from __future__ import annotations

import os
import pickle
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from kmtalk_core.errors import KMTalkError

from .light import Light
from .picture import Camera, Studio

MOST_PROCESSES = 8  # each holds the whole motion
# One thread each: there is a process for each processor. And glibc keeps the memory of large arrays for the next
# picture: to get it from the system anew, cleared, takes a fifth of a picture's time.
SURROUNDINGS = {
    **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
    "MALLOC_MMAP_THRESHOLD_": str(64 * 1024**2),
    "MALLOC_TRIM_THRESHOLD_": str(256 * 1024**2),
    "MALLOC_TOP_PAD_": str(64 * 1024**2),
}


@dataclass(frozen=True)
class Shoot:
    """What pictures are taken of: `motion` (P, V, 3), and for each view a camera and the backdrop behind the head."""

    studio: Studio
    motion: np.ndarray
    light: Light
    views: Mapping[str, tuple[Camera, np.ndarray]]

    def take(self, pose: int, view: str) -> np.ndarray:
        """(H, W, 3) uint8."""
        camera, backdrop = self.views[view]
        return self.studio.paint(self.motion[pose], self.light.at(pose), camera, backdrop)


def take_all(shoot: Shoot, wanted: Sequence[tuple[int, str]], processes: int = 0) -> Iterator[np.ndarray]:
    """The pictures `wanted` (pose and view), in that order; `processes` 0 means one for each processor."""
    count = max(1, min(processes or processors(), MOST_PROCESSES, len(wanted)))
    context = get_context("spawn")
    workers, ends = [], []
    with tempfile.TemporaryDirectory(prefix="kmtalk-demo-") as folder:
        # By a file: whoever sends much to a process that dies at its start waits for ever.
        path = Path(folder) / "shoot"
        path.write_bytes(pickle.dumps(shoot, protocol=5))
        try:
            with _surroundings():
                for number in range(count):
                    here, there = context.Pipe(duplex=False)
                    worker = context.Process(target=_work, args=(path, wanted[number::count], there), daemon=True)
                    worker.start()
                    there.close()
                    workers.append(worker)
                    ends.append(here)
            for number in range(len(wanted)):
                try:
                    yield ends[number % count].recv()
                except EOFError:
                    raise KMTalkError(
                        "A process that draws pictures has ended early; is there enough memory? Try a shorter sound."
                    ) from None
        finally:
            for worker, end in zip(workers, ends, strict=True):
                end.close()
                worker.terminate()
                worker.join()


def _work(path: Path, wanted: Sequence[tuple[int, str]], out: Connection) -> None:
    try:
        shoot = pickle.loads(path.read_bytes())  # written by the process that started this one
        for pose, view in wanted:
            out.send(shoot.take(pose, view))
    except (BrokenPipeError, KeyboardInterrupt):
        pass  # nobody waits any longer


@contextmanager
def _surroundings() -> Iterator[None]:
    """Processes that are started now find `SURROUNDINGS` in their environment."""
    kept = {name: os.environ.get(name) for name in SURROUNDINGS}
    os.environ.update(SURROUNDINGS)
    try:
        yield
    finally:
        for name, value in kept.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def processors() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
