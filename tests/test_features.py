"""Log-mel: timing, level, and pieces that equal the whole."""

import numpy as np

from kmtalk_core.features import HOP, MELS, SAMPLE_RATE, log_mel, mel_frame_count, speech_gain


def speechlike(seconds: float, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    t = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    envelope = 0.5 + 0.5 * np.sin(2 * np.pi * 3 * t)
    return (0.2 * envelope * rng.standard_normal(len(t))).astype(np.float32)


def test_a_click_appears_at_its_time():
    samples = np.zeros(SAMPLE_RATE, np.float32)
    samples[SAMPLE_RATE // 2] = 1.0
    energy = log_mel(samples, 1.0).sum(1)
    loud = np.flatnonzero(energy > energy.min() + 1)
    assert abs(loud.mean() * HOP / SAMPLE_RATE - 0.5) < 0.005


def test_recording_level_does_not_matter():
    samples = speechlike(3.0)
    assert np.abs(log_mel(samples) - log_mel(samples * 0.05)).max() < 0.05


def test_a_piece_equals_the_whole():
    samples = speechlike(2.0)
    gain = speech_gain(samples)
    whole = log_mel(samples, gain)
    part = log_mel(samples[50 * HOP : 150 * HOP], gain)
    assert np.allclose(part[2:98], whole[52:148], atol=1e-3)


def test_silence_and_tiny_sounds_are_finite():
    for n in (0, 1, 100, 16000):
        mel = log_mel(np.zeros(n, np.float32))
        assert mel.shape == (mel_frame_count(n), MELS) and np.isfinite(mel).all()
