"""Every kind of sound file comes in at the right time and level; everything else gets one sentence."""

import hashlib
import os
import wave
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
        packed = np.atleast_2d(samples).astype(np.float32).T.reshape(1, -1)  # PyAV takes no planes beyond the eighth
        frame = av.AudioFrame.from_ndarray(packed, format="flt", layout=layout)
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
    assert np.abs(sound.samples[[100, 200]]).max() < 1e-3
    assert np.abs(sound.samples).max() == pytest.approx(1.0)


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


def tracks(path: Path, rate: int, channels: np.ndarray) -> Path:
    """A plain 16-bit .wav of (channels, n), as recorders write it: without names of the channels."""
    with wave.open(str(path), "wb") as out:
        out.setparams((len(channels), 2, rate, 0, "NONE", "NONE"))
        out.writeframes(np.rint(channels.T * 32767).astype("<i2").tobytes())
    return path


@pytest.mark.parametrize("count", [3, 7, 8, 9, 16, 32])
@pytest.mark.parametrize("voice", [0, 2])
def test_a_voice_on_any_of_many_tracks_is_heard(tmp_path, count, voice):
    channels = np.zeros((count, 120000))
    channels[voice] = clicks(48000)
    sound = load_sound(tracks(tmp_path / "poly.wav", 48000, channels))
    assert sound.duration == pytest.approx(2.5, abs=0.01) and sound.warnings == ()
    assert [click_time(sound.samples, c) for c in CLICKS] == pytest.approx(CLICKS, abs=0.0005)


@pytest.mark.parametrize(
    ("name", "codec", "sample_format", "layout"),
    [
        ("x.flac", "flac", "s16", "7.1"),
        ("x.m4a", "aac", "fltp", "7.1"),
        ("x.wv", "wavpack", "fltp", "7.1"),
        ("x.wv", "wavpack", "s16p", "hexadecagonal"),
        ("x.mka", "libopus", "flt", "7.1"),
        ("x.wav", "pcm_s24le", "s32", "22.2"),
    ],
)
def test_surround_sound_of_any_layout_and_order_of_samples(tmp_path, name, codec, sample_format, layout):
    count = av.AudioLayout(layout).nb_channels
    sound = load_sound(write(tmp_path / name, np.tile(clicks(48000), (count, 1)), 48000, codec, sample_format, layout))
    assert [click_time(sound.samples, c) for c in CLICKS] == pytest.approx(CLICKS, abs=0.001)
    assert np.abs(sound.samples).max() == pytest.approx(0.5, abs=0.15)


@pytest.mark.parametrize(("other", "noise"), [(-1.0, 0.0), (-0.8, 0.0), (-1.0, 0.01)])
def test_channels_that_cancel_are_not_mixed(tmp_path, other, noise):
    rng = np.random.default_rng(0)
    voice = np.tile(clicks(48000), (2, 1)) * [[1.0], [other]] + noise * rng.standard_normal((2, 120000))
    sound = load_sound(tracks(tmp_path / "inverted.wav", 48000, voice))
    assert np.abs(sound.samples).max() == pytest.approx(0.5, abs=0.1)
    assert sound.warnings == (
        "The channels of inverted.wav cancel each other when they are mixed, so only channel 1 was heard.",
    )


def test_ordinary_stereo_is_mixed(tmp_path):
    rng = np.random.default_rng(0)
    sides = 0.1 * rng.standard_normal((2, 120000))
    sound = load_sound(tracks(tmp_path / "wide.wav", 48000, sides))
    assert sound.warnings == () and sound.samples.std() < 0.08


def test_a_constant_and_rumble_are_removed(tmp_path):
    t = np.arange(120000) / 48000
    voice = 0.3 * clicks(48000)
    low = tracks(tmp_path / "low.wav", 48000, (voice + 0.3 + 0.2 * np.sin(2 * np.pi * 2 * t))[None])
    plain = tracks(tmp_path / "plain.wav", 48000, voice[None])
    difference = load_sound(low).samples - load_sound(plain).samples
    assert np.abs(difference[2000:-2000]).max() < 0.012 and np.abs(difference).max() < 0.04


@pytest.mark.parametrize("wild", [1e5, 1e30, -4e9, np.inf])
def test_a_glitch_leaves_the_voice_as_loud_as_it_was(tmp_path, wild):
    samples = 0.2 * clicks(48000)
    samples[60000] = wild
    sound = load_sound(write(tmp_path / "glitch.wav", samples, 48000, "pcm_f32le", "flt"))
    assert np.abs(sound.samples[30000:34000]).max() == pytest.approx(0.1, abs=0.03)


def test_float_files_in_steps_of_integers_keep_their_shape(tmp_path):
    loud = write(tmp_path / "loud.wav", 20000 * clicks(16000), 16000, "pcm_f32le", "flt")
    sound = load_sound(loud)
    assert np.abs(sound.samples).max() == pytest.approx(1.0)
    assert np.abs(sound.samples[: len(clicks(16000))] - 2 * clicks(16000)).max() < 0.06


def spliced(folder: Path, starts: float) -> Path:
    """A transport stream of two recordings, the second of which counts its time from `starts` s."""
    first = write(folder / "a.ts", clicks(48000), 48000, "aac", "fltp", container="mpegts")
    second = write(folder / "b.ts", clicks(48000), 48000, "aac", "fltp", container="mpegts", starts=starts)
    path = folder / "spliced.ts"
    path.write_bytes(first.read_bytes() + second.read_bytes())
    return path


def test_a_gap_beyond_belief_is_joined_and_told(tmp_path):
    sound = load_sound(spliced(tmp_path, 90_000.0))
    assert sound.duration == pytest.approx(5.0, abs=0.15)
    assert len(sound.warnings) == 1 and "gap of 89997 s" in sound.warnings[0]


def test_a_short_gap_is_silence_and_a_jump_back_is_joined(tmp_path):
    assert load_sound(spliced(tmp_path, 5.0)).duration == pytest.approx(7.5, abs=0.15)
    assert load_sound(spliced(tmp_path, 0.0)).duration == pytest.approx(5.0, abs=0.15)


@pytest.mark.parametrize("rate", [1, 400, 2_000_000_000])
def test_absurd_rates_are_refused(tmp_path, rate):
    with pytest.raises(InputError, match=f"says that it has {rate} samples a second"):
        load_sound(tracks(tmp_path / "x.wav", rate, np.zeros((1, 2000))))


def test_days_of_sound_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("kmtalk_core.audio.LONGEST", 2.0)
    path = tracks(tmp_path / "x.wav", 16000, np.zeros((1, 40000)))
    with pytest.raises(InputError, match="is longer than 0 hours; cut it"):
        load_sound(path)
    assert load_sound(path, duration=1.0).duration == 1.0


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_pipes_and_devices_are_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe.wav")
    for path in (tmp_path / "pipe.wav", "/dev/zero"):
        with pytest.raises(InputError, match="is no file but a pipe or a device"):
            load_sound(path)


def test_a_playlist_leads_nowhere(tmp_path):
    tracks(tmp_path / "secret.wav", 16000, clicks(16000)[None])
    playlist = tmp_path / "x.wav"
    playlist.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nhttp://localhost:1/x.ts\n#EXT-X-ENDLIST\n")
    with pytest.raises(InputError, match="cannot be read as sound"):
        load_sound(playlist)


def two_tracks(path: Path, first: np.ndarray, second: np.ndarray) -> Path:
    with av.open(str(path), "w") as out:
        streams = [out.add_stream("pcm_s16le", rate=16000, layout="mono") for _ in range(2)]
        streams[1].metadata["language"] = "deu"
        for stream, samples in zip(streams, (first, second), strict=True):
            array = np.rint(samples * 32767).astype(np.int16)[None]
            frame = av.AudioFrame.from_ndarray(array, format="s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = 16000, 0, Fraction(1, 16000)
            out.mux([*stream.encode(frame), *stream.encode(None)])
    return path


def test_where_the_first_track_is_silent_the_others_are_named(tmp_path):
    sound = load_sound(two_tracks(tmp_path / "x.mkv", np.zeros(40000), clicks(16000)))
    assert sound.is_silent
    assert "The sound track of x.mkv that was read is silent; it has another one" in sound.warnings[0]
    assert not load_sound(two_tracks(tmp_path / "y.mkv", clicks(16000), np.zeros(40000))).warnings
