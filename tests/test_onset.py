"""Frames that lie as the speech does: silence before it, level and constants change nothing."""

import numpy as np
import pytest

from benchmarks.invariance import LIMIT, after_silence, at_half_the_rate, quieter, with_constant
from kmtalk_core.animator import Animator
from kmtalk_core.assets import ASSETS
from kmtalk_core.onset import FRAME, Onset, find_onset
from kmtalk_core.packed import Packed, Preceded
from kmtalk_core.runtime.inference import BEFORE, PIECE, pieces

SAMPLE = ASSETS / "sample_speech.flac"


def speech(seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    samples = rng.standard_normal(48000) * np.clip(np.sin(np.arange(48000) / 3000), 0, None)
    return (0.1 * samples).astype(np.float32)


@pytest.mark.parametrize("silence", [0, 1, 319, 320, 667, 16000])
def test_the_onset_moves_with_the_sound(silence):
    plain, later = find_onset(speech()), find_onset(np.concatenate([np.zeros(silence, np.float32), speech()]))
    assert 0 <= later.lead < FRAME and later.at % FRAME == 0
    assert (later.at - later.lead) - (plain.at - plain.lead) == silence
    assert find_onset(Packed([0.1 * speech()])) == plain


def test_silence_has_no_onset():
    assert find_onset(np.zeros(5000, np.float32)) == Onset(0, 0)
    assert find_onset(np.zeros(0, np.float32)) == Onset(0, 0)


def test_samples_after_zeros_are_read_by_slices():
    samples = speech()[:1000]
    led = Preceded(7, samples)
    assert len(led) == 1007
    assert np.array_equal(led[0:10], [0] * 7 + list(samples[:3]))
    assert np.array_equal(led[7:], samples) and np.array_equal(np.asarray(led)[100:], samples[93:])


@pytest.mark.parametrize("onset", [0.0, 0.2, 0.31, 5.0, 30.0])
@pytest.mark.parametrize("seconds", [0.5, 12.0, 40.0])
def test_pieces_of_speech_begin_just_before_it(onset, seconds):
    times = np.arange(int((onset + seconds) * 25) + 1) / 25
    total = np.zeros(len(times))
    cut = list(pieces(times, onset))
    for piece in cut:
        assert times[piece.last - 1] - piece.start <= PIECE + 1e-9
        total[piece.first : piece.last] += piece.weights
    assert np.abs(total - 1).max() < 1e-5
    assert onset - BEFORE in [piece.start for piece in cut]


@pytest.mark.parametrize("change", [after_silence, with_constant, quieter, at_half_the_rate])
def test_what_is_not_heard_moves_nothing(change):
    one, other = change(Animator(), SAMPLE, None)
    assert len(one) > 100 and (np.abs(one - other).max(1) > LIMIT).mean() < 0.02
