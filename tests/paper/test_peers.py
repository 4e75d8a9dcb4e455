"""The peers in tiny sizes: published masks, batches, gradients, training, key motions plugged into completion."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_recipes import SPEECH, TABLES, toml

from kmtalk_core.checkpoint import load_checkpoint
from kmtalk_core.errors import InputError
from kmtalk_core.networks.method import Geometry, Keys, load_method, make_method, save_method
from kmtalk_core.networks.peers import parts
from kmtalk_core.networks.peers.codetalker import Quantizer
from kmtalk_core.networks.peers.ottalk import (
    ChebyshevConvolution,
    chebyshev_laplacian,
    drawing_chances,
    sliced_wasserstein,
    transport,
)
from kmtalk_core.networks.peers.parts import AlignedDecoder, Past, biased_causal_mask, periodic_encoding
from training import evaluate
from training.captured.dataset import DataSet, KeyChoice, collate
from training.captured.evaluation import Extras, predict
from training.captured.evaluation import evaluate as judged
from training.captured.predictions import read_predictions
from training.train import main as train_main

WIDTHS = {"faceformer": (64, 128), "codetalker": (1024, 1024), "selftalk": (512, 1024), "ottalk": (256, 256),
          "voca": (50, 50), "meshtalk": (128, 128)}  # fmt: skip
STRIP = np.arange(88)[:, None] + np.arange(3)  # triangles
GEOMETRY = Geometry(90, 30.0, np.arange(8), np.arange(20, 30), ("a", "b"), 0.002, STRIP)
TINY = {"d_model": 16, "heads": 2, "dropout": 0.0}
SOUND = {"source": "", "architecture": SPEECH, "trainable": "all"}
PEERS = {
    "faceformer": {"network": {**TINY, "period": 10}, "speech": SOUND},
    "codetalker": {
        "network": {**TINY, "layers": 1, "period": 10},
        "codebook": {
            "hidden": 16, "layers": 1, "heads": 2, "feed_forward": 32, "codes": 8, "faces": 2, "code_dim": 8,
            "dropout": 0.0,
        },
        "speech": SOUND,
    },
    "selftalk": {"network": TINY, "speech": SOUND, "lip_reading": TABLES["lip_reading"]},
    "ottalk": {
        "network": {**TINY, "layers": 1, "features": 4},
        "speech": {**SOUND, "architecture": {**SPEECH, "model_type": "hubert"}},
        "losses": {"points": 60, "directions": 8},
    },
    "meshtalk": {
        "network": {
            "heads": 3, "classes": 4, "width": 8, "channels": 8, "layers": [16, 8], "motion": 16, "context": 4,
        },
        "losses": {"crossing": 0.0},
    },
    "voca": {"network": {"features": 8, "filters": [8, 8], "hidden": 16, "basis": 8}, "speech": SOUND},
}  # fmt: skip


def make(name, data):
    torch.manual_seed(0)
    method = make_method(name, PEERS[name], data.geometry())
    for layer in ("out", "to_code"):  # zero at first; as after some training
        if hasattr(method, layer):
            torch.nn.init.normal_(getattr(method, layer).weight, std=0.3)
    if name == "meshtalk":
        method.mean.zero_()  # so that the only subject's face is not zero in it
    if name == "ottalk":
        torch.nn.init.normal_(method.refine[2].mix.weight, std=0.3)
    return method


def short(clip, frames):
    return type(clip)(clip.name, clip.subject, frames, 1, clip.text)


@pytest.fixture
def data(prepared):
    return DataSet(prepared)


def test_masks_are_the_published_ones():
    """Transcribed from init_biased_mask of FaceFormer's code, of which the slopes for 4 heads are 2^-2, 2^-4, …"""
    heads, frames, period = 4, 40, 5
    start = 2 ** (-(2 ** -(math.log2(heads) - 3)))
    slopes = [start * start**i for i in range(heads)]
    flipped = [-(n // period) for n in range(frames)][::-1]
    mask = biased_causal_mask(heads, frames, period)
    for head in range(heads):
        for i in range(frames):
            assert mask[head, i, : i + 1].tolist() == pytest.approx([slopes[head] * b for b in flipped[-(i + 1) :]])
            assert (mask[head, i, i + 1 :] == -math.inf).all()
    encoding = periodic_encoding(12, 8, 5)
    assert torch.equal(encoding[:5], encoding[5:10]) and encoding[1, :2].tolist() == pytest.approx(
        [math.sin(1), math.cos(1)]
    )


def test_vectors_become_their_nearest_code_and_gradients_pass():
    quantizer = Quantizer(3, 2, 0.25)
    with torch.no_grad():
        quantizer.codebook.weight.copy_(torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]))
    z = torch.tensor([[0.9, 0.1], [0.1, 0.2]], requires_grad=True)
    codes, loss, index = quantizer(z)
    assert index.tolist() == [1, 0] and torch.allclose(codes, quantizer.codebook.weight[[1, 0]])
    assert loss.item() == pytest.approx(1.25 * float(torch.tensor([0.01, 0.01, 0.01, 0.04]).mean()))
    codes.sum().backward()
    assert torch.equal(z.grad, torch.ones(2, 2))


@pytest.mark.parametrize("name", PEERS)
def test_gradients_reach_every_parameter_of_a_stage_and_no_other(data, name):
    batch = collate(data, [short(clip, 8) for clip in data.split("train")[:2]], KeyChoice())
    method = make(name, data)
    for stage in method.stages:
        trained = {id(p) for m in method.trained(stage.name) for p in m.parameters() if p.requires_grad}
        method.zero_grad()
        method.loss(stage.name, batch)[0].backward()
        for key, p in method.named_parameters():
            if key.endswith("codebook.weight"):  # codes that nothing is near to have no gradient
                continue
            reached = p.grad is not None and bool(p.grad.abs().sum() > 0)
            # A constant added to all keys of attention changes nothing; cross-attention to one frame has one weight.
            invariant = "k_proj.bias" in key or ("multihead_attn" in key and "in_proj" in key)
            assert reached == (id(p) in trained) or invariant, (stage.name, key)


@pytest.mark.parametrize("name", PEERS)
def test_mixed_precision_learns_the_same(data, name):
    batch = collate(data, [short(clip, 8) for clip in data.split("train")[:2]], KeyChoice())
    method = make(name, data)
    for stage in method.stages:
        losses = {}
        for kind in (torch.float32, torch.bfloat16):
            torch.manual_seed(0)  # of the points that surfaces are sampled at
            method.zero_grad()
            with torch.autocast("cpu", kind, enabled=kind != torch.float32):
                loss = method.loss(stage.name, batch)[0]
            loss.backward()
            losses[kind] = float(loss.detach())
            assert loss.dtype == torch.float32, stage.name
            assert all(torch.isfinite(p.grad).all() for p in method.parameters() if p.grad is not None)
        assert losses[torch.bfloat16] == pytest.approx(losses[torch.float32], rel=0.1), stage.name


@pytest.mark.parametrize("name", PEERS)
def test_a_batch_is_the_mean_of_its_clips(data, name):
    first, second = data.split("train")[:2]
    clips = [short(first, 12), short(second, 7)]
    together, alone = collate(data, clips, KeyChoice()), [collate(data, [c], KeyChoice()) for c in clips]
    method = make(name, data).eval()
    with torch.no_grad():
        for stage in method.stages:
            losses = []
            for some in (together, *alone):
                torch.manual_seed(0)  # of the points that surfaces are sampled at
                losses.append(method.loss(stage.name, some)[0])
            loss, *apart = losses
            assert torch.isclose(loss, (apart[0] + apart[1]) / 2, rtol=1e-4)
        both = method.infer(
            together.speech, together.template, together.style, together.times, together.keys, together.mask
        )
        for row, one in enumerate(alone):
            motion = method.infer(one.speech, one.template, one.style, one.times)
            n = motion.shape[1]
            assert motion.abs().max() > 0
            assert torch.allclose(motion[0], both[row, :n], atol=1e-4 * float(motion.abs().max()))


@pytest.mark.parametrize("name", PEERS)
def test_peers_train_from_a_configuration_and_are_evaluated(brief, tmp_path, name):
    recipe = tmp_path / "peer.toml"
    text = f'name = "{name}"\nmethod = "{name}"\n[training]\nepochs = 1\nbatch = 2\n'
    for table, options in PEERS[name].items():
        text += f"\n[{table}]\n" + "".join(f"{key} = {toml(value)}\n" for key, value in options.items())
    recipe.write_text(text)
    run = tmp_path / "run"
    assert train_main(["--config", str(recipe), "--data", str(brief), "--run", str(run), "--device", "cpu"]) == 0
    told = ["--checkpoint", str(run / f"{name}.npz"), "--data", str(brief), "--out", str(tmp_path / "report")]
    assert evaluate.main(told) == 0
    assert f"| {name}" in (tmp_path / "report" / "table.md").read_text()


def test_teacher_forcing_gives_the_true_past(data):
    """With the true past that it would have made itself, FaceFormer makes the same."""
    batch = collate(data, [short(data.split("train")[0], 6)], KeyChoice())
    free = make("faceformer", data).eval()
    tables = {**PEERS["faceformer"], "network": {**PEERS["faceformer"]["network"], "teacher_forcing": True}}
    forced = make_method("faceformer", tables, data.geometry()).eval()
    forced.load_state_dict(free.state_dict())
    with torch.no_grad():
        # The first token of generation is the speaker alone, where teacher forcing has the embedding of no motion.
        forced.past.bias.zero_()
        free.past.bias.zero_()
        made = free.infer(batch.speech, batch.template, batch.style, batch.times)
        itself = type(batch)(**{**vars(batch), "motion": made})
        assert float(forced.loss("motion", itself)[0]) == pytest.approx(0.0, abs=1e-8)
        assert float(forced.loss("motion", batch)[0]) > 1e-4


def test_codetalker_learns_a_sentence_in_two_stages(data):
    """The codebook first, then codes from the sound: generation comes close to what the codebook can say."""
    batch = collate(data, [short(data.split("train")[0], 16)], KeyChoice())
    method = make("codetalker", data)
    for stage, steps in (("codebook", 40), ("query", 40)):
        trained = [p for m in method.trained(stage) for p in m.parameters() if p.requires_grad]
        optimizer = torch.optim.Adam(trained, 3e-3)
        first = None
        for _ in range(steps):
            optimizer.zero_grad()
            loss = method.loss(stage, batch)[0]
            first = loss.item() if first is None else first
            loss.backward()
            optimizer.step()
        assert loss.item() < 0.6 * first, stage


def test_key_motions_of_any_method_go_through_completion(data):
    """The paper's Table 5: key motions of a peer, completed by KMTalk; what it is given matters."""
    batch = collate(data, [short(data.split("test")[0], 20)], KeyChoice())
    kmtalk = make_method("kmtalk", {k: v for k, v in TABLES.items() if k != "lip_reading"}, data.geometry()).eval()
    torch.nn.init.normal_(kmtalk.cmc.out.weight, std=0.3)
    told = (batch.speech, batch.template, batch.style)
    with torch.no_grad():
        results = []
        for name in PEERS:
            keys = make(name, data).eval().key_motions(*told, batch.keys)
            assert keys.shape == (*batch.keys.times.shape, batch.motion.shape[2])
            results.append(kmtalk.infer(*told, batch.times, Keys(batch.keys.times, batch.keys.mask, keys)))
    assert not torch.allclose(results[0], results[1]) and not torch.allclose(results[1], results[2])


def test_chebyshev_convolution_sees_as_far_as_its_order():
    """Against dense polynomials of the Laplacian; a vertex hears of neighbours up to order − 1 edges away."""
    laplacian = chebyshev_laplacian(STRIP, 90)
    dense = laplacian.to_dense()
    assert torch.allclose(dense, dense.T) and torch.linalg.eigvalsh(dense).abs().max() <= 1 + 1e-5
    convolution = ChebyshevConvolution(laplacian, 2, 3, 3)
    x = torch.randn(2, 90, 2)
    terms = torch.cat([x, dense @ x, 2 * dense @ (dense @ x) - x], -1)
    assert torch.allclose(convolution(x), convolution.mix(terms), atol=1e-5)
    changed = x.clone()
    changed[:, 40] += 1
    touched = (convolution(changed) - convolution(x)).abs().sum((0, 2)) > 1e-7
    assert torch.nonzero(touched).ravel().tolist() == list(range(36, 45))  # two triangles' edges reach 2 · 2 vertices


def test_sliced_wasserstein_measures_how_far_mass_moves():
    generator = torch.Generator().manual_seed(0)
    surface = torch.randn(1, 2, 90, 3, generator=generator)
    faces = torch.from_numpy(STRIP)

    def distance(other):
        torch.manual_seed(0)
        return sliced_wasserstein(other, surface, faces, torch.ones(88), 200, 400)

    assert torch.equal(distance(surface), torch.zeros(1, 2))
    # Moved as a whole by 2: the mean over directions of (2 cos)² is 4/3.
    moved = surface + torch.tensor([0.0, 2.0, 0.0])
    assert torch.allclose(distance(moved), torch.full((1, 2), 4 / 3), rtol=0.15)
    # The order of vertices does not matter to a measure, as it does to the mean square error.
    mirrored = surface.flip(2)
    torch.manual_seed(0)
    points = sliced_wasserstein(mirrored, surface, faces, torch.ones(88), 20000, 50)
    assert points.max() < 0.02 * (mirrored - surface).square().sum(-1).mean()


def test_transport_on_a_line_is_exact_and_so_is_its_gradient():
    """Against linear programming over all ways to move the mass, and finite differences of that."""
    from scipy.optimize import linprog

    rng = np.random.default_rng(0)

    def solved(x, x_mass, y, y_mass):
        n, m = len(x), len(y)
        given = np.zeros((n + m, n * m))
        for i in range(n):
            given[i, i * m : (i + 1) * m] = 1
        for j in range(m):
            given[n + j, j::m] = 1
        cost = np.square(x[:, None] - y).ravel()
        return linprog(cost, A_eq=given[:-1], b_eq=np.concatenate([x_mass, y_mass])[:-1]).fun

    x, y = rng.normal(size=5), rng.normal(size=7)
    x_mass, y_mass = (m / m.sum() for m in (rng.uniform(0.1, 1, 5), rng.uniform(0.1, 1, 7)))
    places = torch.tensor(x, requires_grad=True)
    cost = transport(places, *(torch.tensor(v) for v in (x_mass, y, y_mass)))
    assert cost.item() == pytest.approx(solved(x, x_mass, y, y_mass), rel=1e-6)
    cost.backward()
    for k in range(5):
        step = 1e-4 * (np.arange(5) == k)
        slope = (solved(x + step, x_mass, y, y_mass) - solved(x - step, x_mass, y, y_mass)) / 2e-4
        assert places.grad[k].item() == pytest.approx(slope, abs=1e-4)


def test_surfaces_weigh_by_their_own_area_and_lips_get_points_enough():
    """One of two triangles grows to three times its area: three quarters of the mass are on it."""
    surface = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [10, 0, 0], [11, 0, 0], [10, 1, 0]])[None, None]
    faces = torch.tensor([[0, 1, 2], [3, 4, 5]])
    grown = surface.clone()
    grown[0, 0, 4, 0] += 2
    torch.manual_seed(0)
    chances = torch.tensor([0.5, 0.5])
    distance = float(sliced_wasserstein(grown, surface, faces, chances, 4000, 600))
    # A quarter of the mass moves by 10 along x, whose share of a direction's square is a third.
    assert distance == pytest.approx(0.25 * 100 / 3, rel=0.25)
    template = np.random.default_rng(0).normal(size=(90, 3))
    chances = drawing_chances(template, STRIP, np.array([40]))
    at_lips = np.isin(STRIP, [40]).any(1)
    assert float(chances.sum()) == pytest.approx(1.0) and float(chances[torch.from_numpy(at_lips)].sum()) > 0.5


def test_ottalk_needs_the_faces():
    with pytest.raises(InputError, match="faces of the mesh"):
        make_method("ottalk", PEERS["ottalk"], replace(GEOMETRY, faces=None))


def test_strange_tables_are_refused(data):
    with pytest.raises(InputError, match=r"no table \[losses\]"):
        make_method("faceformer", {**PEERS["faceformer"], "losses": {}}, data.geometry())


@pytest.mark.parametrize("name", PEERS)
def test_presets_are_what_the_papers_say(name):
    from pathlib import Path

    from training.captured.config import read_recipe

    configs = Path(__file__).parents[2] / "training" / "configs"
    for data, vertices in (("vocaset", 5023), ("biwi", 23370), ("synthetic", 800)):
        recipe = read_recipe(configs / f"{name}_{data}.toml")
        assert (recipe.name, recipe.method) == (f"{name}-{data}", name)
        if data == "synthetic":
            continue
        assert (recipe.training.batch, recipe.training.learning_rate) == (8 if name == "meshtalk" else 1, 1e-4)
        width = recipe.tables["network"][{"voca": "basis", "meshtalk": "classes"}.get(name, "d_model")]
        assert width == WIDTHS[name][vertices > 6000]
    small = read_recipe(configs / f"{name}_synthetic.toml")
    assert sum(p.numel() for p in make_method(name, small.tables, GEOMETRY).parameters()) < 5e6


def test_the_past_need_not_be_read_anew():
    """Step by step with remembered keys and values, as all at once; two features a frame."""
    torch.manual_seed(0)
    decoder = AlignedDecoder(16, 4, 2, 5, 0.1).eval()
    tokens, audio = torch.randn(3, 12, 16), torch.randn(3, 24, 16)
    with torch.no_grad():
        whole, past = decoder(tokens, audio, 2), Past()
        steps = [decoder.onward(tokens[:, t : t + 1], audio[:, 2 * t : 2 * t + 2], past) for t in range(12)]
    assert torch.allclose(torch.cat(steps, 1), whole, atol=1e-5) and past.length == 12


def test_a_long_past_is_remembered_whole(monkeypatch):
    """Where room runs out, more is made."""
    monkeypatch.setattr(parts, "FIRST_ROOM", 3)
    test_the_past_need_not_be_read_anew()
    mask = biased_causal_mask(4, 9, 3)
    assert torch.equal(biased_causal_mask(4, 9, 3, 8), mask[:, 8:])
    assert torch.equal(periodic_encoding(2, 6, 4, 7), periodic_encoding(9, 6, 4)[7:])


def test_older_checkpoints_of_peers_are_refused_in_a_sentence(data, tmp_path):
    """They would move by wrong amounts: their networks saw motion in another unit."""
    tables = {key: table for key, table in PEERS["faceformer"].items() if key != "lip_reading"}
    save_method(
        make_method("faceformer", tables, GEOMETRY), "faceformer", {"name": "x", "keys": {}}, tmp_path / "a.npz"
    )
    good = load_checkpoint(tmp_path / "a.npz")
    options = {**good.config["options"], "network": dict(good.config["options"]["network"])}
    del options["network"]["unit"]
    with pytest.raises(InputError, match=r"before its networks followed the published code.*train it again"):
        load_method(replace(good, config={**good.config, "options": options}))
    assert load_method(good).unit == 1.0


def test_unseen_speakers_are_judged_in_all_styles_and_read_back_so(data, tmp_path):
    clips = [short(clip, 8) for clip in data.split("test")]
    data.clips |= {clip.name: clip for clip in clips}
    method = make("faceformer", data)
    torch.nn.init.normal_(method.out.weight, std=1e-3)
    made = list(predict(method, data, clips, KeyChoice(), torch.device("cpu")))
    assert [(p.clip.name, p.condition) for p in made] == [(c.name, s) for c in clips for s in data.training_subjects]
    out = tmp_path / "report"
    figures = judged(data, "test", iter(made), "ours", out, Extras(save=True))
    assert figures["sentences"] == len(clips)
    again = judged(data, "test", read_predictions(out / "predictions", data, clips), "theirs", tmp_path / "again")
    assert again["lve_code"] == pytest.approx(figures["lve_code"])
    # A speaker that was trained on has a style of its own.
    seen = [short(data.split("train")[0], 8)]
    assert [p.condition for p in predict(method, data, seen, KeyChoice(), torch.device("cpu"))] == [""]


def test_vocas_norm_sees_real_frames_only_and_its_basis_can_be_given(data, tmp_path):
    first, second = data.split("train")[:2]
    basis = np.random.default_rng(0).normal(size=(480, 12)).astype(np.float32)
    np.save(tmp_path / "basis.npy", basis)
    tables = {**PEERS["voca"], "network": {**PEERS["voca"]["network"], "basis_file": str(tmp_path / "basis.npy")}}
    method = make_method("voca", tables, data.geometry())
    assert np.array_equal(method.out.weight.detach().numpy(), basis[:, :8])
    assert method.config["network"]["basis_file"] == ""
    clips = [short(first, 12), short(second, 7)]
    padded = collate(data, clips, KeyChoice())
    method.train()
    method.loss("motion", padded)
    mean = method.encoder.norm.running_mean.clone()
    method.encoder.norm.reset_running_stats()
    further = collate(data, [*clips, short(second, 7)], KeyChoice())
    longer = replace(further, mask=further.mask & torch.tensor([[True], [True], [False]]))
    method.loss("motion", longer)  # a clip without real frames
    assert torch.allclose(method.encoder.norm.running_mean, mean, atol=1e-6)
    np.save(tmp_path / "basis.npy", basis[:9])
    with pytest.raises(InputError, match="a basis of 480"):
        make_method("voca", tables, data.geometry())
