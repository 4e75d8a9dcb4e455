"""Published weights → the file that ships: matrices in coarse steps, graphs, vocabulary."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from kmtalk_core.hearing.archive import LARGEST_STEP, RecogniserFile

from .graphs import GraphWriter, Shape, write_decoder, write_encoder
from .source import Source

# Steps within one standard deviation of an output's weights: with 6.5 there are no more wrong words than in half
# precision (docs/hearing.md); embeddings, which are a third of all weights, need less.
STEPS, EMBEDDING_STEPS = 6.5, 5.0
# Languages that are written without spaces, by Whisper's codes.
SPACELESS = ("zh", "ja", "th", "lo", "my", "yue")
_SPECIAL = ("<|startoftranscript|>", "<|endoftext|>", "<|nospeech|>", "<|transcribe|>", "<|notimestamps|>")


def make_recogniser(source: Source) -> RecogniserFile:
    """The file's contents; its checksum comes with saving."""
    named = renamed(source.weights)
    matrices, plain = {}, {}
    for name, weight in named.items():
        if (weight.ndim == 2 and name != "positions") or name == "encoder/conv2":
            flat = weight.reshape(len(weight), -1)
            matrices[name], plain[f"{name}/scales"] = in_steps(flat, EMBEDDING_STEPS if name == "embeddings" else STEPS)
        else:
            plain[name] = weight.astype(np.float16)
    shape = shape_of(named)
    writers = {"encoder": GraphWriter(shape), "decoder": GraphWriter(shape)}
    for writer in writers.values():
        writer.dims.update(dimensions(matrices, plain))
    graphs = {"encoder": write_encoder(writers["encoder"]), "decoder": write_decoder(writers["decoder"])}
    config = {
        "name": source.name,
        "dimensions": {"width": shape.width, "layers": shape.layers, "heads": shape.heads},
        "shared": {name: writer.shared for name, writer in writers.items()},
        "spaceless": list(SPACELESS),
        **token_facts(source),
    }
    return RecogniserFile(config, matrices, plain, graphs, text_tokens(source.vocabulary))


def renamed(weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The weights by the names that the graphs have, joint projections taken apart, keys already divided."""
    width = len(weights["encoder/conv1/bias"])
    heads = width // 64
    out: dict[str, np.ndarray] = {
        "embeddings": weights["decoder/embeddings/weight"],
        "positions": weights["decoder/position_encodings/encodings"],
    }

    def linear(name: str, given: str, part: slice = slice(None), factor: float = 1.0) -> None:
        out[name] = weights[f"{given}/weight"][part] * np.float32(factor)
        out[f"{name}/bias"] = weights[f"{given}/bias"][part] * np.float32(factor)

    for number in (1, 2):
        linear(f"encoder/conv{number}", f"encoder/conv{number}")
    first, second, third = (slice(n * width, (n + 1) * width) for n in range(3))
    divided = (width / heads) ** -0.5
    for side in ("encoder", "decoder"):
        for number in range(layers_of(weights)):
            layer = f"{side}/layer_{number}"
            own = f"{layer}/self_attention"
            # ONNX Runtime's attention, which the encoder uses, divides by itself.
            linear(f"{own}/query", f"{own}/linear_0", first)
            linear(f"{own}/key", f"{own}/linear_0", second, divided if side == "decoder" else 1.0)
            linear(f"{own}/value", f"{own}/linear_0", third)
            linear(f"{own}/out", f"{own}/linear_1")
            for name in ("linear_0", "linear_1"):
                linear(f"{layer}/ffn/{name}", f"{layer}/ffn/{name}")
            norms = [f"{own}/layer_norm", f"{layer}/ffn/layer_norm"]
            if side == "decoder":
                heard = f"{layer}/attention"
                linear(f"{heard}/query", f"{heard}/linear_0")
                linear(f"{heard}/key", f"{heard}/linear_1", first, divided)
                linear(f"{heard}/value", f"{heard}/linear_1", second)
                linear(f"{heard}/out", f"{heard}/linear_2")
                norms.append(f"{heard}/layer_norm")
            for norm in norms:
                out |= {f"{norm}/{part}": weights[f"{norm}/{part}"] for part in ("gamma", "beta")}
        out |= {f"{side}/layer_norm/{part}": weights[f"{side}/layer_norm/{part}"] for part in ("gamma", "beta")}
    return out


def layers_of(weights: Mapping[str, np.ndarray]) -> int:
    """How many layers encoder and decoder have, each."""
    return sum(name.startswith("encoder/layer_") and name.endswith("/ffn/linear_0/bias") for name in weights)


def shape_of(named: Mapping[str, np.ndarray]) -> Shape:
    width = named["embeddings"].shape[1]
    layers = sum(name.startswith("encoder/") and name.endswith("ffn/linear_0") for name in named)
    return Shape(width, layers, width // 64)


def in_steps(matrix: np.ndarray, steps: float) -> tuple[np.ndarray, np.ndarray]:
    """(outputs, inputs) float32 → (inputs, outputs) int8 within ±LARGEST_STEP, and a scale for each output, float16."""
    scales = np.maximum(matrix.std(1) / steps, np.abs(matrix).max(1) / LARGEST_STEP)
    scales = np.maximum(scales, 1e-6).astype(np.float16)
    rounded = np.rint(matrix / scales.astype(np.float32)[:, None]).T
    return np.ascontiguousarray(np.clip(rounded, -LARGEST_STEP, LARGEST_STEP).astype(np.int8)), scales


def dimensions(matrices: Mapping[str, np.ndarray], plain: Mapping[str, np.ndarray]) -> dict[str, tuple[int, ...]]:
    """The shape of each large initializer by its name in a graph."""
    found: dict[str, tuple[int, ...]] = {f"plain/{name}": array.shape for name, array in plain.items()}
    found |= {f"steps/{name}": array.shape for name, array in matrices.items()}
    found |= {f"whole/{name}": (array.shape[1], len(array) // 3, 3) for name, array in matrices.items()}
    return found


def token_facts(source: Source) -> dict[str, object]:
    """Languages and special tokens, by their numbers."""
    number = {token: index for index, token in enumerate(source.vocabulary)}
    begin, end, _, transcribe, no_times = (number.get(name, -1) for name in _SPECIAL)
    suppressed = sorted({*source.config["suppress_ids"], *range(end + 1, len(source.vocabulary))})
    languages = list(source.config["lang_ids"])
    return {
        "languages": [source.vocabulary[index].strip("<|>") for index in languages],
        "tokens": {
            "begin": begin,
            "end": end,
            "no_speech": no_times - 1,  # its name differs between packages
            "prompt": [transcribe, no_times],
            "languages": languages,
            "suppressed": [index for index in suppressed if index >= 0],
            "not_first": list(source.config["suppress_ids_begin"]),
        },
    }


def text_tokens(vocabulary: list[str]) -> tuple[bytes, ...]:
    """The bytes of each token that is text: byte-level BPE writes each byte as a letter."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    letters = {chr(byte): byte for byte in printable} | {chr(256 + n): byte for n, byte in enumerate(others)}
    end = vocabulary.index("<|endoftext|>")
    return tuple(bytes(letters[letter] for letter in token) for token in vocabulary[:end])
