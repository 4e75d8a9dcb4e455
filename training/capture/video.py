"""The pictures and the sound of a video on a clock of their own: frame k at k / fps s, the sound from frame 0 on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from kmtalk_core.audio import SAMPLE_RATE, load_sound
from kmtalk_core.errors import InputError

SLOWEST, FASTEST = 20.0, 240.0  # frames a second
OFF_BEAT = 0.3  # of a frame: pictures further from their place than this are off the beat …
IRREGULAR = 0.2  # … and more of them than this share are no constant rate
LONGEST_GAP = 5.0  # s without pictures
HIGHEST = 1080  # pixels: larger pictures are tracked at this height


@dataclass(frozen=True)
class Beat:
    """When a video's pictures come: `fps` Hz, `frames` in all, the first at `first` s of its own clock, which is
    `start` s after the video's beginning."""

    fps: float
    frames: int
    first: float
    start: float

    def frame(self, stamp: float) -> int:
        """The frame of a picture that comes at `stamp` s."""
        return min(max(round((stamp - self.first) * self.fps), 0), self.frames - 1)


def find_beat(path: Path) -> Beat:
    """Read when all pictures come. Raises InputError for what is no video of a constant rate that speech needs."""
    guess, origin = 0.0, 0.0
    with _opened(path) as source:
        stream = _pictures(source, path)
        guess = float(stream.average_rate or stream.guessed_rate or 0)
        origin = (source.start_time or 0) / av.time_base
    at = np.array([stamp for stamp, _ in _decoded(path)])
    if len(at) < 2 or at[-1] <= at[0]:
        raise InputError(f"{path.name} has fewer than two pictures; film a few seconds of speech.")
    usual = 1 / float(np.median(np.diff(at)))
    # Stamps are often in whole milliseconds: the rate that the file tells is finer, where it is about the same.
    fps = guess if guess and abs(guess / usual - 1) < 0.04 else usual
    if not SLOWEST <= fps <= FASTEST:
        raise InputError(
            f"{path.name} has {fps:.3g} pictures a second; speech needs {SLOWEST:g} to {FASTEST:g}; film with 25."
        )
    exact = (at - at[0]) * fps
    if np.mean(np.abs(exact - np.rint(exact)) > OFF_BEAT) > IRREGULAR:
        raise InputError(
            f"The pictures of {path.name} come at no constant rate; convert it with `ffmpeg -i {path.name} -r"
            f" {round(fps)} fixed.mp4` first."
        )
    if np.diff(at).max() > LONGEST_GAP:
        raise InputError(
            f"{path.name} has no pictures for {np.diff(at).max():.0f} s; cut it there and give both parts."
        )
    return Beat(fps, round(float(exact[-1])) + 1, float(at[0]), float(at[0] - origin))


def pictures(path: Path) -> Iterator[tuple[float, np.ndarray]]:
    """Each picture upright, (H, W, 3) uint8, with its stamp in s; ends early where the rest is damaged."""
    for stamp, picture in _decoded(path):
        size = {} if picture.height <= HIGHEST else {"height": HIGHEST, "width": _even(picture)}
        pixels = picture.reformat(format="rgb24", **size).to_ndarray()
        yield stamp, np.rot90(pixels, round(picture.rotation / 90))  # telephones lie on their side


def _decoded(path: Path) -> Iterator[tuple[float, av.VideoFrame]]:
    count = 0
    try:
        with _opened(path) as source:
            stream = _pictures(source, path)
            stream.thread_type = "AUTO"
            rate = float(stream.average_rate or stream.guessed_rate or 25)
            for picture in source.decode(stream):
                stamp = count / rate if picture.time is None else picture.time
                yield stamp, picture
                count += 1
    except av.FFmpegError as error:
        if not count:
            raise _unreadable(path, error) from None


def sound_from(path: Path, beat: Beat) -> tuple[np.ndarray, str]:
    """The sound (n,) float32 at 16 kHz from the first picture to the last, and the file's SHA-256.

    Raises InputError where there is none, or nothing to hear.
    """
    sound = load_sound(path)
    if sound.is_silent:
        raise InputError(f"The sound of {path.name} is silent; capture needs the voice that belongs to the face.")
    first, count = round(beat.start * SAMPLE_RATE), round(beat.frames / beat.fps * SAMPLE_RATE)
    samples = np.concatenate([np.zeros(max(-first, 0), np.float32), sound.samples[max(first, 0) :]])
    return np.pad(samples[:count], (0, max(count - len(samples), 0))), sound.sha256


def _opened(path: Path) -> av.container.InputContainer:
    if not path.is_file():
        raise InputError(f"There is no video {path}.")
    try:
        return av.open(f"file:{os.fspath(path)}", metadata_errors="replace", options={"protocol_whitelist": "file"})
    except av.FFmpegError as error:
        raise _unreadable(path, error) from None


def _pictures(source: av.container.InputContainer, path: Path) -> av.VideoStream:
    if not source.streams.video:
        raise InputError(f"{path.name} has no pictures; give a video of a speaking face.")
    return source.streams.video[0]


def _even(picture: av.VideoFrame) -> int:
    return 2 * round(picture.width * HIGHEST / picture.height / 2)


def _unreadable(path: Path, error: Exception) -> InputError:
    return InputError(f"{path.name} cannot be read as a video ({error}); export it again as .mp4.")
