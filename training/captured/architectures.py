"""Networks of published sizes without their weights, which need a download: for rehearsals and figures of speed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kmtalk_core.errors import InputError
from kmtalk_core.networks.lip_reader import LipReadingConfig
from kmtalk_core.networks.peers.ottalk import HubertConfig
from kmtalk_core.networks.speech import SpeechConfig

_BASE: dict[str, Any] = {"model_type": "wav2vec2", "vocab_size": 32}  # transformers' defaults are wav2vec 2.0 base
_LARGE: dict[str, Any] = {
    "model_type": "wav2vec2", "hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16,
    "intermediate_size": 4096, "feat_extract_norm": "layer", "conv_bias": True, "do_stable_layer_norm": True,
    "vocab_size": 33,
}  # fmt: skip
ARCHITECTURES: Mapping[str, Mapping[str, Any]] = {
    "facebook/wav2vec2-base-960h": _BASE,
    "jonatasgrosman/wav2vec2-large-xlsr-53-english": _LARGE,
    "facebook/hubert-base-ls960": {"model_type": "hubert"},
}


def unfetched(method: str, tables: Mapping[str, Any]) -> dict[str, Any]:
    """The tables of a configuration with random encoders in place of those that would be fetched: the same sizes, the
    same arithmetic. Sources that are folders stay. Raises InputError for one whose architecture is not known here."""
    out = {name: dict(table) if isinstance(table, Mapping) else table for name, table in tables.items()}
    speech: SpeechConfig = HubertConfig() if method == "ottalk" else SpeechConfig()
    if method != "meshtalk":  # it listens by networks of its own
        out["speech"] = _random(out.get("speech", {}), "source", speech.source)
    if "lip_reading" in out:
        out["lip_reading"] = _random(out["lip_reading"], "recogniser", LipReadingConfig().recogniser)
    return out


def _random(table: Mapping[str, Any], key: str, usual: str) -> dict[str, Any]:
    source = str(table.get(key, usual))
    if not source or Path(source).is_dir():
        return dict(table)
    if source not in ARCHITECTURES:
        raise InputError(
            f"The architecture of {source} is not known without a download; name a folder with its config.json and"
            f" weights, or one of {', '.join(ARCHITECTURES)}."
        )
    return {**table, key: "", "architecture": dict(ARCHITECTURES[source])}
