"""Checkpoints of the published codes as this project's: FaceFormer, CodeTalker (both stages) and SelfTalk.

The layers are renamed, sizes are read from their shapes; what shapes cannot tell (heads, frame rates, periods, the
order of the speakers) is the published configuration's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kmtalk_core.errors import InputError
from kmtalk_core.networks.method import Geometry, Method, make_method
from training.prepare.layouts import BIWI_SEEN

KINDS = ("faceformer", "codetalker", "selftalk")
INTERPOLATIONS = ("stretched", "before")
VOCASET_ORDER = tuple(
    f"FaceTalk_{s}_TA"
    for s in (
        "170728_03272", "170904_00128", "170725_00137", "170915_00223", "170811_03274", "170913_03279", "170904_03276",
        "170912_03278",
    )
)  # fmt: skip


@dataclass(frozen=True)
class Published:
    """What the published configurations of a data set say: frames a second, period of the positions, the training
    subjects in the order of the style's columns, how features come to the frames."""

    fps: float
    period: int
    subjects: tuple[str, ...]
    interpolate: str


DATA = {
    "vocaset": Published(30.0, 30, VOCASET_ORDER, "stretched"),
    "biwi": Published(25.0, 25, BIWI_SEEN, "none"),
}
DROPPED = re.compile(r"PPE\.pe|(en|de)coder\.\w+_pos_embedding\.pe|audio_encoder\.masked_spec_embed")
TRAINING_ONLY = re.compile(r"(text_encoder|lip_map|transformer|lm_head)\.")
SPEECH = (
    (r"audio_encoder\.(.*)\.weight_g", r"speech.backbone.\1.parametrizations.weight.original0"),
    (r"audio_encoder\.(.*)\.weight_v", r"speech.backbone.\1.parametrizations.weight.original1"),
    (r"audio_encoder\.(.*)", r"speech.backbone.\1"),
    (r"audio_feature_map\.(.*)", r"audio.\1"),
)
DECODER = (*SPEECH, (r"vertice_map\.(.*)", r"past.\1"), (r"transformer_decoder\.(.*)", r"decoder.layers.\1"))
HALF = (
    (r"(en|de)coder\.(?:squasher|expander)\.0\.0\.(.*)", r"autoencoder.\1coder.convolution.0.\2"),
    (r"(en|de)coder\.\w+_linear_embedding\.net\.(.*)", r"autoencoder.\1coder.embedding.\2"),
)
RENAMED: Mapping[str, tuple[tuple[str, str], ...]] = {
    "faceformer": (*DECODER, (r"obj_vector\.(.*)", r"style.\1"), (r"vertice_map_r\.(.*)", r"out.\1")),
    "selftalk": (*SPEECH, (r"transformer_decoder\.(.*)", r"decoder.\1"), (r"vertice_map_r\.(.*)", r"out.\1")),
    "codetalker": (
        *DECODER,
        (r"learnable_style_emb\.(.*)", r"style.\1"),
        (r"feat_map\.(.*)", r"to_code.\1"),
        *HALF,
        (r"encoder\.vertice_mapping\.(.*)", r"autoencoder.motion.\1"),
        (r"encoder\.encoder_linear_embedding_post\.net\.(.*)", r"autoencoder.to_codes.\1"),
        (r"decoder\.decoder_linear_embedding_pre\.net\.(.*)", r"autoencoder.from_codes.\1"),
        (r"decoder\.vertice_map_reverse\.(.*)", r"autoencoder.out.\1"),
        (r"quantize\.embedding\.(.*)", r"autoencoder.quantizer.codebook.\1"),
    ),
}
BLOCK = re.compile(r"(en|de)coder\.\w+_transformer\.net\.(\d+)\.fn\.(?:(norm)|fn\.(to_qkv|to_out|l1|l2))\.(.*)")
PARTS = {
    "to_qkv": "query_key_value", "to_out": "attended", "l1": "feed_forward.0", "l2": "feed_forward.2",
}  # fmt: skip
NORMS = ("attention_norm", "feed_forward_norm")


def our_name(kind: str, name: str) -> str | None:
    """Where a layer of the published `kind` is here; None for what is computed, or needed in training only.

    Raises InputError for a name that the published code does not have.
    """
    if DROPPED.fullmatch(name) or (kind == "selftalk" and TRAINING_ONLY.match(name)):
        return None
    if kind == "codetalker" and (found := BLOCK.fullmatch(name)):
        half, block, norm, part, rest = found.groups()
        layer, second = divmod(int(block), 2)
        return f"autoencoder.{half}coder.layers.{layer}.{NORMS[second] if norm else PARTS[part]}.{rest}"
    for pattern, ours in RENAMED[kind]:
        if re.fullmatch(pattern, name):
            return re.sub(pattern, ours, name)
    raise InputError(f"The published {kind} has no layer {name}; name a checkpoint of its official code.")


def read_state(path: Path) -> dict[str, Tensor]:
    """The weights of a .pth or .pth.tar by name, read as plain tensors: nothing in the file can run."""
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise InputError(f"There is no checkpoint {path}.") from None
    except Exception as error:
        said = str(error).strip().partition("\n")[0][:120]
        raise InputError(f"{path} cannot be read as weights ({said}); get it again.") from None
    state = found.get("state_dict", found) if isinstance(found, Mapping) else None
    if not isinstance(state, Mapping) or not all(isinstance(v, Tensor) for v in state.values()) or not state:
        raise InputError(f"{path} holds no weights by name; name a checkpoint of the official code.")
    return {str(k).removeprefix("module."): v.float() if v.is_floating_point() else v for k, v in state.items()}


def converted(
    kind: str, state: Mapping[str, Tensor], data: str, interpolate: str = "", geometry: Geometry | None = None
) -> Method:
    """The method with the weights `state` of the published code (CodeTalker: of both stages together).

    `data`: vocaset or biwi; `interpolate`: stretched (as published) or before, for vocaset; `geometry` gives lists of
    vertices, faces and template, where they are known. Raises InputError where the weights do not fit.
    """
    about = DATA[data]
    ours = {name: value for key, value in state.items() if (name := our_name(kind, key)) is not None}
    try:
        size = len(ours["autoencoder.out.weight" if kind == "codetalker" else "out.weight"])
        tables = _tables(kind, ours, about, interpolate)
    except KeyError as missing:
        remedy = "; CodeTalker needs the files of both its stages" if kind == "codetalker" else ""
        raise InputError(f"These weights lack {missing.args[0]} of {kind}{remedy}.") from None
    order = np.argsort(about.subjects)  # data sets here have their subjects in the order of names
    subjects = tuple(about.subjects[i] for i in order)
    if "style.weight" in ours:
        style = ours["style.weight"].T if kind == "codetalker" else ours["style.weight"]  # an embedding there
        if style.shape[1] != len(order):
            raise InputError(f"These weights know {style.shape[1]} speakers, {data} has {len(order)} to train with.")
        ours["style.weight"] = style[:, order].contiguous()
    none = np.zeros(0, np.int64)
    geometry = geometry or Geometry(size // 3, about.fps, none, none, subjects, 1.0)
    if (3 * geometry.vertices, geometry.fps, geometry.subjects) != (size, about.fps, subjects):
        raise InputError(f"The data set is another one than {data}, which these weights were trained on.")
    method = make_method(kind, tables, replace(geometry, unit=1.0))
    wanted = {k: tuple(v.shape) for k, v in method.state_dict().items()}
    for name, shape in wanted.items():
        if name not in ours or tuple(ours[name].shape) != shape:
            found = tuple(ours[name].shape) if name in ours else "missing"
            raise InputError(f"The layer {name} of these weights is {found}, expected is {shape}.")
    method.load_state_dict({name: ours[name] for name in wanted})
    return method.eval()


def _tables(kind: str, ours: Mapping[str, Tensor], about: Published, interpolate: str) -> dict[str, Any]:
    """The configuration that layers of these shapes have."""
    if interpolate and about.interpolate == "none":
        raise InputError("On BIWI nothing is interpolated; leave out --interpolate.")
    architecture = speech_architecture({k.removeprefix("speech.backbone."): v for k, v in ours.items()})
    speech = {"source": "", "architecture": architecture, "interpolate": interpolate or about.interpolate}
    d_model = len(ours["audio.weight"])
    network: dict[str, Any] = {"d_model": d_model, "heads": 4, "unit": "data"}
    if kind == "selftalk":
        return {"network": network | {"layers": _count(ours, "decoder.layers.")}, "speech": speech}
    network |= {"layers": _count(ours, "decoder.layers.layers."), "period": about.period}
    if kind == "faceformer":
        return {"network": network, "speech": speech}
    codes, code_dim = ours["autoencoder.quantizer.codebook.weight"].shape
    codebook = {
        "hidden": len(ours["autoencoder.motion.0.weight"]),
        "layers": _count(ours, "autoencoder.encoder.layers."),
        "heads": 8,
        "feed_forward": len(ours["autoencoder.encoder.layers.0.feed_forward.0.weight"]),
        "codes": codes,
        "code_dim": code_dim,
        "faces": len(ours["to_code.weight"]) // code_dim,
        "projected": "autoencoder.to_codes.weight" in ours,
        "kernel": ours["autoencoder.encoder.convolution.0.weight"].shape[2],
    }
    return {"network": network, "codebook": codebook, "speech": speech}


def _count(names: Mapping[str, Tensor], prefix: str) -> int:
    return 1 + max((int(n.removeprefix(prefix).partition(".")[0]) for n in names if n.startswith(prefix)), default=-1)


def speech_architecture(layers: Mapping[str, Tensor]) -> dict[str, Any]:
    """The configuration of a wav2vec 2.0 whose layers have these shapes: base, or large as xlsr-53 is built."""
    convolutions = [
        layers[f"feature_extractor.conv_layers.{n}.conv.weight"]
        for n in range(_count(layers, "feature_extractor.conv_layers."))
    ]
    if len(convolutions) != 7:
        raise KeyError("audio_encoder.feature_extractor")
    width = len(layers["encoder.layer_norm.weight"])
    every_norm = "feature_extractor.conv_layers.1.layer_norm.weight" in layers
    positions = layers["encoder.pos_conv_embed.conv.parametrizations.weight.original1"].shape
    return {
        "model_type": "wav2vec2",
        "hidden_size": width,
        "num_hidden_layers": _count(layers, "encoder.layers."),
        "num_attention_heads": max(width // 64, 1),
        "intermediate_size": len(layers["encoder.layers.0.feed_forward.intermediate_dense.weight"]),
        "conv_dim": [len(c) for c in convolutions],
        "conv_kernel": [c.shape[2] for c in convolutions],
        "conv_stride": [5, 2, 2, 2, 2, 2, 2],
        "num_feat_extract_layers": 7,
        "conv_bias": "feature_extractor.conv_layers.0.conv.bias" in layers,
        "feat_extract_norm": "layer" if every_norm else "group",
        "do_stable_layer_norm": every_norm,
        "num_conv_pos_embeddings": positions[2],
        "num_conv_pos_embedding_groups": positions[0] // positions[1],
    }
