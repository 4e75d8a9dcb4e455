"""From the torch networks to a checkpoint with ONNX graphs that ONNX Runtime can run without torch."""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto
from torch import nn

from ..checkpoint import Checkpoint, Graph
from ..conditioning import TIMING
from .kmtalk import KMTalk

SHARED_SIZE = 256  # initializers with more elements than this are taken from the checkpoint's weights


def make_checkpoint(model: KMTalk, facts: Mapping[str, Any]) -> Checkpoint:
    """Round the weights to float16 and export encoder, LKMA and CMC; `facts` join the configuration."""
    model = model.float().cpu().eval()
    with torch.no_grad():
        for tensor in model.state_dict().values():
            tensor.copy_(tensor.half().float())
    weights = {name: tensor.numpy().astype(np.float16) for name, tensor in model.state_dict().items()}
    graphs = {name: optimised(_export(model, name), weights) for name in ("encoder", "lkma", "cmc")}
    return Checkpoint({**facts, "dimensions": model.config.to_dict()}, weights, graphs)


def _export(model: KMTalk, name: str) -> Graph:
    c = model.config
    frames, keys = torch.export.Dim("frames", min=2), torch.export.Dim("keys", min=2)
    n, m = 90, 30
    key_of = torch.full((1, n), -1, dtype=torch.long)
    key_of[0, ::3] = torch.arange(m)
    times, key_times = (torch.arange(n) / 30.0)[None], (torch.arange(m) / 10.0)[None]
    module: nn.Module
    arguments: tuple[torch.Tensor | None, ...]
    shapes: tuple[dict[int, torch.export.Dim] | None, ...]
    style = (torch.zeros(1, c.style_dim),) if c.style_dim else ()
    unshaped: tuple[dict[int, torch.export.Dim], ...] = ({},) * len(style)
    named = ["style"] * len(style)
    if name == "encoder":
        module, arguments, shapes = model.encoder, (torch.randn(1, 301, c.mels),), ({1: frames},)
        inputs, outputs = ["mel"], ["audio", "phone_logits", "prosody"]
    elif name == "lkma":
        module = model.lkma
        phones = torch.randint(-1, c.phones, (1, m, 3))
        arguments = (torch.randn(1, m, c.d_model), phones, torch.randn(1, m, TIMING), key_times, None, *style)
        shapes = ({1: keys}, {1: keys}, {1: keys}, {1: keys}, None, *unshaped)
        inputs, outputs = ["audio_at_keys", "phones", "timing", "key_times", *named], ["keys"]
    else:
        module = model.cmc
        poses = torch.randn(1, m, c.motion_dim)
        arguments = (torch.randn(1, n, c.d_model), poses, key_times, times, key_of, None, None, *style)
        shapes = ({1: frames}, {1: keys}, {1: keys}, {1: frames}, {1: frames}, None, None, *unshaped)
        inputs, outputs = ["audio", "keys", "key_times", "times", "key_of", *named], ["motion"]
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            module,
            arguments,
            dynamo=True,
            dynamic_shapes=shapes,
            input_names=inputs,
            output_names=outputs,
            verbose=False,
        )
    assert program is not None
    return _share_weights(program.model_proto, {f"{name}.{key}": t.numpy() for key, t in module.state_dict().items()})


def optimised(graph: Graph, weights: Mapping[str, np.ndarray]) -> Graph:
    """The graph as ONNX Runtime fuses it for any processor, so that nobody's start has to wait for that again."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    with tempfile.TemporaryDirectory(prefix="kmtalk-export-") as folder:
        path = Path(folder) / "optimised.onnx"
        options.optimized_model_filepath = str(path)
        given = graph.initializers(weights)
        values = [onnxruntime.OrtValue.ortvalue_from_numpy(array) for array in given.values()]
        options.add_external_initializers(list(given), values)
        onnxruntime.InferenceSession(graph.model, options, providers=["CPUExecutionProvider"])
        proto = onnx.load(path)
    used = {name: weights[name].astype(np.float32) for name, _ in graph.shared.values()}
    return fed(_share_weights(proto, used))


def fed(graph: Graph) -> Graph:
    """The fused graph with inputs instead of the initializers that are weights, which the runtime would copy."""
    proto = onnx.load_model_from_string(graph.model)
    own = [initializer for initializer in proto.graph.initializer if initializer.name not in graph.shared]
    for initializer in proto.graph.initializer:
        if initializer.name in graph.shared:
            kind = onnx.helper.make_tensor_value_info(initializer.name, TensorProto.FLOAT, list(initializer.dims))
            proto.graph.input.append(kind)
    del proto.graph.initializer[:]
    proto.graph.initializer.extend(own)
    return Graph(proto.SerializeToString(deterministic=True), graph.shared, optimised=True, fed=True)


def _share_weights(proto: onnx.ModelProto, weights: Mapping[str, np.ndarray]) -> Graph:
    """Replace large initializers by references to the weights that they equal, as they are or transposed."""
    origin: dict[tuple[tuple[int, ...], bytes], tuple[str, bool]] = {}
    for name, array in weights.items():
        if array.ndim == 2:
            origin[(array.T.shape, array.T.tobytes())] = (name, True)
        origin[(array.shape, array.tobytes())] = (name, False)
    shared: dict[str, tuple[str, bool]] = {}
    for initializer in proto.graph.initializer:
        array = onnx.numpy_helper.to_array(initializer)
        source = origin.get((array.shape, array.tobytes())) if array.size > SHARED_SIZE else None
        if source is None:
            continue
        shared[initializer.name] = source
        initializer.ClearField("raw_data")
        initializer.data_location = TensorProto.EXTERNAL
        entry = initializer.external_data.add()
        entry.key, entry.value = "location", "weights"
    del proto.metadata_props[:]
    for node in proto.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    for value in (*proto.graph.value_info, *proto.graph.input, *proto.graph.output, *proto.graph.initializer):
        del value.metadata_props[:]
    return Graph(proto.SerializeToString(deterministic=True), shared)
