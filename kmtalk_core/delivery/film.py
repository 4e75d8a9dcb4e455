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
from .painting import painted

if TYPE_CHECKING:
    from ..audio import Sound

SIZE, BAND = 320, 48  # pixels: the head's picture is a square, the words are below it
MOST_FRAMES = 30.0  # a second: of faster results, every second frame is shown, or every third …
BAND_BACK = (16, 18, 21)
SPOKEN, OTHER, TOLD = (255, 255, 255), (120, 126, 135), (150, 156, 165)
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
        self._used = [row for row in range(len(head.names)) if np.abs(head.shapes[row]).max(initial=0.0) > 0]
        self._head, self._size = head, size
        self._shapes = head.shapes[self._used].reshape(len(self._used), -1)

    def paint(self, weights: np.ndarray) -> np.ndarray:
        """(size, size, 3) uint8: the head with its shapes at `weights` (n,)."""
        head = self._head
        points = head.vertices + (weights[self._used] @ self._shapes).reshape(-1, 3)
        return painted(points, head.faces, head.colours, head.centre, head.height, self._size)


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
