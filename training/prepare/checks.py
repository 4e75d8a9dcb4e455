"""What is wrong with a data set: one sentence for each problem, with what to do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kmtalk_core.audio import load_sound
from kmtalk_core.errors import InputError
from training.captured.dataset import CapturedClip, read_vertices

from .layouts import PUBLISHED_COUNTS, Layout, subject_of
from .opening import find_opening, widest

RATE_TOLERANCE = 0.08  # share by which frames / seconds may differ from a known rate,
LENGTH_TOLERANCE = 0.4  # s by which sound and motion may differ in length anyway


@dataclass(frozen=True)
class Checked:
    """The usable clips, what is wrong (`problems`, by clip or "" for the whole), and what is only remarkable.

    `opening` (k, 2): pairs of lip vertices, the layout's or found by their motion, None where there are none.
    """

    clips: tuple[CapturedClip, ...]
    splits: dict[str, list[str]]
    problems: tuple[str, ...]
    notes: tuple[str, ...]
    rms: float
    opening: np.ndarray | None = None


def check(layout: Layout, progress: Callable[[float], None] = lambda share: None) -> Checked:
    """Look at every file of every clip that belongs to a split."""
    wavs = {p.stem for p in (layout.source / "wav").glob("*.wav")}
    motions = {p.stem for p in (layout.source / "vertices_npy").glob("*.npy")}
    problems, notes, clips = [], [], []
    count = layout.vertices or (len(next(iter(layout.templates.values()))) if layout.templates else 0)
    for subject, template in sorted(layout.templates.items()):
        if len(template) != count:
            problems.append(f"The template of {subject} has {len(template)} vertices instead of {count}; get it again.")
        elif not np.isfinite(template).all():
            problems.append(f"The template of {subject} has NaN or infinite vertices; get it again.")
    marks = np.zeros(0, np.int64) if layout.landmarks is None else layout.landmarks
    for name, mask in (("lips", layout.lips), ("upper face", layout.upper_face), ("landmarks", marks)):
        if len(mask) and (mask.min() < 0 or mask.max() >= count):
            problems.append(
                f"The vertex list of the {name} names vertices outside 0…{count - 1}; it is another mesh's."
            )
    names = sorted(wavs | motions)
    squares, numbers = 0.0, 0
    opened: list[np.ndarray] = []  # lips in the frame of each clip in which the mouth is open widest
    usable = not problems and len(layout.lips) > 0 and len(layout.upper_face) > 0
    lacking = set()
    splits: dict[str, list[str]] = {split: [] for split in layout.splits}
    for index, name in enumerate(names):
        progress(index / len(names))
        subject = subject_of(name)
        belongs = layout.split_of(subject, name)
        if not belongs:
            continue
        if name not in motions:
            notes.append(f"{name}.wav has no mesh sequence {name}.npy, so it is left out, as by the public codes.")
            continue
        if name not in wavs:
            notes.append(f"{name}.npy has no sound {name}.wav, so it is left out, as by the public codes.")
            continue
        if subject not in layout.templates:
            if subject not in lacking:
                problems.append(f"There is no template of {subject}; add it to templates.pkl.")
            lacking.add(subject)
            continue
        try:
            clip, motion = _check_clip(layout, name, subject, count)
        except InputError as error:
            problems.append(str(error))
            continue
        clips.append(clip)
        for split in belongs:
            splits[split].append(name)
        if "train" in belongs:
            moved = motion - layout.templates[subject]
            squares += float(np.square(moved, dtype=np.float64).sum())
            numbers += moved.size
            if layout.opening is None and usable:
                opened.append(widest(moved, layout.templates[subject], layout.lips, layout.upper_face))
    published = PUBLISHED_COUNTS.get(layout.name, {})
    for split, found in splits.items():
        if split in published and len(found) != published[split]:
            notes.append(f"The split {split} has {len(found)} sentences, the papers have {published[split]}.")
        if not found:
            text = f"The split {split} has no clips; check the names, which should be SUBJECT_SENTENCE."
            (problems if split == "train" else notes).append(text)
    rms = float(np.sqrt(squares / numbers)) if numbers else 0.0
    if numbers and rms == 0.0:
        problems.append("Nothing moves in the training clips: every frame is the template; get the sequences again.")
    opening = layout.opening
    if opened:
        template = layout.templates[clips[0].subject]
        opening = find_opening(template, layout.lips, layout.upper_face, np.stack(opened))
        outcome = "not found" if opening is None else f"found by their motion ({len(opening)} pairs)"
        notes.append(f"The data names no lip vertices for the mouth's opening; they were {outcome}.")
    if layout.faces is None:
        notes.append(
            "The faces of the mesh are not known, so OT-Talk, films and error maps are left out; for them put a .ply or"
            " .obj of the same vertices beside the templates."
        )
    progress(1.0)
    return Checked(tuple(clips), splits, tuple(problems), tuple(notes), rms, opening)


def _check_clip(layout: Layout, name: str, subject: str, count: int) -> tuple[CapturedClip, np.ndarray]:
    vertices = read_vertices(layout.source / "vertices_npy" / f"{name}.npy")
    if vertices.shape[1] != count:
        raise InputError(f"{name}.npy has {vertices.shape[1]} vertices instead of {count}; it is another mesh's.")
    if len(vertices) < 2:
        raise InputError(f"{name}.npy has {len(vertices)} frames; a sequence needs two at least.")
    if not np.isfinite(vertices).all():
        first = int(np.flatnonzero(~np.isfinite(vertices).all(axis=(1, 2)))[0])
        raise InputError(f"{name}.npy has NaN or infinite vertices from frame {first} on; get it again.")
    sound = load_sound(layout.source / "wav" / f"{name}.wav")
    if sound.is_silent:
        raise InputError(f"{name}.wav is silent; get it again.")
    rate = min(layout.rates, key=lambda r: abs(len(vertices) / r - sound.duration))
    measured = len(vertices) / sound.duration
    if abs(measured / rate - 1) > RATE_TOLERANCE and abs(len(vertices) / rate - sound.duration) > LENGTH_TOLERANCE:
        raise InputError(
            f"{name} has {len(vertices)} frames for {sound.duration:.2f} s of sound, {measured:.1f} a second, where"
            f" {' or '.join(f'{r:g}' for r in layout.rates)} are expected; it was cut or resampled."
        )
    stride = round(rate / layout.fps)
    text = _text(layout.source / "text" / f"{name}.txt")
    kept = vertices[::stride]
    return CapturedClip(name, subject, len(kept), stride, text), kept


def _text(path: Path) -> str:
    return " ".join(path.read_text(encoding="utf-8").split()) if path.is_file() else ""
