"""The recogniser's file: one .npz with configuration, weights, ONNX graphs, vocabulary and a checksum over them all.

Matrices are whole numbers −63…63 with a scale for each column, in steps so coarse that entropy coding leaves 4.4 bits
of each weight (`training.recogniser` chooses the steps). Seven bits, so that no product of ONNX Runtime's integer
kernels saturates on processors without dot-product instructions.
"""

from __future__ import annotations

import json
import math
import os
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..archives import parsed
from ..errors import InputError
from ..files import load_npz, load_sealed, save_sealed

FORMAT = 1
CODED_AT_ONCE = 1 << 18  # bytes of coded matrices that are decoded together
LARGEST_STEP = 63

Places = list[tuple[str, list[int]]]  # name and shape of each array, in the order in which they lie


@dataclass(frozen=True)
class RecogniserFile:
    """`config`: dimensions, languages and tokens; `matrices`: name → (inputs, outputs) int8; `plain`: name → float16
    array, the scales of the matrices included; `graphs`: name → ONNX; `vocabulary`: the bytes of each text token."""

    config: Mapping[str, Any]
    matrices: Mapping[str, np.ndarray]
    plain: Mapping[str, np.ndarray]
    graphs: Mapping[str, bytes]
    vocabulary: tuple[bytes, ...]
    sha256: str = ""

    @property
    def name(self) -> str:
        """The recogniser's name and the start of its checksum, as results record it."""
        return f"{self.config['name']}-{self.sha256[:12]}"


def save_recogniser(file: RecogniserFile, path: str | os.PathLike[str]) -> str:
    """Write `path` whole or not at all; returns the checksum. The same contents give the same bytes."""
    places = {
        kind: [(name, list(array.shape)) for name, array in arrays.items()]
        for kind, arrays in (("matrices", file.matrices), ("plain", file.plain))
    }
    steps = np.concatenate([matrix.ravel() for matrix in file.matrices.values()])
    lengths = np.array([len(token) for token in file.vocabulary], np.uint8)
    arrays: dict[str, np.ndarray] = {
        "matrices": _coded(steps.tobytes()),
        "plain": np.concatenate([array.ravel() for array in file.plain.values()]).astype(np.float16),
        "token_lengths": lengths,
        "tokens": _coded(b"".join(file.vocabulary)),
    }
    for name, graph in file.graphs.items():
        arrays[f"graphs/{name}"] = np.frombuffer(graph, np.uint8)
    about = {**file.config, "format": FORMAT, "places": places, "graphs": sorted(file.graphs)}
    arrays["config"] = np.array(json.dumps(about, sort_keys=True))
    return save_sealed(arrays, path)


def load_recogniser(path: str | os.PathLike[str]) -> RecogniserFile:
    """Read a recogniser; raises InputError if the file is missing, damaged or something else."""
    arrays, expected = load_sealed(path, "not a recogniser; make one with `python -m training.recogniser`.")
    try:
        coded = arrays.pop("matrices").data
        return _read(arrays, expected, path, lambda places: _decoded(coded, places))
    except KeyError:
        raise _useless(path) from None


def recogniser_around(steps: memoryview, path: str | os.PathLike[str]) -> RecogniserFile:
    """The recogniser of `path` with the bytes of all its matrices, which were decoded before, as views into them.

    Raises InputError as `load_recogniser`, but for what only its checksum shows.
    """
    try:
        graphs = parsed(str(load_npz(path, ("config",))["config"]))["graphs"]
        names = {"config", "sha256", "plain", "token_lengths", "tokens", *(f"graphs/{name}" for name in graphs)}
        arrays = load_npz(path, names)
        return _read(arrays, str(arrays.pop("sha256")), path, lambda places: _views(steps, places))
    except (KeyError, TypeError, ValueError):
        raise _useless(path) from None


def _read(
    arrays: dict[str, np.ndarray],
    seal: str,
    path: str | os.PathLike[str],
    unpacked: Callable[[Places], Iterable[np.ndarray]],
) -> RecogniserFile:
    try:
        config = parsed(str(arrays.pop("config")))
        if config.pop("format") != FORMAT:
            raise InputError(f"{path} was written by another version of KMTalk; make it again with this version.")
        places = config.pop("places")
        matrices = dict(zip((name for name, _ in places["matrices"]), unpacked(places["matrices"]), strict=True))
        ends = np.cumsum(arrays["token_lengths"], dtype=np.int64)
        text = zlib.decompress(arrays["tokens"].data)
        return RecogniserFile(
            config,
            matrices,
            _placed(arrays["plain"], places["plain"]),
            {name: arrays[f"graphs/{name}"].tobytes() for name in config.pop("graphs")},
            tuple(text[end - length : end] for end, length in zip(ends, arrays["token_lengths"], strict=True)),
            seal,
        )
    except (KeyError, TypeError, ValueError, AttributeError, zlib.error):
        raise _useless(path) from None


def _useless(path: str | os.PathLike[str]) -> InputError:
    return InputError(f"{path} does not hold what a recogniser must; make it again.")


def _views(steps: memoryview, places: Places) -> Iterator[np.ndarray]:
    """Each matrix where it lies in the bytes of all."""
    at = 0
    for _, shape in places:
        size = math.prod(shape)
        yield np.frombuffer(steps, np.int8, size, at).reshape(shape)
        at += size
    if at != len(steps):
        raise ValueError("There are more bytes than matrices.")


def _decoded(coded: memoryview, places: Places) -> Iterator[np.ndarray]:
    """Each matrix in an array of its own, so that it can go as soon as nobody needs it."""
    decoder = zlib.decompressobj()
    at, waiting = 0, memoryview(b"")
    for _, shape in places:
        out = np.empty(math.prod(shape), np.int8)
        filled = 0
        while filled < len(out):
            if not waiting:
                if at >= len(coded):
                    raise ValueError("The matrices end too early.")
                waiting = memoryview(decoder.decompress(coded[at : at + CODED_AT_ONCE]))
                at += CODED_AT_ONCE
            piece, waiting = waiting[: len(out) - filled], waiting[len(out) - filled :]
            out[filled : filled + len(piece)] = np.frombuffer(piece, np.int8)
            filled += len(piece)
        yield out.reshape(shape)


def _placed(values: np.ndarray, places: Places) -> dict[str, np.ndarray]:
    """Each array by its name, a view into the values of all."""
    out, at = {}, 0
    for name, shape in places:
        size = math.prod(shape)
        out[name] = values[at : at + size].reshape(shape)
        at += size
    return out


def _coded(data: bytes) -> np.ndarray:
    """Entropy-coded: weights repeat nothing that a search for repetitions would find."""
    coder = zlib.compressobj(9, zlib.DEFLATED, 15, 9, zlib.Z_HUFFMAN_ONLY)
    return np.frombuffer(coder.compress(data) + coder.flush(), np.uint8)
