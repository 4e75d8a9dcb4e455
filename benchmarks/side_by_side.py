"""By eye: films and contact sheets of a captured person's points beside the head that says the same.

`python -m benchmarks.side_by_side SET --out DIR [--every N] [--text]` writes CLIP.mp4 and CLIP.png for each clip of a
set of tracked clips, or of a folder that `training.capture` wrote: left the tracked lips, lids, brows and chin, freed
from the head's motion, right the demo head animated from the sound, both at the same scale; the sheet has every second
frame of both mouths with what is said. Without `--text` the sound alone is used.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from benchmarks.liveliness import clips
from kmtalk_core.animator import Animator
from kmtalk_core.assets import DEMO_HEAD
from kmtalk_core.errors import KMTalkError
from kmtalk_core.motion import Animation
from kmtalk_core.request import Request
from kmtalk_core.rig.articulation import Rig, build_rig
from kmtalk_core.rig.mesh import load_mesh
from training.capture.points import EYE_CORNERS, INNER_BROW, LIDS, LIPS, OUTER_BROW, Points, stilled
from training.captured.mp4 import encode
from training.captured.raster import Painter, View, material_colours

PANEL, CAPTION = 240, 20  # pixels
HEIGHT_MM, MIDDLE_MM = 200.0, -35.0  # of the face that is shown, and its middle below the eyes
MOUTH = (0.27, 0.52, 0.73, 0.9)  # the part of a panel that the sheet shows: left, top, right, bottom
COLUMNS = 12  # of the sheet
OUTER, INNER = [*range(12), 0], [*range(12, 20), 12]  # the lips' contours, of iBUG's landmarks from 48 on
INK, PAPER, LIP = (60, 60, 60), (245, 245, 242), (190, 60, 60)


def panels(points: np.ndarray, ids: np.ndarray, animation: Animation, rig: Rig) -> Iterator[np.ndarray]:
    """(PANEL, 2 · PANEL, 3) uint8 of each frame: the person's points, and the head."""
    still = stilled(Points(points, ids), animation.fps)
    middle = np.nanmedian(still.points.of(*EYE_CORNERS["Right"], *EYE_CORNERS["Left"]), axis=(0, 1))
    scale = PANEL / HEIGHT_MM
    painter = Painter(load_mesh(DEMO_HEAD), rig.anatomy.vertex_of[rig.anatomy.marks], material_colours(DEMO_HEAD))
    view = View(0.0, np.array([0.0, MIDDLE_MM, 0.0]), HEIGHT_MM)
    strokes = [list(np.array(list(LIPS.values()))[which]) for which in (OUTER, INNER)]
    dots = [*(n for part in (INNER_BROW, OUTER_BROW, EYE_CORNERS) for side in part for n in part[side]), 152]
    dots += [n for side in LIDS for pair in LIDS[side] for n in pair]

    def place(numbers: list[int], frame: int) -> list[tuple[float, float]]:
        at = (still.points.of(*numbers)[frame, :, :2] - middle[:2]) * scale
        return [(PANEL / 2 + x, PANEL / 2 + MIDDLE_MM * scale - y) for x, y in at]

    for frame in range(min(len(points), len(animation.controls))):
        left = Image.new("RGB", (PANEL, PANEL), PAPER)
        pen = ImageDraw.Draw(left)
        if np.isfinite(points[frame]).all():
            for stroke in strokes:
                pen.line(place(stroke, frame), LIP, 2)
            for x, y in place(dots, frame):
                pen.ellipse((x - 2, y - 2, x + 2, y + 2), fill=INK)
        pose = rig.anatomy.frame.to_frame(
            rig.vertices(animation.controls[frame : frame + 1], animation.control_names)[0]
        )
        yield np.concatenate([np.asarray(left), painter.paint(pose, view, PANEL)], axis=1)


def sheet(pictures: list[np.ndarray], animation: Animation) -> Image.Image:
    """Every second frame of both mouths, the person's above ours, with its time and phone."""
    left, top, right, bottom = (round(share * PANEL) for share in MOUTH)
    width, height, shown = right - left, bottom - top, range(0, len(pictures), 2)
    rows = -(-len(shown) // COLUMNS)
    page = Image.new("RGB", (COLUMNS * width, rows * (2 * height + CAPTION)), (255, 255, 255))
    pen, font = ImageDraw.Draw(page), ImageFont.load_default(12)
    for number, frame in enumerate(shown):
        x, y = number % COLUMNS * width, number // COLUMNS * (2 * height + CAPTION)
        for which in (0, 1):
            part = pictures[frame][top:bottom, which * PANEL + left : which * PANEL + right]
            page.paste(Image.fromarray(part), (x, y + CAPTION + which * height))
        pen.text((x + 3, y + 3), f"{frame / animation.fps:.2f} {_said(animation, frame)}", (0, 0, 0), font)
    return page


def _said(animation: Animation, frame: int) -> str:
    time = frame / animation.fps
    return next((p.label for p in animation.alignment.phones if p.start <= time < p.end), "")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.side_by_side", description=__doc__.splitlines()[0])
    parser.add_argument("set", type=Path, help="a set of tracked clips, or a folder that training.capture wrote")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--every", type=int, default=1, help="look at every N-th clip only")
    parser.add_argument("--text", action="store_true", help="tell the model what is said")
    options = parser.parse_args()
    rig, animator = build_rig(load_mesh(DEMO_HEAD)), Animator()
    options.out.mkdir(parents=True, exist_ok=True)
    try:
        for name, points, ids, fps, sound, text in clips(options.set, options.every):
            request = Request(transcript=text or None if options.text else None, fps=fps, head=0.0)
            animation = animator.animate(sound, request)
            pictures = list(panels(points, ids, animation, rig))
            encode(options.out / f"{name}.mp4", iter(pictures), fps, sound.samples)
            sheet(pictures, animation).save(options.out / f"{name}.png")
            print(options.out / f"{name}.mp4", flush=True)
    except KMTalkError as error:
        print(f"side_by_side: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
