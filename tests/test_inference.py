"""Long sound goes through the networks in pieces: nobody can tell where they meet."""

import numpy as np
import pytest

from kmtalk_core.localization.keys import key_instants
from kmtalk_core.motion import KeyMotions
from kmtalk_core.phones import PHONE_INDEX, Alignment, Phone
from kmtalk_core.runtime.inference import PIECE, acquire_keys, complete_motion, hear, pieces

RATE = 50.0


class Local:
    """A stand-in for the networks whose results depend on the nearest second only."""

    name = "local"

    def encode(self, mel):
        half = mel[::2, :4]
        return half, half, half[:, :2]

    def key_motions(self, audio_at_keys, phones, timing, key_times):
        return np.repeat(phones[:, 1:2] / 40.0, 2, axis=1).astype(np.float32)

    def complete(self, audio, keys, key_times, times, key_of):
        assert (key_times[np.clip(key_of, 0, None)][key_of >= 0] == times[key_of >= 0]).all()
        return np.stack([np.interp(times, key_times, keys[:, 0]), audio[:, 0]], 1).astype(np.float32)


@pytest.mark.parametrize("seconds", [0.0, 1.0, PIECE, PIECE + 0.1, 35.0, 61.3])
def test_pieces_cover_everything_once(seconds):
    times = np.arange(int(seconds * 30) + 1) / 30
    total = np.zeros(len(times))
    for piece in pieces(times):
        assert times[piece.last - 1] - times[piece.first] <= PIECE + 1e-9
        total[piece.first : piece.last] += piece.weights
    assert np.abs(total - 1).max() < 1e-5


def test_pieces_survive_gaps():
    times = np.array([0.0, 0.1, 40.0, 40.2, 90.0])
    total = np.zeros(5)
    for piece in pieces(times):
        total[piece.first : piece.last] += piece.weights
    assert np.abs(total - 1).max() < 1e-5


def test_features_of_a_long_sound_equal_those_of_its_parts():
    rng = np.random.default_rng(0)
    samples = (rng.standard_normal(16000 * 30) * 0.1).astype(np.float32)
    heard = hear(Local(), samples, RATE)
    assert len(heard.audio) == 1501
    assert np.allclose(np.exp(heard.phone_log_posteriors.astype(np.float64)).sum(1), 1, atol=5e-3)
    assert np.abs(np.diff(heard.audio.astype(np.float64), axis=0)).max() < 12


def test_keys_and_motion_over_many_pieces():
    phones = [Phone("AA" if i % 2 else "M", i * 0.5, i * 0.5 + 0.5) for i in range(80)]
    alignment = Alignment(tuple(phones), (), 40.0, "test")
    instants = key_instants(alignment, "apexes", 30.0)
    audio = np.linspace(0, 1, 2001)[:, None].astype(np.float32)
    keys = acquire_keys(Local(), audio, RATE, alignment, instants)
    assert len(keys.times) == len(instants.times)
    assert np.allclose(keys.controls[:, 0] * 40, [PHONE_INDEX[phones[i].label] for i in instants.phone_index])
    times = np.arange(1201) / 30
    shuffled = np.random.default_rng(0).permutation(times)
    motion = complete_motion(Local(), audio, RATE, keys, times)
    assert np.allclose(motion[:, 1], times / 40, atol=1e-3)
    assert np.allclose(motion[:, 0], np.interp(times, keys.times, keys.controls[:, 0]), atol=1e-4)
    again = complete_motion(Local(), audio, RATE, keys, shuffled)
    assert np.allclose(again[np.argsort(shuffled)], motion, atol=1e-5)


def test_a_single_key_is_enough():
    keys = KeyMotions(np.array([0.5]), np.full((1, 2), 0.3, np.float32))
    motion = complete_motion(Local(), np.zeros((100, 1), np.float32), RATE, keys, np.arange(30) / 30)
    assert np.allclose(motion[:, 0], 0.3)
