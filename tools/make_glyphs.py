"""Make kmtalk_core/assets/glyphs.npz from GNU Unifont: python -m tools.make_glyphs unifont.hex

Unifont's source has a line for each character: its code in hex, a colon, and 16 rows of 8 or 16 pixels in hex.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from kmtalk_core.assets import GLYPHS
from kmtalk_core.files import save_npz

ROWS = 16
PRIVATE = range(0xD800, 0xF900)  # surrogates, and what everybody may use as he likes


def glyphs_of(text: str) -> dict[str, np.ndarray]:
    """`codes` (G,) uint16, ascending; `wide` (G,) bool, whether 16 pixels wide; `rows` (G, 16) uint16, the leftmost
    pixel in the highest bit."""
    found = {}
    for line in text.splitlines():
        code, _, pixels = line.partition(":")
        if pixels and int(code, 16) not in PRIVATE and int(code, 16) < 1 << 16:
            found[int(code, 16)] = pixels
    codes = sorted(found)
    wide = np.array([len(found[code]) == 4 * ROWS for code in codes])
    rows = np.zeros((len(codes), ROWS), np.uint16)
    for row, code, broad in zip(rows, codes, wide, strict=True):
        pixels, digits = found[code], 4 if broad else 2
        row[:] = [int(pixels[n : n + digits], 16) << (0 if broad else 8) for n in range(0, digits * ROWS, digits)]
    return {"codes": np.array(codes, np.uint16), "wide": wide, "rows": rows}


if __name__ == "__main__":
    save_npz(glyphs_of(Path(sys.argv[1]).read_text(encoding="ascii")), GLYPHS)
