"""Laughs, breaths and the like: found, tagged, listed, corrected, and moved."""

from dataclasses import replace

import numpy as np
import pytest

from kmtalk_core import near_voice
from kmtalk_core.animator import Animator
from kmtalk_core.assets import SAMPLE_SPEECH
from kmtalk_core.audio import SAMPLE_RATE, Sound, load_sound
from kmtalk_core.emotion import EMOTIONS, MEAN, guess
from kmtalk_core.finish.compose import worn_expression
from kmtalk_core.finish.foreign import rounded_as_said
from kmtalk_core.finish.vocal import MANNERS, parted, vocal_layer
from kmtalk_core.localization.corrections import Correction, corrected
from kmtalk_core.localization.posterior import english_script
from kmtalk_core.localization.vocal import VOCAL, find_sounds, is_sound, kind_of, quieted, tagged, with_sounds
from kmtalk_core.phones import PHONE_INDEX, PHONES, SILENCE, Alignment, HeardText, Phone, Word
from kmtalk_core.rig.controls import CONTROL_INDEX, SPEECH_CONTROLS
from kmtalk_core.settings import Layers
from kmtalk_core.sound_kinds import INPUTS, KINDS, NOBODY, WORDS, network_input, shipped_kinds

RATE = 50.0


def heard(*stretches, seconds=4.0):
    """Chances of kinds: (kind, start s, end s), nobody elsewhere."""
    out = np.zeros((round(seconds * RATE), len(KINDS)), np.float32)
    out[:, KINDS.index(NOBODY)] = 1.0
    for kind, start, end in stretches:
        here = slice(round(start * RATE), round(end * RATE))
        out[here] = 0.05 / (len(KINDS) - 1)
        out[here, KINDS.index(kind)] = 0.95
    return out


def spoken(words, seconds=4.0, heard=None):
    """An alignment of (label, start, end), each one AH."""
    phones = [Phone("AH", start, end) for label, start, end in words if kind_of(label) is None]
    listed = [Word(*word) for word in words]
    return replace(Alignment.from_segments(phones, listed, seconds, "posterior-forced"), heard=heard)


@pytest.mark.parametrize(
    ("written", "kind"),
    [
        *[("[laughs]", "laughs"), ("*sigh*", "sighs"), ("(gasps)", "breath"), ("{coughing}", "coughs")],
        *[("[lacht leise]", "laughs"), ("*soupire*", "sighs"), ("<sobs>", "cries"), ("[she hums]", "hums")],
        *[("[music]", None), ("laughs", None), ("[Anna]", None), ("(ridiculous)", None), ("*really*", None)],
    ],
)
def test_tags_are_known_by_their_words(written, kind):
    assert kind_of(written) == kind


def test_tags_lie_between_the_words_of_a_text():
    script = english_script("Well [laughs] I never, *sigh* did. (beat)")
    assert [label.strip(".,") for label in script.labels] == ["Well", "I", "never", "did"]
    assert [(tag.kind, tag.before) for tag in script.tags] == [("laughs", 1), ("sighs", 3)]
    words = {0: Word("Well", 0.1, 0.4), 1: Word("I", 1.4, 1.5), 3: Word("did", 2.5, 2.8)}
    listed = list(tagged(script.tags, words, 4.0))
    assert [(w.label, w.start, w.end) for w in listed] == [("[laughs]", 0.4, 1.4), ("[sighs]", 1.5, 2.5)]


def test_sounds_are_found_and_notes_of_a_laugh_are_one():
    found = find_sounds(
        heard(("laughs", 0.5, 0.8), ("laughs", 1.0, 1.4), (WORDS, 2.0, 2.5), ("breath", 2.6, 3.0)), RATE
    )
    assert [(s.kind, round(s.start, 1), round(s.end, 1)) for s in found] == [("laughs", 0.5, 1.4), ("breath", 2.6, 3.0)]
    assert not find_sounds(heard((WORDS, 0.0, 4.0)), RATE) and not find_sounds(heard(), RATE)


def test_sounds_are_listed_beside_the_words_and_silence_their_phones():
    alignment = replace(spoken([("Hello", 0.2, 0.8)]), phones=(Phone("AH", 0.0, 4.0),))
    listed = with_sounds(alignment, heard((WORDS, 0.2, 0.8), ("laughs", 0.7, 2.0)), RATE)
    assert [w.label for w in listed.words] == ["Hello", "[laughs]"]
    laugh = listed.words[1]
    assert laugh.start == pytest.approx(0.8, abs=0.03) and laugh.end == pytest.approx(2.0, abs=0.03)
    assert all(p.label == SILENCE for p in listed.phones if laugh.start <= p.start < laugh.end - 0.01)
    assert with_sounds(alignment, heard((WORDS, 0.0, 4.0)), RATE) is alignment


def test_a_recognisers_haha_is_a_laugh_and_a_given_one_stays():
    words, kinds = [("Ha", 0.5, 0.8), ("ha", 0.9, 1.2)], heard(("laughs", 0.4, 1.3))
    assert [w.label for w in with_sounds(spoken(words), kinds, RATE).words if not is_sound(w)] == ["Ha", "ha"]
    by_ear = spoken(words, heard=HeardText("Ha ha", "en", "whisper"))
    assert [w.label for w in with_sounds(by_ear, kinds, RATE).words] == ["[laughs]"]


def test_tags_go_where_their_sound_is_heard():
    alignment = spoken([("Well", 0.1, 0.4), ("[sighs]", 0.4, 3.0), ("yes", 3.0, 3.4)])
    placed = with_sounds(alignment, heard(("breath", 1.0, 1.9)), RATE).words[1]
    assert (placed.label, placed.start) == ("[sighs]", pytest.approx(1.0, abs=0.05))
    assert placed.end == pytest.approx(1.9, abs=0.05)
    unheard = with_sounds(alignment, heard(), RATE).words[1]
    assert 0.4 < unheard.start < unheard.end < 3.0


def test_phones_are_silent_where_a_laugh_is():
    posteriors = np.full((200, len(PHONES)), np.log(0.01), np.float32)
    posteriors[:, PHONE_INDEX["AA"]] = np.log(0.6)
    level = np.where(np.arange(200) % 50 < 5, -40.0, 0.0)
    quiet = quieted(posteriors, heard((WORDS, 0.0, 2.0), ("laughs", 2.0, 4.0)), level, RATE)
    assert quiet[20:80].argmax(1).tolist() == [PHONE_INDEX["AA"]] * 60
    assert quiet[120:180].argmax(1).tolist() == [PHONE_INDEX[SILENCE]] * 60


def test_pauses_of_who_is_near_are_silent_in_a_crowd():
    """A reader speaks, pauses for a second, speaks; others speak all the time, 3 dB below."""
    sample = load_sound(SAMPLE_SPEECH).samples
    pause = np.zeros(SAMPLE_RATE, np.float32)
    near = np.concatenate([sample, pause, sample])
    rng = np.random.default_rng(5)
    voices = [np.roll(np.resize(sample[::step], len(near)), rng.integers(len(near))) for step in (1, -1, 1, -1, 1, -1)]
    crowd = np.sum(voices, axis=0)
    crowd *= 0.7 * np.sqrt((sample**2).mean() / (crowd**2).mean())
    animator = Animator()
    start, end = (round(t * RATE) for t in (len(sample) / SAMPLE_RATE + 0.1, len(sample) / SAMPLE_RATE + 0.9))

    def silence(samples):
        heard = animator._hear(Sound(samples.astype(np.float32), "", ""), lambda _: None)
        before = heard.posteriors_from_start()
        after = quieted(heard.phone_log_posteriors.astype(np.float32), heard.kinds, heard.timbre[:, 0], heard.rate)
        return [np.exp(p[start:end, PHONE_INDEX[SILENCE]]).mean() for p in (before, after)]

    before, after = silence(near + crowd)
    assert after > max(before, 0.9)
    before, after = silence(near)
    assert min(before, after) > 0.9


def test_scenes_to_learn_near_voices_from_tell_when_the_reader_speaks():
    pytest.importorskip("torch")
    from training.vocal.near import make_scene, speaking

    said = np.ones(600, bool)
    said[100:160] = said[300:303] = False
    assert speaking(said)[300:303].all() and not speaking(said)[100:160].any()
    tone = np.sin(np.arange(600 * 320) * 0.3).astype(np.float32) * np.repeat(said, 320)
    crowds = 0
    for seed in range(8):
        samples, near = make_scene(np.random.default_rng(seed), [(tone, said)] * 9)
        power = (samples.reshape(len(near), -1) ** 2).mean(1)
        assert len(near) == 400 and near.any()
        crowds += power.min() > 0.01 * power.max()
        if power.min() < 1e-4 * power.max():  # nobody behind
            assert (near == (power > 0.01 * power.max())).mean() > 0.9
    assert crowds


def test_near_voices_are_the_same_in_sounds_of_any_length():
    rng = np.random.default_rng(6)
    frames = near_voice.AT_ONCE + 500
    posteriors = np.log(rng.dirichlet(np.full(len(PHONES), 0.1), frames) + 1e-6).astype(np.float32)
    kinds = rng.dirichlet(np.ones(len(KINDS)), frames).astype(np.float32)
    level = rng.normal(-30.0, 6.0, frames).astype(np.float32)
    network = near_voice.shipped_near_voice()
    whole = network(posteriors, kinds, level)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(near_voice, "AT_ONCE", 700)
        assert np.allclose(network(posteriors, kinds, level), whole, atol=1e-4)
    assert len(network(posteriors[:0], kinds[:0], level[:0])) == 0


def test_sounds_can_be_corrected():
    silence = np.log(np.full((200, len(PHONES)), 1 / len(PHONES), np.float32))
    alignment = spoken([("Hello", 0.2, 0.8), ("[laughs]", 1.0, 2.0)])

    def after(**edit):
        return [
            (w.label, w.start, w.end)
            for w in corrected(alignment, [Correction("word", **edit)], silence, RATE).words
            if is_sound(w)
        ]

    assert after(at=1.5, label="") == []
    assert after(at=1.5, label="[coughs]") == [("[coughs]", 1.0, 2.0)]
    assert after(at=1.5, start=1.2, end=2.4) == [("[laughs]", 1.2, 2.4)]
    assert ("[sighs]", 2.5, 3.1) in after(at=2.5, label="[sighs]")
    assert after(at=0.5, label="Hullo") == [("[laughs]", 1.0, 2.0)]


def test_each_sound_moves_the_face_in_its_manner():
    times = np.arange(0, 4, 1 / 30)
    loud = np.zeros((200, 3), np.float32)
    loud[:, 0] = np.sin(2 * np.pi * 5 * np.arange(200) / RATE)
    assert set(MANNERS) == set(VOCAL)

    def layer(kind):
        return vocal_layer(times, spoken([(f"[{kind}]", 1.0, 2.0)]), loud, RATE)

    for kind in VOCAL:
        out = layer(kind)
        assert out.any() and not out[times < 0.7].any() and not out[times > 2.5].any()
    inside = (times > 1.2) & (times < 1.8)
    jaw = {kind: layer(kind)[inside, CONTROL_INDEX["jawOpen"]] for kind in VOCAL}
    assert jaw["laughs"].min() > 0.1 and np.ptp(jaw["laughs"]) > 0.15  # open, and shaking
    assert 0.02 < jaw["breath"].max() < 0.2 and jaw["effort"].max() < 0.15 and not jaw["hums"].any()
    assert layer("kiss")[inside, CONTROL_INDEX["mouthPucker"]].max() > 0.6
    assert layer("effort")[inside, CONTROL_INDEX["mouthStretchLeft"]].max() > 0.4
    assert parted(times, spoken([("[laughs]", 1.0, 2.0)]))[inside].min() > 0.9
    assert not parted(times, spoken([("[hums]", 1.0, 2.0), ("Hello", 2.0, 3.0)])).any()


def test_the_network_that_ships_hears_nobody_in_silence():
    network = shipped_kinds()
    mel, posteriors = np.full((199, 64), -11.5, np.float32), np.full((100, len(PHONES)), -8.0, np.float32)
    posteriors[:, 0] = 0.0
    assert network_input(mel, posteriors).shape == (100, INPUTS)
    chances = network(mel, posteriors)
    assert chances.shape == (100, len(KINDS)) and np.allclose(chances.sum(1), 1, atol=1e-4)
    assert (chances[:, KINDS.index(NOBODY)] > 0.5).all()


def test_an_emotion_is_guessed_from_voice_and_words():
    plain = np.array(MEAN)
    assert guess(None) is None
    assert guess(plain).name == "neutral"
    bright = plain + np.array([8, 0, 0, 1.5, 0, 10, 0, 0, 0, 0, 0, 10.0])
    assert guess(bright).name == "angry"
    assert guess(plain, [Word("wonderful", 0, 1), Word("love", 1, 2)]).name == "happy"
    assert all(0 < guess(m).confidence <= 1 and guess(m).name in EMOTIONS for m in (plain, bright))


def test_the_heard_expression_is_worn_as_far_as_it_is_sure():
    class Made:
        emotion = guess(np.array(MEAN), [Word("wonderful", 0, 1), Word("love", 1, 2)])

    name, strength = worn_expression(Made, Layers(expression="heard", expression_strength=0.5))
    assert (name, strength) == ("happy", pytest.approx(0.5 * Made.emotion.confidence))
    assert worn_expression(Made, Layers(expression="sad")) == ("sad", 1.0)
    Made.emotion = None
    assert worn_expression(Made, Layers(expression="heard"))[1] == 0.0


def test_lips_of_other_languages_purse_or_stay_flat():
    times = np.arange(0, 2, 1 / 25)
    speech = np.full((len(times), len(SPEECH_CONTROLS)), 0.2, np.float32)
    pucker, smile = (SPEECH_CONTROLS.index(name) for name in ("mouthPucker", "mouthSmileLeft"))

    def said(sound):
        phones = (Phone(SILENCE, 0.0, 0.8), Phone("UW", 0.8, 1.2, sound), Phone(SILENCE, 1.2, 2.0))
        return rounded_as_said(speech, times, Alignment(phones, (), 2.0, "posterior-forced"))

    assert said("") is speech
    at = 25
    assert said("y")[at, pucker] > 0.65 and said("y")[at, smile] < 0.05
    assert said("y")[at, pucker] > said("ø")[at, pucker] > said("œ")[at, pucker] > 0.3
    assert said("ɯ")[at, pucker] < 0.06
    assert np.array_equal(said("y")[:15], speech[:15]) and np.array_equal(said("y")[40:], speech[40:])
