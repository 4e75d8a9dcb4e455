"""A prepared data set: captured speech and motion of meshes, with splits, masks and alignments.

`python -m training.prepare` makes the folder: dataset.json (`DataSet` says what is in it), arrays.npz (templates,
vertex lists) and alignments/LABEL/CLIP.TextGrid. Sound and vertices stay where they are, in the source's own layout.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from kmtalk_core.audio import load_sound
from kmtalk_core.errors import InputError
from kmtalk_core.files import load_npz, save_npz, written_whole
from kmtalk_core.localization.keys import key_instants, offset_instants, uniform_instants
from kmtalk_core.localization.textgrid import load_alignment
from kmtalk_core.networks.lip_reader import encode_text
from kmtalk_core.networks.method import Batch, Geometry, Keys
from kmtalk_core.networks.speech import Speech, normalised
from kmtalk_core.phones import Alignment

FORMAT = 1
KEY_RULES = ("boundaries", "apexes", "both", "uniform", "random", "all")


@dataclass(frozen=True)
class CapturedClip:
    """One sentence: `frames` at the data set's fps (every `stride`-th on disk), `text` "" where it is not known."""

    name: str
    subject: str
    frames: int
    stride: int = 1
    text: str = ""


@dataclass(frozen=True)
class KeyChoice:
    """How key instants are chosen: a `rule` (KEY_RULES), of the alignments `localization`, moved by `offset` frames.

    `share`: of all frames, for uniform and random. "all" makes every frame a key motion. `seed` is for random.
    """

    rule: str = "boundaries"
    localization: str = ""
    offset: int = 0
    share: float = 1 / 3
    seed: int = 0

    def __post_init__(self) -> None:
        if self.rule not in KEY_RULES:
            raise InputError(f"There is no key rule {self.rule}; choose one of {', '.join(KEY_RULES)}.")


class DataSet:
    """The folder opened. `unit` names the unit of the vertices, `rms` is the root mean square displacement of the
    training clips in it, `opening` (k, 2) pairs of upper and lower lip vertices, `landmarks` (68,) the vertices of
    iBUG's, or None."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            about = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise InputError(
                f"{folder} is not a prepared data set; make one with `python -m training.prepare`."
            ) from None
        except (OSError, ValueError):
            raise InputError(f"{folder / 'dataset.json'} is damaged; run `python -m training.prepare` again.") from None
        if about.get("format") != FORMAT:
            raise InputError(f"{folder} was prepared by another version; run `python -m training.prepare` again.")
        self.name: str = about["name"]
        self.fps: float = about["fps"]
        self.unit: str = about["unit"]
        self.rms: float = about["rms"]
        self.source = folder / about["source"]
        self.splits: dict[str, list[str]] = about["splits"]
        self.clips = {clip["name"]: CapturedClip(**clip) for clip in about["clips"]}
        self.localizations: list[str] = about["localizations"]
        arrays = load_npz(folder / "arrays.npz")
        self.templates = {k.removeprefix("template/"): v for k, v in arrays.items() if k.startswith("template/")}
        self.lips, self.upper_face = arrays["lips"], arrays["upper_face"]
        self.faces, self.opening = arrays.get("faces"), arrays.get("opening")
        self.landmarks = arrays.get("landmarks")

    @property
    def training_subjects(self) -> tuple[str, ...]:
        """The subjects of the training split, in order of name: the order of `style`."""
        return tuple(sorted({self.clips[name].subject for name in self.splits["train"]}))

    def geometry(self) -> Geometry:
        """What a method needs to know of this data."""
        subjects = self.training_subjects
        mean = np.mean([self.templates[s] for s in subjects], axis=0, dtype=np.float64).astype(np.float32)
        return Geometry(len(mean), self.fps, self.lips, self.upper_face, subjects, self.rms, self.faces, mean)

    def split(self, name: str) -> list[CapturedClip]:
        """The clips of a split; raises InputError for one that there is not."""
        if name not in self.splits:
            raise InputError(f"{self.name} has no split {name!r}; choose one of {', '.join(self.splits)}.")
        return [self.clips[clip] for clip in self.splits[name]]

    def vertices(self, clip: CapturedClip) -> np.ndarray:
        """(T, V, 3) float32 at the data set's fps."""
        return read_vertices(self.source / "vertices_npy" / f"{clip.name}.npy", clip.stride)[: clip.frames]

    def samples(self, clip: CapturedClip) -> np.ndarray:
        """(n,) float32 at 16 kHz."""
        return load_sound(self.source / "wav" / f"{clip.name}.wav").samples

    def person(self, clip: CapturedClip) -> np.ndarray | None:
        """Opening and width of the mouth and the jaw (T, 3) of the tracked person whom the clip's head repeats, where
        they were kept (`training.captured.likeness`)."""
        path = self.source / "person" / f"{clip.name}.npy"
        return np.load(path, allow_pickle=False)[: clip.frames] if path.is_file() else None

    def alignment(self, clip: CapturedClip, localization: str = "") -> Alignment:
        """The phones of a clip from the cache, by the first localization where none is named, fitted to its frames."""
        label = localization or self.localizations[0]
        if label not in self.localizations:
            raise InputError(
                f"{self.name} has no alignments {label!r}, only {', '.join(self.localizations)}; make them with"
                " `python -m training.prepare align`."
            )
        found = load_alignment(self.folder / "alignments" / label / f"{clip.name}.TextGrid")
        return Alignment.from_segments(found.phones, found.words, (clip.frames - 1) / self.fps, label)

    def key_frames(self, clip: CapturedClip, choice: KeyChoice) -> np.ndarray:
        """(m,) int64, ascending: the key motion indices I of a clip. The first and last frame are among them."""
        last = clip.frames - 1
        if choice.rule == "all":
            return np.arange(clip.frames)
        if choice.rule == "random":
            rng = np.random.default_rng([choice.seed, *clip.name.encode()])
            inner = rng.choice(np.arange(1, last), min(round(choice.share * last), max(last - 1, 0)), replace=False)
            return np.unique(np.concatenate([[0, last], inner]))
        if choice.rule == "uniform":
            instants = uniform_instants(last / self.fps, self.fps, choice.share)
        else:
            instants = key_instants(self.alignment(clip, choice.localization), choice.rule, self.fps)
        if choice.offset:
            instants = offset_instants(instants, choice.offset, self.fps, last / self.fps)
        frames = np.unique(np.clip(np.rint(instants.times * self.fps).astype(np.int64), 0, last))
        return frames if len(frames) else np.array([0])


@dataclass(frozen=True)
class Mixture:
    """Data sets that train together, by the names of their heads; one by itself has the name ""."""

    sets: Mapping[str, DataSet]

    @classmethod
    def of(cls, folders: Sequence[Path]) -> Mixture:
        """The data sets of these folders, called as they are, or as their folders where they share a name."""
        found = [DataSet(folder) for folder in folders]
        if len(found) == 1:
            return cls({"": found[0]})
        names = [data.name for data in found]
        if len(set(names)) < len(names):
            names = [folder.resolve().name for folder in folders]
        if len(set(names)) < len(names):
            twice = max(names, key=names.count)
            raise InputError(f"Two data sets are called {twice}; rename the folder of one of them.")
        return cls(dict(zip(names, found, strict=True)))

    def split(self, name: str) -> list[tuple[str, CapturedClip]]:
        """All clips of a split with their heads, set by set; of those that have no such split none."""
        return [(head, data.clips[clip]) for head, data in self.sets.items() for clip in data.splits.get(name, [])]

    def epoch(self, rng: np.random.Generator, batch: int) -> list[tuple[str, list[CapturedClip]]]:
        """The batches of a pass over the training data in a random order; each is of one data set."""
        batches = []
        for head, data in self.sets.items():
            clips = data.split("train")
            order = rng.permutation(len(clips))
            batches += [(head, [clips[i] for i in order[k : k + batch]]) for k in range(0, len(clips), batch)]
        return batches if len(self.sets) == 1 else [batches[i] for i in rng.permutation(len(batches))]

    def steps(self, batch: int) -> int:
        """How many batches an epoch has."""
        return sum(-(-len(data.split("train")) // batch) for data in self.sets.values())

    def collate(self, head: str, clips: Sequence[CapturedClip], choice: KeyChoice) -> Batch:
        return replace(collate(self.sets[head], clips, choice), head=head)


def read_vertices(path: Path, stride: int = 1) -> np.ndarray:
    """(T, V·3) or (T, V, 3) on disk, every `stride`-th frame → (T', V, 3) float32. Raises InputError."""
    try:
        on_disk = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise InputError(f"There is no {path}; the data set moved or is incomplete, so prepare it again.") from None
    except (OSError, ValueError, EOFError):
        raise InputError(f"{path.name} is damaged or no array of numbers; get it again.") from None
    if on_disk.ndim not in (2, 3) or on_disk.dtype.kind != "f" or (on_disk[0].size % 3 if len(on_disk) else True):
        raise InputError(f"{path.name} has the shape {on_disk.shape}; expected are frames × (vertices · 3).")
    return np.asarray(on_disk[::stride], np.float32).reshape(len(on_disk[::stride]), -1, 3)


def collate(data: DataSet, clips: Sequence[CapturedClip], choice: KeyChoice) -> Batch:
    """Clips as one padded batch, on the CPU."""
    subjects = data.training_subjects
    rows = []
    for clip in clips:
        template = data.templates[clip.subject].reshape(-1).astype(np.float32)
        motion = data.vertices(clip).reshape(clip.frames, -1) - template
        sound = normalised(torch.from_numpy(_heard(data.samples(clip), clip.frames / data.fps)))
        style = torch.tensor([float(clip.subject == s) for s in subjects])
        rows.append((sound, motion, template, style, data.key_frames(clip, choice), encode_text(clip.text)))
    pad = torch.nn.utils.rnn.pad_sequence
    key_frames = pad([torch.from_numpy(r[4]) for r in rows], batch_first=True)
    frames = torch.tensor([len(r[1]) for r in rows])
    n = int(frames.max())
    return Batch(
        speech=Speech(pad([r[0] for r in rows], batch_first=True), torch.tensor([len(r[0]) for r in rows])),
        template=torch.from_numpy(np.stack([r[2] for r in rows])),
        style=torch.stack([r[3] for r in rows]),
        times=(torch.arange(n) / data.fps).repeat(len(rows), 1),
        mask=torch.arange(n)[None] < frames[:, None],
        motion=pad([torch.from_numpy(r[1]) for r in rows], batch_first=True),
        keys=Keys(
            key_frames / data.fps,
            torch.arange(key_frames.shape[1])[None] < torch.tensor([len(r[4]) for r in rows])[:, None],
        ),
        key_frames=key_frames,
        text=pad([torch.tensor(r[5], dtype=torch.long) for r in rows], batch_first=True),
        text_lengths=torch.tensor([len(r[5]) for r in rows]),
    )


def _heard(samples: np.ndarray, seconds: float) -> np.ndarray:
    """At least 0.1 s, and not more than a second beyond the motion: what nobody moves to is not learned from."""
    samples = samples[: round((seconds + 1.0) * 16_000)]
    return np.pad(samples, (0, max(1600 - len(samples), 0)))


def write_dataset(
    folder: Path, about: dict[str, Any], clips: Iterable[CapturedClip], arrays: dict[str, np.ndarray]
) -> None:
    """Write arrays.npz and, last, dataset.json: a folder that has the latter is complete."""
    save_npz(arrays, folder / "arrays.npz")
    text = json.dumps({"format": FORMAT, **about, "clips": [asdict(clip) for clip in clips]}, indent=1)
    with written_whole(folder / "dataset.json") as partial:
        partial.write_text(text + "\n", encoding="utf-8")
