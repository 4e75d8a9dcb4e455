"""Frames by Cycles, and a film with sound from them."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import bpy

from kmtalk_core.errors import KMTalkError
from kmtalk_core.files import written_whole

from .scene import View, add_camera

CLOSE_UP = 2.1  # how much nearer than for the film
CLOSE_UP_SIZE = 300  # pixels
CLOSE_UP_SHIFT = {"front": (0.0, -0.2), "side": (-0.32, -0.2)}  # of the picture's size: from the head to the mouth
AUDIO_RATE = 48_000  # Hz
QUALITY = "18"  # H.264's constant rate factor: hardly distinguishable from the frames


def render_frames(
    scene: bpy.types.Scene, frames: Sequence[int], folder: Path, progress: Callable[[float, str], None]
) -> list[Path]:
    """Render `frames` of `scene` through its camera into numbered PNG files; returns their paths."""
    folder.mkdir()
    scene.render.image_settings.file_format = "PNG"
    scene.render.image_settings.compression = 15
    paths, start = [], time.monotonic()
    for done, frame in enumerate(frames):
        path = folder / f"{len(paths):06}.png"
        scene.frame_set(frame)
        scene.render.filepath = str(path)
        with quiet():
            bpy.ops.render.render(write_still=True, scene=scene.name)
        if not path.is_file():
            raise KMTalkError(f"Blender could not render frame {frame}; see whether the disk of {folder} is full.")
        paths.append(path)
        left = (time.monotonic() - start) / (done + 1) * (len(frames) - done - 1)
        progress((done + 1) / len(frames), f"frame {done + 1} of {len(frames)}, {left / 60:.1f} min left")
    return paths


@contextmanager
def close_up(scene: bpy.types.Scene, view: View) -> Iterator[None]:
    """Look at the mouth through a camera of its own for as long as the block runs."""
    render, film_camera = scene.render, scene.camera
    size = render.resolution_x, render.resolution_y
    scene.camera = add_camera(scene.collection, view)
    scene.camera.data.lens *= CLOSE_UP
    scene.camera.data.shift_x, scene.camera.data.shift_y = CLOSE_UP_SHIFT[view]
    render.resolution_x = render.resolution_y = CLOSE_UP_SIZE
    try:
        yield
    finally:
        bpy.data.objects.remove(scene.camera)
        scene.camera = film_camera
        render.resolution_x, render.resolution_y = size


def write_film(frames: Sequence[Path], fps: float, sound: Path, path: Path) -> None:
    """Write `frames` and the .wav `sound`, both from time 0 on, as .mp4 (H.264 and AAC), whole or not at all."""
    with (
        written_whole(path) as partial,
        av.open(str(partial), "w", options={"movflags": "+faststart"}) as film,
        av.open(str(sound)) as source,
    ):
        rate = Fraction(fps).limit_denominator(1001)
        picture = film.add_stream("libx264", rate=rate)
        picture.pix_fmt = "yuv420p"
        picture.options = {"crf": QUALITY, "preset": "medium"}
        voice = film.add_stream("aac", rate=AUDIO_RATE, layout="stereo")
        with av.open(str(frames[0])) as first:
            picture.width, picture.height = first.streams.video[0].width, first.streams.video[0].height
        for frame in source.decode(audio=0):
            film.mux(voice.encode(frame))
        film.mux(voice.encode(None))
        for number, frame_path in enumerate(frames):
            with av.open(str(frame_path)) as still:
                image = next(still.decode(video=0)).reformat(format="yuv420p")
            image.pts, image.time_base = number, 1 / rate
            film.mux(picture.encode(image))
        film.mux(picture.encode(None))


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
