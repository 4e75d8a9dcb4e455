"""Captured people in the layout of the public data sets: their controls on a head, lips, lids and brows of it.

A person is a folder that `python -m training.capture` wrote, or a set of tracked clips (`training.corpus.captured`).
All wear one head, through the rig: the captured motion is real, the face is not theirs. Heads are still, as in the
published sets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from kmtalk_core.assets import DEMO_HEAD
from kmtalk_core.audio import load_sound
from kmtalk_core.errors import InputError
from kmtalk_core.files import load_npz, save_text
from kmtalk_core.results import load_animation
from kmtalk_core.rig.articulation import Rig, build_rig
from kmtalk_core.rig.controls import ALL_CONTROLS, CONTROL_INDEX, HEAD_CONTROLS, SPEECH_CONTROLS, UPPER_FACE_CONTROLS
from kmtalk_core.rig.mesh import load_mesh
from kmtalk_core.rig.profiles import find_landmarks
from training.capture.command import write_wav
from training.capture.points import BRIDGE, CHIN, CORNERS, Points, stilled
from training.capture.solve import solve
from training.capture.tracks import ENDING, load_track
from training.capture.upper import upper_face
from training.corpus.captured import clips_of

from .description import write_description
from .synthetic import face_patch, regions

TEST, VALIDATION = 8, 4  # every 8th clip of a person is for the test, every 8th, four later, for validation
UNSEEN = "test_unseen"
_SPEECH = [CONTROL_INDEX[name] for name in SPEECH_CONTROLS]
_UPPER = [CONTROL_INDEX[name] for name in UPPER_FACE_CONTROLS]
_ENDS = (CORNERS, (CHIN, BRIDGE))
_HEAD = [CONTROL_INDEX[name] for name in HEAD_CONTROLS]


@dataclass(frozen=True)
class Clip:
    """`controls` (T, C) over ALL_CONTROLS at `fps` Hz, all frames usable; `samples` (n,) at 16 kHz; `text` or "".
    `person` (T, 3): opening, width and jaw of the tracked face (`training.captured.likeness`), or None."""

    subject: str
    name: str
    controls: np.ndarray
    fps: float
    samples: np.ndarray
    text: str
    person: np.ndarray | None = None


def make_faces(
    folder: Path,
    people: Sequence[Path],
    unseen: Sequence[Path] = (),
    every: int = 1,
    vertices: int | None = None,
    mesh_file: Path | None = None,
    progress: Callable[[str], None] = lambda clip: None,
) -> None:
    """Write wav, vertices_npy, person, text, templates.npz, mesh.npz, the vertex lists and dataset.toml to `folder`.

    Of each of `people` every 8th clip is for the test and another 8th for validation; all of those `unseen` are in the
    split `test_unseen`. `every`: take every N-th clip of `people`; `vertices`: a patch of so many around the face
    instead of the whole head; `mesh_file`: a head with known landmarks, FLAME's for instance (default: the demo head).
    Clips in which the face is not seen throughout are left out. Raises InputError for people without clips, or of other
    frame rates.
    """
    mesh = load_mesh(mesh_file or DEMO_HEAD)
    marks = find_landmarks(mesh)
    rig = build_rig(replace(mesh, landmarks=marks))
    kept, faces = (np.arange(len(mesh.vertices)), mesh.faces) if vertices is None else face_patch(mesh, marks, vertices)
    patch = replace(rig, neutral=rig.neutral[kept], shapes=rig.shapes[:, kept])
    for name in ("wav", "vertices_npy", "person", "text"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    splits: dict[str, list[str]] = {"train": [], "val": [], "test": [], UNSEEN: []}
    templates: dict[str, np.ndarray] = {}
    rates: dict[str, float] = {}
    for where, seen in [(p, True) for p in people] + [(p, False) for p in unseen]:
        number = -1
        for number, clip in enumerate(_clips(where, every if seen else 1)):
            name = f"{clip.subject}_{clip.name.replace('_', '-')}"
            _write(folder, name, patch, clip)
            templates[clip.subject] = patch.neutral.astype(np.float32)
            rates[clip.subject] = clip.fps
            splits[_split(number) if seen else UNSEEN].append(name)
            progress(name)
        if number < (TEST - 1 if seen else 0):
            raise InputError(f"{where} has {number + 1} usable clips; give at least {TEST if seen else 1}.")
    if len(set(rates.values())) > 1:
        told = ", ".join(f"{who} {fps:g}" for who, fps in rates.items())
        raise InputError(f"The people were filmed at different rates ({told}); a data set needs one.")
    neutral = {"vertices": patch.neutral.astype(np.float32), "faces": faces}
    place = {int(v): i for i, v in enumerate(kept)}
    on_patch = np.array([place[int(mark)] for mark in marks])
    masks = regions(rig=patch, neutral=patch.neutral, marks=on_patch)
    rate = next(iter(rates.values()))
    write_description(folder, "faces", rate, "m", templates, neutral, masks, splits, on_patch.tolist())


def _split(number: int) -> str:
    return {0: "test", VALIDATION: "val"}.get(number % TEST, "train")


def _write(folder: Path, name: str, patch: Rig, clip: Clip) -> None:
    write_wav(folder / "wav" / f"{name}.wav", clip.samples)
    motion = patch.vertices(clip.controls, ALL_CONTROLS).astype(np.float32)
    np.save(folder / "vertices_npy" / f"{name}.npy", motion.reshape(len(motion), -1))
    if clip.person is not None:
        np.save(folder / "person" / f"{name}.npy", clip.person.astype(np.float32))
    if clip.text:
        save_text(clip.text + "\n", folder / "text" / f"{name}.txt")


def _clips(where: Path, every: int) -> Iterator[Clip]:
    if where.is_dir() and not where.with_suffix(".json").exists():
        yield from _of_results(where, every)
        return
    for about, points, ids, sound in clips_of(where, every):
        solution = solve(points, ids, tuple(about["size"]), about["fps"])
        if not solution.usable.all():
            continue
        controls = np.zeros((len(points), len(ALL_CONTROLS)), np.float32)
        controls[:, _SPEECH] = np.clip(solution.controls, 0.0, 1.0)
        found = upper_face(stilled(Points(points, ids), about["fps"]), about["fps"])
        controls[:, _UPPER] = found.controls[:, : len(_UPPER)]
        who, person = str(about.get("who", where.name)), person_curves(Points(points, ids))
        yield Clip(who, about["clip"], controls, about["fps"], load_sound(sound).samples, about.get("text", ""), person)


def _of_results(folder: Path, every: int) -> Iterator[Clip]:
    results = [path for path in sorted(folder.glob("*.npz")) if not path.name.endswith(ENDING)]
    for path in results[::every]:
        result, usable = load_animation(path), load_npz(path, ("usable",)).get("usable")
        if usable is not None and not usable.all():
            continue
        controls = result.controls.copy()
        controls[:, _HEAD] = 0.0
        words = " ".join(word.label for word in result.alignment.words)
        tracked, person = path.with_name(f"{path.stem}{ENDING}"), None
        if tracked.is_file():
            track = load_track(tracked)
            person = person_curves(Points(track.points, track.ids))
        sound = load_sound(path.with_suffix(".wav")).samples
        yield Clip(folder.name, path.stem, controls, result.fps, sound, words, person)


def person_curves(points: Points) -> np.ndarray:
    """Opening and width of the mouth and the jaw of a tracked face (T, 3), in units of the distance between the outer
    corners of the eyes."""
    width, jaw = (np.linalg.norm(np.subtract(*np.moveaxis(points.of(*two), 1, 0)), axis=1) for two in _ENDS)
    return np.stack([points.opening(), width, jaw], 1) / points.eye_distance()
