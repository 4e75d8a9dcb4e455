"""The networks: shapes, masks, gradients, and ONNX that agrees with torch."""

import json
from dataclasses import replace

import numpy as np
import pytest

from kmtalk_core.checkpoint import load_checkpoint, save_checkpoint
from kmtalk_core.errors import InputError
from kmtalk_core.files import digest_of
from kmtalk_core.rig.controls import SPEECH_CONTROLS

torch = pytest.importorskip("torch", reason="torch is not installed")

from kmtalk_core.networks import export  # noqa: E402
from kmtalk_core.networks.export import make_checkpoint  # noqa: E402
from kmtalk_core.networks.kmtalk import KMTalk, KMTalkConfig  # noqa: E402
from kmtalk_core.runtime.onnx_backend import OnnxBackend  # noqa: E402
from kmtalk_core.runtime.torch_backend import TorchBackend  # noqa: E402

TINY = KMTalkConfig(
    d_model=16, heads=2, encoder_layers=1, key_layers=1, flow_layers=1, cross_layers=1, decoder_layers=1
)


def completion_inputs(config, n=40, m=10, batch=1):
    generator = torch.Generator().manual_seed(0)
    times = (torch.arange(n) / 30.0).repeat(batch, 1)
    frames = torch.linspace(0, n - 1, m).round().long()
    key_of = torch.full((batch, n), -1)
    key_of[:, frames] = torch.arange(m)
    audio = torch.randn(batch, n, config.d_model, generator=generator)
    keys = torch.rand(batch, m, config.motion_dim, generator=generator)
    return audio, keys, times[:, frames], times, key_of


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    torch.manual_seed(0)
    made = make_checkpoint(KMTalk(TINY), {"name": "tiny", "controls": list(SPEECH_CONTROLS)})
    path = tmp_path_factory.mktemp("checkpoint") / "tiny.npz"
    save_checkpoint(made, path)
    return path


def test_gradients_reach_every_parameter():
    torch.manual_seed(0)
    model = KMTalk(TINY)
    audio, logits, prosody = model.encoder(torch.randn(2, 60, TINY.mels))
    phones = torch.randint(-1, TINY.phones, (2, 10, 3))
    _, _, key_times, times, key_of = completion_inputs(TINY, n=30, batch=2)
    posed = model.lkma(audio[:, :10], phones, torch.randn(2, 10, 4), key_times)
    motion = model.cmc(audio, posed, key_times, times, key_of)
    (motion.square().mean() + logits.square().mean() + prosody.square().mean()).backward()
    without = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert not without


def test_padding_changes_nothing():
    torch.manual_seed(0)
    model = KMTalk(TINY).eval()
    audio, keys, key_times, times, key_of = completion_inputs(TINY)
    alone = model.cmc(audio, keys, key_times, times, key_of)
    pad = torch.nn.functional.pad
    padded = model.cmc(
        pad(audio, (0, 0, 0, 7)),
        pad(keys, (0, 0, 0, 3), value=9.0),
        pad(key_times, (0, 3), value=5.0),
        pad(times, (0, 7), value=2.0),
        pad(key_of, (0, 7), value=-1),
        mask=torch.arange(47)[None] < 40,
        key_mask=torch.arange(13)[None] < 10,
    )
    assert torch.allclose(alone, padded[:, :40], atol=1e-5)
    phones, timing = torch.randint(0, 40, (1, 10, 3)), torch.randn(1, 10, 4)
    alone = model.lkma(audio[:, :10], phones, timing, key_times)
    padded = model.lkma(
        pad(audio[:, :10], (0, 0, 0, 3), value=9.0),
        pad(phones, (0, 0, 0, 3)),
        pad(timing, (0, 0, 0, 3)),
        pad(key_times, (0, 3)),
        mask=torch.arange(13)[None] < 10,
    )
    assert torch.allclose(alone, padded[:, :10], atol=1e-5)


def test_onnx_agrees_with_torch_at_any_length(checkpoint):
    loaded = load_checkpoint(checkpoint)
    onnx, by_torch = OnnxBackend(loaded), TorchBackend(loaded, torch.device("cpu"))
    rng = np.random.default_rng(0)
    for frames, keys in ((2, 1), (61, 2), (350, 100)):
        mel = rng.standard_normal((frames * 2, TINY.mels)).astype(np.float32)
        for a, b in zip(onnx.encode(mel), by_torch.encode(mel), strict=True):
            assert a.shape == b.shape and np.abs(a - b).max() < 1e-4
        key_times = np.sort(rng.uniform(0, frames / 30, keys))
        told = (
            rng.standard_normal((keys, TINY.d_model)),
            rng.integers(-1, 40, (keys, 3)),
            rng.standard_normal((keys, 4)),
            key_times,
        )
        assert np.abs(onnx.key_motions(*told) - by_torch.key_motions(*told)).max() < 1e-4
        key_of = np.full(frames, -1)
        key_of[np.linspace(0, frames - 1, min(keys, frames)).astype(int)] = np.arange(min(keys, frames))
        given = (
            rng.standard_normal((frames, TINY.d_model)),
            rng.random((keys, TINY.motion_dim)),
            key_times,
            np.arange(frames) / 30,
            key_of,
        )
        assert np.abs(onnx.complete(*given) - by_torch.complete(*given)).max() < 1e-4


def test_damaged_and_foreign_checkpoints_are_refused(checkpoint, tmp_path):
    data = bytearray(checkpoint.read_bytes())
    data[len(data) // 2] ^= 0xFF
    broken = tmp_path / "broken.npz"
    broken.write_bytes(data)
    with pytest.raises(InputError, match=r"damaged|not a readable"):
        load_checkpoint(broken)
    with pytest.raises(InputError, match="no file"):
        load_checkpoint(tmp_path / "none.npz")
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    with pytest.raises(InputError, match="not a KMTalk checkpoint"):
        load_checkpoint(tmp_path / "other.npz")
    with np.load(checkpoint) as z:
        arrays = dict(z)
    name = next(n for n in arrays if n.startswith("weights/"))
    arrays[name] = arrays[name] + np.float16(0.5)
    np.savez(tmp_path / "changed.npz", **arrays)
    with pytest.raises(InputError, match="damaged"):
        load_checkpoint(tmp_path / "changed.npz")


def test_a_checkpoint_of_the_format_before_is_read(checkpoint, tmp_path):
    now = load_checkpoint(checkpoint)
    arrays = {f"weights/{name}": weight for name, weight in now.weights.items()}
    arrays |= {f"graphs/{name}": np.frombuffer(graph.model, np.uint8) for name, graph in now.graphs.items()}
    shared = {name: graph.shared for name, graph in now.graphs.items()}
    arrays["config"] = np.array(json.dumps({"format": 1, **now.config, "shared": shared}))
    np.savez(tmp_path / "before.npz", **arrays, sha256=np.array(digest_of(arrays)))
    before = load_checkpoint(tmp_path / "before.npz")
    assert before.weights.keys() == now.weights.keys() and not any(g.optimised for g in before.graphs.values())
    assert all(np.array_equal(before.weights[name], weight) for name, weight in now.weights.items())


def test_weights_that_are_initializers_as_before_give_the_same(checkpoint, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "fed", lambda graph: replace(graph, optimised=True))
    torch.manual_seed(0)
    made = make_checkpoint(KMTalk(TINY), {"name": "tiny", "controls": list(SPEECH_CONTROLS)})
    save_checkpoint(made, tmp_path / "before.npz")
    before, now = load_checkpoint(tmp_path / "before.npz"), load_checkpoint(checkpoint)
    assert all(g.fed for g in now.graphs.values()) and not any(g.fed for g in before.graphs.values())
    mel = np.random.default_rng(0).normal(size=(120, TINY.mels)).astype(np.float32)
    for theirs, ours in zip(OnnxBackend(before).encode(mel), OnnxBackend(now).encode(mel), strict=True):
        np.testing.assert_array_equal(theirs, ours)


def test_weights_that_do_not_fit_their_list_are_refused(checkpoint, tmp_path):
    with np.load(checkpoint) as z:
        arrays = {name: z[name] for name in z.files if name != "sha256"}
    arrays["weights/float16"] = arrays["weights/float16"][:1000]
    np.savez(tmp_path / "short.npz", **arrays, sha256=np.array(digest_of(arrays)))
    with pytest.raises(InputError, match="does not hold what a checkpoint must"):
        load_checkpoint(tmp_path / "short.npz")


def test_the_shipped_graphs_are_optimised_and_run_by_one_thread():
    assert all(graph.optimised for graph in load_checkpoint().graphs.values())
    session = OnnxBackend(load_checkpoint())._encoder._session
    assert session.get_session_options().intra_op_num_threads == 1
