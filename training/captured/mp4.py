"""Pictures and sound as a film, encoded by PyAV; knows neither data sets nor networks."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from kmtalk_core.audio import SAMPLE_RATE

CRF = "20"


def encode(path: Path, frames: Iterator[np.ndarray], fps: float, samples: np.ndarray) -> None:
    """Pictures (H, W, 3) and sound → H.264 and AAC in .mp4."""
    rate = Fraction(fps).limit_denominator(1001)
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as film:
        first = next(frames)
        picture = film.add_stream("libx264", rate=rate)
        picture.height, picture.width, picture.pix_fmt = first.shape[0], first.shape[1], "yuv420p"
        picture.options = {"crf": CRF, "preset": "fast"}
        voice = film.add_stream("aac", rate=SAMPLE_RATE, layout="mono")
        for number, pixels in enumerate(_chained(first, frames)):
            image = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format="yuv420p")
            image.pts, image.time_base = number, 1 / rate
            film.mux(picture.encode(image))
        film.mux(picture.encode(None))
        heard = av.AudioFrame.from_ndarray(samples[None].astype(np.float32), format="fltp", layout="mono")
        heard.sample_rate, heard.pts = SAMPLE_RATE, 0
        film.mux(voice.encode(heard))
        film.mux(voice.encode(None))


def _chained(first: np.ndarray, others: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    yield first
    yield from others
