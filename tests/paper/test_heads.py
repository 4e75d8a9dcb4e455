"""One KMTalk on two topologies: trained together, saved, loaded, judged, animated and completed by either head."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_recipes import RECIPE, TABLES, write_recipe

from kmtalk_core.assets import SAMPLE_SPEECH
from kmtalk_core.audio import SAMPLE_RATE, Sound, load_sound
from kmtalk_core.checkpoint import load_checkpoint
from kmtalk_core.errors import InputError
from kmtalk_core.heads import fitting, heads_of, with_head
from kmtalk_core.motion import KeyMotions
from kmtalk_core.networks.method import load_method
from kmtalk_core.networks.shared_kmtalk import SharedKMTalk
from kmtalk_core.networks.vertex_kmtalk import OF_MESH
from kmtalk_core.opening import open_animator
from kmtalk_core.request import Request
from kmtalk_core.rig.mesh import Mesh
from training import evaluate
from training.captured.dataset import DataSet, KeyChoice, Mixture
from training.prepare.__main__ import main as prepare_main
from training.train import main as train_main


@pytest.fixture(scope="module")
def two(prepared, tmp_path_factory):
    """The shared set of 160 vertices at 30 fps, and one of 130 at 25 in another unit."""
    other = tmp_path_factory.mktemp("data") / "other"
    made = ["--subjects", "2", "--sentences", "2", "--vertices", "130", "--voice", "sample", "--fps", "25"]
    assert prepare_main(["synthetic", "--out", str(other), *made, "--seed", "3"]) == 0
    return prepared, other


@pytest.fixture(scope="module")
def both(two, tmp_path_factory):
    """The finished checkpoint, the names of its heads, and the folder of the training."""
    folder = tmp_path_factory.mktemp("both")
    recipe = write_recipe(folder / "tiny.toml", RECIPE.replace("epochs = 3", "epochs = 2"))
    told = ["--config", str(recipe), "--data", *map(str, two), "--run", str(folder / "run"), "--device", "cpu"]
    assert train_main(told) == 0
    return folder / "run" / "tiny.npz", (two[0].name, "other"), folder


def test_heads_share_all_but_what_the_mesh_asks_for(two):
    data = Mixture.of(two)
    torch.manual_seed(0)
    method = SharedKMTalk(TABLES, {name: one.geometry() for name, one in data.sets.items()})
    first, second = method.heads.values()
    own = {k for k, v in second.named_parameters() if v is not first.get_parameter(k)}
    assert own and {k for k in own if not k.startswith("lip_reader.")} == {
        k for k, _ in second.named_parameters() if k.startswith(OF_MESH)
    }
    # A loss of either head reaches the shared layers, and its own alone.
    name, clip = data.split("train")[-1]
    batch = data.collate(name, [clip], KeyChoice())
    torch.nn.init.normal_(second.cmc.out.weight)  # it starts from the neutral face, through which nothing flows back
    method.loss("cmc", batch)[0].backward()
    assert second.cmc.flow.fuse.weight.grad.abs().sum() > 0 and second.cmc.out.bias.grad.abs().sum() > 0
    assert first.cmc.out.bias.grad is None and first.cmc.flow.fuse.weight is second.cmc.flow.fuse.weight


def test_units_do_not_tip_the_balance(two):
    """The same motion in millimetres has the same loss as in metres."""
    data = Mixture.of(two)
    name, clip = data.split("train")[0]
    geometry = data.sets[name].geometry()
    torch.manual_seed(0)
    tables = {name: table for name, table in TABLES.items() if name != "lip_reading"}
    method = SharedKMTalk(tables, {"m": geometry, "mm": replace(geometry, unit=1000 * geometry.unit)}).eval()
    batch = data.collate(name, [clip], KeyChoice())
    losses = [
        float(method.loss("lkma", replace(batch, head=head, motion=factor * batch.motion))[0].detach())
        for head, factor in (("m", 1.0), ("mm", 1000.0))
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_an_epoch_has_batches_of_one_set_each(two):
    data = Mixture.of(two)
    epoch = data.epoch(np.random.default_rng(0), 2)
    assert len(epoch) == data.steps(2) and {head for head, _ in epoch} == set(data.sets)
    seen = [(head, clip.name) for head, clips in epoch for clip in clips]
    assert sorted(seen) == sorted((head, clip.name) for head, clip in data.split("train"))
    with pytest.raises(InputError, match="are called"):
        Mixture.of([two[0], two[0]])


def test_one_file_holds_both_heads_and_the_trunk_once(both):
    path, names, folder = both
    whole = load_checkpoint(path)
    assert heads_of(whole) == {names[0]: 160, names[1]: 130}
    shared = [k for k in whole.weights if k.startswith("network.")]
    assert shared and not any(k.removeprefix("network.").startswith(OF_MESH) for k in shared)
    methods = [load_method(with_head(whole, name)) for name in names]
    assert [m.geometry.vertices for m in methods] == [160, 130] and [m.geometry.fps for m in methods] == [30.0, 25.0]
    for key in ("lkma.norm.weight", "cmc.gate.weight"):
        assert torch.equal(*(m.state_dict()[key] for m in methods))
    with pytest.raises(InputError, match="name one with --checkpoint-head"):
        load_method(whole)
    with pytest.raises(InputError, match="no head 'third'"):
        with_head(whole, "third")
    with pytest.raises(InputError, match="none of them for 7 vertices"):
        fitting(whole, 7)
    log = (folder / "run" / "lkma.jsonl").read_text()
    assert '"epoch": 2' in log and "validation" in log


def test_either_head_is_judged_animates_and_completes(both, two, tmp_path):
    path, names, _ = both
    for folder, vertices in zip(two, (160, 130), strict=True):
        data = DataSet(folder)
        out = tmp_path / str(vertices)
        assert evaluate.main(["--checkpoint", str(path), "--data", str(folder), "--out", str(out)]) == 0
        assert (out / "table.md").is_file()
    sound = Sound(load_sound(SAMPLE_SPEECH).samples[:SAMPLE_RATE], "0" * 64, "speech.wav")
    animator = open_animator(path)
    for folder, name in zip(two, names, strict=True):
        data = DataSet(folder)
        mesh = Mesh(next(iter(data.templates.values())).astype(np.float64), data.faces)
        animation = animator.animate(sound, Request(localizer="posterior"), mesh=mesh)
        assert animation.vertices.shape[1] == len(mesh.vertices) and animation.model.startswith(f"tiny-{name}-")
        poses = animation.key_vertices.reshape(len(animation.key_times), -1) + 0.001
        again = animator.complete(animation, KeyMotions(animation.key_times, poses))
        assert np.abs(again.vertices - animation.vertices).max() > 5e-4
        named = open_animator(path, head=name).animate(sound, Request(localizer="posterior"), mesh=mesh)
        assert np.array_equal(named.vertices, animation.vertices)
    with pytest.raises(InputError, match="no mesh tells which"):
        animator.animate(sound, Request(localizer="posterior"))
    with pytest.raises(InputError, match="leave out --checkpoint-head"):
        open_animator(head="x")


def test_other_methods_have_no_heads(two, tmp_path, capsys):
    recipe = tmp_path / "f.toml"
    recipe.write_text('name = "f"\nmethod = "faceformer"\n')
    told = ["--config", str(recipe), "--data", *map(str, two), "--run", str(tmp_path / "run"), "--device", "cpu"]
    assert train_main(told) == 2 and "only kmtalk has a head for each" in capsys.readouterr().err
