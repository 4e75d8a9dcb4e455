"""One interface for every system that turns speech into the motion of a mesh.

A `Method` has training stages, a loss for each of them, and `infer`. That carries systems with two stages (CodeTalker:
codebook, then code query), convolution on the mesh (OT-Talk: `Geometry.faces`), autoregressive ones (FaceFormer: the
loop is inside `infer`), speaking styles, and key motions plugged into any of them (`key_motions`, then KMTalk's
`complete`).

Shapes: B batch, N frames, m key motions, C = 3 × vertices. Motion is displacement from the template in the data's own
unit. Times in seconds. Masks are True at real positions.
"""

from __future__ import annotations

import importlib
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from ..checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from ..errors import InputError
from ..heads import fitting
from .speech import Speech, architecture_only

# Name in a configuration → module and class; imported on demand.
METHODS = {
    "kmtalk": "kmtalk_core.networks.vertex_kmtalk:VertexKMTalk",
    "faceformer": "kmtalk_core.networks.peers.faceformer:FaceFormer",
    "codetalker": "kmtalk_core.networks.peers.codetalker:CodeTalker",
    "selftalk": "kmtalk_core.networks.peers.selftalk:SelfTalk",
    "ottalk": "kmtalk_core.networks.peers.ottalk:OTTalk",
    "meshtalk": "kmtalk_core.networks.peers.meshtalk:MeshTalk",
    "voca": "kmtalk_core.networks.peers.voca:VOCA",
}
# Their networks were other ones, and saw motion in another unit, before they were held to the published codes; since
# then a checkpoint tells its unit.
TELL_THEIR_UNIT = ("faceformer", "codetalker", "selftalk", "voca")
GEOMETRY_ARRAYS = ("lips", "upper_face", "faces")


@dataclass(frozen=True)
class Geometry:
    """The mesh and the data that a method is made for.

    `vertices`: how many; `lips` and `upper_face` (n,) int64 indices; `faces` (F, 3) or None where unknown; `subjects`
    the training subjects, whose order is that of `style`; `unit`: root mean square displacement of the training data,
    so that networks see numbers near 1; `fps`: the frame rate of the training data. `template` (V, 3) float32 or None:
    the mean of the training subjects', for uses without a mesh of one's own.
    """

    vertices: int
    fps: float
    lips: np.ndarray
    upper_face: np.ndarray
    subjects: tuple[str, ...]
    unit: float
    faces: np.ndarray | None = None
    template: np.ndarray | None = None


@dataclass(frozen=True)
class Stage:
    """One training stage; `after` names the stages whose result it needs. Others may be trained at the same time."""

    name: str
    after: tuple[str, ...] = ()


@dataclass(frozen=True)
class Keys:
    """Key instants, `times` (B, m), `mask` (B, m); and key motions `motion` (B, m, C), None where still to be made."""

    times: Tensor
    mask: Tensor
    motion: Tensor | None = None


@dataclass(frozen=True)
class Batch:
    """What a loss sees. `key_frames` (B, m) are the frames of `keys`; `text` (B, L) characters of the transcript
    (networks.lip_reader.CHARACTERS) and `text_lengths` (B,), 0 where it is not known; `style` (B, subjects) one-hot;
    `head` names the data set where several train together.
    """

    speech: Speech
    template: Tensor
    style: Tensor
    times: Tensor
    mask: Tensor
    motion: Tensor
    keys: Keys
    key_frames: Tensor
    text: Tensor
    text_lengths: Tensor
    head: str = ""

    def to(self, device: torch.device) -> Batch:
        moved: dict[str, Any] = {k: v.to(device) for k, v in vars(self).items() if isinstance(v, (Tensor, Speech))}
        motion = None if self.keys.motion is None else self.keys.motion.to(device)
        return replace(self, **moved, keys=Keys(self.keys.times.to(device), self.keys.mask.to(device), motion))


@dataclass(frozen=True)
class Wanted:
    """What `Method.infer` is asked for: motion at `times` (B, N), real where `mask` is True (None: everywhere)."""

    speech: Speech
    template: Tensor
    style: Tensor
    times: Tensor
    keys: Keys | None = None
    mask: Tensor | None = None

    def positions(self, fps: float) -> tuple[Tensor, Tensor]:
        """The times in frames at `fps` (B, N), 0 for padding, and how many frames reach to the last one (B,)."""
        real = self.times if self.mask is None else torch.where(self.mask, self.times, 0.0)
        at = real * fps
        return at, torch.ceil(at.max(1).values - 1e-3).long() + 1

    def alone(self) -> list[Wanted]:
        """Each clip by itself, its sound without padding; for methods that take no keys."""
        ones = [slice(row, row + 1) for row in range(len(self.times))]
        return [
            Wanted(
                Speech(self.speech.samples[one, : int(self.speech.lengths[one])], self.speech.lengths[one]),
                self.template[one],
                self.style[one],
                self.times[one],
                None,
                None if self.mask is None else self.mask[one],
            )
            for one in ones
        ]


class Method(nn.Module, ABC):
    """A system; made from its part of the configuration and a geometry."""

    stages: ClassVar[tuple[Stage, ...]]
    training_only: ClassVar[tuple[str, ...]] = ()  # prefixes of parameters that a checkpoint leaves out
    has_style: ClassVar[bool] = False  # whether `style` changes what it makes

    def __init__(self, config: Mapping[str, Any], geometry: Geometry) -> None:
        super().__init__()
        self.geometry = geometry

    @property
    @abstractmethod
    def config(self) -> dict[str, Any]:
        """Builds the same networks again, without pre-trained sources; JSON types only."""

    @abstractmethod
    def trained(self, stage: str) -> Sequence[nn.Module]:
        """The modules that `stage` trains, frozen parameters in them excepted; all others stay as they are."""

    @abstractmethod
    def loss(self, stage: str, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss and its parts, each the mean over the clips of the batch of a per-clip value.

        So a batch is the mean of its clips one by one, and several processes agree with one.
        """

    def infer(
        self,
        speech: Speech,
        template: Tensor,
        style: Tensor,
        times: Tensor,
        keys: Keys | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """Motion (B, N, C) at `times` (B, N), real where `mask` is True (None: everywhere). `keys`: instants or whole
        key motions, for methods that take them."""
        return self.predicted(Wanted(speech, template, style, times, keys, mask))

    @abstractmethod
    def predicted(self, wanted: Wanted) -> Tensor:
        """Motion (B, N, C) at the times that are wanted."""

    def key_motions(self, speech: Speech, template: Tensor, style: Tensor, keys: Keys) -> Tensor:
        """K (B, m, C) at the key instants: by default what `infer` gives there (the paper's Table 3 and Table 5)."""
        return self.infer(speech, template, style, keys.times, mask=keys.mask)


def styles_of(method: Method, style: Tensor) -> list[Tensor]:
    """The styles (1, subjects) that a clip is judged in: its subject's own, and for an unseen one (`style` all zero)
    those of all training subjects in turn, as the published codes do. One, where styles change nothing."""
    if bool(style.any()):
        return [style]
    every = torch.eye(style.shape[1], dtype=style.dtype, device=style.device)
    return list(every[:, None] if method.has_style else every[:1, None])


def make_method(name: str, config: Mapping[str, Any], geometry: Geometry) -> Method:
    """Build a method by name; raises InputError for an unknown one or options that it does not know."""
    if name not in METHODS:
        raise InputError(f"There is no method {name!r}; choose one of {', '.join(METHODS)}.")
    module, kind = METHODS[name].split(":")
    return getattr(importlib.import_module(module), kind)(config, geometry)


def save_method(method: Method, name: str, facts: Mapping[str, Any], path: str | os.PathLike[str]) -> str:
    """Write a checkpoint (configuration, geometry, float32 weights, checksum) whole or not at all; the checksum."""
    g = method.geometry
    weights = {
        f"network.{key}": tensor.detach().cpu().numpy()
        for key, tensor in method.state_dict().items()
        if not key.startswith(method.training_only)
    }
    weights |= geometry_arrays(g)
    config = {**facts, "method": name, "options": method.config, "geometry": geometry_about(g)}
    return save_checkpoint(Checkpoint(config, weights, {}), path)


def geometry_arrays(g: Geometry) -> dict[str, np.ndarray]:
    """The arrays of a geometry by their names in a checkpoint."""
    out = {
        f"geometry.{key}": np.asarray(getattr(g, key), np.int64)
        for key in GEOMETRY_ARRAYS
        if getattr(g, key) is not None
    }
    if g.template is not None:
        out["geometry.template"] = np.asarray(g.template, np.float32)
    return out


def geometry_about(g: Geometry) -> dict[str, Any]:
    """The rest of it, for the configuration."""
    return {"vertices": g.vertices, "fps": g.fps, "subjects": list(g.subjects), "unit": g.unit}


def load_method(path: str | os.PathLike[str] | Checkpoint) -> Method:
    """The method of a checkpoint that `save_method` wrote, in evaluation mode on the CPU.

    Nothing is fetched and no code but this package's is run, whatever the checkpoint says. Raises InputError, also for
    one of several heads of which none was chosen (`kmtalk_core.heads`).
    """
    checkpoint = fitting(path if isinstance(path, Checkpoint) else load_checkpoint(path), None)
    if "method" not in checkpoint.config:
        raise InputError("This checkpoint is a compact model in control space; choose one trained on vertices.")
    _refuse_older(checkpoint)
    try:
        method = make_method(
            str(checkpoint.config["method"]), _local(checkpoint.config["options"]), _geometry(checkpoint)
        )
        weights = {k.removeprefix("network."): v for k, v in checkpoint.weights.items() if k.startswith("network.")}
        method.load_state_dict({k: torch.from_numpy(np.array(v)) for k, v in weights.items()})
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, RuntimeError) as error:
        said = str(error).strip().partition("\n")[0][:120]
        raise InputError(f"This checkpoint does not hold what its method needs ({said}); export it again.") from None
    return method.eval()


def _refuse_older(checkpoint: Checkpoint) -> None:
    """Raise InputError for a peer's older checkpoint, which would not load, or worse, move by wrong amounts."""
    name, options = checkpoint.config["method"], checkpoint.config.get("options")
    network = options.get("network") if isinstance(options, Mapping) else None
    if name in TELL_THEIR_UNIT and isinstance(network, Mapping) and "unit" not in network:
        raise InputError(
            f"This checkpoint of {name} was made before its networks followed the published code, and cannot be used"
            " any more; train it again, or convert an official one with `python -m training.convert`."
        )


def _local(options: Mapping[str, Any]) -> dict[str, Any]:
    """A method's configuration without pre-trained sources, and without what only training needs."""
    kept = {name: table for name, table in options.items() if name != "lip_reading"}
    if "speech" in kept:  # methods that do not listen have none
        kept["speech"] = architecture_only(kept["speech"])
    return kept


def _geometry(checkpoint: Checkpoint) -> Geometry:
    about = checkpoint.config["geometry"]
    arrays = {key: checkpoint.weights.get(f"geometry.{key}") for key in GEOMETRY_ARRAYS}
    return Geometry(
        vertices=int(about["vertices"]),
        fps=float(about["fps"]),
        lips=_needed(arrays["lips"]),
        upper_face=_needed(arrays["upper_face"]),
        subjects=tuple(str(subject) for subject in about["subjects"]),
        unit=float(about["unit"]),
        faces=arrays["faces"],
        template=checkpoint.weights.get("geometry.template"),
    )


def _needed(array: np.ndarray | None) -> np.ndarray:
    if array is None:
        raise InputError("This checkpoint lacks the vertex lists of its mesh; train it again.")
    return array


def options_of(config: Mapping[str, Any], table: str, known: Sequence[str]) -> dict[str, Any]:
    """One table of a configuration; raises InputError for an option that nobody reads."""
    options = dict(config.get(table, {}))
    for name in options:
        if name not in known:
            raise InputError(f"[{table}] has an unknown option {name!r}; it knows {', '.join(known)}.")
    return options
