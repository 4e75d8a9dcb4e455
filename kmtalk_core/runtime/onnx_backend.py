"""The networks through ONNX Runtime: what ships and runs anywhere, without torch."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnxruntime

from ..checkpoint import Checkpoint, Graph


class OnnxBackend:
    """Runs encoder, LKMA and CMC of a checkpoint on numpy arrays without a batch dimension."""

    name = "onnx"

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._encoder = _Network(checkpoint.graphs["encoder"], checkpoint)
        self._lkma = _Network(checkpoint.graphs["lkma"], checkpoint)
        self._cmc = _Network(checkpoint.graphs["cmc"], checkpoint)
        self._neutral = checkpoint.style()

    def encode(self, mel: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(n, mels) log-mel at 100 Hz → A (⌈n/2⌉, d), phone logits (⌈n/2⌉, phones), prosody (⌈n/2⌉, 2)."""
        audio, logits, prosody = self._encoder.run({"mel": mel[None]})
        return audio[0], logits[0], prosody[0]

    def key_motions(
        self,
        audio_at_keys: np.ndarray,
        phones: np.ndarray,
        timing: np.ndarray,
        key_times: np.ndarray,
        style: np.ndarray | None = None,
    ) -> np.ndarray:
        """A_k (m, d), phones (m, 3) int64, timing (m, 4), times (m,) s, style (S,) or the neutral one → K (m, C)."""
        feed = self._styled(style) | {
            "audio_at_keys": audio_at_keys[None].astype(np.float32),
            "phones": phones[None].astype(np.int64),
            "timing": timing[None].astype(np.float32),
            "key_times": key_times[None].astype(np.float32),
        }
        return self._lkma.run(feed)[0][0]

    def complete(
        self,
        audio: np.ndarray,
        keys: np.ndarray,
        key_times: np.ndarray,
        times: np.ndarray,
        key_of: np.ndarray,
        style: np.ndarray | None = None,
    ) -> np.ndarray:
        """A (N, d) at `times` (N,) s, K (m, C) at `key_times` (m,) s, `key_of` (N,) int (-1: none) → Y (N, C)."""
        feed = self._styled(style) | {
            "audio": audio[None].astype(np.float32),
            "keys": keys[None].astype(np.float32),
            "key_times": key_times[None].astype(np.float32),
            "times": times[None].astype(np.float32),
            "key_of": key_of[None].astype(np.int64),
        }
        return self._cmc.run(feed)[0][0]

    def _styled(self, style: np.ndarray | None) -> dict[str, np.ndarray]:
        if self._neutral is None:
            return {}
        return {"style": np.asarray(self._neutral if style is None else style, np.float32)[None]}


class _Network:
    """One graph with its weights; those that are inputs of it are given in each run, as they are, without a copy."""

    def __init__(self, graph: Graph, checkpoint: Checkpoint) -> None:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        # Threads would spin more than they work on speech, and those of workers side by side would be in each other's
        # way.
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.enable_cpu_mem_arena = False  # it would keep what the longest piece needed, and saves no time
        options.add_session_config_entry("session.disable_prepacking", "1")  # takes longer than it saves in a minute
        if graph.optimised:
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        given = graph.initializers(checkpoint.weights)
        self._weights = given if graph.fed else {}
        if not graph.fed:
            values = [onnxruntime.OrtValue.ortvalue_from_numpy(array) for array in given.values()]
            options.add_external_initializers(list(given), values)
        self._session = onnxruntime.InferenceSession(graph.model, options, providers=["CPUExecutionProvider"])

    def run(self, feed: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        """The outputs for these inputs."""
        return self._session.run(None, {**feed, **self._weights})
