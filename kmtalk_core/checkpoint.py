"""Checkpoints: one .npz with the configuration, the weights (float16), the ONNX graphs and a checksum over them all.

The graphs hold no weights of their own: both backends take them from the same arrays, so they cannot disagree. The
weights lie in one array for each type, not compressed, in the order in which the graphs want them, and the graphs are
optimised beforehand: loading takes no time.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .archives import parsed
from .assets import COMPACT_CHECKPOINT
from .errors import InputError, KMTalkError
from .files import load_npz, load_sealed, save_sealed
from .halves import widen

FORMAT = 3
ROWS_FIRST = 2  # the format before: all weights in the order of their rows
MANY_ARRAYS = 1  # the first one: an array for each weight, graphs still to be optimised
Place = tuple[str, str, list[int], bool]  # a weight's name, type and shape; whether its columns lie first
ALIGNED = 16  # numbers: where the processor likes an array to begin
NEUTRAL = "neutral"  # the way of speaking that is used unless another is wanted


@dataclass(frozen=True)
class Graph:
    """An ONNX graph, and where its large initializers come from: name → (name of the weight, transposed).

    `optimised`: as ONNX Runtime runs it, with nothing left to fuse. `fed`: these are inputs rather than initializers.
    """

    model: bytes
    shared: Mapping[str, tuple[str, bool]]
    optimised: bool = False
    fed: bool = False

    def initializers(self, weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The large initializers, float32, by their names in the graph."""
        sources = {name: weights[w].T if transposed else weights[w] for name, (w, transposed) in self.shared.items()}
        begins = np.cumsum([0] + [-(-source.size // ALIGNED) * ALIGNED for source in sources.values()])
        room = np.empty(begins[-1], np.float32)  # a single one costs the system less than many small ones
        out = {}
        for (name, source), begin in zip(sources.items(), begins, strict=False):
            flat = room[begin : begin + source.size]
            out[name] = flat.reshape(source.shape)
            if source.dtype == np.float16 and source.flags.c_contiguous:
                widen(source.reshape(-1), flat)
            else:
                out[name][...] = source
        return out


@dataclass(frozen=True)
class Checkpoint:
    """`config`: dimensions, names and training facts; `weights`: name → float16 array; `graphs`: name → Graph."""

    config: Mapping[str, Any]
    weights: Mapping[str, np.ndarray]
    graphs: Mapping[str, Graph]
    sha256: str = ""

    @property
    def name(self) -> str:
        """What OUT.npz calls the model: its name and the start of its checksum."""
        return f"{self.config['name']}-{self.sha256[:12]}"

    def style(self, name: str = NEUTRAL) -> np.ndarray | None:
        """(S,) float32: the code of a shipped way of speaking (`conditioning.STYLE`); None where there is one only.

        Raises InputError for an unknown name.
        """
        styles = self.config.get("styles")
        if not styles:
            return None
        if name not in styles:
            raise InputError(f"There is no style {name!r}; choose one of {', '.join(styles)}.")
        return np.array(styles[name], np.float32)


def save_checkpoint(checkpoint: Checkpoint, path: str | os.PathLike[str]) -> str:
    """Write `path` whole or not at all; returns the checksum."""
    arrays: dict[str, np.ndarray] = {}
    places: list[Place] = []
    turned = {name for graph in checkpoint.graphs.values() for name, transposed in graph.shared.values() if transposed}
    for kind in sorted({weight.dtype.name for weight in checkpoint.weights.values()}):
        chosen = {n: w for n, w in sorted(checkpoint.weights.items()) if w.dtype.name == kind}
        stored = [weight.ravel(order="F" if name in turned else "C") for name, weight in chosen.items()]
        arrays[f"weights/{kind}"] = np.concatenate(stored)
        places += [(name, kind, list(weight.shape), name in turned) for name, weight in chosen.items()]
    for name, graph in checkpoint.graphs.items():
        arrays[f"graphs/{name}"] = np.frombuffer(graph.model, dtype=np.uint8)
    about = {
        "format": FORMAT,
        "weights": places,
        "shared": {name: graph.shared for name, graph in checkpoint.graphs.items()},
        "optimised": [name for name, graph in checkpoint.graphs.items() if graph.optimised],
        "fed": [name for name, graph in checkpoint.graphs.items() if graph.fed],
    }
    arrays["config"] = np.array(json.dumps({**checkpoint.config, **about}, sort_keys=True))
    return save_sealed(arrays, path)


def load_checkpoint(path: str | os.PathLike[str] | None = None) -> Checkpoint:
    """Read a checkpoint, by default the shipped one.

    Raises InputError if the file is missing, damaged, of another format or not a checkpoint at all.
    """
    path = COMPACT_CHECKPOINT if path is None else path
    arrays, expected = load_sealed(path, "not a KMTalk checkpoint; choose one that `python -m training.train` wrote.")
    try:
        config = parsed(str(arrays.pop("config")))
        if config.pop("format") not in (FORMAT, ROWS_FIRST, MANY_ARRAYS):
            raise InputError(f"{path} was written by another version of KMTalk; export it again with this version.")
        weights = _weights(arrays, config.pop("weights", None))
        shared, optimised, fed = config.pop("shared"), config.pop("optimised", []), config.pop("fed", [])
        graphs = {
            name: Graph(
                arrays[f"graphs/{name}"].tobytes(),
                {k: (w, bool(t)) for k, (w, t) in shared[name].items()},
                name in optimised,
                name in fed,
            )
            for name in shared
        }
        if not isinstance(config["name"], str):
            raise ValueError
    except (KeyError, TypeError, ValueError, AttributeError):
        raise InputError(f"{path} does not hold what a checkpoint must; export it again.") from None
    return Checkpoint(config, weights, graphs, expected)


def _weights(arrays: Mapping[str, np.ndarray], places: list[Place] | None) -> dict[str, np.ndarray]:
    """Each weight by its name, a view into the arrays of the file."""
    if places is None:
        return {name.removeprefix("weights/"): a for name, a in arrays.items() if name.startswith("weights/")}
    out: dict[str, np.ndarray] = {}
    begin = dict.fromkeys((place[1] for place in places), 0)
    for name, kind, shape, *turned in places:
        size = math.prod(shape)
        weight = arrays[f"weights/{kind}"][begin[kind] : begin[kind] + size]
        out[name] = weight.reshape(shape[::-1]).T if any(turned) else weight.reshape(shape)
        begin[kind] += size
    return out


def moves_vertices(path: str | os.PathLike[str]) -> bool:
    """Whether a file is a checkpoint at paper scale, as `networks.method` saves it; weights are not read."""
    try:
        return "method" in parsed(str(load_npz(path, ("config",))["config"]))
    except (KMTalkError, KeyError, TypeError, ValueError):  # no checkpoint at all: `load_checkpoint` says so
        return False
