"""Whisper's encoder and decoder through ONNX Runtime, with the decoder's memory kept here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import onnxruntime

from .archive import RecogniserFile

FRAMES = 1500  # that the encoder has positions for, 50 a second
ROOM = 32  # tokens by which the memory of what was said grows
HIDDEN = np.float32(-1e9)  # added to the scores of what must not be attended to


@dataclass(frozen=True)
class Memory:
    """What the encoder made of one passage: for each layer keys (heads, d, n) and values (heads, n, d) float16,
    since some of them wait."""

    keys: tuple[np.ndarray, ...]
    values: tuple[np.ndarray, ...]

    @property
    def frames(self) -> int:
        return self.keys[0].shape[-1]


class RecogniserNetwork:
    """Runs a recogniser on numpy arrays, in one thread."""

    def __init__(self, file: RecogniserFile) -> None:
        dimensions = file.config["dimensions"]
        self.width, self.layers, self.heads = (int(dimensions[name]) for name in ("width", "layers", "heads"))
        self._positions = _sinusoids(FRAMES, self.width)
        self._encoder = _session(file, "encoder")
        self._decoder = _session(file, "decoder")
        self.embeddings = file.matrices["embeddings"]
        self._embedding_scales = file.plain["embeddings/scales"].astype(np.float32)
        self._token_positions = file.plain["positions"].astype(np.float32)
        self.longest = len(self._token_positions)

    def encode(self, mel: np.ndarray) -> Memory:
        """(80, 2 n) log-mel, n up to FRAMES → the memory of n frames."""
        n = mel.shape[1] // 2
        found = self._encoder.run(None, {"mel": mel[None], "positions": self._positions[:n]})
        return Memory(
            tuple(k[0].astype(np.float16) for k in found[0::2]), tuple(v[0].astype(np.float16) for v in found[1::2])
        )

    def begin(self, memories: Sequence[Memory]) -> Saying:
        """Begin to write down several passages side by side."""
        frames = max(memory.frames for memory in memories)
        hidden = np.zeros((len(memories), 1, 1, frames), np.float32)
        for row, memory in enumerate(memories):
            hidden[row, ..., memory.frames :] = HIDDEN
        feed: dict[str, np.ndarray] = {"hidden_frames": hidden}
        for layer in range(self.layers):
            feed[f"keys{layer}"] = _stacked([m.keys[layer] for m in memories], frames, axis=2)
            feed[f"values{layer}"] = _stacked([m.values[layer] for m in memories], frames, axis=1)
        return Saying(self, feed, len(memories))

    def run_decoder(self, tokens: np.ndarray, at: int, feed: dict[str, np.ndarray]) -> list[np.ndarray]:
        """(passages, t) tokens at the positions from `at` on → logits (passages, t, tokens), new keys and values."""
        x = np.moveaxis(self.embeddings[:, tokens], 0, -1) * self._embedding_scales[tokens][..., None]
        x += self._token_positions[at : at + tokens.shape[1]]
        return self._decoder.run(None, {"x": x.astype(np.float32, copy=False), **feed})


@dataclass
class Saying:
    """Passages that are being written down side by side, token for token."""

    network: RecogniserNetwork
    heard: dict[str, np.ndarray]
    rows: int
    said: int = 0
    _past: dict[str, np.ndarray] = field(default_factory=dict)

    def say(self, tokens: np.ndarray) -> np.ndarray:
        """(passages, t) int tokens → (passages, t, tokens) float32 logits of what follows each."""
        room, t = self._make_room(), tokens.shape[1]
        mask = np.full((t, room + t), HIDDEN)
        mask[:, : self.said] = 0.0
        mask[:, room:][np.tril_indices(t)] = 0.0
        feed = {**self.heard, **self._past, "mask": mask}
        logits, *new = self.network.run_decoder(tokens, self.said, feed)
        if self.said + t > room:
            room = self._make_room(self.said + t)
        for layer in range(self.network.layers):
            self._past[f"past_keys{layer}"][..., self.said : self.said + t] = new[2 * layer]
            self._past[f"past_values{layer}"][:, :, self.said : self.said + t] = new[2 * layer + 1]
        self.said += t
        return logits

    def keep(self, rows: np.ndarray) -> None:
        """Go on with these passages only; `rows` are their numbers."""
        self.rows = len(rows)
        for arrays in (self.heard, self._past):
            for name in arrays:  # one by one, so that there is no room for all of them twice
                arrays[name] = arrays[name][rows]

    def _make_room(self, needed: int | None = None) -> int:
        """Room for `needed` tokens (None: those said) in the memory of what was said; → for how many there is."""
        network = self.network
        room = -(-max(self.said if needed is None else needed, 1) // ROOM) * ROOM
        depth = network.width // network.heads
        for layer in range(network.layers):
            for name, axis, shape in (
                (f"past_keys{layer}", 3, (self.rows, network.heads, depth, room)),
                (f"past_values{layer}", 2, (self.rows, network.heads, room, depth)),
            ):
                old = self._past.get(name)
                if old is not None and old.shape[axis] >= room:
                    continue
                grown = np.zeros(shape, np.float32)
                if old is not None:
                    grown[tuple(slice(size) for size in old.shape)] = old
                self._past[name] = grown
        return self._past["past_keys0"].shape[3]


def _stacked(arrays: Sequence[np.ndarray], length: int, axis: int) -> np.ndarray:
    """The arrays one above the other as float32, each followed by zeros up to `length` along `axis`."""
    shape = list(arrays[0].shape)
    shape[axis] = length
    out = np.zeros((len(arrays), *shape), np.float32)
    for row, array in zip(out, arrays, strict=True):
        row[tuple(slice(size) for size in array.shape)] = array
    return out


def _sinusoids(count: int, width: int) -> np.ndarray:
    """(count, width) float32: the encoder's positions."""
    rates = np.exp(-np.log(10_000.0) / (width // 2 - 1) * np.arange(width // 2))
    angles = np.arange(count)[:, None] * rates
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1).astype(np.float32)


def _session(file: RecogniserFile, name: str) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.enable_cpu_mem_arena = False  # it would keep what the longest passage needed
    if name == "encoder":  # packing its matrices takes longer than it saves in a minute; the decoder's are used often
        options.add_session_config_entry("session.disable_prepacking", "1")
    given = {graph_name: _initializer(file, source) for graph_name, source in file.config["shared"][name].items()}
    values = [onnxruntime.OrtValue.ortvalue_from_numpy(array) for array in given.values()]
    options.add_external_initializers(list(given), values)
    return onnxruntime.InferenceSession(file.graphs[name], options, providers=["CPUExecutionProvider"])


def _initializer(file: RecogniserFile, source: str) -> np.ndarray:
    """The array that a graph calls for: a matrix in steps; floats where it is `plain` or `whole`."""
    kind, _, name = source.partition(":")
    if kind == "steps":
        return file.matrices[name]
    if kind == "whole":  # a convolution's, which has no integer kernel
        steps, scales = file.matrices[name], file.plain[f"{name}/scales"].astype(np.float32)
        return np.ascontiguousarray((steps * scales).T).reshape(len(scales), -1, 3)
    return file.plain[name].astype(np.float32)
