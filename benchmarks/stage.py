"""Systems that move a mouth, on stage: each speaks clips on a head, side by side, and the landmarks are watched."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np

from kmtalk_core.animator import Animator, Request
from kmtalk_core.assets import DEMO_HEAD
from kmtalk_core.audio import Sound, load_sound
from kmtalk_core.rig.articulation import build_rig
from kmtalk_core.rig.lip_line import LipLine
from kmtalk_core.rig.mesh import load_mesh
from kmtalk_core.rig.mouth import lip_line, mouth_of
from kmtalk_core.rig.profiles import find_landmarks

from .clips import SHARED, JudgedClip
from .measures import Observed, observe

FPS = 30.0
FLAME_HEAD = SHARED / "data" / "mesh" / "FLAME_sample.ply"
WORKERS = min(os.cpu_count() or 1, 2)


@dataclass(frozen=True)
class Motion:
    """`controls` (T, C) named `names`, at FPS from time 0 on."""

    controls: np.ndarray
    names: tuple[str, ...]


System = Callable[[Sound, JudgedClip], Motion]
"""What is measured: sound, and the clip for those that are told its text or its true phones → motion. Picklable."""


@dataclass(frozen=True)
class KMTalk:
    """The whole of KMTalk as a user gets it on `head`, told the transcript or not; `checkpoint` None: the shipped."""

    transcript: bool
    checkpoint: Path | None = None
    head: Path | None = None
    language: str = "en"

    def __call__(self, sound: Sound, clip: JudgedClip) -> Motion:
        text = clip.text if self.transcript else None
        lips = lips_of(self.head or default_head())
        request = Request(transcript=text, language=self.language, fps=FPS, lip_line=lips)
        animation = animator(self.checkpoint).animate(sound, request)
        return Motion(animation.controls, animation.control_names)


@dataclass(frozen=True)
class Take:
    """One performance: `samples` instead of the clip's own sound, for those that were changed."""

    system: System
    clip: JudgedClip
    samples: np.ndarray | None = field(default=None, repr=False)
    head: Path | None = None


def default_head() -> Path:
    """The FLAME sample where it lies beside the project, else the demo head: figures differ a little between them."""
    return FLAME_HEAD if FLAME_HEAD.is_file() else DEMO_HEAD


@lru_cache(maxsize=2)
def animator(checkpoint: Path | None) -> Animator:
    return Animator(checkpoint)


@lru_cache(maxsize=4)
def landmark_rig(head: Path) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Landmarks at rest (68, 3) mm and their displacements (C, 68, 3) mm by each of the C named controls.

    The measures want y up and metres; both heads are so.
    """
    mesh = load_mesh(head)
    rig, marks = build_rig(mesh), find_landmarks(mesh)
    return rig.neutral[marks] * 1000.0, rig.shapes[:, marks] * 1000.0, rig.control_names


@lru_cache(maxsize=4)
def lips_of(head: Path) -> LipLine:
    """What the contact step knows of a head."""
    mesh = load_mesh(head)
    return lip_line(mouth_of(build_rig(mesh), mesh.faces))


def landmarks_of(motion: Motion, head: Path) -> np.ndarray:
    """(T, 68, 3) mm."""
    neutral, shapes, names = landmark_rig(head)
    rows = [names.index(name) for name in motion.names]
    return neutral + np.tensordot(motion.controls.astype(np.float64), shapes[rows], axes=1)


def watch(take: Take) -> Observed:
    """Perform one take and see what it looks like."""
    sound = load_sound(take.clip.path) if take.samples is None else Sound(take.samples, "", take.clip.name)
    head = take.head or default_head()
    moving = landmarks_of(take.system(sound, take.clip), head)
    neutral, _, _ = landmark_rig(head)
    return observe(moving, neutral, FPS, take.clip.phones, take.clip.duration)


def watch_all(takes: Iterable[Take], workers: int = WORKERS) -> list[Observed]:
    """`watch` in `workers` processes, in the order of `takes`."""
    takes = list(takes)
    if workers <= 1 or len(takes) < 2:
        return [watch(take) for take in takes]
    context = multiprocessing.get_context("spawn")  # neither ONNX Runtime nor PocketSphinx survives a fork
    with ProcessPoolExecutor(workers, context) as pool:
        return list(pool.map(watch, takes, chunksize=max(len(takes) // (8 * workers), 1)))


def watch_table(rows: Sequence[tuple[str, Sequence[Take]]], workers: int = WORKERS) -> dict[str, list[Observed]]:
    """All takes of a table at once: name of the row → what was seen of its takes."""
    seen = iter(watch_all([take for _, takes in rows for take in takes], workers))
    return {name: [next(seen) for _ in takes] for name, takes in rows}
