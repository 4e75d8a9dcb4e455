"""Every kind of sound file comes in at the right time and level; everything else gets one sentence."""

import hashlib
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from kmtalk_core.audio import SAMPLE_RATE, load_sound
from kmtalk_core.errors import InputError

CLICKS = (0.02, 0.5, 2.0)  # s


def clicks(rate: int, duration: float = 2.5) -> np.ndarray:
    """Short tone bursts of amplitude 0.5 at CLICKS."""
    t = np.arange(int(duration * rate)) / rate
    return sum(0.5 * np.exp(-(((t - c) / 0.004) ** 2)) * np.cos(2 * np.pi * 900 * (t - c)) for c in CLICKS)


def click_time(samples: np.ndarray, near: float, offset: float = 0.0) -> float:
    """When the burst near `near` s really is: the peak of its correlation with the right shape."""
    t = offset + np.arange(len(samples)) / SAMPLE_RATE
    around = np.abs(t - near) < 0.05
    t, samples = t[around], samples[around]
    shifts = np.arange(-0.03, 0.03, 0.0001)
    match = [
        np.dot(samples, np.exp(-(((t - near - d) / 0.004) ** 2)) * np.cos(2 * np.pi * 900 * (t - near - d)))
        for d in shifts
    ]
    return near + float(shifts[int(np.argmax(match))])


def write(
    path: Path,
    samples: np.ndarray,
    rate: int,
    codec: str,
    sample_format: str,
    layout: str = "mono",
    container: str | None = None,
    options: dict[str, str] | None = None,
    picture: bool = False,
    starts: float = 0.0,
) -> Path:
    """(channels, n) or (n,) float samples through FFmpeg's encoder; optionally with a video track."""
    with av.open(str(path), "w", format=container) as out:
        video = out.add_stream("mpeg4", rate=25, width=64, height=64, pix_fmt="yuv420p") if picture else None
        stream = out.add_stream(codec, rate=rate, layout=layout, format=sample_format, options=options or {})
        frame = av.AudioFrame.from_ndarray(np.atleast_2d(samples).astype(np.float32), format="fltp", layout=layout)
        frame.sample_rate, frame.time_base, frame.pts = rate, Fraction(1, rate), round(starts * rate)
        stream.codec_context.open()
        size = stream.codec_context.frame_size or 1024
        resampler = av.AudioResampler(format=sample_format, layout=layout, rate=rate, frame_size=size)
        if video is not None:
            for number in range(25):
                image = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 9 * number, np.uint8), format="rgb24")
                image.pts, image.time_base = number, Fraction(1, 25)
                out.mux(video.encode(image))
            out.mux(video.encode(None))
        for part in [*resampler.resample(frame), *resampler.resample(None), None]:
            out.mux(stream.encode(part))
    return path


FORMATS = [
    ("u8.wav", 48000, "pcm_u8", "u8", {}),
    ("s16.wav", 44100, "pcm_s16le", "s16", {}),
    ("s16at16k.wav", 16000, "pcm_s16le", "s16", {}),
    ("s24.wav", 48000, "pcm_s24le", "s32", {}),
    ("s32.wav", 22050, "pcm_s32le", "s32", {}),
    ("float.wav", 32000, "pcm_f32le", "flt", {}),
    ("double.wav", 96000, "pcm_f64le", "dbl", {}),
    ("mulaw8k.wav", 8000, "pcm_mulaw", "s16", {}),
    ("x.flac", 44100, "flac", "s16", {}),
    ("vorbis.ogg", 44100, "vorbis", "fltp", {"layout": "stereo", "options": {"strict": "experimental"}}),
    ("opus.ogg", 48000, "libopus", "flt", {}),
    ("x.mp3", 44100, "libmp3lame", "fltp", {}),
    ("x.m4a", 44100, "aac", "fltp", {}),
    ("film.mp4", 48000, "aac", "fltp", {"picture": True}),
    ("film.mov", 48000, "pcm_s16le", "s16", {"picture": True}),
    ("surround.flac", 48000, "flac", "s16", {"layout": "5.1"}),
    ("stereo.wav", 44100, "pcm_s16le", "s16", {"layout": "stereo"}),
]


@pytest.mark.parametrize(("name", "rate", "codec", "sample_format", "details"), FORMATS, ids=[f[0] for f in FORMATS])
def test_every_format_keeps_time_and_level(tmp_path, name, rate, codec, sample_format, details):
    channels = {"mono": 1, "stereo": 2, "5.1": 6}[details.get("layout", "mono")]
    path = write(tmp_path / name, np.tile(clicks(rate), (channels, 1)), rate, codec, sample_format, **details)
    sound = load_sound(path)
    assert sound.samples.dtype == np.float32
    assert sound.duration == pytest.approx(2.5, abs=0.06 if codec == "vorbis" else 0.03)
    assert [click_time(sound.samples, c) for c in CLICKS] == pytest.approx(CLICKS, abs=0.0005)
    assert np.abs(sound.samples).max() == pytest.approx(0.5, abs=0.1)
    assert sound.warnings == ()
    cut = load_sound(path, start=1.75, duration=0.5)
    assert len(cut.samples) == 8000
    assert click_time(cut.samples, 2.0, offset=1.75) == pytest.approx(2.0, abs=0.0005)
    assert np.abs(cut.samples - sound.samples[28000:36000]).max() < 0.01


@pytest.mark.parametrize("name", ["long.wav", "long.flac", "long.mp3", "long.ogg", "long.m4a"])
def test_a_late_start_is_as_exact_as_reading_everything(tmp_path, name):
    codec, sample_format = {
        ".wav": ("pcm_s16le", "s16"),
        ".flac": ("flac", "s16"),
        ".mp3": ("libmp3lame", "fltp"),
        ".ogg": ("libopus", "flt"),
        ".m4a": ("aac", "fltp"),
    }[Path(name).suffix]
    t = np.arange(8 * 48000) / 48000
    glide = 0.3 * np.sin(2 * np.pi * (200 * t + 40 * t**2))  # no moment like another
    path = write(tmp_path / name, glide, 48000, codec, sample_format)
    whole, cut = load_sound(path), load_sound(path, 6.37, 1.5)
    assert len(cut.samples) == 24000
    first = round(6.37 * SAMPLE_RATE)
    assert np.abs(cut.samples - whole.samples[first : first + 24000]).max() < 0.01


def test_the_centre_of_surround_sound_is_heard_and_the_low_frequency_channel_is_not(tmp_path):
    silence = np.zeros(48000)
    speech = clicks(48000, 1.0)
    # FFmpeg's order of 5.1: front left, front right, centre, low frequencies, two at the sides
    centre = write(
        tmp_path / "c.wav", np.stack([silence] * 2 + [speech] + [silence] * 3), 48000, "pcm_s16le", "s16", "5.1"
    )
    boom = write(
        tmp_path / "b.wav", np.stack([silence] * 3 + [speech] + [silence] * 2), 48000, "pcm_s16le", "s16", "5.1"
    )
    assert np.abs(load_sound(centre).samples).max() > 0.1
    assert load_sound(boom).is_silent


def test_sound_that_starts_later_than_the_picture_stays_in_sync(tmp_path):
    path = write(tmp_path / "late.mov", clicks(48000), 48000, "pcm_s16le", "s16", picture=True, starts=0.4)
    assert click_time(load_sound(path).samples, 0.9) == pytest.approx(0.9, abs=0.001)


LATE = [
    ("late.mp4", "aac", "fltp"),
    ("late.mov", "pcm_s16le", "s16"),
    ("late.mkv", "flac", "s16"),
    ("late.ts", "aac", "fltp"),
    ("late.avi", "libmp3lame", "fltp"),
]


@pytest.mark.parametrize(("name", "codec", "sample_format"), LATE, ids=[name for name, _, _ in LATE])
def test_a_strip_plays_a_late_sound_from_its_first_sample(tmp_path, name, codec, sample_format):
    path = write(tmp_path / name, clicks(48000), 48000, codec, sample_format, picture=True, starts=0.4)
    sound, by_itself = load_sound(path, as_strip=True), load_sound(path)
    first = click_time(sound.samples, 0.5)
    assert first == pytest.approx(0.5, abs=0.03)  # AAC and MP3 may begin with what their encoders put before
    assert click_time(by_itself.samples, first + sound.delay) == pytest.approx(first + sound.delay, abs=0.002)
    cut = load_sound(path, 1.75, 0.5, as_strip=True)
    assert click_time(cut.samples, 2.0 + first - 0.5, 1.75) == pytest.approx(2.0 + first - 0.5, abs=0.002)
    assert cut.delay == sound.delay and len(cut.samples) == 8000


def test_a_strip_leaves_gaps_out_and_says_so(tmp_path):
    path = write_with_gap(tmp_path / "gap.mkv", clicks(48000), at=1.0, gap=0.6)
    sound = load_sound(path, as_strip=True)
    assert click_time(sound.samples, 2.0) == pytest.approx(2.0, abs=0.001)
    assert len(sound.warnings) == 1 and "gaps of 0.6 s" in sound.warnings[0]
    assert click_time(load_sound(path).samples, 2.6) == pytest.approx(2.6, abs=0.001)
    # Blender looks for where a trimmed strip begins by the time stamps.
    late = load_sound(path, 2.3, as_strip=True)
    assert click_time(late.samples, 2.6, 2.3) == pytest.approx(2.6, abs=0.001) and not late.warnings


def write_with_gap(path: Path, samples: np.ndarray, at: float, gap: float) -> Path:
    """Mono samples at 48 kHz; those from `at` s on come `gap` s later."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("pcm_s16le", rate=48000, layout="mono", format="s16")
        for first in range(0, len(samples), 4800):
            part = (samples[None, first : first + 4800] * 32767).astype("<i2")
            frame = av.AudioFrame.from_ndarray(part, format="s16", layout="mono")
            frame.sample_rate, frame.time_base = 48000, Fraction(1, 48000)
            frame.pts = first + (round(gap * 48000) if first >= at * 48000 else 0)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def test_nan_and_loud_float_samples_are_tamed(tmp_path):
    samples = clicks(16000)
    samples[100], samples[200], samples[8000] = np.nan, np.inf, 4.0
    sound = load_sound(write(tmp_path / "wild.wav", samples, 16000, "pcm_f32le", "flt"))
    assert np.isfinite(sound.samples).all()
    assert sound.samples[100] == sound.samples[200] == 0.0
    assert np.abs(sound.samples).max() == 1.0


def test_silence_is_legal_and_known_as_such(tmp_path):
    sound = load_sound(write(tmp_path / "silence.wav", np.zeros(8000), 16000, "pcm_s16le", "s16"))
    assert sound.is_silent and sound.duration == 0.5


def test_checksum_and_a_path_with_accents(tmp_path):
    folder = tmp_path / "Ünïcode 名前"
    folder.mkdir()
    path = write(folder / "Žluťoučký kůň.wav", clicks(16000), 16000, "pcm_s16le", "s16")
    assert load_sound(path).sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize(("name", "codec"), [("x.wav", "pcm_s16le"), ("x.flac", "flac"), ("x.mp3", "libmp3lame")])
def test_a_truncated_file_gives_what_can_be_read(tmp_path, name, codec):
    noise = np.random.default_rng(0).normal(0, 0.1, 44100 * 3)
    path = write(tmp_path / name, noise, 44100, codec, "fltp" if codec == "libmp3lame" else "s16")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    sound = load_sound(path)
    assert 1.0 < sound.duration < 2.0
    if codec != "libmp3lame":  # mp3 has no length of its own
        assert len(sound.warnings) == 1 and "incomplete" in sound.warnings[0]


@pytest.mark.parametrize(("name", "codec"), [("x.flac", "flac"), ("x.mp3", "libmp3lame"), ("x.ogg", "libopus")])
def test_damage_in_the_middle_loses_only_the_middle(tmp_path, name, codec):
    sample_format = {"flac": "s16", "libmp3lame": "fltp", "libopus": "flt"}[codec]
    samples = clicks(48000, 6.0) + np.random.default_rng(0).normal(0, 0.02, 6 * 48000)
    samples[5 * 48000 - 200 : 5 * 48000 + 200] += clicks(48000, 1.0)[24000 - 200 : 24000 + 200]
    path = write(tmp_path / name, samples, 48000, codec, sample_format)
    content = bytearray(path.read_bytes())
    middle = int(len(content) * 0.55)
    content[middle : middle + 3000] = np.random.default_rng(1).bytes(3000)
    path.write_bytes(content)
    sound = load_sound(path)
    # Without time stamps, as in mp3, nobody can tell how much is missing.
    timed = codec != "libmp3lame"
    assert sound.duration == pytest.approx(6.0, abs=0.1 if timed else 0.5)
    for click in (0.5, 2.0, 5.0) if timed else (0.5, 2.0):
        assert click_time(sound.samples, click) == pytest.approx(click, abs=0.001)


def test_an_mp4_cut_off_before_its_index_is_one_sentence(tmp_path):
    path = write(tmp_path / "x.m4a", clicks(44100), 44100, "aac", "fltp")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match=r"x\.m4a cannot be read as sound"):
        load_sound(path)


def make_bad_file(folder: Path, kind: str) -> Path:
    path = folder / f"{kind}.wav"
    if kind == "empty":
        path.touch()
    elif kind == "text":
        path.write_text("This is not a sound.\n")
    elif kind == "garbage":
        path.write_bytes(np.random.default_rng(0).bytes(5000))
    elif kind == "picture":
        from PIL import Image

        path = path.with_suffix(".png")
        Image.new("RGB", (32, 32)).save(path)
    elif kind == "header":
        write(path, np.zeros(16), 16000, "pcm_s16le", "s16")
        path.write_bytes(path.read_bytes()[:44])
    elif kind == "folder":
        path.mkdir()
    elif kind == "mute":
        path = path.with_suffix(".mp4")
        with av.open(str(path), "w") as out:
            video = out.add_stream("mpeg4", rate=25, width=64, height=64, pix_fmt="yuv420p")
            image = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
            out.mux([*video.encode(image), *video.encode(None)])
    return path


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("missing", "There is no sound file .*check the path"),
        ("empty", "is empty .*export or copy it again"),
        ("text", "cannot be read as sound.*export it again"),
        ("garbage", "cannot be read as sound.*export it again"),
        ("picture", "contains no sound; choose"),
        ("header", "export it again as .wav or .flac"),
        ("folder", "is a folder; choose"),
        ("mute", "contains no sound; choose"),
    ],
)
def test_what_is_no_sound_gets_one_sentence(tmp_path, kind, message):
    with pytest.raises(InputError, match=message) as caught:
        load_sound(make_bad_file(tmp_path, kind))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("start", "duration", "message"),
    [(-1.0, None, "give a time of 0 s or later"), (0.0, 0.0, "give more than 0 s"), (9.0, None, "ends before 9 s")],
)
def test_impossible_spans_are_refused(tmp_path, start, duration, message):
    path = write(tmp_path / "x.wav", clicks(16000), 16000, "pcm_s16le", "s16")
    with pytest.raises(InputError, match=message):
        load_sound(path, start, duration)
