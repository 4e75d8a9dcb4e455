"""A preview as .mp4: a head from the front that speaks, with its sound, and the words burnt in."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import KMTalkError
from ..motion import Animation
from ..phones import Word
from .heads import MorphHead
from .lettering import lettered, width_of, write_on
from .raster import OVER, rasterise, resolve

if TYPE_CHECKING:
    from ..audio import Sound

SIZE, BAND = 320, 48  # pixels: the head's picture is a square, the words are below it
MOST_FRAMES = 30.0  # a second: of faster results, every second frame is shown, or every third …
BACK, BAND_BACK = (0.20, 0.22, 0.25), (16, 18, 21)
SPOKEN, OTHER, TOLD = (255, 255, 255), (120, 126, 135), (150, 156, 165)
LAMPS = (((-0.35, 0.45, 0.82), 0.75), ((0.6, 0.15, 0.78), 0.22))  # directions to them, and how bright they are
AROUND = 0.24  # the light from all sides
GAP = 8  # pixels between two words
CRF, PRESET = "26", "veryfast"  # of x264
TIMES = 90_000  # a second, in which a film's frames are counted


def write_film(animation: Animation, head: MorphHead, title: str, sound: Sound | None, path: Path) -> None:
    """Write the film of a result on `head`, with `title` in its corner; without `sound` it is mute.

    Raises KMTalkError where this PyAV has no encoder.
    """
    import av

    try:
        with av.open(str(path), "w", format="mp4", options={"movflags": "faststart"}) as file:
            _encode(file, animation, head, title, sound)
    except (av.error.FFmpegError, av.codec.codec.UnknownCodecError) as error:
        raise KMTalkError(f"The film cannot be encoded ({error}); install the package av from PyPI.") from None


def _encode(file: Any, animation: Animation, head: MorphHead, title: str, sound: Sound | None) -> None:
    import av

    step = max(1, int(np.ceil(animation.fps / MOST_FRAMES - 1e-6)))
    rate = Fraction(animation.fps / step).limit_denominator(1001)
    stream = file.add_stream("libx264", rate=rate, options={"crf": CRF, "preset": PRESET})
    stream.width, stream.height, stream.pix_fmt = SIZE, SIZE + BAND, "yuv420p"
    stream.thread_count = 1
    voice = None
    if sound is not None:
        from ..audio import SAMPLE_RATE

        voice = file.add_stream("aac", rate=SAMPLE_RATE, layout="mono")
    for number, picture in enumerate(pictures(animation, head, title, step)):
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        frame.time_base = Fraction(1, TIMES)
        frame.pts = round(number * TIMES / rate)
        for packet in stream.encode(frame):
            file.mux(packet)
    for packet in stream.encode():
        file.mux(packet)
    if voice is not None and sound is not None:
        heard = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(sound.samples, np.float32)[None], format="fltp", layout="mono"
        )
        heard.sample_rate = SAMPLE_RATE
        for packet in (*voice.encode(heard), *voice.encode()):
            file.mux(packet)


def pictures(animation: Animation, head: MorphHead, title: str, step: int = 1) -> Iterator[np.ndarray]:
    """(H, W, 3) uint8 for every `step`-th frame, one after the other."""
    painter = Painter(head)
    weights = head.weights(animation)
    words = animation.alignment.words
    for frame in range(0, len(weights), step):
        picture = np.empty((SIZE + BAND, SIZE, 3), np.uint8)
        picture[:SIZE] = painter.paint(weights[frame])
        picture[SIZE:] = BAND_BACK
        second = float(animation.times[frame])
        write_on(picture, title, 8, 6, TOLD)
        clock = f"{second:.2f} s"
        write_on(picture, clock, SIZE - 8 - width_of(clock), 6, TOLD)
        _write_words(picture, words, second)
        yield picture


class Painter:
    """Paints poses of one head, all of them `size` pixels wide and high."""

    def __init__(self, head: MorphHead, size: int = SIZE) -> None:
        used = [row for row in range(len(head.names)) if np.abs(head.shapes[row]).max(initial=0.0) > 0]
        self._head, self._size, self._used = head, size, used
        self._shapes = head.shapes[used].reshape(len(used), -1)
        self._around = head.faces_around()
        self._back = np.broadcast_to(np.array(BACK, np.float32), (size * OVER, size * OVER, 3))

    def paint(self, weights: np.ndarray) -> np.ndarray:
        """(size, size, 3) uint8: the head with its shapes at `weights` (n,)."""
        head = self._head
        points = head.vertices + (weights[self._used] @ self._shapes).reshape(-1, 3)
        normals = head.normals(points, self._around)
        light = np.full(len(points), AROUND, np.float32)
        for way, power in LAMPS:
            light += power * np.maximum(normals @ np.array(way, np.float32), 0.0)
        colours = np.clip(head.colours * light[:, None], 0, 1)
        samples = self._size * OVER
        scale = samples / head.height
        screen = np.empty((len(points), 3), np.float32)
        screen[:, 0] = samples / 2 + (points[:, 0] - head.centre[0]) * scale
        screen[:, 1] = samples / 2 - (points[:, 1] - head.centre[1]) * scale
        depth = points[:, 2]
        screen[:, 2] = 1.0 + (depth - depth.min()) / max(float(np.ptp(depth)), 1e-9)
        seen = rasterise(screen[head.faces], (samples, samples))
        shown = np.einsum("nkc,nk->nc", colours[head.faces[seen.triangle]], seen.weights)
        return np.clip(resolve(shown, seen.place, self._back) * 255 + 0.5, 0, 255).astype(np.uint8)


def _write_words(picture: np.ndarray, words: tuple[Word, ...], second: float) -> None:
    """The words around `second` in the band, the one that is spoken large enough to be seen, in the middle."""
    if not words:
        return
    now = next((n for n, word in enumerate(words) if word.start <= second < word.end), None)
    middle = now if now is not None else int(np.argmin([abs((w.start + w.end) / 2 - second) for w in words]))
    top = SIZE + (BAND - 32) // 2
    width = lettered(words[middle].label, 2).shape[1]
    left = (SIZE - width) // 2
    write_on(picture, words[middle].label, left, top, SPOKEN if now is not None else OTHER, 2)
    end, begin = left + width, left
    for word in words[middle + 1 :]:
        if end > SIZE:
            break
        _, end = write_on(picture, word.label, end + GAP, top + 12, OTHER)
    for word in reversed(words[:middle]):
        if begin < 0:
            break
        begin, _ = write_on(picture, word.label, begin - GAP - width_of(word.label), top + 12, OTHER)
