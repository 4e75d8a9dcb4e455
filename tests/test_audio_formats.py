"""Files that another library wrote (libsndfile) are decoded to the samples that it reads itself."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from kmtalk_core.audio import SAMPLE_RATE, load_sound

CODING = {"PCM_U8": 0.01, "ULAW": 0.04, "ALAW": 0.04, "IMA_ADPCM": 0.05, "MS_ADPCM": 0.05}  # largest error, of 1
SUPPORTED = [
    (container, subtype)
    for container in ("WAV", "AIFF", "FLAC", "AU", "W64", "CAF", "RF64")
    for subtype in ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW", "IMA_ADPCM", "MS_ADPCM")
    if soundfile.check_format(container, subtype)
]


def voice(rate: int, channels: int) -> np.ndarray:
    """(n, channels): a vowel-like tone, the same on every channel, well below half of the rate."""
    t = np.arange(rate) / rate
    tone = 0.4 * np.sin(2 * np.pi * 150 * t) + 0.2 * np.sin(2 * np.pi * 700 * t)
    return np.repeat((tone * np.minimum(1.0, 20 * np.minimum(t, 1 - t)))[:, None], channels, 1)


@pytest.mark.parametrize(("container", "subtype"), SUPPORTED)
def test_samples_agree_with_libsndfile(tmp_path: Path, container: str, subtype: str) -> None:
    path = tmp_path / f"voice.{container.lower()}"
    soundfile.write(path, voice(SAMPLE_RATE, 1), SAMPLE_RATE, format=container, subtype=subtype)
    theirs, _ = soundfile.read(path, dtype="float32")
    ours = load_sound(path).samples
    assert abs(len(ours) - len(theirs)) <= 512  # what a block of ADPCM is filled up with
    n = min(len(ours), len(theirs))
    assert np.abs(ours[:n] - theirs[:n]).max() < CODING.get(subtype, 2e-3)  # without its slow part


@pytest.mark.parametrize("channels", [1, 2, 3, 5, 7, 8, 9, 12, 16, 24])
@pytest.mark.parametrize("rate", [8000, 44100, 96000])
def test_any_count_of_channels_is_mixed(tmp_path: Path, channels: int, rate: int) -> None:
    path = tmp_path / "voice.wav"
    soundfile.write(path, voice(rate, channels), rate, subtype="PCM_16")
    ours = load_sound(path).samples
    assert len(ours) == pytest.approx(SAMPLE_RATE, abs=8)
    inside = slice(1600, -1600)
    wanted = voice(SAMPLE_RATE, 1)[: len(ours), 0]
    assert np.corrcoef(ours[inside], wanted[inside])[0, 1] > 0.999
