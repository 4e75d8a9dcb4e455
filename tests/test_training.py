"""The training recipe on a tiny corpus: from data to a checkpoint that animates, resumed with the same result."""

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from kmtalk_core.animator import Animator, Request  # noqa: E402
from kmtalk_core.audio import SAMPLE_RATE, Sound  # noqa: E402
from kmtalk_core.checkpoint import load_checkpoint  # noqa: E402
from kmtalk_core.files import save_npz  # noqa: E402
from kmtalk_core.networks.kmtalk import KMTalk, KMTalkConfig  # noqa: E402
from training.compact import loop  # noqa: E402
from training.compact.data import read_corpus  # noqa: E402
from training.compact.motion import MotionSampler, encode_all, spread_of_keys, train_lkma  # noqa: E402
from training.compact.training import train  # noqa: E402

STEPS = """
steps = 6
batch = 2
crop = 1.0
learning_rate = 1e-3
warmup = 2
weight_decay = 0.0
"""
OF_MOTION = f"""{STEPS}
rec_weight = 1.0
vel_weight = 1.0
lip_weight = 1.0
mouth_weight = 1.0
contact_weight = 1.0
captured_share = 0.4
misheard = 0.5
"""
OF_PHONES = "withheld = 0.1\nconfused = 0.1\n"
OF_KEYS = "key_noise = 0.02\nedits = 0.5\n"
CONFIG = f"""
name = "tiny"
seed = 0
[network]
d_model = 16
heads = 2
encoder_layers = 1
key_layers = 1
decoder_layers = 1
flow_layers = 1
[encoder]
{STEPS}
prosody_weight = 0.3
real_share = 0.5
mel_warp = 0.1
mel_tilt = 1.0
mel_mask = 4
time_mask = 0.05
[lkma]
{OF_MOTION + OF_PHONES}
[cmc]
{OF_MOTION + OF_KEYS}
[joint]
{OF_MOTION + OF_PHONES + OF_KEYS}
own_keys = 0.5
key_weight = 0.5
[styles]
neutral = {{ captured = 1.0 }}
"""
LABELS = ("SIL", "HH", "AH", "M", "AA", "P", "UW", "SIL")


@pytest.fixture
def corpus(tmp_path):
    folder = tmp_path / "corpus"
    rng = np.random.default_rng(0)
    for source, speaker, duration in (("librispeech", "1", 2.0), ("librispeech", "2", 1.6), ("flite", "rms", 0.9)):
        (folder / source).mkdir(parents=True, exist_ok=True)
        edges = np.linspace(0, duration, len(LABELS) + 1)
        save_npz(
            {
                "samples": (3000 * rng.standard_normal(int(duration * SAMPLE_RATE))).astype(np.int16),
                "phone_labels": np.array(LABELS),
                "phone_starts": edges[:-1],
                "phone_ends": edges[1:],
                "confidence": np.ones(len(LABELS), np.float32),
                "stress": np.array([0, 0, 0, 0, 1, 0, 2, 0]),
                "source": np.array(source),
                "voice": np.array(speaker),
                "speaker": np.array(speaker),
            },
            folder / source / f"{speaker}.npz",
        )
    return folder


def test_the_recipe_runs_from_data_to_an_animation(corpus, tmp_path):
    config = tmp_path / "tiny.toml"
    config.write_text(CONFIG)
    out = tmp_path / "tiny.npz"
    digest = train(config, corpus, tmp_path / "run", out)
    records = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert [r["stage"] for r in records] == ["encoder", "lkma", "cmc", "joint"]
    assert all(np.isfinite(r["loss"]) for r in records)
    sound = Sound((0.1 * np.random.default_rng(1).standard_normal(SAMPLE_RATE)).astype(np.float32), "0" * 64, "x.wav")
    animator = Animator(out)
    animation = animator.animate(sound, Request(localizer="posterior"))
    assert animation.model == f"tiny-{digest[:12]}"
    assert animation.controls.shape == (31, 57) and np.isfinite(animation.controls).all()
    # A finished run trains no more: the same command gives the same checkpoint.
    assert train(config, corpus, tmp_path / "run", tmp_path / "again.npz") == digest


def test_a_resumed_training_ends_as_an_uninterrupted_one(corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "SAVE_EVERY", 2)
    training, _ = read_corpus(corpus)

    def model():
        torch.manual_seed(0)
        return KMTalk(KMTalkConfig(d_model=16, heads=2, encoder_layers=1, key_layers=1, decoder_layers=1))

    options = {"batch": 2, "learning_rate": 1e-3, "warmup": 1, "weight_decay": 0.0, "withheld": 0.5, "confused": 0.1}
    options |= {"rec_weight": 1.0, "vel_weight": 1.0, "lip_weight": 1.0, "mouth_weight": 1.0}
    options |= {"contact_weight": 1.0, "steps": 6}
    sampler = MotionSampler(training, encode_all(model(), training), 0.8, styles=False, misheard=0.5)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    whole.mkdir(), parts.mkdir()
    straight = model()
    train_lkma(straight, sampler, options, whole, 0)

    class Killed(Exception):
        pass

    def killed_after(steps):
        draw, count = sampler.draw, iter(range(steps))

        def drawing(size, rng):
            if next(count, None) is None:
                raise Killed
            return draw(size, rng)

        return drawing

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(sampler, "draw", killed_after(5))
        train_lkma(model(), sampler, options, parts, 0)
    resumed = model()
    train_lkma(resumed, sampler, options, parts, 0)
    for (name, a), b in zip(straight.lkma.state_dict().items(), resumed.lkma.state_dict().values(), strict=True):
        assert torch.equal(a, b), name


def test_one_command_makes_corpus_and_weights(tmp_path, monkeypatch):
    from training import make
    from training.corpus import voices

    if reason := voices.available("espeak"):
        pytest.skip(reason)
    config = tmp_path / "tiny.toml"
    config.write_text(CONFIG)
    monkeypatch.setattr(voices, "ENGINES", ("espeak",))
    monkeypatch.setattr("training.compact.training.CONFIG", config)
    out = tmp_path / "tiny.npz"
    command = ["make", "--work", str(tmp_path / "work"), "--hours", "0.01", "--out", str(out)]
    monkeypatch.setattr("sys.argv", command)
    assert make.main() == 0
    assert Animator(out).model.startswith("tiny-")
    monkeypatch.setattr("sys.argv", [*command, "--real-speech", str(tmp_path)])
    assert make.main() == 2


def test_an_empty_corpus_is_one_sentence(tmp_path, capsys):
    from training.train import main

    assert main(["--corpus", str(tmp_path), "--run", str(tmp_path / "run")]) == 2
    assert "training.corpus" in capsys.readouterr().err


def test_an_encoder_is_taken_as_it_is_and_the_motion_begins_anew(corpus, tmp_path):
    config = tmp_path / "tiny.toml"
    config.write_text(CONFIG)
    train(config, corpus, tmp_path / "run", tmp_path / "first.npz")
    motion = ("lkma", "cmc", "joint")
    train(config, corpus, tmp_path / "other", tmp_path / "second.npz", motion, encoder_from=tmp_path / "first.npz")
    first, second = (load_checkpoint(tmp_path / name).weights for name in ("first.npz", "second.npz"))
    taken = [name for name in first if name.startswith("encoder.")]
    assert taken and all(np.array_equal(first[name], second[name]) for name in taken)
    assert (tmp_path / "other" / "joint.pt").exists() and not (tmp_path / "other" / "encoder.pt").exists()


def test_completion_trains_as_it_is_used_through_the_keys(corpus):
    training, _ = read_corpus(corpus)
    torch.manual_seed(0)
    model = KMTalk(KMTalkConfig(d_model=16, heads=2, encoder_layers=1, key_layers=1, decoder_layers=1))
    batch = MotionSampler(training, encode_all(model, training), 0.8, styles=False, misheard=0.0).draw(
        3, np.random.default_rng(0)
    )
    spread = spread_of_keys(batch)
    for row in range(3):
        count = int(batch.key_mask[row].sum())
        at = batch.key_frames[row, :count]
        assert np.allclose(spread[row, at, :count], np.eye(count), atol=1e-6), "each key moves its own frame whole"
        assert np.allclose(spread[row].sum(1), 1.0, atol=1e-6) and not spread[row, :, count:].any()
