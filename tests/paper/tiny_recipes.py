"""Tiny recipes that the tests of the paper-scale code share."""

SPEECH = {
    "model_type": "wav2vec2", "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
    "intermediate_size": 32, "conv_dim": [8, 8, 8], "conv_kernel": [20, 16, 8], "conv_stride": [10, 8, 4],
    "num_feat_extract_layers": 3, "num_conv_pos_embeddings": 8, "num_conv_pos_embedding_groups": 2,
    "hidden_dropout": 0.0, "attention_dropout": 0.0, "activation_dropout": 0.0, "feat_proj_dropout": 0.0,
}  # fmt: skip
TABLES = {
    "network": {"d_model": 16, "heads": 2, "dropout": 0.0},
    "speech": {"source": "", "architecture": SPEECH, "trainable": "all"},
    "lip_reading": {
        "recogniser": "", "architecture": {**SPEECH, "vocab_size": 12}, "layers": 1, "heads": 2, "feed_forward": 16,
        "dropout": 0.0,
    },
}  # fmt: skip
RECIPE = """
name = "tiny"
method = "kmtalk"
stages = ["lkma", "cmc"]
[training]
epochs = 3
batch = 2
learning_rate = 1e-3
save_every = 2
validate_every = 2
"""


def toml(value) -> str:
    """A Python value as inline TOML."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k} = {toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return f'"{value}"' if isinstance(value, str) else repr(value)


def write_recipe(path, recipe=RECIPE, **tables):
    text = recipe
    for name, table in {**TABLES, **tables}.items():
        if table is None:
            continue
        text += f"\n[{name}]\n" + "".join(f"{k} = {toml(v)}\n" for k, v in table.items())
    path.write_text(text)
    return path
