"""From the trained networks to the file that ships: weights rounded to float16, one ONNX graph for each picture."""

from __future__ import annotations

import io
import json
import logging
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from kmtalk_core.files import save_sealed
from kmtalk_core.landmarks.crops import CROPS
from kmtalk_core.landmarks.sight import FORMAT
from kmtalk_core.landmarks.views import CHANNELS

SMALL = 64  # elements: what is larger is stored as float16


def pack(networks: Mapping[str, nn.Module], facts: Mapping[str, Any], path: Path) -> str:
    """Write the finder's file; returns its checksum."""
    graphs = {f"graphs/{c.name}": np.frombuffer(_graph(networks[c.name], c.size), np.uint8) for c in CROPS}
    config = np.array(json.dumps({**facts, "format": FORMAT}, sort_keys=True))
    return save_sealed({**graphs, "config": config}, path)


def _graph(network: nn.Module, size: int) -> bytes:
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    example = torch.zeros(2, CHANNELS, size, size)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            network.eval(), (example,), dynamo=True, dynamic_shapes=({0: torch.export.Dim("n", min=1)},),
            input_names=["pictures"], output_names=["placed", "other"], verbose=False,
        )  # fmt: skip
    assert program is not None
    buffer = io.BytesIO()
    onnx.save(_halved(program.model_proto), buffer)
    return buffer.getvalue()


def _halved(model: onnx.ModelProto) -> onnx.ModelProto:
    """Large weights as float16, which a cast makes float32 when the graph is loaded."""
    for place, tensor in enumerate(model.graph.initializer):
        array = numpy_helper.to_array(tensor)
        if tensor.data_type != TensorProto.FLOAT or array.size <= SMALL:
            continue
        name = tensor.name
        model.graph.initializer[place].CopyFrom(numpy_helper.from_array(array.astype(np.float16), f"{name}.half"))
        model.graph.node.insert(0, helper.make_node("Cast", [f"{name}.half"], [name], to=TensorProto.FLOAT))
    del model.graph.value_info[:]
    del model.metadata_props[:]
    for node in model.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    return model
