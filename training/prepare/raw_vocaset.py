"""VOCASET as it is distributed for training: all vertices in one array, all sounds in one pickle, and who is where.

data_verts.npy (frames, 5023, 3), raw_audio_fixed.pkl (subject → sentence → audio, sample_rate), subj_seq_to_idx.pkl
(subject → sentence → frame → row), templates.pkl. They are unpacked into the files that the public codes expect.
"""

from __future__ import annotations

import shutil
import wave
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from kmtalk_core.errors import InputError
from kmtalk_core.files import written_whole

from .layouts import unpickled

RAW_FILES = ("data_verts.npy", "raw_audio_fixed.pkl", "subj_seq_to_idx.pkl")


def is_raw(source: Path) -> bool:
    """Whether a folder holds the distribution, not sentences as files of their own."""
    return (source / RAW_FILES[0]).is_file() and not (source / "vertices_npy").is_dir()


def unpack(source: Path, out: Path, progress: Callable[[float], None] = lambda _: None) -> Path:
    """Write OUT/vertices_npy and OUT/wav, with copies of templates, masks and meshes; → OUT. What is there is kept, so
    that it goes on where it stopped. Raises InputError for files that lack or are damaged."""
    try:
        vertices = np.load(source / RAW_FILES[0], mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise InputError(f"{source / RAW_FILES[0]} cannot be read ({error}); get it again.") from None
    sounds = unpickled(source / RAW_FILES[1], "it belongs to VOCASET's training data")
    places = unpickled(source / RAW_FILES[2], "it belongs to VOCASET's training data")
    (out / "vertices_npy").mkdir(parents=True, exist_ok=True)
    (out / "wav").mkdir(exist_ok=True)
    sentences = [(str(s), str(q), rows) for s, of_subject in places.items() for q, rows in dict(of_subject).items()]
    for number, (subject, sentence, rows) in enumerate(sentences):
        name = f"{subject}_{sentence}"
        motion, sound = out / "vertices_npy" / f"{name}.npy", out / "wav" / f"{name}.wav"
        if not motion.exists():
            order = [int(row) for _, row in sorted(dict(rows).items())]
            if not order or max(order) >= len(vertices):
                raise InputError(f"{RAW_FILES[2]} names frames of {name} that data_verts.npy lacks; get both again.")
            with written_whole(motion) as partial, partial.open("wb") as file:
                np.save(file, np.asarray(vertices[order], np.float32).reshape(len(order), -1))
        spoken = dict(sounds.get(subject, {})).get(sentence)
        if spoken is not None and not sound.exists():
            _write_sound(sound, spoken)
        progress((number + 1) / len(sentences))
    for path in source.iterdir():
        if path.name in ("templates.pkl", "templates.npz", "FLAME_masks.pkl") or path.suffix in (".ply", ".obj"):
            shutil.copyfile(path, out / path.name)
    return out


def _write_sound(path: Path, spoken: Mapping[str, Any]) -> None:
    try:
        samples, rate = np.asarray(spoken["audio"]).ravel(), int(spoken["sample_rate"])
    except (KeyError, TypeError, ValueError):
        raise InputError(f"{RAW_FILES[1]} has no audio and sample_rate for {path.stem}; get it again.") from None
    if samples.dtype.kind == "f":
        samples = np.clip(samples, -1.0, 1.0) * 32767.0
    with written_whole(path) as partial, wave.open(str(partial), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.rint(samples).astype("<i2").tobytes())
