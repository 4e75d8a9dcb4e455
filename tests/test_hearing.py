"""Words from sound alone: the recogniser's file and search, and what is made of the words that it hears."""

from itertools import pairwise

import numpy as np
import pytest

from kmtalk_core import ears as ears_module
from kmtalk_core.animator import Animator, Request
from kmtalk_core.assets import ASSETS, RECOGNISER, SAMPLE_SPEECH
from kmtalk_core.audio import SAMPLE_RATE, Sound, load_sound
from kmtalk_core.errors import InputError
from kmtalk_core.hearing import recogniser as recogniser_module
from kmtalk_core.hearing import unpacked
from kmtalk_core.hearing.archive import load_recogniser, save_recogniser
from kmtalk_core.hearing.passages import AROUND, LONGEST, passages
from kmtalk_core.hearing.recogniser import Heard, HeardWord, Passage, Recogniser, grouped
from kmtalk_core.hearing.search import repetition
from kmtalk_core.hearing.spectrogram import log_mel
from kmtalk_core.localization import heard as heard_module
from kmtalk_core.localization.corrections import Correction
from kmtalk_core.phones import HeardText
from kmtalk_core.results import load_animation, save_animation

TEXT = (ASSETS / "sample_speech.txt").read_text(encoding="utf-8").split()
RATE = 50.0
shipped = pytest.mark.skipif(not RECOGNISER.is_file(), reason="this build has no recogniser")


@pytest.fixture(scope="module")
def animator():
    return Animator()


@pytest.fixture(scope="module")
def sample():
    return load_sound(SAMPLE_SPEECH)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A recogniser of random weights in the layout of the one that ships."""
    pytest.importorskip("onnx")
    from training.recogniser.making import make_recogniser

    path = tmp_path_factory.mktemp("recogniser") / "tiny.npz"
    save_recogniser(make_recogniser(tiny_source()), path)
    return path


def tiny_source():
    from training.recogniser.source import Source

    rng = np.random.default_rng(0)
    letters = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters += [256 + n for n in range(256 - len(letters))]
    special = ["<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|de|>", "<|transcribe|>", "<|nospeech|>"]
    vocabulary = [*map(chr, letters), *special, "<|notimestamps|>"]
    d = 64
    weights = {
        "decoder/embeddings/weight": (len(vocabulary), d),
        "decoder/position_encodings/encodings": (48, d),
        "encoder/conv1/weight": (d, 80, 3),
        "encoder/conv2/weight": (d, d, 3),
        "encoder/conv1/bias": (d,),
        "encoder/conv2/bias": (d,),
    }
    for side in ("encoder", "decoder"):
        layer = f"{side}/layer_0"
        linear = {f"{layer}/self_attention/linear_0": (3 * d, d), f"{layer}/self_attention/linear_1": (d, d)}
        linear |= {f"{layer}/ffn/linear_0": (4 * d, d), f"{layer}/ffn/linear_1": (d, 4 * d)}
        norms = [f"{layer}/self_attention/layer_norm", f"{layer}/ffn/layer_norm", f"{side}/layer_norm"]
        if side == "decoder":
            linear |= {f"{layer}/attention/linear_{n}": (d * (1 + (n == 1)), d) for n in range(3)}
            norms.append(f"{layer}/attention/layer_norm")
        for name, shape in linear.items():
            weights |= {f"{name}/weight": shape, f"{name}/bias": shape[:1]}
        weights |= {f"{norm}/{part}": (d,) for norm in norms for part in ("gamma", "beta")}
    arrays = {name: rng.normal(0.0, 0.2, shape).astype(np.float32) for name, shape in weights.items()}
    first = vocabulary.index("<|en|>")
    config = {"lang_ids": [first, first + 1], "suppress_ids": [-1, 5], "suppress_ids_begin": [0, 256]}
    return Source("tiny", arrays, config, vocabulary)


def test_a_recogniser_is_made_the_same_each_time_and_read_as_written(tiny, tmp_path):
    from training.recogniser.making import make_recogniser

    made = make_recogniser(tiny_source())
    save_recogniser(made, tmp_path / "again.npz")
    assert (tmp_path / "again.npz").read_bytes() == tiny.read_bytes()
    read = load_recogniser(tiny)
    assert read.vocabulary[:3] == made.vocabulary[:3] and len(read.vocabulary) == 256
    assert all(np.array_equal(read.matrices[name], made.matrices[name]) for name in made.matrices)
    assert all(np.array_equal(read.plain[name], made.plain[name]) for name in made.plain)
    assert read.name.startswith("tiny-")


def test_a_damaged_recogniser_is_refused(tiny, tmp_path):
    data = bytearray(tiny.read_bytes())
    data[len(data) // 2] ^= 255
    (tmp_path / "damaged.npz").write_bytes(data)
    with pytest.raises(InputError):
        load_recogniser(tmp_path / "damaged.npz")
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    with pytest.raises(InputError, match="is not a recogniser"):
        load_recogniser(tmp_path / "other.npz")


def same(one, other):
    return (
        (one.config, one.graphs, one.vocabulary, one.name) == (other.config, other.graphs, other.vocabulary, other.name)
        and all(np.array_equal(one.matrices[name], other.matrices[name]) for name in one.matrices)
        and all(np.array_equal(one.plain[name], other.plain[name]) for name in one.plain)
    )


def test_decoded_matrices_are_kept_for_the_next_process(tiny, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(unpacked, "LEAST", 1)
    whole = load_recogniser(tiny)
    assert same(unpacked.open_recogniser(tiny), whole)
    (kept,) = (tmp_path / "kmtalk").iterdir()

    def nothing(path):
        raise AssertionError("was decoded again")

    with monkeypatch.context() as patched:
        patched.setattr(unpacked, "load_recogniser", nothing)
        assert same(unpacked.open_recogniser(tiny), whole)
    damaged = bytearray(kept.read_bytes())
    damaged[100] ^= 1
    for wrong in (bytes(damaged), damaged[:1000], b""):  # damaged, cut off, not yet written
        kept.write_bytes(wrong)
        assert same(unpacked.open_recogniser(tiny), whole)
        assert same(unpacked.open_recogniser(tiny), whole)


def test_without_a_place_for_a_cache_matrices_are_decoded_each_time(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(unpacked, "LEAST", 1)
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert same(unpacked.open_recogniser(tiny), load_recogniser(tiny))


def test_the_language_is_english_unless_another_is_clearly_likelier(tiny, monkeypatch):
    recogniser = Recogniser(tiny)
    memory = recogniser._network.encode(np.zeros((80, 60), np.float32))
    for chances, spoken in (([0.0, -9.0], "en"), ([-1.0, 0.0], "en"), ([-9.0, 0.0], "de")):
        monkeypatch.setattr(recogniser_module, "language_chances", lambda *_, found=chances: np.array(found))
        assert recogniser._language(memory) == spoken


def test_passages_of_about_the_same_length_are_written_down_together():
    places = [(0.0, 18.0), (18.0, 22.0), (22.0, 37.0), (37.0, 40.0), (40.0, 41.0)]
    groups = [[place for place, _ in group] for group in grouped([(place, None) for place in places], 2, 2)]
    assert groups == [[places[1], places[3]], [places[0], places[2]], [places[4]]]
    assert [len(g) for g in grouped([(place, None) for place in places], 3, 1)] == [3, 2]
    assert list(grouped([], 3, 2)) == []


@shipped
def test_words_are_the_same_however_many_passages_are_heard_at_a_time(animator, sample, monkeypatch):
    several = Sound(np.concatenate([sample.samples, np.zeros(2 * SAMPLE_RATE, np.float32), sample.samples]), "", "")
    speech = np.ones(round(several.duration * RATE))
    speech[round(sample.duration * RATE) : round((sample.duration + 2) * RATE)] = 0.0
    heard = []
    for count, long in (("1", 300.0), ("2", 300.0), ("1", 1.0), ("2", 1.0)):
        monkeypatch.setenv("KMTALK_THREADS", count)
        monkeypatch.setattr(recogniser_module, "LONG", long)
        heard.append(recogniser_module.shipped().hear(several.stored, speech, RATE))
    assert heard[0] == heard[1] and heard[2] == heard[3] and [len(each.passages) for each in heard] == [2] * 4


def test_weights_of_something_else_are_refused():
    from kmtalk_core.errors import KMTalkError
    from training.recogniser.source import read_weights

    with pytest.raises(KMTalkError, match="no weights of Whisper"):
        read_weights(b"\x06\0\0\0\x05\0Other\0\0\0\0\0\0\0\0\0")


def test_passages_side_by_side_are_as_each_alone_at_first(tiny):
    """The room that is kept for what was said, and the frames that others have more, do not count."""
    network = Recogniser(tiny)._network
    rng = np.random.default_rng(1)
    memories = [network.encode(rng.normal(0.0, 1.0, (80, 2 * n)).astype(np.float32)) for n in (30, 50)]
    tokens = rng.integers(0, 256, (2, 40))
    together = network.begin(memories)
    apart = [network.begin([memory]) for memory in memories]
    for at in range(40):
        both = together.say(tokens[:, at : at + 1])
        alone = [saying.say(row[None, at : at + 1]) for saying, row in zip(apart, tokens, strict=True)]
        assert np.abs(both - np.concatenate(alone)).max() < 0.1 * np.abs(both).max()
    together.keep(np.array([1]))
    assert together.say(tokens[1:, :1]).shape == (1, 1, both.shape[-1])


def test_whatever_a_recogniser_writes_ends(tiny):
    heard = Recogniser(tiny).hear(np.random.default_rng(2).normal(0, 0.1, 3 * SAMPLE_RATE), np.ones(150), RATE)
    assert heard.language in ("en", "de")
    assert all(0.0 <= word.probability <= 1.0 for passage in heard.passages for word in passage.words)


def test_what_goes_in_circles_is_cut():
    assert repetition([1, 2, 3] * 2) == 0
    assert repetition([9, 8, *[1, 2, 3, 4] * 3]) == 8
    assert repetition([5] * 11) == 0
    assert repetition([5] * 12) == 11
    assert repetition(list(range(200))) == 0


def test_speech_is_cut_at_pauses():
    rng = np.random.default_rng(3)
    speech = np.ones(round(70 * RATE))
    for second in (14.0, 30.0, 46.5, 60.0):
        speech[round(second * RATE) :][: round(0.4 * RATE)] = 0.0
    speech[round(64 * RATE) : round(67 * RATE)] = 0.0
    found = passages(speech - 0.1 * rng.random(len(speech)), RATE)
    assert all(end - start <= LONGEST + 2 * AROUND + 0.1 for start, end in found)
    assert all(a[1] <= b[0] + 1e-9 for a, b in pairwise(found))
    assert len(found) == 5
    assert any(abs(end - 30.2) < 0.5 for _, end in found), "not in the midst of speech where a pause is near"
    assert passages(np.zeros(500), RATE) == []


def test_the_spectrogram_shows_a_tone():
    """A tone lies in the band around it; what is far below the loudest is as the silence that follows."""
    t = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    mel = log_mel(np.sin(2 * np.pi * 440 * t).astype(np.float32), 200)
    assert mel.shape == (80, 200) and mel.dtype == np.float32
    assert mel.max() - mel.min() == pytest.approx(2.0, abs=1e-5)
    assert int(mel[:, 50].argmax()) == 11
    assert (mel[:, 150:] == mel.min()).all()


@shipped
def test_words_are_heard_where_no_text_is_given(animator, sample, tmp_path):
    result = animator.animate(sample, Request())
    words = [w.label.lower().strip(".,!?") for w in result.alignment.words]
    expected = [w.lower().strip(".,!?") for w in TEXT]
    assert len(set(expected) & set(words)) >= 0.8 * len(set(expected))
    assert result.alignment.heard.language == "en" and result.alignment.heard.by.startswith("whisper-base-")
    save_animation(result, tmp_path / "out.npz")
    assert load_animation(tmp_path / "out.npz").alignment == result.alignment


@shipped
def test_nothing_is_heard_in_noise(animator):
    noise = np.random.default_rng(4).normal(0.0, 0.05, 6 * SAMPLE_RATE).astype(np.float32)
    assert animator.align(Sound(noise, "", "")).words == ()


def test_the_recogniser_stays_unloaded_unless_it_is_needed(animator, sample, monkeypatch):
    def refuse():
        raise AssertionError("loaded")

    monkeypatch.setattr(recogniser_module, "shipped", refuse)
    animator.align(sample, Request(transcript=" ".join(TEXT)))
    animator.align(sample, Request(localizer="posterior"))
    animator.align(sample, Request(language="any"))


def test_a_lean_build_works_from_the_sound_alone(animator, sample, monkeypatch):
    monkeypatch.setattr(recogniser_module, "RECOGNISER", ASSETS / "none.npz")
    found = animator.align(sample)
    assert (found.source, found.words, found.heard) == ("posterior", (), None)


@shipped
def test_the_recogniser_stays_for_the_next_line_but_not_beside_a_long_sound(animator, sample, monkeypatch):
    short = animator.align(sample)
    assert recogniser_module.shipped.cache_info().currsize == 1
    monkeypatch.setattr(ears_module, "LONG", 0.0)
    assert animator.align(sample) == short
    assert recogniser_module.shipped.cache_info().currsize == 0


def test_what_is_heard_is_looked_for_in_the_sound(animator, sample, monkeypatch):
    """The right words get times, and those that the sound does not bear out are not believed."""
    right = hearing(monkeypatch, [(0.0, sample.duration, TEXT)])
    found = animator.align(sample)
    assert [w.label for w in found.words] == [w.strip(".,:!?") for w in TEXT]
    assert found.source == heard_module.SOURCE and found.heard == HeardText(" ".join(TEXT), "en", "fake")
    assert right.calls == 1
    hearing(monkeypatch, [(0.0, sample.duration, ["Thank", "you", "for", "watching", "this", "new", "video"])])
    wrong = animator.align(sample)
    assert wrong.words == () and wrong.phones == animator.align(sample, Request(localizer="posterior")).phones


def test_a_corrected_word_is_read_in_the_language_that_was_heard(animator, sample, monkeypatch):
    hearing(monkeypatch, [(0.0, sample.duration, TEXT)])
    before = animator.animate(sample, Request())
    word = before.alignment.words[3]
    edit = Correction("word", (word.start + word.end) / 2, "sings")
    after = animator.correct(before, sample, Request(corrections=(edit,)))
    assert after.alignment.words[3].label == "sings"
    assert after.alignment.heard == before.alignment.heard


def test_speech_without_words_is_heard_again(animator, sample, monkeypatch):
    whole = animator.align(sample, Request(transcript=" ".join(TEXT)))
    middle = len(TEXT) // 2
    ears = hearing(
        monkeypatch,
        [(0.0, sample.duration, TEXT[:middle])],
        [(whole.words[middle].start, sample.duration, TEXT[middle:])],
    )
    found = animator.align(sample)
    assert ears.calls == 2
    assert [w.label for w in found.words] == [w.label for w in whole.words]
    assert all(abs(a.start - b.start) < 0.1 for a, b in zip(found.words, whole.words, strict=True))


def hearing(monkeypatch, *answers):
    """Let these passages be heard, one answer a call."""

    class Ears:
        calls = 0

        def hear(self, samples, speech, rate, language, tell):
            self.calls += 1
            listed = answers[self.calls - 1] if self.calls <= len(answers) else ()
            return Heard(
                tuple(Passage(a, b, tuple(HeardWord(w, 0.9) for w in words), -0.1) for a, b, words in listed),
                language or "en",
                "fake",
            )

    ears = Ears()
    monkeypatch.setattr(recogniser_module, "is_shipped", lambda: True)
    monkeypatch.setattr(recogniser_module, "shipped", lambda: ears)
    return ears
