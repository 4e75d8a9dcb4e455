"""Any sound file in, 16 kHz mono samples out, decoded in a stream by FFmpeg (through PyAV)."""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.container import InputContainer

from .errors import InputError

SAMPLE_RATE = 16_000  # Hz
SILENT_PEAK = 1e-4  # -80 dB of full scale: nothing that anybody hears

# Weight of each channel in the mono mix: the centre carries the dialogue, the low-frequency channel nothing of it.
_FRONT = {"FC": 1.0, "FL": 0.7071, "FR": 0.7071, "DL": 0.7071, "DR": 0.7071, "LFE": 0.0, "LFE2": 0.0}
_SURROUND = 0.5
# Containers whose time stamps stay exact after a jump; the others are decoded from their beginning.
_SEEKABLE = frozenset({"wav", "flac", "ogg", "mov,mp4,m4a,3gp,3g2,mj2", "aiff", "w64"})
# Containers that declare their length; the others let FFmpeg guess it from the bit rate.
_DECLARED = _SEEKABLE | {"matroska,webm", "caf"}
_GAP = 0.03  # s by which time stamps may jump; more is sound that is missing, and becomes silence
_PREROLL = 2.0  # s decoded before the wanted start, so that codecs with memory have settled


@dataclass(frozen=True)
class Sound:
    """Speech as the rest of KMTalk takes it.

    `samples` (n,) float32, mono, -1…1, at SAMPLE_RATE; `sha256` of the whole file's bytes, in hex; `path` as given;
    `warnings` are sentences for the user (a truncated file, say). `delay` (s) is what has to be added to the times of a
    sound that was read `as_strip` to get those of the file.
    """

    samples: np.ndarray
    sha256: str
    path: str
    warnings: tuple[str, ...] = field(default=())
    delay: float = 0.0

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return len(self.samples) / SAMPLE_RATE

    @property
    def is_silent(self) -> bool:
        """Whether there is nothing to hear in it."""
        return max(self.samples.max(initial=0.0), -self.samples.min(initial=0.0)) < SILENT_PEAK


def load_sound(
    path: str | os.PathLike[str], start: float = 0.0, duration: float | None = None, as_strip: bool = False
) -> Sound:
    """Read `duration` seconds (None: all) from `start` seconds on, of any sound or video file that FFmpeg reads.

    Time 0 is where players begin: encoder delay is cut off, and a sound track that starts later than the picture is
    preceded by silence. With `as_strip` it is what a sound strip of Blender plays: time 0 is the first sample, whenever
    the file says that it comes, and from `start` on nothing is heard of gaps. Sound louder than full scale (possible in
    float files) is scaled down to it as a whole, NaN and infinite samples become 0. A damaged file yields what can be
    read, with a warning. Raises InputError.
    """
    if not (math.isfinite(start) and start >= 0.0):
        raise InputError(f"The start of the sound is {start} s; give a time of 0 s or later.")
    if duration is not None and not (math.isfinite(duration) and duration > 0.0):
        raise InputError(f"The length of the sound is {duration} s; give more than 0 s, or none for all of it.")
    name = Path(path).name
    sha256 = _checked_sha256(path)
    first = round(start * SAMPLE_RATE)
    last = None if duration is None else round((start + duration) * SAMPLE_RATE)
    buffer = bytearray()  # grows in place, so an hour of sound is never held twice
    filled = first
    broken = _riff_cut_short(path)
    declared, delay, gaps = None, 0.0, 0
    try:
        with av.open(os.fspath(path), metadata_errors="replace") as container:
            if not container.streams.audio:
                raise InputError(f"{name} contains no sound; choose a sound file or a video with a sound track.")
            declared = _declared_end(container)
            if as_strip:
                delay = _first_sample(path) - _origin(container)
            try:
                for at, block in _blocks(container, start + delay):
                    at -= round(delay * SAMPLE_RATE) + gaps
                    at, block = max(at, filled), block[max(filled - at, 0) :]
                    if as_strip and len(block) and at > filled:
                        gaps, at = gaps + at - filled, filled
                    block = block[: None if last is None else max(last - at, 0)]
                    if len(block):
                        buffer += bytes(4 * (at - filled))
                        buffer += block.astype(np.float32).tobytes()
                        filled = at + len(block)
                    if last is not None and filled >= last:
                        break
            except (av.FFmpegError, ValueError):
                broken = True  # keep what was decoded before
    except (av.FFmpegError, OSError, ValueError):
        raise InputError(
            f"{name} cannot be read as sound; it may be damaged or no sound file, so export it again as .wav or .flac."
        ) from None
    samples = np.frombuffer(buffer, dtype=np.float32)
    if not len(samples):
        if start > 0.0 and not broken:
            raise InputError(f"{name} ends before {start:g} s; choose an earlier start.")
        raise InputError(f"{name} holds no sound that can be read; export it again as .wav or .flac.")
    _tame(samples)
    warnings = []
    expected = declared if last is None else min(declared or math.inf, last / SAMPLE_RATE)
    heard = (filled + gaps) / SAMPLE_RATE
    if broken or (declared is not None and expected is not None and heard < expected - 0.25):
        warnings.append(
            f"{name} is damaged or incomplete: {len(samples) / SAMPLE_RATE:.2f} s could be read; export it again if"
            " more is expected."
        )
    if gaps > _GAP * SAMPLE_RATE:
        warnings.append(
            f"{name} has gaps of {gaps / SAMPLE_RATE:.1f} s in its sound, which Blender leaves out; export it again as"
            " .wav if the face is ahead of the picture."
        )
    return Sound(samples, sha256, os.fspath(path), tuple(warnings), delay)


def _checked_sha256(path: str | os.PathLike[str]) -> str:
    target = Path(path)
    if target.is_dir():
        raise InputError(f"{path} is a folder; choose a sound file in it.")
    try:
        with target.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256")
            if file.tell() == 0:
                raise InputError(f"{target.name} is empty (0 bytes); export or copy it again.")
    except FileNotFoundError:
        raise InputError(f"There is no sound file {path}; check the path.") from None
    except OSError as error:
        raise InputError(f"{path} cannot be opened ({error.strerror}); check its permissions.") from None
    return digest.hexdigest()


def _riff_cut_short(path: str | os.PathLike[str]) -> bool:
    """Whether a .wav file is shorter than its header says (FFmpeg does not tell); recorders leave 0 or -1 there."""
    with open(path, "rb") as file:
        head = file.read(8)
        size = int.from_bytes(head[4:], "little")
        return head[:4] == b"RIFF" and size < 0xFFFFFFFF and size + 8 > file.seek(0, os.SEEK_END) + 1


def _declared_end(container: InputContainer) -> float | None:
    """When the sound should end, in seconds, where the container says so."""
    stream = container.streams.audio[0]
    if container.format.name not in _DECLARED or stream.duration is None or stream.time_base is None:
        return None
    return float(stream.duration * stream.time_base)


def _origin(container: InputContainer) -> float:
    """The time stamp (s) at which players begin."""
    return max((container.start_time or 0) / av.time_base, 0.0)


def _first_sample(path: str | os.PathLike[str]) -> float:
    """The time stamp (s) of the first sample that can be decoded."""
    with av.open(os.fspath(path), metadata_errors="replace") as container:
        for packet in container.demux(container.streams.audio[0]):
            with contextlib.suppress(av.FFmpegError):
                for frame in packet.decode():
                    return _origin(container) if frame.time is None else frame.time
        return _origin(container)


def _blocks(container: InputContainer, start: float) -> Iterator[tuple[int, np.ndarray]]:
    """Yield (position, samples) at SAMPLE_RATE, ascending, beginning before `start` seconds.

    Raises FFmpegError at the end if something in between could not be decoded.
    """
    stream = container.streams.audio[0]
    origin = _origin(container)
    if start > 2 * _PREROLL and container.format.name in _SEEKABLE and stream.time_base is not None:
        container.seek(int((start - _PREROLL + origin) / stream.time_base), stream=stream)
    run: _Run | None = None
    expected = 0.0
    damage: av.FFmpegError | None = None
    lost = False
    for packet in container.demux(stream):
        try:
            frames = packet.decode()
        except av.FFmpegError as error:  # as players do, go on after the bad packet
            damage, lost = error, True
            expected += float((packet.duration or 0) * (packet.time_base or 0))
            continue
        for frame in frames:
            at = expected if frame.time is None else frame.time - origin
            # A new run where the format changes or the sound has a gap, as recordings of screens and streams may.
            if run is None or lost or not run.continues(frame) or at > expected + _GAP:
                if run is not None:
                    yield from run.resampled(None)
                run, expected, lost = _Run(frame, at), at, False
            yield from run.resampled(frame)
            expected += frame.samples / frame.sample_rate
    if run is not None:
        yield from run.resampled(None)
    if damage is not None:
        raise damage


class _Run:
    """Frames of one format without a gap, mixed to mono and resampled together."""

    def __init__(self, frame: AudioFrame, at: float) -> None:
        self._format = _format(frame)
        self._at = round(at * SAMPLE_RATE)
        self._resampler = av.AudioResampler(format="fltp", layout=frame.layout, rate=SAMPLE_RATE)
        weights = np.array([_FRONT.get(c.name, _SURROUND) for c in frame.layout.channels], dtype=np.float32)
        if len(weights) == 1 or not weights.any():
            weights[:] = 1.0
        self._weights = weights / weights.sum()

    def continues(self, frame: AudioFrame) -> bool:
        return _format(frame) == self._format

    def resampled(self, frame: AudioFrame | None) -> Iterator[tuple[int, np.ndarray]]:
        for out in self._resampler.resample(frame):
            block = self._weights @ out.to_ndarray()
            yield self._at, block
            self._at += len(block)


def _format(frame: AudioFrame) -> tuple[str, str, int]:
    return frame.format.name, frame.layout.name, frame.sample_rate


def _tame(samples: np.ndarray) -> None:
    """In place: NaN, infinite and absurd samples become 0, and nothing stays louder than full scale."""
    for i in range(0, len(samples), 1 << 20):  # in pieces, to save memory
        piece = samples[i : i + (1 << 20)]
        piece[~(np.abs(piece) < 1e6)] = 0.0
    peak = max(float(samples.max()), -float(samples.min()))
    if peak > 1.0:
        samples /= peak
