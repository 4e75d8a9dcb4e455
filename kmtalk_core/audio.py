"""Any sound file in, 16 kHz mono samples out, decoded in a stream by FFmpeg (through PyAV)."""

from __future__ import annotations

import hashlib
import math
import os
import stat
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import av
import numpy as np

from .decoding import GAP, Decoding, blocks
from .errors import InputError
from .levelling import Leveller
from .packed import Packed, Samples, peak_of

SAMPLE_RATE = 16_000  # Hz
SILENT_PEAK = 1e-4  # -80 dB of full scale: nothing that anybody hears
LONGEST = 12 * 3600.0  # s of sound at once


@dataclass(frozen=True)
class Sound:
    """Speech as the rest of KMTalk takes it.

    `stored` (n,) float32, mono, -1…1, at SAMPLE_RATE, packed where it comes from a file: slices of it are float32 in
    any case. `sha256` of the whole file's bytes, in hex; `path` as given; `warnings` are sentences for the user (a
    truncated file, say). `delay` (s) is what has to be added to the times of a sound that was read `as_strip` to get
    those of the file.
    """

    stored: Samples
    sha256: str
    path: str
    warnings: tuple[str, ...] = field(default=())
    delay: float = 0.0

    @property
    def samples(self) -> np.ndarray:
        """All of `stored` as (n,) float32: 230 MB for an hour, so slices of `stored` are better for long sounds."""
        return np.asarray(self.stored)

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return len(self.stored) / SAMPLE_RATE

    @cached_property
    def is_silent(self) -> bool:
        """Whether there is nothing to hear in it."""
        return peak_of(self.stored) < SILENT_PEAK


def load_sound(
    path: str | os.PathLike[str], start: float = 0.0, duration: float | None = None, as_strip: bool = False
) -> Sound:
    """Read `duration` seconds (None: all) from `start` seconds on, of any sound or video file that FFmpeg reads.

    Time 0 is where players begin: encoder delay is cut off, and a sound track that starts later than the picture is
    preceded by silence; of several tracks the one that the file prefers is read. With `as_strip` it is what a sound
    strip of Blender plays: the first track, time 0 is its first sample, whenever the file says that it comes, and from
    `start` on nothing is heard of gaps.

    A constant and rumble below 15 Hz are removed. Channels are mixed, but where they cancel each other one is taken.
    Sound louder than full scale (possible in float files) is scaled down to it as a whole but for glitches, NaN and
    infinite samples become 0. Gaps become silence as far as they can be believed. A damaged file yields what can be
    read, with a warning. Raises InputError.
    """
    if not (math.isfinite(start) and start >= 0.0):
        raise InputError(f"The start of the sound is {start} s; give a time of 0 s or later.")
    if duration is not None and not (math.isfinite(duration) and duration > 0.0):
        raise InputError(f"The length of the sound is {duration} s; give more than 0 s, or none for all of it.")
    name = Path(path).name
    sha256 = _checked_sha256(path)
    how = Decoding(as_strip)
    stored = _read(path, start, duration, how)
    notes = []
    channel = how.better_channel()
    if channel is not None:
        how = Decoding(as_strip, channel)
        stored = _read(path, start, duration, how)
        notes.append(
            f"The channels of {name} cancel each other when they are mixed, so only channel {channel + 1} was heard."
        )
    broken = how.broken or _riff_cut_short(path)
    if not len(stored):
        if start > 0.0 and not broken:
            raise InputError(f"{name} ends before {start:g} s; choose an earlier start.")
        raise InputError(f"{name} holds no sound that can be read; export it again as .wav or .flac.")
    seconds = len(stored) / SAMPLE_RATE
    expected = math.inf if how.declared is None else how.declared - start
    expected = min(expected, expected if duration is None else duration)
    if broken or (how.declared is not None and seconds + how.left_out < expected - 0.25):
        notes.append(
            f"{name} is damaged or incomplete: {seconds:.2f} s could be read; export it again if more is expected."
        )
    if how.joined:
        notes.append(
            f"{name} has time stamps with a gap of {how.joined:.0f} s, longer than can be believed; what is around the"
            " gap was joined, so export it again if it is out of sync."
        )
    if how.left_out > GAP:
        notes.append(
            f"{name} has gaps of {how.left_out:.1f} s in its sound, which Blender leaves out; export it again as"
            " .wav if the face is ahead of the picture."
        )
    sound = Sound(stored, sha256, os.fspath(path), tuple(notes), how.delay)
    if how.others and sound.is_silent:
        others = f"the other sound tracks are {', '.join(how.others)}" if len(how.others) > 1 else "it has another one"
        note = (
            f"The sound track of {name} that was read is silent; {others}: export the right one as a file of its own."
        )
        sound = replace(sound, warnings=(*notes, note))
    return sound


def _read(path: str | os.PathLike[str], start: float, duration: float | None, how: Decoding) -> Packed:
    """The wanted part of the file, levelled; empty where there is none. Raises InputError."""
    first = round(start * SAMPLE_RATE)
    last = None if duration is None else round((start + duration) * SAMPLE_RATE)
    limit = first + round(LONGEST * SAMPLE_RATE)
    taken = Leveller()
    try:
        for at, block in blocks(path, start, how):
            filled, at = first + len(taken), at - round(how.left_out * SAMPLE_RATE)
            at, block = max(at, filled), block[max(filled - at, 0) :]
            if how.as_strip and len(block):
                how.left_out += (at - filled) / SAMPLE_RATE
                at = filled
            block = block[: None if last is None else max(last - at, 0)]
            if len(block):
                if at + len(block) > limit:
                    raise InputError(
                        f"{Path(path).name} is longer than {LONGEST / 3600:.0f} hours; cut it into shorter parts."
                    )
                taken.add_silence(at - filled)
                taken.add(block)
            if last is not None and first + len(taken) >= last:
                break
    except (av.FFmpegError, ValueError, OSError):
        if not len(taken):
            raise InputError(
                f"{Path(path).name} cannot be read as sound; it may be damaged or no sound file, so export it again as"
                " .wav or .flac."
            ) from None
        how.broken = True  # keep what was decoded before
    return taken.finish()


def _checked_sha256(path: str | os.PathLike[str]) -> str:
    target = Path(path)
    if target.is_dir():
        raise InputError(f"{path} is a folder; choose a sound file in it.")
    try:
        if not stat.S_ISREG(target.stat().st_mode):  # before it is opened: that alone may wait for ever
            raise InputError(f"{path} is no file but a pipe or a device; write the sound to a file first.")
        with target.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256")
            if file.tell() == 0:
                raise InputError(f"{target.name} is empty (0 bytes); export or copy it again.")
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"There is no sound file {path}; check the path.") from None
    except OSError as error:
        raise InputError(f"{path} cannot be opened ({error.strerror}); check its permissions.") from None
    except ValueError:  # a NUL in the name
        raise InputError("The name of the sound file cannot be that of a file; check the path.") from None
    return digest.hexdigest()


def _riff_cut_short(path: str | os.PathLike[str]) -> bool:
    """Whether a .wav file is shorter than its header says (FFmpeg does not tell); recorders leave 0 or -1 there."""
    with open(path, "rb") as file:
        head = file.read(8)
        size = int.from_bytes(head[4:], "little")
        return head[:4] == b"RIFF" and size < 0xFFFFFFFF and size + 8 > file.seek(0, os.SEEK_END) + 1
