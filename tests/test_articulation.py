"""The articulation synthesizer: contacts in every context, smoothness, coarticulation, loudness and style."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kmtalk_core.errors import InputError
from kmtalk_core.phones import BILABIALS, LABIODENTALS, PHONES, SILENCE, Alignment, Phone
from kmtalk_core.rig.controls import SPEECH_CONTROLS
from training.articulation import Style, loudness_curve, synthesize

FINE = 500.0  # Hz
COLUMN = {name: i for i, name in enumerate(SPEECH_CONTROLS)}
PARTING = ("mouthFunnel", "mouthLowerDownLeft", "mouthLowerDownRight", "mouthUpperUpLeft", "mouthUpperUpRight")


def speech(text: str, length: float = 0.09, pause: float = 0.5) -> Alignment:
    """Phones of `text` with silence around; `LABEL:0.2` gives a length in s."""
    phones, at = [], pause
    for word in text.split():
        label, _, seconds = word.partition(":")
        end = at + float(seconds or length)
        phones.append(Phone(label, at, end))
        at = end
    return Alignment.from_segments(phones, [], at + pause, "test")


@st.composite
def utterances(draw) -> Alignment:
    """Any phones in any order, some as short as aligners make them."""
    part = st.tuples(st.sampled_from(PHONES), st.sampled_from((0.01, 0.03, 0.05, 0.08, 0.12, 0.25)))
    return speech(" ".join(f"{label}:{length}" for label, length in draw(st.lists(part, min_size=1, max_size=20))))


speakers = st.none() | st.integers(0, 2**32).map(lambda seed: Style.random(np.random.default_rng(seed)))
in_any_context = given(alignment=utterances(), style=speakers)
SENTENCE = speech("DH AH K W IH K B R AW N F AA K S JH AH M P S OW V ER SIL:0.3 DH AH L EY Z IY D AO G", 0.08)


def curves(alignment: Alignment, rate: float = FINE, **options) -> tuple[np.ndarray, np.ndarray]:
    times = np.arange(round(alignment.duration * rate)) / rate
    return times, synthesize(alignment, times, **options)


def gap(controls: np.ndarray) -> np.ndarray:
    """A stand-in for the distance of the lips, in units of the opening of the jaw."""
    c = {name: controls[:, i].astype(float) for name, i in COLUMN.items()}
    lips = c["mouthLowerDownLeft"] + c["mouthUpperUpLeft"] + c["mouthFunnel"]
    return c["jawOpen"] - c["mouthClose"] + 0.2 * lips


@in_any_context
@settings(deadline=None, max_examples=100)
def test_bilabials_are_sealed(alignment, style):
    times, controls = curves(alignment, style=style)
    for phone in alignment.phones:
        if phone.label in BILABIALS:
            burst = 0.3 * (phone.end - phone.start) if phone.label == "P" else 0.0
            held = np.abs(times - (phone.start + phone.end - burst) / 2) <= 0.018
            assert np.abs(controls[held, COLUMN["mouthClose"]] - controls[held, COLUMN["jawOpen"]]).max() < 0.02
            assert controls[held][:, [COLUMN[name] for name in PARTING]].max() < 0.03
            assert controls[held, COLUMN["mouthPressLeft"]].min() > 0.04


@example(alignment=speech("F:0.01 M:0.01"), style=None)
@in_any_context
@settings(deadline=None, max_examples=100)
def test_labiodentals_touch(alignment, style):
    times, controls = curves(alignment, style=style)
    value = {name: controls[:, i] for name, i in COLUMN.items()}
    for phone in alignment.phones:
        if phone.label in LABIODENTALS:
            at = np.argmin(np.abs(times - (phone.start + phone.end) / 2))
            assert value["mouthClose"][at] >= 0.8 * value["jawOpen"][at]
            assert value["mouthLowerDownLeft"][at] < 0.02
            assert value["mouthRollLower"][at] > 0.1


@in_any_context
@settings(deadline=None, max_examples=50)
def test_range_and_smoothness(alignment, style):
    rate = 4000.0
    for level in (0.6, 1.4):
        _, controls = curves(alignment, rate, style=style, loudness=np.full(round(alignment.duration * rate), level))
        assert controls.dtype == np.float32
        assert np.isfinite(controls).all()
        assert controls.min() >= 0 and controls.max() <= 1
        # A jump of speed, even of 1 a second, would show as 4000 a second squared.
        assert np.abs(np.diff(controls.astype(float), 2, axis=0)).max() * rate**2 < 3500


@in_any_context
@settings(deadline=None, max_examples=30)
def test_same_instants_at_different_rates_agree(alignment, style):
    _, fine = curves(alignment, 120.0, style=style)
    _, coarse = curves(alignment, 30.0, style=style)
    count = min(len(coarse), len(fine[::4]))
    np.testing.assert_allclose(fine[::4][:count], coarse[:count], atol=1e-6)
    alone = synthesize(alignment, np.array([7 / 30]), style=style)
    np.testing.assert_allclose(alone[0], coarse[7], atol=1e-6)


def test_neighbouring_bilabials_stay_sealed():
    times, controls = curves(speech("AA M:0.15 B:0.15 AA"))
    inside = (times > 0.62) & (times < 0.83)
    assert np.abs(gap(controls)[inside]).max() < 0.02


def test_silence_is_a_closed_face():
    alignment = speech("HH AH L OW SIL:0.6 AA M")
    times, controls = curves(alignment)
    still = (times < 0.3) | ((times > 1.06) & (times < 1.26)) | (times > alignment.duration - 0.3)
    assert gap(controls)[still].max() < 0.01
    assert controls[~still].max() > 0.2


def test_lips_part_before_the_voice_and_close_after_it():
    times, controls = curves(speech("AA:0.2"))
    opened = times[gap(controls) > 0.02]
    assert 0.5 - 0.2 < opened[0] < 0.5 - 0.04
    assert 0.7 + 0.04 < opened[-1] < 0.7 + 0.2


def test_rounding_starts_over_the_consonants_before():
    times, controls = curves(speech("S T R UW:0.2", 0.06, pause=0.5))
    _, spread = curves(speech("S T R IY:0.2", 0.06, pause=0.5))
    pucker = controls[:, COLUMN["mouthPucker"]]
    early = np.argmin(np.abs(times - 0.59))  # in the t, 90 ms before the vowel
    assert pucker[early] > 0.3 * pucker.max()
    assert pucker[early] > spread[early, COLUMN["mouthPucker"]] + 0.02


def test_tongue_consonants_leave_the_lips_rounded():
    times, controls = curves(speech("UW:0.15 T:0.08 UW:0.15"))
    pucker = controls[:, COLUMN["mouthPucker"]]
    inside = (times > 0.6) & (times < 0.78)
    assert pucker[inside].min() > 0.8 * pucker.max()


def test_sibilants_narrow_the_jaw_between_open_vowels():
    times, controls = curves(speech("AA:0.15 S:0.1 AA:0.15"))
    jaw = controls[:, COLUMN["jawOpen"]]
    assert jaw[np.argmin(np.abs(times - 0.7))] < 0.4 * jaw.max()


def test_the_jaw_is_slower_than_the_lips():
    _, controls = curves(speech("AA:0.2 B AA:0.2"))
    jaw, lips = (controls[:, COLUMN[n]].astype(float) for n in ("jawOpen", "mouthLowerDownLeft"))
    assert np.abs(np.diff(lips)).max() / lips.max() > 1.3 * np.abs(np.diff(jaw)).max() / jaw.max()
    at_closure = round(0.745 * FINE)
    assert jaw[at_closure] > 0.3 * jaw.max()  # the lips close over a jaw that stays half open


def test_short_vowels_undershoot():
    jaw = [curves(speech(f"T AA:{length} T"))[1][:, COLUMN["jawOpen"]].max() for length in (0.05, 0.1, 0.2)]
    assert jaw[0] < 0.8 * jaw[1] < 0.8 * jaw[2]


def test_equal_neighbours_are_one_phone():
    two = Alignment.from_segments(
        [Phone("AA", 0.5, 0.6), Phone("N", 0.6, 0.65), Phone("N", 0.65, 0.7), Phone("AA", 0.7, 0.8)], [], 1.3, "test"
    )
    one = Alignment.from_segments([Phone("AA", 0.5, 0.6), Phone("N", 0.6, 0.7), Phone("AA", 0.7, 0.8)], [], 1.3, "test")
    np.testing.assert_array_equal(curves(two)[1], curves(one)[1])


@pytest.mark.parametrize(
    ("phone", "control"),
    [("TH", "tongueOut"), ("L", "tongueTipUp"), ("N", "tongueTipUp"), ("K", "tongueBodyUp"), ("NG", "tongueBodyUp")],
)
def test_tongue_shows(phone, control):
    _, controls = curves(speech(f"AA {phone} AA"))
    _, without = curves(speech("AA HH AA"))
    assert controls[:, COLUMN[control]].max() > without[:, COLUMN[control]].max() + 0.2


def test_louder_and_stressed_is_bigger():
    alignment = speech("T AA T")
    frames = round(alignment.duration * FINE)
    quiet, loud = (gap(curves(alignment, loudness=np.full(frames, x))[1]).max() for x in (0.7, 1.3))
    assert loud > 1.3 * quiet
    weak, strong = (gap(curves(alignment, stress=[0, 0, x, 0, 0])[1]).max() for x in (0, 1))
    assert strong > 1.15 * weak


def test_styles_differ_and_repeat():
    alignment = SENTENCE
    rng = np.random.default_rng(5)
    styles = [Style.random(rng) for _ in range(3)]
    motions = [curves(alignment, 30.0, style=style)[1] for style in styles]
    np.testing.assert_array_equal(motions[0], curves(alignment, 30.0, style=styles[0])[1])
    assert np.abs(motions[0] - motions[1]).max() > 0.02
    assert np.abs(motions[1] - motions[2]).max() > 0.02


def test_without_asymmetry_left_equals_right():
    _, controls = curves(SENTENCE, style=Style(asymmetry=0.0))
    np.testing.assert_array_equal(controls[:, COLUMN["mouthSmileLeft"]], controls[:, COLUMN["mouthSmileRight"]])
    _, controls = curves(SENTENCE)
    assert np.abs(controls[:, COLUMN["mouthSmileLeft"]] - controls[:, COLUMN["mouthSmileRight"]]).max() > 1e-3


def test_silence_alone():
    alignment = Alignment((Phone(SILENCE, 0.0, 1.0),), (), 1.0, "test")
    assert gap(curves(alignment)[1]).max() == 0


def test_wrong_sizes_are_refused():
    alignment = speech("AA")
    with pytest.raises(InputError, match="loudness"):
        synthesize(alignment, np.zeros(3), loudness=np.ones(2))
    with pytest.raises(InputError, match="stress"):
        synthesize(alignment, np.zeros(3), stress=[1])


def test_loudness_follows_the_voice_and_ignores_the_gain():
    rate = 16_000
    envelope = np.repeat([0.02, 0.2, 0.02], rate)
    sound = envelope * np.random.default_rng(0).normal(size=3 * rate)
    factor = loudness_curve(sound, np.array([0.5, 1.5, 2.5]), rate)
    assert factor.min() >= 0.6 and factor.max() <= 1.4
    assert factor[1] > factor[0] + 0.3
    assert factor[1] > factor[2] + 0.3
    np.testing.assert_allclose(loudness_curve(0.1 * sound, np.array([0.5, 1.5, 2.5]), rate), factor, atol=1e-3)
    np.testing.assert_array_equal(loudness_curve(np.zeros(rate), np.array([0.1, 0.9])), 1.0)


def test_labiodentals_draw_rounded_lips_back_to_the_teeth():
    times, controls = curves(speech("UW:0.15 F:0.1 UW:0.15"))
    pucker = controls[:, COLUMN["mouthPucker"]]
    assert pucker[np.argmin(np.abs(times - 0.7))] < 0.6 * pucker.max()


def test_lips_are_shut_for_as_long_as_the_phone():
    for label, length in (("M", 0.07), ("M", 0.12), ("B", 0.07), ("P", 0.1)):
        times, controls = curves(speech(f"AA:0.12 {label}:{length} AA:0.12"))
        near = (times > 0.62 - 0.04) & (times < 0.62 + length + 0.04)
        shut = np.ptp(times[near & (gap(controls) < 0.02)])
        assert max(0.035, 0.4 * length) < shut < length + 0.02


def test_faster_speech_moves_less():
    sentence = "DH AH K W IH K B R AW N F AA K S JH AH M P S"
    opened = [np.std(gap(curves(speech(sentence, length))[1])) for length in (0.05, 0.08, 0.15)]
    assert opened[0] < 0.9 * opened[1] < 0.9 * opened[2]


def test_the_right_side_opens_more():
    controls = np.concatenate([curves(SENTENCE, 30.0, style=Style(seed=seed))[1] for seed in range(20)])
    left, right = (controls[:, COLUMN[f"mouthLowerDown{side}"]].sum() for side in ("Left", "Right"))
    assert 1.01 < right / left < 1.15


def test_sibilants_keep_the_jaw_up_until_they_end():
    times, controls = curves(speech("S:0.1 OW:0.2"))
    jaw = controls[:, COLUMN["jawOpen"]]
    assert jaw[np.argmin(np.abs(times - 0.6))] < 0.4 * jaw.max()  # as people: their jaw is slower than the literature's
    before_t = curves(speech("T:0.1 OW:0.2"))[1][:, COLUMN["jawOpen"]]
    assert jaw[np.argmin(np.abs(times - 0.6))] < 0.6 * before_t[np.argmin(np.abs(times - 0.6))]


@pytest.mark.parametrize("label", sorted(BILABIALS))
def test_lips_do_not_part_between_a_pause_and_a_closure(label):
    times, controls = curves(speech(f"AA:0.15 SIL:0.3 {label}:0.08 AA:0.15"))
    closed = (times > 0.87) & (times < 0.98)
    assert gap(controls)[closed].max() < 0.01
    times, controls = curves(speech("AA:0.15 M:0.08"))
    assert gap(controls)[times > 0.69].max() < 0.01


def test_rounding_lasts_until_its_vowel_ends_before_f():
    times, controls = curves(speech("D UW:0.15 F:0.09 ER"))
    pucker = controls[:, COLUMN["mouthPucker"]]
    assert pucker[np.argmin(np.abs(times - (0.74 - 0.02)))] > 0.75 * pucker.max()
    assert pucker[np.argmin(np.abs(times - 0.785))] < 0.35 * pucker.max()


def test_the_tip_of_the_tongue_rises_further_from_an_open_jaw():
    (times, open_jaw), (_, closed) = curves(speech("AA:0.12 L AA:0.12")), curves(speech("IY:0.12 L IY:0.12"))
    at = np.argmin(np.abs(times - 0.665))
    jaw, tip = COLUMN["jawOpen"], COLUMN["tongueTipUp"]
    assert open_jaw[at, jaw] > closed[at, jaw] + 0.05
    assert open_jaw[at, tip] > closed[at, tip] + 0.05


def test_the_tongue_comes_out_only_between_parted_teeth():
    for text in ("TH:0.1 IH", "S TH:0.06 S", "AA DH:0.05 AA"):
        _, controls = curves(speech(text))
        out = controls[:, COLUMN["tongueOut"]] > 0.15
        assert out.any()
        assert controls[out, COLUMN["jawOpen"]].min() > 0.02
