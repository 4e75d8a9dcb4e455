"""VOCA's networks against numbers recorded from the official modules (TensorFlow 2.15 in version 1's ways) on weights
that are made from their official names."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from official import noise
from tiny_recipes import SPEECH

from kmtalk_core.networks.method import Geometry, make_method
from kmtalk_core.networks.sequence_losses import reconstruction, velocity
from training.captured.config import read_recipe

RECORDED = json.loads((Path(__file__).parent / "official_voca.json").read_text())
CONFIGS = Path(__file__).parents[2] / "training" / "configs"
WINDOWS, FRAMES, FEATURES, SPEAKERS, VERTICES, BASIS = 6, 16, 29, 8, 12, 50
OURS = {
    "SpeechEncoder/batch_norm/beta": "encoder.norm.bias",
    "SpeechEncoder/batch_norm/gamma": "encoder.norm.weight",
    "SpeechEncoder/batch_norm/moving_mean": "encoder.norm.running_mean",
    "SpeechEncoder/batch_norm/moving_variance": "encoder.norm.running_var",
    "SpeechEncoder/fc1/": "encoder.hidden.",
    "SpeechEncoder/fc2/": "encoder.coefficients.",
    "ExpressionLayer/expression_offset/": "out.",
    **{f"SpeechEncoder/conv{n + 1}/": f"encoder.convolutions.{n}." for n in range(4)},
}


def our_name(official):
    start = next(start for start in OURS if official.startswith(start))
    return OURS[start] + {"weights": "weight", "biases": "bias"}.get(official.removeprefix(start), "")


def official_weights(name, shape):
    """What was copied into the official modules: uniform, of unit gain; gains and variances around 1."""
    values = noise(f"VOCA/{name}", int(np.prod(shape)))
    if name.endswith(("moving_variance", "gamma")):
        values = 1 + (0.5 if name.endswith("variance") else 0.2) * values
    else:
        values = values * (np.sqrt(3 / np.prod(shape[:-1])) if len(shape) > 1 else 0.2)
    return values.reshape(shape).astype(np.float32)


def as_ours(values):
    """TensorFlow's (rows, columns) → torch's (columns, rows); its convolutions have a second axis of one."""
    if values.ndim == 4:
        return values[:, 0].transpose(2, 1, 0)
    return values.T if values.ndim == 2 else values


@pytest.fixture
def method():
    subjects = tuple("abcdefgh")
    geometry = Geometry(VERTICES, 60.0, np.arange(3), np.arange(5, 8), subjects, 1.0)
    tables = dict(read_recipe(CONFIGS / "voca_vocaset.toml").tables)
    tables["speech"] = {**tables["speech"], "source": "", "architecture": SPEECH}
    made = make_method("voca", tables, geometry)
    state = made.state_dict()
    with torch.no_grad():
        for name, shape in RECORDED["layers"].items():
            state[our_name(name)].copy_(torch.from_numpy(np.ascontiguousarray(as_ours(official_weights(name, shape)))))
    return made


@pytest.fixture
def given():
    windows = noise("windows", WINDOWS * FRAMES * FEATURES).reshape(WINDOWS, FRAMES, FEATURES)
    speakers = torch.eye(SPEAKERS)[torch.arange(WINDOWS) % SPEAKERS]
    return torch.from_numpy(windows.astype(np.float32)), speakers


def test_layers_are_the_official_ones(method):
    ours = {n: tuple(t.shape) for n, t in method.state_dict().items() if n.startswith(("encoder.", "out."))}
    ours.pop("encoder.norm.num_batches_tracked")
    official = {our_name(n): as_ours(np.zeros(s)).shape for n, s in RECORDED["layers"].items()}
    assert ours == official


@pytest.mark.parametrize("training", [True, False])
def test_windows_become_what_the_official_modules_make_of_them(method, given, training):
    """Normalised over the batch in training, by what was seen before in use; and the losses of pairs of frames."""
    record = RECORDED["training" if training else "judged"]
    method.train(training)
    with torch.no_grad():
        coefficients = method.encoder(*given)
        moved = method.out(coefficients)
    assert np.abs(coefficients.numpy().ravel() - np.array(record["coefficients"])).max() <= 1e-4
    assert np.abs(moved.numpy()[:, ::3].ravel() - np.array(record["offsets"])).max() <= 1e-4
    true = torch.from_numpy(noise("true", WINDOWS * 3 * VERTICES).reshape(WINDOWS, -1).astype(np.float32))
    error = (moved - true).unflatten(0, (-1, 2))  # pairs
    mask = torch.ones(error.shape[:2], dtype=torch.bool)
    # The published losses add x, y and z up, which Adam cancels.
    assert 3 * float(reconstruction(error, mask)) == pytest.approx(record["rec"], rel=1e-4)
    assert 3 * 10 * float(velocity(error, mask)) == pytest.approx(record["vel"], rel=1e-4)
    if training:
        after = method.state_dict()
        for name, key in (("moving_mean", "running_mean"), ("moving_variance", "running_var")):
            assert float(after[f"encoder.norm.{key}"]) == pytest.approx(RECORDED["moving"][name][0], rel=1e-4)
