"""KMTalk at paper scale, in tiny sizes: equations, masks, batches, gradients, checkpoints, learning."""

import numpy as np
import pytest
import torch
from tiny_recipes import SPEECH, TABLES

from kmtalk_core.checkpoint import load_checkpoint
from kmtalk_core.errors import InputError
from kmtalk_core.networks.lip_reader import encode_text
from kmtalk_core.networks.method import Geometry, Keys, load_method, make_method, save_method
from kmtalk_core.networks.speech import Recogniser, Speech, SpeechConfig, SpeechEncoder
from kmtalk_core.networks.vertex_kmtalk import arranged, key_index, placed
from training.captured.dataset import DataSet, KeyChoice, collate

GEOMETRY = Geometry(30, 30.0, np.arange(8), np.arange(20, 30), ("a",), 0.002)


def make(**changes):
    torch.manual_seed(0)
    method = make_method("kmtalk", {**TABLES, **changes}, GEOMETRY)
    for decoder in (method.lkma, method.cmc):  # as after some training
        torch.nn.init.normal_(decoder.out.weight, std=0.1)
    return method


def batch_of(prepared, count, **choice):
    data = DataSet(prepared)
    return data, collate(data, data.split("train")[:count], KeyChoice(**choice))


def random_speech(lengths):
    generator = torch.Generator().manual_seed(1)
    samples = torch.randn(len(lengths), max(lengths), generator=generator)
    for row, n in zip(samples, lengths, strict=True):
        row[n:] = 0
    return Speech(samples, torch.tensor(lengths))


@pytest.mark.parametrize("interpolate", ["before", "after"])
@pytest.mark.parametrize("norm", ["group", "layer"])
def test_speech_features_are_the_same_alone_and_in_a_batch(interpolate, norm):
    config = SpeechConfig("", {**SPEECH, "feat_extract_norm": norm}, "all", interpolate)
    encoder = SpeechEncoder(config, 25.0).eval()
    speech = random_speech([16000, 11111, 300])
    together, counts = encoder(speech)
    assert counts.tolist() == [26, 18, 1]
    for row, n in enumerate(counts.tolist()):
        length = speech.lengths[row]
        alone, _ = encoder(Speech(speech.samples[row : row + 1, :length], speech.lengths[row : row + 1]))
        assert alone.shape[1] == n
        assert torch.allclose(alone[0], together[row, :n], atol=1e-5)


@pytest.mark.parametrize("interpolate", ["before", "after"])
def test_speech_features_follow_the_sound_in_time(interpolate):
    torch.manual_seed(0)
    encoder = SpeechEncoder(SpeechConfig("", SPEECH, "none", interpolate), 30.0).eval()
    speech = random_speech([32000])
    changed = speech.samples.clone()
    changed[0, 16000:16400] *= -1
    with torch.no_grad():
        hidden = [encoder(Speech(x, speech.lengths))[0][0] for x in (speech.samples, changed)]
    change = (hidden[0] - hidden[1]).norm(dim=1)
    assert abs(float(change.argmax()) / 30 - 16200 / 16000) < 0.05
    assert change.max() > 3 * change[:20].max()


def test_hubert_serves_too():
    architecture = {**SPEECH, "model_type": "hubert"}
    hidden, counts = SpeechEncoder(SpeechConfig("", architecture, "transformer", "before"), 30.0)(random_speech([8000]))
    assert hidden.shape == (1, 16, 16) and counts.tolist() == [16]


def test_weights_come_from_a_local_folder(tmp_path):
    import transformers

    architecture = {k: v for k, v in SPEECH.items() if k != "model_type"}
    whole = transformers.Wav2Vec2ForCTC(transformers.Wav2Vec2Config(**architecture, vocab_size=12))
    whole.save_pretrained(tmp_path)
    encoder = SpeechEncoder(SpeechConfig(str(tmp_path), {}, "none", "after", download=False), 50.0)
    key = "encoder.layers.0.attention.q_proj.weight"
    assert torch.equal(encoder.backbone.state_dict()[key], whole.wav2vec2.state_dict()[key])
    recogniser = Recogniser(str(tmp_path), {}, download=False)
    assert torch.equal(recogniser.network.lm_head.weight, whole.lm_head.weight)
    hidden, counts, tokens = recogniser(random_speech([8000, 4000]))
    assert hidden.shape[:2] == (2, int(counts.max())) and len(tokens) == 2
    with pytest.raises(InputError, match="cannot be loaded"):
        SpeechEncoder(SpeechConfig(str(tmp_path / "none"), {}, "none", "after", download=False), 50.0)


def test_the_pseudo_complete_sequence_takes_keys_at_key_frames_only():
    motion = torch.zeros(2, 5, 3)
    keys, frames = torch.ones(2, 3, 3), torch.tensor([[0, 2, 4], [1, 3, 0]])
    mask = torch.tensor([[True, True, True], [True, True, False]])
    assert placed(motion, keys, frames, mask)[:, :, 0].tolist() == [[1, 0, 1, 0, 1], [0, 1, 0, 1, 0]]
    assert key_index(frames, mask, 5).tolist() == [[0, -1, 1, -1, 2], [-1, 0, -1, 1, -1]]


def test_arrangement_puts_keys_between_frames_in_the_order_of_time():
    times = torch.tensor([[0.0, 0.1, 0.2], [0.0, 0.1, 0.2]])
    keys = Keys(torch.tensor([[0.1, 0.15], [0.05, 0.0]]), torch.tensor([[True, True], [True, False]]))
    everywhere, key_of, where = arranged(times, keys)
    assert torch.allclose(everywhere[0], torch.tensor([0.0, 0.1, 0.15, 0.2]))
    assert key_of.tolist() == [[-1, 0, 1, -1], [-1, 0, -1, -1]]
    assert torch.allclose(everywhere.gather(1, where), times)


def test_gradients_reach_every_parameter(prepared):
    data, batch = batch_of(prepared, 2)
    torch.manual_seed(0)
    method = make_method("kmtalk", TABLES, data.geometry())
    for stage in method.stages:
        trained = [p for m in method.trained(stage.name) for p in m.parameters() if p.requires_grad]
        optimizer = torch.optim.Adam(trained, 1e-3)
        for _ in range(2):  # the last layer starts at zero, so the others learn from the second step on
            method.zero_grad()
            method.loss(stage.name, batch)[0].backward()
            optimizer.step()
        ids = {id(p) for p in trained}
        for name, p in method.named_parameters():
            reached = p.grad is not None and bool(p.grad.abs().sum() > 0)
            # A constant added to all keys of attention changes nothing, so their bias has no gradient but noise.
            assert reached == (id(p) in ids) or "k_proj.bias" in name, (stage.name, name)
    assert not method.recogniser.network.lm_head.weight.requires_grad


def test_a_batch_is_the_mean_of_its_clips(prepared):
    """Masks and padding change nothing, and the losses are means over clips."""
    data, batch = batch_of(prepared, 2)
    assert batch.mask.sum(1).tolist()[0] != batch.keys.mask.sum(1).tolist()[0]
    clips = data.split("train")[:2]
    short = type(clips[1])(clips[1].name, clips[1].subject, clips[1].frames - 20, 1, clips[1].text)
    together = collate(data, [clips[0], short], KeyChoice())
    alone = [collate(data, [clip], KeyChoice()) for clip in (clips[0], short)]
    torch.manual_seed(0)
    method = make_method("kmtalk", TABLES, data.geometry()).eval()
    torch.nn.init.normal_(method.lkma.out.weight, std=0.1)
    torch.nn.init.normal_(method.cmc.out.weight, std=0.1)
    for stage in ("lkma", "cmc", "joint"):
        loss, parts = method.loss(stage, together)
        separate = [method.loss(stage, one) for one in alone]
        assert torch.isclose(loss, (separate[0][0] + separate[1][0]) / 2, rtol=1e-4)
        for name, part in parts.items():
            assert torch.isclose(part, (separate[0][1][name] + separate[1][1][name]) / 2, rtol=1e-3), (stage, name)
    with torch.no_grad():
        both = method.infer(
            together.speech, together.template, together.style, together.times, together.keys, together.mask
        )
        for row, one in enumerate(alone):
            motion = method.infer(one.speech, one.template, one.style, one.times, one.keys)
            n = motion.shape[1]
            assert torch.allclose(motion[0], both[row, :n], atol=1e-4 * float(motion.abs().max()))


def test_key_motions_are_what_completion_is_given(prepared):
    """infer(keys without motion) = key_motions, then infer(with them); other keys give another motion near them."""
    _, batch = batch_of(prepared, 1)
    method = make()
    with torch.no_grad():
        told = (batch.speech, batch.template[:, :90], batch.style, batch.times)
        made = method.key_motions(*told[:3], batch.keys)
        whole = method.infer(*told, batch.keys)
        again = method.infer(*told, Keys(batch.keys.times, batch.keys.mask, made))
        assert torch.equal(whole, again)
        edited = made.clone()
        edited[:, 5] += 0.01
        changed = (method.infer(*told, Keys(batch.keys.times, batch.keys.mask, edited)) - whole).abs().mean(-1)[0]
    assert changed.max() > 0 and abs(int(changed.argmax()) - int(batch.key_frames[0, 5])) <= 3


def test_without_audio_guidance_completion_hears_nothing(prepared):
    data, batch = batch_of(prepared, 1)
    method = make_method(
        "kmtalk", {**TABLES, "network": {**TABLES["network"], "audio_guidance": False}}, data.geometry()
    )
    assert not hasattr(method.cmc, "gate")
    torch.nn.init.normal_(method.cmc.out.weight, std=0.1)
    other = Speech(torch.randn_like(batch.speech.samples), batch.speech.lengths)
    keys = Keys(batch.keys.times, batch.keys.mask, 0.01 * torch.randn(*batch.key_frames.shape, batch.motion.shape[2]))
    told = (batch.template, batch.style, batch.times, keys)
    assert torch.equal(method.eval().infer(batch.speech, *told), method.infer(other, *told))


def test_a_frozen_encoder_is_shared_and_stays():
    method = make(speech={**TABLES["speech"], "trainable": "none"})
    assert list(method.speech) == ["shared"]
    trained = {id(p) for s in method.stages for m in method.trained(s.name) for p in m.parameters()}
    assert not any(id(p) in trained for p in method.speech.parameters())
    assert not method.train().speech["shared"].training


def test_checkpoints_hold_all_that_inference_needs(prepared, tmp_path):
    _, batch = batch_of(prepared, 1)
    method = make().eval()
    digest = save_method(method, "kmtalk", {"name": "tiny"}, tmp_path / "tiny.npz")
    checkpoint = load_checkpoint(tmp_path / "tiny.npz")
    assert checkpoint.sha256 == digest and checkpoint.name == f"tiny-{digest[:12]}"
    assert not any(name.startswith(("network.recogniser", "network.lip_reader")) for name in checkpoint.weights)
    loaded = load_method(tmp_path / "tiny.npz")
    assert loaded.recogniser is None and loaded.geometry.subjects == ("a",)
    told = (batch.speech, batch.template[:, :90], batch.style, batch.times, batch.keys)
    with torch.no_grad():
        assert torch.equal(loaded.infer(*told), method.infer(*told))
    with pytest.raises(InputError, match="control space"):
        load_method(load_checkpoint())


def test_unknown_names_are_refused():
    with pytest.raises(InputError, match="no method 'other'"):
        make_method("other", {}, GEOMETRY)
    with pytest.raises(InputError, match="unknown option 'layers'"):
        make_method("kmtalk", {**TABLES, "network": {"layers": 3}}, GEOMETRY)
    with pytest.raises(InputError, match=r"no table \[optimizer\]"):
        make_method("kmtalk", {**TABLES, "optimizer": {}}, GEOMETRY)
    with pytest.raises(InputError, match="source"):
        make_method("kmtalk", {"speech": {"source": ""}}, GEOMETRY)


def test_transcripts_become_characters(prepared):
    assert encode_text("Hi, it's Bob!") == [10, 11, 1, 11, 22, 2, 21, 1, 4, 17, 4]
    data, batch = batch_of(prepared, 2)
    lips = {**TABLES["lip_reading"], "text": "transcript"}
    method = make_method("kmtalk", {**TABLES, "lip_reading": lips}, data.geometry())
    assert batch.text_lengths.min() > 0
    parts = method.loss("lkma", batch)[1]
    assert parts["ctc"] > 0 and torch.isfinite(parts["ctc"])


def test_one_sentence_is_learned_by_heart(prepared):
    """Both modules together come down to a small part of the motion's size."""
    data = DataSet(prepared)
    clip = data.split("train")[0]
    clip = type(clip)(clip.name, clip.subject, 24, 1, clip.text)
    batch = collate(data, [clip], KeyChoice())
    torch.manual_seed(0)
    tables = {**TABLES, "network": {**TABLES["network"], "d_model": 32}}
    del tables["lip_reading"]
    method = make_method("kmtalk", tables, data.geometry())
    for stage in ("lkma", "cmc"):
        trained = [p for m in method.trained(stage) for p in m.parameters() if p.requires_grad]
        optimizer = torch.optim.Adam(trained, 5e-3)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 150)
        for _ in range(150):
            optimizer.zero_grad()
            method.loss(stage, batch)[0].backward()
            torch.nn.utils.clip_grad_norm_(trained, 1.0)
            optimizer.step()
            schedule.step()
    with torch.no_grad():
        motion = method.eval().infer(batch.speech, batch.template, batch.style, batch.times, batch.keys)
    error = (motion - batch.motion).square().mean().sqrt() / batch.motion.square().mean().sqrt()
    assert error < 0.1


def test_frozen_convolutions_are_shared_and_what_is_heard_is_the_same(tmp_path):
    method = make(speech={**TABLES["speech"], "trainable": "transformer"}).eval()
    lkma, cmc = method.speech["lkma"].backbone, method.speech["cmc"].backbone
    assert lkma.feature_extractor is cmc.feature_extractor and lkma.encoder is not cmc.encoder
    speech = random_speech([16000])
    with torch.no_grad():
        features, _ = method.heard(speech)
        apart = torch.cat([method.hear(speech, module)[0] for module in ("lkma", "cmc")], -1)
    assert torch.equal(features, apart)
    save_method(method, "kmtalk", {"name": "tiny"}, tmp_path / "tiny.npz")
    with torch.no_grad():
        assert torch.equal(load_method(tmp_path / "tiny.npz").heard(speech)[0], features)
