"""Checkpoints at paper scale through the façade and the command line: as evaluated, editable, any mesh and length."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from test_peers import GEOMETRY, PEERS
from tiny_recipes import TABLES

from kmtalk_core import files
from kmtalk_core.animator import Animator, Request
from kmtalk_core.assets import COMPACT_CHECKPOINT
from kmtalk_core.audio import Sound, load_sound
from kmtalk_core.checkpoint import load_checkpoint, save_checkpoint
from kmtalk_core.command import cli
from kmtalk_core.errors import InputError
from kmtalk_core.files import load_npz, save_npz
from kmtalk_core.motion import KeyMotions
from kmtalk_core.networks.method import Keys, make_method, save_method
from kmtalk_core.networks.speech import Speech, normalised
from kmtalk_core.opening import open_animator
from kmtalk_core.results import load_result, load_vertex_animation, save_animation
from kmtalk_core.rig.mesh import Mesh
from kmtalk_core.service.protocol import Animate
from kmtalk_core.service.worker import serve
from kmtalk_core.vertex_animator import VertexAnimator, similarity
from training.captured.dataset import DataSet, KeyChoice


@pytest.fixture(scope="module")
def data(prepared):
    return DataSet(prepared)


def checkpoint_of(name, tables, data, path):
    torch.manual_seed(0)
    method = make_method(name, tables, data.geometry())
    for part in (getattr(method, "lkma", None), getattr(method, "cmc", None), method):
        if part is not None and hasattr(part, "out"):  # as after some training
            torch.nn.init.normal_(part.out.weight, std=0.3)
    save_method(method, name, {"name": name, "keys": {"rule": "boundaries"}}, path)
    return path


@pytest.fixture(scope="module")
def checkpoint(data, tmp_path_factory):
    tables = {k: v for k, v in TABLES.items() if k != "lip_reading"}
    return checkpoint_of("kmtalk", tables, data, tmp_path_factory.mktemp("paper") / "kmtalk.npz")


@pytest.fixture(scope="module")
def animator(checkpoint):
    found = open_animator(checkpoint)
    assert isinstance(found, VertexAnimator)
    return found


@pytest.fixture(scope="module")
def clip(data):
    return data.split("test")[0]


@pytest.fixture(scope="module")
def sound(data, clip):
    return load_sound(data.source / "wav" / f"{clip.name}.wav")


def mesh_of(data, clip, change=lambda v: v):
    return Mesh(change(data.templates[clip.subject].astype(np.float64)), data.faces)


@pytest.fixture(scope="module")
def animated(animator, data, clip, sound):
    """With all key motions that the motion was completed from, as in training and evaluation."""
    return animator.animate(sound, Request(alignment=data.alignment(clip), key_density=1.0), mesh=mesh_of(data, clip))


def test_a_checkpoint_animates_as_it_is_evaluated(animated, animator, data, clip, sound):
    speech = Speech(normalised(torch.from_numpy(sound.samples))[None], torch.tensor([len(sound.samples)]))
    template = torch.from_numpy(data.templates[clip.subject].reshape(1, -1))
    times, keys = torch.from_numpy(animated.times)[None].float(), torch.from_numpy(animated.key_times)[None].float()
    instants = Keys(keys, torch.ones_like(keys, dtype=torch.bool))
    with torch.no_grad():
        motion = animator._networks._method.infer(speech, template, torch.ones(1, 1), times, instants)
    motion = motion[0].numpy().reshape(len(animated.times), -1, 3)
    # The rule of the training; the motion that was captured ends a frame before the sound.
    trained = data.key_frames(clip, KeyChoice())
    assert set(trained[:-1]) <= set(animated.key_frames)
    moved = np.abs(motion).max()
    expected = motion + data.templates[clip.subject]
    assert moved > 1e-4 and np.abs(animated.vertices - expected).max() < 1e-3 * moved
    assert np.array_equal(animated.key_vertices, animated.vertices[animated.key_frames])
    assert animated.faces.shape[1] == 3


def test_edited_keys_come_back_exactly_and_the_rest_stays(animated, animator):
    poses = animated.key_poses.controls.copy()
    poses[4] += np.float32(0.01)
    times = animated.key_times
    after = animator.complete(animated, KeyMotions(times, poses))
    frames = animated.key_frames
    assert np.array_equal(after.vertices[frames].reshape(len(frames), -1), poses)
    changed = np.flatnonzero((after.vertices != animated.vertices).any((1, 2)))
    assert changed.min() > frames[3] and changed.max() < frames[5] and len(changed) >= 1
    again = animator.complete(after, after.key_poses)
    assert np.array_equal(again.vertices, after.vertices)
    # Deleted and added keys.
    fewer = animator.complete(animated, KeyMotions(np.delete(times, 4), np.delete(animated.key_poses.controls, 4, 0)))
    assert len(fewer.key_times) == len(times) - 1 and len(fewer.key_vertices) == len(times) - 1
    new = (frames[7] + 1) / animated.fps
    if frames[8] > frames[7] + 1:
        place = np.searchsorted(times, new)
        more = KeyMotions(np.insert(times, place, new), np.insert(poses, place, poses[0] + 0.02, axis=0))
        added = animator.complete(animated, more)
        assert np.array_equal(added.vertices[frames[7] + 1].ravel(), more.controls[place])


def test_results_are_saved_whole_and_completed_after_loading(animated, animator, tmp_path):
    save_animation(animated, tmp_path / "out.npz")
    loaded = load_vertex_animation(tmp_path / "out.npz")
    assert type(loaded) is type(animated) and np.array_equal(loaded.vertices, animated.vertices)
    assert np.array_equal(loaded.key_vertices, animated.key_vertices) and loaded.model == animated.model
    poses = loaded.key_poses.controls.copy()
    poses[4] += np.float32(0.01)
    keys = KeyMotions(loaded.key_times, poses)
    now, later = animator.complete(animated, keys).vertices, animator.complete(loaded, keys).vertices
    assert np.abs(now - later).max() < 2e-4  # features are kept in half precision
    arrays = load_npz(tmp_path / "out.npz")
    save_npz({**arrays, "key_vertices": arrays["key_vertices"][:, :5]}, tmp_path / "bad.npz")
    with pytest.raises(InputError, match="damaged"):
        load_result(tmp_path / "bad.npz")


def test_meshes_in_other_axes_and_units_move_alike(animated, animator, data, clip, sound):
    def lying(v):
        return 100 * v[..., [0, 2, 1]] * [1, -1, 1] + 7

    request = Request(alignment=data.alignment(clip))
    other = animator.animate(sound, request, mesh=mesh_of(data, clip, lying))
    base = data.templates[clip.subject].astype(np.float64)
    scale, _, misfit = similarity(animator._networks.geometry.template.astype(np.float64), lying(base))
    assert 80 < scale < 125 and misfit < 0.1
    expected = lying(animated.vertices.astype(np.float64)) - lying(base)
    got = other.vertices - lying(base)
    # Alike but for how the two faces differ in size and pose.
    share = np.vdot(expected, got) / np.vdot(expected, expected)
    assert 0.85 < share < 1.15 and np.linalg.norm(got - expected) < 0.2 * np.linalg.norm(expected)


def test_intensity_scales_and_other_sliders_are_told_to_have_no_effect(animated, animator, data, clip, sound):
    request = Request(alignment=data.alignment(clip), intensity=0.5, head=0.0)
    half = animator.animate(sound, request, mesh=mesh_of(data, clip))
    base = data.templates[clip.subject]
    assert np.allclose(half.vertices - base, 0.5 * (animated.vertices - base), atol=1e-7)
    assert any("head" in warning for warning in half.alignment.warnings)


def test_any_rate_and_length_in_pieces_on_disk(animator, data, monkeypatch):
    """Half a minute at 23.976 fps: no jumps where pieces meet, the same whether in memory or on disk."""
    samples = np.concatenate([load_sound(data.source / "wav" / f"{c.name}.wav").samples for c in data.clips.values()])
    long = Sound(np.tile(samples, 2), "", "long")
    request = Request(localizer="uniform", fps=24000 / 1001)
    whole = animator.animate(long, request)
    assert len(whole.times) == int(long.duration * 24000 / 1001) + 1 > 700
    assert np.isfinite(whole.vertices).all()
    steps = np.abs(np.diff(whole.vertices.reshape(len(whole.times), -1), axis=0)).max(1)
    for seconds in range(10, int(long.duration) - 2, 10):  # pieces meet from n·10 to n·10 + 2 s
        near = slice(round(seconds * request.fps), round((seconds + 2) * request.fps))
        assert steps[near].max() <= 1.5 * np.quantile(steps, 0.99)
    monkeypatch.setattr(files, "LARGE", 1000)
    on_disk = animator.animate(long, request)
    assert isinstance(on_disk.vertices.base, np.memmap) or isinstance(on_disk.vertices, np.memmap)
    assert np.array_equal(on_disk.vertices, whole.vertices)


@pytest.mark.parametrize("name", ("faceformer", "codetalker"))
def test_the_autoregressive_ones_speak_for_ten_minutes(name, tmp_path):
    """A pose a second is enough: 601 of them, more than the published codes can."""
    rng = np.random.default_rng(0)
    geometry = replace(GEOMETRY, fps=1.0, template=rng.normal(size=(90, 3)).astype(np.float32))
    torch.manual_seed(0)
    tables = {key: table for key, table in PEERS[name].items() if key != "lip_reading"}
    save_method(make_method(name, tables, geometry), name, {"name": name, "keys": {}}, tmp_path / "peer.npz")
    long = Sound((0.1 * np.tile(rng.standard_normal(16000), 600)).astype(np.float32), "", "long")
    found = open_animator(tmp_path / "peer.npz").animate(long, Request(localizer="uniform", fps=1.0))
    assert len(found.vertices) == 601 and np.isfinite(found.vertices).all()


def test_without_a_mesh_the_mean_face_moves(animator, data, sound, clip):
    found = animator.animate(sound, Request(alignment=data.alignment(clip)))
    assert np.allclose(found.template, animator._networks.geometry.template)
    mean = np.mean([data.templates[s] for s in data.training_subjects], axis=0)
    assert np.allclose(found.template, mean, atol=1e-6)


@pytest.mark.parametrize("name", PEERS)
def test_other_methods_animate_but_complete_nothing(name, data, clip, sound, tmp_path):
    tables = {k: v for k, v in PEERS[name].items() if k != "lip_reading"}
    other = open_animator(checkpoint_of(name, tables, data, tmp_path / "peer.npz"))
    short = Sound(sound.samples[:16000], "", "short")
    found = other.animate(short, Request(localizer="uniform"), mesh=mesh_of(data, clip))
    assert found.vertices.shape == (31, len(found.template), 3)
    with pytest.raises(InputError, match="only KMTalk"):
        other.complete(found, found.key_poses)
    assert isinstance(other, VertexAnimator)
    with pytest.raises(InputError, match="no style"):
        other.animate(short, Request(localizer="uniform"), subject="nobody")


def test_the_worker_takes_subtitles_and_corrections_of_a_part_in_vertex_space_too(checkpoint, data, clip, tmp_path):
    """As of trimmed strips: what is said elsewhere in the file is neither expected nor corrected here."""
    text = "1\n00:00:00,000 --> 00:00:00,300\nHm.\n\n2\n00:00:00,400 --> 00:00:02,000\nHello there.\n"
    message = Animate(
        audio=str(data.source / "wav" / f"{clip.name}.wav"), out=str(tmp_path / "out.npz"), start=0.4, duration=1.0,
        transcript=text, corrections=[{"tier": "word", "at": 0.9, "label": "yellow"}], checkpoint=str(checkpoint),
    )  # fmt: skip
    serve(message, lambda share, doing: None)
    words = [word.label.lower().strip(".") for word in load_vertex_animation(tmp_path / "out.npz").alignment.words]
    assert "hm" not in words and "yellow" in words


def test_what_does_not_fit_is_refused(animator, animated, data, clip, sound, checkpoint):
    request = Request(localizer="uniform")
    with pytest.raises(InputError, match="vertices, the checkpoint moves"):
        animator.animate(sound, request, mesh=Mesh(np.eye(3), np.array([[0, 1, 2]])))
    shuffled = np.random.default_rng(0).permutation(len(animated.template))
    with pytest.raises(InputError, match="another order"):
        animator.animate(sound, request, mesh=mesh_of(data, clip, lambda v: v[shuffled]))
    with pytest.raises(InputError, match="runs on torch"):
        open_animator(checkpoint, "onnx")
    with pytest.raises(InputError, match="open_animator"):
        Animator(checkpoint)
    with pytest.raises(InputError, match="open_animator"):
        VertexAnimator(COMPACT_CHECKPOINT)
    with pytest.raises(InputError, match="same frame"):
        animator.complete(animated, KeyMotions(np.array([0.1, 0.101]), animated.key_poses.controls[:2]))
    with pytest.raises(InputError, match="2 vertices"):
        animator.complete(animated, KeyMotions(np.array([0.1]), np.zeros((1, 6), np.float32)))


def test_the_command_line_animates_edits_and_exports(checkpoint, data, clip, tmp_path, capsys):
    mesh, out = tmp_path / "mesh.npz", tmp_path / "out.npz"
    save_npz({"vertices": data.templates[clip.subject], "faces": data.faces}, mesh)
    wav = str(data.source / "wav" / f"{clip.name}.wav")
    told = ["--checkpoint", str(checkpoint)]
    assert cli.main(["animate", wav, *told, "--mesh", str(mesh), "--localizer", "uniform", "--out", str(out)]) == 0
    z = load_npz(out)
    assert z["vertices"].shape[1:] == z["template"].shape and len(z["key_vertices"]) == len(z["key_times"])
    edited = z["key_vertices"].copy()
    edited[2] += 0.01
    save_npz({"key_times": z["key_times"], "key_vertices": edited}, tmp_path / "keys.npz")
    keys, new = str(tmp_path / "keys.npz"), tmp_path / "new.npz"
    assert cli.main(["complete", str(out), "--keys", keys, *told, "--out", str(new)]) == 0
    assert np.array_equal(load_npz(new)["vertices"][z["key_frames"][2]], edited[2])
    for suffix in (".pc2", ".mdd", ".csv", ".json", ".TextGrid"):
        assert cli.main(["export", str(new), "--out", str(tmp_path / f"export{suffix}")]) == 0
    assert (tmp_path / "export.pc2").stat().st_size == 32 + z["vertices"].nbytes
    capsys.readouterr()
    assert cli.main(["check", str(new)]) == 2
    assert cli.main(["complete", str(out), "--keys", keys, "--out", str(new)]) == 2
    assert cli.main(["complete", str(out), "--keys", str(mesh), *told, "--out", str(new)]) == 2
    said = capsys.readouterr().err
    assert "no controls" in said and "choose the checkpoint" in said and "key_vertices" in said


def test_edits_in_any_order_and_taken_back_in_vertex_space(animated, animator, tmp_path):
    times, poses = animated.key_times, animated.key_poses.controls
    first, second = poses.copy(), poses.copy()
    first[4] += np.float32(0.01)
    second[8] -= np.float32(0.02)
    both = first.copy()
    both[8] = second[8]
    one = animator.complete(animator.complete(animated, KeyMotions(times, first)), KeyMotions(times, both))
    other = animator.complete(animator.complete(animated, KeyMotions(times, second)), KeyMotions(times, both))
    assert np.array_equal(one.vertices, other.vertices) and not np.array_equal(one.vertices, animated.vertices)
    save_animation(one, tmp_path / "a.npz")
    loaded = load_vertex_animation(tmp_path / "a.npz")
    again = animator.complete(loaded, KeyMotions(np.delete(times, 4), np.delete(both, 4, 0)))
    back = animator.complete(again, animated.key_poses)
    assert np.array_equal(back.vertices, animated.vertices) and back.generated is None


def test_a_checkpoint_fetches_and_runs_nothing_whatever_it_names(checkpoint, tmp_path, monkeypatch):
    """Hub ids, remote code and kernels, which transformers would fetch and run."""
    import transformers

    for kind in (transformers.AutoModel, transformers.AutoModelForCTC, transformers.AutoConfig):
        monkeypatch.setattr(kind, "from_pretrained", lambda *_, **__: pytest.fail("went for a hub id"))
    seen = []
    made = transformers.AutoConfig.for_model
    monkeypatch.setattr(transformers.AutoConfig, "for_model", lambda **given: seen.append(given) or made(**given))
    good = load_checkpoint(checkpoint)
    options = good.config["options"]
    named = {"auto_map": {"AutoModel": "someone/model--code.Model"}, "attn_implementation": "someone/kernel"}
    architecture = {**options["speech"]["architecture"], **named, "_name_or_path": "someone/model"}
    speech = {**options["speech"], "source": "someone/model", "download": True, "architecture": architecture}
    bad = {**options, "speech": speech, "lip_reading": {"recogniser": "someone/recogniser"}}
    save_checkpoint(replace(good, config={**good.config, "options": bad}), tmp_path / "bad.npz")
    assert open_animator(tmp_path / "bad.npz").subjects
    assert seen and not {*named, "_name_or_path"} & {name for given in seen for name in given}
    for wrong in ({"source": "someone/model"}, {"architecture": {}}, "someone/model"):
        config = {**good.config, "options": {**options, "speech": wrong}}
        save_checkpoint(replace(good, config=config), tmp_path / "bad.npz")
        with pytest.raises(InputError, match="export it again"):
            open_animator(tmp_path / "bad.npz")
    save_checkpoint(replace(good, weights={}), tmp_path / "bad.npz")
    with pytest.raises(InputError, match=r"again"):
        open_animator(tmp_path / "bad.npz")
