"""Words in pictures, in the glyphs of GNU Unifont: all characters of the Basic Multilingual Plane, 16 pixels high."""

from __future__ import annotations

import unicodedata
from functools import cache

import numpy as np

from ..assets import GLYPHS
from ..files import load_npz

ROWS = 16
UNKNOWN = 0xFFFD  # the character that stands for what has no glyph
RIGHT_TO_LEFT = ("R", "AL")


def lettered(text: str, scale: int = 1) -> np.ndarray:
    """(16·scale, w) bool: the pixels of one line of text. Of scripts that run to the left, the last letter comes first.

    Letters stand by themselves: where a script joins them, they are not joined.
    """
    glyphs, wide, rows = _glyphs()
    composed = unicodedata.normalize("NFC", text)
    if any(unicodedata.bidirectional(c) in RIGHT_TO_LEFT for c in composed):
        composed = composed[::-1]
    strips = [np.zeros((ROWS, 0), bool)]
    for character in composed:
        place = glyphs.get(ord(character), glyphs[UNKNOWN])
        width = 16 if wide[place] else 8
        pixels = ((rows[place][:, None] >> np.arange(15, 15 - width, -1)) & 1).astype(bool)
        if unicodedata.combining(character) and len(strips) > 1:  # laid over the letter before it
            before = strips[-1]
            before[:, : min(width, before.shape[1])] |= pixels[:, : before.shape[1]]
        else:
            strips.append(pixels)
    return np.concatenate(strips, axis=1).repeat(scale, axis=0).repeat(scale, axis=1)


def write_on(
    picture: np.ndarray, text: str, x: int, y: int, colour: tuple[int, int, int], scale: int = 1
) -> tuple[int, int]:
    """Write on a picture (H, W, 3) uint8 from the pixel (x, y) on, in place; returns where it begins and ends."""
    pixels = lettered(text, scale)
    left, right = max(x, 0), min(x + pixels.shape[1], picture.shape[1])
    bottom = min(y + len(pixels), len(picture))
    if left < right and y < bottom:
        picture[y:bottom, left:right][pixels[: bottom - y, left - x : right - x]] = colour
    return x, x + pixels.shape[1]


def width_of(text: str, scale: int = 1) -> int:
    """How many pixels wide a text is."""
    return int(lettered(text, scale).shape[1])


@cache
def _glyphs() -> tuple[dict[int, int], np.ndarray, np.ndarray]:
    arrays = load_npz(GLYPHS)
    return {int(code): place for place, code in enumerate(arrays["codes"])}, arrays["wide"], arrays["rows"]
