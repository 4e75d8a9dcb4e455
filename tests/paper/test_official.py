"""The peers against the official modules: layers, sizes, what they make, their losses; and the converted checkpoints.

official.json was recorded from the published codes of FaceFormer, CodeTalker and SelfTalk (transformers 4.57): names
and shapes of all layers at full size, and what small ones with the weights of `official.seeded` make of the sound.
"""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from official import motion_of, seeded, sound

from kmtalk_core.networks.method import Batch, Geometry, Keys, load_method, make_method, styles_of
from kmtalk_core.networks.speech import Speech
from training import convert
from training.captured.config import read_recipe
from training.captured.official import DATA, converted, our_name

RECORDED = json.loads((Path(__file__).parent / "official.json").read_text())
CONFIGS = Path(__file__).parents[2] / "training" / "configs"
SYSTEMS = list(RECORDED)
BASE = {"model_type": "wav2vec2"}
LARGE = {
    **BASE, "hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096,
    "feat_extract_norm": "layer", "conv_bias": True, "do_stable_layer_norm": True, "vocab_size": 33,
}  # fmt: skip
VERTICES, LIPS = {"vocaset": 5023, "biwi": 23370}, {"vocaset": 254, "biwi": 4996}
# The lip-reading branch, which a checkpoint leaves out; SelfTalk's layers → those of LipReader.
LIP_READING = (
    ("lip_map.", "lip_reader.lips."), ("transformer.", "lip_reader.transformer."), ("lm_head.", "lip_reader.head."),
)  # fmt: skip


READERS = tuple(theirs for theirs, _ in LIP_READING)


def ours_of(kind, name):
    for theirs, ours in LIP_READING if kind == "selftalk" else ():
        if name.startswith(theirs):
            return ours + name.removeprefix(theirs)
    return our_name(kind, name)


def recorded(system):
    kind, data = system.split("_")
    return kind, data, RECORDED[system]


def weights(layers):
    return {name: torch.from_numpy(seeded(name, tuple(shape))) for name, shape in layers.items()}


def state_of(record):
    return {name: value for layers in record["small"].values() for name, value in weights(layers).items()}


@pytest.mark.parametrize("system", SYSTEMS)
def test_presets_have_the_official_layers(system):
    """By name, shape and count, at full size; without memory for them."""
    kind, data, record = recorded(system)
    tables = dict(read_recipe(CONFIGS / f"{kind}_{data}.toml").tables)
    large = "large" in tables["speech"]["source"]
    tables["speech"] = {**tables["speech"], "source": "", "architecture": LARGE if large else BASE}
    if kind == "selftalk":
        tables["lip_reading"] = {**tables["lip_reading"], "recogniser": "", "architecture": LARGE}
    lips = np.arange(LIPS[data])
    with torch.device("meta"):
        geometry = Geometry(VERTICES[data], DATA[data].fps, lips, lips, DATA[data].subjects, 0.002)
        method = make_method(kind, tables, geometry)
    ours = {n: tuple(v.shape) for n, v in method.state_dict().items() if not n.startswith("recogniser.")}
    official = {n: tuple(s) for part in record["full"].values() for n, s in part["layers"].items()}
    renamed = {ours_of(kind, name): shape for name, shape in official.items() if ours_of(kind, name) is not None}
    if kind == "codetalker":  # an embedding of the speakers there, a linear layer here
        renamed["style.weight"] = renamed["style.weight"][::-1]
    assert renamed == {n: shape for n, shape in ours.items() if not n.startswith("speech.")}
    heard = next(part for part in record["full"].values() if part["speech_layers"])
    speech = [shape for n, shape in ours.items() if n.startswith("speech.")]
    # The published encoders have an embedding for masked frames, which training here does not use.
    assert len(speech) == heard["speech_layers"] - 1
    assert sum(map(math.prod, speech)) == heard["speech_parameters"] - (1024 if large else 768)


def test_codetalker_at_biwi_has_its_published_size():
    query = RECORDED["codetalker_biwi"]["full"]["stage2"]["layers"]
    assert round(sum(math.prod(s) for n, s in query.items() if n != "PPE.pe") / 1e6, 1) == 224.8


@pytest.mark.parametrize("system", SYSTEMS)
def test_converted_weights_move_as_the_official_modules_do(system, tmp_path, capsys):
    """Through files and the command, as users do it; in the style of the official third subject."""
    kind, data, record = recorded(system)
    files = []
    for stage, layers in record["small"].items():
        files.append(tmp_path / f"{stage}.pth")
        torch.save({"state_dict": weights(layers)} if kind == "codetalker" else weights(layers), files[-1])
    out = tmp_path / "converted.npz"
    assert convert.main([kind, *map(str, files), "--data", data, "--out", str(out)]) == 0
    assert "million parameters" in capsys.readouterr().err
    method = load_method(out)
    made = moved(method, data, record)
    official = np.array(record["motion"]).reshape(record["frames"], 12)
    assert np.abs(made[:, :36:3] - official).max() <= 1e-4
    assert official.std(0).min() > 1e-3  # it moves


def moved(method, data, record):
    samples = torch.from_numpy(sound(record["sound"]))[None]
    times = torch.arange(record["frames"])[None] / DATA[data].fps
    speech = Speech(samples, torch.tensor([samples.shape[1]]))
    with torch.no_grad():
        return method.infer(speech, torch.zeros(1, 3 * method.geometry.vertices), style(method, data), times)[0].numpy()


def style(method, data):
    subjects = method.geometry.subjects
    assert list(subjects) == sorted(subjects)
    return torch.tensor([[float(name == DATA[data].subjects[2]) for name in subjects]])


def batch_of(method, data, record):
    """The sound and the motion of the recording; longer than the sound on BIWI."""
    size, n = 3 * method.geometry.vertices, record["wanted"]
    samples = torch.from_numpy(sound(record["sound"]))[None]
    none = torch.zeros(1, 1, dtype=torch.long)
    return Batch(
        Speech(samples, torch.tensor([samples.shape[1]])), torch.zeros(1, size), style(method, data),
        torch.arange(n)[None] / DATA[data].fps, torch.ones(1, n, dtype=torch.bool),
        torch.from_numpy(motion_of(n, size))[None], Keys(none.float(), none > 0), none, none, none[0],
    )  # fmt: skip


@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("forced", [True, False])
def test_faceformers_loss_is_the_official_one(data, forced):
    record = RECORDED[f"faceformer_{data}"]
    free = converted("faceformer", state_of(record), data)
    tables = free.config
    tables["network"]["teacher_forcing"] = forced
    method = make_method("faceformer", tables, free.geometry).eval()
    method.load_state_dict(free.state_dict())
    with torch.no_grad():
        loss = float(method.loss("motion", batch_of(method, data, record))[0])
    assert loss == pytest.approx(record["losses"]["forced" if forced else "free"], rel=1e-5)


@pytest.mark.parametrize("unit", [1.0, 0.01])
@pytest.mark.parametrize("data", DATA)
def test_codetalkers_losses_are_the_official_ones(data, unit):
    """In both stages and in the data's unit, whatever the unit of the networks is."""
    record = RECORDED[f"codetalker_{data}"]
    whole = converted("codetalker", state_of(record), data)
    method = whole
    if unit != 1.0:
        tables = {**whole.config, "network": {**whole.config["network"], "unit": "rms"}}
        method = make_method(
            "codetalker", tables, Geometry(12, DATA[data].fps, *[np.arange(2)] * 2, whole.geometry.subjects, unit)
        )
        method.load_state_dict(whole.state_dict())
        with torch.no_grad():  # the same function of the motion in its own unit
            for name in ("autoencoder.motion.0.weight", "past.weight"):
                method.get_parameter(name).mul_(unit)
            for name in ("autoencoder.out.weight", "autoencoder.out.bias"):
                if name in dict(method.named_parameters()):
                    method.get_parameter(name).div_(unit)
        method.eval()
    batch = batch_of(method, data, record)
    with torch.no_grad():
        for stage, names in (("codebook", ("rec", "quantizer")), ("query", ("motion", "code"))):
            loss, parts = method.loss(stage, batch)
            official = [record["losses"][name] for name in names]
            assert [float(parts[name]) for name in names] == pytest.approx(official, rel=1e-4)
            assert float(loss) == pytest.approx(sum(official), rel=1e-4)


@pytest.mark.parametrize("data", DATA)
def test_selftalks_losses_are_the_official_ones(data):
    record = RECORDED[f"selftalk_{data}"]
    state = state_of(record)
    plain = converted("selftalk", state, data)
    architecture = {**plain.config["speech"]["architecture"], "vocab_size": 33}
    reading = {
        "recogniser": "", "architecture": architecture, "stretched": True, "layers": 1, "feed_forward": 32,
    }  # fmt: skip
    lips = np.arange(LIPS[data])
    geometry = Geometry(plain.geometry.vertices, DATA[data].fps, lips, lips, plain.geometry.subjects, 1.0)
    method = make_method("selftalk", {**plain.config, "lip_reading": reading}, geometry).eval()
    method.load_state_dict(plain.state_dict(), strict=False)
    reader = {ours_of("selftalk", name): value for name, value in state.items() if name.startswith(READERS)}
    method.lip_reader.load_state_dict({name.removeprefix("lip_reader."): value for name, value in reader.items()})
    with torch.no_grad():
        for name, tensor in method.recogniser.network.state_dict().items():
            tensor.copy_(torch.from_numpy(seeded(f"text_encoder.{name}", tuple(tensor.shape))))
        loss, parts = method.loss("motion", batch_of(method, data, record))
    official = record["losses"]
    assert {k: float(v) for k, v in parts.items()} == pytest.approx(official, rel=1e-4)
    balance = {"rec": 1000.0, "vel": 1000.0, "lat": 0.001, "ctc": 0.0001}
    assert float(loss) == pytest.approx(sum(balance[k] * official[k] for k in balance), rel=1e-4)


def test_features_at_their_own_times_are_a_choice():
    """Of a converted checkpoint on VOCASET; what it makes is near, and does not change with silence at the end."""
    record = RECORDED["faceformer_vocaset"]
    there = moved(converted("faceformer", state_of(record), "vocaset"), "vocaset", record)
    here = moved(converted("faceformer", state_of(record), "vocaset", "before"), "vocaset", record)
    assert 1e-3 < np.abs(there - here).mean() < np.abs(there).mean()


def test_older_names_of_weight_norm_are_known():
    state = state_of(RECORDED["faceformer_biwi"])
    renamed = {
        name.replace("parametrizations.weight.original0", "weight_g").replace(
            "parametrizations.weight.original1", "weight_v"
        ): value
        for name, value in state.items()
    }
    assert renamed.keys() != state.keys()
    old, new = (converted("faceformer", some, "biwi").state_dict() for some in (renamed, state))
    assert all(torch.equal(old[name], new[name]) for name in new)


def test_unseen_speakers_are_judged_in_every_style():
    method = converted("faceformer", state_of(RECORDED["faceformer_biwi"]), "biwi")
    known = torch.tensor([[0.0, 1.0, 0.0, 0.0, 0.0, 0.0]])
    assert [s.tolist() for s in styles_of(method, known)] == [known.tolist()]
    assert torch.equal(torch.cat(styles_of(method, torch.zeros(1, 6))), torch.eye(6))
    unstyled = converted("selftalk", state_of(RECORDED["selftalk_biwi"]), "biwi")
    assert len(styles_of(unstyled, torch.zeros(1, 6))) == 1


def test_what_is_no_official_checkpoint_is_refused(tmp_path, capsys):
    layers = RECORDED["faceformer_vocaset"]["small"]["layers"]
    state = weights(layers)
    for change, told in (
        ({}, "no weights by name"),
        ({**state, "strange.weight": torch.zeros(1)}, "no layer strange.weight"),
        ({k: v for k, v in state.items() if k != "vertice_map.bias"}, "past.bias of these weights is missing"),
        ({k: v for k, v in state.items() if "vertice_map_r" not in k}, "lack out.weight"),
    ):
        torch.save(change, tmp_path / "f.pth")
        told_to = ["faceformer", str(tmp_path / "f.pth"), "--data", "vocaset", "--out", str(tmp_path / "o.npz")]
        assert convert.main(told_to) == 2
        assert told in capsys.readouterr().err and not (tmp_path / "o.npz").exists()
    torch.save(state, tmp_path / "f.pth")
    assert convert.main(["faceformer", str(tmp_path / "f.pth"), "--data", "biwi", "--out", "o.npz"]) == 2
    assert "knows" in capsys.readouterr().err.replace("know 8", "knows 8")
    assert convert.main(["codetalker", str(tmp_path / "f.pth"), "--data", "biwi", "--out", "o.npz"]) == 2
    assert "has 2 checkpoints" in capsys.readouterr().err
    (tmp_path / "g.pth").write_bytes(b"no weights")
    assert convert.main(["faceformer", str(tmp_path / "g.pth"), "--data", "biwi", "--out", "o.npz"]) == 2
    assert "cannot be read" in capsys.readouterr().err


def test_a_converted_checkpoint_animates(tmp_path):
    from kmtalk_core.assets import ASSETS
    from kmtalk_core.command.cli import main as kmtalk

    method = RECORDED["faceformer_biwi"]["small"]["layers"]
    torch.save(weights(method), tmp_path / "f.pth")
    mesh = tmp_path / "face.obj"
    corners = seeded("corners", (12, 3))
    mesh.write_text(
        "".join(f"v {x} {y} {z}\n" for x, y, z in corners) + "".join(f"f {k} {k + 1} {k + 2}\n" for k in range(1, 11))
    )
    out = tmp_path / "c.npz"
    told = ["faceformer", str(tmp_path / "f.pth"), "--data", "biwi", "--mesh", str(mesh), "--out", str(out)]
    assert convert.main(told) == 0
    assert (
        kmtalk(
            [
                "animate",
                str(ASSETS / "sample_speech.flac"),
                "--checkpoint",
                str(out),
                "--localizer",
                "uniform",
                "--out",
                str(tmp_path / "o.npz"),
            ]
        )
        == 0
    )
    with np.load(tmp_path / "o.npz") as made:
        assert made["vertices"].shape[1:] == (12, 3) and np.isfinite(made["vertices"]).all()
        assert np.ptp(made["vertices"], axis=0).max() > 0
