"""The overlay: a video with the tracked points and the lips that the rig makes of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from kmtalk_core.files import written_whole
from training.captured.mp4 import encode

from .points import EYE_CORNERS, INNER_BROW, KEPT, LIDS, LIPS, OUTER_BROW
from .tracks import Track
from .video import Beat, pictures

HEIGHT, CAPTION = 640, 26  # pixels
REACH = 2.3  # eye distances around the middle of the face that are shown
OUTER, INNER = [*range(12), 0], [*range(12, 20), 12]  # the lips' contours, of iBUG's landmarks from 48 on
TRACKED, SOLVED, BAD = (90, 220, 255), (255, 200, 60), (230, 60, 50)
MARKED = (*LIPS.values(), 152, 148, 377, *(n for part in (INNER_BROW, OUTER_BROW, EYE_CORNERS) for n in
          (*part["Right"], *part["Left"])), *(n for side in LIDS.values() for pair in side for n in pair))  # fmt: skip


def write_overlay(
    path: Path, video: Path, beat: Beat, track: Track, lips: np.ndarray, usable: np.ndarray, error_mm: np.ndarray
) -> None:
    """The film, whole or not at all. `lips` (T, 20, 3): the solved lips in the video's pixels."""
    with written_whole(path) as partial:
        encode(partial, _frames(video, beat, track, lips, usable, error_mm), track.fps, track.samples)


def _frames(
    video: Path, beat: Beat, track: Track, lips: np.ndarray, usable: np.ndarray, error_mm: np.ndarray
) -> Iterator[np.ndarray]:
    columns = [KEPT.index(number) for number in MARKED]
    window = _window(track)
    scale = HEIGHT / (window[3] - window[1])
    corner, shown = np.array(window[:2]), -1
    page = Image.new("RGB", (_even((window[2] - window[0]) * scale), HEIGHT + CAPTION))
    font = ImageFont.load_default(14)
    for stamp, pixels in pictures(video):
        frame = beat.frame(stamp)
        if frame <= shown:
            continue
        for _ in range(frame - shown - 1):
            yield np.asarray(page)  # a picture that is missing: the one before stands
        shown = frame
        page.paste((20, 22, 24), (0, 0, *page.size))
        page.paste(Image.fromarray(pixels).crop(window).resize((page.width, HEIGHT), Image.Resampling.BICUBIC))
        pen = ImageDraw.Draw(page)
        for x, y in (track.points[frame][columns, :2] - corner) * scale:
            if np.isfinite(x):
                pen.ellipse((x - 1.5, y - 1.5, x + 1.5, y + 1.5), fill=TRACKED)
        contour = (lips[frame, :, :2] - corner) * scale
        if np.isfinite(contour).all():
            for which in (OUTER, INNER):
                pen.line([tuple(contour[k]) for k in which], fill=SOLVED, width=2)
        text = f"{frame / track.fps:6.2f} s   "
        if usable[frame]:
            pen.text((8, HEIGHT + 4), text + f"lips within {error_mm[frame]:.1f} mm", (230, 230, 230), font)
        else:
            pen.text((8, HEIGHT + 4), text + "not used", BAD, font)
            pen.rectangle((0, 0, page.width - 1, HEIGHT - 1), outline=BAD, width=4)
        yield np.asarray(page)


def _window(track: Track) -> tuple[int, int, int, int]:
    """The part of the picture with the face in it: left, top, right, bottom."""
    middle = np.nanmedian(track.points[:, :, :2], axis=(0, 1))
    eyes = track.points[:, [KEPT.index(33), KEPT.index(263)], :2]
    reach = REACH * float(np.nanmedian(np.linalg.norm(eyes[:, 0] - eyes[:, 1], axis=1)))
    low, high = np.maximum(middle - reach, 0), np.minimum(middle + reach, track.size)
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])


def _even(length: float) -> int:
    return max(2 * round(length / 2), 2)
