"""Whisper's encoder and decoder as ONNX graphs, written node by node, with integer products where there are matrices.

The encoder gives the decoder's keys and values of what was heard at once, so that they are computed once a passage. The
decoder takes the keys and values of what was said, which its caller keeps, and gives those of the new tokens.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

BANDS = 80
OPSET, IR_VERSION = 17, 8  # the oldest that have all that is needed
_MICROSOFT = "com.microsoft"  # ONNX Runtime's own operators
SMALL = 64  # elements up to which a constant stays in the graph


@dataclass(frozen=True)
class Shape:
    """Of a model: `width` of its layers, how many there are in encoder and decoder each, and their `heads`."""

    width: int
    layers: int
    heads: int

    @property
    def depth(self) -> int:
        return self.width // self.heads


@dataclass
class GraphWriter:
    """Collects nodes, and what large initializers they need: name in the graph → "kind:weight" (see `network`)."""

    shape: Shape
    shared: dict[str, str] = field(default_factory=dict)
    _nodes: list[onnx.NodeProto] = field(default_factory=list)
    _constants: dict[str, np.ndarray] = field(default_factory=dict)
    _kinds: dict[str, int] = field(default_factory=dict)

    def op(self, kind: str, *inputs: str, domain: str = "", out: str = "", **attributes: Any) -> str:
        """Add a node; → the name of its output."""
        out = out or f"{kind.lower()}{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, list(inputs), [out], domain=domain, **attributes))
        return out

    def constant(self, name: str, value: Any) -> str:
        """A small constant, which stays in the graph."""
        self._constants[name] = np.asarray(value)
        return name

    def weight(self, kind: str, name: str) -> str:
        """A weight from the file: `steps` (int8), `plain` or `whole` (float32)."""
        key = f"{kind}/{name}"
        self.shared[key] = f"{kind}:{name}"
        self._kinds[key] = TensorProto.INT8 if kind == "steps" else TensorProto.FLOAT
        return key

    def linear(self, x: str, name: str, bias: bool = True) -> str:
        """x W + b with x rounded to eight bits as a whole, W's steps and a scale for each column."""
        inputs = [x, self.weight("steps", name), self.weight("plain", f"{name}/scales")]
        inputs += ["", self.weight("plain", f"{name}/bias")] if bias else []
        return self.op("DynamicQuantizeMatMul", *inputs, domain=_MICROSOFT)

    def norm(self, x: str, name: str) -> str:
        gamma, beta = self.weight("plain", f"{name}/gamma"), self.weight("plain", f"{name}/beta")
        return self.op("LayerNormalization", x, gamma, beta, axis=-1, epsilon=1e-5)

    def gelu(self, x: str) -> str:
        return self.op("Gelu", x, domain=_MICROSOFT)

    def in_heads(self, x: str, order: tuple[int, ...]) -> str:
        """(b, t, width) → its heads (b, t, heads, depth), axes in this order."""
        shape = self.constant("in_heads", np.array([0, 0, self.shape.heads, self.shape.depth], np.int64))
        return self.op("Transpose", self.op("Reshape", x, shape), perm=list(order))

    def together(self, x: str) -> str:
        """(b, heads, t, depth) → (b, t, width)."""
        shape = self.constant("together", np.array([0, 0, self.shape.width], np.int64))
        return self.op("Reshape", self.op("Transpose", x, perm=[0, 2, 1, 3]), shape)

    def forward(self, x: str, layer: str) -> str:
        """The two-layer network at the end of each layer, with its residual."""
        y = self.linear(self.norm(x, f"{layer}/ffn/layer_norm"), f"{layer}/ffn/linear_0")
        return self.op("Add", x, self.linear(self.gelu(y), f"{layer}/ffn/linear_1"))

    def model(self, name: str, inputs: list[onnx.ValueInfoProto], outputs: list[str]) -> bytes:
        """The graph without its large initializers."""
        initializers = [numpy_helper.from_array(value, key) for key, value in self._constants.items()]
        for key in self.shared:
            tensor = TensorProto(name=key, data_type=self._kinds[key], data_location=TensorProto.EXTERNAL)
            tensor.dims.extend(self.dims[key])
            entry = tensor.external_data.add()
            entry.key, entry.value = "location", "weights"
            initializers.append(tensor)
        given = [helper.make_tensor_value_info(key, TensorProto.FLOAT, None) for key in outputs]
        graph = helper.make_graph(self._nodes, name, inputs, given, initializers)
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(_MICROSOFT, 1)]
        proto = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
        return proto.SerializeToString(deterministic=True)

    dims: dict[str, tuple[int, ...]] = field(default_factory=dict)


def write_encoder(writer: GraphWriter) -> bytes:
    """mel (1, 80, 2 n), positions (n, width) → for each decoder layer keys (1, heads, d, n) and values (…, n, d)."""
    shape = writer.shape
    x = "mel"
    for number, kind, stride in ((1, "plain", 1), (2, "whole", 2)):
        name = f"encoder/conv{number}"
        x = writer.op(
            "Conv", x, writer.weight(kind, name), writer.weight("plain", f"{name}/bias"),
            kernel_shape=[3], pads=[1, 1], strides=[stride],
        )  # fmt: skip
        x = writer.gelu(x)
    x = writer.op("Add", writer.op("Transpose", x, perm=[0, 2, 1]), "positions")
    for number in range(shape.layers):
        layer = f"encoder/layer_{number}"
        y = writer.norm(x, f"{layer}/self_attention/layer_norm")
        attended = writer.op(
            "MultiHeadAttention",
            *(writer.linear(y, f"{layer}/self_attention/{name}") for name in ("query", "key", "value")),
            domain=_MICROSOFT,
            num_heads=shape.heads,
        )
        x = writer.op("Add", x, writer.linear(attended, f"{layer}/self_attention/out"))
        x = writer.forward(x, layer)
    x = writer.norm(x, "encoder/layer_norm")
    outputs = []
    for number in range(shape.layers):
        for name, order in (("key", (0, 2, 3, 1)), ("value", (0, 2, 1, 3))):
            projected = writer.linear(x, f"decoder/layer_{number}/attention/{name}")
            outputs.append(writer.op("Identity", writer.in_heads(projected, order), out=f"{name}s{number}"))
    inputs = [_input("mel", 1, BANDS, "frames"), _input("positions", "n", shape.width)]
    return writer.model("encoder", inputs, outputs)


def write_decoder(writer: GraphWriter) -> bytes:
    """x (b, t, width): embedded tokens; `mask` (t, room + t) over what was said and x itself; keys and values of what
    was said (b, heads, …, room) and heard (b, heads, …, n); `hidden_frames` (b, 1, 1, n) → logits (b, t, tokens), and
    for each layer keys and values of x."""
    shape = writer.shape
    heads, depth = shape.heads, shape.depth
    room = writer.op("Shape", "past_values0", start=2, end=3)
    inputs = [_input("x", "b", "t", shape.width), _input("mask", "t", "s"), _input("hidden_frames", "b", 1, 1, "n")]
    outputs = ["logits"]
    x = "x"
    for number in range(shape.layers):
        layer = f"decoder/layer_{number}"
        past_keys, past_values = f"past_keys{number}", f"past_values{number}"
        y = writer.norm(x, f"{layer}/self_attention/layer_norm")
        query, key, value = (writer.linear(y, f"{layer}/self_attention/{name}") for name in ("query", "key", "value"))
        query = writer.in_heads(query, (0, 2, 1, 3))
        new_keys = writer.op("Identity", writer.in_heads(key, (0, 2, 3, 1)), out=f"new_keys{number}")
        new_values = writer.op("Identity", writer.in_heads(value, (0, 2, 1, 3)), out=f"new_values{number}")
        scores = writer.op(
            "Concat", writer.op("MatMul", query, past_keys), writer.op("MatMul", query, new_keys), axis=-1
        )
        shares = writer.op("Softmax", writer.op("Add", scores, "mask"), axis=-1)
        zero, last = writer.constant("zero", np.array([0], np.int64)), writer.constant("last", np.array([-1], np.int64))
        end = writer.constant("end", np.array([2**31], np.int64))
        of_past, of_new = writer.op("Slice", shares, zero, room, last), writer.op("Slice", shares, room, end, last)
        attended = writer.op("Add", writer.op("MatMul", of_past, past_values), writer.op("MatMul", of_new, new_values))
        x = writer.op("Add", x, writer.linear(writer.together(attended), f"{layer}/self_attention/out"))
        y = writer.linear(writer.norm(x, f"{layer}/attention/layer_norm"), f"{layer}/attention/query")
        scores = writer.op("MatMul", writer.in_heads(y, (0, 2, 1, 3)), f"keys{number}")
        shares = writer.op("Softmax", writer.op("Add", scores, "hidden_frames"), axis=-1)
        attended = writer.together(writer.op("MatMul", shares, f"values{number}"))
        x = writer.op("Add", x, writer.linear(attended, f"{layer}/attention/out"))
        x = writer.forward(x, layer)
        inputs += [
            _input(past_keys, "b", heads, depth, "room"),
            _input(past_values, "b", heads, "room", depth),
            _input(f"keys{number}", "b", heads, depth, "n"),
            _input(f"values{number}", "b", heads, "n", depth),
        ]
        outputs += [new_keys, new_values]
    logits = writer.linear(writer.norm(x, "decoder/layer_norm"), "embeddings", bias=False)
    writer.op("Identity", logits, out="logits")
    return writer.model("decoder", inputs, outputs)


def _input(name: str, *shape: str | int) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape))
