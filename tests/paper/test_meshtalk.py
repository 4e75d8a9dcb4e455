"""MeshTalk against numbers recorded from the official modules on the weights of `official.seeded`; its own parts."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from official import noise, seeded
from test_peers import PEERS
from torch.nn import functional

from kmtalk_core.networks.method import Geometry, make_method
from kmtalk_core.networks.peers.meshtalk import mel_filters, one_hot
from training.captured.config import read_recipe
from training.captured.dataset import CapturedClip, DataSet, KeyChoice, collate

RECORDED = json.loads((Path(__file__).parent / "official_meshtalk.json").read_text())
CONFIGS = Path(__file__).parents[2] / "training" / "configs"
HEADS, CLASSES, FRAMES = 3, 5, 20
THEIRS = (  # ours → the official names
    (r"sound\.first\.", "audio_encoder.convert_dimensions."),
    (r"sound\.convolutions\.", "audio_encoder.convs."),
    (r"sound\.code\.", "audio_encoder.code."),
    (r"motion\.", "expression_encoder."),
    (r"fusion\.", "fusion_model.mlp."),
    (r"unet\.down\.", "encoder."),
    (r"unet\.over_time\.", "temporal."),
    (r"unet\.up\.", "decoder."),
    (r"unet\.bias", "vertex_bias"),
    (r"unet\.", ""),
    (r"context\.layers\.0\.", "embedding."),
    (r"context\.layers\.5\.", "logits."),
    (r"context\.layers\.(\d)\.", lambda found: f"context_layers.{int(found[1]) - 1}."),
)
LAYERS = (("of_sound.", "unmasked_linear."), ("of_heads.", "masked_linear."), ("of_past.", "historic."))


def theirs(name):
    for ours, official in THEIRS:
        if re.match(ours, name):
            name = re.sub(f"^{ours}", official, name)
            break
    for ours, official in LAYERS:
        name = name.replace(ours, official)
    return name


@pytest.fixture(scope="module")
def method():
    geometry = Geometry(12, 30.0, np.arange(3), np.arange(5, 8), ("a",), 1.0)
    made = make_method("meshtalk", {"network": {"heads": HEADS, "classes": CLASSES}}, geometry).eval()
    with torch.no_grad():
        for name, tensor in made.named_parameters():
            official = theirs(name)
            shape = tuple(tensor.shape)
            conv = re.search(r"(unmasked|masked)_linear\.weight", official)  # convolutions over one frame there
            tensor.copy_(torch.from_numpy(seeded(official, (*shape, 1) if conv else shape)).view(shape))
    return made


@pytest.fixture(scope="module")
def given():
    labels = torch.tensor(RECORDED["labels"]).view(1, FRAMES, HEADS)
    sound = torch.from_numpy(noise("audio", FRAMES * 128).reshape(1, FRAMES, 128).astype(np.float32))
    faces = torch.from_numpy(noise("geom", FRAMES * 36).reshape(1, FRAMES, 36).astype(np.float32))
    return functional.one_hot(labels, CLASSES).float().flatten(2), sound, faces


def near(made, name):
    return np.abs(made.detach().numpy().ravel() - np.array(RECORDED[name])).max() <= 1e-4


def test_every_part_makes_what_the_official_one_makes(method, given):
    codes, sound, faces = given
    with torch.no_grad():
        assert near(method.context(codes, sound).log_softmax(-1)[:, -3:], "context")
        coded = method.motion(faces)
        assert near(coded[:, -3:, :24], "motion")
        assert near(method.codes(coded, sound).log_softmax(-1)[:, -3:], "codes")
        assert near(method.unet(faces[:, 0], codes)[:, -3:], "moved")
        x = torch.from_numpy(np.exp(noise("mel", 2 * 80 * 101)).reshape(2, 80, 101).astype(np.float32))
        assert near(after_mel(method.sound, x)[..., :24], "sound")


def after_mel(encoder, mel):
    """The encoder of sound, its spectrogram given."""
    filters, encoder.filters = encoder.filters, torch.eye(80)
    spectrum = torch.stft
    try:
        torch.stft = lambda *_, **__: mel.sqrt().to(torch.complex64)
        return encoder(torch.zeros(len(mel), 16000))
    finally:
        torch.stft, encoder.filters = spectrum, filters


def test_codes_are_drawn_one_by_one_as_the_official_model_does(method, given):
    _, sound, _ = given
    with torch.no_grad():
        drawn = method.context.drawn(sound, None)
        assert drawn.unflatten(-1, (HEADS, CLASSES)).argmax(-1).flatten().tolist() == RECORDED["greedy"]
        # All at once, told what it drew, the model finds the same likeliest.
        again = method.context(drawn, sound).argmax(-1)
        assert again.flatten().tolist() == RECORDED["greedy"]
        first, same, other = (method.context.drawn(sound, seed) for seed in (0, 0, 1))
    assert torch.equal(first, same) and not torch.equal(first, other)


def test_the_preset_has_the_published_size():
    tables = read_recipe(CONFIGS / "meshtalk_vocaset.toml").tables
    with torch.device("meta"):
        method = make_method("meshtalk", tables, Geometry(5023, 30.0, np.arange(3), np.arange(3), ("a",), 0.002))
    parts = {
        "context": method.context.parameters(), "unet": method.unet.parameters(),
        "encoder": [p for m in (method.sound, method.motion, method.fusion) for p in m.parameters()],
    }  # fmt: skip
    # The official first and last layer of the context have weights for the sound that nothing uses.
    unused = 129 * 16 * (64 + 128)
    published = {**RECORDED["parameters"], "context": RECORDED["parameters"]["context"] - unused}
    assert {name: sum(p.numel() for p in some) for name, some in parts.items()} == published


def test_mel_filters_are_triangles_on_the_mel_scale():
    filters = mel_filters()
    assert filters.shape == (80, 1025) and filters.min() == 0.0
    peaks = filters.argmax(1) * 8000 / 1024
    mel = 2595 * np.log10(1 + peaks / 700)
    assert np.all(np.diff(peaks) >= 0) and np.abs(np.diff(mel[20:]) - 2840.02 / 81).max() < 8


def test_one_hot_codes_let_gradients_through():
    scores = torch.randn(4, 6, requires_grad=True)
    hard = one_hot(scores, False)
    assert torch.equal(hard.detach().argmax(-1), scores.argmax(-1)) and torch.allclose(hard.sum(-1), torch.ones(4))
    (hard * torch.arange(6.0)).sum().backward()
    assert scores.grad.abs().sum() > 0


def test_lips_are_asked_of_the_sound_and_the_upper_face_of_the_motion(prepared):
    """Modalities cross between the clips of a batch, and it learns a sentence."""
    data = DataSet(prepared)
    clips = [CapturedClip(c.name, c.subject, 16, 1, c.text) for c in data.split("train")[:2]]
    batch = collate(data, clips, KeyChoice())
    torch.manual_seed(0)
    method = make_method("meshtalk", {**PEERS["meshtalk"], "losses": {}}, data.geometry())
    for stage, part, steps in (("expression", "rec", 60), ("context", "cross_entropy", 40)):
        trained = [p for m in method.trained(stage) for p in m.parameters()]
        optimizer = torch.optim.Adam(trained, 5e-3)
        for module in method.trained(stage):
            module.train()
        first = None
        for _ in range(steps):
            optimizer.zero_grad()
            loss, parts = method.loss(stage, batch)
            first = float(parts[part].detach()) if first is None else first
            loss.backward()
            optimizer.step()
        method.eval()
        assert float(parts[part].detach()) < 0.8 * first, stage
        if stage == "expression":
            assert "crossing" in parts
