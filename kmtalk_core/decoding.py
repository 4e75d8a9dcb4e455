"""What FFmpeg (through PyAV) decodes of a file, as mono blocks at 16 kHz with their places in time.

Nothing that a file says of itself is believed beyond what it can hold: not its time stamps, its durations or its rates.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Disposition

from .errors import InputError

RATE = 16_000  # Hz of what comes out
RATES = (1_000, 10_000_000)  # Hz that a file may have
GAP = 0.03  # s by which time stamps may jump; more is sound that is missing, and becomes silence
# s of silence at most for one gap: where the container declares its length, and where nothing but the stamps says so.
DECLARED_GAP, STAMPED_GAP = 3600.0, 10.0
PREROLL = 2.0  # s decoded before the wanted start, so that codecs with memory have settled
TOGETHER = 8192  # samples that are mixed and resampled at a time
ABSURD = 1e6  # times full scale: such samples of float files are damaged

# Weight of each channel in the mono mix: the centre carries the dialogue, the low-frequency channel nothing of it.
_FRONT = {"FC": 1.0, "FL": 0.7071, "FR": 0.7071, "DL": 0.7071, "DR": 0.7071, "LFE": 0.0, "LFE2": 0.0}
_SURROUND = 0.5
_PLANES = 7  # channels of planar sound that PyAV reads safely; with more it reads beyond the end
_FULL_SCALE = {"u8": 128.0, "s16": 32768.0, "s32": 2147483648.0, "flt": 1.0, "dbl": 1.0}
# Containers whose time stamps stay exact after a jump; the others are decoded from their beginning.
_SEEKABLE = frozenset({"wav", "flac", "ogg", "mov,mp4,m4a,3gp,3g2,mj2", "aiff", "w64"})
# Containers that declare their length; the others let FFmpeg guess it from the bit rate or the time stamps.
_DECLARED = _SEEKABLE | {"matroska,webm", "caf"}

# Channels cancel where their mix has less power than this share of what unrelated channels would give ...
CANCELLED = 0.25
# ... in stretches with more than this share of all power.
CANCELLED_SHARE = 0.1


@dataclass
class Decoding:
    """How to decode, and what was found on the way.

    `as_strip`: time 0 is the sound's own first sample and the first sound track counts, as Blender plays a strip;
    otherwise time 0 is where players begin, and the track that the file prefers counts. `channel`: the only one to be
    heard; None mixes them. `delay`: from where players begin to time 0, s; `joined` s of gaps too long to be silence;
    `left_out` s of gaps that Blender does not play; `broken`: some of it could not be decoded; `declared`: when the
    sound should end (s), where the container says so; `others`: names of the tracks not taken.
    """

    as_strip: bool = False
    channel: int | None = None
    seeking: bool = True
    delay: float = 0.0
    joined: float = 0.0
    left_out: float = 0.0
    broken: bool = False
    declared: float | None = None
    others: tuple[str, ...] = ()
    powers: list[tuple[float, float, np.ndarray]] = field(default_factory=list)

    def better_channel(self) -> int | None:
        """The channel to listen to alone, counted from 0, where the mix cancels what is in them; else None."""
        if not self.powers or len({len(each) for _, _, each in self.powers}) > 1:
            return None
        mixed, unrelated = (np.array([power[i] for power in self.powers]) for i in (0, 1))
        each = np.array([channels for _, _, channels in self.powers])
        cancelled = mixed < CANCELLED * unrelated
        if unrelated[cancelled].sum() > CANCELLED_SHARE * unrelated.sum():
            return _loudest(each[cancelled].sum(0))
        return None


def _loudest(powers: np.ndarray) -> int:
    """The first channel that is about as loud as any."""
    return int(np.flatnonzero(powers >= 0.8 * powers.max())[0])


def blocks(path: str | os.PathLike[str], start: float, how: Decoding) -> Iterator[tuple[int, np.ndarray]]:
    """Yield (position, float32 samples) at RATE, ascending, beginning before `start` s; what is found goes into `how`.

    Raises InputError for files without sound or with an absurd rate, FFmpegError where nothing can be read.
    """
    # Only this file: neither a playlist in it nor an address in its name leads anywhere else.
    with av.open(
        f"file:{os.fspath(path)}", metadata_errors="replace", options={"protocol_whitelist": "file"}
    ) as source:
        if not source.streams.audio:
            raise InputError(f"{_name(path)} contains no sound; choose a sound file or a video with a sound track.")
        stream = _chosen(source, how)
        origin = max((source.start_time or 0) / av.time_base, 0.0)  # the time stamp at which players begin
        if how.as_strip:
            how.delay = _first_stamp(path, origin) - origin
            origin += how.delay
        how.declared = _declared_end(source, stream, origin)
        sought = (
            how.seeking and start > 2 * PREROLL and source.format.name in _SEEKABLE and stream.time_base is not None
        )
        if sought:
            source.seek(int((start - PREROLL + origin) / stream.time_base), stream=stream)  # type: ignore[operator]
        for number, found in enumerate(
            _runs(_frames(source, stream, origin, how), start if sought else 0.0, how, path)
        ):
            if sought and number == 0 and found[0] > start * RATE:
                break  # the jump went too far: read all of it
            yield found
        else:
            return
    how.seeking, how.joined, how.broken = False, 0.0, False
    how.powers.clear()
    yield from blocks(path, start, how)


def _opened(path: str | os.PathLike[str]) -> InputContainer:
    """Only this file: neither a playlist in it nor an address in its name leads anywhere else."""
    return av.open(f"file:{os.fspath(path)}", metadata_errors="replace", options={"protocol_whitelist": "file"})


def _name(path: str | os.PathLike[str]) -> str:
    return os.path.basename(os.fspath(path))


def _chosen(source: InputContainer, how: Decoding) -> AudioStream:
    streams = source.streams.audio
    preferred = [s for s in streams if Disposition.default in s.disposition] or streams
    chosen = streams[0] if how.as_strip else preferred[0]
    how.others = tuple(
        f"{number} ({', '.join(tags)})" if (tags := _tags(stream)) else str(number)
        for number, stream in enumerate(streams, 1)
        if stream is not chosen
    )
    return chosen


def _tags(stream: AudioStream) -> list[str]:
    return [value for key in ("title", "language") if (value := stream.metadata.get(key, "")) not in ("", "und")]


def _first_stamp(path: str | os.PathLike[str], otherwise: float) -> float:
    """The time stamp (s) of the first sample of the first track that can be decoded."""
    with _opened(path) as source:
        for packet in source.demux(source.streams.audio[0]):
            with contextlib.suppress(av.FFmpegError):
                for frame in packet.decode():
                    return otherwise if frame.time is None else frame.time
    return otherwise


def _declared_end(source: InputContainer, stream: AudioStream, origin: float) -> float | None:
    if source.format.name not in _DECLARED or stream.duration is None or stream.time_base is None:
        return None
    return float((stream.duration + (stream.start_time or 0)) * stream.time_base) - origin


def _frames(
    source: InputContainer, stream: AudioStream, origin: float, how: Decoding
) -> Iterator[tuple[float | None, AudioFrame]]:
    """Decoded frames with their times, as far as they say one; after damage a frame of None tells of `lost` sound."""
    for packet in source.demux(stream):
        try:
            frames = packet.decode()
        except (av.FFmpegError, ValueError):  # as players do, go on after the bad packet
            how.broken = True
            yield float((packet.duration or 0) * (packet.time_base or 0)), None  # type: ignore[misc]
            continue
        for frame in frames:
            yield (None if frame.time is None else frame.time - origin), frame


def _runs(
    frames: Iterator[tuple[float | None, AudioFrame]], begin: float, how: Decoding, path: str | os.PathLike[str]
) -> Iterator[tuple[int, np.ndarray]]:
    """Frames → blocks at RATE: gaps become silence, or are closed where they are too long to be believed."""
    run: _Run | None = None
    expected, moved, lost, first = 0.0, 0.0, False, begin > 0
    for stamp, frame in frames:
        if frame is None:
            lost = True
            expected += min(stamp or 0.0, 1.0)
            continue
        at = expected if stamp is None else stamp - moved
        if not first and at - expected > _longest_gap(at, how):
            how.joined += at - expected
            moved += at - expected
            at = expected
        # A new run where the format changes or the sound has a gap, as recordings of screens and streams may.
        if run is None or lost or not run.continues(frame) or at > expected + GAP:
            if run is not None:
                yield from run.rest()
            run, expected, lost, first = _Run(frame, at, how, path), at, False, False
        yield from run.more(frame)
        expected += frame.samples / frame.sample_rate
    if run is not None:
        yield from run.rest()


def _longest_gap(end: float, how: Decoding) -> float:
    """s of silence that a gap before `end` s may become."""
    if how.declared is None:
        return STAMPED_GAP
    return DECLARED_GAP if end <= how.declared + GAP else GAP


class _Run:
    """Frames of one format without a gap, mixed to mono and resampled together."""

    def __init__(self, frame: AudioFrame, at: float, how: Decoding, path: str | os.PathLike[str]) -> None:
        if not RATES[0] <= frame.sample_rate <= RATES[1]:
            raise InputError(
                f"{_name(path)} says that it has {frame.sample_rate} samples a second, which is no speech; it may be"
                " damaged, so export it again."
            )
        self._kind = _kind(frame)
        self._how = how
        self._at = round(at * RATE)
        count = frame.layout.nb_channels
        # PyAV reads neither these formats nor this many planes.
        odd = (frame.format.is_planar and count > _PLANES) or frame.format.packed.name not in _FULL_SCALE
        self._packer = av.AudioResampler("flt", frame.layout, frame.sample_rate) if odd else None
        self._resampler = None if frame.sample_rate == RATE else av.AudioResampler("fltp", "mono", RATE)
        self._rate = frame.sample_rate
        self._weights = _weights(frame, how.channel)
        self._waiting: list[np.ndarray] = []

    def continues(self, frame: AudioFrame) -> bool:
        return _kind(frame) == self._kind

    def more(self, frame: AudioFrame) -> Iterator[tuple[int, np.ndarray]]:
        for packed in [frame] if self._packer is None else self._packer.resample(frame):
            self._waiting.append(_samples(packed, len(self._weights)))
        if sum(map(len, self._waiting)) >= TOGETHER:
            yield from self._given(self._mixed())

    def rest(self) -> Iterator[tuple[int, np.ndarray]]:
        if self._packer is not None:
            self._waiting += [_samples(packed, len(self._weights)) for packed in self._packer.resample(None)]
        if self._waiting:
            yield from self._given(self._mixed())
        if self._resampler is not None:
            yield from self._given(None)

    def _mixed(self) -> np.ndarray:
        """(n,) the waiting samples as one channel."""
        channels = np.concatenate(self._waiting)
        self._waiting = []
        channels[~(np.abs(channels) < ABSURD)] = 0.0
        if channels.shape[1] == 1:
            return channels[:, 0]
        mixed = channels @ self._weights
        if self._how.channel is None:
            heard = channels[:, self._weights > 0]
            each = heard.var(axis=0, dtype=np.float64)
            powers = np.zeros(len(self._weights))
            powers[self._weights > 0] = each * len(mixed)
            unrelated = float(np.square(self._weights) @ powers)
            self._how.powers.append((float(mixed.var(dtype=np.float64)) * len(mixed), unrelated, powers))
        return mixed

    def _given(self, mixed: np.ndarray | None) -> Iterator[tuple[int, np.ndarray]]:
        if self._resampler is None:
            outs = [] if mixed is None else [mixed]
        else:
            frame = None
            if mixed is not None:
                frame = AudioFrame.from_ndarray(np.ascontiguousarray(mixed[None], np.float32), "fltp", "mono")
                frame.sample_rate = self._rate
            outs = [out.to_ndarray()[0] for out in self._resampler.resample(frame)]
        for out in outs:
            yield self._at, out
            self._at += len(out)


def _kind(frame: AudioFrame) -> tuple[str, str, int]:
    return frame.format.name, frame.layout.name, frame.sample_rate


def _weights(frame: AudioFrame, channel: int | None) -> np.ndarray:
    """(channels,) float32 that sum to 1."""
    count = frame.layout.nb_channels
    if channel is not None and channel < count:
        return np.eye(count, dtype=np.float32)[channel]
    names = [c.name for c in frame.layout.channels] if count > 2 else [""] * count
    weights = np.array([_FRONT.get(name, _SURROUND) for name in names], np.float32)
    return weights / weights.sum() if weights.any() else np.full(count, 1.0 / count, np.float32)


def _samples(frame: AudioFrame, channels: int) -> np.ndarray:
    """(n, channels) float32, -1…1."""
    array, kind = frame.to_ndarray(), frame.format.packed.name
    values = (array.T if frame.format.is_planar else array.reshape(-1, channels)).astype(np.float32)
    if kind == "u8":
        values -= 128.0
    values /= np.float32(_FULL_SCALE[kind])
    return values
