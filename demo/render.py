"""A film with sound from frames."""

from __future__ import annotations

import os
import sys
import wave
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import bpy
import numpy as np

from kmtalk_core.files import written_whole

AUDIO_RATE = 48_000  # Hz
QUALITY, PRESET = "18", "veryfast"  # H.264's constant rate factor: hardly distinguishable from the frames


def write_film(frames: Iterable[np.ndarray], fps: float, sound: Path, path: Path) -> None:
    """Write `frames` (H, W, 3) uint8 with even sides and the .wav `sound`, both from time 0 on, as .mp4 (H.264 and
    AAC), whole or not at all."""
    with (
        written_whole(path) as partial,
        av.open(str(partial), "w", options={"movflags": "+faststart"}) as film,
        av.open(str(sound)) as source,
    ):
        rate = Fraction(fps).limit_denominator(1001)
        picture = film.add_stream("libx264", rate=rate)
        picture.pix_fmt = "yuv420p"
        picture.options = {"crf": QUALITY, "preset": PRESET}
        voice = film.add_stream("aac", rate=AUDIO_RATE, layout="stereo")
        for number, frame in enumerate(frames):
            if number == 0:
                picture.height, picture.width = frame.shape[:2]
                for piece in source.decode(audio=0):
                    film.mux(voice.encode(piece))
                film.mux(voice.encode(None))
            image = av.VideoFrame.from_ndarray(frame, format="rgb24").reformat(format="yuv420p")
            image.pts, image.time_base = number, 1 / rate
            film.mux(picture.encode(image))
        film.mux(picture.encode(None))


def read_wav(path: Path) -> np.ndarray:
    """(N, channels) int16."""
    with wave.open(str(path)) as file:
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, file.getnchannels())


def write_wav(samples: np.ndarray, path: Path) -> None:
    """Write samples (N, channels) int16 at AUDIO_RATE."""
    with wave.open(str(path), "wb") as file:
        file.setparams((samples.shape[1], 2, AUDIO_RATE, 0, "NONE", "NONE"))
        file.writeframes(samples.astype("<i2").tobytes())


def mix_sound(path: Path) -> None:
    """Write the sound that the scene plays between its first and last frame as .wav."""
    with quiet():
        bpy.ops.sound.mixdown(
            filepath=str(path), container="WAV", codec="PCM", format="S16", mixrate=AUDIO_RATE, channels="STEREO"
        )


@contextmanager
def quiet() -> Iterator[None]:
    """Keep what Blender itself prints off the terminal; errors still come as exceptions."""
    sys.stdout.flush()
    kept = os.dup(1)
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(nothing)
        os.close(kept)
